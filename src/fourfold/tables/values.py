"""Find what a column of plain Python values holds: of rows, and of the object columns of pandas and NumPy.

Nothing is imported to look at a value: NumPy's and pandas's own are told by the names of their types.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from fourfold.errors import SignatureError, shorten
from fourfold.signature.field import INTEGERS, TENSOR_DTYPES, Field

__all__ = ["Study", "missing_form", "study", "zone_name"]

_EXACT = 2**53
_PLAIN = ((bool, "bool"), (int, "int"), (float, "float"), (str, "str"), (bytes, "bytes"))


@dataclass(frozen=True, slots=True)
class Study:
    """Describe what a column of values holds.

    Attributes:
        dtype, shape, zone: as in `Field`.
        nullable: whether a value is missing, or NaN in a column where NaN is a way to say so.
        null: how the column says that a value is missing: `None`, `NaN`, `NA` or `NaT`; `None` if nothing is missing.
        of: the Python type of the values: `bool`, `int`, `float`, `str`, `bytes`, `date`, `datetime`, `Timestamp`,
            `list`, `tuple` or `ndarray`.
    """

    dtype: str
    of: str
    nullable: bool = False
    null: str | None = None
    shape: tuple[int, ...] = ()
    zone: str | None = None

    def field(self, name: str) -> Field:
        """Return the field of that name which takes such values."""
        return Field(name, self.dtype, nullable=self.nullable, shape=self.shape, zone=self.zone)


def missing_form(value: Any) -> str | None:
    """Return the form of a missing value (`None`, `NaN`, `NA` or `NaT`), or `None` where it is a value."""
    if value is None:
        return "None"
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else None
    module, name = type(value).__module__.partition(".")[0], type(value).__name__
    if module == "pandas" and name in ("NAType", "NaTType"):
        return name[:-4]
    if module == "numpy" and name.startswith("float"):
        return "NaN" if math.isnan(value) else None
    return None


def study(where: str, values: Iterable[Any], *, foreign: bool) -> Study:
    """Return what a column of Python values holds.

    Args:
        where: the column, in the words of an error.
        values: the values, a missing one in any form.
        foreign: whether these are the values of a pandas or NumPy object column. There NaN means that a value is
            missing (among floats it is both that and a value), and integers and floats may not mix, for the column
            could not be built again. In rows NaN is a float, and integers among floats are floats: JSON's numbers
            are written so.

    Raises:
        SignatureError: the values are of two types or of one that no field has, none is there, or what is missing is
            said in two ways.
    """
    values = list(values)
    forms = [missing_form(value) for value in values]
    present = [
        (row, value) for row, value in enumerate(values) if forms[row] is None or (forms[row] == "NaN" and not foreign)
    ]
    if not present:
        raise SignatureError(f"{where}: no value to infer a dtype from; drop it, or give rows in which it has one")
    of = _one_type(where, present, mix=not foreign)
    nan_is_value = not foreign or of == "float"
    missing = {
        form: row for row, form in reversed(list(enumerate(forms))) if form and not (form == "NaN" and nan_is_value)
    }
    if len(missing) > 1:
        two = " and ".join(f"{form} (row {row})" for form, row in sorted(missing.items(), key=lambda item: item[1])[:2])
        raise SignatureError(
            f"{where}: missing values are said in two ways, {two}, which a model can tell apart; use one of them"
        )
    null = next(iter(missing), None)
    if foreign and of == "float" and null is None and "NaN" in forms:
        null = "NaN"
    dtype, shape, zone = _dtype(where, of, present)
    return Study(dtype, of, null is not None, null, shape, zone)


def zone_name(where: str, zone: Any) -> str | None:
    """Return the IANA name of a `tzinfo`, `None` for `None`.

    Raises:
        SignatureError: it has none: a fixed offset, say.
    """
    if zone is None:
        return None
    if zone is UTC:
        return "UTC"
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)  # zoneinfo's attribute, and pytz's
    if not isinstance(name, str):
        raise SignatureError(
            f"{where}: the time zone {shorten(zone)} has no IANA name; convert to UTC, or to a zone such as "
            "'Europe/Berlin'"
        )
    return name


def _one_type(where: str, present: Sequence[tuple[int, Any]], *, mix: bool) -> str:
    """Return the Python type that all values have; `float` where floats and integers are mixed and may be."""
    seen: dict[str, int] = {}
    for row, value in present:
        of = _python_type(value)
        if of is None:
            raise SignatureError(
                f"{where}: no field holds a {type(value).__module__}.{type(value).__qualname__} (row {row}: "
                f"{shorten(value)}); make it a number, string, date, timestamp, bytes or a tensor of numbers"
            )
        seen.setdefault(of, row)
    if mix and set(seen) == {"int", "float"}:
        return "float"
    if len(seen) > 1:
        two = " and ".join(f"{of} (row {row})" for of, row in list(seen.items())[:2])
        raise SignatureError(f"{where}: values of two types, {two}; make the column one type")
    return next(iter(seen))


def _python_type(value: Any) -> str | None:
    for python, name in _PLAIN:
        if isinstance(value, python):
            return name
    if isinstance(value, datetime):
        return "Timestamp" if type(value).__module__.partition(".")[0] == "pandas" else "datetime"
    if isinstance(value, date):
        return "date"
    if isinstance(value, (list, tuple)):
        return "list" if isinstance(value, list) else "tuple"
    if type(value).__module__ == "numpy":
        if type(value).__name__ == "ndarray":
            return "ndarray"
        if hasattr(value, "item") and type(value).__name__ not in ("datetime64", "timedelta64"):
            plain = value.item()
            return None if type(plain) is type(value) else _python_type(plain)
    return None


def _dtype(where: str, of: str, present: Sequence[tuple[int, Any]]) -> tuple[str, tuple[int, ...], str | None]:
    if of in ("datetime", "Timestamp"):
        return "timestamp", (), _zone(where, present)
    if of in ("list", "tuple", "ndarray"):
        return *_tensor(where, of, present), None
    if of == "int":
        return _integers(where, (value for _, value in present)), (), None
    if of == "float":
        for row, value in present:
            if not isinstance(value, float) and abs(value) > _EXACT and isinstance(value, int):
                raise SignatureError(
                    f"{where}: the integer {shorten(value)} (row {row}) stands among floats, and no float64 holds it"
                )
    return {"bool": "bool", "float": "float64", "str": "string", "bytes": "binary", "date": "date"}[of], (), None


def _integers(where: str, values: Iterable[Any]) -> str:
    listed = [int(value) for value in values]
    least, most = min(listed), max(listed)
    for dtype in ("int64", "uint64"):
        if INTEGERS[dtype][0] <= least and most <= INTEGERS[dtype][1]:
            return dtype
    worst = least if least < INTEGERS["int64"][0] else most
    raise SignatureError(
        f"{where}: the integer {shorten(worst)} needs more than 64 bits; make the column strings or floats"
    )


def _zone(where: str, present: Sequence[tuple[int, Any]]) -> str | None:
    zones: dict[str | None, int] = {}
    for row, value in present:
        if getattr(value, "nanosecond", 0):
            raise SignatureError(f"{where}: row {row} is finer than a microsecond ({value}); round it, dt.round('us')")
        zones.setdefault(zone_name(where, value.tzinfo), row)
    if len(zones) > 1:
        two = " and ".join(f"{zone or 'none'} (row {row})" for zone, row in list(zones.items())[:2])
        raise SignatureError(f"{where}: timestamps of two time zones, {two}; convert them to one")
    return next(iter(zones))


def _tensor(where: str, of: str, present: Sequence[tuple[int, Any]]) -> tuple[str, tuple[int, ...]]:
    kinds: dict[tuple[str, tuple[int, ...]], int] = {}
    for row, value in present:
        try:
            kind_and_shape = _array(value) if of == "ndarray" else _nested(value, type(value))
        except ValueError as problem:
            raise SignatureError(f"{where}: row {row} is no tensor: {problem}") from None
        kinds.setdefault(kind_and_shape, row)
    if len(kinds) > 1:
        two = " and ".join(
            f"{kind} of shape {list(shape)} (row {row})" for (kind, shape), row in list(kinds.items())[:2]
        )
        raise SignatureError(f"{where}: tensors of two types or shapes, {two}; every row must have the same")
    kind, shape = next(iter(kinds))
    if kind == "int":
        kind = _integers(where, (leaf for _, value in present for leaf in _leaves(value)))
    return {"float": "float64"}.get(kind, kind), shape


def _array(value: Any) -> tuple[str, tuple[int, ...]]:
    dtype = str(value.dtype.name)
    if dtype not in TENSOR_DTYPES:
        raise ValueError(f"its dtype is {dtype}; a tensor holds {', '.join(TENSOR_DTYPES)}")
    if not value.shape or 0 in value.shape:
        raise ValueError(f"its shape is {list(value.shape)}")
    return dtype, tuple(value.shape)


def _nested(value: Any, container: type) -> tuple[str, tuple[int, ...]]:
    """Return the element type and the shape of nested lists, or of nested tuples."""
    if not isinstance(value, (list, tuple)):
        of = _python_type(value)
        if of not in ("bool", "int", "float"):
            raise ValueError(f"it holds {shorten(value)}; a tensor holds numbers or booleans")
        return of, ()
    if type(value) is not container:
        raise ValueError(f"a {type(value).__name__} within a {container.__name__}")
    inner = {_nested(element, container) for element in value}
    if len(inner) != 1:
        raise ValueError("it has no elements" if not inner else f"its elements are not alike: {shorten(value)}")
    kind, shape = inner.pop()
    return kind, (len(value), *shape)


def _leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple)):
        for element in value:
            yield from _leaves(element)
    else:
        yield value
