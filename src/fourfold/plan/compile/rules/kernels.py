"""Compile kernels of `sklearn.metrics.pairwise`, and the KernelRidge, KernelPCA and Nystroem that use them.

Kernels are float32 where the columns and the training rows are, else float64. They need a BLAS, `exp` or `tanh`, so
they are close and not exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fourfold.plan.compile import answers, transforms
from fourfold.plan.compile.arrays import numbers
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import add_constants, as_matrix, exponentials, round_numbers
from fourfold.plan.compile.sums import apply_constants, matrix_product, round_to_dtype
from fourfold.plan.format import Kind, MathFunction, Metric
from fourfold.plan.graph.builder import Number

__all__ = ["Values", "check_size", "pairwise_kernel", "tanh", "to_power"]

Values = tuple[list[Number], np.dtype[Any]]

#: The most numbers in a model's training rows: half a gigabyte.
_MAX_POINT_NUMBERS = 1 << 26


def pairwise_kernel(
    name: Any, matrix: Matrix, points: Any, options: Mapping[str, Any], who: object, compiler: Compiler
) -> Values:
    """Return `sklearn.metrics.pairwise.pairwise_kernels` of the row and some points, and its dtype.

    Args:
        name: the kernel's name.
        matrix: columns of numbers.
        points: shape `(points, columns)`.
        options: `gamma`, `degree` and `coef0`, where they are given.
        who: the estimator.
        compiler: the plan's compiler.

    Raises:
        NoPlan: no plan can hold the kernel or the points.
    """
    rule = _PAIRWISE.get(name) if isinstance(name, str) else None
    if rule is None:
        raise NoPlan(f"a {type(who).__name__} has the kernel {name}")
    if matrix.sparse or hasattr(points, "toarray"):
        raise NoPlan(f"the {type(who).__name__} compares rows of a sparse matrix")
    check_size(points, who)
    dtype = FLOAT32 if matrix.dtype == points.dtype == FLOAT32 else FLOAT64
    inputs = compiler.cast(matrix, dtype)
    gamma = options.get("gamma")
    parameters = {"gamma": 1.0 / len(inputs) if gamma is None else gamma, "degree": 3, "coef0": 1}
    parameters |= {key: value for key, value in options.items() if value is not None}
    return rule(inputs, np.asarray(points, dtype=dtype), parameters, who, compiler)


def check_size(points: Any, who: object) -> None:
    """Check that a plan can hold a model's training rows; raises `NoPlan`."""
    if points.shape[0] * points.shape[1] > _MAX_POINT_NUMBERS:
        raise NoPlan(f"the {type(who).__name__} keeps {points.shape[0]} rows of {points.shape[1]} columns")


def tanh(compiler: Compiler, values: list[Number], dtype: np.dtype[Any]) -> list[Number]:
    """Return `numpy.tanh`, which differs between processors."""
    compiler.approximate("a tanh differs from one processor to another")
    return round_numbers(compiler, compiler.graph.map(MathFunction.TANH, values), dtype)


def to_power(compiler: Compiler, values: list[Number], power: float, dtype: np.dtype[Any]) -> list[Number]:
    """Return `numpy.power`; NumPy computes squares as products."""
    if power == 1:
        return values
    if power == 2:
        return round_numbers(compiler, compiler.graph.map_two(MathFunction.MUL, values, values), dtype)
    compiler.approximate("a libm computes powers")
    return round_numbers(compiler, compiler.graph.map_const(MathFunction.POW, values, float(power)), dtype)


def _multiply(compiler: Compiler, values: list[Number], factor: float, dtype: np.dtype[Any]) -> list[Number]:
    """Return values times a factor that has their dtype."""
    return round_numbers(
        compiler, compiler.graph.map_const(MathFunction.MUL, values, float(round_to_dtype(factor, dtype))), dtype
    )


def _linear(matrix: Matrix, points: Any, _: Mapping[str, Any], who: object, compiler: Compiler) -> Values:
    """Return `linear_kernel`: `x @ y`."""
    return matrix_product(compiler, matrix, points.T, who)


def _affine(matrix: Matrix, points: Any, options: Mapping[str, Any], who: object, compiler: Compiler) -> Values:
    """Return `gamma * x @ y + coef0`."""
    values, dtype = matrix_product(compiler, matrix, points.T, who)
    values = _multiply(compiler, values, options["gamma"], dtype)
    return add_constants(compiler, values, dtype, float(options["coef0"]))


def _polynomial(matrix: Matrix, points: Any, options: Mapping[str, Any], who: object, compiler: Compiler) -> Values:
    """Return `polynomial_kernel`: `(gamma * x @ y + coef0) ** degree`."""
    values, dtype = _affine(matrix, points, options, who, compiler)
    return to_power(compiler, values, options["degree"], dtype), dtype


def _sigmoid(matrix: Matrix, points: Any, options: Mapping[str, Any], who: object, compiler: Compiler) -> Values:
    """Return `sigmoid_kernel`: `tanh(gamma * x @ y + coef0)`."""
    values, dtype = _affine(matrix, points, options, who, compiler)
    return tanh(compiler, values, dtype), dtype


def _rbf(matrix: Matrix, points: Any, options: Mapping[str, Any], _: object, compiler: Compiler) -> Values:
    """Return `rbf_kernel`: `exp(-gamma * distance²)`, with the distance as `euclidean_distances` computes it."""
    compiler.approximate("a BLAS computes distances")
    dtype = matrix.dtype
    squares = compiler.graph.distances(
        compiler.numbers(matrix.columns), np.asarray(points, dtype=np.float64), Metric.PRODUCTS
    )
    values = _multiply(compiler, round_numbers(compiler, squares, dtype), -options["gamma"], dtype)
    return exponentials(compiler, values, dtype), dtype


