from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from fourfold.codecs import Bounds, csv
from fourfold.errors import DecodeError, SinkError, SourceError
from fourfold.signature import Field, RowCoercer
from fourfold.signature.columns import rows_to_columns

FIELDS = (
    Field("n", "int64"),
    Field("x", "float64", nullable=True),
    Field("s", "string", nullable=True),
    Field("ok", "bool"),
    Field("v", "float32", shape=(2,)),
)


def test_the_bytes() -> None:
    """A header, LF, quotes where they are needed, an empty cell for a missing value and quotes for empty text."""
    rows = [
        {"n": 1, "x": float("nan"), "s": "", "ok": True, "v": [1.0, float("-inf")]},
        {"n": -2, "x": None, "s": None, "ok": False, "v": [0.1, -0.0]},
        {"n": 3, "x": 1e22, "s": 'a "b", c', "ok": False, "v": [0.0, 1.0]},
    ]
    assert csv.encode(rows, FIELDS).decode() == (
        "n,x,s,ok,v\n"
        '1,NaN,"",true,"[1.0,""-Infinity""]"\n'
        '-2,,,false,"[0.1,-0.0]"\n'
        '3,1e+22,"a ""b"", c",false,"[0.0,1.0]"\n'
    )


def test_well_formed_cells_are_a_record_batch() -> None:
    """Where every cell fits its field, the table is a record batch with a column for each of the file's."""
    table = csv.decode(b's,n,x,ok,v,other\na,1,2.5,true,"[1,2]",5\n', FIELDS)
    assert isinstance(table, pa.RecordBatch)
    assert table.to_pylist() == [{"s": "a", "n": 1, "x": 2.5, "ok": True, "v": [1, 2], "other": "5"}]


def test_columns_that_are_no_fields_are_not_read() -> None:
    """They are counted and are UTF-8, and nothing of them is kept, whether or not the other cells fit."""
    fields, bounds = [Field("x", "float64")], Bounds(only_fields=True)
    table = csv.decode(b'a,x,"b"\n1,2,"3,\n4"\n,5,\n', fields, bounds)
    assert table.to_pylist() == [{"a": None, "x": 2.0, "b": None}, {"a": None, "x": 5.0, "b": None}]
    assert csv.decode(b"a,x,b\n1,y,3\n", fields, bounds) == [{"a": None, "x": "y", "b": None}]
    assert csv.decode(b"a,b\n1,2\n3,4\n", fields, bounds).to_pylist() == [{"a": None, "b": None}] * 2
    for cells, message in ((b"1,2", "line 3: expected 3 cells, got 2"), (b"1,2,\xff", "line 3: CSV must be UTF-8")):
        with pytest.raises(DecodeError, match=message):
            csv.decode(b"a,x,b\n1,2,3\n" + cells + b"\n", fields, bounds)


def test_a_bad_cell_is_its_row_s_error() -> None:
    """A cell that does not fit stays text and fails its row alone, by row, field and what came."""
    table = csv.decode(b'n,x,s,ok,v\n1,1,a,true,"[1,2]"\none,1e400,a,TRUE,"[1,2]"\n3,2,b,false,"[1,2]"\n', FIELDS)
    assert isinstance(table, list)
    kept, errors = RowCoercer(FIELDS)(table)
    assert [row and row["n"] for row in kept] == [1, None, 3]
    assert [(error.row, error.field, error.got) for error in errors] == [(1, "n", "'one'"), (1, "x", "'1e400'")]


def test_quoted_empty_text_is_not_missing() -> None:
    """Empty text and a missing value survive apart, also alone in a one-column file."""
    field = Field("s", "string", nullable=True)
    rows = [{"s": None}, {"s": ""}, {"s": None}]
    assert csv.decode(csv.encode(rows, [field]), [field]).to_pylist() == rows


def test_without_fields_the_cells_say_what_they_are(tmp_path: Path) -> None:
    """Dtypes are inferred, by `read` from the first chunk; a later cell that is something else stays text."""
    data = b",a,b\n0,1,x\n1,2,y\n2,z,\n"
    assert csv.decode(data).to_pylist()[0] == {"": "0", "a": "1", "b": "x"}
    (tmp_path / "t.csv").write_bytes(data)
    first, second = csv.read(tmp_path / "t.csv", None, 2)
    assert first.schema.types == [pa.string(), pa.int64(), pa.string()]
    assert second == [{"": "2", "a": "z", "b": None}]


