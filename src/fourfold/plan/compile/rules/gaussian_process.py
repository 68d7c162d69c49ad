"""Compile scikit-learn's Gaussian processes (`sklearn.gaussian_process`).

A prediction is a weighted sum of kernels between the row and the training rows. Exponentials depend on NumPy, sums over
the training rows on a BLAS, so predictions are close and not exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answer, answers
from fourfold.plan.compile.arrays import numbers
from fourfold.plan.compile.columns import FLOAT64, Compiler, Matrix, NoPlan
from fourfold.plan.compile.library_class import library_class
from fourfold.plan.compile.rules.kernels import check_size, pairwise_kernel, to_power
from fourfold.plan.compile.scores import above_zero, add_constants, as_matrix, binary_probabilities, exponentials
from fourfold.plan.compile.sums import apply_constants, matrix_product
from fourfold.plan.format import Kind, MathFunction, Metric
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_BINARY = "sklearn._BinaryGaussianProcessClassifierLaplace"
#: The sigmoid as a weighted sum of error functions, after Williams and Barber (1998): `LAMBDAS` and `COEFS` of
#: `sklearn.gaussian_process._gpc`.
_LAMBDAS = np.array([0.41, 0.4, 0.37, 0.44, 0.39])
_COEFFICIENTS = np.array([-1854.8214151, 3516.89893646, 221.29346712, 128.12323805, -2010.49422654])

Floats = npt.NDArray[np.float64]


class _KernelInput:
    """Hold a plan's row and the training rows: the two sides of a kernel.

    Args:
        matrix: the columns.
        points: the training rows, shape `(rows, columns)`.
        who: the estimator.
        compiler: the plan's compiler.

    Raises:
        NoPlan: the matrix is sparse, or there are too many training rows.
    """

    def __init__(self, matrix: Matrix, points: Any, who: object, compiler: Compiler) -> None:
        if matrix.sparse:
            raise NoPlan(f"the {type(who).__name__} compares rows of a sparse matrix")
        self.points: Floats = np.asarray(points, dtype=np.float64)
        check_size(self.points, who)
        self.original, self.given = matrix, np.asarray(points)
        self.matrix, self.who, self.compiler = compiler.cast(matrix, FLOAT64), who, compiler
        self.graph = compiler.graph

    def squares(self, scale: Any = 1.0) -> list[Number]:
        """Return the squared distances to the training rows, both sides divided by `scale` first."""
        matrix = self.matrix
        if np.any(np.asarray(scale) != 1.0):
            matrix = apply_constants(matrix, scale, self.compiler, function=MathFunction.DIV)
        return self.graph.distances(self.compiler.numbers(matrix.columns), self.points / scale, Metric.SQUARED)


def _kernel(kernel: Any, inputs: _KernelInput) -> list[Number]:
    """Return the kernel between the row and each training row, float64.

    Raises:
        NoPlan: the kernel has no rule.
    """
    library, _, name = library_class(kernel).partition(".")
    rule = _KERNELS.get(name)
    if rule is None or library != "sklearn":
        raise NoPlan(f"a {type(inputs.who).__name__} has the kernel {name}")
    return rule(kernel, inputs)


def _scale(kernel: Any) -> Any:
    """Return a kernel's length scale: a number, or one for each column."""
    return np.squeeze(kernel.length_scale).astype(float)


def _rbf(kernel: Any, inputs: _KernelInput) -> list[Number]:
    """Return `RBF`: `exp(-0.5 * d²)`, with the distance `d` in units of `length_scale`."""
    exponents = inputs.graph.map_const(MathFunction.MUL, inputs.squares(_scale(kernel)), -0.5)
    return exponentials(inputs.compiler, exponents, FLOAT64)


