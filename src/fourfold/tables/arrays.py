"""Convert one-dimensional Arrow arrays to NumPy arrays and back, for the containers that consist of NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from fourfold.errors import SignatureError, shorten
from fourfold.signature.columns import columns_to_rows
from fourfold.signature.field import FLOATS, INTEGERS, Field
from fourfold.tables.arrow import caster
from fourfold.tables.values import Study

__all__ = [
    "arrow_dtype",
    "from_numpy",
    "numpy_caster",
    "object_builder",
    "objects",
    "stack",
    "study_to_json",
    "tensors",
]

_UNITS = ("s", "ms", "us", "ns")
_FAMILIES = {
    "bool": ("bool",),
    "int": tuple(INTEGERS),
    # Integers only as far as a float64 holds them all.
    "float": (*FLOATS, "int8", "int16", "int32", "uint8", "uint16", "uint32"),
    "str": ("string",),
    "bytes": ("binary",),
    "date": ("date",),
    "datetime": ("timestamp",),
    "Timestamp": ("timestamp",),
}


def arrow_dtype(dtype: np.dtype[Any]) -> Any | None:
    """Return the Arrow type of a NumPy dtype; `None` where Arrow has none, or where the values are Python objects."""
    if dtype.kind in "biuf" and dtype.itemsize <= 8:
        return pa.from_numpy_dtype(dtype.newbyteorder("="))
    if dtype.kind == "M":
        unit, count = np.datetime_data(dtype)
        if unit in _UNITS and count == 1:
            return pa.timestamp(unit)
        return pa.date32() if (unit, count) == ("D", 1) else None
    return pa.duration("us") if dtype.kind == "m" else None


def from_numpy(values: np.ndarray[Any, Any]) -> Any:
    """Return a NumPy array of shape `(n,)` as a `pyarrow.Array`; NaN stays, NaT becomes null."""
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    return pa.array(values, from_pandas=False)


def numpy_caster(field: Field, dtype: np.dtype[Any]) -> Callable[[Any], np.ndarray[Any, Any]]:
    """Return the function from the field's canonical array to a NumPy array of shape `(n,)` and that dtype.

    A null becomes NaN in a float array and NaT in one of timestamps; no other can hold one.

    Raises:
        SignatureError: the field can hold values that the dtype cannot.
    """
    target = arrow_dtype(dtype)
    if target is None:
        raise SignatureError(f"field {shorten(field.name)}: no array of dtype {dtype} can be built")
    cast = caster(field, target, nullable=dtype.kind in "fM")
    if dtype.isnative:
        return lambda array: cast(array).to_numpy(zero_copy_only=False)
    return lambda array: cast(array).to_numpy(zero_copy_only=False).astype(dtype)


def study_to_json(study: Study) -> dict[str, Any]:
    """Return the form of a column of Python objects, as `object_builder` takes it."""
    out: dict[str, Any] = {"of": study.of}
    if study.null is not None:
        out["null"] = study.null
    if study.shape:
        out["shape"] = list(study.shape)
        out["element"] = study.dtype
    if study.zone is not None:
        out["zone"] = study.zone
    return out


def object_builder(
    field: Field, form: Mapping[str, Any], nulls: Mapping[str, Any], timestamp: Callable[[Any], Any] | None = None
) -> Callable[[Any], np.ndarray[Any, Any]]:
    """Return the function from the field's canonical array to an object array of shape `(n,)`.

    Args:
        field: the field.
        form: what `study_to_json` gave.
        nulls: the object for each form of a missing value.
        timestamp: what makes a `Timestamp` of a datetime, where the container has such a thing.

    Raises:
        SignatureError: the field can hold values that the column cannot.
    """
    of, shape, zone = form["of"], tuple(form.get("shape", ())), form.get("zone")
    families = (form["element"],) if shape else _FAMILIES[of]
    if field.dtype not in families or field.shape != shape or field.zone != zone:
        trained = f"{of} objects" + (f" of shape {list(shape)} and dtype {form['element']}" if shape else "")
        zones = f" in the zone {zone}" if zone else ""
        raise SignatureError(
            f"field {shorten(field.name)}: it is {field.expected}; the model was trained with {trained}{zones}"
        )
    null = nulls[form.get("null", "None")]
    if of in ("str", "bytes"):
        return lambda array: _filled(array.to_numpy(zero_copy_only=False), array, null)
    if of == "ndarray":
        return lambda array: _filled(tensors(array, shape), array, null)
    convert = {"tuple": _tuples, "Timestamp": timestamp, "float": float}.get(of)
    return lambda array: objects(_python(field, array, convert, null))


def objects(values: list[Any]) -> np.ndarray[Any, Any]:
    """Return an object array of shape `(n,)` of those values, lists and arrays among them as they are."""
    out = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        out[index] = value
    return out


def tensors(array: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Nested fixed-size lists of that shape as an object array of NumPy arrays, `None` where a list is null."""
    stacked = stack(array, shape)
    if not array.null_count:
        return objects(list(stacked))
    rows = iter(stacked)
    return objects([next(rows) if valid else None for valid in array.is_valid().to_pylist()])


def stack(array: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return the nested fixed-size lists of that shape that are not null, as one array of shape `(n, *shape)`."""
    present = array.drop_null() if array.null_count else array
    inner = present
    while pa.types.is_fixed_size_list(inner.type):
        inner = inner.flatten()
    # A copy: what comes out of Arrow cannot be written to, what the model was trained with could.
    stacked: np.ndarray[Any, Any] = inner.to_numpy(zero_copy_only=False).reshape(len(present), *shape).copy()
    return stacked


def _filled(values: np.ndarray[Any, Any], array: Any, null: Any) -> np.ndarray[Any, Any]:
    if array.null_count and null is not None:
        values[array.is_null().to_numpy(zero_copy_only=False)] = null
    return values


def _python(field: Field, array: Any, convert: Callable[[Any], Any] | None, null: Any) -> list[Any]:
    rows = columns_to_rows((field,), pa.RecordBatch.from_arrays([array], names=[field.name]))
    values = [row[field.name] for row in rows]
    if convert is None and null is None:
        return values
    return [null if value is None else value if convert is None else convert(value) for value in values]


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
