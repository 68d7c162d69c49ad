"""Count the events of a stream, and limit how many may become dead letters."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["MIN_EVENTS_FOR_SHARE", "RECENT_EVENTS", "DeadLetterLimit", "Tally"]

#: About how many of the latest events a share of dead letters refers to.
RECENT_EVENTS = 1000
#: How many events must have been seen before a share is checked.
MIN_EVENTS_FOR_SHARE = 100


@dataclass(frozen=True, slots=True)
class Tally:
    """Hold the counts of a run, added to those of the runs that it continues.

    Attributes:
        events: the events that were answered or became dead letters.
        dead: the dead letters.
        recent_events: about how many of the latest events `recent_dead` refers to (see `DeadLetterLimit`).
        recent_dead: the dead letters among these; older ones weigh less.
    """

    events: int = 0
    dead: int = 0
    recent_events: float = 0.0
    recent_dead: float = 0.0


class DeadLetterLimit:
    """Limit the dead letters of a run, so that a bad deployment does not drain a topic into them.

    Args:
        max_dead: the most dead letters, those of the runs that this one continues included; or, as a float from 0.0 to
            1.0, their largest share of about the latest `RECENT_EVENTS` events, checked from `MIN_EVENTS_FOR_SHARE`
            events on; or `None` for no limit.

    Attributes:
        tally: the counts so far.
    """

    def __init__(self, max_dead: float | None) -> None:
        self._max_dead = max_dead
        self.tally = Tally()

    def __str__(self) -> str:
        return f"max_dead={self._max_dead}"

    def count_answered(self, count: int) -> None:
        """Count events that were answered."""
        self.tally = replace(
            self.tally, events=self.tally.events + count, recent_events=self.tally.recent_events + count
        )

    def count_dead_if_allowed(self) -> bool:
        """Count a dead letter and return `True`; or return `False`, and do not count it, if it exceeds the limit."""
        recent_events, recent_dead = self.tally.recent_events, self.tally.recent_dead
        if recent_events >= RECENT_EVENTS:  # scale down, so that older events weigh less
            recent_dead *= (RECENT_EVENTS - 1) / recent_events
            recent_events = RECENT_EVENTS - 1
        tally = Tally(self.tally.events + 1, self.tally.dead + 1, recent_events + 1, recent_dead + 1)
        if isinstance(self._max_dead, float):
            if tally.events >= MIN_EVENTS_FOR_SHARE and tally.recent_dead / tally.recent_events > self._max_dead:
                return False
        elif self._max_dead is not None and tally.dead > self._max_dead:
            return False
        self.tally = tally
        return True
