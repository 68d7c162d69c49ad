"""From the scores of classes to labels, probabilities and their logarithms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Matrix, NoPlan, Numeric, Workshop
from fourfold.plan.format import Function
from fourfold.plan.graph.builder import Code, Number

__all__ = [
    "above_half",
    "above_zero",
    "as_matrix",
    "expit_pair",
    "exponentials",
    "log_columns",
    "log_sum",
    "logarithms",
    "pair",
    "plus",
    "refuse_rest_of_one",
    "shares",
    "sigmoids",
    "single",
    "sklearn_softmax",
    "softmax",
]


def as_matrix(values: Sequence[Number], dtype: np.dtype[Any] = FLOAT64) -> Matrix:
    """Numbers as an array."""
    return Matrix(tuple(Numeric(value, dtype) for value in values))


def single(workshop: Workshop, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """The numbers, rounded where `dtype` is float32."""
    return workshop.graph.map(Function.ROUND32, values) if dtype == FLOAT32 else list(values)


def plus(
    workshop: Workshop,
    values: Sequence[Number],
    dtype: np.dtype[Any],
    constants: Any,
    function: Function = Function.ADD,
) -> tuple[list[Number], np.dtype[Any]]:
    """Numbers of a dtype plus constants, as NumPy adds an array or a scalar to them.

    Args:
        workshop: of the plan.
        values: the numbers.
        dtype: theirs.
        constants: one for all or one for each; a Python number has no dtype of its own.
        function: what is done instead of adding.

    Returns:
        The sums, and their dtype.

    Raises:
        NoPlan: they are neither float32 nor float64.
    """
    made = np.dtype(np.result_type(dtype, constants))
    if made not in (FLOAT32, FLOAT64):
        raise NoPlan(f"a model adds {np.asarray(constants).dtype} to {dtype}")
    numbers = np.asarray(constants, dtype=made).astype(np.float64).reshape(-1)
    return single(workshop, workshop.graph.map_const(function, values, numbers), made), made


def above_zero(workshop: Workshop, value: Number, *, or_zero: bool = False) -> Code:
    """1 where a number is above zero (or zero, where that counts), 0 elsewhere and of NaN."""
    code = workshop.graph.search(value, [0.0], right=or_zero)
    return workshop.graph.recode(code, [0, 1, 0], 2)


def above_half(workshop: Workshop, value: Number) -> Code:
    """1 where a number is above one half, 0 elsewhere and of NaN."""
    return workshop.graph.recode(workshop.graph.search(value, [0.5]), [0, 1, 0], 2)


def exponentials(workshop: Workshop, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """`numpy.exp`."""
    workshop.approximate("NumPy's exp differs from one processor to another")
    return single(workshop, workshop.graph.map(Function.EXP, values), dtype)


def logarithms(workshop: Workshop, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """`numpy.log`."""
    workshop.approximate("NumPy's log differs from one processor to another")
    return single(workshop, workshop.graph.map(Function.LOG, values), dtype)


def log_sum(workshop: Workshop, values: Sequence[Number], dtype: np.dtype[Any]) -> Number:
    """`logsumexp`, where the largest number, or several that are the same, are kept out of the sum."""
    graph = workshop.graph

    def two(function: Function, left: Sequence[Number], right: Sequence[Number]) -> list[Number]:
        return single(workshop, graph.map_two(function, left, right), dtype)

    most = [graph.fold(Function.MOST, values)]
    is_most = graph.map_two(Function.EQ, values, most)
    how_many = [graph.fold(Function.SUM, is_most)]
    others = graph.select(is_most, graph.constant(np.full(len(values), -np.inf)), values)
    is_finite = graph.map_const(Function.EQ, graph.map_two(Function.SUB, most, most), 0.0)
    shift = graph.select(is_finite, most, graph.constant([0.0]))
    powers = exponentials(workshop, two(Function.SUB, others, shift), dtype)
    total = single(workshop, [graph.fold(Function.SUM, powers)], dtype)
    total = graph.select(graph.map_const(Function.EQ, total, 0.0), total, two(Function.DIV, total, how_many))
    one_more = single(workshop, graph.map(Function.LOG1P, total), dtype)
    logs = two(Function.ADD, one_more, logarithms(workshop, how_many, dtype))
    return two(Function.ADD, logs, most)[0]


def sigmoids(workshop: Workshop, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """`scipy.special.expit`: `1 / (1 + exp(-x))`, of float32 with every step rounded."""
    workshop.approximate("a libm computes SciPy's expit")
    graph = workshop.graph
    if dtype != FLOAT32:
        return graph.map(Function.SIGMOID, values)
    powers = graph.map(Function.ROUND32, graph.map(Function.EXP, graph.map(Function.NEGATE, values)))
    below = graph.map(Function.ROUND32, graph.map_const(Function.ADD, powers, 1.0))
    return graph.map(Function.ROUND32, graph.map_const(Function.RDIV, below, 1.0))


def softmax(workshop: Workshop, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """`exp(x - max) / sum(exp(x - max))`."""
    graph = workshop.graph
    moved = single(workshop, graph.map_two(Function.SUB, values, [graph.fold(Function.MOST, values)]), dtype)
    powers = exponentials(workshop, moved, dtype)
    total = single(workshop, [graph.fold(Function.PAIRWISE, powers)], dtype)
    return single(workshop, graph.map_two(Function.DIV, powers, total), dtype)


def pair(workshop: Workshop, probability: Number, dtype: np.dtype[Any]) -> list[Number]:
    """`1 - p` and `p`."""
    return [*single(workshop, workshop.graph.map_const(Function.RSUB, [probability], 1.0), dtype), probability]


def refuse_rest_of_one(classes: int) -> None:
    """One of two classes has what the other's sigmoid leaves of 1, where the sigmoid's last bit may be all.

    Raises:
        NoPlan: there are two classes, and the logarithm of that is asked for.
    """
    if classes == 2:
        raise NoPlan("the last bit of a sigmoid decides about the logarithm of what is left of 1; use predict_proba")


def shares(workshop: Workshop, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """Each number's share of their sum; all the same where that is zero."""
    graph = workshop.graph
    total = single(workshop, [graph.fold(Function.PAIRWISE, values)], dtype)
    nothing = graph.map_const(Function.EQ, total, 0.0)
    divided = single(workshop, graph.map_two(Function.DIV, values, total), dtype)
    equal = single(workshop, graph.constant(np.full(len(values), 1 / len(values))), dtype)
    return graph.select(nothing * len(values), equal, divided)


