from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import pytest
import xgboost
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from fourfold import runtimes
from fourfold.errors import CorruptPackage, PackError, SignatureError
from fourfold.runtimes.engine import library_versions
from fourfold.signature import Field, Signature
from tests.runtimes import functions
from tests.runtimes.models import Clipper


class Duck:
    """Has predict, and no base class of anybody's."""

    def predict(self, rows: Any) -> Any:
        return rows


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (lightgbm.LGBMRegressor(), "lightgbm"),
        (xgboost.XGBClassifier(), "xgboost"),
        (xgboost.Booster(), "xgboost"),
        (make_pipeline(lightgbm.LGBMRegressor()), "sklearn"),
        (Ridge(), "sklearn"),
        (Clipper(), "sklearn"),
        (onnx.ModelProto(), "onnx"),
        (b"bytes", "onnx"),
        (Path("model.onnx"), "onnx"),
        ("model.onnx", "onnx"),
        (functions.doubles, "python"),
        (Duck(), "python"),
        (Duck().predict, "python"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_models_find_their_runtime(model: Any, name: str) -> None:
    """A model's type tells its runtime, a library's own estimators before scikit-learn's."""
    runtime = runtimes.by_model(model)
    assert (runtime.NAME, runtime) == (name, runtimes.by_name(name))


@pytest.mark.parametrize("model", [None, 3, "model.txt", Path("model.pkl"), Duck, Ridge, np.ones(3), {}], ids=str)
def test_what_is_no_model(model: Any) -> None:
    """What no runtime knows is refused with a list of what they do know."""
    with pytest.raises(PackError, match=r"expected a (scikit-learn estimator or pipeline, a LightGBM|model; got)"):
        runtimes.by_model(model)


def test_runtimes_that_are_none() -> None:
    """A package that names a runtime that is none is corrupt, whatever module has that name."""
    for name in ("threads", "", "../x", "Sklearn"):
        with pytest.raises(CorruptPackage, match="expected a runtime of plan, lightgbm"):
            runtimes.by_name(name)


def test_settings_that_are_none() -> None:
    """Settings that lack what a runtime needs, or name a method that is no answer, are a corrupt package."""
    ready = runtimes.by_model(Ridge()).prepare(Ridge().fit(np.ones((3, 2)), [1, 2, 3]), np.ones((3, 2)))
    signature = Signature(ready.inputs, ready.outputs)
    damages: list[dict[str, Any]] = [
        {"form": None},
        {"form": {"container": "cloud"}},
        {"methods": [{}]},
        {"methods": [{"name": "fit", "targets": None}]},
        {"methods": 3},
    ]
    for damage in damages:
        with pytest.raises((CorruptPackage, SignatureError)):
            runtimes.load("sklearn", {**ready.settings, **damage}, ready.files.__getitem__, signature, trust="foreign")
    for name in runtimes.NAMES:
        with pytest.raises(CorruptPackage, match="settings"):
            runtimes.load(name, {}, ready.files.__getitem__, signature, trust="code")


@pytest.mark.parametrize("dtype", ["U500000000", "V2147483647", "object", "M8[ns]", 5, None])
def test_inputs_of_a_type_that_no_graph_has(dtype: Any) -> None:
    """A type of NumPy's may have two gigabytes: the inputs of a graph are of the types that fields have."""
    settings = {"inputs": [{"name": "x", "dtype": dtype, "shape": [1], "columns": ["x"], "matrix": False}]}
    signature = Signature((Field("x", "float32"),), (Field("y", "float32"),))
    with pytest.raises(CorruptPackage, match="input 'x' is of the type"):
        runtimes.load("onnx", {**settings, "outputs": ["y"]}, lambda _: b"", signature, trust="foreign")


def test_a_number_beyond_floats_is_a_corrupt_setting() -> None:
    """JSON has integers of any length, which no float holds."""
    model = xgboost.XGBRegressor(n_estimators=1, n_jobs=1).fit(np.ones((3, 2)), [1, 2, 3])
    ready = runtimes.by_model(model).prepare(model, np.ones((3, 2)))
    settings = {**ready.settings, "missing": 10**400}
    signature = Signature(ready.inputs, ready.outputs)
    with pytest.raises(CorruptPackage, match="OverflowError"):
        runtimes.load("xgboost", settings, ready.files.__getitem__, signature, trust="foreign")


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_runtimes_are_imported_when_used() -> None:
    """The room itself imports none of the libraries that its runtimes drive."""
    heavy = "{'lightgbm', 'numpy', 'onnxruntime', 'pandas', 'pyarrow', 'sklearn', 'skops', 'xgboost'}"
    assert python(f"import sys, fourfold.runtimes; print(sorted({heavy} & sys.modules.keys()))") == "[]"


@pytest.mark.parametrize(("name", "library"), [("sklearn", "skops"), ("lightgbm", "lightgbm"), ("onnx", "onnxruntime")])
def test_missing_libraries_are_named(name: str, library: str) -> None:
    """A runtime whose library is not installed says which one, and which extra brings it."""
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from fourfold import runtimes; from fourfold.errors import MissingLibrary\n"
        f"try: runtimes.by_name({name!r})\n"
        "except MissingLibrary as error: print(error.library, error.extra, error)"
    )
    assert python(code).startswith(f"{library} {name} the {name} runtime needs {library}")


def test_versions_are_those_of_projects() -> None:
    """Versions go by the names of projects; modules of the standard library and of nobody have none."""
    found = library_versions("sklearn", "json", "nowhere4f", "numpy", container="arrow")
    assert list(found) == ["numpy", "pyarrow", "scikit-learn"]
    assert found["numpy"] == np.__version__
    assert library_versions(container="rows") == {}
