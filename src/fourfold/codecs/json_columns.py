"""Read and write JSON columns: an object whose values are arrays of one length, one for each column."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from typing import IO, Any

from fourfold.codecs.files import TableWriter, named, source
from fourfold.codecs.json_bytes import dump, parse, plain_rows
from fourfold.codecs.json_scan import Scanner, elements
from fourfold.codecs.table import Rows, Table, as_rows, require, rows_in_chunks
from fourfold.errors import DecodeError, SinkError, shorten
from fourfold.signature.field import Field

__all__ = ["Writer", "decode", "encode", "names", "read", "rows_of"]

#: How much of a column a writer holds before it goes to a temporary file.
SPOOL = 1 << 20

_NOTHING = object()


def decode(data: bytes, fields: Sequence[Field] | None = None) -> Rows:
    """Return the rows of a JSON text of columns.

    Args:
        data: an object whose values are arrays of one length, in UTF-8.
        fields: not looked at: JSON says itself what its values are.

    Returns:
        One dict a row, its values as JSON has them.

    Raises:
        DecodeError: it is no such text, or its columns are not equally long; see `json_bytes.parse`.
    """
    del fields
    return rows_of(parse(data))


def rows_of(value: object) -> Rows:
    """Return the rows of columns that are parsed already, as a part of a larger JSON text.

    Raises:
        DecodeError: it is no object of arrays, or they are not equally long.
    """
    if not isinstance(value, dict):
        raise DecodeError(f"expected a JSON object of columns, got {shorten(value)}")
    for name, column in value.items():
        if not isinstance(column, list):
            raise DecodeError(f"column {shorten(name)}: expected an array, got {shorten(column)}")
    lengths = {name: len(column) for name, column in value.items()}
    first = next(iter(lengths), "")
    for name, length in lengths.items():
        if length != lengths[first]:
            raise _unequal(first, lengths[first], name, length)
    keys = list(value)
    return [dict(zip(keys, row, strict=True)) for row in zip(*value.values(), strict=True)]


def _unequal(first: str, length: int, name: str, other: int) -> DecodeError:
    return DecodeError(f"column {shorten(first)} has {length} values and column {shorten(name)} has {other}")


def encode(table: Table, fields: Sequence[Field]) -> bytes:
    """Return a canonical table as a compact JSON object of arrays, one for each of `fields`, in their order.

    Raises:
        SinkError: the table does not fit the fields.
    """
    rows = plain_rows(as_rows(table, fields), fields)
    return dump({field.name: [row[field.name] for row in rows] for field in fields})


def names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the columns that a file has; it is read through once.

    Raises:
        SourceError: the file cannot be read.
        DecodeError: it is no JSON object of arrays, or a column is there twice.
    """
    with source(path) as file, named(path):
        return tuple(require(None, [name for name, _ in _starts(file)], 1, "the object"))


def read(
    path: str | os.PathLike[str],
    fields: Sequence[Field] | None = None,
    chunk_rows: int = 65_536,
    columns: Sequence[str] | None = None,
) -> Iterator[Rows]:
    """Yield the rows of a JSON file of columns, a chunk at a time; no more of the file is held than a chunk.

    The file is read through once to find where its columns begin, and then at as many places as it has columns.

    Args:
        path: a file with what `decode` takes.
        fields: not looked at.
        chunk_rows: rows of a chunk; only the last has fewer.
        columns: the columns to keep, where not all.

    Raises:
        SourceError: the file cannot be read, or lacks one of `columns`.
        DecodeError: it is no such text; the message names the file.
    """
    del fields
    with source(path) as file, named(path):
        starts = _starts(file)
        wanted = require(columns, [name for name, _ in starts], chunk_rows, str(path))
        yield from rows_in_chunks(_rows(path, dict(starts), wanted), chunk_rows, None)


def _starts(file: IO[bytes]) -> list[tuple[str, int]]:
    """Return the columns' names and the offsets at which their arrays begin; the whole text is scanned."""
    scanner = Scanner(file)
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


def _rows(path: str | os.PathLike[str], starts: dict[str, int], wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    with ExitStack() as files:
        columns = []
        for name in wanted:
            file = files.enter_context(source(path))
            file.seek(starts[name])
            columns.append(_values(file, starts[name], name))
        for row in zip_longest(*columns, fillvalue=_NOTHING):
            if _NOTHING in row:
                ended = wanted[row.index(_NOTHING)]
                other = next(name for name, value in zip(wanted, row, strict=True) if value is not _NOTHING)
                raise DecodeError(f"column {shorten(other)} has more values than column {shorten(ended)}")
            yield dict(zip(wanted, row, strict=True))


def _values(file: IO[bytes], start: int, name: str) -> Iterator[Any]:
    try:
        yield from elements(Scanner(file, start))
    except DecodeError as error:
        raise DecodeError(f"column {shorten(name)}: {error}") from error


class Writer(TableWriter):
    """Writes tables as JSON columns; all but a megabyte of each column waits in temporary files until the end.

    Args:
        target: a path, which is replaced if it is there, or an open binary file.
        fields: the fields, in the order in which they are written.

    Raises:
        SinkError: the path cannot be opened.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes], fields: Sequence[Field]) -> None:
        super().__init__(target)
        self._fields = tuple(fields)
        self._columns = [tempfile.SpooledTemporaryFile(max_size=SPOOL) for _ in self._fields]  # noqa: SIM115 - see close
        self._empty = True

    def write(self, table: Table) -> None:
        """Write a canonical table's rows."""
        rows = plain_rows(as_rows(table, self._fields), self._fields)
        if not rows:
            return
        for field, column in zip(self._fields, self._columns, strict=True):
            values = dump([row[field.name] for row in rows])[1:-1]
            try:
                column.write(values if self._empty else b"," + values)
            except OSError as error:
                raise SinkError(f"{self.sink.name}: no temporary file can be written: {error}") from error
        self._empty = False

    def _finish(self) -> None:
        lead = b"{"
        for field, column in zip(self._fields, self._columns, strict=True):
            self.sink.write(lead + dump(field.name) + b":[")
            column.seek(0)
            while piece := column.read(SPOOL):
                self.sink.write(piece)
            self.sink.write(b"]")
            column.close()
            lead = b","
        self.sink.write(b"}" if self._fields else b"{}")

    def abort(self) -> None:
        """Close the file without the format's end, and without raising; the caller removes it."""
        for column in self._columns:
            column.close()
        super().abort()
