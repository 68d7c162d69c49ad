"""Equality bit for bit."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.signature.bits import first_difference, relative_gap, same_bits


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_floats_are_compared_by_their_bits(left: float, right: float) -> None:
    """Two floats that are not NaN are the same where their eight bytes are."""
    assert same_bits(left, right) == (struct.pack("<d", left) == struct.pack("<d", right))


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (0.0, -0.0, False),
        (math.nan, math.nan, True),
        (math.nan, 1.0, False),
        (1, 1.0, False),
        (1, True, False),
        (None, None, True),
        (None, 0.0, False),
        ("a", "a", True),
        ([1.0, math.nan], [1.0, math.nan], True),
        ([1.0], [1.0, 2.0], False),
        ([[0.0]], [[-0.0]], False),
    ],
)
def test_values_of_other_kinds(left: object, right: object, same: bool) -> None:
    """Zeros of two signs differ, one NaN is the other, and an integer is no float."""
    assert same_bits(left, right) is same


def test_the_gap_is_relative_and_infinite_where_nothing_can_be_compared() -> None:
    """A tensor counts by its worst element; a label that changed has no gap that a tolerance could allow."""
    assert relative_gap(1.0, 1.0) == 0.0
    assert relative_gap(1.0, 1.1) == pytest.approx(0.1 / 1.1)
    assert relative_gap([1.0, 2.0], [1.0, 4.0]) == 0.5
    assert relative_gap("a", "b") == math.inf
    assert relative_gap(1.0, math.nan) == math.inf
    assert relative_gap(0.0, -0.0) == 0.0


def test_the_first_difference_names_its_place() -> None:
    """Rows come first, then fields in the order in which they are named."""
    expected = [{"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.0}]
    got = [{"a": 1.0, "b": 2.0}, {"a": 1.5, "b": 2.5}]
    difference = first_difference(expected, got, ["b", "a"])
    assert difference == (1, "b", 2.0, 2.5)
    assert first_difference(expected, expected, ["a", "b"]) is None
