"""Compile scikit-learn's encoders of categories: OneHotEncoder, OrdinalEncoder and TargetEncoder.

A column of the answer depends on the category alone, so it is a table of the category's code. All of it is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import transforms
from fourfold.plan.compile.arrays import array, check_any_dtype, missing_value_of
from fourfold.plan.compile.columns import FLOAT64, Coded, Column, Compiler, Matrix, NoPlan, Numeric, Opaque, Text
from fourfold.plan.format import Kind
from fourfold.plan.graph.builder import Code
from fourfold.plan.graph.numerics import is_rounded

__all__ = ["one_hot"]

#: From here on, a float64 cannot distinguish adjacent integers.
_MIN_INEXACT_INTEGER = 2**53


@dataclass
class _Categories:
    """Hold the category of each code of a column, as `_BaseEncoder._transform` has it for each row.

    Attributes:
        code: the code.
        indices: the index of each code's category, 0 where it is unknown.
        known: whether each code has a category.
    """

    code: Code
    indices: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]


# Encoders.


@transforms("sklearn.OneHotEncoder")
def one_hot_encoder(encoder: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `OneHotEncoder.transform`: a column for each category."""
    return one_hot(encoder, matrix, compiler, dtype=np.dtype(encoder.dtype))


def one_hot(encoder: Any, matrix: Matrix, compiler: Compiler, *, dtype: np.dtype[Any]) -> Matrix:
    """Return a column for each category, for a OneHotEncoder or a transformer that has one inside.

    Args:
        encoder: the fitted `OneHotEncoder`.
        matrix: the columns.
        compiler: the plan's compiler.
        dtype: the dtype of the columns that come out.

    Raises:
        NoPlan: the encoder handles unknown categories in a way that has no rule.
    """
    _check_dtype(encoder, dtype)
    if encoder.handle_unknown not in ("error", "ignore", "infrequent_if_exist", "warn"):
        raise NoPlan(f"a OneHotEncoder handles what is unknown as {encoder.handle_unknown}")
    columns: list[Column] = []
    dropped_indices = encoder._drop_idx_after_grouping  # noqa: SLF001 - `drop_idx_` is ungrouped
    for index, categories in enumerate(_categories_of_columns(encoder, matrix, compiler)):
        if encoder.handle_unknown == "error":
            _refuse_unknown(encoder, index, categories, compiler)
        _group_infrequent(encoder, index, categories, None)
        if dropped_indices is not None:
            dropped = len(encoder.categories_[index]) if dropped_indices[index] is None else int(dropped_indices[index])
            is_kept = categories.indices != dropped
            categories.indices[categories.indices > dropped] -= 1
            categories.known &= is_kept
        width = int(encoder._n_features_outs[index])  # noqa: SLF001 - no public attribute has it
        columns.extend(_one_hot_columns(categories, width, dtype))
    return Matrix(tuple(columns), sparse=bool(encoder.sparse_output))


def _one_hot_columns(categories: _Categories, width: int, dtype: np.dtype[Any]) -> Iterator[Coded]:
    """Yield a column for each category.

    Most differ from 0 at a single code; these are kept as two levels and the code, whatever the number of codes.
    """
    codes = np.flatnonzero(categories.known)
    codes = codes[np.argsort(categories.indices[codes], kind="stable")]
    starts = np.searchsorted(categories.indices[codes], np.arange(width + 1))
    hot_levels, zero_levels = np.array([0.0, 1.0]), np.zeros(2)
    for index in range(width):
        hot_codes = codes[starts[index] : starts[index + 1]]
        if len(hot_codes) > 1:
            values = np.zeros(categories.code.limit)
            values[hot_codes] = 1.0
            yield Coded(categories.code, values, dtype)
        else:
            code = int(hot_codes[0]) if len(hot_codes) else 0
            yield Coded(
                categories.code, dtype=dtype, levels=hot_levels if len(hot_codes) else zero_levels, hot_code=code
            )


