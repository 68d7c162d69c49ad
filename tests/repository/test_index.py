from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fourfold.errors import Conflict, NotFound, RepositoryError
from fourfold.repository import Repository
from fourfold.repository.folder import FolderStore
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

    def get(self, key: str, max_bytes: int) -> tuple[bytes, Tag] | None:
        """Do as the real store does."""
        return self.store.get(key, max_bytes)

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


@pytest.mark.parametrize("numbers", [(1, 4), (2,), (1, 2, 999_999_999), (999_999_999,)])
def test_versions_with_a_hole(location: str, numbers: tuple[int, ...]) -> None:
    """Where records were removed or added by hand, nothing is numbered or called the newest; what is named is found."""
    store = open_store(location)
    for number in numbers:
        store.create(f"models/eta/versions/{number}.json", Version(number, f"sha256:{number:064x}").encode())
    repository = Repository.open(location)
    hole = min(set(range(1, 6)) - set(numbers))
    for verb in (repository.models, lambda: repository.resolve("eta"), lambda: repository.push(make())):
        with pytest.raises(
            RepositoryError, match=rf"version {hole} is missing, and there is a version {max(numbers)}"
        ) as caught:
            verb()
        assert f"models/eta/versions/{hole}.json" in str(caught.value)
    assert repository.resolve(f"eta:{numbers[0]}").version == numbers[0]
    with pytest.raises(NotFound, match=f"no version {hole}; it has"):
        repository.resolve(f"eta:{hole}")


def test_a_number_that_is_too_far(location: str) -> None:
    """A record of a version beyond the last that can be is no stranger: it is refused by its key."""
    repository = Repository.open(location)
    repository.push(make())
    open_store(location).create("models/eta/versions/999999999999.json", b"{}")
    for verb in (repository.models, lambda: repository.resolve("eta"), lambda: repository.push(make("b"))):
        with pytest.raises(RepositoryError, match=r"999999999999.json', which is no version"):
            verb()
    assert repository.resolve("eta:1").version == 1


def test_a_listing_that_misses_a_version(tmp_path: Path) -> None:
    """A version that was made while the store was listed is no hole, and its alias no damage."""
    repository = Repository.open(tmp_path)
    for content in "abc":
        repository.push(make(content))
    repository.promote("eta:2", "production")

    class Late(FolderStore):
        def keys(self, prefix: str) -> Iterator[str]:
            return (key for key in super().keys(prefix) if not key.endswith("versions/2.json"))

    late = Repository(Late(tmp_path))
    assert late.resolve("eta").version == 3
    assert late.push(make("b")) == 2
    assert late.push(make("d")) == 4
    assert late.model("eta").aliases["production"].version == 2


def test_an_alias_agrees_with_its_version(location: str) -> None:
    """An alias cannot make a package a version that it is not: it is refused where it is read, listed or used."""
    repository = Repository.open(location)
    repository.push(make("a"))
    store = open_store(location)
    for alias, target in {"lying": Version(1, make("b").digest), "lost": Version(7, make("a").digest)}.items():
        store.create(f"models/eta/aliases/{alias}.json", target.encode("0" * 32))
        with pytest.raises(RepositoryError, match=rf"the alias eta@{alias} in .* is damaged: it points at version"):
            repository.resolve(f"eta@{alias}")
    with pytest.raises(RepositoryError, match="is damaged: it points at version"):
        repository.models()
    assert repository.promote("eta:1", "lying").version == 1
    assert repository.resolve("eta@lying").digest == make("a").digest


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
