"""Find rows on a model's decision boundaries, where the last bit of a sum decides about the whole answer.

A classifier that answers with labels alone hides the last bits of its sums, and so does a tree behind a matrix product,
until a row lies so close to a boundary that these bits decide. Packing rows hardly ever do: an engine whose sums depend
on the other rows of a call would pass the invariance test.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from fourfold.errors import EngineError
from fourfold.function import Function, as_rows, take_rows
from fourfold.signature import Field
from fourfold.signature.columns import columns_to_rows, rows_to_columns
from fourfold.signature.field import FLOATS

__all__ = ["boundary_rows"]

#: The pairs of rows between which boundaries are searched.
_PAIRS = 256
#: The pairs with different answers that are followed to the boundary.
_MAX_FOLLOWED_PAIRS = 32
#: After so many halvings two float64 between 0 and 1 have no other between them.
_HALVINGS = 54

Row = dict[str, Any]
Array = np.ndarray[Any, Any]


def boundary_rows(function: Function, rows: Sequence[Row]) -> list[Row]:
    """Return rows on both sides of the steps in a model's answers, as close to them as floats can be.

    Args:
        function: the original engine as a function.
        rows: canonical packing rows, which the engine accepts.

    Returns:
        Canonical rows; none where no input is a float, or where every row has the same answer.
    """
    inputs, outputs = function.signature.inputs, function.signature.outputs
    if not any(_is_moved(field) for field in inputs):
        return []
    batch = rows_to_columns(inputs, rows)
    answers = as_rows(outputs, function(batch))
    names = [field.name for field in outputs]
    # Labels have steps, probabilities have none. A deep tree has as many values as rows: then all outputs count.
    names = [name for name in names if _has_few_values([row[name] for row in answers])] or names

    def answers_of(asked: Any) -> list[str]:
        return [repr([row[name] for name in names]) for row in as_rows(outputs, function(asked))]

    generator = random.Random(1)
    lefts = [generator.choice(range(len(rows))) for _ in range(_PAIRS)]
    rights = [generator.choice(range(len(rows))) for _ in range(_PAIRS)]
    try:
        stepped = _bisect(inputs, take_rows(batch, lefts), take_rows(batch, rights), answers_of)
    except EngineError:
        # The model refuses a row between two that it accepts: its domain has holes, so a search in it proves nothing.
        return []
    return columns_to_rows(inputs, stepped)


def _bisect(inputs: Sequence[Field], lefts: Any, rights: Any, answers_of: Callable[[Any], list[str]]) -> Any:
    """Bisect the way from left rows to right rows that have other answers, all pairs in one call.

    Args:
        inputs: the fields of the rows.
        lefts: a batch of the left row of each pair.
        rights: a batch of the right rows.
        answers_of: returns the answers to a batch, each as a text.

    Returns:
        A batch of the last rows before the steps and of the first rows after them.
    """
    left_answers, right_answers = answers_of(lefts), answers_of(_Ways(inputs, lefts, rights).rows_at(np.ones(_PAIRS)))
    followed = [index for index in range(_PAIRS) if left_answers[index] != right_answers[index]]
    followed = followed[:_MAX_FOLLOWED_PAIRS]
    if not followed:
        return lefts.slice(0, 0)
    ways = _Ways(inputs, take_rows(lefts, followed), take_rows(rights, followed))
    before, after = np.zeros(len(followed)), np.ones(len(followed))
    for _ in range(_HALVINGS):
        middle = (before + after) / 2
        answers = answers_of(ways.rows_at(middle))
        is_before = np.array([answer == left_answers[index] for index, answer in zip(followed, answers, strict=True)])
        before, after = np.where(is_before, middle, before), np.where(is_before, after, middle)
    return pa.concat_batches([ways.rows_at(before), ways.rows_at(after)])


def _has_few_values(values: Sequence[Any]) -> bool:
    return len(set(map(repr, values))) <= len(values) // 2


def _is_moved(field: Field) -> bool:
    return field.dtype in FLOATS and field.categories is None


class _Ways:
    """Hold pairs of rows, and give the rows between them: with the left row's values, but for the floats.

    The floats of all columns of a dtype and shape are moved at once: a wide table has thousands of them.

    Args:
        inputs: the fields of the rows.
        lefts: a batch of the left row of each pair.
        rights: a batch of the right rows.
    """

    def __init__(self, inputs: Sequence[Field], lefts: Any, rights: Any) -> None:
        self._lefts = lefts
        groups: dict[tuple[str, tuple[int, ...]], list[int]] = {}
        for index, field in enumerate(inputs):
            if _is_moved(field):
                groups.setdefault((field.dtype, field.shape), []).append(index)
        #: The indices of the columns, and the elements of the left and of the right rows, of shape (columns, pairs, n).
        self._groups = [
            (indices, _stack([lefts.column(index) for index in indices]), _stack([rights.column(i) for i in indices]))
            for indices in groups.values()
        ]

    def rows_at(self, fractions: Array) -> Any:
        """Return a batch of the rows that lie these fractions of the way from their left to their right rows.

        A float stays as it is on the left where it is missing on a side, or where the number between is not finite.
        """
        columns = list(self._lefts.columns)
        for indices, left, right in self._groups:
            with np.errstate(all="ignore"):
                between = left + (right - left) * fractions[:, np.newaxis]
            moved = np.where(np.isfinite(between), between, left)
            for index, elements in zip(indices, moved, strict=True):
                columns[index] = _column_of(elements, columns[index])
        return pa.RecordBatch.from_arrays(columns, schema=self._lefts.schema)


def _stack(columns: Sequence[Any]) -> Array:
    """Return the elements of columns of one type as float64, of shape (columns, rows, n); NaN where one is missing."""
    return np.stack([_elements(column) for column in columns]).astype(np.float64)


def _elements(column: Any) -> Array:
    """Return the elements of a column of scalars or tensors, of shape (rows, n)."""
    rows, elements = len(column), column
    while pa.types.is_fixed_size_list(elements.type):
        # Not `flatten`: it drops the lists that are null.
        size = elements.type.list_size
        elements = elements.values.slice(elements.offset * size, len(elements) * size)
    values: Array = elements.to_numpy(zero_copy_only=False).reshape(rows, -1)
    return values


def _column_of(elements: Array, like: Any) -> Any:
    """Return elements of shape (rows, n) as a column, with the type and the missing values of another."""
    sizes: list[int] = []
    data_type = like.type
    while pa.types.is_fixed_size_list(data_type):
        sizes.append(data_type.list_size)
        data_type = data_type.value_type
    mask = like.is_null() if like.null_count else None
    values = elements.reshape(-1).astype(data_type.to_pandas_dtype())
    if not sizes:
        return pa.array(values, mask=None if mask is None else mask.to_numpy(zero_copy_only=False))
    column = pa.array(values)
    for size in reversed(sizes[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return pa.FixedSizeListArray.from_arrays(column, sizes[0], mask=mask)
