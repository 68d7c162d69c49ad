"""`fourfold.push`, `pull`, `promote` and `list`: a repository in one call."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest

import fourfold
from fourfold.errors import Conflict, NotFound, OutputExists, RepositoryError, SourceError
from fourfold.repository import Repository
from tests.package.sample import package
from tests.support import make_predictor


def test_a_package_goes_in_and_comes_out(tmp_path: Path) -> None:
    """From a package, a path and a URL of a file; to a folder, a path or a repository that is open; and out again."""
    models = tmp_path / "models"
    path = package().save(tmp_path / "sample.fourfold")
    for source in (package(), path, str(path), path.as_uri()):
        for repository in (models, str(models), models.as_uri(), Repository.open(models)):
            assert fourfold.push(source, repository) == 1
    assert fourfold.push(package(provenance={"note": "next"}), models) == 2
    assert fourfold.promote("sample:1", "production", models).digest == package().digest
    assert fourfold.pull("sample@production", models).digest == package().digest
    pulled = fourfold.pull("sample@production", models, to=tmp_path / "pulled.fourfold")
    assert (pulled.digest, (tmp_path / "pulled.fourfold").read_bytes()) == (package().digest, path.read_bytes())
    (model,) = fourfold.list(repository=models)
    assert [version.version for version in model.versions] == [1, 2]
    assert {alias: version.version for alias, version in model.aliases.items()} == {"production": 1}
    assert fourfold.list("sample", models) == (model,)


def test_the_variable_names_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a repository, each takes that of the environment; without both, the error says so."""
    with pytest.raises(RepositoryError, match="no repository is named: say repository="):
        fourfold.list()
    monkeypatch.setenv("FOURFOLD_REPOSITORY", str(tmp_path / "models"))
    fourfold.push(package(), alias="production")
    fourfold.promote("sample@production", "canary")
    assert fourfold.pull("sample@canary").digest == package().digest
    assert sorted(fourfold.list()[0].aliases) == ["canary", "production"]


def test_a_push_points_the_alias_at_its_version(tmp_path: Path) -> None:
    """At a new version and at one that was there; an alias that is none is refused before anything is written."""
    models = tmp_path / "models"
    with pytest.raises(RepositoryError, match="alias"):
        fourfold.push(package(), models, alias="Not An Alias")
    assert not models.exists()
    assert fourfold.push(package(), models, alias="production") == 1
    assert fourfold.push(package(provenance={"note": "next"}), models, alias="production") == 2
    assert fourfold.pull("sample@production", models).digest != package().digest
    assert fourfold.push(package(), models, alias="production") == 1
    assert fourfold.pull("sample@production", models).digest == package().digest
    with pytest.raises(Conflict):
        fourfold.push(package(provenance={"note": "third"}), models, version=1, alias="production")
    assert fourfold.pull("sample@production", models).digest == package().digest


def test_a_pull_replaces_nothing_without_a_word(tmp_path: Path) -> None:
    """What is in the way is an error, unless it may go."""
    fourfold.push(package(), tmp_path / "models")
    path = tmp_path / "taken.fourfold"
    path.write_bytes(b"another file")
    with pytest.raises(OutputExists):
        fourfold.pull("sample", tmp_path / "models", to=path)
    fourfold.pull("sample", tmp_path / "models", to=path, replace=True)
    assert fourfold.open(path).digest == package().digest


def test_what_is_no_package_is_told_the_way(tmp_path: Path) -> None:
    """A predictor has a package, a model is packed first, and a path that is not there is named."""
    with pytest.raises(
        TypeError, match=r"got a fourfold\.predictor\.Predictor: push its package: .*predictor\.package"
    ):
        fourfold.push(make_predictor(), tmp_path)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"got a dict: a model is packed first: fourfold\.push\(fourfold\.pack\("):
        fourfold.push({}, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="cannot read the package eta: No such file"):
        fourfold.push("eta", tmp_path)
    with pytest.raises(SourceError, match="expected the package to be a path"):
        fourfold.push("s3://bucket/eta.fourfold", tmp_path)
    assert builtins.list(tmp_path.iterdir()) == []


def test_a_repository_in_the_place_of_a_model_is_told(tmp_path: Path) -> None:
    """`list` takes a model first, as the command does; a path, a URL or a repository there is named."""
    fourfold.push(package(), tmp_path / "models")
    for wrong in (str(tmp_path / "models"), "models/", "s3://bucket/models", Repository.open("models")):
        with pytest.raises(RepositoryError, match="expected the name of a model; for a repository say repository="):
            fourfold.list(wrong)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="sample"):
        fourfold.list("simple", tmp_path / "models")


def test_a_repository_is_opened() -> None:
    """A folder given to the class itself is told the way."""
    with pytest.raises(TypeError, match=r"Repository\.open\('models'\)"):
        Repository("models")  # type: ignore[arg-type]
