"""Make columns of every dtype, and assert that a frame is built again exactly."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.testing import assert_frame_equal

from fourfold import tables

BERLIN = ZoneInfo("Europe/Berlin")
NAN = float("nan")


def bits(values: np.ndarray) -> list[Any]:
    """The bits of a float array, every NaN as one: its payload is no part of a value."""
    return [None if np.isnan(value) else value.tobytes() for value in values]


def same_object(left: Any, right: Any) -> bool:
    """Whether two objects of a column are the same to a model: type, value, and which object it is that is missing."""
    if left is None or left is pd.NA or left is pd.NaT:
        return left is right
    if isinstance(left, float) and np.isnan(left):
        return type(right) is float and bool(np.isnan(right))
    if isinstance(left, np.ndarray):
        return isinstance(right, np.ndarray) and left.dtype == right.dtype and left.tolist() == right.tolist()
    if isinstance(left, datetime):
        same = left == right and left.tzname() == right.tzname() and left.utcoffset() == right.utcoffset()
        return type(left) is type(right) and same
    return type(left) is type(right) and repr(left) == repr(right)


def again(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, built from its form after a way through JSON, out of its own canonical columns."""
    form = json.loads(json.dumps(tables.form(frame), allow_nan=False))
    fields = tables.infer(frame)
    batch, errors = tables.read(frame, fields)
    assert errors == []
    built: pd.DataFrame = tables.build(form, fields, batch)
    return built


def assert_exact(frame: pd.DataFrame) -> None:
    """That the frame can be built again: labels, dtypes, values to the bit, and the very objects that are missing."""
    built = again(frame)
    assert_frame_equal(built, frame.reset_index(drop=True), check_exact=True, check_freq=False)
    assert type(built.columns) is type(frame.columns)
    assert type(built.index) is pd.RangeIndex
    for place in range(frame.shape[1]):
        left, right = frame.iloc[:, place], built.iloc[:, place]
        assert str(left.dtype) == str(right.dtype)
        if left.dtype == object:
            assert all(map(same_object, left, right))
        elif isinstance(left.dtype, pd.StringDtype):
            assert repr(left.dtype.storage) == repr(getattr(right.dtype, "storage", None))
        elif isinstance(left.dtype, np.dtype) and left.dtype.kind == "f":
            assert bits(left.to_numpy()) == bits(right.to_numpy())


def column(values: Any, dtype: Any = None) -> pd.DataFrame:
    """A frame of one column, `x`."""
    return pd.DataFrame({"x": pd.Series(values, dtype=dtype)})


MOMENTS = [datetime(2013, 1, 1, 12, 30, 15, 123456), datetime(1999, 12, 31), None]
ZONED = [datetime(2013, 10, 27, 2, 30, tzinfo=BERLIN, fold=1), datetime(2013, 7, 1, 5, tzinfo=BERLIN), None]

