from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fourfold import tables
from fourfold.errors import EngineError, SignatureError, TableError
from fourfold.signature import Field

BERLIN = ZoneInfo("Europe/Berlin")


def column(values: list[Any], dtype: Any) -> pl.DataFrame:
    """A frame of one column, `x`."""
    return pl.DataFrame({"x": pl.Series(values, dtype=dtype)})


def assert_exact(frame: pl.DataFrame) -> None:
    """That the frame comes out of its form, after a way through JSON, and its canonical columns, as it was."""
    form = json.loads(json.dumps(tables.form(frame), allow_nan=False))
    fields = tables.infer(frame)
    build = tables.builder(form, fields)
    for part in (frame, frame[-1:]):
        batch, errors = tables.read(part, fields)
        assert errors == []
        assert_frame_equal(build(batch), part, check_exact=True)
        assert build(batch).schema == part.schema


EXACT = {
    **{str(dtype): column([0, 1, None], dtype) for dtype in (pl.Int8, pl.Int16, pl.Int32, pl.Int64)},
    **{str(dtype): column([0, 1], dtype) for dtype in (pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)},
    **{str(dtype): column([0.5, -0.0, float("nan"), None], dtype) for dtype in (pl.Float32, pl.Float64)},
    "ends": pl.DataFrame({"a": [2**63 - 1, -(2**63)], "b": pl.Series([2**64 - 1, 0], dtype=pl.UInt64)}),
    "bool": column([True, None], pl.Boolean),
    "string": column(["a", "", "☃", None], pl.String),
    "binary": column([b"\xff", None], pl.Binary),
    "categorical": column(["b", None, "a"], pl.Categorical),
    "enum": column(["b", None, "a"], pl.Enum(["c", "b", "a"])),
    "date": column([date(1, 1, 1), None], pl.Date),
    **{
        f"datetime {unit} {zone}": column([datetime(2013, 10, 27, 0, 30), None], pl.Datetime(unit, zone))
        for unit in ("ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Berlin")
    },
    "array": column([[1.5, 2.5], None], pl.Array(pl.Float32, 2)),
    "nested array": column([[[1, 2]], [[3, 4]]], pl.Array(pl.Int8, (1, 2))),
}


@pytest.mark.parametrize("name", EXACT)
def test_each_dtype_is_built_again_exactly(name: str) -> None:
    """A frame comes out of its form and its canonical columns with the schema and the values that it had."""
    assert_exact(EXACT[name])


def test_columns_keep_their_order_and_chunks_do_not_matter() -> None:
    """A frame of several chunks and columns is built again."""
    frame = pl.DataFrame({"b": [1], "a": ["x"], "c": [None]}, schema={"b": pl.Int8, "a": pl.Enum(["x"]), "c": pl.Date})
    assert_exact(pl.concat([frame, frame], rechunk=False))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Int8", Field("x", "int8", nullable=True)),
        ("UInt64", Field("x", "uint64")),
        ("categorical", Field("x", "string", nullable=True)),
        ("enum", Field("x", "string", nullable=True, categories=("c", "b", "a"))),
        ("datetime ns Europe/Berlin", Field("x", "timestamp", nullable=True, zone="Europe/Berlin")),
        ("nested array", Field("x", "int8", shape=(1, 2))),
    ],
)
def test_inferred_fields(name: str, field: Field) -> None:
    """The field of a column has its dtype, categories, zone and shape, and is nullable where it holds a null."""
    assert tables.infer(EXACT[name]) == (field,)


def test_nan_is_not_missing() -> None:
    """Polars tells NaN from null, and so does the field that is inferred."""
    assert tables.infer(column([float("nan")], pl.Float64)) == (Field("x", "float64"),)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pl.DataFrame({"x": []}), ["shape (0, 1)"]),
        (column([[1], [1, 2]], pl.List(pl.Int8)), ["'x'", "List(Int8)", "Array"]),
        (column([{"a": 1}], pl.Struct({"a": pl.Int8})), ["unnest"]),
        (column([Decimal("1.5")], pl.Decimal(5, 2)), ["Decimal", "Float64"]),
        (column([timedelta(1)], pl.Duration), ["Duration", "seconds"]),
        (column([time(1)], pl.Time), ["Time", "seconds"]),
        (column([1], pl.Int128), ["Int128", "Int64"]),
        (column([1.5], pl.Float16), ["Float16", "Float32"]),
        (column([None], pl.Null), ["no value"]),
        (column([object()], pl.Object), ["Object"]),
        (column(["a"], pl.Categorical(pl.Categories("own"))), ["name of their own"]),
        (column([[1, None]], pl.Array(pl.Int8, 2)), ["row 0", "null element"]),
        (column([1], pl.Datetime("ns")), ["row 0", "finer"]),
    ],
)
def test_what_no_signature_can_be_made_of(frame: pl.DataFrame, words: list[str]) -> None:
    """An error names the column and its dtype, and what to make of it."""
    with pytest.raises(SignatureError) as caught:
        tables.infer(frame)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_lazy_frame_is_no_table_yet() -> None:
    """A lazy frame is to be collected by whoever knows how."""
    with pytest.raises(SignatureError, match="collect"):
        tables.infer(pl.LazyFrame({"x": [1]}))
    with pytest.raises(SignatureError, match="to_frame"):
        tables.infer(pl.Series([1]))


