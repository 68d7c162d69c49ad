"""`fourfold predict`: the answers to the rows of a file, with the bits of every other door."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyarrow import feather
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

import fourfold
from scripts.pictures import run_in_terminal
from tests.cli.commands import call, run

CHANCE = np.random.default_rng(7)
FRAME = pd.DataFrame({"distance": CHANCE.integers(100, 3000, 90), "delay": CHANCE.normal(size=90)})
FRAME.loc[::9, "delay"] = None
WITH_KEY = FRAME.assign(id=[f"r{row}" for row in range(len(FRAME))])

WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True, double_precision=15),
    "json": lambda frame, path: path.write_text(
        json.dumps(json.loads(frame.to_json(orient="records", double_precision=15)), indent=2)
    ),
    "parquet": lambda frame, path: frame.to_parquet(path),
    "feather": lambda frame, path: frame.to_feather(path),
}
READERS: dict[str, Callable[[Path], Any]] = {
    "csv": lambda path: pd.DataFrame(list(csv.DictReader(path.read_text().splitlines()))).replace("", None),
    "jsonl": lambda path: pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()]),
    "json": lambda path: pd.DataFrame(json.loads(path.read_text())),
    "parquet": pd.read_parquet,
    "feather": lambda path: feather.read_table(path).to_pandas(),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package, one that takes no missing value, and rows in every format."""
    folder = tmp_path_factory.mktemp("predict")
    model = HistGradientBoostingRegressor(max_iter=20).fit(FRAME, FRAME["distance"] / 7)
    fourfold.pack(model, name="eta", rows=FRAME).save(folder / "eta.fourfold")
    filled = FRAME.fillna(0.0)
    far = LogisticRegression(max_iter=1000).fit(filled, np.where(filled["distance"] > 1400, "far", "near"))
    fourfold.pack(far, name="far", rows=filled).save(folder / "far.fourfold")
    for suffix, write in WRITERS.items():
        write(WITH_KEY, folder / f"rows.{suffix}")
    return folder


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_answers_have_the_bits_of_the_other_doors(folder: Path, tmp_path: Path, suffix: str) -> None:
    """From each kind of file to the same kind, and from each to each other: predict_one says what the bits are."""
    eta = fourfold.load(folder / "eta.fourfold")
    rows = READERS[suffix](folder / f"rows.{suffix}")[["distance", "delay"]].astype({"delay": float})
    expected = [
        eta.predict_one({"distance": int(row.distance), "delay": None if np.isnan(row.delay) else float(row.delay)})
        for row in rows.itertuples()
    ]
    bits = [float(answer["prediction"]).hex() for answer in expected]
    for target, read in READERS.items():
        output = tmp_path / f"answers.{target}"
        arguments = ("--rows", folder / f"rows.{suffix}", "--to", output, "--keep", "id")
        told = call("predict", folder / "eta.fourfold", *arguments).stdout
        answers = read(output)
        assert list(answers) == ["id", "prediction"]
        assert [float(value).hex() for value in answers["prediction"]] == bits
        assert answers["id"].tolist() == WITH_KEY["id"].tolist()
        assert told == f"{output}: 90 rows answered by eta\n"
    batch = tmp_path / "batch.parquet"
    if suffix != "json":
        call("batch", "run", folder / "eta.fourfold", "--from", folder / f"rows.{suffix}", "--to", batch)
        assert [value.hex() for value in pd.read_parquet(batch)["prediction"]] == bits


def test_text_goes_to_standard_output_as_the_rows_are(folder: Path) -> None:
    """Nothing but answers, in the format of the file, of --as or, with --json, as one JSON document."""
    eta = folder / "eta.fourfold"
    text = run("predict", eta, "--rows", folder / "rows.csv", "--keep", "id")
    assert text.stderr == ""
    assert text.stdout.splitlines()[:1] == ["id,prediction"]
    assert len(text.stdout.splitlines()) == 91
    lines = run("predict", eta, "--rows", folder / "rows.csv", "--as", "jsonl").stdout.splitlines()
    document = json.loads(run("predict", eta, "--rows", folder / "rows.parquet", "--json").stdout)
    assert [json.loads(line) for line in lines] == document
    done = json.loads(call("predict", eta, "--rows", folder / "rows.csv", "--to", folder / "x.csv", "--json").stdout)
    assert (done["rows"], done["output"], done["name"]) == (90, str(folder / "x.csv"), "eta")
    assert call("predict", eta, "--rows", folder / "rows.csv", "--to", folder / "x.csv", "--replace", "-q").stdout == ""


