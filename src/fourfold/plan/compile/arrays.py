"""Convert columns to an array of one dtype, as scikit-learn and NumPy do before an estimator computes with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fourfold.plan.compile.columns import (
    FLOAT32,
    FLOAT64,
    NA,
    OBJECT,
    Coded,
    Column,
    Compiler,
    Matrix,
    NoPlan,
    Numeric,
    Opaque,
    Text,
    elementary,
)
from fourfold.plan.format import Kind, MathFunction

__all__ = [
    "array",
    "check_any_dtype",
    "clip",
    "floats",
    "is_fixed_width",
    "is_masked",
    "map_two",
    "missing_value_of",
    "multiply",
    "numbers",
    "to_dense",
    "to_objects",
    "to_sparse",
    "with_dtype",
]

_BOOL = np.dtype(bool)


def floats(matrix: Matrix, compiler: Compiler, who: object, *, nan: bool = False) -> Matrix:
    """Return the array of `check_array(dtype=FLOAT_DTYPES)`; refuse infinities, and NaN unless `nan` lets it pass."""
    array = compiler.floats(matrix, who, nan=nan)
    return replace(with_dtype(array, array.dtype), sparse=matrix.sparse)


def numbers(matrix: Matrix, compiler: Compiler, who: object, *, nan: bool = False) -> Matrix:
    """Return the array of `check_array(dtype="numeric")`: objects become float64, other dtypes stay."""
    dtype = FLOAT64 if matrix.dtype == OBJECT else matrix.dtype
    array = with_dtype(matrix, dtype)
    if dtype.kind == "f":
        compiler.refuse(array.columns, who, nan=nan)
    return array


def check_any_dtype(
    matrix: Matrix, compiler: Compiler, who: object, *, nan: bool = False, infinite: bool = False
) -> Matrix:
    """Return the array of `check_array(dtype=None)`: text stays, and objects are not checked for infinities.

    Args:
        matrix: the columns.
        compiler: the plan's compiler.
        who: the estimator, which a refusal names.
        nan: whether NaN passes.
        infinite: whether infinities pass.
    """
    if matrix.dtype != OBJECT:
        array = with_dtype(matrix, matrix.dtype)
        if array.dtype.kind == "f":
            compiler.refuse(array.columns, who, nan=nan, infinite=infinite)
        return array
    if not matrix.frame and all(map(is_fixed_width, matrix.columns)):
        return matrix
    array = to_objects(matrix)
    if not nan:
        _refuse_missing(array.columns, compiler, who)
    return array


def array(matrix: Matrix, *, present: bool = False) -> Matrix:
    """Return the array of `numpy.asarray(frame)`.

    pandas converts to objects where booleans stand beside numbers, or columns of its own dtypes beside any others.

    Args:
        matrix: the columns.
        present: whether none of the values is `pandas.NA`.
    """
    if not matrix.frame:
        return matrix
    columns = replace(matrix, frame=False)
    dtypes = {_dtype(column) for column in matrix.columns}
    has_masked = len(matrix) > 1 and any(map(is_masked, matrix.columns))
    if has_masked or columns.dtype == OBJECT or (not matrix.polars and _BOOL in dtypes and len(dtypes) > 1):
        return to_objects(matrix, present=present)
    return with_dtype(matrix, columns.dtype)


def is_masked(column: Column) -> bool:
    """Return whether a column has one of pandas's own dtypes, such as `Int64`."""
    return isinstance(column, Numeric) and column.missing is NA


def is_fixed_width(column: Column) -> bool:
    """Return whether a column of text comes from an array of a NumPy string dtype rather than of objects."""
    return (
        isinstance(column, Text)
        and isinstance(column.missing, float)
        and not column.nullable
        and column.categories is None
    )


def missing_value_of(column: Numeric) -> Any:
    """Return a column's missing value, NaN or `None`; raise `NoPlan` where it may be either."""
    if column.missing is ...:
        raise NoPlan("a column of objects may hold None and NaN, which a plan cannot tell apart: use one of them")
    return None if column.missing is None else np.nan


def to_objects(matrix: Matrix, *, present: bool = False) -> Matrix:
    """Return the columns as an array of objects; `present` says that none of the values is `pandas.NA`."""
    return Matrix(tuple(_object(column, present) for column in matrix.columns), sparse=matrix.sparse)


def with_dtype(matrix: Matrix, dtype: np.dtype[Any]) -> Matrix:
    """Return the columns as an array of a dtype that can hold the numbers of all of them.

    Raises:
        NoPlan: a column holds no numbers.
    """
    columns: list[Column] = []
    for column in matrix.columns:
        if isinstance(column, Numeric):
            columns.append(Numeric(column.value, dtype, column.finite))
        elif isinstance(column, Coded):
            same = column.dtype == dtype and column.categories is None
            columns.append(column if same else replace(column, dtype=dtype, categories=None))
        elif isinstance(column, (Text, Opaque)):
            raise NoPlan(column.why if isinstance(column, Opaque) else "text where numbers are needed")
        else:
            columns.append(column if column.dtype == dtype else column._replace(dtype=dtype))
    return Matrix(tuple(columns), sparse=matrix.sparse)


