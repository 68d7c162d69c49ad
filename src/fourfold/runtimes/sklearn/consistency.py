"""Check that the arrays of scikit-learn's estimators fit each other, where compiled code does not check it."""

from __future__ import annotations

import warnings
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.cluster import BisectingKMeans, FeatureAgglomeration, KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import NMF, MiniBatchNMF
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import VotingClassifier
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.kernel_approximation import AdditiveChi2Sampler, PolynomialCountSketch
from sklearn.manifold import LocallyLinearEmbedding
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.neighbors._base import NeighborsBase
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    SplineTransformer,
)
from sklearn.svm._base import BaseLibSVM
from sklearn.tree import BaseDecisionTree
from sklearn.tree._tree import Tree
from sklearn.utils.validation import check_array

from fourfold.errors import describe

__all__ = ["has_first_answers", "is_consistent"]

#: The most threads of a clustering.
_MAX_THREADS = 4096
#: The largest degree of a polynomial, the most components of a sketch and the most steps of a sampler.
_MAX_DEGREE, _MAX_COMPONENTS, _MAX_STEPS = 1000, 2**20, 10_000
#: The most columns that an estimator makes of its own, and of hashes in a dense table.
_MAX_COLUMNS, _MAX_DENSE_COLUMNS = 2**26, 2**22


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
    if not _has_counted_classes(state.get("classes_"), state.get("n_classes_")):
        return False
    if sparse.issparse(part):
        return _is_sound_matrix(part)
    if isinstance(part, np.random.RandomState):
        return _is_sound_generator(part.get_state(legacy=False))
    if isinstance(part, np.random.Generator):
        return _is_sound_generator(part.bit_generator.state)
    return all(check(part, state) for kinds, check in _CHECKS if isinstance(part, kinds))


def _has_counted_classes(classes: Any, count: Any) -> bool:
    """Return whether the count of one target's classes is right, where a part has both."""
    is_one_target = isinstance(classes, np.ndarray) and classes.ndim == 1 and isinstance(count, (int, np.integer))
    return not is_one_target or int(count) == len(classes)


def _is_count(value: object) -> bool:
    """Return whether a value is an integer from 0 to the largest of 32 bits."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 0 <= int(value) < 2**31


def _has_shadowed_method(part: Any, state: dict[str, Any]) -> bool:
    """Return whether a part has a value in place of a method of its class: it may be one that checks inputs."""
    return any(isinstance(getattr(type(part), name, None), FunctionType) or name == "_impl" for name in state)


def _is_sound_matrix(matrix: Any) -> bool:
    """Return whether the indices of a sparse matrix are inside of it.

    SciPy's own check looks at none of them where the last pointer is not positive.
    """
    rows, columns = matrix.shape
    data = matrix.data
    if data.dtype.kind not in "biufc" or not (0 <= rows < 2**62 and 0 <= columns < 2**62):
        return False
    if matrix.format == "dia":
        offsets = matrix.offsets
        return bool(
            _are_indices(offsets, -rows + 1, columns) and data.ndim == 2 and len(data) == len(offsets) < rows + columns
        )
    if matrix.format == "coo":
        indices = matrix.coords
        return len(indices) == 2 and all(
            _are_indices(part, 0, size) and len(part) == len(data)
            for part, size in zip(indices, (rows, columns), strict=True)
        )
    if matrix.format not in ("csr", "csc", "bsr"):
        return False
    high, wide = (columns, rows) if matrix.format == "csc" else (rows, columns)
    if matrix.format == "bsr":
        if data.ndim != 3 or not all(data.shape[1:]) or rows % data.shape[1] or columns % data.shape[2]:
            return False
        high, wide = rows // data.shape[1], columns // data.shape[2]
    pointers, indices = matrix.indptr, matrix.indices
    return bool(
        _are_indices(pointers, 0, len(data) + 1)
        and len(pointers) == high + 1
        and pointers[0] == 0
        and (pointers[1:] >= pointers[:-1]).all()
        and pointers[-1] == len(indices) == len(data)
        and _are_indices(indices, 0, wide)
    )


def _are_indices(values: Any, low: int, high: int) -> bool:
    """Return whether values are a list of integers from `low` to below `high`."""
    return bool(
        isinstance(values, np.ndarray)
        and values.ndim == 1
        and values.dtype.kind in "iu"
        and ((values >= low) & (values < high)).all()
    )


def _is_sound_generator(state: Any) -> bool:
    """Return whether a random generator reads inside of its buffer next."""
    numbers = state.get("state", {})
    if state["bit_generator"] == "MT19937":
        return np.shape(numbers["key"]) == (624,) and bool(0 <= numbers["pos"] <= 624)
    if state["bit_generator"] == "Philox":
        return np.shape(state["buffer"]) == (4,) and bool(0 <= state["buffer_pos"] <= 4)
    return True


# Each check below returns whether a part is consistent; one that is not fitted is.


def _gradient_boosting(part: Any, state: dict[str, Any]) -> bool:
    if "estimators_" not in state:
        return True
    estimators, count = state["estimators_"], state["n_trees_per_iteration_"]
    if np.ndim(estimators) != 2 or not estimators.size or estimators.shape[1] != count:
        return False
    trees = [estimator.tree_ for estimator in np.ravel(estimators)]
    # The trees are followed, and their values read, without a look at any size.
    return all(
        isinstance(estimator, BaseDecisionTree) and estimator.n_features_in_ == state["n_features_in_"]
        for estimator in np.ravel(estimators)
    ) and all(
        isinstance(tree, Tree)
        and tree.n_features <= state["n_features_in_"]
        and (tree.n_outputs, tree.max_n_classes) == (1, 1)
        for tree in trees
    )


def has_first_answers(part: Any) -> bool:
    """Return whether the first estimator of a gradient boosting answers as its trees need; others have none.

    It is asked, so call this when all parts of the model are known to be consistent.

    Raises:
        ValueError: it fails.
    """
    state = getattr(part, "__dict__", {})
    if not isinstance(part, BaseGradientBoosting) or "estimators_" not in state:
        return True
    shape: tuple[int, ...] = _first_answers(part, state["n_features_in_"]).shape
    return shape == (2, state["n_trees_per_iteration_"])


def _first_answers(part: Any, width: int) -> Any:
    """Return the answers to which the trees add theirs, for two rows; raise `ValueError` where there are none."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return part._raw_predict_init(np.zeros((2, width), dtype=np.float32))  # noqa: SLF001 - as predict does
    except Exception as error:  # the first estimator may be of any kind
        raise ValueError(f"the first estimator fails: {describe(error)}") from error


