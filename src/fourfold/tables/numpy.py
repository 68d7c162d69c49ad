"""Read and build NumPy arrays of shape `(rows, columns)`: columns without names, all of one dtype."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from fourfold.errors import InputError, RowError, RowErrors, SignatureError, shorten
from fourfold.signature.field import FLOATS, Extra, Field
from fourfold.tables.arrays import (
    arrow_dtype,
    from_numpy,
    matrix_builder,
    numpy_caster,
    object_builder,
    objects,
    stack,
    study_to_json,
    tensors,
)
from fourfold.tables.arrow import field_of
from fourfold.tables.canonical import coerce
from fourfold.tables.values import Study, missing_form, study

__all__ = ["array_of", "builder", "form", "infer", "length", "of_arrow", "of_lists", "read", "take", "write"]

Array = np.ndarray[Any, Any]

_NULLS = {"None": None, "NaN": float("nan")}


def of_arrow(table: Any) -> np.ndarray[Any, Any]:
    """Return an Arrow table of numbers as an array of shape `(rows, columns)`, of the dtype that holds them all."""
    return np.column_stack([column.to_numpy() for column in table.columns])


def array_of(outputs: Any, field: Field) -> Array:
    """Return one output of canonical columns, or canonical rows, as an array of shape `(rows, *shape)`."""
    if isinstance(outputs, list):
        rows = np.array([row[field.name] for row in outputs], dtype=field.dtype)
        return rows.reshape(len(outputs), *field.shape)
    return _to_numpy(outputs.column(outputs.schema.names.index(field.name)))


def of_lists(rows: Sequence[Sequence[Any]]) -> Array:
    """Return lists of one length as an array: of numbers where all are, and of Python's objects otherwise."""
    kinds = {type(value) for row in rows for value in row}
    if kinds in ({float}, {bool}) or (kinds <= {int, float} and _are_exact(rows)):
        return np.array(rows)
    array: Array = np.array(rows, dtype=object)
    return array


def _are_exact(rows: Sequence[Sequence[Any]]) -> bool:
    """Return whether float64 and int64 hold all integers: others stay objects, so that the coercion can say so."""
    return all(abs(value) <= 2**53 for row in rows for value in row if type(value) is int)


def infer(data: Array) -> tuple[Field, ...]:
    """Return the fields `x0`, `x1`, … of the array's dtype; nullable where a column has a NaN or a NaT."""
    _check(data)
    return tuple(_infer(index, data[:, index]) for index in range(data.shape[1]))


def form(data: Array) -> dict[str, Any]:
    """Return the dtype and the memory order; for objects, each column's Python type and form of a missing value."""
    _check(data)
    form_data: dict[str, Any] = {"container": "numpy", "columns": data.shape[1], "order": _order(data)}
    if data.dtype.kind == "O":
        return {
            **form_data,
            "dtype": "object",
            "objects": [study_to_json(_study(index, data[:, index])) for index in range(data.shape[1])],
        }
    # Not the width of NumPy text: values longer than the longest one in training would be truncated.
    return {**form_data, "dtype": "str" if data.dtype.kind == "U" else str(data.dtype)}


def builder(form: Mapping[str, Any], fields: tuple[Field, ...]) -> Callable[[Any], Array]:
    """Return the function that converts a canonical batch to an array of the form's dtype and memory order."""
    if len(fields) != form["columns"]:
        raise SignatureError(
            f"the model was trained with {form['columns']} columns, the signature has {len(fields)} inputs"
        )
    order: Literal["C", "F"] = form["order"]
    dtype = np.dtype(object if form["dtype"] == "str" else form["dtype"])
    if form["dtype"] == "str":
        casts = [_text_caster(field) for field in fields]
    elif form["dtype"] == "object":
        casts = [object_builder(field, column, _NULLS) for field, column in zip(fields, form["objects"], strict=True)]
    else:
        casts = [numpy_caster(field, dtype) for field in fields]

    build = matrix_builder(fields, list(enumerate(casts)), dtype, order)
    return (lambda batch: build(batch).astype(str, order=order)) if form["dtype"] == "str" else build


def read(
    data: Array,
    fields: tuple[Field, ...],
    extra: Extra,
    max_errors: int | None = None,
    absent: Collection[str] = (),
) -> tuple[Any, RowErrors]:
    """Coerce the columns, by position; an array of shape `(rows, *shape)` holds a single tensor field."""
    if isinstance(data, np.ma.MaskedArray):
        raise InputError([RowError(0, None, "type", "an array without a mask", "a masked array (see its filled())")])
    if len(fields) == 1 and fields[0].shape and data.shape[1:] == fields[0].shape:
        return coerce([(fields[0].name, _column(data, fields[0]))], len(data), fields, extra, max_errors, absent)
    if data.ndim != 2 or data.shape[1] != len(fields):
        expected = f"an array of shape (rows, {len(fields)})"
        raise InputError([RowError(0, None, "shape", expected, f"one of shape {data.shape}")])
    if not len(data):  # of no rows: an array has one dtype, which says nothing of a column
        return coerce([(field.name, []) for field in fields], 0, fields, extra, max_errors, absent)
    columns = [(field.name, _column(data[:, index], field)) for index, field in enumerate(fields)]
    return coerce(columns, len(data), fields, extra, max_errors, absent)


