from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from fourfold.errors import SinkError
from fourfold.stream import open_sink
from fourfold.stream.sinks.files import FileSink, OutputFile, OutputPipe, PipeSink, ReaderGone


def test_sinks_by_name(tmp_path: Path) -> None:
    """A path is a file, - is standard output, and a path that names a device or a pipe is one; none is made yet."""
    sink = open_sink(f"file://{tmp_path}/out.jsonl")
    assert isinstance(sink, FileSink)
    assert not sink.path.exists()
    standard = open_sink("-")
    assert isinstance(standard, PipeSink)
    assert standard.pipe == 1
    assert isinstance(open_sink("/dev/null"), PipeSink)


@pytest.mark.parametrize("url", ["kafka://host/etas", "", ".", "no/such/folder/out.jsonl"])
def test_what_cannot_be_written_is_refused(url: str) -> None:
    """Another scheme, no name, a folder and a file in a folder that is not there are errors at once."""
    with pytest.raises(SinkError):
        open_sink(url)


def test_file_is_locked(tmp_path: Path) -> None:
    """A file that is open for output cannot be opened for it again until it is closed."""
    path = tmp_path / "out.jsonl"
    first = OutputFile(path)
    with pytest.raises(SinkError, match="another process is writing it"):
        OutputFile(path)
    first.close()
    OutputFile(path).close()


def test_file_is_cut_and_appended(tmp_path: Path) -> None:
    """A file can be cut back to what was committed, and goes on from there."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"one\ntwo")
    output = OutputFile(path)
    assert output.length == 7
    output.cut(4)
    output.write(b"three\n")
    output.sync()
    output.close()
    assert (output.length, path.read_bytes()) == (10, b"one\nthree\n")


def test_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A file in a folder that has gone is an error that names it."""
    with pytest.raises(SinkError, match=r"gone/out\.jsonl: No such file"):
        OutputFile(tmp_path / "gone" / "out.jsonl")


def test_pipe_takes_all() -> None:
    """More than a pipe holds is written whole, also where somebody has made it non-blocking."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = b"0123456789" * 100_000
    got = bytearray()

    def read() -> None:
        while len(got) < len(data):
            got.extend(os.read(reading, 65_536))

    reader = threading.Thread(target=read)
    reader.start()
    output = OutputPipe(writing, "pipe")
    output.write(data)
    reader.join(timeout=60)
    assert bytes(got) == data
    os.close(reading)
    with pytest.raises(ReaderGone):
        output.write(b"more")
    os.close(writing)


def test_closed_stream_is_refused() -> None:
    """A standard stream that nobody has opened is an error."""
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(SinkError, match="Bad file descriptor"):
        OutputPipe(writing, "standard output")
