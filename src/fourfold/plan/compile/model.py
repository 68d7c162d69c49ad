"""Compile a fitted model to the bytes of a plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answer
from fourfold.plan.compile.arrays import to_dense
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan
from fourfold.plan.compile.inputs import ports, training_matrix
from fourfold.plan.compile.scores import classify
from fourfold.plan.graph.builder import Graph, Output
from fourfold.plan.graph.numerics import ELEMENTARY_FUNCTIONS, rests_on_rounded_float32
from fourfold.plan.graph.steps import TooManyBags
from fourfold.signature.field import INTEGERS, Field

__all__ = ["Compiled", "compile_model"]


@dataclass(frozen=True)
class Compiled:
    """Hold a model's plan.

    Attributes:
        plan: the bytes of the plan.
        approximations: the reasons why the original's last bits depend on more than its arithmetic; without any, the
            plan must answer with the original's bits.
        unbounded: why the rows that were compared give no bound for the differences in other rows; empty where they do.
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
    labels: Sequence[Any] | None = None,
) -> Compiled:
    """Return a plan that answers what a fitted model answers.

    Args:
        model: the model; it is only read, and no library is imported for it.
        form: the form of the container that it was trained with, as `fourfold.tables.form` gives it.
        inputs: the signature's inputs.
        methods: the methods that answer, each with the number of its targets, or `None`.
        outputs: the signature's outputs: one for each method, or for each of its targets.
        labels: the labels of the classes, for a model whose `predict` answers with probabilities alone; instead of the
            methods' answers the outputs are then the label and the probability of each class.

    Raises:
        NoPlan: no rule covers the model, or a part of it; the message says which.
    """
    graph = Graph(ports(inputs))
    compiler = Compiler(graph)
    matrix = training_matrix(form, inputs, compiler)
    answers: list[Any] = []
    if labels is not None:
        answers = classify(answer(model, "predict", matrix, compiler), labels, compiler)
        methods = ()
    for name, targets in methods:
        answered = answer(model, name, matrix, compiler)
        if targets is not None and isinstance(answered, Matrix):
            answered = [answered.take([target]) for target in range(len(answered))]
        answers.extend(answered if isinstance(answered, list) and targets is not None else [answered])
    if len(answers) != len(outputs):
        raise NoPlan(f"the rules give {len(answers)} outputs where the model gives {len(outputs)}")
    plan_outputs = [_output(field, answered, compiler) for field, answered in zip(outputs, answers, strict=True)]
    try:
        plan = graph.plan(plan_outputs)
    except TooManyBags as error:
        raise NoPlan(f"the model reads too many texts: {error}") from error
    elementary = graph.functions(plan_outputs) & ELEMENTARY_FUNCTIONS
    if elementary and not compiler.approximations:
        # No rule says why, so this one does: no library promises the last bits of such a function.
        names = ", ".join(sorted(function.name.lower() for function in elementary))
        compiler.approximate(f"a library computes {names}")
    return Compiled(plan, tuple(compiler.approximations), _unbounded(plan_outputs) if compiler.approximations else "")


def _unbounded(outputs: Sequence[Output]) -> str:
    """Return why differences have no bound, or an empty text.

    One bit of a float32, which may differ in any row, is many units in the last place of a float64.
    """
    for output in outputs:
        if output.dtype == "float64" and rests_on_rounded_float32(output.numbers):
            return f"the output {output.name} is float64, and rests on float32 ones whose last bits a library decides"
    return ""


def _output(field: Field, answered: Matrix | Labels | list[Labels], compiler: Compiler) -> Output:
    if isinstance(answered, list):
        return _label_tensor(field, answered, compiler)
    if isinstance(answered, Labels):
        classes = list(answered.classes)
        if field.shape or field.dtype not in ("string", "bool", "float32", "float64", *INTEGERS):
            raise NoPlan(f"the output {field.name} is {field.expected}, where the rules give a label")
        if answered.code.limit > len(classes):
            raise NoPlan(f"the output {field.name} has {len(classes)} classes, where the rules tell more apart")
        labels = [_label(value, field) for value in classes]
        return Output(field.name, field.dtype, code=answered.code, labels=labels)
    if field.dtype == "string":
        raise NoPlan(f"the output {field.name} is {field.expected}, where the rules give numbers")
    array = to_dense(answered, compiler)
    if field.dtype not in ("float32", "float64"):
        _check_integers(field, array, compiler)
    numbers = compiler.numbers(array.columns)
    if len(numbers) != math.prod(field.shape):
        raise NoPlan(f"the output {field.name} is {field.expected}, where the rules give {len(numbers)} numbers")
    return Output(field.name, field.dtype, numbers=numbers, tensor=bool(field.shape))


def _label_tensor(field: Field, targets: list[Labels], compiler: Compiler) -> Output:
    """Return the labels of several targets as one tensor, as a multilabel classifier answers."""
    if field.dtype == "string" or field.shape != (len(targets),):
        raise NoPlan(f"the output {field.name} is {field.expected}, where the rules give {len(targets)} labels")
    numbers = []
    for target in targets:
        labels = [_label(value, field) for value in target.classes]
        values = np.array(labels, dtype=np.float64)
        if labels != values.tolist():
            raise NoPlan(f"the output {field.name} has classes that no float64 holds")
        # A code is below the number of classes, though its register may have a wider limit.
        table = np.zeros(target.code.limit)
        table[: len(values)] = values[: len(table)]
        numbers += compiler.graph.lookup(target.code, table)
    return Output(field.name, field.dtype, numbers=numbers, tensor=True)


def _check_integers(field: Field, array: Matrix, compiler: Compiler) -> None:
    """Check that the rules give numbers that an output of integers or booleans can hold.

    Raises:
        NoPlan: they give numbers of another dtype, or integers that a float64 may not hold exactly.
    """
    dtype = array.dtype
    if dtype != np.dtype(field.dtype):
        raise NoPlan(f"the output {field.name} is {field.expected}, where the rules give numbers of {dtype}")
    wide = compiler.graph.wide_integers(compiler.numbers(array.columns)) if dtype.itemsize == 8 else []
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
