"""Scalers: columns moved, stretched, squeezed and cut into bins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fourfold.plan.compile import transforms
from fourfold.plan.compile.arrays import clipped, floats, map_two, numbers
from fourfold.plan.compile.bags import divided, row_norm
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Coded, Column, Compiler, Matrix, NoPlan, Numeric
from fourfold.plan.compile.rules.encoders import one_hot
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

#: The quantiles of the normal distribution that a QuantileTransformer goes no further than: those of the next float
#: below 1e-7 and of its complement, as SciPy computes them.
_LOWEST, _HIGHEST = -5.199337582605575, 5.19933758270342


# Times a number, plus a number.


@transforms("sklearn.StandardScaler")
def standard_scaler(scaler: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`(x - mean) / scale`, each part only where it was asked for; of a sparse matrix `x * (1 / scale)`."""
    made = floats(matrix, compiler, scaler, nan=True)
    if made.sparse:
        if scaler.with_mean:
            raise NoPlan("a StandardScaler centers no sparse matrix")
        return made if scaler.scale_ is None else _times(made, 1 / scaler.scale_, compiler)
    if scaler.with_mean:
        made = _mapped(MathFunction.SUB, made, scaler.mean_.astype(made.dtype), compiler)
    if scaler.with_std:
        made = _mapped(MathFunction.DIV, made, scaler.scale_.astype(made.dtype), compiler)
    return made


