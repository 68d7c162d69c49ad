"""Features made of others, and features chosen among them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np

from fourfold.plan.compile import answer, answers, transforms
from fourfold.plan.compile.arrays import floats, numbers, plain, retyped, times
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Column, Compiler, Matrix, NoPlan, Numeric
from fourfold.plan.compile.rules.compose import applied, output_library
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []


# Chosen ones.


@transforms(
    "sklearn.VarianceThreshold",
    "sklearn.SelectKBest",
    "sklearn.SelectPercentile",
    "sklearn.SelectFpr",
    "sklearn.SelectFdr",
    "sklearn.SelectFwe",
    "sklearn.GenericUnivariateSelect",
    "sklearn.SelectFromModel",
    "sklearn.RFE",
    "sklearn.RFECV",
    "sklearn.SequentialFeatureSelector",
)
def selector(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The columns that were selected; those that were not are looked at all the same, for NaN and infinities."""
    support = np.flatnonzero(model.get_support())
    if output_library(model) and matrix.frame and not matrix.polars:
        return matrix.take(support)
    # Where NaN passes, scikit-learn does not look for infinities either.
    passes = bool(model.__sklearn_tags__().input_tags.allow_nan)
    return plain(matrix, compiler, model, nan=passes, infinite=passes).take(support)


def _eliminated(method: str) -> Any:
    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        return answer(model.estimator_, method, applied(model, matrix, compiler), compiler)

    return rule


for _method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
    answers(_method, "sklearn.RFE", "sklearn.RFECV")(_eliminated(_method))


# Products.


