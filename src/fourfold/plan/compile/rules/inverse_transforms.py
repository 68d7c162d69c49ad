"""The inverses of transformers: what a target was before it was transformed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fourfold.plan.compile.arrays import floats
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan, Numeric
from fourfold.plan.compile.rules.function_transformer import function_transformer
from fourfold.plan.compile.scores import as_matrix, single
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__ = ["inverse"]

#: How near to 0 and 1 a QuantileTransformer takes a share for one of them.
_BOUND = 1e-7


def inverse(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What `inverse_transform` of a fitted transformer makes of an array; raises `NoPlan`."""
    kind = type(model)
    rule = _INVERSES.get(kind.__qualname__) if kind.__module__.partition(".")[0] == "sklearn" else None
    if rule is None:
        raise NoPlan(f"there is no rule for the inverse of a {kind.__qualname__}")
    return rule(model, matrix, compiler)


def _mapped(function: MathFunction, matrix: Matrix, constants: Any, compiler: Compiler) -> Matrix:
    made = compiler.map(function, matrix.columns, np.asarray(constants, dtype=np.float64), dtype=matrix.dtype)
    return replace(matrix, columns=made)


def _standard(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    made = floats(matrix, compiler, model, nan=True)
    if model.with_std:
        made = _mapped(MathFunction.MUL, made, model.scale_.astype(made.dtype), compiler)
    return _mapped(MathFunction.ADD, made, model.mean_.astype(made.dtype), compiler) if model.with_mean else made


def _min_max(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    made = floats(matrix, compiler, model, nan=True)
    return _mapped(MathFunction.DIV, _mapped(MathFunction.SUB, made, model.min_, compiler), model.scale_, compiler)


def _max_abs(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    return _mapped(MathFunction.MUL, floats(matrix, compiler, model, nan=True), model.scale_, compiler)


def _robust(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    made = floats(matrix, compiler, model, nan=True)
    if model.with_scaling:
        made = _mapped(MathFunction.MUL, made, model.scale_, compiler)
    return _mapped(MathFunction.ADD, made, model.center_, compiler) if model.with_centering else made


@dataclass(frozen=True)
class InverseFunction:
    """The inverse of a FunctionTransformer, as one."""

    func: Any
    validate: bool
    kw_args: Mapping[str, Any] = field(default_factory=dict)


def _function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    back = InverseFunction(model.inverse_func, bool(model.validate), dict(model.inv_kw_args or {}))
    made: Matrix = function_transformer(back, matrix, compiler)
    return made


def _quantile(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    made = floats(matrix, compiler, model, nan=True)
    quantiles = np.asarray(model.quantiles_, dtype=np.float64)
    values = [
        _of_share(compiler.number(column), model, quantiles[:, place], compiler)
        for place, column in enumerate(made.columns)
    ]
    return as_matrix(single(compiler, values, made.dtype), made.dtype)


def _of_share(value: Number, model: Any, quantiles: Any, compiler: Compiler) -> Number:
    """The quantile of a share, or of the share that a normal distribution has below a number."""
    graph = compiler.graph
    shares = [value]
    if model.output_distribution == "normal":
        compiler.approximate("SciPy computes the shares of the normal distribution")
        shares = graph.map(MathFunction.NDTR, shares)
        low = graph.map_const(MathFunction.LT, graph.map_const(MathFunction.SUB, shares, _BOUND), 0.0)
        high = graph.map_const(MathFunction.GT, graph.map_const(MathFunction.ADD, shares, _BOUND), 1.0)
    elif model.output_distribution == "uniform":
        low, high = graph.map_const(MathFunction.EQ, shares, 0.0), graph.map_const(MathFunction.EQ, shares, 1.0)
    else:
        raise NoPlan(f"a QuantileTransformer has the distribution {model.output_distribution}")
    between = [graph.interpolate(shares[0], model.references_, quantiles)]
    above = graph.select(high, graph.constant([quantiles[-1]]), between)
    return graph.select(low, graph.constant([quantiles[0]]), above)[0]


def _power(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    made = floats(matrix, compiler, model, nan=True)
    compiler.approximate("a libm computes the powers of a PowerTransformer")
    if model.standardize:
        made = _standard(model._scaler, made, compiler)  # noqa: SLF001 - no other place has it
    rules = {"box-cox": _box_cox, "yeo-johnson": _yeo_johnson}
    if model.method not in rules:
        raise NoPlan(f"a PowerTransformer has the method {model.method}")
    values = [
        rules[model.method](compiler.number(column), float(power), made.dtype, compiler)
        for column, power in zip(made.columns, model.lambdas_, strict=True)
    ]
    return replace(made, columns=tuple(Numeric(value, made.dtype) for value in single(compiler, values, made.dtype)))


def _box_cox(value: Number, power: float, dtype: np.dtype[Any], compiler: Compiler) -> Number:
    """`(x * power + 1) ** (1 / power)`, as SciPy computes it: by logarithms."""
    graph = compiler.graph
    if power == 0:
        return graph.map(MathFunction.EXP, [value])[0]
    logs = graph.map(MathFunction.LOG1P, graph.map_const(MathFunction.MUL, [value], power))
    return graph.map(MathFunction.EXP, graph.map_const(MathFunction.DIV, logs, power))[0]


def _yeo_johnson(value: Number, power: float, dtype: np.dtype[Any], compiler: Compiler) -> Number:
    """The inverse of powers of `x + 1` for what is not negative, and of `1 - x` for what is."""
    graph = compiler.graph
    tiny = float(np.spacing(1.0))
    if abs(power) < tiny:
        up = graph.map_const(MathFunction.SUB, _exponential([value], dtype, compiler), 1.0)
    else:
        base = graph.map_const(MathFunction.ADD, graph.map_const(MathFunction.MUL, [value], power), 1.0)
        up = graph.map_const(MathFunction.SUB, graph.map_const(MathFunction.POW, base, 1 / power), 1.0)
    if abs(power - 2) > tiny:
        base = graph.map_const(MathFunction.ADD, graph.map_const(MathFunction.MUL, [value], -(2 - power)), 1.0)
        down = graph.map_const(MathFunction.RSUB, graph.map_const(MathFunction.POW, base, 1 / (2 - power)), 1.0)
    else:
        down = graph.map_const(
            MathFunction.RSUB, _exponential(graph.map(MathFunction.NEGATE, [value]), dtype, compiler), 1.0
        )
    return graph.select(graph.map_const(MathFunction.GE, [value], 0.0), up, down)[0]


def _exponential(values: list[Number], dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    return single(compiler, compiler.graph.map(MathFunction.EXP, values), dtype)


def _pipeline(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    for _, step in reversed(model.steps):
        if step is not None and step != "passthrough":
            matrix = inverse(step, matrix, compiler)
    return matrix


#: By the names of scikit-learn's transformers.
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
