"""Order rows and split them into the batches that go through a door, one call a batch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["ODD_SIZED", "ONE_BY_ONE", "SHUFFLED", "WHOLE", "Batching"]

#: Batch sizes on both sides of the powers of two at which vectorized code and blocks end.
ODD_SIZES = (1, 2, 3, 7, 13, 31, 33, 64, 65, 127, 129, 257, 509, 1021)


@dataclass(frozen=True)
class Batching:
    """Describe a way to order rows and to split them into batches.

    Attributes:
        name: its name in the certificate.
        max_rows: the most rows of the table to take, evenly spread; `None` takes all.
        sizes: the sizes of the batches, repeated as needed; `()` makes one batch.
        is_shuffled: whether the rows are shuffled first.
    """

    name: str
    max_rows: int | None = None
    sizes: tuple[int, ...] = ()
    is_shuffled: bool = False

    def order(self, length: int) -> list[int]:
        """Return the indices of the rows of a table with `length` rows, in the order in which they are sent."""
        if self.max_rows is not None and length > self.max_rows:
            step = length / self.max_rows
            rows = [int(index * step) for index in range(self.max_rows)]
        else:
            rows = list(range(length))
        if self.is_shuffled:
            random.Random(20_130_101).shuffle(rows)
        return rows

    def split(self, order: list[int]) -> Iterator[list[int]]:
        """Yield the row indices of each batch."""
        start = batch = 0
        while start < len(order):
            size = self.sizes[batch % len(self.sizes)] if self.sizes else len(order)
            yield order[start : start + size]
            start, batch = start + size, batch + 1


WHOLE = Batching("whole")
ODD_SIZED = Batching("odd-sized batches", sizes=ODD_SIZES)
SHUFFLED = Batching("shuffled, odd-sized batches", sizes=ODD_SIZES[::-1], is_shuffled=True)
ONE_BY_ONE = Batching("one by one", max_rows=300, sizes=(1,))
