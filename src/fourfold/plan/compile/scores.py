"""From the scores of classes to labels, probabilities and their logarithms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Compiler, Matrix, NoPlan, Numeric
from fourfold.plan.format import MathFunction
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


def single(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """The numbers, rounded where `dtype` is float32."""
    return compiler.graph.map(MathFunction.ROUND32, values) if dtype == FLOAT32 else list(values)


def plus(
    compiler: Compiler,
    values: Sequence[Number],
    dtype: np.dtype[Any],
    constants: Any,
    function: MathFunction = MathFunction.ADD,
) -> tuple[list[Number], np.dtype[Any]]:
    """Numbers of a dtype plus constants, as NumPy adds an array or a scalar to them.

    Args:
        compiler: of the plan.
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
    return single(compiler, compiler.graph.map_const(function, values, numbers), made), made


def above_zero(compiler: Compiler, value: Number, *, or_zero: bool = False) -> Code:
    """1 where a number is above zero (or zero, where that counts), 0 elsewhere and of NaN."""
    code = compiler.graph.search(value, [0.0], right=or_zero)
    return compiler.graph.recode(code, [0, 1, 0], 2)


def above_half(compiler: Compiler, value: Number) -> Code:
    """1 where a number is above one half, 0 elsewhere and of NaN."""
    return compiler.graph.recode(compiler.graph.search(value, [0.5]), [0, 1, 0], 2)


def exponentials(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """`numpy.exp`."""
    compiler.approximate("NumPy's exp differs from one processor to another")
    return single(compiler, compiler.graph.map(MathFunction.EXP, values), dtype)


def logarithms(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """`numpy.log`."""
    compiler.approximate("NumPy's log differs from one processor to another")
    return single(compiler, compiler.graph.map(MathFunction.LOG, values), dtype)


def log_sum(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> Number:
    """`logsumexp`, where the largest number, or several that are the same, are kept out of the sum."""
    graph = compiler.graph

    def two(function: MathFunction, left: Sequence[Number], right: Sequence[Number]) -> list[Number]:
        return single(compiler, graph.map_two(function, left, right), dtype)

    most = [graph.fold(MathFunction.MOST, values)]
    is_most = graph.map_two(MathFunction.EQ, values, most)
    how_many = [graph.fold(MathFunction.SUM, is_most)]
    others = graph.select(is_most, graph.constant(np.full(len(values), -np.inf)), values)
    is_finite = graph.map_const(MathFunction.EQ, graph.map_two(MathFunction.SUB, most, most), 0.0)
    shift = graph.select(is_finite, most, graph.constant([0.0]))
    powers = exponentials(compiler, two(MathFunction.SUB, others, shift), dtype)
    total = single(compiler, [graph.fold(MathFunction.SUM, powers)], dtype)
    total = graph.select(graph.map_const(MathFunction.EQ, total, 0.0), total, two(MathFunction.DIV, total, how_many))
    one_more = single(compiler, graph.map(MathFunction.LOG1P, total), dtype)
    logs = two(MathFunction.ADD, one_more, logarithms(compiler, how_many, dtype))
    return two(MathFunction.ADD, logs, most)[0]


def sigmoids(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """`scipy.special.expit`: `1 / (1 + exp(-x))`, of float32 with every step rounded."""
    compiler.approximate("a libm computes SciPy's expit")
    graph = compiler.graph
    if dtype != FLOAT32:
        return graph.map(MathFunction.SIGMOID, values)
    powers = graph.map(MathFunction.ROUND32, graph.map(MathFunction.EXP, graph.map(MathFunction.NEGATE, values)))
    below = graph.map(MathFunction.ROUND32, graph.map_const(MathFunction.ADD, powers, 1.0))
    return graph.map(MathFunction.ROUND32, graph.map_const(MathFunction.RDIV, below, 1.0))


def softmax(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """`exp(x - max) / sum(exp(x - max))`."""
    graph = compiler.graph
    moved = single(compiler, graph.map_two(MathFunction.SUB, values, [graph.fold(MathFunction.MOST, values)]), dtype)
    powers = exponentials(compiler, moved, dtype)
    total = single(compiler, [graph.fold(MathFunction.PAIRWISE, powers)], dtype)
    return single(compiler, graph.map_two(MathFunction.DIV, powers, total), dtype)


def pair(compiler: Compiler, probability: Number, dtype: np.dtype[Any]) -> list[Number]:
    """`1 - p` and `p`."""
    return [*single(compiler, compiler.graph.map_const(MathFunction.RSUB, [probability], 1.0), dtype), probability]


def refuse_rest_of_one(classes: int) -> None:
    """One of two classes has what the other's sigmoid leaves of 1, where the sigmoid's last bit may be all.

    Raises:
        NoPlan: there are two classes, and the logarithm of that is asked for.
    """
    if classes == 2:
        raise NoPlan("the last bit of a sigmoid decides about the logarithm of what is left of 1; use predict_proba")


def shares(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """Each number's share of their sum; all the same where that is zero."""
    graph = compiler.graph
    total = single(compiler, [graph.fold(MathFunction.PAIRWISE, values)], dtype)
    nothing = graph.map_const(MathFunction.EQ, total, 0.0)
    divided = single(compiler, graph.map_two(MathFunction.DIV, values, total), dtype)
    equal = single(compiler, graph.constant(np.full(len(values), 1 / len(values))), dtype)
    return graph.select(nothing * len(values), equal, divided)


def expit_pair(value: Number, compiler: Compiler) -> list[Number]:
    """Return the probabilities of two classes: `1 - expit(x)` and `expit(x)`."""
    compiler.approximate("expit of SciPy's")
    of_second = compiler.graph.map(MathFunction.SIGMOID, [value])
    return [*compiler.graph.map_const(MathFunction.RSUB, of_second, 1.0), *of_second]


def sklearn_softmax(values: Sequence[Number], compiler: Compiler, *, contiguous: bool) -> list[Number]:
    """Return what `sklearn.utils.extmath.softmax` makes of a row of float64 scores.

    Args:
        values: one row.
        compiler: of the plan.
        contiguous: whether the array's rows lie in one piece, so that NumPy sums them in its pairwise order.
    """
    compiler.approximate("exp of NumPy's in a softmax")
    graph = compiler.graph
    above = graph.map_two(MathFunction.SUB, values, [graph.fold(MathFunction.MOST, values)])
    powers = graph.map(MathFunction.EXP, above)
    total = graph.fold(MathFunction.PAIRWISE if contiguous else MathFunction.SUM, powers)
    return graph.map_two(MathFunction.DIV, powers, [total])


def log_columns(matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `numpy.log` of every column."""
    compiler.approximate("log of NumPy's")
    return Matrix(compiler.map(MathFunction.LOG, matrix.columns))
