"""Compile scikit-learn's EllipticEnvelope (`sklearn.covariance`): outliers by their Mahalanobis distance.

SciPy orders the sums of a distance, so scores are close and not exact, except with a single column.
"""

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
    """Return `score_samples`: `-sqrt((x - location_) @ precision @ (x - location_))²`.

    scikit-learn squares the distance of SciPy, which has taken a root; both are repeated, since they round.
    """
    graph = compiler.graph
    if len(matrix) > 1:
        compiler.approximate("SciPy orders the sums of a Mahalanobis distance")
    inputs = compiler.cast(numbers(matrix, compiler, model), FLOAT64)
    centred = graph.map_const(MathFunction.SUB, compiler.numbers(inputs.columns), model.location_)
    projected = graph.dot(centred, np.asarray(model.get_precision(), dtype=np.float64).T)
    total = graph.fold(MathFunction.SUM, graph.map_two(MathFunction.MUL, centred, projected))
    root = graph.map(MathFunction.SQRT, [total])
    return graph.map(MathFunction.NEGATE, graph.map_two(MathFunction.MUL, root, root))


@answers("score_samples", _NAME)
def score_samples(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `EllipticEnvelope.score_samples`: minus the squared Mahalanobis distance."""
    return as_matrix(_scores(model, matrix, compiler))


def _decisions(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the number of `decision_function`."""
    return compiler.graph.map_const(MathFunction.SUB, _scores(model, matrix, compiler), float(model.offset_))


@answers("decision_function", _NAME)
def decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `EllipticEnvelope.decision_function`: `score_samples - offset_`."""
    return as_matrix(_decisions(model, matrix, compiler))


@answers("predict", _NAME)
def outliers(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `EllipticEnvelope.predict`: 1 where the decision function is not below 0, else -1."""
    (decision,) = _decisions(model, matrix, compiler)
    return Labels(above_zero(compiler, decision, or_zero=True), [-1, 1])
