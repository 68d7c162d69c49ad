"""Test the rules of naive Bayes classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import naive_bayes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, assert_exact, compiled

RANDOM = np.random.default_rng(2)
X = RANDOM.normal(size=(100, 5)) * [1, 10, 0.1, 1, 3]
COUNTS = RANDOM.integers(0, 5, (100, 4))
TWO = np.where(X[:, 0] + X[:, 3] > 0, "yes", "no")
FOUR = np.digitize(X[:, 0] + X[:, 3], [-1, 0, 1]) * 10
FRAME = pd.DataFrame({"s": RANDOM.choice(list("abc"), 100), "t": RANDOM.choice(list("uv"), 100)})
ALL = ["predict", "predict_proba", "predict_log_proba"]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("y", [TWO, FOUR])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["GaussianNB", "CategoricalNB"])
def test_labels_are_exact_where_sums_have_one_order(name: str, dtype: Any, y: Any) -> None:
    """Few columns, and tables of categories, are summed in one order, so labels are exact."""
    x = (X if name == "GaussianNB" else COUNTS).astype(dtype)
    model = getattr(naive_bayes, name)().fit(x, y)
    assert_exact(model, x, ["predict"])
    assert_close(model, x, ALL, ulp=32)


@pytest.mark.parametrize("y", [TWO, FOUR])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MultinomialNB", {}),
        ("ComplementNB", {"norm": True}),
        ("BernoulliNB", {"binarize": 0.3}),
        ("BernoulliNB", {"binarize": None}),
    ],
)
def test_counts(name: str, options: dict[str, Any], dtype: Any, y: Any) -> None:
    """Labels of weighted counts are the original's, probabilities within a few ulp."""
    x = np.abs(X).round(1).astype(dtype)
    x = (x > 1).astype(dtype) if options.get("binarize", 0) is None else x
    assert_close(getattr(naive_bayes, name)(**options).fit(x, y), x, ALL, ulp=128)


def test_the_complement_of_one_class() -> None:
    """With one class, ComplementNB adds the prior."""
    assert_close(naive_bayes.ComplementNB().fit(COUNTS, np.zeros(100)), COUNTS, ["predict", "predict_log_proba"])


def test_many_columns_of_normal_densities() -> None:
    """Sums of eight or more numbers depend on the layout of memory, and the plan says so."""
    x = np.c_[X, X**2]
    assert_close(naive_bayes.GaussianNB().fit(x, FOUR), x, ALL, ulp=256)


@pytest.mark.parametrize("name", ["BernoulliNB", "MultinomialNB", "ComplementNB"])
def test_one_hot_columns(name: str) -> None:
    """Of a sparse matrix sums have one order."""
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), getattr(naive_bayes, name)())
    assert_exact(model.fit(FRAME, FOUR), FRAME, ["predict"])
    model.set_params(onehotencoder__sparse_output=False)
    assert_close(model.fit(FRAME, FOUR), FRAME, ["predict"], ulp=0)
    dense = make_pipeline(OneHotEncoder(handle_unknown="ignore", sparse_output=False), naive_bayes.GaussianNB())
    assert_exact(dense.fit(FRAME, FOUR), FRAME, ["predict"])


def test_categories_from_an_encoder() -> None:
    """Encoded categories stay codes; categories out of range are refused, as the original does."""
    for options in ({}, {"handle_unknown": "use_encoded_value", "unknown_value": -1}):
        model = make_pipeline(OrdinalEncoder(**options), naive_bayes.CategoricalNB())
        assert_exact(model.fit(FRAME, FOUR), FRAME, ["predict"])
    model = make_pipeline(
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=3), naive_bayes.CategoricalNB(min_categories=5)
    )
    assert_exact(model.fit(FRAME, FOUR), FRAME, ["predict"])


def test_categories_lose_their_fraction() -> None:
    """Categories are truncated to integers; negative, unknown and huge ones are refused."""
    x = COUNTS + RANDOM.random(COUNTS.shape) * 0.9
    assert_exact(naive_bayes.CategoricalNB().fit(x, FOUR), x, ["predict"])
    objects = COUNTS.astype(object)
    assert_exact(naive_bayes.CategoricalNB().fit(objects, FOUR), objects, ["predict"])


def test_random_parameters() -> None:
    """Labels are exact over random priors, smoothings and scales."""
    random = np.random.default_rng(4)
    for _ in range(10):
        x = X[:, : random.integers(1, 6)] * 10.0 ** random.integers(-3, 4)
        x = x.astype([np.float32, np.float64][random.integers(2)])
        priors = random.dirichlet(np.ones(4)) if random.random() < 0.5 else None
        model = naive_bayes.GaussianNB(priors=priors, var_smoothing=10.0 ** random.integers(-9, 0)).fit(x, FOUR)
        assert_exact(model, x, ["predict"])


class Other(naive_bayes.GaussianNB):
    """Stand for a subclass, which may do anything."""


def test_a_subclass_has_no_plan() -> None:
    """No rule is applied to a subclass."""
    with pytest.raises(NoPlan, match=r"plans do not cover tests\."):
        compiled(Other().fit(X, FOUR), X)
