"""Test whether the answer for a row depends on the rows that come along with it.

For most engines built on BLAS it does, in the last bits: another number of rows picks another kernel, which sums in
another order. The test predicts the same rows alone, whole, in slices of odd sizes, shuffled, repeated, and at every
offset of a block, and counts the rows whose bits changed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fourfold.errors import PackError, shorten
from fourfold.function import Function, as_rows, slice_rows, take_rows
from fourfold.packing.samples.edge_cases import cells_per_row
from fourfold.signature.bits import relative_gap, same_bits

__all__ = ["BLOCKS", "Finding", "best_finding", "find_block", "parse_block"]

#: The blocks to try where the answers depend on the call's size: the largest first, since every call costs time.
BLOCKS = (64, 32, 8)

#: At least so many rows, where there are as many, are predicted alone.
_MIN_ROWS_ALONE = 96
_SLICE_SIZES = (1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 32, 33, 63, 64, 65, 127)
#: The rows of one large call; fewer where they would have more cells than 160 MB of float64.
_LARGE_CALL_ROWS = 5_000
_LARGE_CALL_CELLS = 20_000_000
#: A fixed block is tested at every offset; where calls are free, slices of this size are.
_FREE_SLICE_ROWS = 32


def parse_block(block: object) -> tuple[int | None, ...]:
    """Return the blocks to try, in order, for the option `block` of `pack`; `None` is a call of any size.

    Args:
        block: `auto`, `free`, or the rows of every engine call.

    Raises:
        PackError: the option is none of these.
    """
    if block == "auto":
        return (None, *BLOCKS)
    if block == "free":
        return (None,)
    if not isinstance(block, int) or isinstance(block, bool) or not 1 <= block <= 65_536:
        raise PackError(
            f"expected block to be 'auto', 'free' or a number of rows from 1 to 65536; got {shorten(block)}"
        )
    return (block,)


@dataclass(frozen=True)
class Finding:
    """Hold the result of the test for one block.

    Attributes:
        block: the rows of every engine call, or `None` for calls of any size.
        rows: the number of different rows compared.
        differing: the number of rows that had other bits in at least one variation.
        largest_gap: the largest relative gap between two answers for one row.
        variation: the first variation that changed a bit, or `None`.
    """

    block: int | None
    rows: int
    differing: int
    largest_gap: float
    variation: str | None

    @property
    def invariant(self) -> bool:
        """Return whether no bit changed."""
        return self.differing == 0

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values, for the manifest."""
        return {
            "block": self.block,
            "rows": self.rows,
            "differing": self.differing,
            "largest_gap": self.largest_gap if self.largest_gap != float("inf") else "Infinity",
            "variation": self.variation,
        }


def find_block(
    function: Callable[[int | None], Function], table: Any, blocks: Sequence[int | None] = (None, *BLOCKS)
) -> list[Finding]:
    """Test one block after the other until one is invariant.

    Args:
        function: returns the engine as a function with a block.
        table: canonical inputs, a list of rows or a `RecordBatch`; the engine must accept every row.
        blocks: the blocks to try, in order; `None` is free.

    Returns:
        A finding for each block tried; only the last can be invariant.
    """
    findings: list[Finding] = []
    for block in blocks:
        findings.append(_test(function(block), table))
        if findings[-1].invariant:
            break
    return findings


def best_finding(findings: Sequence[Finding]) -> Finding:
    """Return the finding of the block that is invariant, or else of the one with the smallest gap."""
    return min(findings, key=lambda finding: (not finding.invariant, finding.largest_gap))


def _test(function: Function, table: Any) -> Finding:
    length = len(table)
    table = function.as_taken(table)
    reference = _answers(function, table)
    names = [field.name for field in function.signature.outputs]
    differing: set[int] = set()
    largest_gap, first_variation = 0.0, None
    for variation, order, answers in _variations(function, table):
        for row, got in zip(order, answers, strict=True):
            expected = reference[row]
            for name in names:
                if not same_bits(expected[name], got[name]):
                    differing.add(row)
                    largest_gap = max(largest_gap, relative_gap(expected[name], got[name]))
                    first_variation = first_variation or variation
    return Finding(function.block, length, len(differing), largest_gap, first_variation)


def _variations(function: Function, table: Any) -> Iterator[tuple[str, Sequence[int], list[dict[str, Any]]]]:
    """Yield every way to slice and order the table: its name, the rows in their new order, and their answers."""
    length = len(table)
    rows = range(length)
    alone = rows[:: max(1, length // _MIN_ROWS_ALONE)]
    yield "alone", alone, [answer for row in alone for answer in _answers(function, slice_rows(table, row, row + 1))]
    yield "slices", rows, _answers_in_slices(function, table, _SLICE_SIZES)
    for seed in (1, 2):
        order = list(rows)
        random.Random(seed).shuffle(order)
        shuffled = take_rows(table, order)
        yield f"shuffled, seed {seed}", order, _answers(function, shuffled)
        yield f"shuffled slices, seed {seed}", order, _answers_in_slices(function, shuffled, _SLICE_SIZES[seed:])
    large = max(length, min(_LARGE_CALL_ROWS, _LARGE_CALL_CELLS // cells_per_row(function.signature)))
    repeated = [index % length for index in range(large)]
    yield f"{large} rows", repeated, _answers(function, take_rows(table, repeated))
    width = function.block or _FREE_SLICE_ROWS
    for offset in range(1, width):
        order = [(index - offset) % length for index in range(min(length, 2 * width))]
        yield f"offset {offset}", order, _answers_in_slices(function, take_rows(table, order), (width,))


def _answers_in_slices(function: Function, table: Any, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Return the answers to a table that is predicted in slices of these sizes, in turn."""
    answers: list[dict[str, Any]] = []
    start = turn = 0
    while start < len(table):
        size = sizes[turn % len(sizes)]
        answers += _answers(function, slice_rows(table, start, start + size))
        start, turn = start + size, turn + 1
    return answers


def _answers(function: Function, table: Any) -> list[dict[str, Any]]:
    """Return the answers as rows, whatever the form of the table."""
    return as_rows(function.signature.outputs, function(table))
