"""The coercion of rows."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from fourfold.errors import MAX_ROW_ERRORS, RowErrors
from fourfold.signature import Field, Mismatch, RowCoercer
from fourfold.signature.bits import same_bits
from tests.coercion import CASES, IDS, Case


@pytest.mark.parametrize(("field", "case"), CASES, ids=IDS)
def test_the_table(field: Field, case: Case) -> None:
    """Every class of values becomes the value, or the error, of the coercion table."""
    rows, errors = RowCoercer([field])([{"x": case.python}])
    if case.error:
        assert [(error.row, error.field, error.code) for error in errors] == [(0, "x", case.error)]
        assert rows == [None]
    else:
        assert not errors
        assert rows[0] is not None
        assert same_bits(rows[0]["x"], case.expected)


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("int64", np.int32(3), 3),
        ("int64", np.float64(3.0), 3),
        ("float64", np.float32(0.1), 0.10000000149011612),
        ("bool", np.bool_(True), True),
        ("string", np.str_("a"), "a"),
        ("timestamp", np.datetime64("2024-01-01T00:00:00"), datetime(2024, 1, 1)),
        ("timestamp", pd.Timestamp("2024-01-01"), datetime(2024, 1, 1)),
    ],
)
def test_scalars_of_numpy_and_pandas_are_plain_values(dtype: str, value: Any, expected: Any) -> None:
    """What a data frame hands out one value at a time is the value itself."""
    coerced = RowCoercer([Field("x", dtype)]).value("x", value)
    assert same_bits(coerced, expected)


@pytest.mark.parametrize("value", [None, pd.NA, pd.NaT, np.datetime64("NaT")])
def test_every_way_to_say_nothing_is_missing(value: Any) -> None:
    """The missing values of pandas and NumPy are null, and an error where null is one."""
    assert RowCoercer([Field("x", "timestamp", nullable=True)]).value("x", value) is None
    with pytest.raises(Mismatch) as caught:
        RowCoercer([Field("x", "timestamp")]).value("x", value)
    assert caught.value.code == "missing"


def test_nanoseconds_of_pandas_are_not_dropped() -> None:
    """A pandas timestamp finer than a microsecond is an error, not a rounding."""
    with pytest.raises(Mismatch) as caught:
        RowCoercer([Field("x", "timestamp")]).value("x", pd.Timestamp(1))
    assert caught.value.code == "precision"


def test_an_absent_key_is_missing_and_an_unknown_one_an_error() -> None:
    """A row says nothing of a nullable field by leaving it out; a key that is no field is refused by name."""
    fields = [Field("a", "int64"), Field("b", "int64", nullable=True)]
    assert RowCoercer(fields)([{"a": 1}]) == ([{"a": 1, "b": None}], [])
    rows, errors = RowCoercer(fields)([{"b": 1}, {"a": 1, "c": 2}])
    assert rows == [None, None]
    assert [(error.row, error.field, error.code) for error in errors] == [(0, "a", "missing"), (1, "c", "unknown")]
    assert RowCoercer(fields, "ignore")([{"a": 1, "c": 2}]) == ([{"a": 1, "b": None}], [])


def test_every_error_of_a_row_is_reported_and_its_neighbours_live() -> None:
    """One bad row has all its errors, and the rows around it are coerced."""
    fields = [Field("a", "int64"), Field("b", "string")]
    rows, errors = RowCoercer(fields)([{"a": 1, "b": "x"}, {"a": 1.5, "b": 2}, {"a": 3, "b": "y"}])
    assert rows == [{"a": 1, "b": "x"}, None, {"a": 3, "b": "y"}]
    assert [str(error) for error in errors] == [
        "row 1, field 'a': expected int64, got 1.5",
        "row 1, field 'b': expected string, got 2",
    ]


def test_a_row_that_is_no_object_is_an_error_of_its_own() -> None:
    """A number where a row should be names the row and no field."""
    rows, errors = RowCoercer([Field("a", "int64")])([5])  # type: ignore[list-item]
    assert rows == [None]
    assert (errors[0].row, errors[0].field, errors[0].code) == (0, None, "type")


def test_a_long_value_is_cut_in_its_error() -> None:
    """An error never carries the whole input."""
    _, errors = RowCoercer([Field("a", "int64")])([{"a": "x" * 1_000_000}])
    assert len(str(errors[0])) < 200


def test_coerced_rows_have_the_order_of_the_fields() -> None:
    """The order of the keys in a row does not matter afterwards."""
    fields = [Field("a", "int64"), Field("b", "int64")]
    rows, _ = RowCoercer(fields)([{"b": 2, "a": 1}])
    assert rows[0] is not None
    assert list(rows[0]) == ["a", "b"]


@pytest.mark.parametrize(("dtype", "code"), [("int64", "range"), ("float64", "type")])
def test_a_signalling_nan_is_an_error_of_its_row(dtype: str, code: str) -> None:
    """Decimals have a NaN that fails wherever it is looked at: here too only its row is at fault."""
    _, errors = RowCoercer([Field("x", dtype)])([{"x": Decimal("sNaN")}])
    assert [error.code for error in errors] == [code]


def test_an_hour_that_clocks_skip_is_moved_on() -> None:
    """A datetime of the field's own zone becomes what the same moment is in any other spelling."""
    coercer = RowCoercer([Field("x", "timestamp", zone="Europe/Berlin")])
    skipped = coercer.value("x", datetime(2025, 3, 30, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")))
    spelled = coercer.value("x", "2025-03-30T01:30:00Z")
    assert skipped.isoformat() == spelled.isoformat() == "2025-03-30T03:30:00+02:00"


def test_a_moment_before_the_first_year_is_out_of_range_in_its_own_zone_too() -> None:
    """What no UTC clock can say within the years 1 to 9999, no column could carry."""
    with pytest.raises(Mismatch) as caught:
        RowCoercer([Field("x", "timestamp", zone="Europe/Berlin")]).value(
            "x", datetime(1, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))
        )
    assert caught.value.code == "range"


def test_a_datetime_of_another_class_becomes_a_datetime() -> None:
    """Canonical timestamps are datetimes, not subclasses with an arithmetic of their own."""
    coerced = RowCoercer([Field("x", "timestamp", zone="UTC")]).value("x", pd.Timestamp("2024-01-01", tz="UTC"))
    assert type(coerced) is datetime
    assert coerced == datetime(2024, 1, 1, tzinfo=UTC)


def test_rows_need_neither_numpy_nor_arrow() -> None:
    """The coercion of plain rows imports nothing heavy: a device may have nothing else."""
    code = (
        "import sys\n"
        "from fourfold.signature import Field, RowCoercer\n"
        "assert RowCoercer([Field('t', 'timestamp', zone='UTC')])([{'t': '2024-01-01T00:00:00Z'}])[1] == []\n"
        "heavy = {'numpy', 'pyarrow', 'pandas', 'polars', 'msgspec'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nan_is_a_float_and_nothing_else() -> None:
    """NaN fits a float field that takes no nulls, and no other field."""
    assert math.isnan(RowCoercer([Field("x", "float64")]).value("x", math.nan))
    with pytest.raises(Mismatch):
        RowCoercer([Field("x", "string", nullable=True)]).value("x", math.nan)


def test_errors_beyond_the_limit_are_counted_and_not_built() -> None:
    """The first errors are those of a run without a limit, and the count is that of all of them."""
    coerce = RowCoercer([Field("a", "int64"), Field("b", "float64", nullable=True), Field("c", "string")])
    five: list[Any] = [{"a": 1, "c": ""}, {"a": "x", "b": 1.0, "z": 0}, 7, {"b": "x"}, {"a": None, "c": "y", "d": 1}]
    rows = five * 50
    coerced, every = coerce(rows)
    assert (len(every), every.total, every.rows) == (450, 450, 200)
    assert [row is None for row in coerced] == [False, True, True, True, True] * 50
    for limit in (1, 3, 100, 449):
        _, first = coerce(rows, limit)
        assert list(first) == every[:limit]
        assert (first.total, first.rows) == (450, 200)
    assert coerce(rows, 450) == (coerced, every)


def test_one_row_has_at_most_a_hundred_errors_built() -> None:
    """A row with very many keys that are no fields costs no more than its keys; every one of them is counted."""
    row = {f"k{number}": 0 for number in range(5000)}
    coerced, errors = RowCoercer([Field("a", "int64")]).row(row)
    assert coerced is None
    assert isinstance(errors, RowErrors)
    assert (len(errors), errors.total, errors.rows) == (MAX_ROW_ERRORS, 5001, 1)
    assert RowCoercer([Field(f"f{number}", "int64") for number in range(5000)])([{}] * 3)[1].total == 15_000


_SCALARS = ["bool", "int8", "uint64", "float32", "float64", "string", "timestamp", "date", "binary"]
_TENSORS = ["int8", "uint64", "float32", "float64"]


@pytest.mark.parametrize(
    ("dtype", "shape"), [*((dtype, ()) for dtype in _SCALARS), *((dtype, (2,)) for dtype in _TENSORS)]
)
def test_errors_that_are_counted_are_those_that_are_built(dtype: str, shape: tuple[int, ...]) -> None:
    """A value that fits no row is counted as an error, and a value that fits none is never taken for one that does."""
    coercer = RowCoercer([Field("x", dtype, shape=shape, zone="UTC" if dtype == "timestamp" else None)])
    values: list[Any] = [
        True,
        3,
        -1,
        300,
        1.5,
        2.0,
        1e300,
        "NaN",
        "-Infinity",
        "nan",
        "a",
        "1",
        "2020-01-01",
        "YQ==",
        None,
    ]
    values += [
        "2020-01-01T00:00:00Z",
        [1, 2],
        [1.5, "NaN"],
        [True, 1],
        {},
        {"x": 1},
        b"",
        float("nan"),
        2**70,
        "\ud800",
    ]
    for value in values:
        _, built = coercer([{"x": value}])
        _, counted = coercer([{}, {"x": value}], max_errors=0)
        assert counted.total - 1 == built.total, value


@pytest.mark.parametrize("extra", ["forbid", "ignore"])
def test_keys_that_are_integers(extra: Literal["forbid", "ignore"]) -> None:
    """The key 0 is the field "0", as the label 0 of a frame is, also where the field may be missing; True is no key."""
    coercer = RowCoercer([Field("0", "float64", nullable=True), Field("-1", "int64"), Field("x", "int64")], extra)
    assert coercer.row({0: 1.5, -1: 2, "x": 3})[0] == {"0": 1.5, "-1": 2, "x": 3}
    assert coercer.row({np.int64(0): 1.5, np.int8(-1): 2, "x": 3})[0] == {"0": 1.5, "-1": 2, "x": 3}
    labelled: list[Any] = [{0: 1.5, -1: 2, "x": 3}, {0: "a", -1: "b", "x": 3}]
    rows, errors = coercer(labelled, 1)
    assert (rows, errors.total) == ([None, None], 2)
    both, errors_of_both = coercer.row({0: 1.5, "0": 2.5, -1: 2, "x": 3})
    if extra == "forbid":
        assert [(error.field, error.code) for error in errors_of_both] == [("0", "unknown")]
    else:
        assert both == {"0": 2.5, "-1": 2, "x": 3}
    assert RowCoercer([Field("1", "bool")], extra).row({True: True})[0] is None


@pytest.mark.parametrize(
    ("field", "value", "way_out"),
    [
        (Field("x", "int64"), float("nan"), "if the model takes a missing value, pack it with --nullable x)"),
        (Field("x", "float64", categories=(0.5,)), float("nan"), "pack it with --nullable x)"),
        (
            Field("x", "float64", categories=(0.5,)),
            0.25,
            "got 0.25 (if the model answers other values, pack it with --open x)",
        ),
        (
            Field("x", "string", categories=("a",)),
            "nan",
            "got 'nan' (if the model answers other values, pack it with --open x)",
        ),
        (
            Field("x", "int64"),
            1e16,
            "got 1e+16, a float beyond 2^53, which may have been rounded (write it as an integer)",
        ),
        (Field("x", "float64"), Decimal(2**53 + 1), "which a float64 would round to 9007199254740992"),
        *(
            (Field("x", "float64"), text, "(a number is written as in JSON: 0.5 and 5,")
            for text in (".5", "5.", "+5", " 5")
        ),
        *((Field("x", "uint8"), text, "(a number is written as in JSON: 0.5 and 5,") for text in ("05", "5", "+1e3")),
        (Field("x", "float64"), "five", "expected float64, got 'five'"),
        (Field("x", "date"), "5", "got '5'"),
        (Field("x", "string"), np.datetime64("2020-01-01"), "expected string, got "),
        (Field("x", "string"), float("nan"), "pack it with --nullable x)"),
        (Field("x", "int64", nullable=True), float("nan"), "(missing is null: None or pandas.NA)"),
    ],
)
def test_an_error_says_what_to_do(field: Field, value: object, way_out: str) -> None:
    """What a package that was packed otherwise would take, and what only has to be written otherwise."""
    _, errors = RowCoercer([field])([{"x": value}])
    assert way_out in str(errors[0])
    assert errors[0].to_json()["got"] == errors[0].shown
