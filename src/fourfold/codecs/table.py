"""Convert the two forms of a table, rows and record batches, into each other, and into chunks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from fourfold.errors import DecodeError, SinkError, SourceError, shorten
from fourfold.signature.field import Field, first_duplicate

__all__ = [
    "ENCODED_ROWS",
    "Rows",
    "Table",
    "as_batch",
    "as_rows",
    "check_names",
    "check_schema",
    "rechunk",
    "rows_in_chunks",
    "select_columns",
    "slice_rows",
    "slices_as_rows",
]

#: The rows that an encoder converts at a time: of a million, each copy as dicts takes hundreds of megabytes.
ENCODED_ROWS = 1 << 14

#: Rows as plain Python values. A decoder's rows may hold an element that is no object, as the bytes had it: the
#: coercion reports it as an error of that row.
Rows: TypeAlias = list[dict[str, Any]]
#: `Rows`, or a `pyarrow.RecordBatch` or `Table`; pyarrow ships no types.
Table: TypeAlias = Any


def as_rows(table: Table, fields: Sequence[Field]) -> Rows:
    """Return a canonical table as rows that hold exactly `fields`, in their order; an absent key is missing.

    Raises:
        SinkError: an Arrow table lacks a column, or holds one of another type than the field's.
    """
    names = [field.name for field in fields]
    if isinstance(table, list):
        return [{name: row.get(name) for name in names} for row in table]
    from fourfold.signature.columns import columns_to_rows

    return columns_to_rows(fields, as_batch(table, fields))


def slices_as_rows(table: Table, fields: Sequence[Field]) -> Iterator[Rows]:
    """Yield a canonical table as `as_rows` returns it, `ENCODED_ROWS` rows at a time; a table without rows once."""
    if len(table) <= ENCODED_ROWS:
        yield as_rows(table, fields)
        return
    for start in range(0, len(table), ENCODED_ROWS):
        yield as_rows(slice_rows(table, start, start + ENCODED_ROWS), fields)


def slice_rows(table: Table, start: int, stop: int) -> Table:
    """Return the rows from `start` to `stop` of a table, in its form; an Arrow table is not copied."""
    return table[start:stop] if isinstance(table, list) else table.slice(start, stop - start)


def as_batch(table: Table, fields: Sequence[Field]) -> Any:
    """Return a canonical table as a `pyarrow.RecordBatch` of the canonical schema of `fields`.

    Raises:
        SinkError: an Arrow table lacks a column or holds one of another type, or a row's value does not fit its field.
    """
    import pyarrow as pa

    from fourfold.signature.columns import arrow_schema, arrow_type, rows_to_columns

    if isinstance(table, list):
        try:
            return rows_to_columns(fields, as_rows(table, fields))
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise SinkError(
                f"rows that do not hold the canonical values of their fields: {shorten(str(error), 200)}"
            ) from error
    arrays = []
    names = frozenset(table.schema.names)  # a new list at every access
    for field in fields:
        if field.name not in names:
            raise SinkError(f"the table has no column {shorten(field.name)}; it has {shorten(table.schema.names, 200)}")
        column = table.column(field.name)
        if column.type != arrow_type(field):
            raise SinkError(f"column {shorten(field.name)}: expected {arrow_type(field)}, got {column.type}")
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        arrays.append(column)
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(fields))


def rechunk(batches: Iterable[Any], chunk_rows: int, chunk_bytes: int = 1 << 30) -> Iterator[Any]:
    """Slice and join record batches so that each has `chunk_rows` rows; the last may have fewer.

    A chunk has fewer where it would take more than `chunk_bytes` of memory.

    Raises:
        DecodeError: one chunk would hold a column of more text than an Arrow array can (2 GiB).
    """
    waiting: list[Any] = []
    count = size = 0
    for batch in batches:
        remaining = batch
        if waiting and size + batch.nbytes > chunk_bytes:
            yield _join(waiting)
            waiting, count, size = [], 0, 0
        while count + remaining.num_rows >= chunk_rows:
            n_rows = chunk_rows - count
            yield _join([*waiting, remaining.slice(0, n_rows)])
            remaining, waiting, count, size = remaining.slice(n_rows), [], 0, 0
        if remaining.num_rows:
            waiting.append(remaining)
            count += remaining.num_rows
            size += remaining.nbytes
    if waiting:
        yield _join(waiting)


def _join(batches: list[Any]) -> Any:
    if len(batches) == 1:
        return batches[0]
    import pyarrow as pa

    joined_batches = pa.Table.from_batches(batches).combine_chunks().to_batches()
    if len(joined_batches) != 1:
        rows = sum(batch.num_rows for batch in batches)
        raise DecodeError(f"{rows} rows hold a column of more than 2 GiB: read fewer rows a chunk")
    return joined_batches[0]


def rows_in_chunks(rows: Iterable[Any], chunk_rows: int, columns: Sequence[str] | None) -> Iterator[Rows]:
    """Yield lists of `chunk_rows` rows; the last may have fewer. `columns` are the keys to keep, `None` for all."""
    _check_chunk_rows(chunk_rows)
    kept_keys = None if columns is None else frozenset(columns)
    chunk: Rows = []
    for row in rows:
        if kept_keys is not None and isinstance(row, dict):
            chunk.append({key: value for key, value in row.items() if key in kept_keys})
        else:
            chunk.append(row)
        if len(chunk) == chunk_rows:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def select_columns(columns: Sequence[str] | None, stored: Sequence[str], chunk_rows: int, where: str) -> list[str]:
    """Return the columns to read: `columns`, in their order, or all that are stored.

    Raises:
        SourceError: one of `columns` is not stored.
        DecodeError: two of these columns have the same name.
        ValueError: `chunk_rows` is less than 1.
    """
    _check_chunk_rows(chunk_rows)
    check_names(stored, columns, "the table")
    stored_names = frozenset(stored)
    selected = list(stored if columns is None else columns)
    for name in selected:
        if name not in stored_names:
            raise SourceError(f"{where} has no column {shorten(name)}; it has {', '.join(map(shorten, stored[:12]))}")
    return selected


def check_names(stored: Sequence[str], wanted: Collection[str] | None, where: str) -> None:
    """Check that the names of columns that somebody asks for, all for `None`, are unique; raise `DecodeError`."""
    if len(set(stored)) == len(stored):
        return
    names = None if wanted is None else frozenset(wanted)
    duplicate = first_duplicate(name for name in stored if names is None or name in names)
    if duplicate is not None:
        raise DecodeError(f"{where} has the column {shorten(duplicate)} twice")


def check_schema(schema: Any) -> Any:
    """Check that an Arrow schema is readable; return it.

    Raises:
        ValueError: a name or a time zone is not UTF-8; pyarrow decodes them only on access.
    """
    import pyarrow as pa

    from fourfold.signature.column_sizes import NUMBER_IDS

    _ = schema.names
    types = [data_type for data_type in schema.types if data_type.id not in NUMBER_IDS]
    while types:
        data_type = types.pop()
        if pa.types.is_timestamp(data_type):
            _ = data_type.tz
        elif pa.types.is_dictionary(data_type):
            types.append(data_type.value_type)
        else:
            types.extend(data_type.field(index).type for index in range(data_type.num_fields))
    return schema


def _check_chunk_rows(chunk_rows: int) -> None:
    if chunk_rows < 1:
        raise ValueError(f"chunk_rows must be at least 1, not {chunk_rows}")
