from __future__ import annotations

from pathlib import Path

import pytest

from fourfold.errors import SinkError
from fourfold.stream.sinks.files import OutputFile


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
    output.truncate(4)
    output.write(b"three\n")
    output.sync()
    output.close()
    assert (output.length, path.read_bytes()) == (10, b"one\nthree\n")


def test_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A file in a folder that has gone is an error that names it."""
    with pytest.raises(SinkError, match=r"gone/out\.jsonl: No such file"):
        OutputFile(tmp_path / "gone" / "out.jsonl")
