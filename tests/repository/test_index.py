from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fourfold.errors import Conflict, NotFound, RepositoryError
from fourfold.repository import Repository
from fourfold.repository.index import Index
from fourfold.repository.location import open_store
from fourfold.repository.records import Version
from fourfold.repository.store import Store, Tag
from tests.repository.writers import make


class Interrupted:
    """Wrap a real store, and do something just before the first write of a record.

    Args:
        store: the store.
        before: what to do; where it is `None`, every write of a record is refused instead.
    """

    def __init__(self, store: Store, before: Callable[[], object] | None) -> None:
        self.store = store
        self.before = before
        self.refusing = before is None
        self.is_remote = store.is_remote

    @property
    def url(self) -> str:
        """Return the real store's address."""
        return self.store.url

    def get(self, key: str) -> tuple[bytes, Tag] | None:
        """Do as the real store does."""
        return self.store.get(key)

    def keys(self, prefix: str) -> Iterator[str]:
        """Do as the real store does."""
        return self.store.keys(prefix)

    def create(self, key: str, data: bytes) -> None:
        """Do as the real store does, after the interruption."""
        self._interrupt(key)
        self.store.create(key, data)

    def replace(self, key: str, data: bytes, tag: Tag) -> None:
        """Do as the real store does, after the interruption."""
        self._interrupt(key)
        self.store.replace(key, data, tag)

    def _interrupt(self, key: str) -> None:
        if not key.startswith("models/"):
            return
        if self.refusing:
            raise Conflict(key)
        if self.before is not None:
            before, self.before = self.before, None
            before()


@pytest.fixture
def other(location: str) -> Repository:
    """Return the repository of the other writer."""
    return Repository.open(location)


def late(location: str, before: Callable[[], object] | None) -> Repository:
    """Return a repository whose first write of a record comes just after `before`."""
    return Repository(Interrupted(open_store(location), before))


def test_the_next_version_is_taken(location: str, other: Repository) -> None:
    """Who finds the next version taken gets the one after it."""
    assert late(location, lambda: other.push(make("b"))).push(make("a")) == 2
    assert [version.digest for version in other.model("eta").versions] == [make("b").digest, make("a").digest]


def test_the_same_package_was_first(location: str, other: Repository) -> None:
    """Who finds the next version taken by the same package has that version."""
    assert late(location, lambda: other.push(make("a"))).push(make("a")) == 1
    assert len(other.model("eta").versions) == 1


def test_the_asked_version_is_taken(location: str, other: Repository) -> None:
    """Who asked for a version that is taken at that moment hears by what."""
    with pytest.raises(Conflict, match=f"eta:1 .* {make('b').digest} took it at the same moment"):
        late(location, lambda: other.push(make("b"))).push(make("a"), version=1)


@pytest.mark.parametrize("expected", [None, 1])
def test_the_alias_moved_elsewhere(location: str, other: Repository, expected: int | None) -> None:
    """Who finds the alias moved hears where to, and moves nothing."""
    for content in "abc":
        other.push(make(content))
    other.promote("eta:1", "production")
    with pytest.raises(Conflict, match=f"at the same moment, and it points at version 2, {make('b').digest}"):
        late(location, lambda: other.promote("eta:2", "production")).promote("eta:3", "production", expected=expected)
    assert other.resolve("eta@production").version == 2


def test_the_alias_came_into_being(location: str, other: Repository) -> None:
    """Two writers that make one alias at the same moment race for it too."""
    for content in "ab":
        other.push(make(content))
    with pytest.raises(Conflict, match="it points at version 2"):
        late(location, lambda: other.promote("eta:2", "production")).promote("eta:1", "production")


def test_the_alias_moved_there(location: str, other: Repository) -> None:
    """Of two writers that move an alias to one version, the one that expected another version gets a conflict."""
    for content in "abc":
        other.push(make(content))
    other.promote("eta:1", "production")
    with pytest.raises(Conflict, match="another writer moved it at the same moment, and it points at version 2"):
        late(location, lambda: other.promote("eta:2", "production")).promote("eta:2", "production", expected=1)
    assert late(location, lambda: other.promote("eta:3", "production")).promote("eta:3", "production").version == 3


def test_there_and_back(location: str, other: Repository) -> None:
    """An alias that was moved away and back is not what it was, even where a store names contents by hashes."""
    for content in "abc":
        other.push(make(content))
    other.promote("eta:1", "production")

    def away_and_back() -> None:
        other.promote("eta:2", "production")
        other.promote("eta:1", "production")

    with pytest.raises(Conflict, match="another writer moved it at the same moment, and it points at version 1"):
        late(location, away_and_back).promote("eta:3", "production", expected=1)


def test_a_store_that_always_refuses(location: str, other: Repository) -> None:
    """A store that refuses every write for no reason is an error after some attempts, not a loop."""
    repository = late(location, None)
    with pytest.raises(RepositoryError, match=r"cannot write models/eta/versions/1\.json .* refused 5 times"):
        repository.push(make())
    other.push(make())
    with pytest.raises(RepositoryError, match="was not moved: the store refused 5 times"):
        repository.promote("eta", "production")


def test_too_many_writers(location: str) -> None:
    """A writer that is always second gives up, and says so."""
    store = open_store(location)
    store.create("first", b"")
    taken = Index(store)

    class Hurried(Interrupted):
        def _interrupt(self, key: str) -> None:
            number = int(key.rsplit("/", maxsplit=1)[-1].removesuffix(".json"))
            taken.claim("eta", f"sha256:{number:064x}", None)

    index = Index(Hurried(store, None))
    with pytest.raises(Conflict, match="100 other writers were first; push again"):
        index.claim("eta", "sha256:" + "f" * 64, None)


def test_versions_with_a_hole(location: str) -> None:
    """Where somebody removed records by hand, the rest is found, and the next version follows the newest."""
    store = open_store(location)
    for number in (1, 4):
        store.create(f"models/eta/versions/{number}.json", Version(number, f"sha256:{number:064x}").encode())
    repository = Repository.open(location)
    assert repository.resolve("eta").version == 4
    with pytest.raises(NotFound, match="no version 2; it has the versions 4, 1"):
        repository.resolve("eta:2")
    assert repository.push(make()) == 5


def test_one_version_and_none(location: str) -> None:
    """A model with one version, or an alias alone, is described as what it is."""
    store = open_store(location)
    store.create("models/eta/versions/1.json", Version(1, "sha256:" + "0" * 64).encode())
    store.create("models/fare/aliases/old.json", Version(1, "sha256:" + "0" * 64).encode("0" * 32))
    repository = Repository.open(location)
    with pytest.raises(NotFound, match="no version 2; it has version 1"):
        repository.resolve("eta:2")
    with pytest.raises(NotFound, match=r"fare in .* has no versions"):
        repository.resolve("fare")
    with pytest.raises(NotFound, match="no version 1; it has no versions"):
        repository.resolve("fare:1")
