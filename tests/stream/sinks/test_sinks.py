from __future__ import annotations

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


@pytest.mark.parametrize("url", ["kafka://host/etas", "", ".", "no/such/folder/out.jsonl"])
def test_what_cannot_be_written_is_refused(url: str) -> None:
    """Another scheme, no name, a folder and a file in a folder that is not there are errors at once."""
    with pytest.raises(SinkError):
        open_sink(url)
