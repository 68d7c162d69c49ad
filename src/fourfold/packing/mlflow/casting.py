"""Cast rows to an MLflow model's signature, where no value changes; errors name the column that cannot be cast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fourfold import tables
from fourfold.errors import PackError, SignatureError, shorten
from fourfold.function import without_numeric_warnings
from fourfold.packing.mlflow.signature import Column, MlflowSignature
from fourfold.runtimes.sample import column_names
from fourfold.signature import Field
from fourfold.signature.field import FLOATS, INTEGERS
from fourfold.signature.rows import Mismatch, coercer, is_missing

__all__ = ["CastRows", "cast_rows"]

#: MLflow has two names for integers: a column of any of these dtypes has that type as it is.
_SAME_MLFLOW_TYPE = {"int32": ("int8", "int16", "int32", "uint8", "uint16"), "int64": ("int64", "uint32")}


@dataclass(frozen=True)
class CastRows:
    """Hold rows that fit a signature.

    Attributes:
        rows: the container, with the signature's columns in its order and of its dtypes.
        inputs: the fields, where the signature makes one nullable that the rows do not; otherwise `None`.
        notes: remarks for the user.
    """

    rows: Any
    inputs: tuple[Field, ...] | None
    notes: tuple[str, ...]


def cast_rows(signature: MlflowSignature, rows: Any, columns: Sequence[str] = ()) -> CastRows:
    """Cast rows to a signature, where no value changes.

    Numbers are cast to another width where that keeps each value (in a CSV file whole numbers do not show that they are
    floats), and texts to timestamps. A column that the signature calls optional becomes nullable, where the container
    can hold missing values.

    Args:
        signature: the model's signature.
        rows: a container.
        columns: the columns that the model takes, where it knows their names; other columns are left out.

    Raises:
        PackError: the rows lack a column, or a column has values that the signature does not allow; it is named.
        SignatureError: no field can be inferred from a column.
    """
    if not signature.inputs:
        return CastRows(rows, None, ())
    if isinstance(rows, list) and not all(isinstance(row, dict) for row in rows):
        return _check_texts(signature, rows)
    names = column_names(rows)
    if signature.matrix is not None and signature.matrix.shape is not None:
        return _cast_matrix(signature.matrix, rows, names)
    if not any(column.name for column in signature.inputs):
        return _cast_by_position(signature.inputs, rows, names)
    # LightGBM replaces spaces in names by underscores.
    used_names = {*columns, *(column.name for column in signature.inputs if column.name.replace(" ", "_") in columns)}
    used = [column for column in signature.inputs if not columns or column.name in used_names]
    unused = [column.name for column in signature.inputs if column not in used]
    notes = [f"the model takes no {shorten(name)}, which its signature has" for name in unused]
    row_names = [str(name) for name in names or ()]
    for column in used:
        if column.name not in row_names:
            raise PackError(f"the rows lack the {column}; they have {shorten(row_names, 200)}")
    rows = _select(rows, [column.name for column in used])
    for column in used:
        rows = _cast_column(rows, column, column.name)
    inputs, more_notes = _nullable_fields(rows, used)
    return CastRows(rows, inputs, (*notes, *more_notes))


def _cast_matrix(column: Column, rows: Any, names: list[Any] | None) -> CastRows:
    """Cast rows to one array without a name: they are an array, or a table with the array's columns."""
    shape = column.shape or ()
    if names is None:
        return CastRows(_cast_array(rows, column, shape), None, ())
    if len(shape) == 1 and len(names) != shape[0]:
        raise PackError(
            f"expected rows of {shape[0]} columns for the {column}; got {len(names)}: {shorten(names, 200)}"
        )
    for name in names if len(shape) == 1 else ():  # the model itself checks columns of tensors
        rows = _cast_column(rows, replace(column, name=str(name), shape=()), name)
    return CastRows(rows, None, ())


def _cast_array(array: Any, column: Column, shape: tuple[int, ...]) -> Any:
    """Cast an array to the signature's dtype, and check its shape."""
    if tables.kind_of(array) != "numpy" or array.shape[1:] != shape:
        got = f"an array of shape {list(array.shape)}" if hasattr(array, "shape") else f"a {type(array).__name__}"
        raise PackError(f"expected an array for the {column}; got {got}")
    if array.dtype.kind not in "iuf" or column.dtype not in (*INTEGERS, *FLOATS) or array.dtype.name == column.dtype:
        return array
    with without_numeric_warnings():
        cast = array.astype(column.dtype)
        is_same = (cast.astype(array.dtype) == array) | ((array != array) & (cast != cast))
    # Floats round to the nearest float32, as everywhere; any other cast must keep each number.
    if not is_same.all() and not (array.dtype.kind == "f" and column.dtype == "float32"):
        raise PackError(
            f"the array has {array.dtype} {shorten(array[~is_same][0].item())}, which is none of the {column}"
        )
    return cast


def _check_texts(signature: MlflowSignature, rows: list[Any]) -> CastRows:
    """Check the rows of a text model: a list of texts."""
    column = signature.inputs[0]
    if len(signature.inputs) != 1 or column.dtype != "string" or not all(isinstance(row, str) for row in rows):
        raise PackError(
            f"expected rows with the columns of the model's signature, {column} first; got {shorten(rows[:3])}"
        )
    return CastRows(rows, None, ())


def _cast_by_position(columns: Sequence[Column], rows: Any, names: list[Any] | None) -> CastRows:
    """Cast rows to columns without names, by position."""
    if names is None:
        return CastRows(rows, None, ())
    if len(names) != len(columns):
        raise PackError(f"expected rows of {len(columns)} columns for the model's signature; got {shorten(names, 200)}")
    for column, name in zip(columns, names, strict=True):
        rows = _cast_column(rows, replace(column, name=str(name)), name)
    return CastRows(rows, None, ())


