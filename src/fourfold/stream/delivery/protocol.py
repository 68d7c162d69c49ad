"""Delivery: answers, dead letters and the place in the source, which belong together.

The processor knows only `Delivery`: `start`, `deliver`, `commit`, `close`. What ties the three together is its
business: a progress file between files (`exactly_once`), nothing where a pipe is at one end (`best_effort`), and for a
broker it will be a transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fourfold.errors import OutputExists
from fourfold.stream.dead_letter_limit import Tally
from fourfold.stream.dead_letters import Letters
from fourfold.stream.limits import Limits
from fourfold.stream.lines import Position

__all__ = ["START_OVER", "CommitClock", "Contents", "Delivery", "Start", "check_empty", "close_all"]

#: What to do about an output that cannot go on.
START_OVER = "give this run another output, or start over with replace=True (--replace)"


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run begins.

    Attributes:
        position: the place in the source.
        tally: what became of the events before it.
        continued: whether an earlier run came this far.
    """

    position: Position
    tally: Tally
    continued: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """What an output holds, besides answers to its input: an output holds one kind of line from its first to its last.

    Attributes:
        package: the digest of the package that answers.
        keep: the fields of the events that are copied.
    """

    package: str
    keep: tuple[str, ...]


class Delivery(Protocol):
    """Takes what came of the events, in order."""

    def start(self) -> Start:
        """Open everything, bring it to a state in which it agrees, and say where the source goes on."""
        ...

    def deliver(self, answers: bytes, letters: bytes, after: Position, tally: Tally) -> None:
        """Write what came of some events, up to the position `after`, so that readers can see it.

        Raises:
            ReaderGone: nobody reads the answers any more.
            SinkError: it cannot be written.
        """
        ...

    def commit(self) -> None:
        """Make all that was delivered last: no later run delivers it again."""
        ...

    @property
    def is_due(self) -> bool:
        """Whether it is time to commit though more events wait."""
        ...

    def close(self) -> None:
        """Close everything, which frees its locks."""
        ...


class CommitClock:
    """Says when a commit is due."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._committed = self._delivered = Position()
        self._since = time.monotonic()

    @property
    def is_settled(self) -> bool:
        """Whether nothing was delivered since the last commit."""
        return self._delivered == self._committed

    @property
    def is_due(self) -> bool:
        """Whether so much, or so long ago, was delivered that it must be committed."""
        if self.is_settled:
            return False
        waited = time.monotonic() - self._since >= self._limits.commit_seconds
        return waited or self._delivered.offset - self._committed.offset >= self._limits.commit_bytes

    def delivered(self, after: Position) -> None:
        """Count what was delivered; the time runs from the first delivery after a commit."""
        if self.is_settled:
            self._since = time.monotonic()
        self._delivered = after

    def restart(self, position: Position | None = None) -> None:
        """Begin anew after a commit, or at a position."""
        self._delivered = position or self._delivered
        self._committed = self._delivered


def check_empty(path: Path, length: int, letters: Letters) -> None:
    """Refuse a file that somebody else wrote; an empty one has nothing to lose."""
    for each, size in ((path, length), (letters.path, letters.length if letters.is_there else 0)):
        if size:
            raise OutputExists(f"{each} exists, and no progress file says that a stream made it; {START_OVER}")


def close_all(*closes: Callable[[], None] | None) -> None:
    """Call what is there to be called."""
    for close in closes:
        if close is not None:
            close()
