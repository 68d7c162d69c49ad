"""Parse and write strict JSON: bytes to plain Python values and back, with nothing lost.

msgspec does the work. Three cases that it would get wrong are handled here: a key that is there twice (it keeps the
last), `-0` (it returns the integer 0), and writing NaN and infinities (it writes null).
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime
from functools import partial
from itertools import chain
from typing import Any

import msgspec

from fourfold.codecs.unique_keys import RepeatedKey, unique_keys
from fourfold.errors import DecodeError, SinkError, shorten
from fourfold.signature.field import FLOATS, Field

__all__ = ["dump", "json_converter", "json_values", "parse"]

_decode = msgspec.json.decode
_encode = msgspec.json.encode

_NEGATIVE_ZERO = re.compile(rb"-0(?![0-9.eE])")
# A colon that is escaped in a string, so that counting the byte `:` does not find it.
_ESCAPED_COLON = re.compile(rb"\\u003a", re.IGNORECASE)
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|-?[0-9]++(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?', re.DOTALL)
_BOM = b"\xef\xbb\xbf"

#: An array of more bytes is parsed in pieces of so many elements: msgspec lets no other thread run while it parses.
MAX_WHOLE_BYTES = 1 << 22
ELEMENTS_PER_PIECE = 1 << 12

#: Converts a non-missing canonical value to its JSON value.
JsonConverter = Callable[[Any], Any]


def parse(data: bytes, known: Collection[str] | None = None) -> Any:
    """Return the value of a JSON text.

    Integers of any size are `int`, numbers with a fraction or an exponent are `float`. `-0` is the float -0.0, to keep
    its sign; an integer field accepts it as 0.

    Args:
        data: one JSON text in UTF-8 (RFC 8259), without a byte-order mark.
        known: the keys that somebody asks for, of which no object may have one twice; `None` for all.

    Raises:
        DecodeError: the data is no JSON text, an object has a known key twice, or a number is too large for a
            float64. The message gives the offset in bytes; of a long array, the row and the offset in it.
    """
    if len(data) > MAX_WHOLE_BYTES and data.lstrip()[:1] == b"[":
        return _parse_in_pieces(data, known)
    return _parse_whole(data, known)


def _parse_in_pieces(data: bytes, known: Collection[str] | None) -> list[Any]:
    """Parse a long array as `parse` does."""
    try:
        elements = _decode(data, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(data, error) from error
    values: list[Any] = []
    for start in range(0, len(elements), ELEMENTS_PER_PIECE):
        piece = elements[start : start + ELEMENTS_PER_PIECE]
        try:
            values += _parse_whole(b"[" + b",".join(piece) + b"]", known)
        except DecodeError:
            for index, element in enumerate(piece, start):
                try:
                    _parse_whole(bytes(element), known)
                except DecodeError as error:
                    raise DecodeError(f"row {index}: {error}") from None
            raise
    return values


def _parse_whole(data: bytes, known: Collection[str] | None) -> Any:
    try:
        value = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(data, error) from error
    if b"-0" in data and _NEGATIVE_ZERO.search(data):
        return _parse_with_hooks(data, known)
    # Each pair of an object has a colon after its key. Strings can only add more of these, so if the count equals the
    # number of keys, no key was dropped. Without white space each pair has even `":`, which times of day have not.
    flat_pairs = _count_flat_pairs(value)
    if data.count(b":") == flat_pairs:
        return value
    marks = data.translate(None, b" \t\r\n").count(b'":')
    if marks == flat_pairs or marks == _count_all_pairs(value):
        return value
    pairs, colons = _count_pairs(value)
    if data.count(b":") == pairs + colons and not _ESCAPED_COLON.search(data):
        return value
    return _parse_with_hooks(data, known)


def _count_flat_pairs(value: Any) -> int:
    if type(value) is dict:
        return len(value)
    if type(value) is list and set(map(type, value)) == {dict}:
        return sum(map(len, value))
    return 0


def _count_all_pairs(value: Any) -> int:
    """Count the pairs in the objects of a value, a level at a time."""
    pairs = 0
    level = [value]
    while level:
        objects = [inner for inner in level if type(inner) is dict]
        lists = [inner for inner in level if type(inner) is list]
        pairs += sum(map(len, objects))
        inner_values = chain(chain.from_iterable(map(dict.values, objects)), chain.from_iterable(lists))
        level = [inner for inner in inner_values if type(inner) is dict or type(inner) is list]
    return pairs


def _count_pairs(value: Any) -> tuple[int, int]:
    """Count the pairs in the objects of a value, and the colons in its strings and keys."""
    pairs = colons = 0
    stack = [value]
    while stack:
        value = stack.pop()
        if type(value) is str:
            colons += value.count(":")
        elif type(value) is dict:
            pairs += len(value)
            colons += sum(key.count(":") for key in value)
            stack.extend(inner for inner in value.values() if type(inner) in (str, dict, list))
        elif type(value) is list:
            stack.extend(inner for inner in value if type(inner) in (str, dict, list))
    return pairs, colons


def _parse_with_hooks(data: bytes, known: Collection[str] | None) -> Any:
    """Parse a text that msgspec accepted with the standard library: its hooks see repeated keys and `-0`."""
    try:
        return json.loads(data, object_pairs_hook=partial(unique_keys, known=known), parse_int=_integer)
    except RepeatedKey as error:
        raise DecodeError(f"JSON with the key {shorten(error.key)} twice in one object") from None
    except (ValueError, RecursionError) as error:  # its limits of digits and of depth differ a little from msgspec's
        raise _explain(data, error) from error


def _integer(text: str) -> int | float:
    return -0.0 if text == "-0" else int(text)


def _explain(data: bytes, error: Exception) -> DecodeError:
    if data.startswith(_BOM):
        return DecodeError("JSON must not begin with a byte-order mark")
    if isinstance(error, RecursionError):
        return DecodeError("JSON that is nested too deeply")
    if not data.strip():
        return DecodeError("expected JSON, got nothing")
    try:
        data.decode()
    except UnicodeDecodeError as bad:
        got = shorten(data[bad.start : bad.start + 8])
        return DecodeError(f"JSON must be UTF-8: byte {bad.start} begins {got}, which is not ({bad.reason})")
    if isinstance(error, msgspec.ValidationError):  # a number out of range: nothing else can be invalid here
        for token in _TOKEN.finditer(data):
            if not token[0].startswith(b'"') and _is_too_large(token[0]):
                return DecodeError(
                    f"JSON with a number that is too large, {shorten(token[0].decode(), 30)} (byte {token.start()})"
                )
    message = str(error).removeprefix("JSON is malformed: ")
    if "truncated" in message:
        return DecodeError(f"JSON ends too early, at byte {len(data)}: it ends {shorten(data[-20:])}")
    offset = re.search(r"\(byte (\d+)\)$", message)
    # msgspec names the offset of the wrong byte or of the one after it: show the bytes around it.
    at = len(data) if offset is None else int(offset[1])
    around = shorten(data[max(at - 10, 0) : at + 10])
    return DecodeError(f"malformed JSON: {message}, near {around}")


def _is_too_large(number: bytes) -> bool:
    digits = number.lstrip(b"-")
    return len(digits) > 4300 if digits.isdigit() else math.isinf(float(number))


def json_converter(field: Field) -> JsonConverter | None:
    """Return the function that converts a field's canonical value to JSON; `None` where both are the same.

    NaN and infinities are the strings `NaN`, `Infinity` and `-Infinity`, timestamps and dates ISO 8601, bytes base64.
    """
    if field.dtype in FLOATS:
        return _floats if field.shape else _float
    others: dict[str, JsonConverter] = {"timestamp": _timestamp, "date": date.isoformat, "binary": _base64}
    return others.get(field.dtype)


def _float(value: float) -> float | str:
    return value if math.isfinite(value) else _non_finite_word(value)


def _non_finite_word(value: float) -> str:
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _floats(value: Any) -> Any:
    if isinstance(value, list):
        return [_floats(item) for item in value]
    return _float(value)


def _timestamp(value: datetime) -> str:
    offset = value.utcoffset()
    # The offset of a local mean time has seconds, which ISO 8601 cannot write: write the same instant in UTC.
    if offset is not None and offset.total_seconds() % 60:
        value = value.astimezone(UTC)
    return value.isoformat()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def json_values(rows: Sequence[dict[str, Any]], fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Convert canonical rows to JSON values: the fields in their order, and null for an absent key.

    Raises:
        SinkError: a value is not canonical for its field.
    """
    names = [field.name for field in fields]
    converted = [{name: row.get(name) for name in names} for row in rows]
    for field in fields:
        convert, name = json_converter(field), field.name
        if convert is None:
            continue
        for row in converted:
            value = row[name]
            if value is not None:
                try:
                    row[name] = convert(value)
                except (TypeError, AttributeError, OverflowError) as error:
                    raise SinkError(
                        f"field {shorten(name)}: expected {field.expected}, got {shorten(value)}"
                    ) from error
    return converted


def dump(value: Any) -> bytes:
    """Return a JSON value as compact JSON in UTF-8, floats in their shortest form that reads back as the same bits.

    Raises:
        SinkError: the value holds text that UTF-8 cannot encode, or a type that JSON does not have.
    """
    try:
        return _encode(value)
    except (UnicodeEncodeError, TypeError, msgspec.MsgspecError) as error:
        raise SinkError(f"no JSON can be written: {shorten(str(error), 200)}") from error
