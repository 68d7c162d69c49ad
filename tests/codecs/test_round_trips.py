"""What must survive every format: every dtype, every value that formats like to lose."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fourfold.codecs import FORMATS, by_name
from fourfold.signature.bits import first_difference
from fourfold.signature.columns import rows_to_columns
from tests.codecs.tables import assert_same, coerced, length, small, tables

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ONE_FOLDER = settings(QUICK, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", sorted(FORMATS))
@QUICK
@given(made=tables())
def test_every_value_survives(name: str, made: Any) -> None:
    """Canonical rows that were encoded, decoded and coerced are the same rows, bit for bit."""
    fields, rows = made
    codec = by_name(name)
    assert_same(rows, codec.decode(codec.encode(rows, fields), fields), fields)


@pytest.mark.parametrize("name", sorted(FORMATS))
@QUICK
@given(made=tables())
def test_rows_and_columns_give_the_same_bytes(name: str, made: Any) -> None:
    """Rows, and the same rows as an Arrow table, are encoded to identical bytes."""
    fields, rows = made
    codec = by_name(name)
    assert codec.encode(rows, fields) == codec.encode(rows_to_columns(fields, rows), fields)


@pytest.mark.parametrize("name", sorted(FORMATS))
@ONE_FOLDER
@given(made=tables(), chunk_rows=st.integers(1, 4), cut=st.integers(0, 5))
def test_files_hold_what_was_written(name: str, made: Any, chunk_rows: int, cut: int, tmp_path: Path) -> None:
    """A file written in two pieces is read back, in order, in chunks of which only the last has fewer rows."""
    fields, rows = made
    codec = by_name(name)
    path = tmp_path / "table"
    with codec.Writer(path, fields) as writer:
        writer.write(rows[:cut])
        writer.write(rows[cut:])
    chunks = list(codec.read(path, fields, chunk_rows))
    assert [length(chunk) for chunk in chunks[:-1]] == [chunk_rows] * (len(chunks) - 1)
    found = [row for chunk in chunks for row in coerced(chunk, fields)[0]]
    assert len(found) == len(rows)
    assert first_difference(rows, found, [each.name for each in fields]) is None


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_no_rows_are_a_table_too(name: str, tmp_path: Path) -> None:
    """A table without rows is written, and read back as one."""
    fields, batch = small()
    codec = by_name(name)
    assert length(codec.decode(codec.encode(batch.slice(0, 0), fields), fields)) == 0
    with codec.Writer(tmp_path / "table", fields) as writer:
        writer.write([])
    assert length(codec.decode((tmp_path / "table").read_bytes(), fields)) == 0
    assert list(codec.read(tmp_path / "table", fields)) == []


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_writer_leaves_a_file_that_it_was_given_open(name: str) -> None:
    """A writer writes to an open file what `decode` takes, and leaves the file open."""
    fields, batch = small()
    codec = by_name(name)
    file = io.BytesIO()
    with codec.Writer(file, fields) as writer:
        writer.write(batch)
    assert not file.closed
    assert_same(batch.to_pylist(), codec.decode(file.getvalue(), fields), fields)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_projection_keeps_the_columns_asked_for(name: str, tmp_path: Path) -> None:
    """`read` with columns gives these and no others."""
    fields, batch = small()
    codec = by_name(name)
    (tmp_path / "table").write_bytes(codec.encode(batch, fields))
    (chunk,) = codec.read(tmp_path / "table", fields, 10, ["s", "n"])
    rows = chunk if isinstance(chunk, list) else chunk.to_pylist()
    assert [{"n": row["n"], "s": row["s"]} for row in batch.to_pylist()] == rows
