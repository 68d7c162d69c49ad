"""Classifiers and regressors made of others: votes, stacks, one class against the rest or against another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answer, answers, transforms
from fourfold.plan.compile.arrays import array
from fourfold.plan.compile.columns import Column, Compiler, Matrix, NoPlan
from fourfold.plan.compile.rules.compose import applied
from fourfold.plan.compile.scores import as_matrix, pair, single
from fourfold.plan.compile.sub_estimators import (
    arrayed,
    average,
    beside,
    binary_score,
    is_classifier,
    label_values,
    not_below,
    said,
)
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Code, Number

__all__: list[str] = []

_VOTING_CLASSIFIER, _VOTING_REGRESSOR = "sklearn.VotingClassifier", "sklearn.VotingRegressor"
_STACKING = ("sklearn.StackingClassifier", "sklearn.StackingRegressor")
_REST, _ONE = "sklearn.OneVsRestClassifier", "sklearn.OneVsOneClassifier"
_CODES = "sklearn.OutputCodeClassifier"
_SELF = "sklearn.SelfTrainingClassifier"
#: From this many on, NumPy sums numbers that lie side by side in another order than ones that do not.
_PAIRWISE = 8


# Votes.


def _weights(model: Any) -> Sequence[Any] | None:
    """The weights of the estimators that were not dropped."""
    if model.weights is None:
        return None
    kept = zip(model.estimators, model.weights, strict=True)
    return [weight for (_, estimator), weight in kept if not isinstance(estimator, str)]


@answers("predict", _VOTING_REGRESSOR)
def voting_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The mean of what the estimators say."""
    if len(model.estimators_) >= _PAIRWISE:
        compiler.approximate("how many rows there are orders the sums of a VotingRegressor")
    return average([_one(each, matrix, compiler) for each in model.estimators_], _weights(model), compiler)


