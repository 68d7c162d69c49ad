from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourfold.codecs import parquet
from fourfold.errors import DecodeError, SinkError, SourceError
from fourfold.signature import Field
from fourfold.signature.columns import arrow_schema
from tests.codecs.tables import small


def test_any_reader_reads_it(tmp_path: Path) -> None:
    """The file is zstd Parquet of the fields' schema, and the same table gives the same bytes."""
    fields, batch = small()
    (tmp_path / "t.parquet").write_bytes(parquet.encode(batch, fields))
    assert pq.read_table(tmp_path / "t.parquet").schema == arrow_schema(fields)
    assert pq.ParquetFile(tmp_path / "t.parquet").metadata.row_group(0).column(0).compression == "ZSTD"
    assert parquet.encode(batch, fields) == parquet.encode(batch.to_pylist(), fields)


def test_small_tables_share_a_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables wait until a row group has its rows, and chunks are cut across row groups."""
    monkeypatch.setattr(parquet, "GROUP_ROWS", 10)
    fields, batch = small(4)
    path = tmp_path / "t.parquet"
    with parquet.Writer(path, fields) as writer:
        for _ in range(6):
            writer.write(batch)
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(place).num_rows for place in range(groups.num_row_groups)] == [12, 12]
    chunks = list(parquet.read(path, None, 5))
    assert [chunk.num_rows for chunk in chunks] == [5, 5, 5, 5, 4]
    assert [row for chunk in chunks for row in chunk.to_pylist()] == batch.to_pylist() * 6


def test_names_and_projection(tmp_path: Path) -> None:
    """Columns come in the order asked; an unknown one is a `SourceError`, which pyarrow would pass over."""
    fields, batch = small()
    path = tmp_path / "t.parquet"
    path.write_bytes(parquet.encode(batch, fields))
    assert parquet.names(path) == ("n", "x", "s")
    (chunk,) = parquet.read(path, columns=["s", "n"])
    assert chunk.schema.names == ["s", "n"]
    with pytest.raises(SourceError, match=r"t\.parquet has no column 'y'; it has 'n', 'x', 's'"):
        list(parquet.read(path, columns=["n", "y"]))


def test_names_with_dots(tmp_path: Path) -> None:
    """A column is asked for by its whole name: `a` is not `a.b`."""
    fields = (Field("a.b", "int64"), Field("a", "int64"), Field("a.b.c", "int64"))
    path = tmp_path / "t.parquet"
    path.write_bytes(parquet.encode([{"a.b": 1, "a": 2, "a.b.c": 3}], fields))
    for name, value in (("a", 2), ("a.b", 1), ("a.b.c", 3)):
        assert [chunk.to_pylist() for chunk in parquet.read(path, columns=[name])] == [[{name: value}]]


def test_stored_types_are_kept() -> None:
    """A decoder coerces nothing."""
    table = pa.table({"a": pa.array([1], pa.int8()), "b": pa.array([{"c": 1}])})
    file = io.BytesIO()
    pq.write_table(table, file)
    assert parquet.decode(file.getvalue()) == table


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1PAR1", b"a,b\n1,2\n", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_what_is_no_parquet(data: bytes, tmp_path: Path) -> None:
    """Other bytes are refused; a file by its name."""
    with pytest.raises(DecodeError, match="malformed or truncated Parquet"):
        parquet.decode(data)
    (tmp_path / "t.parquet").write_bytes(data)
    with pytest.raises(DecodeError, match=r"t\.parquet: malformed"):
        parquet.names(tmp_path / "t.parquet")


def test_a_null_where_none_may_be() -> None:
    """A missing value in a field that takes none is not written."""
    with pytest.raises(SinkError, match="null"):
        parquet.encode([{"n": None}], [Field("n", "int64")])


def test_reading_takes_bounded_memory(tmp_path: Path) -> None:
    """A file of one large row group is read in a small part of its size in memory."""
    path = tmp_path / "t.parquet"
    table = pa.table({f"c{place}": pa.array(range(place, 400_000 + place)).cast(pa.float64()) for place in range(8)})
    pq.write_table(table, path, row_group_size=400_000, use_dictionary=False, write_page_checksum=True)
    size = table.nbytes
    del table
    start, most, rows = pa.total_allocated_bytes(), 0, 0
    for chunk in parquet.read(path, None, 4096):
        rows += chunk.num_rows
        most = max(most, pa.total_allocated_bytes() - start)
    assert rows == 400_000
    assert most < size / 1.5
