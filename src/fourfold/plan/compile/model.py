"""From a fitted model to the bytes of a plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answer
from fourfold.plan.compile.arrays import dense
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan
from fourfold.plan.compile.inputs import ports, training_matrix
from fourfold.plan.graph.builder import Graph, Output
from fourfold.plan.graph.numerics import rests_on_rounded_float32
from fourfold.plan.graph.steps import TooManyBags
from fourfold.signature.field import INTEGERS, Field

__all__ = ["Compiled", "compile_model"]


@dataclass(frozen=True)
class Compiled:
    """A model as a plan.

    Attributes:
        plan: its bytes.
        approximations: why the original's last bits depend on something besides its arithmetic; none where the plan's
            answers must be the original's to the bit.
        unbounded: why rows that were tried do not say how far answers to others may be apart; empty where they do.
    """

    plan: bytes
    approximations: tuple[str, ...]
    unbounded: str = ""


def compile_model(
    model: Any,
    form: Mapping[str, Any],
    inputs: Sequence[Field],
    methods: Sequence[tuple[str, int | None]],
    outputs: Sequence[Field],
) -> Compiled:
    """A plan that answers what a fitted model answers.

    Args:
        model: the model; it is only read, and no library is imported for it.
        form: how it saw its inputs: what `fourfold.tables.form` gave.
        inputs: the signature's inputs.
        methods: the methods that answer, each with the number of its targets, or `None`.
        outputs: the signature's outputs: one for each method, or for each of its targets.

    Raises:
        NoPlan: no rule covers the model, or a part of it; the message says which.
    """
    graph = Graph(ports(inputs))
    compiler = Compiler(graph)
    matrix = training_matrix(form, inputs, compiler)
    answers: list[Any] = []
    for name, targets in methods:
        found = answer(model, name, matrix, compiler)
        if targets is not None and isinstance(found, Matrix):
            found = [found.take([place]) for place in range(len(found))]
        answers.extend(found if isinstance(found, list) and targets is not None else [found])
    if len(answers) != len(outputs):
        raise NoPlan(f"the rules give {len(answers)} outputs where the model gives {len(outputs)}")
    made = [_output(field, each, compiler) for field, each in zip(outputs, answers, strict=True)]
    try:
        plan = graph.plan(made)
    except TooManyBags as error:
        raise NoPlan(f"the model reads too many texts: {error}") from error
    return Compiled(plan, tuple(compiler.approximations), _unbounded(made) if compiler.approximations else "")


def _unbounded(outputs: Sequence[Output]) -> str:
    """What leaves no bound: one bit of a float32, which may be another in any row, is many of a float64."""
    for each in outputs:
        if each.dtype == "float64" and rests_on_rounded_float32(each.numbers):
            return f"the output {each.name} is float64, and rests on float32 ones whose last bits a library decides"
    return ""


def _output(field: Field, found: Matrix | Labels | list[Labels], compiler: Compiler) -> Output:
    if isinstance(found, list):
        return _several(field, found, compiler)
    if isinstance(found, Labels):
        classes = list(found.classes)
        if field.shape or field.dtype not in ("string", "bool", "float32", "float64", *INTEGERS):
            raise NoPlan(f"the output {field.name} is {field.expected}, where the rules give a label")
        if found.code.limit > len(classes):
            raise NoPlan(f"the output {field.name} has {len(classes)} classes, where the rules tell more apart")
        labels = [_label(each, field) for each in classes]
        return Output(field.name, field.dtype, code=found.code, labels=labels)
    if field.dtype == "string":
        raise NoPlan(f"the output {field.name} is {field.expected}, where the rules give numbers")
    made = dense(found, compiler)
    if field.dtype not in ("float32", "float64"):
        _check_whole(field, made, compiler)
    numbers = compiler.numbers(made.columns)
    if len(numbers) != math.prod(field.shape):
        raise NoPlan(f"the output {field.name} is {field.expected}, where the rules give {len(numbers)} numbers")
    return Output(field.name, field.dtype, numbers=numbers, tensor=bool(field.shape))


def _several(field: Field, found: list[Labels], compiler: Compiler) -> Output:
    """Labels of several targets in one tensor, as where each is whether a row has it."""
    if field.dtype == "string" or field.shape != (len(found),):
        raise NoPlan(f"the output {field.name} is {field.expected}, where the rules give {len(found)} labels")
    numbers = []
    for each in found:
        values = np.array([_label(one, field) for one in each.classes], dtype=np.float64)
        if [_label(one, field) for one in each.classes] != values.tolist():
            raise NoPlan(f"the output {field.name} has classes that no float64 holds")
        # A code stays below the number of classes, though its register may have a wider limit.
        table = np.zeros(each.code.limit)
        table[: len(values)] = values[: len(table)]
        numbers += compiler.graph.lookup(each.code, table)
    return Output(field.name, field.dtype, numbers=numbers, tensor=True)


def _check_whole(field: Field, made: Matrix, compiler: Compiler) -> None:
    """Check that the rules give what an output of integers or booleans holds.

    Raises:
        NoPlan: they give numbers of another dtype, or such that a float64 may not hold.
    """
    found = made.dtype
    if found != np.dtype(field.dtype):
        raise NoPlan(f"the output {field.name} is {field.expected}, where the rules give numbers of {found}")
    wide = compiler.graph.wide_integers(compiler.numbers(made.columns)) if found.itemsize == 8 else []
    if wide:
        raise NoPlan(
            f"the output {field.name} gives integers as they come, and float64 has not all that {wide[0]} holds"
        )


def _label(value: Any, field: Field) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    if field.dtype == "string":
        return str(plain)
    if isinstance(plain, str) or plain != plain:
        raise NoPlan(f"the output {field.name} is {field.expected}, and one of its classes is {plain!r}")
    return float(plain) if field.dtype in ("float32", "float64") else int(plain)
