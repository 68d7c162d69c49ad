"""Limit the memory of a stream and the time between its commits."""

from __future__ import annotations

from dataclasses import dataclass

from fourfold.errors import SourceError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limit the memory of a stream, and how much it must repeat after a crash.

    Attributes:
        events: the most events in one call of the predictor.
        bytes: the most bytes that are read for one call.
        line: the longest line that is an event, in bytes; a longer one becomes a dead letter with its first bytes.
        max_decoded_bytes: the most bytes of memory that an event may take once it is decoded; one that takes more
            becomes a dead letter.
        commit_seconds: the longest time between two commits while events keep coming, in seconds; it also commits when
            no event waits.
        commit_bytes: the most bytes of input between two commits.

    Raises:
        SourceError: `events`, `bytes`, `line` or `max_decoded_bytes` is below 1.
    """

    events: int = 8192
    bytes: int = 4 * 2**20
    line: int = 16 * 2**20
    max_decoded_bytes: int = 256 * 2**20
    commit_seconds: float = 0.2
    commit_bytes: int = 4 * 2**20

    def __post_init__(self) -> None:
        for name in ("events", "bytes", "line", "max_decoded_bytes"):
            if getattr(self, name) < 1:
                raise SourceError(f"expected the limit {name} to be at least 1; got {getattr(self, name)}")
