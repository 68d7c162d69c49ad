"""Compile scikit-learn's AdaBoost, bagging and IsolationForest (`sklearn.ensemble`).

Where all parts are trees with one target they become one forest of the plan. All others are compiled one by one. Sums
are float64 and begin at 0; they add the parts in their order, as the estimators do with one job (`n_jobs=1`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answer, answers
from fourfold.plan.compile.arrays import array, check_any_dtype
from fourfold.plan.compile.columns import FLOAT32, Compiler, Matrix, NoPlan
from fourfold.plan.compile.library_class import library_class
from fourfold.plan.compile.rules.tree import CLASSIFIERS, REGRESSORS, leaf_values, nodes_of, takes_nan, tree_input
from fourfold.plan.compile.scores import above_zero, as_matrix, log_columns, sklearn_softmax
from fourfold.plan.compile.tree_nodes import forest
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

Floats = npt.NDArray[np.float64]
_ADA_CLASSIFIER, _ADA_REGRESSOR = "sklearn.AdaBoostClassifier", "sklearn.AdaBoostRegressor"
_BAGGING_CLASSIFIER, _BAGGING_REGRESSOR = "sklearn.BaggingClassifier", "sklearn.BaggingRegressor"
_ISOLATION = "sklearn.IsolationForest"


def _are_trees(estimators: Sequence[Any], names: Sequence[str]) -> bool:
    """Tell whether all estimators are single trees with one target."""
    return all(library_class(estimator) in names and estimator.n_outputs_ == 1 for estimator in estimators)


def _tree_sums(
    estimators: Sequence[Any],
    features: Sequence[Any] | None,
    matrix: Matrix,
    compiler: Compiler,
    values: Sequence[Floats],
    start: Floats,
    *,
    targets: Sequence[int] | None = None,
) -> list[Number]:
    """Return the sums of trees that are parts of an ensemble.

    Args:
        estimators: the trees' estimators.
        features: the indices of the columns that each of them sees; all columns if left out.
        matrix: the columns.
        compiler: the plan's compiler.
        values: what the leaves of each tree hold.
        start: what the sums begin with, shape `(outputs,)`.
        targets: the output that each tree adds to, where a leaf holds one number.
    """
    used = range(len(matrix)) if features is None else np.unique(np.concatenate(list(features)))
    columns = list(matrix.columns)
    # No row is refused for a column that no part sees.
    inputs = tree_input(matrix.take(used), compiler, estimators[0], nan=all(map(takes_nan, estimators)))
    for index, column in zip(used, inputs.columns, strict=True):
        columns[int(index)] = column
    nodes = nodes_of([estimator.tree_ for estimator in estimators], sparse=matrix.sparse, features=features)
    return forest(compiler, columns, nodes, np.concatenate(list(values)), start, targets=targets)


def _sum_of_parts(parts: Sequence[Sequence[Number]], compiler: Compiler, *, narrow: bool = False) -> list[Number]:
    """Return the sums of the parts' numbers, from 0 on in their order; float32 if `narrow`."""
    total = compiler.graph.map_const(MathFunction.ADD, parts[0], 0.0)
    for part in parts[1:]:
        total = compiler.graph.map_two(MathFunction.ADD, total, part)
        total = compiler.graph.map(MathFunction.ROUND32, total) if narrow else total
    return total


# AdaBoost.