@transforms("sklearn.PolynomialFeatures")
def polynomial_features(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Products of columns, of a degree at least and at most."""
    made = floats(matrix, compiler, model)
    low, high = int(model._min_degree), int(model._max_degree)  # noqa: SLF001 - no public attribute has them
    ones = [Numeric(compiler.graph.constant([1.0])[0], made.dtype, finite=True)] if model.include_bias else []
    columns: list[Column] = [*ones]
    for degree, products in enumerate(_degrees(model, made, high, compiler), start=1):
        if degree >= low:
            columns.extend(products)
    return Matrix(tuple(columns), sparse=made.sparse)


def _degrees(model: Any, matrix: Matrix, highest: int, compiler: Compiler) -> list[list[Column]]:
    """The products of each degree from 1 on, in scikit-learn's order of columns and of multiplications."""
    features = list(matrix.columns)
    alone = bool(model.interaction_only)
    choose = combinations if alone else combinations_with_replacement
    made: list[list[Column]] = [features] if highest else []
    before: dict[tuple[int, ...], Column] = {(place,): column for place, column in enumerate(features)}
    for degree in range(2, highest + 1):
        chosen = list(choose(range(len(features)), degree))
        # An array has the last factors' product times the first one, a sparse matrix the first factors' times the last.
        if matrix.sparse:
            left, right = [before[each[:-1]] for each in chosen], [features[each[-1]] for each in chosen]
        else:
            left, right = [before[each[1:]] for each in chosen], [features[each[0]] for each in chosen]
        products = times(left, right, matrix.dtype, compiler, sparse=matrix.sparse)
        before = dict(zip(chosen, products, strict=True))
        made.append(list(products))
    return made


# Splines.


@transforms("sklearn.SplineTransformer")
def spline_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The B-splines of each column (de Boor, A Practical Guide to Splines, 1978)."""
    if model.extrapolation not in ("continue", "error", "periodic", "constant", "linear"):
        raise NoPlan(f"a SplineTransformer extrapolates as {model.extrapolation}")
    if getattr(model, "handle_missing", "error") == "zeros":
        made = retyped(matrix, FLOAT64 if matrix.dtype.kind == "O" else matrix.dtype)
    else:
        made = numbers(matrix, compiler, model)
    dtype = FLOAT32 if made.dtype == FLOAT32 and not model.sparse_output else FLOAT64
    columns: list[Column] = []
    ends = lines = int(model.degree)
    for column, spline in zip(made.columns, model.bsplines_, strict=True):
        if model.extrapolation == "linear" and lines <= 1:
            lines += 1
        values = _splines(model, spline, compiler.number(column), (ends, lines), compiler)
        # scikit-learn raises the degree for the lines of one column, and finds the ends of the next column with it.
        ends = lines
        if dtype == FLOAT32:
            values = compiler.graph.map(MathFunction.ROUND32, values)
        columns.extend(Numeric(value, dtype) for value in (values if model.include_bias else values[:-1]))
    return Matrix(tuple(columns), sparse=bool(model.sparse_output))


def _splines(model: Any, spline: Any, x: Number, degrees: tuple[int, int], compiler: Compiler) -> list[Number]:
    """The splines of one number, beyond the ends as the transformer says; zeros where it is NaN.

    Args:
        model: the transformer.
        spline: SciPy's, of the column.
        x: the number.
        degrees: how many knots lie before the first end, and how many splines go on beyond it.
        compiler: the compiler.
    """
    graph, knots, (degree, some) = compiler.graph, np.asarray(spline.t, dtype=np.float64), degrees
    low, high = float(knots[degree]), float(knots[-degree - 1])
    zeros = graph.constant(np.zeros(spline.c.shape[1]))
    tolerant = getattr(model, "handle_missing", "error") == "zeros"
    if model.extrapolation in ("continue", "error", "periodic"):
        within = x
        if model.extrapolation == "error":
            known = graph.select(
                graph.map(MathFunction.IS_NAN, [x]), graph.constant([1.0]), _inside(x, low, high, compiler)
            )
            graph.refuse(known, Kind.ZERO, "a number is beyond the knots of the SplineTransformer")
        elif model.extrapolation == "periodic":
            within = _wrapped(x, low, high, compiler)
        made = _basis(spline, within, compiler, sparse=bool(model.sparse_output))
        return graph.select(graph.map(MathFunction.IS_NAN, [x]) * len(zeros), zeros, made) if tolerant else made
    if not degree and model.extrapolation == "constant":
        raise NoPlan("a SplineTransformer of degree 0 has no constant to extrapolate with")
    inside = _inside(x, low, high, compiler) * len(zeros)
    made = graph.select(inside, _basis(spline, x, compiler, sparse=bool(model.sparse_output)), zeros)
    for end, function, first in ((low, MathFunction.LT, True), (high, MathFunction.GT, False)):
        beyond = graph.map_const(function, [x], end) * len(zeros)
        linear = model.extrapolation == "linear"
        instead = _extrapolated(spline, x, end, some if first else -some, compiler, linear=linear)
        made = graph.select(beyond, instead, made)
    return made


def _inside(x: Number, low: float, high: float, compiler: Compiler) -> list[Number]:
    graph = compiler.graph
    return graph.map_two(
        MathFunction.MUL, graph.map_const(MathFunction.GE, [x], low), graph.map_const(MathFunction.LE, [x], high)
    )


def _wrapped(x: Number, low: float, high: float, compiler: Compiler) -> Number:
    """The number moved by whole periods to between the first and the last knot."""
    graph = compiler.graph
    if not high - low > 0:
        return graph.constant([0.0])[0]
    shifted = graph.map_const(MathFunction.MOD, graph.map_const(MathFunction.SUB, [x], low), high - low)
    return graph.map_const(MathFunction.ADD, shifted, low)[0]


def _extrapolated(spline: Any, x: Number, end: float, some: int, compiler: Compiler, *, linear: bool) -> list[Number]:
    """The splines beyond one end: what some of them, the last ones if negative, are there, or lines; others are 0."""
    graph = compiler.graph
    heights = np.asarray(spline(end), dtype=np.float64)
    places = list(range(len(heights)))[slice(some, None) if some < 0 else slice(some)]
    out = graph.constant(np.zeros(len(heights)))
    values = graph.constant(heights[places])
    if linear:
        slopes = np.asarray(spline(end, nu=1), dtype=np.float64)[places]
        along = graph.map_const(MathFunction.SUB, [x], end) * len(slopes)
        values = graph.map_const(MathFunction.ADD, graph.map_const(MathFunction.MUL, along, slopes), heights[places])
    for place, value in zip(places, values, strict=True):
        out[place] = value
    return out


def _basis(spline: Any, x: Number, compiler: Compiler, *, sparse: bool) -> list[Number]:
    """What SciPy's BSpline gives for a number: the splines that are not 0 there, times their coefficients, added up."""
    graph, knots, degree = compiler.graph, np.asarray(spline.t, dtype=np.float64), int(spline.k)
    coefficients = np.asarray(spline.c, dtype=np.float64)
    count = len(knots) - degree - 1
    inner, repeats = np.unique(knots[degree + 1 : count], return_counts=True)
    code = graph.search(x, inner, right=True)
    # The last knot that is not above the number, for each code; the last code is that of NaN.
    intervals = [*(degree + np.concatenate([[0], np.cumsum(repeats)])).tolist(), degree]
    weights = _weights(knots, degree, intervals, code, x, compiler)
    out = graph.constant(np.zeros(coefficients.shape[1]))
    for place, weight in enumerate(weights):
        table = np.array([coefficients[interval - degree + place] for interval in intervals])
        table[-1] = np.nan
        factors = graph.lookup(code, table)
        if sparse:
            parts = graph.select(factors, [weight] * len(out), graph.constant(np.zeros(len(out))))
        else:
            parts = graph.map_two(MathFunction.MUL, factors, [weight])
        out = graph.map_two(MathFunction.ADD, out, parts)
    return out


def _weights(
    knots: Any, degree: int, intervals: Sequence[int], code: Any, x: Number, compiler: Compiler
) -> list[Number]:
    """The splines that are not 0 between two knots, by de Boor's recursion in SciPy's order of operations."""
    graph = compiler.graph
    weights = graph.constant([1.0])
    if not degree:
        return weights
    offsets = range(1 - degree, degree + 1)
    near = graph.lookup(code, np.array([[knots[interval + offset] for offset in offsets] for interval in intervals]))
    after = graph.map_two(MathFunction.SUB, near[degree:], [x])
    before = graph.map_two(MathFunction.SUB, [x] * degree, near[:degree])
    for order in range(1, degree + 1):
        spans = np.array(
            [[knots[place + n] - knots[place + n - order] for n in range(1, order + 1)] for place in intervals]
        )
        spans[spans == 0] = np.inf  # between two knots in the same place there is nothing
        shares = graph.map_two(MathFunction.DIV, weights, graph.lookup(code, spans))
        up = graph.map_two(MathFunction.MUL, shares, after[:order])
        down = graph.map_two(MathFunction.MUL, shares, before[degree - order :])
        first = graph.map_const(MathFunction.ADD, up[:1], 0.0)
        weights = [*first, *graph.map_two(MathFunction.ADD, down[:-1], up[1:]), down[-1]]
    return weights
