"""The invariance test finds engines whose answer for a row depends on the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest

from fourfold.function import Function
from fourfold.packing.engines.invariance import BLOCKS, best_finding, find_block
from fourfold.signature import Field, Signature

SIGNATURE = Signature((Field("x", "float64"),), (Field("y", "float64"),))
TABLE = [{"x": float(index)} for index in range(150)]


class _Engine:
    takes: Literal["rows", "columns"] = "rows"

    def __init__(self, answer: Callable[[list[float], int], float]) -> None:
        self._answer = answer

    def predict(self, table: Any) -> Any:
        xs = [row["x"] for row in table]
        return [{"y": self._answer(xs, index)} for index in range(len(xs))]


def _found(answer: Callable[[list[float], int], float]) -> list[tuple[int | None, bool]]:
    engine = _Engine(answer)
    found = find_block(lambda block: Function(SIGNATURE, engine, block), TABLE)
    return [(each.block, each.invariant) for each in found]


def test_a_function_of_the_row_alone_is_free() -> None:
    """An invariant engine is free: no block is tried."""
    assert _found(lambda xs, index: xs[index] * 3) == [(None, True)]


@pytest.mark.parametrize("size", [1, 8, 63, 64])
def test_an_engine_that_counts_its_rows_needs_a_block(size: int) -> None:
    """An answer that depends on the number of rows is invariant in a fixed block."""
    found = _found(lambda xs, index: xs[index] + (1e-9 if len(xs) > size else 0.0))
    assert found == [(None, False), (64, True)]


def test_an_engine_that_looks_at_neighbours_is_never_invariant() -> None:
    """An answer that depends on the other rows' values is no function of its row, in any block."""
    found = _found(lambda xs, index: xs[index] + 1e-12 * sum(xs))
    assert found == [(None, False), (64, False), (32, False), (8, False)]


def test_an_engine_that_knows_its_place_is_never_invariant() -> None:
    """An answer that depends on where in the block the row stands is found by the offsets."""
    found = _found(lambda xs, index: xs[index] + (1e-9 if index % 8 == 7 else 0.0))
    assert [invariant for _, invariant in found] == [False] * 4


def test_an_engine_with_a_memory_is_never_invariant() -> None:
    """An engine that answers the second call differently is never invariant."""
    calls = [0]

    def answer(xs: list[float], index: int) -> float:
        calls[0] += 1
        return xs[index] + calls[0]

    assert [invariant for _, invariant in _found(answer)] == [False] * 4


def test_a_block_that_moves_nothing_is_the_best() -> None:
    """A block that only changes the sign of a zero has no gap either, and is not invariant all the same."""
    engine = _Engine(lambda xs, _: -0.0 if len(xs) > BLOCKS[0] else 0.0)
    findings = find_block(lambda block: Function(SIGNATURE, engine, block), TABLE)
    assert [(finding.invariant, finding.largest_gap) for finding in findings] == [(False, 0.0), (True, 0.0)]
    assert best_finding(findings) is findings[-1]
