"""Compile scikit-learn's gradient boosting: with exact splits (`_gb`) and with histograms (`_hist_gradient_boosting`).

`GradientBoosting*._raw_predict` adds `learning_rate * value` of tree after tree to what the `init` estimator predicts.
`HistGradientBoosting*._raw_predict` adds the values of tree after tree to one baseline. All is float64, so sums have
the original's bits; `exp`, `log`, `expit` and softmax depend on NumPy or SciPy. The trees with histograms test float64
values, and of categorical columns the indices that the model's own `OrdinalEncoder` gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answer, answers, transform
from fourfold.plan.compile.columns import FLOAT64, Column, Compiler, Matrix, NoPlan
from fourfold.plan.compile.library_class import library_class
from fourfold.plan.compile.rules.tree import leaf_values, nodes_of, tree_input
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
#: `init` estimators, and their strategies that answer the same for every row.
_CONSTANT_STRATEGIES = {
    "DummyClassifier": ("prior", "most_frequent", "constant", "uniform"),
    "DummyRegressor": ("mean", "median", "quantile", "constant"),
}
_EPSILON = float(np.finfo(np.float64).eps)
_GEOMETRIC_MEAN = "the geometric mean of SciPy's"


# With exact splits.


def _raw_predict(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return `GradientBoosting*._raw_predict`: one number in regression and for two classes, else one a class."""
    inputs = tree_input(matrix, compiler, model, nan=False)
    stages, n_outputs = model.estimators_.shape
    trees = [tree.tree_ for tree in model.estimators_.ravel()]
    values = np.concatenate([float(model.learning_rate) * leaf_values(tree)[:, 0, :1] for tree in trees])
    start, first = _initial_sums(model, inputs, n_outputs, compiler)
    nodes = nodes_of(trees, sparse=matrix.sparse)
    targets = list(range(n_outputs)) * stages
    return forest(compiler, inputs.columns, nodes, values, start, targets=targets, first=first)


def _initial_sums(
    model: Any, inputs: Matrix, n_outputs: int, compiler: Compiler
) -> tuple[npt.NDArray[np.float64], list[Number]]:
    """Return what the sums begin with: constants, and numbers of the row where the `init` estimator reads it.

    An `init` that answers the same for every row is asked for its answer (`_raw_predict_init`). Probabilities of others
    are clipped to `[eps, 1 - eps]` and go through the loss's link.

    Raises:
        NoPlan: the `init` estimator has several targets.
    """
    init = model.init_
    name = "" if isinstance(init, str) else library_class(init).removeprefix("sklearn.")
    if isinstance(init, str) or getattr(init, "strategy", None) in _CONSTANT_STRATEGIES.get(name, ()):
        # It answers the same for every row, so it is asked about one.
        row = np.zeros((1, model.n_features_in_), dtype=np.float32)
        return np.asarray(model._raw_predict_init(row), dtype=np.float64)[0], []  # noqa: SLF001
    start = np.zeros(n_outputs)
    if not hasattr(model, "classes_"):
        return start, compiler.numbers(answer(init, "predict", inputs, compiler).columns)
    probabilities = answer(init, "predict_proba", inputs, compiler)
    if not isinstance(probabilities, Matrix):
        raise NoPlan(f"the init estimator of {type(model).__name__} has several targets")
    columns = probabilities.columns if n_outputs > 1 else probabilities.columns[1:2]
    columns = compiler.map(MathFunction.MAX, columns, _EPSILON)
    numbers = compiler.numbers(compiler.map(MathFunction.MIN, columns, 1.0 - _EPSILON))
    return start, _link(numbers, compiler, half=model.loss == "exponential")


