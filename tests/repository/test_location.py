from __future__ import annotations

from pathlib import Path

import pytest

from fourfold.errors import RepositoryError
from fourfold.repository import Repository, default_url
from fourfold.repository.location import open_store


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, a file URL and a home folder are folders; a relative one stays where it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_store(tmp_path / "a b").url == f"{tmp_path}/a b"
    assert open_store(f"file://{tmp_path}/a%20b").url == f"{tmp_path}/a b"
    assert open_store("~/models").url == f"{tmp_path}/home/models"
    relative = open_store("models")
    monkeypatch.chdir("/")
    assert relative.url == f"{tmp_path}/models"


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/a/b=c/d.e", "gs://a_b/c", "memory://eta"])
def test_buckets(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of bucket has its URL, with or without a slash at its end; opening it asks nothing of the network."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert Repository.open(url).url == url
    assert Repository.open(url + "/").url == url


def test_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container of Azure needs its account from the environment, and says so."""
    with pytest.raises(RepositoryError, match=r"cannot open it in az://models: .*Account must be specified"):
        open_store("az://models").get("models/eta/versions/1.json", 10)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert open_store("az://models/prefix").url == "az://models/prefix"


@pytest.mark.parametrize(
    "location",
    [
        "",
        "a\0b",
        "http://host/models",
        "s3://",
        "s3:///models",
        "s3://bucket/../other",
        "s3://bucket/./a",
        "s3://bucket/a//b",
        "s3://bucket/a%2e",
        "s3://bucket:9000/a",
        "s3://-bucket",
        "file://host/models",
        "file:///models?x=1",
        "memory://",
    ],
)
def test_refused(location: str) -> None:
    """What is no place for a repository says what would be."""
    with pytest.raises(RepositoryError, match="expected"):
        open_store(location)


@pytest.mark.parametrize(
    "url", ["s3://id:hunter22@bucket/a", "s3://bucket/a?secret=hunter22", "s3://bucket/a#hunter22"]
)
def test_secrets_in_a_url(url: str) -> None:
    """A URL with credentials is refused, and the refusal does not repeat them."""
    with pytest.raises(RepositoryError, match="credentials and options come from the environment") as caught:
        open_store(url)
    assert "hunter22" not in str(caught.value)


def test_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is named, the environment must, and the error says how."""
    with pytest.raises(RepositoryError, match="set FOURFOLD_REPOSITORY"):
        default_url()
    with pytest.raises(RepositoryError, match="no repository is named"):
        Repository.open()
    monkeypatch.setenv("FOURFOLD_REPOSITORY", "s3://bucket/models")
    assert default_url() == "s3://bucket/models"
