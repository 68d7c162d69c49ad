"""Build tables of characters: white space, word characters, lower case, accents.

Python's tables change with the version of Unicode. So they are read from the Python that packs the model and go into
the plan, which then reads a text the same way wherever it runs.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["SEVERAL", "Folding", "cased", "folding", "ignored", "matching", "spaces"]

Words = npt.NDArray[np.uint32]

#: Marks an entry of a folding that is an index into its tail and not a code point.
SEVERAL = 0x80000000
_CODE_POINTS = 0x110000
_SURROGATES = range(0xD800, 0xE000)
_HANGUL = range(0xAC00, 0xD7A4)
_SIGMA = "\u03a3"
_FINAL_SIGMA = "\u03c2"


@dataclass(frozen=True, eq=False)
class Folding:
    """Hold what characters are replaced by before a text is split into n-grams.

    Attributes:
        pairs: ascending code points, each with its replacement: a code point, or `SEVERAL` plus an index into the tail;
            shape `(characters, 2)`. A code point without a pair stays as it is.
        tail: replacements of several code points: their number, then the code points.
        sigma: whether a capital sigma becomes a final one at the end of a word.
        ascii: whether a character without a pair that is not ASCII is left out.
        hangul: whether Hangul syllables are decomposed.
    """

    pairs: Words
    tail: Words
    sigma: bool = False
    ascii: bool = False
    hangul: bool = False


@lru_cache(maxsize=16)
def matching(pattern: str) -> Words:
    """Return the characters that a regular expression matches, as ranges (first, last), shape `(ranges, 2)`."""
    characters = "".join(map(chr, range(_CODE_POINTS)))
    spans = [(match.start(), match.end() - 1) for match in re.compile(f"{pattern}+").finditer(characters)]
    return np.array(spans, dtype=np.uint32).reshape(-1, 2)


def spaces() -> Words:
    """Return white space, as ranges."""
    return matching(r"\s")


@lru_cache(maxsize=1)
def cased() -> Words:
    """Return the cased letters, without the case-ignorable ones, as ranges: a sigma behind one of them is final."""
    return _ranges([point for point in range(_CODE_POINTS) if f"{chr(point)}{_SIGMA}".lower()[-1] == _FINAL_SIGMA])


@lru_cache(maxsize=1)
def ignored() -> Words:
    """Return the case-ignorable characters, such as an apostrophe, as ranges: the rule for sigma skips them."""
    cased_points = {point for first, last in cased().tolist() for point in range(first, last + 1)}
    return _ranges(
        [
            point
            for point in range(_CODE_POINTS)
            if point not in cased_points and f"A{chr(point)}{_SIGMA}".lower()[-1] == _FINAL_SIGMA
        ]
    )


@lru_cache(maxsize=8)
def folding(accents: str | None, *, lower: bool) -> Folding:
    """Return the replacements of characters.

    Args:
        accents: `"ascii"` or `"unicode"` to strip accents as scikit-learn's vectorizers do, or `None`.
        lower: whether characters become lower case first.
    """
    pairs: list[tuple[int, int]] = []
    tail: list[int] = []
    hangul = accents == "unicode"
    for point in range(_CODE_POINTS):
        if point in _SURROGATES or (hangul and point in _HANGUL):
            continue
        character = chr(point)
        replacement = _strip_accents(character.lower() if lower else character, accents)
        if replacement == character or (not replacement and accents == "ascii"):
            continue
        if len(replacement) == 1:
            pairs.append((point, ord(replacement)))
        else:
            pairs.append((point, SEVERAL | len(tail)))
            tail += [len(replacement), *map(ord, replacement)]
    return Folding(
        np.array(pairs, dtype=np.uint32).reshape(-1, 2),
        np.array(tail, dtype=np.uint32),
        sigma=lower and accents != "ascii",
        ascii=accents == "ascii",
        hangul=hangul,
    )


def _strip_accents(text: str, accents: str | None) -> str:
    if accents is None:
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    if accents == "ascii":
        return decomposed.encode("ascii", "ignore").decode("ascii")
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _ranges(points: list[int]) -> Words:
    """Return ascending numbers as ranges (first, last)."""
    if not points:
        return np.zeros((0, 2), dtype=np.uint32)
    ascending = np.array(points, dtype=np.uint32)
    breaks = np.flatnonzero(np.diff(ascending) != 1)
    return np.stack([ascending[np.r_[0, breaks + 1]], ascending[np.r_[breaks, len(ascending) - 1]]], axis=1)
