"""Read structs of Thrift's compact protocol, as Parquet's footer and its pages' headers are.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md describes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from fourfold.errors import DecodeError

__all__ = ["STRUCT", "Cursor", "Struct"]

#: The fields of a struct by their numbers; floating-point numbers are left out.
Struct: TypeAlias = dict[int, Any]

_MAX_DEPTH = 16
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)


class Cursor:
    """Read one value after the other.

    Args:
        data: the bytes.

    Attributes:
        at: the offset of the next value.

    Raises:
        IndexError: the methods raise it where the data ends inside a value.
        DecodeError: they raise it where a value is malformed.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield the number and kind of each field of a struct; the caller reads its value before the next."""
        number = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            if byte == 0:
                return
            number = number + (byte >> 4) if byte >> 4 else self._zigzag()
            yield number, byte & 15

    def struct(self, depth: int = 0, numbers: frozenset[int] | None = None) -> Struct:
        """Return the fields of a struct, by number; with `numbers` only these, and the others are passed over."""
        if depth > _MAX_DEPTH:
            raise DecodeError("malformed Parquet: metadata that are nested too deeply")
        fields: Struct = {}
        data, number = self.data, 0
        while True:
            byte = data[self.at]
            self.at += 1
            if byte == 0:
                return fields
            number = number + (byte >> 4) if byte >> 4 else self._zigzag()
            kind = byte & 15
            if numbers is not None and number not in numbers:
                self.at = _after(data, self.at, kind, depth)
            elif kind in _INTEGERS and data[self.at] < 0x80:
                value = data[self.at]
                self.at += 1
                fields[number] = (value >> 1) ^ -(value & 1)
            else:
                fields[number] = self.value(kind, depth)

    def skip(self, kind: int) -> None:
        """Pass over a value of a kind."""
        self.at = _after(self.data, self.at, kind, 0)

    def list_size(self) -> int:
        """Return the number of elements of a list, which follow."""
        return self._list_header()[0]

    def value(self, kind: int, depth: int = 0) -> Any:
        """Return a value of a kind; `None` for a floating-point number."""
        if kind in _INTEGERS:
            return self._zigzag()
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BINARY:
            length = self._varint()
            self.at += length
            if length:
                _ = self.data[self.at - 1]
            return self.data[self.at - length : self.at]
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            size, element = self._list_header()
            if element in (_TRUE, _FALSE):
                self.at += size
                return [None] * size
            return [self.value(element, depth + 1) for _ in range(size)]
        if kind in (_BYTE, _DOUBLE):
            self.at += 1 if kind == _BYTE else 8
            _ = self.data[self.at - 1]
            return None
        raise DecodeError(f"malformed Parquet: metadata with a value of the kind {kind}")

    def _list_header(self) -> tuple[int, int]:
        byte = self.data[self.at]
        self.at += 1
        size = byte >> 4
        if size == 15:
            size = self._varint()
        if size > len(self.data) - self.at:  # an element takes a byte at least
            raise IndexError("a list that is cut off")
        return size, byte & 15

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        data, at = self.data, self.at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                self.at = at
                return value
            shift += 7
            if shift > 63:
                raise DecodeError("malformed Parquet: metadata with a number without an end")


def _after(data: bytes, at: int, kind: int, depth: int) -> int:
    """Return the offset after a value of a kind, which is not made; raise as `Cursor` does."""
    if kind in _INTEGERS:
        while data[at] >= 0x80:
            at += 1
        return at + 1
    if kind == STRUCT and depth <= _MAX_DEPTH:
        while True:
            byte = data[at]
            at += 1
            if byte == 0:
                return at
            if byte < 16:
                at = _after(data, at, _INTEGERS[0], depth)
            at = _after(data, at, byte & 15, depth + 1)
    if kind in (_LIST, _SET) and data[at] < 0xF0 and depth <= _MAX_DEPTH:
        byte = data[at]
        at += 1
        if byte & 15 in (_TRUE, _FALSE):
            return at + (byte >> 4)
        for _ in range(byte >> 4):
            at = _after(data, at, byte & 15, depth + 1)
        return at
    if kind == _BINARY and data[at] < 0x80:
        at += 1 + data[at]
        _ = data[at - 1]
        return at
    cursor = Cursor(data)
    cursor.at = at
    cursor.value(kind, depth)
    return cursor.at
