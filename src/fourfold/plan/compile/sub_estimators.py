"""What estimators that hold others ask of their parts, and what scikit-learn makes of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answer
from fourfold.plan.compile.arrays import array, numbers, objects, retyped, stored
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, OBJECT, Coded, Column, Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import as_matrix, single
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Code, Number

__all__ = [
    "arrayed",
    "average",
    "beside",
    "binary_score",
    "checked",
    "first_method",
    "is_classifier",
    "is_regressor",
    "label_values",
    "not_below",
    "response",
    "said",
]

#: The classifier that stands where all training rows had one label.
_CONSTANT = "_ConstantPredictor"


def is_classifier(model: Any) -> bool:
    """Whether scikit-learn takes an estimator for a classifier."""
    return bool(_kind(model) == "classifier")


def is_regressor(model: Any) -> bool:
    """Whether scikit-learn takes an estimator for a regressor."""
    return bool(_kind(model) == "regressor")


def _kind(model: Any) -> Any:
    tags = getattr(model, "__sklearn_tags__", None)
    return getattr(model, "_estimator_type", None) if tags is None else tags().estimator_type


def first_method(model: Any, names: Sequence[str]) -> str:
    """The first of some methods that an estimator has."""
    found = next((name for name in names if hasattr(model, name)), None)
    if found is None:
        raise NoPlan(f"a {type(model).__name__} has none of {', '.join(names)}")
    return found


# Containers.


def arrayed(matrix: Matrix) -> Matrix:
    """The array that `check_array(ensure_all_finite=False)` makes: objects become float64."""
    made = array(matrix)
    return retyped(made, FLOAT64 if made.dtype == OBJECT else made.dtype)


def checked(matrix: Matrix, compiler: Compiler, who: object) -> Matrix:
    """The array that `check_array` makes, which refuses what is not finite."""
    return numbers(array(matrix), compiler, who)


def beside(blocks: Sequence[Matrix], compiler: Compiler) -> Matrix:
    """Arrays side by side, as `numpy.hstack`, or `scipy.sparse.hstack` where one of them is sparse."""
    sparse = any(block.sparse for block in blocks)
    made = [stored(block, compiler) if sparse else block for block in blocks]
    whole = Matrix(tuple(column for block in made for column in block.columns), sparse=sparse)
    return objects(whole) if whole.dtype == OBJECT else retyped(whole, whole.dtype)


# Answers.


def label_values(labels: Labels) -> Any:
    """The class of each code, an array."""
    return np.asarray(labels.classes)[: labels.code.limit]


def said(model: Any, method: str, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The numbers that a method of an estimator answers with; a label is one, where classes are numbers."""
    found = _constant(model, method, compiler) or answer(model, method, matrix, compiler)
    if isinstance(found, Labels):
        classes = label_values(found)
        if classes.dtype.kind not in "biuf":
            raise NoPlan(f"the labels of a {type(model).__name__} are {classes.dtype}, where numbers are needed")
        return Matrix((Coded(found.code, classes.astype(np.float64), classes.dtype),))
    if not isinstance(found, Matrix):
        raise NoPlan(f"a {type(model).__name__} answers for several targets, where one is needed")
    return found


def _constant(model: Any, method: str, compiler: Compiler) -> Matrix | None:
    """What the classifier of one label answers."""
    if type(model).__name__ != _CONSTANT:
        return None
    value = np.asarray(model.y_, dtype=np.float64).reshape(-1)[0]
    values = [1.0 - value, value] if method == "predict_proba" else [value]
    dtype = FLOAT64 if method == "predict_proba" else np.asarray(model.y_).dtype
    return as_matrix(compiler.graph.constant(values), dtype)


def response(
    model: Any, methods: Sequence[str], matrix: Matrix, compiler: Compiler, positive: Any = None
) -> tuple[Matrix, str]:
    """What `_get_response_values` of scikit-learn gives: of two classes the score of one of them.

    Args:
        model: the estimator.
        methods: the first that it has is asked.
        matrix: the columns.
        compiler: of the plan.
        positive: of two classes the one that the score is of; left out, the second.

    Returns:
        The scores, and the method.
    """
    method = first_method(model, methods)
    found = said(model, method, matrix, compiler)
    if not is_classifier(model) or method == "predict":
        return found, method
    classes = list(model.classes_)
    if len(classes) > 2:
        return found, method
    place = len(classes) - 1 if positive is None else classes.index(positive)
    if method in ("predict_proba", "predict_log_proba"):
        return found.take([place]), method
    if place == 0:
        return replace(found, columns=compiler.map(MathFunction.MUL, found.columns, -1.0, dtype=found.dtype)), method
    return found, method


def binary_score(model: Any, matrix: Matrix, compiler: Compiler) -> Column:
    """What `_predict_binary` of scikit-learn gives: the score of the second of two classes."""
    if is_regressor(model):
        found = said(model, "predict", matrix, compiler)
    elif hasattr(model, "decision_function"):
        found = said(model, "decision_function", matrix, compiler)
    else:
        found = said(model, "predict_proba", matrix, compiler).take([1])
    if len(found) != 1:
        raise NoPlan(f"a {type(model).__name__} has {len(found)} scores, where one is needed")
    return found.columns[0]


def not_below(column: Column, threshold: float, compiler: Compiler, *, equal: bool = True) -> Code:
    """1 where a score is above a threshold, or at it where that counts; 0 elsewhere and of NaN."""
    code = compiler.graph.search(compiler.number(column), [threshold], right=equal)
    return compiler.graph.recode(code, [0, 1, 0], 2)


# Means.


def average(parts: Sequence[Matrix], weights: Sequence[Any] | None, compiler: Compiler) -> Matrix:
    """`numpy.average` over answers of several parts that lie one behind the other, added up in their order.

    Args:
        parts: of the same width.
        weights: one for each, or none.
        compiler: of the plan.
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
            single(compiler, graph.map_const(MathFunction.MUL, part, float(weight)), dtype)
            for part, weight in zip(values, given.astype(dtype), strict=True)
        ]
        total = float(divisor)
    if dtype not in (FLOAT32, FLOAT64):
        raise NoPlan(f"answers are averaged in {dtype}")
    added: list[Number] = graph.map_const(MathFunction.ADD, values[0], 0.0)
    for part in values[1:]:
        added = single(compiler, graph.map_two(MathFunction.ADD, added, part), dtype)
    return as_matrix(single(compiler, graph.map_const(MathFunction.DIV, added, total), dtype), dtype)