@transforms("sklearn.MinMaxScaler")
def min_max_scaler(scaler: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`x * scale + min`, and no further than the range where that was asked for."""
    made = floats(matrix, compiler, scaler, nan=True)
    made = _mapped(MathFunction.ADD, _times(made, scaler.scale_, compiler), scaler.min_, compiler)
    return clipped(made, scaler.feature_range[0], scaler.feature_range[1], compiler) if scaler.clip else made


@transforms("sklearn.MaxAbsScaler")
def max_abs_scaler(scaler: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`x / scale`; of a sparse matrix `x * (1 / scale)`."""
    made = floats(matrix, compiler, scaler, nan=True)
    if made.sparse:
        made = _times(made, 1.0 / scaler.scale_, compiler)
    else:
        made = _mapped(MathFunction.DIV, made, scaler.scale_, compiler)
    return clipped(made, -1.0, 1.0, compiler) if getattr(scaler, "clip", False) else made


@transforms("sklearn.RobustScaler")
def robust_scaler(scaler: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`(x - center) / scale`, each part only where it was asked for; of a sparse matrix `x * (1 / scale)`."""
    made = floats(matrix, compiler, scaler, nan=True)
    if made.sparse:
        return _times(made, 1.0 / scaler.scale_, compiler) if scaler.with_scaling else made
    if scaler.with_centering:
        made = _mapped(MathFunction.SUB, made, scaler.center_, compiler)
    if scaler.with_scaling:
        made = _mapped(MathFunction.DIV, made, scaler.scale_, compiler)
    return made


def _mapped(function: MathFunction, matrix: Matrix, constants: Any, compiler: Compiler) -> Matrix:
    columns = compiler.map(function, matrix.columns, np.asarray(constants, dtype=np.float64), dtype=matrix.dtype)
    return replace(matrix, columns=columns)


def _times(matrix: Matrix, constants: Any, compiler: Compiler) -> Matrix:
    return _mapped(MathFunction.MUL, matrix, constants, compiler)


# Rows of length one.


@transforms("sklearn.Normalizer")
def normalizer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`x / norm`, where a norm that is next to nothing counts as 1."""
    made = floats(numbers(matrix, compiler, model), compiler, model)
    if made.sparse:
        return replace(made, columns=divided(made, row_norm(made, model.norm, compiler), compiler))
    norm = _norm(model.norm, made, compiler)
    tiny = compiler.graph.map_const(MathFunction.LT, norm, 10 * float(np.finfo(made.dtype).eps))
    norm = compiler.graph.select(tiny, compiler.graph.constant([1.0]), norm)
    columns = map_two(compiler, MathFunction.DIV, made.columns, [Numeric(norm[0])], made.dtype)
    return replace(made, columns=columns)


def _norm(norm: str, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """The norm of a row of an array, as a list of one number."""
    graph, values = compiler.graph, compiler.numbers(matrix.columns)
    single = matrix.dtype == FLOAT32
    if norm == "max":
        return [graph.fold(MathFunction.MOST, graph.map(MathFunction.ABS, values))]
    if norm == "l1":
        if len(values) >= 8:
            compiler.approximate("the layout of memory orders the sums of a Normalizer")
        sizes = graph.map(MathFunction.ABS, values)
        return _pairwise(sizes, compiler) if single else [graph.fold(MathFunction.PAIRWISE, sizes)]
    if norm == "l2":
        if len(values) > 2:
            compiler.approximate("the layout of memory and the processor order the sums of a Normalizer")
        squares = _single(graph.map_two(MathFunction.MUL, values, values), matrix.dtype, compiler)
        total = _in_lanes(squares, 4 if single else 2, matrix.dtype, compiler)
        return _single(graph.map(MathFunction.SQRT, total), matrix.dtype, compiler)
    raise NoPlan(f"a Normalizer has the norm {norm}")


def _pairwise(values: list[Number], compiler: Compiler) -> list[Number]:
    """The sum of float32 in the order of `numpy.sum` over an axis that lies in one piece, rounded every time."""
    count = len(values)
    if count > 128:
        half = count // 2 - count // 2 % 8
        return _added(_pairwise(values[:half], compiler), _pairwise(values[half:], compiler), FLOAT32, compiler)
    whole = count // 8 * 8
    part = values[: min(8, whole)]
    for start in range(8, whole, 8):
        part = _added(part, values[start : start + 8], FLOAT32, compiler)
    part = _halved(part, FLOAT32, compiler)
    for value in values[whole:]:
        part = _added(part, [value], FLOAT32, compiler) if part else [value]
    return part


def _in_lanes(values: list[Number], lanes: int, dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    """The sum of numbers as `numpy.einsum` has it for a row that lies in one piece, with vectors of so many lanes.

    Of four vectors the last one is added first; those that are left are added from the left, and then the lanes.
    """
    vectors = [values[start : start + lanes] for start in range(0, len(values), lanes)]
    whole = len(values) // (4 * lanes) * 4
    order = [vectors[start + place] for start in range(0, whole, 4) for place in (3, 2, 1, 0)] + vectors[whole:]
    part = order[0]
    for vector in order[1:]:
        part = [*_added(part[: len(vector)], vector, dtype, compiler), *part[len(vector) :]]
    return _halved(part, dtype, compiler)


def _halved(part: list[Number], dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    """The sum of lanes: neighbours first."""
    while len(part) > 1:
        odd = part[len(part) // 2 * 2 :]
        part = [*_added(part[: len(part) - len(odd) : 2], part[1::2], dtype, compiler), *odd]
    return part


def _added(left: list[Number], right: list[Number], dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    return _single(compiler.graph.map_two(MathFunction.ADD, left, right), dtype, compiler)


# Steps.


@transforms("sklearn.Binarizer")
def binarizer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Whether a number is above the threshold, in the dtype that the numbers have."""
    made = numbers(matrix, compiler, model)
    if made.dtype == bool:
        raise NoPlan("a Binarizer writes into an array of booleans")
    dtype = made.dtype if made.dtype.kind == "f" else FLOAT64
    threshold = np.result_type(dtype, model.threshold).type(model.threshold)
    columns = compiler.map(MathFunction.GT, made.columns, float(threshold), dtype=made.dtype, finite=True)
    return replace(made, columns=columns)


@transforms("sklearn.KBinsDiscretizer")
def k_bins_discretizer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The bin that a number lies in, as a number or as one column for each bin."""
    dtype = matrix.float_dtype if model.dtype is None else np.dtype(model.dtype)
    if dtype not in (FLOAT32, FLOAT64):
        raise NoPlan(f"a KBinsDiscretizer gives {dtype}")
    made = compiler.cast(matrix, dtype)
    compiler.refuse(made.columns, model)
    columns = [
        _binned(column, np.asarray(edges[1:-1], dtype=np.float64), dtype, compiler)
        for column, edges in zip(made.columns, model.bin_edges_, strict=True)
    ]
    binned = Matrix(tuple(columns))
    return binned if model.encode == "ordinal" else one_hot(model._encoder, binned, compiler, dtype=dtype)  # noqa: SLF001


def _binned(column: Column, edges: Any, dtype: np.dtype[Any], compiler: Compiler) -> Column:
    if isinstance(column, Coded):
        return Coded(column.code, np.searchsorted(edges, column.values, side="right").astype(np.float64), dtype)
    # Edges may be there twice; the number that a code stands for counts them all.
    known, counts = np.unique(edges, return_counts=True)
    code = compiler.graph.search(compiler.number(column), known, right=True)
    return Coded(code, np.concatenate([[0.0], np.cumsum(counts), [np.nan]])[: code.limit], dtype)


# Other shapes.


@transforms("sklearn.QuantileTransformer")
def quantile_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The share of the training rows that are below a number; of two of them, that of a normal distribution."""
    made = floats(matrix, compiler, model, nan=True)
    if model.output_distribution not in ("uniform", "normal"):
        raise NoPlan(f"a QuantileTransformer has the distribution {model.output_distribution}")
    normal = model.output_distribution == "normal"
    if normal:
        compiler.approximate("SciPy computes the quantiles of the normal distribution")
    if made.sparse:
        raise NoPlan("a QuantileTransformer of a sparse matrix looks at what is stored alone, zeros or not")
    quantiles = np.asarray(model.quantiles_, dtype=np.float64)
    columns = [
        _quantile(column, quantiles[:, place], model.references_, normal, made.dtype, compiler)
        for place, column in enumerate(made.columns)
    ]
    return replace(made, columns=tuple(columns))


def _quantile(
    column: Column, quantiles: Any, references: Any, normal: bool, dtype: np.dtype[Any], compiler: Compiler
) -> Column:
    graph = compiler.graph
    x = compiler.number(column)
    forward = graph.interpolate(x, quantiles, references)
    (negative,) = graph.map(MathFunction.NEGATE, [x])
    backward = graph.interpolate(negative, -quantiles[::-1], -references[::-1])
    share = graph.map_const(MathFunction.MUL, graph.map_two(MathFunction.SUB, [forward], [backward]), 0.5)
    zero, one = graph.constant([0.0]), graph.constant([1.0])
    if normal:
        threshold = float(dtype.type(1e-7))
        (low,) = compiler.map(MathFunction.SUB, [column], threshold, dtype=dtype)
        (high,) = compiler.map(MathFunction.ADD, [column], threshold, dtype=dtype)
        below = graph.map_const(MathFunction.LT, [compiler.number(low)], float(quantiles[0]))
        above = graph.map_const(MathFunction.GT, [compiler.number(high)], float(quantiles[-1]))
    else:
        below = graph.map_const(MathFunction.EQ, [x], float(quantiles[0]))
        above = graph.map_const(MathFunction.EQ, [x], float(quantiles[-1]))
    share = graph.select(below, zero, graph.select(above, one, share))
    made = _single(share, dtype, compiler)
    if not normal:
        return Numeric(made[0], dtype)
    score = _single(graph.map(MathFunction.NDTRI, made), dtype, compiler)
    score = graph.map_const(MathFunction.ADD, score, 0.0)
    score = graph.map_const(MathFunction.MIN, graph.map_const(MathFunction.MAX, score, _LOWEST), _HIGHEST)
    return Numeric(_single(score, dtype, compiler)[0], dtype)


def _single(values: list[Number], dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    return compiler.graph.map(MathFunction.ROUND32, values) if dtype == FLOAT32 else values


@transforms("sklearn.PowerTransformer")
def power_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Powers that make numbers look normal (Box and Cox 1964, Yeo and Johnson 2000), then standardized."""
    made = floats(matrix, compiler, model, nan=True)
    compiler.approximate("a libm computes the powers of a PowerTransformer")
    if model.method == "box-cox":
        made = _box_cox(model.lambdas_, made, compiler)
    elif model.method == "yeo-johnson":
        made = _yeo_johnson(model.lambdas_, made, compiler)
    else:
        raise NoPlan(f"a PowerTransformer has the method {model.method}")
    return standard_scaler(model._scaler, made, compiler) if model.standardize else made  # noqa: SLF001


def _box_cox(lambdas: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`(x ** power - 1) / power` of each column, `log(x)` where the power is zero, in double precision."""
    graph, values = compiler.graph, compiler.numbers(matrix.columns)
    lost = graph.map_const(MathFunction.LE, values, 0.0)
    graph.refuse(graph.map_const(MathFunction.EQ, lost, 0.0), Kind.ZERO, "Box-Cox transforms positive numbers only")
    powers = np.asarray(lambdas, dtype=np.float64)
    logs = graph.map(MathFunction.LOG, values)
    plain = np.abs(powers) < 1e-19
    divisors = np.where(plain, 1.0, powers)
    scaled = graph.map_const(MathFunction.MUL, logs, divisors)
    small = graph.map_const(MathFunction.DIV, graph.map(MathFunction.EXPM1, scaled), divisors)
    # Where the power overflows, the division comes before the exponential.
    shifted = graph.map_const(MathFunction.SUB, scaled, np.log(np.abs(divisors)))
    huge = graph.map_const(MathFunction.MUL, graph.map(MathFunction.EXP, shifted), np.sign(divisors))
    huge = graph.map_const(MathFunction.SUB, huge, 1.0 / divisors)
    powered = graph.select(graph.map_const(MathFunction.GE, scaled, 709.78), huge, small)
    chosen = [log if use else power for use, log, power in zip(plain, logs, powered, strict=True)]
    made = _single(chosen, matrix.dtype, compiler)
    return replace(matrix, columns=tuple(Numeric(value, matrix.dtype) for value in made))


def _yeo_johnson(lambdas: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The powers of `x + 1` for what is not negative, and of `1 - x` for what is, in the matrix's own precision."""
    graph, values, dtype = compiler.graph, compiler.numbers(matrix.columns), matrix.dtype
    up = lambdas.astype(dtype)
    down = 2 - up
    tiny = np.finfo(dtype).eps
    flat_up, flat_down = np.abs(up) < tiny, ~(np.abs(up - 2) > tiny)
    positive = graph.map_const(MathFunction.GE, values, 0.0)
    size = graph.select(positive, values, graph.map(MathFunction.NEGATE, values))
    logs = _single(graph.map(MathFunction.LOG1P, size), dtype, compiler)
    powers = graph.select(
        positive, graph.constant(np.where(flat_up, 1, up)), graph.constant(np.where(flat_down, 1, down))
    )
    made = _single(graph.map_two(MathFunction.MUL, logs, powers), dtype, compiler)
    made = _single(graph.map(MathFunction.EXPM1, made), dtype, compiler)
    made = _single(graph.map_two(MathFunction.DIV, made, powers), dtype, compiler)
    flat = graph.select(positive, graph.constant(flat_up), graph.constant(flat_down))
    made = graph.select(flat, logs, made) if flat_up.any() or flat_down.any() else made
    made = graph.select(positive, made, graph.map(MathFunction.NEGATE, made))
    return replace(matrix, columns=tuple(Numeric(value, dtype) for value in made))
