"""Classifiers whose scores are made probabilities, or that have a threshold of their own; isotonic regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answer, answers, transforms
from fourfold.plan.compile.arrays import array, clipped, retyped
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import as_matrix, logarithms, shares, sigmoids, single, softmax
from fourfold.plan.compile.sub_estimators import above_threshold, first_method, response
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_CALIBRATED = "sklearn.CalibratedClassifierCV"
_ISOTONIC = "sklearn.IsotonicRegression"
_FIXED, _TUNED = "sklearn.FixedThresholdClassifier", "sklearn.TunedThresholdClassifierCV"
#: What a CalibratedClassifierCV asks its classifier for.
_SCORES = ("decision_function", "predict_proba")
#: How much above 1 a probability may be by rounding.
_ROUNDING = 1.0 + 1e-5
#: What a probability is raised by before its logarithm is taken.
_EPSILON = 1e-12


# Calibration.


@answers("predict_proba", _CALIBRATED)
def calibrated_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The mean of what the calibrated classifiers say."""
    graph = compiler.graph
    total = graph.constant(np.zeros(len(model.classes_)))
    for each in model.calibrated_classifiers_:
        total = graph.map_two(MathFunction.ADD, total, _calibrated(each, matrix, compiler))
    return as_matrix(graph.map_const(MathFunction.DIV, total, float(len(model.calibrated_classifiers_))))


@answers("predict", _CALIBRATED)
def calibrated_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class of the largest probability."""
    made = calibrated_predict_proba(model, matrix, compiler)
    return Labels(compiler.graph.argmax(compiler.numbers(made.columns)), model.classes_)


def _calibrated(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """The probabilities of one classifier and its calibrators."""
    graph = compiler.graph
    scores, method = response(model.estimator, _SCORES, matrix, compiler)
    if model.method == "temperature":
        values = _scaled(model, scores, method, compiler)
    elif model.method in ("sigmoid", "isotonic"):
        values = _one_by_one(model, scores, compiler)
    else:
        raise NoPlan(f"a CalibratedClassifierCV has the method {model.method}")
    over = graph.map_const(MathFunction.GT, values, 1.0)
    rounded = graph.map_two(MathFunction.MUL, over, graph.map_const(MathFunction.LE, values, _ROUNDING))
    return graph.select(rounded, graph.constant([1.0] * len(values)), values)


def _one_by_one(model: Any, scores: Matrix, compiler: Compiler) -> list[Number]:
    """The probability of each class by a calibrator of its own, and then their shares."""
    graph, classes = compiler.graph, list(model.classes)
    count = len(classes)
    values = graph.constant(np.zeros(count))
    known = [classes.index(each) for each in model.estimator.classes_]
    for place, score, calibrator in zip(known, scores.columns, model.calibrators, strict=False):
        one = Matrix((score,))
        made = (
            _sigmoid(calibrator, one, compiler) if model.method == "sigmoid" else _isotonic(calibrator, one, compiler)
        )
        values[place + 1 if count == 2 else place] = compiler.number(made.columns[0])
    if count == 2:
        return graph.map_const(MathFunction.RSUB, values[1:], 1.0) + values[1:]
    return shares(compiler, values, FLOAT64)


def _sigmoid(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """`expit(-(a * x + b))` (Platt 1999)."""
    graph = compiler.graph
    dtype = np.result_type(matrix.dtype, model.a_)
    moved = single(
        compiler, graph.map_const(MathFunction.MUL, compiler.numbers(matrix.columns), float(model.a_)), dtype
    )
    moved = single(compiler, graph.map_const(MathFunction.ADD, moved, float(model.b_)), dtype)
    return as_matrix(sigmoids(compiler, graph.map(MathFunction.NEGATE, moved), dtype), dtype)


def _scaled(model: Any, scores: Matrix, method: str, compiler: Compiler) -> list[Number]:
    """Probabilities by one temperature for all classes (Guo and others 2017)."""
    graph, dtype = compiler.graph, scores.dtype
    compiler.refuse(scores.columns, model.calibrators[0])
    values = compiler.numbers(scores.columns)
    if len(values) == 1 and method == "predict_proba":
        values = [*single(compiler, graph.map_const(MathFunction.RSUB, values, 1.0), dtype), *values]
    logits = (
        [*graph.map(MathFunction.NEGATE, values), *values] if len(values) == 1 else _logits(values, dtype, compiler)
    )
    beta = np.asarray(model.calibrators[0].beta_)
    made = np.result_type(beta.dtype, dtype)
    return softmax(compiler, single(compiler, graph.map_const(MathFunction.MUL, logits, float(beta)), made), made)


def _logits(values: list[Number], dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    """The logarithms of what are probabilities, and what are none as they are.

    scikit-learn looks at all rows at once; here each row is looked at as if it were alone.
    """
    graph = compiler.graph
    inside = graph.map_two(
        MathFunction.MUL, graph.map_const(MathFunction.GE, values, 0.0), graph.map_const(MathFunction.LE, values, 1.0)
    )
    total = single(compiler, [graph.fold(MathFunction.PAIRWISE, values)], dtype)
    apart = graph.map(MathFunction.ABS, graph.map_const(MathFunction.SUB, total, 1.0))
    close = graph.map_const(MathFunction.LE, apart, 1e-8 + 1e-5)
    are = graph.map_two(MathFunction.MUL, close, [graph.fold(MathFunction.LEAST, inside)])
    raised = single(compiler, graph.map_const(MathFunction.ADD, values, float(dtype.type(_EPSILON))), dtype)
    return graph.select(are * len(values), logarithms(compiler, raised, dtype), values)


# Isotonic regression.


@transforms(_ISOTONIC)
@answers("predict", _ISOTONIC)
def isotonic_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Straight lines between thresholds."""
    made = array(matrix)
    if len(made) != 1:
        raise NoPlan(f"an IsotonicRegression takes one column; got {len(made)}")
    return _isotonic(model, made, compiler)


