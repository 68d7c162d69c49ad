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
from fourfold.plan.compile.columns import FLOAT64, Column, Compiler, Matrix, NoPlan
from fourfold.plan.compile.rules.tree import at_leaves, nodes_of, single
from fourfold.plan.compile.scores import above_zero, as_matrix, expit_pair, log_columns, sklearn_softmax
from fourfold.plan.compile.tree_nodes import CATEGORIES, Nodes, forest
from fourfold.plan.format import MathFunction
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


def _raw(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """What `_raw_predict` says: of two classes and in regression one number."""
    seen = single(matrix, compiler, model, nan=False)
    stages, width = model.estimators_.shape
    trees = [tree.tree_ for tree in model.estimators_.ravel()]
    values = np.concatenate([float(model.learning_rate) * at_leaves(tree)[:, 0, :1] for tree in trees])
    start, first = _start(model, seen, width, compiler)
    nodes = nodes_of(trees, sparse=matrix.sparse)
    targets = list(range(width)) * stages
    return forest(compiler, seen.columns, nodes, values, start, targets=targets, first=first)


def _start(model: Any, seen: Matrix, width: int, compiler: Compiler) -> tuple[npt.NDArray[np.float64], list[Number]]:
    """What the sums begin with: numbers, or numbers of the row."""
    init = model.init_
    if isinstance(init, str) or getattr(init, "strategy", None) in _CONSTANT.get(type(init).__name__, ()):
        # Asked itself: the answer to any row is the answer to all.
        row = np.zeros((1, model.n_features_in_), dtype=np.float32)
        return np.asarray(model._raw_predict_init(row), dtype=np.float64)[0], []  # noqa: SLF001
    start = np.zeros(width)
    if not hasattr(model, "classes_"):
        return start, compiler.numbers(answer(init, "predict", seen, compiler).columns)
    shares = answer(init, "predict_proba", seen, compiler)
    if not isinstance(shares, Matrix):
        raise NoPlan(f"the init estimator of {type(model).__name__} has several targets")
    columns = shares.columns if width > 1 else shares.columns[1:2]
    columns = compiler.map(MathFunction.MAX, columns, _EPSILON)
    numbers = compiler.numbers(compiler.map(MathFunction.MIN, columns, 1.0 - _EPSILON))
    return start, _linked(numbers, compiler, half=model.loss == "exponential")


def _linked(shares: list[Number], compiler: Compiler, *, half: bool) -> list[Number]:
    """The raw values of probabilities: `scipy.special.logit`, or how far logarithms are from their mean."""
    graph = compiler.graph
    if len(shares) > 1:
        compiler.approximate(_GM)
        total = graph.fold(MathFunction.PAIRWISE, graph.map(MathFunction.LOG, shares))
        mean = graph.map(MathFunction.EXP, graph.map_const(MathFunction.DIV, [total], float(len(shares))))
        return graph.map(MathFunction.LOG, graph.map_two(MathFunction.DIV, shares, mean))
    compiler.approximate("logit of SciPy's")
    odds = graph.map_two(MathFunction.DIV, shares, graph.map_const(MathFunction.RSUB, shares, 1.0))
    far = graph.map(MathFunction.LOG, odds)
    twice = graph.map_const(MathFunction.MUL, graph.map_const(MathFunction.SUB, shares, 0.5), 2.0)
    opposite = graph.map(MathFunction.LOG1P, graph.map(MathFunction.NEGATE, twice))
    near = graph.map_two(MathFunction.SUB, graph.map(MathFunction.LOG1P, twice), opposite)
    above, below = graph.map_const(MathFunction.GE, shares, 0.3), graph.map_const(MathFunction.LE, shares, 0.65)
    found = graph.select(graph.map_two(MathFunction.MUL, above, below), near, far)
    return graph.map_const(MathFunction.MUL, found, 0.5) if half else found


@answers("predict", _REGRESSOR)
def predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The sum of the trees."""
    return as_matrix(_raw(model, matrix, compiler))


@answers("decision_function", _CLASSIFIER)
def decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The sums of the trees."""
    return as_matrix(_raw(model, matrix, compiler))


@answers("predict", _CLASSIFIER)
def predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class of the largest sum; of two classes the second one from a sum of zero on."""
    return _label(_raw(model, matrix, compiler), model, compiler, zero=True)


@answers("predict_proba", _CLASSIFIER)
def predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The classes' probabilities."""
    raw = _raw(model, matrix, compiler)
    if len(raw) > 1:
        return as_matrix(sklearn_softmax(raw, compiler, contiguous=True))
    if model.loss == "exponential":
        raw = compiler.graph.map_const(MathFunction.MUL, raw, 2.0)
    return as_matrix(expit_pair(raw[0], compiler))


@answers("predict_log_proba", _CLASSIFIER)
def predict_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The logarithms of the classes' probabilities."""
    return log_columns(predict_proba(model, matrix, compiler), compiler)


def _label(raw: Sequence[Number], model: Any, compiler: Compiler, *, zero: bool) -> Labels:
    if len(raw) > 1:
        return Labels(compiler.graph.argmax(raw), model.classes_)
    if len(model.classes_) == 1:
        raise NoPlan(f"the {type(model).__name__} has seen one class alone")
    return Labels(above_zero(compiler, raw[0], or_zero=zero), model.classes_)


# With histograms.


def _hist_raw(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """What `_raw_predict` says: of two classes and in regression one number."""
    private = vars(model)
    columns = _encoded(model, private["_preprocessor"], matrix, compiler)
    predictors = [tree for trees in private["_predictors"] for tree in trees]
    width = int(model.n_trees_per_iteration_)
    start = np.asarray(private["_baseline_prediction"], dtype=np.float64).reshape(-1)
    if not predictors:
        return compiler.graph.constant(start)
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
    return forest(compiler, columns, nodes, every["value"][leaf, None], start, targets=targets)


def _encoded(model: Any, preprocessor: Any, matrix: Matrix, compiler: Compiler) -> tuple[Column, ...]:
    """The columns as the trees see them: the categorical ones first, by the places of their categories."""
    if preprocessor is None:
        return compiler.cast(matrix, FLOAT64).columns
    categorical = np.asarray(model.is_categorical_, dtype=np.bool_)
    encoder = preprocessor.named_transformers_["encoder"]
    places = transform(encoder, matrix.take(np.flatnonzero(categorical)), compiler)
    numbers = compiler.cast(matrix.take(np.flatnonzero(~categorical)), FLOAT64)
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
def hist_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The sum of the trees; of a Poisson and a gamma loss the exponential of it."""
    raw = _hist_raw(model, matrix, compiler)
    if model.loss not in ("poisson", "gamma"):
        return as_matrix(raw)
    compiler.approximate("exp of NumPy's")
    return as_matrix(compiler.graph.map(MathFunction.EXP, raw))


@answers("decision_function", _HIST_CLASSIFIER)
def hist_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The sums of the trees."""
    return as_matrix(_hist_raw(model, matrix, compiler))


@answers("predict", _HIST_CLASSIFIER)
def hist_predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class of the largest sum; of two classes the second one above a sum of zero."""
    return _label(_hist_raw(model, matrix, compiler), model, compiler, zero=False)


@answers("predict_proba", _HIST_CLASSIFIER)
def hist_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The classes' probabilities."""
    raw = _hist_raw(model, matrix, compiler)
    return as_matrix(sklearn_softmax(raw, compiler, contiguous=False) if len(raw) > 1 else expit_pair(raw[0], compiler))
