"""Test the rules of neural networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.neural_network import BernoulliRBM, MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, compiled

RANDOM = np.random.default_rng(6)
X = RANDOM.normal(size=(100, 5))
Y = X @ RANDOM.normal(size=5)
TWO = np.where(Y > 0, "yes", "no")
FOUR = np.digitize(Y, [-1, 0, 1])
FRAME = pd.DataFrame({"s": RANDOM.choice(list("abc"), 100), "t": RANDOM.choice(list("uv"), 100)})
pytestmark = pytest.mark.filterwarnings("ignore")


def _regressor(**options: Any) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(7, 5), max_iter=30, random_state=1, **options)


def _classifier(**options: Any) -> MLPClassifier:
    return MLPClassifier((6,), max_iter=30, random_state=1, **options)


# Of float32, sums of huge numbers overflow in one order and not in another: the bounded activations have none.
@pytest.mark.parametrize(
    ("activation", "dtype"),
    [
        ("identity", np.float64),
        ("logistic", np.float64),
        ("tanh", np.float64),
        ("relu", np.float64),
        ("logistic", np.float32),
        ("tanh", np.float32),
    ],
)
def test_activations(activation: str, dtype: Any) -> None:
    """Networks with every activation are close: only the order of sums differs."""
    x = X.astype(dtype)
    methods = ["predict", "predict_proba"]
    assert_close(_regressor(activation=activation).fit(x, Y.astype(dtype)), x, ulp=64)
    assert_close(_classifier(activation=activation).fit(x, TWO), x, methods, ulp=64)
    assert_close(_classifier(activation=activation).fit(x, FOUR), x, methods, ulp=64)


def test_logarithms_of_probabilities() -> None:
    """Logarithms of probabilities are close."""
    assert_close(_classifier().fit(X, FOUR), X, ["predict_log_proba"], ulp=256)
    assert_close(_classifier().fit(X, TWO), X, ["predict_log_proba"], ulp=256)


def test_several_targets_and_counts() -> None:
    """A network may have two targets, or an exponential as its last activation."""
    assert_close(_regressor().fit(X, np.c_[Y, X[:, 0]]), X, ulp=64)
    assert_close(_regressor(loss="poisson").fit(X, np.abs(Y)), X, ulp=256)


def test_one_hot_columns_of_a_sparse_matrix() -> None:
    """The first layer looks one-hot columns up, from a sparse matrix and from an array."""
    for sparse in (True, False):
        hot = OneHotEncoder(handle_unknown="ignore", sparse_output=sparse)
        assert_close(make_pipeline(hot, _classifier()).fit(FRAME, FOUR), FRAME, ["predict", "predict_proba"])


def test_restricted_boltzmann_machine() -> None:
    """The probabilities of hidden units are close."""
    for dtype in (np.float64, np.float32):
        x = np.asarray(X / 6 + 0.5, dtype=dtype)
        assert_close(BernoulliRBM(4, n_iter=3, random_state=0).fit(x), x, ulp=8)


def test_random_networks() -> None:
    """Plans are within a few ulp over random sizes of layers."""
    random = np.random.default_rng(7)
    for _ in range(6):
        sizes = tuple(int(each) for each in random.integers(1, 12, random.integers(0, 4)))
        model = MLPRegressor(hidden_layer_sizes=sizes, activation="tanh", max_iter=10, random_state=2).fit(X, Y)
        assert_close(model, X, ulp=64)


def test_several_labels_at_once() -> None:
    """A row may have several labels: those with a probability above one half."""
    model = _classifier().fit(X, np.c_[Y > 0, Y < 1].astype(int))
    assert_close(model, X, ["predict"], ulp=0)
    assert_close(model, X, ["predict_proba"], ulp=64)


def test_what_is_not_covered_has_no_plan() -> None:
    """Intercepts of a wider dtype than the sums have no plan."""
    x = X.astype(np.float32)
    model = _regressor().fit(x, Y.astype(np.float32))
    model.intercepts_ = [each.astype(np.float64) for each in model.intercepts_]
    with pytest.raises(NoPlan, match="intercepts of float64"):
        compiled(model, x)
