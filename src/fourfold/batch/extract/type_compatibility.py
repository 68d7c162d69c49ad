"""Check which Arrow types can hold the values of a field, for every file before its first row is read.

A column whose type can hold no value of the field is the wrong column, so the run fails. Where some values may fit (a
float column for an integer field: 3.0 fits, 3.5 does not), the coercion decides row by row.
"""

from __future__ import annotations

from typing import Any

from fourfold.signature import Field
from fourfold.signature.field import FLOATS, INTEGERS

__all__ = ["can_hold"]


def can_hold(kind: Any, field: Field) -> bool:
    """Return whether a column of the Arrow type `kind` can hold values that the coercion accepts for `field`."""
    import pyarrow as pa

    types = pa.types
    if types.is_null(kind):
        return field.nullable
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return can_hold(kind.value_type, field)
    if isinstance(kind, pa.FixedShapeTensorType):
        return tuple(kind.shape) == field.shape
    if isinstance(kind, pa.BaseExtensionType):
        return can_hold(kind.storage_type, field)
    if field.shape:
        return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
    return _can_hold_scalars(types, kind, field)


def _can_hold_scalars(types: Any, kind: Any, field: Field) -> bool:
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if field.dtype == "bool":
        return bool(types.is_boolean(kind))
    if field.dtype in (*INTEGERS, *FLOATS):
        return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
    if field.dtype == "string":
        return bool(is_text)
    if field.dtype == "date":
        return bool(is_text or types.is_date(kind))
    if field.dtype == "timestamp":
        return bool(is_text or (types.is_timestamp(kind) and (kind.tz is None) == (field.zone is None)))
    is_binary = types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
    is_fixed_size = types.is_fixed_size_binary(kind) and not types.is_decimal(kind)
    return bool(is_text or is_binary or is_fixed_size)
