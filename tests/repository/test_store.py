"""The contract that every store keeps, whatever it lies on."""

from __future__ import annotations

import pytest

from fourfold.errors import Conflict
from fourfold.repository.location import open_store
from fourfold.repository.store import Store


@pytest.fixture
def store(location: str) -> Store:
    """An empty store of every kind, whose place exists."""
    store = open_store(location)
    store.create("first", b"")
    return store


def test_absent(store: Store) -> None:
    """Nothing is an answer, not an error."""
    assert store.get("models/eta/versions/1.json") is None
    assert list(store.keys("models/")) == []


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 30_000])
def test_create(store: Store, data: bytes) -> None:
    """A key is created once, with all its bytes, and keeps them."""
    store.create("a/b", data)
    with pytest.raises(Conflict, match="a/b"):
        store.create("a/b", b"other")
    content = store.get("a/b")
    assert content is not None
    assert content[0] == data


def test_replace(store: Store) -> None:
    """A key is replaced with the tag of its content; a stale tag and a missing key are conflicts."""
    store.create("a/b", b"1")
    first = store.get("a/b")
    assert first is not None
    store.replace("a/b", b"2", first[1])
    with pytest.raises(Conflict, match="a/b"):
        store.replace("a/b", b"3", first[1])
    with pytest.raises(Conflict, match="a/c"):
        store.replace("a/c", b"3", first[1])
    second = store.get("a/b")
    assert second is not None
    assert second[0] == b"2"
    assert store.get("a/c") is None


def test_keys(store: Store) -> None:
    """A prefix lists what lies under it at any depth, and nothing beside it."""
    for key in ("a/b/1", "a/b/c/2", "a/bb/3", "ab/4"):
        store.create(key, b"")
    assert sorted(store.keys("a/b/")) == ["a/b/1", "a/b/c/2"]
    assert sorted(store.keys("a/")) == ["a/b/1", "a/b/c/2", "a/bb/3"]
