"""The coercion of rows: plain Python values to a field's canonical ones, without NumPy or Arrow.

The rules are those of docs/spec/coercion.md; `columns` is the twin for Arrow columns, and one matrix of tests holds the
two together. Canonical values are `bool`, `int`, `float` (already rounded for float32), `str`, `datetime` (in the
field's zone), `date`, `bytes`, nested lists for tensors, and `None` for a missing value.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any, Literal

from fourfold.errors import RowError, shorten
from fourfold.signature.field import FLOATS, INTEGERS, Field

__all__ = ["Coerce", "Mismatch", "RowCoercer", "coercer", "is_missing", "plain", "unknown_field"]

#: From 2**53 on, neighbouring integers share one float64: a value beyond it may already have been rounded.
EXACT = 2**53

NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

# RFC 3339 with two liberties of ISO 8601 that its writers use: a space for the T, and an offset without its colon.
# `datetime.fromisoformat` alone would take week dates, and drop digits beyond the sixth without a word.
_TIMESTAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?(Z|[+-]\d{2}:?\d{2})?", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

#: One value of a field to its canonical form; raises `Mismatch`. It is never given a missing value.
Coerce = Callable[[Any], Any]


class Mismatch(ValueError):
    """A value that does not fit its field; the caller knows which row it stands in.

    Attributes:
        code: as in `RowError`.
        expected: what the field takes, in words.
        got: what came, cut short.
    """

    def __init__(self, code: str, expected: str, got: str) -> None:
        super().__init__(code, expected, got)
        self.code = code
        self.expected = expected
        self.got = got


def plain(value: Any) -> Any:
    """The plain Python value of a NumPy scalar or array, or of a pandas missing value; any other value as it is."""
    # By name, so that neither library is imported to ask.
    module = type(value).__module__
    if module == "numpy":
        if type(value).__name__ == "datetime64":
            return None if str(value) == "NaT" else str(value)
        return value.tolist() if hasattr(value, "tolist") else value
    if module.startswith("pandas.") and type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value


def is_missing(value: Any) -> bool:
    """Whether the value says that nothing is there: `None`, `pandas.NA` or `NaT`; NaN is a number."""
    return value is None or plain(value) is None


def coercer(field: Field) -> Coerce:
    """The function that coerces one value, not missing, of that field; it raises `Mismatch`."""
    scalar = _scalar(field)
    if field.shape:
        return _tensor(field, scalar)
    return scalar if field.categories is None or field.open else _closed(field, scalar)


class RowCoercer:
    """Coerces rows to the canonical values of `fields`.

    Args:
        fields: the fields, in the order in which the coerced rows hold them.
        extra: `forbid` makes a key that is no field an error, `ignore` drops it.
    """

    def __init__(self, fields: Iterable[Field], extra: Literal["forbid", "ignore"] = "forbid") -> None:
        self.fields = tuple(fields)
        self._names = frozenset(each.name for each in self.fields)
        self._steps = [(each.name, each, coercer(each)) for each in self.fields]
        self._forbid = extra == "forbid"

    def __call__(self, rows: Sequence[Mapping[str, object]]) -> tuple[list[dict[str, Any] | None], list[RowError]]:
        """Coerce every row.

        Args:
            rows: the rows; an absent key is a missing value.

        Returns:
            The canonical rows, `None` in the place of each that is at fault; and every error, by row.
        """
        out: list[dict[str, Any] | None] = []
        errors: list[RowError] = []
        for index, row in enumerate(rows):
            coerced, found = self.row(row, index)
            out.append(coerced)
            errors.extend(found)
        return out, errors

    def row(self, row: object, index: int = 0) -> tuple[dict[str, Any] | None, Sequence[RowError]]:
        """Coerce one row; `index` is the row that its errors name.

        Returns:
            The canonical row and no errors, or `None` and its errors.
        """
        if not isinstance(row, Mapping):
            return None, [RowError(index, None, "type", "an object with a key for each field", shorten(row))]
        errors: list[RowError] = []
        out: dict[str, Any] = {}
        for name, field, coerce in self._steps:
            value = row.get(name)
            try:
                out[name] = _value(field, coerce, value, present=name in row)
            except Mismatch as problem:
                errors.append(RowError(index, name, problem.code, problem.expected, problem.got))
        if self._forbid and not row.keys() <= self._names:
            errors.extend(self._unknown(row, index))
        return (None, errors) if errors else (out, errors)

    def value(self, name: str, value: object) -> Any:
        """Coerce one value of the field of that name; raises `Mismatch`, and `KeyError` for an unknown name."""
        for field_name, field, coerce in self._steps:
            if field_name == name:
                return _value(field, coerce, value)
        raise KeyError(name)

    def _unknown(self, row: Mapping[str, object], index: int) -> list[RowError]:
        return [
            unknown_field(index, key if isinstance(key, str) else shorten(key), self.fields)
            for key in row
            if key not in self._names
        ]


def _value(field: Field, coerce: Coerce, value: Any, *, present: bool = True) -> Any:
    """A value, coerced; `None` where nothing is there and nothing need be."""
    if value is not None:
        try:
            return coerce(value)
        except Mismatch:
            # Asked only now: the missing values of pandas are rare, and telling them from others costs every value.
            if not is_missing(value):
                raise
    if not field.nullable:
        raise Mismatch("missing", field.expected, "null" if present else "nothing")
    return None


def unknown_field(row: int, name: str, fields: Sequence[Field], limit: int = 12) -> RowError:
    """The error of a key, or a column, that is no field; it lists the first `limit` fields that there are."""
    known = ", ".join(each.name for each in fields[:limit])
    more = f", … ({len(fields)} in all)" if len(fields) > limit else ""
    return RowError(
        row,
        name,
        "unknown",
        f"one of the fields {known}{more}",
        "a key that is no field (packed with extra='ignore', such keys are dropped)",
    )


def _scalar(field: Field) -> Coerce:
    if field.dtype in INTEGERS:
        return _integer(field)
    if field.dtype in FLOATS:
        return _float(field)
    if field.dtype == "timestamp":
        return _timestamp(field)
    return {"bool": _bool, "string": _string, "date": _date, "binary": _binary}[field.dtype](field)


def _bool(field: Field) -> Coerce:
    expected = field.expected

    def coerce(value: Any) -> bool:
        value = plain(value)
        if value is True or value is False:
            return bool(value)
        raise Mismatch("type", expected, shorten(value))

    return coerce


def _integer(field: Field) -> Coerce:
    expected = field.expected
    low, high = INTEGERS[field.dtype]

    def coerce(value: Any) -> int:
        if type(value) is not int:
            value = _integral(plain(value))
        if low <= value <= high:
            return int(value)
        raise Mismatch("range", expected, shorten(value))

    def _integral(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise Mismatch("type", expected, shorten(value))
        if isinstance(value, int):
            return int(value)
        if (isinstance(value, Decimal) and value.is_snan()) or value != value:  # a signalling NaN cannot be compared
            raise Mismatch("range", expected, "NaN, which is no integer (missing is null: None or pandas.NA)")
        if value in (float("inf"), float("-inf")) or not low <= value <= high:  # NaN, infinite, beyond
            raise Mismatch("range", expected, shorten(value))
        if value != int(value) or (isinstance(value, float) and abs(value) > EXACT):
            raise Mismatch("precision", expected, shorten(value))
        return int(value)

    return coerce


def _float(field: Field) -> Coerce:
    expected = field.expected
    single = field.dtype == "float32"

    def coerce(value: Any) -> float:
        if type(value) is not float:
            value = _number(plain(value))
        if single:
            return _round(value)
        return float(value)

    def _number(value: Any) -> float:
        if isinstance(value, float):
            return float(value)
        if isinstance(value, int) and not isinstance(value, bool):
            if abs(value) > EXACT:
                raise Mismatch("precision", expected, shorten(value))
            return float(value)
        if isinstance(value, str) and value in NON_FINITE:
            return NON_FINITE[value]
        if isinstance(value, Decimal) and not value.is_snan():
            number = float(value)
            if number in (float("inf"), float("-inf")) and value.is_finite():
                raise Mismatch("range", expected, shorten(value))
            return number
        raise Mismatch("type", expected, shorten(value))

    def _round(value: float) -> float:
        try:
            rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:
            raise Mismatch("range", expected, shorten(value)) from None
        return rounded

    return coerce


def _string(field: Field) -> Coerce:
    expected = field.expected

    def coerce(value: Any) -> str:
        if type(value) is not str:
            value = plain(value)
            if not isinstance(value, str):
                raise Mismatch("type", expected, shorten(value))
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                # A lone surrogate: JSON can spell it, but no UTF-8 door can carry it.
                raise Mismatch("format", "text that UTF-8 can hold", shorten(value)) from None
        return str(value)

    return coerce


def _closed(field: Field, scalar: Coerce) -> Coerce:
    expected = field.expected
    known = frozenset(field.categories or ())

    def coerce(value: Any) -> Any:
        value = scalar(value)
        if value not in known:
            raise Mismatch("category", expected, shorten(value))
        return value

    return coerce


def _timestamp(field: Field) -> Coerce:
    expected = field.expected
    zone = _zone(field.zone)

    def coerce(value: Any) -> datetime:
        value = plain(value)
        if isinstance(value, str):
            value = _parse(value)
        if not isinstance(value, datetime):
            raise Mismatch("type", expected, shorten(value))
        if getattr(value, "nanosecond", 0):  # a pandas.Timestamp holds three digits that a datetime cannot
            raise Mismatch("precision", f"{expected}, in whole microseconds", shorten(value))
        if (value.utcoffset() is None) != (zone is None):
            raise Mismatch("format", expected, shorten(value))
        try:
            # Through UTC, since a value that is in the zone already would stay as it is, be it in an hour that the
            # zone's clocks skip, or on a first or last day that is beyond the years elsewhere.
            value = value if zone is None else value.astimezone(UTC).astimezone(zone)
        except OverflowError:
            raise Mismatch("range", expected, shorten(value)) from None
        # Built anew, so that a subclass of datetime does not travel on with its own repr and arithmetic.
        return datetime.combine(value.date(), value.timetz())

    def _parse(text: str) -> datetime:
        match = _TIMESTAMP.fullmatch(text)
        if match is None:
            raise Mismatch("format", expected, shorten(text))
        day, clock, fraction, offset = match.groups()
        if fraction and fraction[6:].strip("0"):
            raise Mismatch("precision", f"{expected}, in whole microseconds", shorten(text))
        clock = clock if len(clock) == 8 else clock + ":00"
        try:
            return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '')[:6]:0<6}{offset or ''}")
        except ValueError:  # the 30th of February, an hour of 25, an offset of a day or more
            raise Mismatch("format", expected, shorten(text)) from None

    return coerce


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    from zoneinfo import ZoneInfo  # it opens files: only a field with a zone pays for it

    return ZoneInfo(name)


def _date(field: Field) -> Coerce:
    expected = field.expected

    def coerce(value: Any) -> date:
        value = plain(value)
        if isinstance(value, str):
            if not _DATE.fullmatch(value):
                raise Mismatch("format", expected, shorten(value))
            try:
                return date.fromisoformat(value)
            except ValueError:
                raise Mismatch("format", expected, shorten(value)) from None
        if isinstance(value, datetime) or not isinstance(value, date):
            raise Mismatch("type", expected, shorten(value))
        return value

    return coerce


def _binary(field: Field) -> Coerce:
    expected = field.expected

    def coerce(value: Any) -> bytes:
        value = plain(value)
        if isinstance(value, str):
            try:
                return base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                raise Mismatch("format", f"{expected}, in base64 where it comes as text", shorten(value)) from None
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise Mismatch("type", expected, shorten(value))
        return bytes(value)

    return coerce


def _tensor(field: Field, scalar: Coerce) -> Coerce:
    expected = field.expected
    shape = field.shape

    def coerce(value: Any) -> list[Any]:
        value = plain(value)
        if not isinstance(value, (list, tuple)):
            raise Mismatch("type", expected, shorten(value))
        return _level(value, 0)

    def _level(values: Sequence[Any], depth: int) -> list[Any]:
        if len(values) != shape[depth]:
            raise Mismatch("shape", expected, f"{len(values)} elements in dimension {depth}")
        if depth + 1 == len(shape):
            return [_element(element) for element in values]
        out = []
        for element in values:
            inner = plain(element)
            if not isinstance(inner, (list, tuple)):
                raise Mismatch("shape", expected, f"{shorten(element)} in dimension {depth}")
            out.append(_level(inner, depth + 1))
        return out

    def _element(element: Any) -> Any:
        if is_missing(element):
            raise Mismatch("missing", f"{expected} without missing elements", "null")
        if isinstance(element, (list, tuple)):
            raise Mismatch("shape", expected, f"{shorten(element)} where one number was due")
        try:
            return scalar(element)
        except Mismatch as problem:
            raise Mismatch(problem.code, expected, problem.got) from None

    return coerce
