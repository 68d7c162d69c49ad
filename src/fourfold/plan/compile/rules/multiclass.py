"""Compile scikit-learn's voting, stacking and multiclass estimators, which combine the answers of others.

Sources: `sklearn.ensemble._voting` and `_stacking`, `sklearn.multiclass`, `sklearn.semi_supervised._self_training`.
Answers are added in the order of the estimators and begin at 0, so they are as exact as the parts, except where NumPy
adds eight or more numbers: then its order depends on how many rows there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answer, answers, transforms
from fourfold.plan.compile.arrays import array
from fourfold.plan.compile.columns import Column, Compiler, Matrix, NoPlan
from fourfold.plan.compile.rules.compose import apply_transformer
from fourfold.plan.compile.scores import as_matrix, binary_probabilities, round_numbers
from fourfold.plan.compile.sub_estimators import (
    above_threshold,
    average,
    binary_score,
    hstack,
    is_classifier,
    label_values,
    numeric_answer,
    unchecked_array,
)
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Code, Number

__all__: list[str] = []

_VOTING_CLASSIFIER, _VOTING_REGRESSOR = "sklearn.VotingClassifier", "sklearn.VotingRegressor"
_STACKING = ("sklearn.StackingClassifier", "sklearn.StackingRegressor")
_ONE_VS_REST, _ONE_VS_ONE = "sklearn.OneVsRestClassifier", "sklearn.OneVsOneClassifier"
_OUTPUT_CODE = "sklearn.OutputCodeClassifier"
_SELF_TRAINING = "sklearn.SelfTrainingClassifier"
#: From this many numbers on, NumPy sums adjacent numbers in another order than numbers that are not adjacent.
_MIN_PAIRWISE = 8


# Voting.


def _weights(model: Any) -> Sequence[Any] | None:
    """Return the weights of the estimators that were not dropped, or `None`."""
    if model.weights is None:
        return None
    weighted = zip(model.estimators, model.weights, strict=True)
    return [weight for (_, estimator), weight in weighted if not isinstance(estimator, str)]


@answers("predict", _VOTING_REGRESSOR)
def voting_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `VotingRegressor.predict`: `numpy.average` of the estimators' predictions."""
    if len(model.estimators_) >= _MIN_PAIRWISE:
        compiler.approximate("how many rows there are orders the sums of a VotingRegressor")
    return average(
        [_single_prediction(estimator, matrix, compiler) for estimator in model.estimators_], _weights(model), compiler
    )


