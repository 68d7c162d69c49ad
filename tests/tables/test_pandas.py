from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from fourfold import tables
from fourfold.errors import DecodeError, SignatureError, TableError
from fourfold.signature import Field
from tests.tables.sample_columns import EXACT, MOMENTS, NAN, ZONED, column


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("int8", Field("x", "int8")),
        ("float64", Field("x", "float64", nullable=True)),
        ("Int32 without missing", Field("x", "int32")),
        ("boolean", Field("x", "bool", nullable=True)),
        ("category", Field("x", "string", nullable=True, categories=("c", "b", "a"))),
        ("category of int8", Field("x", "int8", categories=(3, 1))),
        ("category of floats", Field("x", "float64", nullable=True, categories=(2.5, 0.0, -1.0))),
        ("category of booleans", Field("x", "bool", nullable=True, categories=(True, False))),
        ("datetime64[s, Asia/Kathmandu]", Field("x", "timestamp", nullable=True, zone="Asia/Kathmandu")),
        ("object of uint64", Field("x", "uint64", nullable=True)),
        ("object of datetime with a zone", Field("x", "timestamp", nullable=True, zone="Europe/Berlin")),
        ("object of nested list", Field("x", "float64", shape=(1, 2))),
        ("object of array", Field("x", "int16", nullable=True, shape=(1, 2))),
        ("arrow dictionary", Field("x", "string")),
    ],
)
def test_inferred_fields(name: str, field: Field) -> None:
    """The field of a column has its dtype, categories, zone and shape, and is nullable where a value is missing."""
    assert tables.infer(EXACT[name]) == (field,)


def declared(frame: pd.DataFrame) -> Any:
    """What a package remembers of the frame that its model was trained with."""
    return tables.infer(frame), tables.form(frame)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"x": []}), ["shape (0, 1)"]),
        (pd.DataFrame(index=[0, 1]), ["shape (2, 0)"]),
        (column(["a", 1], object), ["'x'", "str (row 0)", "int (row 1)"]),
        (column([1, 1.5], object), ["int (row 0)", "float (row 1)"]),
        (column([True, 1], object), ["bool (row 0)", "int (row 1)"]),
        (column([None, np.nan], object), ["no value"]),
        (column(["a", None, np.nan], object), ["None (row 1)", "NaN (row 2)"]),
        (column(["a", pd.NA, None], object), ["NA (row 1)", "None (row 2)"]),
        (column([2**64, 1], object), ["64 bits"]),
        (column([Decimal("1.5")], object), ["decimal.Decimal", "row 0"]),
        (column([object()], object), ["builtins.object"]),
        (column([[1, 2], [1, 2, 3]], object), ["shape [2] (row 0)", "shape [3] (row 1)"]),
        (column([[1, "a"]], object), ["row 0", "'a'"]),
        (column([[[1], [1, 2]]], object), ["row 0", "not alike"]),
        (column([[]], object), ["no elements"]),
        (column([np.array(["a"])], object), ["dtype is str"]),
        (column([np.zeros(2), np.zeros(2, "int8")], object), ["float64", "int8"]),
        (column([1.5], "float16"), ["float16", "float32"]),
        (column([1 + 2j]), ["complex128"]),
        (column([timedelta(1)]), ["timedelta64", "seconds"]),
        (column(pd.arrays.SparseArray([0, 1])), ["Sparse", "to_dense"]),
        (column(pd.period_range("2013", periods=1, freq="D")), ["period", "to_timestamp"]),
        (column(pd.IntervalIndex.from_breaks([0, 1])), ["interval"]),
        (column([math.inf], "category"), ["finite"]),
        (column([None], pd.CategoricalDtype([])), ["no categories"]),
        (column(pd.to_datetime(["2013-01-01T00:00:00.000000001"])), ["row 0", "finer"]),
        (column([pd.Timestamp("2013-01-01T00:00:00.000000001")], object), ["row 0", "finer"]),
        (column(np.array(["20000-01-01"], "M8[s]")), ["row 0", "years 1 to 9999"]),
        (column(pd.to_datetime(["2013-01-01T00:00:00+02:00"])), ["IANA"]),
        (
            column([pd.Timestamp("2013", tz="UTC"), pd.Timestamp("2013", tz="Asia/Tokyo")], object),
            ["UTC", "Asia/Tokyo"],
        ),
        (column([datetime(2013, 1, 1), datetime(2013, 1, 1, tzinfo=UTC)], object), ["none (row 0)"]),
        (column([Decimal(1)], pd.ArrowDtype(pa.decimal128(5, 2))), ["decimal128", "float64"]),
        (column(pd.arrays.ArrowExtensionArray(pa.array([[1]]))), ["list", "fixed size"]),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ["'a' twice"]),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), ["'1' twice"]),
        (pd.DataFrame([[1]], columns=[1.5]), ["1.5", "float"]),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), ["MultiIndex"]),
        (pd.DataFrame([[1]], columns=pd.CategoricalIndex(["a"])), ["CategoricalIndex"]),
        (pd.DataFrame([[1]], columns=[""]), ["not empty"]),
    ],
)
def test_what_no_signature_can_be_made_of(frame: pd.DataFrame, words: list[str]) -> None:
    """An error names the column, the two things that clash with their rows, and what to do."""
    with pytest.raises(SignatureError) as caught:
        declared(frame)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def read_one(value: Any, field: Field, dtype: Any = object) -> tuple[Any, list[tuple[int, str | None, str]]]:
    """What one value of a frame is to a field, and the errors."""
    batch, errors = tables.read(column([value], dtype), (field,))
    return batch.column(0)[0].as_py(), [(error.row, error.field, error.code) for error in errors]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT], ids=str)
