"""Find rows on a model's decision boundaries, where the last bit of a sum decides about the whole answer.

A classifier that answers with labels alone hides the last bits of its sums, and so does a tree behind a matrix product,
until a row lies so close to a boundary that these bits decide. Packing rows hardly ever do: an engine whose sums depend
on the other rows of a call would pass the invariance test.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from fourfold.errors import EngineError
from fourfold.function import Function
from fourfold.signature import Field
from fourfold.signature.field import FLOATS
from fourfold.signature.rows import coercer

__all__ = ["boundary_rows"]

#: The pairs of rows between which boundaries are searched.
_PAIRS = 256
#: The pairs with different answers that are followed to the boundary.
_MAX_FOLLOWED_PAIRS = 32
#: After so many halvings two float64 between 0 and 1 have no other between them.
_HALVINGS = 54

Row = dict[str, Any]


def boundary_rows(function: Function, rows: Sequence[Row]) -> list[Row]:
    """Return rows on both sides of the steps in a model's answers, as close to them as floats can be.

    Args:
        function: the original engine as a function.
        rows: canonical packing rows, which the engine accepts.

    Returns:
        Canonical rows; none where no input is a float, or where every row has the same answer.
    """
    floats = [field for field in function.signature.inputs if field.dtype in FLOATS and field.categories is None]
    if not floats:
        return []
    answers = function(list(rows))
    outputs = [field.name for field in function.signature.outputs]
    # Labels have steps, probabilities have none. A deep tree has as many values as rows: then all outputs count.
    names = [name for name in outputs if _has_few_values([row[name] for row in answers])] or outputs

    def answers_of(asked: list[Row]) -> list[str]:
        return [repr([row[name] for name in names]) for row in function(asked)]

    generator = random.Random(1)
    lefts = [generator.choice(rows) for _ in range(_PAIRS)]
    rights = [generator.choice(rows) for _ in range(_PAIRS)]
    try:
        return _bisect(floats, lefts, rights, answers_of)
    except EngineError:
        # The model refuses a row between two that it accepts: its domain has holes, so a search in it proves nothing.
        return []


def _bisect(
    floats: Sequence[Field], lefts: list[Row], rights: list[Row], answers_of: Callable[[list[Row]], list[str]]
) -> list[Row]:
    """Bisect the way from left rows to right rows that have other answers, all pairs in one call."""
    left_answers, right_answers = answers_of(lefts), answers_of(_move(floats, lefts, rights, [1.0] * len(lefts)))
    followed = [index for index in range(len(lefts)) if left_answers[index] != right_answers[index]]
    followed = followed[:_MAX_FOLLOWED_PAIRS]
    if not followed:
        return []
    lefts, rights = [lefts[index] for index in followed], [rights[index] for index in followed]
    before, after = [0.0] * len(followed), [1.0] * len(followed)
    for _ in range(_HALVINGS):
        middle = [(low + high) / 2 for low, high in zip(before, after, strict=True)]
        for pair, answer in enumerate(answers_of(_move(floats, lefts, rights, middle))):
            ends = before if answer == left_answers[followed[pair]] else after
            ends[pair] = middle[pair]
    return _move(floats, lefts, rights, before) + _move(floats, lefts, rights, after)


def _has_few_values(values: Sequence[Any]) -> bool:
    return len(set(map(repr, values))) <= len(values) // 2


def _move(floats: Sequence[Field], lefts: list[Row], rights: list[Row], fractions: list[float]) -> list[Row]:
    """Return the left rows with their floats moved by a fraction of the way to the right rows' floats."""
    coercers = [(field.name, coercer(field)) for field in floats]
    moved_rows = []
    for left, right, fraction in zip(lefts, rights, fractions, strict=True):
        moved = dict(left)
        for name, coerce in coercers:
            if left[name] is not None and right[name] is not None:
                moved[name] = coerce(_between(left[name], right[name], fraction))
        moved_rows.append(moved)
    return moved_rows


def _between(left: Any, right: Any, fraction: float) -> Any:
    """Return the number, or tensor of numbers, a fraction of the way from left to right; left where it overflows."""
    if isinstance(left, list):
        return [_between(a, b, fraction) for a, b in zip(left, right, strict=True)]
    between = left + (right - left) * fraction
    return between if math.isfinite(between) else left
