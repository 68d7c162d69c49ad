"""Compile scikit-learn's trees, and forests that average the predictions of their trees.

The rules reproduce `sklearn.tree`: `Tree._apply_dense` compares a float32 with a float64 threshold
(`value <= threshold` goes left), and `BaseDecisionTree.predict` returns what the leaf holds. `sklearn.ensemble._forest`
adds the predictions of the trees in their order, from 0 on, and divides by their number, in float64. All of it has the
original's bits; only logarithms depend on NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answers, transforms
from fourfold.plan.compile.columns import (
    FLOAT32,
    FLOAT64,
    NA,
    Coded,
    Column,
    Compiler,
    Matrix,
    NoPlan,
    Numeric,
    Opaque,
    Text,
    column_with_dtype,
    elementary,
)
from fourfold.plan.compile.scores import as_matrix, log_columns
from fourfold.plan.compile.tree_nodes import Nodes, forest
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__ = ["CLASSIFIERS", "REGRESSORS", "leaf_values", "nodes_of", "takes_nan", "tree_input"]

Floats = npt.NDArray[np.float64]

CLASSIFIERS = ("sklearn.DecisionTreeClassifier", "sklearn.ExtraTreeClassifier")
REGRESSORS = ("sklearn.DecisionTreeRegressor", "sklearn.ExtraTreeRegressor")
_ALL_CLASSIFIERS = (*CLASSIFIERS, "sklearn.RandomForestClassifier", "sklearn.ExtraTreesClassifier")
_ALL_REGRESSORS = (*REGRESSORS, "sklearn.RandomForestRegressor", "sklearn.ExtraTreesRegressor")


def tree_input(matrix: Matrix, compiler: Compiler, who: object, *, nan: bool, infinite: bool = False) -> Matrix:
    """Return the float32 array that trees read (`check_array(dtype=numpy.float32)`), and refuse rows that it refuses.

    Args:
        matrix: the columns.
        compiler: the plan's compiler.
        who: the estimator, which a refusal names.
        nan: whether NaN passes.
        infinite: whether infinities pass, and numbers that are too large for a float32.
    """
    columns: list[Column] = list(matrix.columns)
    rounded_once = _long_integers_rounded_once(matrix)
    integers: list[int] = []
    floats: list[int] = []
    # One-hot columns share their levels, and there may be very many.
    levels: dict[int, tuple[Floats, bool]] = {}
    doubtful: list[int] = []
    for index, column in enumerate(columns):
        dtype = FLOAT64 if isinstance(column, (Text, Opaque)) else column.dtype
        if isinstance(column, Coded):
            if id(column.levels) not in levels:
                rounded = elementary(MathFunction.ROUND32, column.levels)
                levels[id(column.levels)] = rounded, bool(np.isfinite(rounded).all())
            rounded, finite = levels[id(column.levels)]
            columns[index] = Coded(column.code, dtype=FLOAT32, levels=rounded, hot_code=column.hot_code)
            if not finite:
                doubtful.append(index)
            continue
        doubtful.append(index)
        if index in rounded_once and isinstance(column, Numeric):
            columns[index] = Numeric(compiler.graph.round_float32(column.value), FLOAT32, dtype.kind in "iu")
        elif dtype.kind not in "biu" and dtype != FLOAT32:
            floats.append(index)
        elif dtype.kind in "iu" and dtype.itemsize > 2:
            integers.append(index)  # becomes no infinity; integers of up to 16 bits need no rounding at all
        else:
            columns[index] = column_with_dtype(column, FLOAT32)
    for indices, finite in ((integers, True), (floats, False)):
        mapped = compiler.map(MathFunction.ROUND32, [columns[index] for index in indices], dtype=FLOAT32, finite=finite)
        for index, column in zip(indices, mapped, strict=True):
            columns[index] = column
    converted = Matrix(tuple(columns), sparse=matrix.sparse)
    nan = nan and (infinite or not matrix.sparse)
    compiler.refuse([columns[index] for index in doubtful], who, nan=nan, infinite=infinite)
    return converted


def _long_integers_rounded_once(matrix: Matrix) -> set[int]:
    """Return the indices of the columns of 64-bit integers that become float32 without becoming float64 first.

    That is so in an array of such integers alone. It is also so in a pandas frame that scikit-learn converts column by
    column, because it has a column of booleans or of a dtype of pandas' own.
    """
    numeric = {index: column for index, column in enumerate(matrix.columns) if isinstance(column, Numeric)}
    masked = {index for index, column in numeric.items() if column.missing is NA}
    by_column = bool(masked) or any(column.dtype.kind == "b" for column in numeric.values())
    if not (matrix.frame and not matrix.polars and by_column) and not _is_long(matrix.dtype):
        return set()
    return masked | {index for index, column in numeric.items() if _is_long(column.dtype)}


def _is_long(dtype: np.dtype[Any]) -> bool:
    """Tell whether a dtype is of 64-bit integers."""
    return dtype.kind in "iu" and dtype.itemsize == np.dtype(np.int64).itemsize


def takes_nan(model: Any) -> bool:
    """Tell whether an estimator's tags say that it takes NaN.

    Its parameters decide about this, not the data that it was trained with.
    """
    return bool(model.__sklearn_tags__().input_tags.allow_nan)


def leaf_values(tree: Any) -> Floats:
    """Return what the leaves of a tree hold, shape `(leaves, targets, values of a target)`."""
    values: Floats = tree.value[tree.children_left < 0]
    return values


def nodes_of(trees: Sequence[Any], *, sparse: bool = False, features: Sequence[Any] | None = None) -> Nodes:
    """Gather the nodes of trees in flat arrays.

    Args:
        trees: the `tree_` of each estimator.
        sparse: whether the trees read a sparse matrix. `Tree._apply_sparse_csr` sends NaN right, whatever the node
            says.
        features: the columns of the matrix that each tree was trained with; all of them if left out.
    """
    sizes = np.array([tree.node_count for tree in trees], dtype=np.int64)
    tested = np.concatenate([tree.feature for tree in trees]).astype(np.int64)
    left = np.concatenate([tree.children_left for tree in trees]).astype(np.int64)
    if features is not None:
        tree_features = [np.asarray(indices, dtype=np.int64) for indices in features]
        offsets = np.cumsum([0, *map(len, tree_features)])[:-1]
        tested = np.concatenate(tree_features)[np.where(left < 0, 0, tested + np.repeat(offsets, sizes))]
    return Nodes(
        sizes,
        left,
        np.concatenate([tree.children_right for tree in trees]).astype(np.int64),
        tested,
        np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        np.zeros(len(left), dtype=np.bool_)
        if sparse
        else np.concatenate([tree.missing_go_to_left for tree in trees]).astype(np.bool_),
    )


def _sums(model: Any, matrix: Matrix, compiler: Compiler, outputs: Sequence[tuple[int, int]]) -> list[Number]:
    """Return the numbers that leaves hold, for a forest the mean over its trees.

    Args:
        model: a tree or a forest.
        matrix: the columns.
        compiler: the plan's compiler.
        outputs: the target, and the index among a target's values, of each number.
    """
    is_tree = hasattr(model, "tree_")
    trees = [model.tree_] if is_tree else [estimator.tree_ for estimator in model.estimators_]
    nan = takes_nan(model if is_tree else model.estimators_[0])
    inputs = tree_input(matrix, compiler, model, nan=nan)
    targets, value_indices = np.array(outputs, dtype=np.int64).T
    values = np.concatenate([leaf_values(tree)[:, targets, value_indices] for tree in trees])
    # A single tree has no sum: -0.0 + x is x, whatever the sign of a zero.
    start = np.full(len(outputs), -0.0 if is_tree else 0.0)
    sums = forest(compiler, inputs.columns, nodes_of(trees, sparse=matrix.sparse), values, start)
    return sums if is_tree else compiler.graph.map_const(MathFunction.DIV, sums, float(len(trees)))


@answers("predict", *_ALL_REGRESSORS)
def predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `predict` of regressors: the value of each target."""
    return as_matrix(_sums(model, matrix, compiler, [(target, 0) for target in range(model.n_outputs_)]))


