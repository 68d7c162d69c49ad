"""Linear models: weighted sums of columns, and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answer, answers
from fourfold.plan.compile.arrays import floats, numbers, retyped
from fourfold.plan.compile.columns import FLOAT64, OBJECT, Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import (
    above_zero,
    as_matrix,
    exponentials,
    logarithms,
    pair,
    plus,
    refuse_binary_log_probabilities,
    shares,
    sigmoids,
    single,
    softmax,
)
from fourfold.plan.compile.sums import matrix_product
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__ = ["affine", "label"]


def _named(*names: str) -> tuple[str, ...]:
    return tuple(f"sklearn.{name}" for name in names)


_REGRESSORS = _named(
    "ARDRegression",
    "BayesianRidge",
    "ElasticNet",
    "ElasticNetCV",
    "HuberRegressor",
    "Lars",
    "LarsCV",
    "Lasso",
    "LassoCV",
    "LassoLars",
    "LassoLarsCV",
    "LassoLarsIC",
    "LinearRegression",
    "LinearSVR",
    "MultiTaskElasticNet",
    "MultiTaskElasticNetCV",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "OrthogonalMatchingPursuit",
    "OrthogonalMatchingPursuitCV",
    "PassiveAggressiveRegressor",
    "QuantileRegressor",
    "Ridge",
    "RidgeCV",
    "SGDRegressor",
    "TheilSenRegressor",
)
_GENERALIZED = _named("GammaRegressor", "PoissonRegressor", "TweedieRegressor")
_LOGISTIC = _named("LogisticRegression", "LogisticRegressionCV")
_RIDGE = _named("RidgeClassifier", "RidgeClassifierCV")
_CLASSIFIERS = (*_LOGISTIC, *_RIDGE, *_named("LinearSVC", "PassiveAggressiveClassifier", "Perceptron", "SGDClassifier"))


def affine(
    matrix: Matrix,
    coefficients: Any,
    intercept: Any,
    who: object,
    compiler: Compiler,
    function: MathFunction = MathFunction.ADD,
) -> tuple[list[Number], np.dtype[Any]]:
    """`matrix @ coefficients.T + intercept`, and its dtype.

    Args:
        matrix: columns of numbers.
        coefficients: shape `(columns,)` or `(sums, columns)`, an array or a sparse matrix.
        intercept: a number or one for each sum.
        who: the estimator.
        compiler: of the plan.
        function: what is done with the intercept instead of adding it.
    """
    sparse = hasattr(coefficients, "toarray")
    weights = coefficients.toarray() if sparse else np.asarray(coefficients)
    weights = weights.reshape(1, -1) if weights.ndim == 1 else weights
    sums, dtype = matrix_product(compiler, matrix, weights.T, who, sparse=sparse)
    return plus(compiler, sums, dtype, intercept, function)


def label(values: list[Number], classes: Any, compiler: Compiler) -> Labels:
    """The second of two classes where the only score is above zero; else the class with the highest score."""
    code = above_zero(compiler, values[0]) if len(values) == 1 else compiler.graph.argmax(values)
    return Labels(code, classes)


# Regressors.


@answers("predict", *_REGRESSORS)
def regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`X @ coef + intercept`."""
    made = numbers(matrix, compiler, model)
    return as_matrix(*affine(made, model.coef_, model.intercept_, model, compiler))


@answers("predict", *_GENERALIZED)
def generalized_regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`exp(X @ coef + intercept)`, or the sum itself where the link is the identity."""
    made = floats(matrix, compiler, model)
    values, dtype = affine(made, model.coef_, model.intercept_, model, compiler)
    link = type(model._base_loss.link).__name__  # noqa: SLF001 - what a fitted model computes with
    if link == "LogLink":
        values = exponentials(compiler, values, dtype)
    elif link != "IdentityLink":
        raise NoPlan(f"a {type(model).__name__} has the link {link}")
    return as_matrix(values, dtype)


@answers("predict", "sklearn.RANSACRegressor")
def ransac_regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
    """What the estimator says that was fitted to the inliers."""
    made = retyped(matrix, FLOAT64 if matrix.dtype == OBJECT else matrix.dtype)
    return answer(model.estimator_, "predict", made, compiler)


# Classifiers.


def _scores(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[list[Number], np.dtype[Any]]:
    made = numbers(matrix, compiler, model)
    return affine(made, model.coef_, model.intercept_, model, compiler)


@answers("decision_function", *_CLASSIFIERS)
def decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`X @ coef + intercept`."""
    return as_matrix(*_scores(model, matrix, compiler))


