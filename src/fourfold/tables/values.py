"""Find the dtype, shape and missing values of columns of Python values: rows, and object columns of pandas and NumPy.

Neither NumPy nor pandas is imported: their values are recognized by the names of their types.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from fourfold.errors import SignatureError, shorten
from fourfold.signature.field import INTEGERS, TENSOR_DTYPES, Field
from fourfold.signature.rows import is_exact_float

__all__ = ["Study", "missing_form", "study", "zone_name"]

_PLAIN = ((bool, "bool"), (int, "int"), (float, "float"), (str, "str"), (bytes, "bytes"))


@dataclass(frozen=True, slots=True)
class Study:
    """Describe the values of a column.

    Attributes:
        dtype, shape, zone: as in `Field`.
        nullable: whether a value is missing, or NaN in a column where NaN means missing.
        null: the form of the column's missing values: `"None"`, `"NaN"`, `"NA"` or `"NaT"`; `None` if none is missing.
        python_type: the Python type of the values: `bool`, `int`, `float`, `str`, `bytes`, `date`, `datetime`,
            `Timestamp`, `list`, `tuple` or `ndarray`.
    """

    dtype: str
    python_type: str
    nullable: bool = False
    null: str | None = None
    shape: tuple[int, ...] = ()
    zone: str | None = None

    def field(self, name: str) -> Field:
        """Return the field of that name that accepts the column's values."""
        return Field(name, self.dtype, nullable=self.nullable, shape=self.shape, zone=self.zone)


def missing_form(value: Any) -> str | None:
    """Return the form of a missing value (`"None"`, `"NaN"`, `"NA"` or `"NaT"`); `None` where it is not missing."""
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


def study(where: str, values: Iterable[Any], *, from_objects: bool) -> Study:
    """Examine a column of Python values.

    Args:
        where: the column, as error messages name it.
        values: the values; missing ones may have any form.
        from_objects: whether the values come from a pandas or NumPy object column. There NaN means missing (among
            floats it is also a value), and integers and floats must not be mixed: the column could not be built again.
            In rows NaN is a float, and integers among floats are floats: JSON may write whole floats like integers.

    Raises:
        SignatureError: the values have two types, or a type that no field holds; all are missing; or the missing values
            have two forms.
    """
    values = list(values)
    forms = [missing_form(value) for value in values]
    present = [
        (row, value)
        for row, value in enumerate(values)
        if forms[row] is None or (forms[row] == "NaN" and not from_objects)
    ]
    if not present:
        raise SignatureError(f"{where}: no value to infer a dtype from; drop it, or give rows in which it has one")
    python_type = _common_type(where, present, can_mix=not from_objects)
    nan_is_value = not from_objects or python_type == "float"
    missing = {
        form: row for row, form in reversed(list(enumerate(forms))) if form and not (form == "NaN" and nan_is_value)
    }
    if len(missing) > 1:
        examples = " and ".join(
            f"{form} (row {row})" for form, row in sorted(missing.items(), key=lambda item: item[1])[:2]
        )
        raise SignatureError(
            f"{where}: missing values are said in two ways, {examples}, which a model can tell apart; use one of them"
        )
    null = next(iter(missing), None)
    if from_objects and python_type == "float" and null is None and "NaN" in forms:
        null = "NaN"
    dtype, shape, zone = _field_type(where, python_type, present)
    return Study(dtype, python_type, null is not None, null, shape, zone)


