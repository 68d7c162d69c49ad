"""Support vector machines, as libsvm computes them: sums over the support vectors, and votes of pairs of classes."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.arrays import floats
from fourfold.plan.compile.columns import FLOAT64, Matrix, NoPlan, Workshop
from fourfold.plan.compile.rules.kernels import hyperbolic, limited
from fourfold.plan.compile.scores import above_zero, as_matrix, exponentials, logarithms, plus
from fourfold.plan.compile.sums import matrix_product
from fourfold.plan.format import Function, Metric
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_CLASSIFIERS = ("sklearn.SVC", "sklearn.NuSVC")
_REGRESSORS = ("sklearn.SVR", "sklearn.NuSVR")
_ONE_CLASS = "sklearn.OneClassSVM"
_KERNELS = ("linear", "poly", "rbf", "sigmoid")


def _kernel(model: Any, matrix: Matrix, workshop: Workshop) -> list[Number]:
    """The kernel of a row and each support vector."""
    graph = workshop.graph
    if model.kernel not in _KERNELS:
        raise NoPlan(f"a {type(model).__name__} has the kernel {model.kernel}")
    is_sparse = bool(model._sparse)  # noqa: SLF001 - no other place has it
    if matrix.sparse and not is_sparse:
        raise NoPlan(f"the {type(model).__name__} was trained with an array, and takes no sparse matrix")
    limited(model.support_vectors_, model)
    vectors = _dense(model.support_vectors_)
    made = workshop.cast(floats(matrix, workshop, model), FLOAT64)
    if model.kernel == "rbf":
        if not is_sparse and len(made) > 1:
            workshop.approximate(f"a BLAS orders the sums of the {type(model).__name__}")
        squares = graph.distances(workshop.numbers(made.columns), vectors, Metric.SQUARED)
        scaled = graph.map_const(Function.MUL, squares, -float(model._gamma))  # noqa: SLF001
        return exponentials(workshop, scaled, FLOAT64)
    made = Matrix(made.columns, sparse=is_sparse)
    values, _ = matrix_product(workshop, made, vectors.T, model)
    if model.kernel == "linear":
        return values
    values = graph.map_const(Function.MUL, values, float(model._gamma))  # noqa: SLF001
    values = graph.map_const(Function.ADD, values, float(model.coef0))
    if model.kernel == "poly":
        return _power(values, int(model.degree), workshop)
    return hyperbolic(workshop, values, FLOAT64)


def _dense(values: Any) -> npt.NDArray[np.float64]:
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values, dtype=np.float64)


def _power(values: list[Number], power: int, workshop: Workshop) -> list[Number]:
    """A power by squaring."""
    made = workshop.graph.constant(np.ones(len(values)))
    while power:
        made = workshop.graph.map_two(Function.MUL, made, values) if power % 2 else made
        values = workshop.graph.map_two(Function.MUL, values, values)
        power //= 2
    return made


def _sum(values: list[Number], weights: Any, intercept: float, workshop: Workshop) -> Number:
    graph = workshop.graph
    if not values:
        return graph.constant([intercept])[0]
    total = graph.dot(values, np.asarray(weights, dtype=np.float64).reshape(-1, 1))
    return graph.map_const(Function.ADD, total, intercept)[0]


def _one_sum(model: Any, matrix: Matrix, workshop: Workshop) -> Number:
    """The sum over all support vectors."""
    weights, (intercept,) = _dense(model._dual_coef_)[0], model._intercept_
    return _sum(_kernel(model, matrix, workshop), weights, float(intercept), workshop)


def _pairs(model: Any, matrix: Matrix, workshop: Workshop) -> list[Number]:
    """For each pair of classes the sum over their support vectors, above zero for the first of the two."""
    values = _kernel(model, matrix, workshop)
    weights = _dense(model._dual_coef_)
    ends = np.cumsum(model._n_support)  # noqa: SLF001
    mine = [range(end - count, end) for end, count in zip(ends, model._n_support, strict=True)]  # noqa: SLF001
    out = []
    for (one, other), intercept in zip(combinations(range(len(mine)), 2), model._intercept_, strict=True):
        places = [*mine[one], *mine[other]]
        coefficients = [*weights[other - 1, list(mine[one])], *weights[one, list(mine[other])]]
        out.append(_sum([values[place] for place in places], coefficients, float(intercept), workshop))
    return out


# Regressors and outliers.


@answers("predict", *_REGRESSORS)
@answers("decision_function", _ONE_CLASS)
def regressor(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The sum over all support vectors."""
    return as_matrix([_one_sum(model, matrix, workshop)])


