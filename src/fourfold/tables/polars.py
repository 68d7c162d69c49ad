"""Read and build polars frames. In polars null is missing, and NaN is a value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pyarrow as pa

from fourfold.errors import RowErrors, SignatureError, shorten
from fourfold.signature.field import Extra, Field
from fourfold.signature.label_columns import LabelColumns
from fourfold.tables.arrow import caster, field_indices, field_of
from fourfold.tables.canonical import coerce
from fourfold.tables.types import type_from_json, type_to_json

__all__ = ["builder", "form", "infer", "length", "of_arrow", "read", "take", "write"]

# The dtypes that no field holds, under polars' names, with what to do about a column of them.
_ADVICE = {
    "Int128": "cast it to Int64",
    "UInt128": "cast it to UInt64",
    "Float16": "cast it to Float32",
    "Decimal": "cast it to Float64, or to String to keep every digit",
    "Duration": "make it a number, of seconds say: dt.total_seconds()",
    "Time": "make it a number, of seconds say",
    "List": "its lists may have any length; cast it to an Array of one width",
    "Struct": "make each of its members a column: unnest()",
    "Null": "it has no value at all; give it a dtype, or drop it",
}


def of_arrow(table: Any) -> pl.DataFrame:
    """Return an Arrow table as a polars frame."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def infer(data: pl.DataFrame) -> tuple[Field, ...]:
    """Return a field for every column; nullable where it holds a null.

    An `Enum` is a closed field with its categories. A `Categorical` is plain text: its categories belong to the
    process, not to the column, and new ones may be added.
    """
    _check(data)
    return tuple(_infer(series) for series in data.get_columns())


def form(data: pl.DataFrame) -> dict[str, Any]:
    """Return the frame's schema, in JSON values."""
    _check(data)
    return {"container": "polars", "columns": [_column_to_json(series) for series in data.get_columns()]}


def builder(form: Mapping[str, Any], fields: tuple[Field, ...]) -> Callable[[Any], pl.DataFrame]:
    """Return the function that converts a canonical batch to a frame of the form's schema.

    In an `Enum` column, values that are not categories become null.
    """
    columns = form["columns"]
    names = [column["name"] for column in columns]
    steps = []
    for index, column in zip(field_indices(fields, names), columns, strict=True):
        _check_categories(fields[index], column.get("enum"))
        steps.append((index, caster(fields[index], type_from_json(column["type"]), nullable=True)))
    categoricals: dict[Any, Any] = {column["name"]: pl.Enum(column["enum"]) for column in columns if "enum" in column}
    categoricals |= {column["name"]: pl.Categorical() for column in columns if column.get("categorical")}

    def build(batch: Any) -> pl.DataFrame:
        arrays = [step(batch.column(index)) for index, step in steps]
        frame = pl.DataFrame(pa.Table.from_arrays(arrays, names=names))
        return frame.cast(categoricals, strict=False) if categoricals else frame

    return build


def read(
    data: pl.DataFrame,
    fields: tuple[Field, ...],
    extra: Extra,
    max_errors: int | None = None,
    absent: Collection[str] = (),
) -> tuple[Any, RowErrors]:
    """Coerce the columns."""
    names = {field.name for field in fields}
    columns = [(series.name, _column(series) if series.name in names else None) for series in data.get_columns()]
    return coerce(columns, data.height, fields, extra, max_errors, absent)


def write(
    like: pl.DataFrame, outputs: Any, indices: Sequence[int] | None, label_columns: LabelColumns | None = None
) -> pl.DataFrame:
    """Return the outputs as a frame."""
    return pl.DataFrame(outputs if label_columns is None else label_columns.split(outputs))


def length(data: pl.DataFrame) -> int:
    """Return the number of rows."""
    return data.height


def take(data: pl.DataFrame, indices: Sequence[int]) -> pl.DataFrame:
    """Return the rows with these indices."""
    return data[list(indices)]


def _check(data: pl.DataFrame) -> None:
    if 0 in data.shape:
        raise SignatureError(
            f"the frame has the shape {data.shape}; infer a signature from the rows that the model is trained with"
        )
    for name, dtype in data.schema.items():
        advice = _ADVICE.get(dtype.base_type().__name__)
        if advice is None and dtype.base_type() in (pl.Object, pl.Unknown):
            advice = "make it a number, string, date, timestamp, bytes or a tensor of numbers"
        if isinstance(dtype, pl.Categorical) and dtype != pl.Categorical():
            advice = "its categories have a name of their own; cast it to Categorical, Enum or String"
        if advice:
            raise SignatureError(f"column {shorten(name)}: no field holds {dtype}; {advice}")


def _infer(series: pl.Series) -> Field:
    field = field_of(f"column {shorten(series.name)}", series.name, series.to_arrow(), str(series.dtype))
    if isinstance(series.dtype, pl.Enum):
        return replace(field, categories=tuple(series.dtype.categories))
    return field


def _column_to_json(series: pl.Series) -> dict[str, Any]:
    dtype = series.dtype
    if isinstance(dtype, pl.Enum):
        return {"name": series.name, "type": "string", "enum": dtype.categories.to_list()}
    if isinstance(dtype, pl.Categorical):
        return {"name": series.name, "type": "string", "categorical": True}
    data_type = series.to_arrow().type
    return {"name": series.name, "type": type_to_json(f"column {shorten(series.name)}", data_type)}


def _check_categories(field: Field, enum: Sequence[str] | None) -> None:
    if enum is None or field.categories is None or field.open:
        return
    unknown = [value for value in field.categories if value not in enum]
    if unknown:
        raise SignatureError(
            f"field {shorten(field.name)}: the model was trained without the category {shorten(unknown[0])}"
        )


def _column(series: pl.Series) -> Any:
    # Arrow, or its C interface, has no types for these: coerce them value by value.
    if series.dtype.base_type() in (pl.Object, pl.Int128, pl.UInt128):
        return series.to_list()
    return series.to_arrow()