def test_pandas_files(tmp_path: Path) -> None:
    """What pandas writes is read, integers of a column with missing values, written as 3.0, included."""
    frame = pd.DataFrame(
        {"n": [1, 2], "x": [3.0, None], "s": ["a,b", 'q"'], "when": pd.to_datetime(["2024-01-02", "NaT"], utc=True)}
    )
    fields = (
        Field("n", "int8"),
        Field("x", "int64", nullable=True),
        Field("s", "string"),
        Field("when", "timestamp", nullable=True, zone="UTC"),
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    (chunk,) = csv.read(tmp_path / "t.csv", fields)
    rows, errors = RowCoercer(fields)(chunk.to_pylist())
    assert errors == []
    assert [row and (row["n"], row["x"], row["s"]) for row in rows] == [(1, 3, "a,b"), (2, None, 'q"')]


def test_names_and_projection(tmp_path: Path) -> None:
    """A header is read alone; a column that is not there is a `SourceError` that lists those that are."""
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2\n")
    assert csv.names(tmp_path / "t.csv") == ("a", "b")
    with pytest.raises(SourceError, match=r"t\.csv has no column 'c'; it has 'a', 'b'"):
        list(csv.read(tmp_path / "t.csv", columns=["c"]))


def test_errors_name_the_file_and_the_line(tmp_path: Path) -> None:
    """An error of a file names the file and the line."""
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2\n1\n")
    with pytest.raises(DecodeError, match=r"t\.csv: line 3: expected 2 cells, got 1"):
        list(csv.read(tmp_path / "t.csv"))


def test_values_that_are_not_canonical() -> None:
    """A value that is not its field's is a `SinkError`."""
    with pytest.raises(SinkError, match="field 'n': expected float64"):
        csv.encode([{"n": "x"}], [Field("n", "float64")])
    with pytest.raises(SinkError, match="UTF-8"):
        csv.encode([{"s": "\ud800"}], [Field("s", "string")])


@pytest.mark.parametrize("cells", [1, 7, 10, 1 << 18])
def test_records_are_encoded_in_pieces(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many cells are encoded at once, rows, batches and tables of chunks give the same bytes."""
    fields = (Field("n", "int64"), Field("s", "string", nullable=True))
    rows = [{"n": row, "s": None if row % 4 == 0 else f"a,{row}"} for row in range(11)]
    expected = b"n,s\n" + b"".join(b"%d,%s\n" % (row, b"" if row % 4 == 0 else b'"a,%d"' % row) for row in range(11))
    monkeypatch.setattr(csv, "CELLS_AT_ONCE", cells)
    batch = rows_to_columns(fields, rows)
    for table in (rows, batch, pa.Table.from_batches([batch.slice(0, 3), batch.slice(3)])):
        assert csv.encode(table, fields) == expected
        assert csv.encode(table[:0] if isinstance(table, list) else table.slice(0, 0), fields) == b"n,s\n"
    for empty in (batch.slice(0, 0).select(["n"]), batch.select(["n"])):
        with pytest.raises(SinkError, match="the table has no column 's'"):
            csv.encode(empty, fields)


def test_reading_takes_bounded_memory(tmp_path: Path) -> None:
    """A file of megabytes is read in a small part of that."""
    path = tmp_path / "t.csv"
    with csv.Writer(path, [Field("n", "int64"), Field("s", "string")]) as writer:
        for start in range(0, 40_000, 10_000):
            writer.write([{"n": start + place, "s": "x" * 200} for place in range(10_000)])
    start = pa.total_allocated_bytes()
    most = count = 0
    for chunk in csv.read(path, None, 1000):
        count += chunk.num_rows
        most = max(most, pa.total_allocated_bytes() - start)
    assert count == 40_000
    assert path.stat().st_size > 8_000_000
    assert most < 5_000_000


def test_a_name_that_begins_with_a_byte_order_mark_keeps_it() -> None:
    """The mark is part of the first column's name, and not of the file."""
    field = Field("\ufeffx", "float64")
    decoded = csv.decode(csv.encode([{"\ufeffx": 1.0}], [field]), [field])
    assert decoded.schema.names == ["\ufeffx"]
