"""Parse and write strict JSON: bytes to plain Python values and back, with nothing lost.

msgspec does the work. Three things that it lets pass are looked for here: a key that is there twice (it keeps the
last), `-0` (it gives the integer 0), and NaN and infinities on the way out (it writes null).
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from fourfold.codecs.unique_keys import RepeatedKey, unique_keys
from fourfold.errors import DecodeError, SinkError, shorten
from fourfold.signature.field import FLOATS, Field

__all__ = ["dump", "parse", "plain", "plain_rows"]

_decode = msgspec.json.decode
_encode = msgspec.json.encode

_NEGATIVE_ZERO = re.compile(rb"-0(?![0-9.eE])")
# A colon in a string, spelled so that counting the byte does not find it.
_ESCAPED_COLON = re.compile(rb"\\u003a", re.IGNORECASE)
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|-?[0-9]++(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?', re.DOTALL)
_BOM = b"\xef\xbb\xbf"

#: A canonical value, not missing, to what JSON says for it.
Plain = Callable[[Any], Any]


def parse(data: bytes) -> Any:
    """Return the value of a JSON text.

    Integers of any size are `int`, numbers with a fraction or an exponent `float`, and so is `-0`, which is -0.0: its
    sign would be lost otherwise, and an integer field takes it as 0.

    Args:
        data: one JSON text in UTF-8 (RFC 8259), without a byte-order mark.

    Raises:
        DecodeError: it is no JSON text, a key stands in an object twice, or a number is too large for a float64. The
            message gives the place as an offset in bytes.
    """
    try:
        value = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _explained(data, error) from error
    if b"-0" in data and _NEGATIVE_ZERO.search(data):
        return _hooked(data)
    # Without white space, each pair has its colon right behind the quote that ends its key. Strings can only add to
    # these, so as many of them as there are keys mean that no key was dropped. It takes two passes over the bytes, and
    # no look at every value for the colons of its times of day.
    if data.translate(None, b" \t\r\n").count(b'":') == _quick_pairs(value):
        return value
    pairs, spelled = _pairs(value)
    if data.count(b":") == pairs + spelled and not _ESCAPED_COLON.search(data):
        return value
    return _hooked(data)


def _quick_pairs(value: Any) -> int:
    if type(value) is dict:
        return len(value)
    if type(value) is list and set(map(type, value)) == {dict}:
        return sum(map(len, value))
    return 0


def _pairs(value: Any) -> tuple[int, int]:
    """Count the pairs in the objects of a value, and the colons in its strings and keys."""
    pairs = colons = 0
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if type(value) is str:
            colons += value.count(":")
        elif type(value) is dict:
            pairs += len(value)
            colons += sum(key.count(":") for key in value)
            waiting.extend(inner for inner in value.values() if type(inner) in (str, dict, list))
        elif type(value) is list:
            waiting.extend(inner for inner in value if type(inner) in (str, dict, list))
    return pairs, colons


def _hooked(data: bytes) -> Any:
    """Parse with the standard library a text that msgspec accepted: its hooks see what msgspec hides."""
    try:
        return json.loads(data, object_pairs_hook=unique_keys, parse_int=_integer)
    except RepeatedKey as error:
        raise DecodeError(f"JSON with the key {shorten(error.key)} twice in one object") from None
    except (ValueError, RecursionError) as error:  # their limits of digits and of depth differ a little
        raise _explained(data, error) from error


def _integer(text: str) -> int | float:
    return -0.0 if text == "-0" else int(text)


def _explained(data: bytes, error: Exception) -> DecodeError:
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
    if isinstance(error, msgspec.ValidationError):  # a number out of range, the one thing that can be invalid here
        for token in _TOKEN.finditer(data):
            if not token[0].startswith(b'"') and _too_large(token[0]):
                return DecodeError(
                    f"JSON with a number that is too large, {shorten(token[0].decode(), 30)} (byte {token.start()})"
                )
    message = str(error).removeprefix("JSON is malformed: ")
    if "truncated" in message:
        return DecodeError(f"JSON ends too early, at byte {len(data)}: it ends {shorten(data[-20:])}")
    offset = re.search(r"\(byte (\d+)\)$", message)
    # msgspec counts to the byte at fault or to the one behind it: what stands around it shows which.
    at = len(data) if offset is None else int(offset[1])
    around = shorten(data[max(at - 10, 0) : at + 10])
    return DecodeError(f"malformed JSON: {message}, near {around}")


def _too_large(number: bytes) -> bool:
    digits = number.lstrip(b"-")
    return len(digits) > 4300 if digits.isdigit() else math.isinf(float(number))


def plain(field: Field) -> Plain | None:
    """Return the function that converts a field's canonical value to JSON; `None` where both are the same.

    NaN and infinities are the strings `NaN`, `Infinity` and `-Infinity`, timestamps and dates ISO 8601, bytes base64.
    """
    if field.dtype in FLOATS:
        return _floats if field.shape else _float
    others: dict[str, Plain] = {"timestamp": _timestamp, "date": date.isoformat, "binary": _base64}
    return others.get(field.dtype)


def _float(value: float) -> float | str:
    return value if math.isfinite(value) else _word(value)


def _word(value: float) -> str:
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _floats(value: Any) -> Any:
    if isinstance(value, list):
        return [_floats(item) for item in value]
    return _float(value)


def _timestamp(value: datetime) -> str:
    offset = value.utcoffset()
    # A local mean time's offset has seconds, for which ISO 8601 has no form: the instant in UTC says the same.
    if offset is not None and offset.total_seconds() % 60:
        value = value.astimezone(UTC)
    return value.isoformat()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def plain_rows(rows: Sequence[dict[str, Any]], fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Canonical rows as JSON values: the fields in their order, and null for a key that is absent.

    Raises:
        SinkError: a value is not its field's canonical one.
    """
    names = [field.name for field in fields]
    out = [{name: row.get(name) for name in names} for row in rows]
    for field in fields:
        convert, name = plain(field), field.name
        if convert is None:
            continue
        for row in out:
            value = row[name]
            if value is not None:
                try:
                    row[name] = convert(value)
                except (TypeError, AttributeError, OverflowError) as error:
                    raise SinkError(
                        f"field {shorten(name)}: expected {field.expected}, got {shorten(value)}"
                    ) from error
    return out


def dump(value: Any) -> bytes:
    """Return a JSON value as compact JSON in UTF-8, floats in their shortest form that reads back as the same bits.

    Raises:
        SinkError: it holds text that UTF-8 cannot, or a value that JSON has no form for.
    """
    try:
        return _encode(value)
    except (UnicodeEncodeError, TypeError, msgspec.MsgspecError) as error:
        raise SinkError(f"no JSON can be written: {shorten(str(error), 200)}") from error
