"""Gradient boosting of scikit-learn's: both kinds, the one with exact splits and the one with histograms.

What is followed here: `predict_stages` adds `learning_rate * value` of tree after tree to what the `init` estimator
says; `HistGradientBoosting*._predict_iterations` adds the values of tree after tree to one baseline. The trees of the
second kind see float64 and, of categorical columns, the places of categories in its own `OrdinalEncoder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answer, answers, transform
from fourfold.plan.compile.columns import FLOAT64, Column, Matrix, NoPlan, Workshop
from fourfold.plan.compile.rules.tree import at_leaves, nodes_of, single
from fourfold.plan.compile.scores import above_zero, as_matrix, expit_pair, log_columns, sklearn_softmax
from fourfold.plan.compile.tree_nodes import CATEGORIES, Nodes, forest
from fourfold.plan.format import Function
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_CLASSIFIER, _REGRESSOR = "sklearn.GradientBoostingClassifier", "sklearn.GradientBoostingRegressor"
_HIST_CLASSIFIER, _HIST_REGRESSOR = (
    "sklearn.HistGradientBoostingClassifier",
    "sklearn.HistGradientBoostingRegressor",
)
#: `init` estimators that say the same of every row.
_CONSTANT = {
    "DummyClassifier": ("prior", "most_frequent", "constant", "uniform"),
    "DummyRegressor": ("mean", "median", "quantile", "constant"),
}
_EPSILON = float(np.finfo(np.float64).eps)
_GM = "the geometric mean of SciPy's"


# With exact splits.


def _raw(model: Any, matrix: Matrix, workshop: Workshop) -> list[Number]:
    """What `_raw_predict` says: of two classes and in regression one number."""
    seen = single(matrix, workshop, model, nan=False)
    stages, width = model.estimators_.shape
    trees = [tree.tree_ for tree in model.estimators_.ravel()]
    values = np.concatenate([float(model.learning_rate) * at_leaves(tree)[:, 0, :1] for tree in trees])
    start, first = _start(model, seen, width, workshop)
    nodes = nodes_of(trees, sparse=matrix.sparse)
    targets = list(range(width)) * stages
    return forest(workshop, seen.columns, nodes, values, start, targets=targets, first=first)


def _start(model: Any, seen: Matrix, width: int, workshop: Workshop) -> tuple[npt.NDArray[np.float64], list[Number]]:
    """What the sums begin with: numbers, or numbers of the row."""
    init = model.init_
    if isinstance(init, str) or getattr(init, "strategy", None) in _CONSTANT.get(type(init).__name__, ()):
        # Asked itself: the answer to any row is the answer to all.
        row = np.zeros((1, model.n_features_in_), dtype=np.float32)
        return np.asarray(model._raw_predict_init(row), dtype=np.float64)[0], []  # noqa: SLF001
    start = np.zeros(width)
    if not hasattr(model, "classes_"):
        return start, workshop.numbers(answer(init, "predict", seen, workshop).columns)
    shares = answer(init, "predict_proba", seen, workshop)
    if not isinstance(shares, Matrix):
        raise NoPlan(f"the init estimator of {type(model).__name__} has several targets")
    columns = shares.columns if width > 1 else shares.columns[1:2]
    columns = workshop.map(Function.MAX, columns, _EPSILON)
    numbers = workshop.numbers(workshop.map(Function.MIN, columns, 1.0 - _EPSILON))
    return start, _linked(numbers, workshop, half=model.loss == "exponential")


def _linked(shares: list[Number], workshop: Workshop, *, half: bool) -> list[Number]:
    """The raw values of probabilities: `scipy.special.logit`, or how far logarithms are from their mean."""
    graph = workshop.graph
    if len(shares) > 1:
        workshop.approximate(_GM)
        total = graph.fold(Function.PAIRWISE, graph.map(Function.LOG, shares))
        mean = graph.map(Function.EXP, graph.map_const(Function.DIV, [total], float(len(shares))))
        return graph.map(Function.LOG, graph.map_two(Function.DIV, shares, mean))
    workshop.approximate("logit of SciPy's")
    odds = graph.map_two(Function.DIV, shares, graph.map_const(Function.RSUB, shares, 1.0))
    far = graph.map(Function.LOG, odds)
    twice = graph.map_const(Function.MUL, graph.map_const(Function.SUB, shares, 0.5), 2.0)
    opposite = graph.map(Function.LOG1P, graph.map(Function.NEGATE, twice))
    near = graph.map_two(Function.SUB, graph.map(Function.LOG1P, twice), opposite)
    above, below = graph.map_const(Function.GE, shares, 0.3), graph.map_const(Function.LE, shares, 0.65)
    found = graph.select(graph.map_two(Function.MUL, above, below), near, far)
    return graph.map_const(Function.MUL, found, 0.5) if half else found


@answers("predict", _REGRESSOR)
def predict(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The sum of the trees."""
    return as_matrix(_raw(model, matrix, workshop))