def _targets(part: Any, state: dict[str, Any]) -> bool:
    """Return whether a tree or a forest counts the targets and classes of its trees."""
    trees = [state["tree_"]] if "tree_" in state else [estimator.tree_ for estimator in state.get("estimators_", [])]
    if not trees:
        return True
    classes = state.get("classes_")
    if isinstance(classes, list) and [len(names) for names in classes] != [int(count) for count in state["n_classes_"]]:
        return False
    counts = (
        [len(names) for names in classes] if isinstance(classes, list) else [1 if classes is None else len(classes)]
    )
    outputs = state["n_outputs_"]
    return all(
        tree.n_outputs == outputs and (classes is None or (len(counts) == outputs and list(tree.n_classes) == counts))
        for tree in trees
    )


def _histogram_boosting(part: Any, state: dict[str, Any]) -> bool:
    if "_predictors" not in state:
        return True
    trees = [tree for iteration in state["_predictors"] for tree in iteration]
    count = state["n_trees_per_iteration_"]
    if not all(len(iteration) == count for iteration in state["_predictors"]):
        return False
    bitsets = [bitset for tree in trees for bitset in (tree.raw_left_cat_bitsets, tree.binned_left_cat_bitsets)]
    return bool(
        _is_count(state["_n_features"])
        and state["_n_features"] == state["n_features_in_"]
        and not state.get("_in_fit", False)  # rows in fitting are not checked
        and np.shape(state["_baseline_prediction"]) == (1, count)
        and _keeps_width(state["_preprocessor"], state["_n_features"])
        and all(bitset.ndim == 2 and bitset.shape[1] == 8 for bitset in bitsets)
    )


def _keeps_width(preprocessor: Any, width: int) -> bool:
    """Return whether what prepares rows of categories, as fitting makes it, gives as many columns as the trees read."""
    if preprocessor is None:
        return True
    if type(preprocessor) is not ColumnTransformer:
        return False
    count = 0
    for name, transformer, columns in preprocessor.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        function = getattr(transformer, "func", None)
        function = function.func if isinstance(function, partial) else function
        is_known = type(transformer) is OrdinalEncoder or (
            type(transformer) is FunctionTransformer and function in (None, check_array)
        )
        chosen = np.asarray(columns)
        chosen_count = int(chosen.sum()) if chosen.dtype == bool else chosen.size
        indices = preprocessor._transformer_to_input_indices[name]  # noqa: SLF001
        if not is_known or chosen.ndim != 1 or chosen.dtype.kind not in "biuUO" or len(indices) != chosen_count:
            return False
        count += chosen_count
    return count == width


