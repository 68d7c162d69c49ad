"""Read and build pandas frames.

None, NaN, NA and NaT are missing in an object, string or category column; in a float column NaN is a value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fourfold.errors import RowErrors, SignatureError, SourceError, shorten
from fourfold.signature.field import CATEGORY_TYPES, FLOATS, INTEGERS, Extra, Field
from fourfold.signature.label_columns import LabelColumns, elements
from fourfold.tables.arrays import arrow_dtype, from_numpy, objects, stack, tensors
from fourfold.tables.arrow import field_of, single_array
from fourfold.tables.canonical import coerce
from fourfold.tables.pandas_form import column_to_json, frame_builder, is_object, labels_to_json, order_of
from fourfold.tables.values import study, zone_name

__all__ = ["builder", "form", "from_file", "infer", "length", "read", "take", "write"]

#: pandas' own readers, by the file's suffix: a model's training frame was read by them, so its dtypes are theirs.
_READERS: dict[str, Callable[..., pd.DataFrame]] = {
    ".parquet": pd.read_parquet,
    ".csv": pd.read_csv,
    ".jsonl": lambda path: pd.read_json(path, lines=True, convert_dates=False),
    ".ndjson": lambda path: pd.read_json(path, lines=True, convert_dates=False),
    ".arrow": pd.read_feather,
    ".feather": pd.read_feather,
}

#: From so many labels on, the columns of an output are one block: pandas takes microseconds for each column alone.
MIN_BLOCK_LABELS = 12

_ADVICE = {
    "Sparse": "make it dense: frame.sparse.to_dense()",
    "period": "make it a timestamp: column.dt.to_timestamp()",
    "interval": "make its two ends columns of numbers",
    "complex": "make its two parts columns of numbers",
    "float": "cast it to float64",
}


def from_file(path: Path, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a Parquet, CSV, JSON lines or Arrow file with pandas; the suffix tells the format.

    Args:
        path: the file.
        text: columns whose cells stay the text that they are in a CSV file, such as `00501`.

    Raises:
        SourceError: the file cannot be read, or pandas has no reader for the suffix.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise SourceError(f"{path}: expected a file that ends with {', '.join(_READERS)}; got {shorten(path.suffix)}")
    try:
        if path.suffix.lower() == ".csv" and text:
            return pd.read_csv(path, dtype=dict.fromkeys(text, str))
        return reader(path)
    except (OSError, ValueError) as error:  # pyarrow's and pandas's own errors are ValueErrors
        raise SourceError(f"cannot read {path}: {shorten(str(error), 200)}") from error


def infer(data: pd.DataFrame) -> tuple[Field, ...]:
    """Return a field for every column; nullable where a value is missing, or NaN in a NumPy float column."""
    _check(data)
    return tuple(_infer(str(label), series) for label, series in data.items())


def form(data: pd.DataFrame) -> dict[str, Any]:
    """Return the labels, and each column's dtype, categories and form of missing values; the index is left out."""
    _check(data)
    columns = []
    for label, (_, series) in zip(data.columns.tolist(), data.items(), strict=True):
        where = f"column {shorten(label)}"
        _check_dtype(where, series.dtype)
        columns.append({"label": label, **column_to_json(where, series)})
    form_data: dict[str, Any] = {"container": "pandas", "labels": labels_to_json(data.columns), "columns": columns}
    order = order_of(data)
    return form_data if order is None else {**form_data, "order": order}


def builder(form: Mapping[str, Any], fields: tuple[Field, ...]) -> Callable[[Any], pd.DataFrame]:
    """Return the function that converts a canonical batch to a frame of the form, with a `RangeIndex`.

    In a category column, values that are not categories become missing.
    """
    return frame_builder(form, fields)


def read(
    data: pd.DataFrame,
    fields: tuple[Field, ...],
    extra: Extra,
    max_errors: int | None = None,
    absent: Collection[str] = (),
) -> tuple[Any, RowErrors]:
    """Coerce the columns; their labels, as strings, are the fields' names."""
    by_name = {field.name: field for field in fields}
    columns: list[tuple[str, Any]] = []
    for label, series in data.items():
        field = by_name.get(str(label))
        column = None if field is None else _column(series, field)
        if not len(data) and isinstance(column, pa.Array) and pa.types.is_floating(column.type):
            column = pa.nulls(0)  # of no rows: pandas reads a column without values as floats
        columns.append((str(label), column))
    return coerce(columns, len(data), fields, extra, max_errors, absent)


