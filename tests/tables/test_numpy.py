from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold import tables
from fourfold.errors import EngineError, InputError, SignatureError
from fourfold.signature import Field

NAN = float("nan")


def objects(rows: list[list[Any]]) -> np.ndarray:
    """An object array of shape `(rows, columns)`, whatever its elements are."""
    out = np.empty((len(rows), len(rows[0])), dtype=object)
    for row, values in enumerate(rows):
        for place, value in enumerate(values):
            out[row, place] = value
    return out


def assert_exact(data: np.ndarray) -> None:
    """That the array comes out of its form, after a way through JSON, and its canonical columns, as it was."""
    form = json.loads(json.dumps(tables.form(data), allow_nan=False))
    fields = tables.infer(data)
    build = tables.builder(form, fields)
    for part in (data, data[-1:]):
        batch, errors = tables.read(part, fields)
        assert errors == []
        built = build(batch)
        assert built.dtype == (data.dtype if data.dtype.kind != "U" else built.dtype)
        assert built.dtype.kind == data.dtype.kind
        # By `repr`, which tells -0.0 from 0.0 and None from NaN, and holds every bit of a float but NaN's payload.
        assert list(map(repr, built.ravel().tolist())) == list(map(repr, part.ravel().tolist()))
        assert built.flags.writeable
    if data.size > len(data) > 1:
        whole = build(tables.read(data, fields)[0])
        assert (whole.flags.c_contiguous, whole.flags.f_contiguous) == (
            data.flags.c_contiguous,
            data.flags.f_contiguous,
        )


EXACT = {
    "bool": np.array([[True, False], [False, False]]),
    **{
        name: np.array([[0, np.iinfo(name).max], [1, np.iinfo(name).min]], name)
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    "float32": np.array([[0.1, -0.0], [np.nan, np.inf]], "float32"),
    "float64": np.array([[0.1, -0.0], [np.nan, 5e-324]]),
    "big-endian": np.array([[0.1, 2.0], [3.0, 4.0]], ">f8"),
    "one column": np.array([[1.5], [2.5]]),
    **{
        f"datetime64[{unit}]": np.array([["2013-01-01", "1999-12-31"], ["2013-01-02", "NaT"]], f"M8[{unit}]")
        for unit in ("s", "ms", "us", "ns", "D")
    },
    "text": np.array([["a", "☃"], ["", "long enough"]]),
    "objects": objects([["a", 1, None], ["b", 2**40, 1.5], [None, None, NAN]]),
    "objects, NaN missing": objects([["a", NAN, date(2013, 1, 1)], [NAN, True, NAN]]),
    "objects of tensors": objects([[[1, 2], (1.5,)], [[3, 4], None]]),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("order", ["C", "F"])
def test_each_dtype_is_built_again_exactly(name: str, order: Any) -> None:
    """An array comes out of its form and its canonical columns with its dtype, values and memory order."""
    assert_exact(np.array(EXACT[name], order=order))


def test_other_layouts() -> None:
    """An array that is neither C- nor Fortran-contiguous is built in C order, with the same values."""
    data = np.arange(24.0).reshape(4, 6)[:, ::2]
    assert tables.form(data)["order"] == "C"
    built = tables.build(tables.form(data), tables.infer(data), tables.read(data, tables.infer(data))[0])
    assert built.tolist() == data.tolist()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("int8", (Field("x0", "int8"), Field("x1", "int8"))),
        ("float64", (Field("x0", "float64", nullable=True), Field("x1", "float64"))),
        ("big-endian", (Field("x0", "float64"), Field("x1", "float64"))),
        ("datetime64[D]", (Field("x0", "date"), Field("x1", "date", nullable=True))),
        ("datetime64[ns]", (Field("x0", "timestamp"), Field("x1", "timestamp", nullable=True))),
        ("text", (Field("x0", "string"), Field("x1", "string"))),
        ("objects", (Field("x0", "string", True), Field("x1", "int64", True), Field("x2", "float64", True))),
        ("objects of tensors", (Field("x0", "int64", shape=(2,)), Field("x1", "float64", True, (1,)))),
    ],
)
def test_inferred_fields(name: str, fields: tuple[Field, ...]) -> None:
    """Columns are called x0, x1, …; one is nullable where it has a NaN, a NaT or a missing object."""
    assert tables.infer(EXACT[name]) == fields


