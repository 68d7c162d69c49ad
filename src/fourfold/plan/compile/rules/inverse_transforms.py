"""Compile `inverse_transform` of scikit-learn's transformers, for targets that were transformed before training.

Scalers are exact; powers, `exp` and the normal distribution are close.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fourfold.plan.compile.arrays import floats
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan, Numeric
from fourfold.plan.compile.library_class import library_class
from fourfold.plan.compile.rules.function_transformer import function_transformer
from fourfold.plan.compile.scores import as_matrix, round_numbers
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__ = ["inverse"]

#: A QuantileTransformer takes a probability within this of 0 or 1 for the bound (`BOUNDS_THRESHOLD`).
_BOUNDS_THRESHOLD = 1e-7


def inverse(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `inverse_transform` of a fitted transformer; raises `NoPlan` where it has no rule."""
    library, _, name = library_class(model).partition(".")
    rule = _INVERSES.get(name) if library == "sklearn" else None
    if rule is None:
        raise NoPlan(f"plans do not cover the inverse of a {name}")
    return rule(model, matrix, compiler)


def _map_constants(function: MathFunction, matrix: Matrix, constants: Any, compiler: Compiler) -> Matrix:
    """Return `f(x, constant)` of each column, in the array's dtype."""
    columns = compiler.map(function, matrix.columns, np.asarray(constants, dtype=np.float64), dtype=matrix.dtype)
    return replace(matrix, columns=columns)


