"""Define how answers, dead letters and the position in the source are committed together.

The loop of a run only knows `Delivery`: `start`, `deliver`, `commit`, `close`. Between files a progress file holds the
three together (`exactly_once`); with a pipe at one end nothing does (`best_effort`); for a broker it will be a
transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fourfold.errors import OutputExists
from fourfold.stream.dead_letter_limit import Tally
from fourfold.stream.dead_letters import DeadLetterOutput
from fourfold.stream.limits import Limits
from fourfold.stream.lines import Position

__all__ = ["START_OVER", "CommitClock", "Delivery", "OutputContents", "Start", "check_empty", "close_all"]

#: Advice for an output that cannot be continued.
START_OVER = "give this run another output, or start over with replace=True (--replace)"


@dataclass(frozen=True, slots=True)
class Start:
    """Say where a run begins.

    Attributes:
        position: the position in the source.
        tally: the counts of the events before it.
        continued: whether an earlier run is continued.
    """

    position: Position
    tally: Tally
    continued: bool


@dataclass(frozen=True, slots=True)
class OutputContents:
    """Say what determines the lines of an output, besides its input: a run must not continue an output of other lines.

    Attributes:
        package: the digest of the package that answers.
        keep: the fields that pass through.
    """

    package: str
    keep: tuple[str, ...]


class Delivery(Protocol):
    """Deliver answers and dead letters, in the order of their events."""

    def start(self) -> Start:
        """Open source and sinks, bring them to a state in which they agree, and return where the run begins."""
        ...

    def deliver(self, answers: bytes, letters: bytes, after: Position, tally: Tally) -> None:
        """Write answers and dead letters, so that readers can see them.

        Args:
            answers: the answers' lines.
            letters: the dead letters' lines.
            after: the position behind the events.
            tally: the counts up to there.

        Raises:
            ReaderGone: nobody reads the answers any more.
            SinkError: they cannot be written.
        """
        ...

    def commit(self) -> None:
        """Make everything delivered durable: no later run delivers it again."""
        ...

    @property
    def is_due(self) -> bool:
        """Tell whether to commit now although more events wait."""
        ...

    def close(self) -> None:
        """Close source and sinks, which frees their locks."""
        ...


class CommitClock:
    """Decide when a commit is due."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._committed = self._delivered = Position()
        self._first_delivery_s = time.monotonic()

    @property
    def is_settled(self) -> bool:
        """Tell whether nothing was delivered since the last commit."""
        return self._delivered == self._committed

    @property
    def is_due(self) -> bool:
        """Tell whether the uncommitted deliveries reach a limit, of their age or of their bytes."""
        if self.is_settled:
            return False
        is_old = time.monotonic() - self._first_delivery_s >= self._limits.commit_seconds
        return is_old or self._delivered.offset - self._committed.offset >= self._limits.commit_bytes

    def record_delivery(self, after: Position) -> None:
        """Record a delivery up to a position; the time counts from the first one after a commit."""
        if self.is_settled:
            self._first_delivery_s = time.monotonic()
        self._delivered = after

    def restart(self, position: Position | None = None) -> None:
        """Start anew after a commit, or at a position."""
        self._delivered = position or self._delivered
        self._committed = self._delivered


def check_empty(path: Path, length: int, letters: DeadLetterOutput) -> None:
    """Refuse an output, or dead letters, that another program wrote: a file that is not empty.

    Raises:
        OutputExists: one of the files holds something.
    """
    for file, size in ((path, length), (letters.path, letters.length if letters.exists else 0)):
        if size:
            raise OutputExists(f"{file} exists, and no progress file says that a stream made it; {START_OVER}")


def close_all(*closes: Callable[[], None] | None) -> None:
    """Call the functions that are not `None`."""
    for close in closes:
        if close is not None:
            close()
