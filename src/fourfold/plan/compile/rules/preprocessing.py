"""Compile scikit-learn's scalers, discretisers and power transforms (`sklearn.preprocessing`).

Scalers compute in the dtype of the array, float32 or float64, one rounding an operation, so they have the original's
bits. Sums over a row (`Normalizer`) depend on NumPy's order, powers and logarithms on a libm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fourfold.plan.compile import transforms
from fourfold.plan.compile.arrays import clip, floats, map_two, numbers
from fourfold.plan.compile.bags import divide_row, row_norm
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Coded, Column, Compiler, Matrix, NoPlan, Numeric
from fourfold.plan.compile.rules.encoders import one_hot
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

#: The range that a QuantileTransformer clips normal scores to: `scipy.stats.norm.ppf` of `1e-7 - numpy.spacing(1)` and
#: of `1 - (1e-7 - numpy.spacing(1))` (`BOUNDS_THRESHOLD`).
_MIN_NORMAL_SCORE, _MAX_NORMAL_SCORE = -5.199337582605575, 5.19933758270342


# Scalers: times a constant, plus a constant.


@transforms("sklearn.StandardScaler")
def standard_scaler(scaler: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `StandardScaler.transform`: `(x - mean_) / scale_`, each part if it is enabled.

    The constants have the array's dtype. A sparse matrix is multiplied by `1 / scale_`.

    Raises:
        NoPlan: a sparse matrix would have to be centred.
    """
    scaled = floats(matrix, compiler, scaler, nan=True)
    if scaled.sparse:
        if scaler.with_mean:
            raise NoPlan("a StandardScaler centers no sparse matrix")
        return scaled if scaler.scale_ is None else _multiply(scaled, 1 / scaler.scale_, compiler)
    if scaler.with_mean:
        scaled = _map_constants(MathFunction.SUB, scaled, scaler.mean_.astype(scaled.dtype), compiler)
    if scaler.with_std:
        scaled = _map_constants(MathFunction.DIV, scaled, scaler.scale_.astype(scaled.dtype), compiler)
    return scaled


