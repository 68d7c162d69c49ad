"""Ask the estimators inside of other estimators, and combine their answers as scikit-learn does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answer
from fourfold.plan.compile.arrays import array, numbers, to_objects, to_sparse, with_dtype
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, OBJECT, Coded, Column, Compiler, Matrix, NoPlan
from fourfold.plan.compile.library_class import library_class
from fourfold.plan.compile.scores import as_matrix, round_numbers
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Code, Number

__all__ = [
    "above_threshold",
    "average",
    "binary_score",
    "checked_array",
    "first_method",
    "hstack",
    "is_classifier",
    "is_regressor",
    "label_values",
    "numeric_answer",
    "response",
    "unchecked_array",
]

#: The class of scikit-learn's classifier for training rows that all have one label.
_CONSTANT = "sklearn._ConstantPredictor"


def is_classifier(model: Any) -> bool:
    """Return whether scikit-learn takes an estimator for a classifier."""
    return bool(_kind(model) == "classifier")


def is_regressor(model: Any) -> bool:
    """Return whether scikit-learn takes an estimator for a regressor."""
    return bool(_kind(model) == "regressor")


def _kind(model: Any) -> Any:
    tags = getattr(model, "__sklearn_tags__", None)
    return getattr(model, "_estimator_type", None) if tags is None else tags().estimator_type


def first_method(model: Any, names: Sequence[str]) -> str:
    """Return the first of the named methods that an estimator has; raise `NoPlan` where it has none."""
    method = next((name for name in names if hasattr(model, name)), None)
    if method is None:
        raise NoPlan(f"a {type(model).__name__} has none of {', '.join(names)}")
    return method


# Containers.


def unchecked_array(matrix: Matrix) -> Matrix:
    """Return the array of `check_array(ensure_all_finite=False)`: objects become float64."""
    converted = array(matrix)
    return with_dtype(converted, FLOAT64 if converted.dtype == OBJECT else converted.dtype)


def checked_array(matrix: Matrix, compiler: Compiler, who: object) -> Matrix:
    """Return the array of `check_array`, and refuse NaN and infinities."""
    return numbers(array(matrix), compiler, who)


def hstack(blocks: Sequence[Matrix], compiler: Compiler) -> Matrix:
    """Return `numpy.hstack` of arrays, or `scipy.sparse.hstack` where one of them is sparse."""
    sparse = any(block.sparse for block in blocks)
    same_kind = [to_sparse(block, compiler) if sparse else block for block in blocks]
    joined = Matrix(tuple(column for block in same_kind for column in block.columns), sparse=sparse)
    return to_objects(joined) if joined.dtype == OBJECT else with_dtype(joined, joined.dtype)


# Answers.


def label_values(labels: Labels) -> Any:
    """Return the label of each code, as an array."""
    return np.asarray(labels.classes)[: labels.code.limit]


def numeric_answer(model: Any, method: str, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return the numbers that a method of an estimator answers with; labels are numbers where the classes are.

    Raises:
        NoPlan: the labels are not numbers, or the estimator answers for several targets.
    """
    answered = _constant(model, method, compiler) or answer(model, method, matrix, compiler)
    if isinstance(answered, Labels):
        classes = label_values(answered)
        if classes.dtype.kind not in "biuf":
            raise NoPlan(f"the labels of a {type(model).__name__} are {classes.dtype}, where numbers are needed")
        return Matrix((Coded(answered.code, classes.astype(np.float64), classes.dtype),))
    if not isinstance(answered, Matrix):
        raise NoPlan(f"a {type(model).__name__} answers for several targets, where one is needed")
    return answered


def _constant(model: Any, method: str, compiler: Compiler) -> Matrix | None:
    """Return what scikit-learn's classifier of one label answers, or `None` for any other estimator."""
    if library_class(model) != _CONSTANT:
        return None
    value = np.asarray(model.y_, dtype=np.float64).reshape(-1)[0]
    values = [1.0 - value, value] if method == "predict_proba" else [value]
    dtype = FLOAT64 if method == "predict_proba" else np.asarray(model.y_).dtype
    return as_matrix(compiler.graph.constant(values), dtype)