def _matern(kernel: Any, inputs: _KernelInput) -> list[Number]:
    """Return `Matern` for `nu` of 0.5, 1.5, 2.5 and infinity.

    With `k = d * sqrt(2 * nu)`: `exp(-k)`, `(1 + k) * exp(-k)`, `(1 + k + k² / 3) * exp(-k)` and `exp(-d² / 2)`.

    Raises:
        NoPlan: another `nu`, which needs a Bessel function.
    """
    graph, squares = inputs.graph, inputs.squares(_scale(kernel))
    distances = graph.map(MathFunction.SQRT, squares)
    if kernel.nu == np.inf:
        squared = graph.map(MathFunction.NEGATE, graph.map_two(MathFunction.MUL, distances, distances))
        return exponentials(inputs.compiler, graph.map_const(MathFunction.DIV, squared, 2.0), FLOAT64)
    factor = {0.5: 1.0, 1.5: math.sqrt(3), 2.5: math.sqrt(5)}.get(float(kernel.nu))
    if factor is None:
        raise NoPlan(f"a Matern kernel of {kernel.nu} is a Bessel function")
    scaled = graph.map_const(MathFunction.MUL, distances, factor)
    decay = exponentials(inputs.compiler, graph.map(MathFunction.NEGATE, scaled), FLOAT64)
    if factor == 1.0:
        return decay
    polynomial = graph.map_const(MathFunction.ADD, scaled, 1.0)
    if kernel.nu > 2:
        quadratic = graph.map_const(MathFunction.DIV, graph.map_two(MathFunction.MUL, scaled, scaled), 3.0)
        polynomial = graph.map_two(MathFunction.ADD, polynomial, quadratic)
    return graph.map_two(MathFunction.MUL, polynomial, decay)


def _rational_quadratic(kernel: Any, inputs: _KernelInput) -> list[Number]:
    """Return `RationalQuadratic`: `(1 + d² / (2 * alpha * length_scale²)) ** -alpha`."""
    graph = inputs.graph
    ratios = graph.map_const(MathFunction.DIV, inputs.squares(), 2 * kernel.alpha * kernel.length_scale**2)
    return to_power(inputs.compiler, graph.map_const(MathFunction.ADD, ratios, 1.0), -kernel.alpha, FLOAT64)


def _exp_sine_squared(kernel: Any, inputs: _KernelInput) -> list[Number]:
    """Return `ExpSineSquared`: `exp(-2 * (sin(pi / periodicity * d) / length_scale)²)`."""
    graph = inputs.graph
    inputs.compiler.approximate("NumPy's sin differs from one processor to another")
    angles = graph.map_const(
        MathFunction.MUL, graph.map(MathFunction.SQRT, inputs.squares()), np.pi / kernel.periodicity
    )
    sines = graph.map_const(MathFunction.DIV, graph.map(MathFunction.SIN, angles), float(kernel.length_scale))
    exponents = graph.map_const(MathFunction.MUL, graph.map_two(MathFunction.MUL, sines, sines), -2.0)
    return exponentials(inputs.compiler, exponents, FLOAT64)


def _dot_product(kernel: Any, inputs: _KernelInput) -> list[Number]:
    """Return `DotProduct`: `x @ y + sigma_0²`.

    Raises:
        NoPlan: the columns are integers, whose products may overflow.
    """
    if inputs.original.dtype.kind != "f":
        raise NoPlan(f"a {type(inputs.who).__name__} multiplies integers, which may be too large for their dtype")
    values, dtype = matrix_product(inputs.compiler, inputs.original, inputs.given.T, inputs.who)
    return add_constants(inputs.compiler, values, dtype, kernel.sigma_0**2)[0]


def _constant_kernel(kernel: Any, inputs: _KernelInput) -> list[Number]:
    """Return `ConstantKernel`: `constant_value`."""
    return inputs.graph.constant(np.full(len(inputs.points), float(kernel.constant_value)))


def _white_kernel(_: Any, inputs: _KernelInput) -> list[Number]:
    """Return `WhiteKernel`: 0 between a row and the training rows."""
    return inputs.graph.constant(np.zeros(len(inputs.points)))


def _exponentiation(kernel: Any, inputs: _KernelInput) -> list[Number]:
    """Return `Exponentiation`: a kernel raised to a power."""
    return to_power(inputs.compiler, _kernel(kernel.kernel, inputs), kernel.exponent, FLOAT64)


def _sum_kernel(kernel: Any, inputs: _KernelInput) -> list[Number]:
    """Return `Sum`: one kernel plus another."""
    return inputs.graph.map_two(MathFunction.ADD, _kernel(kernel.k1, inputs), _kernel(kernel.k2, inputs))


def _product_kernel(kernel: Any, inputs: _KernelInput) -> list[Number]:
    """Return `Product`: one kernel times another."""
    return inputs.graph.map_two(MathFunction.MUL, _kernel(kernel.k1, inputs), _kernel(kernel.k2, inputs))