def to_sparse(matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return the columns as a sparse matrix, which stores no zeros: negative zeros become positive."""
    if matrix.sparse:
        return matrix
    return Matrix(_without_negative_zeros(with_dtype(matrix, matrix.dtype), compiler), sparse=True)


def to_dense(matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return a sparse matrix as an array; SciPy adds the stored values to zeros, so no zero is negative."""
    return Matrix(_without_negative_zeros(matrix, compiler)) if matrix.sparse else matrix


def _without_negative_zeros(matrix: Matrix, compiler: Compiler) -> tuple[Column, ...]:
    """Return columns of one dtype with 0.0 added, which turns -0.0 to 0.0."""
    columns = list(matrix.columns)
    dtype = matrix.dtype
    if dtype.kind != "f":
        return matrix.columns
    for finite in (False, True):
        indexes = [
            index for index, column in enumerate(columns) if isinstance(column, Numeric) and column.finite == finite
        ]
        sums = compiler.map(MathFunction.ADD, [columns[index] for index in indexes], 0.0, dtype=dtype, finite=finite)
        for index, column in zip(indexes, sums, strict=True):
            columns[index] = column
    for index, column in enumerate(columns):
        if isinstance(column, Coded):
            columns[index] = replace(column, levels=column.levels + 0.0)
    return tuple(columns)


def map_two(
    compiler: Compiler,
    function: MathFunction,
    left: Sequence[Column],
    right: Sequence[Column],
    dtype: np.dtype[Any] = FLOAT64,
) -> tuple[Column, ...]:
    """Return `f(x, y)` of each pair of columns, rounded where `dtype` is float32."""
    results = compiler.graph.map_two(function, compiler.numbers(left), compiler.numbers(right))
    if dtype == np.float32:
        results = compiler.graph.map(MathFunction.ROUND32, results)
    return tuple(Numeric(value, dtype) for value in results)


def multiply(
    left: Sequence[Column], right: Sequence[Column], dtype: np.dtype[Any], compiler: Compiler, *, sparse: bool
) -> tuple[Column, ...]:
    """Return the products of pairs of columns; in a sparse matrix the product with a zero is zero, even of NaN.

    The product of two columns of one code is a column of that code.
    """
    out: list[Column] = list(left)
    indexes = []
    for index, (x, y) in enumerate(zip(left, right, strict=True)):
        if isinstance(x, Coded) and isinstance(y, Coded) and x.code is y.code:
            out[index] = _coded_times(x, y, dtype, sparse=sparse)
        else:
            indexes.append(index)
    xs, ys = [left[index] for index in indexes], [right[index] for index in indexes]
    products = map_two(compiler, MathFunction.MUL, xs, ys, dtype)
    if sparse:
        graph = compiler.graph
        are_stored = [compiler.map(MathFunction.NE, side, 0.0) for side in (xs, ys)]
        both = graph.map_two(MathFunction.MUL, compiler.numbers(are_stored[0]), compiler.numbers(are_stored[1]))
        values = graph.select(both, compiler.numbers(products), graph.constant(np.zeros(len(products))))
        products = tuple(Numeric(value, dtype) for value in values)
    for index, column in zip(indexes, products, strict=True):
        out[index] = column
    return tuple(out)


def _coded_times(x: Coded, y: Coded, dtype: np.dtype[Any], *, sparse: bool) -> Coded:
    if x.hot_code == y.hot_code:  # both are tables, or one-hot columns of the same code
        a, b, hot_code = x.levels, y.levels, x.hot_code
    else:
        a, b, hot_code = x.values, y.values, None
    levels = elementary(MathFunction.MUL, a, b)
    if sparse:
        levels = np.where((a == 0) | (b == 0), 0.0, levels)
    if dtype == FLOAT32:
        levels = elementary(MathFunction.ROUND32, levels)
    return Coded(x.code, dtype=dtype, levels=levels, hot_code=hot_code)


def clip(matrix: Matrix, low: float, high: float, compiler: Compiler) -> Matrix:
    """Return `numpy.clip(matrix, low, high)`, in the matrix's dtype; NaN stays."""
    dtype = matrix.dtype
    raised = compiler.map(MathFunction.MAX, matrix.columns, float(dtype.type(low)), dtype=dtype)
    return replace(matrix, columns=compiler.map(MathFunction.MIN, raised, float(dtype.type(high)), dtype=dtype))


def _dtype(column: Column) -> np.dtype[Any]:
    return OBJECT if isinstance(column, (Text, Opaque)) else column.dtype


def _object(column: Column, present: bool) -> Column:
    if isinstance(column, Numeric):
        if column.missing is NA and not column.finite and not present:
            return Opaque("a missing value is pandas.NA among objects")
        return replace(column, dtype=OBJECT, missing=np.nan if column.missing is NA else column.missing)
    if isinstance(column, Text) and is_fixed_width(column):  # in a frame this is text that is never missing
        return replace(column, missing=None)
    return replace(column, dtype=OBJECT, categories=None) if isinstance(column, Coded) else column


def _refuse_missing(columns: Sequence[Column], compiler: Compiler, who: object) -> None:
    """Refuse rows with NaN among objects; `None` passes."""
    doubtful = [column for column in columns if isinstance(column, (Numeric, Coded)) and not column.finite]
    with_nan = [
        column for column in doubtful if not isinstance(column, Numeric) or missing_value_of(column) is not None
    ]
    compiler.refuse(with_nan, who, infinite=True)
    for column in columns:
        if isinstance(column, Text) and isinstance(column.missing, float) and (column.nullable or column.categories):
            code, meanings = compiler.text(column, [])
            is_present = np.array([0.0 if isinstance(meaning, float) else 1.0 for meaning in meanings])
            compiler.graph.refuse(
                compiler.numbers([Coded(code, is_present)]), Kind.ZERO, f"the {type(who).__name__} does not take NaN"
            )