#: Every dtype that has a field, with and without missing values.
EXACT = {
    "bool": column([True, False], "bool"),
    **{name: column([0, np.iinfo(name).max, np.iinfo(name).min], name) for name in ("int8", "int16", "int32", "int64")},
    **{name: column([0, np.iinfo(name).max], name) for name in ("uint8", "uint16", "uint32", "uint64")},
    "float32": column([0.1, -0.0, np.inf, np.nan, 1e-45], "float32"),
    "float64": column([0.1, -0.0, -np.inf, np.nan, 5e-324], "float64"),
    "str": column(["a", "", "☃", None], "str"),
    "str of python": column(["a", None], pd.StringDtype("python", na_value=np.nan)),
    "string of python": column(["a", None], pd.StringDtype("python", na_value=pd.NA)),
    "string of pyarrow": column(["a", None], pd.StringDtype("pyarrow", na_value=pd.NA)),
    **{name: column([1, None, 3], name) for name in ("Int8", "Int64", "UInt8", "UInt64", "Float32", "Float64")},
    "Int32 without missing": column([1, 2], "Int32"),
    "UInt64 at its end": column([2**64 - 1, None], "UInt64"),
    "boolean": column([True, None, False], "boolean"),
    "Float64 with NaN": pd.DataFrame(
        {"x": pd.arrays.FloatingArray(np.array([1.5, NAN, 0.0]), np.array([0, 0, 1], bool))}
    ),
    "category": column(["b", "a", None, "b"], pd.CategoricalDtype(["c", "b", "a"])),
    "category in order": column(["b", "a"], pd.CategoricalDtype(["c", "b", "a"], ordered=True)),
    "category of objects": column(["b", None], pd.CategoricalDtype(pd.Index(["b", "a"], dtype=object))),
    "category of integers": column([3, 1, None], pd.CategoricalDtype([5, 3, 1])),
    "category of int8": column([3, 1], pd.CategoricalDtype(pd.Index([3, 1], dtype="int8"))),
    "category of floats": column([0.0, 2.5, None], pd.CategoricalDtype([2.5, 0.0, -1.0])),
    "category of booleans": column([True, None, False], pd.CategoricalDtype([True, False])),
    "category of Int64": column([3, None], pd.CategoricalDtype(pd.Index([3, 1], dtype="Int64"))),
    **{
        f"datetime64[{unit}]": column(pd.DatetimeIndex(["2013-01-01", "NaT"]).as_unit(unit))
        for unit in ("s", "ms", "us", "ns")
    },
    **{
        f"datetime64[{unit}, {zone}]": column(
            pd.DatetimeIndex(["2013-10-27T00:30", "NaT"]).as_unit(unit).tz_localize(zone)
        )
        for unit in ("s", "us", "ns")
        for zone in ("UTC", "Europe/Berlin", "Asia/Kathmandu")
    },
    "object of str": column(["a", "b"], object),
    "object of str, None": column(["a", None], object),
    "object of str, NaN": column(["a", np.nan], object),
    "object of str, NA": column(["a", pd.NA], object),
    "object of bool, None": column([True, None], object),
    "object of int, None": column([2**60, None, -1], object),
    "object of int, NaN": column([2**60, np.nan, -1], object),
    "object of uint64": column([2**64 - 1, pd.NA, 0], object),
    "object of float, NaN": column([1.5, np.nan, -0.0], object),
    "object of float, None": column([1.5, np.nan, None], object),
    "object of bytes": column([b"\x00\xff", None], object),
    "object of date": column([date(2013, 1, 1), date(1, 1, 1), None], object),
    "object of date, NaT": column([date(2013, 1, 1), pd.NaT], object),
    "object of datetime": column(MOMENTS, object),
    "object of datetime with a zone": column(ZONED, object),
    "object of Timestamp": column([pd.Timestamp("2013-01-01T01:02:03.000004"), pd.NaT], object),
    "object of Timestamp with a zone": column([pd.Timestamp("2013-01-01", tz="Europe/Berlin"), pd.NaT], object),
    "object of list": column([[1, 2, 3], None, [4, 5, 6]], object),
    "object of nested list": column([[[1.5, -0.0]], [[2.5, 3.5]]], object),
    "object of tuple": column([(True, False), (False, False)], object),
    "object of array": column([np.array([[1, 2]], "int16"), None, np.array([[3, 4]], "int16")], object),
    "object of bool array": column([np.array([True, False]), np.array([False, True])], object),
    "arrow int8": column([1, None], pd.ArrowDtype(pa.int8())),
    "arrow float": column(pd.arrays.ArrowExtensionArray(pa.array([1.5, NAN, None]))),
    "arrow string": column(["a", None], pd.ArrowDtype(pa.string())),
    "arrow date": column([date(2013, 1, 1), None], pd.ArrowDtype(pa.date32())),
    "arrow binary": column([b"a", None], pd.ArrowDtype(pa.large_binary())),
    "arrow timestamp": column(
        [datetime(2013, 1, 1, tzinfo=UTC), None], pd.ArrowDtype(pa.timestamp("ns", "Europe/Berlin"))
    ),
    "arrow list": column(pd.arrays.ArrowExtensionArray(pa.array([[1.5, 2.5], None], pa.list_(pa.float32(), 2)))),
    "arrow dictionary": column(pd.arrays.ArrowExtensionArray(pa.array(["a", "b"]).dictionary_encode())),
}
