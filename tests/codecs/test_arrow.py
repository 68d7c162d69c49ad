from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest

from fourfold.codecs import arrow
from fourfold.errors import DecodeError, SinkError, SourceError
from fourfold.signature.columns import arrow_schema
from tests.codecs.tables import small


def test_encode_is_a_stream_with_the_canonical_schema() -> None:
    """Any Arrow library reads the bytes as a stream of the fields' schema."""
    fields, batch = small()
    table = pa.ipc.open_stream(arrow.encode(batch, fields)).read_all()
    assert table.schema == arrow_schema(fields)
    assert table.to_pylist() == batch.to_pylist()


def test_a_writer_s_form(tmp_path: Path) -> None:
    """The path's suffix says the form, and the argument overrules it."""
    fields, batch = small()
    forms: dict[str, Literal["stream", "file"] | None] = {
        "t.arrow": None,
        "t.arrows": None,
        "u.arrow": "stream",
        "u.arrows": "file",
    }
    starts = {}
    for name, form in forms.items():
        with arrow.Writer(tmp_path / name, fields, form=form) as writer:
            writer.write(batch)
        starts[name] = (tmp_path / name).read_bytes().startswith(b"ARROW1")
        assert [chunk.to_pylist() for chunk in arrow.read(tmp_path / name)] == [batch.to_pylist()]
    assert starts == {"t.arrow": True, "t.arrows": False, "u.arrow": False, "u.arrows": True}


def test_chunks_are_cut_and_joined(tmp_path: Path) -> None:
    """Stored batches of any sizes come out as chunks of one size, in order, dictionaries that differ included."""
    sizes = [3, 0, 1, 5, 2]
    path = tmp_path / "t.arrows"
    schema = pa.schema([("s", pa.dictionary(pa.int8(), pa.string()))])
    with pa.ipc.new_stream(path, schema) as writer:
        for size in sizes:
            writer.write_batch(
                pa.RecordBatch.from_arrays(
                    [pa.array([f"{size}{n}" for n in range(size)]).dictionary_encode().cast(schema.types[0])],
                    schema=schema,
                )
            )
    chunks = list(arrow.read(path, None, 4))
    assert [chunk.num_rows for chunk in chunks] == [4, 4, 3]
    assert [text for chunk in chunks for text in chunk["s"].to_pylist()] == [
        f"{size}{n}" for size in sizes for n in range(size)
    ]


def test_names_and_projection(tmp_path: Path) -> None:
    """Columns come as stored, those asked for in the order asked; an unknown one is a `SourceError`."""
    fields, batch = small()
    path = tmp_path / "t.arrow"
    path.write_bytes(arrow.encode(batch, fields))
    assert arrow.names(path) == ("n", "x", "s")
    (chunk,) = arrow.read(path, columns=["s", "n"])
    assert chunk.schema.names == ["s", "n"]
    with pytest.raises(SourceError, match=r"t\.arrow has no column 'y'"):
        list(arrow.read(path, columns=["y"]))


def test_stored_types_are_kept() -> None:
    """A decoder coerces nothing: what is stored as an int8 comes out as one."""
    batch = pa.RecordBatch.from_pydict({"a": pa.array([1], pa.int8()), "b": pa.array([b"x"], pa.large_binary())})
    file = io.BytesIO()
    with pa.ipc.new_stream(file, batch.schema) as writer:
        writer.write_batch(batch)
    assert arrow.decode(file.getvalue()).schema == batch.schema


@pytest.mark.parametrize("data", [b"", b"PAR1", b"FEA1....", b"[1, 2, 3]", b"\xff\xff\xff\xff"])
def test_what_is_no_arrow(data: bytes) -> None:
    """Other bytes are refused with what they begin with."""
    with pytest.raises(DecodeError, match=r"expected an Arrow stream or file|malformed or truncated"):
        arrow.decode(data)


def test_a_column_twice() -> None:
    """Two columns of one name mean no one column."""
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    file = io.BytesIO()
    with pa.ipc.new_stream(file, batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(DecodeError, match="the column 'a' twice"):
        arrow.decode(file.getvalue())


def test_a_table_that_does_not_fit() -> None:
    """A column of another type, or none, is a `SinkError` that names it; nothing is cast on the way out."""
    fields, batch = small()
    with pytest.raises(SinkError, match="column 'n': expected int64, got int8"):
        arrow.encode(pa.RecordBatch.from_pydict({"n": pa.array([1], pa.int8()), "x": [1.0], "s": ["a"]}), fields)
    with pytest.raises(SinkError, match="no column 'x'"):
        arrow.encode(batch.select(["n", "s"]), fields)
    with pytest.raises(SinkError, match="canonical values"):
        arrow.encode([{"n": "one", "x": 1.0, "s": "a"}], fields)
    with pytest.raises(SinkError, match="canonical values"):
        arrow.encode([{"n": 2**70, "x": 1.0, "s": "a"}], fields)


def test_a_time_zone_that_is_no_text() -> None:
    """A schema that cannot be looked at is refused here, and not by whoever looks first."""
    file = io.BytesIO()
    batch = pa.RecordBatch.from_pydict({"t": pa.array([1], pa.timestamp("us", tz="Europe/Berlin"))})
    with pa.ipc.new_stream(file, batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(DecodeError, match="utf-8"):
        arrow.decode(file.getvalue().replace(b"Berlin", b"Berl\xffn"))