def _link(probabilities: list[Number], compiler: Compiler, *, half: bool) -> list[Number]:
    """Return the raw values of probabilities, as the links of `sklearn._loss.link`.

    More than two classes: `log(p / geometric_mean(p))` (`MultinomialLogit`). Two: `scipy.special.logit`, half of it for
    the exponential loss (`HalfLogitLink`). Between 0.3 and 0.65 SciPy takes `log1p(s) - log1p(-s)` with
    `s = 2 * (p - 0.5)`, and `log(p / (1 - p))` elsewhere.
    """
    graph = compiler.graph
    if len(probabilities) > 1:
        compiler.approximate(_GEOMETRIC_MEAN)
        total = graph.fold(MathFunction.PAIRWISE, graph.map(MathFunction.LOG, probabilities))
        mean = graph.map(MathFunction.EXP, graph.map_const(MathFunction.DIV, [total], float(len(probabilities))))
        return graph.map(MathFunction.LOG, graph.map_two(MathFunction.DIV, probabilities, mean))
    compiler.approximate("logit of SciPy's")
    odds = graph.map_two(MathFunction.DIV, probabilities, graph.map_const(MathFunction.RSUB, probabilities, 1.0))
    outside = graph.map(MathFunction.LOG, odds)
    twice = graph.map_const(MathFunction.MUL, graph.map_const(MathFunction.SUB, probabilities, 0.5), 2.0)
    log1p_of_minus = graph.map(MathFunction.LOG1P, graph.map(MathFunction.NEGATE, twice))
    inside = graph.map_two(MathFunction.SUB, graph.map(MathFunction.LOG1P, twice), log1p_of_minus)
    above, below = (
        graph.map_const(MathFunction.GE, probabilities, 0.3),
        graph.map_const(MathFunction.LE, probabilities, 0.65),
    )
    logits = graph.select(graph.map_two(MathFunction.MUL, above, below), inside, outside)
    return graph.map_const(MathFunction.MUL, logits, 0.5) if half else logits


@answers("predict", _REGRESSOR)
def predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `GradientBoostingRegressor.predict`: the sum of the trees."""
    return as_matrix(_raw_predict(model, matrix, compiler))


@answers("decision_function", _CLASSIFIER)
def decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `GradientBoostingClassifier.decision_function`: the sums of the trees."""
    return as_matrix(_raw_predict(model, matrix, compiler))


@answers("predict", _CLASSIFIER)
def predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `GradientBoostingClassifier.predict`: the largest sum's class; the second of two from a sum of 0 on."""
    return _label(_raw_predict(model, matrix, compiler), model, compiler, zero=True)


@answers("predict_proba", _CLASSIFIER)
def predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `GradientBoostingClassifier.predict_proba`: the inverse link of the sums.

    It is the softmax for more than two classes, else `expit`, of twice the sum with the exponential loss.
    """
    raw = _raw_predict(model, matrix, compiler)
    if len(raw) > 1:
        return as_matrix(sklearn_softmax(raw, compiler, contiguous=True))
    if model.loss == "exponential":
        raw = compiler.graph.map_const(MathFunction.MUL, raw, 2.0)
    return as_matrix(expit_pair(raw[0], compiler))


@answers("predict_log_proba", _CLASSIFIER)
def predict_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `GradientBoostingClassifier.predict_log_proba`: `numpy.log` of the probabilities."""
    return log_columns(predict_proba(model, matrix, compiler), compiler)


def _label(raw: Sequence[Number], model: Any, compiler: Compiler, *, zero: bool) -> Labels:
    """Return the class of the largest sum; the second of two where the sum is above 0, or is 0 and `zero` says so."""
    if len(raw) > 1:
        return Labels(compiler.graph.argmax(raw), model.classes_)
    if len(model.classes_) == 1:
        raise NoPlan(f"the {type(model).__name__} has seen one class alone")
    return Labels(above_zero(compiler, raw[0], or_zero=zero), model.classes_)


# With histograms.


