"""Compile the scores of classes to labels, probabilities and log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fourfold.plan.compile import Labels
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Compiler, Matrix, NoPlan, Numeric
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Code, Number

__all__ = [
    "above_half",
    "above_zero",
    "add_constants",
    "as_matrix",
    "binary_probabilities",
    "classify",
    "expit_pair",
    "exponentials",
    "log_columns",
    "log_sum_exp",
    "logarithms",
    "round_numbers",
    "shares",
    "sigmoids",
    "sklearn_softmax",
    "softmax",
    "warn_of_binary_logarithms",
]


def as_matrix(values: Sequence[Number], dtype: np.dtype[Any] = FLOAT64) -> Matrix:
    """Return numbers as the columns of an array."""
    return Matrix(tuple(Numeric(value, dtype) for value in values))


def round_numbers(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """Return the numbers, rounded where `dtype` is float32."""
    return compiler.graph.map(MathFunction.ROUND32, values) if dtype == FLOAT32 else list(values)


def add_constants(
    compiler: Compiler,
    values: Sequence[Number],
    dtype: np.dtype[Any],
    constants: Any,
    function: MathFunction = MathFunction.ADD,
) -> tuple[list[Number], np.dtype[Any]]:
    """Return numbers plus constants, in the dtype that NumPy gives the sum.

    Args:
        compiler: the plan's compiler.
        values: the numbers.
        dtype: the dtype of the numbers.
        constants: one for all numbers or one for each; a Python number has no dtype of its own.
        function: applied instead of the addition.

    Returns:
        The sums, and their dtype.

    Raises:
        NoPlan: the sums are neither float32 nor float64.
    """
    sum_dtype = np.dtype(np.result_type(dtype, constants))
    if sum_dtype not in (FLOAT32, FLOAT64):
        raise NoPlan(f"a model adds {np.asarray(constants).dtype} to {dtype}")
    numbers = np.asarray(constants, dtype=sum_dtype).astype(np.float64).reshape(-1)
    return round_numbers(compiler, compiler.graph.map_const(function, values, numbers), sum_dtype), sum_dtype


def above_zero(compiler: Compiler, value: Number, *, or_zero: bool = False) -> Code:
    """Return 1 where a number is above zero (with `or_zero` also where it is zero), and 0 elsewhere and for NaN."""
    code = compiler.graph.search(value, [0.0], right=or_zero)
    return compiler.graph.recode(code, [0, 1, 0], 2)


def above_half(compiler: Compiler, value: Number) -> Code:
    """Return 1 where a number is above one half, and 0 elsewhere and for NaN."""
    return compiler.graph.recode(compiler.graph.search(value, [0.5]), [0, 1, 0], 2)


def exponentials(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """Return `numpy.exp` of the values."""
    compiler.approximate("NumPy's exp differs from one processor to another")
    return round_numbers(compiler, compiler.graph.map(MathFunction.EXP, values), dtype)


def logarithms(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """Return `numpy.log` of the values."""
    compiler.approximate("NumPy's log differs from one processor to another")
    return round_numbers(compiler, compiler.graph.map(MathFunction.LOG, values), dtype)


def log_sum_exp(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> Number:
    """Return `scipy.special.logsumexp`: the largest values are counted, and only the others are summed."""
    graph = compiler.graph

    def two(function: MathFunction, left: Sequence[Number], right: Sequence[Number]) -> list[Number]:
        return round_numbers(compiler, graph.map_two(function, left, right), dtype)

    largest = [graph.fold(MathFunction.MOST, values)]
    is_largest = graph.map_two(MathFunction.EQ, values, largest)
    count = [graph.fold(MathFunction.SUM, is_largest)]
    others = graph.select(is_largest, graph.constant(np.full(len(values), -np.inf)), values)
    is_finite = graph.map_const(MathFunction.EQ, graph.map_two(MathFunction.SUB, largest, largest), 0.0)
    shift = graph.select(is_finite, largest, graph.constant([0.0]))
    powers = exponentials(compiler, two(MathFunction.SUB, others, shift), dtype)
    total = round_numbers(compiler, [graph.fold(MathFunction.SUM, powers)], dtype)
    total = graph.select(graph.map_const(MathFunction.EQ, total, 0.0), total, two(MathFunction.DIV, total, count))
    one_more = round_numbers(compiler, graph.map(MathFunction.LOG1P, total), dtype)
    logs = two(MathFunction.ADD, one_more, logarithms(compiler, count, dtype))
    return two(MathFunction.ADD, logs, largest)[0]


def sigmoids(
    compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any], *, in_steps: bool = False
) -> list[Number]:
    """Return `scipy.special.expit`, `1 / (1 + exp(-x))`; for float32 every step is rounded.

    Args:
        compiler: the plan's compiler.
        values: the numbers.
        dtype: their dtype.
        in_steps: whether every step is rounded for float64 too, as SciPy does, for what depends on the last bit near 1.
            Otherwise the result is rounded once.
    """
    compiler.approximate("a libm computes SciPy's expit")
    graph = compiler.graph
    if dtype != FLOAT32 and not in_steps:
        return graph.map(MathFunction.SIGMOID, values)
    powers = round_numbers(compiler, graph.map(MathFunction.EXP, graph.map(MathFunction.NEGATE, values)), dtype)
    below = round_numbers(compiler, graph.map_const(MathFunction.ADD, powers, 1.0), dtype)
    return round_numbers(compiler, graph.map_const(MathFunction.RDIV, below, 1.0), dtype)


def softmax(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """Return `exp(x - max) / sum(exp(x - max))`."""
    graph = compiler.graph
    moved = round_numbers(
        compiler, graph.map_two(MathFunction.SUB, values, [graph.fold(MathFunction.MOST, values)]), dtype
    )
    powers = exponentials(compiler, moved, dtype)
    total = round_numbers(compiler, [graph.fold(MathFunction.PAIRWISE, powers)], dtype)
    return round_numbers(compiler, graph.map_two(MathFunction.DIV, powers, total), dtype)


def binary_probabilities(compiler: Compiler, probability: Number, dtype: np.dtype[Any]) -> list[Number]:
    """Return the probabilities `1 - p` and `p` of two classes."""
    return [
        *round_numbers(compiler, compiler.graph.map_const(MathFunction.RSUB, [probability], 1.0), dtype),
        probability,
    ]


def classify(answered: Matrix, labels: Sequence[Any], compiler: Compiler) -> list[Labels | Matrix]:
    """Return the label and the probabilities of all classes.

    Args:
        answered: the probability of the second of two classes, or of each class.
        labels: the labels of the classes.
        compiler: the plan's compiler.
    """
    probabilities = compiler.numbers(answered.columns)
    if len(probabilities) == 1:
        probabilities = binary_probabilities(compiler, probabilities[0], answered.dtype)
    return [Labels(compiler.graph.argmax(probabilities), labels), as_matrix(probabilities, answered.dtype)]


def warn_of_binary_logarithms(classes: int, compiler: Compiler) -> None:
    """Note that log(1 - sigmoid) of a binary classifier depends on the sigmoid's last bit.

    Where much depends on it, near 1, the bits hardly ever differ if the sigmoid is computed in SciPy's steps: the
    exponential that is added to 1 is small. The proof refuses a plan that is too far in the packing rows.
    """
    if classes == 2:
        compiler.approximate("the last bit of a sigmoid decides about the logarithm of what is left of 1")


def shares(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> list[Number]:
    """Return each number's share of their sum, and equal shares where the sum is zero."""
    graph = compiler.graph
    total = round_numbers(compiler, [graph.fold(MathFunction.PAIRWISE, values)], dtype)
    is_zero = graph.map_const(MathFunction.EQ, total, 0.0)
    divided = round_numbers(compiler, graph.map_two(MathFunction.DIV, values, total), dtype)
    equal = round_numbers(compiler, graph.constant(np.full(len(values), 1 / len(values))), dtype)
    return graph.select(is_zero * len(values), equal, divided)


def expit_pair(value: Number, compiler: Compiler) -> list[Number]:
    """Return the probabilities of two classes: `1 - expit(x)` and `expit(x)`."""
    compiler.approximate("expit of SciPy's")
    of_second = compiler.graph.map(MathFunction.SIGMOID, [value])
    return [*compiler.graph.map_const(MathFunction.RSUB, of_second, 1.0), *of_second]


def sklearn_softmax(values: Sequence[Number], compiler: Compiler, *, contiguous: bool) -> list[Number]:
    """Return `sklearn.utils.extmath.softmax` of a row of float64 scores.

    Args:
        values: the scores of a row.
        compiler: the plan's compiler.
        contiguous: whether the array's rows are contiguous, so that NumPy adds them in its pairwise order.
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
