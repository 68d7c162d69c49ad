"""Compile scikit-learn's feature selection, polynomial features and splines.

Sources: `sklearn.feature_selection`; `PolynomialFeatures` and `SplineTransformer` of
`sklearn.preprocessing._polynomial`. Selections are exact; products and splines follow the order of operations of
scikit-learn and SciPy, so they are, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np

from fourfold.plan.compile import answer, answers, transforms
from fourfold.plan.compile.arrays import check_any_dtype, floats, multiply, numbers, with_dtype
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Column, Compiler, Matrix, NoPlan, Numeric
from fourfold.plan.compile.rules.compose import apply_transformer, output_library
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []


# Selection.


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
    """Return `SelectorMixin.transform`: the selected columns.

    All columns are validated first, so a NaN or an infinity in a column that is not selected refuses the row, too.
    """
    support = np.flatnonzero(model.get_support())
    if output_library(model) and matrix.frame and not matrix.polars:
        return matrix.take(support)
    # Where NaN passes, scikit-learn does not look for infinities (`ensure_all_finite=False`).
    allow_nan = bool(model.__sklearn_tags__().input_tags.allow_nan)
    return check_any_dtype(matrix, compiler, model, nan=allow_nan, infinite=allow_nan).take(support)


def _elimination_answer(method: str) -> Any:
    """Return a rule for a method of `RFE`: that of its estimator on the selected columns."""

    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        return answer(model.estimator_, method, apply_transformer(model, matrix, compiler), compiler)

    return rule


for _method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
    answers(_method, "sklearn.RFE", "sklearn.RFECV")(_elimination_answer(_method))


# Polynomial features.


@transforms("sklearn.PolynomialFeatures")
def polynomial_features(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `PolynomialFeatures.transform`: the products of columns with the degrees that it asks for."""
    inputs = floats(matrix, compiler, model)
    low, high = int(model._min_degree), int(model._max_degree)  # noqa: SLF001 - no public attribute has them
    ones = [Numeric(compiler.graph.constant([1.0])[0], inputs.dtype, finite=True)] if model.include_bias else []
    columns: list[Column] = [*ones]
    for degree, products in enumerate(_products_by_degree(model, inputs, high, compiler), start=1):
        if degree >= low:
            columns.extend(products)
    return Matrix(tuple(columns), sparse=inputs.sparse)


def _products_by_degree(model: Any, matrix: Matrix, highest: int, compiler: Compiler) -> list[list[Column]]:
    """Return the products of each degree from 1 on, in scikit-learn's order of columns and multiplications.

    An array multiplies the product of the last factors by the first factor, a sparse matrix that of the first factors
    by the last.
    """
    features = list(matrix.columns)
    interaction_only = bool(model.interaction_only)
    choices = combinations if interaction_only else combinations_with_replacement
    by_degree: list[list[Column]] = [features] if highest else []
    previous: dict[tuple[int, ...], Column] = {(index,): column for index, column in enumerate(features)}
    for degree in range(2, highest + 1):
        factors = list(choices(range(len(features)), degree))
        if matrix.sparse:
            left, right = (
                [previous[indices[:-1]] for indices in factors],
                [features[indices[-1]] for indices in factors],
            )
        else:
            left, right = [previous[indices[1:]] for indices in factors], [features[indices[0]] for indices in factors]
        products = multiply(left, right, matrix.dtype, compiler, sparse=matrix.sparse)
        previous = dict(zip(factors, products, strict=True))
        by_degree.append(list(products))
    return by_degree


# Splines.


