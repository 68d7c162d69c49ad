"""Test the rules of linear models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import linear_model, svm
from sklearn._loss.link import LogitLink
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, assert_exact, compiled

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 5)) * [1, 10, 0.1, 1, 3]
Y = X @ RANDOM.normal(size=5) + RANDOM.normal(size=120)
TARGETS = np.c_[Y, X[:, 0] - X[:, 3]]
TWO = np.where(Y > 0, "yes", "no")
FOUR = np.digitize(Y, [-8, 0, 6])
FRAME = pd.DataFrame(
    {
        "a": np.where(np.arange(120) % 7, X[:, 0], np.nan),
        "i": RANDOM.integers(0, 50, 120),
        "s": RANDOM.choice(list("abcdefghij"), 120),
        "t": [None if each == "?" else each for each in RANDOM.choice(["u", "v", "?"], 120)],
        "b": X[:, 4],
    }
)
REGRESSORS = [
    "ARDRegression",
    "BayesianRidge",
    "ElasticNet",
    "ElasticNetCV",
    "GammaRegressor",
    "HuberRegressor",
    "Lars",
    "LarsCV",
    "Lasso",
    "LassoCV",
    "LassoLars",
    "LassoLarsCV",
    "LassoLarsIC",
    "LinearRegression",
    "OrthogonalMatchingPursuit",
    "OrthogonalMatchingPursuitCV",
    "PassiveAggressiveRegressor",
    "PoissonRegressor",
    "QuantileRegressor",
    "RANSACRegressor",
    "Ridge",
    "RidgeCV",
    "SGDRegressor",
    "TheilSenRegressor",
    "TweedieRegressor",
]
SEVERAL = [
    "LinearRegression",
    "MultiTaskElasticNet",
    "MultiTaskElasticNetCV",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "Ridge",
]
CLASSIFIERS = [
    "LogisticRegression",
    "LogisticRegressionCV",
    "PassiveAggressiveClassifier",
    "Perceptron",
    "RidgeClassifier",
    "RidgeClassifierCV",
    "SGDClassifier",
]
pytestmark = pytest.mark.filterwarnings("ignore")
#: A float64 that was computed in float32 is as far off as that.
OF_FLOAT32 = 8 * 2.0**29


def _fitted(name: str, x: Any, y: Any, **options: Any) -> Any:
    if name == "LogisticRegressionCV":
        options = {"Cs": 2, "cv": 2, **options}
    return getattr(svm if name.startswith("LinearSV") else linear_model, name)(**options).fit(x, y)


def _encoded(*, sparse: bool, dtype: Any = np.float64) -> Any:
    """Return numbers, one-hot columns, and numbers again."""
    hot = OneHotEncoder(sparse_output=sparse, dtype=dtype, handle_unknown="ignore")
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["a"]),
        (hot, ["s", "t"]),
        ("passthrough", ["i", "b"]),
        sparse_threshold=1.0 if sparse else 0.0,
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", [*REGRESSORS, "LinearSVR"])
def test_a_regressor_is_a_few_ulp_from_the_original(name: str, dtype: Any) -> None:
    """Linear regressors differ from the original only by the order of their sums."""
    x = X.astype(dtype)
    y = np.exp(Y / 10) if name in ("GammaRegressor", "PoissonRegressor") else Y.astype(dtype)
    in_float32 = dtype == np.float32 and name in ("PassiveAggressiveRegressor", "SGDRegressor")
    assert_close(_fitted(name, x, y), x, ulp=OF_FLOAT32 if in_float32 else 8)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", SEVERAL)
def test_a_regressor_of_several_targets(name: str, dtype: Any) -> None:
    """Each target has a sum of its own."""
    assert_close(_fitted(name, X.astype(dtype), TARGETS.astype(dtype)), X.astype(dtype), ulp=8)


@pytest.mark.parametrize("y", [TWO, FOUR])
@pytest.mark.parametrize("name", [*CLASSIFIERS, "LinearSVC"])
def test_a_classifier_has_the_originals_labels_and_scores(name: str, y: Any) -> None:
    """Labels are the original's, scores and probabilities a few ulp from its own."""
    for dtype, methods in ((np.float64, ["predict", "decision_function"]), (np.float32, None)):
        x = X.astype(dtype)
        # Scores of hundreds, where cross-validation leaves large weights: an exp makes as many units of one of theirs.
        assert_close(_fitted(name, x, y), x, methods, ulp=128)


@pytest.mark.parametrize("y", [TWO, FOUR])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LogisticRegression", {}),
        ("LogisticRegression", {"fit_intercept": False, "solver": "saga", "l1_ratio": 1.0}),
        ("LogisticRegressionCV", {}),
        ("SGDClassifier", {"loss": "log_loss"}),
        ("SGDClassifier", {"loss": "modified_huber"}),
    ],
)
def test_logarithms_of_probabilities(name: str, options: dict[str, Any], y: Any) -> None:
    """Logarithms are close, also of 0, and also of what a sigmoid leaves of 1."""
    model = _fitted(name, X / 5, y, **options)
    if y is TWO and options.get("loss") != "modified_huber":
        reasons = compiled(model, X / 5, ["predict_log_proba"])[0].approximations
        assert [reason for reason in reasons if reason.startswith("the last bit of a sigmoid")]
    assert_close(model, X / 5, ["predict", "predict_proba", "predict_log_proba"], ulp=256)


