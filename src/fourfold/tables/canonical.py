"""Coerce the columns of any container to a canonical batch; columns of Python values are coerced value by value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import pyarrow as pa

from fourfold.errors import RowError, RowErrors
from fourfold.signature.columns import ColumnCoercer, arrow_type
from fourfold.signature.field import Field
from fourfold.signature.rows import Mismatch, coercer, is_missing

__all__ = ["coerce"]


def coerce(
    columns: Iterable[tuple[str, Any]],
    length: int,
    fields: tuple[Field, ...],
    extra: Literal["forbid", "ignore"],
    max_errors: int | None = None,
) -> tuple[Any, RowErrors]:
    """Coerce named columns.

    Args:
        columns: names, each with a `pyarrow.Array` or a list of Python values, `None` for a missing value. The column
            of a name that is no field may be `None`.
        length: the number of rows, `n`.
        fields: the signature's inputs.
        extra: `forbid` makes a column that is no field an error, `ignore` drops it.
        max_errors: the most errors of Arrow columns that are built; the others are counted. `None` builds all.

    Returns:
        A canonical `pyarrow.RecordBatch` of `n` rows, null where a value is invalid; and the errors, ordered by row.

    Raises:
        DecodeError: two columns have the same name.
    """
    by_name = {field.name: field for field in fields}
    names: list[str] = []
    arrays: list[Any] = []
    value_errors: list[RowError] = []
    for name, column in columns:
        array = column
        if column is None or name not in by_name:
            array = pa.nulls(length)
        elif isinstance(column, list):
            array, errors = _coerce_values(by_name[name], column)
            value_errors.extend(errors)
        names.append(name)
        arrays.append(array)
    if not names:  # an Arrow table without columns does not keep its number of rows
        names, arrays = [fields[0].name], [pa.nulls(length)]
    table = pa.Table.from_arrays(arrays, names=names)
    batch, errors = ColumnCoercer(fields, extra)(table, None if value_errors else max_errors)
    return batch, _merge_errors(value_errors, errors, fields) if value_errors else errors


def _coerce_values(field: Field, values: Sequence[Any]) -> tuple[Any, list[RowError]]:
    coerce_value = coercer(field)
    coerced: list[Any] = []
    errors: list[RowError] = []
    for row, value in enumerate(values):
        try:
            coerced.append(None if is_missing(value) else coerce_value(value))
        except Mismatch as mismatch:
            coerced.append(None)
            errors.append(RowError(row, field.name, mismatch.code, mismatch.expected, mismatch.got))
    return pa.array(coerced, type=arrow_type(field)), errors


def _merge_errors(value_errors: list[RowError], errors: list[RowError], fields: tuple[Field, ...]) -> RowErrors:
    """Merge two lists of errors by row and field; drop the "missing" that follows from an invalid value's null."""
    reported = {(error.row, error.field) for error in value_errors}
    order: dict[str | None, int] = {field.name: index for index, field in enumerate(fields)}
    merged = value_errors + [error for error in errors if (error.row, error.field) not in reported]
    return RowErrors(sorted(merged, key=lambda error: (error.row, order.get(error.field, len(fields)))))
