"""Refuse numbers that are made to collide in Python's sets and dicts.

Python hashes a number to itself, unlike a text, whose hash nobody can foresee. So a package could list a million
categories that each look through half a million others: hours of work, in a few megabytes. Whether numbers do that is
found by putting them into a set and a dict, a few at a time, and looking at the time of this thread.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

__all__ = ["are_colliding"]

#: Fewer numbers take no time, whatever they are.
_MIN_NUMBERS = 1_000
#: How many are put in between two looks at the clock.
_CHUNK = 64
#: What the numbers may take: honest ones take a tenth of a microsecond each.
_ALLOWED_S, _ALLOWED_S_PER_NUMBER = 0.25, 5e-6


def are_colliding(numbers: Sequence[object]) -> bool:
    """Return whether numbers take a set, or a dict with them as keys, far longer than others do."""
    if len(numbers) < _MIN_NUMBERS:
        return False
    members: set[object] = set()
    keys: dict[object, None] = {}
    for put in (members.update, lambda chunk: keys.update(dict.fromkeys(chunk))):
        begin = time.thread_time()
        for start in range(0, len(numbers), _CHUNK):
            put(numbers[start : start + _CHUNK])
            if time.thread_time() - begin > _ALLOWED_S + _ALLOWED_S_PER_NUMBER * start:
                return True
    return False
