"""Test how far two engines' answers are said to be apart."""

from __future__ import annotations

import math

import pytest

from fourfold.packing.engines.comparison import compare_answers
from fourfold.signature import Field, Signature

SIGNATURE = Signature((Field("x", "float64"),), (Field("y", "float64"),))


@pytest.mark.parametrize("finite", [0.0, 1.7976931348623157e308])
@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan])
def test_no_number_is_near_infinity_or_nan(special: float, finite: float) -> None:
    """An answer that is finite in one engine only is infinitely far away, whichever engine that is."""
    for expected, got in ((special, finite), (finite, special)):
        comparison = compare_answers(SIGNATURE, [{"y": expected}], [{"y": got}], {"y": [1.0]})
        assert (comparison.differing, comparison.ulp, comparison.gap) == (1, math.inf, math.inf)
        assert comparison.largest is not None
        assert (comparison.largest.row, comparison.largest.field) == (0, "y")
