from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourfold.batch.load.files import OutputFile
from fourfold.errors import SinkError
from fourfold.signature import Field
from tests.batch.support import read

OUTPUTS = (Field("y", "float64"), Field("t", "float32", shape=(2,)))
#: Columns as sources have them; those of the first group go into text too.
TEXTUAL = {
    "int8": pa.array([1, None], pa.int8()),
    "uint64": pa.array([2**64 - 1, None], pa.uint64()),
    "float": pa.array([0.1, None], pa.float32()),
    "text": pa.array(["é,\n", None], pa.large_string()),
    "category": pa.array(["a", None]).dictionary_encode(),
    "time": pa.array([datetime(2020, 1, 1, tzinfo=UTC), None], pa.timestamp("ns", "Europe/Berlin")),
    "bytes": pa.array([b"\xff", None]),
    "nothing": pa.nulls(2),
}
FOREIGN = {
    "decimal": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
    "list": pa.array([[1, 2, 3], None], pa.list_(pa.int64())),
    "struct": pa.array([{"a": 1}, None]),
    "duration": pa.array([1, None], pa.duration("us")),
}


def write(target: Path, kept: dict[str, Any], values: list[float]) -> None:
    arrays = {name: array.slice(0, len(values)) for name, array in kept.items()}
    schema = pa.schema([pa.field(name, array.type, metadata={"old": "note"}) for name, array in kept.items()])
    output = OutputFile(target, target, schema, OUTPUTS, {"fourfold.model": "tiny"})
    output.write(list(arrays.values()), [{"y": value, "t": [value, 0.0]} for value in values])
    output.close()
    assert output.rows == len(values)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".arrows"])
def test_kept_columns_keep_their_types(suffix: str, tmp_path: Path) -> None:
    """Parquet and Arrow hold kept columns with the values and types of the source, and then the outputs."""
    kept = TEXTUAL | FOREIGN
    target = tmp_path / f"out{suffix}"
    write(target, kept, [1.5, 2.5])
    if suffix == ".arrows":
        with pa.ipc.open_stream(target) as reader:
            found = reader.read_all()
    else:
        found = read(target)
    for name, array in kept.items():
        column = found.column(name).combine_chunks()
        # A file or stream of Arrow has one dictionary a column, so categories are written out.
        expected = array.cast(pa.string()) if name == "category" and suffix != ".parquet" else array
        assert column.equals(expected), name
        assert not found.schema.field(name).metadata
    assert found.column("y").to_pylist() == [1.5, 2.5]
    assert found.schema.field("t").type == pa.list_(pa.float32(), 2)
    assert found.schema.metadata[b"fourfold.model"] == b"tiny"


def test_dictionaries_may_differ_from_chunk_to_chunk(tmp_path: Path) -> None:
    """Chunks with dictionaries of their own make one column."""
    for suffix in (".parquet", ".arrow"):
        target = tmp_path / f"out{suffix}"
        schema = pa.schema({"c": pa.dictionary(pa.int32(), pa.string())})
        output = OutputFile(target, target, schema, OUTPUTS[:1], {})
        for value in "ab":
            output.write([pa.array([value]).dictionary_encode()], [{"y": 0.0}])
        output.close()
        assert read(target).column("c").cast(pa.string()).to_pylist() == ["a", "b"]


def test_text_holds_what_a_field_can(tmp_path: Path) -> None:
    """CSV and JSON lines hold kept values of the dtypes that fields have."""
    write(tmp_path / "out.csv", TEXTUAL, [1.5])
    assert (tmp_path / "out.csv").read_text() == (
        "int8,uint64,float,text,category,time,bytes,nothing,y,t\n"
        '1,18446744073709551615,0.10000000149011612,"é,\n",a,2020-01-01T01:00:00+01:00,/w==,,1.5,"[1.5,0.0]"\n'
    )
    write(tmp_path / "out.jsonl", TEXTUAL, [1.5])
    assert (tmp_path / "out.jsonl").read_text() == (
        '{"int8":1,"uint64":18446744073709551615,"float":0.10000000149011612,"text":"é,\\n","category":"a",'
        '"time":"2020-01-01T01:00:00+01:00","bytes":"/w==","nothing":null,"y":1.5,"t":[1.5,0.0]}\n'
    )


@pytest.mark.parametrize("name", FOREIGN)
def test_text_refuses_other_types(name: str, tmp_path: Path) -> None:
    """A kept column that a text format has no values for is refused at once, with its type."""
    target = tmp_path / "out.csv"
    message = f"the kept column '{name}': no field holds the type {FOREIGN[name].type}"
    with pytest.raises(SinkError, match=re.escape(message)):
        OutputFile(target, target, pa.schema({name: FOREIGN[name].type}), OUTPUTS, {})


def test_text_refuses_a_value_that_would_change(tmp_path: Path) -> None:
    """A kept timestamp finer than microseconds is refused by a text format, not truncated."""
    target = tmp_path / "out.csv"
    array = pa.array([1], pa.timestamp("ns"))
    output = OutputFile(target, target, pa.schema({"at": array.type}), OUTPUTS, {})
    with pytest.raises(SinkError, match="a value of the kept column 'at' does not go into this format"):
        output.write([array], [{"y": 0.0, "t": [0.0, 0.0]}])
    output.abort()


def test_no_rows_have_columns(tmp_path: Path) -> None:
    """A file without rows has the columns and types that it would have with rows."""
    for suffix in (".parquet", ".arrow", ".csv", ".jsonl"):
        target = tmp_path / f"out{suffix}"
        output = OutputFile(target, target, pa.schema({"id": pa.int64()}), OUTPUTS, {})
        output.close()
    for suffix in (".parquet", ".arrow"):
        schema = read(tmp_path / f"out{suffix}").schema
        assert schema.names == ["id", "y", "t"]
        assert schema.types == [pa.int64(), pa.float64(), pa.list_(pa.float32(), 2)]
    assert (tmp_path / "out.csv").read_text() == "id,y,t\n"
    assert (tmp_path / "out.jsonl").read_text() == ""


def test_small_chunks_share_a_row_group(tmp_path: Path) -> None:
    """Parquet written in many small chunks has few row groups, and a checksum on its pages."""
    target = tmp_path / "out.parquet"
    output = OutputFile(target, target, pa.schema({"id": pa.int64()}), OUTPUTS[:1], {})
    for start in range(0, 140_000, 10_000):
        answers = pa.record_batch({"y": pa.array(range(start, start + 10_000), pa.float64())})
        output.write([pa.array(range(start, start + 10_000), pa.int64())], answers)
    output.close()
    metadata = pq.read_metadata(target)
    assert [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)] == [140_000]


def test_a_type_that_parquet_has_not_is_refused(tmp_path: Path) -> None:
    """A type that Parquet cannot hold is a sink error that names the output."""
    target = tmp_path / "out.parquet"
    array = pa.compute.run_end_encode(pa.array([1.0]))
    with pytest.raises(SinkError, match=r"out\.parquet cannot be written: "):
        OutputFile(target, target, pa.schema({"x": array.type}), OUTPUTS[:1], {})
