"""Kernels: how alike a row and each of the rows are that a model was trained with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fourfold.plan.compile import answers, transforms
from fourfold.plan.compile.arrays import numbers
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import as_matrix, exponentials, plus, single
from fourfold.plan.compile.sums import matrix_product, moved, rounded
from fourfold.plan.format import Kind, MathFunction, Metric
from fourfold.plan.graph.builder import Number

__all__ = ["Values", "hyperbolic", "limited", "pairwise_kernel", "raised"]

Values = tuple[list[Number], np.dtype[Any]]

#: The most numbers that the points of one model may have: half a gigabyte.
_LARGEST = 1 << 26


def pairwise_kernel(
    name: Any, matrix: Matrix, points: Any, options: Mapping[str, Any], who: object, compiler: Compiler
) -> Values:
    """What `sklearn.metrics.pairwise.pairwise_kernels` makes of a row and each of some points.

    Args:
        name: the kernel's.
        matrix: columns of numbers.
        points: shape `(points, columns)`.
        options: `gamma`, `degree` and `coef0`, where they are given.
        who: the estimator.
        compiler: of the plan.

    Raises:
        NoPlan: no plan can hold the kernel or the points.
    """
    rule = _PAIRWISE.get(name) if isinstance(name, str) else None
    if rule is None:
        raise NoPlan(f"a {type(who).__name__} has the kernel {name}")
    if matrix.sparse or hasattr(points, "toarray"):
        raise NoPlan(f"the {type(who).__name__} compares rows of a sparse matrix")
    limited(points, who)
    dtype = FLOAT32 if matrix.dtype == points.dtype == FLOAT32 else FLOAT64
    made = compiler.cast(matrix, dtype)
    gamma = options.get("gamma")
    known = {"gamma": 1.0 / len(made) if gamma is None else gamma, "degree": 3, "coef0": 1}
    known |= {key: value for key, value in options.items() if value is not None}
    return rule(made, np.asarray(points, dtype=dtype), known, who, compiler)


def limited(points: Any, who: object) -> None:
    """Check that a plan can hold a model's points; raises `NoPlan`."""
    if points.shape[0] * points.shape[1] > _LARGEST:
        raise NoPlan(f"the {type(who).__name__} keeps {points.shape[0]} rows of {points.shape[1]} columns")


def hyperbolic(compiler: Compiler, values: list[Number], dtype: np.dtype[Any]) -> list[Number]:
    """The hyperbolic tangent."""
    compiler.approximate("a tanh differs from one processor to another")
    return single(compiler, compiler.graph.map(MathFunction.TANH, values), dtype)


def raised(compiler: Compiler, values: list[Number], power: float, dtype: np.dtype[Any]) -> list[Number]:
    """`numpy.power`; a square is a product."""
    if power == 1:
        return values
    if power == 2:
        return single(compiler, compiler.graph.map_two(MathFunction.MUL, values, values), dtype)
    compiler.approximate("a libm computes powers")
    return single(compiler, compiler.graph.map_const(MathFunction.POW, values, float(power)), dtype)


def _times(compiler: Compiler, values: list[Number], factor: float, dtype: np.dtype[Any]) -> list[Number]:
    return single(compiler, compiler.graph.map_const(MathFunction.MUL, values, float(rounded(factor, dtype))), dtype)


def _linear(matrix: Matrix, points: Any, _: Mapping[str, Any], who: object, compiler: Compiler) -> Values:
    return matrix_product(compiler, matrix, points.T, who)


def _bent(matrix: Matrix, points: Any, options: Mapping[str, Any], who: object, compiler: Compiler) -> Values:
    """`gamma * x @ y + coef0`."""
    values, dtype = matrix_product(compiler, matrix, points.T, who)
    values = _times(compiler, values, options["gamma"], dtype)
    return plus(compiler, values, dtype, float(options["coef0"]))


def _polynomial(matrix: Matrix, points: Any, options: Mapping[str, Any], who: object, compiler: Compiler) -> Values:
    values, dtype = _bent(matrix, points, options, who, compiler)
    return raised(compiler, values, options["degree"], dtype), dtype


def _sigmoid(matrix: Matrix, points: Any, options: Mapping[str, Any], who: object, compiler: Compiler) -> Values:
    values, dtype = _bent(matrix, points, options, who, compiler)
    return hyperbolic(compiler, values, dtype), dtype


def _radial(matrix: Matrix, points: Any, options: Mapping[str, Any], _: object, compiler: Compiler) -> Values:
    """`exp(-gamma * distance²)`."""
    compiler.approximate("a BLAS computes distances")
    dtype = matrix.dtype
    squares = compiler.graph.distances(
        compiler.numbers(matrix.columns), np.asarray(points, dtype=np.float64), Metric.PRODUCTS
    )
    values = _times(compiler, single(compiler, squares, dtype), -options["gamma"], dtype)
    return exponentials(compiler, values, dtype), dtype


