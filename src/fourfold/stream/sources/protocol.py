"""Define the interface of a source.

A run polls and then drains its source: it waits until some events are there, then takes all that are there. So a lone
event is answered at once, and a burst is answered in one call, without a threshold of rows or milliseconds to tune.
"""

from __future__ import annotations

from threading import Event
from typing import Protocol

from fourfold.stream.limits import Limits
from fourfold.stream.lines import EventBatch, Position

__all__ = ["READ_BYTES", "STOP_CHECK_INTERVAL_S", "Source"]

#: How many bytes one read asks for.
READ_BYTES = 2**20
#: The interval at which a waiting source checks whether it shall stop, in seconds.
STOP_CHECK_INTERVAL_S = 0.1


class Source(Protocol):
    """Yield the events of a stream in batches; used by one thread."""

    @property
    def name(self) -> str:
        """Return its name for errors."""
        ...

    @property
    def ended(self) -> bool:
        """Tell whether every event was taken and none can follow."""
        ...

    @property
    def size(self) -> int | None:
        """Return its length in bytes, or `None` if that is not known."""
        ...

    def open(self) -> None:
        """Open the source."""
        ...

    def seek(self, position: Position, max_line: int) -> None:
        """Go to a position: where the first line to take begins."""
        ...

    def take(self, limits: Limits) -> EventBatch | None:
        """Take the lines that are there now, within the limits, without waiting; return `None` if there is none."""
        ...

    def wait(self, stop: Event) -> None:
        """Wait until more may be there, or until shortly after `stop` is set."""
        ...

    def close(self) -> None:
        """Close the source."""
        ...
