"""References name packages in the repository, paths name packages on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from fourfold.errors import NotFound
from fourfold.loading.loader import find
from fourfold.package import write_package
from fourfold.repository import Repository
from tests.package import sample


def test_a_folder_named_like_a_model_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is the repository's model, whatever lies in the working folder; with a slash it is the folder."""
    monkeypatch.chdir(tmp_path)
    repository = Repository.open(tmp_path / "models")
    pushed, other = sample.package(), sample.package(provenance={"note": "another package"})
    repository.push(pushed)
    write_package(other, "sample")
    package, version, *_ = find("sample", repository=repository)
    assert (package.digest, version) == (pushed.digest, 1)
    package, version, *_ = find("./sample", repository=repository)
    assert (package.digest, version) == (other.digest, None)
    Path("sample").rename("unknown")
    with pytest.raises(NotFound):
        find("unknown", repository=repository)