def write(
    like: pd.DataFrame, outputs: Any, indices: Sequence[int] | None, label_columns: LabelColumns | None = None
) -> pd.DataFrame:
    """Return the outputs as a frame with the index of `like`, or of the rows of `like` at `indices`."""
    labels = like.index if indices is None else like.index[list(indices)]
    if label_columns is not None and any(len(columns) >= MIN_BLOCK_LABELS for _, columns in label_columns.pairs):
        return _frame_of_blocks(outputs, label_columns, labels)
    if label_columns is not None:
        outputs = label_columns.split(outputs)
    arrays = {name: _to_pandas(outputs.column(index)) for index, name in enumerate(outputs.schema.names)}
    return pd.DataFrame(arrays, index=labels)


def _frame_of_blocks(outputs: Any, label_columns: LabelColumns, labels: pd.Index[Any]) -> pd.DataFrame:
    """Return the outputs as a frame with a column for each label, those of an output with many labels as one block."""
    parts = []
    for field, columns in label_columns.pairs:
        array = outputs.column(field.name)
        if len(columns) >= MIN_BLOCK_LABELS and not array.null_count:
            parts.append(pd.DataFrame(stack(array, field.shape), columns=[column.name for column in columns]))
        else:
            arrays = elements(array, len(columns)) if columns else [array]
            pairs = zip(columns or (field,), arrays, strict=True)
            parts.append(pd.DataFrame({column.name: _to_pandas(values) for column, values in pairs}))
    frame = pd.concat(parts, axis=1)
    frame.index = labels
    return frame


def length(data: pd.DataFrame) -> int:
    """Return the number of rows."""
    return len(data)


def take(data: pd.DataFrame, indices: Sequence[int]) -> pd.DataFrame:
    """Return the rows with these indices."""
    return data.iloc[list(indices)]


def _check(data: pd.DataFrame) -> None:
    labels_to_json(data.columns)
    if 0 in data.shape:
        raise SignatureError(
            f"the frame has the shape {data.shape}; infer a signature from the rows that the model is trained with"
        )


def _infer(name: str, series: pd.Series[Any]) -> Field:
    where = f"column {shorten(name)}"
    _check_dtype(where, series.dtype)
    if isinstance(series.dtype, pd.CategoricalDtype):
        return _infer_categories(where, name, series)
    if is_object(series.dtype):
        return study(where, series.to_numpy(), from_objects=True).field(name)
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        array = _to_timestamps(series, zone_name(where, series.dtype.tz))
    else:
        array = _to_arrow(series)
    if isinstance(array, list):  # text with a lone surrogate, which only Python can hold
        return study(where, array, from_objects=True).field(name)
    field = field_of(where, name, array, str(series.dtype))
    if isinstance(series.dtype, np.dtype) and series.dtype.kind == "f":
        return replace(field, nullable=bool(series.isna().any()))
    return field


def _infer_categories(where: str, name: str, series: pd.Series[Any]) -> Field:
    categories = series.cat.categories
    if not len(categories):
        raise SignatureError(f"{where}: it has no categories; give it those that the model knows, or drop it")
    values_field = _infer(name, pd.Series(categories))
    if values_field.dtype not in CATEGORY_TYPES or values_field.shape:
        advice = "make them strings, numbers or booleans"
        raise SignatureError(f"{where}: its categories are {values_field.dtype}; {advice}")
    nullable = bool(series.isna().any())
    return Field(name, values_field.dtype, nullable=nullable, categories=tuple(categories.tolist()))


def _check_dtype(where: str, dtype: Any) -> None:
    """Refuse a dtype that no field holds: raise `SignatureError`, which says what to do about it."""
    is_numpy = isinstance(dtype, np.dtype) and (dtype.kind == "O" or arrow_dtype(dtype) is not None)
    classes = (pd.CategoricalDtype, pd.StringDtype, pd.DatetimeTZDtype, pd.ArrowDtype)
    if is_numpy or isinstance(dtype, classes) or str(dtype).lower() in ("boolean", *INTEGERS, *FLOATS):
        return
    advice = next(
        (text for start, text in _ADVICE.items() if str(dtype).startswith(start)), "make it numbers or strings"
    )
    raise SignatureError(f"{where}: no field holds {dtype}; {advice}")


