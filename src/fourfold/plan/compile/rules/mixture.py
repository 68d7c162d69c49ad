"""Compile scikit-learn's mixtures of normal distributions (`sklearn.mixture`).

Sums of distances depend on a BLAS, densities on NumPy's `exp` and `log`, so answers are close and not exact.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.arrays import numbers
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import add_constants, as_matrix, exponentials, log_sum_exp, round_numbers
from fourfold.plan.compile.sums import matrix_product
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

Values = tuple[list[Number], np.dtype[Any]]

_NAMES = ("sklearn.GaussianMixture", "sklearn.BayesianGaussianMixture")
#: The first float64 that no int64 holds; a cast to int64 makes the lowest int64 of it.
_INT64_OVERFLOW = 2.0**63
#: From here on, the asymptotic series of the digamma function has the precision of a float64.
_MIN_ASYMPTOTIC = 12.0


@answers("predict", *_NAMES)
def component(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `predict`: the component with the largest weighted density."""
    values, _ = _weighted_log_densities(model, matrix, compiler)
    return Labels(compiler.graph.argmax(values), range(len(values)))


@answers("score_samples", *_NAMES)
def densities(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `score_samples`: the logarithm of the mixture's density."""
    values, dtype = _weighted_log_densities(model, matrix, compiler)
    return as_matrix([log_sum_exp(compiler, values, dtype)], dtype)


@answers("predict_proba", *_NAMES)
def proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `predict_proba`: each component's share of the density."""
    values, dtype = _weighted_log_densities(model, matrix, compiler)
    total = [log_sum_exp(compiler, values, dtype)]
    logs = round_numbers(compiler, compiler.graph.map_two(MathFunction.SUB, values, total), dtype)
    return as_matrix(exponentials(compiler, logs, dtype), dtype)


def _weighted_log_densities(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Return the logarithm of each component's density times its weight (`_estimate_weighted_log_prob`).

    A GaussianMixture has `-0.5 * (n_features * log(2 * pi) + distance²) + log_det + log(weight)`. A
    BayesianGaussianMixture adds the expected logarithms of its precisions and weights under their posterior
    distributions.
    """
    inputs = numbers(matrix, compiler, model)
    values, dtype = _distances(model, inputs, compiler)
    n_features = len(inputs)
    values, dtype = add_constants(compiler, values, dtype, n_features * math.log(2 * math.pi))
    values = round_numbers(compiler, compiler.graph.map_const(MathFunction.MUL, values, -0.5), dtype)
    values, dtype = add_constants(compiler, values, dtype, _log_determinants(model, n_features))
    if type(model).__name__ == "GaussianMixture":
        return add_constants(compiler, values, dtype, np.log(model.weights_))
    degrees_of_freedom = model.degrees_of_freedom_
    values, dtype = add_constants(
        compiler, values, dtype, 0.5 * n_features * np.log(degrees_of_freedom), MathFunction.SUB
    )
    digamma_sum = _digamma(0.5 * (degrees_of_freedom - np.arange(0, n_features)[:, np.newaxis])).sum(axis=0)
    log_lambda = 0.5 * (n_features * np.log(2.0) + digamma_sum - n_features / model.mean_precision_)
    values, dtype = add_constants(compiler, values, dtype, log_lambda)
    return add_constants(compiler, values, dtype, _log_weights(model))


def _distances(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Return the squared Mahalanobis distance of the row from each component's mean.

    Raises:
        NoPlan: the type of covariance has no rule.
    """
    covariance_type, precisions_cholesky = model.covariance_type, model.precisions_cholesky_
    if covariance_type in ("full", "tied"):
        return _full_distances(
            model,
            matrix,
            [precisions_cholesky] * len(model.means_) if covariance_type == "tied" else precisions_cholesky,
            compiler,
        )
    if covariance_type == "diag":
        return _diagonal_distances(model, matrix, compiler)
    if covariance_type == "spherical":
        return _spherical_distances(model, matrix, compiler)
    raise NoPlan(f"a {type(model).__name__} has covariances of the type {covariance_type}")


def _full_distances(model: Any, matrix: Matrix, factors: Any, compiler: Compiler) -> Values:
    """Return the sums of squares of `X @ factor - mean @ factor` for each component.

    scikit-learn writes them into an array of the rows' dtype, which truncates them where the rows are integers.

    Raises:
        NoPlan: the rows are integers of another dtype than int64.
    """
    graph = compiler.graph
    distances: list[Number] = []
    for mean, factor in zip(model.means_, factors, strict=True):
        projected, dtype = matrix_product(compiler, matrix, factor, model)
        differences, dtype = add_constants(compiler, projected, dtype, mean @ factor, MathFunction.SUB)
        squares = round_numbers(compiler, graph.map_two(MathFunction.MUL, differences, differences), dtype)
        distances += round_numbers(compiler, [graph.fold(MathFunction.PAIRWISE, squares)], dtype)
    if matrix.dtype.kind == "f":
        return round_numbers(compiler, distances, matrix.dtype), matrix.dtype
    if matrix.dtype != np.int64:
        raise NoPlan(f"a {type(model).__name__} writes distances into an array of {matrix.dtype}")
    compiler.approximate("a processor makes integers of distances")
    truncated = graph.map(MathFunction.TRUNC, distances)
    fits_int64 = graph.map_const(MathFunction.LT, distances, _INT64_OVERFLOW)
    return graph.select(fits_int64, truncated, graph.constant(np.full(len(distances), -_INT64_OVERFLOW))), np.dtype(
        np.float64
    )


def _diagonal_distances(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Return `sum(mean² * precision) - 2 * X @ (mean * precision) + X² @ precision` for each component."""
    graph, means = compiler.graph, model.means_
    precisions = model.precisions_cholesky_**2
    products, dtype = matrix_product(compiler, matrix, (means * precisions).T, model)
    twice = graph.map_const(MathFunction.MUL, products, 2.0)
    values, dtype = add_constants(compiler, twice, dtype, np.sum(means**2 * precisions, axis=1), MathFunction.RSUB)
    squared = as_matrix(_square_columns(matrix, compiler), matrix.dtype)
    others, _ = matrix_product(compiler, squared, precisions.T, model)
    return round_numbers(compiler, graph.map_two(MathFunction.ADD, values, others), dtype), dtype


def _square_columns(matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the squares of the columns; raises `NoPlan` for integers, which may overflow."""
    if matrix.dtype.kind != "f":
        raise NoPlan("a mixture squares integers, which may be too large for their dtype")
    values = compiler.numbers(matrix.columns)
    return round_numbers(compiler, compiler.graph.map_two(MathFunction.MUL, values, values), matrix.dtype)


def _spherical_distances(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Return `sum(mean²) * precision - 2 * X @ mean * precision + sum(X²) * precision` for each component."""
    graph, means = compiler.graph, model.means_
    precisions = model.precisions_cholesky_**2
    products, dtype = matrix_product(compiler, matrix, means.T, model)
    weighted = round_numbers(compiler, graph.map_const(MathFunction.MUL, products, precisions), dtype)
    twice = graph.map_const(MathFunction.MUL, weighted, 2.0)
    values, dtype = add_constants(compiler, twice, dtype, np.sum(means**2, axis=1) * precisions, MathFunction.RSUB)
    norm = round_numbers(compiler, [graph.fold(MathFunction.SUM, _square_columns(matrix, compiler))], matrix.dtype)
    outer = round_numbers(compiler, graph.map_const(MathFunction.MUL, norm * len(values), precisions), dtype)
    return round_numbers(compiler, graph.map_two(MathFunction.ADD, values, outer), dtype), dtype


def _log_determinants(model: Any, n_features: int) -> Any:
    """Return `_compute_log_det_cholesky`: the logarithm of the determinant of each component's factor."""
    covariance_type, precisions_cholesky = model.covariance_type, model.precisions_cholesky_
    if covariance_type == "full":
        return np.sum(np.log(precisions_cholesky.reshape(len(precisions_cholesky), -1)[:, :: n_features + 1]), axis=1)
    if covariance_type == "tied":
        return np.sum(np.log(np.diagonal(precisions_cholesky)))
    return (
        np.sum(np.log(precisions_cholesky), axis=1)
        if covariance_type == "diag"
        else n_features * np.log(precisions_cholesky)
    )


def _log_weights(model: Any) -> Any:
    """Return `BayesianGaussianMixture._estimate_log_weights`: the expected logarithms of the weights."""
    weights = model.weight_concentration_
    if model.weight_concentration_prior_type != "dirichlet_process":
        return _digamma(weights) - _digamma(np.sum(weights))
    first, second = weights
    digamma_of_sum = _digamma(first + second)
    return _digamma(first) - digamma_of_sum + np.hstack((0, np.cumsum(_digamma(second) - digamma_of_sum)[:-1]))


def _digamma(values: Any) -> npt.NDArray[np.float64]:
    """Return the digamma function of positive numbers: the derivative of the logarithm of the gamma function.

    Small numbers are raised by its recurrence; then the asymptotic series has the precision of a float64. See Bernardo,
    "Psi (digamma) function", Applied Statistics 25, 1976.
    """
    x = np.array(values, dtype=np.float64)
    result = np.zeros_like(x)
    for _ in range(int(_MIN_ASYMPTOTIC)):
        is_small = x < _MIN_ASYMPTOTIC
        result = np.where(is_small, result - 1 / x, result)
        x = np.where(is_small, x + 1, x)
    inverse = 1 / (x * x)
    terms = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12)
    series = np.zeros_like(x)
    for term in reversed(terms):
        series = (series + term) * inverse
    return np.asarray(result + np.log(x) - 0.5 / x + series)
