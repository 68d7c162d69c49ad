"""What a letter, a word and white space are, and what characters become in lower case or without accents.

Python says so, as it did for the model: its tables differ from version to version, with those of Unicode. They go into
the plan, so that it reads a text as the Python that packed the model did, wherever it runs.
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

#: In a folding: not a code point, but a place in the tail.
SEVERAL = 0x80000000
_POINTS = 0x110000
_SURROGATES = range(0xD800, 0xE000)
_HANGUL = range(0xAC00, 0xD7A4)
_SIGMA = "\u03a3"
_FINAL_SIGMA = "\u03c2"


@dataclass(frozen=True, eq=False)
class Folding:
    """What characters become before a text is cut.

    Attributes:
        pairs: code points, ascending, each with what it becomes: a code point, or `SEVERAL` and a place in the tail;
            shape `(characters, 2)`. A code point that is not there stays.
        tail: at a place, how many code points, and then those.
        sigma: whether a capital sigma becomes a final one at the end of a word.
        ascii: whether what is not there and not ASCII is left out.
        hangul: whether Hangul syllables are decomposed.
    """

    pairs: Words
    tail: Words
    sigma: bool = False
    ascii: bool = False
    hangul: bool = False


@lru_cache(maxsize=16)
def matching(pattern: str) -> Words:
    """The characters that a regular expression matches one by one, as ranges: first and last, shape `(ranges, 2)`."""
    everything = "".join(map(chr, range(_POINTS)))
    spans = [(found.start(), found.end() - 1) for found in re.compile(f"{pattern}+").finditer(everything)]
    return np.array(spans, dtype=np.uint32).reshape(-1, 2)


def spaces() -> Words:
    """White space."""
    return matching(r"\s")


@lru_cache(maxsize=1)
def cased() -> Words:
    """Letters that have a case, but for those that are ignored for it."""
    return _ranges([point for point in range(_POINTS) if f"{chr(point)}{_SIGMA}".lower()[-1] == _FINAL_SIGMA])


@lru_cache(maxsize=1)
def ignored() -> Words:
    """What is ignored where a sigma's neighbours are looked at, such as an apostrophe."""
    before = {point for first, last in cased().tolist() for point in range(first, last + 1)}
    return _ranges(
        [
            point
            for point in range(_POINTS)
            if point not in before and f"A{chr(point)}{_SIGMA}".lower()[-1] == _FINAL_SIGMA
        ]
    )


@lru_cache(maxsize=8)
def folding(accents: str | None, *, lower: bool) -> Folding:
    """What characters become.

    Args:
        accents: `"ascii"` or `"unicode"`, where accents are stripped as scikit-learn's vectorizers do.
        lower: whether they become lower case first.
    """
    pairs: list[tuple[int, int]] = []
    tail: list[int] = []
    hangul = accents == "unicode"
    for point in range(_POINTS):
        if point in _SURROGATES or (hangul and point in _HANGUL):
            continue
        character = chr(point)
        image = _stripped(character.lower() if lower else character, accents)
        if image == character or (not image and accents == "ascii"):
            continue
        if len(image) == 1:
            pairs.append((point, ord(image)))
        else:
            pairs.append((point, SEVERAL | len(tail)))
            tail += [len(image), *map(ord, image)]
    return Folding(
        np.array(pairs, dtype=np.uint32).reshape(-1, 2),
        np.array(tail, dtype=np.uint32),
        sigma=lower and accents != "ascii",
        ascii=accents == "ascii",
        hangul=hangul,
    )


def _stripped(text: str, accents: str | None) -> str:
    if accents is None:
        return text
    apart = unicodedata.normalize("NFKD", text)
    if accents == "ascii":
        return apart.encode("ascii", "ignore").decode("ascii")
    return "".join(each for each in apart if not unicodedata.combining(each))


def _ranges(points: list[int]) -> Words:
    """Ascending numbers as ranges."""
    if not points:
        return np.zeros((0, 2), dtype=np.uint32)
    listed = np.array(points, dtype=np.uint32)
    breaks = np.flatnonzero(np.diff(listed) != 1)
    return np.stack([listed[np.r_[0, breaks + 1]], listed[np.r_[breaks, len(listed) - 1]]], axis=1)
