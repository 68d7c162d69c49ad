"""Proof that an engine answers what another one answers: the same rows through both, compared to the bit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fourfold.errors import EngineError
from fourfold.function import Function, slice_rows
from fourfold.signature import Field, Signature
from fourfold.signature.bits import Difference, same_bits

__all__ = ["Answers", "Proof", "answered_rows", "answers_of", "prove", "scales_of"]

Row = dict[str, Any]
#: The answer for each row; `None` for one that the engine refuses.
Answers = list[Row | None]
#: What one unit in the last place is, as a share of a number.
_ULP = {"float32": 2.0**-23, "float64": 2.0**-52}


@dataclass(frozen=True)
class Proof:
    """How far an engine's answers are from the original's.

    Attributes:
        rows: how many rows were compared.
        differing: how many of them have other bits, or an answer from one engine only.
        ulps: for each dtype of outputs that differ, the largest distance of two values in units in the last place: of
            the larger of the two, or of what the output is usually as large as where both are smaller (what is left of
            two numbers that nearly cancel has few right digits in any engine). Infinite where anything but finite
            floats differs.
        first: the first of the largest differences, which decides.
    """

    rows: int
    differing: int
    ulps: dict[str, float]
    first: Difference | None

    @property
    def exact(self) -> bool:
        """Whether every row has the same bits."""
        return not self.differing

    @property
    def ulp(self) -> float:
        """The largest distance, in units in the last place of its own dtype."""
        return max(self.ulps.values(), default=0.0)

    @property
    def gap(self) -> float:
        """The largest distance, as a share."""
        return max((apart * _ULP.get(dtype, 1.0) for dtype, apart in self.ulps.items()), default=0.0)


def answers_of(function: Function, rows: Sequence[Row]) -> Answers:
    """The answer for every row, `None` where the engine refuses it: found by halving."""
    out: Answers = [None] * len(rows)
    stack = [(0, len(rows))]
    while stack:
        start, stop = stack.pop()
        if start == stop:
            continue
        try:
            out[start:stop] = function(slice_rows(list(rows), start, stop))
        except EngineError:
            if stop - start > 1:
                middle = (start + stop) // 2
                stack += [(start, middle), (middle, stop)]
    return out


def answered_rows(function: Function, rows: Sequence[Row]) -> list[Row]:
    """Return the rows that the engine answers: it may refuse an infinity, say, and rightly."""
    answers = answers_of(function, rows)
    return [row for row, answer in zip(rows, answers, strict=True) if answer is not None]


def scales_of(signature: Signature, answers: Sequence[Row | None]) -> dict[str, list[float]]:
    """How large each element of each output of floats is among answers: its largest finite magnitude."""
    out = {}
    for field in signature.outputs:
        if field.dtype in _ULP:
            rows = [_flat(row[field.name]) for row in answers if row is not None]
            out[field.name] = [
                max((abs(each) for each in column if math.isfinite(each)), default=0.0)
                for column in zip(*rows, strict=True)
            ]
    return out


def prove(signature: Signature, expected: Answers, got: Answers, scales: dict[str, list[float]]) -> Proof:
    """Compare the answers of two engines to the same rows.

    Args:
        signature: the signature of both.
        expected: the original's.
        got: the other's, as many.
        scales: what `scales_of` says of the original's answers to plain rows.
    """
    differing = 0
    ulps: dict[str, float] = {}
    first: Difference | None = None
    largest = 0.0
    for row, (left, right) in enumerate(zip(expected, got, strict=True)):
        before = differing
        if left is None or right is None:
            if left is not right:
                differing += 1
                ulps["refusal"] = math.inf
                if largest < math.inf:
                    first, largest = Difference(row, "", left or "a refusal", right or "a refusal"), math.inf
            continue
        for field in signature.outputs:
            one, other = left[field.name], right[field.name]
            if same_bits(one, other):
                continue
            differing = before + 1
            apart = _apart(field, one, other, scales) / _ULP.get(field.dtype, 1.0)
            if apart > largest:
                first, largest = Difference(row, field.name, one, other), apart
            ulps[field.dtype] = max(ulps.get(field.dtype, 0.0), apart)
    return Proof(len(expected), differing, ulps, first)


def _apart(field: Field, one: Any, other: Any, scales: dict[str, list[float]]) -> float:
    """How far two values of a field are apart, as a share of their size or their usual size."""
    if field.dtype not in _ULP:
        return math.inf
    left, right = list(_flat(one)), list(_flat(other))
    usual = scales.get(field.name) or [0.0] * len(left)
    worst = 0.0
    for a, b, scale in zip(left, right, usual, strict=True):
        if same_bits(a, b):
            continue
        if not (math.isfinite(a) and math.isfinite(b)):
            return math.inf
        size = max(abs(a), abs(b), scale)
        # Zeros of two signs are as close as two values that differ can be.
        worst = max(worst, abs(a - b) / size if size else 0.0, _ULP[field.dtype] * 2.0**-60)
    return worst


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _flat(each)
    else:
        yield value
