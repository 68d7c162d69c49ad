"""The ends of a run, and the delivery that fits them."""

from __future__ import annotations

from pathlib import Path

from fourfold.errors import SinkError
from fourfold.stream import dead_letters as letters
from fourfold.stream.delivery import checkpoint
from fourfold.stream.delivery.best_effort import BestEffort
from fourfold.stream.delivery.exactly_once import ExactlyOnce
from fourfold.stream.delivery.protocol import Contents, Delivery
from fourfold.stream.limits import Limits
from fourfold.stream.sinks.files import FileSink
from fourfold.stream.sinks.pipes import PipeSink
from fourfold.stream.sinks.protocol import Sink
from fourfold.stream.sources.files import FileSource
from fourfold.stream.sources.protocol import Source

__all__ = ["default_dead_letters", "delivery"]


def default_dead_letters(sink: Sink) -> Sink:
    """Where the dead letters of an output go: `<output>.dead.jsonl` beside a file, standard error beside a pipe."""
    if isinstance(sink, FileSink):
        return FileSink(sink.path.with_name(sink.path.name + letters.SUFFIX))
    return PipeSink(2, "standard error")


def delivery(
    source: Source, sink: Sink, dead_letters: Sink, contents: Contents, limits: Limits, *, replace: bool
) -> Delivery:
    """The delivery between these ends: exactly once from file to file, else as well as the ends allow.

    Raises:
        SinkError: two of them are the same file.
    """
    _check_distinct(source, sink, dead_letters)
    if isinstance(source, FileSource) and isinstance(sink, FileSink):
        return ExactlyOnce(source, sink, dead_letters, contents, limits, replace=replace)
    return BestEffort(source, sink, dead_letters, limits, replace=replace)


def _check_distinct(source: Source, sink: Sink, dead_letters: Sink) -> None:
    """Refuse ends that are one file: it would be read while it is written, or cut while it is read."""
    files: list[tuple[str, Path]] = []
    if isinstance(source, FileSource):
        files.append(("the input", source.path))
    if isinstance(sink, FileSink):
        offsets = checkpoint.path_of(sink.path)
        files += [("the output", sink.path), ("the progress file", offsets)]
    if isinstance(dead_letters, FileSink):
        files.append(("the dead letters' file", dead_letters.path))
    seen: dict[object, str] = {}
    for what, path in files:
        for key in _identities(path):
            if seen.setdefault(key, what) != what:
                raise SinkError(f"{seen[key]} and {what} are the same file: {path}")


def _identities(path: Path) -> list[object]:
    try:
        there = path.stat()
    except OSError:  # it does not exist yet: then only its name can be another's
        return [path.resolve()]
    return [path.resolve(), (there.st_dev, there.st_ino)]
