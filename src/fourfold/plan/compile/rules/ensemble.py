"""Ensembles of scikit-learn's whose parts may be anything: boosting by weights, bagging, and the forest that isolates.

Where the parts are trees they become one forest; all others are asked one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answer, answers
from fourfold.plan.compile.arrays import array, plain
from fourfold.plan.compile.columns import FLOAT32, Compiler, Matrix, NoPlan
from fourfold.plan.compile.rules.tree import CLASSIFIERS, REGRESSORS, at_leaves, nodes_of, single, takes_nan
from fourfold.plan.compile.scores import above_zero, as_matrix, log_columns, sklearn_softmax
from fourfold.plan.compile.tree_nodes import forest
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

Floats = npt.NDArray[np.float64]
_ADA_CLASSIFIER, _ADA_REGRESSOR = "sklearn.AdaBoostClassifier", "sklearn.AdaBoostRegressor"
_BAGGING_CLASSIFIER, _BAGGING_REGRESSOR = "sklearn.BaggingClassifier", "sklearn.BaggingRegressor"
_ISOLATION = "sklearn.IsolationForest"


def _are_trees(estimators: Sequence[Any], kinds: Sequence[str]) -> bool:
    """Whether all parts are trees with one target."""
    return all(
        f"{type(each).__module__.partition('.')[0]}.{type(each).__qualname__}" in kinds and each.n_outputs_ == 1
        for each in estimators
    )


def _grown(
    estimators: Sequence[Any],
    features: Sequence[Any] | None,
    matrix: Matrix,
    compiler: Compiler,
    values: Sequence[Floats],
    start: Floats,
    *,
    targets: Sequence[int] | None = None,
) -> list[Number]:
    """The sums of trees that are parts of an ensemble.

    Args:
        estimators: the trees' estimators.
        features: of each the columns that it sees; all of them otherwise.
        matrix: the columns.
        compiler: of the plan.
        values: of each tree what its leaves hold.
        start: what the sums begin with.
        targets: the output that each tree adds to, where a leaf holds one number.
    """
    seen = range(len(matrix)) if features is None else np.unique(np.concatenate(list(features)))
    columns = list(matrix.columns)
    # Of a column that no part sees nothing is refused.
    rounded = single(matrix.take(seen), compiler, estimators[0], nan=all(map(takes_nan, estimators)))
    for place, column in zip(seen, rounded.columns, strict=True):
        columns[int(place)] = column
    nodes = nodes_of([each.tree_ for each in estimators], sparse=matrix.sparse, features=features)
    return forest(compiler, columns, nodes, np.concatenate(list(values)), start, targets=targets)


def _added(parts: Sequence[Sequence[Number]], compiler: Compiler, *, narrow: bool = False) -> list[Number]:
    """The sums of what parts say, from 0 on in their order, in float32 where they are narrow."""
    total = compiler.graph.map_const(MathFunction.ADD, parts[0], 0.0)
    for part in parts[1:]:
        total = compiler.graph.map_two(MathFunction.ADD, total, part)
        total = compiler.graph.map(MathFunction.ROUND32, total) if narrow else total
    return total


# Boosting by weights.


def _decisions(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """What `decision_function` says before two classes become one: a number for each class."""
    count = int(model.n_classes_)
    if count == 1:
        raise NoPlan("the AdaBoostClassifier has seen one class alone")
    seen = plain(array(matrix), compiler, model)
    pairs = list(zip(model.estimators_, np.asarray(model.estimator_weights_, dtype=np.float64), strict=False))
    estimators = [estimator for estimator, _ in pairs]
    start = np.zeros(count)
    if _are_trees(estimators, CLASSIFIERS):
        values = [_votes(model, each, weight)[at_leaves(each.tree_)[:, 0].argmax(axis=1)] for each, weight in pairs]
        total = _grown(estimators, None, seen, compiler, values, start)
    else:
        parts = []
        for estimator, weight in pairs:
            label = answer(estimator, "predict", seen, compiler)
            if not isinstance(label, Labels):
                raise NoPlan(f"a {type(estimator).__name__} in an AdaBoostClassifier answers with no label")
            parts.append(compiler.graph.lookup(label.code, _votes(model, estimator, weight)[: label.code.limit]))
        total = _added(parts, compiler)
    return compiler.graph.map_const(MathFunction.DIV, total, float(np.sum(model.estimator_weights_)))


def _votes(model: Any, estimator: Any, weight: float) -> Floats:
    """What an estimator adds to each class, for each of its own classes."""
    # Of three classes each of the two others gets half of the weight, and of two the whole, with the other sign.
    same = np.asarray(estimator.classes_)[:, None] == np.asarray(model.classes_)[None, :]
    return np.where(same, weight, -1 / (int(model.n_classes_) - 1) * weight)


@answers("decision_function", _ADA_CLASSIFIER)
def ada_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The weighted votes for each class; of two classes those for the second less those for the first."""
    return as_matrix(_decided(model, matrix, compiler))


