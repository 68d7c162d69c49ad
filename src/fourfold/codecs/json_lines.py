"""Read and write JSON lines: an object on each line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

from fourfold.codecs.files import TableWriter, name_in_errors, open_source
from fourfold.codecs.json_bytes import dump, json_values, parse
from fourfold.codecs.table import Rows, Table, as_rows, rows_in_chunks
from fourfold.errors import DecodeError, shorten
from fourfold.signature.field import Field

__all__ = ["Writer", "decode", "decode_line", "encode", "names", "read"]


def decode_line(line: bytes) -> dict[str, Any]:
    """Return the row of one line.

    Args:
        line: one JSON object in UTF-8, with or without the line's end.

    Raises:
        DecodeError: the line is no JSON object; see `json_bytes.parse`.
    """
    value = parse(line)
    if type(value) is not dict:
        raise DecodeError(f"expected a JSON object, got {shorten(value)}")
    return value


def decode(data: bytes, fields: Sequence[Field] | None = None) -> Rows:
    """Return the rows of JSON lines; empty lines are skipped.

    Args:
        data: lines in UTF-8 that end with LF or CR LF, one JSON object each; the last may lack its end.
        fields: ignored: JSON data tells the types of its values.

    Returns:
        A dict for each line, with JSON's values. A line that is no object stays as its value: the coercion reports it
        as an error of that row.

    Raises:
        DecodeError: a line is not JSON; the message gives its number, from 1.
    """
    del fields
    return list(_rows(data.split(b"\n")))


def _rows(lines: Iterable[bytes]) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        if not line or line.isspace():
            continue
        try:
            value = parse(line)
        except DecodeError as error:
            raise DecodeError(f"line {number}: {error}") from error
        yield value


def encode(table: Table, fields: Sequence[Field]) -> bytes:
    """Return a canonical table as JSON lines, each with all `fields` in their order, each ended by LF.

    Raises:
        SinkError: the table does not fit the fields.
    """
    return b"".join(dump(row) + b"\n" for row in json_values(as_rows(table, fields), fields))


def names(path: str | os.PathLike[str]) -> None:
    """Return `None`: JSON lines have no header."""
    del path


def read(
    path: str | os.PathLike[str],
    fields: Sequence[Field] | None = None,
    chunk_rows: int = 65_536,
    columns: Sequence[str] | None = None,
) -> Iterator[Rows]:
    """Yield the rows of a file of JSON lines in chunks, holding only a chunk in memory.

    Args:
        path: a file of the bytes that `decode` takes.
        fields: ignored.
        chunk_rows: the rows of each chunk; the last may have fewer.
        columns: the keys to keep; `None` for all. A key that a row lacks is a missing value.

    Raises:
        SourceError: the file cannot be read.
        DecodeError: a line is not JSON; the message names the file and the line.
    """
    del fields
    with open_source(path) as file, name_in_errors(path):
        yield from rows_in_chunks(_rows(file), chunk_rows, columns)


class Writer(TableWriter):
    """Write tables as JSON lines: the bytes of `encode`, one table after the other.

    Args:
        target: a path, which is replaced if it exists, or an open binary file.
        fields: the fields, in the order in which they are written.

    Raises:
        SinkError: the path cannot be opened.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes], fields: Sequence[Field]) -> None:
        super().__init__(target)
        self._fields = tuple(fields)

    def write(self, table: Table) -> None:
        """Write a canonical table's rows."""
        self.sink.write(encode(table, self._fields))
