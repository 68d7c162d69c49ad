"""Compile weighted sums of columns, with which linear models, projections and the layers of networks begin.

Columns that depend on one code are not multiplied one by one: their share of the sums is a table with a row for each
code, so that a hundred thousand one-hot columns cost one lookup.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Bagged, Coded, Column, Compiler, Matrix, NoPlan, runs
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Bag, Code, Number

__all__ = ["apply_constants", "matrix_product", "ordered_sums", "pairwise_sum", "round_to_dtype", "weighted_sums"]

Floats = npt.NDArray[np.float64]

#: The most numbers in a code's table, unless one-hot columns need it; other columns are multiplied one by one.
_MAX_TABLE_NUMBERS = 1 << 22
#: Processors for which compilers do not fuse a product and a sum by default, so that SciPy's sums have defined bits.
_UNFUSED_PROCESSORS = ("x86_64", "amd64", "i686", "i386")


def weighted_sums(compiler: Compiler, columns: Sequence[Column], weights: Any) -> list[Number]:
    """Return `columns @ weights`, added in an order of the plan's own, which no BLAS has.

    Sums begin at zero and add first the columns of numbers, in their order, then those of bags, and then, for each code
    in the order of its first column, the share of all columns of the code.

    Args:
        compiler: the plan's compiler.
        columns: columns of numbers.
        weights: shape `(columns, sums)`.

    Returns:
        The sums.

    Raises:
        NoPlan: a column holds no numbers.
    """
    matrix = _weights(columns, weights)
    indexes, groups = _group_by_code(columns, matrix.shape[1])
    total: list[Number] | None = None
    if indexes:
        values = compiler.numbers([columns[index] for index in indexes])
        total = compiler.graph.dot(values, matrix[indexes])
    for start, stop in runs(columns):
        total = compiler.graph.bag_dot(compiler.bag(columns[start:stop]), matrix[start:stop], total or ())
    tables = []
    for code, members in groups.items():
        coded = [column for column in (columns[index] for index in members) if isinstance(column, Coded)]
        tables.append(compiler.graph.lookup(code, _table(code, coded, matrix[members])))
    return _add_tables(compiler, total, tables, matrix.shape[1])


def ordered_sums(
    compiler: Compiler, columns: Sequence[Column], weights: Any, dtype: np.dtype[Any] = FLOAT64
) -> list[Number]:
    """Return `columns @ weights`, added from zero in the order of the columns, as SciPy multiplies a sparse matrix.

    Adjacent columns of one code become one table where at most one of them is not zero in any row: adding zero does not
    change a sum's bits.

    Args:
        compiler: the plan's compiler.
        columns: columns of numbers.
        weights: shape `(columns, sums)`, all finite.
        dtype: float32 where products and sums are rounded to it.
    """
    matrix = _weights(columns, weights)
    width = matrix.shape[1]
    total: list[Number] | None = None
    tables: list[list[Number]] = []
    for code, indexes in _runs(columns):
        if code is None:
            if tables:
                total, tables = _add_tables(compiler, total, tables, width, dtype), []
            values = compiler.numbers([columns[index] for index in indexes])
            total = _add_weighted(compiler, total, values, matrix[indexes], dtype)
            continue
        if isinstance(code, Bag):
            total, tables = _add_tables(compiler, total, tables, width, dtype), []
            bag = compiler.bag([columns[index] for index in indexes])
            total = compiler.graph.bag_dot(bag, matrix[indexes], total, float32=dtype == FLOAT32)
            continue
        coded = [column for column in (columns[index] for index in indexes) if isinstance(column, Coded)]
        tables.append(compiler.graph.lookup(code, round_to_dtype(_table(code, coded, matrix[indexes]), dtype)))
    return _add_tables(compiler, total, tables, width, dtype)


def matrix_product(
    compiler: Compiler, matrix: Matrix, weights: Any, who: object, *, sparse: bool = False
) -> tuple[list[Number], np.dtype[Any]]:
    """Return `matrix @ weights` as NumPy computes it, or SciPy where one of the two is sparse.

    Args:
        compiler: the plan's compiler.
        matrix: columns of numbers.
        weights: shape `(columns, sums)`, of the dtype that the original has them in.
        who: the estimator, named in the reason why last bits may differ.
        sparse: whether the weights are a sparse matrix.

    Returns:
        The sums, and the dtype that NumPy gives them.

    Raises:
        NoPlan: NumPy computes in another dtype than float32 and float64.
    """
    array = np.asarray(weights)
    dtype = np.dtype(np.result_type(matrix.dtype, array.dtype))
    if dtype not in (FLOAT32, FLOAT64):
        raise NoPlan(f"the {_name(who)} computes in {dtype}")
    if matrix.sparse or sparse:
        if platform.machine().lower() not in _UNFUSED_PROCESSORS and len(matrix) > 1:
            compiler.approximate(f"a compiler may join products and sums of the {_name(who)}")
        return ordered_sums(compiler, matrix.columns, array, dtype), dtype
    sums = weighted_sums(compiler, matrix.columns, array)
    if len(matrix) > 1:
        compiler.approximate(f"a BLAS orders the sums of the {_name(who)}")
    return (compiler.graph.map(MathFunction.ROUND32, sums) if dtype == FLOAT32 else sums), dtype


def pairwise_sum(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> Number:
    """Return the sum in the pairwise order of `numpy.sum` over a contiguous axis, rounded where `dtype` is float32.

    NumPy adds up to 128 numbers in eight partial sums, and splits longer arrays in two.
    """
    graph, count = compiler.graph, len(values)
    if dtype != FLOAT32:
        return graph.fold(MathFunction.PAIRWISE, values)
    if count > 128:
        half = count // 2 - count // 2 % 8
        halves = [pairwise_sum(compiler, part, dtype) for part in (values[:half], values[half:])]
        return _float32_add(compiler)(halves[:1], halves[1:])[0]
    in_eights = count // 8 * 8
    partial = list(values[: min(8, in_eights)])
    for start in range(8, in_eights, 8):
        partial = _float32_add(compiler)(partial, list(values[start : start + 8]))
    while len(partial) > 1:
        partial = _float32_add(compiler)(partial[::2], partial[1::2])
    for value in values[in_eights:]:
        partial = _float32_add(compiler)(partial, [value]) if partial else [value]
    return partial[0]


def apply_constants(
    matrix: Matrix,
    constants: Any,
    compiler: Compiler,
    *,
    function: MathFunction = MathFunction.SUB,
    in_place: bool = False,
) -> Matrix:
    """Return `matrix - constants`, in the dtype that NumPy gives it.

    Args:
        matrix: columns of numbers.
        constants: one for all columns, or one for each.
        compiler: the plan's compiler.
        function: applied instead of the subtraction.
        in_place: whether the array keeps its dtype, as in `matrix -= constants`, and is rounded after the operation.

    Raises:
        NoPlan: NumPy computes in another dtype than float32 and float64.
    """
    dtype = matrix.dtype if in_place else np.dtype(np.result_type(matrix.dtype, constants))
    if dtype not in (FLOAT32, FLOAT64):
        raise NoPlan(f"a model computes in {dtype}")
    numbers = np.asarray(constants, dtype=np.result_type(dtype, constants))
    return Matrix(compiler.map(function, matrix.columns, numbers, dtype=dtype))


def round_to_dtype(values: Any, dtype: np.dtype[Any]) -> Floats:
    """Return numbers rounded to a dtype, as float64."""
    with np.errstate(over="ignore"):
        return np.asarray(np.asarray(values, dtype=dtype), dtype=np.float64)


def _name(who: object) -> str:
    return who if isinstance(who, str) else type(who).__name__


def _weights(columns: Sequence[Column], weights: Any) -> Floats:
    matrix = np.ascontiguousarray(weights, dtype=np.float64)
    if matrix.ndim != 2 or len(matrix) != len(columns):
        raise NoPlan(f"a model has weights for {len(matrix)} columns, where there are {len(columns)}")
    return matrix


def _group_by_code(columns: Sequence[Column], width: int) -> tuple[list[int], dict[Code, list[int]]]:
    """Return the indexes of the columns that are added as numbers, and those of each code that gets a table."""
    groups: dict[Code, list[int]] = {}
    one_hot: set[Code] = set()
    for index, column in enumerate(columns):
        if isinstance(column, Coded):
            groups.setdefault(column.code, []).append(index)
            if column.hot_code is not None:
                one_hot.add(column.code)
    tables = {
        code: members for code, members in groups.items() if code in one_hot or code.limit * width <= _MAX_TABLE_NUMBERS
    }
    in_tables = {index for members in tables.values() for index in members}
    summed = [
        index for index, column in enumerate(columns) if index not in in_tables and not isinstance(column, Bagged)
    ]
    return summed, tables


def _table(code: Code, columns: Sequence[Coded], weights: Floats) -> Floats:
    """Return the share of a code's columns in the sums, shape `(code.limit, sums)`."""
    table = np.zeros((code.limit, weights.shape[1]))
    one_hot: list[int] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for index, column in enumerate(columns):
            if column.hot_code is not None and column.finite:
                one_hot.append(index)
            else:
                table += np.multiply.outer(column.values, weights[index])
        if one_hot:
            levels = np.stack([columns[index].levels for index in one_hot])
            hot = weights[one_hot] * levels[:, 1:]
            if levels[:, 0].any():
                cold = weights[one_hot] * levels[:, :1]
                table += cold.sum(axis=0)
                hot -= cold
            np.add.at(table, [columns[index].hot_code or 0 for index in one_hot], hot)
    return table


