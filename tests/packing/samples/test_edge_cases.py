"""Edge cases: rows with values that a model meets in production and not in its training rows."""

from __future__ import annotations

import math

import numpy as np

from fourfold.packing.samples.edge_cases import MIN_EDGE_CASES, edge_cases, spread_indices
from fourfold.signature import Field, RowCoercer, Signature
from fourfold.signature.field import DTYPES, TENSOR_DTYPES

OUT = (Field("y", "float64"),)


def test_they_hold_every_kind_of_value() -> None:
    """Missing where a field is nullable, unseen categories, both zeros, 0 for float32, neighbours, infinities, NaN."""
    signature = Signature(
        (Field("f", "float64", nullable=True), Field("i", "int8"), Field("s", "string", nullable=True)), OUT
    )
    rows = edge_cases(signature, [{"f": 2.0, "i": 5, "s": "a"}, {"f": 3.0, "i": 6, "s": "b"}])
    floats = [row["f"] for row in rows]
    assert None in floats
    assert {math.nextafter(2.0, 0), math.nextafter(2.0, 9), math.inf, -math.inf} <= set(floats)
    assert any(each is not None and math.isnan(each) for each in floats)
    assert any(each == 0 and math.copysign(1, each) < 0 for each in floats if each is not None)
    assert any(each and np.float32(each) == 0 for each in floats if each is not None)
    assert {-128, 127, 0} <= {row["i"] for row in rows}
    assert "" in [row["s"] for row in rows]
    assert {"f": None, "i": 5, "s": None} in rows


def test_closed_categories_stay_closed() -> None:
    """A field that takes only its categories gets no others."""
    signature = Signature((Field("c", "string", categories=("a", "b", "z")),), OUT)
    assert {row["c"] for row in edge_cases(signature, [{"c": "b"}])} == {"a", "z"}


def test_every_one_of_them_fits_its_signature() -> None:
    """They are canonical values of every dtype, scalars and tensors."""
    fields = [Field(f"{dtype}", dtype, nullable=True) for dtype in DTYPES]
    fields += [Field(f"{dtype} tensor", dtype, shape=(2,), nullable=True) for dtype in TENSOR_DTYPES]
    fields.append(Field("zoned", "timestamp", zone="Europe/Berlin", nullable=True))
    base = dict.fromkeys((field.name for field in fields), None)
    rows = edge_cases(Signature(tuple(fields), OUT), [base])
    coerced, errors = RowCoercer(fields)(rows)
    assert not errors
    assert len(coerced) == len(rows) > 60


def test_a_wide_signature_has_as_many_of_them_as_a_narrow_one() -> None:
    """Each edge case has all fields, so without a limit their cells would grow with the square of the fields."""
    fields = tuple(Field(f"x{place}", "float64", nullable=True) for place in range(1000))
    base = dict.fromkeys((field.name for field in fields), 1.0)
    rows = edge_cases(Signature(fields, OUT), [base])
    assert len(rows) == MIN_EDGE_CASES + 1
    assert rows == edge_cases(Signature(fields, OUT), [base])
    assert rows[-1] == dict.fromkeys(base)
    assert len({repr(value) for row in rows for value in row.values()}) > 6


def test_a_spread_takes_both_ends() -> None:
    """Indices are spread evenly, the first and the last among them."""
    assert spread_indices(3, 10) == [0, 1, 2]
    assert spread_indices(1000, 5) == [0, 250, 500, 749, 999]
