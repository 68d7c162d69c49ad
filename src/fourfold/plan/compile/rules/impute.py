"""Imputers: something in the place of what is missing, and where it was missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fourfold.plan.compile import answer, transforms
from fourfold.plan.compile.arrays import array, clipped, floats, objects, plain, retyped, told_apart
from fourfold.plan.compile.columns import OBJECT, Coded, Column, Compiler, Matrix, NoPlan, Numeric, Text
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.numerics import is_rounded

__all__: list[str] = []

_BOOL = np.dtype(bool)


@transforms("sklearn.SimpleImputer")
def simple_imputer(imputer: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """A number or a text for each column, in the place of what is missing."""
    sought = imputer.missing_values
    tolerant = _is_nan(sought) or _is_na(sought)
    if imputer.strategy in ("most_frequent", "constant") or imputer._fit_dtype == OBJECT:  # noqa: SLF001
        made = plain(matrix, compiler, imputer, nan=tolerant)
        made = objects(made) if imputer._fit_dtype == OBJECT else made  # noqa: SLF001
    else:
        made = floats(matrix, compiler, imputer, nan=tolerant)
    if made.dtype == _BOOL:
        raise NoPlan("a SimpleImputer takes no booleans")
    _check_defined(made, sought, compiler)
    fills = list(imputer.statistics_)
    kept = [place for place, fill in enumerate(fills) if imputer.keep_empty_features or not _is_nan(fill)]
    if made.dtype == OBJECT:
        columns = tuple(_imputed_object(made.columns[place], sought, fills[place], compiler) for place in kept)
    else:
        numbers = np.array([fills[place] for place in kept]).astype(imputer._fill_dtype)  # noqa: SLF001
        columns = _imputed(made.take(kept), sought, numbers.astype(made.dtype).astype(np.float64), compiler)
    return _with_indicator(imputer, made, replace(made, columns=columns), compiler)


def _check_defined(matrix: Matrix, sought: Any, compiler: Compiler) -> None:
    """Check that what stands for a missing value is told from others by bits that arithmetic defines.

    Raises:
        NoPlan: a library or a processor decides the last bits of a column.
    """
    if not compiler.approximations or not _is_number(sought) or _is_nan(sought):
        return
    if any(isinstance(each, Numeric) and is_rounded(each.value) for each in matrix.columns):
        raise NoPlan("an imputer looks for a number in columns of which a library or a processor decides the last bits")


def _with_indicator(imputer: Any, before: Matrix, after: Matrix, compiler: Compiler) -> Matrix:
    """The columns, and beside them where they were missing, if the imputer says so."""
    if not imputer.add_indicator:
        return after
    flags = _indicated(imputer.indicator_, before, compiler)
    both = Matrix(after.columns + flags, sparse=after.sparse)
    return objects(both) if both.dtype == OBJECT else retyped(both, both.dtype)


def _imputed(matrix: Matrix, sought: Any, fills: Any, compiler: Compiler) -> tuple[Column, ...]:
    """Numbers with those that are missing replaced, one number for each column."""
    out = list(matrix.columns)
    places = [place for place, column in enumerate(out) if not (_is_nan(sought) or _is_na(sought)) or not _sure(column)]
    columns, numbers = [out[place] for place in places], np.asarray(fills)[places]
    if _is_nan(sought) or _is_na(sought):
        finite = bool(np.isfinite(numbers).all())
        made = compiler.map(MathFunction.IF_NAN, columns, numbers, dtype=matrix.dtype, finite=finite)
    else:
        made = _replaced(columns, sought, numbers, matrix.dtype, compiler)
    for place, column in zip(places, made, strict=True):
        out[place] = column
    return tuple(out)


def _sure(column: Column) -> bool:
    """Whether a column can miss nothing."""
    return isinstance(column, (Numeric, Coded)) and column.finite


def _replaced(
    columns: Sequence[Column], sought: Any, fills: Any, dtype: np.dtype[Any], compiler: Compiler
) -> tuple[Column, ...]:
    """Numbers with a certain one replaced."""
    if isinstance(sought, str) or sought is None:
        return tuple(columns)
    out: list[Column] = list(columns)
    for place, column in enumerate(columns):
        if isinstance(column, Coded):
            out[place] = Coded(column.code, np.where(column.values == sought, fills[place], column.values), dtype)
    places = [place for place, column in enumerate(columns) if not isinstance(column, Coded)]
    values = compiler.numbers([columns[place] for place in places])
    here = compiler.graph.map_const(MathFunction.EQ, values, float(sought))
    chosen = compiler.graph.select(here, compiler.graph.constant(np.asarray(fills)[places]), values)
    for place, value in zip(places, chosen, strict=True):
        out[place] = Numeric(value, dtype, getattr(columns[place], "finite", False))
    return tuple(out)


def _imputed_object(column: Column, sought: Any, fill: Any, compiler: Compiler) -> Column:
    """A column of objects, text or numbers, with what is missing replaced."""
    if isinstance(column, Text):
        return _imputed_text(column, sought, fill)
    if isinstance(column, (Numeric, Coded)):
        if _is_nan(sought) or sought is None or _is_na(sought):
            if column.finite or not _stands_for(sought, _missing(column, sought)):
                return column
            if not _is_number(fill):
                raise NoPlan(f"a SimpleImputer puts {fill!r} among numbers")
            return compiler.map(MathFunction.IF_NAN, [column], float(fill), dtype=OBJECT)[0]
        if isinstance(sought, str):
            return column
        if not _is_number(fill):
            raise NoPlan(f"a SimpleImputer puts {fill!r} among numbers")
        return _replaced([column], sought, [float(fill)], OBJECT, compiler)[0]
    raise NoPlan("a SimpleImputer has columns that hold neither text nor numbers")


def _imputed_text(column: Text, sought: Any, fill: Any) -> Text:
    replaced = column.replaced
    missing = _stands_for(sought, column.missing)
    if isinstance(sought, str):
        replaced = (
            *((text, fill if into == sought else into) for text, into in replaced if text != sought),
            (sought, fill),
        )
    elif not missing:
        return column
    if not isinstance(fill, str):
        raise NoPlan(f"a SimpleImputer puts {fill!r} among texts")
    pairs = tuple((str(text), str(into)) for text, into in replaced)
    return replace(column, missing=str(fill) if missing else column.missing, replaced=pairs)


def _missing(column: Column, sought: Any) -> Any:
    """What is missing in a column of numbers; `pandas.NA` stands for all that can be."""
    return told_apart(column) if isinstance(column, Numeric) and not _is_na(sought) else math.nan


def _stands_for(sought: Any, value: Any) -> bool:
    """Whether an imputer takes a value of an object array for a missing one."""
    if _is_na(sought):
        return value is None or _is_nan(value)
    if _is_nan(sought):
        return _is_nan(value)
    return value is None if sought is None else bool(value == sought)


# Where something is missing.


@transforms("sklearn.MissingIndicator")
def missing_indicator(indicator: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Whether each column is missing; those alone that were so in training, unless all are asked for."""
    sought = indicator.missing_values
    made = plain(matrix, compiler, indicator, nan=_is_nan(sought))
    if made.dtype == _BOOL:
        raise NoPlan("a MissingIndicator takes no booleans")
    _check_defined(made, sought, compiler)
    if indicator.features == "missing-only" and indicator.error_on_new:
        others = sorted(set(range(len(made))) - {int(place) for place in indicator.features_})
        present = compiler.map(MathFunction.EQ, _flags(made.take(others), sought, compiler), 0.0)
        why = "a column is missing that the MissingIndicator never saw missing"
        compiler.graph.refuse(compiler.numbers(present), Kind.ZERO, why)
    columns = _indicated(indicator, made, compiler)
    return Matrix(columns, sparse=indicator.sparse is True or (indicator.sparse == "auto" and matrix.sparse))