def _probabilities(model: Any, matrix: Matrix, compiler: Compiler) -> list[list[Number]]:
    """Return the probabilities of the classes for each target."""
    counts = [int(count) for count in np.atleast_1d(model.n_classes_)]
    outputs = [(target, index) for target, count in enumerate(counts) for index in range(count)]
    numbers = _sums(model, matrix, compiler, outputs)
    edges = np.cumsum([0, *counts]).tolist()
    return [numbers[start : start + count] for start, count in zip(edges, counts, strict=False)]


@answers("predict_proba", *_ALL_CLASSIFIERS)
def predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix | list[Matrix]:
    """Return `predict_proba`: the probabilities of the classes, for each target."""
    probabilities = [as_matrix(numbers) for numbers in _probabilities(model, matrix, compiler)]
    return probabilities[0] if model.n_outputs_ == 1 else probabilities


@answers("predict_log_proba", *_ALL_CLASSIFIERS)
def predict_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix | list[Matrix]:
    """Return `predict_log_proba`: `numpy.log` of the probabilities, for each target."""
    logarithms = [log_columns(as_matrix(numbers), compiler) for numbers in _probabilities(model, matrix, compiler)]
    return logarithms[0] if model.n_outputs_ == 1 else logarithms


@answers("predict", *_ALL_CLASSIFIERS)
def predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | list[Labels]:
    """Return `predict` of classifiers: the class of the largest probability, for each target."""
    target_classes = [model.classes_] if model.n_outputs_ == 1 else model.classes_
    probabilities = _probabilities(model, matrix, compiler)
    labels = [
        Labels(compiler.graph.argmax(numbers), classes)
        for numbers, classes in zip(probabilities, target_classes, strict=True)
    ]
    return labels[0] if model.n_outputs_ == 1 else labels


