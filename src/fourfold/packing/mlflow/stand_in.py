"""What a packed Python model of MLflow finds where it imports MLflow: the base class that it derives from, and no more.

This file is carried in the package as `fourfold_stand_in.py`; the package needs no MLflow.
"""

from __future__ import annotations

import copy
from typing import Any

__all__ = ["Context", "Model", "PythonModel", "set_model"]

#: The model that a file of "models from code" has set.
chosen: list[Any] = []


class PythonModel:
    """The base class of a model: it loads nothing and has nothing to say."""

    def load_context(self, context: Any) -> None:
        """Load what the model needs from its artifacts, once."""


class Context:
    """What a model is given besides the rows.

    Args:
        artifacts: the paths of its files by name; there are none once it is packed.
        model_config: its configuration.
    """

    def __init__(self, artifacts: dict[str, str] | None = None, model_config: dict[str, Any] | None = None) -> None:
        self._artifacts = artifacts
        self.model_config = model_config

    @property
    def artifacts(self) -> dict[str, str]:
        """The paths of the model's files; raises `RuntimeError` in a package, which keeps what was loaded from them."""
        if self._artifacts is None:
            raise RuntimeError("a package has no artifacts: read them in load_context, which runs when it is packed")
        return self._artifacts


class Hints:
    """The type hints that a pickled model remembers, which nothing here reads."""


class Model:
    """A model as a package calls it: with rows, and with its configuration and parameters as it was logged with them.

    Args:
        model: the model, loaded.
        context: whether its `predict` takes a context before the rows.
        model_config: its configuration.
        given: what its `predict` is given by name: the parameters, where it takes any.
    """

    def __init__(
        self, model: Any, *, context: bool, model_config: dict[str, Any] | None, given: dict[str, Any]
    ) -> None:
        self.model = model
        self.context = Context(None, model_config) if context else None
        self.given = given

    def predict(self, rows: Any) -> Any:
        """Answer every row."""
        call = getattr(self.model, "predict", self.model)
        given = copy.deepcopy(self.given)  # for the model to change as it likes
        return call(rows, **given) if self.context is None else call(self.context, rows, **given)


def set_model(model: Any) -> None:
    """Take the model that a file defines."""
    chosen.append(model)
