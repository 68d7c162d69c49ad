"""Coerce the columns of any container to a canonical batch; what is no Arrow array is coerced value by value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import pyarrow as pa

from fourfold.errors import RowError
from fourfold.signature.columns import ColumnCoercer, arrow_type
from fourfold.signature.field import Field
from fourfold.signature.rows import Mismatch, coercer, is_missing

__all__ = ["coerce"]


def coerce(
    columns: Iterable[tuple[str, Any]], length: int, fields: tuple[Field, ...], extra: Literal["forbid", "ignore"]
) -> tuple[Any, list[RowError]]:
    """Coerce named columns.

    Args:
        columns: a name, and a `pyarrow.Array` or a list of Python values, missing ones `None`. A name that is no
            field may come without a column: `None`.
        length: the number of rows, `n`.
        fields: the signature's inputs.
        extra: what becomes of a column that is no field.

    Returns:
        A canonical `pyarrow.RecordBatch` of `n` rows, null where a value is at fault; and every error, by row.

    Raises:
        DecodeError: a name is there twice.
    """
    by_name = {field.name: field for field in fields}
    names: list[str] = []
    arrays: list[Any] = []
    faults: list[RowError] = []
    for name, column in columns:
        array = column
        if column is None or name not in by_name:
            array = pa.nulls(length)
        elif isinstance(column, list):
            array, errors = _one_by_one(by_name[name], column)
            faults.extend(errors)
        names.append(name)
        arrays.append(array)
    if not names:  # a table of rows without a single column: Arrow would forget how many
        names, arrays = [fields[0].name], [pa.nulls(length)]
    batch, errors = ColumnCoercer(fields, extra)(pa.Table.from_arrays(arrays, names=names))
    return batch, _merged(faults, errors, fields) if faults else errors


def _one_by_one(field: Field, values: Sequence[Any]) -> tuple[Any, list[RowError]]:
    one = coercer(field)
    out: list[Any] = []
    faults: list[RowError] = []
    for row, value in enumerate(values):
        try:
            out.append(None if is_missing(value) else one(value))
        except Mismatch as problem:
            out.append(None)
            faults.append(RowError(row, field.name, problem.code, problem.expected, problem.got))
    return pa.array(out, type=arrow_type(field)), faults


def _merged(faults: list[RowError], errors: list[RowError], fields: tuple[Field, ...]) -> list[RowError]:
    """Merge two lists of errors by row and field, without the "missing" that a refused value left behind."""
    known = {(fault.row, fault.field) for fault in faults}
    order: dict[str | None, int] = {field.name: index for index, field in enumerate(fields)}
    both = faults + [error for error in errors if (error.row, error.field) not in known]
    return sorted(both, key=lambda error: (error.row, order.get(error.field, len(fields))))
