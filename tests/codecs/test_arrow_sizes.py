"""What compressed Arrow data claims."""

from __future__ import annotations

import io
import struct
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourfold.codecs import arrow
from fourfold.codecs.arrow_sizes import unfolded_size
from fourfold.codecs.bounds import Bounds
from fourfold.errors import DecodeError
from fourfold.signature.columns import rows_to_columns
from tests.codecs.tables import tables

FORMS = pytest.mark.parametrize("start", [pa.ipc.new_stream, pa.ipc.new_file], ids=["stream", "file"])


def _written(start: Any, batches: list[pa.RecordBatch], compression: str | None) -> bytes:
    file = io.BytesIO()
    with start(file, batches[0].schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return file.getvalue()


@FORMS
@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_the_claims_are_what_unfolds(start: Any, compression: str) -> None:
    """The claims of all batches, and of the dictionaries, add up to what is held once they are read."""
    numbers = pa.RecordBatch.from_pydict({"n": pa.array(range(10_000), pa.int64()), "x": pa.array([0.0] * 10_000)})
    words = pa.RecordBatch.from_pydict({"s": pa.array(["word" * 500] * 3).dictionary_encode()})
    assert unfolded_size(_written(start, [numbers, numbers], compression)) == 4 * 80_000
    assert 2000 <= unfolded_size(_written(start, [words], compression)) < 2200
    assert unfolded_size(_written(start, [numbers, numbers], None)) == 0


@FORMS
@settings(max_examples=60, deadline=None)
@given(made=tables(), compression=st.sampled_from([None, "zstd", "lz4"]))
def test_whatever_arrow_writes_is_measured(start: Any, made: Any, compression: str | None) -> None:
    """Every table of every dtype, compressed or not, is measured and then decoded."""
    fields, rows = made
    data = _written(start, [rows_to_columns(fields, rows)], compression)
    assert unfolded_size(data) >= 0
    assert arrow.decode(data).num_rows == len(rows)


@FORMS
@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_few_bytes_cannot_unfold_to_gigabytes(start: Any, compression: str) -> None:
    """Data that claims more than the bound is refused before it is unfolded, one batch or many."""
    bounds = Bounds(1 << 20)
    batch = pa.RecordBatch.from_pydict({"n": pa.array([0] * 10_000, pa.int64())})
    data = _written(start, [batch] * 14, compression)
    assert len(data) < 30_000
    with pytest.raises(DecodeError, match="unfolds to more than 1048576 bytes"):
        arrow.decode(data, None, bounds)
    assert arrow.decode(_written(start, [batch] * 13, compression)).num_rows == 130_000


def test_blocks_that_overlap() -> None:
    """A file whose footer names the same bytes many times is refused: any number of rows could come of it."""
    batch = pa.RecordBatch.from_pydict({"n": pa.array([1] * 100, pa.int64())})
    data = _written(pa.ipc.new_file, [batch, batch], None)
    first, second = (struct.pack("<qi4xq", offset, 144, 800) for offset in (136, 136 + 144 + 800))
    assert (data.count(first), data.count(second)) == (1, 1)
    assert arrow.decode(data.replace(second, first)).num_rows == 200  # as much as two batches of its size may hold
    with pytest.raises(DecodeError, match="overlap"):
        arrow.decode(data.replace(second, struct.pack("<qi4xq", 136, 144, len(data))))
