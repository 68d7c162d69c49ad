from __future__ import annotations

import sqlite3
from collections import namedtuple
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import attrs
import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

from fourfold.errors import InputError
from fourfold.signature.row_forms import as_mapping
from tests.support import SIGNATURE, make_predictor

FIELDS = SIGNATURE.inputs


class Flight(NamedTuple):
    x: float
    n: int | None
    word: str


@dataclass
class Event:
    x: float
    n: int | None
    word: str


@attrs.define
class Attributes:
    x: float
    n: int | None
    word: str


class Request(pydantic.BaseModel):
    x: float
    count: int | None = pydantic.Field(alias="n")
    model_config = pydantic.ConfigDict(extra="allow")


class Message(msgspec.Struct, rename={"text": "word"}):
    x: float
    n: int | None
    text: str


class Queried:
    """Stand for a row of SQLAlchemy."""

    _mapping = MappingProxyType({"x": 1.5, "n": 2, "word": "a"})


class Fetched:
    """Stand for a row of asyncpg, which has keys but is no mapping."""

    def keys(self) -> list[str]:
        return ["x", "n", "word"]

    def __getitem__(self, name: str) -> Any:
        return {"x": 1.5, "n": 2, "word": "a"}[name]


class SparkRow(tuple[Any, ...]):
    """Stand for a row of Spark."""

    __slots__ = ()
    __fields__ = ("x", "n", "word")


RECORDS = np.array([(1.5, 2, "a")], dtype=[("x", "f8"), ("n", "i4"), ("word", "U3")])
FRAME = pd.DataFrame({"x": [1.5, 2.5], "n": [2.0, None], "word": ["a", None]})
LOOSE = namedtuple("LOOSE", ["x", "n", "word"])  # noqa: PYI024 - it is this kind that is tried


def sql_row() -> sqlite3.Row:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    row: sqlite3.Row = connection.execute("select 1.5 as x, 2 as n, 'a' as word").fetchone()
    connection.close()
    return row


ROWS: dict[str, Any] = {
    "Series": FRAME.iloc[0],
    "iterrows": next(FRAME.iterrows())[1],
    "itertuples": next(FRAME.itertuples()),
    "itertuples without the index": next(FRAME.itertuples(index=False)),
    "itertuples without a name": Flight(1.5, 2, "a"),
    "namedtuple": LOOSE(1.5, 2, "a"),
    "dataclass": Event(1.5, 2, "a"),
    "sqlite3": sql_row(),
    "attrs": Attributes(1.5, 2, "a"),
    "pydantic": Request.model_validate({"x": 1.5, "n": 2, "word": "a"}),
    "msgspec": Message(1.5, 2, "a"),
    "NumPy's record": RECORDS[0],
    "NumPy's record array": RECORDS.view(np.recarray)[0],
    "SQLAlchemy": Queried(),
    "asyncpg": Fetched(),
    "Spark": SparkRow((1.5, 2, "a")),
}


@pytest.mark.parametrize("form", ROWS)
def test_one_row_in_other_forms(form: str) -> None:
    """What holds a row has the answer of the dict that it holds, alone and in a list."""
    predictor = make_predictor()
    expected = predictor.predict_one({"x": 1.5, "n": 2, "word": "a"})
    assert predictor.predict_one(ROWS[form]) == expected
    assert predictor.predict([ROWS[form], {"x": 1.5, "n": 2, "word": "a"}]) == [expected, expected]
    assert predictor.answers([ROWS[form]]) == [expected]


def test_nan_in_a_series_is_missing_where_the_field_holds_no_floats() -> None:
    """A row of several dtypes says NaN of whatever is missing; in a field of floats NaN is a value."""
    series = pd.Series({"x": float("nan"), "n": float("nan"), "word": float("nan")})
    row = as_mapping(series, FIELDS)
    assert isinstance(row, dict)
    assert row["x"] != row["x"]
    assert (row["n"], row["word"]) == (None, None)
    assert make_predictor().predict_one(FRAME.iloc[1]) == {"y": 5.0, "word": None}


def test_labels_that_are_integers_are_names() -> None:
    """The labels of a frame that was made of an array are the names of its fields."""
    assert as_mapping(pd.DataFrame([[1.5, 2.5]]).iloc[0], FIELDS) == {"0": 1.5, "1": 2.5}


@pytest.mark.parametrize("row", [(1.5, 2, "a"), [1.5, 2, "a"], "x", None, 1.5, Event, pd.DataFrame({"x": [1.5]})])
def test_what_is_no_row_stays_an_error(row: Any) -> None:
    """Values without names are no row: the error shows what came."""
    with pytest.raises(InputError, match="row 0: expected an object with a key for each field"):
        make_predictor().predict_one(row)


def test_a_table_is_no_row() -> None:
    """The error says what takes a table, and how one row of it is taken."""
    table = pd.DataFrame({"x": [1.5]})
    for rows in (table, pl.from_pandas(table), pa.table({"x": [1.5]})):
        with pytest.raises(InputError, match=r"(Table|DataFrame): predict takes it; one row of it is frame\.iloc"):
            make_predictor().predict_one(rows)


def test_an_array_is_no_row() -> None:
    """The error says which arrays are tables."""
    with pytest.raises(InputError, match=r"an array of shape \(2,\): predict takes one of shape \(rows, fields\)"):
        make_predictor().predict_one(np.array([1.5, 2.0]))


def test_nan_in_a_text_says_what_is_missing() -> None:
    """`to_dict` of a frame gives NaN for a missing text."""
    with pytest.raises(InputError, match=r"'word'.*NaN, which is no text \(missing is null: None or pandas.NA\)"):
        make_predictor().predict_one({"x": 1.5, "n": 2, "word": float("nan")})


def test_a_row_of_another_kind_lacks_and_has_keys_as_a_dict_does() -> None:
    """Unknown and missing names of a named tuple are errors of their fields."""
    Other = namedtuple("Other", ["n", "z"])  # noqa: PYI024 - it is this kind that is tried
    with pytest.raises(InputError) as raised:
        make_predictor().predict_one(Other(1, 2))
    assert [(error.field, error.code) for error in raised.value.errors] == [("x", "missing"), ("z", "unknown")]
