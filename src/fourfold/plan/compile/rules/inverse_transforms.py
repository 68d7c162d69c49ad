"""The inverses of transformers: what a target was before it was transformed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fourfold.plan.compile.arrays import floats
from fourfold.plan.compile.columns import Matrix, NoPlan, Numeric, Workshop
from fourfold.plan.compile.rules.function_transformer import function_transformer
from fourfold.plan.compile.scores import as_matrix, single
from fourfold.plan.format import Function
from fourfold.plan.graph.builder import Number

__all__ = ["inverse"]

#: How near to 0 and 1 a QuantileTransformer takes a share for one of them.
_BOUND = 1e-7


def inverse(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """What `inverse_transform` of a fitted transformer makes of an array; raises `NoPlan`."""
    kind = type(model)
    rule = _INVERSES.get(kind.__qualname__) if kind.__module__.partition(".")[0] == "sklearn" else None
    if rule is None:
        raise NoPlan(f"there is no rule for the inverse of a {kind.__qualname__}")
    return rule(model, matrix, workshop)


def _mapped(function: Function, matrix: Matrix, constants: Any, workshop: Workshop) -> Matrix:
    made = workshop.map(function, matrix.columns, np.asarray(constants, dtype=np.float64), dtype=matrix.dtype)
    return replace(matrix, columns=made)


def _standard(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    made = floats(matrix, workshop, model, nan=True)
    if model.with_std:
        made = _mapped(Function.MUL, made, model.scale_.astype(made.dtype), workshop)
    return _mapped(Function.ADD, made, model.mean_.astype(made.dtype), workshop) if model.with_mean else made


def _min_max(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    made = floats(matrix, workshop, model, nan=True)
    return _mapped(Function.DIV, _mapped(Function.SUB, made, model.min_, workshop), model.scale_, workshop)


def _max_abs(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    return _mapped(Function.MUL, floats(matrix, workshop, model, nan=True), model.scale_, workshop)


def _robust(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    made = floats(matrix, workshop, model, nan=True)
    if model.with_scaling:
        made = _mapped(Function.MUL, made, model.scale_, workshop)
    return _mapped(Function.ADD, made, model.center_, workshop) if model.with_centering else made


@dataclass(frozen=True)
class InverseFunction:
    """The inverse of a FunctionTransformer, as one."""

    func: Any
    validate: bool
    kw_args: Mapping[str, Any] = field(default_factory=dict)


def _function(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    back = InverseFunction(model.inverse_func, bool(model.validate), dict(model.inv_kw_args or {}))
    made: Matrix = function_transformer(back, matrix, workshop)
    return made


def _quantile(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    made = floats(matrix, workshop, model, nan=True)
    quantiles = np.asarray(model.quantiles_, dtype=np.float64)
    values = [
        _of_share(workshop.number(column), model, quantiles[:, place], workshop)
        for place, column in enumerate(made.columns)
    ]
    return as_matrix(single(workshop, values, made.dtype), made.dtype)


def _of_share(value: Number, model: Any, quantiles: Any, workshop: Workshop) -> Number:
    """The quantile of a share, or of the share that a normal distribution has below a number."""
    graph = workshop.graph
    shares = [value]
    if model.output_distribution == "normal":
        workshop.approximate("SciPy computes the shares of the normal distribution")
        shares = graph.map(Function.NDTR, shares)
        low = graph.map_const(Function.LT, graph.map_const(Function.SUB, shares, _BOUND), 0.0)
        high = graph.map_const(Function.GT, graph.map_const(Function.ADD, shares, _BOUND), 1.0)
    elif model.output_distribution == "uniform":
        low, high = graph.map_const(Function.EQ, shares, 0.0), graph.map_const(Function.EQ, shares, 1.0)
    else:
        raise NoPlan(f"a QuantileTransformer has the distribution {model.output_distribution}")
    between = [graph.interpolate(shares[0], model.references_, quantiles)]
    above = graph.select(high, graph.constant([quantiles[-1]]), between)
    return graph.select(low, graph.constant([quantiles[0]]), above)[0]


def _power(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    made = floats(matrix, workshop, model, nan=True)
    workshop.approximate("a libm computes the powers of a PowerTransformer")
    if model.standardize:
        made = _standard(model._scaler, made, workshop)  # noqa: SLF001 - no other place has it
    rules = {"box-cox": _box_cox, "yeo-johnson": _yeo_johnson}
    if model.method not in rules:
        raise NoPlan(f"a PowerTransformer has the method {model.method}")
    values = [
        rules[model.method](workshop.number(column), float(power), made.dtype, workshop)
        for column, power in zip(made.columns, model.lambdas_, strict=True)
    ]
    return replace(made, columns=tuple(Numeric(value, made.dtype) for value in single(workshop, values, made.dtype)))


def _box_cox(value: Number, power: float, dtype: np.dtype[Any], workshop: Workshop) -> Number:
    """`(x * power + 1) ** (1 / power)`, as SciPy computes it: by logarithms."""
    graph = workshop.graph
    if power == 0:
        return graph.map(Function.EXP, [value])[0]
    logs = graph.map(Function.LOG1P, graph.map_const(Function.MUL, [value], power))
    return graph.map(Function.EXP, graph.map_const(Function.DIV, logs, power))[0]


def _yeo_johnson(value: Number, power: float, dtype: np.dtype[Any], workshop: Workshop) -> Number:
    """The inverse of powers of `x + 1` for what is not negative, and of `1 - x` for what is."""
    graph = workshop.graph
    tiny = float(np.spacing(1.0))
    if abs(power) < tiny:
        up = graph.map_const(Function.SUB, _exponential([value], dtype, workshop), 1.0)
    else:
        base = graph.map_const(Function.ADD, graph.map_const(Function.MUL, [value], power), 1.0)
        up = graph.map_const(Function.SUB, graph.map_const(Function.POW, base, 1 / power), 1.0)
    if abs(power - 2) > tiny:
        base = graph.map_const(Function.ADD, graph.map_const(Function.MUL, [value], -(2 - power)), 1.0)
        down = graph.map_const(Function.RSUB, graph.map_const(Function.POW, base, 1 / (2 - power)), 1.0)
    else:
        down = graph.map_const(Function.RSUB, _exponential(graph.map(Function.NEGATE, [value]), dtype, workshop), 1.0)
    return graph.select(graph.map_const(Function.GE, [value], 0.0), up, down)[0]


def _exponential(values: list[Number], dtype: np.dtype[Any], workshop: Workshop) -> list[Number]:
    return single(workshop, workshop.graph.map(Function.EXP, values), dtype)


def _pipeline(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    for _, step in reversed(model.steps):
        if step is not None and step != "passthrough":
            matrix = inverse(step, matrix, workshop)
    return matrix


#: By the names of scikit-learn's transformers.
_INVERSES: dict[str, Callable[[Any, Matrix, Workshop], Matrix]] = {
    "FunctionTransformer": _function,
    "MaxAbsScaler": _max_abs,
    "MinMaxScaler": _min_max,
    "Pipeline": _pipeline,
    "PowerTransformer": _power,
    "QuantileTransformer": _quantile,
    "RobustScaler": _robust,
    "StandardScaler": _standard,
}