def _column(series: pd.Series[Any], field: Field) -> Any:
    """Return a caller's column as an Arrow array, or as Python values where Arrow cannot tell their type."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _decode_categories(series, field)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _to_timestamps(series, "UTC")  # the coercion converts it to the zone of the field
    is_arrow = isinstance(dtype, (pd.StringDtype, pd.ArrowDtype))
    is_nullable = str(dtype).lower() in ("boolean", *INTEGERS, *FLOATS)
    if is_arrow or is_nullable or (isinstance(dtype, np.dtype) and arrow_dtype(dtype) is not None):
        # NaN in a column of floats is how pandas says that an integer is missing; and a column of a file that has no
        # value at all becomes one, whatever its field is.
        has_gaps = field.nullable and field.dtype not in FLOATS and isinstance(dtype, np.dtype) and dtype.kind == "f"
        return pa.array(series.to_numpy(), from_pandas=True) if has_gaps else _to_arrow(series)
    return _object_values(series, field)


def _to_arrow(series: pd.Series[Any]) -> Any:
    if isinstance(series.dtype, np.dtype):
        return from_numpy(series.to_numpy())
    try:
        return single_array(pa.array(series.array))
    except UnicodeEncodeError:  # a lone surrogate: the coercion of values reports it, with its row
        return [None if is_null else value for value, is_null in zip(series, series.isna(), strict=True)]


def _to_timestamps(series: Any, zone: str | None) -> Any:
    # pandas and Arrow both count from 1970 in UTC, whatever the zone is.
    timestamps = from_numpy(series.to_numpy(dtype=f"datetime64[{series.dtype.unit}]"))
    return timestamps.cast(pa.timestamp(series.dtype.unit, tz=zone))


def _decode_categories(series: pd.Series[Any], field: Field) -> Any:
    codes = series.cat.codes.to_numpy()
    values = _column(pd.Series(series.cat.categories), field)
    if isinstance(values, list):
        return [None if code < 0 else values[code] for code in codes]
    return values.take(pa.array(codes, mask=codes < 0))


def _object_values(series: pd.Series[Any], field: Field) -> Any:
    values = series.to_numpy(dtype=object)
    if field.dtype == "string" and pd.api.types.infer_dtype(values, skipna=True) == "string":
        try:
            return pa.array(values, type=pa.string(), from_pandas=True)
        except UnicodeEncodeError:
            pass  # a lone surrogate: coerced value by value below, so that the error names its row
    is_missing = pd.isna(values)
    if field.dtype in FLOATS:  # NaN is a value of these fields
        is_missing &= ~np.fromiter((isinstance(value, (float, np.floating)) for value in values), bool, len(values))
    return [None if is_null else value for value, is_null in zip(values, is_missing, strict=True)]


def _to_pandas(array: Any) -> Any:
    """Return an output as an array of a NumPy dtype, or of pandas' nullable dtype where a value is missing."""
    data_type = array.type
    if pa.types.is_string(data_type):
        text: Any = pd.StringDtype(na_value=np.nan)
        return text.__from_arrow__(array)
    if pa.types.is_timestamp(data_type) and data_type.tz is not None:
        return pd.DatetimeTZDtype(data_type.unit, data_type.tz).__from_arrow__(array)
    if pa.types.is_fixed_size_list(data_type):
        shape: tuple[int, ...] = ()
        while pa.types.is_fixed_size_list(data_type):
            shape, data_type = (*shape, data_type.list_size), data_type.value_type
        return tensors(array, shape)
    if pa.types.is_date(data_type) or pa.types.is_binary(data_type):
        return objects(array.to_pylist())
    if not array.null_count or pa.types.is_timestamp(data_type):
        return array.to_numpy(zero_copy_only=False)
    mask = array.is_null().to_numpy(zero_copy_only=False)
    values = array.fill_null(False if pa.types.is_boolean(data_type) else 0).to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(data_type):
        return pd.arrays.BooleanArray(values, mask)
    array_type = pd.arrays.FloatingArray if pa.types.is_floating(data_type) else pd.arrays.IntegerArray
    return array_type(values, mask)
