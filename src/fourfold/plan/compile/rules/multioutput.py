"""Several targets, each with an estimator of its own or one after the other, and targets that were transformed."""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answer, answers
from fourfold.plan.compile.arrays import retyped
from fourfold.plan.compile.columns import FLOAT64, Column, Compiler, Matrix, NoPlan
from fourfold.plan.compile.rules.inverse_transforms import inverse
from fourfold.plan.compile.scores import as_matrix, logarithms
from fourfold.plan.compile.sub_estimators import checked_array, first_method, hstack, numeric_answer, response

__all__: list[str] = []

_MANY_CLASSES, _MANY_NUMBERS = "sklearn.MultiOutputClassifier", "sklearn.MultiOutputRegressor"
_CHAIN_CLASSES, _CHAIN_NUMBERS = "sklearn.ClassifierChain", "sklearn.RegressorChain"
_TRANSFORMED = "sklearn.TransformedTargetRegressor"


# Side by side.


@answers("predict", _MANY_NUMBERS)
def many_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What each estimator says."""
    parts = [numeric_answer(each, "predict", matrix, compiler) for each in model.estimators_]
    if any(len(part) != 1 for part in parts):
        raise NoPlan("an estimator of a MultiOutputRegressor predicts several numbers")
    return hstack(parts, compiler)


@answers("predict", _MANY_CLASSES)
def many_predict_class(model: Any, matrix: Matrix, compiler: Compiler) -> list[Labels]:
    """The label that each estimator says."""
    found = [answer(each, "predict", matrix, compiler) for each in model.estimators_]
    if not all(isinstance(each, Labels) for each in found):
        raise NoPlan("an estimator of a MultiOutputClassifier answers with no label")
    return found


@answers("predict_proba", _MANY_CLASSES)
def many_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> list[Matrix]:
    """The probabilities of each estimator."""
    return [numeric_answer(each, "predict_proba", matrix, compiler) for each in model.estimators_]


# One after the other.


def _chained(model: Any, method: str, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What the estimators say, each of the columns and of what those before it said; in the order of the targets."""
    seen = checked_array(matrix, compiler, model)
    # Beside what is said the columns become float64, even where nothing is said yet.
    seen = retyped(seen, np.result_type(seen.dtype, FLOAT64))
    asked = getattr(model, "chain_method_", "predict")
    before: list[Matrix] = []
    out: list[Column] = []
    for estimator in model.estimators_:
        augmented = hstack([seen, *before], compiler)
        before.append(_one(estimator, asked, augmented, compiler))
        out += _one(estimator, method, augmented, compiler).columns
    places = np.argsort(np.asarray(model.order_))
    return Matrix(tuple(out[int(place)] for place in places))


def _one(model: Any, method: str, matrix: Matrix, compiler: Compiler) -> Matrix:
    made, _ = response(model, (first_method(model, (method,)),), matrix, compiler)
    if len(made) != 1:
        raise NoPlan(f"the {method} of a {type(model).__name__} in a chain gives {len(made)} numbers")
    return retyped(made, FLOAT64)


def _chain(method: str) -> Any:
    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
        return _chained(model, method, matrix, compiler)

    return rule


answers("predict", _CHAIN_CLASSES, _CHAIN_NUMBERS)(_chain("predict"))
for _method in ("predict_proba", "decision_function"):
    answers(_method, _CHAIN_CLASSES)(_chain(_method))


@answers("predict_log_proba", _CHAIN_CLASSES)
def chain_predict_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The logarithms of the probabilities."""
    made = _chained(model, "predict_proba", matrix, compiler)
    return as_matrix(logarithms(compiler, compiler.numbers(made.columns), FLOAT64))


# Transformed.


@answers("predict", _TRANSFORMED)
def transformed_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What the regressor says, as it was before the target was transformed."""
    return inverse(model.transformer_, numeric_answer(model.regressor_, "predict", matrix, compiler), compiler)
