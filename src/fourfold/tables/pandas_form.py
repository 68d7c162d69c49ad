"""Describe a pandas frame in JSON, and build it again: labels, dtypes, categories, forms of missing values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fourfold.errors import SignatureError, shorten
from fourfold.signature.columns import arrow_type
from fourfold.signature.field import FLOATS, INTEGERS, Field, first_duplicate
from fourfold.tables.arrays import matrix_builder, numpy_caster, object_builder, study_to_json
from fourfold.tables.arrow import caster, field_indices
from fourfold.tables.types import type_from_json, type_to_json
from fourfold.tables.values import study, zone_name

__all__ = ["NULLS", "column_to_json", "dtype_to_json", "frame_builder", "is_object", "labels_to_json", "order_of"]

#: The object that stands for a missing value in a column of Python objects, by its form.
NULLS: dict[str, Any] = {"None": None, "NaN": np.nan, "NA": pd.NA, "NaT": pd.NaT}

#: The dtypes of fields whose values are categories of a kind.
_CATEGORY_DTYPES = {"strings": ("string",), "booleans": ("bool",), "integers": tuple(INTEGERS), "floats": FLOATS}

_MASKED = {
    "boolean": (pd.arrays.BooleanArray, "bool"),
    **{f"Int{bits}": (pd.arrays.IntegerArray, f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": (pd.arrays.IntegerArray, f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"Float{bits}": (pd.arrays.FloatingArray, f"float{bits}") for bits in (32, 64)},
}


def labels_to_json(columns: pd.Index[Any]) -> dict[str, Any]:
    """Return the name and the range or dtype of a frame's column labels, in JSON values.

    Raises:
        SignatureError: a label is neither a string nor an integer, or two labels are the same as strings.
    """
    if isinstance(columns, (pd.MultiIndex, pd.CategoricalIndex)):
        raise SignatureError(
            f"the columns are a {type(columns).__name__}; make them strings: frame.columns = ['_'.join(map(str, c)) …] "
            "for several levels, frame.columns.astype(str) for categories"
        )
    labels = columns.tolist()
    for label in [*labels, *([] if columns.name is None else [columns.name])]:
        if not isinstance(label, (str, int)) or isinstance(label, bool):
            raise SignatureError(f"the column label {shorten(label)} is a {type(label).__name__}; make it a string")
    names = [str(label) for label in labels]
    duplicate = first_duplicate(names)
    if duplicate is not None:
        raise SignatureError(f"the frame has the column {shorten(duplicate)} twice; rename one of them")
    data: dict[str, Any] = {} if columns.name is None else {"name": columns.name}
    if isinstance(columns, pd.RangeIndex):
        return {**data, "range": [columns.start, columns.stop, columns.step]}
    return {**data, **dtype_to_json("the column labels", columns.dtype)}


def order_of(frame: pd.DataFrame) -> Literal["C", "F"] | None:
    """Return the memory order of a frame's NumPy array if its columns all have one numeric dtype, else `None`.

    The results of an engine's sums may depend on it.
    """
    dtypes = set(frame.dtypes)
    if len(dtypes) != 1 or not isinstance(dtype := dtypes.pop(), np.dtype) or dtype.kind not in "biuf":
        return None
    flags = frame.to_numpy().flags
    return "C" if flags.c_contiguous and not flags.f_contiguous else "F"


def dtype_to_json(where: str, dtype: Any) -> dict[str, Any]:
    """Return a dtype of NumPy, of text, or one of pandas' nullable dtypes as JSON.

    Raises:
        SignatureError: the dtype is another one.
    """
    if isinstance(dtype, pd.StringDtype):
        return {"dtype": str(dtype), "storage": dtype.storage}
    if isinstance(dtype, np.dtype) or str(dtype) in _MASKED:
        return {"dtype": str(dtype)}
    raise SignatureError(f"{where}: their dtype is {dtype}; make them strings or integers")


def is_object(dtype: Any) -> bool:
    """Return whether this is the dtype of a column of Python objects."""
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def column_to_json(where: str, series: pd.Series[Any]) -> dict[str, Any]:
    """Return a column's dtype as JSON, with all that `frame_builder` needs to build the column again.

    Raises:
        SignatureError: the column could not be built again.
    """
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        values = dtype.categories
        of = dtype_to_json(f"{where}: its categories", values.dtype)
        return {"dtype": "category", "categories": values.tolist(), "of": of, "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.ArrowDtype):
        return {"dtype": "arrow", "type": type_to_json(where, dtype.pyarrow_dtype)}
    if isinstance(dtype, pd.DatetimeTZDtype):
        return {"dtype": "datetime", "unit": dtype.unit, "zone": zone_name(where, dtype.tz)}
    if is_object(dtype):
        return {"dtype": "object", **study_to_json(study(where, series.to_numpy(), from_objects=True))}
    return dtype_to_json(where, dtype)


def frame_builder(form: Mapping[str, Any], fields: tuple[Field, ...]) -> Callable[[Any], pd.DataFrame]:
    """Return the function that converts a canonical batch to a frame; see `fourfold.tables.builder`."""
    columns = form["columns"]
    labels = _labels([column["label"] for column in columns], form["labels"])
    order = field_indices(fields, [str(column["label"]) for column in columns])
    steps = [(index, _column_converter(column, fields[index])) for index, column in zip(order, columns, strict=True)]
    if "order" in form:
        # A frame of one numeric dtype: a single array, in the memory order of training.
        fill = matrix_builder(fields, steps, np.dtype(columns[0]["dtype"]), form["order"])
        return lambda batch: pd.DataFrame(fill(batch), columns=labels, copy=False)
    names = [column["label"] for column in columns]
    is_object_column = [column["dtype"] == "object" for column in columns]
    # Setting the labels takes as long as building a column: skip it where pandas' default labels are the same.
    default_labels = pd.DataFrame({name: [] for name in names}).columns
    has_default_labels = type(default_labels) is type(labels) and default_labels.identical(labels)

    def build(batch: Any) -> pd.DataFrame:
        rows = pd.RangeIndex(batch.num_rows)
        arrays = [step(batch.column(index)) for index, step in steps]
        for index, values in enumerate(arrays):
            if is_object_column[index]:  # without the dtype, pandas would infer one from the values
                arrays[index] = pd.Series(values, index=rows, dtype=object, copy=False)
        frame = pd.DataFrame(dict(zip(names, arrays, strict=True)), index=rows)
        if not has_default_labels:
            frame.columns = labels
        return frame

    return build


def _labels(labels: list[Any], data: Mapping[str, Any]) -> Any:
    if "range" in data:
        start, stop, step = data["range"]
        return pd.RangeIndex(start, stop, step, name=data.get("name"))
    return pd.Index(labels, dtype=_dtype(data), name=data.get("name"))


def _dtype(data: Mapping[str, Any]) -> Any:
    if data["dtype"] in ("str", "string"):
        return pd.StringDtype(data["storage"], na_value=np.nan if data["dtype"] == "str" else pd.NA)
    return pd.api.types.pandas_dtype(data["dtype"])


def _column_converter(column: Mapping[str, Any], field: Field) -> Callable[[Any], Any]:
    """Return the function that converts the field's canonical array to the array of the frame's column."""
    dtype = column["dtype"]
    if dtype == "object":
        return object_builder(field, column, NULLS, pd.Timestamp)
    if dtype == "category":
        return _categorical_converter(column, field)
    if dtype == "arrow":
        cast = caster(field, type_from_json(column["type"]), nullable=True)
        return lambda array: pd.arrays.ArrowExtensionArray(cast(array))
    if dtype in ("str", "string"):
        to_string, string_dtype = caster(field, pa.string(), nullable=True), _dtype(column)
        return lambda array: string_dtype.__from_arrow__(to_string(array))
    if dtype == "datetime":
        to_timestamp = caster(field, pa.timestamp(column["unit"], column["zone"]), nullable=True)
        zoned_dtype = pd.DatetimeTZDtype(column["unit"], column["zone"])
        return lambda array: zoned_dtype.__from_arrow__(to_timestamp(array))
    if dtype in _MASKED:
        return _masked_converter(dtype, field)
    return numpy_caster(field, np.dtype(dtype))


def _categorical_converter(column: Mapping[str, Any], field: Field) -> Callable[[Any], Any]:
    categories = column["categories"]
    if field.categories is not None and not field.open:
        unknown = [value for value in field.categories if value not in categories]
        if unknown:
            raise SignatureError(
                f"field {shorten(field.name)}: the model was trained without the category {shorten(unknown[0])}"
            )
    kind = _kind_of(categories[0])
    if field.dtype not in _CATEGORY_DTYPES[kind] or field.shape:
        raise SignatureError(
            f"field {shorten(field.name)}: it is {field.expected}; the model was trained with categories of {kind}"
        )
    dtype = pd.CategoricalDtype(pd.Index(categories, dtype=_dtype(column["of"])), ordered=column["ordered"])
    # The categories in the field's Arrow type; those outside the range of its integers can never occur.
    possible = [code for code, value in enumerate(categories) if field.dtype not in INTEGERS or _fits(value, field)]
    value_set = pa.array([categories[code] for code in possible], type=arrow_type(field))
    codes = np.array([*possible, -1])  # the last is for values that are missing, or no category
    is_float = field.dtype in FLOATS

    def build(array: Any) -> Any:
        # Arrow tells -0.0 from 0.0 here, which are one category; -0.0 + 0.0 is 0.0.
        values = pc.add(array, 0.0) if is_float else array
        indices = pc.index_in(values, value_set=value_set).fill_null(len(possible)).to_numpy()
        return pd.Categorical.from_codes(codes[indices], dtype=dtype)

    return build


def _kind_of(category: Any) -> str:
    if isinstance(category, str):
        return "strings"
    return "booleans" if isinstance(category, bool) else "integers" if isinstance(category, int) else "floats"


def _fits(value: int, field: Field) -> bool:
    low, high = INTEGERS[field.dtype]
    return low <= value <= high


def _masked_converter(dtype: str, field: Field) -> Callable[[Any], Any]:
    array_type, numpy_dtype = _MASKED[dtype]
    cast = caster(field, getattr(pa, numpy_dtype if numpy_dtype != "bool" else "bool_")(), nullable=True)
    zero = False if numpy_dtype == "bool" else 0

    def build(array: Any) -> Any:
        array = cast(array)
        mask = array.is_null().to_numpy(zero_copy_only=False)
        values = (array.fill_null(zero) if array.null_count else array).to_numpy(zero_copy_only=False)
        return array_type(values, mask)

    return build
