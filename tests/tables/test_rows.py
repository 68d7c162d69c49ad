from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fourfold import tables
from fourfold.errors import SignatureError
from fourfold.signature import Field
from fourfold.signature.columns import rows_to_columns

ROWS: list[dict[str, Any]] = [
    {"b": True, "i": 1, "f": 1, "s": "a", "t": datetime(2013, 1, 1, tzinfo=UTC), "d": date(2013, 1, 1)},
    {"b": False, "i": 2**63, "f": 1.5, "s": None, "x": b"a", "v": [[1, 2]], "w": (1.5,)},
    {"b": False, "i": 0, "f": float("nan"), "x": b"b", "v": np.array([[3, 4]]), "w": None},
]
FIELDS = (
    Field("b", "bool"),
    Field("i", "uint64"),
    Field("f", "float64"),
    Field("s", "string", nullable=True),
    Field("t", "timestamp", nullable=True, zone="UTC"),
    Field("d", "date", nullable=True),
    Field("x", "binary", nullable=True),
    Field("w", "float64", nullable=True, shape=(1,)),
)


def without(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The rows without that key."""
    return [{key: value for key, value in row.items() if key != name} for row in rows]


def test_inferred_fields() -> None:
    """Fields come in the order of their first keys; an absent key is missing; integers among floats are floats."""
    assert tables.infer(without(ROWS, "v")) == FIELDS


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], ["no rows"]),
        ([{}], ["no columns"]),
        ([{"a": 1}, [1]], ["row 1", "dict"]),
        ([{1: 1}], ["row 0", "strings"]),
        ([{"a": 1}, {"a": "x"}], ["'a'", "int (row 0)", "str (row 1)"]),
        ([{"a": True}, {"a": 1}], ["bool (row 0)", "int (row 1)"]),
        ([{"a": None}], ["'a'", "no value"]),
        ([{"a": 2**60 + 1}, {"a": 0.5}], ["row 0", "float64"]),
        ([{"a": "x"}, {"a": float("nan")}], ["str (row 0)", "float (row 1)"]),
        ([{"a": None}, {"a": pd.NA}, {"a": 1}], ["None (row 0)", "NA (row 1)"]),
        ([{"a": {}}], ["builtins.dict"]),
        ([{"a": np.datetime64("2013")}], ["numpy.datetime64"]),
        ([{"v": [[1, 2]]}, {"v": np.array([[3, 4]])}], ["list (row 0)", "ndarray (row 1)"]),
    ],
)
def test_what_no_signature_can_be_made_of(rows: list[Any], words: list[str]) -> None:
    """An error names the key, the two types that clash with their rows, or the row that is no dict."""
    with pytest.raises(SignatureError) as caught:
        tables.infer(rows)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_numpy_scalars_are_values() -> None:
    """Rows made of a NumPy array hold its scalars, which infer and read as the numbers that they are."""
    rows = [{"a": np.int16(3), "b": np.float32(0.1), "c": np.bool_(True), "d": np.str_("x")}]
    fields = tables.infer(rows)
    assert [field.dtype for field in fields] == ["int64", "float64", "bool", "string"]
    read, errors = tables.read(rows, fields)
    assert (read, errors) == ([{"a": 3, "b": float(np.float32(0.1)), "c": True, "d": "x"}], [])
    assert [type(value) for value in read[0].values()] == [int, float, bool, str]


def test_a_model_trained_on_rows_gets_rows() -> None:
    """Canonical columns become canonical rows; rows stay as they are."""
    rows, errors = tables.read(without(ROWS, "v"), FIELDS)
    assert errors == []
    build = tables.builder(tables.form(ROWS), FIELDS)
    assert build(rows) is rows
    assert repr(build(rows_to_columns(FIELDS, rows))) == repr(rows)


def test_rows_at_fault_leave_a_gap() -> None:
    """A row at fault is `None`, and its neighbours are read."""
    rows, errors = tables.read([{"a": 1}, {"a": "x", "z": 1}, {}], (Field("a", "int8"),))
    assert rows == [{"a": 1}, None, None]
    assert [(each.row, each.field, each.code) for each in errors] == [
        (1, "a", "type"),
        (1, "z", "unknown"),
        (2, "a", "missing"),
    ]
    assert tables.read([{"a": 1, "z": 1}], (Field("a", "int8"),), "ignore") == ([{"a": 1}], [])


def test_outputs_are_rows() -> None:
    """Dicts in, dicts out, whether the outputs come as rows or as columns."""
    rows = [{"y": 1.5}]
    assert tables.write([{"x": 1}], rows) is rows
    assert tables.write([{"x": 1}], pa.record_batch({"y": [1.5]})) == rows


def test_length_and_take() -> None:
    """Rows are taken by their indices, from a tuple as from a list."""
    rows = ({"a": 1}, {"a": 2}, {"a": 3})
    assert tables.length(rows) == 3
    assert tables.take(rows, [2, 0]) == [{"a": 3}, {"a": 1}]
