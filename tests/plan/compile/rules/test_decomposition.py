"""Test the rules of projections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import cross_decomposition, decomposition, random_projection
from sklearn.linear_model import Ridge
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, assert_exact, compiled
from tests.support import named

RANDOM = np.random.default_rng(8)
X = RANDOM.normal(size=(100, 5)) * [1, 10, 0.1, 1, 3]
TARGETS = np.c_[X @ RANDOM.normal(size=5), X[:, 0] - X[:, 3]] + RANDOM.normal(size=(100, 2))
FRAME = pd.DataFrame({"s": RANDOM.choice(list("abc"), 100), "t": RANDOM.choice(list("uv"), 100)})
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("PCA", {"n_components": 3}),
        ("PCA", {"n_components": 3, "whiten": True}),
        ("TruncatedSVD", {"n_components": 3}),
        ("IncrementalPCA", {"n_components": 3, "whiten": True}),
        ("FactorAnalysis", {"n_components": 2}),
        ("FastICA", {"n_components": 3, "random_state": 0}),
        ("FastICA", {"whiten": False, "random_state": 0}),
    ],
)
def test_components(name: str, options: dict[str, Any], dtype: Any) -> None:
    """Projections, and densities under the model, are within a few ulp."""
    x = (X * 10).astype(dtype)
    model = getattr(decomposition, name)(**options).fit(x)
    assert_close(model, x, ["transform"], ulp=16)
    if name in ("PCA", "FactorAnalysis"):
        assert_close(model, x, ["score_samples"], ulp=16)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", [decomposition.SparsePCA, decomposition.MiniBatchSparsePCA], ids=named)
def test_sparse_components(kind: Any, dtype: Any) -> None:
    """The ridge regression on fixed components is a product, also for a component that is all zeros."""
    x = X.astype(dtype)
    for alpha in (0.1, 1.0):
        model = kind(3, alpha=alpha, ridge_alpha=0.05, max_iter=9, random_state=0).fit(x)
        assert_close(model, x, ["transform"], ulp=64)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_components_of_neighborhoods(dtype: Any) -> None:
    """The projection is `X @ components.T`."""
    x = (X * 10).astype(dtype)
    model = NeighborhoodComponentsAnalysis(2, max_iter=5, random_state=0).fit(x, TARGETS[:, 0] > 0)
    assert_close(model, x, ["transform"], ulp=16)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("name", ["PLSRegression", "CCA", "PLSCanonical", "PLSSVD"])
def test_partial_least_squares(name: str, dtype: Any) -> None:
    """Scores and predictions are close, also for columns that are rounded to float32 after centring."""
    x = (X * 10).astype(dtype)
    model = getattr(cross_decomposition, name)(2).fit(x, TARGETS)
    assert_close(model, x, ["transform"], ulp=16)
    if name != "PLSSVD":
        assert_close(model, x, ["predict"], ulp=16)
        one = getattr(cross_decomposition, name)(1, scale=False).fit(x, TARGETS[:, 0])
        assert_close(one, x, ["predict"], ulp=16)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("density", [0.2, 0.8, 1.0])
def test_a_sparse_projection_is_exact(density: float, dtype: Any) -> None:
    """A sparse projection adds its weights in the order in which they are stored."""
    x = np.c_[X, X[:, ::-1] * 3].astype(dtype)
    for seed in range(2):
        model = random_projection.SparseRandomProjection(4, density=density, random_state=seed).fit(x)
        (assert_exact if density < 1 else assert_close)(model, x)


def test_a_gaussian_projection_is_close() -> None:
    """A dense projection is summed by a BLAS."""
    assert_close(random_projection.GaussianRandomProjection(4, random_state=0).fit(X), X, ulp=16)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize(
    ("model", "exact"),
    [
        (decomposition.TruncatedSVD(2, random_state=0), True),
        (decomposition.PCA(2, svd_solver="arpack", random_state=0), False),
        (decomposition.IncrementalPCA(2), False),
        (random_projection.GaussianRandomProjection(3, random_state=0), True),
        (random_projection.SparseRandomProjection(3, density=0.9, random_state=0), True),
        (random_projection.SparseRandomProjection(3, density=0.9, dense_output=True, random_state=0), True),
    ],
)
def test_one_hot_columns(model: Any, exact: bool, sparse: bool) -> None:
    """Products of a sparse matrix have one order, unless a dense product follows."""
    hot = OneHotEncoder(handle_unknown="ignore", sparse_output=sparse)
    fitted = make_pipeline(hot, model).fit(FRAME)
    if exact and (sparse or "Sparse" in type(model).__name__):
        assert_exact(fitted, FRAME)
    else:
        assert_close(fitted, FRAME, ulp=16)


def test_a_projection_in_a_pipeline() -> None:
    """A linear model may follow a projection."""
    assert_close(make_pipeline(decomposition.PCA(2), Ridge()).fit(X, TARGETS), X, ulp=64)


def test_random_parameters() -> None:
    """Projections are within a few ulp over random widths and scales."""
    random = np.random.default_rng(9)
    for _ in range(10):
        x = X[:, : random.integers(2, 6)] * 10.0 ** random.integers(-3, 4)
        x = x.astype([np.float32, np.float64][random.integers(2)])
        model = decomposition.PCA(int(random.integers(1, x.shape[1] + 1)), whiten=bool(random.random() < 0.5))
        assert_close(model.fit(x), x, ulp=64)


@pytest.mark.parametrize("name", ["NMF", "DictionaryLearning", "LatentDirichletAllocation"])
def test_what_is_solved_for_every_row_has_no_plan(name: str) -> None:
    """A model that solves an optimisation for each row has no plan."""
    x = np.abs(X)
    with pytest.raises(NoPlan, match=f"plans do not cover sklearn.{name}"):
        compiled(getattr(decomposition, name)(2, max_iter=5).fit(x), x)
