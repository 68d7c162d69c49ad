from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fourfold.errors import SinkError
from fourfold.stream import open_sink
from fourfold.stream.sinks.files import FileSink
from fourfold.stream.sinks.pipes import PipeSink


def test_sinks_by_name(tmp_path: Path) -> None:
    """A path is a file, - is standard output, and a path that names a device or a pipe is one; none is made yet."""
    sink = open_sink(f"file://{tmp_path}/out.jsonl")
    assert isinstance(sink, FileSink)
    assert not sink.path.exists()
    standard = open_sink("-")
    assert isinstance(standard, PipeSink)
    assert standard.pipe == 1
    assert isinstance(open_sink("/dev/null"), PipeSink)


@pytest.mark.parametrize("target", ["there.jsonl", "nowhere.jsonl", "pipe", "link"])
def test_a_link_is_no_sink(tmp_path: Path, target: str) -> None:
    """A link in an output's place is refused with where it leads; what it leads to stays as it is."""
    (tmp_path / "there.jsonl").write_text("data")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(SinkError, match=f"symbolic link to '{target}'"):
        open_sink(tmp_path / "link")
    for sink in (FileSink(tmp_path / "link"), PipeSink(tmp_path / "link", "link")):
        with pytest.raises(SinkError, match=r"link: (it is a symbolic link|Too many levels)"):
            sink.open()
    assert (tmp_path / "there.jsonl").read_text() == "data"
    assert not (tmp_path / "nowhere.jsonl").exists()


def test_what_is_no_file_is_no_file_sink(tmp_path: Path) -> None:
    """A named pipe in the place of an output's companion is refused, and not waited for."""
    os.mkfifo(tmp_path / "out.jsonl.dead.jsonl")
    with pytest.raises(SinkError, match="expected a file, got a named pipe"):
        FileSink(tmp_path / "out.jsonl.dead.jsonl").open()


#: Writes two answers to the sink argv[1].
WRITER = """
import sys
from fourfold.stream import open_sink
for line in (b"one\\n", b"two\\n"):
    output = open_sink(sys.argv[1]).open()
    output.write(line)
    output.close()
"""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "-"])
def test_standard_output_may_be_a_file(tmp_path: Path, name: str) -> None:
    """The names of standard output write where it is, also where that is a file, and leave nothing beside it."""
    path = tmp_path / "out.jsonl"
    path.write_text("before\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    with path.open("ab") as file:
        subprocess.run([sys.executable, "-c", WRITER, name], stdout=file, env=environment, check=True)
    assert path.read_text() == "before\none\ntwo\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("url", ["kafka://host/etas", "", ".", "no/such/folder/out.jsonl"])
def test_what_cannot_be_written_is_refused(url: str) -> None:
    """Another scheme, no name, a folder and a file in a folder that is not there are errors at once."""
    with pytest.raises(SinkError):
        open_sink(url)
