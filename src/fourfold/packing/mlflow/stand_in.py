"""Stand in for MLflow in the package of a Python model: define the few names of MLflow that the model imports.

The package carries this file as `fourfold_stand_in.py`, and needs no MLflow.
"""

from __future__ import annotations

import copy
from typing import Any

__all__ = ["Context", "Model", "PythonModel", "set_model"]

#: The models that a file of "models from code" has set; the last one counts.
chosen: list[Any] = []


class PythonModel:
    """Serve as the base class of a model."""

    def load_context(self, context: Any) -> None:
        """Load what the model needs from its artifacts, once."""


class Context:
    """Hold what a model gets besides the rows.

    Args:
        artifacts: the paths of the model's files by name; `None` in a package.
        model_config: the model's configuration.
    """

    def __init__(self, artifacts: dict[str, str] | None = None, model_config: dict[str, Any] | None = None) -> None:
        self._artifacts = artifacts
        self.model_config = model_config

    @property
    def artifacts(self) -> dict[str, str]:
        """Return the paths of the model's files; raise `RuntimeError` in a package, which carries none of them."""
        if self._artifacts is None:
            raise RuntimeError("a package has no artifacts: read them in load_context, which runs when it is packed")
        return self._artifacts


class Hints:
    """Stand in for the type hints that a pickled model holds; nothing here reads them."""


class Model:
    """Call a model with rows, and with the configuration and parameters that it was logged with.

    Args:
        model: the loaded model.
        context: whether its `predict` takes a context before the rows.
        model_config: the model's configuration.
        given: the keyword arguments of its `predict`: the parameters, where it takes any.
    """

    def __init__(
        self, model: Any, *, context: bool, model_config: dict[str, Any] | None, given: dict[str, Any]
    ) -> None:
        self.model = model
        self.context = Context(None, model_config) if context else None
        self.given = given

    def predict(self, rows: Any) -> Any:
        """Return the answer to every row."""
        call = getattr(self.model, "predict", self.model)
        given = copy.deepcopy(self.given)  # the model may change its arguments
        return call(rows, **given) if self.context is None else call(self.context, rows, **given)


def set_model(model: Any) -> None:
    """Take the model that a file defines."""
    chosen.append(model)
