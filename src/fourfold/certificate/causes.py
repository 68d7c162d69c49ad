"""Guess the cause of a difference from the rows, doors and batchings that have it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fourfold.signature import Signature
from fourfold.signature.bits import relative_gap, same_bits

__all__ = ["likely_cause"]

Row = Mapping[str, Any]

#: The most differing rows that are predicted again one by one: enough to tell, and quick.
MAX_ROWS_ASKED_ALONE = 20


def likely_cause(
    signature: Signature,
    inputs: Sequence[Row],
    expected: Sequence[Row],
    got: Sequence[Row | None],
    *,
    digest: str,
    door_digest: str | None,
    ask_alone: Callable[[int], Row],
) -> str:
    """Return in words why rows probably differ.

    Args:
        signature: the package's signature.
        inputs: the canonical rows that were sent.
        expected: the answers that they should have had.
        got: the answers that they had; `None` where a row had none.
        digest: the digest of the package that gave `expected`.
        door_digest: the digest of the package that the door runs, where the door tells it.
        ask_alone: returns the answer of this process's engine to the input row with that index, predicted alone: it
            shows whether the bits depend on the batch.
    """
    if door_digest is not None and door_digest != digest:
        return f"version: that door runs {door_digest[:19]}…, not {digest[:19]}…"
    if any(row is None for row in got):
        return f"refused: {sum(row is None for row in got)} rows came back without an answer"
    names = [field.name for field in signature.outputs]
    differing = [row for row in range(len(got)) if not _same(expected[row], got[row], names)]
    if sorted(map(_sort_key, got)) == sorted(map(_sort_key, expected)):
        return "order: the same answers came back in another order"
    asked_alone = differing[:MAX_ROWS_ASKED_ALONE]
    if all(_same(ask_alone(row), got[row], names) for row in asked_alone):
        return "batch shape: alone, these rows have the answers that came back; the engine's bits depend on the batch"
    missing = _field_missing_in_all(signature, [inputs[row] for row in differing], inputs)
    if missing:
        return f"missing value: {missing} is missing in every row that differs"
    gap = max(relative_gap(expected[row][name], got[row][name]) for row in differing for name in names)  # type: ignore[index]
    if gap <= 1e-12:
        return f"batch shape: the gap is {gap:.1e}, another order of summation"
    if gap <= 1e-5 and all(_is_float32(got[row], names) for row in differing):
        return f"dtype: the answers came through float32 (gap {gap:.1e})"
    return f"unknown: the largest relative gap is {gap:.1e}"


def _same(left: Row, right: Row | None, names: Sequence[str]) -> bool:
    return right is not None and all(same_bits(left[name], right[name]) for name in names)


def _sort_key(row: Row | None) -> str:
    return repr(row)


def _field_missing_in_all(signature: Signature, differing: Sequence[Row], all_rows: Sequence[Row]) -> str:
    """Return the first field that is missing in every differing row, but not in every row; `""` if there is none."""
    for field in signature.inputs:
        if all(row[field.name] is None for row in differing) and any(row[field.name] is not None for row in all_rows):
            return field.name
    return ""


def _is_float32(row: Row | None, names: Sequence[str]) -> bool:
    values = [row[name] for name in names if isinstance(row[name], float)] if row else []
    return bool(values) and all(struct.unpack("<f", struct.pack("<f", value))[0] == value for value in values)
