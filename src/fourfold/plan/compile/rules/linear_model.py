"""Compile scikit-learn's linear models (`sklearn.linear_model`, `LinearSVC` and `LinearSVR`): `X @ coef + intercept`.

A BLAS orders the sums of an array, so scores are close and not exact, except with a single column. A sparse matrix is
summed by SciPy in the order of the columns, which is exact where the compiler does not fuse products and sums (x86).
Links depend on NumPy or SciPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answer, answers
from fourfold.plan.compile.arrays import floats, numbers, with_dtype
from fourfold.plan.compile.columns import FLOAT64, OBJECT, Compiler, Matrix, NoPlan
from fourfold.plan.compile.library_class import library_class
from fourfold.plan.compile.scores import (
    above_zero,
    add_constants,
    as_matrix,
    binary_probabilities,
    exponentials,
    logarithms,
    round_numbers,
    shares,
    sigmoids,
    softmax,
    warn_of_binary_logarithms,
)
from fourfold.plan.compile.sums import matrix_product
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__ = ["affine", "label"]


def _sklearn_names(*names: str) -> tuple[str, ...]:
    """Return the names with their library."""
    return tuple(f"sklearn.{name}" for name in names)


_REGRESSORS = _sklearn_names(
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
_GENERALIZED = _sklearn_names("GammaRegressor", "PoissonRegressor", "TweedieRegressor")
_LOGISTIC = _sklearn_names("LogisticRegression", "LogisticRegressionCV")
_RIDGE = _sklearn_names("RidgeClassifier", "RidgeClassifierCV")
_CLASSIFIERS = (
    *_LOGISTIC,
    *_RIDGE,
    *_sklearn_names("LinearSVC", "PassiveAggressiveClassifier", "Perceptron", "SGDClassifier"),
)


def affine(
    matrix: Matrix,
    coefficients: Any,
    intercept: Any,
    who: object,
    compiler: Compiler,
    function: MathFunction = MathFunction.ADD,
) -> tuple[list[Number], np.dtype[Any]]:
    """Return `matrix @ coefficients.T + intercept`, and its dtype.

    Args:
        matrix: columns of numbers.
        coefficients: shape `(columns,)` or `(sums, columns)`, an array or a sparse matrix.
        intercept: a number, or one for each sum.
        who: the estimator, which the reason for other bits names.
        compiler: the plan's compiler.
        function: the operation with the intercept, instead of adding it.
    """
    sparse = hasattr(coefficients, "toarray")
    weights = coefficients.toarray() if sparse else np.asarray(coefficients)
    weights = weights.reshape(1, -1) if weights.ndim == 1 else weights
    sums, dtype = matrix_product(compiler, matrix, weights.T, who, sparse=sparse)
    return add_constants(compiler, sums, dtype, intercept, function)


def label(values: list[Number], classes: Any, compiler: Compiler) -> Labels:
    """Return the class of the highest score; of a single score the second class where it is above 0."""
    code = above_zero(compiler, values[0]) if len(values) == 1 else compiler.graph.argmax(values)
    return Labels(code, classes)


# Regressors.


@answers("predict", *_REGRESSORS)
def regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `LinearModel.predict`: `X @ coef_ + intercept_`."""
    inputs = numbers(matrix, compiler, model)
    return as_matrix(*affine(inputs, model.coef_, model.intercept_, model, compiler))


@answers("predict", *_GENERALIZED)
def generalized_regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `_GeneralizedLinearRegressor.predict`: the inverse link of `X @ coef_ + intercept_`, `exp` or nothing.

    Raises:
        NoPlan: the link has no rule.
    """
    inputs = floats(matrix, compiler, model)
    values, dtype = affine(inputs, model.coef_, model.intercept_, model, compiler)
    link = library_class(model._base_loss.link)  # noqa: SLF001 - what a fitted model computes with
    if link == "sklearn.LogLink":
        values = exponentials(compiler, values, dtype)
    elif link != "sklearn.IdentityLink":
        raise NoPlan(f"a {type(model).__name__} has the link {link}")
    return as_matrix(values, dtype)


@answers("predict", "sklearn.RANSACRegressor")
def ransac_regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
    """Return `RANSACRegressor.predict`: that of the estimator that was fitted to the inliers."""
    inputs = with_dtype(matrix, FLOAT64 if matrix.dtype == OBJECT else matrix.dtype)
    return answer(model.estimator_, "predict", inputs, compiler)


# Classifiers.


def _scores(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[list[Number], np.dtype[Any]]:
    """Return `LinearClassifierMixin.decision_function`, and its dtype."""
    inputs = numbers(matrix, compiler, model)
    return affine(inputs, model.coef_, model.intercept_, model, compiler)


@answers("decision_function", *_CLASSIFIERS)
def decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `decision_function` of classifiers: `X @ coef_.T + intercept_`."""
    return as_matrix(*_scores(model, matrix, compiler))


