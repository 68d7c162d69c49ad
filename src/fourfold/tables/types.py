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
_BY_TYPE = {data_type: (name, dtype) for name, (data_type, dtype) in _SIMPLE.items()}


def dtype_of(where: str, data_type: Any, shown: str) -> tuple[str, tuple[int, ...], str | None]:
    """Return the dtype, shape and zone of the field that holds an Arrow type.

    Args:
        where: the column, as error messages name it.
        data_type: the Arrow type.
        shown: the type, as its container names it.

    Raises:
        SignatureError: no field holds the type; the error says what to convert the column to.
    """
    if data_type in _BY_TYPE:
        return _BY_TYPE[data_type][1], (), None
    if pa.types.is_timestamp(data_type):
        return "timestamp", (), _zone(where, data_type.tz)
    if pa.types.is_dictionary(data_type):
        return dtype_of(where, data_type.value_type, shown)
    if pa.types.is_fixed_size_binary(data_type):
        return "binary", (), None
    if isinstance(data_type, pa.FixedShapeTensorType) and data_type.permutation is None:
        dtype, shape = dtype_of(where, data_type.value_type, shown)[0], tuple(data_type.shape)
    else:
        dtype, shape = "", ()
        element_type = data_type
        while pa.types.is_fixed_size_list(element_type):
            shape = (*shape, element_type.list_size)
            element_type = element_type.value_type
        if shape and element_type in _BY_TYPE:
            dtype = _BY_TYPE[element_type][1]
    if dtype in TENSOR_DTYPES and shape and 0 not in shape:
        return dtype, shape, None
    raise SignatureError(f"{where}: no field holds {shown}; {_advice(data_type)}")


def type_to_json(where: str, data_type: Any) -> Any:
    """Return an Arrow type as JSON: a name, or an object for a type with parameters.

    Raises:
        SignatureError: no field holds the type.
    """
    if data_type in _BY_TYPE:
        return _BY_TYPE[data_type][0]
    dtype_of(where, data_type, str(data_type))
    if pa.types.is_timestamp(data_type):
        return {"timestamp": data_type.unit, "zone": data_type.tz}
    if pa.types.is_dictionary(data_type):
        value = type_to_json(where, data_type.value_type)
        return {"dictionary": value, "index": str(data_type.index_type), "ordered": data_type.ordered}
    if pa.types.is_fixed_size_binary(data_type):
        return {"fixed_size_binary": data_type.byte_width}
    if isinstance(data_type, pa.FixedShapeTensorType):
        names = data_type.dim_names
        return {"tensor": type_to_json(where, data_type.value_type), "shape": list(data_type.shape), "names": names}
    return {"list": type_to_json(where, data_type.value_type), "size": data_type.list_size}


def type_from_json(data: Any) -> Any:
    """Return the Arrow type that `type_to_json` wrote.

    Raises:
        SignatureError: `data` is no Arrow type in JSON.
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
    if name[:1] in "+-":  # Arrow's form of a fixed offset, which `zone_name` refuses
        zone_name(where, name)
    return name


def _advice(data_type: Any) -> str:
    if pa.types.is_decimal(data_type):
        return "cast it to float64, or to string to keep every digit"
    if pa.types.is_float16(data_type):
        return "cast it to float32"
    if pa.types.is_null(data_type):
        return "it has no value at all; give it a type, or drop it"
    if pa.types.is_duration(data_type) or pa.types.is_time(data_type):
        return "make it a number, of seconds say"
    if pa.types.is_list(data_type) or pa.types.is_large_list(data_type) or pa.types.is_list_view(data_type):
        return "its lists may have any length; cast it to lists of one fixed size"
    if pa.types.is_struct(data_type):
        return "make each of its members a column"
    if isinstance(data_type, pa.BaseExtensionType):
        return "give its storage instead"
    return "make it a number, string, date, timestamp, bytes or a tensor of numbers"
