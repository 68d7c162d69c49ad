"""Compile scikit-learn's discriminant analysis (`sklearn.discriminant_analysis`), linear and quadratic.

A BLAS orders the sums, and probabilities depend on NumPy's `exp`, so answers are close and not exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answers, transforms
from fourfold.plan.compile.arrays import numbers
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan
from fourfold.plan.compile.rules.linear_model import affine, label
from fourfold.plan.compile.scores import (
    add_constants,
    as_matrix,
    binary_probabilities,
    exponentials,
    logarithms,
    round_numbers,
    sigmoids,
    softmax,
    warn_of_binary_logarithms,
)
from fourfold.plan.compile.sums import apply_constants, matrix_product
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__ = ["difference", "log_probabilities"]

_LINEAR = "sklearn.LinearDiscriminantAnalysis"
_QUADRATIC = "sklearn.QuadraticDiscriminantAnalysis"

Values = tuple[list[Number], np.dtype[Any]]


# Linear: one covariance for all classes.


@transforms(_LINEAR)
def linear_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `LinearDiscriminantAnalysis.transform`: `X @ scalings_`, centred by `xbar_` first for the solver `svd`.

    Raises:
        NoPlan: the solver has no transform.
    """
    inputs = numbers(matrix, compiler, model)
    if model.solver == "svd":
        inputs = apply_constants(inputs, model.xbar_, compiler)
    elif model.solver != "eigen":
        raise NoPlan(f"a LinearDiscriminantAnalysis with the solver {model.solver} does not transform")
    scalings = model.scalings_[:, : model._max_components]  # noqa: SLF001 - nothing public has it
    return as_matrix(*matrix_product(compiler, inputs, scalings, model))


def _linear_scores(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Return `X @ coef_.T + intercept_`, and its dtype."""
    return affine(numbers(matrix, compiler, model), model.coef_, model.intercept_, model, compiler)


@answers("decision_function", _LINEAR)
def linear_decision(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `LinearDiscriminantAnalysis.decision_function`: `X @ coef_.T + intercept_`."""
    return as_matrix(*_linear_scores(model, matrix, compiler))


@answers("predict", _LINEAR)
def linear_classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `LinearDiscriminantAnalysis.predict`: the class of the highest score."""
    return label(_linear_scores(model, matrix, compiler)[0], model.classes_, compiler)


@answers("predict_proba", _LINEAR)
def linear_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `LinearDiscriminantAnalysis.predict_proba`: `expit` of the only score, or the softmax of several."""
    return as_matrix(*_linear_probabilities(model, matrix, compiler))


@answers("predict_log_proba", _LINEAR)
def linear_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `LinearDiscriminantAnalysis.predict_log_proba`: `numpy.log`, of the smallest normal number for 0."""
    warn_of_binary_logarithms(len(model.classes_), compiler)
    values, dtype = _linear_probabilities(model, matrix, compiler, in_steps=True)
    smallest = float(np.finfo(dtype).smallest_normal)
    is_zero = compiler.graph.map_const(MathFunction.EQ, values, 0.0)
    values = compiler.graph.select(is_zero, compiler.graph.constant(np.full(len(values), smallest)), values)
    return as_matrix(logarithms(compiler, values, dtype), dtype)


def _linear_probabilities(model: Any, matrix: Matrix, compiler: Compiler, *, in_steps: bool = False) -> Values:
    """Return the probabilities, and their dtype."""
    values, dtype = _linear_scores(model, matrix, compiler)
    if len(model.classes_) > 2:
        return softmax(compiler, values, dtype), dtype
    return binary_probabilities(compiler, sigmoids(compiler, values, dtype, in_steps=in_steps)[0], dtype), dtype


# Quadratic: one covariance for each class.


def _quadratic_scores(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Return `QuadraticDiscriminantAnalysis._decision_function`, and its dtype.

    For each class it is `-0.5 * (sum(((X - mean) @ (rotation * scaling ** -0.5))²) + sum(log(scaling))) + log(prior)`.
    """
    graph = compiler.graph
    inputs = numbers(matrix, compiler, model)
    distances: list[Number] = []
    dtypes = set()
    for means, rotations, scalings in zip(model.means_, model.rotations_, model.scalings_, strict=True):
        centred = apply_constants(inputs, means, compiler)
        projected, dtype = matrix_product(compiler, centred, rotations * scalings ** (-0.5), model)
        squares = round_numbers(compiler, graph.map_two(MathFunction.MUL, projected, projected), dtype)
        distances += round_numbers(compiler, [graph.fold(MathFunction.PAIRWISE, squares)], dtype)
        dtypes.add(dtype)
    (dtype,) = dtypes
    determinants = np.asarray([np.sum(np.log(scalings)) for scalings in model.scalings_])
    values, dtype = add_constants(compiler, distances, dtype, determinants)
    values = round_numbers(compiler, graph.map_const(MathFunction.MUL, values, -0.5), dtype)
    return add_constants(compiler, values, dtype, np.log(model.priors_))


@answers("decision_function", _QUADRATIC)
def quadratic_decision(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `QuadraticDiscriminantAnalysis.decision_function`: the scores; the second minus the first of two."""
    return as_matrix(*difference(_quadratic_scores(model, matrix, compiler), compiler))


@answers("predict", _QUADRATIC)
def quadratic_classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `QuadraticDiscriminantAnalysis.predict`: the class of the highest score."""
    return Labels(compiler.graph.argmax(_quadratic_scores(model, matrix, compiler)[0]), model.classes_)


@answers("predict_log_proba", _QUADRATIC)
def quadratic_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `QuadraticDiscriminantAnalysis.predict_log_proba`."""
    return as_matrix(*log_probabilities(_quadratic_scores(model, matrix, compiler), compiler))


@answers("predict_proba", _QUADRATIC)
def quadratic_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `QuadraticDiscriminantAnalysis.predict_proba`: `numpy.exp` of `predict_log_proba`."""
    values, dtype = log_probabilities(_quadratic_scores(model, matrix, compiler), compiler)
    return as_matrix(exponentials(compiler, values, dtype), dtype)


def difference(scores: Values, compiler: Compiler) -> Values:
    """Return the scores of classes; for two classes that of the second minus that of the first."""
    values, dtype = scores
    if len(values) == 2:
        values = round_numbers(compiler, compiler.graph.map_two(MathFunction.SUB, values[1:], values[:1]), dtype)
    return values, dtype


def log_probabilities(scores: Values, compiler: Compiler) -> Values:
    """Return the logarithms of probabilities from scores: `s - max(s) - log(sum(exp(s - max(s))))`.

    The sum is added from the left, and every step is rounded where the dtype is float32
    (`DiscriminantAnalysisPredictionMixin.predict_log_proba`).
    """
    graph = compiler.graph
    values, dtype = scores
    likelihoods = round_numbers(
        compiler, graph.map_two(MathFunction.SUB, values, [graph.fold(MathFunction.MOST, values)]), dtype
    )
    exp_values = exponentials(compiler, likelihoods, dtype)
    total = round_numbers(compiler, [graph.fold(MathFunction.SUM, exp_values)], dtype)
    logs = logarithms(compiler, total, dtype)
    return round_numbers(compiler, graph.map_two(MathFunction.SUB, likelihoods, logs), dtype), dtype
