"""What is inside an estimator: its parts found, held to one thread, and their index arrays checked.

scikit-learn follows the indices that trees and neighbour searches keep without checking them, so a crafted file could
make it read where it must not. That is why skops trusts none of these types by itself; here they are trusted, and
checked after they are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.interpolate import BSpline
from sklearn.base import is_classifier
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.neighbors import _ball_tree, _kd_tree
from sklearn.tree._tree import Tree

from fourfold.errors import CorruptPackage
from fourfold.runtimes.sklearn import consistency

_BALLS = (_ball_tree.BinaryTree32, _ball_tree.BinaryTree64)
_BOXES = (_kd_tree.BinaryTree32, _kd_tree.BinaryTree64)

__all__ = ["check_bounds", "classes_of", "reachable", "set_one_thread"]

# What estimators call their number of threads.
_THREADS = ("n_jobs", "nthread", "nthreads", "num_thread", "num_threads")


def reachable(model: object) -> Iterator[Any]:
    """The model and every object inside it, each once: fitted parts too, which `get_params` does not list."""
    seen: set[int] = set()
    stack: list[Any] = [model]
    while stack:
        part = stack.pop()
        if id(part) in seen or isinstance(part, (str, bytes, int, float, type)):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, np.ndarray):
            stack.extend(part.ravel() if part.dtype == object else ())
        elif isinstance(part, dict):
            stack.extend(part.values())
        elif isinstance(part, (list, tuple, set, frozenset)):
            stack.extend(part)
        stack.extend(getattr(part, "__dict__", {}).values())


def set_one_thread(model: object) -> None:
    """Set the number of threads of every estimator and booster inside a model to 1, in place."""
    for part in reachable(model):
        if callable(getattr(part, "get_params", None)) and callable(getattr(part, "set_params", None)):
            params = part.get_params(deep=False)
            threads = {name: 1 for name in _THREADS if name in params}
            if threads:
                part.set_params(**threads)
        elif type(part).__module__ == "xgboost.core" and type(part).__name__ == "Booster":
            part.set_param({"nthread": 1})


def check_bounds(model: object) -> None:
    """Check that every index that compiled code will follow stays inside its array, and that no part opens files.

    Raises:
        CorruptPackage: one does not, so the model was not written by the library that it names.
    """
    try:
        for part in reachable(model):
            if not (consistency.fit(part) and _in_bounds(part)):
                raise CorruptPackage(f"the model's {type(part).__name__} points outside of itself")
    # A part that lacks what every fitted one has, or has it with another type, fails with any of these.
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CorruptPackage(f"the model's parts contradict each other: {error}") from error


def _in_bounds(part: Any) -> bool:
    if isinstance(part, Tree):
        return _tree(part)
    if isinstance(part, (*_BALLS, *_BOXES)):
        return _neighbours(part.__getstate__(), 1 if isinstance(part, _BALLS) else 2)
    if isinstance(part, BaseHistGradientBoosting):
        return all(_histogram_tree(vars(part), each) for row in vars(part)["_predictors"] for each in row)
    if isinstance(part, BSpline):
        BSpline(part.t, part.c, part.k)  # its constructor checks what `__setstate__` takes as given
        return True
    if isinstance(part, (CountVectorizer, HashingVectorizer)) and part.input != "content":
        return False  # its inputs would be names of files on this host
    if isinstance(getattr(part, "tree_", None), Tree):
        return bool(part.tree_.n_features == part.n_features_in_)
    return _forest(part)


def _tree(tree: Any) -> bool:
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = left != -1
    index = np.arange(tree.node_count)[inner]
    # Children come after their parents, so that a walk ends, too.
    after = (left[inner] > index) & (right[inner] > index)
    inside = (left[inner] < tree.node_count) & (right[inner] < tree.node_count)
    known = (feature[inner] >= 0) & (feature[inner] < tree.n_features)
    return bool(tree.node_count > 0 and (after & inside & known).all())


def _forest(part: Any) -> bool:
    """Whether the trees of a forest read no column that the forest does not have: it does not let them check."""
    trees = getattr(part, "estimators_", None)
    if trees is None or not hasattr(part, "n_features_in_"):
        return True
    subsets = getattr(part, "estimators_features_", None)
    for number, each in enumerate(np.ravel(np.asarray(trees, dtype=object))):
        if isinstance(getattr(each, "tree_", None), Tree):
            width = part.n_features_in_ if subsets is None else len(subsets[number])
            if each.tree_.n_features > width:
                return False
    steps = getattr(part, "n_trees_per_iteration_", None)
    return steps is None or bool(np.shape(trees)[1:] == (steps,))


def _histogram_tree(owner: dict[str, Any], tree: Any) -> bool:
    nodes = tree.nodes
    index = np.arange(len(nodes))
    leaf = nodes["is_leaf"] != 0
    inside = (nodes["left"] > index) & (nodes["right"] > index)
    inside &= (nodes["left"] < len(nodes)) & (nodes["right"] < len(nodes))
    inside &= (nodes["feature_idx"] >= 0) & (nodes["feature_idx"] < owner["_n_features"])
    split = ~leaf & (nodes["is_categorical"] != 0)
    if split.any():
        categorical = owner["_bin_mapper"].is_categorical_
        known = np.zeros(owner["_n_features"], dtype=bool)
        known[: len(categorical)] = categorical != 0
        in_bitsets = nodes["bitset_idx"] < len(tree.raw_left_cat_bitsets)
        inside &= ~split | (in_bitsets & known[np.where(split, nodes["feature_idx"], 0)])
    return bool(len(nodes) > 0 and (inside | leaf).all())


def _neighbours(state: tuple[Any, ...], corners: int) -> bool:
    data, order, nodes, bounds, count, metric = *(np.asarray(each) for each in state[:4]), state[6], state[11]
    rows, width = data.shape
    index = np.arange(count)
    weights = np.asarray(metric.__getstate__()[1])
    sample = state[12]
    kind = type(metric).__name__
    return bool(
        len(nodes) == count > 0
        and bounds.shape[1:] == (count, width)
        and len(bounds) == corners
        and order.shape == (rows,)
        and (sample is None or np.shape(sample) == (rows,))
        and ((order >= 0) & (order < rows)).all()
        and ((nodes["idx_start"] >= 0) & (nodes["idx_start"] <= nodes["idx_end"]) & (nodes["idx_end"] <= rows)).all()
        and ((nodes["is_leaf"] != 0) | (2 * index + 2 < count)).all()
        and (not kind.startswith("SEuclidean") or len(weights) == width)
        and (not kind.startswith("Minkowski") or len(weights) in (0, width))
    )


def classes_of(model: Any) -> Any:
    """A classifier's classes, a list of them where it has many targets; `None` for any other model."""
    try:
        return model.classes_ if is_classifier(model) else None
    except AttributeError:  # an estimator of another library, without tags or without classes
        return None