def test_an_open_category_unseen_in_training_becomes_null() -> None:
    """An `Enum` column can hold its categories only; another value is missing there."""
    field = Field("x", "string", nullable=True, categories=("c", "b", "a"), open=True)
    batch, errors = tables.read(column(["zebra", "a"], pl.String), (field,))
    assert errors == []
    built = tables.build(tables.form(EXACT["enum"]), (field,), batch)
    assert_frame_equal(built, column([None, "a"], pl.Enum(["c", "b", "a"])))


@pytest.mark.parametrize(
    ("name", "field", "words"),
    [
        ("Int8", Field("x", "int16"), "int16"),
        ("enum", Field("x", "string", categories=("z",)), "category 'z'"),
        ("enum", Field("x", "int8"), "int8"),
        ("array", Field("x", "float32", shape=(3,)), "shape"),
        ("string", Field("y", "string"), "no such input"),
    ],
)
def test_a_field_must_fit_its_column(name: str, field: Field, words: str) -> None:
    """Inputs declared by hand that the trained schema cannot hold are refused."""
    with pytest.raises(SignatureError, match=words):
        tables.builder(tables.form(EXACT[name]), (field,))


def test_a_timestamp_beyond_the_unit_of_training() -> None:
    """What the trained dtype cannot hold is an engine's error."""
    frame = column([datetime(2013, 1, 1)], pl.Datetime("ms"))
    batch, _ = tables.read(column([datetime(2013, 1, 1, 0, 0, 0, 1)], pl.Datetime("us")), tables.infer(frame))
    with pytest.raises(EngineError, match="does not fit"):
        tables.build(tables.form(frame), tables.infer(frame), batch)


@pytest.mark.parametrize(
    ("value", "dtype", "field", "expected"),
    [
        (3.0, pl.Float64, Field("x", "int8"), 3),
        (3, pl.Int128, Field("x", "int8"), 3),
        ("NaN", pl.String, Field("x", "float64"), "nan"),
        ("a", pl.Categorical, Field("x", "string", categories=("a",)), "a"),
        ("2013-01-01T01:00:00+01:00", pl.String, Field("x", "timestamp", zone="UTC"), datetime(2013, 1, 1, tzinfo=UTC)),
        ([1, 2], pl.List(pl.Int64), Field("x", "int8", shape=(2,)), [1, 2]),
        (None, pl.Null, Field("x", "int8", nullable=True), None),
    ],
)
def test_values_of_another_dtype_that_fit(value: Any, dtype: Any, field: Field, expected: Any) -> None:
    """A caller's frame need not have the dtypes of training: the coercion table decides."""
    batch, errors = tables.read(column([value], dtype), (field,))
    assert errors == []
    assert str(batch.column(0)[0].as_py()) == str(expected)


def test_values_that_do_not_fit() -> None:
    """Errors name row, field and code; unknown and absent columns are errors of the table."""
    frame = pl.DataFrame({"x": [1, 300], "y": pl.Series([object(), None], dtype=pl.Object)})
    fields = (Field("x", "int8"), Field("z", "string", nullable=True))
    with pytest.raises(TableError) as raised:
        tables.read(frame, fields)
    assert [(error.field, error.code) for error in raised.value.errors] == [("z", "missing"), ("y", "unknown")]
    _, errors = tables.read(frame, fields, "ignore", absent=["z"])
    assert [(error.row, error.field, error.code) for error in errors] == [(1, "x", "range")]
    _, errors = tables.read(frame, (Field("x", "int16"), Field("y", "string", nullable=True)))
    assert [(error.row, error.field, error.code) for error in errors] == [(0, "y", "type")]


def test_outputs_are_a_frame() -> None:
    """Polars in, polars out, with the canonical dtypes of the outputs."""
    outputs = pa.record_batch(
        {
            "a": pa.array([1, None], pa.int8()),
            "b": pa.array([[1.5, 2.5], [3.5, 4.5]], pa.list_(pa.float32(), 2)),
            "c": pa.array([datetime(2013, 1, 1, tzinfo=UTC), None], pa.timestamp("us", "Europe/Berlin")),
        }
    )
    written = tables.write(column(["a", "b"], pl.String), outputs)
    assert list(written.schema.items()) == [
        ("a", pl.Int8),
        ("b", pl.Array(pl.Float32, 2)),
        ("c", pl.Datetime("us", "Europe/Berlin")),
    ]
    assert written.rows() == [(1, [1.5, 2.5], datetime(2013, 1, 1, 1, tzinfo=BERLIN)), (None, [3.5, 4.5], None)]


def test_length_and_take() -> None:
    """Rows are taken by their indices, in that order."""
    frame = pl.DataFrame({"x": [1, 2, 3]})
    assert tables.length(frame) == 3
    assert tables.take(frame, [2, 0])["x"].to_list() == [3, 1]


@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
        ),
        min_size=1,
    )
)
def test_any_values(rows: list[tuple[Any, ...]]) -> None:
    """Any floats, integers and texts come back beside nulls."""
    assert_exact(pl.DataFrame(rows, schema={"f": pl.Float64, "i": pl.Int64, "s": pl.String}, orient="row"))
