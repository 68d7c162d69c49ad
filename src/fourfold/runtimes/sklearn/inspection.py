"""Walk through the parts of an estimator, limit their threads, and check their indices.

scikit-learn follows the indices in trees and neighbour searches without checking them, so a crafted file could make it
read outside of their arrays. That is why skops does not trust these types by itself. Here they are trusted, and checked
after they are loaded.
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

from fourfold.errors import CorruptPackage, printable
from fourfold.runtimes.sklearn import consistency

_BALL_TREES = (_ball_tree.BinaryTree32, _ball_tree.BinaryTree64)
_KD_TREES = (_kd_tree.BinaryTree32, _kd_tree.BinaryTree64)

__all__ = ["check_bounds", "classes_of", "set_one_thread", "walk_parts"]

# The names of the parameter that limits an estimator's threads.
_THREAD_PARAMETERS = ("n_jobs", "nthread", "nthreads", "num_thread", "num_threads")


def walk_parts(model: object) -> Iterator[Any]:
    """Yield the model and every object inside it, each once; also fitted parts, which `get_params` does not list."""
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
    for part in walk_parts(model):
        if callable(getattr(part, "get_params", None)) and callable(getattr(part, "set_params", None)):
            try:
                params = part.get_params(deep=False)
            except AttributeError:  # an older version of its library wrote it, which had fewer parameters
                vars(part).update((name, 1) for name in _THREAD_PARAMETERS if name in vars(part))
                continue
            threads = {name: 1 for name in _THREAD_PARAMETERS if name in params}
            if threads:
                part.set_params(**threads)
        elif type(part).__module__ == "xgboost.core" and type(part).__name__ == "Booster":
            part.set_param({"nthread": 1})


def check_bounds(model: object) -> None:
    """Check that every index that compiled code follows is inside its array, and that no part opens files.

    Raises:
        CorruptPackage: an index is not: the library that the model names did not write it.
    """
    try:
        parts = list(walk_parts(model))
        for is_sound in (consistency.is_consistent, _in_bounds, consistency.has_first_answers):
            for part in parts:
                if not is_sound(part):
                    raise CorruptPackage(f"the model's {type(part).__name__} points outside of itself")
    # Parts raise these where an attribute is missing or has another type.
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CorruptPackage(f"the model's parts contradict each other: {printable(str(error))}") from error


def _in_bounds(part: Any) -> bool:
    if isinstance(part, Tree):
        return _tree(part)
    if isinstance(part, (*_BALL_TREES, *_KD_TREES)):
        return _neighbours(part.__getstate__(), 1 if isinstance(part, _BALL_TREES) else 2)
    if isinstance(part, BaseHistGradientBoosting):
        trees = (tree for iteration in vars(part).get("_predictors", ()) for tree in iteration)  # none unfitted
        return all(_histogram_tree(vars(part), tree) for tree in trees)
    if isinstance(part, BSpline):
        BSpline(part.t, part.c, part.k)  # the constructor checks what `__setstate__` does not
        return True
    if isinstance(part, (CountVectorizer, HashingVectorizer)) and part.input != "content":
        return False  # it would open its inputs as files of this host
    if isinstance(getattr(part, "tree_", None), Tree):
        return bool(part.tree_.n_features == part.n_features_in_)
    return _forest(part)


def _tree(tree: Any) -> bool:
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    is_inner = left != -1
    index = np.arange(tree.node_count)[is_inner]
    # Children come after their parents, so every walk from the root ends.
    is_after = (left[is_inner] > index) & (right[is_inner] > index)
    is_inside = (left[is_inner] < tree.node_count) & (right[is_inner] < tree.node_count)
    has_column = (feature[is_inner] >= 0) & (feature[is_inner] < tree.n_features)
    return bool(tree.node_count > 0 and (is_after & is_inside & has_column).all())


def _forest(part: Any) -> bool:
    """Return whether the trees of a forest read only columns of the forest, which passes them rows unchecked."""
    trees = getattr(part, "estimators_", None)
    if trees is None or not hasattr(part, "n_features_in_"):
        return True
    subsets = getattr(part, "estimators_features_", None)
    for index, estimator in enumerate(np.ravel(np.asarray(trees, dtype=object))):
        if isinstance(getattr(estimator, "tree_", None), Tree):
            width = part.n_features_in_ if subsets is None else len(subsets[index])
            if estimator.tree_.n_features > width:
                return False
    trees_per_iteration = getattr(part, "n_trees_per_iteration_", None)
    return trees_per_iteration is None or bool(np.shape(trees)[1:] == (trees_per_iteration,))


def _histogram_tree(owner: dict[str, Any], tree: Any) -> bool:
    nodes = tree.nodes
    index = np.arange(len(nodes))
    is_leaf = nodes["is_leaf"] != 0
    is_sound = (nodes["left"] > index) & (nodes["right"] > index)
    is_sound &= (nodes["left"] < len(nodes)) & (nodes["right"] < len(nodes))
    is_sound &= (nodes["feature_idx"] >= 0) & (nodes["feature_idx"] < owner["_n_features"])
    is_category_split = ~is_leaf & (nodes["is_categorical"] != 0)
    if is_category_split.any():
        binned = owner["_bin_mapper"].is_categorical_
        is_categorical = np.zeros(owner["_n_features"], dtype=bool)
        is_categorical[: len(binned)] = binned != 0
        has_bitset = nodes["bitset_idx"] < len(tree.raw_left_cat_bitsets)
        has_categories = is_categorical[np.where(is_category_split, nodes["feature_idx"], 0)]
        is_sound &= ~is_category_split | (has_bitset & has_categories)
    return bool(len(nodes) > 0 and (is_sound | is_leaf).all())


def _neighbours(state: tuple[Any, ...], corners: int) -> bool:
    """Return whether the state of a search tree is sound.

    Args:
        state: the state of a ball tree or a k-d tree, as `__getstate__` returns it.
        corners: the number of points that bound a node: 1 (the centre of a ball) or 2 (the corners of a box).
    """
    data, order, nodes, bounds, count, metric = *(np.asarray(array) for array in state[:4]), state[6], state[11]
    if not 0 < count == len(nodes):
        return False
    rows, width = data.shape
    index = np.arange(count)
    weights = np.asarray(metric.__getstate__()[1])
    sample, leaf_rows, levels = state[12], state[4], state[5]
    kind = type(metric).__name__
    return bool(
        leaf_rows >= 1  # it is divided by
        and levels >= 1
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
    """Return a classifier's classes, a list of them where it has several targets; `None` for any other model."""
    try:
        return model.classes_ if is_classifier(model) else None
    except AttributeError:  # an estimator of another library, without tags or without classes
        return None
