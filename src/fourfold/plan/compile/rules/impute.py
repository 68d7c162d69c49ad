"""Compile scikit-learn's imputers and the MissingIndicator (`sklearn.impute`).

A replacement is exact. An IterativeImputer is as exact as the regressors that it asks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fourfold.plan.compile import answer, transforms
from fourfold.plan.compile.arrays import array, check_any_dtype, clip, floats, missing_value_of, to_objects, with_dtype
from fourfold.plan.compile.columns import OBJECT, Coded, Column, Compiler, Matrix, NoPlan, Numeric, Text
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.numerics import is_rounded

__all__: list[str] = []

_BOOL = np.dtype(bool)


@transforms("sklearn.SimpleImputer")
def simple_imputer(imputer: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SimpleImputer.transform`: missing values replaced by a number or a text for each column.

    Raises:
        NoPlan: the imputer takes another dtype, or its answer depends on more than the row.
    """
    missing_value = imputer.missing_values
    allows_nan = _is_nan(missing_value) or _is_na(missing_value)
    if imputer.strategy in ("most_frequent", "constant") or imputer._fit_dtype == OBJECT:  # noqa: SLF001
        inputs = check_any_dtype(matrix, compiler, imputer, nan=allows_nan)
        inputs = to_objects(inputs) if imputer._fit_dtype == OBJECT else inputs  # noqa: SLF001
    else:
        inputs = floats(matrix, compiler, imputer, nan=allows_nan)
    if inputs.dtype == _BOOL:
        raise NoPlan("a SimpleImputer takes no booleans")
    _check_bits_are_defined(inputs, missing_value, compiler)
    fills = list(imputer.statistics_)
    kept_columns = [index for index, fill in enumerate(fills) if imputer.keep_empty_features or not _is_nan(fill)]
    if inputs.dtype == OBJECT:
        columns = tuple(
            _impute_object(inputs.columns[index], missing_value, fills[index], compiler) for index in kept_columns
        )
    else:
        numbers = np.array([fills[index] for index in kept_columns]).astype(imputer._fill_dtype)  # noqa: SLF001
        columns = _impute_numbers(
            inputs.take(kept_columns), missing_value, numbers.astype(inputs.dtype).astype(np.float64), compiler
        )
    return _with_indicator(imputer, inputs, replace(inputs, columns=columns), compiler)


def _check_bits_are_defined(matrix: Matrix, missing_value: Any, compiler: Compiler) -> None:
    """Check that the number that stands for a missing value is compared with exact bits.

    Raises:
        NoPlan: a library or a processor decides the last bits of a column.
    """
    if not compiler.approximations or not _is_number(missing_value) or _is_nan(missing_value):
        return
    if any(isinstance(column, Numeric) and is_rounded(column.value) for column in matrix.columns):
        raise NoPlan("an imputer looks for a number in columns of which a library or a processor decides the last bits")


def _with_indicator(imputer: Any, inputs: Matrix, imputed: Matrix, compiler: Compiler) -> Matrix:
    """Return the columns after imputing, and beside them the indicator's if `add_indicator`."""
    if not imputer.add_indicator:
        return imputed
    flags = _indicator_columns(imputer.indicator_, inputs, compiler)
    columns = Matrix(imputed.columns + flags, sparse=imputed.sparse)
    return to_objects(columns) if columns.dtype == OBJECT else with_dtype(columns, columns.dtype)


def _impute_numbers(matrix: Matrix, missing_value: Any, fills: Any, compiler: Compiler) -> tuple[Column, ...]:
    """Return columns of numbers with missing values replaced, one constant for each column."""
    imputed = list(matrix.columns)
    indices = [
        index
        for index, column in enumerate(imputed)
        if not (_is_nan(missing_value) or _is_na(missing_value)) or not _is_complete(column)
    ]
    columns, numbers = [imputed[index] for index in indices], np.asarray(fills)[indices]
    if _is_nan(missing_value) or _is_na(missing_value):
        finite = bool(np.isfinite(numbers).all())
        replaced = compiler.map(MathFunction.IF_NAN, columns, numbers, dtype=matrix.dtype, finite=finite)
    else:
        replaced = _replace_number(columns, missing_value, numbers, matrix.dtype, compiler)
    for index, column in zip(indices, replaced, strict=True):
        imputed[index] = column
    return tuple(imputed)


def _is_complete(column: Column) -> bool:
    """Tell whether a column cannot have a missing value."""
    return isinstance(column, (Numeric, Coded)) and column.finite


