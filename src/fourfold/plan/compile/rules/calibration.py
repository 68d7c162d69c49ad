"""Compile scikit-learn's calibrated classifiers, classifiers with a threshold, and isotonic regression.

Sources: `sklearn.calibration`, `sklearn.model_selection._classification_threshold`, `sklearn.isotonic`. Isotonic
regression is exact. Sigmoids and temperatures depend on SciPy's `expit` and NumPy's `exp` and `log`. A threshold is as
exact as the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answer, answers, transforms
from fourfold.plan.compile.arrays import array, clip, with_dtype
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import as_matrix, logarithms, round_numbers, shares, sigmoids, softmax
from fourfold.plan.compile.sub_estimators import above_threshold, first_method, response
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_CALIBRATED = "sklearn.CalibratedClassifierCV"
_ISOTONIC = "sklearn.IsotonicRegression"
_FIXED, _TUNED = "sklearn.FixedThresholdClassifier", "sklearn.TunedThresholdClassifierCV"
#: The methods that a CalibratedClassifierCV asks its classifier for, in order of preference.
_SCORES = ("decision_function", "predict_proba")
#: Probabilities above 1 and up to this are set to 1.
_MAX_ROUNDED_PROBABILITY = 1.0 + 1e-5
#: What is added to a probability before its logarithm is taken.
_EPSILON = 1e-12


# Calibration.


@answers("predict_proba", _CALIBRATED)
def calibrated_predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `CalibratedClassifierCV.predict_proba`: the mean over the calibrated classifiers, added from 0 on."""
    graph = compiler.graph
    total = graph.constant(np.zeros(len(model.classes_)))
    for classifier in model.calibrated_classifiers_:
        total = graph.map_two(MathFunction.ADD, total, _calibrated_probabilities(classifier, matrix, compiler))
    return as_matrix(graph.map_const(MathFunction.DIV, total, float(len(model.calibrated_classifiers_))))


@answers("predict", _CALIBRATED)
def calibrated_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `CalibratedClassifierCV.predict`: the class of the largest probability."""
    probabilities = calibrated_predict_proba(model, matrix, compiler)
    return Labels(compiler.graph.argmax(compiler.numbers(probabilities.columns)), model.classes_)


def _calibrated_probabilities(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return `_CalibratedClassifier.predict_proba`: the probabilities of one classifier after its calibrators.

    Raises:
        NoPlan: the method has no rule.
    """
    graph = compiler.graph
    scores, method = response(model.estimator, _SCORES, matrix, compiler)
    if model.method == "temperature":
        values = _temperature(model, scores, method, compiler)
    elif model.method in ("sigmoid", "isotonic"):
        values = _one_calibrator_per_class(model, scores, compiler)
    else:
        raise NoPlan(f"a CalibratedClassifierCV has the method {model.method}")
    is_above_one = graph.map_const(MathFunction.GT, values, 1.0)
    is_rounding_error = graph.map_two(
        MathFunction.MUL, is_above_one, graph.map_const(MathFunction.LE, values, _MAX_ROUNDED_PROBABILITY)
    )
    return graph.select(is_rounding_error, graph.constant([1.0] * len(values)), values)


def _one_calibrator_per_class(model: Any, scores: Matrix, compiler: Compiler) -> list[Number]:
    """Return the probability of each class by its own calibrator, divided by their sum (`_fit_calibrator`).

    Of two classes there is one calibrator, for the second; the first has 1 minus its probability.
    """
    graph, classes = compiler.graph, list(model.classes)
    n_classes = len(classes)
    values = graph.constant(np.zeros(n_classes))
    class_indices = [classes.index(label) for label in model.estimator.classes_]
    for index, score, calibrator in zip(class_indices, scores.columns, model.calibrators, strict=False):
        column = Matrix((score,))
        probability = (
            _sigmoid(calibrator, column, compiler)
            if model.method == "sigmoid"
            else _isotonic(calibrator, column, compiler)
        )
        values[index + 1 if n_classes == 2 else index] = compiler.number(probability.columns[0])
    if n_classes == 2:
        return graph.map_const(MathFunction.RSUB, values[1:], 1.0) + values[1:]
    return shares(compiler, values, FLOAT64)


