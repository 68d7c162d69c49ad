"""Support vector machines, as libsvm computes them: sums over the support vectors, and votes of pairs of classes."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.arrays import floats
from fourfold.plan.compile.columns import FLOAT64, Compiler, Matrix, NoPlan
from fourfold.plan.compile.rules.kernels import hyperbolic, limited
from fourfold.plan.compile.scores import above_zero, as_matrix, exponentials, logarithms, plus
from fourfold.plan.compile.sums import matrix_product
from fourfold.plan.format import MathFunction, Metric
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_CLASSIFIERS = ("sklearn.SVC", "sklearn.NuSVC")
_REGRESSORS = ("sklearn.SVR", "sklearn.NuSVR")
_ONE_CLASS = "sklearn.OneClassSVM"
_KERNELS = ("linear", "poly", "rbf", "sigmoid")


def _kernel(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """The kernel of a row and each support vector."""
    graph = compiler.graph
    if model.kernel not in _KERNELS:
        raise NoPlan(f"a {type(model).__name__} has the kernel {model.kernel}")
    is_sparse = bool(model._sparse)  # noqa: SLF001 - no other place has it
    if matrix.sparse and not is_sparse:
        raise NoPlan(f"the {type(model).__name__} was trained with an array, and takes no sparse matrix")
    limited(model.support_vectors_, model)
    vectors = _dense(model.support_vectors_)
    made = compiler.cast(floats(matrix, compiler, model), FLOAT64)
    if model.kernel == "rbf":
        if not is_sparse and len(made) > 1:
            compiler.approximate(f"a BLAS orders the sums of the {type(model).__name__}")
        squares = graph.distances(compiler.numbers(made.columns), vectors, Metric.SQUARED)
        scaled = graph.map_const(MathFunction.MUL, squares, -float(model._gamma))  # noqa: SLF001
        return exponentials(compiler, scaled, FLOAT64)
    made = Matrix(made.columns, sparse=is_sparse)
    values, _ = matrix_product(compiler, made, vectors.T, model)
    if model.kernel == "linear":
        return values
    values = graph.map_const(MathFunction.MUL, values, float(model._gamma))  # noqa: SLF001
    values = graph.map_const(MathFunction.ADD, values, float(model.coef0))
    if model.kernel == "poly":
        return _power(values, int(model.degree), compiler)
    return hyperbolic(compiler, values, FLOAT64)


def _dense(values: Any) -> npt.NDArray[np.float64]:
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values, dtype=np.float64)


def _power(values: list[Number], power: int, compiler: Compiler) -> list[Number]:
    """A power by squaring."""
    made = compiler.graph.constant(np.ones(len(values)))
    while power:
        made = compiler.graph.map_two(MathFunction.MUL, made, values) if power % 2 else made
        values = compiler.graph.map_two(MathFunction.MUL, values, values)
        power //= 2
    return made


def _sum(values: list[Number], weights: Any, intercept: float, compiler: Compiler) -> Number:
    graph = compiler.graph
    if not values:
        return graph.constant([intercept])[0]
    total = graph.dot(values, np.asarray(weights, dtype=np.float64).reshape(-1, 1))
    return graph.map_const(MathFunction.ADD, total, intercept)[0]


def _one_sum(model: Any, matrix: Matrix, compiler: Compiler) -> Number:
    """The sum over all support vectors."""
    weights, (intercept,) = _dense(model._dual_coef_)[0], model._intercept_
    return _sum(_kernel(model, matrix, compiler), weights, float(intercept), compiler)


def _pairs(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """For each pair of classes the sum over their support vectors, above zero for the first of the two."""
    values = _kernel(model, matrix, compiler)
    weights = _dense(model._dual_coef_)
    ends = np.cumsum(model._n_support)  # noqa: SLF001
    mine = [range(end - count, end) for end, count in zip(ends, model._n_support, strict=True)]  # noqa: SLF001
    out = []
    for (one, other), intercept in zip(combinations(range(len(mine)), 2), model._intercept_, strict=True):
        places = [*mine[one], *mine[other]]
        coefficients = [*weights[other - 1, list(mine[one])], *weights[one, list(mine[other])]]
        out.append(_sum([values[place] for place in places], coefficients, float(intercept), compiler))
    return out


# Regressors and outliers.


@answers("predict", *_REGRESSORS)
@answers("decision_function", _ONE_CLASS)
def regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The sum over all support vectors."""
    return as_matrix([_one_sum(model, matrix, compiler)])


