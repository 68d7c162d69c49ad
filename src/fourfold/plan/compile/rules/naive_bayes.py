"""Compile scikit-learn's naive Bayes classifiers (`sklearn.naive_bayes`).

The log-likelihood of a class is a sum over the columns, so a BLAS or the layout of memory may order it. The labels of
CategoricalNB are exact; probabilities depend on NumPy's `exp` and `log`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.arrays import numbers, with_dtype
from fourfold.plan.compile.columns import FLOAT64, OBJECT, Coded, Column, Compiler, Matrix, Numeric, elementary
from fourfold.plan.compile.scores import add_constants, as_matrix, exponentials, log_sum_exp, round_numbers
from fourfold.plan.compile.sums import matrix_product, round_to_dtype, weighted_sums
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

Values = tuple[list[Number], np.dtype[Any]]

#: Below this many numbers, `numpy.sum` has one order, whatever the layout in memory.
_MIN_PAIRWISE = 8


def _likelihoods(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Return `_joint_log_likelihood`: `log P(class) + log P(row | class)` for each class, up to a constant."""
    return _RULES[type(model).__name__](model, matrix, compiler)


def _gaussian(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Return `GaussianNB._joint_log_likelihood`.

    It is `-0.5 * sum(log(2 * pi * var)) - 0.5 * sum((x - theta)² / var) + log(prior)` for each class.
    """
    inputs = numbers(matrix, compiler, model)
    if len(inputs) >= _MIN_PAIRWISE:
        compiler.approximate("the layout of memory orders the sums of the GaussianNB")
    dtype = np.dtype(np.result_type(inputs.dtype, model.theta_, model.var_, model.class_prior_))
    likelihoods: list[Number] = []
    for prior, means, variances in zip(model.class_prior_, model.theta_, model.var_, strict=True):
        total = [_distance(inputs, means, variances, dtype, compiler)]
        half_distance = round_numbers(compiler, compiler.graph.map_const(MathFunction.MUL, total, 0.5), dtype)
        log_normaliser = -0.5 * np.sum(np.log(2.0 * np.pi * variances))
        density, _ = add_constants(compiler, half_distance, dtype, log_normaliser, MathFunction.RSUB)
        likelihoods += add_constants(compiler, density, dtype, np.log(prior))[0]
    return likelihoods, dtype


def _distance(matrix: Matrix, means: Any, variances: Any, dtype: np.dtype[Any], compiler: Compiler) -> Number:
    """Return `sum((x - mean)² / variance)` over the columns."""
    differences = compiler.map(MathFunction.SUB, matrix.columns, means, dtype=dtype)
    terms = compiler.map(MathFunction.DIV, _square_columns(differences, dtype, compiler), variances, dtype=dtype)
    if len(terms) >= _MIN_PAIRWISE:
        return round_numbers(compiler, weighted_sums(compiler, terms, np.ones((len(terms), 1))), dtype)[0]
    total, *terms_after = ([value] for value in compiler.numbers(terms))
    for term in terms_after:
        total = round_numbers(compiler, compiler.graph.map_two(MathFunction.ADD, total, term), dtype)
    return total[0]


def _square_columns(columns: tuple[Column, ...], dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
    """Return the squares of columns."""
    squared = list(columns)
    indices = [index for index, column in enumerate(columns) if isinstance(column, Numeric)]
    values = compiler.numbers([columns[index] for index in indices])
    squares = round_numbers(compiler, compiler.graph.map_two(MathFunction.MUL, values, values), dtype)
    for index, value in zip(indices, squares, strict=True):
        squared[index] = Numeric(value, dtype)
    for index, column in enumerate(columns):
        if isinstance(column, Coded):
            levels = round_to_dtype(elementary(MathFunction.MUL, column.levels, column.levels), dtype)
            squared[index] = Coded(column.code, levels=levels, hot_code=column.hot_code, dtype=dtype)
    return tuple(squared)


def _multinomial(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Return `_joint_log_likelihood` of MultinomialNB and ComplementNB: `X @ feature_log_prob_.T + class_log_prior_`.

    ComplementNB adds the priors only where there is one class.
    """
    inputs = numbers(matrix, compiler, model)
    sums, dtype = matrix_product(compiler, inputs, model.feature_log_prob_.T, model)
    if type(model).__name__ == "ComplementNB" and len(model.classes_) > 1:
        return sums, dtype
    return add_constants(compiler, sums, dtype, model.class_log_prior_)


def _bernoulli(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Return `BernoulliNB._joint_log_likelihood`.

    With `absent = log(1 - exp(feature_log_prob_))` it is
    `X @ (feature_log_prob_ - absent).T + class_log_prior_ + sum(absent)`; `X` is made binary first if `binarize` is
    given.
    """
    inputs = numbers(matrix, compiler, model)
    if model.binarize is not None:
        threshold = np.result_type(inputs.dtype, model.binarize).type(model.binarize)
        binary = compiler.map(MathFunction.GT, inputs.columns, float(threshold), dtype=inputs.dtype, finite=True)
        inputs = Matrix(binary, sparse=inputs.sparse)
    absent = np.log(1 - np.exp(model.feature_log_prob_))
    sums, dtype = matrix_product(compiler, inputs, (model.feature_log_prob_ - absent).T, model)
    return add_constants(compiler, sums, dtype, model.class_log_prior_ + absent.sum(axis=1))


def _categorical(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Return `CategoricalNB._joint_log_likelihood`: a table's entry for each column, added from 0 on, plus the prior.

    Categories are truncated to integers. A row with a category that training did not have is refused.
    """
    graph = compiler.graph
    inputs = with_dtype(matrix, FLOAT64 if matrix.dtype == OBJECT else matrix.dtype)
    entries = []
    for column, table in zip(inputs.columns, model.feature_log_prob_, strict=True):
        n_categories = table.shape[1]
        if isinstance(column, Coded):
            code, values = column.code, elementary(MathFunction.TRUNC, column.values)
        else:
            (truncated,) = graph.map(MathFunction.TRUNC, [compiler.number(column)])
            code, values = (
                graph.match(truncated, np.arange(n_categories)),
                np.array([*range(n_categories), np.nan, np.nan]),
            )
        is_known = (values >= 0) & (values < n_categories)
        reason = "a category that the CategoricalNB was not trained with, or is negative or no number"
        graph.refuse(graph.lookup(code, is_known.astype(np.float64)), Kind.ZERO, reason)
        entries.append(graph.lookup(code, table.T[np.where(is_known, values, 0).astype(np.int64)]))
    start = graph.constant(np.zeros(len(model.class_log_prior_)))
    sums = [graph.fold(MathFunction.SUM, class_entries) for class_entries in zip(start, *entries, strict=True)]
    return add_constants(compiler, sums, FLOAT64, model.class_log_prior_)


_RULES = {
    "BernoulliNB": _bernoulli,
    "CategoricalNB": _categorical,
    "ComplementNB": _multinomial,
    "GaussianNB": _gaussian,
    "MultinomialNB": _multinomial,
}
_NAMES = tuple(f"sklearn.{name}" for name in _RULES)


@answers("predict", *_NAMES)
def classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `predict`: the class of the highest likelihood."""
    return Labels(compiler.graph.argmax(_likelihoods(model, matrix, compiler)[0]), model.classes_)


@answers("predict_log_proba", *_NAMES)
def log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `predict_log_proba`: the likelihoods minus their `logsumexp`."""
    return as_matrix(*_normalise(_likelihoods(model, matrix, compiler), compiler))


@answers("predict_proba", *_NAMES)
def proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `predict_proba`: `numpy.exp` of `predict_log_proba`."""
    values, dtype = _normalise(_likelihoods(model, matrix, compiler), compiler)
    return as_matrix(exponentials(compiler, values, dtype), dtype)


def _normalise(likelihoods: Values, compiler: Compiler) -> Values:
    """Return `x - logsumexp(x)`."""
    values, dtype = likelihoods
    total = [log_sum_exp(compiler, values, dtype)]
    return round_numbers(compiler, compiler.graph.map_two(MathFunction.SUB, values, total), dtype), dtype
