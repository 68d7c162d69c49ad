"""What scikit-learn and NumPy make of a container before an estimator computes with it: an array of one dtype."""

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
    "clipped",
    "dense",
    "floats",
    "is_fixed_width",
    "is_masked",
    "map_two",
    "numbers",
    "objects",
    "plain",
    "retyped",
    "stored",
    "times",
    "told_apart",
]

_BOOL = np.dtype(bool)


def floats(matrix: Matrix, compiler: Compiler, who: object, *, nan: bool = False) -> Matrix:
    """The array that `check_array(dtype=FLOAT_DTYPES)` makes; infinities are refused, and NaN unless it passes."""
    made = compiler.floats(matrix, who, nan=nan)
    return replace(retyped(made, made.dtype), sparse=matrix.sparse)


def numbers(matrix: Matrix, compiler: Compiler, who: object, *, nan: bool = False) -> Matrix:
    """The array that `check_array(dtype="numeric")` makes: objects become float64, other dtypes stay."""
    dtype = FLOAT64 if matrix.dtype == OBJECT else matrix.dtype
    made = retyped(matrix, dtype)
    if dtype.kind == "f":
        compiler.refuse(made.columns, who, nan=nan)
    return made


def plain(matrix: Matrix, compiler: Compiler, who: object, *, nan: bool = False, infinite: bool = False) -> Matrix:
    """The array that `check_array(dtype=None)` makes: text stays, and among objects infinities are not looked for.

    Args:
        matrix: the columns.
        compiler: the compiler.
        who: whom a refusal names.
        nan: whether NaN passes.
        infinite: whether infinities pass.
    """
    if matrix.dtype != OBJECT:
        made = retyped(matrix, matrix.dtype)
        if made.dtype.kind == "f":
            compiler.refuse(made.columns, who, nan=nan, infinite=infinite)
        return made
    if not matrix.frame and all(map(is_fixed_width, matrix.columns)):
        return matrix
    made = objects(matrix)
    if not nan:
        _refuse_missing(made.columns, compiler, who)
    return made


def array(matrix: Matrix, *, present: bool = False) -> Matrix:
    """The array that `numpy.asarray` makes of a frame.

    pandas makes objects of booleans that stand beside numbers, and of columns of its own dtypes beside any others.

    Args:
        matrix: the columns.
        present: whether none of pandas's missing values is among them.
    """
    if not matrix.frame:
        return matrix
    columns = replace(matrix, frame=False)
    dtypes = {_dtype(each) for each in matrix.columns}
    masked = len(matrix) > 1 and any(map(is_masked, matrix.columns))
    if masked or columns.dtype == OBJECT or (not matrix.polars and _BOOL in dtypes and len(dtypes) > 1):
        return objects(matrix, present=present)
    return retyped(matrix, columns.dtype)


def is_masked(column: Column) -> bool:
    """Whether a column is of a dtype of pandas's own."""
    return isinstance(column, Numeric) and column.missing is NA


def is_fixed_width(column: Column) -> bool:
    """Whether a column of an array is of a NumPy dtype of text, rather than of objects."""
    return (
        isinstance(column, Text)
        and isinstance(column.missing, float)
        and not column.nullable
        and column.categories is None
    )


def told_apart(column: Numeric) -> Any:
    """What is missing in a column of numbers: NaN, or `None` among objects; raises `NoPlan` where it may be either."""
    if column.missing is ...:
        raise NoPlan("a column of objects may hold None and NaN, which a plan cannot tell apart: use one of them")
    return None if column.missing is None else np.nan


def objects(matrix: Matrix, *, present: bool = False) -> Matrix:
    """The columns as an array of objects, of which one of pandas's own dtypes has no missing value if so said."""
    return Matrix(tuple(_object(column, present) for column in matrix.columns), sparse=matrix.sparse)


def retyped(matrix: Matrix, dtype: np.dtype[Any]) -> Matrix:
    """The columns as an array of a dtype that holds the numbers of each of them.

    Raises:
        NoPlan: one of them holds no numbers.
    """
    made: list[Column] = []
    for column in matrix.columns:
        if isinstance(column, Numeric):
            made.append(Numeric(column.value, dtype, column.finite))
        elif isinstance(column, Coded):
            same = column.dtype == dtype and column.categories is None
            made.append(column if same else replace(column, dtype=dtype, categories=None))
        elif isinstance(column, (Text, Opaque)):
            raise NoPlan(column.why if isinstance(column, Opaque) else "text where numbers are needed")
        else:
            made.append(column if column.dtype == dtype else column._replace(dtype=dtype))
    return Matrix(tuple(made), sparse=matrix.sparse)


def stored(matrix: Matrix, compiler: Compiler) -> Matrix:
    """The columns as a sparse matrix, which stores no zeros and so forgets the sign of one."""
    if matrix.sparse:
        return matrix
    return Matrix(_positive(retyped(matrix, matrix.dtype), compiler), sparse=True)


def dense(matrix: Matrix, compiler: Compiler) -> Matrix:
    """A sparse matrix as an array, to which SciPy adds what is stored: so no zero there is negative."""
    return Matrix(_positive(matrix, compiler)) if matrix.sparse else matrix


