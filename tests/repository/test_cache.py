from __future__ import annotations

import os
from pathlib import Path

import pytest

from fourfold.errors import RepositoryError
from fourfold.package import Package
from fourfold.repository import Repository
from fourfold.repository.cache import Cache, default_folder

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def pushed(s3: str, package: Package) -> str:
    """Return a repository on S3 that holds a package; nothing of it is cached yet."""
    Repository.open(s3).push(package)
    return s3


def copies(folder: Path) -> list[Path]:
    """Return the files of a cache's folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_without_the_bucket(pushed: str, package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that was read once is read again by its digest with the bucket gone; by version or alias it is not."""
    Repository.open(pushed).pull("eta").verify()
    assert [path.name for path in copies(tmp_path / "cache")] == sorted(
        [package.digest[7:], *(entry["sha256"] for entry in package.manifest["files"].values())]
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY)
    cut_off = Repository.open(pushed)
    pulled = cut_off.pull(f"eta@{package.digest}")
    pulled.verify()
    assert pulled.manifest_bytes == package.manifest_bytes
    for reference in ("eta", "eta:1", "eta@production"):
        with pytest.raises(RepositoryError, match=f"{pushed} cannot be reached"):
            cut_off.resolve(reference)


def test_a_changed_copy(pushed: str, package: Package, tmp_path: Path) -> None:
    """A copy that is not what its digest says is thrown away, fetched again and put right."""
    Repository.open(pushed).pull("eta").verify()
    for path in copies(tmp_path / "cache"):
        path.write_bytes(b"tampered with")
    Repository.open(pushed).pull(f"eta@{package.digest}").verify()
    assert all(path.read_bytes() != b"tampered with" for path in copies(tmp_path / "cache"))


def test_a_changed_copy_without_the_bucket(pushed: str, package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed copy is not used even where nothing else can be had."""
    Repository.open(pushed).pull("eta").verify()
    for path in copies(Path(os.environ["FOURFOLD_CACHE"])):
        path.write_bytes(b"tampered with")
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY)
    with pytest.raises(RepositoryError, match="cannot be reached"):
        Repository.open(pushed).pull(f"eta@{package.digest}")


def test_a_changed_blob_is_not_kept(pushed: str, package: Package, tmp_path: Path) -> None:
    """What the bucket gives wrongly never enters the cache."""
    store = Repository.open(pushed)._store
    key = "blobs/sha256/" + package.digest[7:]
    content = store.get(key, 10_000)
    assert content is not None
    store.replace(key, b"{}", content[1])
    with pytest.raises(RepositoryError.__bases__[0], match="expected"):
        Repository.open(pushed).pull("eta")
    assert copies(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_written(
    pushed: str, package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A cache folder that cannot be made fails no read; the log says so once."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FOURFOLD_CACHE", str(tmp_path / "file" / "cache"))
    Repository.open(pushed).pull("eta").verify()
    warnings = [record.getMessage() for record in caplog.records if record.name == "fourfold.repository"]
    assert len(warnings) == 1
    assert "FOURFOLD_CACHE" in warnings[0]
    assert str(tmp_path / "file" / "cache") in warnings[0]


def test_a_copy_that_cannot_be_read(pushed: str, package: Package, tmp_path: Path) -> None:
    """Something else in a copy's place fails no read either."""
    (tmp_path / "cache/blobs/sha256" / package.digest[7:]).mkdir(parents=True)
    Repository.open(pushed).pull("eta").verify()


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    """A copy gets its own name only when it is whole, is for its owner alone, and leaves nothing beside it."""
    digest = "sha256:" + "0" * 64
    cache = Cache(tmp_path / "cache")
    assert cache.read(digest, 10) is None
    cache.write(digest, b"1")
    cache.write(digest, b"2")
    assert cache.read(digest, 10) == b"2"
    assert len(copies(tmp_path / "cache")) == 1
    assert (tmp_path / "cache/blobs/sha256").stat().st_mode & 0o077 == 0
    cache.discard(digest)
    cache.discard(digest)
    assert cache.read(digest, 10) is None


def test_only_buckets_are_cached(tmp_path: Path, package: Package) -> None:
    """A folder and a memory are as near as the cache would be."""
    for location in (str(tmp_path / "repository"), "memory://only-buckets-are-cached"):
        repository = Repository.open(location)
        repository.push(package)
        repository.pull("eta").verify()
    assert not (tmp_path / "cache").exists()


def test_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is where the environment says, else where the desktop's rules say."""
    assert default_folder() == tmp_path / "cache"
    monkeypatch.delenv("FOURFOLD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "fourfold"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "fourfold"
    monkeypatch.setenv("FOURFOLD_CACHE", "~/kept")
    assert default_folder() == tmp_path / "kept"
