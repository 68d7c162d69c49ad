"""Rows made to agree with an MLflow model's signature, or an error that names the column that cannot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fourfold import tables
from fourfold.errors import PackError, SignatureError, shorten
from fourfold.function import without_numeric_warnings
from fourfold.packing.mlflow.schema import Column, Schema
from fourfold.runtimes.sample import column_names
from fourfold.signature import Field
from fourfold.signature.field import FLOATS, INTEGERS
from fourfold.signature.rows import Mismatch, coercer, is_missing

__all__ = ["Agreed", "agree"]

#: The integers that MLflow calls by one word: a column of any of them is one of that type as it is.
_ONE_WORD = {"int32": ("int8", "int16", "int32", "uint8", "uint16"), "int64": ("int64", "uint32")}


@dataclass(frozen=True)
class Agreed:
    """Rows that agree with a signature.

    Attributes:
        rows: the container, with the signature's columns in its order, each of its dtype.
        inputs: the fields, where the signature says more of one than the rows do.
        notes: what a person should know.
    """

    rows: Any
    inputs: tuple[Field, ...] | None
    notes: tuple[str, ...]


def agree(schema: Schema, rows: Any, columns: Sequence[str] = ()) -> Agreed:
    """Make rows agree with a signature, where no value of them changes.

    A column of another width of numbers is cast where each of its values has the same value there (a CSV file does not
    say that whole numbers are floats); texts become timestamps where the signature says so. A column that the signature
    calls optional may be missing a value, where the container can say so.

    Args:
        schema: the signature.
        rows: a container.
        columns: those that the model takes, where it knows their names; it is not given others.

    Raises:
        PackError: the rows lack a column, or one has values that the signature does not allow; it is named.
        SignatureError: no field can be inferred from a column.
    """
    if not schema.inputs:
        return Agreed(rows, None, ())
    if isinstance(rows, list) and not all(isinstance(row, dict) for row in rows):
        return _agree_values(schema, rows)
    names = column_names(rows)
    if schema.matrix is not None and schema.matrix.shape is not None:
        return _agree_matrix(schema.matrix, rows, names)
    if not any(column.name for column in schema.inputs):
        return _agree_in_order(schema.inputs, rows, names)
    # LightGBM keeps names with an underscore for each space.
    taken = {*columns, *(column.name for column in schema.inputs if column.name.replace(" ", "_") in columns)}
    wanted = [column for column in schema.inputs if not columns or column.name in taken]
    unused = [column.name for column in schema.inputs if column not in wanted]
    notes = [f"the model takes no {shorten(name)}, which its signature has" for name in unused]
    known = [str(name) for name in names or ()]
    for column in wanted:
        if column.name not in known:
            raise PackError(f"the rows lack the {column}; they have {shorten(known, 200)}")
    rows = _chosen(rows, [column.name for column in wanted])
    for column in wanted:
        rows = _agree_column(rows, column, column.name)
    inputs, more = _with_optional(rows, wanted)
    return Agreed(rows, inputs, (*notes, *more))


def _agree_matrix(column: Column, rows: Any, names: list[Any] | None) -> Agreed:
    """Rows for one array without names: an array, or a table whose columns are its columns."""
    shape = column.shape or ()
    if names is None:
        return Agreed(_agree_array(rows, column, shape), None, ())
    if len(shape) == 1 and len(names) != shape[0]:
        raise PackError(
            f"expected rows of {shape[0]} columns for the {column}; got {len(names)}: {shorten(names, 200)}"
        )
    for name in names if len(shape) == 1 else ():  # what a column of tensors must be is for the model to say
        rows = _agree_column(rows, replace(column, name=str(name), shape=()), name)
    return Agreed(rows, None, ())


def _agree_array(array: Any, column: Column, shape: tuple[int, ...]) -> Any:
    """An array of the signature's shape and dtype."""
    if tables.kind_of(array) != "numpy" or array.shape[1:] != shape:
        got = f"an array of shape {list(array.shape)}" if hasattr(array, "shape") else f"a {type(array).__name__}"
        raise PackError(f"expected an array for the {column}; got {got}")
    if array.dtype.kind not in "iuf" or column.dtype not in (*INTEGERS, *FLOATS) or array.dtype.name == column.dtype:
        return array
    with without_numeric_warnings():
        cast = array.astype(column.dtype)
        same = (cast.astype(array.dtype) == array) | ((array != array) & (cast != cast))
    # A float32 is the number that it is nearest to, as everywhere; any other number is itself or none.
    if not same.all() and not (array.dtype.kind == "f" and column.dtype == "float32"):
        raise PackError(f"the array has {array.dtype} {shorten(array[~same][0].item())}, which is none of the {column}")
    return cast


def _agree_values(schema: Schema, rows: list[Any]) -> Agreed:
    """Rows of one value without a name each, such as the texts of a text model."""
    column = schema.inputs[0]
    if len(schema.inputs) != 1 or column.dtype != "string" or not all(isinstance(row, str) for row in rows):
        raise PackError(
            f"expected rows with the columns of the model's signature, {column} first; got {shorten(rows[:3])}"
        )
    return Agreed(rows, None, ())


def _agree_in_order(columns: Sequence[Column], rows: Any, names: list[Any] | None) -> Agreed:
    """Rows for columns without names, which are told by their places."""
    if names is None:
        return Agreed(rows, None, ())
    if len(names) != len(columns):
        raise PackError(f"expected rows of {len(columns)} columns for the model's signature; got {shorten(names, 200)}")
    for column, name in zip(columns, names, strict=True):
        rows = _agree_column(rows, replace(column, name=str(name)), name)
    return Agreed(rows, None, ())