def _pairwise_kernel(kernel: Any, inputs: _KernelInput) -> list[Number]:
    """Return `PairwiseKernel`: a kernel of `sklearn.metrics.pairwise`.

    Raises:
        NoPlan: the kernel is not float64.
    """
    parameters = {"gamma": kernel.gamma, **(kernel.pairwise_kernels_kwargs or {})}
    values, dtype = pairwise_kernel(
        kernel.metric, inputs.original, inputs.given, parameters, inputs.who, inputs.compiler
    )
    if dtype != FLOAT64:
        raise NoPlan(f"a {type(inputs.who).__name__} has a kernel in {dtype}")
    return values


_KERNELS: dict[str, Callable[[Any, _KernelInput], list[Number]]] = {
    "RBF": _rbf,
    "Matern": _matern,
    "RationalQuadratic": _rational_quadratic,
    "ExpSineSquared": _exp_sine_squared,
    "DotProduct": _dot_product,
    "ConstantKernel": _constant_kernel,
    "WhiteKernel": _white_kernel,
    "Exponentiation": _exponentiation,
    "Sum": _sum_kernel,
    "Product": _product_kernel,
    "PairwiseKernel": _pairwise_kernel,
}


def _diagonal(kernel: Any, matrix: Matrix, who: object, compiler: Compiler) -> list[Number]:
    """Return the kernel between a row and itself (`kernel.diag`), as a list of one number.

    Raises:
        NoPlan: the kernel has no rule.
    """
    graph, name = compiler.graph, type(kernel).__name__
    if name in ("Sum", "Product"):
        left, right = (_diagonal(operand, matrix, who, compiler) for operand in (kernel.k1, kernel.k2))
        return graph.map_two(MathFunction.ADD if name == "Sum" else MathFunction.MUL, left, right)
    if name == "Exponentiation":
        return to_power(compiler, _diagonal(kernel.kernel, matrix, who, compiler), kernel.exponent, FLOAT64)
    if name == "DotProduct":
        values = compiler.numbers(compiler.cast(matrix, FLOAT64).columns)
        return graph.map_const(MathFunction.ADD, [graph.fold(MathFunction.SQUARES, values)], float(kernel.sigma_0) ** 2)
    parameters = {"ConstantKernel": "constant_value", "WhiteKernel": "noise_level"}
    if name in parameters:
        return graph.constant([float(getattr(kernel, parameters[name]))])
    if name in ("RBF", "Matern", "RationalQuadratic", "ExpSineSquared"):
        return graph.constant([1.0])
    raise NoPlan(f"a {type(who).__name__} has the kernel {name}")


# Regressors.


@answers("predict", "sklearn.GaussianProcessRegressor")
def regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `GaussianProcessRegressor.predict`: `kernel @ alpha_ * y_train_std + y_train_mean`.

    Raises:
        NoPlan: the regressor was not trained, or its kernel compares something else than rows of numbers.
    """
    if not hasattr(model, "X_train_") or not model.kernel_.requires_vector_input:
        raise NoPlan("a GaussianProcessRegressor was not trained, or compares what are no rows of numbers")
    graph = compiler.graph
    inputs = _KernelInput(numbers(matrix, compiler, model), model.X_train_, model, compiler)
    weights = np.asarray(model.alpha_)
    weights = weights.reshape(-1, 1) if weights.ndim == 1 else weights
    values, _ = matrix_product(compiler, as_matrix(_kernel(model.kernel_, inputs)), weights, model)
    values = graph.map_const(MathFunction.MUL, values, np.asarray(model._y_train_std, dtype=float).reshape(-1))  # noqa: SLF001
    return as_matrix(*add_constants(compiler, values, FLOAT64, np.asarray(model._y_train_mean, dtype=float)))  # noqa: SLF001


# Classifiers.


def _base_answer(method: str) -> Callable[[Any, Matrix, Compiler], Any]:
    """Return a rule for a method of `GaussianProcessClassifier`: that of its `base_estimator_`."""

    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        if model.kernel is not None and not model.kernel.requires_vector_input:
            raise NoPlan("a GaussianProcessClassifier compares what are no rows of numbers")
        return answer(model.base_estimator_, method, numbers(matrix, compiler, model), compiler)

    return rule


for _method in ("predict", "predict_proba"):
    answers(_method, "sklearn.GaussianProcessClassifier")(_base_answer(_method))


def _latent_mean(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[_KernelInput, list[Number], list[Number]]:
    """Return the kernel's input, the kernel, and the mean of the latent function: `kernel @ (y_train_ - pi_)`."""
    inputs = _KernelInput(matrix, model.X_train_, model, compiler)
    values = _kernel(model.kernel_, inputs)
    weights = (model.y_train_ - model.pi_).reshape(-1, 1)
    mean, _ = matrix_product(compiler, as_matrix(values), weights, "GaussianProcessClassifier")
    return inputs, values, mean


