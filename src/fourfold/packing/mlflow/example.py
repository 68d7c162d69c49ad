"""The input example that an MLflow model was logged with, as rows to pack it with."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from fourfold.errors import MissingLibrary, PackError, shorten
from fourfold.packing.mlflow.directory import Directory
from fourfold.packing.mlflow.schema import Column, Schema
from fourfold.signature.field import FLOATS

__all__ = ["example_of"]

_INTEGERS = ("int32", "int64")


def example_of(directory: Directory, schema: Schema | None) -> Any:
    """The rows of a model's input example.

    Args:
        directory: the model.
        schema: its signature, which says what JSON does not: which numbers are floats, which strings are bytes.

    Returns:
        A pandas frame for a frame or records; a NumPy array for an array; a list of strings for texts without a name;
        rows for several arrays; `None` where the model was logged without an example.

    Raises:
        PackError: the example cannot be read.
        MissingLibrary: pandas or NumPy is not installed.
    """
    info = directory.data.get("saved_input_example_info")
    if not isinstance(info, dict):
        return None
    name = info.get("artifact_path") or info.get("serving_input_path")
    data = directory.json(name, "its input example")
    if info.get("params") and isinstance(data, dict) and "inputs" in data:
        data = data["inputs"]
    schema = schema or Schema()
    try:
        if str(info.get("type", "")).startswith("sparse_matrix"):
            return _dense(data, str(info["type"]))
        return _table(data, schema, arrays=info.get("type") == "ndarray")
    except (IndexError, KeyError, MemoryError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise PackError(
            f"the input example {directory.path / str(name)} cannot be read ({type(error).__name__}: "
            f"{shorten(str(error), 160)}): give rows of your own (--rows)"
        ) from error


def _table(data: Any, schema: Schema, *, arrays: bool) -> Any:
    """The table of an example, in the forms that MLflow writes and serves."""
    if isinstance(data, dict):
        for key in ("dataframe_split", "dataframe_records", "instances"):
            if key in data:
                return _table(data[key], schema, arrays=False)
        if set(data) == {"inputs"}:
            return _table(data["inputs"], schema, arrays=arrays)
        if "data" in data and set(data) <= {"columns", "data", "index"}:
            return _frame(data.get("columns"), list(data["data"]), schema)
        if arrays or (data and all(isinstance(each, list) for each in data.values()) and _tensors(schema)):
            dtypes = {column.name: column.dtype for column in schema.inputs}
            columns = [_floats(each) if dtypes.get(name) in FLOATS else each for name, each in data.items()]
            return [dict(zip(data, row, strict=True)) for row in zip(*columns, strict=True)]
        return _records([data], schema)
    if not isinstance(data, list):
        data = [data]  # a value alone is a row of it
    if not data:
        raise ValueError("it has no rows")
    if all(isinstance(row, dict) for row in data):
        return _records(data, schema)
    if arrays or any(isinstance(row, list) for row in data):
        return _array(data, schema)
    if all(isinstance(row, str) for row in data) and not any(column.name for column in schema.inputs):
        return data
    return _frame(None, [[row] for row in data], schema)


def _floats(values: Any) -> Any:
    """Numbers as floats, since JSON has whole ones without a point; a missing one is NaN."""
    if isinstance(values, list):
        return [_floats(each) for each in values]
    return float("nan") if values is None else float(values)


def _tensors(schema: Schema) -> bool:
    return any(column.said.startswith("tensor") for column in schema.inputs)


def _records(rows: Sequence[Mapping[str, Any]], schema: Schema) -> Any:
    names = list(dict.fromkeys(str(key) for row in rows for key in row))
    return _frame(names, [[row.get(name) for name in names] for row in rows], schema)


def _array(data: list[Any], schema: Schema) -> Any:
    """The array of a list of rows, of the signature's dtype; a missing number is NaN."""
    import numpy as np

    dtype = schema.inputs[0].dtype if len(schema.inputs) == 1 else ""
    if dtype in ("string", "binary", "timestamp"):
        made = np.array(data, dtype=object)
        return data if made.ndim == 1 and dtype == "string" else made
    plain = np.array(data, dtype=object)
    missing = bool((plain == None).any())  # noqa: E711 - of every element
    found = np.array(np.where(plain == None, np.nan, plain) if missing else data)  # noqa: E711
    if found.dtype == object:
        found = found.astype(np.float64)
    return found.astype(dtype) if dtype and not (missing and dtype in _INTEGERS) else found


def _dense(data: Mapping[str, Any], kind: str) -> Any:
    """The array of a sparse matrix, whose parts are those of SciPy's compressed rows or columns."""
    import numpy as np

    rows, columns = (int(size) for size in data["shape"])
    out = np.zeros((rows, columns))
    starts, places, values = data["indptr"], data["indices"], data["data"]
    for line, (start, stop) in enumerate(pairwise(starts)):
        for place, value in zip(places[start:stop], values[start:stop], strict=True):
            out[(line, place) if kind.endswith("csr") else (place, line)] = np.nan if value is None else value
    return out


def _frame(names: Sequence[Any] | None, rows: list[Sequence[Any]], schema: Schema) -> Any:
    """The pandas frame of lists of values, each column of the signature's dtype."""
    import pyarrow as pa

    if not rows:
        raise ValueError("it has no rows")
    columns = list(zip(*rows, strict=True))
    labels = list(range(len(columns))) if names is None else [str(name) for name in names]
    by_name = {column.name: column for column in schema.inputs}
    typed = list(schema.inputs) if names is None and len(schema.inputs) == len(columns) else []
    known = [by_name.get(str(label)) or (typed[place] if typed else None) for place, label in enumerate(labels)]
    arrays = [_column(values, column) for values, column in zip(columns, known, strict=True)]
    table = pa.Table.from_arrays(arrays, names=[str(label) for label in labels])
    try:
        frame = table.to_pandas()
    except ModuleNotFoundError as error:
        raise MissingLibrary("pandas", extra="pandas", purpose="an input example of a frame") from error
    frame.columns = labels
    return frame


def _column(values: Sequence[Any], column: Column | None) -> Any:
    """An Arrow array of values from JSON."""
    import pyarrow as pa

    dtype = column.dtype if column is not None else ""
    if dtype == "binary":
        return pa.array([None if value is None else _bytes(value) for value in values], type=pa.binary())
    if dtype in FLOATS and not any(isinstance(value, list) for value in values):
        # JSON as Python writes it has NaN, and a missing value of a frame is null.
        numbers = [None if value is None else float(value) for value in values]
        return pa.array(numbers, type=pa.float32() if dtype == "float32" else pa.float64())
    # Among texts NaN is how pandas says that one is missing.
    return pa.array([None if isinstance(value, float) and math.isnan(value) else value for value in values])


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error