def test_text_may_be_longer_than_in_training() -> None:
    """The width of text is no property of the model: longer values are not cut."""
    data = np.array([["a"], ["b"]])
    batch, _ = tables.read(np.array([["longer"]]), tables.infer(data))
    assert tables.build(tables.form(data), tables.infer(data), batch).tolist() == [["longer"]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros(3), ["(3,)", "reshape(-1, 1)"]),
        (np.zeros((2, 2, 2)), ["(2, 2, 2)"]),
        (np.zeros((0, 2)), ["(0, 2)"]),
        (np.zeros((2, 0)), ["(2, 0)"]),
        (np.zeros(2, [("a", "i4")]), ["structured"]),
        (np.ma.masked_array([[1.0]]), ["masked", "filled"]),
        (np.zeros((1, 1), "complex128"), ["column 0", "complex128"]),
        (np.zeros((1, 1), "float16"), ["float16", "float32"]),
        (np.zeros((1, 1), "m8[s]"), ["timedelta64[s]", "seconds"]),
        (np.zeros((1, 1), "M8[h]"), ["datetime64[h]"]),
        (np.zeros((1, 1), "S3"), ["|S3"]),
        (np.ones((1, 1), "M8[ns]"), ["column 0", "row 0", "finer"]),
        (objects([[1], ["a"]]), ["column 0", "int (row 0)", "str (row 1)"]),
        (objects([["a"], [pd.NA]]), ["column 0", "NA"]),
    ],
)
def test_what_no_signature_can_be_made_of(data: np.ndarray, words: list[str]) -> None:
    """An error names the column, its dtype or shape, and what to do."""
    with pytest.raises(SignatureError) as caught:
        tables.infer(data)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("int8", (Field("a", "int8"),), "2 columns"),
        ("int8", (Field("a", "int8"), Field("b", "int8", nullable=True)), "nullable"),
        ("int8", (Field("a", "int8"), Field("b", "float32")), "float32"),
        ("text", (Field("a", "string"), Field("b", "string", nullable=True)), "never missing"),
        ("text", (Field("a", "string"), Field("b", "int8")), "never missing"),
        ("objects of tensors", (Field("a", "int64", shape=(2,)), Field("b", "float32", shape=(1,))), "tuple objects"),
    ],
)
def test_a_field_must_fit_its_column(name: str, fields: tuple[Field, ...], words: str) -> None:
    """Inputs declared by hand that the trained dtype cannot hold are refused."""
    with pytest.raises(SignatureError, match=words):
        tables.builder(tables.form(EXACT[name]), fields)


def test_a_timestamp_beyond_the_unit_of_training() -> None:
    """What the trained dtype cannot hold is an engine's error."""
    data = np.array([["2013-01-01"]], "M8[s]")
    batch, _ = tables.read(np.array([["2013-01-01T00:00:00.5"]], "M8[ms]"), tables.infer(data))
    with pytest.raises(EngineError, match="does not fit"):
        tables.build(tables.form(data), tables.infer(data), batch)


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (np.zeros((10, 4)), (Field("a", "float64"), Field("b", "float64"))),
        (np.zeros(2), (Field("a", "float64"), Field("b", "float64"))),
        (np.zeros((10, 3)), (Field("a", "float64", shape=(4,)),)),
        (np.ones((1, 1, 1)), (Field("a", "float64"),)),
    ],
)
def test_an_array_of_another_shape(data: np.ndarray, fields: tuple[Field, ...]) -> None:
    """Columns go by their position, so their number must be right; the error has both shapes."""
    with pytest.raises(InputError) as caught:
        tables.read(data, fields)
    (error,) = caught.value.errors
    assert (error.code, error.expected, error.got) == (
        "shape",
        f"an array of shape (rows, {len(fields)})",
        f"one of shape {data.shape}",
    )


def test_a_masked_array_is_refused() -> None:
    """What a mask hides must not be answered for."""
    with pytest.raises(InputError, match="masked"):
        tables.read(np.ma.masked_array([[1.0]], mask=[[True]]), (Field("a", "float64"),))


@pytest.mark.parametrize(
    ("value", "dtype", "field", "expected"),
    [
        (3.0, "float32", Field("a", "int8"), 3),
        (NAN, "float64", Field("a", "float32"), NAN),
        (NAN, object, Field("a", "float32"), NAN),
        (NAN, object, Field("a", "string", nullable=True), None),
        (None, object, Field("a", "string", nullable=True), None),
        ("a", object, Field("a", "string"), "a"),
        ("NaN", None, Field("a", "float64"), NAN),
        (True, None, Field("a", "bool"), True),
        (1.5, "float16", Field("a", "float64"), 1.5),
        ("2013-01-01", "M8[D]", Field("a", "date"), date(2013, 1, 1)),
        ("2013-01-01T01:00+01:00", None, Field("a", "timestamp", zone="UTC"), datetime(2013, 1, 1, tzinfo=UTC)),
    ],
)
def test_values_of_another_dtype_that_fit(value: Any, dtype: Any, field: Field, expected: Any) -> None:
    """A caller's array need not have the dtype of training: the coercion table decides."""
    batch, errors = tables.read(np.array([[value]], dtype), (field,))
    assert errors == []
    assert repr(batch.column(0)[0].as_py()) == repr(expected) or batch.column(0)[0].as_py() == expected