def _decided(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    found = _decisions(model, matrix, compiler)
    if len(found) > 2:
        return found
    # The first one's sign is turned, and then they are added: not quite the same as taken away where both are zero.
    first = compiler.graph.map_const(MathFunction.MUL, found[:1], -1.0)
    return compiler.graph.map_two(MathFunction.ADD, first, found[1:])


@answers("predict", _ADA_CLASSIFIER)
def ada_predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class of the most votes."""
    found = _decided(model, matrix, compiler)
    if len(found) > 1:
        return Labels(compiler.graph.argmax(found), model.classes_)
    return Labels(above_zero(compiler, found[0]), model.classes_)


@answers("predict_proba", _ADA_CLASSIFIER)
def ada_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The softmax of the votes."""
    graph, found = compiler.graph, _decided(model, matrix, compiler)
    if len(found) > 1:
        scaled = graph.map_const(MathFunction.DIV, found, float(model.n_classes_ - 1))
    else:
        scaled = graph.map_const(MathFunction.DIV, [*graph.map(MathFunction.NEGATE, found), *found], 2.0)
    return as_matrix(sklearn_softmax(scaled, compiler, contiguous=False))


@answers("predict_log_proba", _ADA_CLASSIFIER)
def ada_predict_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The logarithms of the probabilities."""
    return log_columns(ada_predict_proba(model, matrix, compiler), compiler)


@answers("predict", _ADA_REGRESSOR)
def ada_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The weighted median of what the estimators say.

    NumPy's sort may put equal predictions in any order, and the sum of their weights may then be rounded otherwise;
    here they keep the order of their estimators.
    """
    seen = plain(array(matrix), compiler, model)
    estimators = list(model.estimators_)
    if _are_trees(estimators, REGRESSORS):
        values = [at_leaves(each.tree_)[:, 0] for each in estimators]
        start = np.full(len(estimators), -0.0)
        found = _grown(estimators, None, seen, compiler, values, start, targets=range(len(estimators)))
    else:
        found = []
        for estimator in estimators:
            said = answer(estimator, "predict", seen, compiler)
            if not isinstance(said, Matrix) or len(said) != 1:
                raise NoPlan(f"a {type(estimator).__name__} in an AdaBoostRegressor answers with more than one number")
            found += compiler.numbers(said.columns)
    weights = np.asarray(model.estimator_weights_, dtype=np.float64)[: len(estimators)]
    return as_matrix([compiler.graph.median(found, weights)])


# Bagging.


def _bagged(model: Any, method: str, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """The mean of what the estimators say, each of them about its own columns; of float32 in float32."""
    parts = []
    narrow = method != "predict_proba"
    for estimator, features in zip(model.estimators_, model.estimators_features_, strict=True):
        said = answer(estimator, method, matrix.take(features), compiler)
        if not isinstance(said, Matrix):
            raise NoPlan(f"a {type(estimator).__name__} in a {type(model).__name__} answers with no numbers")
        narrow = narrow and said.dtype == FLOAT32
        parts.append(compiler.numbers(said.columns))
    if len({len(part) for part in parts}) > 1:
        raise NoPlan(f"the estimators of the {type(model).__name__} give answers of different widths")
    total = _added(parts, compiler, narrow=narrow)
    mean = compiler.graph.map_const(MathFunction.DIV, total, float(model.n_estimators))
    return compiler.graph.map(MathFunction.ROUND32, mean) if narrow else mean


def _array(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    return plain(array(matrix), compiler, model, nan=True, infinite=True)


@answers("predict", _BAGGING_REGRESSOR)
def bagging_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The mean of what the estimators say."""
    seen, estimators = _array(model, matrix, compiler), list(model.estimators_)
    if not _are_trees(estimators, REGRESSORS):
        return as_matrix(_bagged(model, "predict", seen, compiler))
    values = [at_leaves(each.tree_)[:, 0] for each in estimators]
    total = _grown(estimators, model.estimators_features_, seen, compiler, values, np.zeros(1))
    return as_matrix(compiler.graph.map_const(MathFunction.DIV, total, float(model.n_estimators)))


def _shares(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """The mean of the estimators' probabilities, or of their votes where they have none."""
    seen, estimators = _array(model, matrix, compiler), list(model.estimators_)
    width = int(model.n_classes_)
    if _are_trees(estimators, CLASSIFIERS):
        values = [_spread(each, at_leaves(each.tree_)[:, 0], width) for each in estimators]
        total = _grown(estimators, model.estimators_features_, seen, compiler, values, np.zeros(width))
    else:
        parts = []
        for estimator, features in zip(estimators, model.estimators_features_, strict=True):
            parts.append(_said(estimator, seen.take(features), width, compiler))
        total = _added(parts, compiler)
    return compiler.graph.map_const(MathFunction.DIV, total, float(model.n_estimators))


def _spread(estimator: Any, values: Floats, width: int) -> Floats:
    """Values for each class of an estimator, which are places, as values for each class of the ensemble."""
    spread = np.zeros((len(values), width))
    spread[:, np.asarray(estimator.classes_, dtype=np.int64)] = values[:, : len(estimator.classes_)]
    return spread


def _said(estimator: Any, matrix: Matrix, width: int, compiler: Compiler) -> list[Number]:
    """What one estimator says of each class of the ensemble."""
    name = type(estimator).__name__
    if hasattr(estimator, "predict_proba"):
        shares = answer(estimator, "predict_proba", matrix, compiler)
        if not isinstance(shares, Matrix):
            raise NoPlan(f"a {name} in a BaggingClassifier has several targets")
        numbers = compiler.numbers(shares.columns)
        if len(numbers) == width:
            return numbers
        own = dict(zip(np.asarray(estimator.classes_).tolist(), numbers, strict=True))
        nothing = compiler.graph.constant([0.0])[0]
        return [own.get(place, nothing) for place in range(width)]
    label = answer(estimator, "predict", matrix, compiler)
    if not isinstance(label, Labels):
        raise NoPlan(f"a {name} in a BaggingClassifier answers with no label")
    votes = np.asarray(label.classes)[: label.code.limit, None] == np.arange(width)
    return compiler.graph.lookup(label.code, votes.astype(np.float64))


@answers("predict_proba", _BAGGING_CLASSIFIER)
def bagging_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The mean of the estimators' probabilities, or of their votes."""
    return as_matrix(_shares(model, matrix, compiler))


@answers("predict", _BAGGING_CLASSIFIER)
def bagging_predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class of the largest share."""
    return Labels(compiler.graph.argmax(_shares(model, matrix, compiler)), model.classes_)


@answers("predict_log_proba", _BAGGING_CLASSIFIER)
def bagging_predict_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The logarithm of the mean of what the estimators give logarithms of."""
    if not hasattr(model.estimator_, "predict_log_proba"):
        return log_columns(as_matrix(_shares(model, matrix, compiler)), compiler)
    seen, width, graph = _array(model, matrix, compiler), int(model.n_classes_), compiler.graph
    total = graph.constant(np.full(width, -np.inf))
    for estimator, features in zip(model.estimators_, model.estimators_features_, strict=True):
        said = answer(estimator, "predict_log_proba", seen.take(features), compiler)
        if not isinstance(said, Matrix):
            raise NoPlan(f"a {type(estimator).__name__} in a BaggingClassifier has several targets")
        places = np.asarray(estimator.classes_, dtype=np.int64) if len(said) != width else np.arange(width)
        total = _log_add(total, dict(zip(places.tolist(), compiler.numbers(said.columns), strict=True)), compiler)
    return as_matrix(graph.map_const(MathFunction.SUB, total, float(np.log(model.n_estimators))))


def _log_add(total: list[Number], more: dict[int, Number], compiler: Compiler) -> list[Number]:
    """`numpy.logaddexp` of some of the totals."""
    compiler.approximate("logaddexp of NumPy's")
    graph, places = compiler.graph, list(more)
    mine, other = [total[place] for place in places], list(more.values())
    larger = graph.map_two(MathFunction.MAX, mine, other)
    apart = graph.map(MathFunction.ABS, graph.map_two(MathFunction.SUB, mine, other))
    # Two equal infinities are NaN apart; what is added to them then does not matter.
    closer = graph.map_const(MathFunction.IF_NAN, graph.map(MathFunction.NEGATE, apart), 0.0)
    rest = graph.map(MathFunction.LOG1P, graph.map(MathFunction.EXP, closer))
    added = dict(zip(places, graph.map_two(MathFunction.ADD, larger, rest), strict=True))
    return [added.get(place, value) for place, value in enumerate(total)]


@answers("decision_function", _BAGGING_CLASSIFIER)
def bagging_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The mean of the estimators' decisions."""
    return as_matrix(_bagged(model, "decision_function", _array(model, matrix, compiler), compiler))


# Isolation.


def _depths(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[list[Number], float]:
    """The sum of the depths at which trees isolate a row; and what it is usually."""
    private = vars(model)
    estimators = list(model.estimators_)
    whole = private["_max_features"] == len(matrix)
    seen = single(matrix, compiler, model, nan=True, infinite=True)
    paths = zip(private["_decision_path_lengths"], private["_average_path_length_per_tree"], strict=True)
    values = np.concatenate([length + average - 1.0 for length, average in paths]).astype(np.float64)
    features = None if whole else model.estimators_features_
    nodes = nodes_of([each.tree_ for each in estimators], sparse=matrix.sparse, features=features)
    depth = forest(compiler, seen.columns, nodes, values[nodes.leaves, None], np.zeros(1))
    return depth, len(estimators) * _usual_depth(int(private["_max_samples"]))


def _usual_depth(count: int) -> float:
    """The average path length of a tree of so many rows, as `_average_path_length`."""
    if count <= 2:
        return float(count == 2)
    rest = np.array([count]) - 1.0
    return float((2.0 * (np.log(rest) + np.euler_gamma) - 2.0 * rest / np.array([count]))[0])


def _scores(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """How ordinary a row is: minus 2 to the power of minus its depth over the usual one."""
    graph = compiler.graph
    depth, usual = _depths(model, matrix, compiler)
    if not usual:
        return graph.constant([-(2.0**-1)])
    compiler.approximate("2 to a power in the scores of an IsolationForest")
    share = graph.map(MathFunction.NEGATE, graph.map_const(MathFunction.DIV, depth, usual))
    return graph.map(MathFunction.NEGATE, graph.map_two(MathFunction.POW, graph.constant([2.0]), share))


@answers("score_samples", _ISOLATION)
def isolation_score_samples(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """How ordinary a row is."""
    return as_matrix(_scores(model, matrix, compiler))


@answers("decision_function", _ISOLATION)
def isolation_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """How much more ordinary a row is than the last one that counts as such."""
    scores = _scores(model, matrix, compiler)
    return as_matrix(compiler.graph.map_const(MathFunction.SUB, scores, float(model.offset_)))


@answers("predict", _ISOLATION)
def isolation_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """-1 of an outlier, 1 of any other row: the depth alone decides."""
    depth, usual = _depths(model, matrix, compiler)
    least, is_sharp = _least_depth(usual, float(model.offset_))
    if not is_sharp:
        compiler.approximate("2 to a power, which does not always grow, in the labels of an IsolationForest")
    code = compiler.graph.search(depth[0], [least], right=True)
    return Labels(compiler.graph.recode(code, [0, 1, 1], 2), [-1, 1])


def _least_depth(usual: float, offset: float) -> tuple[float, bool]:
    """The least depth of a row that is no outlier; and whether no depth around it says otherwise.

    NumPy's own power is asked, by halving: scores grow with the depth, and training rows often have the very score at
    which the label changes.
    """

    def is_outlier(bits: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        depths = bits.view(np.float64)
        shares = np.divide(depths, usual) if usual else np.ones_like(depths)
        found: npt.NDArray[np.bool_] = -(2 ** (-shares)) - offset < 0
        return found

    # Of numbers from 0 on, the bits are in the numbers' order.
    low, high = 0, int(np.float64(np.inf).view(np.int64))
    while low < high:
        middle = (low + high) // 2
        if is_outlier(np.array([middle]))[0]:
            low = middle + 1
        else:
            high = middle
    around = np.arange(max(0, low - 512), min(low + 512, int(np.float64(np.inf).view(np.int64))), dtype=np.int64)
    return float(np.int64(low).view(np.float64)), bool((is_outlier(around) == (around < low)).all())
