"""Map Arrow types to the dtypes of fields, and to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from fourfold.errors import SignatureError, shorten
from fourfold.signature.field import FLOATS, INTEGERS, TENSOR_DTYPES
from fourfold.tables.values import zone_name

__all__ = ["dtype_of", "type_from_json", "type_to_json"]

_SIMPLE: dict[str, tuple[Any, str]] = {
    "bool": (pa.bool_(), "bool"),
    **{name: (getattr(pa, name)(), name) for name in (*INTEGERS, *FLOATS)},
    "string": (pa.string(), "string"),
    "large_string": (pa.large_string(), "string"),
    "string_view": (pa.string_view(), "string"),
    "binary": (pa.binary(), "binary"),
    "large_binary": (pa.large_binary(), "binary"),
    "binary_view": (pa.binary_view(), "binary"),
    "date32": (pa.date32(), "date"),
    "date64": (pa.date64(), "date"),
}
_BY_TYPE = {kind: (name, dtype) for name, (kind, dtype) in _SIMPLE.items()}


def dtype_of(where: str, kind: Any, shown: str) -> tuple[str, tuple[int, ...], str | None]:
    """Return the dtype, shape and zone of the field that holds an Arrow type.

    Args:
        where: the column, in the words of an error.
        kind: the Arrow type.
        shown: the type in the words of its container.

    Raises:
        SignatureError: no field holds it; it says what to make of the column.
    """
    if kind in _BY_TYPE:
        return _BY_TYPE[kind][1], (), None
    if pa.types.is_timestamp(kind):
        return "timestamp", (), _zone(where, kind.tz)
    if pa.types.is_dictionary(kind):
        return dtype_of(where, kind.value_type, shown)
    if pa.types.is_fixed_size_binary(kind):
        return "binary", (), None
    if isinstance(kind, pa.FixedShapeTensorType) and kind.permutation is None:
        dtype, shape = dtype_of(where, kind.value_type, shown)[0], tuple(kind.shape)
    else:
        dtype, shape = "", ()
        inner = kind
        while pa.types.is_fixed_size_list(inner):
            shape = (*shape, inner.list_size)
            inner = inner.value_type
        if shape and inner in _BY_TYPE:
            dtype = _BY_TYPE[inner][1]
    if dtype in TENSOR_DTYPES and shape and 0 not in shape:
        return dtype, shape, None
    raise SignatureError(f"{where}: no field holds {shown}; {_advice(kind)}")


def type_to_json(where: str, kind: Any) -> Any:
    """Return an Arrow type as JSON: a name, or an object for a type with parameters.

    Raises:
        SignatureError: no field holds it.
    """
    if kind in _BY_TYPE:
        return _BY_TYPE[kind][0]
    dtype_of(where, kind, str(kind))
    if pa.types.is_timestamp(kind):
        return {"timestamp": kind.unit, "zone": kind.tz}
    if pa.types.is_dictionary(kind):
        value = type_to_json(where, kind.value_type)
        return {"dictionary": value, "index": str(kind.index_type), "ordered": kind.ordered}
    if pa.types.is_fixed_size_binary(kind):
        return {"fixed_size_binary": kind.byte_width}
    if isinstance(kind, pa.FixedShapeTensorType):
        names = kind.dim_names
        return {"tensor": type_to_json(where, kind.value_type), "shape": list(kind.shape), "names": names}
    return {"list": type_to_json(where, kind.value_type), "size": kind.list_size}


def type_from_json(data: Any) -> Any:
    """Return the Arrow type that `type_to_json` wrote.

    Raises:
        SignatureError: it did not write that.
    """
    if isinstance(data, str) and data in _SIMPLE:
        return _SIMPLE[data][0]
    try:
        return _parametric(data)
    except (KeyError, TypeError, ValueError) as error:
        raise SignatureError(f"expected the JSON form of an Arrow type; got {shorten(data)}") from error


def _parametric(data: Mapping[str, Any]) -> Any:
    if "timestamp" in data:
        return pa.timestamp(data["timestamp"], tz=data["zone"])
    if "dictionary" in data:
        index = _SIMPLE[data["index"]][0]
        return pa.dictionary(index, type_from_json(data["dictionary"]), ordered=data["ordered"])
    if "fixed_size_binary" in data:
        return pa.binary(data["fixed_size_binary"])
    if "tensor" in data:
        return pa.fixed_shape_tensor(type_from_json(data["tensor"]), data["shape"], dim_names=data["names"])
    return pa.list_(type_from_json(data["list"]), data["size"])


def _zone(where: str, name: str | None) -> str | None:
    if name is None:
        return None
    if name[:1] in "+-":  # Arrow's spelling of a fixed offset
        zone_name(where, name)
    return name


def _advice(kind: Any) -> str:
    if pa.types.is_decimal(kind):
        return "cast it to float64, or to string to keep every digit"
    if pa.types.is_float16(kind):
        return "cast it to float32"
    if pa.types.is_null(kind):
        return "it has no value at all; give it a type, or drop it"
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        return "make it a number, of seconds say"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return "its lists may have any length; cast it to lists of one fixed size"
    if pa.types.is_struct(kind):
        return "make each of its members a column"
    if isinstance(kind, pa.BaseExtensionType):
        return "give its storage instead"
    return "make it a number, string, date, timestamp, bytes or a tensor of numbers"