@pytest.mark.parametrize("dtype", [object, "category", "str"])
def test_every_way_to_be_missing(missing: Any, dtype: Any) -> None:
    """None, NaN, NA and NaT are missing in object, string and category columns."""
    frame = column(pd.Series(["a", missing], dtype=dtype))
    nullable, strict = Field("x", "string", nullable=True), Field("x", "string")
    batch, errors = tables.read(frame, (nullable,))
    assert (batch.column(0).to_pylist(), errors) == (["a", None], [])
    _, errors = tables.read(frame, (strict,))
    assert [(error.row, error.code, error.got) for error in errors] == [(1, "missing", "null")]


@pytest.mark.parametrize(
    ("value", "dtype", "field", "code"),
    [
        (np.nan, "float64", Field("x", "int64"), "range"),
        (1.5, "float64", Field("x", "int64"), "precision"),
        (300, "int64", Field("x", "int8"), "range"),
        (1, object, Field("x", "string"), "type"),
        (b"a", object, Field("x", "string"), "type"),
        ("1", object, Field("x", "int64"), "type"),
        (True, object, Field("x", "int64"), "type"),
        (True, "bool", Field("x", "float64"), "type"),
        ("a", "category", Field("x", "string", categories=("b",)), "category"),
        (1 + 2j, "complex128", Field("x", "float64"), "type"),
        (timedelta(1), "timedelta64[ns]", Field("x", "float64"), "type"),
        ("\ud800", object, Field("x", "string"), "format"),
        ([1, 2, 3], object, Field("x", "int8", shape=(2,)), "shape"),
        (pd.Timestamp("2013-01-01T00:00:00.000000001"), object, Field("x", "timestamp"), "precision"),
        (pd.Timestamp("2013-01-01T00:00:00.000000001"), "datetime64[ns]", Field("x", "timestamp"), "precision"),
        (pd.Timestamp("2013-01-01"), "datetime64[ns]", Field("x", "timestamp", zone="UTC"), "format"),
        ("2013-13-01", object, Field("x", "date"), "format"),
        (1e300, "float64", Field("x", "float32"), "range"),
    ],
)
def test_values_that_do_not_fit(value: Any, dtype: Any, field: Field, code: str) -> None:
    """A value at fault is named by row, field and code, and is null in the columns."""
    assert read_one(value, field, dtype) == (None, [(0, "x", code)])


