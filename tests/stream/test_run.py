from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fourfold import stream
from fourfold.errors import EngineError, SignatureError, SinkError, SourceError
from fourfold.stream import Job, Limits, Report
from fourfold.stream.sources.pipes import PipeSource
from tests.project.tree import ROOT
from tests.stream.model import events, lines, predictor, sparse_job


@contextmanager
def process(**arguments: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A stream as a process of its own."""
    command = [sys.executable, "-m", "tests.stream.process", json.dumps(arguments)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": "src"}, **pipes) as started:  # type: ignore[call-overload]
        try:
            yield started
        finally:
            started.kill()


def finished(started: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait for the process to end well; its report."""
    _, err = started.communicate(timeout=60)
    assert started.returncode == 0, err.decode()
    report: dict[str, Any] = json.loads(err.splitlines()[-1])
    return report


def refusal(started: subprocess.Popen[bytes]) -> str:
    """Wait for the process to end with an error; what it says."""
    _, err = started.communicate(timeout=60)
    assert started.returncode == SinkError.exit_status, err.decode()
    assert b"Traceback" not in err
    return err.decode()


def test_lone_event_is_answered_at_once() -> None:
    """Each event that is written into the pipe is answered before the next one is written."""
    with process(source="-", sink="-") as started:
        assert started.stdin is not None
        assert started.stdout is not None
        for number in range(5):
            started.stdin.write(b'{"x":%d}\n' % number)
            started.stdin.flush()
            assert json.loads(started.stdout.readline())["y"] == 2 * number
        assert finished(started)["events"] == 5


def test_burst_is_one_call() -> None:
    """What waits in the pipe when the stream comes to look is answered by one call."""
    calls: list[int] = []
    reading, writing = os.pipe()
    os.write(writing, b'{"x":1}\n' * 1000)
    os.close(writing)
    model = predictor(lambda rows: calls.append(len(rows)))
    stream.run(model, sparse_job(PipeSource(reading, "pipe"), "/dev/null", limits=Limits(events=600)))
    assert calls == [600, 400]
    os.close(reading)


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    """A stream that is told to stop finishes what it has in hand, commits it, and ends well."""
    (tmp_path / "in.jsonl").write_bytes(b'{"x":1}\n{"x":')
    arguments = {"source": str(tmp_path / "in.jsonl"), "sink": str(tmp_path / "out.jsonl")}
    with process(**arguments, follow=True) as started:
        offsets = tmp_path / "out.jsonl.offsets"
        while not offsets.exists() or json.loads(offsets.read_text())["line"] < 1:
            assert started.poll() is None
        started.send_signal(number)
        report = finished(started)
    assert (report["ended"], report["events"], report["offset"]) == ("stopped", 1, 8)
    assert lines(tmp_path / "out.jsonl") == [{"y": 2.0, "word": None}]


def test_reader_that_goes_ends_the_stream() -> None:
    """When nobody reads the answers any more, the stream ends well, without a traceback."""
    with process(source="-", sink="-") as started:
        assert started.stdin is not None
        assert started.stdout is not None
        started.stdin.write(b'{"x":1}\n')
        started.stdin.flush()
        started.stdout.readline()
        started.stdout.close()
        started.stdin.write(b'{"x":1}\n')
        started.stdin.flush()
        started.wait(timeout=60)
        assert started.stderr is not None
        report = json.loads(started.stderr.read().splitlines()[-1])
    assert (started.returncode, report["ended"], report["events"]) == (0, "reader", 1)


def test_second_stream_is_refused(tmp_path: Path) -> None:
    """Two processes cannot write one output: the second says so and harms nothing."""
    (tmp_path / "in.jsonl").write_bytes(events(10))
    arguments = {"source": str(tmp_path / "in.jsonl"), "sink": str(tmp_path / "out.jsonl"), "keep": ["id"]}
    with process(**arguments, follow=True) as first:
        while not (tmp_path / "out.jsonl.offsets").exists():
            assert first.poll() is None
        for replace in (False, True):
            with process(**arguments, replace=replace) as second:
                assert "another process is writing it" in refusal(second)
        first.terminate()
        finished(first)
    assert len(lines(tmp_path / "out.jsonl")) == 10


@pytest.mark.faults
@pytest.mark.parametrize("max_file", [100, 5000, 20_000])
def test_full_disk_loses_nothing(max_file: int, tmp_path: Path) -> None:
    """Where the disk is full the error names the file, and a run with room goes on as if nothing had happened."""
    (tmp_path / "in.jsonl").write_bytes(events(2000))
    arguments = {"source": str(tmp_path / "in.jsonl"), "sink": str(tmp_path / "out.jsonl"), "keep": ["id"]}
    with process(**arguments, max_file=max_file, limits={"events": 50, "commit_seconds": 0}) as started:
        assert str(tmp_path / "out.jsonl") in (message := refusal(started))
        assert "File too large" in message
    with process(**arguments) as started:
        finished(started)
    with process(**{**arguments, "sink": str(tmp_path / "whole.jsonl")}) as started:
        assert finished(started)["events"] == 2000
    for suffix in ("", ".dead.jsonl"):
        expected = (tmp_path / f"whole.jsonl{suffix}").read_bytes()
        assert (tmp_path / f"out.jsonl{suffix}").read_bytes() == expected


def test_followed_file_is_answered_as_it_grows(tmp_path: Path) -> None:
    """What is appended to a followed file is answered, until the run is stopped from another thread."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(events(5))
    stop = threading.Event()
    rest = iter([events(12)[len(events(5)) :], b'{"x":1'])

    def grow(report: Report) -> None:
        more = next(rest, None)
        if more is None:
            stop.set()
        else:
            with path.open("ab") as file:
                file.write(more + (b',"n":3}\n' if more == b'{"x":1' else b""))

    source = stream.open_source(path, follow=True, poll=0.01)
    report = stream.run(predictor(), Job(source, tmp_path / "out.jsonl", keep=("id",)), stop=stop, on_progress=grow)
    assert (report.ended, report.events, report.dead) == ("stopped", 13, 1)
    assert lines(tmp_path / "out.jsonl")[-1] == {"y": 5.0, "word": None}


def test_number_of_dead_letters_is_bounded(tmp_path: Path) -> None:
    """The event that is one too many stops the run before it; all before it is delivered; and so it does again."""
    (tmp_path / "in.jsonl").write_bytes(b'{"x":1}\nno\n{"x":2}\nno\n{"x":3}\n')
    for _ in range(2):
        with pytest.raises(SourceError, match=r"2 of 4 events.*max_dead=1.*offset 19, line 4.*decode"):
            stream.run(predictor(), sparse_job(tmp_path / "in.jsonl", tmp_path / "out.jsonl", max_dead=1))
        assert [answer["y"] for answer in lines(tmp_path / "out.jsonl")] == [2.0, 4.0]
        assert len(lines(tmp_path / "out.jsonl.dead.jsonl")) == 1
    assert stream.run(predictor(), sparse_job(tmp_path / "in.jsonl", tmp_path / "out.jsonl", max_dead=2)).events == 2
    assert len(lines(tmp_path / "out.jsonl")) == 3


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_share_of_dead_letters_is_bounded(size: int, tmp_path: Path) -> None:
    """A bad deploy stops after some hundreds of events, at the same one however they were grouped."""
    (tmp_path / "in.jsonl").write_bytes(b'{"x":1}\n' * 300 + b'{"x":"1"}\n' * 1000)
    with pytest.raises(SourceError, match=r"301 of 601 events.*max_dead=0\.5"):
        stream.run(
            predictor(),
            sparse_job(tmp_path / "in.jsonl", tmp_path / "out.jsonl", max_dead=0.5, limits=Limits(events=size)),
        )
    assert len(lines(tmp_path / "out.jsonl.dead.jsonl")) == 300


def test_broken_engine_is_not_the_events_fault(tmp_path: Path) -> None:
    """An engine that fails on every event, and now on its golden rows too, stops the run; no event is dead."""
    (tmp_path / "in.jsonl").write_bytes(b'{"x":1}\n' * 200)

    def broken(_: object) -> None:
        raise OSError("the model's file has gone")

    with pytest.raises(EngineError, match="has gone"):
        stream.run(predictor(called=broken), sparse_job(tmp_path / "in.jsonl", tmp_path / "out.jsonl"))
    assert not (tmp_path / "out.jsonl.dead.jsonl").exists()


def test_any_number_of_refused_events_are_dead_and_the_run_goes_on(tmp_path: Path) -> None:
    """However many events in a row the engine refuses, the one after them is answered."""
    (tmp_path / "in.jsonl").write_bytes(b'{"x":13}\n' * 200 + b'{"x":1}\n')
    report = stream.run(predictor(), sparse_job(tmp_path / "in.jsonl", tmp_path / "out.jsonl"))
    assert (report.answered, report.dead) == (1, 200)


def test_long_line_is_dead(tmp_path: Path) -> None:
    """A line that is too long is a dead letter with its head, and its neighbours are answered."""
    (tmp_path / "in.jsonl").write_bytes(b'{"x":1}\n{"x":1,"word":"' + b"w" * 100_000 + b'"}\n{"x":2}')
    report = stream.run(
        predictor(), sparse_job(tmp_path / "in.jsonl", tmp_path / "out.jsonl", limits=Limits(line=50_000))
    )
    assert (report.answered, report.dead) == (2, 1)
    (letter,) = lines(tmp_path / "out.jsonl.dead.jsonl")
    assert (letter["event_bytes"], letter["event"][:16], letter["line"]) == (100_017, '{"x":1,"word":"w', 2)
    assert letter["errors"][0]["expected"] == "one JSON object of at most 50000 bytes"


def test_collision_is_an_error_at_the_start(tmp_path: Path) -> None:
    """A kept field with an output's name is refused before anything is written."""
    (tmp_path / "in.jsonl").write_bytes(events(1))
    with pytest.raises(SignatureError, match="'word' cannot be kept"):
        stream.run(predictor(), Job(tmp_path / "in.jsonl", tmp_path / "out.jsonl", keep=("word",)))
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_empty_source(tmp_path: Path) -> None:
    """A source without events gives an empty output, and the next run goes on from there."""
    (tmp_path / "in.jsonl").write_bytes(b"\n \n")
    report = stream.run(predictor(), Job(tmp_path / "in.jsonl", tmp_path / "out.jsonl"))
    assert (report.events, report.ended, (tmp_path / "out.jsonl").read_bytes()) == (0, "end", b"")
    assert not (tmp_path / "out.jsonl.dead.jsonl").exists()


def test_progress_is_told(tmp_path: Path) -> None:
    """After every delivery a report says how far the run is, and of how much."""
    (tmp_path / "in.jsonl").write_bytes(events(100))
    told: list[Report] = []
    source = tmp_path / "in.jsonl"
    last = stream.run(
        predictor(),
        Job(source, tmp_path / "out.jsonl", keep=("id",), limits=Limits(events=40)),
        on_progress=told.append,
    )
    assert [(report.events, report.ended) for report in told] == [(40, "running"), (80, "running"), (100, "running")]
    assert told[-1].offset == told[-1].size == source.stat().st_size
    assert (last.ended, last.to_json()["dead"]) == ("end", 4)
    assert str(last).startswith("100 events, 96 answered, 4 dead, in ")