def response(
    model: Any, methods: Sequence[str], matrix: Matrix, compiler: Compiler, positive: Any = None
) -> tuple[Matrix, str]:
    """Return `sklearn.utils._response._get_response_values`: for two classes, the score of one of them.

    Args:
        model: the estimator.
        methods: names of methods; the first that the estimator has is asked.
        matrix: the columns.
        compiler: the plan's compiler.
        positive: the class that the score of two classes is for; the second by default.

    Returns:
        The scores, and the name of the method.
    """
    method = first_method(model, methods)
    scores = numeric_answer(model, method, matrix, compiler)
    if not is_classifier(model) or method == "predict":
        return scores, method
    classes = list(model.classes_)
    if len(classes) > 2:
        return scores, method
    index = len(classes) - 1 if positive is None else classes.index(positive)
    if method in ("predict_proba", "predict_log_proba"):
        return scores.take([index]), method
    if index == 0:
        negated = compiler.map(MathFunction.MUL, scores.columns, -1.0, dtype=scores.dtype)
        return replace(scores, columns=negated), method
    return scores, method


def binary_score(model: Any, matrix: Matrix, compiler: Compiler) -> Column:
    """Return `sklearn.multiclass._predict_binary`: the score of the second of two classes."""
    if is_regressor(model):
        scores = numeric_answer(model, "predict", matrix, compiler)
    elif hasattr(model, "decision_function"):
        scores = numeric_answer(model, "decision_function", matrix, compiler)
    else:
        scores = numeric_answer(model, "predict_proba", matrix, compiler).take([1])
    if len(scores) != 1:
        raise NoPlan(f"a {type(model).__name__} has {len(scores)} scores, where one is needed")
    return scores.columns[0]


def above_threshold(column: Column, threshold: float, compiler: Compiler, *, or_equal: bool = True) -> Code:
    """Return 1 where a score is above a threshold (with `or_equal` also at it), and 0 elsewhere and for NaN."""
    code = compiler.graph.search(compiler.number(column), [threshold], right=or_equal)
    return compiler.graph.recode(code, [0, 1, 0], 2)


# Means.


def average(parts: Sequence[Matrix], weights: Sequence[Any] | None, compiler: Compiler) -> Matrix:
    """Return `numpy.average` over the answers of several estimators, added in their order.

    Args:
        parts: the answers, all of the same width.
        weights: a weight for each answer, or none.
        compiler: the plan's compiler.

    Raises:
        NoPlan: the answers have different widths, or NumPy averages in another dtype than float32 and float64.
    """
    if len({len(part) for part in parts}) > 1:
        raise NoPlan("the estimators that are averaged give answers of different widths")
    graph = compiler.graph
    dtype = np.result_type(*(part.dtype for part in parts))
    if dtype.kind != "f":
        dtype = np.result_type(dtype, FLOAT64)
    values = [compiler.numbers(part.columns) for part in parts]
    total, divisor = float(len(parts)), np.float64(len(parts))
    if weights is not None:
        given = np.asanyarray(weights)
        dtype = np.result_type(dtype, given.dtype)
        divisor = given.reshape(-1, 1).sum(axis=0, dtype=dtype)[0]
        values = [
            round_numbers(compiler, graph.map_const(MathFunction.MUL, part, float(weight)), dtype)
            for part, weight in zip(values, given.astype(dtype), strict=True)
        ]
        total = float(divisor)
    if dtype not in (FLOAT32, FLOAT64):
        raise NoPlan(f"answers are averaged in {dtype}")
    sums: list[Number] = graph.map_const(MathFunction.ADD, values[0], 0.0)
    for part in values[1:]:
        sums = round_numbers(compiler, graph.map_two(MathFunction.ADD, sums, part), dtype)
    return as_matrix(round_numbers(compiler, graph.map_const(MathFunction.DIV, sums, total), dtype), dtype)
