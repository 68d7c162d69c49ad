"""Prepare a model: its runtime writes it to files and loads it back as the original engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fourfold import runtimes
from fourfold.errors import PackError, shorten
from fourfold.function import Function, without_numeric_warnings
from fourfold.package import check_name
from fourfold.runtimes.engine import Engine, Prepared
from fourfold.signature import Field, Signature, fields

__all__ = ["OriginalModel", "prepare"]


@dataclass(frozen=True)
class OriginalModel:
    """Hold the model that is packed, in its original engine.

    Attributes:
        name: the model's name.
        model: the model, as its owner trained it.
        prepared: the same, as files and settings of its own runtime.
        signature: the package's signature.
        engine: the engine that its runtime loads from these files.
    """

    name: str
    model: Any
    prepared: Prepared
    signature: Signature
    engine: Engine

    def function(self, block: int | None = None) -> Function:
        """Return the engine as a function, called in blocks of so many rows, or of any number."""
        return Function(self.signature, self.engine, block)


def prepare(
    model: Any,
    name: str,
    rows: Any,
    *,
    inputs: Sequence[Field | Mapping[str, Any]] | None,
    extra: Literal["forbid", "ignore"],
    runtime: str | None,
    options: Mapping[str, Any],
) -> OriginalModel:
    """Prepare a model with its runtime; the arguments and errors are those of `pack`."""
    try:
        check_name(name)
    except ValueError as error:
        raise PackError(str(error)) from None
    prepared = _prepare_with_runtime(model, rows, inputs, runtime, options)
    signature = Signature(prepared.inputs, prepared.outputs, extra)
    with without_numeric_warnings():
        # The model came from the caller's own hands, so its code runs here already.
        engine = runtimes.load(prepared.runtime, prepared.settings, prepared.files.__getitem__, signature, trust="code")
    return OriginalModel(name, model, prepared, signature, engine)


def _prepare_with_runtime(
    model: Any,
    rows: Any,
    inputs: Sequence[Field | Mapping[str, Any]] | None,
    runtime: str | None,
    options: Mapping[str, Any],
) -> Prepared:
    """Return the model as its runtime writes it; raise `PackError` where an option is not the runtime's."""
    if runtime is not None and runtime not in runtimes.MODEL_RUNTIMES:
        raise PackError(f"expected a runtime of {', '.join(runtimes.MODEL_RUNTIMES)}; got {shorten(runtime)}")
    module = runtimes.by_model(model) if runtime is None else runtimes.by_name(runtime)
    try:
        return module.prepare(model, rows, inputs=None if inputs is None else fields(inputs), **options)
    except TypeError as error:
        unknown = [name for name in options if f"'{name}'" in str(error)]
        if not unknown:
            raise
        raise PackError(f"the {module.NAME} runtime takes no {unknown[0]}; see docs/runtimes.md") from error
