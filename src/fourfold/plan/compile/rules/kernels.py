"""Kernels: how alike a row and each of the rows are that a model was trained with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fourfold.plan.compile import answers, transforms
from fourfold.plan.compile.arrays import numbers
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Matrix, NoPlan, Workshop
from fourfold.plan.compile.scores import as_matrix, exponentials, plus, single
from fourfold.plan.compile.sums import matrix_product, moved, rounded
from fourfold.plan.format import Function, Kind, Metric
from fourfold.plan.graph.builder import Number

__all__ = ["Values", "hyperbolic", "limited", "pairwise_kernel", "raised"]

Values = tuple[list[Number], np.dtype[Any]]

#: The most numbers that the points of one model may have: half a gigabyte.
_LARGEST = 1 << 26


def pairwise_kernel(
    name: Any, matrix: Matrix, points: Any, options: Mapping[str, Any], who: object, workshop: Workshop
) -> Values:
    """What `sklearn.metrics.pairwise.pairwise_kernels` makes of a row and each of some points.

    Args:
        name: the kernel's.
        matrix: columns of numbers.
        points: shape `(points, columns)`.
        options: `gamma`, `degree` and `coef0`, where they are given.
        who: the estimator.
        workshop: of the plan.

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
    made = workshop.cast(matrix, dtype)
    gamma = options.get("gamma")
    known = {"gamma": 1.0 / len(made) if gamma is None else gamma, "degree": 3, "coef0": 1}
    known |= {key: value for key, value in options.items() if value is not None}
    return rule(made, np.asarray(points, dtype=dtype), known, who, workshop)


def limited(points: Any, who: object) -> None:
    """Check that a plan can hold a model's points; raises `NoPlan`."""
    if points.shape[0] * points.shape[1] > _LARGEST:
        raise NoPlan(f"the {type(who).__name__} keeps {points.shape[0]} rows of {points.shape[1]} columns")


def hyperbolic(workshop: Workshop, values: list[Number], dtype: np.dtype[Any]) -> list[Number]:
    """The hyperbolic tangent."""
    workshop.approximate("a tanh differs from one processor to another")
    return single(workshop, workshop.graph.map(Function.TANH, values), dtype)


def raised(workshop: Workshop, values: list[Number], power: float, dtype: np.dtype[Any]) -> list[Number]:
    """`numpy.power`; a square is a product."""
    if power == 1:
        return values
    if power == 2:
        return single(workshop, workshop.graph.map_two(Function.MUL, values, values), dtype)
    workshop.approximate("a libm computes powers")
    return single(workshop, workshop.graph.map_const(Function.POW, values, float(power)), dtype)


def _times(workshop: Workshop, values: list[Number], factor: float, dtype: np.dtype[Any]) -> list[Number]:
    return single(workshop, workshop.graph.map_const(Function.MUL, values, float(rounded(factor, dtype))), dtype)


def _linear(matrix: Matrix, points: Any, _: Mapping[str, Any], who: object, workshop: Workshop) -> Values:
    return matrix_product(workshop, matrix, points.T, who)


def _bent(matrix: Matrix, points: Any, options: Mapping[str, Any], who: object, workshop: Workshop) -> Values:
    """`gamma * x @ y + coef0`."""
    values, dtype = matrix_product(workshop, matrix, points.T, who)
    values = _times(workshop, values, options["gamma"], dtype)
    return plus(workshop, values, dtype, float(options["coef0"]))


def _polynomial(matrix: Matrix, points: Any, options: Mapping[str, Any], who: object, workshop: Workshop) -> Values:
    values, dtype = _bent(matrix, points, options, who, workshop)
    return raised(workshop, values, options["degree"], dtype), dtype


def _sigmoid(matrix: Matrix, points: Any, options: Mapping[str, Any], who: object, workshop: Workshop) -> Values:
    values, dtype = _bent(matrix, points, options, who, workshop)
    return hyperbolic(workshop, values, dtype), dtype


def _radial(matrix: Matrix, points: Any, options: Mapping[str, Any], _: object, workshop: Workshop) -> Values:
    """`exp(-gamma * distance²)`."""
    workshop.approximate("a BLAS computes distances")
    dtype = matrix.dtype
    squares = workshop.graph.distances(
        workshop.numbers(matrix.columns), np.asarray(points, dtype=np.float64), Metric.PRODUCTS
    )
    values = _times(workshop, single(workshop, squares, dtype), -options["gamma"], dtype)
    return exponentials(workshop, values, dtype), dtype


