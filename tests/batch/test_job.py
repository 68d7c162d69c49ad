from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fourfold.batch import Job
from fourfold.errors import SourceError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": ""}, "source: expected a path"),
        ({"output": 7}, "output: expected a path; got 7"),
        ({"keep": "id"}, "keep: expected a list of column names; got 'id'"),
        ({"keep": ["id", "id"]}, "keep: a column is named twice"),
        ({"rename": {"a": 1}}, "rename: expected source columns"),
        ({"rename": {"a": "x", "b": "x"}}, "rename: two columns are to be one field"),
        ({"quarantine": ""}, "quarantine: expected a path"),
        ({"max_quarantined": -1}, "max_quarantined: expected a count"),
        ({"max_quarantined": 1.5}, "max_quarantined: expected a count"),
        ({"max_quarantined": float("nan")}, "max_quarantined: expected a count"),
        ({"max_quarantined": True}, "max_quarantined: expected a count"),
        ({"chunk_rows": 0}, "chunk_rows: expected an integer of at least 1"),
        ({"chunk_bytes": 1.5}, "chunk_bytes: expected an integer of at least 1"),
        ({"replace": "yes"}, "replace: expected true or false"),
    ],
)
def test_refuses_what_cannot_be_run(arguments: dict[str, Any], message: str) -> None:
    """A value of another type, or out of its range, is refused and named."""
    with pytest.raises(SourceError, match=message):
        Job(**({"source": "a.csv", "output": "b.csv"} | arguments))


def test_cannot_be_changed_from_outside() -> None:
    """A job keeps what it was given, even where the caller goes on to change a list or a dict of its own."""
    keep, rename = ["id"], {"a": "x"}
    job = Job("a.csv", "b.csv", keep=keep, rename=rename)  # type: ignore[arg-type]
    keep.append("b")
    rename["b"] = "y"
    assert job.keep == ("id",)
    assert job.rename == {"a": "x"}
    with pytest.raises(TypeError):
        job.rename["c"] = "z"  # type: ignore[index]


def test_takes_paths() -> None:
    """A path object is as good as its text."""
    job = Job(Path("a.csv"), Path("b.csv"), quarantine=Path("c.jsonl"))  # type: ignore[arg-type]
    assert (job.source, job.output, job.quarantine) == ("a.csv", "b.csv", "c.jsonl")


def test_reads_toml(tmp_path: Path) -> None:
    """A TOML file gives the job that its keys describe, its paths counted from the file's folder."""
    path = tmp_path / "nightly.toml"
    path.write_text(
        'source = "in/*.parquet"\noutput = "/out/day.parquet"\nkeep = ["id"]\nmax_quarantined = 0.01\n'
        'quarantine = "bad.jsonl"\nchunk_rows = 1000\nchunk_bytes = 5000\nreplace = true\n'
        '[rename]\n"Flug Nr" = "flight"\n'
    )
    assert Job.from_toml(path) == Job(
        source=str(tmp_path / "in/*.parquet"),
        output="/out/day.parquet",
        keep=("id",),
        rename={"Flug Nr": "flight"},
        quarantine=str(tmp_path / "bad.jsonl"),
        max_quarantined=0.01,
        chunk_rows=1000,
        chunk_bytes=5000,
        replace=True,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('source = "a"\noutput = "b"\noutptu = "c"', "has a key 'outptu'; expected source, output, keep"),
        ('source = "a"', "lacks the key output"),
        ('source = "a"\noutput = ""', "job.toml: the job's output: expected a path; got ''"),
        ('source = "a"\noutput = "b"\nkeep = "id"', "job.toml: the job's keep: expected a list"),
        ("source =", "is not TOML"),
    ],
)
def test_refuses_toml_that_is_no_job(text: str, message: str, tmp_path: Path) -> None:
    """A key that is unknown or missing, a value that does not fit, and what is no TOML are refused by name."""
    path = tmp_path / "job.toml"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        Job.from_toml(path)


def test_what_is_given_goes_before_the_file(tmp_path: Path) -> None:
    """An argument replaces the file's key, and its path counts from where the process is."""
    path = tmp_path / "job.toml"
    path.write_text('source = "a.csv"\nchunk_rows = 5\nreplace = true\n')
    job = Job.from_toml(path, output="b.csv", chunk_rows=7)
    assert (job.source, job.output, job.chunk_rows, job.replace) == (str(tmp_path / "a.csv"), "b.csv", 7, True)


@pytest.mark.parametrize(
    ("key", "value", "placed"),
    [
        ("package", "eta@production", False),
        ("package", "eta.fourfold", True),
        ("package", "models/eta", True),
        ("repository", "s3://bucket/models", False),
        ("repository", "models", True),
    ],
)
def test_a_job_can_name_its_package(key: str, value: str, placed: bool, tmp_path: Path) -> None:
    """A reference and a URL stay as they are, and a path counts from the file's folder."""
    path = tmp_path / "job.toml"
    path.write_text(f'source = "a.csv"\noutput = "b.csv"\n{key} = "{value}"\n')
    assert getattr(Job.from_toml(path), key) == (str(tmp_path / value) if placed else value)


def test_refuses_toml_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there is a source error that names it, and so is one that is no text."""
    with pytest.raises(SourceError, match=r"cannot read the job .*gone\.toml: No such file"):
        Job.from_toml(tmp_path / "gone.toml")
    (tmp_path / "latin.toml").write_bytes(b'source = "\xff"')
    with pytest.raises(SourceError, match=r"latin\.toml is not TOML"):
        Job.from_toml(tmp_path / "latin.toml")
