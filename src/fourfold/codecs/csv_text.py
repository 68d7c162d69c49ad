"""Split CSV into records and cells, and explain errors in malformed CSV.

The grammar is RFC 4180's, with LF, CR LF or CR after a record. pyarrow splits the cells. It accepts a quote inside an
unquoted cell, text after a closing quote, and a quote that never closes: these are refused here before pyarrow reads.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import IO

import pyarrow as pa
import pyarrow.csv

from fourfold.codecs.bounds import DEFAULT_BOUNDS, Bounds
from fourfold.errors import DecodeError, shorten

__all__ = ["Reader"]

#: Bytes of a file that are split into cells at a time.
BLOCK_BYTES = 1 << 20
#: The longest record, in bytes. Without a limit, one quote that never closes would bring a whole file into memory.
MAX_RECORD_BYTES = 1 << 28
#: The longest block whose quotes are looked at all at once; a longer one, of a record as long, cell by cell.
MAX_REDUCED_BYTES = 1 << 22

_BOM = b"\xef\xbb\xbf"
_QUOTED_PART = re.compile(rb'"[^"]*+"')
# After each quoted part is replaced by one quote, a well-formed quoted cell is only quotes: any other byte beside a
# quote is misplaced.
_MISPLACED = re.compile(rb'[^,\r\n"]"|"[^,\r\n"]')
# A CR at the end of a block may be the first half of a CR LF.
_WHOLE_RECORDS = re.compile(rb'(?:(?:[^"\r\n]++|"[^"]*+")*+(?:\r\n|\n|\r(?!\Z)))*+')
_BYTES_PER_QUOTE = 8
# A record without quotes, whose cells need not be looked at one by one.
_PLAIN_RECORD = re.compile(rb'[^"\r\n]*+(?:\r\n|\n|\r)')
_CELL = re.compile(rb'("(?:[^"]++|"")*+"|[^",\r\n]*+)(,|\r\n|\n|\r|\Z)')


class Reader:
    """Read the cells of a CSV file, all as text.

    A column that is not selected is only counted and checked to be UTF-8: it costs next to nothing.

    Args:
        file: a binary file that begins with a header; a byte-order mark before it is skipped.
        block: the bytes to split into cells at a time; a longer record makes its block longer.
        bounds: what the table may take: they limit the number of columns.

    Attributes:
        names: the columns' names; one may be there twice.

    Raises:
        DecodeError: there is no header, or it is malformed.
        TooLarge: it has more columns than the bounds allow.
    """

    def __init__(self, file: IO[bytes], block: int = BLOCK_BYTES, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self._bounds = bounds
        self._blocks = _blocks(file, block)
        self._line = 1
        self._unread = next(self._blocks, b"")
        self.names = self._header()
        self._selected: list[int] | None = None

    def _header(self) -> list[str]:
        block = self._unread.removeprefix(_BOM)
        _check_quotes(block, 1)
        raw_names, at = [], 0
        while True:
            match = _CELL.match(block, at)
            if match is None:  # unreachable: the quotes have been checked
                raise DecodeError("line 1: malformed header")
            at = match.end()
            raw_names.append(_unquote(match[1]))
            if len(raw_names) % 1024 == 0:
                self._bounds.check_columns(len(raw_names), "a CSV header")
            if match[2] != b",":
                break
        if raw_names == [b""]:
            raise DecodeError("expected a header line with the columns' names, got nothing")
        try:
            names = [name.decode() for name in raw_names]
        except UnicodeDecodeError as error:
            raise DecodeError(f"line 1: the header must be UTF-8; got {shorten(error.object)}") from error
        if any("\0" in name for name in names):
            raise DecodeError("line 1: a column's name has a NUL in it, where Arrow's names end")
        self._line += _count_lines(block[:at])
        self._unread = block[at:]
        return names

    def select(self, names: Collection[str]) -> None:
        """Read only the columns of these names, in the order of the file; the first where there is none of them."""
        selected = [index for index, name in enumerate(self.names) if name in names] or [0]
        self._selected = None if len(selected) == len(self.names) else selected

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the cells as record batches of one string column for each name; an unquoted empty cell is null.

        Raises:
            DecodeError: a record has too many or too few cells, a quote is misplaced, or a cell is not UTF-8; the
                message gives the line.
        """
        yield from self._cells(self._unread)
        self._unread = b""
        for block in self._blocks:
            yield from self._cells(block)

    def schema(self) -> pa.Schema:
        """Return the schema of the batches."""
        return pa.schema([pa.field(name, pa.string()) for name in self._selected_names()])

    def _selected_names(self) -> list[str]:
        return self.names if self._selected is None else [self.names[index] for index in self._selected]

    def _cells(self, block: bytes) -> Iterator[pa.RecordBatch]:
        if not block:
            return
        _check_quotes(block, self._line)
        if not block.endswith((b"\n", b"\r")):
            block += b"\n"  # pyarrow reads an empty cell at the end of the file as a quoted one
        is_single = len(self.names) == 1  # then an empty line is a row whose only cell is missing
        positions = [str(index) for index in range(len(self.names))]
        included = positions if self._selected is None else [positions[index] for index in self._selected]
        if len(included) < len(positions) and not _is_utf8(block):  # pyarrow checks what it converts
            raise _explain(block, self._line, len(self.names), ValueError("not UTF-8"))
        try:
            table = pa.csv.read_csv(
                pa.BufferReader(block),
                read_options=pa.csv.ReadOptions(use_threads=False, column_names=positions, block_size=len(block) + 1),
                parse_options=pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=not is_single),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=None if self._selected is None else included,
                    column_types=dict.fromkeys(included, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if not is_single and not block.strip(b"\r\n"):
                self._line += _count_lines(block)
                return  # pyarrow refuses a block of empty lines as an empty file
            raise _explain(block, self._line, len(self.names), error) from error
        self._line += _count_lines(block)
        # pyarrow read the columns under their positions as names, so that no name in a file can confuse it.
        yield from table.rename_columns(self._selected_names()).to_batches()


def _is_utf8(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _blocks(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the file in blocks of whole records."""
    unread = b""
    while piece := file.read(max(size, len(unread))):
        block = unread + piece
        end = _last_record_end(block)
        if end:
            yield block[:end]
        elif len(block) > MAX_RECORD_BYTES:
            raise DecodeError(
                f"a record of more than {MAX_RECORD_BYTES} bytes, or a quote that never closes, "
                f"at {shorten(block[:30])}"
            )
        unread = block[end:]
    if unread:
        yield unread


def _last_record_end(block: bytes) -> int:
    """Return the offset after the last complete record; 0 where no record is complete."""
    if block.count(b'"') * _BYTES_PER_QUOTE > len(block):
        # So many quotes that splitting at them would take many times the memory of the block.
        match = _WHOLE_RECORDS.match(block)
        return match.end() if match else 0
    parts = block.split(b'"')
    # The parts with odd indices lie between quotes: a line end in them belongs to a cell.
    end = len(block)
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if index % 2 == 0:
            # A CR at the end of the block may be the first half of a CR LF.
            text = part[:-1] if end == len(block) and part.endswith(b"\r") else part
            line_end = max(text.rfind(b"\n"), text.rfind(b"\r"))
            if line_end >= 0:
                return end - len(part) + line_end + 1
        end -= len(part) + 1
    return 0


def _count_lines(block: bytes) -> int:
    count = block.count(b"\n")
    return count if count or b"\r" not in block else block.count(b"\r")


def _unquote(text: bytes) -> bytes:
    return text[1:-1].replace(b'""', b'"') if text.startswith(b'"') else text


def _check_quotes(block: bytes, line: int) -> None:
    if b'"' not in block:
        return
    # Of a block of quotes alone, the quick look would make a list of millions of parts.
    is_huge = len(block) > MAX_REDUCED_BYTES
    if not is_huge and block.count(b'"') % 2 == 0 and not _MISPLACED.search(_QUOTED_PART.sub(b'"', block)):
        return
    at = 0
    while at < len(block):
        match = _CELL.match(block, at)
        if match is None:
            where = line + _count_lines(block[:at])
            start = block.find(b'"', at)
            if block[at : at + 1] == b'"' and _QUOTED_PART.match(block, at) is None:
                raise DecodeError(f"line {where}: a quote that never closes, at {shorten(block[at : at + 30])}")
            raise DecodeError(
                f"line {where}: a quote out of place, near {shorten(block[max(start - 10, at) : start + 20])}"
            )
        at = match.end()
    if not is_huge:
        raise DecodeError(f"line {line + _count_lines(block)}: a quote that never closes")


def _explain(block: bytes, line: int, n_columns: int, error: Exception) -> DecodeError:
    """Explain what is wrong with a block that pyarrow refused."""
    at, cells, record_start = 0, 0, 0
    while at < len(block):
        plain = None if cells else _PLAIN_RECORD.match(block, at)
        if plain is not None and plain.end() > at + 1:
            count = plain[0].count(b",") + 1
            if count != n_columns and not plain[0].isspace():
                return DecodeError(f"line {line + _count_lines(block[:at])}: expected {n_columns} cells, got {count}")
            at = record_start = plain.end()
            continue
        match = _CELL.match(block, at)
        if match is None:
            break
        at, cells = match.end(), cells + 1
        if match[2] != b",":
            is_empty_line = cells == 1 and not match[1] and n_columns > 1
            if cells != n_columns and not is_empty_line:
                where = line + _count_lines(block[:record_start])
                return DecodeError(f"line {where}: expected {n_columns} cells, got {cells}")
            cells, record_start = 0, at
    try:
        block.decode()
    except UnicodeDecodeError as bad:
        where = line + _count_lines(block[: bad.start])
        return DecodeError(f"line {where}: CSV must be UTF-8; got {shorten(block[bad.start : bad.start + 8])}")
    return DecodeError(f"line {line} or later: {shorten(str(error), 200)}")
