from __future__ import annotations

from pathlib import Path

import pytest

from fourfold.durable.file_urls import local_file
from fourfold.errors import SourceError


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("days/1.parquet", "days/1.parquet"),
        ("C:/days", "C:/days"),
        ("file:///days/1.parquet", "/days/1.parquet"),
        ("FILE://localhost/days/*.csv", "/days/*.csv"),
        ("file:///with%20space/%C3%A9?.csv", "/with space/é?.csv"),
    ],
)
def test_a_name_is_a_path_or_a_url(name: str, path: str) -> None:
    """A `file://` URL names its path, and a path itself."""
    assert local_file(name, SourceError, "the source") == path


@pytest.mark.parametrize("name", ["s3://bucket/days", "https://example.org/x.csv", "file://host/x.csv", "file://"])
def test_other_urls_are_refused(name: str) -> None:
    """Another scheme, or host, is an error that shows what came."""
    with pytest.raises(SourceError, match=f"expected the source.*{name}"):
        local_file(name, SourceError, "the source")


@pytest.mark.parametrize("name", ["s3:/bucket/days.csv", "postgres:/days"])
def test_a_url_that_lacks_a_slash_is_no_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, unless a file or a folder has that very name."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"looks like a URL that lacks a slash, \w+://; only files can be named here"):
        local_file(name, SourceError, "the source")
    (tmp_path / name).parent.mkdir(parents=True)
    assert local_file(name, SourceError, "the source") == name
