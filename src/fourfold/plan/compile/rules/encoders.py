"""Encoders: categories looked up, and what stands for each of them.

An encoder's columns depend on the category alone, so each of them stays a table of the category's code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import transforms
from fourfold.plan.compile.arrays import array, missing_value_of, plain
from fourfold.plan.compile.columns import FLOAT64, Coded, Column, Compiler, Matrix, NoPlan, Numeric, Opaque, Text
from fourfold.plan.format import Kind
from fourfold.plan.graph.builder import Code
from fourfold.plan.graph.numerics import is_rounded

__all__ = ["one_hot"]

#: The first integer that a float64 cannot tell from its neighbour.
_INEXACT = 2**53


@dataclass
class _Categories:
    """The categories of one column for each code of it, as an encoder of scikit-learn has them for each row.

    Attributes:
        code: the code.
        places: the category's place for each code, 0 where it is unknown.
        known: whether there is one, for each code.
    """

    code: Code
    places: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]


# Encoders.


@transforms("sklearn.OneHotEncoder")
def one_hot_encoder(encoder: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """A column for each category."""
    return one_hot(encoder, matrix, compiler, dtype=np.dtype(encoder.dtype))


def one_hot(encoder: Any, matrix: Matrix, compiler: Compiler, *, dtype: np.dtype[Any]) -> Matrix:
    """A column for each category, for the encoder itself or for a transformer that has one inside.

    Args:
        encoder: the fitted `OneHotEncoder`.
        matrix: the columns.
        compiler: the compiler.
        dtype: of the columns that come out.
    """
    _check_dtype(encoder, dtype)
    if encoder.handle_unknown not in ("error", "ignore", "infrequent_if_exist", "warn"):
        raise NoPlan(f"a OneHotEncoder handles what is unknown as {encoder.handle_unknown}")
    columns: list[Column] = []
    dropped = encoder._drop_idx_after_grouping  # noqa: SLF001 - `drop_idx_` names categories before they are grouped
    for place, found in enumerate(_found(encoder, matrix, compiler)):
        if encoder.handle_unknown == "error":
            _refuse_unknown(encoder, place, found, compiler)
        _group_infrequent(encoder, place, found, None)
        if dropped is not None:
            gone = len(encoder.categories_[place]) if dropped[place] is None else int(dropped[place])
            kept = found.places != gone
            found.places[found.places > gone] -= 1
            found.known &= kept
        width = int(encoder._n_features_outs[place])  # noqa: SLF001 - no public attribute has it
        columns.extend(_one_hot_columns(found, width, dtype))
    return Matrix(tuple(columns), sparse=bool(encoder.sparse_output))


def _one_hot_columns(found: _Categories, width: int, dtype: np.dtype[Any]) -> Iterator[Coded]:
    """A column for each place: most of them differ at a single code, and are kept as such."""
    codes = np.flatnonzero(found.known)
    codes = codes[np.argsort(found.places[codes], kind="stable")]
    starts = np.searchsorted(found.places[codes], np.arange(width + 1))
    one, nothing = np.array([0.0, 1.0]), np.zeros(2)
    for place in range(width):
        mine = codes[starts[place] : starts[place + 1]]
        if len(mine) > 1:
            values = np.zeros(found.code.limit)
            values[mine] = 1.0
            yield Coded(found.code, values, dtype)
        else:
            code = int(mine[0]) if len(mine) else 0
            yield Coded(found.code, dtype=dtype, levels=one if len(mine) else nothing, hot_code=code)


@transforms("sklearn.OrdinalEncoder")
def ordinal_encoder(encoder: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The category's place as a number."""
    dtype = np.dtype(encoder.dtype)
    _check_dtype(encoder, dtype)
    if encoder.handle_unknown not in ("error", "use_encoded_value"):
        raise NoPlan(f"an OrdinalEncoder handles what is unknown as {encoder.handle_unknown}")
    columns: list[Column] = []
    for place, found in enumerate(_found(encoder, matrix, compiler)):
        missing = encoder._missing_indices.get(place)  # noqa: SLF001 - no public attribute has it
        if encoder.handle_unknown == "error":
            _refuse_unknown(encoder, place, found, compiler)
        _group_infrequent(encoder, place, found, missing)
        values = found.places.astype(np.float64)
        if missing is not None:
            values[found.places == missing] = encoder.encoded_missing_value
        if encoder.handle_unknown == "use_encoded_value":
            values[~found.known] = encoder.unknown_value
        columns.append(Coded(found.code, _held(values, dtype), dtype))
    return Matrix(tuple(columns))


