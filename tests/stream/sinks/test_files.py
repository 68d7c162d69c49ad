from __future__ import annotations

import errno
import os
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


def test_a_full_disk_leaves_no_half_of_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written of an answer before the disk was full is removed; when there is room again, it goes on."""
    output = OutputFile(tmp_path / "out.jsonl")
    output.write(b"one\n")
    room = 3
    write = os.write

    def write_while_there_is_room(handle: int, data: memoryview) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(handle, data[:room])
        room -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_while_there_is_room)
        with pytest.raises(SinkError, match="at offset 4: No space left on device"):
            output.write(b"two\n")
    assert (output.length, output.path.read_bytes()) == (4, b"one\n")
    output.write(b"three\n")
    output.close()
    assert output.path.read_bytes() == b"one\nthree\n"
