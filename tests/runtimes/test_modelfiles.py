"""Models from files: each kind in its own format, and the columns that a model knows."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import catboost
import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
import xgboost
from sklearn.linear_model import LinearRegression

from fourfold.errors import PackError
from fourfold.runtimes.modelfiles import columns_of, open_model
from tests.runtimes.trip import NUMBERS, TARGET

FILLED = NUMBERS.fillna(0.0)
LINE = LinearRegression().fit(FILLED, TARGET)
QUIET: dict[str, Any] = {"iterations": 3, "depth": 2, "verbose": 0, "allow_writing_files": False}


@pytest.mark.parametrize("form", ["pickle", "joblib", "compressed", "skops"])
def test_estimators_of_every_format(form: str, tmp_path: Path) -> None:
    """A pickle, joblib's file, compressed or not, and a skops file hold the same estimator."""
    path = tmp_path / "model"
    if form == "pickle":
        path.write_bytes(pickle.dumps(LINE))
    elif form == "skops":
        skops.io.dump(LINE, path)
    else:
        joblib.dump(LINE, path, compress=3 if form == "compressed" else 0)
    opened = open_model("skops" if form == "skops" else "estimator", path, trust=False)
    assert opened.notes == ()
    assert np.array_equal(opened.model.predict(FILLED), LINE.predict(FILLED))


def test_a_model_of_another_version_is_noted(tmp_path: Path) -> None:
    """scikit-learn's warning of another version becomes a note, once for a model of many parts."""

    class Old:
        def __reduce__(self) -> Any:
            return LinearRegression, (), LINE.__getstate__() | {"_sklearn_version": "1.2.3"}

    path = tmp_path / "old.pickle"
    path.write_bytes(pickle.dumps([Old(), Old()]))
    opened = open_model("estimator", path)
    assert [note.partition("; ")[0] for note in opened.notes] == ["the model was written by scikit-learn 1.2.3"]


@pytest.mark.parametrize("classifies", [False, True])
def test_catboost_in_json_is_the_model_in_cbm(classifies: bool, tmp_path: Path) -> None:
    """A model in CatBoost's JSON answers to the bit as CatBoost itself reads it, whose JSON rounds a little."""
    kind = catboost.CatBoostClassifier if classifies else catboost.CatBoostRegressor
    model = kind(**QUIET).fit(FILLED, TARGET.mean() < TARGET if classifies else TARGET)
    model.save_model(str(tmp_path / "model.json"), format="json")
    model.save_model(str(tmp_path / "model.cbm"))
    found = [open_model("catboost", tmp_path / name).model for name in ("model.json", "model.cbm")]
    assert [type(each) for each in found] == [kind, kind]
    originals = [kind().load_model(tmp_path / "model.json", format="json"), model]
    for each, original in zip(found, originals, strict=True):
        method = "predict_proba" if classifies else "predict"
        assert np.array_equal(getattr(each, method)(FILLED), getattr(original, method)(FILLED))
    (tmp_path / "none.json").write_text("{}")
    for name, form in (("none.json", None), ("model.json", "cbm"), ("model.cbm", "json"), ("model.cbm", "python")):
        with pytest.raises(PackError, match=rf"{name} is "):
            open_model("catboost", tmp_path / name, form=form)


def test_the_columns_that_models_know() -> None:
    """Every library has its own word for the names of columns; what was trained on an array knows none."""
    array = FILLED.to_numpy()
    names = tuple(FILLED)
    options: dict[str, Any] = {"verbose": -1, "min_data_in_leaf": 1}
    models: list[Any] = [
        lambda data: LinearRegression().fit(data, TARGET),
        lambda data: lightgbm.train(options, lightgbm.Dataset(data, TARGET), 2),
        lambda data: xgboost.train({}, xgboost.DMatrix(data, TARGET), 2),
        lambda data: catboost.CatBoostRegressor(**QUIET).fit(data, TARGET),
    ]
    assert {columns_of(make(FILLED)) for make in models} == {names}
    assert {columns_of(make(array)) for make in models} == {()}
    assert columns_of(pd.DataFrame) == ()
    assert columns_of(b"onnx") == ()