@pytest.mark.parametrize(
    ("value", "dtype", "field", "code"),
    [
        (1.5, "float64", Field("a", "int8"), "precision"),
        (NAN, "float64", Field("a", "int8"), "range"),
        (1, "int64", Field("a", "string"), "type"),
        ("a", None, Field("a", "float64"), "type"),
        (1j, None, Field("a", "float64"), "type"),
        (None, object, Field("a", "string"), "missing"),
        (b"a", None, Field("a", "string"), "type"),
    ],
)
def test_values_that_do_not_fit(value: Any, dtype: Any, field: Field, code: str) -> None:
    """A value at fault is named by row, field and code."""
    _, errors = tables.read(np.array([[value]], dtype), (field,))
    assert [(error.row, error.field, error.code) for error in errors] == [(0, "a", code)]


@pytest.mark.parametrize("dtype", ["float32", "int8", object])
def test_an_array_of_tensors(dtype: Any) -> None:
    """Where the one field is a tensor, an array of shape `(rows, *shape)` holds one a row."""
    field = Field("image", "float32", shape=(2, 3))
    data = np.arange(12).reshape(2, 2, 3).astype(dtype)
    batch, errors = tables.read(data, (field,))
    assert (batch.column(0).to_pylist(), errors) == (data.tolist(), [])
    assert tables.read(np.zeros((4, 2), dtype), (Field("x", "float32", shape=(2,)),))[1] == []


def test_outputs() -> None:
    """One output is an array, several are a dict of them by name, and each can be written to."""
    like = np.zeros((2, 1))
    one = tables.write(like, pa.record_batch({"y": [1.5, 2.5]}))
    assert (one.dtype, one.tolist(), one.flags.writeable) == (np.dtype("float64"), [1.5, 2.5], True)
    several = tables.write(like, pa.record_batch({"y": [1.5, 2.5], "z": ["a", None]}))
    assert {name: array.tolist() for name, array in several.items()} == {"y": [1.5, 2.5], "z": ["a", None]}


@pytest.mark.parametrize(
    ("array", "dtype", "expected"),
    [
        (pa.array([1, 2], pa.int8()), "int8", [1, 2]),
        (pa.array([1, None], pa.int8()), "object", [1, None]),
        (pa.array([True, None]), "object", [True, None]),
        (pa.array([1.5, None], pa.float32()), "float32", [1.5, NAN]),
        (pa.array([b"a"]), "object", [b"a"]),
        (pa.array([date(2013, 1, 1), None]), "datetime64[D]", [date(2013, 1, 1), None]),
        (
            pa.array([datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
            "datetime64[us]",
            [datetime(2013, 1, 1)],
        ),
        (pa.array([[[1, 2]]], pa.list_(pa.list_(pa.int8(), 2), 1)), "int8", [[[1, 2]]]),
        (pa.array([], pa.list_(pa.int8(), 2)), "int8", []),
    ],
)
def test_natural_dtypes_of_outputs(array: Any, dtype: str, expected: list[Any]) -> None:
    """Outputs have the NumPy dtype that holds them; what NumPy has none for are objects."""
    written = tables.write(np.zeros((1, 1)), pa.record_batch({"y": array}))
    assert str(written.dtype) == dtype
    assert repr(written.tolist()) == repr(expected)


def test_missing_tensors_of_outputs() -> None:
    """Where a tensor is missing the outputs are objects: an array, or `None`."""
    array = pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2))
    written = tables.write(np.zeros((3, 1)), pa.record_batch({"y": array}))
    assert [None if each is None else each.tolist() for each in written] == [[1, 2], None, [3, 4]]


@pytest.mark.parametrize("order", ["C", "F"])
def test_length_and_take(order: Any) -> None:
    """Rows are taken by their indices, in the memory order of the array."""
    data = np.array(np.arange(12.0).reshape(4, 3), order=order)
    taken = tables.take(data, [2, 0])
    assert tables.length(data) == 4
    assert taken.tolist() == [[6.0, 7.0, 8.0], [0.0, 1.0, 2.0]]
    assert tables.form(taken) == tables.form(data)


@given(
    st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=1), st.sampled_from(["float32", "float64"])
)
def test_any_float(rows: list[tuple[float, float]], dtype: str) -> None:
    """Any floats come back."""
    assert_exact(np.array(rows, dtype))


def test_an_array_of_no_rows() -> None:
    """Its one dtype says nothing of columns that have another; the number of columns must be right."""
    fields = (Field("a", "float64"), Field("s", "string"))
    assert tables.read(np.empty((0, 2)), fields)[0].num_rows == 0
    with pytest.raises(InputError, match=r"an array of shape \(rows, 2\)"):
        tables.read(np.empty((0, 3)), fields)
