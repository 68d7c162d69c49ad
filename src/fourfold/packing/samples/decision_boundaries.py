"""Rows on the boundaries of a model: where the last bit of a sum decides about the whole answer.

A classifier that answers labels alone hides the last bits of what it computes, and so does a tree behind a matrix
product, until a row lies so close to a boundary that they decide. Among packing rows there is hardly ever such a row:
an engine whose sums depend on the rows that come along would look as if its answers did not.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from fourfold.errors import EngineError
from fourfold.function import Function
from fourfold.signature import Field
from fourfold.signature.field import FLOATS
from fourfold.signature.rows import coercer

__all__ = ["boundary_rows"]

#: The pairs of rows that boundaries are looked for between, and of those the ones that are followed.
_TRIED = 256
_FOLLOWED = 32
#: The halvings after which two float64 between 0 and 1 have no other between them.
_HALVINGS = 54

Row = dict[str, Any]


def boundary_rows(function: Function, rows: Sequence[Row]) -> list[Row]:
    """Rows on both sides of the steps in a model's answers, as close to them as floats can be.

    Args:
        function: the package's function.
        rows: canonical packing rows, which the engine accepts.

    Returns:
        Canonical rows; none where no input is a float, or where every row has the same answer.
    """
    floats = [field for field in function.signature.inputs if field.dtype in FLOATS]
    if not floats:
        return []
    answers = function(list(rows))
    outputs = [field.name for field in function.signature.outputs]
    # Among labels and their probabilities only the labels have steps. A deep tree has as many as there are rows.
    names = [name for name in outputs if _has_few_values([row[name] for row in answers])] or outputs

    def sides(asked: list[Row]) -> list[str]:
        return [repr([row[name] for name in names]) for row in function(asked)]

    generator = random.Random(1)
    lefts = [generator.choice(rows) for _ in range(_TRIED)]
    rights = [generator.choice(rows) for _ in range(_TRIED)]
    try:
        return _followed(floats, lefts, rights, sides)
    except EngineError:
        # The model refuses a row between two that it takes: then it has holes, and what lies between says nothing.
        return []


def _followed(floats: Sequence[Field], lefts: list[Row], rights: list[Row], sides: Any) -> list[Row]:
    """Halve the way between rows that have different answers, all of them at once."""
    from_here, to_there = sides(lefts), sides(_moved(floats, lefts, rights, [1.0] * len(lefts)))
    apart = [place for place in range(len(lefts)) if from_here[place] != to_there[place]][:_FOLLOWED]
    if not apart:
        return []
    lefts, rights = [lefts[place] for place in apart], [rights[place] for place in apart]
    before, after = [0.0] * len(apart), [1.0] * len(apart)
    for _ in range(_HALVINGS):
        middle = [(low + high) / 2 for low, high in zip(before, after, strict=True)]
        for place, side in enumerate(sides(_moved(floats, lefts, rights, middle))):
            ends = before if side == from_here[apart[place]] else after
            ends[place] = middle[place]
    return _moved(floats, lefts, rights, before) + _moved(floats, lefts, rights, after)


def _has_few_values(values: Sequence[Any]) -> bool:
    return len(set(map(repr, values))) <= len(values) // 2


def _moved(floats: Sequence[Field], lefts: list[Row], rights: list[Row], shares: list[float]) -> list[Row]:
    """The rows with their floats moved that share of the way to those of others; what is no float stays."""
    coercers = [(field.name, coercer(field)) for field in floats]
    out = []
    for left, right, share in zip(lefts, rights, shares, strict=True):
        moved = dict(left)
        for name, coerce in coercers:
            if left[name] is not None and right[name] is not None:
                moved[name] = coerce(_between(left[name], right[name], share))
        out.append(moved)
    return out


def _between(left: Any, right: Any, share: float) -> Any:
    if isinstance(left, list):
        return [_between(one, other, share) for one, other in zip(left, right, strict=True)]
    between = left + (right - left) * share
    return between if math.isfinite(between) else left
