"""Outliers by their distance from the centre of an ellipse."""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.arrays import numbers
from fourfold.plan.compile.columns import FLOAT64, Compiler, Matrix
from fourfold.plan.compile.scores import above_zero, as_matrix
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_NAME = "sklearn.EllipticEnvelope"


def _scores(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Minus the square of the Mahalanobis distance, of which SciPy takes the root."""
    graph = compiler.graph
    if len(matrix) > 1:
        compiler.approximate("SciPy orders the sums of a Mahalanobis distance")
    made = compiler.cast(numbers(matrix, compiler, model), FLOAT64)
    apart = graph.map_const(MathFunction.SUB, compiler.numbers(made.columns), model.location_)
    turned = graph.dot(apart, np.asarray(model.get_precision(), dtype=np.float64).T)
    total = graph.fold(MathFunction.SUM, graph.map_two(MathFunction.MUL, apart, turned))
    root = graph.map(MathFunction.SQRT, [total])
    return graph.map(MathFunction.NEGATE, graph.map_two(MathFunction.MUL, root, root))


@answers("score_samples", _NAME)
def score_samples(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Minus the squared distance."""
    return as_matrix(_scores(model, matrix, compiler))


def _decisions(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    return compiler.graph.map_const(MathFunction.SUB, _scores(model, matrix, compiler), float(model.offset_))


@answers("decision_function", _NAME)
def decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """That minus the offset."""
    return as_matrix(_decisions(model, matrix, compiler))


@answers("predict", _NAME)
def outliers(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """1 where that is not below zero, else -1."""
    (decision,) = _decisions(model, matrix, compiler)
    return Labels(above_zero(compiler, decision, or_zero=True), [-1, 1])