def _class_votes(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the weighted votes for each class, as `AdaBoostClassifier.decision_function` before its last step.

    An estimator of weight `w` adds `w` to the class that it predicts and `-w / (n_classes - 1)` to all others. The sum
    is divided by the sum of the weights.

    Raises:
        NoPlan: there is one class only, or an estimator answers with no label.
    """
    n_classes = int(model.n_classes_)
    if n_classes == 1:
        raise NoPlan("the AdaBoostClassifier has seen one class alone")
    inputs = check_any_dtype(array(matrix), compiler, model)
    pairs = list(zip(model.estimators_, np.asarray(model.estimator_weights_, dtype=np.float64), strict=False))
    estimators = [estimator for estimator, _ in pairs]
    start = np.zeros(n_classes)
    if _are_trees(estimators, CLASSIFIERS):
        leaf_votes = [
            _votes_by_own_class(model, estimator, weight)[leaf_values(estimator.tree_)[:, 0].argmax(axis=1)]
            for estimator, weight in pairs
        ]
        total = _tree_sums(estimators, None, inputs, compiler, leaf_votes, start)
    else:
        parts = []
        for estimator, weight in pairs:
            label = answer(estimator, "predict", inputs, compiler)
            if not isinstance(label, Labels):
                raise NoPlan(f"a {type(estimator).__name__} in an AdaBoostClassifier answers with no label")
            parts.append(
                compiler.graph.lookup(label.code, _votes_by_own_class(model, estimator, weight)[: label.code.limit])
            )
        total = _sum_of_parts(parts, compiler)
    return compiler.graph.map_const(MathFunction.DIV, total, float(np.sum(model.estimator_weights_)))


def _votes_by_own_class(model: Any, estimator: Any, weight: float) -> Floats:
    """Return what an estimator adds to each class of the ensemble, for each class that it may predict."""
    is_class = np.asarray(estimator.classes_)[:, None] == np.asarray(model.classes_)[None, :]
    return np.where(is_class, weight, -1 / (int(model.n_classes_) - 1) * weight)


@answers("decision_function", _ADA_CLASSIFIER)
def ada_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `AdaBoostClassifier.decision_function`: the weighted votes for each class.

    For two classes it is one number: the votes for the second minus those for the first.
    """
    return as_matrix(_decision(model, matrix, compiler))


def _decision(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the numbers of `decision_function`: one for two classes."""
    votes = _class_votes(model, matrix, compiler)
    if len(votes) > 2:
        return votes
    # As scikit-learn, multiply by -1 and add: a difference of two zeros could have another sign.
    negated = compiler.graph.map_const(MathFunction.MUL, votes[:1], -1.0)
    return compiler.graph.map_two(MathFunction.ADD, negated, votes[1:])


@answers("predict", _ADA_CLASSIFIER)
def ada_predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `AdaBoostClassifier.predict`: the class of the most votes."""
    decision = _decision(model, matrix, compiler)
    if len(decision) > 1:
        return Labels(compiler.graph.argmax(decision), model.classes_)
    return Labels(above_zero(compiler, decision[0]), model.classes_)


@answers("predict_proba", _ADA_CLASSIFIER)
def ada_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `AdaBoostClassifier.predict_proba`: the softmax of the votes.

    The votes are divided by `n_classes - 1`; for two classes it is the softmax of minus and plus half of the decision.
    """
    graph, decision = compiler.graph, _decision(model, matrix, compiler)
    if len(decision) > 1:
        scaled = graph.map_const(MathFunction.DIV, decision, float(model.n_classes_ - 1))
    else:
        scaled = graph.map_const(MathFunction.DIV, [*graph.map(MathFunction.NEGATE, decision), *decision], 2.0)
    return as_matrix(sklearn_softmax(scaled, compiler, contiguous=False))


@answers("predict_log_proba", _ADA_CLASSIFIER)
def ada_predict_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `AdaBoostClassifier.predict_log_proba`: `numpy.log` of the probabilities."""
    return log_columns(ada_predict_proba(model, matrix, compiler), compiler)


@answers("predict", _ADA_REGRESSOR)
def ada_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `AdaBoostRegressor.predict`: the weighted median of the estimators' predictions.

    NumPy's sort may put equal predictions in any order, and the cumulative sum of their weights may then be rounded in
    another way; here they keep the order of their estimators.
    """
    inputs = check_any_dtype(array(matrix), compiler, model)
    estimators = list(model.estimators_)
    if _are_trees(estimators, REGRESSORS):
        values = [leaf_values(estimator.tree_)[:, 0] for estimator in estimators]
        start = np.full(len(estimators), -0.0)
        predictions = _tree_sums(estimators, None, inputs, compiler, values, start, targets=range(len(estimators)))
    else:
        predictions = []
        for estimator in estimators:
            answered = answer(estimator, "predict", inputs, compiler)
            if not isinstance(answered, Matrix) or len(answered) != 1:
                raise NoPlan(f"a {type(estimator).__name__} in an AdaBoostRegressor answers with more than one number")
            predictions += compiler.numbers(answered.columns)
    weights = np.asarray(model.estimator_weights_, dtype=np.float64)[: len(estimators)]
    return as_matrix([compiler.graph.median(predictions, weights)])


# Bagging.


def _mean_answer(model: Any, method: str, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the mean of the estimators' answers, each of them to its own columns.

    It is computed in float32 where all answers are float32, except for probabilities, which scikit-learn adds to
    float64.

    Raises:
        NoPlan: an estimator answers with no numbers, or they differ in width.
    """
    parts = []
    narrow = method != "predict_proba"
    for estimator, features in zip(model.estimators_, model.estimators_features_, strict=True):
        answered = answer(estimator, method, matrix.take(features), compiler)
        if not isinstance(answered, Matrix):
            raise NoPlan(f"a {type(estimator).__name__} in a {type(model).__name__} answers with no numbers")
        narrow = narrow and answered.dtype == FLOAT32
        parts.append(compiler.numbers(answered.columns))
    if len({len(part) for part in parts}) > 1:
        raise NoPlan(f"the estimators of the {type(model).__name__} give answers of different widths")
    total = _sum_of_parts(parts, compiler, narrow=narrow)
    mean = compiler.graph.map_const(MathFunction.DIV, total, float(model.n_estimators))
    return compiler.graph.map(MathFunction.ROUND32, mean) if narrow else mean


def _checked_array(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return the array that `validate_data(dtype=None, ensure_all_finite=False)` makes."""
    return check_any_dtype(array(matrix), compiler, model, nan=True, infinite=True)


@answers("predict", _BAGGING_REGRESSOR)
def bagging_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `BaggingRegressor.predict`: the mean of the estimators' predictions."""
    inputs, estimators = _checked_array(model, matrix, compiler), list(model.estimators_)
    if not _are_trees(estimators, REGRESSORS):
        return as_matrix(_mean_answer(model, "predict", inputs, compiler))
    values = [leaf_values(estimator.tree_)[:, 0] for estimator in estimators]
    total = _tree_sums(estimators, model.estimators_features_, inputs, compiler, values, np.zeros(1))
    return as_matrix(compiler.graph.map_const(MathFunction.DIV, total, float(model.n_estimators)))


def _mean_probabilities(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the mean of the estimators' probabilities, or of their votes where they have no `predict_proba`."""
    inputs, estimators = _checked_array(model, matrix, compiler), list(model.estimators_)
    n_classes = int(model.n_classes_)
    if _are_trees(estimators, CLASSIFIERS):
        values = [_in_all_classes(estimator, leaf_values(estimator.tree_)[:, 0], n_classes) for estimator in estimators]
        total = _tree_sums(estimators, model.estimators_features_, inputs, compiler, values, np.zeros(n_classes))
    else:
        parts = []
        for estimator, features in zip(estimators, model.estimators_features_, strict=True):
            parts.append(_class_numbers(estimator, inputs.take(features), n_classes, compiler))
        total = _sum_of_parts(parts, compiler)
    return compiler.graph.map_const(MathFunction.DIV, total, float(model.n_estimators))


def _in_all_classes(estimator: Any, values: Floats, width: int) -> Floats:
    """Return values for an estimator's own classes as values for all classes of the ensemble, 0 elsewhere.

    An estimator's classes are indices of the ensemble's; it lacks those that its sample of rows lacks.
    """
    widened = np.zeros((len(values), width))
    widened[:, np.asarray(estimator.classes_, dtype=np.int64)] = values[:, : len(estimator.classes_)]
    return widened


def _class_numbers(estimator: Any, matrix: Matrix, n_classes: int, compiler: Compiler) -> list[Number]:
    """Return one estimator's probability of each class of the ensemble, or its vote (1 or 0).

    Raises:
        NoPlan: the estimator has several targets, or answers with no label.
    """
    name = type(estimator).__name__
    if hasattr(estimator, "predict_proba"):
        probabilities = answer(estimator, "predict_proba", matrix, compiler)
        if not isinstance(probabilities, Matrix):
            raise NoPlan(f"a {name} in a BaggingClassifier has several targets")
        numbers = compiler.numbers(probabilities.columns)
        if len(numbers) == n_classes:
            return numbers
        by_class = dict(zip(np.asarray(estimator.classes_).tolist(), numbers, strict=True))
        zero = compiler.graph.constant([0.0])[0]
        return [by_class.get(index, zero) for index in range(n_classes)]
    label = answer(estimator, "predict", matrix, compiler)
    if not isinstance(label, Labels):
        raise NoPlan(f"a {name} in a BaggingClassifier answers with no label")
    votes = np.asarray(label.classes)[: label.code.limit, None] == np.arange(n_classes)
    return compiler.graph.lookup(label.code, votes.astype(np.float64))


@answers("predict_proba", _BAGGING_CLASSIFIER)
def bagging_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `BaggingClassifier.predict_proba`: the mean of the estimators' probabilities or votes."""
    return as_matrix(_mean_probabilities(model, matrix, compiler))


@answers("predict", _BAGGING_CLASSIFIER)
def bagging_predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `BaggingClassifier.predict`: the class of the largest mean probability."""
    return Labels(compiler.graph.argmax(_mean_probabilities(model, matrix, compiler)), model.classes_)


@answers("predict_log_proba", _BAGGING_CLASSIFIER)
def bagging_predict_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `BaggingClassifier.predict_log_proba`.

    It is the `numpy.logaddexp` of the estimators' logarithms, one after the other, minus `log(n_estimators)`. Without
    `predict_log_proba` in the estimators it is `numpy.log` of the mean probabilities.
    """
    if not hasattr(model.estimator_, "predict_log_proba"):
        return log_columns(as_matrix(_mean_probabilities(model, matrix, compiler)), compiler)
    inputs, n_classes, graph = _checked_array(model, matrix, compiler), int(model.n_classes_), compiler.graph
    total = graph.constant(np.full(n_classes, -np.inf))
    for estimator, features in zip(model.estimators_, model.estimators_features_, strict=True):
        answered = answer(estimator, "predict_log_proba", inputs.take(features), compiler)
        if not isinstance(answered, Matrix):
            raise NoPlan(f"a {type(estimator).__name__} in a BaggingClassifier has several targets")
        class_indices = (
            np.asarray(estimator.classes_, dtype=np.int64) if len(answered) != n_classes else np.arange(n_classes)
        )
        total = _log_add(
            total, dict(zip(class_indices.tolist(), compiler.numbers(answered.columns), strict=True)), compiler
        )
    return as_matrix(graph.map_const(MathFunction.SUB, total, float(np.log(model.n_estimators))))


def _log_add(total: list[Number], by_index: dict[int, Number], compiler: Compiler) -> list[Number]:
    """Return the totals after `numpy.logaddexp` of some of them: `max + log1p(exp(-abs(difference)))`."""
    compiler.approximate("logaddexp of NumPy's")
    graph, indices = compiler.graph, list(by_index)
    totals, others = [total[index] for index in indices], list(by_index.values())
    larger = graph.map_two(MathFunction.MAX, totals, others)
    difference = graph.map(MathFunction.ABS, graph.map_two(MathFunction.SUB, totals, others))
    # The difference of two equal infinities is NaN; any number that is added to them will do.
    exponent = graph.map_const(MathFunction.IF_NAN, graph.map(MathFunction.NEGATE, difference), 0.0)
    correction = graph.map(MathFunction.LOG1P, graph.map(MathFunction.EXP, exponent))
    updated = dict(zip(indices, graph.map_two(MathFunction.ADD, larger, correction), strict=True))
    return [updated.get(index, value) for index, value in enumerate(total)]


@answers("decision_function", _BAGGING_CLASSIFIER)
def bagging_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `BaggingClassifier.decision_function`: the mean of the estimators' decisions."""
    return as_matrix(_mean_answer(model, "decision_function", _checked_array(model, matrix, compiler), compiler))


# Isolation forest.


def _total_depth(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[list[Number], float]:
    """Return the sum over all trees of the depth at which a row is isolated, and the value that is usual.

    A leaf holds `decision_path_length + average_path_length - 1` (`IsolationForest._compute_score_samples`).
    """
    private = vars(model)
    estimators = list(model.estimators_)
    all_columns = private["_max_features"] == len(matrix)
    inputs = tree_input(matrix, compiler, model, nan=True, infinite=True)
    paths = zip(private["_decision_path_lengths"], private["_average_path_length_per_tree"], strict=True)
    leaf_depths = np.concatenate([length + average - 1.0 for length, average in paths]).astype(np.float64)
    features = None if all_columns else model.estimators_features_
    nodes = nodes_of([estimator.tree_ for estimator in estimators], sparse=matrix.sparse, features=features)
    depth = forest(compiler, inputs.columns, nodes, leaf_depths[nodes.leaves, None], np.zeros(1))
    return depth, len(estimators) * _average_path_length(int(private["_max_samples"]))


def _average_path_length(count: int) -> float:
    """Return the average path length of a tree of `count` rows (`_iforest._average_path_length`)."""
    if count <= 2:
        return float(count == 2)
    n_others = np.array([count]) - 1.0
    return float((2.0 * (np.log(n_others) + np.euler_gamma) - 2.0 * n_others / np.array([count]))[0])


def _scores(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return `score_samples`: `-(2 ** (-depth / usual_depth))`, larger for ordinary rows.

    The power depends on NumPy and the processor.
    """
    graph = compiler.graph
    depth, usual_depth = _total_depth(model, matrix, compiler)
    if not usual_depth:
        return graph.constant([-(2.0**-1)])
    compiler.approximate("2 to a power in the scores of an IsolationForest")
    exponent = graph.map(MathFunction.NEGATE, graph.map_const(MathFunction.DIV, depth, usual_depth))
    return graph.map(MathFunction.NEGATE, graph.map_two(MathFunction.POW, graph.constant([2.0]), exponent))


@answers("score_samples", _ISOLATION)
def isolation_score_samples(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `IsolationForest.score_samples`."""
    return as_matrix(_scores(model, matrix, compiler))


@answers("decision_function", _ISOLATION)
def isolation_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `IsolationForest.decision_function`: `score_samples - offset_`."""
    scores = _scores(model, matrix, compiler)
    return as_matrix(compiler.graph.map_const(MathFunction.SUB, scores, float(model.offset_)))


@answers("predict", _ISOLATION)
def isolation_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `IsolationForest.predict`: -1 for an outlier, 1 for any other row.

    Scores grow with the depth, so the label is decided by a threshold of the depth, exactly and without any power.
    """
    depth, usual_depth = _total_depth(model, matrix, compiler)
    threshold, is_sharp = _smallest_inlier_depth(usual_depth, float(model.offset_))
    if not is_sharp:
        compiler.approximate("2 to a power, which does not always grow, in the labels of an IsolationForest")
    code = compiler.graph.search(depth[0], [threshold], right=True)
    return Labels(compiler.graph.recode(code, [0, 1, 1], 2), [-1, 1])


def _smallest_inlier_depth(usual_depth: float, offset: float) -> tuple[float, bool]:
    """Return the smallest depth of a row that is no outlier, and whether all depths around it agree with it.

    NumPy's own power is asked, by bisection: training rows often have the very score at which the label changes.
    """

    def is_outlier(bits: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Tell which depths, given as the bits of float64, are those of outliers."""
        depths = bits.view(np.float64)
        shares = np.divide(depths, usual_depth) if usual_depth else np.ones_like(depths)
        below: npt.NDArray[np.bool_] = -(2 ** (-shares)) - offset < 0
        return below

    # From 0 on, floats are in the order of their bits.
    low, high = 0, int(np.float64(np.inf).view(np.int64))
    while low < high:
        middle = (low + high) // 2
        if is_outlier(np.array([middle]))[0]:
            low = middle + 1
        else:
            high = middle
    around = np.arange(max(0, low - 512), min(low + 512, int(np.float64(np.inf).view(np.int64))), dtype=np.int64)
    return float(np.int64(low).view(np.float64)), bool((is_outlier(around) == (around < low)).all())
