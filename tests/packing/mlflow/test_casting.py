"""Rows agree with an MLflow signature where no value changes, and otherwise an error names the column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fourfold.errors import PackError
from fourfold.packing.mlflow.casting import cast_rows
from fourfold.packing.mlflow.signature import Column, MlflowSignature

TYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "string",
    "binary": "binary",
    "datetime": "timestamp",
}


def signature(mlflow_type: str, *, required: bool = True) -> MlflowSignature:
    """A signature of one column `x`."""
    return MlflowSignature((Column("x", TYPES[mlflow_type], mlflow_type, required),))


def agreed(mlflow_type: str, values: Any, *, required: bool = True) -> pd.Series:
    """The column as it is packed."""
    rows = cast_rows(signature(mlflow_type, required=required), pd.DataFrame({"x": values, "other": 1})).rows
    assert list(rows) == ["x"]
    return rows["x"]


@pytest.mark.parametrize(
    ("mlflow_type", "values", "dtype"),
    [
        ("boolean", [True, False], "bool"),
        ("integer", [1, 2], "int32"),
        ("integer", pd.Series([1, 2], dtype="int8"), "int8"),
        ("integer", pd.Series([1, 2], dtype="uint16"), "uint16"),
        ("long", [1, 2], "int64"),
        ("long", pd.Series([1, 2], dtype="int32"), "int64"),
        ("long", pd.Series([1, 2], dtype="uint32"), "uint32"),
        ("long", [1.0, 2.0], "int64"),
        ("long", pd.Series([1, None], dtype="Int64"), "Int64"),
        ("float", pd.Series([0.5, 1.5], dtype="float32"), "float32"),
        ("float", [0.1, 2.0], "float32"),
        ("float", [1, 2], "float32"),
        ("double", [1, 2], "float64"),
        ("double", pd.Series([1, None], dtype="Int64"), "float64"),
        ("double", pd.Series([0.5, 1.5], dtype="float32"), "float64"),
        ("double", [1.0, np.nan], "float64"),
        ("string", ["a", "b"], "str"),
        ("string", pd.Series(["a", "b"], dtype="category"), "category"),
        ("string", pd.Series(["a", None], dtype=object), "object"),
        ("binary", [b"a", b"b"], "object"),
        ("datetime", pd.to_datetime(["2020-01-01", "2020-01-02"]), "datetime64[us]"),
        ("datetime", ["2020-01-01T00:00:00", "2020-01-02 10:00:00"], "datetime64[ns]"),
    ],
)
def test_columns_of_the_signatures_type(mlflow_type: str, values: Any, dtype: str) -> None:
    """A column that has the type stays what it is; one of another width becomes it, where each value stays the same."""
    series = agreed(mlflow_type, values)
    assert str(series.dtype) == dtype
    before = pd.DataFrame({"x": values})["x"]
    if mlflow_type == "datetime":
        assert [str(value) for value in series] == [str(pd.Timestamp(value)) for value in before]
    elif mlflow_type == "float":
        assert series.tolist() == np.asarray(before, dtype=np.float32).tolist()
    else:
        missing = before.isna()
        assert series.isna().tolist() == missing.tolist()
        assert series[~missing].tolist() == before[~missing].tolist()


def test_whole_numbers_with_gaps_are_nullable_integers() -> None:
    """Integers with a gap come as floats from a file; where the signature allows a gap, they are integers again."""
    series = agreed("long", [1.0, np.nan, 3.0], required=False)
    assert str(series.dtype) == "Int64"
    assert series.tolist()[::2] == [1, 3]
    with pytest.raises(PackError, match=r"row 1 has no value in the column 'x'.*log it as double"):
        agreed("long", [1.0, np.nan, 3.0])


@pytest.mark.parametrize(
    ("mlflow_type", "values", "message"),
    [
        (
            "boolean",
            [0, 1],
            r"expected bool for the column 'x' of the model's signature \(boolean\); the rows have int64",
        ),
        ("double", [True, False], "expected float64.*the rows have bool"),
        ("double", ["1", "2"], "expected float64.*the rows have string"),
        ("string", [1, 2], "expected string.*the rows have int64"),
        ("integer", [1, 2**31], r"expected int32 for the column 'x'.*row 1 has 2147483648"),
        ("integer", [1.5, 2.0], r"expected int32.*row 0 has 1\.5"),
        ("long", pd.Series([1, 2**63], dtype="uint64"), "expected int64.*row 1 has 9223372036854775808"),
        ("double", [1, 2**53 + 1], "expected float64.*row 1 has 9007199254740993"),
        ("float", [1.0, 1e300], r"expected float32.*row 1 has 1e\+300"),
        ("long", [1.0, np.inf], "expected int64.*row 1 has inf"),
        ("datetime", ["2020-01-01T00:00:00", "soon"], "timestamp.*row 1 has 'soon'"),
        ("datetime", ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"], "timestamp without an offset.*row 0"),
        ("datetime", [1, 2], "expected timestamp.*the rows have int64"),
        ("binary", ["YQ==", "Yg=="], "expected binary.*the rows have string"),
        ("string", [None, None], "no field can be inferred for the column 'x'"),
    ],
)
def test_columns_that_do_not_agree_are_named(mlflow_type: str, values: Any, message: str) -> None:
    """The error names the column, the signature's type, what the rows have, and the first row where one is at fault."""
    with pytest.raises(PackError, match=message):
        agreed(mlflow_type, values)


