"""Fields and canonical tables for the tests of the codecs: values that formats like to lose."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from hypothesis import strategies as st

from fourfold.signature import Field, RowCoercer
from fourfold.signature.bits import first_difference
from fourfold.signature.columns import ColumnCoercer, columns_to_rows
from fourfold.signature.field import DTYPES, INTEGERS, TENSOR_DTYPES

ZONES = (None, "UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia")
TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    [
        "",
        " ",
        "null",
        "NaN",
        "a,b",
        'a "quoted" word',
        "two\nlines",
        "two\r\nlines",
        "\r",
        "\x00",
        "é",
        "😀",
        "007",
        "{}",
    ]
)
NAMES = TEXT.filter(lambda name: name and "\0" not in name)
FLOATS = st.floats(allow_nan=False) | st.sampled_from(
    [0.0, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324, 2.0**53]
)


def _single(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def scalar(field: Field) -> st.SearchStrategy[Any]:
    """One canonical value of the field, not missing, its shape apart."""
    if field.dtype in INTEGERS:
        low, high = INTEGERS[field.dtype]
        return st.integers(low, high) | st.sampled_from([low, high, 0])
    if field.dtype == "float32":
        return st.floats(width=32, allow_nan=False) | st.sampled_from([_single(0.1), -0.0, float("nan"), float("-inf")])
    if field.dtype == "timestamp":
        # A day from the ends of time, so that no zone's offset leaves it.
        instants = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
        if field.zone is None:
            return instants
        zone = ZoneInfo(field.zone)
        return instants.map(lambda each: each.replace(tzinfo=UTC).astimezone(zone))
    others: dict[str, st.SearchStrategy[Any]] = {
        "bool": st.booleans(),
        "float64": FLOATS,
        "string": TEXT,
        "date": st.dates(date(1, 1, 1), date(9999, 12, 31)),
        "binary": st.binary(max_size=6),
    }
    return others[field.dtype]


def value(field: Field) -> st.SearchStrategy[Any]:
    """One canonical value of the field."""
    one = scalar(field)
    for size in reversed(field.shape):
        one = st.lists(one, min_size=size, max_size=size)
    return st.none() | one if field.nullable else one


@st.composite
def a_field(draw: st.DrawFn, name: str) -> Field:
    dtype = draw(st.sampled_from(DTYPES))
    shape: tuple[int, ...] = ()
    if dtype in TENSOR_DTYPES:
        shape = draw(st.sampled_from([(), (), (2,), (2, 3), (1, 1, 2)]))
    zone = draw(st.sampled_from(ZONES)) if dtype == "timestamp" else None
    return Field(name, dtype, nullable=draw(st.booleans()), shape=shape, zone=zone)


@st.composite
def tables(draw: st.DrawFn) -> tuple[tuple[Field, ...], list[dict[str, Any]]]:
    """Fields, and canonical rows of them."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    fields = tuple(draw(a_field(name)) for name in names)
    row = st.fixed_dictionaries({each.name: value(each) for each in fields})
    return fields, draw(st.lists(row, max_size=5))


def coerced(table: Any, fields: Sequence[Field]) -> tuple[list[dict[str, Any]], list[Any]]:
    """The canonical rows of a decoded table, and the errors of those that have none."""
    if isinstance(table, list):
        kept, errors = RowCoercer(fields)(table)
        return [row for row in kept if row is not None], list(errors)
    batch, errors = ColumnCoercer(fields)(table)
    bad = {error.row for error in errors}
    return [row for place, row in enumerate(columns_to_rows(fields, batch)) if place not in bad], list(errors)


def assert_same(expected: Sequence[dict[str, Any]], table: Any, fields: Sequence[Field]) -> None:
    """The decoded table holds exactly the expected canonical rows, bit for bit."""
    rows, errors = coerced(table, fields)
    assert errors == []
    assert len(rows) == len(expected)
    assert first_difference(expected, rows, [each.name for each in fields]) is None


def joined(chunks: Sequence[Any]) -> list[Any]:
    """The rows of chunks, each a list or a record batch, as plain values."""
    return [row for chunk in chunks for row in (chunk if isinstance(chunk, list) else chunk.to_pylist())]


def length(table: Any) -> int:
    """How many rows a table has."""
    return len(table) if isinstance(table, list) else int(table.num_rows)


EVERY = tuple(
    Field(
        f"{dtype}{'x' * bool(shape)}",
        dtype,
        nullable=True,
        shape=shape,
        zone="Europe/Berlin" if dtype == "timestamp" else None,
    )
    for dtype in DTYPES
    for shape in ((), (2,))
    if not shape or dtype in TENSOR_DTYPES
)


def small(rows: int = 3) -> tuple[tuple[Field, ...], pa.RecordBatch]:
    """A small table of numbers and text with a missing value."""
    from fourfold.signature.columns import rows_to_columns

    fields = (Field("n", "int64"), Field("x", "float64", nullable=True), Field("s", "string"))
    made = [{"n": place, "x": None if place == 1 else place / 4, "s": f"row {place}"} for place in range(rows)]
    return fields, rows_to_columns(fields, made)
