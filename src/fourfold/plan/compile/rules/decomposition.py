"""Compile scikit-learn's projections: `sklearn.decomposition`, `cross_decomposition`, `random_projection` and others.

A BLAS orders the sums, so they are close and not exact. A sparse matrix on either side is summed by SciPy in one order,
which is exact.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fourfold.plan.compile import answers, transforms
from fourfold.plan.compile.arrays import floats, numbers
from fourfold.plan.compile.columns import Compiler, Matrix
from fourfold.plan.compile.rules.linear_model import affine
from fourfold.plan.compile.scores import as_matrix, round_numbers
from fourfold.plan.compile.sums import apply_constants, matrix_product, ordered_sums
from fourfold.plan.format import MathFunction

__all__: list[str] = []

_PARTIAL_LEAST_SQUARES = ("sklearn.PLSRegression", "sklearn.PLSCanonical", "sklearn.CCA")


@transforms("sklearn.PCA", "sklearn.IncrementalPCA")
def principal_components(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `PCA.transform`: `X @ components_.T - mean_ @ components_.T`.

    With `whiten` it is divided by `sqrt(explained_variance_)`, which is at least eps.
    """
    inputs = floats(matrix, compiler, model)
    if type(model).__name__ == "IncrementalPCA":
        inputs = Matrix(inputs.columns)  # it converts a sparse matrix to arrays
    values, dtype = matrix_product(compiler, inputs, model.components_.T, model)
    compiler.approximate(f"a BLAS projects the mean of the {type(model).__name__}")
    offsets = np.reshape(model.mean_, (1, -1)) @ model.components_.T
    values = round_numbers(compiler, compiler.graph.map_const(MathFunction.SUB, values, offsets), dtype)
    if model.whiten:
        scale = np.sqrt(model.explained_variance_)
        scale[scale < np.finfo(scale.dtype).eps] = np.finfo(scale.dtype).eps
        values = round_numbers(compiler, compiler.graph.map_const(MathFunction.DIV, values, scale), dtype)
    return as_matrix(values, dtype)


