from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from fourfold import tables
from fourfold.errors import EngineError, SignatureError
from fourfold.signature import Field
from tests.tables.sample_columns import EXACT, NAN, again, assert_exact, column


@pytest.mark.parametrize("name", EXACT)
def test_each_dtype_is_built_again_exactly(name: str) -> None:
    """A frame comes out of its form and its canonical columns with dtype, bits and missing objects as they were."""
    assert_exact(EXACT[name])


@pytest.mark.parametrize("name", EXACT)
def test_one_row_is_built_as_in_the_whole(name: str) -> None:
    """A row alone has the dtype and the value that it has among its neighbours."""
    frame = EXACT[name]
    form, fields = tables.form(frame), tables.infer(frame)
    build = tables.builder(form, fields)
    for row in range(len(frame)):
        one = tables.take(frame, [row])
        batch, errors = tables.read(one, fields)
        assert errors == []
        assert_frame_equal(build(batch), one.reset_index(drop=True), check_exact=True)


def test_all_dtypes_side_by_side() -> None:
    """A frame of many dtypes keeps the order of its columns."""
    frame = pd.DataFrame({name: frame["x"].reindex([0, 1]).astype(frame["x"].dtype) for name, frame in EXACT.items()})
    assert_exact(frame.iloc[:, ::-1])


@pytest.mark.parametrize(
    "columns",
    [
        pd.RangeIndex(2),
        pd.RangeIndex(2, 8, 3),
        pd.Index([7, 3]),
        pd.Index([7, 3], dtype="int8"),
        pd.Index(["b", "a"]),
        pd.Index(["b", "a"], dtype=object),
        pd.Index(["b", "a"], dtype=pd.StringDtype("python", na_value=pd.NA)),
        pd.Index(["b", 1], dtype=object),
        pd.Index(["b", "a"], name="feature"),
        pd.RangeIndex(2, name=3),
    ],
    ids=repr,
)
@pytest.mark.parametrize("values", [[[1.0, 2.0]], [[1.0, "a"]]], ids=["one dtype", "two"])
def test_labels_are_kept(columns: pd.Index, values: list[list[Any]]) -> None:
    """Labels come back with their types, in an index of the same class, dtype and name."""
    frame = pd.DataFrame(values).set_axis(columns, axis=1)
    assert_exact(frame)
    assert again(frame).columns.dtype == columns.dtype


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_of_a_frame_of_one_dtype(order: Any) -> None:
    """NumPy sees a built frame of one numeric dtype in the memory order that it saw in training."""
    values = np.array(np.arange(12.0).reshape(4, 3), order=order)
    frame = pd.DataFrame(values, copy=False)
    assert_exact(frame)
    flags = again(frame).to_numpy().flags
    assert flags.c_contiguous == (order == "C")
    assert tables.form(tables.take(frame, [0, 2]))["order"] == order


def test_what_is_built_can_be_written_to() -> None:
    """A built frame owns its memory, as a frame does that a model was trained with."""
    built = again(pd.DataFrame({"a": [1.0, 2.0], "b": [1, 2], "c": [np.zeros(2), np.zeros(2)]}))
    built.loc[0, "a"] = 5.0
    built.loc[0, "b"] = 5
    built["c"].tolist()[0][0] = 5.0
    assert built[["a", "b"]].iloc[:1].to_dict("records") == [{"a": 5.0, "b": 5}]


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_frame_of_one_dtype_can_be_written_to(order: Any) -> None:
    """A frame that is filled at once owns its memory too, and has NaN where a row has none."""
    frame = pd.DataFrame(np.array([[1.0, np.nan], [2.0, 3.0]], order=order), columns=["a", "b"], copy=False)
    fields = tables.infer(frame)
    batch = pa.record_batch({"a": pa.array([1.0, 2.0, 4.0]), "b": pa.array([3.0, None, NAN])})
    built = tables.build(tables.form(frame), fields, batch)
    assert np.isnan(built["b"]).tolist() == [False, True, True]
    built.iloc[0, 0] = 5.0
    assert built["a"].tolist() == [5.0, 2.0, 4.0]
    assert batch.column(0).to_pylist() == [1.0, 2.0, 4.0]
    # Fields in another order are filled column by column, with the same values in the same memory.
    turned = tables.build(tables.form(frame), fields[::-1], batch.select(["b", "a"]))
    assert turned.to_numpy().flags.c_contiguous == built.to_numpy().flags.c_contiguous == (order == "C")
    assert_frame_equal(turned, tables.build(tables.form(frame), fields, batch))


def test_fields_find_their_columns_by_name() -> None:
    """Inputs declared in another order than the frame's columns feed the columns of their names."""
    frame = pd.DataFrame({"a": [1], "b": ["x"]})
    fields = tables.infer(frame)[::-1]
    batch, _ = tables.read(frame, fields)
    assert batch.schema.names == ["b", "a"]
    assert_frame_equal(tables.build(tables.form(frame), fields, batch), frame)


def test_a_null_becomes_nan_in_a_float_column() -> None:
    """A float column can hold no null, so both a null and NaN reach the model as NaN."""
    frame = EXACT["float64"]
    batch = pa.record_batch({"x": pa.array([None, NAN])})
    built = tables.build(tables.form(frame), tables.infer(frame), batch)
    assert built["x"].dtype == "float64"
    assert built["x"].isna().all()