def expit_pair(value: Number, workshop: Workshop) -> list[Number]:
    """Return the probabilities of two classes: `1 - expit(x)` and `expit(x)`."""
    workshop.approximate("expit of SciPy's")
    of_second = workshop.graph.map(Function.SIGMOID, [value])
    return [*workshop.graph.map_const(Function.RSUB, of_second, 1.0), *of_second]


def sklearn_softmax(values: Sequence[Number], workshop: Workshop, *, contiguous: bool) -> list[Number]:
    """Return what `sklearn.utils.extmath.softmax` makes of a row of float64 scores.

    Args:
        values: one row.
        workshop: of the plan.
        contiguous: whether the array's rows lie in one piece, so that NumPy sums them in its pairwise order.
    """
    workshop.approximate("exp of NumPy's in a softmax")
    graph = workshop.graph
    above = graph.map_two(Function.SUB, values, [graph.fold(Function.MOST, values)])
    powers = graph.map(Function.EXP, above)
    total = graph.fold(Function.PAIRWISE if contiguous else Function.SUM, powers)
    return graph.map_two(Function.DIV, powers, [total])


def log_columns(matrix: Matrix, workshop: Workshop) -> Matrix:
    """Return `numpy.log` of every column."""
    workshop.approximate("log of NumPy's")
    return Matrix(workshop.map(Function.LOG, matrix.columns))
