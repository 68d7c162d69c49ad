"""Parquet that unfolds to far more than its bytes."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourfold.codecs import parquet
from fourfold.codecs.bounds import Bounds
from fourfold.errors import DecodeError, TooLarge


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
