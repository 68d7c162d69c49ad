"""Find the first pipeline step after which the columns of two engines differ."""

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

__all__ = ["PackagedPipeline", "first_differing_step", "first_differing_step_of_plan"]

Row = Mapping[str, Any]


@dataclass(frozen=True)
class PackagedPipeline:
    """Hold a scikit-learn pipeline of a package.

    Attributes:
        name: its name in sentences.
        model: the fitted estimator.
        settings: the settings of its runtime in the manifest.
        signature: the package's signature.
    """

    name: str
    model: Any
    settings: Mapping[str, Any]
    signature: Signature

    @property
    def steps(self) -> list[tuple[str, Any]]:
        """Return its named steps; `[]` where there are no columns between them to compare."""
        steps: list[tuple[str, Any]] = getattr(self.model, "steps", None) or []
        return [] if self.settings["form"]["container"] == "texts" else steps

    def values(self, count: int, row: Row) -> tuple[list[float], str]:
        """Return the output of the first `count` steps for a row, and its dtype; raises what the steps raise."""
        batch = rows_to_columns(self.signature.inputs, [row])
        output = self.model[:count].transform(tables.build(self.settings["form"], self.signature.inputs, batch))
        dense = output.toarray() if hasattr(output, "toarray") else output
        matrix = dense.to_numpy() if hasattr(dense, "to_numpy") else dense
        return [float(value) for value in matrix[0]], str(getattr(output, "dtype", "float64"))


def first_differing_step(one: PackagedPipeline, other: PackagedPipeline, row: Row) -> str:
    """Say after which step the columns of two pipelines differ.

    Args:
        one: a pipeline.
        other: another pipeline, such as a later version.
        row: the canonical row.
    """
    class_names, other_class_names = ([type(step).__name__ for _, step in pipeline.steps] for pipeline in (one, other))
    if class_names != other_class_names:
        steps, other_steps = ", ".join(class_names), ", ".join(other_class_names)
        return f"their steps are others: {steps} in {one.name}, {other_steps} in {other.name}"

    def other_columns(count: int, _width: int, _dtype: str) -> list[float] | str:
        try:
            return other.values(count, row)[0]
        except Exception as error:  # noqa: BLE001 - the pipeline refuses the row: whatever it raises is what to say
            return f"of {other.name} refuses the row: {type(error).__name__}: {shorten(str(error), 200)}"

    return _describe_first_difference(one, other.name, row, other_columns)


def first_differing_step_of_plan(original: PackagedPipeline, got: Row | None, row: Row) -> str:
    """Say after which step the columns of a plan differ from those of its original.

    A plan has no steps, so the first steps of the original are compiled to plans of their own.

    Args:
        original: the pipeline.
        got: the plan's answer to the row; `None` where it refuses it.
        row: the canonical row.
    """
    methods = [(method["name"], method["targets"]) for method in original.settings["methods"]]
    signature = original.signature
    try:
        answer = _compile(original.model, original.settings, signature, methods)(row)
    except NoPlan as error:
        return f"no plan is made of the original now: {error}" if original.steps else ""
    except (EngineError, CorruptPackage):
        answer = None
    names = [field.name for field in signature.outputs]
    if (answer is None) != (got is None) or (
        answer and got and not all(same_bits(answer[name], got[name]) for name in names)
    ):
        return (
            "the steps are not compared: a plan that is made of this original now answers otherwise than the other "
            "package, which is of another model or was made by another version of Fourfold"
        )

    def other_columns(count: int, width: int, dtype: str) -> list[float] | str:
        features = (Field("features", dtype if dtype == "float32" else "float64", shape=(width,)),)
        step_signature = Signature(signature.inputs, features)
        try:
            predict = _compile(original.model[:count], original.settings, step_signature, [("transform", None)])
            return list(predict(row)["features"])
        except NoPlan as error:
            return f"cannot be computed by a plan: {error}"
        except (EngineError, CorruptPackage) as error:
            return f"of the plan refuses the row: {error}"

    return _describe_first_difference(original, "the plan", row, other_columns)


def _compile(model: Any, settings: Mapping[str, Any], signature: Signature, methods: Any) -> Callable[[Row], Row]:
    """Compile a model to a plan, and return its function of a row."""
    compiled = compile_model(model, settings["form"], signature.inputs, methods, signature.outputs)
    engine = PlanEngine(compiled.plan, signature)
    return lambda row: engine.predict(rows_to_columns(signature.inputs, [row])).to_pylist()[0]


def _describe_first_difference(
    one: PackagedPipeline, other: str, row: Row, other_columns: Callable[[int, int, str], list[float] | str]
) -> str:
    """Describe the first step whose columns differ.

    `other_columns(count, width, dtype)` returns the other engine's columns after `count` steps, or why it has none.
    """
    steps = one.steps
    for count in range(1, len(steps)):
        name, kind = steps[count - 1][0], type(steps[count - 1][1]).__name__
        where = f"step {count} of {len(steps)}, {name} ({kind})"
        try:
            expected, dtype = one.values(count, row)
        except Exception as error:  # noqa: BLE001 - the pipeline refuses the row: whatever it raises is what to say
            return f"{where} of {one.name} refuses the row: {type(error).__name__}: {shorten(str(error), 200)}"
        got = other_columns(count, len(expected), dtype)
        if isinstance(got, str):
            return f"{where} {got}"
        if len(got) != len(expected):
            return f"{where} makes {len(expected)} columns in {one.name} and {len(got)} in {other}"
        for index, (left, right) in enumerate(zip(expected, got, strict=True)):
            if not same_bits(left, right):
                column = _column_names(one.model[:count], len(expected))[index]
                return (
                    f"{where} is the first whose columns differ: {column}: {one.name} has {left!r}, {other} {right!r}"
                )
    if not steps:
        return ""
    last, kind = steps[-1][0], type(steps[-1][1]).__name__
    return f"every column that goes into the last step, {last} ({kind}), has the same bits: they differ inside of it"


def _column_names(steps: Any, width: int) -> list[str]:
    try:
        names = [str(name) for name in steps.get_feature_names_out()]
    except (AttributeError, ValueError):  # a step without names for its columns
        names = []
    return names if len(names) == width else [f"column {index}" for index in range(width)]