def test_an_open_category_unseen_in_training_becomes_missing() -> None:
    """The codes of a category column are those of training; a value without one is missing there."""
    frame = EXACT["category"]
    field = Field("x", "string", nullable=True, categories=("c", "b", "a"), open=True)
    batch, errors = tables.read(column(["zebra", "a", None]), (field,))
    built = tables.build(tables.form(frame), (field,), batch)["x"]
    assert errors == []
    assert built.dtype == frame["x"].dtype
    assert built.cat.codes.tolist() == [-1, 2, -1]


def test_integer_categories_meet_a_narrower_field() -> None:
    """A field that cannot be every category still finds the codes of those that it can."""
    frame = column([300, 1, -5], pd.CategoricalDtype([300, 1, -5]))
    field = Field("x", "uint8", categories=(1, 2), open=True)
    batch, _ = tables.read(column([1, 2]), (field,))
    assert tables.build(tables.form(frame), (field,), batch)["x"].cat.codes.tolist() == [1, -1]


@pytest.mark.parametrize(
    ("name", "field", "words"),
    [
        ("int64", Field("x", "int64", nullable=True), ["nullable", "missing int64"]),
        ("bool", Field("x", "bool", nullable=True), ["nullable"]),
        ("int8", Field("x", "int16"), ["int16", "int8"]),
        ("float64", Field("x", "int64"), ["int64", "float64"]),
        ("float32", Field("x", "float64"), ["float64", "float32"]),
        ("str", Field("x", "float64"), ["float64", "string"]),
        ("object of str", Field("x", "int8"), ["int8", "str objects"]),
        ("object of array", Field("x", "int16", shape=(2,)), ["shape [1, 2]"]),
        ("datetime64[us, UTC]", Field("x", "timestamp"), ["zone is None", "UTC"]),
        ("object of datetime with a zone", Field("x", "timestamp", zone="UTC"), ["Europe/Berlin"]),
        ("category", Field("x", "string", categories=("a", "z")), ["category 'z'"]),
        ("category", Field("x", "int8"), ["categories of strings"]),
        ("category of int8", Field("x", "float32"), ["categories of integers"]),
        ("int8", Field("y", "int8"), ["'x'", "no such input"]),
    ],
)
def test_a_field_must_fit_its_column(name: str, field: Field, words: list[str]) -> None:
    """Inputs declared by hand that could hand the model what its column cannot hold are refused when it is packed."""
    with pytest.raises(SignatureError) as caught:
        tables.builder(tables.form(EXACT[name]), (field,))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_integers_may_feed_floats_that_hold_them_all() -> None:
    """A float64 column takes a nullable int32 field: pandas has no other way to say that an integer is missing."""
    frame = EXACT["float64"]
    field = Field("x", "int32", nullable=True)
    batch, errors = tables.read(column([1, None], "Int8"), (field,))
    assert errors == []
    assert_frame_equal(tables.build(tables.form(frame), (field,), batch), column([1.0, np.nan]))


@pytest.mark.parametrize(("unit", "moment"), [("ns", "1600-01-01T00:00:00"), ("s", "2013-01-01T00:00:00.5")])
def test_a_timestamp_beyond_the_unit_of_training(unit: Any, moment: str) -> None:
    """What the trained dtype cannot hold is an engine's error, never a wrapped or a rounded timestamp."""
    frame = column(pd.to_datetime(["2013-01-01"]).as_unit(unit))
    batch, errors = tables.read(column([moment], "str"), tables.infer(frame))
    assert errors == []
    with pytest.raises(EngineError, match="does not fit"):
        tables.build(tables.form(frame), tables.infer(frame), batch)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.lists(st.floats(), min_size=1))
def test_any_float64_keeps_its_bits(values: list[float]) -> None:
    """Every float64 comes back bit for bit, NaN's payload aside."""
    assert_exact(column(values, "float64"))


@given(st.lists(st.floats(width=32), min_size=1))
def test_any_float32_keeps_its_bits(values: list[float]) -> None:
    """Every float32 comes back bit for bit, NaN's payload aside."""
    assert_exact(column(values, "float32"))


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1).filter(any))
def test_any_int64_with_missing_ones(values: list[int | None]) -> None:
    """Integers beyond what a float holds are as they were beside missing ones, whatever the dtype."""
    assert_exact(column(values, "Int64"))
    assert_exact(column(values, object))


@given(st.lists(st.none() | TEXT, min_size=1), st.sampled_from([None, np.nan, pd.NA]))
def test_any_text(values: list[str | None], null: Any) -> None:
    """Any text that UTF-8 can hold comes back in each dtype of text."""
    if any(value is not None for value in values):
        assert_exact(column([null if value is None else value for value in values], object))
        assert_exact(column(values, "category"))
    assert_exact(column(values, "str"))
    assert_exact(column(values, "string"))


MOMENT = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))


@given(st.lists(MOMENT, min_size=1), st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]))
def test_any_instant(values: list[datetime], zone: str) -> None:
    """Any instant comes back in its zone, in and out of summer time, as a dtype and as objects."""
    index = pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(zone)
    assert_exact(column(index))
    assert_exact(column(index.as_unit("ns")))
    assert_exact(column(list(index.to_pydatetime()), object))
    assert_exact(column(values, object))