def _chosen(rows: Any, names: Sequence[str]) -> Any:
    """The columns of these names, in this order."""
    kind = tables.kind_of(rows)
    if kind == "rows":
        return [{name: row[name] for name in names if name in row} for row in rows]
    if kind == "pandas":
        labels = {str(label): label for label in rows.columns}
        return rows[[labels[name] for name in names]]
    return rows.select(list(names))


def _agree_column(rows: Any, column: Column, label: Any) -> Any:
    """The rows with this column of the signature's type."""
    if not column.dtype:
        raise PackError(
            f"no field holds the {column}: a package takes booleans, numbers, strings, moments, binary "
            "values and tensors of numbers. Make its parts columns of their own"
        )
    field = _field(rows, label, column)
    numbers = field.dtype in (*INTEGERS, *FLOATS) and column.dtype in (*INTEGERS, *FLOATS)
    if column.shape is None or field.shape:
        if column.shape not in (None, field.shape) or not field.shape or not (numbers or field.dtype == column.dtype):
            raise PackError(f"expected a tensor for the {column}; the rows have {field.expected}")
        return rows if field.dtype == column.dtype else _agree_tensors(rows, column, label, field.shape)
    if field.dtype == column.dtype or field.dtype in _ONE_WORD.get(column.dtype, ()):
        return rows
    if column.dtype == "timestamp" and field.dtype == "date":
        return rows
    moments = field.dtype == "string" and column.dtype == "timestamp"
    if not (numbers or moments):
        raise PackError(f"expected {column.dtype} for the {column}; the rows have {field.expected}")
    if tables.kind_of(rows) != "pandas":
        if numbers and column.dtype in FLOATS and tables.kind_of(rows) == "rows":
            return [{**row, label: _value(row.get(label), column, place)} for place, row in enumerate(rows)]
        raise PackError(
            f"expected {column.dtype} for the {column}; the rows have {field.expected}. Give them as the model was "
            "trained with them, in Parquet"
        )
    return _cast(rows, column, label)


def _agree_tensors(rows: Any, column: Column, label: Any, shape: tuple[int, ...]) -> Any:
    """Tensors of other numbers: JSON does not say how wide a number is. What takes them casts them as `_value` does."""
    of_rows = tables.kind_of(rows) == "rows"
    values = [row.get(label) for row in rows] if of_rows else list(rows[label])
    cast = [_value(value, column, place, shape) for place, value in enumerate(values)]
    return [{**row, label: value} for row, value in zip(rows, cast, strict=True)] if of_rows else rows


def _field(rows: Any, label: Any, column: Column) -> Field:
    """The field that the rows alone would make of a column."""
    if tables.kind_of(rows) == "rows":
        part: Any = [{label: row.get(label)} for row in rows]
    elif tables.kind_of(rows) == "pandas":
        part = rows[[label]]
    else:
        part = rows.select([label])
    try:
        return tables.infer(part)[0]
    except SignatureError as error:
        raise PackError(f"no field can be inferred for the {column}: {error}") from error


def _cast(frame: Any, column: Column, label: Any) -> Any:
    """A pandas frame with a column of the signature's dtype, once it is sure that no value becomes another."""
    series = frame[label]
    values = [_value(value, column, place) for place, value in enumerate(series.tolist())]
    missing = any(value is None or value != value for value in values)
    dtype = {"timestamp": "datetime64[ns]"}.get(column.dtype, column.dtype)
    if column.dtype in INTEGERS and missing:
        dtype = column.dtype.replace("i", "I", 1)  # the nullable dtype of pandas
    return frame.assign(**{label: series.astype(dtype)}) if isinstance(label, str) else _with(frame, label, dtype)


def _with(frame: Any, label: Any, dtype: str) -> Any:
    """The same for a label that is no string."""
    return frame.astype({label: dtype})


def _value(value: Any, column: Column, place: int, shape: tuple[int, ...] = ()) -> Any:
    """A value as the signature's dtype has it; a missing one as it is."""
    field = Field(column.name or "column", column.dtype, shape=shape)
    if is_missing(value):
        return None
    if isinstance(value, float) and math.isnan(value):
        if column.dtype in FLOATS:
            return value
        if not column.required:
            return None
        raise PackError(f"row {place} misses a value of the {column}, which cannot say so: log it as double")
    try:
        return coercer(field)(value)
    except Mismatch as error:
        raise PackError(f"expected {error.expected} for the {column}; row {place} has {error.got}") from error


def _with_optional(rows: Any, columns: Sequence[Column]) -> tuple[tuple[Field, ...] | None, list[str]]:
    """The fields with those nullable that the signature calls optional, and what to say of the others."""
    fields = list(tables.infer(rows))
    form = tables.form(rows)
    notes: list[str] = []
    changed = False
    for place, column in enumerate(columns):
        if column.required and fields[place].nullable:
            notes.append(
                f"the rows miss values of {shorten(column.name)}, which the signature calls required: it may be null"
            )
        if column.required or fields[place].nullable:
            continue
        fields[place] = replace(fields[place], nullable=True)
        try:
            tables.builder(form, fields)
        except SignatureError:
            fields[place] = replace(fields[place], nullable=False)
            notes.append(
                f"the signature calls {shorten(column.name)} optional; a column of {fields[place].dtype}, as "
                "the rows have "
                "it, cannot miss a value, so the package requires it"
            )
        else:
            changed = True
    return (tuple(fields) if changed else None), notes
