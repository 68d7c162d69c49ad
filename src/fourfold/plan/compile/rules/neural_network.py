"""Compile scikit-learn's neural networks (`sklearn.neural_network`).

A layer is `activation(X @ weights + intercepts)` in the dtype of the weights. A BLAS orders the sums, so outputs are
close and not exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answers, transforms
from fourfold.plan.compile.arrays import floats, numbers
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import (
    above_half,
    add_constants,
    as_matrix,
    binary_probabilities,
    exponentials,
    logarithms,
    round_numbers,
    sigmoids,
    softmax,
    warn_of_binary_logarithms,
)
from fourfold.plan.compile.sums import matrix_product
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_CLASSIFIER = "sklearn.MLPClassifier"

Values = tuple[list[Number], np.dtype[Any]]


def _activation(name: str, values: list[Number], dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    """Return an activation function (`ACTIVATIONS`) of numbers; raises `NoPlan` where it has no rule."""
    match name:
        case "identity":
            return values
        case "relu":
            return compiler.graph.map_const(MathFunction.MAX, values, 0.0)
        case "tanh":
            compiler.approximate("NumPy's tanh differs from one processor to another")
            return round_numbers(compiler, compiler.graph.map(MathFunction.TANH, values), dtype)
        case "logistic":
            return sigmoids(compiler, values, dtype)
        case "exp":
            return exponentials(compiler, values, dtype)
        case "softmax":
            return softmax(compiler, values, dtype)
    raise NoPlan(f"a neural network has the activation {name}")


def _forward_pass(model: Any, matrix: Matrix, compiler: Compiler, *, in_steps: bool = False) -> Values:
    """Return the numbers of the last layer (`_forward_pass_fast`), and their dtype.

    With `in_steps` a sigmoid at the end is computed in SciPy's steps.
    """
    layer_input = numbers(matrix, compiler, model)
    activations = [model.activation] * (len(model.coefs_) - 1) + [model.out_activation_]
    for weights, intercepts, activation in zip(model.coefs_, model.intercepts_, activations, strict=True):
        values, dtype = _layer(layer_input, weights, intercepts, model, compiler)
        if in_steps and weights is model.coefs_[-1] and activation == "logistic":
            return sigmoids(compiler, values, dtype, in_steps=True), dtype
        values = _activation(activation, values, dtype, compiler)
        layer_input = as_matrix(values, dtype)
    return values, dtype


def _layer(inputs: Matrix, weights: Any, intercepts: Any, model: Any, compiler: Compiler) -> Values:
    """Return `inputs @ weights + intercepts`, and its dtype; raises `NoPlan` where the intercepts widen the dtype."""
    sums, dtype = matrix_product(compiler, inputs, weights, model)
    values, widened = add_constants(compiler, sums, dtype, intercepts)
    if widened != dtype:
        raise NoPlan(f"the {type(model).__name__} has intercepts of {widened} and sums of {dtype}")
    return values, dtype


@answers("predict", "sklearn.MLPRegressor")
def regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `MLPRegressor.predict`: the numbers of the last layer."""
    return as_matrix(*_forward_pass(model, matrix, compiler))


@answers("predict", _CLASSIFIER)
def classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | list[Labels]:
    """Return `MLPClassifier.predict`: the class of the highest probability.

    Of two classes it is the second one above one half; of several labels a row, each label above one half.

    Raises:
        NoPlan: the target is of another type.
    """
    values, _ = _forward_pass(model, matrix, compiler)
    target_type = model._label_binarizer.y_type_  # noqa: SLF001 - what a fitted classifier looks at
    if target_type == "multilabel-indicator":
        return [Labels(above_half(compiler, value), [0, 1]) for value in values]
    if target_type == "binary" and len(model.classes_) == 2:
        return Labels(above_half(compiler, values[0]), model.classes_)
    if target_type == "multiclass":
        return Labels(compiler.graph.argmax(values), model.classes_)
    raise NoPlan(
        f"a MLPClassifier was trained with a target of the type {target_type} and {len(model.classes_)} classes"
    )


@answers("predict_proba", _CLASSIFIER)
def proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `MLPClassifier.predict_proba`: the numbers of the last layer; for two classes `1 - p` and `p`."""
    return as_matrix(*_probabilities(model, matrix, compiler))


@answers("predict_log_proba", _CLASSIFIER)
def log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `MLPClassifier.predict_log_proba`: `numpy.log` of the probabilities."""
    warn_of_binary_logarithms(len(model.classes_), compiler)
    values, dtype = _probabilities(model, matrix, compiler, in_steps=len(model.classes_) == 2)
    return as_matrix(logarithms(compiler, values, dtype), dtype)


def _probabilities(model: Any, matrix: Matrix, compiler: Compiler, *, in_steps: bool = False) -> Values:
    """Return the probabilities, and their dtype."""
    values, dtype = _forward_pass(model, matrix, compiler, in_steps=in_steps)
    return (binary_probabilities(compiler, values[0], dtype) if len(values) == 1 else values), dtype


@transforms("sklearn.BernoulliRBM")
def boltzmann_machine(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `BernoulliRBM.transform`: `expit(X @ components_.T + intercept_hidden_)`."""
    inputs = floats(matrix, compiler, model)
    values, dtype = _layer(inputs, model.components_.T, model.intercept_hidden_, model, compiler)
    return as_matrix(sigmoids(compiler, values, dtype), dtype)
