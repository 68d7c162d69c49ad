"""Coerce the columns of any container to a canonical batch; columns of Python values are coerced value by value."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import pyarrow as pa

from fourfold.errors import RowErrors
from fourfold.signature.columns import ColumnCoercer
from fourfold.signature.field import Extra, Field
from fourfold.signature.table_columns import check_columns

__all__ = ["coerce"]


def coerce(
    columns: Iterable[tuple[str, Any]],
    length: int,
    fields: tuple[Field, ...],
    extra: Extra,
    max_errors: int | None = None,
    absent: Collection[str] = (),
) -> tuple[Any, RowErrors]:
    """Coerce named columns.

    Args:
        columns: names, each with a `pyarrow.Array` or a list of Python values, `None` for a missing value. The column
            of a name that is no field may be `None`.
        length: the number of rows, `n`.
        fields: the signature's inputs.
        extra: `forbid` makes a column that is no field an error, `ignore` drops it.
        max_errors: the most errors that are built; the others are counted. `None` builds all.
        absent: the nullable fields whose column may be absent.

    Returns:
        A canonical `pyarrow.RecordBatch` of `n` rows, null where a value is invalid; and the errors, ordered by row.

    Raises:
        TableError: a field has no column and is not in `absent`, or a column is no field and may not be.
        DecodeError: two columns have the name of one field.
    """
    by_name = {field.name: field for field in fields}
    names: list[str] = []
    arrays: list[Any] = []
    values: dict[str, Sequence[Any]] = {}
    for name, column in columns:
        array = column
        if column is None or name not in by_name:
            array = pa.nulls(length)
        elif isinstance(column, list):
            values[name] = column
            array = pa.nulls(length)
        names.append(name)
        arrays.append(array)
    if not names:  # an Arrow table without columns does not keep its number of rows
        check_columns(fields, names, extra, absent)
        names, arrays = [fields[0].name], [pa.nulls(length)]
    table = pa.Table.from_arrays(arrays, names=names)
    batch, errors = ColumnCoercer(fields, extra)(table, max_errors, values, absent)
    return batch, errors
