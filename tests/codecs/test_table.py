from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.codecs.table import as_batch, as_rows, rechunk, rows_in_chunks, select_columns
from fourfold.errors import DecodeError, SourceError
from fourfold.signature.columns import arrow_schema
from tests.codecs.tables import small


@given(sizes=st.lists(st.integers(0, 7)), chunk_rows=st.integers(1, 5))
def test_chunks_have_their_size(sizes: list[int], chunk_rows: int) -> None:
    """Batches of any sizes become chunks of one size, in order; only the last may have fewer rows."""
    numbers = iter(range(sum(sizes)))
    batches = [
        pa.RecordBatch.from_pydict({"n": pa.array([next(numbers) for _ in range(size)], pa.int64())}) for size in sizes
    ]
    chunks = list(rechunk(batches, chunk_rows))
    assert all(chunk.num_rows == chunk_rows for chunk in chunks[:-1])
    assert all(0 < chunk.num_rows <= chunk_rows for chunk in chunks)
    assert [each for chunk in chunks for each in chunk["n"].to_pylist()] == list(range(sum(sizes)))


def test_rows_in_chunks_keep_what_is_asked_for() -> None:
    """A projection drops other keys, and lets an element that is no object be."""
    rows = [{"a": 1, "b": 2}, {"b": 3}, 5]
    assert list(rows_in_chunks(rows, 2, ["a"])) == [[{"a": 1}, {}], [5]]
    with pytest.raises(ValueError, match="at least 1"):
        list(rows_in_chunks(rows, 0, None))


def test_select_columns() -> None:
    """The columns asked for, each of which is there once."""
    assert select_columns(None, ["a", "b"], 1, "t") == ["a", "b"]
    assert select_columns(["b"], ["a", "b"], 1, "t") == ["b"]
    with pytest.raises(SourceError, match="t has no column 'c'; it has 'a', 'b'"):
        select_columns(["c"], ["a", "b"], 1, "t")
    with pytest.raises(DecodeError, match="the table has the column 'a' twice"):
        select_columns(["a"], ["a", "a"], 1, "t")


def test_both_forms_of_a_table() -> None:
    """Rows and columns, whole or in pieces, become each other; other columns are left behind."""
    fields, batch = small()
    rows = batch.to_pylist()
    table = pa.Table.from_batches([batch.slice(0, 1), batch.slice(1)]).append_column("more", [pa.array([1, 2, 3])])
    for form in (rows, batch, table, [{**row, "more": 1} for row in rows]):
        assert as_rows(form, fields) == rows
        assert as_batch(form, fields).equals(batch)
        assert as_batch(form, fields).schema == arrow_schema(fields)


def test_the_names_of_a_wide_table_are_asked_for_once() -> None:
    """Arrow makes a new list of all names at every access: of n columns, n lists would be n² names."""
    fields, batch = small()
    asked: list[int] = []

    class Schema:
        @property
        def names(self) -> list[str]:
            asked.append(1)
            return batch.schema.names

    table: Any = SimpleNamespace(schema=Schema(), column=batch.column)
    assert as_batch(table, fields).equals(batch)
    assert len(fields) > 1
    assert len(asked) == 1
