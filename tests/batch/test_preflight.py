from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fourfold.batch import Job
from fourfold.batch.preflight import preflight
from fourfold.batch.quarantine import Quarantine
from fourfold.errors import OutputExists, RowError, SinkError
from tests.batch.support import column_predictor, files_below, table, write


def checked(tmp_path: Path, **arguments: Any) -> Any:
    arguments = {"source": tmp_path / "in.csv", "output": tmp_path / "out.csv"} | arguments
    return preflight(column_predictor(), Job(**arguments))


@pytest.fixture(autouse=True)
def three_rows(tmp_path: Path) -> Path:
    """A source of three rows."""
    return write(tmp_path / "in.csv", table(3))


def test_writes_nothing(tmp_path: Path) -> None:
    """The checks make neither file nor folder."""
    checked(tmp_path, output=tmp_path / "new" / "out.csv")
    assert files_below(tmp_path) == ["in.csv"]
    assert not (tmp_path / "new").exists()


def test_an_output_that_exists_is_refused_first(tmp_path: Path) -> None:
    """An existing output is refused before the source is read."""
    (tmp_path / "out.csv").write_text("")
    with pytest.raises(OutputExists, match=r"out\.csv exists"):
        checked(tmp_path, source=tmp_path / "gone.csv")
    checked(tmp_path, replace=True)


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("in.csv", "in.csv"),
        ("in.csv", "./sub/../in.csv"),
        ("in.csv", "hard.csv"),
        ("in.csv", "soft.csv"),
        ("*.csv", "in.csv"),
        (".", "in.csv"),
    ],
)
def test_the_source_is_never_written(source: str, output: str, tmp_path: Path) -> None:
    """An output that is a file of the source is refused under any of its names, even where it may be replaced."""
    (tmp_path / "sub").mkdir()
    if source == "in.csv":
        os.link(tmp_path / "in.csv", tmp_path / "hard.csv")
        (tmp_path / "soft.csv").symlink_to(tmp_path / "in.csv")
    else:
        (tmp_path / "sub").rmdir()
    with pytest.raises(SinkError, match="is a file of the source"):
        checked(tmp_path, source=tmp_path / source, output=tmp_path / output, replace=True)


@pytest.mark.parametrize(
    ("source", "output"), [("data", "data/out.csv"), ("data/*.csv", "data/out.csv"), ("**/*.csv", "data/a/b/out.csv")]
)
def test_an_output_is_never_the_next_source(source: str, output: str, tmp_path: Path) -> None:
    """An output, or a quarantine, that the next run would read as its source is refused."""
    write(tmp_path / "data" / "in.csv", table(3))
    with pytest.raises(SinkError, match="would be a file of the source"):
        checked(tmp_path, source=tmp_path / source, output=tmp_path / output)
    with pytest.raises(SinkError, match=r"the quarantine .* would be a file of the source"):
        checked(tmp_path, source=tmp_path / source, output="/elsewhere/out.txt.csv", quarantine=tmp_path / output)
    checked(tmp_path, source=tmp_path / "data/*.csv", output=tmp_path / "data/out.parquet")


def test_a_quarantine_is_json_lines_in_a_file_of_its_own(tmp_path: Path) -> None:
    """A quarantine with another suffix, or in the output's place, is refused."""
    with pytest.raises(SinkError, match=r"expected a name that ends in \.jsonl"):
        checked(tmp_path, quarantine=tmp_path / "bad.csv")
    with pytest.raises(SinkError, match="are one file"):
        checked(tmp_path, output=tmp_path / "out.jsonl", quarantine=tmp_path / "out.jsonl")


def test_a_quarantine_that_exists_is_refused_unless_it_is_this_runs(tmp_path: Path) -> None:
    """Another run's rows at fault are never lost; those of an attempt at this run that died are written again."""
    path = tmp_path / "bad.jsonl"
    path.write_text("{}\n")
    with pytest.raises(OutputExists, match=r"bad\.jsonl exists"):
        checked(tmp_path, quarantine=path)
    assert checked(tmp_path, quarantine=path, replace=True).owns_quarantine
    path.unlink()
    first = checked(tmp_path, quarantine=path)
    assert not first.owns_quarantine
    quarantine = Quarantine(path, first.run_key)
    quarantine.add("in.csv", 0, [([RowError(0, "x", "type", "", "")], {})])
    quarantine.close()
    assert checked(tmp_path, quarantine=path).owns_quarantine


def test_the_run_key_names_the_work(tmp_path: Path) -> None:
    """The same work has the same key; another job, another source, or a source that changed has another."""
    key = checked(tmp_path).run_key
    assert checked(tmp_path, chunk_rows=1, replace=True, max_quarantined=3).run_key == key
    others = {
        checked(tmp_path, keep=("id",)).run_key,
        checked(tmp_path, output=tmp_path / "out.parquet").run_key,
        checked(tmp_path, source=write(tmp_path / "in.parquet", table(3))).run_key,
    }
    write(tmp_path / "in.csv", table(4))
    others.add(checked(tmp_path).run_key)
    assert len(others | {key}) == 5