@answers("score_samples", _ONE_CLASS)
def scores(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """That plus the offset."""
    return as_matrix(*plus(workshop, [_one_sum(model, matrix, workshop)], FLOAT64, model.offset_))


@answers("predict", _ONE_CLASS)
def one_class(model: Any, matrix: Matrix, workshop: Workshop) -> Labels:
    """1 where the sum is above zero, else -1."""
    return Labels(above_zero(workshop, _one_sum(model, matrix, workshop)), [-1, 1])


# Classifiers.


@answers("decision_function", *_CLASSIFIERS)
def decision_function(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The sums of pairs, or votes of them with fractions for the sums; of two classes minus their sum."""
    sums, classes = _pairs(model, matrix, workshop), len(model.classes_)
    if classes == 2:
        return as_matrix(workshop.graph.map(Function.NEGATE, sums))
    if model.decision_function_shape == "ovr":
        return as_matrix(_fractions(sums, classes, workshop))
    return as_matrix(sums)


def _fractions(sums: list[Number], classes: int, workshop: Workshop) -> list[Number]:
    graph = workshop.graph
    lost = graph.map_const(Function.LT, sums, 0.0)
    confidences = _of_classes(sums, graph.map(Function.NEGATE, sums), classes, workshop)
    votes = _of_classes(graph.map_const(Function.EQ, lost, 0.0), lost, classes, workshop)
    spread = graph.map_const(Function.ADD, graph.map(Function.ABS, confidences), 1.0)
    fractions = graph.map_two(Function.DIV, confidences, graph.map_const(Function.MUL, spread, 3.0))
    return graph.map_two(Function.ADD, votes, fractions)


def _of_classes(first: list[Number], second: list[Number], classes: int, workshop: Workshop) -> list[Number]:
    """For each class the sum of what pairs say of it, as their first or their second class."""
    start = workshop.graph.constant([0.0])
    mine: list[list[Number]] = [list(start) for _ in range(classes)]
    for (one, other), won, lost in zip(combinations(range(classes), 2), first, second, strict=True):
        mine[one].append(won)
        mine[other].append(lost)
    return [workshop.graph.fold(Function.SUM, each) for each in mine]


@answers("predict", *_CLASSIFIERS)
def classifier(model: Any, matrix: Matrix, workshop: Workshop) -> Labels:
    """The class that wins most of its pairs, the first of several; or the one with the highest fraction, too."""
    graph = workshop.graph
    sums, classes = _pairs(model, matrix, workshop), len(model.classes_)
    if model.break_ties and classes > 2:
        if model.decision_function_shape != "ovr":
            raise NoPlan("a machine breaks ties, for which it needs the decision function of one against all")
        return Labels(graph.argmax(_fractions(sums, classes, workshop)), model.classes_)
    won = graph.map_const(Function.GT, sums, 0.0)
    votes = _of_classes(won, graph.map_const(Function.EQ, won, 0.0), classes, workshop)
    return Labels(graph.argmax(votes), model.classes_)


def _coupled(model: Any, matrix: Matrix, workshop: Workshop) -> list[Number]:
    """Probabilities of classes from those of pairs, which are sigmoids of their sums (J. Platt, 1999)."""
    graph = workshop.graph
    if not len(model._probA) or not len(model._probB):  # noqa: SLF001
        raise NoPlan(f"the {type(model).__name__} was trained without probabilities")
    sums = _pairs(model, matrix, workshop)
    bent = graph.map_const(Function.MUL, sums, model._probA)  # noqa: SLF001
    bent = graph.map_const(Function.ADD, bent, model._probB)  # noqa: SLF001
    powers = exponentials(workshop, graph.map(Function.NEGATE, graph.map(Function.ABS, bent)), FLOAT64)
    below = graph.map_const(Function.ADD, powers, 1.0)
    is_positive = graph.map_const(Function.GE, bent, 0.0)
    pairs = graph.select(
        is_positive, graph.map_two(Function.DIV, powers, below), graph.map_const(Function.RDIV, below, 1.0)
    )
    for limit, keeps in ((1e-7, Function.GT), (1 - 1e-7, Function.LT)):
        bound = graph.constant(np.full(len(pairs), limit))
        pairs = graph.select(graph.map_const(keeps, pairs, limit), pairs, bound)
    return graph.couple(pairs)


@answers("predict_proba", *_CLASSIFIERS)
def proba(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """Probabilities of classes from those of pairs."""
    return as_matrix(_coupled(model, matrix, workshop))


@answers("predict_log_proba", *_CLASSIFIERS)
def log_proba(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """Logarithms of the probabilities."""
    return as_matrix(logarithms(workshop, _coupled(model, matrix, workshop), FLOAT64))
