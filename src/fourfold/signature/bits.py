"""Compare values bit for bit: everywhere in Fourfold, "the same answer" means the same bits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Difference", "first_difference", "relative_gap", "same_bits"]


def same_bits(left: Any, right: Any) -> bool:
    """Return whether two canonical values are equal bit for bit.

    `0.0` and `-0.0` differ. All NaNs are equal: a NaN's payload is no part of a canonical value, since JSON and CSV
    cannot carry it.
    """
    if type(left) is float and type(right) is float:
        if left != right:
            return left != left and right != right
        return left != 0.0 or math.copysign(1.0, left) == math.copysign(1.0, right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_bits, left, right))
    # Python calls 1 and 1.0 equal, and 1 and True: they are different values here.
    return type(left) is type(right) and bool(left == right)


def relative_gap(left: Any, right: Any) -> float:
    """Return the difference of two values, relative to the larger magnitude; `inf` where they cannot be compared.

    For tensors, return the largest gap between two elements at the same index.
    """
    if same_bits(left, right):
        return 0.0
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return max(map(relative_gap, left, right), default=0.0)
    if isinstance(left, float) and isinstance(right, float) and math.isfinite(left) and math.isfinite(right):
        scale = max(abs(left), abs(right))
        return abs(left - right) / scale if scale else 0.0
    return math.inf


class Difference(NamedTuple):
    """Hold the first difference of two tables: the row's index, the field's name and the two values."""

    row: int
    field: str
    expected: Any
    got: Any


def first_difference(
    expected: Sequence[Mapping[str, Any]], got: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Difference | None:
    """Return the first difference, by row and then by field; `None` where all bits are the same.

    Args:
        expected: canonical rows.
        got: as many canonical rows.
        names: the fields to compare.
    """
    for row, (left, right) in enumerate(zip(expected, got, strict=True)):
        for name in names:
            if not same_bits(left[name], right[name]):
                return Difference(row, name, left[name], right[name])
    return None
