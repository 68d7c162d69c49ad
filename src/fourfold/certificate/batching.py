"""The ways to cut and order rows on their way through a door."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["ALONE", "ODD", "SHUFFLED", "WHOLE", "Cut"]

#: Batch sizes on both sides of every power of two that a kernel or a block may care about.
SIZES = (1, 2, 3, 7, 13, 31, 33, 64, 65, 127, 129, 257, 509, 1021)


@dataclass(frozen=True)
class Cut:
    """A way to cut and order rows.

    Attributes:
        name: what the certificate calls it.
        limit: how many rows of the table it takes at most; `None` is all.
        sizes: the sizes of the pieces, in turn; `()` is one piece.
        shuffled: whether the rows are put in another order first.
    """

    name: str
    limit: int | None = None
    sizes: tuple[int, ...] = ()
    shuffled: bool = False

    def order(self, length: int) -> list[int]:
        """The rows of a table of that length, in the order in which they go in."""
        if self.limit is not None and length > self.limit:
            step = length / self.limit
            rows = [int(turn * step) for turn in range(self.limit)]
        else:
            rows = list(range(length))
        if self.shuffled:
            random.Random(20_130_101).shuffle(rows)
        return rows

    def pieces(self, order: list[int]) -> Iterator[list[int]]:
        """The pieces that go in one after the other."""
        start = turn = 0
        while start < len(order):
            size = self.sizes[turn % len(self.sizes)] if self.sizes else len(order)
            yield order[start : start + size]
            start, turn = start + size, turn + 1


WHOLE = Cut("whole")
ODD = Cut("odd-sized batches", sizes=SIZES)
SHUFFLED = Cut("shuffled, odd-sized batches", sizes=SIZES[::-1], shuffled=True)
ALONE = Cut("one by one", limit=300, sizes=(1,))
