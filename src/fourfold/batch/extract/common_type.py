"""Find the one Arrow type that holds the values of a column that several files give in several types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

__all__ = ["common_type"]

_SIGNED = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
_UNSIGNED = (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
_UNITS = ("s", "ms", "us", "ns")
#: The most digits of a decimal.
_MAX_DIGITS = 38


def common_type(types: Sequence[Any]) -> Any | None:
    """Return the narrowest type that holds every value of these types exactly; `None` where there is none."""
    if len(set(types)) == 1:
        return types[0]
    are = pa.types
    if all(map(are.is_integer, types)):
        return _common_integer(types)
    if all(are.is_integer(data_type) or are.is_floating(data_type) for data_type in types):
        integers = [data_type for data_type in types if are.is_integer(data_type)]
        if any(data_type.bit_width > 32 for data_type in integers):
            return None
        floats = [data_type for data_type in types if are.is_floating(data_type)]
        return pa.float64() if integers else max(floats, key=lambda data_type: data_type.bit_width)
    if all(map(are.is_timestamp, types)):
        zones = {data_type.tz for data_type in types}
        unit = max((data_type.unit for data_type in types), key=_UNITS.index)
        return pa.timestamp(unit, tz=zones.pop()) if len(zones) == 1 else None
    if all(map(are.is_decimal128, types)):
        scale = max(data_type.scale for data_type in types)
        digits = max(data_type.precision - data_type.scale for data_type in types) + scale
        return pa.decimal128(digits, scale) if digits <= _MAX_DIGITS else None
    plain = [data_type.value_type if are.is_dictionary(data_type) else data_type for data_type in types]
    if all(map(are.is_dictionary, types)) and len(set(plain)) == 1:
        return pa.dictionary(pa.int32(), plain[0])
    if all(are.is_string(kind) or are.is_large_string(kind) or are.is_string_view(kind) for kind in plain):
        return pa.string() if all(map(are.is_string, plain)) else pa.large_string()
    if all(are.is_binary(kind) or are.is_large_binary(kind) or are.is_binary_view(kind) for kind in plain):
        return pa.binary() if all(map(are.is_binary, plain)) else pa.large_binary()
    return None


def _common_integer(types: Sequence[Any]) -> Any | None:
    signed = max((data_type.bit_width for data_type in types if pa.types.is_signed_integer(data_type)), default=0)
    unsigned = max((data_type.bit_width for data_type in types if pa.types.is_unsigned_integer(data_type)), default=0)
    if not signed:
        return next(data_type for data_type in _UNSIGNED if data_type.bit_width == unsigned)
    width = max(signed, 2 * unsigned)
    return next((data_type for data_type in _SIGNED if data_type.bit_width == width), None)