def _replace_number(
    columns: Sequence[Column], missing_value: Any, fills: Any, dtype: np.dtype[Any], compiler: Compiler
) -> tuple[Column, ...]:
    """Return columns of numbers with a certain number replaced."""
    if isinstance(missing_value, str) or missing_value is None:
        return tuple(columns)
    replaced: list[Column] = list(columns)
    for index, column in enumerate(columns):
        if isinstance(column, Coded):
            replaced[index] = Coded(
                column.code, np.where(column.values == missing_value, fills[index], column.values), dtype
            )
    indices = [index for index, column in enumerate(columns) if not isinstance(column, Coded)]
    values = compiler.numbers([columns[index] for index in indices])
    is_missing = compiler.graph.map_const(MathFunction.EQ, values, float(missing_value))
    chosen = compiler.graph.select(is_missing, compiler.graph.constant(np.asarray(fills)[indices]), values)
    for index, value in zip(indices, chosen, strict=True):
        replaced[index] = Numeric(value, dtype, getattr(columns[index], "finite", False))
    return tuple(replaced)


def _impute_object(column: Column, missing_value: Any, fill: Any, compiler: Compiler) -> Column:
    """Return a column of objects, text or numbers, with missing values replaced.

    Raises:
        NoPlan: a text would stand among numbers, or the column holds neither.
    """
    if isinstance(column, Text):
        return _impute_text(column, missing_value, fill)
    if isinstance(column, (Numeric, Coded)):
        if _is_nan(missing_value) or missing_value is None or _is_na(missing_value):
            if column.finite or not _stands_for(missing_value, _missing_marker(column, missing_value)):
                return column
            if not _is_number(fill):
                raise NoPlan(f"a SimpleImputer puts {fill!r} among numbers")
            return compiler.map(MathFunction.IF_NAN, [column], float(fill), dtype=OBJECT)[0]
        if isinstance(missing_value, str):
            return column
        if not _is_number(fill):
            raise NoPlan(f"a SimpleImputer puts {fill!r} among numbers")
        return _replace_number([column], missing_value, [float(fill)], OBJECT, compiler)[0]
    raise NoPlan("a SimpleImputer has columns that hold neither text nor numbers")


def _impute_text(column: Text, missing_value: Any, fill: Any) -> Text:
    """Return a column of text with missing values replaced by a text.

    Raises:
        NoPlan: the replacement is no text.
    """
    replaced = column.replaced
    replaces_missing = _stands_for(missing_value, column.missing)
    if isinstance(missing_value, str):
        replaced = (
            *(
                (text, fill if replacement == missing_value else replacement)
                for text, replacement in replaced
                if text != missing_value
            ),
            (missing_value, fill),
        )
    elif not replaces_missing:
        return column
    if not isinstance(fill, str):
        raise NoPlan(f"a SimpleImputer puts {fill!r} among texts")
    pairs = tuple((str(text), str(replacement)) for text, replacement in replaced)
    return replace(column, missing=str(fill) if replaces_missing else column.missing, replaced=pairs)


def _missing_marker(column: Column, missing_value: Any) -> Any:
    """Return what a missing value of a column of numbers is: NaN or `None`; `pandas.NA` matches both."""
    return missing_value_of(column) if isinstance(column, Numeric) and not _is_na(missing_value) else math.nan


def _stands_for(missing_value: Any, value: Any) -> bool:
    """Tell whether an imputer takes a value of an array of objects for a missing one."""
    if _is_na(missing_value):
        return value is None or _is_nan(value)
    if _is_nan(missing_value):
        return _is_nan(value)
    return value is None if missing_value is None else bool(value == missing_value)


# Indicators of missing values.