def _isotonic(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    graph = compiler.graph
    xs, ys = np.asarray(model.X_thresholds_), np.asarray(model.y_thresholds_)
    dtype = xs.dtype
    if dtype not in (FLOAT32, FLOAT64) or ys.dtype != dtype:
        raise NoPlan(f"an IsotonicRegression has thresholds of {dtype}")
    seen = compiler.cast(retyped(matrix, FLOAT64) if matrix.dtype.kind != "f" else matrix, dtype)
    compiler.refuse(seen.columns, model)
    if model.out_of_bounds == "clip":
        seen = clipped(seen, float(model.X_min_), float(model.X_max_), compiler)
    value = compiler.number(seen.columns[0])
    if len(ys) == 1:
        return as_matrix(graph.constant(ys), dtype)
    made = graph.interpolate(value, xs, ys) if dtype == FLOAT64 else _lines(value, xs, ys, compiler)
    if model.out_of_bounds == "clip":
        return as_matrix([made], dtype)
    inside = graph.map_two(
        MathFunction.MUL,
        graph.map_const(MathFunction.GE, [value], float(xs[0])),
        graph.map_const(MathFunction.LE, [value], float(xs[-1])),
    )
    if model.out_of_bounds == "raise":
        graph.refuse(inside, Kind.ZERO, "the IsotonicRegression takes no number outside of those that it was fitted to")
        return as_matrix([made], dtype)
    return as_matrix(graph.select(inside, [made], graph.constant([np.nan])), dtype)


def _lines(value: Number, xs: Any, ys: Any, compiler: Compiler) -> Number:
    """What SciPy's `interp1d` makes of float32, each operation rounded to it."""
    graph, count = compiler.graph, len(xs)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        slopes = (ys[1:] - ys[:-1]) / (xs[1:] - xs[:-1])
    lines = np.clip(np.arange(count + 2), 1, count - 1) - 1
    lines[-1] = 0
    code = graph.recode(graph.search(value, xs), lines.tolist(), count - 1)
    slope, left, height = graph.lookup(code, np.stack([slopes, xs[:-1], ys[:-1]], axis=1))
    moved = single(compiler, graph.map_two(MathFunction.SUB, [value], [left]), FLOAT32)
    risen = single(compiler, graph.map_two(MathFunction.MUL, moved, [slope]), FLOAT32)
    return single(compiler, graph.map_two(MathFunction.ADD, risen, [height]), FLOAT32)[0]


# Thresholds.


def _methods(model: Any) -> Sequence[str]:
    return ("predict_proba", "decision_function") if model.response_method == "auto" else (model.response_method,)


def _estimator(model: Any) -> Any:
    return getattr(model, "estimator_", model.estimator)


def _by_threshold(model: Any, matrix: Matrix, compiler: Compiler, threshold: Any, positive: Any) -> Labels:
    """The class that a score makes of a row, where it is not below a threshold, and the other one."""
    estimator = _estimator(model)
    classes = list(estimator.classes_)
    if len(classes) != 2:
        raise NoPlan(f"a {type(model).__name__} knows {len(classes)} classes")
    scores, _ = response(estimator, _methods(model), matrix, compiler, positive)
    if len(scores) != 1:
        raise NoPlan(f"a {type(estimator).__name__} has {len(scores)} scores for two classes")
    # A number of Python's is compared in the scores' own dtype, one of NumPy's in the wider of both.
    narrow = scores.dtype == FLOAT32 and not isinstance(threshold, np.generic)
    limit = float(np.float32(threshold)) if narrow else float(threshold)
    place = 1 if positive is None else classes.index(positive)
    code = above_threshold(scores.columns[0], limit, compiler)
    return Labels(code, [classes[1 - place], classes[place]])


@answers("predict", _FIXED)
def fixed_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class by a threshold that was given."""
    automatic = isinstance(model.threshold, str)
    method = first_method(_estimator(model), _methods(model))
    threshold = (0.5 if method == "predict_proba" else 0.0) if automatic else model.threshold
    return _by_threshold(model, matrix, compiler, threshold, model.pos_label)


@answers("predict", _TUNED)
def tuned_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class by a threshold that was found."""
    positive = model._curve_scorer._get_pos_label()  # noqa: SLF001 - no other place has it
    return _by_threshold(model, matrix, compiler, model.best_threshold_, positive)


def _untouched(method: str) -> Any:
    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        return answer(_estimator(model), method, matrix, compiler)

    return rule


for _method in ("predict_proba", "predict_log_proba", "decision_function"):
    answers(_method, _FIXED, _TUNED)(_untouched(_method))