def test_float32_probabilities_vanish_where_the_originals_do() -> None:
    """A float32 sigmoid is rounded after each step, so it is 0 for the same rows."""
    x = X.astype(np.float32) * 30
    assert_close(_fitted("LogisticRegression", x, TWO, C=1e6), x, ["predict", "predict_proba"], ulp=64)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("model", "y", "methods"),
    [
        (linear_model.Ridge(), Y, None),
        (linear_model.LinearRegression(), TARGETS, None),
        (linear_model.LogisticRegression(max_iter=60), TWO, ["predict", "decision_function"]),
        (linear_model.LogisticRegression(max_iter=60), FOUR, ["predict", "decision_function"]),
        (linear_model.SGDClassifier(loss="modified_huber", random_state=0), FOUR, ["predict", "predict_proba"]),
    ],
)
def test_sums_of_a_sparse_matrix_are_exact(model: Any, y: Any, methods: Any, dtype: Any) -> None:
    """SciPy sums a sparse matrix column by column, and so does the plan, through numbers and tables."""
    assert_exact(make_pipeline(_encoded(sparse=True, dtype=dtype), model).fit(FRAME, y), FRAME, methods)
    assert_close(make_pipeline(_encoded(sparse=False, dtype=dtype), model).fit(FRAME, y), FRAME, methods, ulp=16)


def test_a_sparse_matrix_of_float32_is_summed_in_float32() -> None:
    """Products and sums of float32 are rounded one by one, as SciPy does."""
    hot = OneHotEncoder(dtype=np.float32, handle_unknown="ignore")
    for model, y in (
        (linear_model.Ridge(solver="sag"), Y.astype(np.float32)),
        (linear_model.LogisticRegression(max_iter=60), FOUR),
    ):
        fitted = make_pipeline(make_column_transformer((hot, ["s", "t"])), model).fit(FRAME, y)
        assert_exact(fitted, FRAME, ["predict"])


def test_sparse_coefficients_and_single_columns_are_exact() -> None:
    """A single product has one result; sparse coefficients are added in their order."""
    model = linear_model.SGDClassifier(penalty="l1").fit(X, FOUR).sparsify()
    assert_exact(model, X, ["predict", "decision_function"])
    assert_exact(linear_model.LinearRegression().fit(X[:, :1], TARGETS), X[:, :1])
    assert_exact(linear_model.LogisticRegression().fit(X[:, :1], FOUR), X[:, :1], ["predict", "decision_function"])


@pytest.mark.parametrize("dtype", [np.int64, np.int8, bool])
def test_integers_and_booleans_are_float64(dtype: Any) -> None:
    """Integers and booleans are float64 in a product with coefficients."""
    x = (X * 10).astype(dtype)
    assert_close(_fitted("Ridge", x, Y), x, ulp=8)


@pytest.mark.parametrize("order", ["C", "F"])
def test_objects_with_numbers_are_float64(order: Any) -> None:
    """An array of objects becomes float64, whatever its layout in memory."""
    x = np.array(X, dtype=object, order=order)
    assert_close(_fitted("Ridge", x, Y), x, ulp=8)


def test_links_of_generalized_models() -> None:
    """A Tweedie model answers with the sum or its exponential."""
    positive = np.exp(Y / 10)
    for options in ({"power": 0, "link": "log"}, {"power": 1.5}, {"power": 0}, {"power": 1, "link": "identity"}):
        assert_close(_fitted("TweedieRegressor", X, positive + 20, **options), X, ulp=32)


def test_one_class() -> None:
    """The one-class machine subtracts its offset, and labels inliers and outliers."""
    model = linear_model.SGDOneClassSVM(nu=0.3).fit(X)
    assert_close(model, X, ["predict"], ulp=0)
    assert_close(model, X, ["decision_function", "score_samples"], ulp=8)


def test_random_parameters() -> None:
    """Plans are within a few ulp over random parameters and subsets of columns."""
    random = np.random.default_rng(5)
    for _ in range(12):
        x = X[:, random.choice(5, random.integers(1, 6), replace=False)]
        x = x * 10.0 ** random.integers(-3, 4) if random.random() < 0.5 else x.astype(np.float32)
        intercept = bool(random.random() < 0.5)
        y = [Y, TARGETS, TARGETS[:, :1]][random.integers(3)]
        model = linear_model.Ridge(10.0 ** random.integers(-3, 3), fit_intercept=intercept).fit(x, y.astype(x.dtype))
        (assert_exact if x.shape[1] == 1 else assert_close)(model, x)


def test_several_labels_at_once() -> None:
    """A row may have several labels, with a score for each."""
    labels = np.c_[Y > 0, Y < 2].astype(int)
    model = linear_model.RidgeClassifier().fit(X, labels)
    assert_close(model, X, ["predict"], ulp=0)
    assert_close(model, X, ["decision_function"], ulp=8)


class Other(linear_model.Ridge):
    """Stand for a subclass, which may do anything."""


def test_what_is_not_covered_has_no_plan() -> None:
    """A subclass and another link have no plan."""
    with pytest.raises(NoPlan, match=r"plans do not cover tests\."):
        compiled(Other().fit(X, Y), X)
    model = linear_model.PoissonRegressor().fit(X, np.exp(Y / 10))
    model._base_loss.link = LogitLink()
    with pytest.raises(NoPlan, match="has the link"):
        compiled(model, X)