def test_a_column_that_is_not_there_is_named() -> None:
    """Rows without a column of the signature say which it is and what they have."""
    wanted = MlflowSignature((Column("a", "int64", "long"), Column("b", "float64", "double", required=False)))
    for rows in (pd.DataFrame({"a": [1]}), pa.table({"a": [1]}), pl.DataFrame({"a": [1]}), [{"a": 1}]):
        with pytest.raises(PackError, match=r"lack the column 'b' of the model's signature \(double, optional\)"):
            cast_rows(wanted, rows)


def test_types_that_no_field_holds_are_named() -> None:
    """An object, a map and anything are refused with what to do."""
    with pytest.raises(PackError, match=r"no field holds the column 'x' .*\(object\).*columns of their own"):
        cast_rows(MlflowSignature((Column("x", "", "object"),)), pd.DataFrame({"x": [{"a": 1}]}))


def test_the_signatures_order_and_what_the_model_takes() -> None:
    """Columns come in the signature's order; one that the model does not take is left out, with a note."""
    wanted = MlflowSignature(
        (Column("b c", "int64", "long"), Column("a", "int64", "long"), Column("d", "int64", "long"))
    )
    frame = pd.DataFrame({"a": [1], "b c": [2], "d": [3], "e": [4]})
    assert list(cast_rows(wanted, frame).rows) == ["b c", "a", "d"]
    found = cast_rows(wanted, frame, ("a", "b_c"))
    assert list(found.rows) == ["b c", "a"]
    assert found.notes == ("the model takes no 'd', which its signature has",)


def test_optional_columns_may_be_null() -> None:
    """What the signature calls optional may be missing a value, where the column can say so; a note says where not."""
    columns = (Column("f", "float64", "double", required=False), Column("i", "int64", "long", required=False))
    found = cast_rows(MlflowSignature(columns), pd.DataFrame({"f": [1.0, 2.0], "i": [1, 2]}))
    assert found.inputs is not None
    assert [(field.name, field.nullable) for field in found.inputs] == [("f", True), ("i", False)]
    assert "'i' optional; a column of int64" in found.notes[0]
    found = cast_rows(MlflowSignature((Column("f", "float64", "double"),)), pd.DataFrame({"f": [1.0, np.nan]}))
    assert found.inputs is None
    assert "the rows miss values of 'f', which the signature calls required" in found.notes[0]


def test_other_containers_are_checked_and_not_changed() -> None:
    """Rows, Arrow and polars tables are held against the signature; only a whole number in rows becomes a float."""
    rows = cast_rows(signature("double"), [{"x": 1}, {"x": 2}]).rows
    assert [type(row["x"]) for row in rows] == [float, float]
    for table in (pa.table({"x": [1, 2]}), pl.DataFrame({"x": [1, 2]})):
        assert cast_rows(signature("long"), table).rows is not None
        with pytest.raises(PackError, match=r"expected float64.*as the model was trained with them, in Parquet"):
            cast_rows(signature("double"), table)


