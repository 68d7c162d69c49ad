from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from fourfold.errors import Conflict, CorruptPackage, NotFound, RepositoryError
from fourfold.package import Package
from fourfold.repository import Reference, Repository, Resolved, push
from fourfold.repository.records import Version, alias_key, blob_key, version_key
from tests.repository.writers import make


def overwrite(repository: Repository, key: str, data: bytes) -> None:
    """Write what nobody should have written."""
    content = repository._store.get(key, 10_000)
    if content is None:
        repository._store.create(key, data)
    else:
        repository._store.replace(key, data, content[1])


class TestPush:
    """Pushing stores a package and gives it a version."""

    def test_versions_count_from_one(self, repository: Repository) -> None:
        """Each new package gets the next version, and the same package the one that it has."""
        assert [repository.push(make(content)) for content in "abcab"] == [1, 2, 3, 1, 2]

    def test_a_version_that_is_taken_is_refused_before_anything_is_written(self, repository: Repository) -> None:
        """The blobs of a package that gets no version would lie there for nobody."""
        repository.push(make("a"))
        before = sorted(repository._store.keys("blobs/"))
        for version, error in ((1, Conflict), (3, RepositoryError)):
            with pytest.raises(error):
                repository.push(make("b"), version=version)
        assert sorted(repository._store.keys("blobs/")) == before

    def test_comes_back(self, repository: Repository, package: Package) -> None:
        """What was pushed comes back with the same digest and the same bytes, in every way of naming it."""
        repository.push(package)
        repository.promote("eta", "production")
        for reference in ("eta", "eta:1", "eta@production", f"eta@{package.digest}", f"eta@{package.digest[:19]}"):
            pulled = repository.pull(reference)
            assert pulled.digest == package.digest
            assert pulled.manifest_bytes == package.manifest_bytes
            assert {name: pulled.read(name) for name in pulled.names} == {
                name: package.read(name) for name in package.names
            }

    def test_models_are_apart(self, repository: Repository) -> None:
        """Versions are counted for each model alone, and files that two packages share are stored once."""
        assert repository.push(make("a", "eta")) == 1
        assert repository.push(make("a", "fare")) == 1
        assert len(list(repository._store.keys("blobs/"))) == 4  # two files, two manifests

    def test_another_object_sees_it(self, location: str, package: Package) -> None:
        """A repository is its place: a second object on the same place sees what the first pushed."""
        push(package, repository=location)
        assert Repository.open(location).resolve("eta") == Resolved("eta", package.digest, 1)

    def test_default_repository(self, location: str, package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where no repository is named, the environment names it."""
        monkeypatch.setenv("FOURFOLD_REPOSITORY", location)
        assert push(package) == 1
        assert Repository.open().resolve("eta").digest == package.digest

    def test_given_version(self, repository: Repository) -> None:
        """A version that is asked for is the next one, or the one that this package has already; nothing else."""
        assert repository.push(make("a"), version=1) == 1
        assert repository.push(make("b"), version=2) == 2
        assert repository.push(make("a"), version=1) == 1
        with pytest.raises(Conflict, match=f"eta:2 .* taken by {make('b').digest}"):
            repository.push(make("c"), version=2)
        with pytest.raises(Conflict, match=r"eta:3 .* this package is eta:1 already"):
            repository.push(make("a"), version=3)
        with pytest.raises(RepositoryError, match=r"eta:7 .* the next is 3"):
            repository.push(make("c"), version=7)
        assert [version.version for version in repository.model("eta").versions] == [1, 2]

    def test_unfinished_push_shows_nothing(self, repository: Repository, package: Package) -> None:
        """A package of which only blobs arrived is no version, and pushing it again completes it."""
        broken = Package(package.manifest_bytes, {"engine/model.bin": b"model a"}.__getitem__)
        with pytest.raises(KeyError):
            repository.push(broken)
        with pytest.raises(NotFound, match="no model 'eta'"):
            repository.resolve("eta")
        assert repository.push(package) == 1

    def test_makes_a_damaged_blob_right(self, repository: Repository, package: Package) -> None:
        """Pushing a package again puts back the bytes of a blob that somebody changed."""
        repository.push(package)
        key = blob_key("sha256:" + package.manifest["files"]["engine/model.bin"]["sha256"])
        overwrite(repository, key, b"something else")
        assert repository.push(package) == 1
        repository.pull("eta:1").verify()

    def test_a_package_that_is_damaged_is_refused(self, repository: Repository, package: Package) -> None:
        """A package whose file is not what its manifest lists leaves no version behind."""
        damaged = Package(package.manifest_bytes, lambda _: b"model b")
        with pytest.raises(CorruptPackage, match=r"engine/model.bin"):
            repository.push(damaged)
        assert repository.models() == ()


class TestPromote:
    """Promoting moves an alias by compare-and-swap."""

    def test_moves(self, repository: Repository) -> None:
        """An alias points at one digest at a time, and moves when it is told to."""
        first, second = make("a"), make("b")
        repository.push(first)
        repository.push(second)
        assert repository.promote("eta:1", "production") == Resolved("eta", first.digest, 1)
        assert repository.resolve("eta@production").digest == first.digest
        assert repository.promote(f"eta@{second.digest}", "production") == Resolved("eta", second.digest, 2)
        assert repository.resolve("eta@production") == Resolved("eta", second.digest, 2)
        assert repository.promote("eta@production", "staging").version == 2

    def test_expected(self, repository: Repository) -> None:
        """An alias that does not point where the writer expected stays, and the error says where it points."""
        first, second = make("a"), make("b")
        repository.push(first)
        repository.push(second)
        with pytest.raises(Conflict, match=r"eta@production .* expected 1, and it does not exist"):
            repository.promote("eta:1", "production", expected=1)
        repository.promote("eta:1", "production")
        with pytest.raises(Conflict, match=f"expected 2, and it points at version 1, {first.digest}"):
            repository.promote("eta:2", "production", expected=2)
        assert repository.promote("eta:2", "production", expected=first.digest).version == 2
        assert repository.promote("eta:1", "production", expected=2).version == 1
        with pytest.raises(RepositoryError, match="expected a digest"):
            repository.promote("eta:2", "production", expected="1")

    def test_only_versions(self, repository: Repository, package: Package) -> None:
        """An alias is never given to a package that is no version of the model."""
        with pytest.raises(NotFound, match=r"no model 'eta'|no such folder"):
            repository.promote("eta", "production")
        repository.push(package)
        other = make("b")
        for name in other.names:
            repository._blobs.write(other.read(name))
        repository._blobs.write(other.manifest_bytes)
        with pytest.raises(NotFound, match=f"no package {other.digest}; 1 is {package.digest}"):
            repository.promote(f"eta@{other.digest}", "production")
        with pytest.raises(RepositoryError, match="looks like a digest"):
            repository.promote("eta", "deadbeefdead")
        assert repository.model("eta").aliases == {}


class TestMissing:
    """What is not there is an error that helps."""

    def test_says_what_there_is(self, repository: Repository) -> None:
        """Whatever is not there, the error says what is, and what was probably meant."""
        first, second = make("a"), make("b")
        with pytest.raises(NotFound, match=r"no model 'eta'; it has no models|no such folder"):
            repository.resolve("eta")
        repository.push(first)
        repository.push(second)
        with pytest.raises(NotFound, match="no alias 'production'; it has no aliases"):
            repository.resolve("eta@production")
        repository.promote("eta", "production")
        with pytest.raises(NotFound, match="no model 'eat'; did you mean 'eta'\\? it has eta"):
            repository.resolve("eat:1")
        with pytest.raises(NotFound, match="no model 'fare'; it has eta"):
            repository.model("fare")
        with pytest.raises(NotFound, match="no version 7; it has the versions 1 to 2"):
            repository.resolve("eta:7")
        with pytest.raises(NotFound, match="no alias 'prodution'; did you mean 'production'\\?"):
            repository.resolve("eta@prodution")
        absent = "sha256:" + "0" * 64
        with pytest.raises(NotFound, match=f"no package {absent}; 2 is {second.digest}, 1 is {first.digest}"):
            repository.resolve(f"eta@{absent}")
        with pytest.raises(NotFound, match="no package sha256:000000000000; "):
            repository.resolve("eta@sha256:000000000000")

    def test_an_ambiguous_beginning(self, repository: Repository) -> None:
        """The beginning of two digests names neither."""
        for number, last in enumerate("ab", 1):
            record = Version(number, "sha256:" + "0" * 63 + last)
            repository._store.create(version_key("eta", number), record.encode())
        with pytest.raises(NotFound, match=r"names 2 versions of eta .* 2 is sha256:0+b, 1 is sha256:0+a"):
            repository.resolve("eta@sha256:0000000000000")

    def test_a_digest_of_another_model(self, repository: Repository) -> None:
        """A digest names a package of its own model only."""
        fare = make("a", "fare")
        repository.push(fare)
        with pytest.raises(NotFound, match="a model named 'fare', not 'eta'"):
            repository.resolve(f"eta@{fare.digest}")


class TestDamage:
    """What was damaged or tampered with is never given out."""

    def test_a_changed_blob(self, location: str, package: Package) -> None:
        """A blob that is not what its digest says is refused, with its key and both digests; no other file suffers."""
        repository = Repository.open(location)
        repository.push(package)
        sha256 = package.manifest["files"]["engine/model.bin"]["sha256"]
        overwrite(repository, f"blobs/sha256/{sha256}", b"model A")
        pulled = repository.pull("eta")
        assert pulled.read("golden.json") == b"[]"
        with pytest.raises(CorruptPackage, match=f"blobs/sha256/{sha256} .* expected sha256:{sha256}, got sha256:"):
            pulled.read("engine/model.bin")

    def test_a_changed_manifest(self, repository: Repository, package: Package) -> None:
        """A manifest that is not what its digest says is refused too, by version and by digest."""
        repository.push(package)
        overwrite(repository, blob_key(package.digest), make("b").manifest_bytes)
        for reference in ("eta:1", f"eta@{package.digest}"):
            with pytest.raises(CorruptPackage, match=f"expected {package.digest}, got {make('b').digest}"):
                repository.pull(reference)

    def test_a_blob_that_is_no_package(self, repository: Repository, package: Package) -> None:
        """The digest of a file in a package is not the digest of a package."""
        repository.push(package)
        with pytest.raises(CorruptPackage, match="manifest"):
            repository.resolve("eta@sha256:" + package.manifest["files"]["engine/model.bin"]["sha256"])

    def test_a_missing_blob(self, repository: Repository, package: Package) -> None:
        """A version whose blobs are gone says which, by whatever name it is asked for."""
        repository._store.create(version_key("eta", 1), Version(1, package.digest).encode())
        for reference in ("eta:1", f"eta@{package.digest}"):
            with pytest.raises(CorruptPackage, match=f"manifest {package.digest} of eta:1 is missing"):
                repository.pull(reference)
        repository._store.create(blob_key(package.digest), package.manifest_bytes)
        with pytest.raises(CorruptPackage, match=r"the file golden.json of eta .* is missing"):
            repository.pull("eta:1").read("golden.json")

    def test_a_version_of_another_model(self, repository: Repository) -> None:
        """A record that was copied from another model is found out."""
        fare = make("a", "fare")
        repository.push(fare)
        repository._store.create(version_key("eta", 1), Version(1, fare.digest).encode())
        with pytest.raises(CorruptPackage, match=r"points at sha256:.*, the package of a model named 'fare'"):
            repository.pull("eta")

    @pytest.mark.parametrize(
        "record",
        [
            b"",
            b"{",
            b"[]",
            b'"x"',
            b"\xff\xfe",
            b"[" * 3000,
            b" " * 5000,
            b'{"digest":"sha256:%s"}' % (b"0" * 64),
            b'{"digest":"sha256:%s","version":1,"more":1}' % (b"0" * 64),
            b'{"digest":"sha256:%s","version":2}' % (b"0" * 64),
            b'{"digest":"sha256:%s","version":true}' % (b"0" * 64),
            b'{"digest":"sha256:%s","version":"1"}' % (b"0" * 64),
            b'{"digest":"sha256:%s","version":1,"version":1}' % (b"0" * 64),
            b'{"digest":"sha256:../../etc","version":1}',
            b'{"digest":null,"version":1}',
        ],
    )
    def test_a_damaged_record(self, repository: Repository, record: bytes) -> None:
        """A version whose record is anything but its two keys is an error that names the record, in every verb."""
        repository._store.create(version_key("eta", 1), record)
        verbs: list[Callable[[], object]] = [
            lambda: repository.resolve("eta"),
            lambda: repository.resolve("eta:1"),
            repository.models,
            lambda: repository.push(make()),
        ]
        for verb in verbs:
            with pytest.raises(RepositoryError, match=r"record models/eta/versions/1\.json in .* is damaged"):
                verb()

    def test_a_damaged_alias(self, repository: Repository, package: Package) -> None:
        """An alias whose record is damaged is neither followed nor overwritten."""
        repository.push(package)
        repository._store.create(alias_key("eta", "production"), b'{"digest":')
        verbs: list[Callable[[], object]] = [
            lambda: repository.resolve("eta@production"),
            lambda: repository.promote("eta", "production"),
        ]
        for verb in verbs:
            with pytest.raises(RepositoryError, match=r"aliases/production\.json in .* is damaged: expected JSON"):
                verb()

    def test_strangers_are_ignored(self, repository: Repository, package: Package) -> None:
        """What lies beside the records and is none does no harm."""
        repository.push(package)
        for key in (
            "models/README",
            "models/eta/notes.txt",
            "models/eta/versions/01.json",
            "models/eta/versions/x.json",
        ):
            repository._store.create(key, b"not ours")
        assert [model.name for model in repository.models()] == ["eta"]
        assert repository.push(make("b")) == 2


class TestModels:
    """Listing shows everything that can be named."""

    def test_lists(self, repository: Repository) -> None:
        """The list has every model with its versions and aliases, in order."""
        for content in "abc":
            repository.push(make(content, "eta"))
        repository.push(make("a", "a.b-c_d"))
        repository.promote("eta:2", "production")
        repository.promote("eta:3", "canary")
        first, second = repository.models()
        assert (first.name, [version.version for version in first.versions], first.aliases) == ("a.b-c_d", [1], {})
        assert second.versions == tuple(Version(n, make(c, "eta").digest) for n, c in enumerate("abc", 1))
        assert {alias: version.version for alias, version in second.aliases.items()} == {"canary": 3, "production": 2}
        assert second == repository.model("eta")

    def test_a_thousand_versions(self, repository: Repository) -> None:
        """A model with more versions than one page of a bucket's listing is listed, resolved and pushed to."""
        with ThreadPoolExecutor(8) as pool:
            list(
                pool.map(
                    lambda n: repository._store.create(version_key("eta", n), Version(n, f"sha256:{n:064x}").encode()),
                    range(1, 1101),
                )
            )
        assert [version.version for version in repository.model("eta").versions] == list(range(1, 1101))
        assert repository.resolve("eta").version == 1100
        assert repository.push(make()) == 1101
        assert repository.resolve(Reference("eta")).version == 1101


class TestRaces:
    """Of writers that race, one is first, and nobody is misled."""

    def test_threads_claim_versions(self, location: str) -> None:
        """Of many threads that push at once, each package gets one version, and the versions have no gaps."""
        repositories = [Repository.open(location) for _ in range(4)]
        start = threading.Barrier(4)

        def work(who: int) -> list[tuple[str, int]]:
            start.wait()
            packages = [make("shared"), *(make(f"{who}-{index}") for index in range(5))]
            return [(package.digest, repositories[who].push(package)) for package in packages]

        with ThreadPoolExecutor(4) as pool:
            pushed = {pair for pairs in pool.map(work, range(4)) for pair in pairs}
        assert sorted(version for _, version in pushed) == list(range(1, 22))
        versions = Repository.open(location).model("eta").versions
        assert {(version.digest, version.version) for version in versions} == pushed

    def test_one_gets_the_version(self, location: str) -> None:
        """Of writers that ask for the same version, one gets it, and the others hear who."""
        repositories = [Repository.open(location) for _ in range(4)]
        start = threading.Barrier(4)

        def work(who: int) -> str | None:
            start.wait()
            try:
                repositories[who].push(make(str(who)), version=1)
            except Conflict as error:
                return str(error)
            return None

        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(work, range(4)))
        assert results.count(None) == 1
        winner = make(str(results.index(None))).digest
        assert all(winner in result for result in results if result is not None)
        assert [version.digest for version in Repository.open(location).model("eta").versions] == [winner]

    def test_one_moves_the_alias(self, location: str) -> None:
        """Of writers that expect the same and want different things, one moves the alias; the others hear where to."""
        repositories = [Repository.open(location) for _ in range(4)]
        for content in "012345":
            repositories[0].push(make(content))
        repositories[0].promote("eta:6", "production")
        start = threading.Barrier(4)

        def work(who: int) -> str | None:
            start.wait()
            try:
                repositories[who].promote(f"eta:{who + 1}", "production", expected=6)
            except Conflict as error:
                return str(error)
            return None

        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(work, range(4)))
        assert results.count(None) == 1
        winner = results.index(None) + 1
        assert repositories[0].resolve("eta@production").version == winner
        assert all(f"points at version {winner}, sha256:" in result for result in results if result is not None)
