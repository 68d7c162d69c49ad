"""Answers of the engines: what fields they are, and the record batch that goes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from fourfold.errors import EngineError, PackError, shorten
from fourfold.signature.columns import arrow_schema
from fourfold.signature.field import CATEGORY_DTYPES, TENSOR_DTYPES, Field

__all__ = ["array", "class_names", "describe", "gap", "label", "record_batch"]

Array = np.ndarray[Any, Any]


#: The widest sparse answer that becomes dense: zeros of a wider one would fill the memory of whoever packs it.
_WIDEST = 1 << 16


def array(answer: Any) -> Array:
    """An answer as a NumPy array of shape `(rows, ...)`: sparse matrices become dense, and frames matrices.

    Raises:
        PackError: a sparse matrix is too wide to be an answer.
    """
    if hasattr(answer, "toarray"):
        if answer.shape[-1] > _WIDEST:
            raise PackError(
                f"the model answers with a sparse matrix of {answer.shape[-1]:,} columns; a package answers with every "
                f"number of a row, at most {_WIDEST:,} of them here. Pack it with the model that reads them in one "
                "pipeline, or make fewer (n_features, max_features)"
            )
        answer = answer.toarray()
    found: Array = np.asarray(answer)
    # Half floats have no dtype of their own here; a float32 holds each of them exactly.
    return found.astype(np.float32) if found.dtype == np.float16 else found


def describe(name: str, answer: Array, rows: int, labels: tuple[str, ...] | None = None) -> Field:
    """The output field that an answer to `rows` rows fills.

    Args:
        name: the field's name.
        answer: shape `(rows,)` for a value a row, `(rows, ...)` for a tensor.
        rows: how many rows were asked about.
        labels: a name for each element of a tensor of one dimension; left out where they do not fit.

    Raises:
        PackError: it has another number of rows, or a dtype that no field holds.
    """
    if answer.ndim == 0 or len(answer) != rows:
        raise PackError(f"output {shorten(name)}: expected one answer a row, {rows} in all; got shape {answer.shape}")
    dtype = _dtype(name, answer)
    shape = tuple(int(size) for size in answer.shape[1:])
    if shape and dtype not in TENSOR_DTYPES:
        raise PackError(f"output {shorten(name)}: a tensor holds numbers; got {answer.dtype} of shape {answer.shape}")
    fits = labels is not None and shape == (len(labels),)
    return Field(name, dtype, shape=shape, labels=labels if fits else None)


def _dtype(name: str, answer: Array) -> str:
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
    kinds = (((bool, np.bool_), "bool"), ((int, np.integer), "int64"), ((float, np.floating), "float64"))
    for types, kind in (*kinds, ((str,), "string")):
        if isinstance(value, types):
            return kind
    return None


def class_names(classes: Iterable[Any]) -> tuple[str, ...]:
    """A classifier's classes as the labels of its probabilities, in their order."""
    return tuple(str(each) for each in classes)


def label(name: str, answer: Array, rows: int, classes: Sequence[Any]) -> Field:
    """The output field of a classifier's labels, knowing the classes that they can be.

    Args:
        name: the field's name.
        answer: shape `(rows,)`, or `(rows, classes)` where a row can have many labels.
        rows: how many rows were asked about.
        classes: the classes, in the model's order.

    Raises:
        PackError: as `describe`.
    """
    field = describe(name, answer, rows, class_names(classes))
    if field.shape or field.dtype not in CATEGORY_DTYPES:
        return field
    known = class_names(classes) if field.dtype == "string" else tuple(int(each) for each in classes)
    return Field(name, field.dtype, categories=known)


def record_batch(fields: Sequence[Field], answers: Sequence[Array], rows: int) -> Any:
    """Answers as the `pyarrow.RecordBatch` of `fields`.

    Args:
        fields: the output fields.
        answers: an array for each field, of shape `(rows, *field.shape)` and of its dtype, or of one that fits in it.
        rows: how many rows were asked about.

    Raises:
        EngineError: an answer has another shape or dtype than its field.
    """
    if len(fields) != len(answers):
        raise EngineError(f"expected {len(fields)} outputs ({', '.join(f.name for f in fields)}); got {len(answers)}")
    columns = [_column(field, answer, rows) for field, answer in zip(fields, answers, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema(fields))


def _column(field: Field, answer: Array, rows: int) -> Any:
    if rows == 1 and field.shape and answer.shape == field.shape:
        answer = answer[np.newaxis]  # as scikit-learn's SparsePCA answers for one row
    if answer.shape != (rows, *field.shape):
        raise EngineError(f"output {field.name}: expected shape {(rows, *field.shape)}; got {answer.shape}")
    if field.dtype == "string":
        return _strings(field, answer)
    if answer.dtype.name != field.dtype:
        answer = _cast(field, answer)
    # Nulls are none of an array's business: NaN stays NaN.
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


def gap(expected: Sequence[Array], actual: Sequence[Array]) -> float:
    """How far answers are apart.

    Returns:
        0.0 where every bit is the same (signs of zero too; every NaN counts as the same), otherwise the largest
        difference as a share of the larger magnitude, and infinity where anything but finite floats differs.
    """
    if len(expected) != len(actual):
        return float("inf")
    return max((_gap(one, other) for one, other in zip(expected, actual, strict=True)), default=0.0)


def _gap(one: Array, other: Array) -> float:
    # NumPy's fixed width of text is no part of it.
    is_text = one.dtype.kind == other.dtype.kind == "U"
    if one.shape != other.shape or (one.dtype != other.dtype and not is_text):
        return float("inf")
    if one.dtype.kind != "f":
        return 0.0 if one.tolist() == other.tolist() else float("inf")
    same = (one == other) & (np.signbit(one) == np.signbit(other)) | (np.isnan(one) & np.isnan(other))
    left, right = one[~same], other[~same]
    if not left.size:
        return 0.0
    scale = np.maximum(np.abs(left), np.abs(right))
    if not np.isfinite(scale).all():
        return float("inf")
    # Zeros of two signs are as close as two values that differ can be.
    share = np.divide(np.abs(left - right), scale, out=np.zeros_like(scale), where=scale > 0)
    return max(float(share.max()), float(np.finfo(one.dtype).tiny))