def zone_name(where: str, zone: Any) -> str | None:
    """Return the IANA name of a `tzinfo`, `None` for `None`.

    Raises:
        SignatureError: the zone has no name: it is a fixed offset, for example.
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


def _common_type(where: str, present: Sequence[tuple[int, Any]], *, can_mix: bool) -> str:
    """Return the Python type of all values; `float` where floats and integers are mixed and `can_mix` allows it."""
    first_rows: dict[str, int] = {}
    for row, value in present:
        python_type = _python_type(value)
        if python_type is None:
            raise SignatureError(
                f"{where}: no field holds a {type(value).__module__}.{type(value).__qualname__} (row {row}: "
                f"{shorten(value)}); make it a number, string, date, timestamp, bytes or a tensor of numbers"
            )
        first_rows.setdefault(python_type, row)
    if can_mix and set(first_rows) == {"int", "float"}:
        return "float"
    if len(first_rows) > 1:
        examples = " and ".join(f"{python_type} (row {row})" for python_type, row in list(first_rows.items())[:2])
        raise SignatureError(f"{where}: values of two types, {examples}; make the column one type")
    return next(iter(first_rows))


def _python_type(value: Any) -> str | None:
    for python_type, name in _PLAIN:
        if isinstance(value, python_type):
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


def _field_type(
    where: str, python_type: str, present: Sequence[tuple[int, Any]]
) -> tuple[str, tuple[int, ...], str | None]:
    if python_type in ("datetime", "Timestamp"):
        return "timestamp", (), _common_zone(where, present)
    if python_type in ("list", "tuple", "ndarray"):
        return *_tensor_type(where, python_type, present), None
    if python_type == "int":
        return _integer_dtype(where, (value for _, value in present)), (), None
    if python_type == "float":
        for row, value in present:
            if isinstance(value, int) and not is_exact_float(value):
                raise SignatureError(
                    f"{where}: the integer {shorten(value)} (row {row}) stands among floats, and float64 would round it"
                )
    return (
        {"bool": "bool", "float": "float64", "str": "string", "bytes": "binary", "date": "date"}[python_type],
        (),
        None,
    )


def _integer_dtype(where: str, values: Iterable[Any]) -> str:
    integers = [int(value) for value in values]
    smallest, largest = min(integers), max(integers)
    for dtype in ("int64", "uint64"):
        if INTEGERS[dtype][0] <= smallest and largest <= INTEGERS[dtype][1]:
            return dtype
    out_of_range = smallest if smallest < INTEGERS["int64"][0] else largest
    raise SignatureError(
        f"{where}: the integer {shorten(out_of_range)} needs more than 64 bits; make the column strings or floats"
    )


def _common_zone(where: str, present: Sequence[tuple[int, Any]]) -> str | None:
    zones: dict[str | None, int] = {}
    for row, value in present:
        if getattr(value, "nanosecond", 0):
            raise SignatureError(f"{where}: row {row} is finer than a microsecond ({value}); round it, dt.round('us')")
        zones.setdefault(zone_name(where, value.tzinfo), row)
    if len(zones) > 1:
        examples = " and ".join(f"{zone or 'none'} (row {row})" for zone, row in list(zones.items())[:2])
        raise SignatureError(f"{where}: timestamps of two time zones, {examples}; convert them to one")
    return next(iter(zones))


def _tensor_type(where: str, python_type: str, present: Sequence[tuple[int, Any]]) -> tuple[str, tuple[int, ...]]:
    first_rows: dict[tuple[str, tuple[int, ...]], int] = {}
    for row, value in present:
        try:
            element_and_shape = _array_type(value) if python_type == "ndarray" else _nested_type(value, type(value))
        except ValueError as problem:
            raise SignatureError(f"{where}: row {row} is no tensor: {problem}") from None
        first_rows.setdefault(element_and_shape, row)
    if len(first_rows) > 1:
        examples = " and ".join(
            f"{element} of shape {list(shape)} (row {row})" for (element, shape), row in list(first_rows.items())[:2]
        )
        raise SignatureError(f"{where}: tensors of two types or shapes, {examples}; every row must have the same")
    element, shape = next(iter(first_rows))
    if element == "int":
        element = _integer_dtype(where, (leaf for _, value in present for leaf in _leaves(value)))
    return {"float": "float64"}.get(element, element), shape


def _array_type(value: Any) -> tuple[str, tuple[int, ...]]:
    dtype = str(value.dtype.name)
    if dtype not in TENSOR_DTYPES:
        raise ValueError(f"its dtype is {dtype}; a tensor holds {', '.join(TENSOR_DTYPES)}")
    if not value.shape or 0 in value.shape:
        raise ValueError(f"its shape is {list(value.shape)}")
    return dtype, tuple(value.shape)


def _nested_type(value: Any, container: type) -> tuple[str, tuple[int, ...]]:
    """Return the element type and the shape of nested lists, or of nested tuples."""
    if not isinstance(value, (list, tuple)):
        python_type = _python_type(value)
        if python_type not in ("bool", "int", "float"):
            raise ValueError(f"it holds {shorten(value)}; a tensor holds numbers or booleans")
        return python_type, ()
    if type(value) is not container:
        raise ValueError(f"a {type(value).__name__} within a {container.__name__}")
    element_types = {_nested_type(element, container) for element in value}
    if len(element_types) != 1:
        raise ValueError("it has no elements" if not element_types else f"its elements are not alike: {shorten(value)}")
    element, shape = element_types.pop()
    return element, (len(value), *shape)


def _leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple)):
        for element in value:
            yield from _leaves(element)
    else:
        yield value
