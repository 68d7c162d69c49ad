"""Compare engines with the original: on the sample, on every other packing row, and on rows of larger numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from fourfold.function import Function
from fourfold.packing.engines.column_comparison import ColumnAnswers, answer_columns, compare_columns
from fourfold.packing.engines.comparison import (
    Answers,
    Comparison,
    Scales,
    compare_answers,
    join_comparisons,
    output_scales,
    try_rows,
)
from fourfold.packing.samples.edge_cases import spread_indices
from fourfold.packing.samples.packing_rows import PackingRows
from fourfold.packing.samples.scaled_rows import FACTORS, scale_rows
from fourfold.signature import Signature
from fourfold.signature.columns import columns_to_rows, rows_to_columns

__all__ = ["Reference"]

Row = dict[str, Any]
#: The packing rows that are asked with larger numbers.
MAX_SCALED_ROWS = 1_024
#: So many of them are asked first. An engine that refuses most of these refuses the others too.
PROBED_ROWS = 16


class _Table(NamedTuple):
    """Hold a table, a `RecordBatch` of inputs, and the original's answers to it."""

    batch: Any
    answers: ColumnAnswers


class Reference:
    """Hold the original's answers to the rows that engines are compared on; each is asked when it is first needed.

    Args:
        signature: the signature of all engines.
        original: the original engine, in the block that it needs.
        rows: the packing rows.
    """

    def __init__(self, signature: Signature, original: Function, rows: PackingRows) -> None:
        self._signature = signature
        self._original = original
        self._rows = rows

    def compare_sample(self, function: Function, *, with_boundaries: bool) -> Comparison:
        """Return how an engine answers the sample and the edge cases; and the boundary rows, where they count."""
        rows = [*self._rows.plain, *self._rows.edge_cases, *(self._rows.boundaries if with_boundaries else ())]
        expected = self._plain + self._edge_cases + (self._boundaries if with_boundaries else [])
        comparison = compare_answers(self._signature, expected, try_rows(function, rows), self._scales)
        return comparison if comparison.largest is None else replace(comparison, example=rows[comparison.largest.row])

    def compare_others(self, function: Function) -> Comparison:
        """Return how an engine answers every packing row that is not in the sample."""
        return join_comparisons(self._compare_others(self._answer_others(function)))

    def _answer_others(self, function: Function) -> list[ColumnAnswers]:
        return [answer_columns(function, chunk) for chunk in self._rows.others.chunks()]

    def _compare_others(self, answers: Sequence[ColumnAnswers]) -> list[Comparison]:
        return [self._compare_table(table, got) for table, got in zip(self._others, answers, strict=True)]

    def compare_packing_rows(self, function: Function) -> Comparison:
        """Return how an engine answers the packing rows, those of the sample and the others."""
        return self._compare_packing_rows(try_rows(function, self._rows.plain), self._answer_others(function))

    def compare_blocks(self, other: Reference) -> Comparison:
        """Return how the original answers the packing rows in other blocks; in the same blocks it is the same call."""
        if other is self:
            counts = [len(self._rows.plain), *(chunk.num_rows for chunk in self._rows.others.chunks())]
            return Comparison(sum(counts), 0, {}, None)
        return self._compare_packing_rows(other._plain, [table.answers for table in other._others])

    def _compare_packing_rows(self, plain: Answers, others: Sequence[ColumnAnswers]) -> Comparison:
        sample = compare_answers(self._signature, self._plain, plain, self._scales)
        return join_comparisons([sample, *self._compare_others(others)])

    def compare_scaled(self, function: Function) -> dict[int, Comparison]:
        """Return how an engine answers packing rows whose numbers are multiplied, by the factor.

        A factor is missing where no number can be multiplied, or where the original refuses such rows.
        """
        return {
            factor: self._compare_table(table, answer_columns(function, table.batch))
            for factor, table in self._scaled.items()
        }

    def _compare_table(self, table: _Table, got: ColumnAnswers) -> Comparison:
        comparison = compare_columns(self._signature, table.answers, got, self._scales)
        if comparison.largest is None:
            return comparison
        (example,) = columns_to_rows(self._signature.inputs, table.batch.slice(comparison.largest.row, 1))
        return replace(comparison, example=example)

    @cached_property
    def _plain(self) -> Answers:
        return try_rows(self._original, self._rows.plain)

    @cached_property
    def _edge_cases(self) -> Answers:
        return try_rows(self._original, self._rows.edge_cases)

    @cached_property
    def _boundaries(self) -> Answers:
        return try_rows(self._original, self._rows.boundaries)

    @cached_property
    def _scales(self) -> Scales:
        return output_scales(self._signature, self._plain)

    @cached_property
    def _others(self) -> Sequence[_Table]:
        return [_Table(chunk, answer_columns(self._original, chunk)) for chunk in self._rows.others.chunks()]

    @cached_property
    def _scaled(self) -> dict[int, _Table]:
        tables = {factor: self._scale(factor) for factor in FACTORS}
        return {factor: table for factor, table in tables.items() if table is not None}

    def _scale(self, factor: int) -> _Table | None:
        """Return rows whose numbers are multiplied: integers too, unless the original refuses such rows."""
        for integers in (True, False):
            batch = scale_rows(self._signature, self._scaled_sample, factor, integers=integers)
            probe = batch.slice(0, PROBED_ROWS)
            answered = len(answer_columns(self._original, probe).kept)
            if answered > len(probe) // 2 and not batch.equals(self._scaled_sample):
                return _Table(batch, answer_columns(self._original, batch))
        return None

    @cached_property
    def _scaled_sample(self) -> Any:
        batches = [rows_to_columns(self._signature.inputs, self._rows.plain), *self._rows.others.chunks()]
        schema = batches[0].schema
        table = pa.Table.from_batches([pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in batches])
        sampled = table.take(spread_indices(table.num_rows, MAX_SCALED_ROWS)).combine_chunks()
        return pa.RecordBatch.from_arrays([column.chunk(0) for column in sampled.columns], schema=schema)
