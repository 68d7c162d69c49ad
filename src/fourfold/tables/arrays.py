"""Convert one-dimensional Arrow arrays to NumPy arrays and back, for the containers that consist of NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from fourfold.errors import SignatureError, shorten
from fourfold.signature.columns import arrow_type, columns_to_rows
from fourfold.signature.field import FLOATS, INTEGERS, Field
from fourfold.tables.arrow import caster
from fourfold.tables.values import Study

__all__ = [
    "arrow_dtype",
    "from_numpy",
    "matrix_builder",
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
    # The integer dtypes whose every value float64 holds exactly.
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
    """Return the function that converts a field's canonical array to a NumPy array of shape `(n,)` and that dtype.

    A null becomes NaN in a float array and NaT in an array of timestamps; other dtypes hold no nulls.

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


def matrix_builder(
    fields: Sequence[Field],
    steps: Sequence[tuple[int, Callable[[Any], Any]]],
    dtype: np.dtype[Any],
    order: Literal["C", "F"],
) -> Callable[[Any], np.ndarray[Any, Any]]:
    """Return the function that converts a canonical batch of `n` rows to an array of shape `(n, len(steps))`.

    Args:
        fields: the fields of the batch.
        steps: for each column of the array, the index of its field and what converts the field's canonical array.
        dtype: the dtype of the array.
        order: its memory order.
    """
    target = arrow_dtype(dtype)
    if dtype.isnative and [index for index, _ in steps] == list(range(len(fields))):
        is_float = dtype.kind == "f"
        if all(arrow_type(field) == target and (is_float or not field.nullable) for field in fields) and (
            is_float or dtype.kind in "iu"
        ):
            # One call of Arrow instead of one for each column: of a wide table of few rows these are all of the work.
            return lambda batch: _as_matrix(batch, order, null_to_nan=is_float)

    def build(batch: Any) -> np.ndarray[Any, Any]:
        values: np.ndarray[Any, Any] = np.empty((batch.num_rows, len(steps)), dtype=dtype, order=order)
        for column, (index, convert) in enumerate(steps):
            values[:, column] = convert(batch.column(index))
        return values

    return build


def _as_matrix(batch: Any, order: Literal["C", "F"], *, null_to_nan: bool) -> np.ndarray[Any, Any]:
    """Return a batch of columns of one numeric type as an array, in memory of its own that may be written."""
    values: np.ndarray[Any, Any] = batch.to_tensor(null_to_nan=null_to_nan, row_major=order == "C").to_numpy()
    return values


def study_to_json(study: Study) -> dict[str, Any]:
    """Return the form, in JSON values, of a column of Python objects; `object_builder` reads it."""
    form: dict[str, Any] = {"of": study.python_type}
    if study.null is not None:
        form["null"] = study.null
    if study.shape:
        form["shape"] = list(study.shape)
        form["element"] = study.dtype
    if study.zone is not None:
        form["zone"] = study.zone
    return form


def object_builder(
    field: Field, form: Mapping[str, Any], nulls: Mapping[str, Any], timestamp: Callable[[Any], Any] | None = None
) -> Callable[[Any], np.ndarray[Any, Any]]:
    """Return the function that converts a field's canonical array to an object array of shape `(n,)`.

    Args:
        field: the field.
        form: the result of `study_to_json`.
        nulls: the object for each form of a missing value, as in `Study.null`.
        timestamp: converts a datetime to the container's `Timestamp`, where the container has one.

    Raises:
        SignatureError: the field can hold values that the column cannot.
    """
    python_type, shape, zone = form["of"], tuple(form.get("shape", ())), form.get("zone")
    families = (form["element"],) if shape else _FAMILIES[python_type]
    if field.dtype not in families or field.shape != shape or field.zone != zone:
        trained = f"{python_type} objects" + (f" of shape {list(shape)} and dtype {form['element']}" if shape else "")
        zones = f" in the zone {zone}" if zone else ""
        raise SignatureError(
            f"field {shorten(field.name)}: it is {field.expected}; the model was trained with {trained}{zones}"
        )
    null = nulls[form.get("null", "None")]
    if python_type in ("str", "bytes"):
        return lambda array: _fill_nulls(array.to_numpy(zero_copy_only=False), array, null)
    if python_type == "ndarray":
        return lambda array: _fill_nulls(tensors(array, shape), array, null)
    convert = {"tuple": _to_tuples, "Timestamp": timestamp, "float": float}.get(python_type)
    return lambda array: objects(_python_values(field, array, convert, null))


def objects(values: list[Any]) -> np.ndarray[Any, Any]:
    """Return an object array of shape `(n,)` with these values; lists and arrays stay single elements."""
    array = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        array[index] = value
    return array


def tensors(array: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Convert nested fixed-size lists of that shape to an object array of NumPy arrays, `None` where a list is null."""
    stacked = stack(array, shape)
    if not array.null_count:
        return objects(list(stacked))
    rows = iter(stacked)
    return objects([next(rows) if is_valid else None for is_valid in array.is_valid().to_pylist()])


def stack(array: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Stack the nested fixed-size lists of that shape that are not null into one array of shape `(n, *shape)`."""
    lists = array.drop_null() if array.null_count else array
    values = lists
    while pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    # A copy: Arrow's memory is read-only, and the arrays of training were writable.
    stacked: np.ndarray[Any, Any] = values.to_numpy(zero_copy_only=False).reshape(len(lists), *shape).copy()
    return stacked


def _fill_nulls(values: np.ndarray[Any, Any], array: Any, null: Any) -> np.ndarray[Any, Any]:
    if array.null_count and null is not None:
        values[array.is_null().to_numpy(zero_copy_only=False)] = null
    return values


def _python_values(field: Field, array: Any, convert: Callable[[Any], Any] | None, null: Any) -> list[Any]:
    rows = columns_to_rows((field,), pa.RecordBatch.from_arrays([array], names=[field.name]))
    values = [row[field.name] for row in rows]
    if convert is None and null is None:
        return values
    return [null if value is None else value if convert is None else convert(value) for value in values]


def _to_tuples(value: Any) -> Any:
    return tuple(map(_to_tuples, value)) if isinstance(value, list) else value
