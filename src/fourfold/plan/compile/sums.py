"""Weighted sums of columns: what linear models, projections and the layers of networks begin with.

A column that depends on a code alone is no operand of a sum: what all columns of one code add to it stands in a table,
so that a hundred thousand one-hot columns cost one lookup.
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

__all__ = ["matrix_product", "moved", "ordered_sums", "pairwise_sum", "rounded", "weighted_sums"]

Floats = npt.NDArray[np.float64]

#: The most numbers of a code's table where a few columns could be looked up and multiplied instead.
_LARGEST_TABLE = 1 << 22
#: Processors whose usual compilers join no product and sum to one operation, so that SciPy's sums have one order.
_APART = ("x86_64", "amd64", "i686", "i386")


def weighted_sums(compiler: Compiler, columns: Sequence[Column], weights: Any) -> list[Number]:
    """`columns @ weights`, in an order of its own.

    Sums begin at zero and take first the columns that hold numbers, in their order, then those of bags, and then, for
    each code in the order of its first column, what all columns of the code add.

    Args:
        compiler: of the plan.
        columns: of numbers.
        weights: shape `(columns, sums)`.

    Returns:
        The sums.

    Raises:
        NoPlan: a column holds no numbers.
    """
    matrix = _weights(columns, weights)
    places, groups = _grouped(columns, matrix.shape[1])
    total: list[Number] | None = None
    if places:
        values = compiler.numbers([columns[place] for place in places])
        total = compiler.graph.dot(values, matrix[places])
    for start, stop in runs(columns):
        total = compiler.graph.bag_dot(compiler.bag(columns[start:stop]), matrix[start:stop], total or ())
    tables = []
    for code, mine in groups.items():
        coded = [column for column in (columns[place] for place in mine) if isinstance(column, Coded)]
        tables.append(compiler.graph.lookup(code, _table(code, coded, matrix[mine])))
    return _added(compiler, total, tables, matrix.shape[1])


def ordered_sums(
    compiler: Compiler, columns: Sequence[Column], weights: Any, dtype: np.dtype[Any] = FLOAT64
) -> list[Number]:
    """`columns @ weights` from zero on in the order of the columns, as SciPy computes it of a sparse matrix.

    Columns of one code that are never different from zero together stand in one table. What is zero adds nothing, so
    a sum has the same bits with it and without it.

    Args:
        compiler: of the plan.
        columns: of numbers.
        weights: shape `(columns, sums)`, all finite.
        dtype: float32 where products and sums are rounded to it.
    """
    matrix = _weights(columns, weights)
    width = matrix.shape[1]
    total: list[Number] | None = None
    tables: list[list[Number]] = []
    for code, places in _runs(columns):
        if code is None:
            if tables:
                total, tables = _added(compiler, total, tables, width, dtype), []
            values = compiler.numbers([columns[place] for place in places])
            total = _continued(compiler, total, values, matrix[places], dtype)
            continue
        if isinstance(code, Bag):
            total, tables = _added(compiler, total, tables, width, dtype), []
            bag = compiler.bag([columns[place] for place in places])
            total = compiler.graph.bag_dot(bag, matrix[places], total, float32=dtype == FLOAT32)
            continue
        coded = [column for column in (columns[place] for place in places) if isinstance(column, Coded)]
        tables.append(compiler.graph.lookup(code, rounded(_table(code, coded, matrix[places]), dtype)))
    return _added(compiler, total, tables, width, dtype)


def matrix_product(
    compiler: Compiler, matrix: Matrix, weights: Any, who: object, *, sparse: bool = False
) -> tuple[list[Number], np.dtype[Any]]:
    """`matrix @ weights` as NumPy computes it of an array, or SciPy where one of the two is sparse.

    Args:
        compiler: of the plan.
        matrix: columns of numbers.
        weights: shape `(columns, sums)`, of the dtype that the original has them in.
        who: the estimator, which the reason for other bits names.
        sparse: whether the weights are a sparse matrix.

    Returns:
        The sums, and the dtype that NumPy gives them.
    """
    array = np.asarray(weights)
    dtype = np.dtype(np.result_type(matrix.dtype, array.dtype))
    if dtype not in (FLOAT32, FLOAT64):
        raise NoPlan(f"the {_name(who)} computes in {dtype}")
    if matrix.sparse or sparse:
        if platform.machine().lower() not in _APART and len(matrix) > 1:
            compiler.approximate(f"a compiler may join products and sums of the {_name(who)}")
        return ordered_sums(compiler, matrix.columns, array, dtype), dtype
    sums = weighted_sums(compiler, matrix.columns, array)
    if len(matrix) > 1:
        compiler.approximate(f"a BLAS orders the sums of the {_name(who)}")
    return (compiler.graph.map(MathFunction.ROUND32, sums) if dtype == FLOAT32 else sums), dtype


def pairwise_sum(compiler: Compiler, values: Sequence[Number], dtype: np.dtype[Any]) -> Number:
    """The sum in the order of `numpy.sum` over an axis that lies in one piece, rounded where `dtype` is float32.

    Eight sums side by side up to 128 numbers, and halves beyond.
    """
    graph, count = compiler.graph, len(values)
    if dtype != FLOAT32:
        return graph.fold(MathFunction.PAIRWISE, values)
    if count > 128:
        half = count // 2 - count // 2 % 8
        halves = [pairwise_sum(compiler, part, dtype) for part in (values[:half], values[half:])]
        return _step(compiler)(halves[:1], halves[1:])[0]
    whole = count // 8 * 8
    part = list(values[: min(8, whole)])
    for start in range(8, whole, 8):
        part = _step(compiler)(part, list(values[start : start + 8]))
    while len(part) > 1:
        part = _step(compiler)(part[::2], part[1::2])
    for value in values[whole:]:
        part = _step(compiler)(part, [value]) if part else [value]
    return part[0]


def moved(
    matrix: Matrix,
    constants: Any,
    compiler: Compiler,
    *,
    function: MathFunction = MathFunction.SUB,
    in_place: bool = False,
) -> Matrix:
    """`matrix - constants`, in the dtype that NumPy gives it.

    Args:
        matrix: columns of numbers.
        constants: one for all, or one for each column.
        compiler: of the plan.
        function: what is done instead of subtracting.
        in_place: whether the array keeps its dtype, as in `matrix -= constants`: it is rounded after the operation.
    """
    dtype = matrix.dtype if in_place else np.dtype(np.result_type(matrix.dtype, constants))
    if dtype not in (FLOAT32, FLOAT64):
        raise NoPlan(f"a model computes in {dtype}")
    numbers = np.asarray(constants, dtype=np.result_type(dtype, constants))
    return Matrix(compiler.map(function, matrix.columns, numbers, dtype=dtype))


def rounded(values: Any, dtype: np.dtype[Any]) -> Floats:
    """Numbers as they are in an array of a dtype, in float64."""
    with np.errstate(over="ignore"):
        return np.asarray(np.asarray(values, dtype=dtype), dtype=np.float64)


def _name(who: object) -> str:
    return who if isinstance(who, str) else type(who).__name__


def _weights(columns: Sequence[Column], weights: Any) -> Floats:
    matrix = np.ascontiguousarray(weights, dtype=np.float64)
    if matrix.ndim != 2 or len(matrix) != len(columns):
        raise NoPlan(f"a model has weights for {len(matrix)} columns, where there are {len(columns)}")
    return matrix


def _grouped(columns: Sequence[Column], width: int) -> tuple[list[int], dict[Code, list[int]]]:
    """The places of the columns that are summed as numbers, and those of each code that has a table."""
    groups: dict[Code, list[int]] = {}
    spikes: set[Code] = set()
    for place, column in enumerate(columns):
        if isinstance(column, Coded):
            groups.setdefault(column.code, []).append(place)
            if column.hot_code is not None:
                spikes.add(column.code)
    kept = {code: mine for code, mine in groups.items() if code in spikes or code.limit * width <= _LARGEST_TABLE}
    tabled = {place for mine in kept.values() for place in mine}
    summed = [place for place, each in enumerate(columns) if place not in tabled and not isinstance(each, Bagged)]
    return summed, kept


def _table(code: Code, columns: Sequence[Coded], weights: Floats) -> Floats:
    """What columns of a code add to sums: shape `(code.limit, sums)`."""
    table = np.zeros((code.limit, weights.shape[1]))
    spikes: list[int] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for place, column in enumerate(columns):
            if column.hot_code is not None and column.finite:
                spikes.append(place)
            else:
                table += np.multiply.outer(column.values, weights[place])
        if spikes:
            levels = np.stack([columns[place].levels for place in spikes])
            here = weights[spikes] * levels[:, 1:]
            if levels[:, 0].any():
                elsewhere = weights[spikes] * levels[:, :1]
                table += elsewhere.sum(axis=0)
                here -= elsewhere
            np.add.at(table, [columns[place].hot_code or 0 for place in spikes], here)
    return table


def _runs(columns: Sequence[Column]) -> Iterable[tuple[Code | Bag | None, list[int]]]:
    """Columns side by side: numbers, a run of a bag, or of one code and never different from zero together."""
    found: list[tuple[Code | Bag | None, list[int]]] = []
    taken: set[int] = set()
    edges = dict(runs(columns))
    place = 0
    while place < len(columns):
        column = columns[place]
        if isinstance(column, Bagged):
            found.append((column.bag, list(range(place, edges[place]))))
            place = edges[place]
            continue
        code = column.code if isinstance(column, Coded) else None
        mine = _support(column) if isinstance(column, Coded) else set()
        if found and found[-1][0] is code and not mine & taken:
            found[-1][1].append(place)
        else:
            found.append((code, [place]))
            taken = set()
        taken |= mine
        place += 1
    return found


def _support(column: Coded) -> set[int]:
    """The codes for which a column is not zero."""
    if column.hot_code is not None and not column.levels[0]:
        return {column.hot_code} if column.levels[1] else set()
    return set(np.flatnonzero(column.values).tolist())


def _continued(
    compiler: Compiler, total: list[Number] | None, values: list[Number], weights: Floats, dtype: np.dtype[Any]
) -> list[Number]:
    """Sums that go on with weighted values."""
    graph, width = compiler.graph, weights.shape[1]
    if dtype != FLOAT32:
        if total is None:
            return graph.dot(values, weights)
        # Sum by sum, since a sum that is infinite must not meet the others' weights of zero.
        pairs = zip(total, weights.T, strict=True)
        return [graph.dot([first, *values], np.concatenate([[1.0], mine])[:, None])[0] for first, mine in pairs]
    for value, weight in zip(values, weights, strict=True):
        product = graph.map(MathFunction.ROUND32, graph.map_const(MathFunction.MUL, [value] * width, weight))
        total = _step(compiler)(total or graph.constant(np.zeros(width)), product)
    return total or graph.constant(np.zeros(width))


def _added(
    compiler: Compiler,
    total: list[Number] | None,
    tables: Sequence[list[Number]],
    width: int,
    dtype: np.dtype[Any] = FLOAT64,
) -> list[Number]:
    """Sums that go on with what was looked up."""
    graph = compiler.graph
    if total is None:
        total = graph.constant(np.zeros(width))
    if dtype == FLOAT32:
        for table in tables:
            total = _step(compiler)(total, table)
        return total
    if width == 1 and tables:
        return [graph.fold(MathFunction.SUM, [*total, *(table[0] for table in tables)])]
    for table in tables:
        total = graph.map_two(MathFunction.ADD, total, table)
    return total


def _step(compiler: Compiler) -> Callable[[list[Number], list[Number]], list[Number]]:
    """A sum that is rounded to float32."""
    graph = compiler.graph
    return lambda left, right: graph.map(MathFunction.ROUND32, graph.map_two(MathFunction.ADD, left, right))
