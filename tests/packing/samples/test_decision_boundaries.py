"""Rows on the boundaries of a model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeClassifier

import fourfold
from fourfold.function import Function
from fourfold.packing.samples.decision_boundaries import boundary_rows
from fourfold.signature import Field, Signature
from tests.support import RowEngine

SIGNATURE = Signature(
    (Field("x", "float64", nullable=True), Field("t", "float32", shape=(2,)), Field("s", "string")),
    (Field("y", "string"),),
)
ROWS = [{"x": float(x), "t": [0.5, float(x)], "s": "a"} for x in range(-8, 9)]


def _function(answer: Any) -> Function:
    return Function(SIGNATURE, RowEngine(answer), None)


def test_they_stand_on_both_sides_of_a_step_with_no_float_between() -> None:
    """The way between two rows is halved until no float lies between them."""
    found = boundary_rows(_function(lambda row: {"y": "high" if row["x"] > 0.3 else "low"}), ROWS)
    below = [row["x"] for row in found if row["x"] <= 0.3]
    above = [row["x"] for row in found if row["x"] > 0.3]
    assert len(below) == len(above) > 10
    assert 0.3 - max(below) < 1e-14
    assert min(above) - 0.3 < 1e-14


def test_the_elements_of_a_tensor_are_moved_too() -> None:
    """A tensor of floats is part of the way between two rows, rounded to its dtype."""
    found = boundary_rows(_function(lambda row: {"y": str(row["t"][1] > 2.5)}), ROWS)
    assert min(abs(row["t"][1] - 2.5) for row in found) < 1e-6
    assert all(row["t"] == [float(np.float32(each)) for each in row["t"]] for row in found)


def test_there_are_none_where_nothing_decides() -> None:
    """One answer for every row has no boundary."""
    assert boundary_rows(_function(lambda _: {"y": "always"}), ROWS) == []


def test_steps_are_found_where_every_row_has_an_answer_of_its_own() -> None:
    """A deep tree has as many leaves as there are rows."""
    found = boundary_rows(_function(lambda row: {"y": str(round(row["x"] * 3))}), ROWS)
    assert min(abs(row["x"] * 3 % 1 - 0.5) for row in found) < 1e-14


def test_a_missing_value_stays_missing() -> None:
    """A value that is missing in one of the two rows is not moved."""
    rows = [*ROWS, *({**row, "x": None} for row in ROWS)]
    found = boundary_rows(_function(lambda row: {"y": str(row["t"][1] > 0.5)}), rows)
    assert any(row["x"] is None for row in found)
    assert any(row["x"] is not None for row in found)


def test_a_tensor_that_is_missing_stays_missing_and_its_neighbours_move() -> None:
    """Of a column of tensors some are missing: the others keep their own elements, and those between two are moved."""
    signature = Signature(
        (Field("t", "float64", nullable=True, shape=(1, 2)), Field("x", "float64")), SIGNATURE.outputs
    )
    rows: list[dict[str, Any]] = [{"t": [[float(x), 7.0]] if x % 3 else None, "x": float(x)} for x in range(-9, 9)]
    found = boundary_rows(Function(signature, RowEngine(lambda row: {"y": str(row["x"] > 0.25)}), None), rows)
    assert {row["t"] is None for row in found} == {True, False}
    assert all(row["t"][0][1] == 7.0 for row in found if row["t"] is not None)
    assert any(row["t"] is not None and row["t"][0][0] % 1 for row in found)


def test_what_cannot_be_moved_stays_as_it_is_on_the_left() -> None:
    """Between an infinity or NaN and a number lies no number, nor between two whose distance overflows."""
    rows = [{"x": x, "t": [float(bool(x)), 2.0], "s": "a"} for x in (math.inf, -1.5e308, 1.5e308, math.nan, 0.0)]
    found = boundary_rows(_function(lambda row: {"y": str(row["t"][0] > 0.5)}), rows)
    moved = [row["x"] for row in found if repr(row["x"]) not in {repr(row["x"]) for row in rows}]
    assert all(math.isfinite(x) for x in moved)
    assert {math.inf, 0.0} <= {row["x"] for row in found}


def test_labels_of_a_matrix_product_do_not_pass_as_free() -> None:
    """Labels hide the last bits, until a row lies on the boundary: alone and among others it must have one label."""
    random = np.random.default_rng(0)
    table = random.normal(size=(300, 20))
    model = RidgeClassifier().fit(table, table @ random.normal(size=20) > 0)
    package = fourfold.pack(model, name="sides", rows=table, engine="original")
    assert package.block is not None
    weights, shift = model.coef_.ravel(), float(np.ravel(model.intercept_)[0])
    on_it = table - np.outer((table @ weights + shift) / (weights @ weights), weights)
    predictor = fourfold.load(package)
    alone = [predictor.predict(on_it[place : place + 1])[0] for place in range(len(on_it))]
    assert alone == predictor.predict(on_it).tolist()
