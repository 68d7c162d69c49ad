"""Test the rules of Gaussian processes, whose weights magnify the last bits of a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    Exponentiation,
    ExpSineSquared,
    Matern,
    PairwiseKernel,
    RationalQuadratic,
    WhiteKernel,
)

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, compiled

RANDOM = np.random.default_rng(51)
X = RANDOM.normal(size=(60, 2)) * [1, 2]
Y = X @ RANDOM.normal(size=2) - X[:, 0] ** 2
TWO = np.where(Y > -0.5, "yes", "no")
THREE = np.digitize(Y, [-1.5, 0.2])
KERNELS = [
    RBF(),
    RBF([1.0, 2.0]),
    Matern(nu=0.5),
    Matern(nu=1.5),
    Matern(nu=2.5),
    Matern(nu=np.inf),
    RationalQuadratic(),
    ConstantKernel(0.05) * ExpSineSquared(),
    DotProduct(),
    ConstantKernel(2.0) * RBF(),
    RBF() + WhiteKernel(),
    Exponentiation(RationalQuadratic(), 2),
    PairwiseKernel(metric="laplacian"),
]
NAMES = [f"{place}-{type(kernel).__name__}" for place, kernel in enumerate(KERNELS)]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("kernel", KERNELS, ids=NAMES)
def test_regressors(kernel: Any) -> None:
    """The mean of a well-conditioned process is close, for targets as they are and standardised."""
    for normalize in (False, True):
        model = GaussianProcessRegressor(kernel, alpha=2.0, optimizer=None, normalize_y=normalize).fit(X, Y)
        assert_close(model, X, ulp=4096)


@pytest.mark.parametrize("kernel", KERNELS, ids=NAMES)
def test_several_targets(kernel: Any) -> None:
    """Each target has a column of the answer."""
    y = np.column_stack([Y, -Y])
    assert_close(GaussianProcessRegressor(kernel, alpha=2.0, optimizer=None).fit(X, y), X, ulp=4096)


def test_a_prior_that_is_not_trained_is_refused() -> None:
    """A process that is not fitted answers with its prior, and has no plan."""
    model = GaussianProcessRegressor(RBF(), optimizer=None)
    model.n_features_in_ = 2
    with pytest.raises(NoPlan, match="was not trained"):
        compiled(model, X)


@pytest.mark.parametrize("kernel", KERNELS[:6], ids=NAMES[:6])
@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_classifiers(y: Any, kernel: Any) -> None:
    """Labels follow the sign of the latent mean; probabilities are sums of error functions."""
    model = GaussianProcessClassifier(kernel, optimizer=None).fit(X, y)
    assert_close(model, X, ["predict"], ulp=0)
    assert_close(model, X, ["predict_proba"], ulp=2.0**22)


def test_pairs_of_classes() -> None:
    """Labels of one class against another are the original's."""
    model = GaussianProcessClassifier(RBF(), optimizer=None, multi_class="one_vs_one").fit(X, THREE)
    assert_close(model, X, ["predict"], ulp=0)


def test_what_is_not_covered_has_no_plan() -> None:
    """Kernels of Bessel functions, several kernels at once, and a user's kernels have no plan."""
    for kernel, why in (
        (Matern(nu=0.7), "a Bessel function"),
        (PairwiseKernel(metric="chi2"), "has the kernel chi2"),
        (_Mine(), "has the kernel _Mine"),
    ):
        x = np.abs(X)
        with pytest.raises(NoPlan, match=why):
            compiled(GaussianProcessRegressor(kernel, alpha=2.0, optimizer=None).fit(x, Y), x)


class _Mine(RBF):
    """Stand for a kernel of a user."""
