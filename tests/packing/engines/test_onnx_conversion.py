"""ONNX Runtime is a candidate with a converted model, and is rejected where the conversion changed answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

import fourfold
from fourfold.errors import PackError
from fourfold.packing.engines import onnx_conversion

RANDOM = np.random.default_rng(11)
NUMBERS = RANDOM.normal(size=(300, 4))
TARGET = NUMBERS[:, 0] * 3 + np.sin(NUMBERS[:, 1] * 4)
FRAME = pd.DataFrame(NUMBERS, columns=list("abcd")).assign(word=RANDOM.choice(["red", "green", "blue"], 300))


def test_a_model_that_converts_well_can_be_run_by_onnx_runtime() -> None:
    """A linear model in float64 keeps its answers within what is accepted, and its labels; the package says which."""
    words = FRAME[["word"]].assign(other=RANDOM.choice(["a", "b"], 300))
    columns = make_column_transformer((OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["word", "other"]))
    model = make_pipeline(columns, LogisticRegression()).fit(words, np.where(TARGET > 0, "up", "down"))
    package = fourfold.pack(model, name="converted", rows=words, engine="onnx", accept="rtol:1e-6")
    assert package.manifest["runtime"]["name"] == "onnx"
    chosen = next(entry for entry in package.manifest["engines"] if entry["chosen"])
    assert chosen["engine"] == "onnx"
    assert chosen["verdict"] in ("exact", "bound")
    outputs = fourfold.load(package).predict(words)
    assert outputs["label"].tolist() == model.predict(words).tolist()


def test_a_row_that_only_the_converted_model_answers_is_a_difference() -> None:
    """The original refuses NaN: an answer of ONNX Runtime is a difference, whatever the tolerance."""
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(NUMBERS, np.where(TARGET > 0, "up", "down"))
    with pytest.raises(PackError, match="expected 'a refusal', got"):
        fourfold.pack(model, name="lax", rows=NUMBERS, engine="onnx", accept="rtol:1e-3")


def _categories() -> tuple[Any, Any]:
    codes = np.column_stack([np.random.default_rng(1).integers(0, 12, 300).astype(float), NUMBERS[:, :2]])
    target = np.where(np.isin(codes[:, 0], [1, 4, 7, 11]), 9.0, -5.0) + codes[:, 1]
    model = HistGradientBoostingRegressor(categorical_features=[0], max_iter=20, random_state=0)
    return model.fit(codes, target), codes


def _missing() -> tuple[Any, Any]:
    holed = np.where(RANDOM.random(NUMBERS.shape) < 0.3, np.nan, NUMBERS).astype(np.float32)
    # Missing values go left, with those below zero. Alone on a side, they would make a threshold of infinity, for which
    # the converter searches a neighbour in float64 without end.
    target = np.where(np.isnan(holed[:, 0]) | (holed[:, 0] < 0), "down", "up")
    return RandomForestClassifier(3, random_state=0).fit(holed, target), holed


def _narrowed() -> tuple[Any, Any]:
    whole = np.random.default_rng(3).integers(0, 50, size=(300, 3)).astype(float) + 1e8
    model = make_pipeline(StandardScaler(), DecisionTreeRegressor(random_state=0))
    return model.fit(whole, whole.sum(axis=1)), whole


@pytest.mark.parametrize("make", [_categories, _missing, _narrowed], ids=["categories", "missing", "float32"])
def test_a_silent_fault_of_the_converter_is_refused(make: Callable[[], tuple[Any, Any]]) -> None:
    """The converter says nothing and the answers are wrong: the rows that differ are counted and the first is shown."""
    model, rows = make()
    with pytest.raises(PackError, match=r"onnx does not hold this model: \d+ of \d+ rows differ; for example "):
        fourfold.pack(model, name="faulty", rows=rows, engine="onnx")


class Unknown(BaseEstimator, TransformerMixin):
    """A transformer that no converter knows."""

    def fit(self, rows: Any, target: Any = None) -> Unknown:
        self.fitted_ = True
        return self

    def transform(self, rows: Any) -> Any:
        return rows * 2


class Endless(Unknown):
    """A transformer that does not come out of its pickle."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state.pop("asleep", False):
            time.sleep(60)
        super().__setstate__(state)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "asleep": True}


def test_a_converter_that_fails_is_an_absent_candidate() -> None:
    """What the converter says stands in the table, and the model is packed without it."""
    model = make_pipeline(Unknown(), Ridge()).fit(NUMBERS, TARGET)
    with pytest.raises(PackError, match=r"onnx does not hold this model: the converter failed: "):
        fourfold.pack(model, name="unknown", rows=NUMBERS, engine="onnx")


def test_a_converter_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversion that exceeds its time limit is ended, and the error says so."""
    monkeypatch.setattr(onnx_conversion, "CONVERSION_TIMEOUT_S", 2.0)
    ports = [{"name": "X", "dtype": "float64", "width": 4}]
    with pytest.raises(onnx_conversion._NoConversionError, match="did not end within 2 s"):
        onnx_conversion._convert(Endless().fit(NUMBERS), ports, classifies=False)
