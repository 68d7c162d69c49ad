"""Compare an engine with the original on many rows: the same comparison as `comparison`, a column at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fourfold.errors import EngineError
from fourfold.function import Function
from fourfold.packing.engines.comparison import RELATIVE_ULP, Comparison, Scales
from fourfold.signature import Field, Signature
from fourfold.signature.bits import Difference
from fourfold.signature.columns import arrow_schema, columns_to_rows

__all__ = ["ColumnAnswers", "answer_columns", "compare_columns"]


@dataclass(frozen=True)
class ColumnAnswers:
    """Hold the answers to a table.

    Attributes:
        outputs: the answers, a `RecordBatch`.
        kept: for each answer the index of its row, ascending, of int64.
        count: the number of rows that were asked.
    """

    outputs: Any
    kept: np.ndarray[Any, Any]
    count: int


class _Distances(NamedTuple):
    """Hold how far two columns of answers are apart.

    Attributes:
        differs: for each row, whether any bit differs.
        ulps: for each row, the largest distance of two elements, in units in the last place of the column's dtype.
    """

    differs: Any
    ulps: Any


def answer_columns(function: Function, batch: Any) -> ColumnAnswers:
    """Return the answers to the rows of a `RecordBatch` that the engine does not refuse: found by halving."""
    pieces: list[Any] = []
    kept: list[np.ndarray[Any, Any]] = []
    stack = [(0, batch.num_rows)]
    while stack:
        start, stop = stack.pop()
        if start == stop:
            continue
        try:
            pieces.append(function(batch.slice(start, stop - start)))
            kept.append(np.arange(start, stop))
        except EngineError:
            if stop - start > 1:
                middle = (start + stop) // 2
                stack += [(middle, stop), (start, middle)]  # the first half is popped first
    if not pieces:
        empty = pa.RecordBatch.from_pylist([], schema=arrow_schema(function.signature.outputs))
        return ColumnAnswers(empty, np.empty(0, np.int64), batch.num_rows)
    return ColumnAnswers(pa.concat_batches(pieces), np.concatenate(kept), batch.num_rows)


def compare_columns(signature: Signature, expected: ColumnAnswers, got: ColumnAnswers, scales: Scales) -> Comparison:
    """Compare the answers of two engines to the same table.

    Args:
        signature: the signature of both.
        expected: the original's answers.
        got: the other engine's answers.
        scales: as `comparison.output_scales` gives them for the original's answers to plain rows.
    """
    refused = np.setxor1d(expected.kept, got.kept, assume_unique=True)
    common = np.intersect1d(expected.kept, got.kept, assume_unique=True)
    left, right = _rows_of(expected, common), _rows_of(got, common)
    differs = np.zeros(len(common), bool)
    ulps: dict[str, float] = {}
    largest: Difference | None = None
    largest_ulps = 0.0
    if len(refused):
        ulps["refusal"] = largest_ulps = math.inf
        row = int(refused[0])
        largest = Difference(row, "", _shown(signature, expected, row), _shown(signature, got, row))
    for index, field in enumerate(signature.outputs):
        distances = _distances(field, left.column(index), right.column(index), scales)
        differs |= distances.differs
        if not distances.differs.any():
            continue
        worst = int(distances.ulps.argmax())
        ulps[field.dtype] = max(ulps.get(field.dtype, 0.0), float(distances.ulps[worst]))
        if distances.ulps[worst] > largest_ulps:
            largest_ulps = float(distances.ulps[worst])
            values = (_value(field, batch.column(index), worst) for batch in (left, right))
            largest = Difference(int(common[worst]), field.name, *values)
    return Comparison(expected.count, int(differs.sum()) + len(refused), ulps, largest)


def _rows_of(answers: ColumnAnswers, rows: np.ndarray[Any, Any]) -> Any:
    """Return the answers to these rows, which were all answered."""
    if len(rows) == len(answers.kept):
        return answers.outputs
    return answers.outputs.take(pa.array(np.searchsorted(answers.kept, rows)))


def _shown(signature: Signature, answers: ColumnAnswers, row: int) -> Any:
    position = int(np.searchsorted(answers.kept, row))
    if position == len(answers.kept) or answers.kept[position] != row:
        return "a refusal"
    return columns_to_rows(signature.outputs, answers.outputs.slice(position, 1))[0]


def _value(field: Field, column: Any, row: int) -> Any:
    schema = arrow_schema([field])
    return columns_to_rows([field], pa.RecordBatch.from_arrays([column.slice(row, 1)], schema=schema))[0][field.name]


def _distances(field: Field, left: Any, right: Any, scales: Scales) -> _Distances:
    rows, size = len(left), math.prod(field.shape)
    left, right = _elements(left), _elements(right)
    if field.dtype in RELATIVE_ULP:
        element_scales = np.tile(np.array(scales.get(field.name) or [0.0] * size, np.float64), rows)
        differs, ulps = _float_distances(field.dtype, left, right, element_scales)
    else:
        is_same = pc.fill_null(pc.equal(left, right), False)
        is_same = pc.or_(is_same, pc.and_(left.is_null(), right.is_null()))
        differs = pc.invert(is_same).to_numpy(zero_copy_only=False)
        ulps = np.where(differs, math.inf, 0.0)
    by_row = (rows, size)
    return _Distances(differs.reshape(by_row).any(axis=1), ulps.reshape(by_row).max(axis=1, initial=0.0))


def _elements(column: Any) -> Any:
    """Return the elements of a column of scalars or tensors in one array."""
    while pa.types.is_fixed_size_list(column.type):
        column = column.flatten()
    return column


def _float_distances(
    dtype: str, left: Any, right: Any, scales: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return which elements have other bits, and their distances in units in the last place."""
    missing = left.is_null().to_numpy(zero_copy_only=False) != right.is_null().to_numpy(zero_copy_only=False)
    a, b = (np.ascontiguousarray(array.to_numpy(zero_copy_only=False)) for array in (left, right))
    bits = np.uint32 if dtype == "float32" else np.uint64
    differs = (a.view(bits) != b.view(bits)) & ~(np.isnan(a) & np.isnan(b)) | missing
    ulps = np.zeros(len(a))
    where = np.flatnonzero(differs)
    x, y = a[where].astype(np.float64), b[where].astype(np.float64)
    with np.errstate(all="ignore"):
        size = np.maximum(np.maximum(np.abs(x), np.abs(y)), scales[where])
        gaps = np.where(size > 0, np.abs(x - y) / size, 0.0)
    # Zeros of two signs differ, by less than any other two values.
    gaps = np.maximum(gaps / RELATIVE_ULP[dtype], 2.0**-60)
    ulps[where] = np.where(np.isfinite(x) & np.isfinite(y) & ~missing[where], gaps, math.inf)
    return differs, ulps