@transforms("sklearn.MissingIndicator")
def missing_indicator(indicator: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `MissingIndicator.transform`: whether each column is missing.

    It tells about all columns, or only about those that had missing values in training. With `error_on_new` a row that
    lacks another column is refused.

    Raises:
        NoPlan: the columns are booleans.
    """
    missing_value = indicator.missing_values
    inputs = check_any_dtype(matrix, compiler, indicator, nan=_is_nan(missing_value))
    if inputs.dtype == _BOOL:
        raise NoPlan("a MissingIndicator takes no booleans")
    _check_bits_are_defined(inputs, missing_value, compiler)
    if indicator.features == "missing-only" and indicator.error_on_new:
        others = sorted(set(range(len(inputs))) - {int(index) for index in indicator.features_})
        present = compiler.map(MathFunction.EQ, _flags(inputs.take(others), missing_value, compiler), 0.0)
        reason = "a column is missing that the MissingIndicator never saw missing"
        compiler.graph.refuse(compiler.numbers(present), Kind.ZERO, reason)
    columns = _indicator_columns(indicator, inputs, compiler)
    return Matrix(columns, sparse=indicator.sparse is True or (indicator.sparse == "auto" and matrix.sparse))


def _indicator_columns(indicator: Any, matrix: Matrix, compiler: Compiler) -> tuple[Column, ...]:
    """Return whether each of the indicator's columns is missing."""
    all_columns = indicator.features == "all"
    indices: Iterable[int] = range(len(matrix)) if all_columns else [int(index) for index in indicator.features_]
    return _flags(matrix.take(indices), indicator.missing_values, compiler)


def _flags(matrix: Matrix, missing_value: Any, compiler: Compiler) -> tuple[Column, ...]:
    """Return for each column 1 where it is missing, else 0."""
    return tuple(_flag(column, missing_value, compiler) for column in matrix.columns)


def _flag(column: Column, missing_value: Any, compiler: Compiler) -> Column:
    """Return a column of booleans: whether a column is missing."""
    if isinstance(column, Text):
        code, texts = compiler.text(column, [missing_value] if isinstance(missing_value, str) else [])
        return Coded(code, np.array([float(_stands_for(missing_value, text)) for text in texts]), _BOOL)
    if _is_nan(missing_value) or _is_na(missing_value) or missing_value is None:
        if _stands_for(missing_value, _missing_marker(column, missing_value)):
            return compiler.map(MathFunction.IS_NAN, [column], dtype=_BOOL, finite=True)[0]
        return Numeric(compiler.graph.constant([0.0])[0], _BOOL, finite=True)
    if isinstance(missing_value, str):
        return Numeric(compiler.graph.constant([0.0])[0], _BOOL, finite=True)
    return compiler.map(MathFunction.EQ, [column], float(missing_value), dtype=_BOOL, finite=True)[0]


# Values that are predicted from other columns.


@transforms("sklearn.IterativeImputer")
def iterative_imputer(imputer: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `IterativeImputer.transform`: regressions of each column on others, in the order and number of training.

    Each prediction is clipped to the column's bounds (`_impute_one_feature`). If all values of the call are missing,
    scikit-learn returns the initial guess; a plan sees one row at a time and goes on.

    Raises:
        NoPlan: it samples, or a regressor answers with something else than one number.
    """
    if imputer.sample_posterior:
        raise NoPlan("an IterativeImputer that samples gives another answer every time")
    missing_value = imputer.missing_values
    inputs = floats(matrix, compiler, imputer, nan=_is_nan(missing_value))
    filled = list(simple_imputer(imputer.initial_imputer_, array(matrix), compiler).columns)
    empty = np.asarray(imputer._is_empty_feature)  # noqa: SLF001 - nothing public has it
    kept_columns = range(len(inputs)) if imputer.keep_empty_features else np.flatnonzero(~empty)
    inputs_kept = list(inputs.take(kept_columns).columns)
    if imputer.n_iter_ and imputer.imputation_sequence_:
        is_missing = compiler.numbers(_flags(Matrix(tuple(inputs_kept)), missing_value, compiler))
        for feature, predictor_indices, estimator in imputer.imputation_sequence_:
            index = int(feature)
            if imputer.keep_empty_features and empty[index]:
                continue
            # scikit-learn asks the regressor only about rows that lack the value: others must not be refused.
            predictors = compiler.numbers([filled[int(number)] for number in predictor_indices])
            zeros = compiler.graph.constant(np.zeros(len(predictors)))
            predictors = compiler.graph.select([is_missing[index]] * len(predictors), predictors, zeros)
            predictor_matrix = Matrix(tuple(Numeric(number, inputs.dtype) for number in predictors))
            prediction = answer(estimator, "predict", predictor_matrix, compiler)
            if not isinstance(prediction, Matrix) or len(prediction) != 1:
                raise NoPlan(f"an IterativeImputer asks a {type(estimator).__name__}, which predicts no single number")
            low, high = float(imputer._min_value[index]), float(imputer._max_value[index])  # noqa: SLF001
            value = compiler.numbers(with_dtype(clip(prediction, low, high, compiler), inputs.dtype).columns)
            value = compiler.numbers(compiler.cast(Matrix((Numeric(value[0]),)), inputs.dtype).columns)
            imputed = compiler.graph.select([is_missing[index]], value, compiler.numbers([filled[index]]))
            filled[index] = Numeric(imputed[0], inputs.dtype)
    return _with_indicator(imputer, inputs, Matrix(tuple(filled)), compiler)


@transforms("sklearn.KNNImputer")
def knn_imputer(imputer: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Refuse a `KNNImputer`: which of two rows is nearer is decided by the last bits of a BLAS.

    Raises:
        NoPlan: always.
    """
    raise NoPlan(
        "a KNNImputer takes the nearest rows, and which of two equally near ones it takes depends on the BLAS and on "
        "the rows beside: impute with a SimpleImputer or an IterativeImputer"
    )


def _is_nan(value: Any) -> bool:
    """Tell whether a value is a NaN."""
    return isinstance(value, (float, np.floating)) and math.isnan(value)


def _is_na(value: Any) -> bool:
    """Tell whether a value is `pandas.NA`, without importing pandas."""
    return type(value).__name__ == "NAType"


def _is_number(value: Any) -> bool:
    """Tell whether a value is a Python or NumPy number or boolean."""
    return isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating))