def _laplacian(matrix: Matrix, points: Any, options: Mapping[str, Any], _: object, workshop: Workshop) -> Values:
    """`exp(-gamma * distance)` with sums of magnitudes, in float64."""
    gaps = workshop.graph.distances(
        workshop.numbers(matrix.columns), np.asarray(points, dtype=np.float64), Metric.MANHATTAN
    )
    values = _times(workshop, gaps, -options["gamma"], FLOAT64)
    return exponentials(workshop, values, FLOAT64), FLOAT64


def _cosine(matrix: Matrix, points: Any, _: Mapping[str, Any], who: object, workshop: Workshop) -> Values:
    """Products of rows of length one; a row that is next to nothing keeps its length."""
    graph, dtype = workshop.graph, matrix.dtype
    workshop.approximate("the processor orders the sums of a norm")
    tiny = 10 * float(np.finfo(dtype).eps)
    norms = np.sqrt(np.einsum("ij,ij->i", points, points))
    theirs = points / np.where(norms < tiny, 1, norms)[:, None]
    values = workshop.numbers(matrix.columns)
    squares = single(workshop, graph.map_two(Function.MUL, values, values), dtype)
    norm = single(
        workshop, graph.map(Function.SQRT, single(workshop, [graph.fold(Function.SUM, squares)], dtype)), dtype
    )
    norm = graph.select(graph.map_const(Function.LT, norm, tiny), graph.constant([1.0]), norm)
    ours = as_matrix(single(workshop, graph.map_two(Function.DIV, values, norm), dtype), dtype)
    return matrix_product(workshop, ours, theirs.T, who)


_PAIRWISE: dict[str, Callable[[Matrix, Any, Mapping[str, Any], object, Workshop], Values]] = {
    "linear": _linear,
    "poly": _polynomial,
    "polynomial": _polynomial,
    "sigmoid": _sigmoid,
    "rbf": _radial,
    "laplacian": _laplacian,
    "cosine": _cosine,
}


@answers("predict", "sklearn.KernelRidge")
def kernel_ridge(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The kernel times the dual coefficients."""
    options = {"gamma": model.gamma, "degree": model.degree, "coef0": model.coef0}
    made = numbers(matrix, workshop, model)
    values, dtype = pairwise_kernel(model.kernel, made, model.X_fit_, options, model, workshop)
    weights = np.asarray(model.dual_coef_)
    weights = weights.reshape(-1, 1) if weights.ndim == 1 else weights
    return as_matrix(*matrix_product(workshop, as_matrix(values, dtype), weights, model))


@transforms("sklearn.KernelPCA")
def kernel_components(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The centred kernel times the scaled eigenvectors."""
    graph = workshop.graph
    options = {"gamma": model.gamma_, "degree": model.degree, "coef0": model.coef0}
    made = numbers(matrix, workshop, model)
    values, dtype = pairwise_kernel(model.kernel, made, model.X_fit_, options, model, workshop)
    graph.refuse(values, Kind.NOT_FINITE, "the kernel of the KernelPCA is no finite number")
    centre = model._centerer  # noqa: SLF001 - no other place has it
    mean = single(workshop, [graph.fold(Function.PAIRWISE, values)], dtype)
    mean = single(workshop, graph.map_const(Function.DIV, mean, float(len(centre.K_fit_rows_))), dtype)
    made = moved(as_matrix(values, dtype), centre.K_fit_rows_, workshop, in_place=True)
    apart = single(workshop, graph.map_two(Function.SUB, workshop.numbers(made.columns), mean), dtype)
    made = moved(as_matrix(apart, dtype), centre.K_fit_all_, workshop, function=Function.ADD, in_place=True)
    kept = np.flatnonzero(model.eigenvalues_)
    scaled = np.zeros_like(model.eigenvectors_)
    scaled[:, kept] = model.eigenvectors_[:, kept] / np.sqrt(model.eigenvalues_[kept])
    return as_matrix(*matrix_product(workshop, made, scaled, model))


@transforms("sklearn.Nystroem")
def nystroem(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The kernel of some rows, times the normalization."""
    if model.kernel_params:
        raise NoPlan("a Nystroem has parameters of its kernel in a dictionary")
    options = {"gamma": model.gamma, "degree": model.degree, "coef0": model.coef0}
    made = numbers(matrix, workshop, model)
    values, dtype = pairwise_kernel(model.kernel, made, model.components_, options, model, workshop)
    return as_matrix(*matrix_product(workshop, as_matrix(values, dtype), model.normalization_.T, model))
