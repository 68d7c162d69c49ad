"""Read the values of a JSON file one by one, without holding all of it.

The scanner only finds where a value begins and ends; `json_bytes.parse` judges what is between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

from fourfold.codecs.json_bytes import parse
from fourfold.errors import DecodeError, shorten

__all__ = ["Scanner", "elements"]

#: Elements of an array that are parsed together.
RUN = 256

_PIECE = 1 << 18
_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb'[^\s,:\[\]{}"]++')
# All of an object that holds no object: the row of nearly every file, in one step.
_FLAT = re.compile(rb'\{(?:[^{}"]++|"(?:[^"\\]++|\\.)*+")*+\}', re.DOTALL)
_NESTING = re.compile(rb'[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+"|([{\[])|([}\]])', re.DOTALL)


class Scanner:
    """Walks over the JSON text of a file, from where the file stands.

    Args:
        file: the file.
        start: the offset at which it stands, from which offsets are counted.

    Attributes:
        began: the offset in the text, in bytes, of the value that was found last.
    """

    def __init__(self, file: IO[bytes], start: int = 0) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0
        self._dropped = start
        self._ended = False
        self.began = 0

    @property
    def offset(self) -> int:
        """Return the scanner's offset in the text, in bytes."""
        return self._dropped + self._at

    def peek(self) -> bytes:
        """Return the next byte that is not white space, without taking it; empty at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._buffer) or not self._more():
                return self._buffer[self._at : self._at + 1]

    def take(self, expected: bytes) -> bytes:
        """Take the next byte that is no white space, which must be one of `expected`; returns it."""
        byte = self.peek()
        if not byte or byte not in expected:
            raise self._unexpected(" or ".join(repr(chr(byte)) for byte in expected))
        self._at += 1
        return byte

    def value(self) -> bytes:
        """Take the next value, whole."""
        first = self.peek()
        self.began = self.offset
        while True:
            end = self._value_end(first)
            if end is not None:
                taken = self._buffer[self._at : end]
                self._at = end
                return taken
            if not self._more():
                raise self._unexpected("a value that ends")

    def array(self) -> Iterator[bytes]:
        """Take the next value, which must be an array, element by element."""
        self.take(b"[")
        if self.peek() == b"]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self.take(b",]") == b"]":
                return

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self.peek():
            raise self._unexpected("the end")

    def _value_end(self, first: bytes) -> int | None:
        """Return the end of the current value in the buffer; `None` where it lies behind the buffer."""
        if first in (b"{", b"["):
            flat = _FLAT.match(self._buffer, self._at)
            return flat.end() if flat else self._nested_end()
        if first == b'"':
            match = _STRING.match(self._buffer, self._at)
            return match.end() if match else None
        match = _SCALAR.match(self._buffer, self._at)
        if match is None:
            if first:
                raise self._unexpected("a value")
            return None
        # A number that ends with the buffer may go on behind it.
        return match.end() if match.end() < len(self._buffer) or self._ended else None

    def _nested_end(self) -> int | None:
        depth, position = 0, self._at
        while (match := _NESTING.match(self._buffer, position)) is not None:
            position = match.end()
            depth += (match[1] is not None) - (match[2] is not None)
            if depth == 0:
                return position
        return None

    def _more(self) -> bool:
        """Read on; a value that is larger than the buffer makes it grow twofold, so that long values stay linear."""
        if self._ended:
            return False
        rest = self._buffer[self._at :]
        piece = self._file.read(max(_PIECE, len(rest)))
        self._ended = not piece
        self._dropped += self._at
        self._buffer, self._at = rest + piece, 0
        return True

    def _unexpected(self, expected: str) -> DecodeError:
        got = self._buffer[self._at : self._at + 20]
        if not got or expected == "a value that ends":
            return DecodeError(f"JSON ends too early, at byte {self._dropped + len(self._buffer)}: expected {expected}")
        if self.offset == 0 and got.startswith(b"\xef\xbb\xbf"):
            return DecodeError("JSON must not begin with a byte-order mark")
        return DecodeError(f"malformed JSON: expected {expected} at byte {self.offset}, got {shorten(got)}")


def elements(scanner: Scanner) -> Iterator[Any]:
    """Yield the parsed elements of the current array.

    Raises:
        DecodeError: the array is not well formed, or an element is not; the elements before it have come out by then.
    """
    array = scanner.array()
    row = 0
    broken: DecodeError | None = None
    while True:
        texts: list[bytes] = []
        begins: list[int] = []
        try:
            for text in islice(array, RUN):
                texts.append(text)
                begins.append(scanner.began)
        except DecodeError as error:
            broken = error
        yield from _parsed(texts, begins, row)
        if broken is not None:
            raise broken
        if len(texts) < RUN:
            return
        row += len(texts)


def _parsed(texts: list[bytes], begins: list[int], row: int) -> Iterator[Any]:
    # Each text is one value as far as its quotes and brackets go, so what is well formed together is so alone.
    try:
        values = parse(b"[" + b",".join(texts) + b"]")
    except DecodeError:
        values = None
    if values is not None:
        yield from values
        return
    for index, (text, began) in enumerate(zip(texts, begins, strict=True)):
        try:
            value = parse(text)
        except DecodeError as error:
            raise DecodeError(f"row {row + index}, which begins at byte {began}: {error}") from error
        yield value