def _indicated(indicator: Any, matrix: Matrix, compiler: Compiler) -> tuple[Column, ...]:
    """Where the columns that an indicator tells about are missing."""
    every = indicator.features == "all"
    places: Iterable[int] = range(len(matrix)) if every else [int(place) for place in indicator.features_]
    return _flags(matrix.take(places), indicator.missing_values, compiler)


def _flags(matrix: Matrix, sought: Any, compiler: Compiler) -> tuple[Column, ...]:
    """1 where a column is missing, else 0."""
    return tuple(_flag(column, sought, compiler) for column in matrix.columns)


def _flag(column: Column, sought: Any, compiler: Compiler) -> Column:
    if isinstance(column, Text):
        code, means = compiler.text(column, [sought] if isinstance(sought, str) else [])
        return Coded(code, np.array([float(_stands_for(sought, each)) for each in means]), _BOOL)
    if _is_nan(sought) or _is_na(sought) or sought is None:
        if _stands_for(sought, _missing(column, sought)):
            return compiler.map(MathFunction.IS_NAN, [column], dtype=_BOOL, finite=True)[0]
        return Numeric(compiler.graph.constant([0.0])[0], _BOOL, finite=True)
    if isinstance(sought, str):
        return Numeric(compiler.graph.constant([0.0])[0], _BOOL, finite=True)
    return compiler.map(MathFunction.EQ, [column], float(sought), dtype=_BOOL, finite=True)[0]


