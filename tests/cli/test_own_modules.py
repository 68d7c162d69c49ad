"""`fourfold pack --estimator` whose file needs a module of the current folder: asked for, named, or allowed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fourfold
from tests.cli.commands import call

MODULE = """
    from pathlib import Path
    from sklearn.base import BaseEstimator, RegressorMixin

    Path("ran").write_text("")

    class Twice(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            self.n_features_in_ = 1
            self.feature_names_in_ = __import__("numpy").array(["x"], dtype=object)
            return self

        def predict(self, X):
            return X["x"].to_numpy() * 2.0
"""
#: As the script `fourfold` runs: without the current folder among the places of modules.
COMMAND = (sys.executable, "-P", "-m", "fourfold", "pack", "twice", "--estimator", "twice.pickle", "--no-measure")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module, a pickle that needs it, and rows."""
    (tmp_path / "mine_too.py").write_text(textwrap.dedent(MODULE))
    program = "import pickle, mine_too; pickle.dump(mine_too.Twice().fit(None, None), open('twice.pickle', 'wb'))"
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=tmp_path, check=True)
    (tmp_path / "ran").unlink()
    (tmp_path / "rows.csv").write_text("x\n" + "".join(f"{index}.5\n" for index in range(20)))
    return tmp_path


def test_without_a_terminal_the_option_is_named(folder: Path) -> None:
    """Nothing of the folder has run, and the option that is named works: the module is carried in the package."""
    arguments = [*COMMAND, "--rows", "rows.csv"]
    refused = subprocess.run(
        arguments, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert refused.returncode == 4
    assert "needs the module mine_too, which is in the current folder (mine_too.py)" in refused.stderr
    assert "--modules ." in refused.stderr
    assert not (folder / "ran").exists()
    subprocess.run([*arguments, "--modules", ".", "-q"], cwd=folder, capture_output=True, check=True)
    assert (folder / "ran").exists()
    package = fourfold.open(folder / "twice.fourfold")
    assert "code/mine_too.py" in package.names
    assert list(fourfold.load(package, trust="code").predict_one({"x": 4.0}).values()) == [8.0]


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_the_user_is_asked(folder: Path, answer: str) -> None:
    """Only a yes runs the module."""
    parent, child = os.openpty()
    arguments = [*COMMAND, "--rows", "rows.csv"]
    with subprocess.Popen(arguments, cwd=folder, stdin=child, stdout=subprocess.DEVNULL, stderr=child) as process:
        os.close(child)
        shown = b""
        while b"Run it?" not in shown:
            shown += os.read(parent, 65_536)
        assert not (folder / "ran").exists()
        os.write(parent, answer.encode() + b"\n")
        try:
            while os.read(parent, 65_536):
                pass
        except OSError:
            pass  # Linux ends a terminal so when its last writer has gone
    os.close(parent)
    assert process.returncode == (0 if answer == "y" else 4)
    assert (folder / "ran").exists() == (answer == "y")
    assert (folder / "twice.fourfold").exists() == (answer == "y")


def test_models_without_modules_have_none(folder: Path) -> None:
    """The option is for Python objects: another kind says so before it reads anything."""
    (folder / "x.onnx").write_bytes(b"")
    refused = call(
        *("pack", "x", "--onnx", folder / "x.onnx", "--rows", folder / "rows.csv", "--modules", folder), ok=2
    )
    assert "--modules is for a model of Python objects" in " ".join(refused.stderr.split())