@transforms("sklearn.RandomTreesEmbedding")
def random_trees_embedding(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `RandomTreesEmbedding.transform`: a column for each leaf, 1 where the row arrives and 0 elsewhere.

    Raises:
        NoPlan: the encoder does not know all leaves of a tree.
    """
    trees = [estimator.tree_ for estimator in model.estimators_]
    inputs = tree_input(matrix, compiler, model, nan=takes_nan(model.estimators_[0]))
    leaves = [np.flatnonzero(tree.children_left < 0) for tree in trees]
    for number, (categories, tree_leaves) in enumerate(zip(model.one_hot_encoder_.categories_, leaves, strict=True)):
        if len(categories) != len(tree_leaves) or (categories != tree_leaves).any():
            raise NoPlan(f"tree {number} of the RandomTreesEmbedding has leaves that its encoder does not know")
    nodes = nodes_of(trees, sparse=matrix.sparse)
    values = np.concatenate([np.arange(len(tree_leaves), dtype=np.float64) for tree_leaves in leaves])[:, None]
    leaf_indices = forest(compiler, inputs.columns, nodes, values, np.zeros(len(trees)), targets=range(len(trees)))
    columns: list[Column] = []
    levels = np.array([0.0, 1.0])
    for leaf_index, tree_leaves in zip(leaf_indices, leaves, strict=True):
        n_leaves = len(tree_leaves)
        code = compiler.graph.match(leaf_index, np.arange(n_leaves))
        code = compiler.graph.recode(code, [*range(n_leaves), 0, 0], n_leaves)
        columns += [Coded(code, levels=levels, hot_code=leaf) for leaf in range(n_leaves)]
    return Matrix(tuple(columns), sparse=bool(model.sparse_output))
