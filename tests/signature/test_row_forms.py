from __future__ import annotations

import sqlite3
from collections import namedtuple
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
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
}


@pytest.mark.parametrize("form", ROWS)
def test_one_row_in_other_forms(form: str) -> None:
    """A row of pandas, a named tuple, a dataclass and a row of SQLite have the answer of the dict that they hold."""
    predictor = make_predictor()
    assert predictor.predict_one(ROWS[form]) == predictor.predict_one({"x": 1.5, "n": 2, "word": "a"})


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


def test_a_row_of_another_kind_lacks_and_has_keys_as_a_dict_does() -> None:
    """Unknown and missing names of a named tuple are errors of their fields."""
    Other = namedtuple("Other", ["n", "z"])  # noqa: PYI024 - it is this kind that is tried
    with pytest.raises(InputError) as raised:
        make_predictor().predict_one(Other(1, 2))
    assert [(error.field, error.code) for error in raised.value.errors] == [("x", "missing"), ("z", "unknown")]
