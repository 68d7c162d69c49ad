"""Test the rules of support vector machines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, assert_exact, compiled, proof

RANDOM = np.random.default_rng(41)
X = RANDOM.normal(size=(90, 3)) * [1, 2, 0.5]
Y = X @ RANDOM.normal(size=3) - X[:, 0] ** 2
TWO = np.where(Y > -0.5, "yes", "no")
THREE = np.digitize(Y, [-1.5, 0.2])
FIVE = np.digitize(Y, np.quantile(Y, [0.2, 0.4, 0.6, 0.8])) * 10
KERNELS = ["linear", "poly", "rbf", "sigmoid"]
DTYPES = [np.float64, np.float32]
pytestmark = pytest.mark.filterwarnings("ignore")


def rounding(model: Any) -> float:
    """What a processor's own products may change: units in the last place of the largest sum.

    Sums of large terms that nearly cancel keep few of their digits.
    """
    kernel = {"gamma": model._gamma, "degree": model.degree, "coef0": model.coef0}
    products = pairwise_kernels(X, model.support_vectors_, model.kernel, filter_params=True, **kernel)
    terms = np.abs(products) @ np.abs(model.dual_coef_).sum(axis=0) + np.abs(model.intercept_).max()
    sums = np.abs(model.decision_function(X).reshape(len(X), -1)).max(axis=0)
    return max(512.0, float(4 * terms.max() / sums.min()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", [SVR, NuSVR])
def test_regressors(kind: Any, kernel: str, dtype: Any) -> None:
    """The answer is the sum over the support vectors plus the intercept."""
    x = X.astype(dtype)
    assert_close(kind(kernel=kernel, coef0=0.5).fit(x, Y), x, ulp=512)


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_class(kernel: str) -> None:
    """Scores, the decision function and labels are the original's."""
    model = OneClassSVM(kernel=kernel, nu=0.2).fit(X)
    assert_close(model, X, ["decision_function", "score_samples"], ulp=rounding(model))
    assert_close(model, X, ["predict"], ulp=0)


@pytest.mark.parametrize("shape", ["ovr", "ovo"])
@pytest.mark.parametrize("y", [TWO, THREE, FIVE], ids=["two", "three", "five"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_classifiers(kernel: str, y: Any, shape: str) -> None:
    """Labels of two and more classes are exact; decisions of classes and of pairs are close."""
    for kind, options in ((SVC, {}), (NuSVC, {"nu": 0.1})):
        model = kind(kernel=kernel, decision_function_shape=shape, **options).fit(X, y)
        assert_close(model, X, ["predict"], ulp=0)
        assert_close(model, X, ["decision_function"], ulp=rounding(model))


@pytest.mark.parametrize("y", [TWO, THREE, FIVE], ids=["two", "three", "five"])
def test_probabilities(y: Any) -> None:
    """The coupled sigmoids of pairs are close."""
    model = SVC(probability=True, random_state=0).fit(X, y)
    assert_close(model, X, ["predict", "predict_proba", "predict_log_proba"], ulp=4096)


def test_broken_ties() -> None:
    """Where votes are equal, the class of the largest decision function is answered."""
    model = SVC(break_ties=True).fit(X, FIVE)
    assert_close(model, X, ["predict"], ulp=0)


def test_texts_as_sparse_rows() -> None:
    """Sums over a sparse matrix have one order: kernels without an exponential are exact."""
    frame = pd.DataFrame({"s": RANDOM.choice(list("abc"), 90), "t": RANDOM.choice(list("uv"), 90)})
    for kernel in KERNELS:
        model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), SVC(kernel=kernel)).fit(frame, THREE)
        regressor = make_pipeline(OneHotEncoder(handle_unknown="ignore"), SVR(kernel=kernel)).fit(frame, Y)
        if kernel in ("linear", "poly"):
            assert_exact(model, frame, ["predict", "decision_function"])
            assert_exact(regressor, frame)
        else:
            assert_close(model, frame, ["decision_function"], ulp=512)
            assert_close(regressor, frame, ulp=512)


def test_random_parameters() -> None:
    """Labels are the original's over random kernels, penalties and targets."""
    random = np.random.default_rng(43)
    for _ in range(12):
        x = X[:, : random.integers(1, 4)].astype(DTYPES[random.integers(2)])
        gamma: Any = ["scale", "auto", 0.2][random.integers(3)]
        options = {"C": 10.0 ** random.integers(-1, 2), "gamma": gamma, "degree": 2}
        machine = SVC(kernel=random.choice(KERNELS), **options)
        y = [TWO, THREE, FIVE][random.integers(3)]
        found = proof(make_pipeline(StandardScaler(), machine).fit(x, y), x, ["predict"])
        assert found.ulp == 0, found


def test_what_is_not_covered_has_no_plan() -> None:
    """Kernels that are functions or precomputed have no plan."""
    with pytest.raises(NoPlan, match="has the kernel"):
        compiled(SVC(kernel=_product).fit(X, THREE), X)
    with pytest.raises(NoPlan, match="has the kernel precomputed"):
        compiled(SVC(kernel="precomputed").fit(X @ X.T, THREE), X @ X.T)


def _product(one: Any, other: Any) -> Any:
    return one @ other.T