@transforms("sklearn.SplineTransformer")
def spline_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SplineTransformer.transform`: the B-splines of each column (de Boor, A Practical Guide to Splines, 1978).

    Raises:
        NoPlan: the extrapolation has no rule.
    """
    if model.extrapolation not in ("continue", "error", "periodic", "constant", "linear"):
        raise NoPlan(f"a SplineTransformer extrapolates as {model.extrapolation}")
    if getattr(model, "handle_missing", "error") == "zeros":
        inputs = with_dtype(matrix, FLOAT64 if matrix.dtype.kind == "O" else matrix.dtype)
    else:
        inputs = numbers(matrix, compiler, model)
    dtype = FLOAT32 if inputs.dtype == FLOAT32 and not model.sparse_output else FLOAT64
    columns: list[Column] = []
    end_degree = degree = int(model.degree)
    for column, spline in zip(inputs.columns, model.bsplines_, strict=True):
        if model.extrapolation == "linear" and degree <= 1:
            degree += 1
        values = _splines(model, spline, compiler.number(column), (end_degree, degree), compiler)
        # For linear extrapolation scikit-learn raises the degree in the first column's turn, after it found the ends
        # of the column's knots; those of the next columns it finds with the raised degree.
        end_degree = degree
        if dtype == FLOAT32:
            values = compiler.graph.map(MathFunction.ROUND32, values)
        columns.extend(Numeric(value, dtype) for value in (values if model.include_bias else values[:-1]))
    return Matrix(tuple(columns), sparse=bool(model.sparse_output))


def _splines(model: Any, spline: Any, x: Number, degrees: tuple[int, int], compiler: Compiler) -> list[Number]:
    """Return the splines of one number, extrapolated as the transformer does; zeros for NaN where that is allowed.

    Args:
        model: the transformer.
        spline: SciPy's `BSpline` of the column.
        x: the number.
        degrees: the number of knots before the first end, and of splines that are not 0 beyond an end.
        compiler: the plan's compiler.

    Raises:
        NoPlan: splines of degree 0 are extrapolated by constants.
    """
    graph, knots, (degree, n_extrapolated) = compiler.graph, np.asarray(spline.t, dtype=np.float64), degrees
    low, high = float(knots[degree]), float(knots[-degree - 1])
    zeros = graph.constant(np.zeros(spline.c.shape[1]))
    allows_nan = getattr(model, "handle_missing", "error") == "zeros"
    if model.extrapolation in ("continue", "error", "periodic"):
        argument = x
        if model.extrapolation == "error":
            is_valid = graph.select(
                graph.map(MathFunction.IS_NAN, [x]), graph.constant([1.0]), _is_inside(x, low, high, compiler)
            )
            graph.refuse(is_valid, Kind.ZERO, "a number is beyond the knots of the SplineTransformer")
        elif model.extrapolation == "periodic":
            argument = _wrap_periodically(x, low, high, compiler)
        values = _basis(spline, argument, compiler, sparse=bool(model.sparse_output))
        return graph.select(graph.map(MathFunction.IS_NAN, [x]) * len(zeros), zeros, values) if allows_nan else values
    if not degree and model.extrapolation == "constant":
        raise NoPlan("a SplineTransformer of degree 0 has no constant to extrapolate with")
    inside = _is_inside(x, low, high, compiler) * len(zeros)
    values = graph.select(inside, _basis(spline, x, compiler, sparse=bool(model.sparse_output)), zeros)
    for end, function, is_low in ((low, MathFunction.LT, True), (high, MathFunction.GT, False)):
        is_beyond = graph.map_const(function, [x], end) * len(zeros)
        linear = model.extrapolation == "linear"
        extrapolated = _extrapolate(
            spline, x, end, n_extrapolated if is_low else -n_extrapolated, compiler, linear=linear
        )
        values = graph.select(is_beyond, extrapolated, values)
    return values


def _is_inside(x: Number, low: float, high: float, compiler: Compiler) -> list[Number]:
    """Return 1 where a number is between the ends, or at one, else 0."""
    graph = compiler.graph
    return graph.map_two(
        MathFunction.MUL, graph.map_const(MathFunction.GE, [x], low), graph.map_const(MathFunction.LE, [x], high)
    )


def _wrap_periodically(x: Number, low: float, high: float, compiler: Compiler) -> Number:
    """Return `low + (x - low) % (high - low)`; 0 without a period."""
    graph = compiler.graph
    if not high - low > 0:
        return graph.constant([0.0])[0]
    shifted = graph.map_const(MathFunction.MOD, graph.map_const(MathFunction.SUB, [x], low), high - low)
    return graph.map_const(MathFunction.ADD, shifted, low)[0]


def _extrapolate(
    spline: Any, x: Number, end: float, n_extrapolated: int, compiler: Compiler, *, linear: bool
) -> list[Number]:
    """Return the splines beyond an end.

    Args:
        spline: SciPy's `BSpline`.
        x: the number.
        end: the end.
        n_extrapolated: how many splines, the last ones if negative, go on; all others are 0.
        compiler: the plan's compiler.
        linear: whether they go on as lines by their slope at the end, or as constants.
    """
    graph = compiler.graph
    heights = np.asarray(spline(end), dtype=np.float64)
    indices = list(range(len(heights)))[slice(n_extrapolated, None) if n_extrapolated < 0 else slice(n_extrapolated)]
    values = graph.constant(np.zeros(len(heights)))
    extrapolated = graph.constant(heights[indices])
    if linear:
        slopes = np.asarray(spline(end, nu=1), dtype=np.float64)[indices]
        offsets = graph.map_const(MathFunction.SUB, [x], end) * len(slopes)
        extrapolated = graph.map_const(
            MathFunction.ADD, graph.map_const(MathFunction.MUL, offsets, slopes), heights[indices]
        )
    for index, value in zip(indices, extrapolated, strict=True):
        values[index] = value
    return values


def _basis(spline: Any, x: Number, compiler: Compiler, *, sparse: bool) -> list[Number]:
    """Return `BSpline.__call__` of a number: basis functions times coefficients, added from 0 on.

    Only the `degree + 1` functions that are not 0 at the number are added. A sparse answer (`sparse_output`) takes the
    functions themselves.
    """
    graph, knots, degree = compiler.graph, np.asarray(spline.t, dtype=np.float64), int(spline.k)
    coefficients = np.asarray(spline.c, dtype=np.float64)
    n_basis = len(knots) - degree - 1
    inner, counts = np.unique(knots[degree + 1 : n_basis], return_counts=True)
    code = graph.search(x, inner, right=True)
    # For each code the index of the last knot that is not above the number. The last code stands for NaN.
    intervals = [*(degree + np.concatenate([[0], np.cumsum(counts)])).tolist(), degree]
    weights = _weights(knots, degree, intervals, code, x, compiler)
    sums = graph.constant(np.zeros(coefficients.shape[1]))
    for index, weight in enumerate(weights):
        table = np.array([coefficients[interval - degree + index] for interval in intervals])
        table[-1] = np.nan
        factors = graph.lookup(code, table)
        if sparse:
            terms = graph.select(factors, [weight] * len(sums), graph.constant(np.zeros(len(sums))))
        else:
            terms = graph.map_two(MathFunction.MUL, factors, [weight])
        sums = graph.map_two(MathFunction.ADD, sums, terms)
    return sums


def _weights(
    knots: Any, degree: int, intervals: Sequence[int], code: Any, x: Number, compiler: Compiler
) -> list[Number]:
    """Return the `degree + 1` basis functions that are not 0 between two knots.

    It is de Boor's recursion, in the order of operations of SciPy's `_deBoor_D`.
    """
    graph = compiler.graph
    weights = graph.constant([1.0])
    if not degree:
        return weights
    offsets = range(1 - degree, degree + 1)
    nearby_knots = graph.lookup(
        code, np.array([[knots[interval + offset] for offset in offsets] for interval in intervals])
    )
    to_right = graph.map_two(MathFunction.SUB, nearby_knots[degree:], [x])
    to_left = graph.map_two(MathFunction.SUB, [x] * degree, nearby_knots[:degree])
    for order in range(1, degree + 1):
        spans = np.array(
            [[knots[interval + n] - knots[interval + n - order] for n in range(1, order + 1)] for interval in intervals]
        )
        spans[spans == 0] = np.inf  # a span of two equal knots contributes nothing
        ratios = graph.map_two(MathFunction.DIV, weights, graph.lookup(code, spans))
        rising = graph.map_two(MathFunction.MUL, ratios, to_right[:order])
        falling = graph.map_two(MathFunction.MUL, ratios, to_left[degree - order :])
        first = graph.map_const(MathFunction.ADD, rising[:1], 0.0)
        weights = [*first, *graph.map_two(MathFunction.ADD, falling[:-1], rising[1:]), falling[-1]]
    return weights
