from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import flatbuffers
import pytest

from fourfold.modelfiles import MalformedModel
from fourfold.modelfiles.flatbuffers import FlatTable


def table(builder: Any, fields: dict[int, int]) -> int:
    """Write a table with these offsets in its fields."""
    builder.StartObject(8)
    for number, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(number, offset, 0)
    return int(builder.EndObject())


def vector(builder: Any, offsets: list[int]) -> int:
    """Write a vector of offsets."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def buffer() -> bytes:
    """Write a buffer with a field of every kind, as Google's library does, and two that are left out."""
    builder = flatbuffers.Builder()
    words = [builder.CreateString(text) for text in ("one", "", "three")]
    texts, name = vector(builder, words), builder.CreateString("name")
    inner = [table(builder, {0: word}) for word in words]
    tables = vector(builder, inner)
    builder.StartVector(16, 2, 8)
    for number in (4, 3, 2, 1):
        builder.PrependInt64(number)
    structs = builder.EndVector()
    builder.StartObject(8)
    builder.PrependFloat64Slot(0, 2.5, 0.0)
    for number, offset in {1: name, 2: structs, 3: tables, 4: texts, 5: inner[0]}.items():
        builder.PrependUOffsetTRelativeSlot(number, offset, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def contents(data: bytes | memoryview) -> tuple[Any, ...]:
    """Read every field of the buffer."""
    root = FlatTable.root(data)
    return (
        root.scalar(0, "<d", 0.0),
        root.text(1),
        list(struct.iter_unpack("<qq", root.vector(2, 16))),
        [inner.text(0) for inner in root.tables(3)],
        root.texts(4),
        root.table(5).text(0),
    )


@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_every_kind_of_field_is_read(kind: Any) -> None:
    """A reader gets what Google's library wrote, and the default of what was left out."""
    data = kind(buffer())
    assert contents(data) == (2.5, b"name", [(1, 2), (3, 4)], [b"one", b"", b"three"], [b"one", b"", b"three"], b"one")
    root = FlatTable.root(data)
    for field in (6, 7, 8, 1000):
        assert not root.has(field)
        assert (root.scalar(field, "<i", -1), root.text(field), root.tables(field), root.texts(field)) == (
            -1,
            b"",
            [],
            [],
        )
        with pytest.raises(MalformedModel, match="a part that is missing"):
            root.table(field)
    assert all(root.has(field) for field in range(6))


def test_no_damage_is_followed_out_of_the_buffer() -> None:
    """Whatever a byte is changed to, a reader gets fields of the buffer or the error, and nothing else."""
    data = buffer()
    for size in range(len(data) - 1):  # the last byte ends a text, which its length says too
        with pytest.raises(MalformedModel):
            contents(data[:size])
    for position in range(len(data)):
        for byte in (0, 1, 127, 128, 255):
            with suppress(MalformedModel):
                contents(data[:position] + bytes([byte]) + data[position + 1 :])
