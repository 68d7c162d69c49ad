"""Read and write JSON lines: an object on each line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from fourfold.codecs.bounds import DEFAULT_BOUNDS, Bounds
from fourfold.codecs.files import TableWriter, name_in_errors, open_source
from fourfold.codecs.json_bytes import dump, json_values, parse
from fourfold.codecs.table import Rows, Table, as_rows, rows_in_chunks
from fourfold.errors import DecodeError, TooLarge, shorten
from fourfold.signature.field import Field

__all__ = ["OversizedRow", "Writer", "decode", "decode_line", "encode", "names", "read"]

_LINE = re.compile(rb"[^\n]+")
#: What a byte of a line takes in memory, of rows of numbers with short keys.
_BYTES_PER_BYTE = 12
_SKIP_BYTES = 1 << 20


def decode_line(line: bytes, bounds: Bounds = DEFAULT_BOUNDS) -> dict[str, Any]:
    """Return the row of one line.

    Args:
        line: one JSON object in UTF-8, with or without the line's end.
        bounds: what it may take.

    Raises:
        DecodeError: the line is no JSON object; see `json_bytes.parse`.
        TooLarge: it is over the bounds.
    """
    bounds.check_json(line)
    value = parse(line)
    if type(value) is not dict:
        raise DecodeError(f"expected a JSON object, got {shorten(value)}")
    return value


def decode(data: bytes, fields: Sequence[Field] | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> Rows:
    """Return the rows of JSON lines; empty lines are skipped.

    Args:
        data: lines in UTF-8 that end with LF or CR LF, one JSON object each; the last may lack its end.
        fields: ignored: JSON data tells the types of its values.
        bounds: what the rows may take.

    Returns:
        A dict for each line, with JSON's values. A line that is no object stays as its value: the coercion reports it
        as an error of that row.

    Raises:
        DecodeError: a line is not JSON; the message gives its number, from 1.
        TooLarge: the lines are over the bounds.
    """
    del fields
    bounds.check_json(data)
    rows: Rows = []
    # Not `split`: of 32 MiB of line ends it would make a list of 33 million empty lines.
    for match in _LINE.finditer(data):
        line = match[0]
        if line.isspace():
            continue
        try:
            rows.append(parse(line))
        except DecodeError as error:
            number = data.count(b"\n", 0, match.start()) + 1
            raise DecodeError(f"line {number}: {error}") from error
        if bounds.max_rows is not None and len(rows) > bounds.max_rows:
            bounds.check_rows(len(rows), f"JSON lines of {len(data)} bytes")
    return rows


@dataclass(frozen=True, slots=True)
class OversizedRow:
    """Stand for a line that would take too much memory; the coercion reports it as an error of its row.

    Attributes:
        size: the line's length in bytes; where it was not read to its end, what was read of it.
        limit: the bytes that it may take.
    """

    size: int
    limit: int

    def __repr__(self) -> str:
        return f"{self.size} bytes, over max_decoded_bytes = {self.limit}"


def _lines(file: IO[bytes], longest: int) -> Iterator[bytes | int]:
    """Yield the lines of a file; of one longer than `longest` bytes, its length: it is not held in memory."""
    while line := file.readline(longest + 1):
        if len(line) <= longest or line.endswith(b"\n"):
            yield line
            continue
        size = len(line)
        while (piece := file.readline(_SKIP_BYTES)) and not piece.endswith(b"\n"):
            size += len(piece)
        yield size + len(piece)


def _rows(file: IO[bytes], bounds: Bounds) -> Iterator[tuple[Any, int]]:
    """Yield each row, with the length of its line in bytes."""
    for number, line in enumerate(_lines(file, bounds.max_decoded_bytes), 1):
        if isinstance(line, int):
            yield OversizedRow(line, bounds.max_decoded_bytes), 0
            continue
        if line.isspace():
            continue
        try:
            bounds.check_json(line)
            yield parse(line), len(line)
        except TooLarge:
            yield OversizedRow(len(line), bounds.max_decoded_bytes), 0
        except DecodeError as error:
            raise DecodeError(f"line {number}: {error}") from error


def _rows_within(file: IO[bytes], bounds: Bounds, chunk_rows: int, columns: Sequence[str] | None) -> Iterator[Rows]:
    """Yield the rows in chunks of `chunk_rows`, or fewer where their lines are long."""
    chunk: Rows = []
    size = 0
    for row, length in _rows(file, bounds):
        size += length * _BYTES_PER_BYTE
        if chunk and size > bounds.max_decoded_bytes:
            yield from rows_in_chunks(chunk, chunk_rows, columns)
            chunk, size = [], length * _BYTES_PER_BYTE
        chunk.append(row)
        if len(chunk) == chunk_rows:
            yield from rows_in_chunks(chunk, chunk_rows, columns)
            chunk, size = [], 0
    yield from rows_in_chunks(chunk, chunk_rows, columns)


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
    bounds: Bounds = DEFAULT_BOUNDS,
) -> Iterator[Rows]:
    """Yield the rows of a file of JSON lines in chunks, holding only a chunk in memory.

    Args:
        path: a file of the bytes that `decode` takes.
        fields: ignored.
        chunk_rows: the rows of each chunk; the last may have fewer.
        columns: the keys to keep; `None` for all. A key that a row lacks is a missing value.
        bounds: what a line, and a chunk, may take. A line over them is an `OversizedRow`, and its neighbours are rows.

    Raises:
        SourceError: the file cannot be read.
        DecodeError: a line is not JSON; the message names the file and the line.
    """
    del fields
    with open_source(path) as file, name_in_errors(path):
        yield from _rows_within(file, bounds, chunk_rows, columns)


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
