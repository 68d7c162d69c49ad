from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.errors import RepositoryError
from fourfold.repository import Version
from fourfold.repository.records import alias_key, blob_key, parse_key, version_key


@given(st.integers(1, 999_999_999), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_round_trip(version: int, digits: str) -> None:
    """A record is read as it was written."""
    record = Version(version, f"sha256:{digits}")
    assert Version.decode(record.encode(), "the record") == record
    assert Version.decode(record.encode("0" * 32), "the record", is_alias=True) == record


@given(st.binary(max_size=200))
def test_anything_else_is_damaged(data: bytes) -> None:
    """Bytes that are no record are an error of the repository, whatever they are."""
    with pytest.raises(RepositoryError, match="the record is damaged"):
        Version.decode(data, "the record")


@pytest.mark.parametrize("token", ["", "0" * 31, "A" * 32, "0" * 33])
def test_tokens(token: str) -> None:
    """The record of an alias has a token, that of a version none."""
    record = Version(1, "sha256:" + "0" * 64)
    for data, alias in ((record.encode(), True), (record.encode("0" * 32), False), (record.encode(token), True)):
        with pytest.raises(RepositoryError, match="the record is damaged"):
            Version.decode(data, "the record", is_alias=alias)


def test_keys() -> None:
    """The keys are those of the documented layout, and are read back."""
    assert version_key("eta", 12) == "models/eta/versions/12.json"
    assert alias_key("eta", "production") == "models/eta/aliases/production.json"
    assert blob_key("sha256:" + "0" * 64) == "blobs/sha256/" + "0" * 64
    assert parse_key(version_key("a.b", 3)) == ("a.b", 3)
    assert parse_key(alias_key("a.b", "v3")) == ("a.b", "v3")


@pytest.mark.parametrize(
    "key",
    [
        "probe.json",
        "models/eta",
        "models/eta/versions/0.json",
        "models/eta/versions/01.json",
        "models/eta/versions/1.json.tmp",
        "models/eta/versions/.1.json",
        "models/-eta/versions/1.json",
        "models/../versions/1.json",
        "models/eta/aliases/1.json",
        "models/eta/aliases/latest.json",
        "models/a/b/versions/1.json",
        "blobs/sha256/" + "0" * 64,
    ],
)
def test_strange_keys(key: str) -> None:
    """A key that no reference leads to is nobody's record."""
    assert parse_key(key) is None


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc/passwd", "sha256:" + "A" * 64, "0" * 64])
def test_no_blobs(digest: str) -> None:
    """Only a digest has a blob."""
    with pytest.raises(RepositoryError):
        blob_key(digest)