@answers("predict", _BINARY)
def classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `_BinaryGaussianProcessClassifierLaplace.predict`: the second class where the latent mean is above 0."""
    _, _, mean = _latent_mean(model, matrix, compiler)
    return Labels(above_zero(compiler, mean[0]), model.classes_)


@answers("predict_proba", _BINARY)
def proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `_BinaryGaussianProcessClassifierLaplace.predict_proba`: the expected sigmoid of the latent function.

    With its mean `f` and variance `v = kernel.diag - sum((L⁻¹ W^½ k)²)`, `alpha = 1 / (2 * v)` and the lambdas and
    coefficients `l` and `c`, it is the sum of
    `c * sqrt(pi / alpha) * erf(l * f * sqrt(alpha / (alpha + l²))) / (2 * sqrt(2 * pi * v))`, plus half of the sum of
    `c`.
    """
    graph = compiler.graph
    inputs, values, mean = _latent_mean(model, matrix, compiler)
    graph.refuse(values, Kind.NOT_FINITE, "the kernel of the GaussianProcessClassifier is no finite number")
    compiler.approximate("a LAPACK solves the equations of the GaussianProcessClassifier")
    solved = np.linalg.solve(model.L_, np.diag(model.W_sr_))
    explained, _ = matrix_product(compiler, as_matrix(values), solved.T, "GaussianProcessClassifier")
    explained_variance = [graph.fold(MathFunction.SQUARES, explained)]
    variance = graph.map_two(
        MathFunction.SUB, _diagonal(model.kernel_, inputs.matrix, model, compiler), explained_variance
    )
    alpha = graph.map_const(MathFunction.RDIV, graph.map_const(MathFunction.MUL, variance, 2.0), 1.0)
    gamma = graph.map_const(MathFunction.MUL, mean * len(_LAMBDAS), _LAMBDAS)
    denominators = graph.map_const(MathFunction.ADD, alpha * len(_LAMBDAS), _LAMBDAS**2)
    factors = graph.map(MathFunction.SQRT, graph.map_two(MathFunction.DIV, alpha * len(_LAMBDAS), denominators))
    errors = _error_functions(graph.map_two(MathFunction.MUL, gamma, factors), compiler)
    numerator = graph.map(MathFunction.SQRT, graph.map_const(MathFunction.RDIV, alpha, np.pi))
    denominator = graph.map(
        MathFunction.SQRT, graph.map_const(MathFunction.MUL, graph.map_const(MathFunction.MUL, variance, 2.0), np.pi)
    )
    integrals = graph.map_two(
        MathFunction.DIV,
        graph.map_two(MathFunction.MUL, errors, numerator),
        graph.map_const(MathFunction.MUL, denominator, 2.0),
    )
    total = graph.fold(MathFunction.SUM, graph.map_const(MathFunction.MUL, integrals, _COEFFICIENTS))
    (probability,) = graph.map_const(MathFunction.ADD, [total], 0.5 * _COEFFICIENTS.sum())
    return as_matrix(binary_probabilities(compiler, probability, FLOAT64))


def _error_functions(values: list[Number], compiler: Compiler) -> list[Number]:
    """Return the error function: `2 * ndtr(x * sqrt(2)) - 1`."""
    graph = compiler.graph
    compiler.approximate("SciPy computes the error function")
    probabilities = graph.map(MathFunction.NDTR, graph.map_const(MathFunction.MUL, values, math.sqrt(2)))
    return graph.map_const(MathFunction.SUB, graph.map_const(MathFunction.MUL, probabilities, 2.0), 1.0)
