"""Read FlatBuffers, the format of Google's library of that name, and check every offset before following it.

A table has its fields at offsets that stand in a second table, its vtable; a field that is left out has the offset 0.
https://flatbuffers.dev/internals/ describes the layout. Callers name fields by their numbers in the schema.
"""

from __future__ import annotations

import struct
from typing import Any

from fourfold.modelfiles import require

__all__ = ["FlatTable"]

_INT32, _UINT32, _UINT16, _TWO_UINT16 = (struct.Struct(form) for form in ("<i", "<I", "<H", "<HH"))


class FlatTable:
    """Represent one table of a buffer.

    Args:
        data: the whole buffer.
        position: the byte at which the table begins.

    Raises:
        MalformedModel: the table or its vtable does not lie inside the buffer. Methods raise it where a field does not
            lie inside its table, or what the field refers to does not lie inside the buffer.
    """

    def __init__(self, data: bytes | memoryview, position: int) -> None:
        require(position <= len(data) - 4, "an offset to the outside")
        vtable = position - _INT32.unpack_from(data, position)[0]
        require(0 <= vtable <= len(data) - 4, "an offset to the outside")
        vtable_size, table_size = _TWO_UINT16.unpack_from(data, vtable)
        require(vtable_size >= 4 and vtable_size % 2 == 0 and table_size >= 4, "a table without fields")
        is_inside = vtable + vtable_size <= len(data) and position + table_size <= len(data)
        require(is_inside, "a table that is cut off")
        self._data = data
        self._position = position
        self._size = table_size
        self._vtable = vtable
        self._vtable_size = vtable_size

    @classmethod
    def root(cls, data: bytes | memoryview) -> FlatTable:
        """Return the table that the offset at the beginning of a buffer refers to."""
        require(len(data) >= 4, "an offset to the outside")
        return cls(data, _UINT32.unpack_from(data, 0)[0])

    def has(self, field: int) -> bool:
        """Return whether a field is there, not left out."""
        return self._offset(field) != 0

    def scalar(self, field: int, form: str, default: Any) -> Any:
        """Return a number, or the default where the field is left out.

        Args:
            field: the field's number.
            form: the number's format, as in the module `struct`.
            default: the schema's default.
        """
        position = self._field(field, struct.calcsize(form))
        return struct.unpack_from(form, self._data, position)[0] if position else default

    def table(self, field: int) -> FlatTable:
        """Return a table that must be there."""
        position = self._field(field, 4)
        require(position > 0, "a part that is missing")
        return FlatTable(self._data, self._target(position))

    def vector(self, field: int, item_size: int) -> memoryview:
        """Return the bytes of a vector of numbers or structs of `item_size` bytes; none where it is left out."""
        start, count = self._vector(field, item_size)
        return memoryview(self._data)[start : start + count * item_size]

    def text(self, field: int) -> bytes:
        """Return a string, or a vector of bytes; empty where it is left out."""
        return bytes(self.vector(field, 1))

    def tables(self, field: int) -> list[FlatTable]:
        """Return the tables of a vector; none where it is left out."""
        start, count = self._vector(field, 4)
        return [FlatTable(self._data, self._target(start + 4 * index)) for index in range(count)]

    def texts(self, field: int) -> list[bytes]:
        """Return the strings of a vector; none where it is left out."""
        start, count = self._vector(field, 4)
        texts = []
        for index in range(count):
            position = self._target(start + 4 * index)
            require(position <= len(self._data) - 4, "an offset to the outside")
            (length,) = _UINT32.unpack_from(self._data, position)
            require(length <= len(self._data) - position - 4, "a text that is cut off")
            texts.append(bytes(self._data[position + 4 : position + 4 + length]))
        return texts

    def _offset(self, field: int) -> int:
        """Return the offset of a field in its table, 0 where it is left out."""
        entry = 4 + 2 * field
        return int(_UINT16.unpack_from(self._data, self._vtable + entry)[0]) if entry < self._vtable_size else 0

    def _field(self, field: int, size: int) -> int:
        """Return the position of a field of `size` bytes, 0 where it is left out."""
        offset = self._offset(field)
        require(not offset or 4 <= offset <= self._size - size, "a field outside of its table")
        return self._position + offset if offset else 0

    def _target(self, position: int) -> int:
        """Return the position that the offset at a position refers to."""
        (distance,) = _UINT32.unpack_from(self._data, position)
        require(distance > 0, "an offset to itself")
        return position + int(distance)

    def _vector(self, field: int, item_size: int) -> tuple[int, int]:
        """Return the position of a vector's first item, and the number of items."""
        position = self._field(field, 4)
        if not position:
            return 0, 0
        start = self._target(position)
        require(start <= len(self._data) - 4, "an offset to the outside")
        (count,) = _UINT32.unpack_from(self._data, start)
        require(count * item_size <= len(self._data) - start - 4, "a vector that is cut off")
        return start + 4, int(count)
