"""Coerce rows: plain Python values to the canonical values of their fields, without NumPy or Arrow.

docs/spec/coercion.md has the rules. `columns` applies the same rules to Arrow columns; one matrix of tests checks that
both agree. Canonical values are `bool`, `int`, `float` (already rounded for float32), `str`, `datetime` (in the
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
from typing import Any

from fourfold.errors import MAX_ROW_ERRORS, NAN_IN_INTEGERS, NAN_IN_TEXTS, RowError, RowErrors, shorten
from fourfold.signature.field import FLOATS, INTEGERS, Extra, Field
from fourfold.signature.row_forms import as_mapping, describe_row
from fourfold.signature.similar_names import did_you_mean

__all__ = ["Coerce", "Mismatch", "RowCoercer", "coercer", "is_exact_float", "is_missing", "to_plain", "unknown_field"]

#: The largest integer up to which float64 holds every integer: a float beyond it may have been rounded, and an integer
#: beyond it is looked at before it becomes a float.
MAX_EXACT_INTEGER = 2**53

#: The texts that a float field accepts.
NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

# RFC 3339, and two forms of ISO 8601 in common use: a space instead of the T, and an offset without a colon.
# `datetime.fromisoformat` alone would accept week dates, and silently drop digits after the sixth.
_TIMESTAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?(Z|[+-]\d{2}:?\d{2})?", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

#: The most fields that an error lists, and the most unknown keys of a row for which a similar field is searched.
_MAX_LISTED_FIELDS = 12
_MAX_SEARCHES = 5

# What JSON gives, which is plain already.
_PLAIN_TYPES = frozenset((bool, int, float, str, list, dict, type(None)))
# Of these, what never fits a field of a dtype.
_UNFIT_TYPES = {
    "bool": frozenset((int, float, str, list, dict)),
    "string": frozenset((bool, int, float, list, dict)),
    **dict.fromkeys(INTEGERS, frozenset((bool, str, list, dict))),
    **dict.fromkeys(FLOATS, frozenset((bool, list, dict))),
    **dict.fromkeys(("timestamp", "date", "binary"), frozenset((bool, int, float, list, dict))),
}
_UNFIT_TENSORS = frozenset((bool, int, float, str, dict))

#: Returns the canonical form of a value that is not missing, or raises `Mismatch`.
Coerce = Callable[[Any], Any]


class Mismatch(ValueError):
    """Report that a value does not fit its field; the caller adds the row.

    Args:
        code: as in `RowError`.
        expected: the values that the field accepts, in words.
        got: what came, in words.
        value: the value, where `got` is to be what `shorten` makes of it.
    """

    def __init__(self, code: str, expected: str, got: str = "", *, value: object = None) -> None:
        super().__init__(code, expected)
        self.code = code
        self.expected = expected
        self._got = got
        self._value = value

    @property
    def got(self) -> str:
        """Return what came, in words: made here, because most errors of many are only counted."""
        return self._got or shorten(self._value)


def to_plain(value: Any) -> Any:
    """Convert a NumPy scalar or array, or a missing value of pandas, to plain Python; return other values unchanged."""
    if type(value) in _PLAIN_TYPES:
        return value
    # Types are compared by name, so that neither library need be imported.
    module = type(value).__module__
    if module == "numpy":
        if type(value).__name__ == "datetime64":
            return None if str(value) == "NaT" else str(value)
        return value.tolist() if hasattr(value, "tolist") else value
    if module.startswith("pandas.") and type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value


def is_missing(value: Any) -> bool:
    """Return whether a value is missing: `None`, `pandas.NA` or `NaT`. NaN is a number, not missing."""
    return value is None or to_plain(value) is None


def is_exact_float(value: int) -> bool:
    """Return whether float64 holds an integer."""
    try:
        return float(value) == value
    except OverflowError:
        return False


def coercer(field: Field) -> Coerce:
    """Return the function that coerces one value of a field; the value must not be missing."""
    scalar = _scalar(field)
    if field.shape:
        return _tensor(field, scalar)
    return scalar if field.categories is None or field.open else _closed_categories(field, scalar)


class RowCoercer:
    """Coerce rows to the canonical values of fields.

    Args:
        fields: the fields, in the order of the coerced rows' keys.
        extra: `forbid` makes a key that is no field an error, `ignore` drops it.
    """

    def __init__(self, fields: Iterable[Field], extra: Extra = "forbid") -> None:
        self.fields = tuple(fields)
        self._names = frozenset(field.name for field in self.fields)
        self._steps = [(field.name, field, coercer(field)) for field in self.fields]
        self._step_by_name = {field.name: (field, coerce, _unfit_types(field)) for _, field, coerce in self._steps}
        self._required = sum(not field.nullable for field in self.fields)
        self._forbids_extra = extra == "forbid"
        # Labels of columns that are integers became names: the key 0 of a row is the field "0".
        self._has_integer_names = any(name.removeprefix("-").isdecimal() for name in self._names)

    def __call__(
        self, rows: Sequence[Mapping[str, object]], max_errors: int | None = None
    ) -> tuple[list[dict[str, Any] | None], RowErrors]:
        """Coerce every row.

        Args:
            rows: the rows; an absent key is a missing value.
            max_errors: the most errors that are built; the others are counted. Where some are only counted, no row is
                returned. `None` builds at most `MAX_ROW_ERRORS` of each row.

        Returns:
            The canonical rows, with `None` for each row that has an error; and the errors, ordered by row.
        """
        coerced_rows: list[dict[str, Any] | None] = []
        errors = RowErrors()
        left = MAX_ROW_ERRORS if max_errors is None else min(max_errors, MAX_ROW_ERRORS)
        for index, row in enumerate(rows):
            coerced, row_errors = self.row(row, index, left)
            coerced_rows.append(coerced)
            if coerced is None:
                errors.add_row(row_errors)
                if max_errors is not None:
                    if not errors.are_all_built:
                        self._count_rest(rows, index + 1, errors)
                        return [None] * len(rows), errors
                    left = min(max_errors - len(errors), MAX_ROW_ERRORS)
        return coerced_rows, errors

    def _count_rest(self, rows: Sequence[Mapping[str, object]], start: int, errors: RowErrors) -> None:
        """Count the errors of the rows from `start` on, without building them."""
        for index in range(start, len(rows)):
            count = self._count_errors(rows[index])
            if count:
                errors.total += count
                errors.rows += 1

    def _count_errors(self, row: object) -> int:
        """Return the number of a row's errors, in a time that depends on its keys and not on the number of fields."""
        if type(row) is not dict and not isinstance(row := as_mapping(row, self.fields), Mapping):
            return 1
        if self._has_integer_names:
            row = _with_text_keys(row, self._names)
        absent, count = self._required, 0
        for key, value in row.items():
            step = self._step_by_name.get(key)
            if step is None:
                count += self._forbids_extra
                continue
            field, coerce, unfit_types = step
            absent -= not field.nullable
            kind = type(value)  # an exception would take longer
            if kind in unfit_types or (kind is str and field.dtype in FLOATS and value not in NON_FINITE):
                count += 1
                continue
            try:
                _coerce_value(field, coerce, value)
            except Mismatch:
                count += 1
        return absent + count

    def row(
        self, row: object, index: int = 0, max_errors: int = MAX_ROW_ERRORS
    ) -> tuple[dict[str, Any] | None, Sequence[RowError]]:
        """Coerce one row; its errors name it by `index`.

        Args:
            row: the row: a mapping, or what `as_mapping` reads one of.
            index: its index.
            max_errors: the most errors that are built; the others are counted.

        Returns:
            The canonical row and no errors, or `None` and its errors, which are `RowErrors`.
        """
        if not isinstance(row, Mapping) and not isinstance(row := as_mapping(row, self.fields), Mapping):
            expected = "an object with a key for each field"
            built = [RowError(index, None, "type", expected, describe_row(row))] if max_errors > 0 else []
            return None, RowErrors(built, total=1, rows=1)
        if self._has_integer_names:
            row = _with_text_keys(row, self._names)
        errors: list[RowError] = []
        coerced: dict[str, Any] = {}
        for name, field, coerce in self._steps:
            value = row.get(name)
            try:
                coerced[name] = _coerce_value(field, coerce, value, is_present=name in row)
            except Mismatch as mismatch:
                if len(errors) >= max_errors:
                    return None, RowErrors(errors, total=self._count_errors(row), rows=1)
                errors.append(RowError(index, name, mismatch.code, mismatch.expected, mismatch.got))
        if self._forbids_extra and not row.keys() <= self._names:
            for key in row:
                if key not in self._names:
                    if len(errors) >= max_errors:
                        return None, RowErrors(errors, total=self._count_errors(row), rows=1)
                    name = key if isinstance(key, str) else shorten(key)
                    is_first = index == 0 and len(errors) < _MAX_SEARCHES
                    errors.append(unknown_field(index, name, self.fields, is_first=is_first))
        return (None, RowErrors(errors, rows=1)) if errors else (coerced, errors)

    def value(self, name: str, value: object) -> Any:
        """Coerce one value of the field with that name.

        Raises:
            Mismatch: the value does not fit the field.
            KeyError: no field has that name.
        """
        for field_name, field, coerce in self._steps:
            if field_name == name:
                return _coerce_value(field, coerce, value)
        raise KeyError(name)


