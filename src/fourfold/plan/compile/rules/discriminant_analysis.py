"""Discriminant analysis: classes as normal distributions, with one covariance or one each."""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answers, transforms
from fourfold.plan.compile.arrays import numbers
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan
from fourfold.plan.compile.rules.linear_model import affine, label
from fourfold.plan.compile.scores import (
    as_matrix,
    exponentials,
    logarithms,
    pair,
    plus,
    refuse_binary_log_probabilities,
    sigmoids,
    single,
    softmax,
)
from fourfold.plan.compile.sums import matrix_product, moved
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__ = ["difference", "log_shares"]

_LINEAR = "sklearn.LinearDiscriminantAnalysis"
_QUADRATIC = "sklearn.QuadraticDiscriminantAnalysis"

Values = tuple[list[Number], np.dtype[Any]]


# One covariance.


@transforms(_LINEAR)
def linear_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The columns, moved by their mean where the solver is the singular value decomposition, times the scalings."""
    made = numbers(matrix, compiler, model)
    if model.solver == "svd":
        made = moved(made, model.xbar_, compiler)
    elif model.solver != "eigen":
        raise NoPlan(f"a LinearDiscriminantAnalysis with the solver {model.solver} does not transform")
    kept = model.scalings_[:, : model._max_components]  # noqa: SLF001 - no other place has it
    return as_matrix(*matrix_product(compiler, made, kept, model))


def _linear(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    return affine(numbers(matrix, compiler, model), model.coef_, model.intercept_, model, compiler)


@answers("decision_function", _LINEAR)
def linear_decision(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`X @ coef + intercept`."""
    return as_matrix(*_linear(model, matrix, compiler))


@answers("predict", _LINEAR)
def linear_classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class with the highest score."""
    return label(_linear(model, matrix, compiler)[0], model.classes_, compiler)


@answers("predict_proba", _LINEAR)
def linear_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The sigmoid of the only score, or the softmax of several."""
    return as_matrix(*_linear_proba(model, matrix, compiler))


@answers("predict_log_proba", _LINEAR)
def linear_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The logarithms of the probabilities, where the smallest normal number stands for zero."""
    refuse_binary_log_probabilities(len(model.classes_))
    values, dtype = _linear_proba(model, matrix, compiler)
    smallest = float(np.finfo(dtype).smallest_normal)
    nothing = compiler.graph.map_const(MathFunction.EQ, values, 0.0)
    values = compiler.graph.select(nothing, compiler.graph.constant(np.full(len(values), smallest)), values)
    return as_matrix(logarithms(compiler, values, dtype), dtype)


def _linear_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    values, dtype = _linear(model, matrix, compiler)
    if len(model.classes_) > 2:
        return softmax(compiler, values, dtype), dtype
    return pair(compiler, sigmoids(compiler, values, dtype)[0], dtype), dtype


# A covariance for each class.


def _quadratic(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Minus half of what a class's distance and its covariance's determinant give, plus the logarithm of its prior."""
    graph = compiler.graph
    made = numbers(matrix, compiler, model)
    distances: list[Number] = []
    dtypes = set()
    for means, rotations, scalings in zip(model.means_, model.rotations_, model.scalings_, strict=True):
        apart = moved(made, means, compiler)
        turned, dtype = matrix_product(compiler, apart, rotations * scalings ** (-0.5), model)
        squares = single(compiler, graph.map_two(MathFunction.MUL, turned, turned), dtype)
        distances += single(compiler, [graph.fold(MathFunction.PAIRWISE, squares)], dtype)
        dtypes.add(dtype)
    (dtype,) = dtypes
    determinants = np.asarray([np.sum(np.log(each)) for each in model.scalings_])
    values, dtype = plus(compiler, distances, dtype, determinants)
    values = single(compiler, graph.map_const(MathFunction.MUL, values, -0.5), dtype)
    return plus(compiler, values, dtype, np.log(model.priors_))


@answers("decision_function", _QUADRATIC)
def quadratic_decision(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """A score for each class; of two classes that of the second minus that of the first."""
    return as_matrix(*difference(_quadratic(model, matrix, compiler), compiler))


@answers("predict", _QUADRATIC)
def quadratic_classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class with the highest score."""
    return Labels(compiler.graph.argmax(_quadratic(model, matrix, compiler)[0]), model.classes_)


@answers("predict_log_proba", _QUADRATIC)
def quadratic_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The scores minus the logarithm of the sum of their exponentials."""
    return as_matrix(*log_shares(_quadratic(model, matrix, compiler), compiler))


@answers("predict_proba", _QUADRATIC)
def quadratic_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The exponentials of that."""
    values, dtype = log_shares(_quadratic(model, matrix, compiler), compiler)
    return as_matrix(exponentials(compiler, values, dtype), dtype)


def difference(scores: Values, compiler: Compiler) -> Values:
    """The scores of classes; of two classes that of the second minus that of the first."""
    values, dtype = scores
    if len(values) == 2:
        values = single(compiler, compiler.graph.map_two(MathFunction.SUB, values[1:], values[:1]), dtype)
    return values, dtype


def log_shares(scores: Values, compiler: Compiler) -> Values:
    """The logarithm of each class's share of the sum of the scores' exponentials."""
    graph = compiler.graph
    values, dtype = scores
    likelihoods = single(
        compiler, graph.map_two(MathFunction.SUB, values, [graph.fold(MathFunction.MOST, values)]), dtype
    )
    powers = exponentials(compiler, likelihoods, dtype)
    total = single(compiler, [graph.fold(MathFunction.SUM, powers)], dtype)
    logs = logarithms(compiler, total, dtype)
    return single(compiler, graph.map_two(MathFunction.SUB, likelihoods, logs), dtype), dtype
