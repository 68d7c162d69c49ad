"""Prepare a model: its runtime writes it to files and loads it back as the original engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fourfold import runtimes
from fourfold.errors import PackError
from fourfold.function import Function, without_numeric_warnings
from fourfold.packing.request import check_engine
from fourfold.packing.stages.decisions import describe_decisions
from fourfold.packing.stages.nullability import ask_nullable
from fourfold.runtimes.declared import Declared
from fourfold.runtimes.engine import Engine, Prepared, Runtime
from fourfold.signature import Extra, Signature

__all__ = ["OriginalModel", "prepare", "runtime_of"]


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


def runtime_of(model: Any, name: str | None, engine: str) -> Runtime:
    """Return the runtime of a name, or the one that packs a model; raise as `runtimes.by_model` and `check_engine` do.

    Args:
        model: the model.
        name: the runtime's name, or `None`.
        engine: the engine that the package shall have.
    """
    runtime = runtimes.by_model(model) if name is None else runtimes.by_name(name)
    check_engine(engine, runtime.NAME)
    return runtime


def prepare(
    model: Any,
    name: str,
    rows: Any,
    *,
    declared: Declared,
    extra: Extra,
    runtime: Runtime,
    options: Mapping[str, Any],
) -> OriginalModel:
    """Prepare a model with its runtime; the other arguments and the errors are those of `pack`."""
    prepared = _prepare_with_runtime(model, rows, declared, runtime, options)

    def load(signature: Signature) -> Engine:
        # The model came from the caller's own hands, so its code runs here already.
        return runtimes.load(prepared.runtime, prepared.settings, prepared.files.__getitem__, signature, trust="code")

    with without_numeric_warnings():
        asked = ask_nullable(prepared, declared, rows, load)
        signature = Signature(asked.inputs, prepared.outputs, extra)
        # An engine for a signature in which more fields may be missing answers the same rows.
        engine = asked.engine or load(signature)
    decisions = describe_decisions(prepared, declared, asked)
    described = replace(prepared, inputs=asked.inputs, decisions=decisions)
    return OriginalModel(name, model, described, signature, engine)


def _prepare_with_runtime(
    model: Any,
    rows: Any,
    declared: Declared,
    runtime: Runtime,
    options: Mapping[str, Any],
) -> Prepared:
    """Return the model as its runtime writes it; raise `PackError` where an option is not the runtime's."""
    try:
        return runtime.prepare(model, rows, inputs=declared, **options)
    except TypeError as error:
        unknown = [name for name in options if f"'{name}'" in str(error)]
        if not unknown:
            raise
        raise PackError(f"the {runtime.NAME} runtime takes no {unknown[0]}; see docs/runtimes.md") from error
