"""Mixtures of normal distributions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.arrays import numbers
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import as_matrix, exponentials, log_sum_exp, plus, single
from fourfold.plan.compile.sums import matrix_product
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

Values = tuple[list[Number], np.dtype[Any]]

_NAMES = ("sklearn.GaussianMixture", "sklearn.BayesianGaussianMixture")
_LONG = 2.0**63
#: From here on the series of the digamma function has all digits of a double.
_LARGE = 12.0


@answers("predict", *_NAMES)
def component(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The component that most likely gave the row."""
    values, _ = _weighted(model, matrix, compiler)
    return Labels(compiler.graph.argmax(values), range(len(values)))


@answers("score_samples", *_NAMES)
def densities(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The logarithm of the mixture's density."""
    values, dtype = _weighted(model, matrix, compiler)
    return as_matrix([log_sum_exp(compiler, values, dtype)], dtype)


@answers("predict_proba", *_NAMES)
def proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Each component's share of the density."""
    values, dtype = _weighted(model, matrix, compiler)
    total = [log_sum_exp(compiler, values, dtype)]
    logs = single(compiler, compiler.graph.map_two(MathFunction.SUB, values, total), dtype)
    return as_matrix(exponentials(compiler, logs, dtype), dtype)


def _weighted(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """The logarithm of each component's density times its weight."""
    made = numbers(matrix, compiler, model)
    values, dtype = _distances(model, made, compiler)
    features = len(made)
    values, dtype = plus(compiler, values, dtype, features * math.log(2 * math.pi))
    values = single(compiler, compiler.graph.map_const(MathFunction.MUL, values, -0.5), dtype)
    values, dtype = plus(compiler, values, dtype, _determinants(model, features))
    if type(model).__name__ == "GaussianMixture":
        return plus(compiler, values, dtype, np.log(model.weights_))
    freedom = model.degrees_of_freedom_
    values, dtype = plus(compiler, values, dtype, 0.5 * features * np.log(freedom), MathFunction.SUB)
    scatter = _digamma(0.5 * (freedom - np.arange(0, features)[:, np.newaxis])).sum(axis=0)
    spread = 0.5 * (features * np.log(2.0) + scatter - features / model.mean_precision_)
    values, dtype = plus(compiler, values, dtype, spread)
    return plus(compiler, values, dtype, _log_weights(model))


def _distances(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """For each component the square of the row's distance from its mean, in its deviations."""
    kind, chol = model.covariance_type, model.precisions_cholesky_
    if kind in ("full", "tied"):
        return _turned(model, matrix, [chol] * len(model.means_) if kind == "tied" else chol, compiler)
    if kind == "diag":
        return _diagonal(model, matrix, compiler)
    if kind == "spherical":
        return _spherical(model, matrix, compiler)
    raise NoPlan(f"a {type(model).__name__} has covariances of the type {kind}")


def _turned(model: Any, matrix: Matrix, factors: Any, compiler: Compiler) -> Values:
    """Sums of squares of `X @ factor - mean @ factor`, written into an array of the rows' dtype."""
    graph = compiler.graph
    out: list[Number] = []
    for mean, factor in zip(model.means_, factors, strict=True):
        turned, dtype = matrix_product(compiler, matrix, factor, model)
        apart, dtype = plus(compiler, turned, dtype, mean @ factor, MathFunction.SUB)
        squares = single(compiler, graph.map_two(MathFunction.MUL, apart, apart), dtype)
        out += single(compiler, [graph.fold(MathFunction.PAIRWISE, squares)], dtype)
    if matrix.dtype.kind == "f":
        return single(compiler, out, matrix.dtype), matrix.dtype
    if matrix.dtype != np.int64:
        raise NoPlan(f"a {type(model).__name__} writes distances into an array of {matrix.dtype}")
    compiler.approximate("a processor makes integers of distances")
    whole = graph.map(MathFunction.TRUNC, out)
    small = graph.map_const(MathFunction.LT, out, _LONG)
    return graph.select(small, whole, graph.constant(np.full(len(out), -_LONG))), np.dtype(np.float64)


def _diagonal(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """`sum(mean² precision) - 2 X @ (mean precision) + X² @ precision`."""
    graph, means = compiler.graph, model.means_
    precisions = model.precisions_cholesky_**2
    products, dtype = matrix_product(compiler, matrix, (means * precisions).T, model)
    twice = graph.map_const(MathFunction.MUL, products, 2.0)
    values, dtype = plus(compiler, twice, dtype, np.sum(means**2 * precisions, axis=1), MathFunction.RSUB)
    squared = as_matrix(_squared(matrix, compiler), matrix.dtype)
    others, _ = matrix_product(compiler, squared, precisions.T, model)
    return single(compiler, graph.map_two(MathFunction.ADD, values, others), dtype), dtype


def _squared(matrix: Matrix, compiler: Compiler) -> list[Number]:
    if matrix.dtype.kind != "f":
        raise NoPlan("a mixture squares integers, which may be too large for their dtype")
    values = compiler.numbers(matrix.columns)
    return single(compiler, compiler.graph.map_two(MathFunction.MUL, values, values), matrix.dtype)


def _spherical(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """`sum(mean²) precision - 2 X @ mean precision + sum(X²) precision`."""
    graph, means = compiler.graph, model.means_
    precisions = model.precisions_cholesky_**2
    products, dtype = matrix_product(compiler, matrix, means.T, model)
    weighted = single(compiler, graph.map_const(MathFunction.MUL, products, precisions), dtype)
    twice = graph.map_const(MathFunction.MUL, weighted, 2.0)
    values, dtype = plus(compiler, twice, dtype, np.sum(means**2, axis=1) * precisions, MathFunction.RSUB)
    norm = single(compiler, [graph.fold(MathFunction.SUM, _squared(matrix, compiler))], matrix.dtype)
    outer = single(compiler, graph.map_const(MathFunction.MUL, norm * len(values), precisions), dtype)
    return single(compiler, graph.map_two(MathFunction.ADD, values, outer), dtype), dtype


def _determinants(model: Any, features: int) -> Any:
    """The logarithm of the determinant of each component's factor."""
    kind, chol = model.covariance_type, model.precisions_cholesky_
    if kind == "full":
        return np.sum(np.log(chol.reshape(len(chol), -1)[:, :: features + 1]), axis=1)
    if kind == "tied":
        return np.sum(np.log(np.diagonal(chol)))
    return np.sum(np.log(chol), axis=1) if kind == "diag" else features * np.log(chol)


def _log_weights(model: Any) -> Any:
    """The expected logarithms of the weights of a Bayesian mixture."""
    weights = model.weight_concentration_
    if model.weight_concentration_prior_type != "dirichlet_process":
        return _digamma(weights) - _digamma(np.sum(weights))
    one, other = weights
    both = _digamma(one + other)
    return _digamma(one) - both + np.hstack((0, np.cumsum(_digamma(other) - both)[:-1]))


def _digamma(values: Any) -> npt.NDArray[np.float64]:
    """The derivative of the logarithm of the gamma function, of positive numbers.

    By its recurrence up to numbers for which the asymptotic series has all digits; see Bernardo, "Psi (digamma)
    function", Applied Statistics 25, 1976.
    """
    x = np.array(values, dtype=np.float64)
    out = np.zeros_like(x)
    for _ in range(int(_LARGE)):
        small = x < _LARGE
        out = np.where(small, out - 1 / x, out)
        x = np.where(small, x + 1, x)
    inverse = 1 / (x * x)
    terms = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12)
    series = np.zeros_like(x)
    for term in reversed(terms):
        series = (series + term) * inverse
    return np.asarray(out + np.log(x) - 0.5 / x + series)
