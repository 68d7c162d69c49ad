"""What plans know of characters is what Python knows."""

from __future__ import annotations

import random
import re
import unicodedata

import numpy as np
import pytest

from fourfold.plan.graph.unicode_tables import (
    SEVERAL,
    Folding,
    cased,
    folding,
    ignored,
    matching,
    spaces,
)

EVERYTHING = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
CAPITAL, SMALL, FINAL = "\u03a3", "\u03c3", "\u03c2"


def held(ranges: np.ndarray) -> set[int]:
    """The numbers in ranges."""
    return {point for first, last in ranges.tolist() for point in range(first, last + 1)}


def folded(text: str, how: Folding, known: dict[int, int]) -> str:
    """A text as a folding, whose pairs are known, makes it, but for sigmas."""
    out = []
    for character in text:
        to = known.get(ord(character))
        if to is None:
            if how.hangul and 0xAC00 <= ord(character) <= 0xD7A3:
                out.append(unicodedata.normalize("NFKD", character))
            elif not how.ascii or ord(character) < 128:
                out.append(character)
        elif to & SEVERAL:
            place = to & ~SEVERAL
            out.append("".join(map(chr, how.tail[place + 1 : place + 1 + how.tail[place]].tolist())))
        else:
            out.append(chr(to))
    return "".join(out)


def test_classes_of_characters_are_those_of_regular_expressions() -> None:
    """A range holds a character if, and only if, the expression matches it."""
    assert held(matching(r"\w")) == {point for point in EVERYTHING if chr(point).isalnum() or chr(point) == "_"}
    assert held(spaces()) == {point for point in EVERYTHING if chr(point).isspace()}
    assert held(matching("(?i)[a-z]")) == {ord(each) for each in map(chr, EVERYTHING) if re.match("(?i)[a-z]", each)}


def test_what_is_cased_and_ignored_decides_on_final_sigmas() -> None:
    """The two sets say of random texts where a capital sigma becomes a final one."""
    letters, others = held(cased()), held(ignored())
    assert not letters & others
    rng = random.Random(1)
    sample = [
        CAPITAL,
        "a",
        "'",
        " ",
        ".",
        "\u02b0",
        "\u0345",
        "\u00ad",
        "1",
        "\U00010400",
        *map(chr, rng.sample(EVERYTHING, 200)),
    ]
    for _ in range(3000):
        text = "".join(rng.choice(sample) for _ in range(rng.randrange(1, 8)))
        for place, character in enumerate(text):
            if character != CAPITAL:
                continue
            before = next((each for each in reversed(text[:place]) if ord(each) not in others), " ")
            after = next((each for each in text[place + 1 :] if ord(each) not in others), " ")
            final = ord(before) in letters and ord(after) not in letters
            assert len(text[:place].lower()) < len(text.lower())
            assert text.lower()[len(text[:place].lower())] == (FINAL if final else SMALL)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("accents", [None, "ascii", "unicode"])
def test_a_folding_is_what_python_makes_of_characters(accents: str | None, lower: bool) -> None:
    """Every character, alone, becomes what `str.lower` and scikit-learn's strip_accents make of it."""
    how = folding(accents, lower=lower)
    assert how.sigma == (lower and accents != "ascii")
    known = dict(how.pairs.tolist())
    for point in EVERYTHING:
        expected = chr(point).lower() if lower else chr(point)
        if accents:
            expected = unicodedata.normalize("NFKD", expected)
        if accents == "ascii":
            expected = expected.encode("ascii", "ignore").decode()
        elif accents:
            expected = "".join(each for each in expected if not unicodedata.combining(each))
        got = folded(chr(point), how, known)
        if got != expected:
            pytest.fail(f"{point:#x}: {got!r}, and not {expected!r}")
