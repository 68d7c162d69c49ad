"""Projections: columns as a few weighted sums of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fourfold.plan.compile import answers, transforms
from fourfold.plan.compile.arrays import floats, numbers
from fourfold.plan.compile.columns import Compiler, Matrix
from fourfold.plan.compile.rules.linear_model import affine
from fourfold.plan.compile.scores import as_matrix, single
from fourfold.plan.compile.sums import matrix_product, moved, ordered_sums
from fourfold.plan.format import MathFunction

__all__: list[str] = []

_PARTIAL = ("sklearn.PLSRegression", "sklearn.PLSCanonical", "sklearn.CCA")


@transforms("sklearn.PCA", "sklearn.IncrementalPCA")
def principal_components(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`X @ components.T - mean @ components.T`, divided by each component's deviation where it is whitened."""
    made = floats(matrix, compiler, model)
    if type(model).__name__ == "IncrementalPCA":
        made = Matrix(made.columns)  # it makes arrays of a sparse matrix
    values, dtype = matrix_product(compiler, made, model.components_.T, model)
    compiler.approximate(f"a BLAS projects the mean of the {type(model).__name__}")
    offsets = np.reshape(model.mean_, (1, -1)) @ model.components_.T
    values = single(compiler, compiler.graph.map_const(MathFunction.SUB, values, offsets), dtype)
    if model.whiten:
        scale = np.sqrt(model.explained_variance_)
        scale[scale < np.finfo(scale.dtype).eps] = np.finfo(scale.dtype).eps
        values = single(compiler, compiler.graph.map_const(MathFunction.DIV, values, scale), dtype)
    return as_matrix(values, dtype)


@transforms("sklearn.TruncatedSVD")
def truncated_svd(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`X @ components.T`."""
    return as_matrix(*matrix_product(compiler, numbers(matrix, compiler, model), model.components_.T, model))


@transforms("sklearn.FactorAnalysis")
def factor_analysis(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The mean of the latent variables given the columns (Barber's *Bayesian Reasoning*, 21.2.33)."""
    made = moved(numbers(matrix, compiler, model), model.mean_, compiler)
    weighted = model.components_ / model.noise_variance_
    covariance = np.linalg.inv(np.eye(len(model.components_)) + weighted @ model.components_.T)
    first = as_matrix(*matrix_product(compiler, made, weighted.T, model))
    return as_matrix(*matrix_product(compiler, first, covariance, model))


@transforms("sklearn.SparsePCA", "sklearn.MiniBatchSparsePCA")
def sparse_components(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The ridge regression of the columns, moved by their mean, on the components: a product, since they are fixed."""
    made = moved(numbers(matrix, compiler, model), model.mean_, compiler)
    covariance = model.components_ @ model.components_.T
    covariance.flat[:: len(covariance) + 1] += model.ridge_alpha
    compiler.approximate(f"a LAPACK solves the equations of the {type(model).__name__}")
    return as_matrix(*matrix_product(compiler, made, np.linalg.solve(covariance, model.components_).T, model))


@transforms("sklearn.NeighborhoodComponentsAnalysis")
def neighborhood_components(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`X @ components.T`."""
    return as_matrix(*matrix_product(compiler, numbers(matrix, compiler, model), model.components_.T, model))


@transforms("sklearn.FastICA")
def independent_components(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The columns, moved by their mean where they were whitened, times the components."""
    made = floats(matrix, compiler, model)
    if model.whiten:
        made = moved(made, model.mean_, compiler, in_place=True)
    return as_matrix(*matrix_product(compiler, made, model.components_.T, model))


@answers("score_samples", "sklearn.PCA", "sklearn.FactorAnalysis")
def log_likelihoods(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The logarithm of a row's density under the model's normal distribution."""
    graph = compiler.graph
    made = moved((floats if type(model).__name__ == "PCA" else numbers)(matrix, compiler, model), model.mean_, compiler)
    precision = model.get_precision()
    turned, dtype = matrix_product(compiler, made, precision, model)
    terms = single(compiler, graph.map_two(MathFunction.MUL, compiler.numbers(made.columns), turned), dtype)
    total = single(compiler, [graph.fold(MathFunction.PAIRWISE, terms)], dtype)
    likelihood = single(compiler, graph.map_const(MathFunction.MUL, total, -0.5), dtype)
    sign, determinant = np.linalg.slogdet(precision)
    constant = 0.5 * (len(made) * math.log(2.0 * np.pi) - (determinant if sign > 0 else -np.inf))
    return as_matrix(single(compiler, graph.map_const(MathFunction.SUB, likelihood, constant), dtype), dtype)


# Partial least squares.


@transforms(*_PARTIAL)
def partial_scores(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Standardised columns times the rotations."""
    made = floats(matrix, compiler, model)
    made = moved(made, model._x_mean, compiler, in_place=True)  # noqa: SLF001 - no other place has it
    made = moved(made, model._x_std, compiler, function=MathFunction.DIV, in_place=True)  # noqa: SLF001
    return as_matrix(*matrix_product(compiler, made, model.x_rotations_, model))


@transforms("sklearn.PLSSVD")
def partial_svd_scores(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Standardised columns times the weights, in float64."""
    made = floats(matrix, compiler, model)
    made = moved(made, np.asarray(model._x_mean, dtype=np.float64), compiler)  # noqa: SLF001
    made = moved(made, model._x_std, compiler, function=MathFunction.DIV)  # noqa: SLF001
    return as_matrix(*matrix_product(compiler, made, model.x_weights_, model))


@answers("predict", *_PARTIAL)
def partial_regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Columns moved by their mean, times the coefficients, plus the intercept."""
    made = moved(floats(matrix, compiler, model), model._x_mean, compiler, in_place=True)  # noqa: SLF001
    return as_matrix(*affine(made, model.coef_, model.intercept_, model, compiler))


# Random projections.


@transforms("sklearn.GaussianRandomProjection")
def gaussian_projection(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`X @ components.T`."""
    return as_matrix(*matrix_product(compiler, floats(matrix, compiler, model), model.components_.T, model))


@transforms("sklearn.SparseRandomProjection")
def sparse_projection(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`X @ components.T`: of an array, each sum in the order in which a component stores its weights."""
    made = floats(matrix, compiler, model)
    components = model.components_
    if not hasattr(components, "toarray"):  # of a density of 1
        return as_matrix(*matrix_product(compiler, made, components.T, model))
    if made.sparse or components.has_sorted_indices:
        values, dtype = matrix_product(compiler, made, components.toarray().T, model, sparse=True)
        result = as_matrix(values, dtype)
        return Matrix(result.columns, sparse=made.sparse and not model.dense_output)
    _, dtype = matrix_product(compiler, made, components.toarray().T, model, sparse=True)
    values = []
    for start, stop in zip(components.indptr[:-1], components.indptr[1:], strict=True):
        mine = [made.columns[place] for place in components.indices[start:stop]]
        weights = components.data[start:stop].reshape(-1, 1)
        values += ordered_sums(compiler, mine, weights, dtype) if mine else compiler.graph.constant([0.0])
    return as_matrix(values, dtype)
