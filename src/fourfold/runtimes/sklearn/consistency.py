"""Whether the arrays of scikit-learn's estimators fit each other, where compiled code takes that as given."""

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

__all__ = ["fit"]


def fit(part: Any) -> bool:
    """Whether a part of a model has the shapes that its compiled code relies on.

    Raises:
        AttributeError, IndexError, KeyError, TypeError, ValueError: it lacks what every fitted one has.
    """
    state = getattr(part, "__dict__", {})
    if "n_features_in_" in state and not _is_count(state["n_features_in_"]):
        return False
    if type(part).__module__.startswith("sklearn.") and _shadows(part, state):
        return False
    if sparse.issparse(part):
        if part.format in ("csr", "csc", "bsr"):
            part.check_format(full_check=True)
        return True
    return all(check(part, state) for kinds, check in _CHECKS if isinstance(part, kinds))


def _is_count(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 0 <= int(value) < 2**31


def _shadows(part: Any, state: dict[str, Any]) -> bool:
    """Whether a part has values of its own where its class has methods, which may be those that check its input."""
    return any(isinstance(getattr(type(part), name, None), FunctionType) or name == "_impl" for name in state)


def _boosting(part: Any, state: dict[str, Any]) -> bool:
    if "estimators_" not in state:
        return True
    trees = [each.tree_ for each in np.ravel(state["estimators_"])]
    return all(isinstance(tree, Tree) and tree.n_features <= state["n_features_in_"] for tree in trees)


def _histograms(part: Any, state: dict[str, Any]) -> bool:
    if "_predictors" not in state:
        return True
    trees = [each for row in state["_predictors"] for each in row]
    bitsets = [bits for each in trees for bits in (each.raw_left_cat_bitsets, each.binned_left_cat_bitsets)]
    return bool(
        _is_count(state["_n_features"])
        and state["_n_features"] == state["n_features_in_"]
        and all(bits.ndim == 2 and bits.shape[1] == 8 for bits in bitsets)
    )


def _neighbours(part: Any, state: dict[str, Any]) -> bool:
    if "_fit_X" not in state:
        return True
    # A search that was built from a tree never saw columns; the tree looks at the width of what it is asked.
    if "n_features_in_" not in state:
        return state["_tree"] is not None and state["_fit_method"] in ("kd_tree", "ball_tree")
    return len(np.shape(state["_fit_X"])) == 2 and np.shape(state["_fit_X"])[1] == state["n_features_in_"]


def _centers(part: Any, state: dict[str, Any]) -> bool:
    if "cluster_centers_" not in state:
        return True
    centers = state["cluster_centers_"]
    clusters = np.shape(centers)[0]
    return bool(
        centers.ndim == 2
        and clusters > 0
        and np.shape(centers)[1] == state["n_features_in_"]
        and ("_n_threads" not in state or _is_count(state["_n_threads"]))
        and (not isinstance(part, BisectingKMeans) or _halves(state["_bisecting_tree"], state["n_features_in_"]))
    )


def _halves(root: Any, width: int) -> bool:
    """Whether every centre of a tree of clusters has the model's columns."""
    stack, seen = [root], set()
    while stack:
        node = stack.pop()
        if id(node) in seen or np.shape(node.center) != (width,):
            return False
        seen.add(id(node))
        stack.extend(each for each in (node.left, node.right) if each is not None)
    return True


def _machine(part: Any, state: dict[str, Any]) -> bool:
    if "support_" not in state:
        return True
    support, counts = state["support_"], state["_n_support"]
    vectors, weights = state["support_vectors_"], state["_dual_coef_"]
    size, width, classes = len(support), state["n_features_in_"], len(counts)
    pairs = classes * (classes - 1) // 2
    if "classes_" in state:
        known = classes == max(2, len(state["classes_"])) and (counts >= 0).all() and counts.sum() == size
    else:
        known = classes == 2
    # A kernel that was computed before is looked up by the places of the vectors.
    computed = callable(state["kernel"]) or state["kernel"] == "precomputed"
    found = np.shape(vectors) == (size, width) or (computed and np.shape(vectors)[0] in (0, size))
    return bool(
        known
        and found
        and ((support >= 0) & (support < state["shape_fit_"][0])).all()
        and (not computed or width == state["shape_fit_"][1])
        and np.shape(weights) == (classes - 1, size)
        and (not sparse.issparse(weights) or weights.nnz == weights.data.size == (classes - 1) * size)
        and sparse.issparse(vectors) == sparse.issparse(weights) == state["_sparse"]
        and np.shape(state["_intercept_"]) == (pairs,)
        and all(np.shape(state[name]) in ((0,), (pairs,)) for name in ("_probA", "_probB"))
    )


def _vocabulary(part: Any, state: dict[str, Any]) -> bool:
    if "vocabulary_" not in state:
        return True
    places = list(state["vocabulary_"].values())
    return all(_is_count(each) for each in places) and sorted(places) == list(range(len(places)))


def _hashes(part: Any, state: dict[str, Any]) -> bool:
    return _is_count(part.n_features) and part.n_features >= 1


def _one_hot(part: Any, state: dict[str, Any]) -> bool:
    if "categories_" not in state:
        return True
    widths = list(part._compute_n_features_outs())  # noqa: SLF001 - what it computed when it was fitted
    if widths != list(state["_n_features_outs"]) or not all(_is_count(each) for each in widths):
        return False
    sizes = [len(each) for each in state["categories_"]]
    mappings = state.get("_default_to_infrequent_mappings")
    if mappings is not None and part._infrequent_enabled:  # noqa: SLF001
        for number, each in enumerate(mappings):
            if each is not None:
                mapping = np.asarray(each)
                sizes[number] = len(np.unique(mapping))
                if mapping.min() < 0 or mapping.max() >= sizes[number]:
                    return False
    dropped = state["_drop_idx_after_grouping"]
    if dropped is None:
        return True
    return all(each is None or 0 <= each < size for each, size in zip(dropped, sizes, strict=True))


_CHECKS: tuple[tuple[Any, Any], ...] = (
    (BaseGradientBoosting, _boosting),
    (BaseHistGradientBoosting, _histograms),
    (NeighborsBase, _neighbours),
    ((KMeans, MiniBatchKMeans, BisectingKMeans), _centers),
    (BaseLibSVM, _machine),
    ((CountVectorizer, DictVectorizer), _vocabulary),
    ((HashingVectorizer, FeatureHasher), _hashes),
    (OneHotEncoder, _one_hot),
)