def _sigmoid(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `_SigmoidCalibration.predict`: `expit(-(a_ * x + b_))` (Platt, 1999)."""
    graph = compiler.graph
    dtype = np.result_type(matrix.dtype, model.a_)
    linear = round_numbers(
        compiler, graph.map_const(MathFunction.MUL, compiler.numbers(matrix.columns), float(model.a_)), dtype
    )
    linear = round_numbers(compiler, graph.map_const(MathFunction.ADD, linear, float(model.b_)), dtype)
    return as_matrix(sigmoids(compiler, graph.map(MathFunction.NEGATE, linear), dtype), dtype)


def _temperature(model: Any, scores: Matrix, method: str, compiler: Compiler) -> list[Number]:
    """Return `_TemperatureScaling.predict`: the softmax of `beta_ * logits` (Guo and others, 2017)."""
    graph, dtype = compiler.graph, scores.dtype
    compiler.refuse(scores.columns, model.calibrators[0])
    values = compiler.numbers(scores.columns)
    if len(values) == 1 and method == "predict_proba":
        values = [*round_numbers(compiler, graph.map_const(MathFunction.RSUB, values, 1.0), dtype), *values]
    logits = (
        [*graph.map(MathFunction.NEGATE, values), *values] if len(values) == 1 else _logits(values, dtype, compiler)
    )
    beta = np.asarray(model.calibrators[0].beta_)
    result_dtype = np.result_type(beta.dtype, dtype)
    return softmax(
        compiler,
        round_numbers(compiler, graph.map_const(MathFunction.MUL, logits, float(beta)), result_dtype),
        result_dtype,
    )


def _logits(values: list[Number], dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    """Return `_convert_to_logits`: `log(p + 1e-12)` of probabilities, other scores as they are.

    scikit-learn takes scores for probabilities if those of all rows of the call are between 0 and 1 and add up to 1; a
    plan decides for each row alone.
    """
    graph = compiler.graph
    inside = graph.map_two(
        MathFunction.MUL, graph.map_const(MathFunction.GE, values, 0.0), graph.map_const(MathFunction.LE, values, 1.0)
    )
    total = round_numbers(compiler, [graph.fold(MathFunction.PAIRWISE, values)], dtype)
    difference = graph.map(MathFunction.ABS, graph.map_const(MathFunction.SUB, total, 1.0))
    close = graph.map_const(MathFunction.LE, difference, 1e-8 + 1e-5)
    are_probabilities = graph.map_two(MathFunction.MUL, close, [graph.fold(MathFunction.LEAST, inside)])
    raised = round_numbers(compiler, graph.map_const(MathFunction.ADD, values, float(dtype.type(_EPSILON))), dtype)
    return graph.select(are_probabilities * len(values), logarithms(compiler, raised, dtype), values)


# Isotonic regression.


@transforms(_ISOTONIC)
@answers("predict", _ISOTONIC)
def isotonic_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `IsotonicRegression.predict` and `transform`: linear interpolation between the thresholds.

    Raises:
        NoPlan: there is not exactly one column.
    """
    inputs = array(matrix)
    if len(inputs) != 1:
        raise NoPlan(f"an IsotonicRegression takes one column; got {len(inputs)}")
    return _isotonic(model, inputs, compiler)


def _isotonic(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `IsotonicRegression._transform` of one column.

    Outside of the thresholds a value is clipped, refused or becomes NaN, as `out_of_bounds` says.

    Raises:
        NoPlan: the thresholds are neither float32 nor float64.
    """
    graph = compiler.graph
    xs, ys = np.asarray(model.X_thresholds_), np.asarray(model.y_thresholds_)
    dtype = xs.dtype
    if dtype not in (FLOAT32, FLOAT64) or ys.dtype != dtype:
        raise NoPlan(f"an IsotonicRegression has thresholds of {dtype}")
    inputs = compiler.cast(with_dtype(matrix, FLOAT64) if matrix.dtype.kind != "f" else matrix, dtype)
    compiler.refuse(inputs.columns, model)
    if model.out_of_bounds == "clip":
        inputs = clip(inputs, float(model.X_min_), float(model.X_max_), compiler)
    value = compiler.number(inputs.columns[0])
    if len(ys) == 1:
        return as_matrix(graph.constant(ys), dtype)
    interpolated = (
        graph.interpolate(value, xs, ys) if dtype == FLOAT64 else _interpolate_float32(value, xs, ys, compiler)
    )
    if model.out_of_bounds == "clip":
        return as_matrix([interpolated], dtype)
    inside = graph.map_two(
        MathFunction.MUL,
        graph.map_const(MathFunction.GE, [value], float(xs[0])),
        graph.map_const(MathFunction.LE, [value], float(xs[-1])),
    )
    if model.out_of_bounds == "raise":
        graph.refuse(inside, Kind.ZERO, "the IsotonicRegression takes no number outside of those that it was fitted to")
        return as_matrix([interpolated], dtype)
    return as_matrix(graph.select(inside, [interpolated], graph.constant([np.nan])), dtype)


def _interpolate_float32(value: Number, xs: Any, ys: Any, compiler: Compiler) -> Number:
    """Return `scipy.interpolate.interp1d` of float32: `slope * (x - x_low) + y_low`, rounded after each operation.

    A value is on the line to the left of the first threshold that is not below it (`numpy.searchsorted`).
    """
    graph, n_thresholds = compiler.graph, len(xs)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        slopes = (ys[1:] - ys[:-1]) / (xs[1:] - xs[:-1])
    line_of_code = np.clip(np.arange(n_thresholds + 2), 1, n_thresholds - 1) - 1
    line_of_code[-1] = 0
    code = graph.recode(graph.search(value, xs), line_of_code.tolist(), n_thresholds - 1)
    slope, x_low, y_low = graph.lookup(code, np.stack([slopes, xs[:-1], ys[:-1]], axis=1))
    offset = round_numbers(compiler, graph.map_two(MathFunction.SUB, [value], [x_low]), FLOAT32)
    rise = round_numbers(compiler, graph.map_two(MathFunction.MUL, offset, [slope]), FLOAT32)
    return round_numbers(compiler, graph.map_two(MathFunction.ADD, rise, [y_low]), FLOAT32)[0]


# Classifiers with a threshold.


def _methods(model: Any) -> Sequence[str]:
    """Return the names of the methods that give the scores, in order of preference."""
    return ("predict_proba", "decision_function") if model.response_method == "auto" else (model.response_method,)


def _estimator(model: Any) -> Any:
    """Return the fitted classifier."""
    return getattr(model, "estimator_", model.estimator)


def _by_threshold(model: Any, matrix: Matrix, compiler: Compiler, threshold: Any, positive: Any) -> Labels:
    """Return one class where the score is not below the threshold, else the other.

    Raises:
        NoPlan: there are not two classes, or not one score.
    """
    estimator = _estimator(model)
    classes = list(estimator.classes_)
    if len(classes) != 2:
        raise NoPlan(f"a {type(model).__name__} knows {len(classes)} classes")
    scores, _ = response(estimator, _methods(model), matrix, compiler, positive)
    if len(scores) != 1:
        raise NoPlan(f"a {type(estimator).__name__} has {len(scores)} scores for two classes")
    # NumPy compares a Python number in the scores' dtype, and a NumPy number in the wider of both dtypes.
    in_float32 = scores.dtype == FLOAT32 and not isinstance(threshold, np.generic)
    rounded_threshold = float(np.float32(threshold)) if in_float32 else float(threshold)
    index = 1 if positive is None else classes.index(positive)
    code = above_threshold(scores.columns[0], rounded_threshold, compiler)
    return Labels(code, [classes[1 - index], classes[index]])


@answers("predict", _FIXED)
def fixed_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `FixedThresholdClassifier.predict`: the class by the given threshold, 0.5 or 0 if it is `auto`."""
    automatic = isinstance(model.threshold, str)
    method = first_method(_estimator(model), _methods(model))
    threshold = (0.5 if method == "predict_proba" else 0.0) if automatic else model.threshold
    return _by_threshold(model, matrix, compiler, threshold, model.pos_label)


@answers("predict", _TUNED)
def tuned_predict(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `TunedThresholdClassifierCV.predict`: the class by `best_threshold_`."""
    positive = model._curve_scorer._get_pos_label()  # noqa: SLF001 - nothing public has it
    return _by_threshold(model, matrix, compiler, model.best_threshold_, positive)


def _estimator_answer(method: str) -> Any:
    """Return a rule for a method that a classifier with a threshold takes from its estimator."""

    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        return answer(_estimator(model), method, matrix, compiler)

    return rule


for _method in ("predict_proba", "predict_log_proba", "decision_function"):
    answers(_method, _FIXED, _TUNED)(_estimator_answer(_method))
