"""Convert the two forms of a table, rows and record batches, into each other, and into chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from fourfold.errors import DecodeError, SinkError, SourceError, shorten
from fourfold.signature.field import Field

__all__ = ["Rows", "Table", "as_batch", "as_rows", "readable", "rechunk", "repeated", "require", "rows_in_chunks"]

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
    for field in fields:
        if field.name not in table.schema.names:
            raise SinkError(f"the table has no column {shorten(field.name)}; it has {shorten(table.schema.names, 200)}")
        column = table.column(field.name)
        if column.type != arrow_type(field):
            raise SinkError(f"column {shorten(field.name)}: expected {arrow_type(field)}, got {column.type}")
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        arrays.append(column)
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(fields))


def rechunk(batches: Iterable[Any], chunk_rows: int) -> Iterator[Any]:
    """Record batches of any sizes, cut and joined so that each has `chunk_rows` rows; only the last may have fewer.

    Raises:
        DecodeError: one chunk would hold a column of more text than an Arrow array can (2 GiB).
    """
    held: list[Any] = []
    count = 0
    for batch in batches:
        rest = batch
        while count + rest.num_rows >= chunk_rows:
            taken = chunk_rows - count
            yield _joined([*held, rest.slice(0, taken)])
            rest, held, count = rest.slice(taken), [], 0
        if rest.num_rows:
            held.append(rest)
            count += rest.num_rows
    if held:
        yield _joined(held)


def _joined(batches: list[Any]) -> Any:
    if len(batches) == 1:
        return batches[0]
    import pyarrow as pa

    joined = pa.Table.from_batches(batches).combine_chunks().to_batches()
    if len(joined) != 1:
        rows = sum(batch.num_rows for batch in batches)
        raise DecodeError(f"{rows} rows hold a column of more than 2 GiB: read fewer rows a chunk")
    return joined[0]


def rows_in_chunks(rows: Iterable[Any], chunk_rows: int, columns: Sequence[str] | None) -> Iterator[Rows]:
    """Rows as lists of `chunk_rows`, only the last with fewer, cut down to the keys in `columns` where it is given."""
    _check_chunk_rows(chunk_rows)
    keep = None if columns is None else frozenset(columns)
    held: Rows = []
    for row in rows:
        if keep is not None and isinstance(row, dict):
            held.append({key: value for key, value in row.items() if key in keep})
        else:
            held.append(row)
        if len(held) == chunk_rows:
            yield held
            held = []
    if held:
        yield held


def require(columns: Sequence[str] | None, stored: Sequence[str], chunk_rows: int, where: str) -> list[str]:
    """Return the columns to read: those asked for, in the order asked, or all that are stored.

    Raises:
        SourceError: one is not stored.
        DecodeError: a name is stored twice, so that it means no one column.
        ValueError: `chunk_rows` is less than 1.
    """
    _check_chunk_rows(chunk_rows)
    twice = repeated(stored)
    if twice is not None:
        raise DecodeError(f"{where} has the column {shorten(twice)} twice")
    known = frozenset(stored)
    wanted = list(stored if columns is None else columns)
    for name in wanted:
        if name not in known:
            raise SourceError(f"{where} has no column {shorten(name)}; it has {', '.join(map(shorten, stored[:12]))}")
    return wanted


def readable(schema: Any, where: str) -> Any:
    """Return an Arrow schema after checking that all of it is readable and no name stands for two columns.

    Raises:
        DecodeError: a name is there twice.
        ValueError: a name or a time zone is not UTF-8; pyarrow itself finds out only when it is asked for it.
    """
    import pyarrow as pa

    require(None, schema.names, 1, where)
    kinds = list(schema.types)
    while kinds:
        kind = kinds.pop()
        if pa.types.is_timestamp(kind):
            _ = kind.tz
        elif pa.types.is_dictionary(kind):
            kinds.append(kind.value_type)
        else:
            kinds.extend(kind.field(index).type for index in range(kind.num_fields))
    return schema


def repeated(names: Iterable[str]) -> str | None:
    """Return the first name that occurs twice, or `None`."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _check_chunk_rows(chunk_rows: int) -> None:
    if chunk_rows < 1:
        raise ValueError(f"chunk_rows must be at least 1, not {chunk_rows}")
