"""Define what a stream asks of its source.

Every source does poll-then-drain: `wait` until something is there, then `take` all that is there already. So a lone
event is answered at once, and a burst is scored as one table, without a threshold of rows or milliseconds to tune.
"""

from __future__ import annotations

from threading import Event
from typing import Protocol

from fourfold.stream.limits import Limits
from fourfold.stream.lines import Batch, Position

__all__ = ["READ_BYTES", "STOP_CHECK_INTERVAL_S", "Source"]

#: The bytes that one read asks for.
READ_BYTES = 2**20
#: How often a source that waits checks whether it shall stop.
STOP_CHECK_INTERVAL_S = 0.1


class Source(Protocol):
    """Where events come from. One thread uses it."""

    @property
    def name(self) -> str:
        """How errors and reports call it."""
        ...

    @property
    def ended(self) -> bool:
        """Whether every event was taken and none can follow."""
        ...

    @property
    def size(self) -> int | None:
        """Its length in bytes, as far as it is known."""
        ...

    def open(self) -> None:
        """Open it; `close` it after."""
        ...

    def seek(self, position: Position, max_line: int) -> None:
        """Go to where the first event that is wanted begins."""
        ...

    def take(self, limits: Limits) -> Batch | None:
        """All that is there now, within the limits, without waiting; `None` where there is no whole event."""
        ...

    def wait(self, stop: Event) -> None:
        """Wait until more may be there; not longer than a moment after `stop` is set."""
        ...

    def close(self) -> None:
        """Close it."""
        ...