def _select(rows: Any, names: Sequence[str]) -> Any:
    """Return the rows with these columns only, in this order."""
    kind = tables.kind_of(rows)
    if kind == "rows":
        return [{name: row[name] for name in names if name in row} for row in rows]
    if kind == "pandas":
        labels = {str(label): label for label in rows.columns}
        return rows[[labels[name] for name in names]]
    return rows.select(list(names))


def _cast_column(rows: Any, column: Column, label: Any) -> Any:
    """Return the rows with one column cast to the signature's type; `label` is its name in the container."""
    if not column.dtype:
        raise PackError(
            f"no field holds the {column}: a package takes booleans, numbers, strings, timestamps, binary "
            "values and tensors of numbers. Make its parts columns of their own"
        )
    field = _infer_field(rows, label, column)
    are_numbers = field.dtype in (*INTEGERS, *FLOATS) and column.dtype in (*INTEGERS, *FLOATS)
    if column.shape is None or field.shape:
        same_kind = are_numbers or field.dtype == column.dtype
        if column.shape not in (None, field.shape) or not field.shape or not same_kind:
            raise PackError(f"expected a tensor for the {column}; the rows have {field.expected}")
        return rows if field.dtype == column.dtype else _cast_tensors(rows, column, label, field.shape)
    if field.dtype == column.dtype or field.dtype in _SAME_MLFLOW_TYPE.get(column.dtype, ()):
        return rows
    if column.dtype == "timestamp" and field.dtype == "date":
        return rows
    are_timestamps = field.dtype == "string" and column.dtype == "timestamp"
    if not (are_numbers or are_timestamps):
        raise PackError(f"expected {column.dtype} for the {column}; the rows have {field.expected}")
    if tables.kind_of(rows) != "pandas":
        if are_numbers and column.dtype in FLOATS and tables.kind_of(rows) == "rows":
            return [{**row, label: _cast_value(row.get(label), column, index)} for index, row in enumerate(rows)]
        raise PackError(
            f"expected {column.dtype} for the {column}; the rows have {field.expected}. Give them as the model was "
            "trained with them, in Parquet"
        )
    return _cast_pandas(rows, column, label)


def _cast_tensors(rows: Any, column: Column, label: Any, shape: tuple[int, ...]) -> Any:
    """Return rows with a column of tensors cast; those of a frame are only checked: its reader casts them alike."""
    are_rows = tables.kind_of(rows) == "rows"
    values = [row.get(label) for row in rows] if are_rows else list(rows[label])
    cast = [_cast_value(value, column, index, shape) for index, value in enumerate(values)]
    return [{**row, label: value} for row, value in zip(rows, cast, strict=True)] if are_rows else rows


def _infer_field(rows: Any, label: Any, column: Column) -> Field:
    """Infer the field of a column from the rows alone."""
    if tables.kind_of(rows) == "rows":
        table: Any = [{label: row.get(label)} for row in rows]
    elif tables.kind_of(rows) == "pandas":
        table = rows[[label]]
    else:
        table = rows.select([label])
    try:
        return tables.infer(table)[0]
    except SignatureError as error:
        raise PackError(f"no field can be inferred for the {column}: {error}") from error


def _cast_pandas(frame: Any, column: Column, label: Any) -> Any:
    """Return a pandas frame with a column cast to the signature's dtype, after checking that no value changes."""
    series = frame[label]
    values = [_cast_value(value, column, index) for index, value in enumerate(series.tolist())]
    has_missing = any(value is None or value != value for value in values)
    dtype = {"timestamp": "datetime64[ns]"}.get(column.dtype, column.dtype)
    if column.dtype in INTEGERS and has_missing:
        dtype = column.dtype.replace("i", "I", 1)  # pandas' nullable dtype
    if isinstance(label, str):
        return frame.assign(**{label: series.astype(dtype)})
    return frame.astype({label: dtype})  # `assign` takes string labels only


def _cast_value(value: Any, column: Column, row: int, shape: tuple[int, ...] = ()) -> Any:
    """Return a value of the signature's dtype, or a missing value; raise `PackError` where the value would change."""
    field = Field(column.name or "column", column.dtype, shape=shape)
    if is_missing(value):
        return None
    if isinstance(value, float) and math.isnan(value):
        if column.dtype in FLOATS:
            return value
        if not column.required:
            return None
        raise PackError(f"row {row} has no value in the {column}, whose type has no missing value: log it as double")
    try:
        return coercer(field)(value)
    except Mismatch as error:
        raise PackError(f"expected {error.expected} for the {column}; row {row} has {error.got}") from error


def _nullable_fields(rows: Any, columns: Sequence[Column]) -> tuple[tuple[Field, ...] | None, list[str]]:
    """Return the fields with the signature's optional ones nullable, or `None` where none changes, and notes."""
    fields = list(tables.infer(rows))
    form = tables.form(rows)
    notes: list[str] = []
    has_changed = False
    for index, column in enumerate(columns):
        if column.required and fields[index].nullable:
            notes.append(
                f"the rows miss values of {shorten(column.name)}, which the signature calls required: it may be null"
            )
        if column.required or fields[index].nullable:
            continue
        fields[index] = replace(fields[index], nullable=True)
        try:
            tables.builder(form, fields)
        except SignatureError:
            fields[index] = replace(fields[index], nullable=False)
            notes.append(
                f"the signature calls {shorten(column.name)} optional; a column of {fields[index].dtype}, as "
                "the rows have "
                "it, cannot miss a value, so the package requires it"
            )
        else:
            has_changed = True
    return (tuple(fields) if has_changed else None), notes
