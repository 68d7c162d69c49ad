"""Hostile plans and seeds of the fuzzer, made of good plans."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from fourfold.plan.format import SECTIONS
from tests.plan.hostile_plans import BUILDERS
from tests.plan.places.plans import Golden, plans
from tests.plan.places.rows import rows_bytes

__all__ = ["INTERESTING", "mutants", "seeds"]

#: What a word becomes: nothing, limits of every kind, and numbers that overflow when they are added or multiplied.
INTERESTING = (
    *(0, 1, 2, 3, 7, 8, 63, 64, 255, 4095, 4096, 4097, 65535, 65536, 1 << 24, (1 << 24) + 1, 1 << 28, 1 << 30),
    *(0x20000000, 0x40000000, 0x60000000, 0x7FEFFFFF, 0x7FF00000, 0x7FF80000, 0x7FFFFFFF, 0x80000000, 0xAAAAAAAB),
    *(0xC0000000, 0xFFF00000, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF),
)
#: The largest plan that is changed: others have the same steps, and take longer.
LARGEST = 20_000


def _input(plan: bytes, choices: int, tail: bytes) -> bytes:
    """What fuzz.c reads."""
    return struct.pack("<II", len(plan), choices) + plan + tail


def _small() -> list[Golden]:
    return [each for each in plans() if len(each.plan) <= LARGEST]


def _greedy() -> list[bytes]:
    """Plans that ask for as much as they can."""
    return [build(3_000) for build in BUILDERS.values()]


def seeds() -> list[bytes]:
    """The inputs that a fuzzer begins with: good plans, and bytes of their own rows; and greedy ones."""
    good = [_input(each.plan, place, rows_bytes(each.plan, each.rows)[-600:]) for place, each in enumerate(_small())]
    return [*good, *(_input(plan, place, bytes(100)) for place, plan in enumerate(_greedy()))]


def _places(plan: bytes) -> list[list[int]]:
    """Where the 32-bit words of a plan lie that say how large, where and which, section by section: a change of a short
    one must be as likely as of a long one. Numbers and text say nothing of the kind.
    """
    table = dict(zip(SECTIONS, struct.iter_unpack("<QQ", plan[24 : 24 + 16 * len(SECTIONS)]), strict=True))
    found = [list(range(0, 24 + 16 * len(SECTIONS), 4))]
    for name, size in SECTIONS.items():
        offset, count = table[name]
        if name not in ("numbers", "text") and count:
            # Most of what matters stands in steps, outputs and words.
            times = {"steps": 4, "outputs": 2, "words": 2}.get(name, 1)
            found += [list(range(offset, offset + count * size, 4))] * times
    return found


def mutants(count: int, seed: int = 0) -> Iterator[bytes]:
    """Plans with one or two words changed to interesting ones, or cut, or with a number that is not one.

    Args:
        count: how many.
        seed: of the choice.
    """
    source = random.Random(seed)
    good = [(each.plan, _places(each.plan), rows_bytes(each.plan, each.rows)[-300:]) for each in _small()]
    good += [(plan, _places(plan), b"") for plan in _greedy()]
    for _ in range(count):
        plan, places, tail = source.choice(good)
        made = bytearray(plan)
        for _ in range(source.choice((1, 1, 1, 2))):
            section = source.choice(places)
            at = source.choice(section)
            word = struct.unpack_from("<I", made, at)[0]
            other = struct.unpack_from("<I", made, source.choice(section))[0]
            near = [word + 1, word - 1, word ^ (1 << source.randrange(32)), other, word + other]
            struct.pack_into("<I", made, at, source.choice([*INTERESTING, *near * 3]) & 0xFFFFFFFF)
        if source.random() < 0.05:
            del made[source.randrange(len(made)) :]
        yield _input(bytes(made), source.randrange(64), source.randbytes(60) + tail)
