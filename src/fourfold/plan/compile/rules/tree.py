"""Trees of scikit-learn's, alone and in forests whose predictions are added up.

What is followed here: `Tree._apply_dense` compares a float32 with a float64 threshold; `BaseDecisionTree.predict` takes
the values of the leaf; forests add up the trees' predictions in their order, from 0, and divide by their number.
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
    elementary,
    retyped,
)
from fourfold.plan.compile.scores import as_matrix, log_columns
from fourfold.plan.compile.tree_nodes import Nodes, forest
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__ = ["CLASSIFIERS", "REGRESSORS", "at_leaves", "nodes_of", "single", "takes_nan"]

Floats = npt.NDArray[np.float64]

#: Single trees.
CLASSIFIERS = ("sklearn.DecisionTreeClassifier", "sklearn.ExtraTreeClassifier")
REGRESSORS = ("sklearn.DecisionTreeRegressor", "sklearn.ExtraTreeRegressor")
_CLASSIFIERS = (*CLASSIFIERS, "sklearn.RandomForestClassifier", "sklearn.ExtraTreesClassifier")
_REGRESSORS = (*REGRESSORS, "sklearn.RandomForestRegressor", "sklearn.ExtraTreesRegressor")


def single(matrix: Matrix, compiler: Compiler, who: object, *, nan: bool, infinite: bool = False) -> Matrix:
    """The float32 array that trees make of what they get; it refuses what they refuse.

    Args:
        matrix: the columns.
        compiler: of the plan.
        who: the estimator, which a refusal names.
        nan: whether NaN passes.
        infinite: whether infinities pass, and numbers that are too large for a float32.
    """
    columns: list[Column] = list(matrix.columns)
    once = _rounded_once(matrix)
    whole: list[int] = []
    wide: list[int] = []
    # One-hot columns share their levels, and there may be very many.
    levels: dict[int, tuple[Floats, bool]] = {}
    doubtful: list[int] = []
    for place, column in enumerate(columns):
        dtype = FLOAT64 if isinstance(column, (Text, Opaque)) else column.dtype
        if isinstance(column, Coded):
            if id(column.levels) not in levels:
                rounded = elementary(MathFunction.ROUND32, column.levels)
                levels[id(column.levels)] = rounded, bool(np.isfinite(rounded).all())
            rounded, finite = levels[id(column.levels)]
            columns[place] = Coded(column.code, dtype=FLOAT32, levels=rounded, hot_code=column.hot_code)
            if not finite:
                doubtful.append(place)
            continue
        doubtful.append(place)
        if place in once and isinstance(column, Numeric):
            columns[place] = Numeric(compiler.graph.single(column.value), FLOAT32, dtype.kind in "iu")
        elif dtype.kind not in "biu" and dtype != FLOAT32:
            wide.append(place)
        elif dtype.kind in "iu" and dtype.itemsize > 2:
            whole.append(place)  # never infinite; an integer of 16 bits is not even rounded
        else:
            columns[place] = retyped(column, FLOAT32)
    for places, finite in ((whole, True), (wide, False)):
        mapped = compiler.map(MathFunction.ROUND32, [columns[place] for place in places], dtype=FLOAT32, finite=finite)
        for place, column in zip(places, mapped, strict=True):
            columns[place] = column
    seen = Matrix(tuple(columns), sparse=matrix.sparse)
    nan = nan and (infinite or not matrix.sparse)
    compiler.refuse([columns[place] for place in doubtful], who, nan=nan, infinite=infinite)
    return seen


def _rounded_once(matrix: Matrix) -> set[int]:
    """The columns whose integers of 64 bits become float32 without being float64 in between.

    So it is in an array that holds nothing else, and in a frame of pandas of which scikit-learn converts each column by
    itself, since one of them is of booleans or of a dtype of pandas's own.
    """
    numeric = {place: each for place, each in enumerate(matrix.columns) if isinstance(each, Numeric)}
    masked = {place for place, each in numeric.items() if each.missing is NA}
    apart = bool(masked) or any(each.dtype.kind == "b" for each in numeric.values())
    if not (matrix.frame and not matrix.polars and apart) and not _is_long(matrix.dtype):
        return set()
    return masked | {place for place, each in numeric.items() if _is_long(each.dtype)}


def _is_long(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iu" and dtype.itemsize == np.dtype(np.int64).itemsize


def takes_nan(model: Any) -> bool:
    """Whether an estimator says that it takes NaN: its parameters decide, not what it was trained with."""
    return bool(model.__sklearn_tags__().input_tags.allow_nan)


def at_leaves(tree: Any) -> Floats:
    """What the leaves of a tree hold, shape `(leaves, targets, values of a target)`."""
    held: Floats = tree.value[tree.children_left < 0]
    return held


def nodes_of(trees: Sequence[Any], *, sparse: bool = False, features: Sequence[Any] | None = None) -> Nodes:
    """The nodes of trees.

    Args:
        trees: each an estimator's `tree_`.
        sparse: whether they walk through a sparse matrix, where NaN is just not below a threshold.
        features: of each tree the columns that it was trained with; all of them otherwise.
    """
    sizes = np.array([tree.node_count for tree in trees], dtype=np.int64)
    feature = np.concatenate([tree.feature for tree in trees]).astype(np.int64)
    left = np.concatenate([tree.children_left for tree in trees]).astype(np.int64)
    if features is not None:
        listed = [np.asarray(each, dtype=np.int64) for each in features]
        start = np.cumsum([0, *map(len, listed)])[:-1]
        feature = np.concatenate(listed)[np.where(left < 0, 0, feature + np.repeat(start, sizes))]
    return Nodes(
        sizes,
        left,
        np.concatenate([tree.children_right for tree in trees]).astype(np.int64),
        feature,
        np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        np.zeros(len(left), dtype=np.bool_)
        if sparse
        else np.concatenate([tree.missing_go_to_left for tree in trees]).astype(np.bool_),
    )


def _sums(model: Any, matrix: Matrix, compiler: Compiler, outputs: Sequence[tuple[int, int]]) -> list[Number]:
    """What the leaves hold, of a forest the mean of its trees.

    Args:
        model: a tree or a forest.
        matrix: the columns.
        compiler: of the plan.
        outputs: the target and the place among a target's values of each number.
    """
    alone = hasattr(model, "tree_")
    trees = [model.tree_] if alone else [each.tree_ for each in model.estimators_]
    nan = takes_nan(model if alone else model.estimators_[0])
    seen = single(matrix, compiler, model, nan=nan)
    targets, places = np.array(outputs, dtype=np.int64).T
    values = np.concatenate([at_leaves(tree)[:, targets, places] for tree in trees])
    # The sum of a tree alone begins with the one zero that changes nothing, not even the sign of another zero.
    start = np.full(len(outputs), -0.0 if alone else 0.0)
    found = forest(compiler, seen.columns, nodes_of(trees, sparse=matrix.sparse), values, start)
    return found if alone else compiler.graph.map_const(MathFunction.DIV, found, float(len(trees)))


@answers("predict", *_REGRESSORS)
def predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The value of each target."""
    return as_matrix(_sums(model, matrix, compiler, [(target, 0) for target in range(model.n_outputs_)]))


