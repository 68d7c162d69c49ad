from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from fourfold.codecs import json_rows
from fourfold.errors import DecodeError
from fourfold.signature import Field, RowCoercer

FIELDS = (Field("a", "int64"), Field("b", "string", nullable=True))


def test_the_bytes_are_compact_and_in_the_fields_order() -> None:
    """Encoding writes every field, in the order of the fields, without white space; an absent key is null."""
    assert (
        json_rows.encode([{"b": "é", "a": 1, "c": 2}, {"a": 2}], FIELDS)
        == '[{"a":1,"b":"é"},{"a":2,"b":null}]'.encode()
    )


def test_one_object_is_one_row() -> None:
    """One object alone is one row, like an array of one."""
    assert json_rows.decode(b' {"a": 1} ') == json_rows.decode(b'[{"a": 1}]') == [{"a": 1}]


def test_an_element_that_is_no_object_is_its_row_s_error() -> None:
    """It stays in its place, and the coercion makes it an error of that row alone."""
    rows = json_rows.decode(b'[{"a": 1}, 5, {"a": 2}]', FIELDS)
    kept, errors = RowCoercer(FIELDS)(rows)
    assert [row and row["a"] for row in kept] == [1, None, 2]
    assert [(error.row, error.field) for error in errors] == [(1, None)]


@pytest.mark.parametrize("data", [b"3", b'"text"', b"null"])
def test_what_is_neither_array_nor_object(data: bytes) -> None:
    """Another JSON value is refused."""
    with pytest.raises(DecodeError, match="expected a JSON array of objects, or one object"):
        json_rows.decode(data)


def test_a_file_s_error_names_the_file_and_the_row(tmp_path: Path) -> None:
    """A row that is broken is named with the byte at which it begins, after the rows before it came out."""
    path = tmp_path / "rows.json"
    path.write_bytes(b'[{"a": 1}, {"a": 1, "a": 2}]')
    chunks = json_rows.read(path, FIELDS, 1)
    assert next(chunks) == [{"a": 1}]
    with pytest.raises(DecodeError, match=r"rows\.json: row 1, which begins at byte 11: .*'a' twice"):
        next(chunks)


def test_a_file_of_one_object(tmp_path: Path) -> None:
    """One object is a file of one row."""
    path = tmp_path / "row.json"
    path.write_bytes(b'{"a": {"b": [1, "}"]}}\n')
    assert list(json_rows.read(path)) == [[{"a": {"b": [1, "}"]}}]]


def test_reading_and_writing_take_bounded_memory(tmp_path: Path) -> None:
    """A file of megabytes goes in and out in a small part of that."""
    path = tmp_path / "rows.json"
    tracemalloc.start()
    with json_rows.Writer(path, FIELDS) as writer:
        for start in range(0, 30_000, 1000):
            writer.write([{"a": start + place, "b": "x" * 100} for place in range(1000)])
    count = 0
    for chunk in json_rows.read(path, FIELDS, 1000):
        assert chunk[0]["a"] == count
        count += len(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 30_000
    assert path.stat().st_size > 3_000_000
    assert peak < 2_000_000
