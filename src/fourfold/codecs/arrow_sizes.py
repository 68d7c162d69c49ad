"""Add up the sizes that compressed Arrow data claims to unfold to, before anything unfolds it.

pyarrow allocates the memory that a message claims, and a few kilobytes can claim gigabytes. A claim stands before each
buffer; the message's metadata says where the buffers are. `Message.fbs` and `File.fbs` in the Arrow format, version 5,
define the metadata; only the fields that matter here are read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pyarrow as pa

from fourfold.modelfiles.flatbuffers import FlatTable

__all__ = ["unfolded_size"]

_MAGIC = b"ARROW1"
# `MessageHeader`, the kind of a message: a batch of a dictionary's values, or of rows.
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
# The numbers of fields in `Message`, `DictionaryBatch`, `RecordBatch` and `Footer`.
_HEADER_TYPE, _HEADER = 1, 2
_DICTIONARY_DATA = 1
_BUFFERS, _COMPRESSION = 2, 3
_FOOTER_DICTIONARIES, _FOOTER_RECORD_BATCHES = 2, 3
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
    return sum(_claimed_size(metadata, body) for metadata, body in messages)


def _stream_messages(data: bytes) -> Iterator[tuple[memoryview, memoryview]]:
    """Yield the metadata and the body of each message of a stream."""
    reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(data))
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        yield memoryview(message.metadata), memoryview(message.body if message.body is not None else b"")


def _file_messages(view: memoryview) -> Iterator[tuple[memoryview, memoryview]]:
    """Yield the metadata and the body of each message that the footer names: readers read these and no others."""
    end = len(view) - len(_MAGIC) - 4
    (length,) = struct.unpack_from("<i", view, end)
    start = end - length
    if not 0 <= start < end:
        raise ValueError(f"a footer of {length} bytes")
    footer = FlatTable.root(view[start:end])
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


def _claimed_size(metadata: memoryview, body: memoryview) -> int:
    """Return how many bytes the compressed buffers of one message claim to unfold to."""
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
    return sum(max(struct.unpack_from("<q", body, offset)[0], 0) for offset, length in buffers if length)
