"""Turn a model's answers into arrays, output fields and record batches, and compare them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from fourfold.errors import EngineError, PackError, shorten
from fourfold.signature.columns import arrow_schema
from fourfold.signature.field import INTEGERS, TENSOR_DTYPES, Field

__all__ = ["answer_array", "class_names", "label_field", "output_field", "record_batch", "relative_gap"]

Array = np.ndarray[Any, Any]
#: The most columns of a sparse answer, which becomes dense: more zeros would fill the memory of the host that packs it.
_MAX_SPARSE_COLUMNS = 1 << 16


def answer_array(answer: Any) -> Array:
    """Return an answer as a NumPy array of shape `(rows, ...)`: sparse matrices become dense, and frames matrices.

    Raises:
        PackError: a sparse matrix has too many columns.
    """
    if hasattr(answer, "toarray"):
        if answer.shape[-1] > _MAX_SPARSE_COLUMNS:
            raise PackError(
                f"the model answers with a sparse matrix of {answer.shape[-1]:,} columns; a package answers with every "
                f"number of a row, at most {_MAX_SPARSE_COLUMNS:,} of them here. Pack it with the model that reads "
                "them in one pipeline, or make fewer (n_features, max_features)"
            )
        answer = answer.toarray()
    array: Array = np.asarray(answer)
    # No field has the dtype float16; float32 holds its values exactly.
    return array.astype(np.float32) if array.dtype == np.float16 else array


def output_field(name: str, answer: Array, rows: int, labels: tuple[str, ...] | None = None) -> Field:
    """Return the output field that an answer fills.

    Args:
        name: the field's name.
        answer: the answer, of shape `(rows,)` for a value a row, or `(rows, ...)` for a tensor a row.
        rows: the number of rows that the model was asked about.
        labels: a name for each element of a tensor of one dimension; ignored where their number differs.

    Raises:
        PackError: the answer has another number of rows, or a dtype that no field holds.
    """
    if answer.ndim == 0 or len(answer) != rows:
        raise PackError(f"output {shorten(name)}: expected one answer a row, {rows} in all; got shape {answer.shape}")
    dtype = _dtype(name, answer)
    shape = tuple(int(size) for size in answer.shape[1:])
    if shape and dtype not in TENSOR_DTYPES:
        raise PackError(f"output {shorten(name)}: a tensor holds numbers; got {answer.dtype} of shape {answer.shape}")
    has_labels = labels is not None and shape == (len(labels),)
    return Field(name, dtype, shape=shape, labels=labels if has_labels else None)


def _dtype(name: str, answer: Array) -> str:
    """Return the dtype of the field that an answer fills; raise `PackError` where no field holds it."""
    if answer.dtype.kind in "OUT":
        kinds = {_kind(value) for value in answer.ravel()}
        if len(kinds) == 1 and None not in kinds:
            return str(kinds.pop())
        if kinds == {"int64", "float64"}:
            return "float64"
    elif answer.dtype.name in TENSOR_DTYPES:
        return str(answer.dtype.name)
    raise PackError(
        f"output {shorten(name)}: expected numbers, booleans or strings of one kind; got {answer.dtype}: "
        f"{shorten(answer[:3])}"
    )


def _kind(value: object) -> str | None:
    """Return the dtype of the field that a Python value fills, `None` for any but booleans, numbers and strings."""
    kinds = (((bool, np.bool_), "bool"), ((int, np.integer), "int64"), ((float, np.floating), "float64"))
    for types, kind in (*kinds, ((str,), "string")):
        if isinstance(value, types):
            return kind
    return None


def class_names(classes: Iterable[Any]) -> tuple[str, ...]:
    """Return a classifier's classes as the labels of its probabilities, in the model's order."""
    return tuple(str(value) for value in classes)


def label_field(name: str, answer: Array, rows: int, classes: Sequence[Any]) -> Field:
    """Return the output field of a classifier's labels; its categories are the classes.

    Args:
        name: the field's name.
        answer: the labels, of shape `(rows,)`, or `(rows, classes)` where a row can have several.
        rows: the number of rows that the model was asked about.
        classes: the classes, in the model's order.

    Raises:
        PackError: see `output_field`.
    """
    field = output_field(name, answer, rows, class_names(classes))
    if field.shape or field.dtype not in ("string", *INTEGERS):
        return field
    categories = class_names(classes) if field.dtype == "string" else tuple(int(value) for value in classes)
    return Field(name, field.dtype, categories=categories)


def record_batch(fields: Sequence[Field], answers: Sequence[Array], rows: int) -> Any:
    """Return answers as a `pyarrow.RecordBatch` with exactly the Arrow schema of the output fields.

    Args:
        fields: the output fields.
        answers: an array for each field, of shape `(rows, *field.shape)`, of the field's dtype or one that casts to it
            without loss.
        rows: the number of rows that the model was asked about.

    Raises:
        EngineError: an answer has another shape or dtype than its field.
    """
    if len(fields) != len(answers):
        names = ", ".join(field.name for field in fields)
        raise EngineError(f"expected {len(fields)} outputs ({names}); got {len(answers)}")
    columns = [_column(field, answer, rows) for field, answer in zip(fields, answers, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema(fields))


def _column(field: Field, answer: Array, rows: int) -> Any:
    if rows == 1 and field.shape and answer.shape == field.shape:
        answer = answer[np.newaxis]  # scikit-learn's SparsePCA drops the dimension of rows where there is one row
    if answer.shape != (rows, *field.shape):
        raise EngineError(f"output {field.name}: expected shape {(rows, *field.shape)}; got {answer.shape}")
    if field.dtype == "string":
        return _strings(field, answer)
    if answer.dtype.name != field.dtype:
        answer = _cast(field, answer)
    # `pa.array` takes no value of an array for a null: NaN stays NaN.
    column = pa.array(np.ascontiguousarray(answer).reshape(-1))
    for size in reversed(field.shape):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


def _strings(field: Field, answer: Array) -> Any:
    try:
        return pa.array(answer.tolist(), type=pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise EngineError(f"output {field.name}: expected strings; got {answer.dtype}: {error}") from error


def _cast(field: Field, answer: Array) -> Array:
    if answer.dtype.kind == "O":
        kinds = {_kind(value) for value in answer.ravel()}
        fits = kinds <= ({"int64", "float64"} if field.dtype == "float64" else {field.dtype})
    else:
        fits = np.can_cast(answer.dtype, field.dtype, "safe")
    if not fits:
        raise EngineError(f"output {field.name}: expected {field.dtype}; got {answer.dtype}")
    return answer.astype(field.dtype)


def relative_gap(expected: Sequence[Array], actual: Sequence[Array]) -> float:
    """Return the largest relative gap between two lists of answers.

    Returns:
        0.0 where every bit is the same, the sign of zero included; all NaNs count as the same. Otherwise the largest
        difference of two floats, divided by the larger magnitude; infinity where anything but finite floats differs.
    """
    if len(expected) != len(actual):
        return float("inf")
    return max((_relative_gap(left, right) for left, right in zip(expected, actual, strict=True)), default=0.0)


def _are_nan(one: Any, other: Any) -> bool:
    # An array of objects may hold NaN between texts; two NaN objects are equal to nothing, themselves included.
    return isinstance(one, float) and isinstance(other, float) and one != one and other != other


def _relative_gap(left: Array, right: Array) -> float:
    # Strings of NumPy have a fixed width, which is no part of the answer.
    is_text = left.dtype.kind == right.dtype.kind == "U"
    if left.shape != right.shape or (left.dtype != right.dtype and not is_text):
        return float("inf")
    if left.dtype.kind != "f":
        pairs = zip(left.ravel().tolist(), right.ravel().tolist(), strict=True)
        is_equal = all(one is other or _are_nan(one, other) or one == other for one, other in pairs)
        return 0.0 if is_equal else float("inf")
    is_same = (left == right) & (np.signbit(left) == np.signbit(right)) | (np.isnan(left) & np.isnan(right))
    left, right = left[~is_same], right[~is_same]
    if not left.size:
        return 0.0
    scale = np.maximum(np.abs(left), np.abs(right))
    if not np.isfinite(scale).all():
        return float("inf")
    gaps = np.divide(np.abs(left - right), scale, out=np.zeros_like(scale), where=scale > 0)
    # Zeros of two signs have the gap 0, and yet differ: the smallest gap that counts is a tiny number.
    return max(float(gaps.max()), float(np.finfo(left.dtype).tiny))
