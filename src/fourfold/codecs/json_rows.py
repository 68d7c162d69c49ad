"""Read and write JSON rows: an array of objects, one for each row; an object alone is one row."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import IO, Any

from fourfold.codecs.files import TableWriter, named, source
from fourfold.codecs.json_bytes import dump, parse, plain_rows
from fourfold.codecs.json_scan import Scanner, elements
from fourfold.codecs.table import Rows, Table, as_rows, rows_in_chunks
from fourfold.errors import DecodeError, shorten
from fourfold.signature.field import Field

__all__ = ["Writer", "decode", "encode", "names", "read"]


def decode(data: bytes, fields: Sequence[Field] | None = None) -> Rows:
    """Return the rows of a JSON text.

    Args:
        data: an array of objects, or one object, in UTF-8.
        fields: not looked at: JSON says itself what its values are.

    Returns:
        One dict a row, its values as JSON has them. An element of the array that is no object stays in its place: the
        coercion makes it an error of that row.

    Raises:
        DecodeError: it is no such text; see `json_bytes.parse`.
    """
    del fields
    value = parse(data)
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return value
    raise DecodeError(f"expected a JSON array of objects, or one object; got {shorten(value)}")


def encode(table: Table, fields: Sequence[Field]) -> bytes:
    """Return a canonical table as a compact JSON array of objects, each with all `fields` in their order.

    Raises:
        SinkError: the table does not fit the fields.
    """
    return dump(plain_rows(as_rows(table, fields), fields))


def names(path: str | os.PathLike[str]) -> None:
    """JSON rows have no header: `None`."""
    del path


def read(
    path: str | os.PathLike[str],
    fields: Sequence[Field] | None = None,
    chunk_rows: int = 65_536,
    columns: Sequence[str] | None = None,
) -> Iterator[Rows]:
    """Yield the rows of a JSON file, a chunk at a time; no more of the file is held than a chunk.

    Args:
        path: a file with what `decode` takes.
        fields: not looked at.
        chunk_rows: rows of a chunk; only the last has fewer.
        columns: the keys to keep, where not all; one that a row lacks is missing there.

    Raises:
        SourceError: the file cannot be read.
        DecodeError: it is no such text; the message names the file and the row.
    """
    del fields
    with source(path) as file, named(path):
        yield from rows_in_chunks(_elements(file), chunk_rows, columns)


def _elements(file: IO[bytes]) -> Iterator[Any]:
    scanner = Scanner(file)
    if scanner.peek() == b"{":
        yield parse(scanner.value())
    else:
        yield from elements(scanner)
    scanner.end()


class Writer(TableWriter):
    """Writes tables as one JSON array, a row a line.

    Args:
        target: a path, which is replaced if it is there, or an open binary file.
        fields: the fields, in the order in which they are written.

    Raises:
        SinkError: the path cannot be opened.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes], fields: Sequence[Field]) -> None:
        super().__init__(target)
        self._fields = tuple(fields)
        self._lead = b"[\n"

    def write(self, table: Table) -> None:
        """Write a canonical table's rows."""
        rows = plain_rows(as_rows(table, self._fields), self._fields)
        if rows:
            self.sink.write(self._lead + b",\n".join(map(dump, rows)))
            self._lead = b",\n"

    def _finish(self) -> None:
        self.sink.write(b"[]\n" if self._lead == b"[\n" else b"\n]\n")