@transforms("sklearn.MinMaxScaler")
def min_max_scaler(scaler: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `MinMaxScaler.transform`: `x * scale_ + min_`, clipped to the range if `clip`."""
    scaled = floats(matrix, compiler, scaler, nan=True)
    scaled = _map_constants(MathFunction.ADD, _multiply(scaled, scaler.scale_, compiler), scaler.min_, compiler)
    return clip(scaled, scaler.feature_range[0], scaler.feature_range[1], compiler) if scaler.clip else scaled


@transforms("sklearn.MaxAbsScaler")
def max_abs_scaler(scaler: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `MaxAbsScaler.transform`: `x / scale_`, or of a sparse matrix `x * (1 / scale_)`; clipped if `clip`."""
    scaled = floats(matrix, compiler, scaler, nan=True)
    if scaled.sparse:
        scaled = _multiply(scaled, 1.0 / scaler.scale_, compiler)
    else:
        scaled = _map_constants(MathFunction.DIV, scaled, scaler.scale_, compiler)
    return clip(scaled, -1.0, 1.0, compiler) if getattr(scaler, "clip", False) else scaled


@transforms("sklearn.RobustScaler")
def robust_scaler(scaler: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `RobustScaler.transform`: `(x - center_) / scale_`, each part if it is enabled.

    A sparse matrix is multiplied by `1 / scale_`.
    """
    scaled = floats(matrix, compiler, scaler, nan=True)
    if scaled.sparse:
        return _multiply(scaled, 1.0 / scaler.scale_, compiler) if scaler.with_scaling else scaled
    if scaler.with_centering:
        scaled = _map_constants(MathFunction.SUB, scaled, scaler.center_, compiler)
    if scaler.with_scaling:
        scaled = _map_constants(MathFunction.DIV, scaled, scaler.scale_, compiler)
    return scaled


def _map_constants(function: MathFunction, matrix: Matrix, constants: Any, compiler: Compiler) -> Matrix:
    """Return `f(x, constant)` of each column, in the array's dtype."""
    columns = compiler.map(function, matrix.columns, np.asarray(constants, dtype=np.float64), dtype=matrix.dtype)
    return replace(matrix, columns=columns)


def _multiply(matrix: Matrix, constants: Any, compiler: Compiler) -> Matrix:
    """Return the columns times constants, in the array's dtype."""
    return _map_constants(MathFunction.MUL, matrix, constants, compiler)


# Rows of norm 1.


@transforms("sklearn.Normalizer")
def normalizer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `Normalizer.transform`: each row divided by its norm.

    A norm below `10 * eps` of the dtype counts as 1 (`_handle_zeros_in_scale`); of a sparse row only a norm of 0 does
    (`inplace_csr_row_normalize_l2`).
    """
    values = floats(numbers(matrix, compiler, model), compiler, model)
    if values.sparse:
        return replace(values, columns=divide_row(values, row_norm(values, model.norm, compiler), compiler))
    norm = _norm(model.norm, values, compiler)
    is_tiny = compiler.graph.map_const(MathFunction.LT, norm, 10 * float(np.finfo(values.dtype).eps))
    norm = compiler.graph.select(is_tiny, compiler.graph.constant([1.0]), norm)
    columns = map_two(compiler, MathFunction.DIV, values.columns, [Numeric(norm[0])], values.dtype)
    return replace(values, columns=columns)


def _norm(norm: str, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the norm of a row of an array, as a list of one number.

    `l1` is `numpy.abs(X).sum(axis=1)`, `l2` is `row_norms(X)` (`numpy.einsum("ij,ij->i", X, X)`) and its root, `max` is
    exact.

    Raises:
        NoPlan: the norm has no rule.
    """
    graph, values = compiler.graph, compiler.numbers(matrix.columns)
    is_float32 = matrix.dtype == FLOAT32
    if norm == "max":
        return [graph.fold(MathFunction.MOST, graph.map(MathFunction.ABS, values))]
    if norm == "l1":
        if len(values) >= 8:
            compiler.approximate("the layout of memory orders the sums of a Normalizer")
        magnitudes = graph.map(MathFunction.ABS, values)
        return (
            _pairwise_sum_float32(magnitudes, compiler)
            if is_float32
            else [graph.fold(MathFunction.PAIRWISE, magnitudes)]
        )
    if norm == "l2":
        if len(values) > 2:
            compiler.approximate("the layout of memory and the processor order the sums of a Normalizer")
        squares = _round_to(graph.map_two(MathFunction.MUL, values, values), matrix.dtype, compiler)
        total = _einsum_order_sum(squares, 4 if is_float32 else 2, matrix.dtype, compiler)
        return _round_to(graph.map(MathFunction.SQRT, total), matrix.dtype, compiler)
    raise NoPlan(f"a Normalizer has the norm {norm}")


def _pairwise_sum_float32(values: list[Number], compiler: Compiler) -> list[Number]:
    """Return the float32 sum in the order of `numpy.sum` over contiguous numbers, rounded after each addition.

    Up to 128 numbers are added in eight lanes; more are split in halves (`pairwise_sum` in NumPy's
    `loops_utils.h.src`).
    """
    n_values = len(values)
    if n_values > 128:
        half = n_values // 2 - n_values // 2 % 8
        return _add(
            _pairwise_sum_float32(values[:half], compiler),
            _pairwise_sum_float32(values[half:], compiler),
            FLOAT32,
            compiler,
        )
    n_in_lanes = n_values // 8 * 8
    sums = values[: min(8, n_in_lanes)]
    for start in range(8, n_in_lanes, 8):
        sums = _add(sums, values[start : start + 8], FLOAT32, compiler)
    sums = _sum_lanes(sums, FLOAT32, compiler)
    for value in values[n_in_lanes:]:
        sums = _add(sums, [value], FLOAT32, compiler) if sums else [value]
    return sums


def _einsum_order_sum(values: list[Number], lanes: int, dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    """Return the sum in the order of `numpy.einsum` over a contiguous row, with vectors of `lanes` numbers.

    Of each four vectors the last one is added first. The vectors that are left follow in their order, then the lanes
    are added to each other.
    """
    vectors = [values[start : start + lanes] for start in range(0, len(values), lanes)]
    n_in_fours = len(values) // (4 * lanes) * 4
    order = [vectors[start + index] for start in range(0, n_in_fours, 4) for index in (3, 2, 1, 0)] + vectors[
        n_in_fours:
    ]
    sums = order[0]
    for vector in order[1:]:
        sums = [*_add(sums[: len(vector)], vector, dtype, compiler), *sums[len(vector) :]]
    return _sum_lanes(sums, dtype, compiler)


def _sum_lanes(lanes: list[Number], dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    """Return the sum of lanes, adding adjacent lanes in each round."""
    while len(lanes) > 1:
        last = lanes[len(lanes) // 2 * 2 :]
        lanes = [*_add(lanes[: len(lanes) - len(last) : 2], lanes[1::2], dtype, compiler), *last]
    return lanes


def _add(left: list[Number], right: list[Number], dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    """Add pairs of numbers, rounded to float32 where that is the dtype."""
    return _round_to(compiler.graph.map_two(MathFunction.ADD, left, right), dtype, compiler)


# Step functions.


@transforms("sklearn.Binarizer")
def binarizer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `Binarizer.transform`: 1 where a number is above the threshold, else 0, in the numbers' dtype.

    Raises:
        NoPlan: the columns are booleans, which scikit-learn would write into.
    """
    inputs = numbers(matrix, compiler, model)
    if inputs.dtype == bool:
        raise NoPlan("a Binarizer writes into an array of booleans")
    dtype = inputs.dtype if inputs.dtype.kind == "f" else FLOAT64
    threshold = np.result_type(dtype, model.threshold).type(model.threshold)
    columns = compiler.map(MathFunction.GT, inputs.columns, float(threshold), dtype=inputs.dtype, finite=True)
    return replace(inputs, columns=columns)


@transforms("sklearn.KBinsDiscretizer")
def k_bins_discretizer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `KBinsDiscretizer.transform`: the bin of each number, or one column a bin.

    The bin is `numpy.searchsorted(edges, value, side="right")` over the inner edges.

    Raises:
        NoPlan: the bins are of another dtype than float32 or float64.
    """
    dtype = matrix.float_dtype if model.dtype is None else np.dtype(model.dtype)
    if dtype not in (FLOAT32, FLOAT64):
        raise NoPlan(f"a KBinsDiscretizer gives {dtype}")
    inputs = compiler.cast(matrix, dtype)
    compiler.refuse(inputs.columns, model)
    columns = [
        _bin_column(column, np.asarray(edges[1:-1], dtype=np.float64), dtype, compiler)
        for column, edges in zip(inputs.columns, model.bin_edges_, strict=True)
    ]
    binned = Matrix(tuple(columns))
    return binned if model.encode == "ordinal" else one_hot(model._encoder, binned, compiler, dtype=dtype)  # noqa: SLF001


def _bin_column(column: Column, edges: Any, dtype: np.dtype[Any], compiler: Compiler) -> Column:
    """Return a column's bins."""
    if isinstance(column, Coded):
        return Coded(column.code, np.searchsorted(edges, column.values, side="right").astype(np.float64), dtype)
    # Edges may repeat: a code's bin is the number of all edges that are not above the value.
    distinct_edges, counts = np.unique(edges, return_counts=True)
    code = compiler.graph.search(compiler.number(column), distinct_edges, right=True)
    return Coded(code, np.concatenate([[0.0], np.cumsum(counts), [np.nan]])[: code.limit], dtype)


# Nonlinear transforms.


@transforms("sklearn.QuantileTransformer")
def quantile_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `QuantileTransformer.transform`: each value's share of the training rows below it, or its normal score.

    Raises:
        NoPlan: the output distribution has no rule, or the matrix is sparse.
    """
    inputs = floats(matrix, compiler, model, nan=True)
    if model.output_distribution not in ("uniform", "normal"):
        raise NoPlan(f"a QuantileTransformer has the distribution {model.output_distribution}")
    normal = model.output_distribution == "normal"
    if normal:
        compiler.approximate("SciPy computes the quantiles of the normal distribution")
    if inputs.sparse:
        raise NoPlan("a QuantileTransformer of a sparse matrix looks at what is stored alone, zeros or not")
    quantiles = np.asarray(model.quantiles_, dtype=np.float64)
    columns = [
        _quantile(column, quantiles[:, index], model.references_, normal, inputs.dtype, compiler)
        for index, column in enumerate(inputs.columns)
    ]
    return replace(inputs, columns=tuple(columns))


def _quantile(
    column: Column, quantiles: Any, references: Any, normal: bool, dtype: np.dtype[Any], compiler: Compiler
) -> Column:
    """Return one column of `_transform_col`.

    The share is half of `interp(x, quantiles, references) - interp(-x, -quantiles[::-1], -references[::-1])`. It is 0
    or 1 at the bounds: for normal scores within 1e-7 of them. The score is `scipy.stats.norm.ppf`, clipped.
    """
    graph = compiler.graph
    x = compiler.number(column)
    forward = graph.interpolate(x, quantiles, references)
    (negative,) = graph.map(MathFunction.NEGATE, [x])
    backward = graph.interpolate(negative, -quantiles[::-1], -references[::-1])
    share = graph.map_const(MathFunction.MUL, graph.map_two(MathFunction.SUB, [forward], [backward]), 0.5)
    none_below, all_below = graph.constant([0.0]), graph.constant([1.0])
    if normal:
        threshold = float(dtype.type(1e-7))
        (shifted_down,) = compiler.map(MathFunction.SUB, [column], threshold, dtype=dtype)
        (shifted_up,) = compiler.map(MathFunction.ADD, [column], threshold, dtype=dtype)
        below = graph.map_const(MathFunction.LT, [compiler.number(shifted_down)], float(quantiles[0]))
        above = graph.map_const(MathFunction.GT, [compiler.number(shifted_up)], float(quantiles[-1]))
    else:
        below = graph.map_const(MathFunction.EQ, [x], float(quantiles[0]))
        above = graph.map_const(MathFunction.EQ, [x], float(quantiles[-1]))
    share = graph.select(below, none_below, graph.select(above, all_below, share))
    rounded = _round_to(share, dtype, compiler)
    if not normal:
        return Numeric(rounded[0], dtype)
    score = _round_to(graph.map(MathFunction.NDTRI, rounded), dtype, compiler)
    score = graph.map_const(MathFunction.ADD, score, 0.0)
    score = graph.map_const(
        MathFunction.MIN, graph.map_const(MathFunction.MAX, score, _MIN_NORMAL_SCORE), _MAX_NORMAL_SCORE
    )
    return Numeric(_round_to(score, dtype, compiler)[0], dtype)


def _round_to(values: list[Number], dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    """Round numbers to float32 where that is the dtype."""
    return compiler.graph.map(MathFunction.ROUND32, values) if dtype == FLOAT32 else values


@transforms("sklearn.PowerTransformer")
def power_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `PowerTransformer.transform`: Box and Cox (1964) or Yeo and Johnson (2000), then standardised if enabled.

    Raises:
        NoPlan: the method has no rule.
    """
    transformed = floats(matrix, compiler, model, nan=True)
    compiler.approximate("a libm computes the powers of a PowerTransformer")
    if model.method == "box-cox":
        transformed = _box_cox(model.lambdas_, transformed, compiler)
    elif model.method == "yeo-johnson":
        transformed = _yeo_johnson(model.lambdas_, transformed, compiler)
    else:
        raise NoPlan(f"a PowerTransformer has the method {model.method}")
    return standard_scaler(model._scaler, transformed, compiler) if model.standardize else transformed  # noqa: SLF001


def _box_cox(lambdas: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `scipy.special.boxcox` of each column, in float64: `expm1(lambda * log(x)) / lambda`.

    It is `log(x)` where `abs(lambda)` is below 1e-19. Where the exponential would overflow (`lambda * log(x)` above
    709.78), SciPy divides before it: `sign(lambda) * exp(lambda * log(x) - log(abs(lambda))) - 1 / lambda`.
    """
    graph, values = compiler.graph, compiler.numbers(matrix.columns)
    is_not_positive = graph.map_const(MathFunction.LE, values, 0.0)
    graph.refuse(
        graph.map_const(MathFunction.EQ, is_not_positive, 0.0), Kind.ZERO, "Box-Cox transforms positive numbers only"
    )
    powers = np.asarray(lambdas, dtype=np.float64)
    logs = graph.map(MathFunction.LOG, values)
    is_log = np.abs(powers) < 1e-19
    divisors = np.where(is_log, 1.0, powers)
    scaled = graph.map_const(MathFunction.MUL, logs, divisors)
    small = graph.map_const(MathFunction.DIV, graph.map(MathFunction.EXPM1, scaled), divisors)
    # Where the power overflows, the division comes before the exponential.
    shifted = graph.map_const(MathFunction.SUB, scaled, np.log(np.abs(divisors)))
    huge = graph.map_const(MathFunction.MUL, graph.map(MathFunction.EXP, shifted), np.sign(divisors))
    huge = graph.map_const(MathFunction.SUB, huge, 1.0 / divisors)
    powered = graph.select(graph.map_const(MathFunction.GE, scaled, 709.78), huge, small)
    chosen = [log if take_log else power for take_log, log, power in zip(is_log, logs, powered, strict=True)]
    rounded = _round_to(chosen, matrix.dtype, compiler)
    return replace(matrix, columns=tuple(Numeric(value, matrix.dtype) for value in rounded))


def _yeo_johnson(lambdas: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `scipy.stats.yeojohnson` of each column in the array's dtype.

    With `p = lambda` for `x >= 0` and `p = 2 - lambda` below, it is `expm1(p * log1p(abs(x))) / p` with the sign of
    `x`, and `log1p(abs(x))` where `p` is within eps of 0.
    """
    graph, values, dtype = compiler.graph, compiler.numbers(matrix.columns), matrix.dtype
    positive_powers = lambdas.astype(dtype)
    negative_powers = 2 - positive_powers
    eps = np.finfo(dtype).eps
    positive_log, negative_log = np.abs(positive_powers) < eps, ~(np.abs(positive_powers - 2) > eps)
    positive = graph.map_const(MathFunction.GE, values, 0.0)
    magnitudes = graph.select(positive, values, graph.map(MathFunction.NEGATE, values))
    logs = _round_to(graph.map(MathFunction.LOG1P, magnitudes), dtype, compiler)
    powers = graph.select(
        positive,
        graph.constant(np.where(positive_log, 1, positive_powers)),
        graph.constant(np.where(negative_log, 1, negative_powers)),
    )
    transformed = _round_to(graph.map_two(MathFunction.MUL, logs, powers), dtype, compiler)
    transformed = _round_to(graph.map(MathFunction.EXPM1, transformed), dtype, compiler)
    transformed = _round_to(graph.map_two(MathFunction.DIV, transformed, powers), dtype, compiler)
    is_log = graph.select(positive, graph.constant(positive_log), graph.constant(negative_log))
    transformed = graph.select(is_log, logs, transformed) if positive_log.any() or negative_log.any() else transformed
    transformed = graph.select(positive, transformed, graph.map(MathFunction.NEGATE, transformed))
    return replace(matrix, columns=tuple(Numeric(value, dtype) for value in transformed))