@pytest.mark.parametrize(
    ("value", "dtype", "field", "expected"),
    [
        (np.nan, "float64", Field("x", "float64"), NAN),
        (np.nan, object, Field("x", "float64"), NAN),
        (np.float32("nan"), object, Field("x", "float64"), NAN),
        ("NaN", object, Field("x", "float64"), NAN),
        ("Infinity", "str", Field("x", "float32"), float("inf")),
        (3.0, "float64", Field("x", "int8"), 3),
        (3, "Int64", Field("x", "float32"), 3.0),
        (np.int16(3), object, Field("x", "int8"), 3),
        (np.str_("a"), object, Field("x", "string"), "a"),
        (3.0, "category", Field("x", "int8"), 3),
        (0.1, "float64", Field("x", "float32"), float(np.float32(0.1))),
        (1.5, "float16", Field("x", "float64"), 1.5),
        (3, pd.SparseDtype("int64"), Field("x", "int64"), 3),
        ("2013-01-01", "str", Field("x", "date"), date(2013, 1, 1)),
        ("YQ==", object, Field("x", "binary"), b"a"),
        (
            pd.Timestamp("2013-01-01", tz="UTC"),
            object,
            Field("x", "timestamp", zone="UTC"),
            datetime(2013, 1, 1, tzinfo=UTC),
        ),
        (
            "2013-07-01T00:00:00+02:00",
            object,
            Field("x", "timestamp", zone="UTC"),
            datetime(2013, 6, 30, 22, tzinfo=UTC),
        ),
        (np.array([1.0, 2.0]), object, Field("x", "int8", shape=(2,)), [1, 2]),
    ],
    ids=str,
)
def test_values_of_another_dtype_that_fit(value: Any, dtype: Any, field: Field, expected: Any) -> None:
    """A caller's frame need not have the dtypes of training: the coercion table decides, value by value."""
    got, errors = read_one(value, field, dtype)
    assert errors == []
    assert got == expected or (got != got and expected != expected)


@pytest.mark.parametrize(
    "series",
    [
        pd.Series(["a", "\ud800", None], dtype=object),
        pd.Series(["a", "\ud800", None], dtype=pd.StringDtype("python", na_value=np.nan)),
        pd.Series(pd.Categorical.from_codes([0, 1, -1], pd.Index(["a", "\ud800"], dtype=object))),
    ],
)
def test_a_lone_surrogate(series: pd.Series) -> None:
    """Text that UTF-8 cannot hold is an error of its row, in each dtype that can hold it."""
    frame = pd.DataFrame({"x": series})
    batch, errors = tables.read(frame, (Field("x", "string", nullable=True),))
    assert batch.column(0).to_pylist() == ["a", None, None]
    assert [(error.row, error.code) for error in errors] == [(1, "format")]
    assert tables.infer(frame)[0].dtype == "string"


def test_categories_of_objects() -> None:
    """Categories that Arrow has no type for are read by their values."""
    frame = column(pd.Series([(1, 2), None, (3, 4)], dtype="category"))
    batch, errors = tables.read(frame, (Field("x", "int8", nullable=True, shape=(2,)),))
    assert (batch.column(0).to_pylist(), errors) == ([[1, 2], None, [3, 4]], [])


def test_errors_are_ordered_by_row_and_field() -> None:
    """Errors found by column and value by value come in one order, and a value at fault is reported once."""
    fields = (Field("a", "int8"), Field("b", "string"), Field("c", "int8"))
    frame = pd.DataFrame({"c": [300, 1], "b": [1, None], "a": [1, 300]}).astype({"b": object})
    _, errors = tables.read(frame, fields)
    assert [(error.row, error.field, error.code) for error in errors] == [
        (0, "b", "type"),
        (0, "c", "range"),
        (1, "a", "range"),
        (1, "b", "missing"),
    ]


