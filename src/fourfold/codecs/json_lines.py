"""Read and write JSON lines: an object on each line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import IO, Any

from fourfold.codecs.bounds import DEFAULT_BOUNDS, Bounds
from fourfold.codecs.files import TableWriter, name_in_errors, open_source
from fourfold.codecs.json_bytes import dump, json_values, parse
from fourfold.codecs.table import Rows, Table, rows_in_chunks, slices_as_rows
from fourfold.errors import DecodeError, TooLarge, shorten
from fourfold.signature.field import Field

__all__ = ["OversizedRow", "Writer", "decode", "decode_line", "encode", "first_keys", "names", "read"]

#: The lines up to which bytes are split into all of them at once.
MAX_SPLIT_LINES = 1 << 20

# A line from its first byte that is not white space on.
_LINE = re.compile(rb"\S[^\n]*+")
#: What a byte of a line takes in memory, of rows of numbers with short keys.
_BYTES_PER_BYTE = 12
_SKIP_BYTES = 1 << 20


def decode_line(line: bytes, bounds: Bounds = DEFAULT_BOUNDS, known: Collection[str] | None = None) -> dict[str, Any]:
    """Return the row of one line.

    Args:
        line: one JSON object in UTF-8, with or without the line's end.
        bounds: what it may take.
        known: the keys that somebody asks for, which it may not have twice; `None` for all.

    Raises:
        DecodeError: the line is no JSON object; see `json_bytes.parse`.
        TooLarge: it is over the bounds.
    """
    bounds.check_json(line)
    value = parse(line, known)
    if type(value) is not dict:
        raise DecodeError(f"expected a JSON object, got {shorten(value)}")
    return value


def decode(data: bytes, fields: Sequence[Field] | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> Rows:
    """Return the rows of JSON lines; empty lines are skipped.

    Args:
        data: lines in UTF-8 that end with LF or CR LF, one JSON object each; the last may lack its end.
        fields: the fields, where `bounds` says that only theirs are the keys that somebody asks for.
        bounds: what the rows may take.

    Returns:
        A dict for each line, with JSON's values. A line that is no object stays as its value: the coercion reports it
        as an error of that row.

    Raises:
        DecodeError: a line is not JSON; the message gives its number, from 1.
        TooLarge: the lines are over the bounds.
    """
    known = frozenset(field.name for field in fields) if fields is not None and bounds.only_fields else None
    bounds.check_json(data)
    rows: Rows = []
    most = sys.maxsize if bounds.max_rows is None else bounds.max_rows
    for start, line in _lines_of(data):
        if not line or line.isspace():
            continue
        try:
            rows.append(parse(line, known))
        except DecodeError as error:
            raise _line_error(start + 1, line, error) from error
        if len(rows) > most:
            bounds.check_rows(len(rows), f"JSON lines of {len(data)} bytes")
    return rows


def _line_error(number: int, line: bytes, error: DecodeError) -> DecodeError:
    """Return the error of a line that is not JSON; where it only opens an array or object, that this is why."""
    if number == 1 and line.strip() in (b"[", b"{"):
        opened = "an array" if b"[" in line else "an object"
        return DecodeError(f"line 1: expected a JSON object on each line, got {opened} that goes on over many lines")
    return DecodeError(f"line {number}: {error}")


def _lines_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers, from 0; where there are very many, without those that are blank."""
    if data.count(b"\n") <= MAX_SPLIT_LINES:
        yield from enumerate(data.split(b"\n"))
        return
    # Of 32 MiB of line ends, `split` would make a list of 33 million empty lines.
    number = end = 0
    for match in _LINE.finditer(data):
        number += data.count(b"\n", end, match.start())
        end = match.start()
        yield number, match[0]


class OversizedRow:
    """Stand for a line that would take too much memory; the coercion reports it as an error of its row.

    It is no dataclass, because the instance of one is a row.

    Args:
        size: the line's length in bytes; where it was not read to its end, what was read of it.
        limit: the bytes that it may take.
    """

    __slots__ = ("limit", "size")

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit

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


def _rows_within(file: IO[bytes], bounds: Bounds, chunk_rows: int, columns: Sequence[str] | None) -> Iterator[Rows]:
    """Yield the rows in chunks of `chunk_rows`, or fewer where their lines are long."""
    chunk: Rows = []
    size, most, safe = 0, bounds.max_decoded_bytes // _BYTES_PER_BYTE, bounds.safe_json_bytes
    for number, line in enumerate(_lines(file, bounds.max_decoded_bytes), 1):
        if isinstance(line, int):
            row: Any = OversizedRow(line, bounds.max_decoded_bytes)
        elif line.isspace():
            continue
        else:
            if chunk and size + len(line) > most:
                yield from rows_in_chunks(chunk, chunk_rows, columns)
                chunk, size = [], 0
            size += len(line)
            try:
                if len(line) > safe:
                    bounds.check_json(line)
                row = parse(line, columns)
            except TooLarge:
                row = OversizedRow(len(line), bounds.max_decoded_bytes)
            except DecodeError as error:
                raise _line_error(number, line, error) from error
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
    return b"".join(dump(row) + b"\n" for rows in slices_as_rows(table, fields) for row in json_values(rows, fields))


def names(path: str | os.PathLike[str], bounds: Bounds = DEFAULT_BOUNDS) -> None:
    """Return `None`: JSON lines have no header."""
    del path, bounds


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


def first_keys(path: str | os.PathLike[str], rows: int, bounds: Bounds = DEFAULT_BOUNDS) -> tuple[dict[str, None], int]:
    """Return the keys of the first rows of a file in the order in which they come, and how many rows were looked at.

    Lines that are no JSON objects are left out: whoever reads the rows reports them.

    Args:
        path: a file of the bytes that `decode` takes.
        rows: the most rows.
        bounds: what a line may take.

    Raises:
        SourceError: the file cannot be read.
    """
    keys: dict[str, None] = {}
    count = 0
    with open_source(path) as file, name_in_errors(path):
        for line in _lines(file, bounds.max_decoded_bytes):
            if count == rows:
                break
            if isinstance(line, bytes) and not line.isspace():
                try:
                    keys.update(dict.fromkeys(decode_line(line, bounds, frozenset())))
                except DecodeError:
                    continue
                count += 1
    return keys, count


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
