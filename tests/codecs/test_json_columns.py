from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from fourfold.codecs import json_columns
from fourfold.errors import DecodeError, SourceError
from fourfold.signature import Field

FIELDS = (Field("a", "int64"), Field("b", "string"))


def test_the_bytes() -> None:
    """One array for each field, in the fields' order."""
    rows = [{"b": "x", "a": 1}, {"b": "y", "a": 2}]
    assert json_columns.encode(rows, FIELDS) == b'{"a":[1,2],"b":["x","y"]}'


def test_parsed_columns_are_rows() -> None:
    """`rows_of` takes columns that came as a part of another JSON text."""
    assert json_columns.rows_of({"a": [1, 2], "b": [None, "x"]}) == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    assert json_columns.rows_of({}) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": [1, 2], "b": ["x"]}', "column 'a' has 2 values and column 'b' (has 1|.* more)|column 'b' has 1"),
        (b'{"a": 1}', "column 'a': expected an array"),
        (b"[1]", "expected"),
        (b'{"a": [1], "a": [2]}', "'a' twice"),
        (b'{"a": [1}', "malformed"),
        (b'{"a": [x]}', "malformed"),
    ],
)
def test_what_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    """Columns of different lengths, and what is no object of arrays, are refused, by `decode` and by `read`."""
    with pytest.raises(DecodeError, match=message):
        json_columns.decode(data)
    (tmp_path / "t.json").write_bytes(data)
    with pytest.raises(DecodeError, match=r"t\.json: "):
        list(json_columns.read(tmp_path / "t.json"))


@pytest.mark.parametrize("data", [b"{}", b" { } ", b'{"a":[],"b":[]}'])
def test_no_rows(data: bytes, tmp_path: Path) -> None:
    """No columns, or empty ones, are no rows."""
    (tmp_path / "t.json").write_bytes(data)
    assert json_columns.decode(data) == []
    assert list(json_columns.read(tmp_path / "t.json")) == []


def test_names(tmp_path: Path) -> None:
    """A file's columns are its object's keys, and a column that it lacks is a `SourceError`."""
    (tmp_path / "t.json").write_bytes(b'{"a": [1, [2, "]"]], "b": ["}", {}]}')
    assert json_columns.names(tmp_path / "t.json") == ("a", "b")
    assert list(json_columns.read(tmp_path / "t.json", None, 1)) == [[{"a": 1, "b": "}"}], [{"a": [2, "]"], "b": {}}]]
    with pytest.raises(SourceError, match="no column 'c'; it has 'a', 'b'"):
        list(json_columns.read(tmp_path / "t.json", columns=["c"]))


def test_reading_and_writing_take_bounded_memory(tmp_path: Path) -> None:
    """A file of megabytes goes in and out in a part of that, though its rows lie far apart."""
    path = tmp_path / "t.json"
    tracemalloc.start()
    with json_columns.Writer(path, FIELDS) as writer:
        for start in range(0, 20_000, 1000):
            writer.write([{"a": start + place, "b": "x" * 200} for place in range(1000)])
    rows = sum(len(chunk) for chunk in json_columns.read(path, FIELDS, 1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 20_000
    assert path.stat().st_size > 4_000_000
    assert peak < 3_000_000
