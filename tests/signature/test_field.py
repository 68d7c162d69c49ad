"""Fields and signatures."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.errors import SignatureError
from fourfold.signature import Field, Signature
from fourfold.signature.field import CATEGORY_TYPES, DTYPES, TENSOR_DTYPES

_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@st.composite
def _fields(draw: st.DrawFn) -> Field:
    dtype = draw(st.sampled_from(DTYPES))
    shape: tuple[int, ...] = ()
    if dtype in TENSOR_DTYPES:
        shape = draw(st.lists(st.integers(1, 4), max_size=2).map(tuple))
    categories: tuple[str | int | float, ...] | None = None
    if dtype in CATEGORY_TYPES and not shape and draw(st.booleans()):
        strategies: dict[type, st.SearchStrategy[str | int | float]] = {
            str: st.text(max_size=4),
            bool: st.booleans(),
            int: st.integers(0, 100),
            float: st.floats(allow_nan=False, allow_infinity=False, width=32),
        }
        values = strategies[CATEGORY_TYPES[dtype]]
        categories = tuple(draw(st.lists(values, unique=True, max_size=4)))
    return Field(
        draw(_NAMES),
        dtype,
        nullable=draw(st.booleans()),
        shape=shape,
        categories=categories,
        open=categories is not None and draw(st.booleans()),
        zone=draw(st.sampled_from([None, "UTC", "Europe/Berlin"])) if dtype == "timestamp" else None,
        labels=tuple(map(str, range(shape[0]))) if len(shape) == 1 and draw(st.booleans()) else None,
        description=draw(st.text(max_size=5)),
    )


@given(st.lists(_fields(), min_size=1, max_size=4, unique_by=lambda field: field.name))
def test_a_signature_survives_json(fields: list[Field]) -> None:
    """What `to_json` writes, `from_json` reads as the same signature."""
    signature = Signature(tuple(fields), tuple(fields), "ignore")
    assert Signature.from_json(signature.to_json()) == signature


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, "not empty"),
        ({"name": "a\0b"}, "NUL"),
        ({"name": "\ud800"}, "UTF-8"),
        ({"dtype": "float128"}, "expected a dtype"),
        ({"dtype": "string", "shape": (2,)}, "a tensor holds"),
        ({"dtype": "float64", "shape": (0,)}, "at least 1"),
        ({"dtype": "float64", "shape": (True,)}, "at least 1"),
        ({"dtype": "float64", "shape": (1,) * 100_000}, "at most 32 dimensions"),
        ({"dtype": "float64", "shape": (10**6, 10**6)}, "67108864 elements"),
        ({"dtype": "float64", "shape": (2,), "labels": ("a", 1)}, "must be a string"),
        ({"dtype": "int64", "zone": "UTC"}, "only a timestamp"),
        ({"dtype": "timestamp", "zone": "Mars/Olympus"}, "IANA"),
        ({"dtype": "timestamp", "zone": "../../etc/passwd"}, "IANA"),
        ({"dtype": "date", "categories": ("2026-01-01",)}, "string, integer, boolean or float"),
        ({"dtype": "float64", "shape": (1,), "categories": (1.0,)}, "without a shape"),
        ({"dtype": "float64", "categories": (1,)}, "must be a float"),
        ({"dtype": "float64", "categories": (float("nan"),)}, "finite"),
        ({"dtype": "bool", "categories": (1,)}, "must be a bool"),
        ({"dtype": "float64", "categories": (0.0, -0.0)}, "twice"),
        ({"dtype": "string", "categories": (1,)}, "must be a str"),
        ({"dtype": "int64", "categories": (True,)}, "must be a int"),
        ({"dtype": "string", "categories": ("a", "a")}, "twice"),
        ({"dtype": "string", "open": True}, "categories can be open"),
        ({"dtype": "float64", "shape": (2,), "labels": ("a",)}, "labels do not fit"),
    ],
)
def test_a_field_that_contradicts_itself_is_refused(arguments: dict[str, Any], message: str) -> None:
    """A declaration that cannot be met is an error when it is made, not when the first row comes."""
    with pytest.raises(SignatureError, match=message):
        Field(**{"name": "x", "dtype": "int64", **arguments})


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"name": "x"},
        {"name": "x", "dtype": "int64", "colour": "red"},
        {"name": "x", "dtype": "int64", "nullable": 1},
        {"name": "x", "dtype": "int64", "shape": 3},
        {"name": 5, "dtype": "int64"},
    ],
)
def test_a_field_in_json_is_read_strictly(data: object) -> None:
    """A key that is unknown, missing or of another type is an error."""
    with pytest.raises(SignatureError):
        Field.from_json(data)


def test_a_signature_is_read_strictly() -> None:
    """Names are unique, both sides are there, and `extra` is one of two words."""
    x = Field("x", "int64")
    with pytest.raises(SignatureError, match="twice"):
        Signature((x, x), (x,))
    with pytest.raises(SignatureError, match="got none"):
        Signature((), (x,))
    with pytest.raises(SignatureError, match="extra"):
        Signature((x,), (x,), "maybe")  # type: ignore[arg-type]
    with pytest.raises(SignatureError, match="keys"):
        Signature.from_json({"inputs": []})
    with pytest.raises(SignatureError, match="lists"):
        Signature.from_json({"inputs": {}, "outputs": [], "extra": "forbid"})


def test_an_input_is_found_by_its_name() -> None:
    """A name that is no input is an error that lists those that are."""
    signature = Signature((Field("x", "int64"), Field("y", "int64")), (Field("z", "int64"),))
    assert signature.input("y").name == "y"
    with pytest.raises(SignatureError, match="x, y"):
        signature.input("z")
