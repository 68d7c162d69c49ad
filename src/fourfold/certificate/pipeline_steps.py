"""The first step of a pipeline after which the columns of two engines are no longer the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fourfold import tables
from fourfold.errors import CorruptPackage, EngineError, shorten
from fourfold.plan.compile.columns import NoPlan
from fourfold.plan.compile.model import compile_model
from fourfold.runtimes.plan import PlanEngine
from fourfold.signature import Field, Signature
from fourfold.signature.bits import same_bits
from fourfold.signature.columns import rows_to_columns

__all__ = ["Original", "first_step", "first_step_of_plan"]

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Original:
    """A scikit-learn pipeline as a package holds it.

    Attributes:
        name: what it is called.
        model: the fitted estimator.
        settings: those of its runtime.
        signature: the package's.
    """

    name: str
    model: Any
    settings: Mapping[str, Any]
    signature: Signature

    @property
    def steps(self) -> list[tuple[str, Any]]:
        """Its steps, where there are columns between them to look at."""
        named: list[tuple[str, Any]] = getattr(self.model, "steps", None) or []
        return [] if self.settings["form"]["container"] == "texts" else named

    def values(self, count: int, row: Row) -> tuple[list[float], str]:
        """What goes out of the first steps, and its dtype; raises whatever they raise."""
        batch = rows_to_columns(self.signature.inputs, [row])
        made = self.model[:count].transform(tables.build(self.settings["form"], self.signature.inputs, batch))
        dense = made.toarray() if hasattr(made, "toarray") else made
        values = dense.to_numpy() if hasattr(dense, "to_numpy") else dense
        return [float(each) for each in values[0]], str(getattr(made, "dtype", "float64"))


def first_step(one: Original, other: Original, row: Row) -> str:
    """Say after which step the columns of two pipelines are other ones.

    Args:
        one: a pipeline.
        other: another, such as a later version.
        row: the canonical row.
    """
    kinds = [[type(step).__name__ for _, step in each.steps] for each in (one, other)]
    if kinds[0] != kinds[1]:
        return f"their steps are others: {', '.join(kinds[0])} in {one.name}, {', '.join(kinds[1])} in {other.name}"

    def twin(count: int, _width: int, _dtype: str) -> list[float] | str:
        try:
            return other.values(count, row)[0]
        except Exception as error:  # noqa: BLE001 - the pipeline refuses the row: whatever it raises is what to say
            return f"of {other.name} refuses the row: {type(error).__name__}: {shorten(str(error), 200)}"

    return _first(one, other.name, row, twin)


def first_step_of_plan(original: Original, got: Row | None, row: Row) -> str:
    """Say after which step the columns of a plan are no longer those of its original.

    A plan has no steps any more: they are those of plans that are made of the original's first steps.

    Args:
        original: the pipeline.
        got: what the plan answers.
        row: the canonical row.
    """
    asked = [(each["name"], each["targets"]) for each in original.settings["methods"]]
    signature = original.signature
    try:
        answer = _plan(original.model, original.settings, signature, asked)(row)
    except NoPlan as error:
        return f"no plan is made of the original now: {error}" if original.steps else ""
    except (EngineError, CorruptPackage):
        answer = None
    names = [each.name for each in signature.outputs]
    if (answer is None) != (got is None) or not all(same_bits(answer[n], got[n]) for n in names if answer and got):
        return (
            "the steps are not compared: a plan that is made of this original now answers otherwise than the other "
            "package, which is of another model or was made by another version of Fourfold"
        )

    def twin(count: int, width: int, dtype: str) -> list[float] | str:
        features = (Field("features", dtype if dtype == "float32" else "float64", shape=(width,)),)
        outputs = Signature(signature.inputs, features)
        try:
            made = _plan(original.model[:count], original.settings, outputs, [("transform", None)])
            return list(made(row)["features"])
        except NoPlan as error:
            return f"has no rule: {error}"
        except (EngineError, CorruptPackage) as error:
            return f"of the plan refuses the row: {error}"

    return _first(original, "the plan", row, twin)


def _plan(model: Any, settings: Mapping[str, Any], signature: Signature, asked: Any) -> Callable[[Row], Row]:
    made = compile_model(model, settings["form"], signature.inputs, asked, signature.outputs)
    engine = PlanEngine(made.plan, signature)
    return lambda row: engine.predict(rows_to_columns(signature.inputs, [row])).to_pylist()[0]


def _first(one: Original, other: str, row: Row, twin: Callable[[int, int, str], list[float] | str]) -> str:
    """The first step whose columns differ; `twin` has those of the other, or says why it has none."""
    steps = one.steps
    for count in range(1, len(steps)):
        name, kind = steps[count - 1][0], type(steps[count - 1][1]).__name__
        where = f"step {count} of {len(steps)}, {name} ({kind})"
        try:
            expected, dtype = one.values(count, row)
        except Exception as error:  # noqa: BLE001 - the pipeline refuses the row: whatever it raises is what to say
            return f"{where} of {one.name} refuses the row: {type(error).__name__}: {shorten(str(error), 200)}"
        got = twin(count, len(expected), dtype)
        if isinstance(got, str):
            return f"{where} {got}"
        if len(got) != len(expected):
            return f"{where} makes {len(expected)} columns in {one.name} and {len(got)} in {other}"
        for place, (left, right) in enumerate(zip(expected, got, strict=True)):
            if not same_bits(left, right):
                column = _names(one.model[:count], len(expected))[place]
                return (
                    f"{where} is the first whose columns differ: {column}: {one.name} has {left!r}, {other} {right!r}"
                )
    if not steps:
        return ""
    last, kind = steps[-1][0], type(steps[-1][1]).__name__
    return f"every column that goes into the last step, {last} ({kind}), has the same bits: they part inside of it"


def _names(prefix: Any, width: int) -> list[str]:
    try:
        names = [str(name) for name in prefix.get_feature_names_out()]
    except (AttributeError, ValueError):  # a step that does not name what it makes
        names = []
    return names if len(names) == width else [f"column {place}" for place in range(width)]
