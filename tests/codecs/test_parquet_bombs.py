"""Parquet that unfolds to far more than its bytes."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourfold.codecs import parquet
from fourfold.codecs.bounds import Bounds
from fourfold.errors import DecodeError, TooLarge
from fourfold.signature import Field


def test_a_few_bytes_cannot_unfold_to_gigabytes() -> None:
    """A dictionary of one long text, named by every row, is refused before it has filled the memory."""
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), pa.array(["x" * (1 << 16)]))
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": long}), sink, compression="zstd", store_schema=False)
    assert len(sink.getvalue()) < 5000
    with pytest.raises(TooLarge, match="unfolds to more than 16777216 bytes of memory \\(max_decoded_bytes\\)"):
        parquet.decode(sink.getvalue(), None, Bounds(1 << 24))


def test_rows_that_hold_nothing_are_bounded() -> None:
    """A file of nulls alone, or without columns, that claims millions of rows in a few bytes is refused."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": pa.nulls(3_000_000)}), sink)
    with pytest.raises(DecodeError, match="claims 3000000 rows and holds nothing"):
        parquet.decode(sink.getvalue())


def _field(number: int, previous: int, kind: int, value: bytes) -> bytes:
    return bytes([(number - previous) << 4 | kind]) + value


def _number(value: int) -> bytes:
    value <<= 1
    groups = []
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _numbers(*numbers: tuple[int, int]) -> bytes:
    """Return the fields of 32 bits of a struct of Thrift's compact protocol, by their numbers."""
    fields, previous = b"", 0
    for number, value in numbers:
        fields += _field(number, previous, 5, _number(value))
        previous = number
    return fields


def _page(kind: int, size: int, stored: int, values: int, data: bytes) -> bytes:
    header = _numbers((1, kind), (2, size), (3, stored))
    if kind == 0:
        header += _field(5, 3, 12, _numbers((1, values), (2, 0), (3, 3), (4, 3)) + b"\0")
    return header + b"\0" + data


def _file_of(pages: bytes, rows: int) -> bytes:
    """Return a file of one required column `x` of doubles, with these pages."""
    column = _numbers((1, 5)) + _field(2, 1, 9, b"\x15\0") + _field(3, 2, 9, b"\x18\x01x")
    column += _field(4, 3, 5, _number(0)) + _field(5, 4, 6, _number(rows)) + _field(6, 5, 6, _number(len(pages)))
    column += _field(7, 6, 6, _number(len(pages))) + _field(9, 7, 6, _number(4)) + b"\0"
    chunk = _field(2, 0, 6, _number(4)) + _field(3, 2, 12, column) + b"\0"
    group = (
        _field(1, 0, 9, b"\x1c" + chunk) + _field(2, 1, 6, _number(len(pages))) + _field(3, 2, 6, _number(rows)) + b"\0"
    )
    root, leaf = b"\x48\x01s\x15\x02\0", b"\x15\x0a\x25\0\x18\x01x\0"
    footer = _field(1, 0, 5, _number(1)) + _field(2, 1, 9, b"\x2c" + root + leaf) + _field(3, 2, 6, _number(rows))
    footer += _field(4, 3, 9, b"\x1c" + group) + b"\0"
    return b"PAR1" + pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"


_DATA = np.arange(8.0).tobytes()


@pytest.mark.parametrize(
    ("pages", "message"),
    [
        (_page(0, 64, 64, 8, _DATA), None),
        (_page(0, 64, 1 << 30, 8, _DATA), "a page of 1073741824 bytes that ends after its column"),
        (_page(0, 0, 0, 0, b"") + _page(0, 64, 64, 8, _DATA), "its pages hold 0 rows where its footer claims 8"),
        (_page(1, 0, 0, 0, b"") * 100 + _page(0, 64, 64, 8, _DATA), "more pages than the 8 values of their column"),
    ],
    ids=["whole", "long", "empty", "odd"],
)
def test_pages_that_claim_what_they_do_not_hold(pages: bytes, message: str | None) -> None:
    """No room is made for a page that the file does not hold, no row is lost, and no time spent on empty pages."""
    data = _file_of(pages, 8)
    if message is None:
        assert parquet.decode(data).column("x").to_pylist() == list(range(8))
        return
    with pytest.raises(DecodeError, match=message):
        parquet.decode(data)


def test_numbers_that_surely_take_too_much_are_refused_unread() -> None:
    """The footer says how many numbers there are: none is unfolded where they are over the limit."""
    sink = io.BytesIO()
    members = pa.struct([(f"f{number}", pa.int64()) for number in range(40)])
    pq.write_table(pa.table({"x": pa.nulls(1 << 17, members)}), sink, compression="zstd", store_schema=False)
    with pytest.raises(TooLarge, match="Parquet unfolds to more than 16777216 bytes"):
        parquet.decode(sink.getvalue(), None, Bounds(1 << 24))


def test_columns_that_are_no_fields_are_not_unfolded() -> None:
    """A bomb in a column that nobody asked for is nulls, and the columns keep their order."""
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), pa.array(["x" * (1 << 16)]))
    sink = io.BytesIO()
    pq.write_table(pa.table({"bomb": long, "a.b": [1] * 5000, "a": [2] * 5000}), sink, store_schema=False)
    table = parquet.decode(sink.getvalue(), [Field("a", "int64")], Bounds(1 << 24, only_fields=True))
    assert table.schema.names == ["bomb", "a.b", "a"]
    assert [column.null_count for column in table.columns] == [5000, 5000, 0]


def test_a_dictionary_is_judged_before_it_is_unfolded() -> None:
    """A text that is stored once for many rows stays so until its size is known."""
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), pa.array(["x" * (1 << 16)]))
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": long}), sink, compression="zstd", store_schema=False)
    table = parquet.decode(sink.getvalue(), [Field("x", "string")], Bounds(1 << 24, only_fields=True))
    assert pa.types.is_dictionary(table.column("x").type)
    assert table.nbytes < 1 << 23


def test_row_groups_without_end_are_refused() -> None:
    """A request may have as many row groups as its memory allows: the error names the limit."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": range(5000)}), sink, row_group_size=1)
    assert len(parquet.decode(sink.getvalue())) == 5000
    with pytest.raises(TooLarge, match="Parquet of 5000 row groups unfolds to more than 16777216 bytes"):
        parquet.decode(sink.getvalue(), None, Bounds(1 << 24))
