"""The invariance test: does the answer for a row depend on the rows that come along with it?

For most engines built on BLAS it does, in the last bits: another number of rows picks another kernel, which sums in
another order. The test predicts the same rows alone, whole, in slices of odd sizes, shuffled, repeated, and at every
offset of a block, and counts the rows whose bits moved.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fourfold.errors import PackError, shorten
from fourfold.function import Function, slice_rows, take_rows
from fourfold.packing.samples.edge_cases import cells
from fourfold.signature.bits import relative_gap, same_bits

__all__ = ["BLOCKS", "Finding", "best", "blocks_of", "find_block"]

#: The blocks tried where the answers are not free of it: the largest first, since bulk work pays for every call.
BLOCKS = (64, 32, 8)

_ALONE = 96
_SLICES = (1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 32, 33, 63, 64, 65, 127)
_LARGE = 5_000
#: The cells that so many rows may have: 160 MB of float64.
_LARGE_CELLS = 20_000_000
_OFFSETS = 32


def blocks_of(block: object) -> tuple[int | None, ...]:
    """The blocks to try for what a packer asks for: `auto`, `free`, or the rows of every engine call.

    Raises:
        PackError: it is none of these.
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
    """What the test found for one block.

    Attributes:
        block: the rows of every engine call, or `None` for calls of any size.
        rows: how many different rows were compared.
        differing: how many of them had other bits in at least one variation.
        largest_gap: the largest relative gap between two answers for one row.
        variation: the first variation that moved a bit, or `None`.
    """

    block: int | None
    rows: int
    differing: int
    largest_gap: float
    variation: str | None

    @property
    def invariant(self) -> bool:
        """Whether no bit moved."""
        return self.differing == 0

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
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
        function: gives the package's function with a block.
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


def best(findings: Sequence[Finding]) -> Finding:
    """The finding of the block that is invariant, or else of the one with the smallest gap."""
    return min(findings, key=lambda each: (not each.invariant, each.largest_gap))


def _test(function: Function, table: Any) -> Finding:
    length = len(table)
    reference = _rows(function, table)
    names = [field.name for field in function.signature.outputs]
    differing: set[int] = set()
    largest, first = 0.0, None
    for variation, order, outputs in _variations(function, table):
        for row, got in zip(order, outputs, strict=True):
            expected = reference[row]
            for name in names:
                if not same_bits(expected[name], got[name]):
                    differing.add(row)
                    largest = max(largest, relative_gap(expected[name], got[name]))
                    first = first or variation
    return Finding(function.block, length, len(differing), largest, first)


def _variations(function: Function, table: Any) -> Iterator[tuple[str, Sequence[int], list[dict[str, Any]]]]:
    """Name, the row that each output belongs to, and the outputs, of every way to cut and order the table."""
    length = len(table)
    everything = range(length)
    step = max(1, length // _ALONE)
    alone = everything[::step]
    yield "alone", alone, [row for index in alone for row in _rows(function, slice_rows(table, index, index + 1))]
    yield "slices", everything, _sliced(function, table, _SLICES)
    for seed in (1, 2):
        order = list(everything)
        random.Random(seed).shuffle(order)
        yield f"shuffled, seed {seed}", order, _rows(function, take_rows(table, order))
        yield f"shuffled slices, seed {seed}", order, _sliced(function, take_rows(table, order), _SLICES[seed:])
    large = max(length, min(_LARGE, _LARGE_CELLS // cells(function.signature)))
    many = [index % length for index in range(large)]
    yield f"{large} rows", many, _rows(function, take_rows(table, many))
    # A fixed block is met at every offset; where calls are free, a slice of 32 stands in for it.
    width = function.block or _OFFSETS
    for offset in range(1, width):
        order = [(index - offset) % length for index in range(min(length, 2 * width))]
        yield f"offset {offset}", order, _sliced(function, take_rows(table, order), (width,))


def _sliced(function: Function, table: Any, sizes: Sequence[int]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    start = turn = 0
    while start < len(table):
        size = sizes[turn % len(sizes)]
        out += _rows(function, slice_rows(table, start, start + size))
        start, turn = start + size, turn + 1
    return out


def _rows(function: Function, table: Any) -> list[dict[str, Any]]:
    outputs = function(table)
    if isinstance(outputs, list):
        return outputs
    from fourfold.signature.columns import columns_to_rows

    return columns_to_rows(function.signature.outputs, outputs)