def _laplacian(matrix: Matrix, points: Any, options: Mapping[str, Any], _: object, compiler: Compiler) -> Values:
    """Return `laplacian_kernel`: `exp(-gamma * distance)` with Manhattan distances, in float64."""
    distances = compiler.graph.distances(
        compiler.numbers(matrix.columns), np.asarray(points, dtype=np.float64), Metric.MANHATTAN
    )
    values = _multiply(compiler, distances, -options["gamma"], FLOAT64)
    return exponentials(compiler, values, FLOAT64), FLOAT64


def _cosine(matrix: Matrix, points: Any, _: Mapping[str, Any], who: object, compiler: Compiler) -> Values:
    """Return `cosine_similarity`: products of rows divided by their norms; a norm below `10 * eps` counts as 1."""
    graph, dtype = compiler.graph, matrix.dtype
    compiler.approximate("the processor orders the sums of a norm")
    min_norm = 10 * float(np.finfo(dtype).eps)
    norms = np.sqrt(np.einsum("ij,ij->i", points, points))
    unit_points = points / np.where(norms < min_norm, 1, norms)[:, None]
    values = compiler.numbers(matrix.columns)
    squares = round_numbers(compiler, graph.map_two(MathFunction.MUL, values, values), dtype)
    norm = round_numbers(
        compiler,
        graph.map(MathFunction.SQRT, round_numbers(compiler, [graph.fold(MathFunction.SUM, squares)], dtype)),
        dtype,
    )
    norm = graph.select(graph.map_const(MathFunction.LT, norm, min_norm), graph.constant([1.0]), norm)
    unit_row = as_matrix(round_numbers(compiler, graph.map_two(MathFunction.DIV, values, norm), dtype), dtype)
    return matrix_product(compiler, unit_row, unit_points.T, who)


_PAIRWISE: dict[str, Callable[[Matrix, Any, Mapping[str, Any], object, Compiler], Values]] = {
    "linear": _linear,
    "poly": _polynomial,
    "polynomial": _polynomial,
    "sigmoid": _sigmoid,
    "rbf": _rbf,
    "laplacian": _laplacian,
    "cosine": _cosine,
}


@answers("predict", "sklearn.KernelRidge")
def kernel_ridge(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `KernelRidge.predict`: the kernel times `dual_coef_`."""
    options = {"gamma": model.gamma, "degree": model.degree, "coef0": model.coef0}
    inputs = numbers(matrix, compiler, model)
    values, dtype = pairwise_kernel(model.kernel, inputs, model.X_fit_, options, model, compiler)
    weights = np.asarray(model.dual_coef_)
    weights = weights.reshape(-1, 1) if weights.ndim == 1 else weights
    return as_matrix(*matrix_product(compiler, as_matrix(values, dtype), weights, model))


@transforms("sklearn.KernelPCA")
def kernel_components(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `KernelPCA.transform`: the centred kernel times `eigenvectors_ / sqrt(eigenvalues_)`.

    `KernelCenterer.transform` subtracts the means of the training kernel's columns and of the row's kernel, and adds
    the mean of all. Components with an eigenvalue of 0 give 0.
    """
    graph = compiler.graph
    options = {"gamma": model.gamma_, "degree": model.degree, "coef0": model.coef0}
    inputs = numbers(matrix, compiler, model)
    values, dtype = pairwise_kernel(model.kernel, inputs, model.X_fit_, options, model, compiler)
    graph.refuse(values, Kind.NOT_FINITE, "the kernel of the KernelPCA is no finite number")
    centerer = model._centerer  # noqa: SLF001 - nothing public has it
    mean = round_numbers(compiler, [graph.fold(MathFunction.PAIRWISE, values)], dtype)
    mean = round_numbers(compiler, graph.map_const(MathFunction.DIV, mean, float(len(centerer.K_fit_rows_))), dtype)
    inputs = apply_constants(as_matrix(values, dtype), centerer.K_fit_rows_, compiler, in_place=True)
    centred = round_numbers(compiler, graph.map_two(MathFunction.SUB, compiler.numbers(inputs.columns), mean), dtype)
    inputs = apply_constants(
        as_matrix(centred, dtype), centerer.K_fit_all_, compiler, function=MathFunction.ADD, in_place=True
    )
    nonzero = np.flatnonzero(model.eigenvalues_)
    scaled_eigenvectors = np.zeros_like(model.eigenvectors_)
    scaled_eigenvectors[:, nonzero] = model.eigenvectors_[:, nonzero] / np.sqrt(model.eigenvalues_[nonzero])
    return as_matrix(*matrix_product(compiler, inputs, scaled_eigenvectors, model))


@transforms("sklearn.Nystroem")
def nystroem(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `Nystroem.transform`: the kernel with `components_`, times `normalization_.T`.

    Raises:
        NoPlan: the kernel's parameters are in a dictionary.
    """
    if model.kernel_params:
        raise NoPlan("a Nystroem has parameters of its kernel in a dictionary")
    options = {"gamma": model.gamma, "degree": model.degree, "coef0": model.coef0}
    inputs = numbers(matrix, compiler, model)
    values, dtype = pairwise_kernel(model.kernel, inputs, model.components_, options, model, compiler)
    return as_matrix(*matrix_product(compiler, as_matrix(values, dtype), model.normalization_.T, model))
