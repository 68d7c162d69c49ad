"""What is cut off or damaged is refused; it is never another exception, and never a wrong table."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fourfold.codecs import arrow, by_name, csv, json_columns, json_lines, json_rows, parquet
from fourfold.errors import DecodeError
from fourfold.signature import Field
from fourfold.signature.columns import rows_to_columns
from tests.codecs.tables import EVERY, assert_same, joined, small


def _arrow_file() -> bytes:
    fields, batch = small()
    file = io.BytesIO()
    with arrow.Writer(file, fields, form="file") as writer:
        writer.write(batch)
    return file.getvalue()


def _encoded(codec: Any) -> Callable[[], bytes]:
    fields, batch = small()
    return lambda: bytes(codec.encode(batch, fields))


def _two_batches() -> bytes:
    fields, batch = small()
    file = io.BytesIO()
    with arrow.Writer(file, fields, form="stream") as writer:
        writer.write(batch)
        writer.write(batch)
    return file.getvalue()


# What well-formed text is made of, and a few things that it is not.
PARTS = [
    *(
        b'{"a":1,"b":"x"}',
        b'{"a":',
        b'"b":',
        b"[1,2]",
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"\n",
        b"\r\n",
        b" ",
        b'"',
        b"\\",
    ),
    *(
        b"a,b\n",
        b"1",
        b"-0",
        b"1.5",
        b"1e400",
        b"null",
        b"NaN",
        b'"x,y"',
        b'"x""y"',
        b"\xc3\xa9",
        b"\xc3",
        b'"a":[1,2]',
    ),
]
WHOLE = {
    "arrow stream": (arrow, _encoded(arrow)),
    "arrow stream of two": (arrow, _two_batches),
    "arrow file": (arrow, _arrow_file),
    "parquet": (parquet, _encoded(parquet)),
    "json": (json_rows, _encoded(json_rows)),
    "json columns": (json_columns, _encoded(json_columns)),
}


@pytest.mark.parametrize("form", WHOLE)
def test_cut_off_anywhere(form: str, tmp_path: Path) -> None:
    """Each beginning of the bytes is refused by `decode` and by `read`; the whole is taken."""
    codec, make = WHOLE[form]
    data = make()
    fields, _ = small()
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            codec.decode(data[:end], fields)
    path = tmp_path / "table"
    for end in range(0, len(data), 7):
        path.write_bytes(data[:end])
        with pytest.raises(DecodeError, match="table"):
            list(codec.read(path, fields))
    path.write_bytes(data)
    assert joined([codec.decode(data, fields)]) == joined(list(codec.read(path, fields)))


@pytest.mark.parametrize("codec", [json_lines, csv], ids=["json lines", "csv"])
def test_lines_cut_off_between_two_are_fewer_lines(codec: Any) -> None:
    """A format of lines has no end that could be missing: a beginning is refused, or is its whole lines."""
    fields, batch = small()
    data = codec.encode(batch, fields)
    rows = joined([codec.decode(data, fields)])
    for end in range(1, len(data)):
        try:
            found = joined([codec.decode(data[:end], fields)])
        except DecodeError:
            continue
        whole = data[:end].count(b"\n") - (codec is csv)
        assert found[:whole] == rows[: max(whole, 0)]
        assert len(found) <= max(whole, 0) + 1


@pytest.mark.parametrize("form", WHOLE)
def test_something_follows(form: str) -> None:
    """Bytes after the end of what has an end are refused."""
    codec, make = WHOLE[form]
    with pytest.raises(DecodeError):
        codec.decode(make() + b"x")


@pytest.mark.parametrize("form", [*WHOLE, "csv", "json-lines"])
def test_damaged_bytes_raise_nothing_else(form: str) -> None:
    """Whatever bytes change, the answer is a table or a `DecodeError`."""
    codec, data = (WHOLE[form][0], WHOLE[form][1]()) if form in WHOLE else (by_name(form), _encoded(by_name(form))())
    chance = random.Random(20)
    for _ in range(1500):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 4))):
            place = chance.randrange(len(damaged))
            damaged[place] = chance.choice((0, 255, damaged[place] ^ (1 << chance.randrange(8)), chance.randrange(256)))
        try:
            codec.decode(bytes(damaged), small()[0])
        except DecodeError:
            continue


@pytest.mark.parametrize("codec", [json_rows, json_columns, json_lines, csv], ids=lambda codec: codec.__name__)
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join), chunk_rows=st.integers(1, 3))
def test_decode_and_read_judge_alike(codec: Any, data: bytes, chunk_rows: int, tmp_path: Path) -> None:
    """What `decode` refuses `read` refuses, and what one takes the other takes, to the same rows."""
    fields = [Field("a", "float64"), Field("b", "string")]
    (tmp_path / "t").write_bytes(data)
    try:
        whole = joined([codec.decode(data, fields)])
    except DecodeError:
        with pytest.raises(DecodeError):
            list(codec.read(tmp_path / "t", fields, chunk_rows))
        return
    assert repr(joined(list(codec.read(tmp_path / "t", fields, chunk_rows)))) == repr(whole)


def test_parquet_pages_are_verified(tmp_path: Path) -> None:
    """A bit that flips in a page's data is found, in `decode` and in `read`, wherever it is."""
    fields, batch = small(2000)
    data = parquet.encode(batch, fields)
    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    chance = random.Random(7)
    for place in range(metadata.num_columns):
        chunk = metadata.column(place)
        start = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
        for _ in range(5):
            # The last third of a chunk is its data, however much its page's header took.
            at = start + chance.randrange(2 * chunk.total_compressed_size // 3, chunk.total_compressed_size)
            damaged = bytearray(data)
            damaged[at] ^= 4
            with pytest.raises(DecodeError):
                parquet.decode(bytes(damaged))
            (tmp_path / "table.parquet").write_bytes(damaged)
            with pytest.raises(DecodeError, match=r"table\.parquet"):
                list(parquet.read(tmp_path / "table.parquet"))


def test_every_parquet_page_has_a_checksum(tmp_path: Path) -> None:
    """What is written is readable with verification by any reader: the plain pyarrow reader, told to verify, agrees."""
    rows = [dict.fromkeys(each.name for each in EVERY)]
    with parquet.Writer(tmp_path / "t.parquet", EVERY) as writer:
        writer.write(rows_to_columns(EVERY, rows))
    table = pq.read_table(tmp_path / "t.parquet", page_checksum_verification=True)
    assert_same(rows, table, EVERY)


def test_an_arrow_stream_needs_its_end_marker_even_after_data_that_looks_like_it() -> None:
    """A stream cut off between two messages is refused, though its last values are the bytes of an end marker."""
    file = io.BytesIO()
    batch = pa.RecordBatch.from_pydict({"n": pa.array([0xFFFFFFFF] * 8, pa.int64())})
    with pa.ipc.new_stream(file, batch.schema) as writer:
        writer.write_batch(batch)
    data = file.getvalue()
    assert data[-16:-8] == data[-8:]
    assert arrow.decode(data).num_rows == 8
    with pytest.raises(DecodeError, match="without its end marker"):
        arrow.decode(data[:-8])


@pytest.mark.parametrize(
    ("sound", "damaged"),
    [(b"\x07\0\0\0\x0a\0\0\0", b"\x07\0\0\0\xff\xff\xff\x7f"), (b"abcdefg", b"abcd\xff\xfeg")],
    ids=["an offset outside the buffer", "text that is not UTF-8"],
)
def test_arrow_arrays_are_checked(sound: bytes, damaged: bytes) -> None:
    """Values that are not what their type says are refused before anyone follows them."""
    file = io.BytesIO()
    batch = pa.RecordBatch.from_pydict({"s": ["abcdefg", "hij"]})
    with pa.ipc.new_stream(file, batch.schema) as writer:
        writer.write_batch(batch)
    data = file.getvalue()
    assert data.count(sound) == 1
    with pytest.raises(DecodeError, match="malformed or truncated Arrow data"):
        arrow.decode(data.replace(sound, damaged))


def test_an_arrow_batch_cannot_claim_rows_that_it_does_not_hold() -> None:
    """A batch of nulls, or without columns, that claims billions of rows in a few bytes is refused."""
    file = io.BytesIO()
    batch = pa.RecordBatch.from_arrays([pa.Array.from_buffers(pa.null(), 2**30, [None])], names=["n"])
    with pa.ipc.new_stream(file, batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(DecodeError, match="claims 1073741824 rows"):
        arrow.decode(file.getvalue())
