"""Check that the arrays of scikit-learn's estimators fit each other, where compiled code does not check it."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.cluster import BisectingKMeans, KMeans, MiniBatchKMeans
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.neighbors._base import NeighborsBase
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm._base import BaseLibSVM
from sklearn.tree._tree import Tree

__all__ = ["is_consistent"]


def is_consistent(part: Any) -> bool:
    """Return whether a part of a model has the shapes that its compiled code relies on.

    Raises:
        AttributeError, IndexError, KeyError, TypeError, ValueError: the part lacks what every fitted one has.
    """
    state = getattr(part, "__dict__", {})
    if "n_features_in_" in state and not _is_count(state["n_features_in_"]):
        return False
    if type(part).__module__.startswith("sklearn.") and _has_shadowed_method(part, state):
        return False
    if sparse.issparse(part):
        if part.format in ("csr", "csc", "bsr"):
            part.check_format(full_check=True)
        return True
    return all(check(part, state) for kinds, check in _CHECKS if isinstance(part, kinds))


def _is_count(value: object) -> bool:
    """Return whether a value is an integer from 0 to the largest of 32 bits."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 0 <= int(value) < 2**31


def _has_shadowed_method(part: Any, state: dict[str, Any]) -> bool:
    """Return whether a part has a value in place of a method of its class: it may be one that checks inputs."""
    return any(isinstance(getattr(type(part), name, None), FunctionType) or name == "_impl" for name in state)


# Each check below returns whether a part is consistent; one that is not fitted is.


def _gradient_boosting(part: Any, state: dict[str, Any]) -> bool:
    if "estimators_" not in state:
        return True
    trees = [estimator.tree_ for estimator in np.ravel(state["estimators_"])]
    return all(isinstance(tree, Tree) and tree.n_features <= state["n_features_in_"] for tree in trees)


def _histogram_boosting(part: Any, state: dict[str, Any]) -> bool:
    if "_predictors" not in state:
        return True
    trees = [tree for iteration in state["_predictors"] for tree in iteration]
    bitsets = [bitset for tree in trees for bitset in (tree.raw_left_cat_bitsets, tree.binned_left_cat_bitsets)]
    return bool(
        _is_count(state["_n_features"])
        and state["_n_features"] == state["n_features_in_"]
        and all(bitset.ndim == 2 and bitset.shape[1] == 8 for bitset in bitsets)
    )


def _neighbours(part: Any, state: dict[str, Any]) -> bool:
    if "_fit_X" not in state:
        return True
    # A search that was fitted on a tree does not know its columns; the tree checks the width of queries itself.
    if "n_features_in_" not in state:
        return state["_tree"] is not None and state["_fit_method"] in ("kd_tree", "ball_tree")
    return len(np.shape(state["_fit_X"])) == 2 and np.shape(state["_fit_X"])[1] == state["n_features_in_"]


def _cluster_centers(part: Any, state: dict[str, Any]) -> bool:
    if "cluster_centers_" not in state:
        return True
    centers = state["cluster_centers_"]
    clusters = np.shape(centers)[0]
    return bool(
        centers.ndim == 2
        and clusters > 0
        and np.shape(centers)[1] == state["n_features_in_"]
        and ("_n_threads" not in state or _is_count(state["_n_threads"]))
        and (
            not isinstance(part, BisectingKMeans)
            or _has_wide_centers(state["_bisecting_tree"], state["n_features_in_"])
        )
    )


def _has_wide_centers(root: Any, width: int) -> bool:
    """Return whether every centre in a tree of clusters has `width` columns."""
    stack, seen = [root], set()
    while stack:
        node = stack.pop()
        if id(node) in seen or np.shape(node.center) != (width,):
            return False
        seen.add(id(node))
        stack.extend(child for child in (node.left, node.right) if child is not None)
    return True


def _support_vectors(part: Any, state: dict[str, Any]) -> bool:
    if "support_" not in state:
        return True
    support, counts = state["support_"], state["_n_support"]
    vectors, weights = state["support_vectors_"], state["_dual_coef_"]
    size, width, classes = len(support), state["n_features_in_"], len(counts)
    pairs = classes * (classes - 1) // 2
    if "classes_" in state:
        has_counts = classes == max(2, len(state["classes_"])) and (counts >= 0).all() and counts.sum() == size
    else:
        has_counts = classes == 2
    # Values of a precomputed kernel are looked up by the indices of the vectors in the training data.
    is_precomputed = callable(state["kernel"]) or state["kernel"] == "precomputed"
    has_vectors = np.shape(vectors) == (size, width) or (is_precomputed and np.shape(vectors)[0] in (0, size))
    return bool(
        has_counts
        and has_vectors
        and ((support >= 0) & (support < state["shape_fit_"][0])).all()
        and (not is_precomputed or width == state["shape_fit_"][1])
        and np.shape(weights) == (classes - 1, size)
        and (not sparse.issparse(weights) or weights.nnz == weights.data.size == (classes - 1) * size)
        and sparse.issparse(vectors) == sparse.issparse(weights) == state["_sparse"]
        and np.shape(state["_intercept_"]) == (pairs,)
        and all(np.shape(state[name]) in ((0,), (pairs,)) for name in ("_probA", "_probB"))
    )


def _vocabulary(part: Any, state: dict[str, Any]) -> bool:
    if "vocabulary_" not in state:
        return True
    columns = list(state["vocabulary_"].values())
    return all(_is_count(column) for column in columns) and sorted(columns) == list(range(len(columns)))


def _hash_columns(part: Any, state: dict[str, Any]) -> bool:
    return _is_count(part.n_features) and part.n_features >= 1


def _one_hot(part: Any, state: dict[str, Any]) -> bool:
    if "categories_" not in state:
        return True
    widths = list(part._compute_n_features_outs())  # noqa: SLF001 - as when it was fitted
    if widths != list(state["_n_features_outs"]) or not all(_is_count(width) for width in widths):
        return False
    sizes = [len(categories) for categories in state["categories_"]]
    mappings = state.get("_default_to_infrequent_mappings")
    if mappings is not None and part._infrequent_enabled:  # noqa: SLF001
        for column, mapping in enumerate(mappings):
            if mapping is not None:
                codes = np.asarray(mapping)
                sizes[column] = len(np.unique(codes))
                if codes.min() < 0 or codes.max() >= sizes[column]:
                    return False
    drops = state["_drop_idx_after_grouping"]
    if drops is None:
        return True
    return all(index is None or 0 <= index < size for index, size in zip(drops, sizes, strict=True))


_CHECKS: tuple[tuple[Any, Any], ...] = (
    (BaseGradientBoosting, _gradient_boosting),
    (BaseHistGradientBoosting, _histogram_boosting),
    (NeighborsBase, _neighbours),
    ((KMeans, MiniBatchKMeans, BisectingKMeans), _cluster_centers),
    (BaseLibSVM, _support_vectors),
    ((CountVectorizer, DictVectorizer), _vocabulary),
    ((HashingVectorizer, FeatureHasher), _hash_columns),
    (OneHotEncoder, _one_hot),
)
