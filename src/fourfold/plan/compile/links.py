"""What a sum becomes at the end: probabilities, their logarithms, classes."""

from __future__ import annotations

from collections.abc import Sequence

from fourfold.plan.columns import FLOAT64, Matrix, Numeric, Workshop
from fourfold.plan.format import Function
from fourfold.plan.graph.builder import Code, Number

__all__ = ["expit_pair", "logarithms", "made", "side_of_zero", "softmax"]


def made(numbers: Sequence[Number]) -> Matrix:
    """Numbers as the columns of a float64 array."""
    return Matrix(tuple(Numeric(each, FLOAT64) for each in numbers))


def expit_pair(value: Number, workshop: Workshop) -> list[Number]:
    """The probabilities of two classes: `1 - expit(x)` and `expit(x)`."""
    workshop.approximate("expit of SciPy's")
    of_second = workshop.graph.map(Function.SIGMOID, [value])
    return [*workshop.graph.map_const(Function.RSUB, of_second, 1.0), *of_second]


def softmax(values: Sequence[Number], workshop: Workshop, *, contiguous: bool) -> list[Number]:
    """As `sklearn.utils.extmath.softmax`.

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


def logarithms(matrix: Matrix, workshop: Workshop) -> Matrix:
    """`numpy.log` of every column."""
    workshop.approximate("log of NumPy's")
    return Matrix(workshop.map(Function.LOG, matrix.columns))


def side_of_zero(value: Number, workshop: Workshop, *, zero: bool) -> Code:
    """1 where a number is above zero, or is zero where `zero` says so; 0 otherwise, and for NaN."""
    return workshop.graph.recode(workshop.graph.search(value, [0.0], right=zero), [0, 1, 0], 2)
