"""Read the input example that an MLflow model was logged with, as rows to pack it with."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from fourfold.errors import MissingLibrary, PackError, shorten
from fourfold.packing.mlflow.directory import ModelDirectory
from fourfold.packing.mlflow.signature import Column, MlflowSignature
from fourfold.signature.field import FLOATS

__all__ = ["read_example"]

_INTEGERS = ("int32", "int64")


def read_example(directory: ModelDirectory, signature: MlflowSignature | None) -> Any:
    """Read the rows of a model's input example.

    Args:
        directory: the model.
        signature: its signature, which knows what JSON does not: which numbers are floats, which strings are bytes.

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
    signature = signature or MlflowSignature()
    try:
        if str(info.get("type", "")).startswith("sparse_matrix"):
            return _dense_matrix(data, str(info["type"]))
        return _table(data, signature, arrays=info.get("type") == "ndarray")
    except (IndexError, KeyError, MemoryError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise PackError(
            f"the input example {directory.path / str(name)} cannot be read ({type(error).__name__}: "
            f"{shorten(str(error), 160)}): give rows of your own (--rows)"
        ) from error


def _table(data: Any, signature: MlflowSignature, *, arrays: bool) -> Any:
    """Return the table of an example, in any form that MLflow writes or serves."""
    if isinstance(data, dict):
        for key in ("dataframe_split", "dataframe_records", "instances"):
            if key in data:
                return _table(data[key], signature, arrays=False)
        if set(data) == {"inputs"}:
            return _table(data["inputs"], signature, arrays=arrays)
        if "data" in data and set(data) <= {"columns", "data", "index"}:
            return _frame(data.get("columns"), list(data["data"]), signature)
        if arrays or (data and all(isinstance(values, list) for values in data.values()) and _has_tensors(signature)):
            dtypes = {column.name: column.dtype for column in signature.inputs}
            columns = [_as_floats(values) if dtypes.get(name) in FLOATS else values for name, values in data.items()]
            return [dict(zip(data, row, strict=True)) for row in zip(*columns, strict=True)]
        return _records([data], signature)
    if not isinstance(data, list):
        data = [data]  # a single value is one row
    if not data:
        raise ValueError("it has no rows")
    if all(isinstance(row, dict) for row in data):
        return _records(data, signature)
    if arrays or any(isinstance(row, list) for row in data):
        return _array(data, signature)
    if all(isinstance(row, str) for row in data) and not any(column.name for column in signature.inputs):
        return data
    return _frame(None, [[row] for row in data], signature)


def _as_floats(values: Any) -> Any:
    """Return numbers, nested in lists, as floats: JSON writes whole ones without a point. A missing one becomes NaN."""
    if isinstance(values, list):
        return [_as_floats(value) for value in values]
    return float("nan") if values is None else float(values)


def _has_tensors(signature: MlflowSignature) -> bool:
    return any(column.mlflow_type.startswith("tensor") for column in signature.inputs)


def _records(rows: Sequence[Mapping[str, Any]], signature: MlflowSignature) -> Any:
    names = list(dict.fromkeys(str(key) for row in rows for key in row))
    return _frame(names, [[row.get(name) for name in names] for row in rows], signature)


def _array(data: list[Any], signature: MlflowSignature) -> Any:
    """Return the array of a list of rows, of the signature's dtype; a missing number becomes NaN."""
    import numpy as np

    dtype = signature.inputs[0].dtype if len(signature.inputs) == 1 else ""
    if dtype in ("string", "binary", "timestamp"):
        texts = np.array(data, dtype=object)
        return data if texts.ndim == 1 and dtype == "string" else texts
    objects = np.array(data, dtype=object)
    has_missing = bool((objects == None).any())  # noqa: E711 - compares every element
    numbers = np.array(np.where(objects == None, np.nan, objects) if has_missing else data)  # noqa: E711
    if numbers.dtype == object:
        numbers = numbers.astype(np.float64)
    return numbers.astype(dtype) if dtype and not (has_missing and dtype in _INTEGERS) else numbers


def _dense_matrix(data: Mapping[str, Any], kind: str) -> Any:
    """Return the array of a sparse matrix, which MLflow writes as SciPy's `indptr`, `indices` and `data`.

    Args:
        data: these three, and the `shape`.
        kind: ends in `csr` where rows are compressed, and otherwise columns are.
    """
    import numpy as np

    rows, columns = (int(size) for size in data["shape"])
    matrix = np.zeros((rows, columns))
    starts, indices, values = data["indptr"], data["indices"], data["data"]
    for major, (start, stop) in enumerate(pairwise(starts)):
        for minor, value in zip(indices[start:stop], values[start:stop], strict=True):
            matrix[(major, minor) if kind.endswith("csr") else (minor, major)] = np.nan if value is None else value
    return matrix


def _frame(names: Sequence[Any] | None, rows: list[Sequence[Any]], signature: MlflowSignature) -> Any:
    """Return the pandas frame of lists of values, each column of the signature's dtype."""
    import pyarrow as pa

    if not rows:
        raise ValueError("it has no rows")
    columns = list(zip(*rows, strict=True))
    labels = list(range(len(columns))) if names is None else [str(name) for name in names]
    by_name = {column.name: column for column in signature.inputs}
    by_position = list(signature.inputs) if names is None and len(signature.inputs) == len(columns) else []
    declared = [
        by_name.get(str(label)) or (by_position[index] if by_position else None) for index, label in enumerate(labels)
    ]
    arrays = [_column(values, column) for values, column in zip(columns, declared, strict=True)]
    table = pa.Table.from_arrays(arrays, names=[str(label) for label in labels])
    try:
        frame = table.to_pandas()
    except ModuleNotFoundError as error:
        raise MissingLibrary("pandas", extra="pandas", purpose="an input example of a frame") from error
    frame.columns = labels
    return frame


def _column(values: Sequence[Any], column: Column | None) -> Any:
    """Return the Arrow array of a column's values from JSON."""
    import pyarrow as pa

    dtype = column.dtype if column is not None else ""
    if dtype == "binary":
        return pa.array([None if value is None else _decode_base64(value) for value in values], type=pa.binary())
    if dtype in FLOATS and not any(isinstance(value, list) for value in values):
        # Python writes NaN in JSON, and MLflow writes a missing value of a frame as null.
        numbers = [None if value is None else float(value) for value in values]
        return pa.array(numbers, type=pa.float32() if dtype == "float32" else pa.float64())
    # pandas writes a missing text as NaN.
    return pa.array([None if isinstance(value, float) and math.isnan(value) else value for value in values])


def _decode_base64(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error