def _standard(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `StandardScaler.inverse_transform`: `x * scale_ + mean_`, each part if it is enabled."""
    inputs = floats(matrix, compiler, model, nan=True)
    if model.with_std:
        inputs = _map_constants(MathFunction.MUL, inputs, model.scale_.astype(inputs.dtype), compiler)
    return (
        _map_constants(MathFunction.ADD, inputs, model.mean_.astype(inputs.dtype), compiler)
        if model.with_mean
        else inputs
    )


def _min_max(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `MinMaxScaler.inverse_transform`: `(x - min_) / scale_`."""
    inputs = floats(matrix, compiler, model, nan=True)
    return _map_constants(
        MathFunction.DIV, _map_constants(MathFunction.SUB, inputs, model.min_, compiler), model.scale_, compiler
    )


def _max_abs(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `MaxAbsScaler.inverse_transform`: `x * scale_`."""
    return _map_constants(MathFunction.MUL, floats(matrix, compiler, model, nan=True), model.scale_, compiler)


def _robust(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `RobustScaler.inverse_transform`: `x * scale_ + center_`, each part if it is enabled."""
    inputs = floats(matrix, compiler, model, nan=True)
    if model.with_scaling:
        inputs = _map_constants(MathFunction.MUL, inputs, model.scale_, compiler)
    return _map_constants(MathFunction.ADD, inputs, model.center_, compiler) if model.with_centering else inputs


@dataclass(frozen=True)
class InverseFunction:
    """Stand for a FunctionTransformer whose function is the inverse of another's."""

    func: Any
    validate: bool
    kw_args: Mapping[str, Any] = field(default_factory=dict)


def _function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `FunctionTransformer.inverse_transform`."""
    inverted = InverseFunction(model.inverse_func, bool(model.validate), dict(model.inv_kw_args or {}))
    result: Matrix = function_transformer(inverted, matrix, compiler)
    return result


def _quantile(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `QuantileTransformer.inverse_transform`."""
    inputs = floats(matrix, compiler, model, nan=True)
    quantiles = np.asarray(model.quantiles_, dtype=np.float64)
    values = [
        _quantile_of(compiler.number(column), model, quantiles[:, index], compiler)
        for index, column in enumerate(inputs.columns)
    ]
    return as_matrix(round_numbers(compiler, values, inputs.dtype), inputs.dtype)


def _quantile_of(value: Number, model: Any, quantiles: Any, compiler: Compiler) -> Number:
    """Return the training quantile of a probability, or of the normal distribution's probability below a number.

    Raises:
        NoPlan: the output distribution has no rule.
    """
    graph = compiler.graph
    probabilities = [value]
    if model.output_distribution == "normal":
        compiler.approximate("SciPy computes the shares of the normal distribution")
        probabilities = graph.map(MathFunction.NDTR, probabilities)
        is_lowest = graph.map_const(
            MathFunction.LT, graph.map_const(MathFunction.SUB, probabilities, _BOUNDS_THRESHOLD), 0.0
        )
        is_highest = graph.map_const(
            MathFunction.GT, graph.map_const(MathFunction.ADD, probabilities, _BOUNDS_THRESHOLD), 1.0
        )
    elif model.output_distribution == "uniform":
        is_lowest, is_highest = (
            graph.map_const(MathFunction.EQ, probabilities, 0.0),
            graph.map_const(MathFunction.EQ, probabilities, 1.0),
        )
    else:
        raise NoPlan(f"a QuantileTransformer has the distribution {model.output_distribution}")
    interpolated = [graph.interpolate(probabilities[0], model.references_, quantiles)]
    without_lowest = graph.select(is_highest, graph.constant([quantiles[-1]]), interpolated)
    return graph.select(is_lowest, graph.constant([quantiles[0]]), without_lowest)[0]


def _power(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `PowerTransformer.inverse_transform`.

    Raises:
        NoPlan: the method has no rule.
    """
    inputs = floats(matrix, compiler, model, nan=True)
    compiler.approximate("a libm computes the powers of a PowerTransformer")
    if model.standardize:
        inputs = _standard(model._scaler, inputs, compiler)  # noqa: SLF001 - nothing public has it
    rules = {"box-cox": _box_cox, "yeo-johnson": _yeo_johnson}
    if model.method not in rules:
        raise NoPlan(f"a PowerTransformer has the method {model.method}")
    values = [
        rules[model.method](compiler.number(column), float(lambda_), inputs.dtype, compiler)
        for column, lambda_ in zip(inputs.columns, model.lambdas_, strict=True)
    ]
    return replace(
        inputs, columns=tuple(Numeric(value, inputs.dtype) for value in round_numbers(compiler, values, inputs.dtype))
    )


def _box_cox(value: Number, lambda_: float, dtype: np.dtype[Any], compiler: Compiler) -> Number:
    """Return `scipy.special.inv_boxcox`: `exp(log1p(x * lambda) / lambda)`, or `exp(x)` for a lambda of 0."""
    graph = compiler.graph
    if lambda_ == 0:
        return graph.map(MathFunction.EXP, [value])[0]
    logs = graph.map(MathFunction.LOG1P, graph.map_const(MathFunction.MUL, [value], lambda_))
    return graph.map(MathFunction.EXP, graph.map_const(MathFunction.DIV, logs, lambda_))[0]


def _yeo_johnson(value: Number, lambda_: float, dtype: np.dtype[Any], compiler: Compiler) -> Number:
    """Return `PowerTransformer._yeo_johnson_inverse_transform` of one number.

    From 0 on it is `(x * lambda + 1) ** (1 / lambda) - 1`, or `exp(x) - 1` for a lambda of 0. Below it is
    `1 - (1 - (2 - lambda) * x) ** (1 / (2 - lambda))`, or `1 - exp(-x)` for a lambda of 2.
    """
    graph = compiler.graph
    eps = float(np.spacing(1.0))
    if abs(lambda_) < eps:
        from_zero_on = graph.map_const(MathFunction.SUB, _exponential([value], dtype, compiler), 1.0)
    else:
        base = graph.map_const(MathFunction.ADD, graph.map_const(MathFunction.MUL, [value], lambda_), 1.0)
        from_zero_on = graph.map_const(MathFunction.SUB, graph.map_const(MathFunction.POW, base, 1 / lambda_), 1.0)
    if abs(lambda_ - 2) > eps:
        base = graph.map_const(MathFunction.ADD, graph.map_const(MathFunction.MUL, [value], -(2 - lambda_)), 1.0)
        below_zero = graph.map_const(MathFunction.RSUB, graph.map_const(MathFunction.POW, base, 1 / (2 - lambda_)), 1.0)
    else:
        below_zero = graph.map_const(
            MathFunction.RSUB, _exponential(graph.map(MathFunction.NEGATE, [value]), dtype, compiler), 1.0
        )
    return graph.select(graph.map_const(MathFunction.GE, [value], 0.0), from_zero_on, below_zero)[0]


def _exponential(values: list[Number], dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    """Return `numpy.exp`, rounded where the dtype is float32."""
    return round_numbers(compiler, compiler.graph.map(MathFunction.EXP, values), dtype)


def _pipeline(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `Pipeline.inverse_transform`: the inverse of each step, from the last one back."""
    for _, step in reversed(model.steps):
        if step is not None and step != "passthrough":
            matrix = inverse(step, matrix, compiler)
    return matrix


#: The rule of each transformer of scikit-learn, by its class's name.
_INVERSES: dict[str, Callable[[Any, Matrix, Compiler], Matrix]] = {
    "FunctionTransformer": _function,
    "MaxAbsScaler": _max_abs,
    "MinMaxScaler": _min_max,
    "Pipeline": _pipeline,
    "PowerTransformer": _power,
    "QuantileTransformer": _quantile,
    "RobustScaler": _robust,
    "StandardScaler": _standard,
}