def _with_text_keys(row: Mapping[Any, Any], names: frozenset[str]) -> Mapping[Any, Any]:
    """Return a row whose keys that are integers are the names that they spell, where these are fields and not there."""
    if all(type(key) is str for key in row):
        return row
    texts: dict[Any, Any] = {}
    for key, value in row.items():
        plain = to_plain(key)
        name = str(plain) if isinstance(plain, int) and not isinstance(plain, bool) else ""
        texts[name if name in names and name not in row else key] = value
    return texts


def _unfit_types(field: Field) -> frozenset[type]:
    """Return the types of plain values of which none fits a field."""
    return _UNFIT_TENSORS if field.shape else _UNFIT_TYPES[field.dtype]


def _coerce_value(field: Field, coerce: Coerce, value: Any, *, is_present: bool = True) -> Any:
    """Return the coerced value; `None` where it is missing and the field is nullable."""
    if value is not None:
        try:
            return coerce(value)
        except Mismatch:
            # Checked only after a failure: pandas' missing values are rare, and the check would slow down every value.
            if not is_missing(value):
                raise
    if not field.nullable:
        raise Mismatch("missing", field.expected, "null" if is_present else "nothing")
    return None


def unknown_field(row: int, name: str, fields: Sequence[Field], *, is_first: bool = False) -> RowError:
    """Return the error for a key, or a column, that is no field; it lists the first fields.

    Args:
        row: the row's index.
        name: the key.
        fields: the fields.
        is_first: whether the error is one of the first, which say what the key may stand for: the search takes a while.
    """
    names = ", ".join(field.name for field in fields[:_MAX_LISTED_FIELDS])
    more = f", … ({len(fields)} in all)" if len(fields) > _MAX_LISTED_FIELDS else ""
    similar = did_you_mean(name, (field.name for field in fields)) if is_first else ""
    got = f"a key that is no field{similar} (extra=ignore drops such keys)"
    return RowError(row, name, "unknown", f"one of the fields {names}{more}", got)


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
        value = to_plain(value)
        if value is True or value is False:
            return bool(value)
        raise Mismatch("type", expected, value=value)

    return coerce


