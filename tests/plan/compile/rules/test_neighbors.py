"""Test the rules of nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, assert_exact, compiled

RANDOM = np.random.default_rng(13)
X = RANDOM.normal(size=(100, 3)) * [1, 10, 0.1]
#: Many rows of it are equally near.
GRID = RANDOM.integers(0, 4, (100, 3))
Y = RANDOM.normal(size=100)
TARGETS = np.c_[Y, RANDOM.normal(size=100)]
FOUR = np.array(["a", "b", "c", "d"])[np.digitize(X[:, 0], [-0.7, 0, 0.7])]
pytestmark = pytest.mark.filterwarnings("ignore")
METRICS: list[dict[str, Any]] = [{}, {"p": 1}, {"metric": "chebyshev"}]


@pytest.mark.parametrize("x", [X, X.astype(np.float32), GRID.astype(float), GRID])
@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
def test_trees_are_exact(algorithm: str, x: Any) -> None:
    """A tree's neighbours are exact for several metrics and weights, with many equally near rows."""
    for place, metric in enumerate(METRICS):
        for weights in ("uniform", "distance"):
            options = {"algorithm": algorithm, "weights": weights, "leaf_size": 7, **metric}
            assert_exact(KNeighborsRegressor(3 + 9 * place, **options).fit(x, Y), x)
            assert_exact(KNeighborsClassifier(3 + 9 * place, **options).fit(x, FOUR), x)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_several_targets_are_exact(weights: str) -> None:
    """A regressor of two targets sums row by row; a classifier of two has a label and probabilities for each."""
    assert_exact(KNeighborsRegressor(12, weights=weights).fit(X, TARGETS), X)
    assert_exact(KNeighborsRegressor(12, weights=weights).fit(X, TARGETS.astype(np.float32)), X)
    for y in (Y.astype(np.float32), GRID[:, 0], Y > 0):
        assert_exact(KNeighborsRegressor(20, weights=weights).fit(X, y), X)
    two = np.c_[FOUR, np.where(Y > 0, "yes", "no")]
    assert_exact(KNeighborsClassifier(4, weights=weights).fit(X, two), X)


def test_powers_are_close() -> None:
    """Minkowski's distance needs powers of a libm."""
    for weights in ("uniform", "distance"):
        assert_close(KNeighborsRegressor(p=3, weights=weights).fit(X, Y), X, ulp=64)
        assert_close(KNeighborsClassifier(p=1.5, weights=weights).fit(X, FOUR), X, ulp=64)


def test_brute_force_is_close() -> None:
    """By brute force a BLAS sums squares; of equally near rows the first ones are found."""
    for x in (X, GRID.astype(float), X.astype(np.float32)):
        assert_close(KNeighborsRegressor(algorithm="brute").fit(x, Y), x, ulp=64)
        assert_close(KNeighborsClassifier(algorithm="brute").fit(x, FOUR), x, ulp=0)
    for metric in METRICS[1:]:
        for weights in ("uniform", "distance"):
            model = KNeighborsClassifier(algorithm="brute", weights=weights, **metric).fit(X, FOUR)
            assert_close(model, X, ulp=64)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_all_within_a_radius(weights: str) -> None:
    """Rows within a radius count; a row without any is NaN, refused, or has the outliers' label."""
    x = X / [1, 10, 0.1]
    for metric in METRICS:
        regressor = RadiusNeighborsRegressor(0.5, weights=weights, algorithm="kd_tree", **metric)
        assert_close(regressor.fit(x, Y), x, ulp=64)
        assert_close(regressor.fit(x, TARGETS), x, ulp=64)
        for label in (None, "a", "most_frequent"):
            model = RadiusNeighborsClassifier(
                0.5, weights=weights, algorithm="ball_tree", outlier_label=label, **metric
            ).fit(x, FOUR)
            assert_exact(model, x)


def test_an_outlier_that_is_no_class_has_no_plan() -> None:
    """An outliers' label that is no class has no plan: the signature lists the classes."""
    model = RadiusNeighborsClassifier(0.5, outlier_label="z").fit(X / [1, 10, 0.1], FOUR)
    with pytest.raises(NoPlan, match="may answer 'z'"):
        compiled(model, X)


def test_a_radius_by_brute_force_and_integers() -> None:
    """A radius by brute force is close, also for integers."""
    x = X / [1, 10, 0.1]
    assert_close(RadiusNeighborsClassifier(0.6, algorithm="brute", outlier_label="a").fit(x, FOUR), x, ulp=0)
    assert_close(RadiusNeighborsRegressor(0.4, p=3).fit(x, GRID[:, 0]), x, ulp=64)


def test_outliers_are_exact() -> None:
    """Scores and labels of a local outlier factor are exact for new rows."""
    for options in ({}, {"n_neighbors": 5, "p": 1}, {"n_neighbors": 12, "contamination": 0.2}):
        model = LocalOutlierFactor(novelty=True, **options).fit(X)
        assert_exact(model, X, ["predict", "score_samples", "decision_function"])


def test_neighbours_of_encoded_categories() -> None:
    """Neighbours of one-hot columns are found."""
    frame = pd.DataFrame({"s": RANDOM.choice(list("abcd"), 100), "t": RANDOM.choice(list("uv"), 100)})
    hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    assert_exact(make_pipeline(hot, KNeighborsClassifier(algorithm="kd_tree")).fit(frame, FOUR), frame)
    assert_exact(make_pipeline(StandardScaler(), KNeighborsClassifier()).fit(X, FOUR), X)


def test_random_parameters() -> None:
    """Plans have the original's bits over random trees, weights and rows."""
    random = np.random.default_rng(14)
    for _ in range(10):
        x = np.round(X[:, : random.integers(1, 4)], random.integers(0, 3))
        model = [KNeighborsRegressor, KNeighborsClassifier][random.integers(2)](
            int(random.integers(1, 30)),
            weights=["uniform", "distance"][random.integers(2)],
            leaf_size=int(random.integers(1, 40)),
            algorithm=["kd_tree", "ball_tree"][random.integers(2)],
            p=int(random.integers(1, 3)),
        )
        assert_exact(model.fit(x, GRID[:, 0]), x)


@pytest.mark.parametrize(
    ("model", "x", "why"),
    [
        (KNeighborsClassifier(metric="cosine"), X, "has the metric cosine"),
        (KNeighborsClassifier(metric="minkowski", p=3, metric_params={"w": [1, 2, 3]}), X, "the metric minkowski w"),
        (KNeighborsClassifier(weights=np.ones_like), X, "has weights of its own"),
        (KNeighborsClassifier(algorithm="brute"), GRID, "the processor's choice"),
        (KNeighborsClassifier(algorithm="brute", p=1), X.astype(np.float32), "measures float32 in float32"),
        (LocalOutlierFactor(novelty=True), X.astype(np.float32), "in float32"),
    ],
)
def test_what_is_not_covered_has_no_plan(model: Any, x: Any, why: str) -> None:
    """Other metrics, a user's weights, and answers that depend on the processor have no plan."""
    with pytest.raises(NoPlan, match=why):
        compiled(model.fit(x, FOUR), x, ["predict"])


def test_a_sparse_matrix_has_no_plan() -> None:
    """A model that was trained with a sparse matrix has no plan."""
    frame = pd.DataFrame({"s": RANDOM.choice(list("abcd"), 100)})
    model = make_pipeline(OneHotEncoder(), KNeighborsClassifier()).fit(frame, FOUR)
    assert sparse.issparse(model[-1]._fit_X)
    with pytest.raises(NoPlan, match="trained with a sparse matrix"):
        compiled(model, frame)