def write(like: Array, outputs: Any, indices: Sequence[int] | None) -> Array | dict[str, Array]:
    """Return one output as an array of shape `(rows,)` or `(rows, *shape)`, several as a dict of such arrays by name.

    Text, bytes, and integers or booleans with missing values become objects; missing floats become NaN; timestamps
    become `datetime64[us]`, in UTC where the field has a zone; dates become `datetime64[D]`.
    """
    arrays = {name: _to_numpy(outputs.column(index)) for index, name in enumerate(outputs.schema.names)}
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def length(data: Array) -> int:
    """Return the number of rows."""
    return len(data)


def take(data: Array, indices: Sequence[int]) -> Array:
    """Return the rows with these indices, in the memory order of the array."""
    return np.asarray(data[np.asarray(indices, dtype=np.intp)], order=_order(data))


def _check(data: Array) -> None:
    if isinstance(data, np.ma.MaskedArray):
        raise SignatureError("a masked array has no form that a model could be given again; fill it: data.filled()")
    if data.dtype.names is not None:
        raise SignatureError("a structured array is no table here; make it a pandas or polars DataFrame")
    if data.ndim != 2:
        raise SignatureError(
            f"expected an array of shape (rows, columns), as data.reshape(-1, 1) is for one column; got {data.shape}"
        )
    if 0 in data.shape:
        raise SignatureError(
            f"the array has the shape {data.shape}; infer a signature from the rows that the model is trained with"
        )


def _order(data: Array) -> Literal["C", "F"]:
    return "F" if data.flags.f_contiguous and not data.flags.c_contiguous else "C"


def _column_label(index: int) -> str:
    return f"column {index}"


def _study(index: int, column: Array) -> Study:
    studied = study(_column_label(index), column, from_objects=True)
    if studied.null not in (None, *_NULLS):
        raise SignatureError(
            f"{_column_label(index)}: a missing value is pandas's {studied.null}; in a NumPy array use None or NaN"
        )
    return studied


def _infer(index: int, column: Array) -> Field:
    name = f"x{index}"
    if column.dtype.kind == "O":
        return _study(index, column).field(name)
    if column.dtype.kind == "U":
        return Field(name, "string")
    if arrow_dtype(column.dtype) is None:
        raise SignatureError(
            f"{_column_label(index)}: no field holds {column.dtype}; make the array one of numbers or of objects"
        )
    field = field_of(_column_label(index), name, from_numpy(column), str(column.dtype))
    return replace(field, nullable=field.nullable or (column.dtype.kind == "f" and bool(np.isnan(column).any())))


def _column(column: Array, field: Field) -> Any:
    if column.ndim > 1:
        if arrow_dtype(column.dtype) is None:
            return [row.tolist() for row in column]
        lists = from_numpy(np.ascontiguousarray(column).reshape(-1))
        for size in reversed(column.shape[1:]):
            lists = pa.FixedSizeListArray.from_arrays(lists, size)
        return lists
    if arrow_dtype(column.dtype) is not None:
        if field.nullable and field.dtype not in FLOATS and column.dtype.kind == "f":
            # NaN is how an array of floats says that a value of another dtype is missing.
            return pa.array(np.ascontiguousarray(column), from_pandas=True)
        return from_numpy(column)
    if column.dtype.kind != "O" or field.dtype in ("float32", "float64"):
        return column.tolist()
    # In a column of objects NaN is a missing value, as in pandas; in a column of floats it is a value.
    return [None if missing_form(value) else value for value in column.tolist()]


def _text_caster(field: Field) -> Callable[[Any], Array]:
    if field.dtype != "string" or field.nullable:
        raise SignatureError(
            f"field {shorten(field.name)}: it is {field.expected}; the model was trained with text that is "
            "never missing"
        )
    return lambda array: array.to_numpy(zero_copy_only=False)


def _to_numpy(array: Any) -> Array:
    data_type = array.type
    if pa.types.is_fixed_size_list(data_type):
        shape: tuple[int, ...] = ()
        while pa.types.is_fixed_size_list(data_type):
            shape, data_type = (*shape, data_type.list_size), data_type.value_type
        return tensors(array, shape) if array.null_count else stack(array, shape)
    if array.null_count and (pa.types.is_integer(data_type) or pa.types.is_boolean(data_type)):
        return objects(array.to_pylist())
    # Copy where the array is Arrow's own memory, which is read-only.
    values: Array = array.to_numpy(zero_copy_only=False)
    return values if values.flags.writeable else values.copy()