def _single_prediction(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return what an estimator predicts, as one column; raises `NoPlan` where it is more."""
    predictions = numeric_answer(model, "predict", matrix, compiler)
    if len(predictions) != 1:
        raise NoPlan(f"a {type(model).__name__} predicts {len(predictions)} numbers, where one is needed")
    return predictions


@transforms(_VOTING_REGRESSOR)
def voting_regressor_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `VotingRegressor.transform`: the prediction of each estimator."""
    return hstack([_single_prediction(estimator, matrix, compiler) for estimator in model.estimators_], compiler)


@transforms(_VOTING_CLASSIFIER)
def voting_classifier_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `VotingClassifier.transform`: the probabilities of each estimator, or with hard voting its class's index.

    Raises:
        NoPlan: the probabilities are an array of three dimensions (`flatten_transform=False`).
    """
    if model.voting == "hard":
        return hstack([_single_prediction(estimator, matrix, compiler) for estimator in model.estimators_], compiler)
    if not model.flatten_transform:
        raise NoPlan("a VotingClassifier's probabilities are an array of three dimensions (flatten_transform)")
    return hstack(
        [numeric_answer(estimator, "predict_proba", matrix, compiler) for estimator in model.estimators_], compiler
    )


@answers("predict_proba", _VOTING_CLASSIFIER)
def voting_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `VotingClassifier.predict_proba`: `numpy.average` of the estimators' probabilities."""
    parts = [numeric_answer(estimator, "predict_proba", matrix, compiler) for estimator in model.estimators_]
    return average(parts, _weights(model), compiler)


@answers("predict", _VOTING_CLASSIFIER)
def voting_predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `VotingClassifier.predict`: the class of the largest mean probability, or of the largest sum of votes.

    Raises:
        NoPlan: a weight is negative, or an estimator answers with no class.
    """
    if model.voting == "soft":
        probabilities = voting_predict_proba(model, matrix, compiler)
        return Labels(compiler.graph.argmax(compiler.numbers(probabilities.columns)), model.classes_)
    weights = np.asarray(_weights(model) or [1.0] * len(model.estimators_), dtype=np.float64)
    if (weights < 0).any():
        raise NoPlan("a VotingClassifier has a weight below zero")
    n_classes = len(model.classes_)
    votes = compiler.graph.constant(np.zeros(n_classes))
    for estimator, weight in zip(model.estimators_, weights, strict=True):
        labels = answer(estimator, "predict", matrix, compiler)
        classes = label_values(labels) if isinstance(labels, Labels) else np.zeros(0)
        if classes.dtype.kind not in "iu":
            raise NoPlan(f"a {type(estimator).__name__} of a VotingClassifier does not answer with a class")
        vote = compiler.graph.lookup(labels.code, np.where(classes[:, None] == np.arange(n_classes), weight, 0.0))
        votes = compiler.graph.map_two(MathFunction.ADD, votes, vote)
    return Labels(compiler.graph.argmax(votes), model.classes_)


# Stacking.


@transforms(*_STACKING)
def stacking_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `Stacking*.transform`: the estimators' answers side by side, then the columns if `passthrough`.

    Of two classes the probability of the first is dropped; of several targets, that of each target's first class.
    """
    classes = getattr(model, "classes_", ())
    blocks = []
    for estimator, method in zip(model.estimators_, model.stack_method_, strict=True):
        answered = answer(estimator, method, matrix, compiler)
        if isinstance(answered, list) and all(isinstance(probabilities, Matrix) for probabilities in answered):
            blocks += [probabilities.take(range(1, len(probabilities))) for probabilities in answered]
            continue
        block = numeric_answer(estimator, method, matrix, compiler)
        drops_first = method == "predict_proba" and len(classes) == 2
        blocks.append(block.take(range(1, len(block))) if drops_first else block)
    return hstack([*blocks, array(matrix)] if model.passthrough else blocks, compiler)


def _final_answer(model: Any, method: str, matrix: Matrix, compiler: Compiler) -> Any:
    """Return the final estimator's answer to the answers of the others; raises `NoPlan` for several targets."""
    answered = answer(model.final_estimator_, method, apply_transformer(model, matrix, compiler), compiler)
    if isinstance(answered, list):
        raise NoPlan(f"a {type(model).__name__} has several targets")
    return answered


@answers("predict", *_STACKING)
def stacking_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
    """Return `Stacking*.predict`; the final estimator of a classifier answers with a class's index."""
    answered = _final_answer(model, "predict", matrix, compiler)
    if not isinstance(answered, Labels):
        return answered
    return Labels(answered.code, [model.classes_[int(index)] for index in answered.classes])


@answers("predict_proba", *_STACKING)
def stacking_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
    """Return `StackingClassifier.predict_proba`: the final estimator's probabilities."""
    return _final_answer(model, "predict_proba", matrix, compiler)


@answers("decision_function", *_STACKING)
def stacking_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
    """Return `StackingClassifier.decision_function`: the final estimator's scores."""
    return _final_answer(model, "decision_function", matrix, compiler)


# One class against the rest.


def _threshold(estimators: Sequence[Any]) -> float:
    """Return the score above which the second of two classes is answered (`_threshold_for_binary_predict`)."""
    estimator = estimators[0]
    return 0.0 if hasattr(estimator, "decision_function") and is_classifier(estimator) else 0.5


def _first_of_largest(values: Sequence[Number], compiler: Compiler) -> Code:
    """Return the index of the first largest number, found as `OneVsRestClassifier.predict` finds it.

    It goes through the estimators from the last one back, keeps the maximum so far (from -inf on), and takes each index
    whose number is equal to it. After a NaN nothing is equal, so the index before it stays.
    """
    graph = compiler.graph
    largest, index = graph.constant([-np.inf]), graph.constant([0.0])
    for candidate in reversed(range(len(values))):
        largest = graph.map_two(MathFunction.MAX, largest, [values[candidate]])
        is_largest = graph.map_two(MathFunction.EQ, largest, [values[candidate]])
        index = graph.select(is_largest, graph.constant([float(candidate)]), index)
    n_values = len(values)
    return graph.recode(graph.match(index[0], np.arange(n_values)), [*range(n_values), 0, 0], n_values)


@answers("predict", _ONE_VS_REST)
def rest_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | list[Labels]:
    """Return `OneVsRestClassifier.predict`: the class of the highest score.

    Of two classes it is the second one where its score is above the threshold; of several labels a row, each label
    whose score is.

    Raises:
        NoPlan: there is one class only.
    """
    scores = [binary_score(estimator, matrix, compiler) for estimator in model.estimators_]
    target_type = model.label_binarizer_.y_type_
    if target_type == "multiclass":
        return Labels(_first_of_largest(compiler.numbers(scores), compiler), model.classes_)
    threshold = _threshold(model.estimators_)
    is_above = [above_threshold(score, threshold, compiler, or_equal=False) for score in scores]
    if target_type.startswith("multilabel"):
        return [Labels(code, [0, 1]) for code in is_above]
    if len(model.classes_) == 1:
        raise NoPlan("a OneVsRestClassifier knows one class")
    return Labels(is_above[0], model.classes_)


@answers("predict_proba", _ONE_VS_REST)
def rest_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `OneVsRestClassifier.predict_proba`: the probability of each class against the rest.

    Where a row has one class they are divided by their sum, unless that is 0.
    """
    parts = [numeric_answer(estimator, "predict_proba", matrix, compiler).take([1]) for estimator in model.estimators_]
    probabilities = hstack(parts, compiler)
    dtype, values, graph = probabilities.dtype, compiler.numbers(probabilities.columns), compiler.graph
    if len(values) == 1:
        values = binary_probabilities(compiler, values[0], dtype)
    if not model.label_binarizer_.y_type_.startswith("multilabel"):
        if len(values) >= _MIN_PAIRWISE:
            compiler.approximate("how many rows there are orders the sums of a OneVsRestClassifier")
        total = graph.map_const(MathFunction.ADD, values[:1], 0.0)
        for value in values[1:]:
            total = round_numbers(compiler, graph.map_two(MathFunction.ADD, total, [value]), dtype)
        divisor = graph.select(total, total, graph.constant([1.0]))
        values = round_numbers(compiler, graph.map_two(MathFunction.DIV, values, divisor), dtype)
    return as_matrix(values, dtype)


@answers("decision_function", _ONE_VS_REST)
def rest_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `OneVsRestClassifier.decision_function`: the score of each class against the rest."""
    return hstack(
        [numeric_answer(estimator, "decision_function", matrix, compiler) for estimator in model.estimators_], compiler
    )


# One class against another.


def _votes(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the votes for each class plus a part below 1/3 for the confidence, as `_ovr_decision_function`.

    The part is `s / (3 * (abs(s) + 1))` of the sum `s` of the scores for the class.

    Raises:
        NoPlan: the classifier was fitted to a precomputed kernel.
    """
    if model.pairwise_indices_ is not None:
        raise NoPlan("a OneVsOneClassifier was fitted to a kernel")
    graph, n_classes = compiler.graph, len(model.classes_)
    inputs = unchecked_array(matrix)
    zero = graph.constant([0.0])[0]
    sums, votes = [zero] * n_classes, [zero] * n_classes
    for estimator, (first, second) in zip(model.estimators_, combinations(range(n_classes), 2), strict=True):
        predicted = compiler.number(numeric_answer(estimator, "predict", inputs, compiler).columns[0])
        score = compiler.number(binary_score(estimator, inputs, compiler))
        sums[first] = graph.map_two(MathFunction.SUB, [sums[first]], [score])[0]
        sums[second] = graph.map_two(MathFunction.ADD, [sums[second]], [score])[0]
        for index, label in ((first, 0.0), (second, 1.0)):
            vote = graph.map_const(MathFunction.EQ, [predicted], label)
            votes[index] = graph.map_two(MathFunction.ADD, [votes[index]], vote)[0]
    magnitudes = graph.map_const(MathFunction.ADD, graph.map(MathFunction.ABS, sums), 1.0)
    confidences = graph.map_two(MathFunction.DIV, sums, graph.map_const(MathFunction.MUL, magnitudes, 3.0))
    return graph.map_two(MathFunction.ADD, votes, confidences)


@answers("decision_function", _ONE_VS_ONE)
def one_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `OneVsOneClassifier.decision_function`: the votes for each class, or for the second of two."""
    votes = _votes(model, matrix, compiler)
    return as_matrix(votes[1:] if len(votes) == 2 else votes)


@answers("predict", _ONE_VS_ONE)
def one_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `OneVsOneClassifier.predict`: the class of the most votes.

    Of two classes it is the second one where its votes are above the threshold.
    """
    decision = one_decision_function(model, matrix, compiler)
    if len(decision) == 1:
        code = above_threshold(decision.columns[0], _threshold(model.estimators_), compiler, or_equal=False)
        return Labels(code, model.classes_)
    return Labels(compiler.graph.argmax(compiler.numbers(decision.columns)), model.classes_)


# Output codes.


@answers("predict", _OUTPUT_CODE)
def codes_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `OutputCodeClassifier.predict`: the class whose code is nearest to the scores, the first one of equals.

    scikit-learn computes squared distances as `x² - 2xy + y²` with a BLAS and takes negative ones for 0.
    """
    graph = compiler.graph
    scores: list[Column] = [binary_score(estimator, matrix, compiler) for estimator in model.estimators_]
    compiler.refuse(scores, model)
    codes = np.asarray(model.code_book_, dtype=np.float64)
    compiler.approximate("a BLAS computes the distances of an OutputCodeClassifier")
    values = compiler.numbers(scores)
    squared_norm = graph.fold(MathFunction.SUM, graph.map_two(MathFunction.MUL, values, values))
    distances = graph.map_two(MathFunction.ADD, graph.dot(values, -2.0 * codes.T), [squared_norm])
    distances = graph.map_const(MathFunction.ADD, distances, np.einsum("ij,ij->i", codes, codes))
    # Distances that are not above 0 become 0, NaN too.
    is_positive = graph.map_const(MathFunction.GT, distances, 0.0)
    distances = graph.select(is_positive, distances, graph.constant(np.zeros(len(codes))))
    return Labels(graph.argmax(graph.map(MathFunction.NEGATE, distances)), model.classes_)


# Self-training.


def _self_training(method: str) -> Any:
    """Return a rule that asks the classifier that self-training ended with."""

    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        return answer(model.estimator_, method, unchecked_array(matrix), compiler)

    return rule


for _method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
    answers(_method, _SELF_TRAINING)(_self_training(_method))
