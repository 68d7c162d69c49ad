"""Read and write JSON columns: an object whose values are arrays of one length, one for each column."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from typing import IO, Any

from fourfold.codecs.bounds import DEFAULT_BOUNDS, Bounds
from fourfold.codecs.files import TableWriter, name_in_errors, open_source
from fourfold.codecs.json_bytes import dump, json_values, parse
from fourfold.codecs.json_scan import Scanner, elements
from fourfold.codecs.table import Rows, Table, as_rows, rows_in_chunks, select_columns
from fourfold.errors import DecodeError, SinkError, shorten
from fourfold.signature.field import Field

__all__ = ["Writer", "decode", "encode", "names", "read", "rows_of"]

#: The bytes of a column that a writer holds in memory before it uses a temporary file.
SPOOL_BYTES = 1 << 20

_ENDED = object()


def decode(data: bytes, fields: Sequence[Field] | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> Rows:
    """Return the rows of a JSON text of columns.

    Args:
        data: an object whose values are arrays of one length, in UTF-8.
        fields: ignored: JSON data tells the types of its values.
        bounds: what the rows may take.

    Returns:
        A dict for each row, with JSON's values.

    Raises:
        DecodeError: the data is no such text, or its columns differ in length; see `json_bytes.parse`.
        TooLarge: it is over the bounds.
    """
    del fields
    bounds.check_json(data)
    return rows_of(parse(data), bounds)


def rows_of(value: object, bounds: Bounds = DEFAULT_BOUNDS) -> Rows:
    """Return the rows of columns that are already parsed, for example as a part of a larger JSON text.

    Raises:
        DecodeError: the value is no object of arrays, or the arrays differ in length.
        TooLarge: the rows would be over the bounds.
    """
    if not isinstance(value, dict):
        raise DecodeError(f"expected a JSON object of columns, got {shorten(value)}")
    if set(map(type, value.values())) - {list}:
        name, column = next((name, column) for name, column in value.items() if type(column) is not list)
        raise DecodeError(f"column {shorten(name)}: expected an array, got {shorten(column)}")
    lengths = set(map(len, value.values()))
    if len(lengths) > 1:
        first, length = next((name, len(column)) for name, column in value.items())
        name, other = next((name, len(column)) for name, column in value.items() if len(column) != length)
        raise _unequal_lengths(first, length, name, other)
    bounds.check_rows_of_dicts(max(lengths, default=0), len(value), "a table of JSON columns,")
    if not any(lengths):
        return []
    keys = list(value)
    return [dict(zip(keys, row, strict=True)) for row in zip(*value.values(), strict=True)]


def _unequal_lengths(first: str, length: int, name: str, other: int) -> DecodeError:
    return DecodeError(f"column {shorten(first)} has {length} values and column {shorten(name)} has {other}")


def encode(table: Table, fields: Sequence[Field]) -> bytes:
    """Return a canonical table as a compact JSON object of arrays, one for each of `fields`, in their order.

    Raises:
        SinkError: the table does not fit the fields.
    """
    rows = json_values(as_rows(table, fields), fields)
    return dump({field.name: [row[field.name] for row in rows] for field in fields})


def names(path: str | os.PathLike[str], bounds: Bounds = DEFAULT_BOUNDS) -> tuple[str, ...]:
    """Return the columns that a file has; the whole file is read.

    Args:
        path: the file.
        bounds: what the names, and what is read to find them, may take.

    Raises:
        SourceError: the file cannot be read.
        DecodeError: the file is no JSON object of arrays, or two columns have the same name.
        TooLarge: they are over the bounds.
    """
    with open_source(path) as file, name_in_errors(path):
        return tuple(select_columns(None, [name for name, _ in _starts(file, bounds)], 1, "the object"))


def read(
    path: str | os.PathLike[str],
    fields: Sequence[Field] | None = None,
    chunk_rows: int = 65_536,
    columns: Sequence[str] | None = None,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> Iterator[Rows]:
    """Yield the rows of a JSON file of columns in chunks, holding only a chunk in memory.

    The file is read once to find where its columns begin, and then once more, at all of its columns at the same time.

    Args:
        path: a file of the bytes that `decode` takes.
        fields: ignored.
        chunk_rows: the rows of each chunk; the last may have fewer.
        columns: the columns to keep; `None` for all.
        bounds: what one value may take.

    Raises:
        SourceError: the file cannot be read, or lacks one of `columns`.
        DecodeError: the file is no such text; the message names the file.
    """
    del fields
    with open_source(path) as file, name_in_errors(path):
        starts = _starts(file, bounds)
        selected = select_columns(columns, [name for name, _ in starts], chunk_rows, str(path))
        yield from rows_in_chunks(_rows(path, dict(starts), selected, bounds), chunk_rows, None)


def _starts(file: IO[bytes], bounds: Bounds) -> list[tuple[str, int]]:
    """Return the columns' names and the offsets at which their arrays begin; the whole text is scanned."""
    scanner = Scanner(file, bounds=bounds)
    starts: list[tuple[str, int]] = []
    scanner.take(b"{")
    if scanner.peek() == b"}":
        scanner.take(b"}")
        scanner.end()
        return starts
    while True:
        name = parse(scanner.value())
        if not isinstance(name, str):
            raise DecodeError(f"expected the name of a column at byte {scanner.began}, got {shorten(name)}")
        scanner.take(b":")
        if scanner.peek() != b"[":
            raise DecodeError(f"column {shorten(name)}: expected an array at byte {scanner.offset}")
        starts.append((name, scanner.offset))
        for _ in scanner.array():
            pass
        if scanner.take(b",}") == b"}":
            scanner.end()
            return starts