@answers("predict", *_CLASSIFIERS)
def classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | list[Labels]:
    """Return `predict` of classifiers: the class of the highest score.

    A RidgeClassifier of several labels a row answers 1 for each label whose score is above 0.
    """
    values, _ = _scores(model, matrix, compiler)
    binarizer = getattr(model, "_label_binarizer", None)
    if binarizer is not None and binarizer.y_type_.startswith("multilabel"):
        return [Labels(above_zero(compiler, value), [0, 1]) for value in values]
    return label(values, model.classes_, compiler)


@answers("predict_proba", *_LOGISTIC)
def logistic_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `LogisticRegression.predict_proba`: `expit` of the only score, or the softmax of several."""
    return as_matrix(*_logistic_probabilities(model, matrix, compiler))


@answers("predict_log_proba", *_LOGISTIC)
def logistic_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `LogisticRegression.predict_log_proba`: `numpy.log` of the probabilities."""
    warn_of_binary_logarithms(len(model.classes_), compiler)
    values, dtype = _logistic_probabilities(model, matrix, compiler, in_steps=True)
    return as_matrix(logarithms(compiler, values, dtype), dtype)


def _logistic_probabilities(
    model: Any, matrix: Matrix, compiler: Compiler, *, in_steps: bool = False
) -> tuple[list[Number], np.dtype[Any]]:
    """Return the probabilities of a logistic regression, and their dtype."""
    values, dtype = _scores(model, matrix, compiler)
    if len(model.classes_) > 2:
        return softmax(compiler, values, dtype), dtype
    return binary_probabilities(compiler, sigmoids(compiler, values, dtype, in_steps=in_steps)[0], dtype), dtype


@answers("predict_proba", "sklearn.SGDClassifier")
def sgd_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SGDClassifier.predict_proba`: one class against all others, divided by their sum."""
    return as_matrix(*_sgd_probabilities(model, matrix, compiler))


@answers("predict_log_proba", "sklearn.SGDClassifier")
def sgd_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SGDClassifier.predict_log_proba`: `numpy.log` of the probabilities."""
    if model.loss == "log_loss":
        warn_of_binary_logarithms(len(model.classes_), compiler)
    values, dtype = _sgd_probabilities(model, matrix, compiler, in_steps=len(model.classes_) == 2)
    return as_matrix(logarithms(compiler, values, dtype), dtype)


def _sgd_probabilities(
    model: Any, matrix: Matrix, compiler: Compiler, *, in_steps: bool = False
) -> tuple[list[Number], np.dtype[Any]]:
    """Return the probabilities of an SGDClassifier, and their dtype.

    With `log_loss` they are `expit` of the scores, with `modified_huber` `(clip(score, -1, 1) + 1) / 2`.

    Raises:
        NoPlan: the loss has no probabilities.
    """
    graph = compiler.graph
    values, dtype = _scores(model, matrix, compiler)
    if model.loss == "log_loss":
        values = sigmoids(compiler, values, dtype, in_steps=in_steps)
    elif model.loss == "modified_huber":
        if len(model.classes_) == 2:
            dtype = FLOAT64  # scikit-learn writes them into an array of float64
        values = graph.map_const(MathFunction.MIN, graph.map_const(MathFunction.MAX, values, -1.0), 1.0)
        values = round_numbers(compiler, graph.map_const(MathFunction.ADD, values, 1.0), dtype)
        values = graph.map_const(MathFunction.DIV, values, 2.0)
    else:
        raise NoPlan(f"a SGDClassifier with the loss {model.loss} has no probabilities")
    if len(model.classes_) == 2:
        return binary_probabilities(compiler, values[0], dtype), dtype
    return shares(compiler, values, dtype), dtype


# One-class SVM by gradient descent.


@answers("decision_function", "sklearn.SGDOneClassSVM")
def one_class_decision(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SGDOneClassSVM.decision_function`: `X @ coef_ - offset_`."""
    return as_matrix(*_one_class_values(model, matrix, compiler))


@answers("score_samples", "sklearn.SGDOneClassSVM")
def one_class_scores(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SGDOneClassSVM.score_samples`: the decision function plus `offset_`."""
    values, dtype = _one_class_values(model, matrix, compiler)
    return as_matrix(*add_constants(compiler, values, dtype, model.offset_))


@answers("predict", "sklearn.SGDOneClassSVM")
def one_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `SGDOneClassSVM.predict`: 1 where the decision function is not below 0, else -1."""
    values, _ = _one_class_values(model, matrix, compiler)
    return Labels(above_zero(compiler, values[0], or_zero=True), [-1, 1])


def _one_class_values(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[list[Number], np.dtype[Any]]:
    """Return the numbers of `decision_function`, and their dtype."""
    inputs = numbers(matrix, compiler, model)
    return affine(inputs, model.coef_, model.offset_, model, compiler, MathFunction.SUB)
