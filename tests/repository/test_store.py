"""The contract that every store keeps, whatever it lies on."""

from __future__ import annotations

import pytest

from fourfold.errors import Conflict
from fourfold.repository.location import open_store
from fourfold.repository.store import Oversized, Store


@pytest.fixture
def store(location: str) -> Store:
    """An empty store of every kind, whose place exists."""
    store = open_store(location)
    store.create("first", b"")
    return store


def test_absent(store: Store) -> None:
    """Nothing is an answer, not an error."""
    assert store.get("models/eta/versions/1.json", 10_000) is None
    assert list(store.keys("models/")) == []


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 30_000])
def test_create(store: Store, data: bytes) -> None:
    """A key is created once, with all its bytes, and keeps them."""
    store.create("a/b", data)
    with pytest.raises(Conflict, match="a/b"):
        store.create("a/b", b"other")
    content = store.get("a/b", len(data))
    assert content is not None
    assert content[0] == data


def test_what_is_too_long_is_not_read(store: Store) -> None:
    """A content beyond its limit is refused with its key and both lengths, and can be replaced all the same."""
    store.create("a/b", b"x" * 11)
    with pytest.raises(Oversized, match=r"a/b in .* 11 bytes.*; expected at most 10") as caught:
        store.get("a/b", 10)
    store.replace("a/b", b"new", caught.value.tag)
    content = store.get("a/b", 10)
    assert content is not None
    assert content[0] == b"new"
    with pytest.raises(Conflict):
        store.replace("a/b", b"newer", caught.value.tag)


def test_replace(store: Store) -> None:
    """A key is replaced with the tag of its content; a stale tag and a missing key are conflicts."""
    store.create("a/b", b"1")
    first = store.get("a/b", 10_000)
    assert first is not None
    store.replace("a/b", b"2", first[1])
    with pytest.raises(Conflict, match="a/b"):
        store.replace("a/b", b"3", first[1])
    with pytest.raises(Conflict, match="a/c"):
        store.replace("a/c", b"3", first[1])
    second = store.get("a/b", 10_000)
    assert second is not None
    assert second[0] == b"2"
    assert store.get("a/c", 10_000) is None


def test_keys(store: Store) -> None:
    """A prefix lists what lies under it at any depth, and nothing beside it."""
    for key in ("a/b/1", "a/b/c/2", "a/bb/3", "ab/4"):
        store.create(key, b"")
    assert sorted(store.keys("a/b/")) == ["a/b/1", "a/b/c/2"]
    assert sorted(store.keys("a/")) == ["a/b/1", "a/b/c/2", "a/bb/3"]
