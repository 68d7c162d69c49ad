"""References name packages in the repository, paths name packages on the disk."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fourfold
from fourfold.errors import EngineError, NotFound, SourceError
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
    with pytest.raises(NotFound, match=r"for the package in the folder unknown, write '\./unknown'"):
        find("unknown", repository=repository)


def test_open_takes_whatever_load_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, a `file://` URL, a reference and a package itself; nothing is loaded, so no trust is needed."""
    package = sample.package()
    path = package.save(tmp_path / "sample.fourfold")
    monkeypatch.setenv("FOURFOLD_REPOSITORY", str(tmp_path / "models"))
    fourfold.push(path, alias="production")
    sources = (path, str(path), path.as_uri(), "sample", "sample:1", "sample@production", package)
    assert {fourfold.open(source).digest for source in sources} == {package.digest}
    assert fourfold.open("sample", tmp_path / "models").digest == package.digest
    assert fourfold.open(package) is package


def test_what_is_no_package_is_told_the_way(tmp_path: Path) -> None:
    """A model is packed first; a package in a bucket has a reference and a repository."""
    functions: tuple[Callable[[Any], object], ...] = (fourfold.load, fourfold.open)
    for function in functions:
        with pytest.raises(
            TypeError, match=r"got a builtins\.object: a model is packed first, fourfold\.load\(fourfold"
        ):
            function(object())
        with pytest.raises(SourceError, match=r"'eta@production' and repository='s3://bucket/models' \(--repository"):
            function("s3://bucket/models/eta@production")


LEAVER = """
import os
import sys

if os.environ.get("FOURFOLD_TEST_LEAVES"):
    sys.exit(0)


def model(rows):
    return [{"y": row["x"]} for row in rows]
"""


def test_code_that_ends_the_process_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose code calls `sys.exit` while it is loaded does not end its host in silence, with status 0."""
    (tmp_path / "leaver4f.py").write_text(LEAVER)
    monkeypatch.syspath_prepend(tmp_path)
    model = importlib.import_module("leaver4f").model
    package = fourfold.pack(model, name="leaver", rows=[{"x": float(index)} for index in range(20)])
    monkeypatch.setenv("FOURFOLD_TEST_LEAVES", "1")
    monkeypatch.delitem(sys.modules, "leaver4f")
    with pytest.raises(EngineError, match="SystemExit"):
        fourfold.load(package, trust="code")
