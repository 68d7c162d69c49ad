"""Outliers by their distance from the centre of an ellipse."""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.arrays import numbers
from fourfold.plan.compile.columns import FLOAT64, Matrix, Workshop
from fourfold.plan.compile.scores import above_zero, as_matrix
from fourfold.plan.format import Function
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_NAME = "sklearn.EllipticEnvelope"


def _scores(model: Any, matrix: Matrix, workshop: Workshop) -> list[Number]:
    """Minus the square of the Mahalanobis distance, of which SciPy takes the root."""
    graph = workshop.graph
    if len(matrix) > 1:
        workshop.approximate("SciPy orders the sums of a Mahalanobis distance")
    made = workshop.cast(numbers(matrix, workshop, model), FLOAT64)
    apart = graph.map_const(Function.SUB, workshop.numbers(made.columns), model.location_)
    turned = graph.dot(apart, np.asarray(model.get_precision(), dtype=np.float64).T)
    total = graph.fold(Function.SUM, graph.map_two(Function.MUL, apart, turned))
    root = graph.map(Function.SQRT, [total])
    return graph.map(Function.NEGATE, graph.map_two(Function.MUL, root, root))


@answers("score_samples", _NAME)
def score_samples(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """Minus the squared distance."""
    return as_matrix(_scores(model, matrix, workshop))


def _decisions(model: Any, matrix: Matrix, workshop: Workshop) -> list[Number]:
    return workshop.graph.map_const(Function.SUB, _scores(model, matrix, workshop), float(model.offset_))


@answers("decision_function", _NAME)
def decision_function(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """That minus the offset."""
    return as_matrix(_decisions(model, matrix, workshop))


@answers("predict", _NAME)
def outliers(model: Any, matrix: Matrix, workshop: Workshop) -> Labels:
    """1 where that is not below zero, else -1."""
    (decision,) = _decisions(model, matrix, workshop)
    return Labels(above_zero(workshop, decision, or_zero=True), [-1, 1])
