"""Say what `pack` decided about each input field, and from what."""

from __future__ import annotations

from fourfold.packing.stages.nullability import AskedFields
from fourfold.runtimes.declared import Declared
from fourfold.runtimes.engine import Prepared

__all__ = ["describe_decisions"]


def describe_decisions(prepared: Prepared, declared: Declared, asked: AskedFields) -> dict[str, dict[str, str]]:
    """Return for each input field, by name, where its dtype, its nullability and its categories come from, in words."""
    decisions: dict[str, dict[str, str]] = {}
    for field in asked.inputs:
        is_declared = declared.field(field.name) is not None or field.name in declared.text
        origin = {"dtype": "declared" if is_declared else "the model" if prepared.runtime == "onnx" else "the rows"}
        origin["nullable"] = asked.reasons[field.name]
        whole = declared.field(field.name)
        if whole is not None and whole.categories is not None:
            origin["categories"] = "declared"
        elif field.categories is not None or field.name in prepared.origins:
            origin["categories"] = prepared.origins.get(field.name, "the rows")
        decisions[field.name] = origin
    return decisions