def _neighbours(part: Any, state: dict[str, Any]) -> bool:
    if "_fit_X" not in state:
        return True
    shape, tree = np.shape(state["_fit_X"]), state["_tree"]
    rows = shape[0]
    if rows == 0 or state["n_samples_fit_"] != rows or not _has_labels(part, state, rows):
        return False
    if tree is not None and len(tree.data) != rows:
        return False
    if state.get("effective_metric_") == "mahalanobis" and not _has_square_weights(state, shape):
        return False
    # A search that was fitted on a tree does not know its columns; the tree checks the width of queries itself.
    if "n_features_in_" not in state:
        return tree is not None and state["_fit_method"] in ("kd_tree", "ball_tree")
    return len(shape) == 2 and shape[1] == state["n_features_in_"]


def _has_square_weights(state: dict[str, Any], shape: tuple[int, ...]) -> bool:
    """Return whether the weights of a distance are as wide as the rows, which SciPy does not check."""
    weights = (state["effective_metric_params_"] or {}).get("VI")
    return weights is None or (isinstance(weights, np.ndarray) and weights.shape == (shape[-1], shape[-1]))


def _has_labels(part: Any, state: dict[str, Any], rows: int) -> bool:
    """Return whether the labels by which neighbours vote are those of its classes, one for each row."""
    if not isinstance(part, (KNeighborsClassifier, RadiusNeighborsClassifier)):
        return True
    labels, classes = state["_y"], state["classes_"]
    columns = [labels] if np.ndim(labels) == 1 else list(np.transpose(labels))
    if np.ndim(labels) not in (1, 2) or np.shape(labels)[0] != rows:
        return False
    sizes = [len(names) for names in classes] if isinstance(classes, list) else [len(classes)]
    is_near = not isinstance(part, KNeighborsClassifier) or (
        _is_count(state["n_neighbors"]) and 1 <= state["n_neighbors"] <= rows
    )
    return (
        is_near
        and len(columns) == len(sizes)
        and all(_are_indices(column, 0, size) for column, size in zip(columns, sizes, strict=True))
    )


def _cluster_centers(part: Any, state: dict[str, Any]) -> bool:
    if "cluster_centers_" not in state:
        return True
    centers = state["cluster_centers_"]
    clusters = np.shape(centers)[0]
    return bool(
        centers.ndim == 2
        and clusters > 0
        and np.shape(centers)[1] == state["n_features_in_"]
        and ("_n_threads" not in state or (_is_count(state["_n_threads"]) and 1 <= state["_n_threads"] <= _MAX_THREADS))
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
        and (not sparse.issparse(weights) or weights.format == vectors.format == "csr")
        and (not sparse.issparse(weights) or weights.nnz == weights.data.size == (classes - 1) * size)
        and sparse.issparse(vectors) == sparse.issparse(weights) == state["_sparse"]
        and np.shape(state["_intercept_"]) == (pairs,)
        and np.shape(state["_probA"]) == np.shape(state["_probB"])
        and np.shape(state["_probA"]) in ((0,), (pairs,))
        and (np.size(state["_probA"]) > 0 or not state.get("_effective_probability", state["probability"]))
    )


def _votes(part: Any, state: dict[str, Any]) -> bool:
    """Return whether members vote for classes that there are: votes are counted up to the largest number."""
    members = [getattr(member, "classes_", None) for member in state.get("estimators_", [])]
    return all(
        _are_indices(classes, 0, len(state["classes_"])) for classes in members if isinstance(classes, np.ndarray)
    )


def _word_groups(part: Any, state: dict[str, Any]) -> bool:
    least, most = part.ngram_range
    return _is_count(least) and _is_count(most) and 1 <= least <= most


def _vocabulary(part: Any, state: dict[str, Any]) -> bool:
    if "vocabulary_" not in state:
        return True
    columns = list(state["vocabulary_"].values())
    return all(_is_count(column) for column in columns) and sorted(columns) == list(range(len(columns)))


def _agglomeration(part: Any, state: dict[str, Any]) -> bool:
    if "labels_" not in state:
        return True
    width = state["n_features_in_"]
    return len(state["labels_"]) == width and _are_indices(state["labels_"], 0, width)


