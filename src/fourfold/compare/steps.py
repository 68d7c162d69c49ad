"""The first step of a pipeline at which a plan's columns are no longer the original's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fourfold import tables
from fourfold.errors import CorruptPackage, EngineError, cut
from fourfold.plan.columns import NoPlan
from fourfold.plan.compile.model import compile_model
from fourfold.runtimes.plan import PlanEngine
from fourfold.signature import Field, Signature
from fourfold.signature.bits import same_bits
from fourfold.signature.columns import rows_to_columns

__all__ = ["first_step"]


def first_step(model: Any, form: Mapping[str, Any], signature: Signature, row: Mapping[str, Any]) -> str:
    """Say at which step of a scikit-learn pipeline the columns of its plan are other ones.

    Args:
        model: the fitted pipeline.
        form: how it saw its inputs.
        signature: the package's.
        row: the canonical row.
    """
    steps = getattr(model, "steps", None)
    if not steps or form["container"] == "texts":
        return ""
    batch = rows_to_columns(signature.inputs, [row])
    container = tables.build(form, signature.inputs, batch)
    for count in range(1, len(steps)):
        name, kind = steps[count - 1][0], type(steps[count - 1][1]).__name__
        where = f"step {count} of {len(steps)}, {name} ({kind})"
        prefix = model[:count]
        try:
            expected = prefix.transform(container)
        except Exception as error:  # noqa: BLE001 - the original refuses the row: whatever it raises is what to say
            return f"{where} of the original refuses the row: {type(error).__name__}: {cut(str(error), 200)}"
        values = _flat(expected)
        try:
            got = _by_plan(
                prefix, form, signature.inputs, batch, len(values), str(getattr(expected, "dtype", "float64"))
            )
        except NoPlan as error:
            return f"{where} has no rule: {error}"
        except (EngineError, CorruptPackage) as error:
            return f"{where} of the plan refuses the row: {error}"
        for place, (one, other) in enumerate(zip(values, got, strict=True)):
            if not same_bits(one, other):
                column = _names(prefix, len(values))[place]
                return (
                    f"{where} is the first whose columns differ: {column}: the original has {one!r}, the plan {other!r}"
                )
    last, kind = steps[-1][0], type(steps[-1][1]).__name__
    return f"every column that goes into the last step, {last} ({kind}), has the same bits: they part inside of it"


def _flat(expected: Any) -> list[float]:
    dense = expected.toarray() if hasattr(expected, "toarray") else expected
    values = dense.to_numpy() if hasattr(dense, "to_numpy") else dense
    return [float(each) for each in values[0]]


def _by_plan(
    prefix: Any, form: Mapping[str, Any], inputs: Sequence[Field], batch: Any, width: int, dtype: str
) -> list[float]:
    kind = dtype if dtype == "float32" else "float64"
    outputs = (Field("features", kind, shape=(width,)),)
    made = compile_model(prefix, form, inputs, [("transform", None)], outputs)
    engine = PlanEngine(made.plan, Signature(tuple(inputs), outputs))
    values: list[float] = engine.predict(batch).column(0).to_pylist()[0]
    return values


def _names(prefix: Any, width: int) -> list[str]:
    try:
        names = [str(name) for name in prefix.get_feature_names_out()]
    except (AttributeError, ValueError):  # a step that does not name what it makes
        names = []
    return names if len(names) == width else [f"column {place}" for place in range(width)]
