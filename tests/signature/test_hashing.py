"""Numbers that collide in sets and dicts."""

from __future__ import annotations

import random
import time

import pytest

from fourfold.errors import SignatureError
from fourfold.signature import Field
from fourfold.signature.hashing import are_colliding

BITS = 17


def colliding() -> list[int]:
    """Numbers that a dict of 2**17 places looks for in tens of thousands of them.

    The first fill the places that Python tries one after the other, and each of the others is sent to their beginning.
    """
    chance = random.Random(0)
    size, mask = 1 << BITS, (1 << BITS) - 1
    count = int(size * 0.65)
    fillers = [0]
    while len(fillers) < count * 7 // 10:
        fillers.append((5 * fillers[-1] + 1) & mask)
    order = {place: index for index, place in enumerate(fillers)}
    others: list[int] = []
    while len(others) < count - len(fillers):
        number = chance.getrandbits(BITS + 10)
        place, rest = number & mask, number
        while place in order and rest:
            rest >>= 5
            place = (5 * place + rest + 1) & mask
        if number > mask and order.get(place, size) < len(fillers) // 2:
            others.append(number)
    return fillers + others


def test_numbers_made_to_collide_are_refused_soon() -> None:
    """Such a list takes the square of its length; it is given up after a second, whatever its length."""
    numbers = colliding()
    begin = time.thread_time()
    with pytest.raises(SignatureError, match="its 85196 categories are made to collide"):
        Field("x", "int64", categories=tuple(numbers))
    assert time.thread_time() - begin < 2.5


@pytest.mark.parametrize(
    "numbers",
    [
        range(300_000),
        range(-(2**63), 2**63, 2**46),
        [number << 20 for number in range(200_000)],
        [number * 0x9E3779B97F4A7C15 % 2**64 for number in range(200_000)],
        [number * 1.5 for number in range(200_000)],
        [(2**61 - 1) * number for number in range(8)],
        [f"{number}" for number in range(200_000)],
    ],
)
def test_honest_numbers_are_taken(numbers: list[object]) -> None:
    """Numbers of all kinds, in steps and in any order, hash in a time in proportion to their number."""
    assert not are_colliding(list(numbers))
