"""Gaussian processes: sums over the rows that they were trained with, weighted by kernels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answer, answers
from fourfold.plan.compile.arrays import numbers
from fourfold.plan.compile.columns import FLOAT64, Compiler, Matrix, NoPlan
from fourfold.plan.compile.rules.kernels import limited, pairwise_kernel, raised
from fourfold.plan.compile.scores import above_zero, as_matrix, exponentials, pair, plus
from fourfold.plan.compile.sums import matrix_product, moved
from fourfold.plan.format import Kind, MathFunction, Metric
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_BINARY = "sklearn._BinaryGaussianProcessClassifierLaplace"
#: The sigmoid as a sum of error functions: their widths and weights (C. Williams, D. Barber, 1998).
_WIDTHS = np.array([0.41, 0.4, 0.37, 0.44, 0.39])
_WEIGHTS = np.array([-1854.8214151, 3516.89893646, 221.29346712, 128.12323805, -2010.49422654])

Floats = npt.NDArray[np.float64]


class _Pair:
    """Rows of a plan and the rows that a process was trained with.

    Args:
        matrix: the columns.
        points: shape `(rows, columns)`.
        who: the estimator.
        compiler: of the plan.
    """

    def __init__(self, matrix: Matrix, points: Any, who: object, compiler: Compiler) -> None:
        if matrix.sparse:
            raise NoPlan(f"the {type(who).__name__} compares rows of a sparse matrix")
        self.points: Floats = np.asarray(points, dtype=np.float64)
        limited(self.points, who)
        self.original, self.given = matrix, np.asarray(points)
        self.matrix, self.who, self.compiler = compiler.cast(matrix, FLOAT64), who, compiler
        self.graph = compiler.graph

    def squares(self, scale: Any = 1.0) -> list[Number]:
        """The square of the distance of each row, in multiples of a scale."""
        made = self.matrix
        if np.any(np.asarray(scale) != 1.0):
            made = moved(made, scale, self.compiler, function=MathFunction.DIV)
        return self.graph.distances(self.compiler.numbers(made.columns), self.points / scale, Metric.SQUARED)


def _kernel(kernel: Any, pair_: _Pair) -> list[Number]:
    """What a kernel makes of a row and each of the rows of training."""
    name = type(kernel).__name__
    rule = _KERNELS.get(name)
    if rule is None or type(kernel).__module__.partition(".")[0] != "sklearn":
        raise NoPlan(f"a {type(pair_.who).__name__} has the kernel {name}")
    return rule(kernel, pair_)


def _scale(kernel: Any) -> Any:
    return np.squeeze(kernel.length_scale).astype(float)


def _radial(kernel: Any, both: _Pair) -> list[Number]:
    halves = both.graph.map_const(MathFunction.MUL, both.squares(_scale(kernel)), -0.5)
    return exponentials(both.compiler, halves, FLOAT64)


def _matern(kernel: Any, both: _Pair) -> list[Number]:
    graph, squares = both.graph, both.squares(_scale(kernel))
    gaps = graph.map(MathFunction.SQRT, squares)
    if kernel.nu == np.inf:
        squared = graph.map(MathFunction.NEGATE, graph.map_two(MathFunction.MUL, gaps, gaps))
        return exponentials(both.compiler, graph.map_const(MathFunction.DIV, squared, 2.0), FLOAT64)
    stretch = {0.5: 1.0, 1.5: math.sqrt(3), 2.5: math.sqrt(5)}.get(float(kernel.nu))
    if stretch is None:
        raise NoPlan(f"a Matern kernel of {kernel.nu} is a Bessel function")
    scaled = graph.map_const(MathFunction.MUL, gaps, stretch)
    fall = exponentials(both.compiler, graph.map(MathFunction.NEGATE, scaled), FLOAT64)
    if stretch == 1.0:
        return fall
    rise = graph.map_const(MathFunction.ADD, scaled, 1.0)
    if kernel.nu > 2:
        third = graph.map_const(MathFunction.DIV, graph.map_two(MathFunction.MUL, scaled, scaled), 3.0)
        rise = graph.map_two(MathFunction.ADD, rise, third)
    return graph.map_two(MathFunction.MUL, rise, fall)


def _rational(kernel: Any, both: _Pair) -> list[Number]:
    graph = both.graph
    shares = graph.map_const(MathFunction.DIV, both.squares(), 2 * kernel.alpha * kernel.length_scale**2)
    return raised(both.compiler, graph.map_const(MathFunction.ADD, shares, 1.0), -kernel.alpha, FLOAT64)


def _periodic(kernel: Any, both: _Pair) -> list[Number]:
    graph = both.graph
    both.compiler.approximate("NumPy's sin differs from one processor to another")
    angles = graph.map_const(MathFunction.MUL, graph.map(MathFunction.SQRT, both.squares()), np.pi / kernel.periodicity)
    waves = graph.map_const(MathFunction.DIV, graph.map(MathFunction.SIN, angles), float(kernel.length_scale))
    squares = graph.map_const(MathFunction.MUL, graph.map_two(MathFunction.MUL, waves, waves), -2.0)
    return exponentials(both.compiler, squares, FLOAT64)


def _inner(kernel: Any, both: _Pair) -> list[Number]:
    if both.original.dtype.kind != "f":
        raise NoPlan(f"a {type(both.who).__name__} multiplies integers, which may be too large for their dtype")
    values, dtype = matrix_product(both.compiler, both.original, both.given.T, both.who)
    return plus(both.compiler, values, dtype, kernel.sigma_0**2)[0]


def _constant(kernel: Any, both: _Pair) -> list[Number]:
    return both.graph.constant(np.full(len(both.points), float(kernel.constant_value)))


def _white(_: Any, both: _Pair) -> list[Number]:
    return both.graph.constant(np.zeros(len(both.points)))


def _powered(kernel: Any, both: _Pair) -> list[Number]:
    return raised(both.compiler, _kernel(kernel.kernel, both), kernel.exponent, FLOAT64)


def _sum(kernel: Any, both: _Pair) -> list[Number]:
    return both.graph.map_two(MathFunction.ADD, _kernel(kernel.k1, both), _kernel(kernel.k2, both))


def _product(kernel: Any, both: _Pair) -> list[Number]:
    return both.graph.map_two(MathFunction.MUL, _kernel(kernel.k1, both), _kernel(kernel.k2, both))


def _pairwise(kernel: Any, both: _Pair) -> list[Number]:
    options = {"gamma": kernel.gamma, **(kernel.pairwise_kernels_kwargs or {})}
    values, dtype = pairwise_kernel(kernel.metric, both.original, both.given, options, both.who, both.compiler)
    if dtype != FLOAT64:
        raise NoPlan(f"a {type(both.who).__name__} has a kernel in {dtype}")
    return values


_KERNELS: dict[str, Callable[[Any, _Pair], list[Number]]] = {
    "RBF": _radial,
    "Matern": _matern,
    "RationalQuadratic": _rational,
    "ExpSineSquared": _periodic,
    "DotProduct": _inner,
    "ConstantKernel": _constant,
    "WhiteKernel": _white,
    "Exponentiation": _powered,
    "Sum": _sum,
    "Product": _product,
    "PairwiseKernel": _pairwise,
}


def _diagonal(kernel: Any, matrix: Matrix, who: object, compiler: Compiler) -> list[Number]:
    """What a kernel makes of a row and itself, as a list of one number."""
    graph, name = compiler.graph, type(kernel).__name__
    if name in ("Sum", "Product"):
        one, other = (_diagonal(each, matrix, who, compiler) for each in (kernel.k1, kernel.k2))
        return graph.map_two(MathFunction.ADD if name == "Sum" else MathFunction.MUL, one, other)
    if name == "Exponentiation":
        return raised(compiler, _diagonal(kernel.kernel, matrix, who, compiler), kernel.exponent, FLOAT64)
    if name == "DotProduct":
        values = compiler.numbers(compiler.cast(matrix, FLOAT64).columns)
        return graph.map_const(MathFunction.ADD, [graph.fold(MathFunction.SQUARES, values)], float(kernel.sigma_0) ** 2)
    constants = {"ConstantKernel": "constant_value", "WhiteKernel": "noise_level"}
    if name in constants:
        return graph.constant([float(getattr(kernel, constants[name]))])
    if name in ("RBF", "Matern", "RationalQuadratic", "ExpSineSquared"):
        return graph.constant([1.0])
    raise NoPlan(f"a {type(who).__name__} has the kernel {name}")


# Regressors.


@answers("predict", "sklearn.GaussianProcessRegressor")
def regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The kernel times the weights, stretched and moved as the targets were."""
    if not hasattr(model, "X_train_") or not model.kernel_.requires_vector_input:
        raise NoPlan("a GaussianProcessRegressor was not trained, or compares what are no rows of numbers")
    graph = compiler.graph
    both = _Pair(numbers(matrix, compiler, model), model.X_train_, model, compiler)
    weights = np.asarray(model.alpha_)
    weights = weights.reshape(-1, 1) if weights.ndim == 1 else weights
    values, _ = matrix_product(compiler, as_matrix(_kernel(model.kernel_, both)), weights, model)
    values = graph.map_const(MathFunction.MUL, values, np.asarray(model._y_train_std, dtype=float).reshape(-1))  # noqa: SLF001
    return as_matrix(*plus(compiler, values, FLOAT64, np.asarray(model._y_train_mean, dtype=float)))  # noqa: SLF001


