from __future__ import annotations

from collections.abc import Iterator

import pytest

from fourfold.errors import Conflict, RepositoryError
from fourfold.repository import Repository
from fourfold.repository.conditional_writes import prove
from fourfold.repository.location import open_store
from fourfold.repository.records import PROBE_KEY
from fourfold.repository.store import Store, Tag
from tests.repository.writers import make


class Careless:
    """Wrap a real store, and ignore some conditions of its writes.

    Args:
        store: the store.
        create: whether `create` overwrites an existing key.
        replace: whether `replace` ignores its tag.
        refuses: whether `replace` always refuses.
    """

    is_remote = False

    def __init__(self, store: Store, *, create: bool = False, replace: bool = False, refuses: bool = False) -> None:
        self.store = store
        self.careless_create, self.careless_replace, self.refuses = create, replace, refuses
        self.writes = 0

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
        """Write a key, perhaps over an existing one."""
        self.writes += 1
        try:
            self.store.create(key, data)
        except Conflict:
            if not self.careless_create:
                raise
            content = self.store.get(key, 10_000)
            assert content is not None
            self.store.replace(key, data, content[1])

    def replace(self, key: str, data: bytes, tag: Tag) -> None:
        """Replace a key, perhaps whatever its tag, perhaps never."""
        self.writes += 1
        if self.refuses:
            raise Conflict(key)
        content = self.store.get(key, 10_000)
        self.store.replace(key, data, content[1] if content and self.careless_replace else tag)


def test_honest_stores(location: str) -> None:
    """Every kind of store that Fourfold opens honours conditions, however often it is asked, and keeps one probe."""
    store = open_store(location)
    for _ in range(3):
        prove(store)
    assert store.get(PROBE_KEY, 10_000) is not None
    assert Repository.open(location).models() == ()


@pytest.mark.parametrize(
    ("create", "replace", "refuses", "message"),
    [
        (True, False, False, "only if absent"),
        (False, True, False, "not what had been read before"),
        (True, True, False, "only if absent"),
        (False, False, True, "refuses to replace"),
    ],
)
def test_careless_stores(location: str, create: bool, replace: bool, refuses: bool, message: str) -> None:
    """A store that ignores a condition gets neither versions nor aliases."""
    store = Careless(open_store(location), create=create, replace=replace, refuses=refuses)
    repository = Repository(store)
    for _ in range(2):
        with pytest.raises(RepositoryError, match=f"does not honour conditional writes .*{message}"):
            repository.push(make())
    assert repository.models() == ()
    assert list(store.keys("blobs/")) == []


def test_alias_on_a_careless_store(location: str) -> None:
    """Nor does an alias move on one that became careless later."""
    Repository.open(location).push(make())
    repository = Repository(Careless(open_store(location), replace=True))
    with pytest.raises(RepositoryError, match="does not honour conditional writes"):
        repository.promote("eta", "production")
    assert repository.model("eta").aliases == {}


def test_once_for_each_repository(location: str) -> None:
    """A store that was proved is not proved again by the same repository."""
    store = Careless(open_store(location))
    repository = Repository(store)
    repository.push(make("a"))
    before = store.writes
    repository.push(make("b"))
    assert store.writes - before == 3  # one file that is new, the manifest, the version


def test_reading_needs_no_proof(location: str) -> None:
    """Who only reads writes nothing."""
    Repository.open(location).push(make())
    store = Careless(open_store(location))
    repository = Repository(store)
    repository.pull("eta").verify()
    repository.models()
    assert store.writes == 0


def test_a_careless_bucket(s3: str) -> None:
    """A bucket whose server ignores If-Match and If-None-Match is found out over the wire."""
    with pytest.raises(RepositoryError, match=r"s3://careless/.* does not honour conditional writes"):
        Repository.open(s3.replace("models", "careless")).push(make())


@pytest.mark.parametrize("bucket", ["forgetful", "busy"])
def test_a_difficult_bucket(s3: str, bucket: str) -> None:
    """Answers that are lost after a write, and writes refused for no reason, cost attempts and nothing else."""
    repository = Repository.open(s3.replace("models", bucket))
    assert [repository.push(make(content)) for content in "aba"] == [1, 2, 1]
    for version, expected in ((1, None), (2, 1), (1, 2)):
        assert repository.promote(f"eta:{version}", "production", expected=expected).version == version
        assert repository.resolve("eta@production").version == version
    assert [version.digest for version in repository.model("eta").versions] == [make("a").digest, make("b").digest]
    repository.pull("eta@production").verify()
