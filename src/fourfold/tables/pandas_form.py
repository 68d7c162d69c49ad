"""Describe a pandas frame in JSON, and build it again: labels, dtypes, categories, forms of missing values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fourfold.errors import SignatureError, shorten
from fourfold.signature.columns import arrow_type
from fourfold.signature.field import INTEGERS, Field
from fourfold.tables.arrays import numpy_caster, object_builder, study_to_json
from fourfold.tables.arrow import caster, places
from fourfold.tables.types import type_from_json, type_to_json
from fourfold.tables.values import study, zone_name

__all__ = ["NULLS", "column_to_json", "dtype_to_json", "frame_builder", "is_object", "labels_to_json", "order_of"]

#: The object that each form of a missing value is, in a column of Python objects.
NULLS: dict[str, Any] = {"None": None, "NaN": np.nan, "NA": pd.NA, "NaT": pd.NaT}

_MASKED = {
    "boolean": (pd.arrays.BooleanArray, "bool"),
    **{f"Int{bits}": (pd.arrays.IntegerArray, f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": (pd.arrays.IntegerArray, f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"Float{bits}": (pd.arrays.FloatingArray, f"float{bits}") for bits in (32, 64)},
}


def labels_to_json(columns: pd.Index[Any]) -> dict[str, Any]:
    """Return a frame's column labels, strings and integers, with what the index itself adds to them.

    Raises:
        SignatureError: a label is of another type, or two of them are written the same.
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
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise SignatureError(f"the frame has the column {shorten(twice[0])} twice; rename one of them")
    out: dict[str, Any] = {} if columns.name is None else {"name": columns.name}
    if isinstance(columns, pd.RangeIndex):
        return {**out, "range": [columns.start, columns.stop, columns.step]}
    return {**out, **dtype_to_json("the column labels", columns.dtype)}


def order_of(frame: pd.DataFrame) -> Literal["C", "F"] | None:
    """Return the memory order in which NumPy sees a frame whose columns have all one numeric dtype, otherwise `None`.

    An engine's sums may depend on it.
    """
    dtypes = set(frame.dtypes)
    if len(dtypes) != 1 or not isinstance(dtype := dtypes.pop(), np.dtype) or dtype.kind not in "biuf":
        return None
    flags = frame.to_numpy().flags
    return "C" if flags.c_contiguous and not flags.f_contiguous else "F"


def dtype_to_json(where: str, dtype: Any) -> dict[str, Any]:
    """Return a dtype of NumPy, of text or a nullable one, as JSON."""
    if isinstance(dtype, pd.StringDtype):
        return {"dtype": str(dtype), "storage": dtype.storage}
    if isinstance(dtype, np.dtype) or str(dtype) in _MASKED:
        return {"dtype": str(dtype)}
    raise SignatureError(f"{where}: their dtype is {dtype}; make them strings or integers")