def _positive(matrix: Matrix, compiler: Compiler) -> tuple[Column, ...]:
    """The columns of one dtype without negative zeros."""
    kept = list(matrix.columns)
    dtype = matrix.dtype
    if dtype.kind != "f":
        return matrix.columns
    for finite in (False, True):
        places = [place for place, each in enumerate(kept) if isinstance(each, Numeric) and each.finite == finite]
        made = compiler.map(MathFunction.ADD, [kept[place] for place in places], 0.0, dtype=dtype, finite=finite)
        for place, column in zip(places, made, strict=True):
            kept[place] = column
    for place, column in enumerate(kept):
        if isinstance(column, Coded):
            kept[place] = replace(column, levels=column.levels + 0.0)
    return tuple(kept)


def map_two(
    compiler: Compiler,
    function: MathFunction,
    left: Sequence[Column],
    right: Sequence[Column],
    dtype: np.dtype[Any] = FLOAT64,
) -> tuple[Column, ...]:
    """`f(x, y)` of each pair of columns, rounded where `dtype` is float32."""
    made = compiler.graph.map_two(function, compiler.numbers(left), compiler.numbers(right))
    if dtype == np.float32:
        made = compiler.graph.map(MathFunction.ROUND32, made)
    return tuple(Numeric(each, dtype) for each in made)


def times(
    left: Sequence[Column], right: Sequence[Column], dtype: np.dtype[Any], compiler: Compiler, *, sparse: bool
) -> tuple[Column, ...]:
    """Products of pairs of columns; those that depend on one code do so too, and a sparse matrix has no `0 * x`."""
    out: list[Column] = list(left)
    places = []
    for place, (one, other) in enumerate(zip(left, right, strict=True)):
        if isinstance(one, Coded) and isinstance(other, Coded) and one.code is other.code:
            out[place] = _coded_times(one, other, dtype, sparse=sparse)
        else:
            places.append(place)
    one_side, other_side = [left[place] for place in places], [right[place] for place in places]
    made = map_two(compiler, MathFunction.MUL, one_side, other_side, dtype)
    if sparse:
        graph = compiler.graph
        both = [compiler.map(MathFunction.NE, side, 0.0) for side in (one_side, other_side)]
        stays = graph.map_two(MathFunction.MUL, compiler.numbers(both[0]), compiler.numbers(both[1]))
        kept = graph.select(stays, compiler.numbers(made), graph.constant(np.zeros(len(made))))
        made = tuple(Numeric(value, dtype) for value in kept)
    for place, column in zip(places, made, strict=True):
        out[place] = column
    return tuple(out)


def _coded_times(one: Coded, other: Coded, dtype: np.dtype[Any], *, sparse: bool) -> Coded:
    if one.hot_code == other.hot_code:  # both are tables, or differ at the same code
        a, b, hot_code = one.levels, other.levels, one.hot_code
    else:
        a, b, hot_code = one.values, other.values, None
    levels = elementary(MathFunction.MUL, a, b)
    if sparse:
        levels = np.where((a == 0) | (b == 0), 0.0, levels)
    if dtype == FLOAT32:
        levels = elementary(MathFunction.ROUND32, levels)
    return Coded(one.code, dtype=dtype, levels=levels, hot_code=hot_code)


def clipped(matrix: Matrix, low: float, high: float, compiler: Compiler) -> Matrix:
    """The columns with what is below or above a range moved to its ends, in the matrix's dtype; NaN stays."""
    dtype = matrix.dtype
    above = compiler.map(MathFunction.MAX, matrix.columns, float(dtype.type(low)), dtype=dtype)
    return replace(matrix, columns=compiler.map(MathFunction.MIN, above, float(dtype.type(high)), dtype=dtype))


def _dtype(column: Column) -> np.dtype[Any]:
    return OBJECT if isinstance(column, (Text, Opaque)) else column.dtype


def _object(column: Column, present: bool) -> Column:
    if isinstance(column, Numeric):
        if column.missing is NA and not column.finite and not present:
            return Opaque("a missing value is pandas.NA among objects")
        return replace(column, dtype=OBJECT, missing=np.nan if column.missing is NA else column.missing)
    if isinstance(column, Text) and is_fixed_width(column):  # of a frame: text that is never missing
        return replace(column, missing=None)
    return replace(column, dtype=OBJECT, categories=None) if isinstance(column, Coded) else column


def _refuse_missing(listed: Sequence[Column], compiler: Compiler, who: object) -> None:
    """Refuse rows with NaN among objects; `None` passes."""
    doubtful = [each for each in listed if isinstance(each, (Numeric, Coded)) and not each.finite]
    lost = [each for each in doubtful if not isinstance(each, Numeric) or told_apart(each) is not None]
    compiler.refuse(lost, who, infinite=True)
    for column in listed:
        if isinstance(column, Text) and isinstance(column.missing, float) and (column.nullable or column.categories):
            code, means = compiler.text(column, [])
            gone = np.array([0.0 if isinstance(each, float) else 1.0 for each in means])
            compiler.graph.refuse(
                compiler.numbers([Coded(code, gone)]), Kind.ZERO, f"the {type(who).__name__} does not take NaN"
            )