def _rows(
    path: str | os.PathLike[str], starts: dict[str, int], names: Sequence[str], bounds: Bounds
) -> Iterator[dict[str, Any]]:
    with ExitStack() as files:
        columns = []
        for name in names:
            file = files.enter_context(open_source(path))
            file.seek(starts[name])
            columns.append(_values(file, starts[name], name, bounds))
        for row in zip_longest(*columns, fillvalue=_ENDED):
            if _ENDED in row:
                ended = names[row.index(_ENDED)]
                other = next(name for name, value in zip(names, row, strict=True) if value is not _ENDED)
                raise DecodeError(f"column {shorten(other)} has more values than column {shorten(ended)}")
            yield dict(zip(names, row, strict=True))


def _values(file: IO[bytes], start: int, name: str, bounds: Bounds) -> Iterator[Any]:
    try:
        yield from elements(Scanner(file, start, bounds))
    except DecodeError as error:
        raise DecodeError(f"column {shorten(name)}: {error}") from error


class Writer(TableWriter):
    """Write tables as JSON columns; columns of more than a megabyte wait in temporary files until the end.

    Args:
        target: a path, which is replaced if it exists, or an open binary file.
        fields: the fields, in the order in which they are written.

    Raises:
        SinkError: the path cannot be opened.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes], fields: Sequence[Field]) -> None:
        super().__init__(target)
        self._fields = tuple(fields)
        self._columns = [tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) for _ in self._fields]  # noqa: SIM115 - see close
        self._is_empty = True

    def write(self, table: Table) -> None:
        """Write a canonical table's rows."""
        rows = json_values(as_rows(table, self._fields), self._fields)
        if not rows:
            return
        for field, column in zip(self._fields, self._columns, strict=True):
            values = dump([row[field.name] for row in rows])[1:-1]
            try:
                column.write(values if self._is_empty else b"," + values)
            except OSError as error:
                raise SinkError(f"{self.sink.name}: no temporary file can be written: {error}") from error
        self._is_empty = False

    def _finish(self) -> None:
        separator = b"{"
        for field, column in zip(self._fields, self._columns, strict=True):
            self.sink.write(separator + dump(field.name) + b":[")
            column.seek(0)
            while piece := column.read(SPOOL_BYTES):
                self.sink.write(piece)
            self.sink.write(b"]")
            column.close()
            separator = b","
        self.sink.write(b"}" if self._fields else b"{}")

    def abort(self) -> None:
        """Close the file without the format's end, and without raising; the caller removes it."""
        for column in self._columns:
            column.close()
        super().abort()