def _hist_raw_predict(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return `HistGradientBoosting*._raw_predict`: the baseline plus the value of each tree's leaf."""
    private = vars(model)
    columns = _encode_columns(model, private["_preprocessor"], matrix, compiler)
    predictors = [tree for trees in private["_predictors"] for tree in trees]
    n_outputs = int(model.n_trees_per_iteration_)
    start = np.asarray(private["_baseline_prediction"], dtype=np.float64).reshape(-1)
    if not predictors:
        return compiler.graph.constant(start)
    node_records = np.concatenate([tree.nodes for tree in predictors])
    sizes = np.array([len(tree.nodes) for tree in predictors], dtype=np.int64)
    is_leaf = node_records["is_leaf"] != 0
    set_rows, sets = _category_sets(private["_bin_mapper"], predictors, node_records, sizes)
    nodes = Nodes(
        sizes,
        np.where(is_leaf, -1, node_records["left"].astype(np.int64)),
        np.where(is_leaf, -1, node_records["right"].astype(np.int64)),
        node_records["feature_idx"].astype(np.int64),
        node_records["num_threshold"].astype(np.float64),
        node_records["missing_go_to_left"] != 0,
        set_rows,
        sets,
    )
    targets = list(range(n_outputs)) * len(private["_predictors"])
    return forest(compiler, columns, nodes, node_records["value"][is_leaf, None], start, targets=targets)


def _encode_columns(model: Any, preprocessor: Any, matrix: Matrix, compiler: Compiler) -> tuple[Column, ...]:
    """Return the columns as the trees read them: categorical ones first, as the indices of their categories."""
    if preprocessor is None:
        return compiler.cast(matrix, FLOAT64).columns
    categorical = np.asarray(model.is_categorical_, dtype=np.bool_)
    encoder = preprocessor.named_transformers_["encoder"]
    codes = transform(encoder, matrix.take(np.flatnonzero(categorical)), compiler)
    numbers = compiler.cast(matrix.take(np.flatnonzero(~categorical)), FLOAT64)
    return (*codes.columns, *numbers.columns)


def _category_sets(
    mapper: Any, predictors: Sequence[Any], node_records: npt.NDArray[Any], sizes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.bool_] | None]:
    """Return for each node the row of its set of categories, or -1; and the sets of categories that go left.

    A category that training did not know goes where missing values go.
    """
    nodes = np.flatnonzero((node_records["is_leaf"] == 0) & (node_records["is_categorical"] != 0))
    if not len(nodes):
        return None, None
    first = np.cumsum([0, *(len(tree.raw_left_cat_bitsets) for tree in predictors)])[:-1]
    bitset_rows = np.repeat(first, sizes)[nodes] + node_records["bitset_idx"][nodes].astype(np.int64)
    left = _bits(np.concatenate([tree.raw_left_cat_bitsets for tree in predictors]))[bitset_rows]
    known_bits, categorical_index = mapper.make_known_categories_bitsets()
    is_known = _bits(known_bits)[categorical_index[node_records["feature_idx"][nodes]]]
    sets = np.empty((len(nodes), CATEGORIES + 1), dtype=np.bool_)
    sets[:] = node_records["missing_go_to_left"][nodes, None] != 0
    sets[:, :CATEGORIES] = np.where(left, left, np.where(is_known, left, sets[:, :CATEGORIES]))
    packed, set_of_node = np.unique(np.packbits(sets, axis=1), axis=0, return_inverse=True)
    set_rows = np.full(len(node_records), -1, dtype=np.int64)
    set_rows[nodes] = set_of_node.reshape(-1)
    return set_rows, np.unpackbits(packed, axis=1, count=CATEGORIES + 1).astype(np.bool_)


def _bits(bitsets: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Return the members of sets of 256 bits, the least significant bit first, as booleans."""
    octets = np.ascontiguousarray(bitsets, dtype="<u4").view(np.uint8)
    return np.unpackbits(octets, axis=1, bitorder="little").astype(np.bool_)


@answers("predict", _HIST_REGRESSOR)
def hist_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `HistGradientBoostingRegressor.predict`: the sum, or its `exp` with the losses Poisson and gamma."""
    raw = _hist_raw_predict(model, matrix, compiler)
    if model.loss not in ("poisson", "gamma"):
        return as_matrix(raw)
    compiler.approximate("exp of NumPy's")
    return as_matrix(compiler.graph.map(MathFunction.EXP, raw))


@answers("decision_function", _HIST_CLASSIFIER)
def hist_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `HistGradientBoostingClassifier.decision_function`: the sums of the trees."""
    return as_matrix(_hist_raw_predict(model, matrix, compiler))


@answers("predict", _HIST_CLASSIFIER)
def hist_predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `HistGradientBoostingClassifier.predict`: the largest sum's class; the second of two above 0."""
    return _label(_hist_raw_predict(model, matrix, compiler), model, compiler, zero=False)


@answers("predict_proba", _HIST_CLASSIFIER)
def hist_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `HistGradientBoostingClassifier.predict_proba`: the softmax of the sums, or `expit` for two classes."""
    raw = _hist_raw_predict(model, matrix, compiler)
    return as_matrix(sklearn_softmax(raw, compiler, contiguous=False) if len(raw) > 1 else expit_pair(raw[0], compiler))