@transforms("sklearn.TargetEncoder")
def target_encoder(encoder: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The mean of the target among the rows of a category, one for each class where there are several."""
    classes = len(encoder.classes_) if encoder.target_type_ == "multiclass" else 1
    means = np.broadcast_to(np.asarray(encoder.target_mean_, dtype=np.float64), (classes,))
    columns: list[Column] = []
    for place, found in enumerate(_found(encoder, matrix, compiler)):
        for each in range(classes):
            encoding = np.asarray(encoder.encodings_[place * classes + each], dtype=np.float64)
            columns.append(Coded(found.code, np.where(found.known, encoding[found.places], means[each])))
    return Matrix(tuple(columns))


def _check_dtype(encoder: Any, dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "biuf" or (dtype.kind == "f" and dtype.itemsize not in (4, 8)):
        raise NoPlan(f"the {type(encoder).__name__} gives {dtype}")


def _held(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> npt.NDArray[np.float64]:
    """Numbers as they come back from a dtype."""
    held = values.astype(dtype).astype(np.float64)
    if not np.array_equal(held, values, equal_nan=True):
        raise NoPlan(f"an encoder's numbers do not fit into {dtype}")
    return held


# Categories.


def _found(encoder: Any, matrix: Matrix, compiler: Compiler) -> list[_Categories]:
    """The categories of every column; a frame of pandas is validated column by column, all else as one array."""
    if matrix.frame and not matrix.polars:
        columns = list(matrix.columns)
        floats = [each for each in columns if isinstance(each, (Numeric, Coded)) and each.dtype.kind == "f"]
        compiler.refuse(floats, encoder, nan=True)
    else:
        columns = list(plain(array(matrix), compiler, encoder, nan=True).columns)
    pairs = zip(columns, encoder.categories_, strict=True)
    return [_categorized(column, list(categories), compiler) for column, categories in pairs]


def _categorized(column: Column, categories: list[Any], compiler: Compiler) -> _Categories:
    code, means = _looked_up(column, categories, compiler)
    known: dict[Any, int] = {}
    for place, category in enumerate(categories):
        known.setdefault("NaN" if _is_nan(category) else _key(category), place)
    found = [known.get("NaN" if _is_nan(each) else _key(each), -1) for each in means]
    places = np.array(found, dtype=np.int64)
    return _Categories(code, np.maximum(places, 0), places >= 0)


def _key(value: Any) -> Any:
    """What two values have in common that are equal to a dictionary of Python; texts never equal the word NaN here."""
    return ("text", str(value)) if isinstance(value, str) else value


def _is_nan(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and math.isnan(value)


def _looked_up(column: Column, categories: Sequence[Any], compiler: Compiler) -> tuple[Code, list[Any]]:
    """A code of a column, and what stands there for each: `...` is something that is none of the categories."""
    if isinstance(column, Opaque):
        raise NoPlan(column.why)
    if isinstance(column, Text):
        return compiler.text(column, [str(each) for each in categories if isinstance(each, str)])
    if isinstance(column, Coded):
        return column.code, column.values.tolist()
    numbers = sorted({float(each) for each in categories if _is_number(each) and not _is_nan(each)})
    if column.dtype != FLOAT64 and column.dtype.kind in "iuO" and any(abs(each) >= _INEXACT for each in numbers):
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
    return isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating))


def _group_infrequent(encoder: Any, place: int, found: _Categories, ignored: int | None) -> None:
    """What is infrequent becomes one category, and what is unknown too where the encoder says so."""
    if not encoder._infrequent_enabled:  # noqa: SLF001 - no public attribute has it
        return
    infrequent, mapping = encoder._infrequent_indices[place], encoder._default_to_infrequent_mappings[place]  # noqa: SLF001
    if infrequent is None:
        return
    found.places[~found.known] = infrequent[0]
    if encoder.handle_unknown in ("infrequent_if_exist", "warn"):
        found.known[:] = True
    changed = np.full(len(found.places), True) if ignored is None else found.places != ignored
    found.places[changed] = np.take(mapping, found.places[changed])


def _refuse_unknown(encoder: Any, place: int, found: _Categories, compiler: Compiler) -> None:
    if found.known.all():
        return
    names = getattr(encoder, "feature_names_in_", None)
    where = place if names is None else names[place]
    number = compiler.number(Coded(found.code, found.known.astype(np.float64)))
    why = f"the {type(encoder).__name__} does not know the category in the column {where}"
    compiler.graph.refuse([number], Kind.ZERO, why)
