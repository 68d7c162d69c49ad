"""The commands that `pack`, `push` and `promote` suggest: pasted into a shell, they run."""

from __future__ import annotations

import json
import pickle
import shlex
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

from fourfold.cli.next_steps import quoted
from tests.cli.commands import call, run


def suggested(text: str) -> list[list[str]]:
    """The words of the commands that a text suggests, as a shell reads them, without `fourfold`."""
    lines = [line.removeprefix("next:  fourfold ") for line in text.splitlines() if line.startswith("next:")]
    return [shlex.split(line) for line in lines]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose name has blanks and a quote, with a pickled model and its rows."""
    folder = tmp_path / "Ann's models & more"
    folder.mkdir()
    rows = pd.DataFrame({"x": [float(index) for index in range(40)]})
    rows.to_csv(folder / "some rows.csv", index=False)
    (folder / "tree.pickle").write_bytes(pickle.dumps(DecisionTreeRegressor(max_depth=2).fit(rows, rows["x"])))
    (folder / "line.pickle").write_bytes(pickle.dumps(LinearRegression().fit(rows, rows["x"])))
    return folder


def pack(folder: Path, model: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Pack one of the models."""
    files = "--estimator", folder / f"{model}.pickle", "--rows", folder / "some rows.csv"
    return call("pack", model, *files, "--no-measure", "-o", folder / f"{model} 1.fourfold", *more)


def test_one_command_leads_to_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From pack to certify and push, from push to promote, from promote to serve: each as it was printed."""
    monkeypatch.chdir(folder)
    packed = pack(folder, "line", "--engine", "original")
    assert "next:" not in packed.stdout
    certify, push = suggested(packed.stderr)
    assert certify[0] == "certify"
    assert "the same bits everywhere" in call(*certify, "--architecture", "embed").stdout
    pushed = call(*push)
    assert pushed.stdout.startswith("line:1 ")
    (promote,) = suggested(pushed.stderr)
    assert promote == ["promote", "line:1", "production", "--repository", "models"]
    (serve,) = suggested(call(*promote).stderr)
    assert serve == ["serve", "line@production", "--repository", "models", "--trust", "foreign"]


def test_a_repository_of_the_environment_is_not_repeated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What FOURFOLD_REPOSITORY says need not be typed, and a plan needs no trust."""
    monkeypatch.setenv("FOURFOLD_REPOSITORY", str(folder / "models"))
    _, push = suggested(pack(folder, "tree").stderr)
    assert push == ["push", str(folder / "tree 1.fourfold")]
    (promote,) = suggested(call(*push).stderr)
    assert promote == ["promote", "tree:1", "production"]
    assert suggested(call(*promote).stderr) == [["serve", "tree@production"]]


def test_scripts_and_schedulers_are_told_nothing(folder: Path) -> None:
    """With --json standard error is empty, and with -q standard output is, too."""
    files = "--estimator", folder / "tree.pickle", "--rows", folder / "some rows.csv", "--no-measure"
    models = "--repository", folder / "models"
    verbs = (
        ("pack", "tree", *files, "--replace", "-o", folder / "tree.fourfold"),
        ("push", folder / "tree.fourfold", *models),
        ("promote", "tree:1", "production", *models),
        ("list", *models),
        ("pull", "tree@production", "--replace", "-o", folder / "pulled.fourfold", *models),
    )
    for verb in verbs:
        done = run(*verb, "-q")
        assert (done.stdout, done.stderr) == ("", "")
    for verb in verbs:
        done = run(*verb, "--json")
        assert (bool(json.loads(done.stdout)), done.stderr) == (True, "")


def test_what_cannot_be_served_is_said_when_it_is_promoted(folder: Path) -> None:
    """The alias moves, a note tells what is missing, and no command is suggested that would fail."""
    pack(folder, "tree")
    models = folder / "models"
    digest = call("push", folder / "tree 1.fourfold", "--repository", models).stdout.split()[1]
    (models / "blobs" / "sha256" / digest.removeprefix("sha256:")).unlink()
    done = call("promote", "tree:1", "production", "--repository", models)
    assert done.stdout.startswith("tree@production  is tree:1")
    assert f"note: the manifest {digest} of tree:1 is missing" in done.stderr
    assert suggested(done.stderr) == []


@pytest.mark.parametrize(
    "word", ["plain", "two words", "it's", "$HOME `id` \\", "bell\a and \x1b[31m red", "ümlaut", "-x"]
)
def test_a_shell_reads_what_was_meant(word: str) -> None:
    """Blanks, quotes and control characters come through, and none of the latter is printed."""
    text = quoted(["printf", "%s", word])
    assert text.isprintable()
    assert subprocess.run(["bash", "-c", text], capture_output=True, check=True).stdout.decode() == word