def _probabilities(model: Any, matrix: Matrix, compiler: Compiler) -> list[list[Number]]:
    """The classes' shares, for each target."""
    counts = [int(count) for count in np.atleast_1d(model.n_classes_)]
    outputs = [(target, place) for target, count in enumerate(counts) for place in range(count)]
    found = _sums(model, matrix, compiler, outputs)
    edges = np.cumsum([0, *counts]).tolist()
    return [found[start : start + count] for start, count in zip(edges, counts, strict=False)]


@answers("predict_proba", *_CLASSIFIERS)
def predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix | list[Matrix]:
    """The classes' shares, for each target."""
    found = [as_matrix(each) for each in _probabilities(model, matrix, compiler)]
    return found[0] if model.n_outputs_ == 1 else found


@answers("predict_log_proba", *_CLASSIFIERS)
def predict_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix | list[Matrix]:
    """The logarithms of the classes' shares, for each target."""
    found = [log_columns(as_matrix(each), compiler) for each in _probabilities(model, matrix, compiler)]
    return found[0] if model.n_outputs_ == 1 else found


@answers("predict", *_CLASSIFIERS)
def predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | list[Labels]:
    """The class of the largest share, for each target."""
    classes = [model.classes_] if model.n_outputs_ == 1 else model.classes_
    shares = _probabilities(model, matrix, compiler)
    found = [Labels(compiler.graph.argmax(each), known) for each, known in zip(shares, classes, strict=True)]
    return found[0] if model.n_outputs_ == 1 else found


@transforms("sklearn.RandomTreesEmbedding")
def random_trees_embedding(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """A column for each leaf of each tree: 1 where the row arrives, 0 elsewhere."""
    trees = [each.tree_ for each in model.estimators_]
    seen = single(matrix, compiler, model, nan=takes_nan(model.estimators_[0]))
    leaves = [np.flatnonzero(tree.children_left < 0) for tree in trees]
    for tree, (known, own) in enumerate(zip(model.one_hot_encoder_.categories_, leaves, strict=True)):
        if len(known) != len(own) or (known != own).any():
            raise NoPlan(f"tree {tree} of the RandomTreesEmbedding has leaves that its encoder does not know")
    nodes = nodes_of(trees, sparse=matrix.sparse)
    values = np.concatenate([np.arange(len(own), dtype=np.float64) for own in leaves])[:, None]
    places = forest(compiler, seen.columns, nodes, values, np.zeros(len(trees)), targets=range(len(trees)))
    columns: list[Column] = []
    levels = np.array([0.0, 1.0])
    for value, own in zip(places, leaves, strict=True):
        count = len(own)
        code = compiler.graph.match(value, np.arange(count))
        code = compiler.graph.recode(code, [*range(count), 0, 0], count)
        columns += [Coded(code, levels=levels, hot_code=place) for place in range(count)]
    return Matrix(tuple(columns), sparse=bool(model.sparse_output))
