"""Which Arrow types can hold values of a field: asked of every file before its first row is read.

A column whose type no value of the field can have is another column, not a column with rows at fault. What may fit (a
float column into an integer field: 3.0 does, 3.5 does not) is left to the coercion, row by row.
"""

from __future__ import annotations

from typing import Any

from fourfold.signature import Field
from fourfold.signature.field import FLOATS, INTEGERS

__all__ = ["can_hold"]


def can_hold(kind: Any, field: Field) -> bool:
    """Whether a column of the Arrow type `kind` can hold values that the coercion takes for `field`."""
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
    return _scalar(types, kind, field)


def _scalar(types: Any, kind: Any, field: Field) -> bool:
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if field.dtype == "bool":
        return bool(types.is_boolean(kind))
    if field.dtype in (*INTEGERS, *FLOATS):
        return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
    if field.dtype == "string":
        return bool(text)
    if field.dtype == "date":
        return bool(text or types.is_date(kind))
    if field.dtype == "timestamp":
        return bool(text or (types.is_timestamp(kind) and (kind.tz is None) == (field.zone is None)))
    sized = types.is_fixed_size_binary(kind) and not types.is_decimal(kind)
    return bool(text or sized or types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))