def _integer(field: Field) -> Coerce:
    expected = field.expected
    low, high = INTEGERS[field.dtype]

    def coerce(value: Any) -> int:
        if type(value) is not int:
            value = _to_integer(to_plain(value))
        if low <= value <= high:
            return int(value)
        raise Mismatch("range", expected, value=value)

    def _to_integer(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise Mismatch("type", expected, value=value)
        if isinstance(value, int):
            return int(value)
        if (isinstance(value, Decimal) and value.is_snan()) or value != value:  # comparing a signalling NaN raises
            raise Mismatch("range", expected, NAN_IN_INTEGERS)
        if value in (float("inf"), float("-inf")) or not low <= value <= high:
            raise Mismatch("range", expected, value=value)
        if value != int(value):
            raise Mismatch("precision", expected, value=value)
        if isinstance(value, float) and abs(value) > MAX_EXACT_INTEGER:
            got = f"{shorten(value)}, a float beyond 2^53, which may have been rounded (write it as an integer)"
            raise Mismatch("precision", expected, got)
        return int(value)

    return coerce


def _float(field: Field) -> Coerce:
    expected = field.expected
    is_single = field.dtype == "float32"

    def coerce(value: Any) -> float:
        if type(value) is not float:
            value = _to_float(to_plain(value))
        if is_single:
            return _round_to_single(value)
        return float(value)

    def _to_float(value: Any) -> float:
        if isinstance(value, float):
            return float(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return _to_exact(int(value))
        if isinstance(value, str) and value in NON_FINITE:
            return NON_FINITE[value]
        if isinstance(value, Decimal) and not value.is_snan():
            number = float(value)
            if number in (float("inf"), float("-inf")) and value.is_finite():
                raise Mismatch("range", expected, value=value)
            if value.as_tuple().exponent == 0:  # a whole number, as databases give integers
                return _to_exact(int(value))
            return number
        raise Mismatch("type", expected, value=value)

    def _to_exact(value: int) -> float:
        try:
            number = float(value)
        except OverflowError:
            raise Mismatch("precision", expected, f"{shorten(value)}, which is more than a float64 holds") from None
        if number != value:
            got = f"{shorten(value)}, which a float64 would round to {shorten(int(number))}"
            raise Mismatch("precision", f"{expected}, an integer only where it is exact", got)
        return number

    def _round_to_single(value: float) -> float:
        try:
            rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:
            raise Mismatch("range", expected, value=value) from None
        return rounded

    return coerce


def _string(field: Field) -> Coerce:
    expected = field.expected

    def coerce(value: Any) -> str:
        if type(value) is not str:
            plain = to_plain(value)
            if isinstance(plain, float) and plain != plain:
                raise Mismatch("type", expected, NAN_IN_TEXTS)
            if not isinstance(plain, str) or type(value).__name__ == "datetime64":  # NumPy's dates become text
                raise Mismatch("type", expected, value=value)
            value = plain
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                # A lone surrogate: JSON can escape it, but UTF-8 cannot encode it.
                raise Mismatch("format", "text that UTF-8 can hold", value=value) from None
        return str(value)

    return coerce


def _closed_categories(field: Field, scalar: Coerce) -> Coerce:
    expected = field.expected
    categories = frozenset(field.categories or ())
    takes_nan = field.nullable and field.dtype in FLOATS

    def coerce(value: Any) -> Any:
        value = scalar(value)
        if value not in categories and not (takes_nan and value != value):
            raise Mismatch("category", expected, value=value)
        return value

    return coerce


def _timestamp(field: Field) -> Coerce:
    expected = field.expected
    zone = _zone(field.zone)

    def coerce(value: Any) -> datetime:
        value = to_plain(value)
        if isinstance(value, str):
            value = _parse(value)
        if not isinstance(value, datetime):
            raise Mismatch("type", expected, value=value)
        if getattr(value, "nanosecond", 0):  # a pandas.Timestamp has nanoseconds, a datetime has not
            raise Mismatch("precision", f"{expected}, in whole microseconds", value=value)
        if (value.utcoffset() is None) != (zone is None):
            raise Mismatch("format", expected, value=value)
        try:
            # Convert through UTC: `astimezone` alone would not change a value that is in the zone already, even where
            # the zone's clocks skip its hour, or where it is outside the years 1 to 9999 in UTC.
            value = value if zone is None else value.astimezone(UTC).astimezone(zone)
        except OverflowError:
            years = f"{expected}, within the years 1 to 9999 on the clocks of {field.zone}"
            raise Mismatch("range", years, value=value) from None
        # Build a plain datetime: subclasses have their own repr and arithmetic.
        return datetime.combine(value.date(), value.timetz())

    def _parse(text: str) -> datetime:
        match = _TIMESTAMP.fullmatch(text)
        if match is None:
            raise Mismatch("format", expected, value=text)
        day, clock, fraction, offset = match.groups()
        if fraction and fraction[6:].strip("0"):
            raise Mismatch("precision", f"{expected}, in whole microseconds", value=text)
        clock = clock if len(clock) == 8 else clock + ":00"
        try:
            return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '')[:6]:0<6}{offset or ''}")
        except ValueError:  # the 30th of February, an hour of 25, an offset of a day or more
            raise Mismatch("format", expected, value=text) from None

    return coerce


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    from zoneinfo import ZoneInfo  # opens files: only fields with zones need it

    return ZoneInfo(name)


