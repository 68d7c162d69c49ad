"""Compile scikit-learn's support vector machines (`sklearn.svm`), which libsvm computes (`svm.cpp`).

A score is a sum over the support vectors of `coefficient * kernel`, added in their order from 0 on, plus an intercept,
in float64. Kernels need `exp`, `tanh` or a BLAS, so scores are close and not exact.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.arrays import floats
from fourfold.plan.compile.columns import FLOAT64, Compiler, Matrix, NoPlan
from fourfold.plan.compile.rules.kernels import check_size, tanh
from fourfold.plan.compile.scores import above_zero, add_constants, as_matrix, exponentials, logarithms
from fourfold.plan.compile.sums import matrix_product
from fourfold.plan.format import MathFunction, Metric
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_CLASSIFIERS = ("sklearn.SVC", "sklearn.NuSVC")
_REGRESSORS = ("sklearn.SVR", "sklearn.NuSVR")
_ONE_CLASS = "sklearn.OneClassSVM"
_KERNELS = ("linear", "poly", "rbf", "sigmoid")


def _kernel(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the kernel between the row and each support vector, float64 (`Kernel::k_function`).

    Raises:
        NoPlan: the kernel has no rule, or the matrix is sparse and training was not.
    """
    graph = compiler.graph
    if model.kernel not in _KERNELS:
        raise NoPlan(f"a {type(model).__name__} has the kernel {model.kernel}")
    is_sparse = bool(model._sparse)  # noqa: SLF001 - nothing public has it
    if matrix.sparse and not is_sparse:
        raise NoPlan(f"the {type(model).__name__} was trained with an array, and takes no sparse matrix")
    check_size(model.support_vectors_, model)
    vectors = _to_dense(model.support_vectors_)
    inputs = compiler.cast(floats(matrix, compiler, model), FLOAT64)
    if model.kernel == "rbf":
        if not is_sparse and len(inputs) > 1:
            compiler.approximate(f"a BLAS orders the sums of the {type(model).__name__}")
        squares = graph.distances(compiler.numbers(inputs.columns), vectors, Metric.SQUARED)
        scaled = graph.map_const(MathFunction.MUL, squares, -float(model._gamma))  # noqa: SLF001
        return exponentials(compiler, scaled, FLOAT64)
    inputs = Matrix(inputs.columns, sparse=is_sparse)
    values, _ = matrix_product(compiler, inputs, vectors.T, model)
    if model.kernel == "linear":
        return values
    values = graph.map_const(MathFunction.MUL, values, float(model._gamma))  # noqa: SLF001
    values = graph.map_const(MathFunction.ADD, values, float(model.coef0))
    if model.kernel == "poly":
        return _power(values, int(model.degree), compiler)
    return tanh(compiler, values, FLOAT64)


def _to_dense(values: Any) -> npt.NDArray[np.float64]:
    """Return an array or a sparse matrix as a float64 array."""
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values, dtype=np.float64)


def _power(values: list[Number], power: int, compiler: Compiler) -> list[Number]:
    """Return a power by repeated squaring (`powi` of libsvm)."""
    result = compiler.graph.constant(np.ones(len(values)))
    while power:
        result = compiler.graph.map_two(MathFunction.MUL, result, values) if power % 2 else result
        values = compiler.graph.map_two(MathFunction.MUL, values, values)
        power //= 2
    return result


def _weighted_sum(values: list[Number], weights: Any, intercept: float, compiler: Compiler) -> Number:
    """Return the sum of weighted values from 0 on, plus the intercept."""
    graph = compiler.graph
    if not values:
        return graph.constant([intercept])[0]
    total = graph.dot(values, np.asarray(weights, dtype=np.float64).reshape(-1, 1))
    return graph.map_const(MathFunction.ADD, total, intercept)[0]


def _single_score(model: Any, matrix: Matrix, compiler: Compiler) -> Number:
    """Return the score of a regressor or an outlier detector: the sum over all support vectors."""
    weights, (intercept,) = _to_dense(model._dual_coef_)[0], model._intercept_
    return _weighted_sum(_kernel(model, matrix, compiler), weights, float(intercept), compiler)


