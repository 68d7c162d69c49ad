"""Describe how a text becomes counts of n-grams: the settings of a step that reads a text.

They are the settings of evaluator.c, section 8; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.graph.steps import Layout
from fourfold.plan.graph.unicode_tables import Folding, cased, ignored

__all__ = ["MAX_NGRAM_LENGTH", "Analyzer", "Reading"]

#: The most tokens or characters of an n-gram.
MAX_NGRAM_LENGTH = 64
_ABSENT = 0xFFFFFFFF
_NO_TEXT = "a missing text cannot be read"
_TOO_MANY = "a text has too many different n-grams"


class Analyzer(IntEnum):
    """List what n-grams can consist of, as scikit-learn's analyzers `word`, `char` and `char_wb`."""

    WORDS = 0
    CHARACTERS = 1
    WITHIN_WORDS = 2


_NO_RANGES = np.zeros((0, 2), dtype=np.uint32)


@dataclass(frozen=True, eq=False)
class Reading:
    """Hold the settings by which a text becomes counts of n-grams.

    Attributes:
        analyzer: what n-grams consist of.
        grams: the fewest and the most tokens or characters of an n-gram.
        folding: what characters are replaced by first.
        terms: the n-grams that are counted, one column each; none where n-grams are hashed.
        columns: the number of columns where n-grams are hashed; 0 otherwise.
        signed: whether a hashed n-gram counts as 1 or -1.
        binary: whether an n-gram counts once, however often it occurs.
        stops: the stop words, which are left out.
        token: the characters of a token, as ranges of code points.
        lengths: the fewest and the most characters of a token; 0 for any number.
        bounds: the characters of words, where a token must begin and end at the border of a word; a token has only such
            characters.
        spaces: white space, for the analyzers of characters.
        missing: the text that stands for a missing one; without it, a row without a text is refused.
    """

    analyzer: Analyzer
    grams: tuple[int, int]
    folding: Folding
    terms: tuple[str, ...] = ()
    columns: int = 0
    signed: bool = False
    binary: bool = False
    stops: tuple[str, ...] = ()
    token: npt.NDArray[np.uint32] | None = None
    lengths: tuple[int, int] = (1, 0)
    bounds: npt.NDArray[np.uint32] | None = None
    spaces: npt.NDArray[np.uint32] | None = None
    missing: str | None = None

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return self.columns or len(self.terms)

    @property
    def key(self) -> Any:
        """Return a key that is equal for equal settings."""
        arrays = (self.folding.pairs, self.folding.tail, self.token, self.bounds, self.spaces)
        return (
            *(int(self.analyzer), self.grams, self._flags, self.terms, self.columns, self.stops, self.lengths),
            *(None if array is None else array.tobytes() for array in arrays),
            self.missing,
        )

    @property
    def _flags(self) -> int:
        flags = (
            *(bool(self.columns), self.signed, self.binary),
            *(self.folding.sigma, self.folding.ascii, self.folding.hangul, self.bounds is not None),
        )
        return sum(1 << bit for bit, is_set in enumerate(flags) if is_set)

    def add_to(self, layout: Layout) -> int:
        """Add the settings to a layout and return the index of their first word."""
        words: list[int] = [int(self.analyzer), *self.grams, self._flags]
        words += [self.lengths[0], self.lengths[1] or _ABSENT]
        words += [layout.add_words(self.folding.pairs.reshape(-1)), len(self.folding.pairs)]
        words += [layout.add_words(self.folding.tail), len(self.folding.tail)]
        sigma = (cased(), ignored()) if self.folding.sigma else (None, None)
        for characters in (self.token, self.bounds, self.spaces, *sigma):
            ranges = _NO_RANGES if characters is None else characters
            words += [layout.add_words(ranges.reshape(-1)), len(ranges)]
        words += [0 if self.columns else layout.add_strings(self.terms), self.width]
        words += [layout.add_strings(self.stops), len(self.stops)]
        words += [_ABSENT if self.missing is None else layout.add_strings([self.missing])]
        words += [layout.add_strings([_NO_TEXT]), layout.add_strings([_TOO_MANY])]
        return layout.add_words(words)