def test_unknown_and_absent_columns() -> None:
    """A column that is no field is an error unless it may be ignored; an absent one unless it is called so."""
    frame = pd.DataFrame({"x": [1, 2], "y": [object(), object()]})
    with pytest.raises(TableError, match="column 'y': expected one of the fields x"):
        tables.read(frame, (Field("x", "int8"),))
    assert tables.read(frame, (Field("x", "int8"),), "ignore")[1] == []
    for bare in (pd.DataFrame(index=[5, 6]), pd.DataFrame()):
        with pytest.raises(TableError, match="column 'x': expected int8, got no such column: the table has none"):
            tables.read(bare, (Field("x", "int8"),))
        nullable = (Field("x", "int8", nullable=True), Field("y", "string", nullable=True))
        batch, errors = tables.read(bare, nullable, absent=["x", "y"])
        assert (batch.to_pydict(), errors) == ({"x": [None] * len(bare), "y": [None] * len(bare)}, [])


def test_a_frame_of_no_rows() -> None:
    """What pandas cannot know the type of, and reads as floats or objects, is no column of another type."""
    fields = (Field("x", "int8"), Field("s", "string"), Field("t", "timestamp", zone="UTC"))
    empty = pd.DataFrame({"x": np.array([], float), "s": np.array([], object), "t": np.array([], float)})
    assert tables.read(empty, fields)[0].num_rows == 0
    with pytest.raises(TableError, match=r"column 't': expected .*timestamp.*, got a column of bool"):
        tables.read(empty.assign(t=np.array([], bool)), fields)


def test_a_column_that_is_there_twice() -> None:
    """Two columns of a field's name are refused, and two that nobody asks for are not."""
    twice = pd.DataFrame([[1, 2, 3]], columns=["x", "y", "y"])
    assert tables.read(twice, (Field("x", "int8"),), "ignore")[0].to_pydict() == {"x": [1]}
    with pytest.raises(DecodeError, match="'x' twice"):
        tables.read(pd.DataFrame([[1, 2]], columns=["x", "x"]), (Field("x", "int8"),))


def test_integer_labels_are_read_as_names() -> None:
    """A frame made of an array has the labels 0, 1, …, which the fields call by those names."""
    batch, errors = tables.read(pd.DataFrame(np.eye(2)), (Field("1", "float64"), Field("0", "float64")))
    assert (batch.to_pydict(), errors) == ({"1": [0.0, 1.0], "0": [1.0, 0.0]}, [])


def test_outputs_keep_the_index() -> None:
    """Outputs have the index of the frame that came in, or of the rows that were kept."""
    like = pd.DataFrame({"x": [1, 2, 3]}, index=pd.Index(["a", "b", "c"], name="key"))
    outputs = pa.record_batch({"y": [1.5, 2.5, 3.5]})
    assert_frame_equal(tables.write(like, outputs), pd.DataFrame({"y": [1.5, 2.5, 3.5]}, index=like.index))
    written = tables.write(like, outputs.slice(0, 2), [0, 2])
    assert_frame_equal(written, pd.DataFrame({"y": [1.5, 2.5]}, index=like.index[[0, 2]]))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, 2], pa.int8()), pd.Series([1, 2], dtype="int8")),
        (pa.array([1, None], pa.int8()), pd.Series([1, None], dtype="Int8")),
        (pa.array([2**64 - 1, None], pa.uint64()), pd.Series([2**64 - 1, None], dtype="UInt64")),
        (pa.array([True, False]), pd.Series([True, False])),
        (pa.array([True, None]), pd.Series([True, None], dtype="boolean")),
        (pa.array([1.5, NAN], pa.float32()), pd.Series([1.5, NAN], dtype="float32")),
        (pa.array([1.5, None]), pd.Series([1.5, None], dtype="Float64")),
        (pa.array(["a", None]), pd.Series(["a", None], dtype="str")),
        (pa.array([b"a", None]), pd.Series([b"a", None], dtype=object)),
        (pa.array([date(2013, 1, 1), None]), pd.Series([date(2013, 1, 1), None], dtype=object)),
        (pa.array(MOMENTS, pa.timestamp("us")), pd.Series(MOMENTS, dtype="datetime64[us]")),
        (pa.array(ZONED, pa.timestamp("us", "Europe/Berlin")), pd.Series(ZONED, dtype="datetime64[us, Europe/Berlin]")),
    ],
    ids=str,
)
def test_natural_dtypes_of_outputs(array: Any, expected: pd.Series) -> None:
    """Outputs are of NumPy dtypes, and of the nullable ones where a value is missing."""
    written = tables.write(pd.DataFrame(index=expected.index), pa.record_batch({"y": array}))
    assert_frame_equal(written, pd.DataFrame({"y": expected}), check_exact=True)