def _pair_scores(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return for each pair of classes the sum over their support vectors, above 0 for the first one."""
    values = _kernel(model, matrix, compiler)
    weights = _to_dense(model._dual_coef_)
    stops = np.cumsum(model._n_support)  # noqa: SLF001
    vectors_of_class = [range(stop - count, stop) for stop, count in zip(stops, model._n_support, strict=True)]  # noqa: SLF001
    scores = []
    for (first, second), intercept in zip(
        combinations(range(len(vectors_of_class)), 2), model._intercept_, strict=True
    ):
        indices = [*vectors_of_class[first], *vectors_of_class[second]]
        coefficients = [
            *weights[second - 1, list(vectors_of_class[first])],
            *weights[first, list(vectors_of_class[second])],
        ]
        scores.append(_weighted_sum([values[index] for index in indices], coefficients, float(intercept), compiler))
    return scores


# Regressors and outliers.


@answers("predict", *_REGRESSORS)
@answers("decision_function", _ONE_CLASS)
def regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SVR.predict`, and `OneClassSVM.decision_function`: the sum over all support vectors."""
    return as_matrix([_single_score(model, matrix, compiler)])


@answers("score_samples", _ONE_CLASS)
def scores(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `OneClassSVM.score_samples`: the decision function plus `offset_`."""
    return as_matrix(*add_constants(compiler, [_single_score(model, matrix, compiler)], FLOAT64, model.offset_))


@answers("predict", _ONE_CLASS)
def one_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `OneClassSVM.predict`: 1 where the decision function is above 0, else -1."""
    return Labels(above_zero(compiler, _single_score(model, matrix, compiler)), [-1, 1])


# Classifiers.


@answers("decision_function", *_CLASSIFIERS)
def decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SVC.decision_function`.

    For two classes it is minus the pair's score. For more it is the scores of the pairs, or with the shape `ovr` one
    number a class.
    """
    pair_scores, n_classes = _pair_scores(model, matrix, compiler), len(model.classes_)
    if n_classes == 2:
        return as_matrix(compiler.graph.map(MathFunction.NEGATE, pair_scores))
    if model.decision_function_shape == "ovr":
        return as_matrix(_one_vs_rest_scores(pair_scores, n_classes, compiler))
    return as_matrix(pair_scores)


def _one_vs_rest_scores(pair_scores: list[Number], n_classes: int, compiler: Compiler) -> list[Number]:
    """Return `_ovr_decision_function`: the votes for each class, plus a part below 1/3 for the confidence.

    The part is `c / (3 * (abs(c) + 1))` of the sum `c` of the class's pair scores.
    """
    graph = compiler.graph
    second_wins = graph.map_const(MathFunction.LT, pair_scores, 0.0)
    confidences = _sum_by_class(pair_scores, graph.map(MathFunction.NEGATE, pair_scores), n_classes, compiler)
    votes = _sum_by_class(graph.map_const(MathFunction.EQ, second_wins, 0.0), second_wins, n_classes, compiler)
    magnitudes = graph.map_const(MathFunction.ADD, graph.map(MathFunction.ABS, confidences), 1.0)
    fractions = graph.map_two(MathFunction.DIV, confidences, graph.map_const(MathFunction.MUL, magnitudes, 3.0))
    return graph.map_two(MathFunction.ADD, votes, fractions)


def _sum_by_class(first: list[Number], second: list[Number], n_classes: int, compiler: Compiler) -> list[Number]:
    """Return for each class the sum over its pairs of `first` or `second`, whichever it is there."""
    start = compiler.graph.constant([0.0])
    terms: list[list[Number]] = [list(start) for _ in range(n_classes)]
    for (left, right), left_term, right_term in zip(combinations(range(n_classes), 2), first, second, strict=True):
        terms[left].append(left_term)
        terms[right].append(right_term)
    return [compiler.graph.fold(MathFunction.SUM, class_terms) for class_terms in terms]


@answers("predict", *_CLASSIFIERS)
def classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `SVC.predict`: the class that wins most of its pairs, the first one of equals.

    With `break_ties` and more than two classes it is the class of the largest decision function.

    Raises:
        NoPlan: ties are broken without a decision function of one class against the rest.
    """
    graph = compiler.graph
    pair_scores, n_classes = _pair_scores(model, matrix, compiler), len(model.classes_)
    if model.break_ties and n_classes > 2:
        if model.decision_function_shape != "ovr":
            raise NoPlan("a machine breaks ties, for which it needs the decision function of one against all")
        return Labels(graph.argmax(_one_vs_rest_scores(pair_scores, n_classes, compiler)), model.classes_)
    first_wins = graph.map_const(MathFunction.GT, pair_scores, 0.0)
    votes = _sum_by_class(first_wins, graph.map_const(MathFunction.EQ, first_wins, 0.0), n_classes, compiler)
    return Labels(graph.argmax(votes), model.classes_)


def _probabilities(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the probabilities of the classes, coupled from those of pairs (`svm_predict_probability`).

    A pair's probability is the sigmoid of `probA_ * score + probB_` (Platt, 1999), between 1e-7 and 1 - 1e-7. The
    coupling is `multiclass_probability` of libsvm (Wu, Lin and Weng, 2004).

    Raises:
        NoPlan: the classifier was trained without probabilities.
    """
    graph = compiler.graph
    if not len(model._probA) or not len(model._probB):  # noqa: SLF001
        raise NoPlan(f"the {type(model).__name__} was trained without probabilities")
    pair_scores = _pair_scores(model, matrix, compiler)
    exponents = graph.map_const(MathFunction.MUL, pair_scores, model._probA)  # noqa: SLF001
    exponents = graph.map_const(MathFunction.ADD, exponents, model._probB)  # noqa: SLF001
    exp_values = exponentials(compiler, graph.map(MathFunction.NEGATE, graph.map(MathFunction.ABS, exponents)), FLOAT64)
    denominators = graph.map_const(MathFunction.ADD, exp_values, 1.0)
    is_positive = graph.map_const(MathFunction.GE, exponents, 0.0)
    probabilities = graph.select(
        is_positive,
        graph.map_two(MathFunction.DIV, exp_values, denominators),
        graph.map_const(MathFunction.RDIV, denominators, 1.0),
    )
    for bound, comparison in ((1e-7, MathFunction.GT), (1 - 1e-7, MathFunction.LT)):
        bounds = graph.constant(np.full(len(probabilities), bound))
        probabilities = graph.select(graph.map_const(comparison, probabilities, bound), probabilities, bounds)
    return graph.couple(probabilities)


@answers("predict_proba", *_CLASSIFIERS)
def proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SVC.predict_proba`."""
    return as_matrix(_probabilities(model, matrix, compiler))


@answers("predict_log_proba", *_CLASSIFIERS)
def log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SVC.predict_log_proba`: `numpy.log` of the probabilities."""
    return as_matrix(logarithms(compiler, _probabilities(model, matrix, compiler), FLOAT64))
