"""Split CSV into records and cells, and explain what is wrong where that fails.

The grammar is RFC 4180's, with LF, CR LF or CR after a record. pyarrow cuts the cells; what it lets pass (a quote
inside an unquoted cell, text after a closing quote, a quote that never closes) is refused before it gets to see it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.csv

from fourfold.codecs.table import repeated
from fourfold.errors import DecodeError, shorten

__all__ = ["Reader"]

#: Bytes of a file that are cut into cells at a time.
BLOCK = 1 << 20
#: The longest record, in bytes. Without a limit, one quote that never closes would bring a whole file into memory.
MAX_RECORD_BYTES = 1 << 28

_BOM = b"\xef\xbb\xbf"
_QUOTED = re.compile(rb'"[^"]*+"')
# What is left of a well-formed cell once each quoted stretch is one quote: only quotes, between two ends.
_MISPLACED = re.compile(rb'[^,\r\n"]"|"[^,\r\n"]')
_CELL = re.compile(rb'("(?:[^"]++|"")*+"|[^",\r\n]*+)(,|\r\n|\n|\r|\Z)')


class Reader:
    """Reads the cells of a CSV file, all as text.

    Args:
        file: a binary file that begins with a header; a byte-order mark before it is passed over.
        block: bytes to cut into cells at a time; a longer record makes its block longer.

    Attributes:
        names: the columns' names.

    Raises:
        DecodeError: there is no header, a name stands in it twice, or it is not well formed.
    """

    def __init__(self, file: IO[bytes], block: int = BLOCK) -> None:
        self._blocks = _blocks(file, block)
        self._line = 1
        self._rest = next(self._blocks, b"")
        self.names = self._header()

    def _header(self) -> list[str]:
        first = self._rest.removeprefix(_BOM)
        _check_quotes(first, 1)
        names_read, at = [], 0
        while True:
            match = _CELL.match(first, at)
            if match is None:  # the quotes are in order: only a broken pattern could get here
                raise DecodeError("line 1: malformed header")
            at = match.end()
            names_read.append(_unquoted(match[1]))
            if match[2] != b",":
                break
        if names_read == [b""]:
            raise DecodeError("expected a header line with the columns' names, got nothing")
        try:
            names = [name.decode() for name in names_read]
        except UnicodeDecodeError as error:
            raise DecodeError(f"line 1: the header must be UTF-8; got {shorten(error.object)}") from error
        twice = repeated(names)
        if twice is not None:
            raise DecodeError(f"line 1: the header has the column {shorten(twice)} twice")
        if any("\0" in name for name in names):
            raise DecodeError("line 1: a column's name has a NUL in it, where Arrow's names end")
        self._line += _lines(first[:at])
        self._rest = first[at:]
        return names

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the cells as record batches of one string column for each name; an unquoted empty cell is null.

        Raises:
            DecodeError: a record has too many or too few cells, a quote is out of place, or a cell is not UTF-8; the
                message gives the line.
        """
        yield from self._cells(self._rest)
        self._rest = b""
        for block in self._blocks:
            yield from self._cells(block)

    def schema(self) -> pa.Schema:
        """Return the schema of the batches."""
        return pa.schema([pa.field(name, pa.string()) for name in self.names])

    def _cells(self, block: bytes) -> Iterator[pa.RecordBatch]:
        if not block:
            return
        _check_quotes(block, self._line)
        if not block.endswith((b"\n", b"\r")):
            block += b"\n"  # pyarrow takes an empty cell that the end of the file ends for a quoted one
        alone = len(self.names) == 1  # then an empty line is a row whose one cell is missing
        indexes = [str(index) for index in range(len(self.names))]
        try:
            table = pa.csv.read_csv(
                pa.BufferReader(block),
                read_options=pa.csv.ReadOptions(use_threads=False, column_names=indexes, block_size=len(block) + 1),
                parse_options=pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=not alone),
                convert_options=pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(indexes, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if not alone and not block.strip(b"\r\n"):
                self._line += _lines(block)
                return  # pyarrow calls nothing but empty lines an empty file
            raise _explain(block, self._line, len(self.names), error) from error
        self._line += _lines(block)
        # Not by name: pyarrow would make the names of the columns' positions ours.
        yield from table.rename_columns(self.names).to_batches()


def _blocks(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the file in blocks of whole records."""
    rest = b""
    while piece := file.read(max(size, len(rest))):
        block = rest + piece
        end = _last_record_end(block)
        if end:
            yield block[:end]
        elif len(block) > MAX_RECORD_BYTES:
            raise DecodeError(
                f"a record of more than {MAX_RECORD_BYTES} bytes, or a quote that never closes, "
                f"at {shorten(block[:30])}"
            )
        rest = block[end:]
    if rest:
        yield rest


def _last_record_end(block: bytes) -> int:
    """Return the offset behind the last complete record; 0 where there is none."""
    parts = block.split(b'"')
    # The parts of odd index stand between quotes. A line's end in them belongs to a cell.
    end = len(block)
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if index % 2 == 0:
            # A CR that ends the block may be the first half of a CR LF.
            whole = part[:-1] if end == len(block) and part.endswith(b"\r") else part
            line_end = max(whole.rfind(b"\n"), whole.rfind(b"\r"))
            if line_end >= 0:
                return end - len(part) + line_end + 1
        end -= len(part) + 1
    return 0


def _lines(block: bytes) -> int:
    count = block.count(b"\n")
    return count if count or b"\r" not in block else block.count(b"\r")


def _unquoted(text: bytes) -> bytes:
    return text[1:-1].replace(b'""', b'"') if text.startswith(b'"') else text


def _check_quotes(block: bytes, line: int) -> None:
    if b'"' not in block:
        return
    bare = _QUOTED.sub(b'"', block)
    if block.count(b'"') % 2 == 0 and not _MISPLACED.search(bare):
        return
    at = 0
    while at < len(block):
        match = _CELL.match(block, at)
        if match is None:
            where = line + _lines(block[:at])
            start = block.find(b'"', at)
            if block[at : at + 1] == b'"' and _QUOTED.match(block, at) is None:
                raise DecodeError(f"line {where}: a quote that never closes, at {shorten(block[at : at + 30])}")
            raise DecodeError(
                f"line {where}: a quote out of place, near {shorten(block[max(start - 10, at) : start + 20])}"
            )
        at = match.end()
    raise DecodeError(f"line {line + _lines(block)}: a quote that never closes")


def _explain(block: bytes, line: int, width: int, error: Exception) -> DecodeError:
    """Explain what is wrong with a block that pyarrow refused."""
    at, cells, began = 0, 0, 0
    while at < len(block):
        match = _CELL.match(block, at)
        if match is None:
            break
        at, cells = match.end(), cells + 1
        if match[2] != b",":
            empty = cells == 1 and not match[1] and width > 1
            if cells != width and not empty:
                where = line + _lines(block[:began])
                return DecodeError(f"line {where}: expected {width} cells, got {cells}")
            cells, began = 0, at
    try:
        block.decode()
    except UnicodeDecodeError as bad:
        where = line + _lines(block[: bad.start])
        return DecodeError(f"line {where}: CSV must be UTF-8; got {shorten(block[bad.start : bad.start + 8])}")
    return DecodeError(f"line {line} or later: {shorten(str(error), 200)}")
