from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.errors import SignatureError
from fourfold.signature import Field, Signature
from fourfold.stream.passthrough import PassThrough

SIGNATURE = Signature((Field("x", "float64"),), (Field("y", "float64"),))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1.0",
        "1.10",
        "1e5",
        "-0",
        "12345678901234567890123",
        r'"\u00e9\ud83d\ude00"',
        '"é"',
        "[1, 2 ]",
        '{"a" :null}',
    ],
)
def test_text_is_copied(text: str) -> None:
    """The text of a value is copied, not what it means."""
    event = b'{"x": 1, "id" : ' + text.encode() + b' , "more":[{}]}'
    assert PassThrough(["id"], SIGNATURE).answer_prefix(event) == b'{"id":' + text.encode() + b","


@given(st.dictionaries(st.text(), JSON, max_size=5), st.lists(st.text(), max_size=3, unique=True))
def test_any_field_is_kept(event: dict[str, Any], names: list[str]) -> None:
    """Fields of any name and value are copied in the order asked for, and one that is absent stays absent."""
    names = [name for name in names if name != "y"]
    prefix = PassThrough(names, SIGNATURE).answer_prefix(json.dumps(event).encode())
    kept = json.loads(prefix + b'"y":1}')
    assert kept == {**{name: event[name] for name in names if name in event}, "y": 1}
    assert [name for name in kept if name != "y"] == [name for name in names if name in event]


def test_escaped_key_is_found() -> None:
    """A key that the event spells with escapes is the same key."""
    assert PassThrough(["é"], SIGNATURE).answer_prefix(rb'{"\u00e9":1}') == '{"é":1,'.encode()


def test_extra_fields() -> None:
    """What is kept and no input is known, so that the signature does not refuse it."""
    assert PassThrough(["x", "id"], SIGNATURE).extra == ("id",)


@pytest.mark.parametrize("names", [["y"], ["id", "id"]])
def test_names_that_cannot_be_kept(names: list[str]) -> None:
    """An output's name and a name that is there twice are errors at the start."""
    with pytest.raises(SignatureError):
        PassThrough(names, SIGNATURE)
