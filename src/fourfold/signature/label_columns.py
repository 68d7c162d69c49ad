"""Write outputs with labels as one column for each label, and join such columns again.

Frames, CSV and SQL hold no arrays, or only ones that nobody can filter by. There an output `probability` with the
labels `no` and `yes` is two columns, `probability_no` and `probability_yes`. They are named and filled here only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Any

from fourfold.errors import DecodeError, SignatureError, shorten
from fourfold.signature.field import Field

__all__ = ["LabelColumns", "elements"]

#: The most values that are put into the order of the columns at once, which takes an index of 8 bytes for each.
MAX_VALUES_AT_ONCE = 1 << 20


class LabelColumns:
    """Split each output that has labels into a column for each of them: `<output>_<label>`.

    An output keeps its array where one of these names is not its own: it is the name of another output, or two labels
    (of one output or of two) give it, or no column can have it.

    Args:
        outputs: the signature's outputs.

    Attributes:
        pairs: the outputs, each with the fields of its columns; with none where it is not split.
        fields: the fields of all columns: an output that is not split is one of them, in its place.
    """

    def __init__(self, outputs: Sequence[Field]) -> None:
        self.pairs = tuple(zip(outputs, _columns(outputs), strict=True))
        self.fields = tuple(chain.from_iterable(columns or (field,) for field, columns in self.pairs))
        self._splits = any(columns for _, columns in self.pairs)

    @cached_property
    def _schema(self) -> Any:
        from fourfold.signature.columns import arrow_schema  # pyarrow: rows need none

        return arrow_schema(self.fields)

    def split(self, table: Any) -> Any:
        """Return canonical outputs as a table of `fields`: rows for rows, a `RecordBatch` for a `RecordBatch`.

        A missing array is a missing value in each of its columns.
        """
        if not self._splits:
            return table
        if isinstance(table, list):
            return [self._split_row(row) for row in table]
        import pyarrow as pa

        arrays: list[Any] = []
        for field, columns in self.pairs:
            array = table.column(field.name)
            arrays += elements(array, len(columns)) if columns else [array]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _split_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        split: dict[str, Any] = {}
        for field, columns in self.pairs:
            value = row[field.name]
            if not columns:
                split[field.name] = value
            else:
                values = [None] * len(columns) if value is None else value
                split.update(zip([column.name for column in columns], values, strict=True))
        return split

    def join(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return canonical rows of `fields` as canonical rows of the outputs.

        Raises:
            DecodeError: some of an output's columns miss a value in a row, and others have one.
        """
        if not self._splits:
            return [dict(row) for row in rows]
        return [self._join_row(number, row) for number, row in enumerate(rows)]

    def _join_row(self, number: int, row: Mapping[str, Any]) -> dict[str, Any]:
        joined: dict[str, Any] = {}
        for field, columns in self.pairs:
            if not columns:
                joined[field.name] = row[field.name]
                continue
            values = [row[column.name] for column in columns]
            missing = [column.name for column, value in zip(columns, values, strict=True) if value is None]
            if 0 < len(missing) < len(columns):
                problem = f"no value of {shorten(missing[0])} beside values of other labels"
                raise DecodeError(f"row {number}: expected a value for every label of {shorten(field.name)}; {problem}")
            joined[field.name] = None if missing else values
        return joined


def _columns(outputs: Sequence[Field]) -> list[tuple[Field, ...]]:
    """Return for each output the fields of its columns; none where it has no labels or keeps its array."""
    candidates = [_label_fields(field) for field in outputs]
    names = Counter(field.name for field in chain(outputs, *candidates))
    return [columns if all(names[column.name] == 1 for column in columns) else () for columns in candidates]


def _label_fields(field: Field) -> tuple[Field, ...]:
    """Return a field for each label of an output; none where no column can have one of the names."""
    try:
        return tuple(
            replace(field, name=f"{field.name}_{label}", shape=(), labels=None) for label in field.labels or ()
        )
    except SignatureError:  # a label with a NUL, say, at which Arrow's names end
        return ()


def elements(array: Any, size: int) -> list[Any]:
    """Return the elements of fixed-size lists as arrays: the first of each list, the second of each, and so on."""
    import pyarrow as pa
    import pyarrow.compute as pc

    length = len(array)
    # Not `flatten`: it drops null lists, which would shift all lists after them.
    values = array.values.slice(array.offset * size, length * size)
    if length > 1 and length * size > MAX_VALUES_AT_ONCE:
        columns = [values.take(pa.arange(start, length * size, size)) for start in range(size)]
    else:
        if length > 1 and size > 1:  # otherwise the values are in the order of the columns already
            values = values.take(pa.concat_arrays([pa.arange(start, length * size, size) for start in range(size)]))
        columns = [values.slice(start * length, length) for start in range(size)]
    if not array.null_count:
        return columns
    is_present = array.is_valid()
    return [pc.if_else(is_present, column, None) for column in columns]
