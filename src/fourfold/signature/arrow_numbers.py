"""Convert Arrow arrays of numbers, days and instants as a whole; `None` where a value must be looked at by itself."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fourfold.signature.field import INTEGERS, Field
from fourfold.signature.rows import MAX_EXACT_INTEGER

__all__ = ["DAY_MS", "DAY_RANGE", "MICROSECOND_RANGE", "dates", "floats", "integers", "timestamps"]

DAY_MS = 86_400_000
# The years 1 to 9999, in days and in microseconds since 1970: Python's dates hold no others, so rows cannot either.
_EPOCH_DAY = date(1970, 1, 1).toordinal()
DAY_RANGE = (date.min.toordinal() - _EPOCH_DAY, date.max.toordinal() - _EPOCH_DAY)
MICROSECOND_RANGE = (DAY_RANGE[0] * DAY_MS * 1000, (DAY_RANGE[1] + 1) * DAY_MS * 1000 - 1)


def _is_within(array: Any, low: int, high: int) -> bool:
    """Return whether all values of an integer array that are not null lie from `low` to `high`."""
    extremes = pc.min_max(array)
    smallest, largest = extremes["min"].as_py(), extremes["max"].as_py()
    return smallest is None or (smallest >= low and largest <= high)


def integers(array: Any, target: Any) -> Any | None:
    """Return numbers as the integer type `target`; `None` where one is not integral or out of range."""
    if pa.types.is_integer(array.type):
        if not _is_within(array, *INTEGERS[str(target)]):
            return None
        return array.cast(target)
    if pa.types.is_floating(array.type):
        values = array.cast(pa.float64())
        are_exact = pc.and_(pc.equal(pc.floor(values), values), pc.less_equal(pc.abs(values), float(MAX_EXACT_INTEGER)))
        if not pc.all(are_exact).as_py():  # false for NaN and infinities too
            return None
        integers = values.cast(pa.int64())
        return integers.cast(target) if _is_within(integers, *INTEGERS[str(target)]) else None
    return None


def floats(array: Any, target: Any) -> Any | None:
    """Return numbers as the float type `target`; `None` where one is no number or an integer that would be rounded."""
    if pa.types.is_integer(array.type):
        if _is_within(array, -MAX_EXACT_INTEGER, MAX_EXACT_INTEGER):
            array = array.cast(pa.int64()).cast(pa.float64())
        elif (exact := _exact_floats(array)) is not None:
            array = exact
        else:
            return None
    if not pa.types.is_floating(array.type):
        return None
    if pa.types.is_float32(target) and pa.types.is_float64(array.type):
        rounded = array.cast(target)
        overflowed = pc.and_(pc.is_inf(rounded), pc.is_finite(array))
        return None if pc.any(overflowed).as_py() else rounded
    return array.cast(target)


def _exact_floats(array: Any) -> Any | None:
    """Return integers of 64 bits as float64; `None` where one would be rounded."""
    values = array.cast(pa.float64(), safe=False)
    # The largest integers round to 2^63 or 2^64, which no integer of their type is: these are not cast back.
    are_within = pc.less(values, float(INTEGERS[str(array.type)][1] + 1))
    if not pc.all(are_within, min_count=0).as_py():
        return None
    return values if pc.all(pc.equal(values.cast(array.type, safe=False), array), min_count=0).as_py() else None


def dates(array: Any) -> Any | None:
    """Return days as `date32`; `None` where one is no whole day, or outside the years 1 to 9999."""
    if pa.types.is_date64(array.type):
        counts = array.cast(pa.int64())
        are_days = pc.equal(pc.multiply(pc.divide(counts, DAY_MS), DAY_MS), counts)
        if not pc.all(are_days).as_py() or not _is_within(counts, DAY_RANGE[0] * DAY_MS, DAY_RANGE[1] * DAY_MS):
            return None
        return array.cast(pa.date32())
    if not pa.types.is_date32(array.type) or not _is_within(array.cast(pa.int32()), *DAY_RANGE):
        return None
    return array


def timestamps(array: Any, field: Field) -> Any | None:
    """Return instants as the field's type; `None` where one is finer than a microsecond, or near the years' ends."""
    if not pa.types.is_timestamp(array.type) or (array.type.tz is None) != (field.zone is None):
        return None
    if array.type.unit == "ns" and not _has_whole_microseconds(array):
        return None
    unit_us = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}[array.type.unit]
    # On the first and the last day of the range a zone's local time may lie outside it: these go value by value.
    margin = 0 if field.zone is None else DAY_MS * 1000
    low, high = (MICROSECOND_RANGE[0] + margin) // unit_us, (MICROSECOND_RANGE[1] - margin) // unit_us
    if array.type.unit != "ns" and not _is_within(array.cast(pa.int64()), low, high):
        return None
    return array.cast(pa.timestamp("us", tz=array.type.tz)).cast(pa.timestamp("us", tz=field.zone))


def _has_whole_microseconds(array: Any) -> bool:
    nanoseconds = array.cast(pa.int64())
    truncated = pc.multiply(pc.divide(nanoseconds, 1000), 1000)
    return bool(pc.all(pc.equal(truncated, nanoseconds)).as_py())
