"""Test `why`: the column, and the threshold or category, at which two engines differ."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import pytest

from fourfold.certificate.why import Explanation, Side, why
from fourfold.signature import Field, Signature

SIGNATURE = Signature(
    (
        Field("year", "float64", nullable=True),
        Field("hour", "int64"),
        Field("carrier", "string", nullable=True),
        Field("late", "bool"),
    ),
    (Field("eta", "float64"),),
)
ROW: dict[str, Any] = {"year": 2005.0, "hour": 7, "carrier": "UA", "late": True}
STARTS: list[dict[str, Any]] = [
    {"year": 1990.0, "hour": 3, "carrier": "AA", "late": False},
    {"year": None, "hour": 12, "carrier": None, "late": False},
    {"year": math.inf, "hour": 0, "carrier": "DL", "late": True},
]


def side(name: str, function: Callable[[Any], float | None]) -> Side:
    """A side whose one output is a function of the row."""

    def ask(rows: list[Any]) -> list[Any]:
        answers = [function(row) for row in rows]
        return [None if answer is None else {"eta": float(answer)} for answer in answers]

    return Side(name, ask)


def explained(one: Callable[[Any], float | None], other: Callable[[Any], float | None]) -> Explanation:
    return why(SIGNATURE, ROW, side("one", one), side("other", other), STARTS)


def above(threshold: float) -> Callable[[Any], float]:
    """A tree of one test on the year, and a term of the hour that both have."""
    return lambda row: (10.0 if row["year"] is not None and row["year"] > threshold else 20.0) + row["hour"]


def test_equal_answers_need_no_reason() -> None:
    """Equal answers are reported as equal."""
    found = explained(above(2000.0), above(2000.0))
    assert (found.equal, found.columns) == (True, [])


def test_a_threshold_is_found_to_the_last_bit() -> None:
    """Two trees with other thresholds: the column, the two neighbours between which they part, and both thresholds."""
    found = explained(above(2000.0), above(2010.0))
    text = "\n".join(found.lines)
    assert (found.columns, found.kind) == (["year"], "threshold")
    assert f"agree at 2000.0 (0x1.f400000000000p+10) and differ at {math.nextafter(2000.0, 2001)!r}" in text
    assert "one changes there" in text
    assert "other gives the same on both sides" in text
    assert f"other has that step at {math.nextafter(2010.0, 2011)!r}" in text


def test_a_threshold_that_lost_its_last_bits_is_called_a_float32() -> None:
    """A threshold that was rounded to float32 on one side is reported as float32."""
    exact = 2003.1
    single = struct.unpack("<f", struct.pack("<f", exact))[0]
    low, high = sorted((exact, single))
    row = {**ROW, "year": (low + high) / 2}
    found = why(SIGNATURE, row, side("one", above(exact)), side("other", above(single)), STARTS)
    assert found.columns == ["year"]
    assert any("the same number as a float32" in line for line in found.lines), found.lines


def test_an_integer_threshold_is_found() -> None:
    """Among integers the neighbours are integers."""
    found = explained(lambda row: 1.0 if row["hour"] > 5 else 2.0, lambda _: 2.0)
    assert found.columns == ["hour"]
    assert any("agree at 5 and differ at 6" in line for line in found.lines)


def test_a_threshold_of_both_only_leads_to_where_they_part() -> None:
    """A threshold that both sides have is not the cause: the search goes on in other columns."""

    def tree(limit: int) -> Callable[[Any], float]:
        return lambda row: (1.0 if row["hour"] > limit else 2.0) if (row["year"] or 0) > 2000 else 3.0

    starts = [{**ROW, "year": 1990.0}, *STARTS]
    found = why(SIGNATURE, ROW, side("one", tree(6)), side("other", tree(8)), starts)
    text = "\n".join(found.lines)
    assert (found.columns, found.kind) == (["hour"], "threshold")
    assert "with another value in hour they agree" in text
    assert "hour: they agree at 6 and differ at 7, the next value" in text
    assert "other gives the same on both sides of it" in text
    assert "other has that step at 9" in text
    assert "year" not in text


def test_where_all_thresholds_are_of_both_the_first_is_told() -> None:
    """Two trees with the same thresholds and other leaf values: the shared threshold is reported."""
    found = explained(
        lambda row: 1.0 if (row["year"] or 0) > 2000 else 3.0, lambda r: 2.0 if (r["year"] or 0) > 2000 else 3.0
    )
    assert (found.columns, found.kind) == (["year"], "threshold")
    assert sum("it has a threshold between the two" in line for line in found.lines) == 2


def test_a_category_that_one_side_never_saw_is_named() -> None:
    """A category that one side has never seen: the column, the category and the side are reported."""
    known = {"UA": 1.0, "AA": 2.0, "DL": 3.0}
    fewer = {"AA": 2.0, "DL": 3.0}
    found = explained(lambda row: known.get(row["carrier"], 0.0), lambda row: fewer.get(row["carrier"], 0.0))
    assert (found.columns, found.kind) == (["carrier"], "category")
    assert any(line.startswith("other answers 'UA' as it answers a category that it never saw") for line in found.lines)


def test_a_missing_value_is_told() -> None:
    """Where the sides treat a missing value differently, that is reported."""
    row = {**ROW, "year": None, "carrier": "AA"}
    starts = [{**ROW, "carrier": "AA"}]
    one = side("one", lambda row: 5.0 if row["year"] is None else 1.0)
    found = why(SIGNATURE, row, one, side("other", lambda _: 1.0), starts)
    assert (found.columns, found.kind) == (["year"], "missing")


def test_two_columns_that_only_together_part_the_sides_are_both_named() -> None:
    """Two columns that make a difference only together are both named, and no others."""
    found = explained(lambda row: 1.0 if row["late"] and row["carrier"] == "UA" else 2.0, lambda _: 2.0)
    assert sorted(found.columns) == ["carrier", "late"]


def test_rounding_is_called_rounding() -> None:
    """Answers that differ as two orders of summation do are called rounding."""
    found = explained(lambda row: row["hour"] + 0.1, lambda row: math.nextafter(row["hour"] + 0.1, 99))
    assert found.kind == "rounding"


@pytest.mark.parametrize("refuses", ["one", "other"])
def test_a_refusal_is_an_answer(refuses: str) -> None:
    """A side that refuses the row is reported, and the column is found nevertheless."""

    def strict(row: Any) -> float | None:
        return None if row["year"] is not None and 2000 < row["year"] < math.inf else 1.0

    def lax(_: Any) -> float:
        return 1.0

    found = explained(*((strict, lax) if refuses == "one" else (lax, strict)))
    assert f"{refuses} refuses it" in found.lines[0]
    assert found.columns == ["year"]
