"""Naive Bayes: what each column says of each class, added up."""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.arrays import numbers, retyped
from fourfold.plan.compile.columns import FLOAT64, OBJECT, Coded, Column, Compiler, Matrix, Numeric, elementary
from fourfold.plan.compile.scores import as_matrix, exponentials, log_sum_exp, plus, single
from fourfold.plan.compile.sums import matrix_product, rounded, weighted_sums
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

Values = tuple[list[Number], np.dtype[Any]]

#: Sums of fewer numbers have one order, whatever their layout in memory.
_ONE_ORDER = 8


def _likelihoods(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """The logarithm of each class's prior probability times that of the row, up to what is the same for all."""
    return _RULES[type(model).__name__](model, matrix, compiler)


def _gaussian(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """The logarithms of normal densities."""
    made = numbers(matrix, compiler, model)
    if len(made) >= _ONE_ORDER:
        compiler.approximate("the layout of memory orders the sums of the GaussianNB")
    dtype = np.dtype(np.result_type(made.dtype, model.theta_, model.var_, model.class_prior_))
    out: list[Number] = []
    for prior, means, variances in zip(model.class_prior_, model.theta_, model.var_, strict=True):
        total = [_distance(made, means, variances, dtype, compiler)]
        half = single(compiler, compiler.graph.map_const(MathFunction.MUL, total, 0.5), dtype)
        normal = -0.5 * np.sum(np.log(2.0 * np.pi * variances))
        density, _ = plus(compiler, half, dtype, normal, MathFunction.RSUB)
        out += plus(compiler, density, dtype, np.log(prior))[0]
    return out, dtype


def _distance(matrix: Matrix, means: Any, variances: Any, dtype: np.dtype[Any], compiler: Compiler) -> Number:
    """The sum of the squares of what is between columns and their means, each divided by its variance."""
    gaps = compiler.map(MathFunction.SUB, matrix.columns, means, dtype=dtype)
    terms = compiler.map(MathFunction.DIV, _squared(gaps, dtype, compiler), variances, dtype=dtype)
    if len(terms) >= _ONE_ORDER:
        return single(compiler, weighted_sums(compiler, terms, np.ones((len(terms), 1))), dtype)[0]
    first, *others = ([value] for value in compiler.numbers(terms))
    for other in others:
        first = single(compiler, compiler.graph.map_two(MathFunction.ADD, first, other), dtype)
    return first[0]


def _squared(made: tuple[Column, ...], dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
    out = list(made)
    places = [place for place, column in enumerate(made) if isinstance(column, Numeric)]
    values = compiler.numbers([made[place] for place in places])
    squares = single(compiler, compiler.graph.map_two(MathFunction.MUL, values, values), dtype)
    for place, value in zip(places, squares, strict=True):
        out[place] = Numeric(value, dtype)
    for place, column in enumerate(made):
        if isinstance(column, Coded):
            levels = rounded(elementary(MathFunction.MUL, column.levels, column.levels), dtype)
            out[place] = Coded(column.code, levels=levels, hot_code=column.hot_code, dtype=dtype)
    return tuple(out)


def _counted(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Weighted counts; the complement's weights hold the priors already, but where there is one class only."""
    made = numbers(matrix, compiler, model)
    sums, dtype = matrix_product(compiler, made, model.feature_log_prob_.T, model)
    if type(model).__name__ == "ComplementNB" and len(model.classes_) > 1:
        return sums, dtype
    return plus(compiler, sums, dtype, model.class_log_prior_)


def _bernoulli(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Weights of what is there, and one number for all that is not."""
    made = numbers(matrix, compiler, model)
    if model.binarize is not None:
        threshold = np.result_type(made.dtype, model.binarize).type(model.binarize)
        binary = compiler.map(MathFunction.GT, made.columns, float(threshold), dtype=made.dtype, finite=True)
        made = Matrix(binary, sparse=made.sparse)
    absent = np.log(1 - np.exp(model.feature_log_prob_))
    sums, dtype = matrix_product(compiler, made, (model.feature_log_prob_ - absent).T, model)
    return plus(compiler, sums, dtype, model.class_log_prior_ + absent.sum(axis=1))


def _categorical(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """What a table of each column says of its category, a whole number; what has a fraction loses it."""
    graph = compiler.graph
    made = retyped(matrix, FLOAT64 if matrix.dtype == OBJECT else matrix.dtype)
    found = []
    for column, table in zip(made.columns, model.feature_log_prob_, strict=True):
        count = table.shape[1]
        if isinstance(column, Coded):
            code, values = column.code, elementary(MathFunction.TRUNC, column.values)
        else:
            (whole,) = graph.map(MathFunction.TRUNC, [compiler.number(column)])
            code, values = graph.match(whole, np.arange(count)), np.array([*range(count), np.nan, np.nan])
        known = (values >= 0) & (values < count)
        why = "a category that the CategoricalNB was not trained with, or is negative or no number"
        graph.refuse(graph.lookup(code, known.astype(np.float64)), Kind.ZERO, why)
        found.append(graph.lookup(code, table.T[np.where(known, values, 0).astype(np.int64)]))
    start = graph.constant(np.zeros(len(model.class_log_prior_)))
    sums = [graph.fold(MathFunction.SUM, mine) for mine in zip(start, *found, strict=True)]
    return plus(compiler, sums, FLOAT64, model.class_log_prior_)


_RULES = {
    "BernoulliNB": _bernoulli,
    "CategoricalNB": _categorical,
    "ComplementNB": _counted,
    "GaussianNB": _gaussian,
    "MultinomialNB": _counted,
}
_NAMES = tuple(f"sklearn.{name}" for name in _RULES)


@answers("predict", *_NAMES)
def classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class with the highest likelihood."""
    return Labels(compiler.graph.argmax(_likelihoods(model, matrix, compiler)[0]), model.classes_)


@answers("predict_log_proba", *_NAMES)
def log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The likelihoods minus the logarithm of the sum of their exponentials."""
    return as_matrix(*_normalised(_likelihoods(model, matrix, compiler), compiler))


@answers("predict_proba", *_NAMES)
def proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The exponentials of that."""
    values, dtype = _normalised(_likelihoods(model, matrix, compiler), compiler)
    return as_matrix(exponentials(compiler, values, dtype), dtype)


def _normalised(likelihoods: Values, compiler: Compiler) -> Values:
    """`x - logsumexp(x)`."""
    values, dtype = likelihoods
    total = [log_sum_exp(compiler, values, dtype)]
    return single(compiler, compiler.graph.map_two(MathFunction.SUB, values, total), dtype), dtype
