from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from fourfold import jobfile
from fourfold.batch import Job as BatchJob
from fourfold.cli.options import COUNT_OR_SHARE
from fourfold.errors import SinkError, SourceError
from fourfold.stream import Job as StreamJob


@dataclass
class Job:
    source: str
    size: int = 1


def is_path(key: str, _: str) -> bool:
    return key == "source"


@pytest.mark.parametrize("value", [0, 7, 10**12, 0.0, 0.5, 1.0])
def test_a_count_or_a_share_is_accepted_everywhere(value: float) -> None:
    """The command line, a stream and a batch run take the same limits, a share of 0.0 and of 1.0 among them."""
    assert jobfile.is_count_or_share(value)
    assert COUNT_OR_SHARE.convert(repr(value), None, None) == value
    assert StreamJob("a.jsonl", "b.jsonl", max_dead=value).max_dead == value
    assert BatchJob("a.csv", "b.csv", max_quarantined=value).max_quarantined == value


@pytest.mark.parametrize("value", [-1, -0.1, 1.5, float("nan"), float("inf"), True, "many"])
def test_other_limits_are_refused_everywhere(value: float) -> None:
    """What is neither a count nor a share is an error of the room that is given it."""
    assert not jobfile.is_count_or_share(value)
    with pytest.raises(SinkError, match="max_dead"):
        StreamJob("a.jsonl", "b.jsonl", max_dead=value)
    with pytest.raises(SourceError, match="max_quarantined"):
        BatchJob("a.csv", "b.csv", max_quarantined=value)


def test_a_decimal_point_makes_a_share() -> None:
    """`1` is a count and `1.0` a share; what is no number is an error."""
    assert [repr(jobfile.parse_count_or_share(text)) for text in ("1", "1.0", "0.01")] == ["1", "1.0", "0.01"]
    for text in ("", "many", "1%", "1.2.3"):
        with pytest.raises(ValueError, match=r"invalid|could not convert"):
            jobfile.parse_count_or_share(text)


def test_reads_a_job(tmp_path: Path) -> None:
    """A file's keys are the job's fields; its paths count from its folder, and what is given takes precedence."""
    path = tmp_path / "job.toml"
    path.write_text('source = "in.csv"\nsize = 2\n')
    assert jobfile.read_job(path, Job, {}, is_path=is_path) == Job(str(tmp_path / "in.csv"), 2)
    assert jobfile.read_job(path, Job, {"source": "here.csv"}, is_path=is_path) == Job("here.csv", 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size = 2", r"lacks the key source; it has \['size'\]"),
        ('source = "a"\nsise = 2', "has a key 'sise'; expected source, size"),
        ("source =", "is not TOML"),
    ],
)
def test_refuses_a_file_that_is_no_job(text: str, message: str, tmp_path: Path) -> None:
    """A key that is unknown or missing is refused by name, and so is a file that is not TOML."""
    path = tmp_path / "job.toml"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        jobfile.read_job(path, Job, {}, is_path=is_path)


def test_a_job_that_is_no_file_or_endless_is_refused(tmp_path: Path) -> None:
    """A named pipe is not waited for, a file of a terabyte not read, and nesting without an end is no traceback."""
    path = tmp_path / "job.toml"
    os.mkfifo(path)
    with pytest.raises(SourceError, match="expected a file, got a named pipe"):
        jobfile.read_job(path, Job, {}, is_path=is_path)
    path.unlink()
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(SourceError, match="1,099,511,627,776 bytes; expected at most 1,048,576"):
        jobfile.read_job(path, Job, {}, is_path=is_path)
    path.write_text("source = " + "[" * 100_000)
    with pytest.raises(SourceError, match="is not TOML"):
        jobfile.read_job(path, Job, {}, is_path=is_path)
