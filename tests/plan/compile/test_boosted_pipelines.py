"""Boosted models behind transformers and inside other estimators: they get arrays, sparse matrices or other frames."""

from __future__ import annotations

from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import BaggingRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import fourfold
from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, assert_exact, compiled

RANDOM = np.random.default_rng(19)
ROWS = 200
BOOST: dict[str, Any] = {"n_estimators": 10, "n_jobs": 1}
PLAIN: dict[str, Any] = {"iterations": 10, "depth": 5, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
MODELS: dict[str, Any] = {
    "lightgbm": lightgbm.LGBMRegressor(**BOOST, min_child_samples=5, verbose=-1),
    "xgboost": xgboost.XGBRegressor(**BOOST, max_depth=4, verbosity=0),
    "dart": xgboost.XGBRegressor(**BOOST, max_depth=4, verbosity=0, booster="dart", rate_drop=0.3),
    "linear": xgboost.XGBRegressor(**BOOST, verbosity=0, booster="gblinear"),
    "catboost": catboost.CatBoostRegressor(**PLAIN),
}


def frame() -> pd.DataFrame:
    """Numbers of several dtypes, some of them missing, a category and a text."""
    words = ["red", "green", "blue", "cat", "dog", "house", "tree"]
    out = pd.DataFrame({"a": RANDOM.normal(size=ROWS), "i": RANDOM.integers(-3, 30, ROWS)})
    out["n"] = np.where(RANDOM.random(ROWS) < 0.2, np.nan, RANDOM.normal(size=ROWS))
    out["f"] = RANDOM.normal(size=ROWS).astype("float32")
    out["k"] = RANDOM.choice(list("xyzuvw"), ROWS)
    out["t"] = [" ".join(RANDOM.choice(words, RANDOM.integers(0, 6))) for _ in range(ROWS)]
    return out


FRAME = frame()
GOAL = ((FRAME.k == "x") * 3 + FRAME.a + FRAME.i % 2 + FRAME.t.str.count("red")).to_numpy()
NUMBERS = ["a", "i", "n", "f"]
TRANSFORMERS: dict[str, Any] = {
    "scaled": make_column_transformer((StandardScaler(), NUMBERS)),
    "dense": make_column_transformer(
        (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["k"]), ("passthrough", NUMBERS)
    ),
    "sparse": make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["k"]), (SimpleImputer(), NUMBERS), sparse_threshold=1.0
    ),
    "ordinal": make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["k"]), ("passthrough", NUMBERS)
    ),
    "framed": make_column_transformer(
        (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["k"]),
        ("passthrough", NUMBERS),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas"),
    "counts": make_column_transformer(
        (CountVectorizer(dtype=np.float64), "t"), ("passthrough", ["a"]), sparse_threshold=1.0
    ),
    "shares": make_column_transformer((TfidfVectorizer(), "t"), ("passthrough", ["a", "i"]), sparse_threshold=1.0),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("transformer", TRANSFORMERS)
def test_pipelines_are_exact(transformer: str, model: str) -> None:
    """Behind any transformer a boosted model has its bits: in a sparse matrix what is not there is missing, or zero."""
    pipeline = make_pipeline(clone(TRANSFORMERS[transformer]), clone(MODELS[model]))
    assert_exact(pipeline.fit(FRAME, GOAL), FRAME)


@pytest.mark.parametrize("model", ["lightgbm", "xgboost", "catboost"])
def test_bagged_models_are_exact(model: str) -> None:
    """Inside another estimator a boosted model gets the array that this one made."""
    assert_exact(BaggingRegressor(clone(MODELS[model]), n_estimators=3).fit(FRAME[NUMBERS], GOAL), FRAME[NUMBERS])


def test_classifiers_behind_a_scaler_are_close() -> None:
    """A classifier at the end of a pipeline, and its sums where it has them."""
    label = np.where(GOAL > 1, 1, 0)
    boosted = make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(**BOOST, verbose=-1)).fit(FRAME[NUMBERS], label)
    assert_exact(boosted, FRAME[NUMBERS], ["decision_function"])
    assert_close(boosted, FRAME[NUMBERS], ulp=16)
    for model in (xgboost.XGBClassifier(**BOOST, verbosity=0), catboost.CatBoostClassifier(**PLAIN)):
        assert_close(make_pipeline(StandardScaler(), model).fit(FRAME[NUMBERS], label), FRAME[NUMBERS], ulp=16)


@pytest.mark.parametrize("kind", [str, int])
def test_several_classes_of_catboost_are_one_label(kind: type) -> None:
    """CatBoost answers with a column of them, where other classifiers give a row."""
    x = RANDOM.normal(size=(ROWS, 3))
    classes: Any = np.digitize(x[:, 0], [-0.5, 0.5]).astype(kind)
    model = make_pipeline(StandardScaler(), catboost.CatBoostClassifier(**PLAIN)).fit(x, classes)
    _, signature, _ = compiled(model, x, ["predict"])
    assert [(each.name, each.shape, list(each.categories or ())) for each in signature.outputs] == [
        ("label", (), sorted(set(classes.tolist())))
    ]
    assert_exact(model, x, ["predict"])
    package = fourfold.pack(model, name="classes", rows=x)
    answers = fourfold.load(package).predict(pd.DataFrame(x, columns=["x0", "x1", "x2"]))
    assert answers["label"].tolist() == model.predict(x)[:, 0].tolist()


def test_trees_of_too_many_words() -> None:
    """Trees that test more columns of texts than can be made numbers are left to their library."""
    words = [f"w{index}" for index in range(6000)]
    texts = pd.DataFrame({"t": [" ".join(words[start::40]) for start in range(40)] * 5})
    vectorizer = make_column_transformer((CountVectorizer(dtype=np.float64), "t"), sparse_threshold=1.0)
    model = make_pipeline(vectorizer, xgboost.XGBRegressor(n_estimators=1, booster="gblinear", verbosity=0))
    with pytest.raises(NoPlan, match="trees that test 6000 columns of texts"):
        compiled(model.fit(texts, np.arange(200.0)), texts)