# Classifiers.


def _of_base(method: str) -> Callable[[Any, Matrix, Compiler], Any]:
    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        if model.kernel is not None and not model.kernel.requires_vector_input:
            raise NoPlan("a GaussianProcessClassifier compares what are no rows of numbers")
        return answer(model.base_estimator_, method, numbers(matrix, compiler, model), compiler)

    return rule


for _method in ("predict", "predict_proba"):
    answers(_method, "sklearn.GaussianProcessClassifier")(_of_base(_method))


def _latent(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[_Pair, list[Number], list[Number]]:
    """The kernel, and the mean of the latent function."""
    both = _Pair(matrix, model.X_train_, model, compiler)
    values = _kernel(model.kernel_, both)
    weights = (model.y_train_ - model.pi_).reshape(-1, 1)
    mean, _ = matrix_product(compiler, as_matrix(values), weights, "GaussianProcessClassifier")
    return both, values, mean


@answers("predict", _BINARY)
def classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The second class where the latent function's mean is above zero."""
    _, _, mean = _latent(model, matrix, compiler)
    return Labels(above_zero(compiler, mean[0]), model.classes_)


@answers("predict_proba", _BINARY)
def proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The expected sigmoid of the latent function, by a sum of error functions."""
    graph = compiler.graph
    both, values, mean = _latent(model, matrix, compiler)
    graph.refuse(values, Kind.NOT_FINITE, "the kernel of the GaussianProcessClassifier is no finite number")
    compiler.approximate("a LAPACK solves the equations of the GaussianProcessClassifier")
    solved = np.linalg.solve(model.L_, np.diag(model.W_sr_))
    apart, _ = matrix_product(compiler, as_matrix(values), solved.T, "GaussianProcessClassifier")
    known = [graph.fold(MathFunction.SQUARES, apart)]
    variance = graph.map_two(MathFunction.SUB, _diagonal(model.kernel_, both.matrix, model, compiler), known)
    alpha = graph.map_const(MathFunction.RDIV, graph.map_const(MathFunction.MUL, variance, 2.0), 1.0)
    bent = graph.map_const(MathFunction.MUL, mean * len(_WIDTHS), _WIDTHS)
    wider = graph.map_const(MathFunction.ADD, alpha * len(_WIDTHS), _WIDTHS**2)
    share = graph.map(MathFunction.SQRT, graph.map_two(MathFunction.DIV, alpha * len(_WIDTHS), wider))
    errors = _error_functions(graph.map_two(MathFunction.MUL, bent, share), compiler)
    height = graph.map(MathFunction.SQRT, graph.map_const(MathFunction.RDIV, alpha, np.pi))
    width = graph.map(
        MathFunction.SQRT, graph.map_const(MathFunction.MUL, graph.map_const(MathFunction.MUL, variance, 2.0), np.pi)
    )
    integrals = graph.map_two(
        MathFunction.DIV, graph.map_two(MathFunction.MUL, errors, height), graph.map_const(MathFunction.MUL, width, 2.0)
    )
    total = graph.fold(MathFunction.SUM, graph.map_const(MathFunction.MUL, integrals, _WEIGHTS))
    (one,) = graph.map_const(MathFunction.ADD, [total], 0.5 * _WEIGHTS.sum())
    return as_matrix(pair(compiler, one, FLOAT64))


def _error_functions(values: list[Number], compiler: Compiler) -> list[Number]:
    """The error function, by the normal distribution."""
    graph = compiler.graph
    compiler.approximate("SciPy computes the error function")
    shares = graph.map(MathFunction.NDTR, graph.map_const(MathFunction.MUL, values, math.sqrt(2)))
    return graph.map_const(MathFunction.SUB, graph.map_const(MathFunction.MUL, shares, 2.0), 1.0)
