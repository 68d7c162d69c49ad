from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from fourfold.errors import SourceError
from fourfold.stream import Limits, open_source
from fourfold.stream.lines import Position
from fourfold.stream.sources.files import FileSource
from fourfold.stream.sources.pipes import PipeSource

LIMITS = Limits()


@pytest.mark.parametrize("url", ["{}", "file://{}", "file://localhost{}", "FILE://{}"])
def test_files_by_name(url: str, tmp_path: Path) -> None:
    """A path and a file:// URL name the same file, with what the URL had to escape."""
    path = tmp_path / "ev ents.jsonl"
    path.write_bytes(b"{}\n")
    name = url.format(path if url == "{}" else str(path).replace(" ", "%20"))
    source = open_source(name)
    assert isinstance(source, FileSource)
    assert source.path == path


@pytest.mark.parametrize("url", ["kafka://host:9092/flights", "s3://bucket/events.jsonl", "https://example.org/x"])
def test_other_schemes_are_refused(url: str) -> None:
    """A scheme that this version does not have is an error that says what it has."""
    with pytest.raises(SourceError, match=r"expected a source to be a path or a file:// URL; got"):
        open_source(url)


@pytest.mark.parametrize("url", ["", "file://elsewhere/events.jsonl", "missing.jsonl", "."])
def test_what_cannot_be_read_is_refused(url: str) -> None:
    """An empty name, another host's file, a missing file and a folder are errors at once."""
    with pytest.raises(SourceError):
        open_source(url)


def test_named_pipe_is_no_file(tmp_path: Path) -> None:
    """A path can name a pipe, which cannot be followed as a file is."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert isinstance(open_source(path), PipeSource)
    with pytest.raises(SourceError, match="only a file can be followed"):
        open_source(path, follow=True)
    with pytest.raises(SourceError, match="only a file can be followed"):
        open_source("-", follow=True)


def test_waiting_ends_when_stopped(tmp_path: Path) -> None:
    """A source that waits for more does not wait for longer than a moment once it shall stop."""
    stop = threading.Event()
    reading, writing = os.pipe()
    path = tmp_path / "events.jsonl"
    path.touch()
    pipe = PipeSource(reading, "pipe")
    pipe.open()
    pipe.seek(Position(), LIMITS.line)
    file = FileSource(path, follow=True, poll=3600)
    file.open()
    file.seek(Position(), LIMITS.line)
    for source in (pipe, file):
        assert source.take(LIMITS) is None
        waiting = threading.Thread(target=source.wait, args=(stop,))
        waiting.start()
        stop.set()
        waiting.join(timeout=60)
        assert not waiting.is_alive()
        source.close()
        stop.clear()
    os.close(reading)
    os.close(writing)
