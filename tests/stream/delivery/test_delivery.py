from __future__ import annotations

import os
from pathlib import Path

import pytest

from fourfold.errors import SinkError
from fourfold.stream.delivery import choose_delivery, default_dead_letters
from fourfold.stream.delivery.best_effort import BestEffort
from fourfold.stream.delivery.exactly_once import ExactlyOnce
from fourfold.stream.delivery.protocol import OutputContents
from fourfold.stream.limits import Limits
from fourfold.stream.sinks.files import FileSink
from fourfold.stream.sinks.pipes import PipeSink
from fourfold.stream.sinks.protocol import Sink
from fourfold.stream.sources.files import FileSource
from fourfold.stream.sources.pipes import PipeSource
from fourfold.stream.sources.protocol import Source

FILE, PIPE = FileSource(Path("in")), PipeSource(0, "standard input")
TO_FILE, TO_PIPE = FileSink(Path("out")), PipeSink(1, "standard output")


def chosen(source: Source, sink: Sink, letters: Sink | None = None) -> object:
    """The delivery between these ends."""
    letters = letters or default_dead_letters(sink)
    return choose_delivery(source, sink, letters, OutputContents("", ()), Limits(), replace=False)


def test_files_are_exactly_once() -> None:
    """Only between files does a run promise more than itself."""
    assert isinstance(chosen(FILE, TO_FILE), ExactlyOnce)
    for source, sink in ((FILE, TO_PIPE), (PIPE, TO_FILE), (PIPE, TO_PIPE)):
        assert isinstance(chosen(source, sink), BestEffort)


def test_default_dead_letters() -> None:
    """Dead letters go beside an output file, and to standard error where the output is a pipe."""
    beside = default_dead_letters(FileSink(Path("a/out.jsonl")))
    assert isinstance(beside, FileSink)
    assert beside.path == Path("a/out.jsonl.dead.jsonl")
    error = default_dead_letters(TO_PIPE)
    assert isinstance(error, PipeSink)
    assert error.pipe == 2


@pytest.mark.parametrize(
    ("source", "sink", "letters"),
    [
        ("in", "in", "dead"),
        ("in", "out", "out"),
        ("in", "out", "in"),
        ("in", "hard", "dead"),
        ("in", "soft", "dead"),
        ("in", "./in", "dead"),
        ("in", "out", "out.offsets"),
        ("out.offsets", "out", "dead"),
    ],
)
def test_ends_are_distinct(source: str, sink: str, letters: str, tmp_path: Path) -> None:
    """A file cannot be two ends of a run, by whatever names it goes."""
    (tmp_path / "in").touch()
    (tmp_path / "out.offsets").touch()
    os.link(tmp_path / "in", tmp_path / "hard")
    (tmp_path / "soft").symlink_to(tmp_path / "in")
    with pytest.raises(SinkError, match="are the same file"):
        chosen(FileSource(tmp_path / source), FileSink(tmp_path / sink), FileSink(tmp_path / letters))
