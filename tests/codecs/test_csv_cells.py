"""The cells of CSV: the fast reading and the slow one are one reading."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourfold.codecs.csv_cells import cell, column, infer
from fourfold.signature import Field
from fourfold.signature.bits import first_difference
from fourfold.signature.field import DTYPES, TENSOR_DTYPES
from tests.codecs.tables import coerced

FIELDS = [
    *(Field("a", dtype, nullable=True) for dtype in DTYPES),
    *(Field("a", dtype, nullable=True, shape=(2,)) for dtype in TENSOR_DTYPES),
    Field("a", "float32", nullable=True, shape=(1, 2)),
    Field("a", "timestamp", nullable=True, zone="UTC"),
    Field("a", "timestamp", nullable=True, zone="Europe/Berlin"),
]
NUMBERS = [
    "0",
    "-0",
    "1",
    "-1",
    "3.0",
    "-0.0",
    "1.7",
    "1e2",
    "1E+2",
    "1e-2",
    "0.1",
    "255",
    "256",
    "-129",
    "16777217",
    "3.4028236e38",
    "5e-324",
    "1e400",
    "-1e400",
    "1e-400",
    "9007199254740993",
    "9007199254740993.0",
    "1000000000000000",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678901234567890",
    "100000000000000000000.5",
    "1.7976931348623159e308",
]
# Two of them look like digits and letters, and are others: an Arabic one, and an i without its dot.
WORDS = [
    *[
        "NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "inf",
        "-INF",
        "+inf",
        "-nan",
        "true",
        "FALSE",
        "True",
        "yes",
        "null",
        "NA",
        "01",
        "+1",
        "1.",
        ".5",
        "0x10",
        "1_000",
    ],
    *(" 1", "1 ", "\u0661", "\u0131nf", ""),
]
TIMES = [
    *[
        "2024-02-29",
        "2023-02-29",
        "0001-01-01",
        "2024-13-01",
        "20240102",
        "2024-01-02T03:04:05Z",
        "2024-01-02T03:04:05+01:00",
    ],
    *[
        "2024-01-02T03:04:05",
        "2024-01-02T03:04:05.123456Z",
        "2024-01-02T03:04:05.1234567Z",
        "2024-01-02T03:04:05.1+00:30",
    ],
    *["2024-01-02T24:00:00Z", "2024-01-02T03:04:60Z", "2024-01-02T03:04Z", "2024-01-02T03:04:05+25:00"],
    *["9999-12-31T23:59:59Z", "1850-01-01T00:00:00Z", "2024-10-27T02:30:00+01:00"],
    "2024-01-02 03:04:05Z",
]
TENSORS = [
    *[
        "[1,2]",
        "[1.0,2]",
        "[[1,2]]",
        "[[1.5,2]]",
        '["NaN",1.0]',
        "[null,1]",
        "[true,false]",
        "[1,true]",
        "[]",
        "[1]",
        "{}",
        "[-0,0]",
        "[-0.0,1e2]",
    ],
    *["[9007199254740993,1]", "[9007199254740993,1.0]", "[1e400,1]", "AA==", "A"],
    "[1, 2]",
]
PLAIN = st.integers(-(2**70), 2**70).map(str) | st.floats().map(repr) | st.text(max_size=3)
CELLS = st.none() | st.sampled_from(NUMBERS + WORDS + TIMES + TENSORS) | PLAIN


def _assert_agreed(field: Field, texts: list[str | None]) -> None:
    array = column(field, pa.array(texts, pa.string()))
    if array is None:
        return
    assert len(array) == len(texts)
    read = cell(field)
    values = [text if text is None or read is None else read(text) for text in texts]
    fast, fast_errors = coerced(pa.RecordBatch.from_arrays([array], names=["a"]), [field])
    slow, slow_errors = coerced([{"a": value} for value in values], [field])
    assert first_difference(slow, fast, ["a"]) is None, texts
    assert [(each.row, each.code) for each in fast_errors] == [(each.row, each.code) for each in slow_errors], texts


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: f"{field.dtype}{list(field.shape) or ''}{field.zone or ''}")
@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(CELLS, max_size=3)
    | st.lists(st.sampled_from(NUMBERS), max_size=4)
    | st.lists(st.sampled_from(TIMES))
)
def test_the_two_readings_agree(field: Field, texts: list[str | None]) -> None:
    """Where a column is read at once, its coerced values and errors are those of its cells, read one by one."""
    _assert_agreed(field, texts)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: f"{field.dtype}{list(field.shape) or ''}{field.zone or ''}")
def test_the_two_readings_agree_on_each_cell(field: Field) -> None:
    """The same for every cell that is known to tell readings apart, alone in its column."""
    for text in NUMBERS + WORDS + TIMES + TENSORS:
        _assert_agreed(field, [text])


@pytest.mark.parametrize(
    ("dtype", "texts", "kind"),
    [
        ("int64", ["1", None, "-9223372036854775808"], pa.int64()),
        ("uint64", ["18446744073709551615"], pa.uint64()),
        ("int32", ["3.0", "4"], pa.float64()),
        ("float64", ["1", "1.5", "nan", "-inf"], pa.float64()),
        ("bool", ["true", "FALSE"], pa.bool_()),
        ("date", ["2024-02-29"], pa.date32()),
        ("timestamp", ["2024-01-02T03:04:05.5"], pa.timestamp("us")),
        ("string", ["x"], pa.string()),
    ],
)
def test_plain_columns_are_read_at_once(dtype: str, texts: list[str | None], kind: Any) -> None:
    """A column of plain cells becomes an Arrow column of its kind."""
    read = column(Field("a", dtype), pa.array(texts, pa.string()))
    assert read is not None
    assert read.type == kind


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        (Field("a", "float64"), "1e400", "1e400"),
        (Field("a", "float64"), "-Infinity", float("-inf")),
        (Field("a", "float64"), "infinitY", float("inf")),
        (Field("a", "int64"), "NaN", "NaN"),
        (Field("a", "int64"), "9" * 30, int("9" * 30)),
        (Field("a", "int64"), "9" * 5000, "9" * 5000),
        (Field("a", "int64"), "007", "007"),
        (Field("a", "int64"), "", ""),
        (Field("a", "bool"), "1", "1"),
        (Field("a", "bool"), "True", True),
        (Field("a", "int64", shape=(2,)), "[1, 2]", [1, 2]),
        (Field("a", "int64", shape=(2,)), "null", "null"),
        (Field("a", "int64", shape=(2,)), "[1, 2", "[1, 2"),
    ],
)
def test_one_cell(field: Field, text: str, value: Any) -> None:
    """A cell that fits its grammar is its value, and stays text otherwise."""
    read = cell(field)
    assert read is not None
    assert read(text) == value
    assert type(read(text)) is type(value)


@pytest.mark.parametrize(
    ("texts", "dtype", "zone"),
    [
        (["1", "-2", None], "int64", None),
        (["1", "2.5"], "float64", None),
        (["NaN", "inf"], "float64", None),
        (["-0", "1"], "float64", None),
        (["9223372036854775808"], "string", None),
        (["007"], "string", None),
        (["true", "False"], "bool", None),
        (["0", "1"], "int64", None),
        (["2024-01-02"], "date", None),
        (["2024-01-02T03:04:05"], "timestamp", None),
        (["2024-01-02T03:04:05Z", "2024-01-02T03:04:05+01:00"], "timestamp", "UTC"),
        (["2024-02-30"], "string", None),
        (["1", "NA"], "string", None),
        ([None, None], "string", None),
        ([""], "string", None),
    ],
)
def test_inference(texts: list[str | None], dtype: str, zone: str | None) -> None:
    """A column's dtype is the narrowest of a short list that all of its cells are."""
    assert infer(["a"], [pa.array(texts, pa.string())]) == (Field("a", dtype, nullable=True, zone=zone),)
