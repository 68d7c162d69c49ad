"""The likely cause of a difference, told from which rows, doors and cuts have it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fourfold.signature import Signature
from fourfold.signature.bits import relative_gap, same_bits

__all__ = ["likely_cause"]

Row = Mapping[str, Any]

#: The differing rows that are asked again, alone: enough to tell, and quick.
ASKED = 20


def likely_cause(
    signature: Signature,
    inputs: Sequence[Row],
    expected: Sequence[Row],
    got: Sequence[Row | None],
    *,
    digest: str,
    digest_there: str | None,
    ask_alone: Callable[[int], Row],
) -> str:
    """Say in words why rows probably differ.

    Args:
        signature: the package's signature.
        inputs: the canonical rows that went in.
        expected: the answers they should have had.
        got: the answers they had; `None` where a row got none.
        digest: the digest of the package that gave `expected`.
        digest_there: the digest that the door says it runs, where it says so.
        ask_alone: gives the answer of the engine in this process to the row at that place, asked alone: it shows
            whether the batch moved the bits.
    """
    if digest_there is not None and digest_there != digest:
        return f"version: that door runs {digest_there[:19]}…, not {digest[:19]}…"
    if any(row is None for row in got):
        return f"refused: {sum(row is None for row in got)} rows came back without an answer"
    names = [field.name for field in signature.outputs]
    differing = [row for row in range(len(got)) if not _same(expected[row], got[row], names)]
    if sorted(map(_key, got)) == sorted(map(_key, expected)):
        return "order: the same answers came back in another order"
    asked = differing[:ASKED]
    if all(_same(ask_alone(row), got[row], names) for row in asked):
        return "batch shape: alone, these rows have the answers that came back; the engine's bits depend on the batch"
    missing = _missing_in_all(signature, [inputs[row] for row in differing], inputs)
    if missing:
        return f"missing value: every row that differs misses {missing}"
    gap = max(relative_gap(expected[row][name], got[row][name]) for row in differing for name in names)  # type: ignore[index]
    if gap <= 1e-12:
        return f"batch shape: the gap is {gap:.1e}, another order of summation"
    if gap <= 1e-5 and all(_is_single(got[row], names) for row in differing):
        return f"dtype: the answers came through float32 (gap {gap:.1e})"
    return f"unknown: the largest relative gap is {gap:.1e}"


def _same(left: Row, right: Row | None, names: Sequence[str]) -> bool:
    return right is not None and all(same_bits(left[name], right[name]) for name in names)


def _key(row: Row | None) -> str:
    return repr(row)


def _missing_in_all(signature: Signature, differing: Sequence[Row], everything: Sequence[Row]) -> str:
    """The first field that every differing row misses and not every row does."""
    for field in signature.inputs:
        if all(row[field.name] is None for row in differing) and any(row[field.name] is not None for row in everything):
            return field.name
    return ""


def _is_single(row: Row | None, names: Sequence[str]) -> bool:
    values = [row[name] for name in names if isinstance(row[name], float)] if row else []
    return bool(values) and all(struct.unpack("<f", struct.pack("<f", value))[0] == value for value in values)
