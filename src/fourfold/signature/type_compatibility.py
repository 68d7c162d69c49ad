"""Check which Arrow types can hold the values of a field: for a file before its first row, and for a table of no rows.

A column whose type can hold no value of the field is the wrong column, so the run fails. Where some values may fit (a
float column for an integer field: 3.0 fits, 3.5 does not), the coercion decides row by row.
"""

from __future__ import annotations

from typing import Any

from fourfold.signature.field import FLOATS, INTEGERS, Field

__all__ = ["can_hold"]


def can_hold(arrow_type: Any, field: Field) -> bool:
    """Return whether a column of the Arrow type `arrow_type` can hold values that the coercion accepts for `field`."""
    import pyarrow as pa

    types = pa.types
    if types.is_null(arrow_type):
        return field.nullable
    if types.is_dictionary(arrow_type) or types.is_run_end_encoded(arrow_type):
        return can_hold(arrow_type.value_type, field)
    if isinstance(arrow_type, pa.FixedShapeTensorType):
        return tuple(arrow_type.shape) == field.shape
    if isinstance(arrow_type, pa.BaseExtensionType):
        return can_hold(arrow_type.storage_type, field)
    if field.shape:
        return bool(
            types.is_list(arrow_type) or types.is_large_list(arrow_type) or types.is_fixed_size_list(arrow_type)
        )
    return _can_hold_scalars(types, arrow_type, field)


def _can_hold_scalars(types: Any, arrow_type: Any, field: Field) -> bool:
    is_text = types.is_string(arrow_type) or types.is_large_string(arrow_type) or types.is_string_view(arrow_type)
    if field.dtype == "bool":
        return bool(types.is_boolean(arrow_type))
    if field.dtype in (*INTEGERS, *FLOATS):
        return bool(types.is_integer(arrow_type) or types.is_floating(arrow_type) or types.is_decimal(arrow_type))
    if field.dtype == "string":
        return bool(is_text)
    if field.dtype == "date":
        return bool(is_text or types.is_date(arrow_type))
    if field.dtype == "timestamp":
        return bool(is_text or (types.is_timestamp(arrow_type) and (arrow_type.tz is None) == (field.zone is None)))
    is_binary = types.is_binary(arrow_type) or types.is_large_binary(arrow_type) or types.is_binary_view(arrow_type)
    is_fixed_size = types.is_fixed_size_binary(arrow_type) and not types.is_decimal(arrow_type)
    return bool(is_text or is_binary or is_fixed_size)
