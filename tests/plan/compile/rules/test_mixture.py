"""Test the rules of mixtures of normal distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import digamma
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

from fourfold.plan.compile.columns import NoPlan
from fourfold.plan.compile.rules import mixture
from tests.plan.comparison import assert_close, compiled

RANDOM = np.random.default_rng(17)
X = np.concatenate([RANDOM.normal(size=(50, 3)), RANDOM.normal(size=(40, 3)) * [1, 3, 0.2] + [2, 0, 1]])
METHODS = ["predict", "predict_proba", "score_samples"]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_mixtures(covariance: str, kind: Any) -> None:
    """Components, their shares and densities are close for every type of covariance."""
    model = kind(n_components=3, covariance_type=covariance, random_state=0, max_iter=20)
    assert_close(model.fit(X), X, METHODS, ulp=256)
    single = X.astype(np.float32)
    # A float64 that was computed in float32 has the digits of one.
    assert_close(model.fit(single), single, METHODS, ulp=256 if kind is GaussianMixture else 256 * 2.0**29)


def test_weights_of_a_dirichlet_distribution() -> None:
    """The expected weights of a Bayesian mixture are close for both of its priors."""
    for prior in ("dirichlet_process", "dirichlet_distribution"):
        model = BayesianGaussianMixture(n_components=4, weight_concentration_prior_type=prior, random_state=0)
        assert_close(model.fit(X), X, METHODS, ulp=256)


@pytest.mark.parametrize("covariance", ["full", "tied"])
def test_integers_lose_their_fraction(covariance: str) -> None:
    """The original writes the distances of integers into an array of integers."""
    x = (X * 10).astype(np.int64)
    assert_close(GaussianMixture(2, covariance_type=covariance, random_state=0).fit(x), x, METHODS, ulp=256)


def test_what_is_not_covered_has_no_plan() -> None:
    """Squares of integers, and distances in small integers, may overflow and have no plan."""
    x = (X * 10).astype(np.int64)
    for covariance in ("diag", "spherical"):
        with pytest.raises(NoPlan, match="squares integers"):
            compiled(GaussianMixture(2, covariance_type=covariance).fit(x), x, ["predict"])
    with pytest.raises(NoPlan, match="into an array of int8"):
        compiled(GaussianMixture(2).fit(x.astype(np.int8)), x.astype(np.int8), ["predict"])


def test_the_digamma_function() -> None:
    """The digamma function is SciPy's, up to a few ulp of values near 1."""
    x = np.logspace(-6, 8, 4000)
    found = mixture._digamma(x)
    np.testing.assert_allclose(found, digamma(x), rtol=2e-15, atol=2e-15)