def test_a_terminal_gets_no_binary(folder: Path) -> None:
    """Parquet is refused there, with what to type instead; text is printed without what a terminal acts on."""
    command = ("-m", "fourfold", "predict", str(folder / "eta.fourfold"), "--rows", str(folder / "rows.parquet"))
    refused = run_in_terminal(
        80, "-c", f"import pathlib, sys, subprocess\nsubprocess.run({[sys.executable, *command]!r}, stderr=1)"
    )
    assert "no text for a terminal" in " ".join(refused.split())
    assert "--to answers.parquet" in " ".join(refused.split())
    rows = folder / "strange.jsonl"
    rows.write_text('{"distance":1400,"delay":1.5,"id":"a\\u009bb"}\n')
    shown = run_in_terminal(80, *command[:-1], str(rows), "--keep", "id")
    assert shown.startswith('{"id":"a\\x9bb","prediction":')


def test_rows_that_do_not_fit_leave_nothing_behind(folder: Path, tmp_path: Path) -> None:
    """Status 3, a line for each kind of fault with its rows, and no file, whole or half."""
    for suffix in WRITERS:
        for arguments in ((), ("--to", tmp_path / f"answers.{suffix}")):
            done = run("predict", folder / "far.fourfold", "--rows", folder / f"rows.{suffix}", *arguments, ok=3)
            assert done.stdout == ""
            assert "field 'delay'" in done.stderr
            assert "9 more rows" in done.stderr
            assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--rows", "{lacking.csv}"], 3, "--absent delay"),
        (["--rows", "{lacking.csv}", "--absent", "speed"], 3, "'speed'"),
        (["--rows", "{broken.json}"], 3, "broken.json"),
        (["--rows", "{broken.parquet}"], 3, "broken.parquet"),
        (["--rows", "nothing.csv"], 2, "nothing.csv"),
        (["--rows", "-"], 2, "fourfold stream"),
        (["--rows", "{rows.txt}"], 2, "does not say the format"),
        (["--rows", "{rows.csv}", "--to", "answers.xlsx"], 2, "does not say the format"),
        (["--rows", "{rows.csv}", "--to", "{rows.csv}", "--replace"], 6, "would replace the rows"),
        (["--rows", "{rows.csv}", "--to", "{rows.parquet}"], 6, "--replace"),
        (["--rows", "{rows.csv}", "--to", "nowhere/answers.csv"], 6, "does not exist"),
        (["--rows", "{rows.csv}", "--keep", "prediction"], 3, "name of an output"),
        (["--rows", "{rows.csv}", "--keep", "speed"], 6, "'speed'"),
        (["--rows", "{rows.csv}", "--as", "cvs"], 2, "Did you mean 'csv'?"),
        (["--rows", "{rows.csv}", "--as", "jsonl", "--json"], 2, "--json"),
        (["--rows", "{rows.csv}", "--as", "jsonl", "--to", "a.csv"], 2, "--as"),
    ],
)
def test_an_error_is_a_status_and_a_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, message: str
) -> None:
    """Every error names the file, or the column, and leaves nothing behind."""
    (folder / "lacking.csv").write_text("distance\n1400\n")
    (folder / "broken.json").write_text('[{"distance": 1400, "delay": nope}]')
    (folder / "broken.parquet").write_bytes((folder / "rows.parquet").read_bytes()[:-9])
    (folder / "rows.txt").write_text("distance,delay\n")
    monkeypatch.chdir(tmp_path)
    filled = [str(folder / word[1:-1]) if word.startswith("{") else word for word in arguments]
    refused = call("predict", folder / "eta.fourfold", *filled, ok=status)
    assert message in " ".join(refused.stderr.split())
    assert refused.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_an_absent_column_is_missing_where_that_is_said(folder: Path, tmp_path: Path) -> None:
    """As at every other door."""
    (tmp_path / "lacking.csv").write_text("distance\n1400\n")
    output = tmp_path / "answers.jsonl"
    call("predict", folder / "eta.fourfold", "--rows", tmp_path / "lacking.csv", "--to", output, "--absent", "delay")
    assert json.loads(output.read_text()) == fourfold.load(folder / "eta.fourfold").predict_one({"distance": 1400})