# Numbers that are predicted from the others.


@transforms("sklearn.IterativeImputer")
def iterative_imputer(imputer: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What regressions make of the other columns, one after the other, as often as in training.

    Where all that it gets is missing, in every row, scikit-learn stops after the first guess; a plan looks at one row,
    and never stops.
    """
    if imputer.sample_posterior:
        raise NoPlan("an IterativeImputer that samples gives another answer every time")
    sought = imputer.missing_values
    made = floats(matrix, compiler, imputer, nan=_is_nan(sought))
    filled = list(simple_imputer(imputer.initial_imputer_, array(matrix), compiler).columns)
    empty = np.asarray(imputer._is_empty_feature)  # noqa: SLF001 - no public attribute has it
    kept = range(len(made)) if imputer.keep_empty_features else np.flatnonzero(~empty)
    before = list(made.take(kept).columns)
    if imputer.n_iter_ and imputer.imputation_sequence_:
        missing = compiler.numbers(_flags(Matrix(tuple(before)), sought, compiler))
        for feature, neighbours, estimator in imputer.imputation_sequence_:
            place = int(feature)
            if imputer.keep_empty_features and empty[place]:
                continue
            # A regression is only asked about rows that need it: it must not refuse others.
            asked = compiler.numbers([filled[int(each)] for each in neighbours])
            zeros = compiler.graph.constant(np.zeros(len(asked)))
            asked = compiler.graph.select([missing[place]] * len(asked), asked, zeros)
            others = Matrix(tuple(Numeric(each, made.dtype) for each in asked))
            guess = answer(estimator, "predict", others, compiler)
            if not isinstance(guess, Matrix) or len(guess) != 1:
                raise NoPlan(f"an IterativeImputer asks a {type(estimator).__name__}, which predicts no single number")
            low, high = float(imputer._min_value[place]), float(imputer._max_value[place])  # noqa: SLF001
            value = compiler.numbers(retyped(clipped(guess, low, high, compiler), made.dtype).columns)
            value = compiler.numbers(compiler.cast(Matrix((Numeric(value[0]),)), made.dtype).columns)
            chosen = compiler.graph.select([missing[place]], value, compiler.numbers([filled[place]]))
            filled[place] = Numeric(chosen[0], made.dtype)
    return _with_indicator(imputer, made, Matrix(tuple(filled)), compiler)


@transforms("sklearn.KNNImputer")
def knn_imputer(imputer: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """No plan: which of two rows is nearer is decided by the last bits of sums that a BLAS orders."""
    raise NoPlan(
        "a KNNImputer takes the nearest rows, and which of two equally near ones it takes depends on the BLAS and on "
        "the rows beside: impute with a SimpleImputer or an IterativeImputer"
    )


def _is_nan(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and math.isnan(value)


def _is_na(value: Any) -> bool:
    """Whether this is `pandas.NA`, told without pandas."""
    return type(value).__name__ == "NAType"


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating))
