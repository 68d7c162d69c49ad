"""Describe a run of a stream: its source and sinks, the fields that pass through, and its limits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from fourfold.errors import FourfoldError, SignatureError, SinkError, SourceError, shorten
from fourfold.jobfile import is_count_or_share
from fourfold.signature import Extra
from fourfold.stream.limits import Limits
from fourfold.stream.sinks.protocol import Sink
from fourfold.stream.sources.protocol import Source

__all__ = ["Job"]


@dataclass(frozen=True, slots=True)
class Job:
    """Describe a run of a stream.

    Args:
        source: the source of the events, or its name for `open_source`. An event is one JSON object a line.
        sink: the sink of the answers, or its name for `open_sink`. An answer is one JSON object a line, in the order of
            the events: the fields named in `keep`, then the signature's outputs.
        dead_letters: the sink of the events that get no answer, or its name for `open_sink`; by default
            `<output>.dead.jsonl` beside a file, and standard error beside a pipe.
        keep: the names of the fields of an event that are copied to its answer, as text. They need not be inputs of the
            signature.
        extra: what becomes of a key of an event that is neither a field nor in `keep`: `ignore` drops it, `forbid`
            makes the event a dead letter.
        absent: the nullable fields that may be in no event: they are missing in all. Another field that none of the
            first events has stops the run (see `first_events`).
        max_dead: how many events may become dead letters before the run stops: a count (`int`), or a share (`float`,
            0.0 to 1.0; see `DeadLetterLimit`). Without it any number may.
        replace: whether an output that exists may be replaced; the run then starts over.
        limits: the limits of memory and of the time between commits.

    Raises:
        SourceError: `source` or `limits` is of another type.
        SinkError: `sink`, `dead_letters` or `replace` is of another type, or `max_dead` is no count and no share.
        SignatureError: `keep` or `absent` is no list of names, or `extra` is neither `forbid` nor `ignore`.
    """

    source: str | os.PathLike[str] | Source
    sink: str | os.PathLike[str] | Sink
    dead_letters: str | os.PathLike[str] | Sink | None = None
    keep: Sequence[str] = ()
    extra: Extra = "ignore"
    absent: Sequence[str] = ()
    max_dead: int | float | None = None
    replace: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        _check_end(self.source, "source", SourceError)
        _check_end(self.sink, "sink", SinkError)
        if self.dead_letters is not None:
            _check_end(self.dead_letters, "dead_letters", SinkError)
        _check_names(self.keep, "keep")
        _check_names(self.absent, "absent")
        if self.extra not in ("forbid", "ignore"):
            raise SignatureError(f"expected extra to be 'forbid' or 'ignore'; got {shorten(self.extra)}")
        if self.max_dead is not None and not is_count_or_share(self.max_dead):
            raise SinkError(
                f"expected max_dead to be a number of events or a share from 0.0 to 1.0; got {shorten(self.max_dead)}"
            )
        if not isinstance(self.replace, bool):
            raise SinkError(f"expected replace to be true or false; got {shorten(self.replace)}")
        if not isinstance(self.limits, Limits):
            raise SourceError(f"expected limits to be Limits; got {shorten(self.limits)}")
        object.__setattr__(self, "keep", tuple(self.keep))  # a job cannot change while it runs
        object.__setattr__(self, "absent", tuple(self.absent))


def _check_names(value: object, name: str) -> None:
    """Refuse what is no list of names."""
    if isinstance(value, str):
        raise SignatureError(f"expected {name} to be a list of names; got the text {shorten(value)}")
    if not isinstance(value, (list, tuple)) or not all(isinstance(text, str) for text in value):
        raise SignatureError(f"expected {name} to be a list of names; got {shorten(value)}")


def _check_end(value: object, name: str, error: type[FourfoldError]) -> None:
    """Refuse a value that is neither a name nor an object with a method `open`."""
    if not isinstance(value, (str, os.PathLike)) and not callable(getattr(value, "open", None)):
        raise error(f"expected {name} to be a path, a file:// URL, - or a ready {name}; got {shorten(value)}")
