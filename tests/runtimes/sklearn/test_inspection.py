from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    BaggingRegressor,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import Ridge
from sklearn.neighbors import BallTree, KDTree, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer
from sklearn.tree import DecisionTreeRegressor

from fourfold.errors import CorruptPackage
from fourfold.runtimes.sklearn.inspection import check_bounds, classes_of, set_one_thread, walk_parts
from tests.runtimes.round_trip import FRAME, LABELS, NUMBERS, TARGET

FITTED = [
    DecisionTreeRegressor(max_leaf_nodes=9, ccp_alpha=0.01, random_state=0),
    RandomForestRegressor(3, random_state=0),
    ExtraTreesClassifier(3, random_state=0),
    GradientBoostingClassifier(n_estimators=2, random_state=0),
    BaggingRegressor(DecisionTreeRegressor(), 3, max_features=2, random_state=0),
    IsolationForest(n_estimators=3, max_features=2, random_state=0),
    KNeighborsRegressor(algorithm="kd_tree", metric="chebyshev"),
    KNeighborsRegressor(algorithm="ball_tree", metric="minkowski", p=3),
    SplineTransformer(),
]


@pytest.mark.parametrize("model", FITTED, ids=lambda model: type(model).__name__)
def test_fitted_models_are_in_bounds(model: Any) -> None:
    """What the libraries fit passes the checks."""
    target = LABELS.astype(str) if isinstance(model, (ExtraTreesClassifier, GradientBoostingClassifier)) else TARGET
    check_bounds(model.fit(NUMBERS, target))


def test_histograms_are_in_bounds() -> None:
    """Histogram boosting with categories and missing values passes the checks."""
    model = HistGradientBoostingRegressor(max_iter=3, categorical_features="from_dtype")
    check_bounds(model.fit(FRAME[["kind", "c", "a"]], TARGET))


def broken_tree(**changes: Any) -> Any:
    """A decision tree with nodes changed: name of a node's field -> (index, value)."""
    model = DecisionTreeRegressor(max_depth=3, random_state=0).fit(NUMBERS, TARGET)
    state = model.tree_.__getstate__()
    for name, (index, value) in changes.items():
        state["nodes"][name][index] = value
    model.tree_.__setstate__(state)
    return model


@pytest.mark.parametrize(
    "changes",
    [{"feature": (0, 3)}, {"feature": (0, -2)}, {"left_child": (0, 10**6)}, {"right_child": (1, 0)}],
    ids=str,
)
def test_trees_out_of_bounds(changes: dict[str, Any]) -> None:
    """A tree whose nodes point to a column or a node that is not there, or back, is refused before it is followed."""
    with pytest.raises(CorruptPackage, match="Tree points outside"):
        check_bounds(broken_tree(**changes))


def test_forests_out_of_bounds() -> None:
    """A tree that reads more columns than its forest lets in is refused, wherever it stands."""
    wide = DecisionTreeRegressor(random_state=0).fit(np.column_stack([NUMBERS] * 2), TARGET)
    forest = RandomForestRegressor(2, random_state=0).fit(NUMBERS, TARGET)
    forest.estimators_[1] = wide
    boosting = GradientBoostingClassifier(n_estimators=2, random_state=0).fit(NUMBERS, LABELS.astype(str))
    boosting.estimators_ = boosting.estimators_[:, :1]
    narrow = DecisionTreeRegressor(random_state=0).fit(NUMBERS, TARGET)
    narrow.n_features_in_ = 2
    for model in (forest, make_pipeline(forest), boosting, narrow):
        with pytest.raises(CorruptPackage, match="outside of itself"):
            check_bounds(model)


@pytest.mark.parametrize(
    ("name", "value"), [("left", 10**6), ("right", 0), ("feature_idx", 9), ("bitset_idx", 10**6), ("feature_idx", 2)]
)
def test_histograms_out_of_bounds(name: str, value: int) -> None:
    """A histogram tree whose nodes point anywhere else, or call a number a category, is refused."""
    model = HistGradientBoostingRegressor(max_iter=1, categorical_features="from_dtype")
    model.fit(FRAME[["kind", "c", "a"]], FRAME["kind"].cat.codes)
    nodes = model._predictors[0][0].nodes
    inner = np.flatnonzero((nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 1))[0]
    nodes[name][inner] = value
    with pytest.raises(CorruptPackage):
        check_bounds(model)


@pytest.mark.parametrize("kind", [KDTree, BallTree])
@pytest.mark.parametrize("part", [1, 2, 3, 6])
def test_neighbours_out_of_bounds(kind: Any, part: int) -> None:
    """A neighbour search whose order, nodes or bounds do not fit its data is refused."""
    tree = kind(NUMBERS.to_numpy(), leaf_size=5)
    state = list(tree.__getstate__())
    if part == 1:
        state[1] = state[1] + 1
    elif part == 2:
        state[2] = state[2].copy()
        state[2]["idx_end"][0] = 10**6
    else:
        state[part] = np.ascontiguousarray(state[part][:, :1]) if part == 3 else state[part] + 1
    tree.__setstate__(tuple(state))
    with pytest.raises(CorruptPackage):
        check_bounds({"inside": [tree]})


def test_splines_out_of_bounds() -> None:
    """A spline with fewer coefficients than its knots need is refused."""
    model = SplineTransformer().fit(NUMBERS)
    model.bsplines_[0].c = model.bsplines_[0].c[:2]
    with pytest.raises(CorruptPackage, match="contradict"):
        check_bounds(model)


def test_vectorizers_that_open_files_are_refused() -> None:
    """A vectorizer that takes its inputs for names of files would read this host's."""
    for model in (CountVectorizer(input="filename"), HashingVectorizer(input="file")):
        with pytest.raises(CorruptPackage, match="outside of itself"):
            check_bounds(model)


def test_every_part_is_reached_once() -> None:
    """Fitted parts in lists, arrays and dicts are reached, also through a circle, each once."""
    ridge, circle = Ridge(), [np.array([{"a": None}], dtype=object)]
    circle.append(circle)  # type: ignore[arg-type]
    circle[0][0]["a"] = (ridge, ridge)
    found = list(walk_parts(circle))
    assert sum(part is ridge for part in found) == 1


def test_one_thread_leaves_others_alone() -> None:
    """Setting threads changes nothing but numbers of threads."""
    forest = RandomForestRegressor(3, n_jobs=-1, max_depth=2)
    set_one_thread([forest])
    assert forest.get_params() == RandomForestRegressor(3, n_jobs=1, max_depth=2).get_params()


def test_one_thread_for_what_an_older_version_wrote() -> None:
    """An estimator that lacks a parameter of today cannot list its own."""
    forest = RandomForestRegressor(3, n_jobs=-1)
    del forest.monotonic_cst
    set_one_thread(forest)
    assert forest.n_jobs == 1


def test_only_classifiers_have_classes() -> None:
    """A regressor has no classes, and neither has what no library's tags describe."""

    class Bare:
        classes_ = (1, 2)

    assert classes_of(Ridge()) is None
    assert classes_of(Bare()) is None