def test_tensors_of_outputs() -> None:
    """A tensor is one NumPy array a row, `None` where it is missing."""
    array = pa.array([[[1.0, 2.0]], None, [[3.0, 4.0]]], pa.list_(pa.list_(pa.float32(), 2), 1)).slice(1)
    written = tables.write(pd.DataFrame(index=[0, 1]), pa.record_batch({"y": array}))["y"]
    assert written[0] is None
    assert written[1].dtype == "float32"
    assert written[1].tolist() == [[3.0, 4.0]]


def test_errors_of_objects_are_counted_and_the_first_built() -> None:
    """A frame of a hundred thousand wrong objects costs as many errors as are asked for, in the order of its rows."""
    frame = pd.DataFrame({"x": [1.5, "a", None] * 100, "n": ["b", 2, "c"] * 100}, dtype=object)
    fields = (Field("x", "float64"), Field("n", "int64", nullable=True))
    batch, errors = tables.read(frame, fields, "forbid", 5)
    assert [(error.row, error.field, error.code) for error in errors] == [
        (0, "n", "type"),
        (1, "x", "type"),
        (2, "x", "missing"),
        (2, "n", "type"),
        (3, "n", "type"),
    ]
    assert (errors.total, errors.rows) == (400, 300)
    assert [batch.column(index).null_count for index in range(2)] == [200, 200]


NOT_FLOATS = [
    Field("x", "string", nullable=True),
    Field("x", "string", nullable=True, categories=("a", "b")),
    Field("x", "bool", nullable=True),
    Field("x", "date", nullable=True),
    Field("x", "timestamp", nullable=True, zone="UTC"),
    Field("x", "binary", nullable=True),
]


@pytest.mark.parametrize("make", [lambda value: pd.DataFrame({"x": [value]}), lambda value: np.array([[value]])])
@pytest.mark.parametrize("field", NOT_FLOATS, ids=lambda field: field.expected)
def test_a_column_without_a_value_is_one_of_floats(make: Any, field: Field) -> None:
    """`read_csv` makes floats of a column that is empty in every row: its NaN is missing, whatever the field is."""
    batch, errors = tables.read(make(np.nan), (field,))
    assert (batch.to_pydict(), errors) == ({"x": [None]}, [])
    _, errors = tables.read(make(np.nan), (replace(field, nullable=False),))
    assert [error.field for error in errors] == ["x"]
    _, errors = tables.read(make(0.5), (field,))
    assert [error.code for error in errors] == ["type"]


@pytest.mark.parametrize("make", [lambda value: pd.DataFrame({"x": [value]}), lambda value: np.array([[value]])])
def test_nan_among_floats_is_missing_in_a_nullable_field_of_integers(make: Any) -> None:
    """A column of floats is how integers with a gap come; a field that may not be missing refuses NaN."""
    batch, errors = tables.read(make(np.nan), (Field("x", "int64", nullable=True),))
    assert (batch.to_pydict(), errors) == ({"x": [None]}, [])
