"""What became of the events, counted, and how many of them may be dead."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["LEAST", "RECENT", "Bound", "Tally"]

#: The latest events, about, in which a share of dead ones is counted.
RECENT = 1000
#: The events before which a share says nothing.
LEAST = 100


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the events of a run and of those that it continues.

    Attributes:
        events: the events answered or dead.
        dead: the dead ones.
        recent_events: about how many of the latest events `recent_dead` was counted in (`Bound`).
        recent_dead: the dead ones of those, those longer ago counting less.
    """

    events: int = 0
    dead: int = 0
    recent_events: float = 0.0
    recent_dead: float = 0.0


class Bound:
    """How many events may die before the run stops: a bad deploy must not drain a topic into the dead letters.

    Args:
        most: a number of events, counting those of the runs that this one continues; or, as a float from 0.0 to 1.0,
            their share among about the latest `RECENT` events, once there were `LEAST`; or `None` for any number.

    Attributes:
        tally: what became of the events so far.
    """

    def __init__(self, most: float | None) -> None:
        self._most = most
        self.tally = Tally()

    def __str__(self) -> str:
        return f"max_dead={self._most}"

    def good(self, count: int) -> None:
        """Count events that were answered."""
        self.tally = replace(
            self.tally, events=self.tally.events + count, recent_events=self.tally.recent_events + count
        )

    def dead(self) -> bool:
        """Count a dead event, unless it is one too many: then it is not counted, and the answer is `False`."""
        events, dead = self.tally.recent_events, self.tally.recent_dead
        if events >= RECENT:  # what is longer ago counts less and less
            dead *= (RECENT - 1) / events
            events = RECENT - 1
        counted = Tally(self.tally.events + 1, self.tally.dead + 1, events + 1, dead + 1)
        if isinstance(self._most, float):
            if counted.events >= LEAST and counted.recent_dead / counted.recent_events > self._most:
                return False
        elif self._most is not None and counted.dead > self._most:
            return False
        self.tally = counted
        return True
