"""Bound what a decoder may make of bytes: a few hundred of them can stand for gigabytes.

Every error names the setting `max_decoded_bytes`, which has that name in the jobs of the service, of a stream and of a
batch run, and in the mounts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fourfold.errors import TooLarge

__all__ = ["COLUMN_BYTES", "DEFAULT_BOUNDS", "Bounds", "dict_bytes", "json_size"]

#: What a column costs beside its values, in bytes: its name, its type, its arrays, and what reads it.
COLUMN_BYTES = 4096

# The bytes of Python objects: a dict of up to five keys, a list, a slot with a float in it, one more key, a text.
_DICT_BYTES, _LIST_BYTES, _VALUE_BYTES, _KEY_BYTES, _TEXT_BYTES = 184, 72, 32, 40, 56
_KEYS_OF_A_DICT = 5
#: No JSON text takes more than this many times its length: `{"":` and `}` are a dict.
_MOST_BYTES_PER_BYTE = 40
_LONG_TEXT_BYTES = 32
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bound one table that is decoded.

    Attributes:
        max_decoded_bytes: the most bytes of memory that it may take.
        max_rows: the most rows that it may have; `None` for any number.
        only_fields: whether CSV and Parquet leave out what is in columns that are no fields: these are nulls, and cost
            next to nothing. The coercion needs only their names, which may then occur twice.
    """

    max_decoded_bytes: int = 1 << 30
    max_rows: int | None = None
    only_fields: bool = False

    @property
    def safe_json_bytes(self) -> int:
        """Return the length up to which no JSON text can take too much memory."""
        return self.max_decoded_bytes // _MOST_BYTES_PER_BYTE

    def check_bytes(self, size: int, what: str) -> None:
        """Check the bytes that something takes in memory.

        Raises:
            TooLarge: it takes too many.
        """
        if size > self.max_decoded_bytes:
            raise TooLarge(
                f"{what} unfolds to more than {self.max_decoded_bytes} bytes of memory (max_decoded_bytes): send it in "
                "parts, or raise that limit"
            )

    def check_rows(self, rows: int, what: str) -> None:
        """Check a number of rows.

        Raises:
            TooLarge: there are too many.
        """
        if self.max_rows is not None and rows > self.max_rows:
            raise TooLarge(f"expected at most {self.max_rows} rows; {what} has {rows} or more: send them in parts")

    def check_columns(self, count: int, what: str) -> None:
        """Check a number of columns, whatever is in them; raise `TooLarge` where there are too many."""
        self.check_bytes(count * COLUMN_BYTES, f"{what} of {count} columns")

    def check_rows_of_dicts(self, rows: int, columns: int, what: str) -> None:
        """Check a table that is to become a dict for each row; raise `TooLarge` where they take too much memory."""
        self.check_rows(rows, what)
        self.check_bytes(rows * dict_bytes(columns), f"{what} of {rows} rows and {columns} columns")

    def check_json(self, data: bytes) -> None:
        """Check a JSON text, or JSON lines, before they are parsed; raise `TooLarge` where they take too much."""
        if len(data) <= self.safe_json_bytes:
            return
        size = json_size(data)
        if size > self.max_decoded_bytes and data.count(b'"') * _LONG_TEXT_BYTES < 2 * len(data):
            # Count again without what stands in strings: long text may be full of braces and commas.
            size = len(data) + json_size(_STRING.sub(b'""', data))
        self.check_bytes(size, f"JSON of {len(data)} bytes")


DEFAULT_BOUNDS = Bounds()


def json_size(data: bytes) -> int:
    """Return about how many bytes of memory a JSON text takes when it is parsed, from its punctuation."""
    dicts, pairs = data.count(b"{"), data.count(b":")
    texts = data.count(b'"') // 2 - pairs
    # A character takes four bytes where its text has one beyond 65,535, which may also be escaped.
    is_narrow = data.isascii() and b"\\u" not in data
    return (
        len(data) * (1 if is_narrow else 4)
        + dicts * _DICT_BYTES
        + max(0, pairs - _KEYS_OF_A_DICT * dicts) * _KEY_BYTES
        + data.count(b"[") * _LIST_BYTES
        + (data.count(b",") + dicts) * _VALUE_BYTES
        + max(0, texts) * _TEXT_BYTES
    )


def dict_bytes(keys: int) -> int:
    """Return about how many bytes a row of numbers takes as a dict."""
    return _DICT_BYTES + max(0, keys - _KEYS_OF_A_DICT) * _KEY_BYTES + keys * _VALUE_BYTES
