"""Keys that are no fields, and fields that no event has: what a stream does about both."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from fourfold import stream
from fourfold.errors import SignatureError, SourceError, TableError
from fourfold.signature import Extra, Signature
from fourfold.stream import Job, Limits, Report
from fourfold.stream.sources.pipes import PipeSource
from tests.stream.model import lines, predictor, sparse_job
from tests.support import SIGNATURE, make_predictor


def write(folder: Path, *events: dict[str, Any]) -> Path:
    """Write events to a file."""
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return path


def test_keys_that_are_no_fields_are_ignored(tmp_path: Path) -> None:
    """Events carry more than a model takes: that is no error, unless the job says so, whatever the package says."""
    source = write(tmp_path, *({"x": 1, "n": 2, "word": "a", "user": number} for number in range(3)))
    extras: tuple[Extra, ...] = ("forbid", "ignore")
    for own in extras:
        model = make_predictor(signature=Signature(SIGNATURE.inputs, SIGNATURE.outputs, own))
        report = stream.run(model, Job(source, tmp_path / f"{own}.jsonl", keep=("user",)))
        assert (report.answered, report.dead) == (3, 0)
        assert [answer["user"] for answer in lines(tmp_path / f"{own}.jsonl")] == [0, 1, 2]
        report = stream.run(model, Job(source, tmp_path / f"{own}.strict.jsonl", extra="forbid"))
        assert (report.answered, report.dead) == (0, 3)
        (error,) = lines(tmp_path / f"{own}.strict.jsonl.dead.jsonl")[0]["errors"]
        assert (error["field"], error["code"]) == ("user", "unknown")


def test_a_field_that_no_event_has_stops_the_run(tmp_path: Path) -> None:
    """A key that was renamed is not a missing value: nothing is answered, and the error names what was ignored."""
    source = write(tmp_path, *({"x": 1, "n": 2, "Word": "a"} for _ in range(3)))
    with pytest.raises(
        SourceError,
        match=r"none of its first 3 events has 'word'. They have the keys 'Word', .*'Word' may be meant for 'word'",
    ):
        stream.run(predictor(), Job(source, tmp_path / "out.jsonl"))
    assert not (tmp_path / "out.jsonl").exists() or (tmp_path / "out.jsonl").read_bytes() == b""
    report = stream.run(predictor(), Job(source, tmp_path / "out.jsonl", absent=("word",)))
    assert report.answered == 3


def test_one_event_that_has_the_field_is_enough(tmp_path: Path) -> None:
    """A key may be absent from events: it is missing there; and only the first thousand are looked at."""
    few = [{"x": 1, "n": 2}] * 998 + [{"x": 1, "n": 2, "word": "a"}] + [{"x": 1, "n": 2}] * 3
    report = stream.run(predictor(), Job(write(tmp_path, *few), tmp_path / "out.jsonl", limits=Limits(events=100)))
    assert report.answered == len(few)
    late = [{"x": 1, "n": 2}] * 1000 + [{"x": 1, "n": 2, "word": "a"}]
    with pytest.raises(SourceError, match=r"none of its first 1,000 events has 'word'. No other key is there"):
        stream.run(predictor(), Job(write(tmp_path, *late), tmp_path / "late.jsonl"))


def test_a_run_that_goes_on_does_not_look_again(tmp_path: Path) -> None:
    """A stream that was judged at its start is not stopped, when it goes on, by events that happen to lack a key."""
    source = write(tmp_path, {"x": 1, "n": 2, "word": "a"})
    assert stream.run(predictor(), Job(source, tmp_path / "out.jsonl")).answered == 1
    with source.open("a") as file:
        file.write('{"x": 5, "more": 1}\n')
    report = stream.run(predictor(), Job(source, tmp_path / "out.jsonl"))
    assert (report.answered, report.continued) == (1, True)


@pytest.mark.parametrize(("event", "stops"), [(b'{"x": 1, "HP": 3}\n', True), (b'{"x": 1}\n', False)])
def test_of_a_pipe_what_has_come_is_judged(event: bytes, stops: bool) -> None:
    """A first event with a key too many stops a stream that goes on; one that only lacks keys does not."""
    reading, writing = os.pipe()
    os.write(writing, event)
    stop = threading.Event()

    def end(_: Report) -> None:
        stop.set()

    job = Job(PipeSource(reading, "pipe"), "/dev/null")
    if stops:
        with pytest.raises(SourceError, match=r"pipe: its first event has not 'n', 'word'. They have the keys 'HP'"):
            stream.run(predictor(), job, stop=stop)
    else:
        assert stream.run(predictor(), job, stop=stop, on_progress=end).answered == 1
    os.close(writing)
    os.close(reading)


def test_what_may_be_absent_must_be_a_field_that_may_be_missing(tmp_path: Path) -> None:
    """A name in `absent` that is no nullable field is an error, and so is another word for `extra`."""
    source = write(tmp_path, {"x": 1})
    with pytest.raises(TableError, match="expected absent to name nullable fields only"):
        stream.run(predictor(), Job(source, tmp_path / "out.jsonl", absent=("x",)))
    with pytest.raises(SignatureError, match="expected extra to be 'forbid' or 'ignore'; got 'drop'"):
        sparse_job(source, tmp_path / "out.jsonl", extra="drop")  # type: ignore[arg-type]