def _runs(columns: Sequence[Column]) -> Iterable[tuple[Code | Bag | None, list[int]]]:
    """Return adjacent columns that one step can add: numbers, a run of a bag, or columns of one code.

    Columns of one code share a run where at most one of them is not zero in any row.
    """
    spans: list[tuple[Code | Bag | None, list[int]]] = []
    nonzero_codes: set[int] = set()
    edges = dict(runs(columns))
    index = 0
    while index < len(columns):
        column = columns[index]
        if isinstance(column, Bagged):
            spans.append((column.bag, list(range(index, edges[index]))))
            index = edges[index]
            continue
        code = column.code if isinstance(column, Coded) else None
        support = _support(column) if isinstance(column, Coded) else set()
        if spans and spans[-1][0] is code and not support & nonzero_codes:
            spans[-1][1].append(index)
        else:
            spans.append((code, [index]))
            nonzero_codes = set()
        nonzero_codes |= support
        index += 1
    return spans


def _support(column: Coded) -> set[int]:
    """Return the codes for which a column is not zero."""
    if column.hot_code is not None and not column.levels[0]:
        return {column.hot_code} if column.levels[1] else set()
    return set(np.flatnonzero(column.values).tolist())


def _add_weighted(
    compiler: Compiler, total: list[Number] | None, values: list[Number], weights: Floats, dtype: np.dtype[Any]
) -> list[Number]:
    """Return sums continued by weighted values."""
    graph, width = compiler.graph, weights.shape[1]
    if dtype != FLOAT32:
        if total is None:
            return graph.dot(values, weights)
        # One step for each sum: in a common step an infinite sum would be multiplied by the others' zeros, to NaN.
        pairs = zip(total, weights.T, strict=True)
        return [graph.dot([first, *values], np.concatenate([[1.0], column])[:, None])[0] for first, column in pairs]
    for value, weight in zip(values, weights, strict=True):
        product = graph.map(MathFunction.ROUND32, graph.map_const(MathFunction.MUL, [value] * width, weight))
        total = _float32_add(compiler)(total or graph.constant(np.zeros(width)), product)
    return total or graph.constant(np.zeros(width))


def _add_tables(
    compiler: Compiler,
    total: list[Number] | None,
    tables: Sequence[list[Number]],
    width: int,
    dtype: np.dtype[Any] = FLOAT64,
) -> list[Number]:
    """Return sums continued by numbers from tables."""
    graph = compiler.graph
    if total is None:
        total = graph.constant(np.zeros(width))
    if dtype == FLOAT32:
        for table in tables:
            total = _float32_add(compiler)(total, table)
        return total
    if width == 1 and tables:
        return [graph.fold(MathFunction.SUM, [*total, *(table[0] for table in tables)])]
    for table in tables:
        total = graph.map_two(MathFunction.ADD, total, table)
    return total


def _float32_add(compiler: Compiler) -> Callable[[list[Number], list[Number]], list[Number]]:
    """Return a function that adds numbers pair by pair and rounds the sums to float32."""
    graph = compiler.graph
    return lambda left, right: graph.map(MathFunction.ROUND32, graph.map_two(MathFunction.ADD, left, right))