def is_object(dtype: Any) -> bool:
    """Return whether this is the dtype of a column of Python objects."""
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def column_to_json(where: str, series: pd.Series[Any]) -> dict[str, Any]:
    """Return a column's dtype as JSON, with all that `frame_builder` needs to build it again.

    Raises:
        SignatureError: it could not be built again.
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
        return {"dtype": "object", **study_to_json(study(where, series.to_numpy(), foreign=True))}
    return dtype_to_json(where, dtype)


def frame_builder(form: Mapping[str, Any], fields: tuple[Field, ...]) -> Callable[[Any], pd.DataFrame]:
    """Return the function from a canonical batch to a frame; see `fourfold.tables.builder`."""
    columns = form["columns"]
    labels = _labels([column["label"] for column in columns], form["labels"])
    order = places(fields, [str(column["label"]) for column in columns])
    steps = [(index, _column(column, fields[index])) for index, column in zip(order, columns, strict=True)]
    if "order" in form:
        return _one_block(steps, labels, np.dtype(columns[0]["dtype"]), form["order"])
    names = [column["label"] for column in columns]
    of_objects = [column["dtype"] == "object" for column in columns]
    # Setting the labels takes as long as building a column: it is left out where pandas makes the same ones.
    plain = pd.DataFrame({name: [] for name in names}).columns
    same = type(plain) is type(labels) and plain.identical(labels)

    def build(batch: Any) -> pd.DataFrame:
        rows = pd.RangeIndex(batch.num_rows)
        arrays = [step(batch.column(index)) for index, step in steps]
        for index, values in enumerate(arrays):
            if of_objects[index]:  # pandas would look for a better dtype, were it not told that there is none
                arrays[index] = pd.Series(values, index=rows, dtype=object, copy=False)
        frame = pd.DataFrame(dict(zip(names, arrays, strict=True)), index=rows)
        if not same:
            frame.columns = labels
        return frame

    return build


def _one_block(
    steps: Sequence[tuple[int, Callable[[Any], Any]]], labels: Any, dtype: Any, order: Literal["C", "F"]
) -> Callable[[Any], pd.DataFrame]:
    """Return the builder of a frame of one numeric dtype: one array, of the memory order that NumPy saw in training."""

    def build(batch: Any) -> pd.DataFrame:
        values = np.empty((batch.num_rows, len(steps)), dtype=dtype, order=order)
        for column, (index, step) in enumerate(steps):
            values[:, column] = step(batch.column(index))
        return pd.DataFrame(values, columns=labels, copy=False)

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


def _column(column: Mapping[str, Any], field: Field) -> Callable[[Any], Any]:
    """Return the function from the field's canonical array to what the frame's column is made of."""
    dtype = column["dtype"]
    if dtype == "object":
        return object_builder(field, column, NULLS, pd.Timestamp)
    if dtype == "category":
        return _categorical(column, field)
    if dtype == "arrow":
        cast = caster(field, type_from_json(column["type"]), nullable=True)
        return lambda array: pd.arrays.ArrowExtensionArray(cast(array))
    if dtype in ("str", "string"):
        text, wanted = caster(field, pa.string(), nullable=True), _dtype(column)
        return lambda array: wanted.__from_arrow__(text(array))
    if dtype == "datetime":
        instants = caster(field, pa.timestamp(column["unit"], column["zone"]), nullable=True)
        zoned = pd.DatetimeTZDtype(column["unit"], column["zone"])
        return lambda array: zoned.__from_arrow__(instants(array))
    if dtype in _MASKED:
        return _masked(dtype, field)
    return numpy_caster(field, np.dtype(dtype))


def _categorical(column: Mapping[str, Any], field: Field) -> Callable[[Any], Any]:
    listed = column["categories"]
    if field.categories is not None and not field.open:
        strange = [value for value in field.categories if value not in listed]
        if strange:
            raise SignatureError(
                f"field {shorten(field.name)}: the model was trained without the category {shorten(strange[0])}"
            )
    text = isinstance(listed[0], str)
    if (field.dtype == "string") is not text or field.shape or field.dtype in ("bool", "float32", "float64"):
        kind = "strings" if text else "integers"
        raise SignatureError(
            f"field {shorten(field.name)}: it is {field.expected}; the model was trained with categories of {kind}"
        )
    dtype = pd.CategoricalDtype(pd.Index(listed, dtype=_dtype(column["of"])), ordered=column["ordered"])
    # In the field's own type, as the values come; a category that no such value can be is left out.
    kept = [code for code, value in enumerate(listed) if text or _fits(value, field)]
    known = pa.array([listed[code] for code in kept], type=arrow_type(field))
    codes = np.array([*kept, -1])  # the last is for a value that is missing, or no category

    def build(array: Any) -> Any:
        indexes = pc.index_in(array, value_set=known).fill_null(len(kept)).to_numpy()
        return pd.Categorical.from_codes(codes[indexes], dtype=dtype)

    return build


def _fits(value: int, field: Field) -> bool:
    low, high = INTEGERS[field.dtype]
    return low <= value <= high


def _masked(dtype: str, field: Field) -> Callable[[Any], Any]:
    kind, plain = _MASKED[dtype]
    cast = caster(field, getattr(pa, plain if plain != "bool" else "bool_")(), nullable=True)
    zero = False if plain == "bool" else 0

    def build(array: Any) -> Any:
        array = cast(array)
        mask = array.is_null().to_numpy(zero_copy_only=False)
        values = (array.fill_null(zero) if array.null_count else array).to_numpy(zero_copy_only=False)
        return kind(values, mask)

    return build
