"""Add up what Arrow data claims to unfold to, before anything unfolds it or follows its views.

pyarrow allocates the memory that a message claims, and a few kilobytes can claim gigabytes. A claim stands before each
buffer; the message's metadata says where the buffers are. `Message.fbs` and `File.fbs` in the Arrow format, version 5,
define the metadata; only the fields that matter here are read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fourfold.modelfiles.flatbuffers import FlatTable

__all__ = ["column_count", "message_sizes", "unfolded_size", "viewed_size"]

_MAGIC = b"ARROW1"
# `MessageHeader`, the kind of a message: a batch of a dictionary's values, or of rows.
_SCHEMA, _DICTIONARY_BATCH, _RECORD_BATCH = 1, 2, 3
# The numbers of fields in `Message`, `DictionaryBatch`, `RecordBatch` and `Footer`.
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3
_DICTIONARY_DATA = 1
_BUFFERS, _COMPRESSION = 2, 3
_FOOTER_SCHEMA, _FOOTER_DICTIONARIES, _FOOTER_RECORD_BATCHES = 1, 2, 3
_SCHEMA_FIELDS = 1
# The structs `Buffer` (offset, length) and `Block` (offset, length of the metadata, length of the body).
_BUFFER, _BLOCK = struct.Struct("<qq"), struct.Struct("<qi4xq")


def unfolded_size(data: bytes) -> int:
    """Return how many bytes the compressed buffers of an Arrow stream or file claim to unfold to, all together.

    Args:
        data: the whole stream or file.

    Raises:
        struct.error, ValueError, OverflowError, pyarrow.ArrowException: the data is neither, or is damaged.
    """
    view = memoryview(data)
    messages = _file_messages(view) if data.startswith(_MAGIC) else _stream_messages(data)
    return sum(
        _claimed_size(metadata, lambda offset, body=body: struct.unpack_from("<q", body, offset)[0])  # type: ignore[misc]
        for metadata, body in messages
    )


def message_sizes(read_at: Callable[[int, int], bytes], size: int) -> Iterator[int]:
    """Yield how many bytes the compressed buffers of each message of a file claim to unfold to.

    Only the messages' metadata are read, and the claims before the buffers.

    Args:
        read_at: returns the bytes at an offset, at most so many.
        size: the file's length in bytes.

    Raises:
        struct.error, ValueError, OverflowError, pyarrow.ArrowException: the file is no Arrow data, or is damaged.
    """
    if read_at(0, len(_MAGIC)) == _MAGIC:
        blocks = _blocks(_footer_at(read_at, size), size)
    else:
        blocks = _stream_blocks(read_at, size)
    for metadata_at, body_at in blocks:
        metadata = read_at(metadata_at, body_at - metadata_at)

        def claim(offset: int, body_at: int = body_at) -> int:
            return int(struct.unpack("<q", read_at(body_at + offset, 8))[0])

        yield _claimed_size(memoryview(metadata), claim)


def _stream_blocks(read_at: Callable[[int, int], bytes], size: int) -> Iterator[tuple[int, int]]:
    """Yield the offsets of the metadata and of the body of each message of a stream."""
    position = 0
    while position + 8 <= size:
        first, length = struct.unpack("<Ii", read_at(position, 8))
        prefix = 8 if first == 0xFFFFFFFF else 4  # before version 0.15 there was no continuation marker
        length = length if prefix == 8 else first
        if not 0 < length <= size:
            return  # the end marker, or damage that the reader names
        body_at = position + prefix + length
        yield position + prefix, body_at
        metadata = read_at(position + prefix, length)
        position = body_at + max(0, FlatTable.root(metadata).scalar(_BODY_LENGTH, "<q", 0))


def _footer_at(read_at: Callable[[int, int], bytes], size: int) -> FlatTable:
    end = size - len(_MAGIC) - 4
    if end < 0:
        raise ValueError("a file without a footer")
    (length,) = struct.unpack("<i", read_at(end, 4))
    if not 0 < length <= end:
        raise ValueError(f"a footer of {length} bytes")
    return FlatTable.root(read_at(end - length, length))


def _blocks(footer: FlatTable, size: int) -> Iterator[tuple[int, int]]:
    """Yield the offsets of the metadata and of the body of each message that a footer names."""
    for field in (_FOOTER_DICTIONARIES, _FOOTER_RECORD_BATCHES):
        for offset, metadata_length, _ in _BLOCK.iter_unpack(footer.vector(field, _BLOCK.size)):
            if not 8 <= metadata_length <= size or not 0 <= offset <= size:
                raise ValueError("a block outside of the file")
            yield offset + 8, offset + metadata_length


def column_count(data: bytes) -> int:
    """Return the number of columns in the schema of an Arrow stream or file, which pyarrow has not read yet.

    Raises:
        struct.error, ValueError, OverflowError, pyarrow.ArrowException: the data is neither, or is damaged.
    """
    if data.startswith(_MAGIC):
        parent, field = _footer(memoryview(data)), _FOOTER_SCHEMA
    else:
        metadata, _ = next(_stream_messages(data), (memoryview(b""), memoryview(b"")))
        parent, field = FlatTable.root(metadata), _HEADER
        if parent.scalar(_HEADER_TYPE, "<B", 0) != _SCHEMA:
            return 0
    return len(parent.table(field).vector(_SCHEMA_FIELDS, 4)) // 4 if parent.has(field) else 0


def viewed_size(array: Any) -> int:
    """Return how many bytes the views in an array show, each counted as if no other showed them.

    Args:
        array: a `pyarrow.Array` that has been validated, but not in full: only its views are read.
    """
    data_type = array.type
    if pa.types.is_string_view(data_type) or pa.types.is_binary_view(data_type):
        # A view is four integers; the first is its length.
        if not len(array):
            return 0
        numbers = pa.Array.from_buffers(pa.int32(), 4 * len(array), [None, array.buffers()[1]], offset=4 * array.offset)
        lengths = pc.list_element(pa.FixedSizeListArray.from_arrays(numbers, 4), 0)
        return int(pc.sum(lengths.filter(array.is_valid()).cast(pa.int64())).as_py() or 0)
    return sum(map(viewed_size, _children(array)))


def _children(array: Any) -> list[Any]:
    """Return the arrays of which an array is made; none for a type that holds its values itself."""
    data_type = array.type
    if isinstance(array, pa.ExtensionArray):
        return [array.storage]
    if pa.types.is_dictionary(data_type):
        return [array.dictionary]
    if pa.types.is_run_end_encoded(data_type):
        return [array.values]
    if pa.types.is_map(data_type):
        return [array.keys, array.items]
    if pa.types.is_struct(data_type) or pa.types.is_union(data_type):
        return [array.field(index) for index in range(data_type.num_fields)]
    return [array.values] if pa.types.is_nested(data_type) else []


def _stream_messages(data: bytes) -> Iterator[tuple[memoryview, memoryview]]:
    """Yield the metadata and the body of each message of a stream."""
    reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(data))
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        yield memoryview(message.metadata), memoryview(message.body if message.body is not None else b"")


def _footer(view: memoryview) -> FlatTable:
    end = len(view) - len(_MAGIC) - 4
    (length,) = struct.unpack_from("<i", view, end)
    start = end - length
    if not 0 <= start < end:
        raise ValueError(f"a footer of {length} bytes")
    return FlatTable.root(view[start:end])


def _file_messages(view: memoryview) -> Iterator[tuple[memoryview, memoryview]]:
    """Yield the metadata and the body of each message that the footer names: readers read these and no others."""
    footer = _footer(view)
    total = 0
    for field in (_FOOTER_DICTIONARIES, _FOOTER_RECORD_BATCHES):
        for offset, metadata_length, body_length in _BLOCK.iter_unpack(footer.vector(field, _BLOCK.size)):
            total += metadata_length + body_length
            # Blocks must not overlap: a short file could have any number of them.
            if metadata_length < 0 or body_length < 0 or total > len(view):
                raise ValueError("blocks that overlap")
            (first,) = struct.unpack_from("<I", view, offset)
            prefix = 8 if first == 0xFFFFFFFF else 4  # before version 0.15 there was no continuation marker
            body = offset + metadata_length
            yield view[offset + prefix : body], view[body : body + body_length]


def _claimed_size(metadata: memoryview, claim: Callable[[int], int]) -> int:
    """Return how many bytes the compressed buffers of one message claim to unfold to.

    Args:
        metadata: the message's metadata.
        claim: returns the claim that stands at an offset in the message's body.
    """
    message = FlatTable.root(metadata)
    header_type = message.scalar(_HEADER_TYPE, "<B", 0)
    if header_type not in (_DICTIONARY_BATCH, _RECORD_BATCH) or not message.has(_HEADER):
        return 0
    batch = message.table(_HEADER)
    if header_type == _DICTIONARY_BATCH:
        if not batch.has(_DICTIONARY_DATA):
            return 0
        batch = batch.table(_DICTIONARY_DATA)
    if not batch.has(_COMPRESSION):
        return 0
    # The unfolded length stands before each compressed buffer; -1 marks a buffer that is stored as it is.
    buffers = _BUFFER.iter_unpack(batch.vector(_BUFFERS, _BUFFER.size))
    return sum(max(claim(offset), 0) for offset, length in buffers if length)
