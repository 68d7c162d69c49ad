from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourfold.codecs import json_scan
from fourfold.codecs.json_scan import Scanner
from fourfold.errors import DecodeError
from tests.codecs.test_json_bytes import VALUES


class Dribble(io.BytesIO):
    """A file that gives a few bytes at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._most)


@settings(deadline=None)
@given(values=st.lists(VALUES, max_size=5), indent=st.sampled_from([None, 2]), most=st.integers(1, 40))
def test_elements_are_found_wherever_the_pieces_end(values: list[Any], indent: int | None, most: int) -> None:
    """The elements of an array come out whole, in however small pieces the file is read."""
    data = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    scanner = Scanner(Dribble(data, most))
    assert [json.loads(text) for text in scanner.array()] == values
    scanner.end()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected '\\['"),
        (b"[1 2]", r"expected ',' or ']' at byte 3, got b'2\]'"),
        (b"[,]", r"expected a value at byte 1"),
        (b"[1,]", r"expected a value at byte 3"),
        (b"[1", "too early, at byte 2"),
        (b'["a', "too early, at byte 3"),
        (b"[{]", "too early"),
        (b"[1] 2", "expected the end at byte 4"),
        (b"\xef\xbb\xbf[1]", "byte-order mark"),
    ],
)
def test_what_is_refused(data: bytes, message: str) -> None:
    """What is no array is refused with the offset at which it is not."""
    scanner = Scanner(io.BytesIO(data))
    with pytest.raises(DecodeError, match=message):
        _walk(scanner)


def _walk(scanner: Scanner) -> None:
    for _ in scanner.array():
        pass
    scanner.end()


def test_a_value_longer_than_the_buffer() -> None:
    """A value of several pieces comes out whole."""
    long = "x" * (3 * json_scan._READ_BYTES)
    scanner = Scanner(io.BytesIO(json.dumps([long, {"a": {"b": long}}, 1]).encode()))
    assert [json.loads(text) for text in scanner.array()] == [long, {"a": {"b": long}}, 1]