@answers("predict", *_CLASSIFIERS)
def classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | list[Labels]:
    """The class with the highest score, or of several labels all whose score is above zero."""
    values, _ = _scores(model, matrix, compiler)
    binarizer = getattr(model, "_label_binarizer", None)
    if binarizer is not None and binarizer.y_type_.startswith("multilabel"):
        return [Labels(above_zero(compiler, value), [0, 1]) for value in values]
    return label(values, model.classes_, compiler)


@answers("predict_proba", *_LOGISTIC)
def logistic_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The sigmoid of the only score, or the softmax of several."""
    return as_matrix(*_logistic(model, matrix, compiler))


@answers("predict_log_proba", *_LOGISTIC)
def logistic_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Logarithms of the probabilities."""
    refuse_binary_log_probabilities(len(model.classes_))
    values, dtype = _logistic(model, matrix, compiler)
    return as_matrix(logarithms(compiler, values, dtype), dtype)


def _logistic(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[list[Number], np.dtype[Any]]:
    values, dtype = _scores(model, matrix, compiler)
    if len(model.classes_) > 2:
        return softmax(compiler, values, dtype), dtype
    return pair(compiler, sigmoids(compiler, values, dtype)[0], dtype), dtype


@answers("predict_proba", "sklearn.SGDClassifier")
def sgd_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Probabilities of one class against all others, made to add up to one."""
    return as_matrix(*_sgd(model, matrix, compiler))


@answers("predict_log_proba", "sklearn.SGDClassifier")
def sgd_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Logarithms of the probabilities."""
    if model.loss == "log_loss":
        refuse_binary_log_probabilities(len(model.classes_))
    values, dtype = _sgd(model, matrix, compiler)
    return as_matrix(logarithms(compiler, values, dtype), dtype)


def _sgd(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[list[Number], np.dtype[Any]]:
    graph = compiler.graph
    values, dtype = _scores(model, matrix, compiler)
    if model.loss == "log_loss":
        values = sigmoids(compiler, values, dtype)
    elif model.loss == "modified_huber":
        if len(model.classes_) == 2:
            dtype = FLOAT64  # they are written into an array of float64
        values = graph.map_const(MathFunction.MIN, graph.map_const(MathFunction.MAX, values, -1.0), 1.0)
        values = single(compiler, graph.map_const(MathFunction.ADD, values, 1.0), dtype)
        values = graph.map_const(MathFunction.DIV, values, 2.0)
    else:
        raise NoPlan(f"a SGDClassifier with the loss {model.loss} has no probabilities")
    if len(model.classes_) == 2:
        return pair(compiler, values[0], dtype), dtype
    return shares(compiler, values, dtype), dtype


# One class.


@answers("decision_function", "sklearn.SGDOneClassSVM")
def one_class_decision(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`X @ coef - offset`."""
    return as_matrix(*_one_class(model, matrix, compiler))


@answers("score_samples", "sklearn.SGDOneClassSVM")
def one_class_scores(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The decision function plus the offset again."""
    values, dtype = _one_class(model, matrix, compiler)
    return as_matrix(*plus(compiler, values, dtype, model.offset_))


@answers("predict", "sklearn.SGDOneClassSVM")
def one_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """1 where the decision function is not below zero, else -1."""
    values, _ = _one_class(model, matrix, compiler)
    return Labels(above_zero(compiler, values[0], or_zero=True), [-1, 1])


def _one_class(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[list[Number], np.dtype[Any]]:
    made = numbers(matrix, compiler, model)
    return affine(made, model.coef_, model.offset_, model, compiler, MathFunction.SUB)
