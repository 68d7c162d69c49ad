"""Choose the delivery that fits a source and its sinks."""

from __future__ import annotations

import os
from pathlib import Path

from fourfold.errors import SinkError
from fourfold.stream.dead_letters import SUFFIX
from fourfold.stream.delivery import checkpoint
from fourfold.stream.delivery.best_effort import BestEffort
from fourfold.stream.delivery.exactly_once import ExactlyOnce
from fourfold.stream.delivery.protocol import Delivery, OutputContents
from fourfold.stream.limits import Limits
from fourfold.stream.sinks.files import FileSink
from fourfold.stream.sinks.pipes import PipeSink
from fourfold.stream.sinks.protocol import Sink
from fourfold.stream.sources.files import FileSource
from fourfold.stream.sources.protocol import Source

__all__ = ["choose_delivery", "default_dead_letters"]


def default_dead_letters(sink: Sink) -> Sink:
    """Return the default sink of dead letters: `<output>.dead.jsonl` beside a file, standard error beside a pipe."""
    if isinstance(sink, FileSink):
        return FileSink(sink.path.with_name(sink.path.name + SUFFIX))
    return PipeSink(2, "standard error")


def choose_delivery(
    source: Source, sink: Sink, dead_letters: Sink, contents: OutputContents, limits: Limits, *, replace: bool
) -> Delivery:
    """Return the delivery between a source and its sinks: exactly once from file to file, best effort otherwise.

    Raises:
        SinkError: two of them are the same file.
    """
    _check_distinct(source, sink, dead_letters)
    if isinstance(source, FileSource) and isinstance(sink, FileSink):
        return ExactlyOnce(source, sink, dead_letters, contents, limits, replace=replace)
    return BestEffort(source, sink, dead_letters, limits, replace=replace)


def _check_distinct(source: Source, sink: Sink, dead_letters: Sink) -> None:
    """Refuse two ends that are the same file: it would be read while it is written, or truncated while it is read."""
    files: list[tuple[str, Path]] = []
    if isinstance(source, FileSource):
        files.append(("the input", source.path))
    if isinstance(sink, FileSink):
        files += [("the output", sink.path), ("the progress file", checkpoint.checkpoint_path(sink.path))]
    if isinstance(dead_letters, FileSink):
        files.append(("the dead letters' file", dead_letters.path))
    roles: dict[object, str] = {}
    for role, path in files:
        for identity in _identities(path):
            if roles.setdefault(identity, role) != role:
                raise SinkError(f"{roles[identity]} and {role} are the same file: {path}")


def _identities(path: Path) -> list[object]:
    """Return what two names of one file have in common: the resolved path and, for a file that exists, its inode."""
    try:
        status = path.stat()
    except OSError:  # it does not exist yet, or is a link that leads nowhere
        return [os.path.realpath(path)]
    return [os.path.realpath(path), (status.st_dev, status.st_ino)]
