"""How a text is read: the settings of a step that makes a bag of it.

They are those of evaluator.c, section 8; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.graph.steps import Layout
from fourfold.plan.graph.unicode_tables import Folding, cased, ignored

__all__ = ["MOST_GRAMS", "Analyzer", "Reading"]

#: The most tokens or characters of an n-gram.
MOST_GRAMS = 64
_NOTHING = 0xFFFFFFFF
_NO_TEXT = "a missing text cannot be read"
_TOO_MANY = "a text has too many different n-grams"


class Analyzer(IntEnum):
    """What n-grams are made of."""

    WORDS = 0
    CHARACTERS = 1
    WITHIN_WORDS = 2


_NONE = np.zeros((0, 2), dtype=np.uint32)


@dataclass(frozen=True, eq=False)
class Reading:
    """How a text is read.

    Attributes:
        analyzer: what n-grams are made of.
        grams: the least and the most of these in one.
        folding: what characters become first.
        terms: the n-grams that count, each in a column of its own; none where they are hashed.
        columns: of n-grams that are hashed, how many columns; 0 otherwise.
        signed: whether a hash counts as 1 or -1.
        binary: whether what is there counts once.
        stops: the tokens that are left out.
        token: the characters of a token, as ranges.
        lengths: the fewest and the most characters of a token; 0 for any number.
        bounds: where a token must end where a word does, the characters of words; all of a token's are of them.
        spaces: white space, for the analyzers of characters.
        missing: the text that stands for a missing one; without it, a row that misses it is refused.
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
        """The columns of the bag."""
        return self.columns or len(self.terms)

    @property
    def key(self) -> Any:
        """What tells this way to read from others."""
        arrays = (self.folding.pairs, self.folding.tail, self.token, self.bounds, self.spaces)
        return (
            *(int(self.analyzer), self.grams, self._flags, self.terms, self.columns, self.stops, self.lengths),
            *(None if each is None else each.tobytes() for each in arrays),
            self.missing,
        )

    @property
    def _flags(self) -> int:
        marks = (
            *(bool(self.columns), self.signed, self.binary),
            *(self.folding.sigma, self.folding.ascii, self.folding.hangul, self.bounds is not None),
        )
        return sum(1 << place for place, mark in enumerate(marks) if mark)

    def laid(self, layout: Layout) -> int:
        """Lay the settings out; returns their place."""
        words: list[int] = [int(self.analyzer), *self.grams, self._flags]
        words += [self.lengths[0], self.lengths[1] or _NOTHING]
        words += [layout.add_words(self.folding.pairs.reshape(-1)), len(self.folding.pairs)]
        words += [layout.add_words(self.folding.tail), len(self.folding.tail)]
        sigma = (cased(), ignored()) if self.folding.sigma else (None, None)
        for each in (self.token, self.bounds, self.spaces, *sigma):
            ranges = _NONE if each is None else each
            words += [layout.add_words(ranges.reshape(-1)), len(ranges)]
        words += [0 if self.columns else layout.add_strings(self.terms), self.width]
        words += [layout.add_strings(self.stops), len(self.stops)]
        words += [_NOTHING if self.missing is None else layout.add_strings([self.missing])]
        words += [layout.add_strings([_NO_TEXT]), layout.add_strings([_TOO_MANY])]
        return layout.add_words(words)
