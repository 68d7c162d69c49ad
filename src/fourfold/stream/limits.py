"""Bound a stream's memory and the time between its commits."""

from __future__ import annotations

from dataclasses import dataclass

from fourfold.errors import SourceError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a stream's memory and of what a crash makes it do again.

    Attributes:
        events: the most events that one call of the predictor holds.
        bytes: the most bytes that are read for one such call.
        line: the longest line that is an event, in bytes; a longer one goes to the dead letters, cut.
        commit_seconds: the longest time between two commits while events keep coming; when none is left, it commits.
        commit_bytes: the most bytes of input between two commits.
    """

    events: int = 8192
    bytes: int = 4 * 2**20
    line: int = 16 * 2**20
    commit_seconds: float = 0.2
    commit_bytes: int = 4 * 2**20

    def __post_init__(self) -> None:
        for name in ("events", "bytes", "line"):
            if getattr(self, name) < 1:
                raise SourceError(f"expected the limit {name} to be at least 1; got {getattr(self, name)}")