@transforms("sklearn.OrdinalEncoder")
def ordinal_encoder(encoder: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `OrdinalEncoder.transform`: the index of each category.

    Raises:
        NoPlan: the encoder handles unknown categories in a way that has no rule.
    """
    dtype = np.dtype(encoder.dtype)
    _check_dtype(encoder, dtype)
    if encoder.handle_unknown not in ("error", "use_encoded_value"):
        raise NoPlan(f"an OrdinalEncoder handles what is unknown as {encoder.handle_unknown}")
    columns: list[Column] = []
    for index, categories in enumerate(_categories_of_columns(encoder, matrix, compiler)):
        missing_index = encoder._missing_indices.get(index)  # noqa: SLF001 - no public attribute has it
        if encoder.handle_unknown == "error":
            _refuse_unknown(encoder, index, categories, compiler)
        _group_infrequent(encoder, index, categories, missing_index)
        values = categories.indices.astype(np.float64)
        if missing_index is not None:
            values[categories.indices == missing_index] = encoder.encoded_missing_value
        if encoder.handle_unknown == "use_encoded_value":
            values[~categories.known] = encoder.unknown_value
        columns.append(Coded(categories.code, _convert_exactly(values, dtype), dtype))
    return Matrix(tuple(columns))


@transforms("sklearn.TargetEncoder")
def target_encoder(encoder: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `TargetEncoder.transform`: the target's mean in each category, one column a class if several."""
    n_classes = len(encoder.classes_) if encoder.target_type_ == "multiclass" else 1
    means = np.broadcast_to(np.asarray(encoder.target_mean_, dtype=np.float64), (n_classes,))
    columns: list[Column] = []
    for index, categories in enumerate(_categories_of_columns(encoder, matrix, compiler)):
        for class_index in range(n_classes):
            encoding = np.asarray(encoder.encodings_[index * n_classes + class_index], dtype=np.float64)
            columns.append(
                Coded(categories.code, np.where(categories.known, encoding[categories.indices], means[class_index]))
            )
    return Matrix(tuple(columns))


def _check_dtype(encoder: Any, dtype: np.dtype[Any]) -> None:
    """Check that a plan can answer with an encoder's dtype; raises `NoPlan`."""
    if dtype.kind not in "biuf" or (dtype.kind == "f" and dtype.itemsize not in (4, 8)):
        raise NoPlan(f"the {type(encoder).__name__} gives {dtype}")


def _convert_exactly(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> npt.NDArray[np.float64]:
    """Return numbers as a dtype stores them; raises `NoPlan` where it cannot."""
    stored = values.astype(dtype).astype(np.float64)
    if not np.array_equal(stored, values, equal_nan=True):
        raise NoPlan(f"an encoder's numbers do not fit into {dtype}")
    return stored


# Categories.


def _categories_of_columns(encoder: Any, matrix: Matrix, compiler: Compiler) -> list[_Categories]:
    """Return the categories of every column.

    A frame of pandas is validated column by column, all else as one array (`_BaseEncoder._check_X`).
    """
    if matrix.frame and not matrix.polars:
        columns = list(matrix.columns)
        floats = [column for column in columns if isinstance(column, (Numeric, Coded)) and column.dtype.kind == "f"]
        compiler.refuse(floats, encoder, nan=True)
    else:
        columns = list(check_any_dtype(array(matrix), compiler, encoder, nan=True).columns)
    pairs = zip(columns, encoder.categories_, strict=True)
    return [_categories_of(column, list(categories), compiler) for column, categories in pairs]


def _categories_of(column: Column, categories: list[Any], compiler: Compiler) -> _Categories:
    """Return the categories of a column."""
    code, values = _code_of(column, categories, compiler)
    index_of: dict[Any, int] = {}
    for index, category in enumerate(categories):
        index_of.setdefault("NaN" if _is_nan(category) else _key(category), index)
    indices = [index_of.get("NaN" if _is_nan(value) else _key(value), -1) for value in values]
    category_indices = np.array(indices, dtype=np.int64)
    return _Categories(code, np.maximum(category_indices, 0), category_indices >= 0)


def _key(value: Any) -> Any:
    """Return a key that is equal for values that are equal in Python; no text is equal to the word NaN."""
    return ("text", str(value)) if isinstance(value, str) else value


def _is_nan(value: Any) -> bool:
    """Tell whether a value is a NaN."""
    return isinstance(value, (float, np.floating)) and math.isnan(value)


def _code_of(column: Column, categories: Sequence[Any], compiler: Compiler) -> tuple[Code, list[Any]]:
    """Return a code of a column, and the value that stands there for each code; `...` is none of the categories.

    Raises:
        NoPlan: the column cannot be read, or its numbers cannot be compared exactly.
    """
    if isinstance(column, Opaque):
        raise NoPlan(column.why)
    if isinstance(column, Text):
        return compiler.text(column, [str(category) for category in categories if isinstance(category, str)])
    if isinstance(column, Coded):
        return column.code, column.values.tolist()
    numbers = sorted({float(category) for category in categories if _is_number(category) and not _is_nan(category)})
    if (
        column.dtype != FLOAT64
        and column.dtype.kind in "iuO"
        and any(abs(category) >= _MIN_INEXACT_INTEGER for category in numbers)
    ):
        raise NoPlan("an encoder has categories beyond 2^53, where numbers can no longer be told apart")
    value = compiler.number(column)
    if numbers and compiler.approximations and is_rounded(value):
        raise NoPlan("an encoder looks up numbers of which a library or a processor decides the last bits")
    code = compiler.graph.match(value, numbers)
    return code, [
        *numbers,
        ...,
        missing_value_of(column) if isinstance(column, Numeric) and not column.finite else math.nan,
    ]


def _is_number(value: Any) -> bool:
    """Tell whether a value is a Python or NumPy number or boolean."""
    return isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating))


def _group_infrequent(encoder: Any, column: int, categories: _Categories, ignored: int | None) -> None:
    """Replace infrequent categories by one, and unknown ones too if the encoder says so (`_map_infrequent_categories`).

    Args:
        encoder: the encoder.
        column: the column's index.
        categories: the column's categories, which are changed.
        ignored: the index of the missing category, which is never infrequent; `None` without one.
    """
    if not encoder._infrequent_enabled:  # noqa: SLF001 - no public attribute has it
        return
    infrequent, mapping = encoder._infrequent_indices[column], encoder._default_to_infrequent_mappings[column]  # noqa: SLF001
    if infrequent is None:
        return
    categories.indices[~categories.known] = infrequent[0]
    if encoder.handle_unknown in ("infrequent_if_exist", "warn"):
        categories.known[:] = True
    is_grouped = np.full(len(categories.indices), True) if ignored is None else categories.indices != ignored
    categories.indices[is_grouped] = np.take(mapping, categories.indices[is_grouped])


def _refuse_unknown(encoder: Any, column: int, categories: _Categories, compiler: Compiler) -> None:
    """Refuse rows with an unknown category."""
    if categories.known.all():
        return
    names = getattr(encoder, "feature_names_in_", None)
    name = column if names is None else names[column]
    number = compiler.number(Coded(categories.code, categories.known.astype(np.float64)))
    reason = f"the {type(encoder).__name__} does not know the category in the column {name}"
    compiler.graph.refuse([number], Kind.ZERO, reason)
