"""Compile scikit-learn's estimators of several targets (`sklearn.multioutput`) and TransformedTargetRegressor.

They compute nothing of their own: answers are as exact as those of their estimators.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answer, answers
from fourfold.plan.compile.arrays import with_dtype
from fourfold.plan.compile.columns import FLOAT64, Column, Compiler, Matrix, NoPlan
from fourfold.plan.compile.rules.inverse_transforms import inverse
from fourfold.plan.compile.scores import as_matrix, logarithms
from fourfold.plan.compile.sub_estimators import checked_array, first_method, hstack, numeric_answer, response

__all__: list[str] = []

_MULTI_CLASSIFIER, _MULTI_REGRESSOR = "sklearn.MultiOutputClassifier", "sklearn.MultiOutputRegressor"
_CHAIN_CLASSIFIER, _CHAIN_REGRESSOR = "sklearn.ClassifierChain", "sklearn.RegressorChain"
_TRANSFORMED = "sklearn.TransformedTargetRegressor"


# One estimator a target.


@answers("predict", _MULTI_REGRESSOR)
def many_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `MultiOutputRegressor.predict`: the prediction of each estimator.

    Raises:
        NoPlan: an estimator predicts several numbers.
    """
    parts = [numeric_answer(estimator, "predict", matrix, compiler) for estimator in model.estimators_]
    if any(len(part) != 1 for part in parts):
        raise NoPlan("an estimator of a MultiOutputRegressor predicts several numbers")
    return hstack(parts, compiler)


@answers("predict", _MULTI_CLASSIFIER)
def many_predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> list[Labels]:
    """Return `MultiOutputClassifier.predict`: the label of each estimator.

    Raises:
        NoPlan: an estimator answers with no label.
    """
    labels = [answer(estimator, "predict", matrix, compiler) for estimator in model.estimators_]
    if not all(isinstance(label, Labels) for label in labels):
        raise NoPlan("an estimator of a MultiOutputClassifier answers with no label")
    return labels


@answers("predict_proba", _MULTI_CLASSIFIER)
def many_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> list[Matrix]:
    """Return `MultiOutputClassifier.predict_proba`: the probabilities of each estimator."""
    return [numeric_answer(estimator, "predict_proba", matrix, compiler) for estimator in model.estimators_]


# Chains.


def _chain_answers(model: Any, method: str, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return the answers of a chain's estimators, in the order of the targets (`_BaseChain._get_predictions`).

    Each estimator sees the columns and the answers of those before it (by `chain_method_`), as float64.
    """
    inputs = checked_array(matrix, compiler, model)
    # scikit-learn puts the columns beside float64 predictions, also for the first estimator, which sees none.
    inputs = with_dtype(inputs, np.result_type(inputs.dtype, FLOAT64))
    chain_method = getattr(model, "chain_method_", "predict")
    previous: list[Matrix] = []
    answered: list[Column] = []
    for estimator in model.estimators_:
        augmented = hstack([inputs, *previous], compiler)
        previous.append(_single_answer(estimator, chain_method, augmented, compiler))
        answered += _single_answer(estimator, method, augmented, compiler).columns
    indices = np.argsort(np.asarray(model.order_))
    return Matrix(tuple(answered[int(index)] for index in indices))


def _single_answer(model: Any, method: str, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return the one number of an estimator's answer, as float64; raises `NoPlan` where it is more."""
    numbers, _ = response(model, (first_method(model, (method,)),), matrix, compiler)
    if len(numbers) != 1:
        raise NoPlan(f"the {method} of a {type(model).__name__} in a chain gives {len(numbers)} numbers")
    return with_dtype(numbers, FLOAT64)


def _chain_rule(method: str) -> Any:
    """Return a rule for a method of a chain."""

    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
        return _chain_answers(model, method, matrix, compiler)

    return rule


answers("predict", _CHAIN_CLASSIFIER, _CHAIN_REGRESSOR)(_chain_rule("predict"))
for _method in ("predict_proba", "decision_function"):
    answers(_method, _CHAIN_CLASSIFIER)(_chain_rule(_method))


@answers("predict_log_proba", _CHAIN_CLASSIFIER)
def chain_predict_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `ClassifierChain.predict_log_proba`: `numpy.log` of the probabilities."""
    probabilities = _chain_answers(model, "predict_proba", matrix, compiler)
    return as_matrix(logarithms(compiler, compiler.numbers(probabilities.columns), FLOAT64))


# Transformed targets.


@answers("predict", _TRANSFORMED)
def transformed_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `TransformedTargetRegressor.predict`: the regressor's prediction, transformed back."""
    return inverse(model.transformer_, numeric_answer(model.regressor_, "predict", matrix, compiler), compiler)