def test_arrays() -> None:
    """An array has the signature's shape and dtype, or becomes it where each value stays the same."""
    wanted = MlflowSignature((Column("", "float64", "tensor of float64, shape [-1, 2]", shape=(2,)),))
    assert cast_rows(wanted, np.array([[1, 2], [3, 4]])).rows.dtype == np.float64
    nan = cast_rows(wanted, np.array([[1, np.nan]], dtype=np.float32)).rows
    assert nan.dtype == np.float64
    assert cast_rows(wanted, pd.DataFrame({"a": [1], "b": [2]})).rows.dtypes.tolist() == [np.float64, np.float64]
    for rows, message in (
        (np.array([[1.0]]), r"an array of shape \[1, 1\]"),
        (np.array([[1, 2**53 + 1]]), "which is none of the column without a name"),
        (pd.DataFrame({"a": [1]}), "expected rows of 2 columns"),
        (pd.DataFrame({"a": ["x"], "b": [1]}), "expected float64 for the column 'a'"),
    ):
        with pytest.raises(PackError, match=message):
            cast_rows(wanted, rows)
    single = MlflowSignature((Column("", "float32", "tensor of float32, shape [-1, 2]", shape=(2,)),))
    assert cast_rows(single, np.array([[0.1, 2.0]])).rows.dtype == np.float32
    whole = MlflowSignature((Column("", "int64", "tensor of int64, shape [-1, 1]", shape=(1,)),))
    for value in (0.5, np.nan, np.inf, 2.0**63):
        with pytest.raises(PackError, match="none of the column"):
            cast_rows(whole, np.array([[value]]))


def test_columns_without_names_are_told_by_their_places() -> None:
    """A signature without names takes as many columns, or texts alone."""
    wanted = MlflowSignature((Column("", "string", "string"),))
    assert cast_rows(wanted, ["a", "b"]).rows == ["a", "b"]
    assert list(cast_rows(wanted, pd.DataFrame({"text": ["a"]})).rows) == ["text"]
    with pytest.raises(PackError, match="expected rows of 1 columns"):
        cast_rows(wanted, pd.DataFrame({"a": ["x"], "b": ["y"]}))
    with pytest.raises(PackError, match="expected rows with the columns of the model's signature"):
        cast_rows(signature("string"), [1, 2])


def test_tensors_in_columns() -> None:
    """A column of lists is a tensor of the signature's shape, of numbers that are the same in its dtype."""
    frame = pd.DataFrame({"x": [np.array([1.0, 2.0]), np.array([3.0, 4.0])]})
    for dtype, shape in (("float64", None), ("float64", (2,)), ("float32", (2,)), ("int64", None)):
        assert cast_rows(MlflowSignature((Column("x", dtype, "tensor", shape=shape),)), frame).rows is not None
    rows = cast_rows(
        MlflowSignature((Column("x", "float32", "tensor", shape=(2,)),)), [{"x": [1, 2]}, {"x": [3, 4]}]
    ).rows
    assert rows == [{"x": [1.0, 2.0]}, {"x": [3.0, 4.0]}]
    assert type(rows[0]["x"][0]) is float
    for column, values, message in (
        (Column("x", "float64", "tensor", shape=(3,)), frame.x, "expected a tensor for the column 'x'"),
        (Column("x", "bool", "tensor", shape=(2,)), frame.x, "expected a tensor for the column 'x'"),
        (Column("x", "float64", "array of double", shape=None), [1.0], "the rows have float64"),
        (Column("x", "int64", "tensor", shape=(2,)), [[1.0, 2.5]], r"row 0 has"),
        (Column("x", "float32", "tensor", shape=(2,)), [[1.0, 1e300]], r"row 0 has"),
    ):
        with pytest.raises(PackError, match=message):
            cast_rows(MlflowSignature((column,)), pd.DataFrame({"x": values}))