def _one(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    found = said(model, "predict", matrix, compiler)
    if len(found) != 1:
        raise NoPlan(f"a {type(model).__name__} predicts {len(found)} numbers, where one is needed")
    return found


@transforms(_VOTING_REGRESSOR)
def voting_regressor_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What each estimator says."""
    return beside([_one(each, matrix, compiler) for each in model.estimators_], compiler)


@transforms(_VOTING_CLASSIFIER)
def voting_classifier_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The probabilities, or the place of the label, of each estimator."""
    if model.voting == "hard":
        return beside([_one(each, matrix, compiler) for each in model.estimators_], compiler)
    if not model.flatten_transform:
        raise NoPlan("a VotingClassifier's probabilities are an array of three dimensions (flatten_transform)")
    return beside([said(each, "predict_proba", matrix, compiler) for each in model.estimators_], compiler)


@answers("predict_proba", _VOTING_CLASSIFIER)
def voting_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The mean of the estimators' probabilities."""
    parts = [said(each, "predict_proba", matrix, compiler) for each in model.estimators_]
    return average(parts, _weights(model), compiler)


@answers("predict", _VOTING_CLASSIFIER)
def voting_predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class of the largest mean probability, or of the most votes."""
    if model.voting == "soft":
        shares = voting_predict_proba(model, matrix, compiler)
        return Labels(compiler.graph.argmax(compiler.numbers(shares.columns)), model.classes_)
    weights = np.asarray(_weights(model) or [1.0] * len(model.estimators_), dtype=np.float64)
    if (weights < 0).any():
        raise NoPlan("a VotingClassifier has a weight below zero")
    count = len(model.classes_)
    votes = compiler.graph.constant(np.zeros(count))
    for estimator, weight in zip(model.estimators_, weights, strict=True):
        labels = answer(estimator, "predict", matrix, compiler)
        classes = label_values(labels) if isinstance(labels, Labels) else np.zeros(0)
        if classes.dtype.kind not in "iu":
            raise NoPlan(f"a {type(estimator).__name__} of a VotingClassifier does not answer with a class")
        here = compiler.graph.lookup(labels.code, np.where(classes[:, None] == np.arange(count), weight, 0.0))
        votes = compiler.graph.map_two(MathFunction.ADD, votes, here)
    return Labels(compiler.graph.argmax(votes), model.classes_)


# Stacks.


@transforms(*_STACKING)
def stacking_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What the estimators say, side by side; and then the columns themselves, where they are passed through."""
    classes = getattr(model, "classes_", ())
    blocks = []
    for estimator, method in zip(model.estimators_, model.stack_method_, strict=True):
        found = answer(estimator, method, matrix, compiler)
        if isinstance(found, list) and all(isinstance(each, Matrix) for each in found):
            blocks += [each.take(range(1, len(each))) for each in found]
            continue
        block = said(estimator, method, matrix, compiler)
        second = method == "predict_proba" and len(classes) == 2
        blocks.append(block.take(range(1, len(block))) if second else block)
    return beside([*blocks, array(matrix)] if model.passthrough else blocks, compiler)


def _final(model: Any, method: str, matrix: Matrix, compiler: Compiler) -> Any:
    found = answer(model.final_estimator_, method, applied(model, matrix, compiler), compiler)
    if isinstance(found, list):
        raise NoPlan(f"a {type(model).__name__} has several targets")
    return found


@answers("predict", *_STACKING)
def stacking_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
    """What the final estimator says of what the others say; of a class its place."""
    found = _final(model, "predict", matrix, compiler)
    if not isinstance(found, Labels):
        return found
    return Labels(found.code, [model.classes_[int(place)] for place in found.classes])


@answers("predict_proba", *_STACKING)
def stacking_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
    """What the final estimator says."""
    return _final(model, "predict_proba", matrix, compiler)


@answers("decision_function", *_STACKING)
def stacking_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
    """What the final estimator says."""
    return _final(model, "decision_function", matrix, compiler)


# One class against the rest.


def _threshold(estimators: Sequence[Any]) -> float:
    """Above which score the second of two classes is it."""
    first = estimators[0]
    return 0.0 if hasattr(first, "decision_function") and is_classifier(first) else 0.5


def _last_of_largest(values: Sequence[Number], compiler: Compiler) -> Code:
    """The first place of the largest number, looking from the last one on, where a NaN ends the search."""
    graph = compiler.graph
    best, place = graph.constant([-np.inf]), graph.constant([0.0])
    for index in reversed(range(len(values))):
        best = graph.map_two(MathFunction.MAX, best, [values[index]])
        here = graph.map_two(MathFunction.EQ, best, [values[index]])
        place = graph.select(here, graph.constant([float(index)]), place)
    count = len(values)
    return graph.recode(graph.match(place[0], np.arange(count)), [*range(count), 0, 0], count)


@answers("predict", _REST)
def rest_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | list[Labels]:
    """The class with the highest score; of two classes, or of many labels, those above the threshold."""
    scores = [binary_score(each, matrix, compiler) for each in model.estimators_]
    kind = model.label_binarizer_.y_type_
    if kind == "multiclass":
        return Labels(_last_of_largest(compiler.numbers(scores), compiler), model.classes_)
    threshold = _threshold(model.estimators_)
    sides = [not_below(score, threshold, compiler, equal=False) for score in scores]
    if kind.startswith("multilabel"):
        return [Labels(side, [0, 1]) for side in sides]
    if len(model.classes_) == 1:
        raise NoPlan("a OneVsRestClassifier knows one class")
    return Labels(sides[0], model.classes_)


@answers("predict_proba", _REST)
def rest_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The probabilities against the rest, which add up to 1 where a row has one class."""
    parts = [said(each, "predict_proba", matrix, compiler).take([1]) for each in model.estimators_]
    made = beside(parts, compiler)
    dtype, values, graph = made.dtype, compiler.numbers(made.columns), compiler.graph
    if len(values) == 1:
        values = pair(compiler, values[0], dtype)
    if not model.label_binarizer_.y_type_.startswith("multilabel"):
        if len(values) >= _PAIRWISE:
            compiler.approximate("how many rows there are orders the sums of a OneVsRestClassifier")
        total = graph.map_const(MathFunction.ADD, values[:1], 0.0)
        for value in values[1:]:
            total = single(compiler, graph.map_two(MathFunction.ADD, total, [value]), dtype)
        divisor = graph.select(total, total, graph.constant([1.0]))
        values = single(compiler, graph.map_two(MathFunction.DIV, values, divisor), dtype)
    return as_matrix(values, dtype)


@answers("decision_function", _REST)
def rest_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The scores against the rest."""
    return beside([said(each, "decision_function", matrix, compiler) for each in model.estimators_], compiler)


# One class against another.


def _votes(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """The votes for each class, and a part of one for how sure the estimators were."""
    if model.pairwise_indices_ is not None:
        raise NoPlan("a OneVsOneClassifier was fitted to a kernel")
    graph, count = compiler.graph, len(model.classes_)
    seen = arrayed(matrix)
    zero = graph.constant([0.0])[0]
    sums, votes = [zero] * count, [zero] * count
    for estimator, (one, other) in zip(model.estimators_, combinations(range(count), 2), strict=True):
        predicted = compiler.number(said(estimator, "predict", seen, compiler).columns[0])
        score = compiler.number(binary_score(estimator, seen, compiler))
        sums[one] = graph.map_two(MathFunction.SUB, [sums[one]], [score])[0]
        sums[other] = graph.map_two(MathFunction.ADD, [sums[other]], [score])[0]
        for place, label in ((one, 0.0), (other, 1.0)):
            vote = graph.map_const(MathFunction.EQ, [predicted], label)
            votes[place] = graph.map_two(MathFunction.ADD, [votes[place]], vote)[0]
    sizes = graph.map_const(MathFunction.ADD, graph.map(MathFunction.ABS, sums), 1.0)
    sure = graph.map_two(MathFunction.DIV, sums, graph.map_const(MathFunction.MUL, sizes, 3.0))
    return graph.map_two(MathFunction.ADD, votes, sure)


@answers("decision_function", _ONE)
def one_decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The votes for each class; of two classes those for the second."""
    votes = _votes(model, matrix, compiler)
    return as_matrix(votes[1:] if len(votes) == 2 else votes)


@answers("predict", _ONE)
def one_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class with the most votes; of two classes the second, where its votes are above the threshold."""
    made = one_decision_function(model, matrix, compiler)
    if len(made) == 1:
        code = not_below(made.columns[0], _threshold(model.estimators_), compiler, equal=False)
        return Labels(code, model.classes_)
    return Labels(compiler.graph.argmax(compiler.numbers(made.columns)), model.classes_)


# Codes.


@answers("predict", _CODES)
def codes_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class whose code is nearest to the scores, of equally near ones the first."""
    graph = compiler.graph
    scores: list[Column] = [binary_score(each, matrix, compiler) for each in model.estimators_]
    compiler.refuse(scores, model)
    codes = np.asarray(model.code_book_, dtype=np.float64)
    compiler.approximate("a BLAS computes the distances of an OutputCodeClassifier")
    values = compiler.numbers(scores)
    size = graph.fold(MathFunction.SUM, graph.map_two(MathFunction.MUL, values, values))
    products = graph.map_two(MathFunction.ADD, graph.dot(values, -2.0 * codes.T), [size])
    distances = graph.map_const(MathFunction.ADD, products, np.einsum("ij,ij->i", codes, codes))
    # What is not above 0 is 0, and so is NaN.
    above = graph.map_const(MathFunction.GT, distances, 0.0)
    distances = graph.select(above, distances, graph.constant(np.zeros(len(codes))))
    return Labels(graph.argmax(graph.map(MathFunction.NEGATE, distances)), model.classes_)


# Labels of its own.


def _self_training(method: str) -> Any:
    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        return answer(model.estimator_, method, arrayed(matrix), compiler)

    return rule


for _method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
    answers(_method, _SELF)(_self_training(_method))
