from __future__ import annotations

import json

import pytest

from fourfold.codecs.unique_keys import RepeatedKey, unique_keys


def test_the_first_key_that_repeats_is_reported() -> None:
    """An object with a key twice is refused at any depth; the error knows the first key that repeats."""
    assert json.loads('{"a": {"b": 1}, "b": {}}', object_pairs_hook=unique_keys) == {"a": {"b": 1}, "b": {}}
    with pytest.raises(RepeatedKey, match="a key is there twice") as caught:
        json.loads('[{"a": {"x": 1, "b": 2, "c": 3, "c": 4, "b": 5}}]', object_pairs_hook=unique_keys)
    assert caught.value.key == "c"
