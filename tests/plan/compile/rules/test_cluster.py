"""Test the rules of clusterers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import cluster
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, assert_exact, compiled

RANDOM = np.random.default_rng(15)
X = RANDOM.normal(size=(90, 4)) * [1, 10, 0.1, 3]
Y = X @ RANDOM.normal(size=4)
TWO = np.where(Y > 3, "yes", "no")
FOUR = np.digitize(Y, [-8, 0, 3])
FRAME = pd.DataFrame({"s": RANDOM.choice(list("abc"), 90), "t": RANDOM.choice(list("uv"), 90)})
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("KMeans", {"n_clusters": 4, "random_state": 0}),
        ("MiniBatchKMeans", {"n_clusters": 3, "random_state": 0}),
        ("BisectingKMeans", {"n_clusters": 5, "random_state": 0}),
        ("BisectingKMeans", {"n_clusters": 1}),
        ("Birch", {"n_clusters": 3}),
        ("Birch", {"n_clusters": None, "threshold": 2.0}),
        ("MeanShift", {"bandwidth": 9.0}),
        ("AffinityPropagation", {"random_state": 0, "damping": 0.8}),
    ],
)
def test_the_nearest_centre(name: str, options: dict[str, Any], dtype: Any) -> None:
    """Every row has the original's cluster, and distances within a few ulp."""
    x = (X * 10).astype(dtype)
    model = getattr(cluster, name)(**options).fit(x)
    assert_close(model, x, ["predict"], ulp=0)
    if "KMeans" in name:
        assert_close(model, x, ["transform"], ulp=64)


def test_small_clusters_and_their_rows() -> None:
    """A row may lie on a centre of Birch, where its distance is the root of a rounding error."""
    assert_close(cluster.Birch().fit(X), X, ["transform"], ulp=2.0**27)


@pytest.mark.parametrize("sparse", [True, False])
def test_one_hot_columns(sparse: bool) -> None:
    """Sums over a sparse matrix have one order, so labels are exact."""
    hot = OneHotEncoder(handle_unknown="ignore", sparse_output=sparse)
    model = make_pipeline(hot, cluster.KMeans(3, random_state=0)).fit(FRAME)
    (assert_exact if sparse else assert_close)(model, FRAME, ["predict"])
    distances = make_pipeline(hot, cluster.KMeans(3, random_state=0), Ridge()).fit(FRAME, Y)
    assert_close(distances, FRAME, ulp=1e4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("y", [TWO, FOUR])
@pytest.mark.parametrize("options", [{}, {"priors": "empirical"}, {"shrink_threshold": 0.3}])
def test_centroids(options: dict[str, Any], y: Any, dtype: Any) -> None:
    """The class of the nearest centroid is found, and with priors the scores."""
    x = (X * 10).astype(dtype)
    model = NearestCentroid(**options).fit(x, y)
    methods = ["predict", "predict_proba", "predict_log_proba", "decision_function"]
    assert_close(model, x, methods, ulp=256)
    assert_exact(NearestCentroid(metric="manhattan", **options).fit(x, y), x, ["predict"])


@pytest.mark.parametrize("pool", [np.mean, np.max, np.min])
def test_agglomeration(pool: Any) -> None:
    """The columns of a cluster are pooled exactly."""
    for x in (X, X.astype(np.float32)):
        assert_exact(cluster.FeatureAgglomeration(2, pooling_func=pool).fit(x), x)


def test_random_parameters() -> None:
    """Labels are the original's over random clusters, widths and scales."""
    random = np.random.default_rng(16)
    for seed in range(8):
        x = X[:, : random.integers(1, 5)] * 10.0 ** random.integers(-3, 4)
        kind = [cluster.KMeans, cluster.BisectingKMeans][random.integers(2)]
        model = kind(int(random.integers(2, 9)), random_state=seed).fit(x)
        (assert_exact if x.shape[1] == 1 else assert_close)(model, x, ["predict"])


def test_what_is_not_covered_has_no_plan() -> None:
    """Other pooling functions, models without centres, and other dtypes than in training have no plan."""
    with pytest.raises(NoPlan, match="pools by another function"):
        compiled(cluster.FeatureAgglomeration(2, pooling_func=np.median).fit(X), X)
    model = cluster.AffinityPropagation(max_iter=1, convergence_iter=1).fit(X)
    with pytest.raises(NoPlan, match="has no centres"):
        compiled(model, X, ["predict"])
    frame = make_pipeline(OneHotEncoder(), NearestCentroid()).fit(FRAME, FOUR)
    with pytest.raises(NoPlan, match="sees a sparse matrix"):
        compiled(frame, FRAME, ["predict"])
