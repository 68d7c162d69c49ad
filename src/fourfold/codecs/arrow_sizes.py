"""What Arrow data that is compressed says it unfolds to, before anything unfolds it.

pyarrow takes memory for what a message claims, and a few kilobytes can claim gigabytes. The claims stand before each
buffer; where the buffers are is read from the message's metadata (FlatBuffers, of which this knows as much as it needs;
the layout is that of `Message.fbs` and `File.fbs` in the Arrow format, version 5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pyarrow as pa

__all__ = ["unfolded"]

_DICTIONARY, _RECORDS = 2, 3
_MAGIC = b"ARROW1"


class _Table:
    """A table of FlatBuffers at an offset; a field that is absent is `None`."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data = data
        self._at = at
        (back,) = struct.unpack_from("<i", data, at)
        self._offsets = at - back
        (self._size,) = struct.unpack_from("<H", data, self._offsets)

    def field(self, number: int) -> int | None:
        """Where the field's value is."""
        entry = 4 + 2 * number
        if entry >= self._size:
            return None
        (offset,) = struct.unpack_from("<H", self._data, self._offsets + entry)
        return self._at + offset if offset else None

    def table(self, number: int) -> _Table | None:
        at = self.field(number)
        return None if at is None else _Table(self._data, at + struct.unpack_from("<I", self._data, at)[0])

    def structs(self, number: int, form: str) -> Iterator[tuple[int, ...]]:
        """The elements of a vector of structs."""
        at = self.field(number)
        if at is not None:
            at += struct.unpack_from("<I", self._data, at)[0]
            (length,) = struct.unpack_from("<I", self._data, at)
            start = at + 4
            yield from struct.iter_unpack(form, self._data[start : start + length * struct.calcsize(form)])


def unfolded(data: bytes) -> int:
    """How many bytes the compressed buffers of an Arrow stream or file say they unfold to, all together.

    Args:
        data: the stream or file, whole.

    Raises:
        struct.error, ValueError, OverflowError, pyarrow.ArrowException: it is neither, or is damaged.
    """
    view = memoryview(data)
    messages = _blocks(view) if data.startswith(_MAGIC) else _messages(data)
    return sum(_claimed(metadata, body) for metadata, body in messages)


def _messages(data: bytes) -> Iterator[tuple[memoryview, memoryview]]:
    reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(data))
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        yield memoryview(message.metadata), memoryview(message.body if message.body is not None else b"")


def _blocks(view: memoryview) -> Iterator[tuple[memoryview, memoryview]]:
    # The messages that the footer names: a reader goes to these, wherever others may lie.
    end = len(view) - len(_MAGIC) - 4
    (length,) = struct.unpack_from("<i", view, end)
    start = end - length
    if not 0 <= start < end:
        raise ValueError(f"a footer of {length} bytes")
    footer = _Table(view, start + struct.unpack_from("<I", view, start)[0])
    taken = 0
    for number in (2, 3):  # dictionaries, record batches
        for offset, metadata_length, body_length in footer.structs(number, "<qi4xq"):
            taken += metadata_length + body_length
            if metadata_length < 0 or body_length < 0 or taken > len(view):
                raise ValueError("blocks that overlap")  # or a short file could have any number of them
            (first,) = struct.unpack_from("<I", view, offset)
            prefix = 8 if first == 0xFFFFFFFF else 4  # before version 0.15 there was no continuation marker
            body = offset + metadata_length
            yield view[offset + prefix : body], view[body : body + body_length]


def _claimed(metadata: memoryview, body: memoryview) -> int:
    message = _Table(metadata, struct.unpack_from("<I", metadata)[0])
    kind, header = message.field(1), message.table(2)
    if kind is None or header is None:
        return 0
    (form,) = struct.unpack_from("<B", metadata, kind)
    if form not in (_DICTIONARY, _RECORDS):
        return 0
    batch = header.table(1) if form == _DICTIONARY else header
    if batch is None or batch.field(3) is None:
        return 0
    # Before each compressed buffer stands its length; -1 says that it was left as it is.
    return sum(
        max(struct.unpack_from("<q", body, offset)[0], 0) for offset, length in batch.structs(2, "<qq") if length
    )
