"""Read and write JSON rows: an array of objects, one for each row; an object alone is one row."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import IO, Any

from fourfold.codecs.bounds import DEFAULT_BOUNDS, Bounds
from fourfold.codecs.files import TableWriter, name_in_errors, open_source
from fourfold.codecs.json_bytes import dump, json_values, parse
from fourfold.codecs.json_scan import Scanner, elements
from fourfold.codecs.table import ENCODED_ROWS, Rows, Table, as_rows, rows_in_chunks, slices_as_rows
from fourfold.errors import DecodeError, shorten
from fourfold.signature.field import Field

__all__ = ["Writer", "decode", "encode", "names", "read"]


def decode(data: bytes, fields: Sequence[Field] | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> Rows:
    """Return the rows of a JSON text.

    Args:
        data: an array of objects, or one object, in UTF-8.
        fields: ignored: JSON data tells the types of its values.
        bounds: what the rows may take.

    Returns:
        A dict for each row, with JSON's values. An element that is no object stays as it is: the coercion reports it as
        an error of that row.

    Raises:
        DecodeError: the data is no such text; see `json_bytes.parse`.
        TooLarge: it is over the bounds.
    """
    del fields
    bounds.check_json(data)
    value = parse(data)
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        bounds.check_rows(len(value), f"JSON of {len(data)} bytes")
        return value
    raise DecodeError(f"expected a JSON array of objects, or one object; got {shorten(value)}")


def encode(table: Table, fields: Sequence[Field]) -> bytes:
    """Return a canonical table as a compact JSON array of objects, each with all `fields` in their order.

    Raises:
        SinkError: the table does not fit the fields.
    """
    if len(table) <= ENCODED_ROWS:
        return dump(json_values(as_rows(table, fields), fields))
    pieces = [dump(json_values(rows, fields)) for rows in slices_as_rows(table, fields)]
    return b"[" + b",".join(memoryview(piece)[1:-1] for piece in pieces) + b"]"


def names(path: str | os.PathLike[str], bounds: Bounds = DEFAULT_BOUNDS) -> None:
    """Return `None`: JSON rows have no header."""
    del path, bounds


def read(
    path: str | os.PathLike[str],
    fields: Sequence[Field] | None = None,
    chunk_rows: int = 65_536,
    columns: Sequence[str] | None = None,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> Iterator[Rows]:
    """Yield the rows of a JSON file in chunks, holding only a chunk in memory.

    Args:
        path: a file of the bytes that `decode` takes.
        fields: ignored.
        chunk_rows: the rows of each chunk; the last may have fewer.
        columns: the keys to keep; `None` for all. A key that a row lacks is a missing value.
        bounds: what one row may take.

    Raises:
        SourceError: the file cannot be read.
        DecodeError: the file is no such text; the message names the file and the row.
        TooLarge: a row is over the bounds.
    """
    del fields
    with open_source(path) as file, name_in_errors(path):
        yield from rows_in_chunks(_elements(file, bounds), chunk_rows, columns)


def _elements(file: IO[bytes], bounds: Bounds) -> Iterator[Any]:
    scanner = Scanner(file, bounds=bounds)
    if scanner.peek() == b"{":
        yield parse(scanner.value())
    else:
        yield from elements(scanner)
    scanner.end()


class Writer(TableWriter):
    """Write tables as one JSON array, with a row on each line.

    Args:
        target: a path, which is replaced if it exists, or an open binary file.
        fields: the fields, in the order in which they are written.

    Raises:
        SinkError: the path cannot be opened.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes], fields: Sequence[Field]) -> None:
        super().__init__(target)
        self._fields = tuple(fields)
        self._separator = b"[\n"

    def write(self, table: Table) -> None:
        """Write a canonical table's rows."""
        rows = json_values(as_rows(table, self._fields), self._fields)
        if rows:
            self.sink.write(self._separator + b",\n".join(map(dump, rows)))
            self._separator = b",\n"

    def _finish(self) -> None:
        self.sink.write(b"[]\n" if self._separator == b"[\n" else b"\n]\n")