@answers("score_samples", _ONE_CLASS)
def scores(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """That plus the offset."""
    return as_matrix(*plus(compiler, [_one_sum(model, matrix, compiler)], FLOAT64, model.offset_))


@answers("predict", _ONE_CLASS)
def one_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """1 where the sum is above zero, else -1."""
    return Labels(above_zero(compiler, _one_sum(model, matrix, compiler)), [-1, 1])


# Classifiers.


@answers("decision_function", *_CLASSIFIERS)
def decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The sums of pairs, or votes of them with fractions for the sums; of two classes minus their sum."""
    sums, classes = _pairs(model, matrix, compiler), len(model.classes_)
    if classes == 2:
        return as_matrix(compiler.graph.map(MathFunction.NEGATE, sums))
    if model.decision_function_shape == "ovr":
        return as_matrix(_fractions(sums, classes, compiler))
    return as_matrix(sums)


def _fractions(sums: list[Number], classes: int, compiler: Compiler) -> list[Number]:
    graph = compiler.graph
    lost = graph.map_const(MathFunction.LT, sums, 0.0)
    confidences = _of_classes(sums, graph.map(MathFunction.NEGATE, sums), classes, compiler)
    votes = _of_classes(graph.map_const(MathFunction.EQ, lost, 0.0), lost, classes, compiler)
    spread = graph.map_const(MathFunction.ADD, graph.map(MathFunction.ABS, confidences), 1.0)
    fractions = graph.map_two(MathFunction.DIV, confidences, graph.map_const(MathFunction.MUL, spread, 3.0))
    return graph.map_two(MathFunction.ADD, votes, fractions)


def _of_classes(first: list[Number], second: list[Number], classes: int, compiler: Compiler) -> list[Number]:
    """For each class the sum of what pairs say of it, as their first or their second class."""
    start = compiler.graph.constant([0.0])
    mine: list[list[Number]] = [list(start) for _ in range(classes)]
    for (one, other), won, lost in zip(combinations(range(classes), 2), first, second, strict=True):
        mine[one].append(won)
        mine[other].append(lost)
    return [compiler.graph.fold(MathFunction.SUM, each) for each in mine]


@answers("predict", *_CLASSIFIERS)
def classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class that wins most of its pairs, the first of several; or the one with the highest fraction, too."""
    graph = compiler.graph
    sums, classes = _pairs(model, matrix, compiler), len(model.classes_)
    if model.break_ties and classes > 2:
        if model.decision_function_shape != "ovr":
            raise NoPlan("a machine breaks ties, for which it needs the decision function of one against all")
        return Labels(graph.argmax(_fractions(sums, classes, compiler)), model.classes_)
    won = graph.map_const(MathFunction.GT, sums, 0.0)
    votes = _of_classes(won, graph.map_const(MathFunction.EQ, won, 0.0), classes, compiler)
    return Labels(graph.argmax(votes), model.classes_)


def _coupled(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Probabilities of classes from those of pairs, which are sigmoids of their sums (J. Platt, 1999)."""
    graph = compiler.graph
    if not len(model._probA) or not len(model._probB):  # noqa: SLF001
        raise NoPlan(f"the {type(model).__name__} was trained without probabilities")
    sums = _pairs(model, matrix, compiler)
    bent = graph.map_const(MathFunction.MUL, sums, model._probA)  # noqa: SLF001
    bent = graph.map_const(MathFunction.ADD, bent, model._probB)  # noqa: SLF001
    powers = exponentials(compiler, graph.map(MathFunction.NEGATE, graph.map(MathFunction.ABS, bent)), FLOAT64)
    below = graph.map_const(MathFunction.ADD, powers, 1.0)
    is_positive = graph.map_const(MathFunction.GE, bent, 0.0)
    pairs = graph.select(
        is_positive, graph.map_two(MathFunction.DIV, powers, below), graph.map_const(MathFunction.RDIV, below, 1.0)
    )
    for limit, keeps in ((1e-7, MathFunction.GT), (1 - 1e-7, MathFunction.LT)):
        bound = graph.constant(np.full(len(pairs), limit))
        pairs = graph.select(graph.map_const(keeps, pairs, limit), pairs, bound)
    return graph.couple(pairs)


@answers("predict_proba", *_CLASSIFIERS)
def proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Probabilities of classes from those of pairs."""
    return as_matrix(_coupled(model, matrix, compiler))


@answers("predict_log_proba", *_CLASSIFIERS)
def log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Logarithms of the probabilities."""
    return as_matrix(logarithms(compiler, _coupled(model, matrix, compiler), FLOAT64))