def _polynomial(part: Any, state: dict[str, Any]) -> bool:
    if "n_output_features_" not in state:
        return True
    least, most = state["_min_degree"], state["_max_degree"]
    if not (_is_count(least) and _is_count(most) and least <= most <= _MAX_DEGREE):
        return False
    shape = {"n_features": state["n_features_in_"], "max_degree": most}
    options = {"interaction_only": part.interaction_only, "include_bias": part.include_bias}
    counts = [part._num_combinations(min_degree=low, **shape, **options) for low in (least, 0)]  # noqa: SLF001
    # Columns that it does not fill have what stood in memory before.
    return [state["n_output_features_"], state["_n_out_full"]] == counts and max(counts) <= _MAX_COLUMNS


def _splines(part: Any, state: dict[str, Any]) -> bool:
    if "bsplines_" not in state:
        return True
    splines = state["bsplines_"]
    widths = {np.shape(spline.c)[1] for spline in splines}
    width = state["n_features_in_"]
    return len(splines) == width and len(widths) == 1 and 0 <= state["n_features_out_"] <= width * (max(widths) + 1)


def _count_sketch(part: Any, state: dict[str, Any]) -> bool:
    if "indexHash_" not in state:
        return True
    shape = (part.degree, state["n_features_in_"] + (part.coef0 != 0))
    return bool(
        _is_count(part.n_components)
        and part.n_components <= _MAX_COMPONENTS
        and np.shape(state["indexHash_"]) == np.shape(state["bitHash_"]) == shape
        and _are_indices(np.ravel(state["indexHash_"]), 0, part.n_components)
    )


def _components(part: Any, state: dict[str, Any]) -> bool:
    return "embedding_" not in state or bool(part.n_components == np.shape(state["embedding_"])[1])


def _factors(part: Any, state: dict[str, Any]) -> bool:
    return "components_" not in state or bool(state["_n_components"] == len(state["components_"]))


def _sampler(part: Any, state: dict[str, Any]) -> bool:
    return _is_count(part.sample_steps) and part.sample_steps <= _MAX_STEPS


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
        drops = [None] * len(sizes)
    # A category beyond the columns would be written beyond the rows.
    return all(
        (index is None or 0 <= index < size) and size - (index is not None) <= width
        for index, size, width in zip(drops, sizes, widths, strict=True)
    )


def _constant(part: Any, state: dict[str, Any]) -> bool:
    """Return whether a model without inputs counts its targets rightly: it makes a column for each."""
    if "n_outputs_" not in state:
        return True
    if isinstance(part, DummyRegressor):
        return bool(np.shape(state["constant_"]) == (1, state["n_outputs_"]))
    classes = state["classes_"]
    return bool(state["n_outputs_"] == (len(classes) if isinstance(classes, list) else 1))


def _columns(part: Any, state: dict[str, Any]) -> bool:
    """Return whether no member makes very many columns of which the whole makes a dense table."""
    if "transformers_" not in state or state.get("sparse_output_", False):
        return True
    return all(
        not isinstance(hasher, (HashingVectorizer, FeatureHasher)) or hasher.n_features <= _MAX_DENSE_COLUMNS
        for _, member, _ in state["transformers_"]
        for hasher in [member, *(step for _, step in getattr(member, "steps", ()))]
    )


_CHECKS: tuple[tuple[Any, Any], ...] = (
    ((DummyClassifier, DummyRegressor), _constant),
    (ColumnTransformer, _columns),
    (BaseGradientBoosting, _gradient_boosting),
    (BaseHistGradientBoosting, _histogram_boosting),
    (NeighborsBase, _neighbours),
    ((KMeans, MiniBatchKMeans, BisectingKMeans), _cluster_centers),
    (BaseLibSVM, _support_vectors),
    ((CountVectorizer, DictVectorizer), _vocabulary),
    ((HashingVectorizer, FeatureHasher), _hash_columns),
    ((CountVectorizer, HashingVectorizer), _word_groups),
    (OneHotEncoder, _one_hot),
    ((BaseDecisionTree, BaseForest), _targets),
    (VotingClassifier, _votes),
    (FeatureAgglomeration, _agglomeration),
    (PolynomialFeatures, _polynomial),
    (SplineTransformer, _splines),
    (PolynomialCountSketch, _count_sketch),
    (AdditiveChi2Sampler, _sampler),
    (LocallyLinearEmbedding, _components),
    ((NMF, MiniBatchNMF), _factors),
)