def _laplacian(matrix: Matrix, points: Any, options: Mapping[str, Any], _: object, compiler: Compiler) -> Values:
    """`exp(-gamma * distance)` with sums of magnitudes, in float64."""
    gaps = compiler.graph.distances(
        compiler.numbers(matrix.columns), np.asarray(points, dtype=np.float64), Metric.MANHATTAN
    )
    values = _times(compiler, gaps, -options["gamma"], FLOAT64)
    return exponentials(compiler, values, FLOAT64), FLOAT64


def _cosine(matrix: Matrix, points: Any, _: Mapping[str, Any], who: object, compiler: Compiler) -> Values:
    """Products of rows of length one; a row that is next to nothing keeps its length."""
    graph, dtype = compiler.graph, matrix.dtype
    compiler.approximate("the processor orders the sums of a norm")
    tiny = 10 * float(np.finfo(dtype).eps)
    norms = np.sqrt(np.einsum("ij,ij->i", points, points))
    theirs = points / np.where(norms < tiny, 1, norms)[:, None]
    values = compiler.numbers(matrix.columns)
    squares = single(compiler, graph.map_two(MathFunction.MUL, values, values), dtype)
    norm = single(
        compiler, graph.map(MathFunction.SQRT, single(compiler, [graph.fold(MathFunction.SUM, squares)], dtype)), dtype
    )
    norm = graph.select(graph.map_const(MathFunction.LT, norm, tiny), graph.constant([1.0]), norm)
    ours = as_matrix(single(compiler, graph.map_two(MathFunction.DIV, values, norm), dtype), dtype)
    return matrix_product(compiler, ours, theirs.T, who)


_PAIRWISE: dict[str, Callable[[Matrix, Any, Mapping[str, Any], object, Compiler], Values]] = {
    "linear": _linear,
    "poly": _polynomial,
    "polynomial": _polynomial,
    "sigmoid": _sigmoid,
    "rbf": _radial,
    "laplacian": _laplacian,
    "cosine": _cosine,
}


@answers("predict", "sklearn.KernelRidge")
def kernel_ridge(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The kernel times the dual coefficients."""
    options = {"gamma": model.gamma, "degree": model.degree, "coef0": model.coef0}
    made = numbers(matrix, compiler, model)
    values, dtype = pairwise_kernel(model.kernel, made, model.X_fit_, options, model, compiler)
    weights = np.asarray(model.dual_coef_)
    weights = weights.reshape(-1, 1) if weights.ndim == 1 else weights
    return as_matrix(*matrix_product(compiler, as_matrix(values, dtype), weights, model))


@transforms("sklearn.KernelPCA")
def kernel_components(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The centred kernel times the scaled eigenvectors."""
    graph = compiler.graph
    options = {"gamma": model.gamma_, "degree": model.degree, "coef0": model.coef0}
    made = numbers(matrix, compiler, model)
    values, dtype = pairwise_kernel(model.kernel, made, model.X_fit_, options, model, compiler)
    graph.refuse(values, Kind.NOT_FINITE, "the kernel of the KernelPCA is no finite number")
    centre = model._centerer  # noqa: SLF001 - no other place has it
    mean = single(compiler, [graph.fold(MathFunction.PAIRWISE, values)], dtype)
    mean = single(compiler, graph.map_const(MathFunction.DIV, mean, float(len(centre.K_fit_rows_))), dtype)
    made = moved(as_matrix(values, dtype), centre.K_fit_rows_, compiler, in_place=True)
    apart = single(compiler, graph.map_two(MathFunction.SUB, compiler.numbers(made.columns), mean), dtype)
    made = moved(as_matrix(apart, dtype), centre.K_fit_all_, compiler, function=MathFunction.ADD, in_place=True)
    kept = np.flatnonzero(model.eigenvalues_)
    scaled = np.zeros_like(model.eigenvectors_)
    scaled[:, kept] = model.eigenvectors_[:, kept] / np.sqrt(model.eigenvalues_[kept])
    return as_matrix(*matrix_product(compiler, made, scaled, model))


@transforms("sklearn.Nystroem")
def nystroem(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The kernel of some rows, times the normalization."""
    if model.kernel_params:
        raise NoPlan("a Nystroem has parameters of its kernel in a dictionary")
    options = {"gamma": model.gamma, "degree": model.degree, "coef0": model.coef0}
    made = numbers(matrix, compiler, model)
    values, dtype = pairwise_kernel(model.kernel, made, model.components_, options, model, compiler)
    return as_matrix(*matrix_product(compiler, as_matrix(values, dtype), model.normalization_.T, model))
