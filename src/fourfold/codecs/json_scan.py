"""Read the values of a JSON file one by one, without holding all of it.

The scanner only finds where a value begins and ends; `json_bytes.parse` checks and parses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

from fourfold.codecs.bounds import DEFAULT_BOUNDS, Bounds
from fourfold.codecs.json_bytes import parse
from fourfold.errors import DecodeError, shorten

__all__ = ["Scanner", "elements"]

#: The elements of an array that are parsed in one call.
ELEMENTS_PER_PARSE = 256

_READ_BYTES = 1 << 18
_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb'[^\s,:\[\]{}"]++')
# An object without objects in it, as the rows of nearly all files are, in one step.
_FLAT_OBJECT = re.compile(rb'\{(?:[^{}"]++|"(?:[^"\\]++|\\.)*+")*+\}', re.DOTALL)
_NESTING_TOKEN = re.compile(rb'[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+"|([{\[])|([}\]])', re.DOTALL)


class Scanner:
    """Scan the JSON text of a file, from the file's position.

    Args:
        file: the file.
        start: the file's position, which is the offset of the first byte that is read.
        bounds: what one value may take; a longer one is refused before all of it has been read.

    Attributes:
        began: the offset in the text, in bytes, of the last value.
    """

    def __init__(self, file: IO[bytes], start: int = 0, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self._file = file
        self._bounds = bounds
        self._buffer = b""
        self._at = 0
        self._buffer_offset = start
        self._has_ended = False
        self.began = 0

    @property
    def offset(self) -> int:
        """Return the scanner's offset in the text, in bytes."""
        return self._buffer_offset + self._at

    def peek(self) -> bytes:
        """Return the next byte that is not white space, without consuming it; empty at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._buffer) or not self._read_more():
                return self._buffer[self._at : self._at + 1]

    def take(self, expected: bytes) -> bytes:
        """Consume and return the next byte that is not white space; it must be one of `expected`."""
        byte = self.peek()
        if not byte or byte not in expected:
            raise self._unexpected(" or ".join(repr(chr(code)) for code in expected))
        self._at += 1
        return byte

    def value(self) -> bytes:
        """Consume and return the next value."""
        first = self.peek()
        self.began = self.offset
        while True:
            end = self._value_end(first)
            if end is not None:
                value = self._buffer[self._at : end]
                self._at = end
                self._bounds.check_json(value)
                return value
            if not self._read_more():
                raise self._unexpected("a value that ends")

    def array(self) -> Iterator[bytes]:
        """Consume the next value, which must be an array; yield its elements."""
        self.take(b"[")
        if self.peek() == b"]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self.take(b",]") == b"]":
                return

    def end(self) -> None:
        """Check that only white space follows."""
        if self.peek():
            raise self._unexpected("the end")

    def _value_end(self, first: bytes) -> int | None:
        """Return the end of the current value in the buffer; `None` where the value goes on after the buffer."""
        if first in (b"{", b"["):
            flat = _FLAT_OBJECT.match(self._buffer, self._at)
            return flat.end() if flat else self._nested_end()
        if first == b'"':
            match = _STRING.match(self._buffer, self._at)
            return match.end() if match else None
        match = _SCALAR.match(self._buffer, self._at)
        if match is None:
            if first:
                raise self._unexpected("a value")
            return None
        # A number at the end of the buffer may go on after it.
        return match.end() if match.end() < len(self._buffer) or self._has_ended else None

    def _nested_end(self) -> int | None:
        depth, position = 0, self._at
        while (match := _NESTING_TOKEN.match(self._buffer, position)) is not None:
            position = match.end()
            depth += (match[1] is not None) - (match[2] is not None)
            if depth == 0:
                return position
        return None

    def _read_more(self) -> bool:
        """Read more into the buffer; return whether there was any.

        Each read at least doubles the unread bytes, so that the time for a long value stays linear.
        """
        if self._has_ended:
            return False
        unread = self._buffer[self._at :]
        self._bounds.check_bytes(len(unread), f"a JSON value at byte {self.offset}")
        piece = self._file.read(max(_READ_BYTES, len(unread)))
        self._has_ended = not piece
        self._buffer_offset += self._at
        self._buffer, self._at = unread + piece, 0
        return True

    def _unexpected(self, expected: str) -> DecodeError:
        got = self._buffer[self._at : self._at + 20]
        if not got or expected == "a value that ends":
            return DecodeError(
                f"JSON ends too early, at byte {self._buffer_offset + len(self._buffer)}: expected {expected}"
            )
        if self.offset == 0 and got.startswith(b"\xef\xbb\xbf"):
            return DecodeError("JSON must not begin with a byte-order mark")
        return DecodeError(f"malformed JSON: expected {expected} at byte {self.offset}, got {shorten(got)}")


def elements(scanner: Scanner) -> Iterator[Any]:
    """Yield the parsed elements of the current array.

    Raises:
        DecodeError: the array or an element is malformed; the elements before it have been yielded.
    """
    array = scanner.array()
    row = 0
    failure: DecodeError | None = None
    while True:
        texts: list[bytes] = []
        offsets: list[int] = []
        try:
            for text in islice(array, ELEMENTS_PER_PARSE):
                texts.append(text)
                offsets.append(scanner.began)
        except DecodeError as error:
            failure = error
        yield from _parse_elements(texts, offsets, row)
        if failure is not None:
            raise failure
        if len(texts) < ELEMENTS_PER_PARSE:
            return
        row += len(texts)


def _parse_elements(texts: list[bytes], offsets: list[int], row: int) -> Iterator[Any]:
    # The quotes and brackets of each text are balanced, so if all texts together parse, each of them is well formed.
    try:
        values = parse(b"[" + b",".join(texts) + b"]")
    except DecodeError:
        values = None
    if values is not None:
        yield from values
        return
    for index, (text, offset) in enumerate(zip(texts, offsets, strict=True)):
        try:
            value = parse(text)
        except DecodeError as error:
            raise DecodeError(f"row {row + index}, which begins at byte {offset}: {error}") from error
        yield value