def _date(field: Field) -> Coerce:
    expected = field.expected

    def coerce(value: Any) -> date:
        value = to_plain(value)
        if isinstance(value, str):
            if not _DATE.fullmatch(value):
                raise Mismatch("format", expected, value=value)
            try:
                return date.fromisoformat(value)
            except ValueError:
                raise Mismatch("format", expected, value=value) from None
        if isinstance(value, datetime) or not isinstance(value, date):
            raise Mismatch("type", expected, value=value)
        return value

    return coerce


def _binary(field: Field) -> Coerce:
    expected = field.expected

    def coerce(value: Any) -> bytes:
        value = to_plain(value)
        if isinstance(value, str):
            try:
                return base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                raise Mismatch("format", f"{expected}, in base64 where it comes as text", value=value) from None
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise Mismatch("type", expected, value=value)
        return bytes(value)

    return coerce


def _tensor(field: Field, scalar: Coerce) -> Coerce:
    expected = field.expected
    shape = field.shape

    def coerce(value: Any) -> list[Any]:
        value = to_plain(value)
        if not isinstance(value, (list, tuple)):
            raise Mismatch("type", expected, value=value)
        return _coerce_level(value, 0)

    def _coerce_level(values: Sequence[Any], depth: int) -> list[Any]:
        if len(values) != shape[depth]:
            raise Mismatch("shape", expected, f"{len(values)} elements in dimension {depth}")
        if depth + 1 == len(shape):
            return [_coerce_element(element) for element in values]
        coerced = []
        for element in values:
            inner = to_plain(element)
            if not isinstance(inner, (list, tuple)):
                raise Mismatch("shape", expected, f"{shorten(element)} in dimension {depth}")
            coerced.append(_coerce_level(inner, depth + 1))
        return coerced

    def _coerce_element(element: Any) -> Any:
        if is_missing(element):
            raise Mismatch("missing", f"{expected} without missing elements", "null")
        if isinstance(element, (list, tuple)):
            raise Mismatch("shape", expected, f"{shorten(element)} where one number was due")
        try:
            return scalar(element)
        except Mismatch as mismatch:
            raise Mismatch(mismatch.code, expected, mismatch.got) from None

    return coerce
