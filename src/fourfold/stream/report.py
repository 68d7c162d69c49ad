"""Report what a run of a stream did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Ended", "Report"]

#: Why a run ended; `running` in the reports on the way.
Ended = Literal["running", "end", "stopped", "reader"]


@dataclass(frozen=True, slots=True)
class Report:
    """Describe what a run did, so far or in all.

    Attributes:
        events: the events that were answered or became dead letters.
        answered: the events that were answered.
        dead: the dead letters.
        seconds: the run's duration.
        ended: why the run ended: at the `end` of the source, `stopped`, or because the `reader` of the answers had
            gone; `running` in a report on the way.
        offset: how far the source was read, in bytes, by this run and those that it continues.
        size: the source's length in bytes, or `None` if it has none.
        continued: whether the run went on where an earlier one had ended.
    """

    events: int
    answered: int
    dead: int
    seconds: float
    ended: Ended
    offset: int
    size: int | None
    continued: bool

    def __str__(self) -> str:
        if self.continued and not self.events and self.ended == "end":
            return f"nothing new: an earlier run answered everything up to offset {self.offset:,}"
        text = f"{self.events:,} events, {self.answered:,} answered, {self.dead:,} dead, in {self.seconds:.2f} s"
        return text + {"stopped": "; stopped", "reader": "; what read the answers has ended"}.get(self.ended, "")

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)
