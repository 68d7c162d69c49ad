from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourfold.batch.extract.formats import SOURCE_FORMATS, detect_format
from fourfold.errors import SinkError, SourceError
from fourfold.signature import Field
from tests.batch.support import table, write

COLUMNS = ["id", "x", "n", "word"]


def lines(path: Path, *texts: str) -> Path:
    path.write_text("".join(text + "\n" for text in texts))
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.parquet", "parquet"),
        ("a.CSV", "csv"),
        ("a.ndjson", "json-lines"),
        ("a.b.jsonl", "json-lines"),
        ("a.feather", "arrow"),
    ],
)
def test_a_suffix_says_the_format(name: str, expected: str) -> None:
    """A file's format is that of its suffix, in upper or lower case."""
    assert detect_format(Path(name)) == expected


@pytest.mark.parametrize("name", ["a", "a.txt", "a.json", "a.csv.gz", "parquet"])
def test_no_format_is_guessed(name: str) -> None:
    """A file with an unknown suffix is refused; the message lists the known ones."""
    message = r".*: its name does not say its format; expected it to end in one of \.parquet, \.csv"
    with pytest.raises(SourceError, match="the source" + message):
        detect_format(Path(name))
    with pytest.raises(SinkError, match="the output" + message):
        detect_format(Path(name), "output")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow", ".jsonl"])
def test_a_look_says_the_columns(suffix: str, tmp_path: Path) -> None:
    """Inspecting a file of any format gives all its columns, and the types of the kept ones."""
    path = write(tmp_path / f"a{suffix}", table(20))
    info = SOURCE_FORMATS[detect_format(path)].inspect(path, COLUMNS, ["id"])
    assert list(info.types) == COLUMNS
    assert info.types["id"] == (pa.string() if suffix == ".csv" else pa.int64())
    assert info.rows == (20 if suffix in (".parquet", ".jsonl") else None)
    assert info.row_bytes > 0


def test_later_rows_may_be_wider(tmp_path: Path) -> None:
    """The footer of a Parquet file shows that later rows are wider than the sample."""
    path = tmp_path / "a.parquet"
    words = pa.array([""] * 1000 + [f"{number:05}" * 2000 for number in range(1000)])
    pq.write_table(pa.table({"word": words, "other": words}), path, row_group_size=1000, use_dictionary=False)
    assert SOURCE_FORMATS["parquet"].inspect(path, ["word"], []).row_bytes >= 10_000
    assert SOURCE_FORMATS["parquet"].inspect(path, ["word"], []).row_bytes < 20_000


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-9223372036854775808", "null"], pa.int64()),
        (["1", "2.5"], pa.float64()),
        (["9007199254740992", "2.5"], pa.float64()),
        (['"a"', "null"], pa.string()),
        (["true"], pa.bool_()),
        (["null"], pa.null()),
    ],
)
def test_json_lines_are_asked_for_the_type_of_what_is_kept(values: list[str], kind: Any, tmp_path: Path) -> None:
    """A kept key of JSON lines gets the type that holds all of its values exactly."""
    path = lines(tmp_path / "a.jsonl", *(f'{{"id": {value}}}' for value in values), "{}")
    info = SOURCE_FORMATS["json-lines"].inspect(path, ["id"], ["id"])
    assert info.types == {"id": kind}
    assert info.rows == len(values) + 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", '"1"'], r"column 'id' must hold values of one type .* holds int \(row 0\) and string \(row 1\)"),
        (["true", "1"], r"holds bool \(row 0\) and int \(row 1\)"),
        (["9223372036854775808"], "holds 9223372036854775808, which an int64 column cannot hold"),
        (["0.5", "9007199254740993"], "holds 9007199254740993, which a float64 column cannot hold"),
        (["-9007199254740993", "0.5"], "holds -9007199254740993, which a float64 column cannot hold"),
        (["null", "[1]"], r"holds \[1\] in row 1; only single values can be kept"),
    ],
)
def test_json_lines_keep_nothing_that_would_change(values: list[str], message: str, tmp_path: Path) -> None:
    """A kept key whose values no single type holds exactly is refused before a row is predicted."""
    path = lines(tmp_path / "a.jsonl", *(f'{{"id": {value}}}' for value in values))
    with pytest.raises(SourceError, match=message):
        _ = SOURCE_FORMATS["json-lines"].inspect(path, ["id"], ["id"])


def test_cells_become_values() -> None:
    """CSV cells are read by their fields: a batch of the rows whose cells all fit, and the others as rows."""
    fields = [Field("x", "float64"), Field("n", "int64", nullable=True)]
    fitting = pa.record_batch({"x": ["1.5", "-inf"], "n": ["7", None]})
    (whole,) = SOURCE_FORMATS["csv"].parse_inputs(fitting, fields)
    assert whole.indices is None
    assert whole.table.to_pylist() == [{"x": 1.5, "n": 7}, {"x": float("-inf"), "n": None}]
    at_fault = pa.record_batch({"x": ["1.5", "far", "2", "3"], "n": ["7", None, "1.5.", None]})
    good, bad = SOURCE_FORMATS["csv"].parse_inputs(at_fault, fields)
    assert (good.indices, bad.indices) == ([0, 3], [1, 2])
    assert good.table.to_pylist() == [{"x": 1.5, "n": 7}, {"x": 3.0, "n": None}]
    assert bad.table == [{"x": "far", "n": None}, {"x": 2, "n": "1.5."}]
    unlike = pa.record_batch({"x": ["1234567890123456", "0.5"], "n": ["1", "2"]})
    (each,) = SOURCE_FORMATS["csv"].parse_inputs(unlike, fields)
    assert each.table == [{"x": 1234567890123456, "n": 1}, {"x": 0.5, "n": 2}]