@answers("decision_function", _CLASSIFIER)
def decision_function(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The sums of the trees."""
    return as_matrix(_raw(model, matrix, workshop))


@answers("predict", _CLASSIFIER)
def predict_class(model: Any, matrix: Matrix, workshop: Workshop) -> Labels:
    """The class of the largest sum; of two classes the second one from a sum of zero on."""
    return _label(_raw(model, matrix, workshop), model, workshop, zero=True)


@answers("predict_proba", _CLASSIFIER)
def predict_proba(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The classes' probabilities."""
    raw = _raw(model, matrix, workshop)
    if len(raw) > 1:
        return as_matrix(sklearn_softmax(raw, workshop, contiguous=True))
    if model.loss == "exponential":
        raw = workshop.graph.map_const(Function.MUL, raw, 2.0)
    return as_matrix(expit_pair(raw[0], workshop))


@answers("predict_log_proba", _CLASSIFIER)
def predict_log_proba(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The logarithms of the classes' probabilities."""
    return log_columns(predict_proba(model, matrix, workshop), workshop)


def _label(raw: Sequence[Number], model: Any, workshop: Workshop, *, zero: bool) -> Labels:
    if len(raw) > 1:
        return Labels(workshop.graph.argmax(raw), model.classes_)
    if len(model.classes_) == 1:
        raise NoPlan(f"the {type(model).__name__} has seen one class alone")
    return Labels(above_zero(workshop, raw[0], or_zero=zero), model.classes_)


# With histograms.


def _hist_raw(model: Any, matrix: Matrix, workshop: Workshop) -> list[Number]:
    """What `_raw_predict` says: of two classes and in regression one number."""
    private = vars(model)
    columns = _encoded(model, private["_preprocessor"], matrix, workshop)
    predictors = [tree for trees in private["_predictors"] for tree in trees]
    width = int(model.n_trees_per_iteration_)
    start = np.asarray(private["_baseline_prediction"], dtype=np.float64).reshape(-1)
    if not predictors:
        return workshop.graph.constant(start)
    every = np.concatenate([tree.nodes for tree in predictors])
    sizes = np.array([len(tree.nodes) for tree in predictors], dtype=np.int64)
    leaf = every["is_leaf"] != 0
    member, sets = _members(private["_bin_mapper"], predictors, every, sizes)
    nodes = Nodes(
        sizes,
        np.where(leaf, -1, every["left"].astype(np.int64)),
        np.where(leaf, -1, every["right"].astype(np.int64)),
        every["feature_idx"].astype(np.int64),
        every["num_threshold"].astype(np.float64),
        every["missing_go_to_left"] != 0,
        member,
        sets,
    )
    targets = list(range(width)) * len(private["_predictors"])
    return forest(workshop, columns, nodes, every["value"][leaf, None], start, targets=targets)


def _encoded(model: Any, preprocessor: Any, matrix: Matrix, workshop: Workshop) -> tuple[Column, ...]:
    """The columns as the trees see them: the categorical ones first, by the places of their categories."""
    if preprocessor is None:
        return workshop.cast(matrix, FLOAT64).columns
    categorical = np.asarray(model.is_categorical_, dtype=np.bool_)
    encoder = preprocessor.named_transformers_["encoder"]
    places = transform(encoder, matrix.take(np.flatnonzero(categorical)), workshop)
    numbers = workshop.cast(matrix.take(np.flatnonzero(~categorical)), FLOAT64)
    return (*places.columns, *numbers.columns)


def _members(
    mapper: Any, predictors: Sequence[Any], every: npt.NDArray[Any], sizes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.bool_] | None]:
    """The tests by members: of each node its row, and which categories go left.

    A category that was not known goes where missing values go.
    """
    by_member = np.flatnonzero((every["is_leaf"] == 0) & (every["is_categorical"] != 0))
    if not len(by_member):
        return None, None
    first = np.cumsum([0, *(len(tree.raw_left_cat_bitsets) for tree in predictors)])[:-1]
    row = np.repeat(first, sizes)[by_member] + every["bitset_idx"][by_member].astype(np.int64)
    left = _bits(np.concatenate([tree.raw_left_cat_bitsets for tree in predictors]))[row]
    known_bits, place_of = mapper.make_known_categories_bitsets()
    known = _bits(known_bits)[place_of[every["feature_idx"][by_member]]]
    sets = np.empty((len(by_member), CATEGORIES + 1), dtype=np.bool_)
    sets[:] = every["missing_go_to_left"][by_member, None] != 0
    sets[:, :CATEGORIES] = np.where(left, left, np.where(known, left, sets[:, :CATEGORIES]))
    rows, which = np.unique(np.packbits(sets, axis=1), axis=0, return_inverse=True)
    member = np.full(len(every), -1, dtype=np.int64)
    member[by_member] = which.reshape(-1)
    return member, np.unpackbits(rows, axis=1, count=CATEGORIES + 1).astype(np.bool_)


def _bits(bitsets: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """The members of sets of 256 bits, the least significant first."""
    octets = np.ascontiguousarray(bitsets, dtype="<u4").view(np.uint8)
    return np.unpackbits(octets, axis=1, bitorder="little").astype(np.bool_)


@answers("predict", _HIST_REGRESSOR)
def hist_predict(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The sum of the trees; of a Poisson and a gamma loss the exponential of it."""
    raw = _hist_raw(model, matrix, workshop)
    if model.loss not in ("poisson", "gamma"):
        return as_matrix(raw)
    workshop.approximate("exp of NumPy's")
    return as_matrix(workshop.graph.map(Function.EXP, raw))


@answers("decision_function", _HIST_CLASSIFIER)
def hist_decision_function(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The sums of the trees."""
    return as_matrix(_hist_raw(model, matrix, workshop))


@answers("predict", _HIST_CLASSIFIER)
def hist_predict_class(model: Any, matrix: Matrix, workshop: Workshop) -> Labels:
    """The class of the largest sum; of two classes the second one above a sum of zero."""
    return _label(_hist_raw(model, matrix, workshop), model, workshop, zero=False)


@answers("predict_proba", _HIST_CLASSIFIER)
def hist_predict_proba(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The classes' probabilities."""
    raw = _hist_raw(model, matrix, workshop)
    return as_matrix(sklearn_softmax(raw, workshop, contiguous=False) if len(raw) > 1 else expit_pair(raw[0], workshop))
