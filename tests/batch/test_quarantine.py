from __future__ import annotations

import json
import math
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fourfold.batch.quarantine import Quarantine, belongs_to_run, json_value
from fourfold.errors import RowError, SinkError


def error(row: int, field: str | None = "x", code: str = "type") -> RowError:
    return RowError(row, field, code, "float64", "'far'")


def test_writes_a_line_for_each_row(tmp_path: Path) -> None:
    """Each row has one line with its file, its number there, all of its errors, and its columns as they came."""
    quarantine = Quarantine(tmp_path / "q.jsonl", "key")
    quarantine.add(
        "a.csv", 100, [([error(3), error(3, "n", "range")], {"x": "fär", "n": "9"}), ([error(5)], {"x": "?"})]
    )
    quarantine.add("b.csv", 0, [([error(0, None)], "no object")])
    assert quarantine.close()
    found = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    wrong = {"field": "x", "code": "type", "expected": "float64", "got": "'far'"}
    assert found == [
        {
            "file": "a.csv",
            "row": 103,
            "errors": [wrong, wrong | {"field": "n", "code": "range"}],
            "columns": {"x": "fär", "n": "9"},
            "run": "key",
        },
        {"file": "a.csv", "row": 105, "errors": [wrong], "columns": {"x": "?"}, "run": "key"},
        {"file": "b.csv", "row": 0, "errors": [wrong | {"field": None}], "columns": "no object", "run": "key"},
    ]
    assert quarantine.rows == 3
    assert quarantine.reasons == {("x", "type"): 2, ("n", "range"): 1, (None, "type"): 1}
    assert quarantine.first_errors[0] == "a.csv, row 103, field 'x': expected float64, got 'far'"
    assert quarantine.first_errors[-1] == "b.csv, row 0: expected float64, got 'far'"


def test_remembers_only_the_first_errors(tmp_path: Path) -> None:
    """However many rows are at fault, a message has five of them to name."""
    quarantine = Quarantine(tmp_path / "q.jsonl", "key")
    for start in range(4):
        quarantine.add("a.csv", start * 10, [([error(row)], {}) for row in range(3)])
    assert [line.partition(",")[2].split(",")[0] for line in quarantine.first_errors] == [
        " row 0", " row 1", " row 2", " row 10", " row 11",
    ]  # fmt: skip
    quarantine.abort()


def test_makes_no_file_for_no_rows(tmp_path: Path) -> None:
    """Without a row at fault there is no file."""
    quarantine = Quarantine(tmp_path / "q.jsonl", "key")
    assert not quarantine.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (1.5, 1.5),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (b"\xff\x00", "/wA="),
        (date(2020, 1, 2), "2020-01-02"),
        (datetime(2020, 1, 2, 3, tzinfo=UTC), "2020-01-02T03:00:00+00:00"),
        (Decimal("1.50"), "1.50"),
        ({"a": [1, b"a"]}, {"a": [1, "YQ=="]}),
    ],
    ids=repr,
)
def test_every_value_has_a_json_form(value: Any, expected: Any) -> None:
    """A value that JSON has stays itself, and any other becomes its text."""
    assert json_value(value) == expected


def test_half_a_surrogate_pair_is_written(tmp_path: Path) -> None:
    """Text that UTF-8 cannot hold, which may be what is wrong with the row, is written with escapes."""
    quarantine = Quarantine(tmp_path / "q.jsonl", "key")
    quarantine.add("a.jsonl", 0, [([error(0)], {"word": "\ud800é"})])
    quarantine.close()
    assert json.loads((tmp_path / "q.jsonl").read_bytes())["columns"] == {"word": "\ud800é"}


def test_knows_its_own_run(tmp_path: Path) -> None:
    """A quarantine belongs to the run whose key it carries; anything else belongs to nobody."""
    path = tmp_path / "q.jsonl"
    assert not belongs_to_run(path, "key")
    quarantine = Quarantine(path, "key")
    quarantine.add("a.csv", 0, [([error(0)], {})])
    quarantine.close()
    assert belongs_to_run(path, "key")
    assert not belongs_to_run(path, "another")
    path.write_text("[]\n")
    assert not belongs_to_run(path, "key")
    path.write_text("no JSON\n")
    assert not belongs_to_run(path, "key")


def test_says_what_cannot_be_written(tmp_path: Path) -> None:
    """A file that cannot be made is a sink error with its path."""
    quarantine = Quarantine(tmp_path / "gone" / "q.jsonl", "key")
    with pytest.raises(SinkError, match=r"the quarantine .*q\.jsonl cannot be written: No such file"):
        quarantine.add("a.csv", 0, [([error(0)], {})])
    quarantine.abort()


def test_what_is_no_quarantine_belongs_to_nobody(tmp_path: Path) -> None:
    """A named pipe is not waited for, a link not followed, and a line without an end not read to it."""
    path = tmp_path / "rows.jsonl"
    os.mkfifo(path)
    assert not belongs_to_run(path, "key")
    path.unlink()
    (tmp_path / "own").write_text('{"run": "key"}\n')
    assert belongs_to_run(tmp_path / "own", "key")
    path.symlink_to("own")
    assert not belongs_to_run(path, "key")
    path.unlink()
    path.write_text("[" * 100_000)
    assert not belongs_to_run(path, "key")
    os.truncate(path, 2**40)
    assert not belongs_to_run(path, "key")
