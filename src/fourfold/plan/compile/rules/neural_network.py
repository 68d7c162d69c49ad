"""Neural networks: layers of weighted sums, each bent by a function."""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answers, transforms
from fourfold.plan.compile.arrays import floats, numbers
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import (
    above_half,
    as_matrix,
    exponentials,
    logarithms,
    pair,
    plus,
    refuse_binary_log_probabilities,
    sigmoids,
    single,
    softmax,
)
from fourfold.plan.compile.sums import matrix_product
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_CLASSIFIER = "sklearn.MLPClassifier"

Values = tuple[list[Number], np.dtype[Any]]


def _activated(name: str, values: list[Number], dtype: np.dtype[Any], compiler: Compiler) -> list[Number]:
    """What an activation function makes of numbers."""
    match name:
        case "identity":
            return values
        case "relu":
            return compiler.graph.map_const(MathFunction.MAX, values, 0.0)
        case "tanh":
            compiler.approximate("NumPy's tanh differs from one processor to another")
            return single(compiler, compiler.graph.map(MathFunction.TANH, values), dtype)
        case "logistic":
            return sigmoids(compiler, values, dtype)
        case "exp":
            return exponentials(compiler, values, dtype)
        case "softmax":
            return softmax(compiler, values, dtype)
    raise NoPlan(f"a neural network has the activation {name}")


def _forward(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """What the last layer gives."""
    made = numbers(matrix, compiler, model)
    names = [model.activation] * (len(model.coefs_) - 1) + [model.out_activation_]
    for weights, intercepts, name in zip(model.coefs_, model.intercepts_, names, strict=True):
        values, dtype = _layer(made, weights, intercepts, model, compiler)
        values = _activated(name, values, dtype, compiler)
        made = as_matrix(values, dtype)
    return values, dtype


def _layer(made: Matrix, weights: Any, intercepts: Any, model: Any, compiler: Compiler) -> Values:
    sums, dtype = matrix_product(compiler, made, weights, model)
    values, widened = plus(compiler, sums, dtype, intercepts)
    if widened != dtype:
        raise NoPlan(f"the {type(model).__name__} has intercepts of {widened} and sums of {dtype}")
    return values, dtype


@answers("predict", "sklearn.MLPRegressor")
def regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What the last layer gives."""
    return as_matrix(*_forward(model, matrix, compiler))


@answers("predict", _CLASSIFIER)
def classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | list[Labels]:
    """The class with the highest probability; of two classes the second, and of several labels all, above one half."""
    values, _ = _forward(model, matrix, compiler)
    kind = model._label_binarizer.y_type_  # noqa: SLF001 - what a fitted classifier looks at
    if kind == "multilabel-indicator":
        return [Labels(above_half(compiler, value), [0, 1]) for value in values]
    if kind == "binary" and len(model.classes_) == 2:
        return Labels(above_half(compiler, values[0]), model.classes_)
    if kind == "multiclass":
        return Labels(compiler.graph.argmax(values), model.classes_)
    raise NoPlan(f"a MLPClassifier was trained with a target of the type {kind} and {len(model.classes_)} classes")


@answers("predict_proba", _CLASSIFIER)
def proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What the last layer gives; of two classes also what is left of one."""
    return as_matrix(*_proba(model, matrix, compiler))


@answers("predict_log_proba", _CLASSIFIER)
def log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Logarithms of the probabilities."""
    refuse_binary_log_probabilities(len(model.classes_))
    values, dtype = _proba(model, matrix, compiler)
    return as_matrix(logarithms(compiler, values, dtype), dtype)


def _proba(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    values, dtype = _forward(model, matrix, compiler)
    return (pair(compiler, values[0], dtype) if len(values) == 1 else values), dtype


@transforms("sklearn.BernoulliRBM")
def boltzmann_machine(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The probability that each hidden unit is on."""
    made = floats(matrix, compiler, model)
    values, dtype = _layer(made, model.components_.T, model.intercept_hidden_, model, compiler)
    return as_matrix(sigmoids(compiler, values, dtype), dtype)
