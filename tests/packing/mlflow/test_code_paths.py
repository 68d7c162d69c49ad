from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

import fourfold
from fourfold.errors import PackError, TrustError
from fourfold.packing.mlflow import open_mlflow
from tests.packing.mlflow.saved_models import write
from tests.runtimes.own_modules import importing
from tests.runtimes.own_modules import write as write_files

FRAME = pd.DataFrame({"a": [1.0, 2.0, -4.0, 0.5], "b": [3.0, 1.0, 0.0, 2.0]})
SOURCE = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from help4f.inner import FACTOR


class Scale(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.abs(np.asarray(X)) * FACTOR
"""
FLAVOR = {"pickled_model": "model.pkl", "serialization_format": "pickle"}


def saved(folder: Path, flavors: dict[str, Any], factor: float = 3.0) -> tuple[Path, Any]:
    """An MLflow model with `code_paths`, as MLflow lays it out, and what its estimator answers to `FRAME`."""
    code = write_files(
        folder / "code",
        {"mine4f.py": SOURCE, "help4f/__init__.py": "", "help4f/inner.py": f"FACTOR = {factor}\n"},
    )
    with importing(code) as load:
        model = make_pipeline(load("mine4f").Scale(), LinearRegression()).fit(FRAME, [1.0, 5.0, 2.0, 3.0])
        write(folder, flavors)
        (folder / "model.pkl").write_bytes(pickle.dumps(model))
        return folder, model.predict(FRAME)


@pytest.mark.parametrize(
    "flavors",
    [
        {"sklearn": {**FLAVOR, "code": "code"}},
        {"sklearn": FLAVOR, "python_function": {"loader_module": "mlflow.sklearn", "code": "code"}},
    ],
)
def test_an_estimator_comes_with_its_own_code(flavors: dict[str, Any], tmp_path: Path) -> None:
    """The package carries the model's own modules, whatever modules of these names the packing host has."""
    folder, expected = saved(tmp_path / "m", flavors)
    host = write_files(tmp_path / "host", {"mine4f.py": "class Scale:\n    pass\n", "help4f.py": "1 / 0\n"})
    with importing(host) as load:
        load("mine4f")
        package, _ = open_mlflow(folder, trust="code").pack(name="own", rows=FRAME)
        again, _ = open_mlflow(folder, trust="code").pack(name="own", rows=FRAME)
        assert again.digest == package.digest
        answers = [row["prediction"] for row in fourfold.load(package, trust="code").predict(FRAME.to_dict("records"))]
    assert np.array(answers).tobytes() == expected.tobytes()
    assert package.manifest["runtime"]["settings"]["code"] == [
        *("code/help4f/__init__.py", "code/help4f/inner.py", "code/mine4f.py"),
    ]
    assert "help4f" not in sys.modules


def test_two_models_of_one_module(tmp_path: Path) -> None:
    """Two models that bring modules of the same names answer each with its own, in one process."""
    predictors = []
    for number in (1, 2):
        folder, expected = saved(tmp_path / f"m{number}", {"sklearn": {**FLAVOR, "code": "code"}}, float(number))
        package, _ = open_mlflow(folder, trust="code").pack(name="own", rows=FRAME)
        predictors.append((fourfold.load(package, trust="code"), expected))
    for predictor, expected in predictors:
        answers = [row["prediction"] for row in predictor.predict(FRAME.to_dict("records"))]
        assert np.array(answers).tobytes() == expected.tobytes()


def test_code_runs_with_trust_alone(tmp_path: Path) -> None:
    """Neither the pickle nor the code runs before somebody has said that they may."""
    folder, _ = saved(tmp_path / "m", {"sklearn": {**FLAVOR, "code": "code"}})
    (folder / "code/mine4f.py").write_text("import sys\nsys.ran4f = True\n")
    with pytest.raises(TrustError, match="--trust code on the command line"):
        open_mlflow(folder)
    assert not hasattr(sys, "ran4f")


def test_code_that_does_not_hold_the_model(tmp_path: Path) -> None:
    """A class that the model's code lacks, a link out of the model, and skops beside code are refused with a reason."""
    folder, _ = saved(tmp_path / "m", {"sklearn": {**FLAVOR, "code": "code"}})
    (folder / "code/mine4f.py").write_text("K = 1\n")
    with pytest.raises(PackError, match=r"model\.pkl cannot be loaded with its own code: .*mine4f has no 'Scale'"):
        open_mlflow(folder, trust="code")
    (folder / "code/mine4f.py").unlink()
    with pytest.raises(PackError, match="needs mine4f, which is not installed here"):
        open_mlflow(folder, trust="code")
    (folder / "code/mine4f.py").symlink_to("/etc/hostname")
    with pytest.raises(PackError, match="outside of its directory"):
        open_mlflow(folder, trust="code")


def test_skops_beside_code(tmp_path: Path) -> None:
    """A skops file names classes that only an import finds, so one of the model's own code is refused."""
    import skops.io

    folder, _ = saved(tmp_path / "m", {"sklearn": {**FLAVOR, "code": "code", "serialization_format": "skops"}})
    with importing(folder / "code"):
        model = pickle.loads((folder / "model.pkl").read_bytes())
        skops.io.dump(model, folder / "model.pkl")
    with pytest.raises(TrustError, match=r"mine4f\.Scale"):
        open_mlflow(folder)
    with pytest.raises(PackError, match=r"mine4f\.Scale.*serialization_format='cloudpickle'"):
        open_mlflow(folder, trust="code")
