from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fourfold.errors import InputError, PackError
from fourfold.runtimes.sample import MAX_SAMPLE_ROWS, column_names, frame_to_array, read_sample, select_columns
from fourfold.signature import Field

FRAME = pd.DataFrame({"b": [1, 2], "a": [0.5, None], "c": [3, 4]})
FRAMES = [FRAME, pl.from_pandas(FRAME), pa.table(pl.from_pandas(FRAME)), pa.RecordBatch.from_pandas(FRAME)]


@pytest.mark.parametrize("data", FRAMES, ids=lambda data: type(data).__name__)
def test_select_puts_columns_in_order(data: Any) -> None:
    """A frame of any kind gives the columns asked for in their order, and says which it lacks."""
    assert column_names(select_columns(data, ["a", "b"])) == ["a", "b"]
    assert select_columns(data, ["b", "a", "c"]) is data
    with pytest.raises(PackError, match=r"lacks columns.*'x', 'y'"):
        select_columns(data, ["a", "x", "y"])


@pytest.mark.parametrize(
    "data", [np.ones((2, 3)), [{"a": 1}], None, pd.Series([1])], ids=lambda data: type(data).__name__
)
def test_select_needs_a_frame(data: Any) -> None:
    """What has no columns by name cannot be put in order."""
    with pytest.raises(PackError, match=r"trained on a frame with the columns \['a'\]"):
        select_columns(data, ["a"])


def test_a_misspelt_column_is_named() -> None:
    """A column that is lacking is told with the one that may be meant, and never with one that the model takes."""
    frame = pd.DataFrame({"area": [1.0], "Rooms": [2], "sites": [3]})
    with pytest.raises(PackError, match=r"'rooms', did you mean 'Rooms'\?, 'garden'$"):
        select_columns(frame, ["area", "rooms", "garden"])
    with pytest.raises(PackError, match=r"trained with: 'site'$"):
        select_columns(frame[["area", "sites"]], ["area", "sites", "site"])


@pytest.mark.parametrize("path", ["rows.parquet", Path("rows.parquet")])
def test_a_path_is_no_frame(path: str | Path) -> None:
    """A path is told to be read first."""
    with pytest.raises(PackError, match="read the file first"):
        select_columns(path, ["a"])


@pytest.mark.parametrize("data", FRAMES, ids=lambda data: type(data).__name__)
def test_as_array_is_in_row_order(data: Any) -> None:
    """A frame of any kind as an array is C-ordered and of one dtype."""
    array = frame_to_array(select_columns(data, ["b", "c"]))
    assert (array.flags.c_contiguous, array.dtype, array.tolist()) == (True, np.dtype("int64"), [[1, 3], [2, 4]])


def test_fields_are_inferred_named_or_given() -> None:
    """Fields come from the container, with names from elsewhere for an array, or from the caller."""
    assert [field.name for field in read_sample(FRAME).fields] == ["b", "a", "c"]
    assert [field.name for field in read_sample(np.ones((2, 2)), None, ["p", "q"]).fields] == ["p", "q"]
    given = (Field("c", "int8"), Field("a", "float32", nullable=True), Field("b", "int64"))
    with pytest.raises(PackError, match="expected inputs for the columns b, a, c; got c, a"):
        read_sample(FRAME, given[:2])
    assert [
        field.name for field in read_sample(FRAME, (*given[:1], Field("a", "float64", nullable=True), given[2])).fields
    ] == [
        "b",
        "a",
        "c",
    ]
    assert read_sample(np.ones((2, 1)), (Field("p", "float64"),), ["ignored"]).fields == (Field("p", "float64"),)


def test_a_sample_that_its_own_fields_refuse() -> None:
    """A sample that does not fit fields given by hand is an input error that names its rows."""
    fields = (Field("b", "int64"), Field("a", "float64"), Field("c", "int64", categories=(3,)))
    with pytest.raises(InputError, match="row 1, field 'c'"):
        read_sample(FRAME.fillna(0.0), fields).to_batch()


def test_a_sample_is_rebuilt() -> None:
    """What an engine builds for the sample's rows is the sample."""
    pd.testing.assert_frame_equal(read_sample(FRAME).rebuild(), FRAME)
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert read_sample(rows).rebuild() == rows


def test_long_samples_are_thinned() -> None:
    """Of many rows, rows spread over all of them stand for the others."""
    sample = read_sample(np.arange(10 * MAX_SAMPLE_ROWS, dtype=float).reshape(-1, 1))
    assert (sample.count, len(sample.data)) == (MAX_SAMPLE_ROWS, MAX_SAMPLE_ROWS)
    assert sample.data[:3, 0].tolist() == [0.0, 10.0, 20.0]
