from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fourfold import stream
from fourfold.errors import OutputExists, SinkError
from fourfold.stream import Job
from fourfold.stream.sources.pipes import PipeSource
from tests.stream.model import events, lines, predictor, sparse_job


def piped(data: bytes) -> PipeSource:
    """A pipe with less data in it than it holds, whose writer has gone."""
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return PipeSource(reading, "pipe")


def test_pipe_to_file(tmp_path: Path) -> None:
    """From a pipe a file is made once, with its dead letters beside it and no progress that would promise more."""
    report = stream.run(predictor(), Job(piped(events(100)), tmp_path / "out.jsonl", keep=("id",)))
    assert (report.events, report.dead, report.continued) == (100, 4, False)
    assert [len(lines(tmp_path / name)) for name in ("out.jsonl", "out.jsonl.dead.jsonl")] == [96, 4]
    assert not (tmp_path / "out.jsonl.offsets").exists()


def test_pipe_does_not_overwrite(tmp_path: Path) -> None:
    """An output that is there is refused, and replaced with its dead letters and progress where that is said."""
    (tmp_path / "in.jsonl").write_bytes(events(100))
    stream.run(predictor(), sparse_job(tmp_path / "in.jsonl", tmp_path / "out.jsonl", keep=("id",)))
    with pytest.raises(OutputExists):
        stream.run(predictor(), sparse_job(piped(b"{}\n"), tmp_path / "out.jsonl"))
    stream.run(predictor(), sparse_job(piped(b'{"x":1}\n'), tmp_path / "out.jsonl", replace=True))
    assert lines(tmp_path / "out.jsonl") == [{"y": 2.0, "word": None}]
    assert lines(tmp_path / "out.jsonl.dead.jsonl") == []
    assert not (tmp_path / "out.jsonl.offsets").exists()


def test_pipe_does_not_forget_progress(tmp_path: Path) -> None:
    """An output that was emptied but still has its progress is refused, too: something is amiss."""
    (tmp_path / "in.jsonl").write_bytes(events(10))
    stream.run(predictor(), Job(tmp_path / "in.jsonl", tmp_path / "out.jsonl", keep=("id",)))
    (tmp_path / "out.jsonl").write_bytes(b"")
    with pytest.raises(OutputExists, match="cannot be read again"):
        stream.run(predictor(), Job(piped(b"{}\n"), tmp_path / "out.jsonl"))


def test_file_to_pipe(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """To standard output every run answers the whole file, dead letters go to standard error, and no file is made."""
    (tmp_path / "in.jsonl").write_bytes(events(100))
    for _ in range(2):
        assert stream.run(predictor(), Job(tmp_path / "in.jsonl", "-", keep=("id",))).events == 100
        out, err = capfd.readouterr()
        assert [len(out.splitlines()), len(err.splitlines())] == [96, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_one_pipe_for_both(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Where answers and dead letters share a pipe, there is one line for each event, in the order of the events."""
    (tmp_path / "in.jsonl").write_bytes(events(100))
    stream.run(predictor(), Job(tmp_path / "in.jsonl", "-", dead_letters="-", keep=("id",)))
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [letter["id"] if "id" in letter else letter["line"] - 1 for letter in found] == list(range(100))


def test_letters_file_beside_a_pipe_is_appended(tmp_path: Path) -> None:
    """Beside a pipe, the runs' dead letters gather in the file that was named for them."""
    for _ in range(2):
        stream.run(predictor(), Job(piped(b"no JSON\n"), "/dev/null", dead_letters=tmp_path / "dead.jsonl"))
    assert len(lines(tmp_path / "dead.jsonl")) == 2


def test_full_device_is_an_error() -> None:
    """Answers that cannot be written to a device are an error that names it."""
    with pytest.raises(SinkError, match=r"/dev/full: No space left"):
        stream.run(predictor(), sparse_job(piped(b'{"x":1}\n'), "/dev/full"))