@transforms("sklearn.TruncatedSVD")
def truncated_svd(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `TruncatedSVD.transform`: `X @ components_.T`."""
    return as_matrix(*matrix_product(compiler, numbers(matrix, compiler, model), model.components_.T, model))


@transforms("sklearn.FactorAnalysis")
def factor_analysis(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `FactorAnalysis.transform`: the mean of the latent variables, given the columns.

    It is `(X - mean_) @ (W / noise_variance_).T @ inv(I + (W / noise_variance_) @ W.T)` with the components `W`
    (Barber, *Bayesian Reasoning and Machine Learning*, equation 21.2.33).
    """
    inputs = apply_constants(numbers(matrix, compiler, model), model.mean_, compiler)
    weighted = model.components_ / model.noise_variance_
    covariance = np.linalg.inv(np.eye(len(model.components_)) + weighted @ model.components_.T)
    projected = as_matrix(*matrix_product(compiler, inputs, weighted.T, model))
    return as_matrix(*matrix_product(compiler, projected, covariance, model))


@transforms("sklearn.SparsePCA", "sklearn.MiniBatchSparsePCA")
def sparse_components(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SparsePCA.transform`: the ridge regression of the centred columns on the components.

    The components are fixed, so it is a product: `(X - mean_) @ solve(W @ W.T + ridge_alpha * I, W).T`.
    """
    inputs = apply_constants(numbers(matrix, compiler, model), model.mean_, compiler)
    covariance = model.components_ @ model.components_.T
    covariance.flat[:: len(covariance) + 1] += model.ridge_alpha
    compiler.approximate(f"a LAPACK solves the equations of the {type(model).__name__}")
    return as_matrix(*matrix_product(compiler, inputs, np.linalg.solve(covariance, model.components_).T, model))


@transforms("sklearn.NeighborhoodComponentsAnalysis")
def neighborhood_components(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `NeighborhoodComponentsAnalysis.transform`: `X @ components_.T`."""
    return as_matrix(*matrix_product(compiler, numbers(matrix, compiler, model), model.components_.T, model))


@transforms("sklearn.FastICA")
def independent_components(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `FastICA.transform`: `(X - mean_) @ components_.T`, not centred without whitening."""
    inputs = floats(matrix, compiler, model)
    if model.whiten:
        inputs = apply_constants(inputs, model.mean_, compiler, in_place=True)
    return as_matrix(*matrix_product(compiler, inputs, model.components_.T, model))


@answers("score_samples", "sklearn.PCA", "sklearn.FactorAnalysis")
def log_likelihoods(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `score_samples` of PCA and FactorAnalysis: the logarithm of the row's normal density.

    It is `-0.5 * sum(Xc * (Xc @ precision)) - 0.5 * (n_features * log(2 * pi) - logdet(precision))` with the centred
    row `Xc`.
    """
    graph = compiler.graph
    centred = apply_constants(
        (floats if type(model).__name__ == "PCA" else numbers)(matrix, compiler, model), model.mean_, compiler
    )
    precision = model.get_precision()
    projected, dtype = matrix_product(compiler, centred, precision, model)
    terms = round_numbers(
        compiler, graph.map_two(MathFunction.MUL, compiler.numbers(centred.columns), projected), dtype
    )
    total = round_numbers(compiler, [graph.fold(MathFunction.PAIRWISE, terms)], dtype)
    likelihood = round_numbers(compiler, graph.map_const(MathFunction.MUL, total, -0.5), dtype)
    sign, determinant = np.linalg.slogdet(precision)
    constant = 0.5 * (len(centred) * math.log(2.0 * np.pi) - (determinant if sign > 0 else -np.inf))
    return as_matrix(round_numbers(compiler, graph.map_const(MathFunction.SUB, likelihood, constant), dtype), dtype)


# Partial least squares.


@transforms(*_PARTIAL_LEAST_SQUARES)
def partial_scores(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `transform` of partial least squares: `(X - x_mean) / x_std @ x_rotations_`."""
    inputs = floats(matrix, compiler, model)
    inputs = apply_constants(inputs, model._x_mean, compiler, in_place=True)  # noqa: SLF001 - nothing public has it
    inputs = apply_constants(inputs, model._x_std, compiler, function=MathFunction.DIV, in_place=True)  # noqa: SLF001
    return as_matrix(*matrix_product(compiler, inputs, model.x_rotations_, model))


@transforms("sklearn.PLSSVD")
def partial_svd_scores(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `PLSSVD.transform`: `(X - x_mean) / x_std @ x_weights_`, in float64."""
    inputs = floats(matrix, compiler, model)
    inputs = apply_constants(inputs, np.asarray(model._x_mean, dtype=np.float64), compiler)  # noqa: SLF001
    inputs = apply_constants(inputs, model._x_std, compiler, function=MathFunction.DIV)  # noqa: SLF001
    return as_matrix(*matrix_product(compiler, inputs, model.x_weights_, model))


@answers("predict", *_PARTIAL_LEAST_SQUARES)
def partial_regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `predict` of partial least squares: `(X - x_mean) @ coef_.T + intercept_`."""
    centred = apply_constants(floats(matrix, compiler, model), model._x_mean, compiler, in_place=True)  # noqa: SLF001
    return as_matrix(*affine(centred, model.coef_, model.intercept_, model, compiler))


# Random projections.


@transforms("sklearn.GaussianRandomProjection")
def gaussian_projection(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `GaussianRandomProjection.transform`: `X @ components_.T`."""
    return as_matrix(*matrix_product(compiler, floats(matrix, compiler, model), model.components_.T, model))


@transforms("sklearn.SparseRandomProjection")
def sparse_projection(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SparseRandomProjection.transform`: `X @ components_.T`.

    Of an array, SciPy adds the products of a component in the order in which it stores its weights.
    """
    inputs = floats(matrix, compiler, model)
    components = model.components_
    if not hasattr(components, "toarray"):  # components of density 1 are an array
        return as_matrix(*matrix_product(compiler, inputs, components.T, model))
    if inputs.sparse or components.has_sorted_indices:
        values, dtype = matrix_product(compiler, inputs, components.toarray().T, model, sparse=True)
        result = as_matrix(values, dtype)
        return Matrix(result.columns, sparse=inputs.sparse and not model.dense_output)
    _, dtype = matrix_product(compiler, inputs, components.toarray().T, model, sparse=True)
    values = []
    for start, stop in zip(components.indptr[:-1], components.indptr[1:], strict=True):
        columns = [inputs.columns[index] for index in components.indices[start:stop]]
        weights = components.data[start:stop].reshape(-1, 1)
        values += ordered_sums(compiler, columns, weights, dtype) if columns else compiler.graph.constant([0.0])
    return as_matrix(values, dtype)
