"""Measure what the pages of a Parquet file can unfold to, before anything unfolds them.

The footer's own sizes are claims that no reader checks. What pyarrow allocates stands in the header of each page, and
how often a value of a dictionary is used in the number of a page's values. Footer and headers are structs of Thrift's
compact protocol (`thrift_compact`); `parquet.thrift` in the Parquet format defines them. pyarrow's own view of a footer
is not used: it ends the process where a part of it is damaged.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from fourfold.codecs.thrift_compact import STRUCT, Cursor, Struct
from fourfold.errors import DecodeError

__all__ = ["Footer", "ReadAt", "RowGroupSize", "measure_row_group", "read_footer", "reader_at"]

#: Returns the bytes at an offset, at most so many: fewer at the end of the data.
ReadAt = Callable[[int, int], bytes]

#: The bytes that are read of a page's header at first; statistics of long texts make it longer.
HEADER_BYTES = 256
MAX_HEADER_BYTES = 1 << 24
#: What is kept of a column for each row group beside its values, in bytes.
CHUNK_BYTES = 1024
#: The pages of a column that may hold none of its values: a dictionary, an index.
MAX_PAGES_WITHOUT_VALUES = 64
#: The bytes by which the last page may end after its column: some writers do not count a dictionary's header.
MAX_UNCOUNTED_BYTES = 100
#: The bytes from which on a column of texts that are stored once for many is named.
MIN_WIDE_BYTES = 1 << 26

# The numbers of fields: of `FileMetaData`, `SchemaElement`, `RowGroup`, `ColumnChunk` and `ColumnMetaData`.
_SCHEMA, _ROW_GROUPS = 2, 4
_ELEMENT_TYPE, _ELEMENT_LENGTH, _ELEMENT_REPETITION, _ELEMENT_NAME, _ELEMENT_CHILDREN = 1, 2, 3, 4, 5
_ELEMENT = frozenset((_ELEMENT_TYPE, _ELEMENT_LENGTH, _ELEMENT_REPETITION, _ELEMENT_NAME, _ELEMENT_CHILDREN))
_GROUP_COLUMNS, _GROUP_ROWS = 1, 3
_CHUNK_METADATA = 3
_CODEC, _NUM_VALUES, _TOTAL_UNCOMPRESSED, _TOTAL_COMPRESSED, _DATA_OFFSET, _DICTIONARY_OFFSET = 4, 5, 6, 7, 9, 11
_CLAIMS = frozenset((_CODEC, _NUM_VALUES, _TOTAL_UNCOMPRESSED, _TOTAL_COMPRESSED, _DATA_OFFSET, _DICTIONARY_OFFSET))
# `PageType`, and the numbers of fields in `PageHeader` and in the headers of the kinds of pages.
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_TYPE, _UNCOMPRESSED, _COMPRESSED = 1, 2, 3
_HEADERS = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
_PAGE = frozenset((_TYPE, _UNCOMPRESSED, _COMPRESSED, *_HEADERS.values()))
_VALUES = 1
_ENCODING = {_DATA: 2, _DICTIONARY: 2, _DATA_V2: 4}
# `Encoding`: those in which a value is stored once for many; and that in which it may repeat the start of the last one.
_DICTIONARY_ENCODINGS, _DELTA_BYTE_ARRAY = (2, 8), 7
# The bytes of a value of each `Type` in memory; texts are as long as they are.
_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, 6: 0}
_REPEATED = 2
_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}


class Leaf(NamedTuple):
    """Describe a column of values: the name of its root, the bytes of a value (0 for text), and its levels."""

    root: bytes
    width: int
    levels: int
    is_repeated: bool


class Chunk(NamedTuple):
    """Describe a column of a row group, as the footer claims it."""

    codec: int
    values: int
    unfolded: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Footer:
    """Hold what a footer says of the columns and row groups.

    Attributes:
        leaves: the columns of values, in the order of the schema.
        groups: for each row group its rows, and its columns in the same order.
        end: the offset at which the footer begins, and every page has ended.
    """

    leaves: list[Leaf]
    groups: list[tuple[int, list[Chunk]]]
    end: int


def reader_at(fileno: int) -> ReadAt:
    """Return the function that reads an open file."""
    return lambda start, count: os.pread(fileno, count, start) if start >= 0 and count > 0 else b""


def read_footer(data: bytes, start: int) -> Footer:
    """Return what the bytes of a footer say, without the length and the magic bytes after it.

    Args:
        data: the bytes.
        start: their offset in the file.

    Raises:
        DecodeError: the footer is malformed.
    """
    cursor = Cursor(data)
    elements: list[Struct] = []
    groups: list[tuple[int, list[Chunk]]] = []
    try:
        for number, kind in cursor.fields():
            if number == _SCHEMA:
                elements = [cursor.struct(numbers=_ELEMENT) for _ in range(cursor.list_size())]
            elif number == _ROW_GROUPS:
                groups = [_read_group(cursor) for _ in range(cursor.list_size())]
            else:
                cursor.skip(kind)
        leaves = _leaves(elements)
    except (IndexError, TypeError, KeyError) as error:
        raise DecodeError("malformed or truncated Parquet: its footer is damaged") from error
    if any(len(chunks) != len(leaves) for _, chunks in groups):
        raise DecodeError("malformed Parquet: a row group with another number of columns than the schema")
    return Footer(leaves, groups, start)


def _read_group(cursor: Cursor) -> tuple[int, list[Chunk]]:
    rows, chunks = 0, []
    for number, kind in cursor.fields():
        if number == _GROUP_COLUMNS:
            chunks = [_chunk(cursor) for _ in range(cursor.list_size())]
        elif number == _GROUP_ROWS:
            rows = cursor.value(kind)
        else:
            cursor.skip(kind)
    return rows, chunks


def _chunk(cursor: Cursor) -> Chunk:
    claims = None
    for number, kind in cursor.fields():
        if number == _CHUNK_METADATA and kind == STRUCT:
            claims = cursor.struct(numbers=_CLAIMS)
        else:
            cursor.skip(kind)
    if claims is None:
        raise KeyError(_CHUNK_METADATA)
    start, dictionary = claims[_DATA_OFFSET], claims.get(_DICTIONARY_OFFSET) or 0
    if 0 < dictionary < start:
        start = dictionary
    end = start + claims[_TOTAL_COMPRESSED]
    return Chunk(claims[_CODEC], claims[_NUM_VALUES], claims[_TOTAL_UNCOMPRESSED], start, end)


def _leaves(elements: list[Struct]) -> list[Leaf]:
    """Return the columns of values: the schema is a tree, whose elements stand in the order of a walk through it."""
    leaves: list[Leaf] = []
    # For each open group: its children that are to come, the name of its root, its levels, whether it is repeated.
    open_groups: list[list[Any]] = []
    for index, element in enumerate(elements):
        children = element.get(_ELEMENT_CHILDREN) or 0
        if index == 0:
            open_groups.append([children, b"", 0, False])
            continue
        while open_groups[-1][0] == 0:
            open_groups.pop()
        parent = open_groups[-1]
        parent[0] -= 1
        repetition = element.get(_ELEMENT_REPETITION) or 0
        root = parent[1] if len(open_groups) > 1 else element[_ELEMENT_NAME]
        levels, is_repeated = parent[2] + 1 + (repetition == _REPEATED), parent[3] or repetition == _REPEATED
        if children:
            open_groups.append([children, root, levels, is_repeated])
        else:
            kind = element[_ELEMENT_TYPE]
            width = _WIDTHS[kind] if kind in _WIDTHS else element.get(_ELEMENT_LENGTH) or 0
            leaves.append(Leaf(root, width, levels, is_repeated))
    return leaves


class RowGroupSize(NamedTuple):
    """Say what a row group can unfold to.

    Attributes:
        unfolded: an upper bound of its bytes in memory.
        pages: the bytes to which its pages unfold, without regard to dictionaries.
        largest_page: those of the largest of them: they unfold one at a time.
        longest: an upper bound of the bytes of one value that is stored once for many; 0 where there is none.
        repeated: as `unfolded`, of the columns of lists alone: one row can hold all of it.
        least: the bytes that its numbers surely take.
        wide: the columns, by the names of their roots, whose texts are stored once for many and may take very much.
    """

    unfolded: int = 0
    pages: int = 0
    largest_page: int = 0
    longest: int = 0
    repeated: int = 0
    least: int = 0
    wide: frozenset[bytes] = frozenset()

    def plus(self, other: RowGroupSize) -> RowGroupSize:
        """Return the size of both together."""
        return RowGroupSize(
            self.unfolded + other.unfolded,
            self.pages + other.pages,
            max(self.largest_page, other.largest_page),
            max(self.longest, other.longest),
            self.repeated + other.repeated,
            self.least + other.least,
            self.wide | other.wide,
        )


def measure_row_group(read_at: ReadAt, footer: Footer, index: int, columns: frozenset[str] | None) -> RowGroupSize:
    """Measure a row group.

    Args:
        read_at: reads the file.
        footer: the file's footer.
        index: the index of the row group.
        columns: the columns that are read, by the names of their roots; `None` for all.

    Raises:
        DecodeError: a page's header is malformed, or a page claims what it cannot hold.
    """
    roots = None if columns is None else {name.encode() for name in columns}
    total = RowGroupSize()
    for leaf, chunk in zip(footer.leaves, footer.groups[index][1], strict=True):
        # A root's name may have a dot in it, which the caller takes for the end of the name.
        if roots is None or leaf.root in roots or leaf.root.partition(b".")[0] in roots:
            total = total.plus(_measure_chunk(read_at, chunk, leaf, footer.end))
    return total


def _measure_chunk(read_at: ReadAt, chunk: Chunk, leaf: Leaf, end_of_pages: int) -> RowGroupSize:
    if not 0 <= chunk.start <= chunk.end <= end_of_pages:
        raise DecodeError(f"malformed Parquet: a column from byte {chunk.start} to {chunk.end}, outside of the file")
    width = leaf.width
    # Each level of lists has an offset, and each level of nullable values a bit, for every value.
    overhead = 5 * leaf.levels
    unfolded, pages, largest, longest, dictionary, values_left = CHUNK_BYTES, 0, 0, 0, 0, chunk.values
    position, pages_left = chunk.start, chunk.values + MAX_PAGES_WITHOUT_VALUES
    while position < chunk.end and values_left > 0:
        pages_left -= 1
        if pages_left < 0:
            raise DecodeError(f"malformed Parquet: more pages than the {chunk.values} values of their column")
        header, header_size = _read_header(read_at, position, chunk.end)
        kind, uncompressed, compressed = (_integer(header, key) for key in (_TYPE, _UNCOMPRESSED, _COMPRESSED))
        if uncompressed < 0 or compressed < 0:
            raise DecodeError(f"malformed Parquet: a page of {compressed} bytes at byte {position}")
        position += header_size + compressed
        if position > min(chunk.end + MAX_UNCOUNTED_BYTES, end_of_pages):  # the reader makes room for it first
            raise DecodeError(f"malformed Parquet: a page of {compressed} bytes that ends after its column")
        pages += uncompressed
        largest = max(largest, uncompressed)
        if kind not in _HEADERS:
            continue
        inner = header.get(_HEADERS[kind])
        if not isinstance(inner, dict):
            raise DecodeError(f"malformed Parquet: a page without its header at byte {position}")
        values, encoding = _integer(inner, _VALUES), _integer(inner, _ENCODING[kind])
        if values < 0 or (kind == _DICTIONARY and values > 8 * uncompressed):
            raise DecodeError(f"malformed Parquet: a page of {uncompressed} bytes that claims {values} values")
        if kind == _DICTIONARY:
            dictionary = _longest_value(read_at, chunk.codec, position - compressed, compressed, uncompressed, width)
            unfolded += uncompressed + 16 * values
            continue
        values_left -= values
        unfolded += values * (width + overhead)
        if width:
            continue
        if encoding in _DICTIONARY_ENCODINGS:
            unfolded += values * dictionary
            longest = max(longest, dictionary)
        elif encoding == _DELTA_BYTE_ARRAY:
            unfolded += values * uncompressed
            longest = max(longest, uncompressed)
        else:
            unfolded += uncompressed
    if leaf.is_repeated:
        return RowGroupSize(unfolded, pages, largest, longest, repeated=unfolded)
    least = chunk.values * min(width, 8) if width > 1 else 0
    is_wide = leaf.levels == 1 and dictionary and unfolded > MIN_WIDE_BYTES
    return RowGroupSize(
        unfolded, pages, largest, longest, least=least, wide=frozenset((leaf.root,)) if is_wide else frozenset()
    )


def _longest_value(read_at: ReadAt, codec: int, position: int, compressed: int, size: int, width: int) -> int:
    """Return the length of the longest text in a dictionary's page, or what it has at most where it is large."""
    if width or size > MAX_HEADER_BYTES:
        return width or size
    data = read_at(position, compressed)
    if codec:
        try:
            data = pa.Codec(_CODECS[codec]).decompress(data, size, asbytes=True)
        except (KeyError, pa.ArrowException, OSError, ValueError):
            return size  # a codec that is not at hand, or damage that the reader will name
    longest = at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        longest = max(longest, length)
        at += 4 + length
    return min(longest, size)


def _integer(header: Struct, key: int) -> int:
    value = header.get(key)
    if type(value) is not int:
        raise DecodeError("malformed Parquet: a page's header lacks a number")
    return value


def _read_header(read_at: ReadAt, position: int, end: int) -> tuple[Struct, int]:
    """Return the header of the page at a position, and its length."""
    size = HEADER_BYTES
    while True:
        cursor = Cursor(read_at(position, min(size, end - position)))
        try:
            return cursor.struct(numbers=_PAGE), cursor.at
        except IndexError:
            if len(cursor.data) < size or size >= MAX_HEADER_BYTES:
                raise DecodeError(f"malformed or truncated Parquet: no page's header at byte {position}") from None
            size *= 16
