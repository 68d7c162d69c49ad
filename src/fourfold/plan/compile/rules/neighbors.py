"""Nearest neighbours: what the rows say that a model was trained with and that lie near.

A tree's distances have one order of operations, and which of equally near rows it finds is its own doing, so the plan
has the same tree. By brute force scikit-learn leaves sums of squares to a BLAS, and which of equally near rows it
finds depends on the rows that come along.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.arrays import numbers
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, OBJECT, Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import above_zero, as_matrix, single
from fourfold.plan.compile.sums import pairwise_sum
from fourfold.plan.format import Kind, MathFunction, Metric
from fourfold.plan.graph.builder import Number
from fourfold.plan.graph.neighbours import Neighbours

__all__: list[str] = []

Floats = npt.NDArray[np.float64]

_METRICS = {
    "euclidean": Metric.SQUARED,
    "l2": Metric.SQUARED,
    "manhattan": Metric.MANHATTAN,
    "cityblock": Metric.MANHATTAN,
    "l1": Metric.MANHATTAN,
    "chebyshev": Metric.CHEBYSHEV,
    "infinity": Metric.CHEBYSHEV,
    "minkowski": Metric.MINKOWSKI,
    "p": Metric.MINKOWSKI,
}


@dataclass(frozen=True)
class _Search:
    """How a model looks for neighbours.

    Attributes:
        points: the rows that it was trained with, in the order in which its tree has them.
        order: their places in that order.
        metric: the distance.
        power: of `Metric.MINKOWSKI`.
        nodes: the tree's nodes, or `None`.
        bounds: theirs.
        radii: of balls theirs.
        farthest: what distances must be below.
    """

    points: Floats
    order: npt.NDArray[np.int64]
    metric: Metric
    power: float
    nodes: npt.NDArray[np.uint32] | None = None
    bounds: Floats | None = None
    radii: Floats | None = None
    farthest: float = math.inf


def _search(model: Any, matrix: Matrix, compiler: Compiler) -> _Search:
    """How a model looks for neighbours.

    Raises:
        NoPlan: in a way that is not known.
    """
    name, options = model.effective_metric_, model.effective_metric_params_
    metric = _METRICS.get(name) if isinstance(name, str) else None
    unknown = sorted(key for key, value in options.items() if key != "p" and value is not None)
    if metric is None or unknown:
        raise NoPlan(f"a {type(model).__name__} has the metric {name} {', '.join(unknown)}".rstrip())
    power = float(options.get("p", 2)) if metric == Metric.MINKOWSKI else 2.0
    if metric == Metric.MINKOWSKI:
        compiler.approximate("a libm computes the powers of a distance")
    if model._fit_method == "brute":  # noqa: SLF001 - no other place has it
        return _brute(model, matrix, metric, power, compiler)
    data, order, nodes, bounds = map(np.asarray, model._tree.get_arrays())  # noqa: SLF001
    words = np.stack([nodes["idx_start"], nodes["idx_end"], nodes["is_leaf"]], axis=1).astype(np.uint32)
    is_ball = type(model._tree).__name__.startswith("BallTree")  # noqa: SLF001
    bounds, radii = (bounds[0], nodes["radius"]) if is_ball else (bounds, None)
    return _Search(data[order], order, metric, power, words, bounds, radii)


def _brute(model: Any, matrix: Matrix, metric: Metric, power: float, compiler: Compiler) -> _Search:
    """Looking at all rows, in their order."""
    name, points = type(model).__name__, model._fit_X  # noqa: SLF001
    if hasattr(points, "toarray"):
        raise NoPlan(f"the {name} was trained with a sparse matrix")
    dtype = FLOAT64 if matrix.dtype == OBJECT else matrix.dtype
    if dtype not in (FLOAT32, FLOAT64) or points.dtype != dtype:
        raise NoPlan(
            f"by brute force, what a {name} finds among equally near rows of integers is the processor's choice"
        )
    if dtype == FLOAT32 and (metric != Metric.SQUARED or model.weights != "uniform"):
        raise NoPlan(f"by brute force, a {name} measures float32 in float32")
    if metric == Metric.SQUARED:
        compiler.approximate("a BLAS computes distances")
        metric = Metric.PRODUCTS
    compiler.approximate("which of equally near rows is found by brute force depends on the rows that come along")
    order = np.arange(len(points))
    return _Search(np.asarray(points, dtype=np.float64), order, metric, power, farthest=float(np.finfo(FLOAT64).max))


def _nearest(
    model: Any, matrix: Matrix, targets: Any, k: int, compiler: Compiler
) -> tuple[list[Number], list[list[Number]]]:
    """The distances of the `k` nearest rows, and what is known of each."""
    found = _search(model, matrix, compiler)
    known = np.asarray(targets, dtype=np.float64)
    # Where every distance is infinite, scikit-learn answers with its first row: here the one at 0, which no leaf has.
    points = np.concatenate([found.points[found.order == 0], found.points])
    nodes = np.array([[0, len(known), 1]], dtype=np.uint32) if found.nodes is None else found.nodes
    near = Neighbours(
        points,
        np.concatenate([known[:1], known[found.order]]),
        k,
        found.metric,
        found.power,
        nodes + np.array([1, 1, 0], dtype=np.uint32),
        found.bounds,
        found.radii,
        found.farthest,
    )
    distances, values = compiler.graph.nearest(_query(model, matrix, compiler), near)
    return _rooted(distances, found, compiler), values


def _query(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    return compiler.numbers(numbers(matrix, compiler, model).columns)


def _rooted(distances: list[Number], found: _Search, compiler: Compiler) -> list[Number]:
    if found.metric in (Metric.SQUARED, Metric.PRODUCTS):
        return compiler.graph.map(MathFunction.SQRT, distances)
    if found.metric == Metric.MINKOWSKI:
        return compiler.graph.map_const(MathFunction.POW, distances, 1.0 / found.power)
    return distances


def _weights(model: Any, distances: list[Number], compiler: Compiler) -> list[Number] | None:
    """The inverse of distances: where one is 0, only those at 0 count; `None` where all weigh the same."""
    if model.weights in (None, "uniform"):
        return None
    if not isinstance(model.weights, str) or model.weights != "distance":
        raise NoPlan(f"a {type(model).__name__} has weights of its own")
    graph = compiler.graph
    inverse = graph.map_const(MathFunction.RDIV, distances, 1.0)
    infinite = graph.map_const(MathFunction.EQ, graph.map(MathFunction.ABS, inverse), np.inf)
    any_infinite = [graph.fold(MathFunction.MOST, infinite)] * len(inverse)
    return graph.select(any_infinite, infinite, inverse)


# The k nearest.


@answers("predict", "sklearn.KNeighborsRegressor")
def k_regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The mean of the neighbours' targets, or the weighted one."""
    graph, y = compiler.graph, _columns(model._y)  # noqa: SLF001
    distances, targets = _nearest(model, matrix, y, model.n_neighbors, compiler)
    weights = _weights(model, distances, compiler)
    dtype = FLOAT32 if y.dtype == FLOAT32 and weights is None else FLOAT64
    if weights is not None:
        total = [graph.fold(MathFunction.PAIRWISE, weights)]
        sums = [graph.fold(MathFunction.PAIRWISE, graph.map_two(MathFunction.MUL, mine, weights)) for mine in targets]
        return as_matrix(graph.map_two(MathFunction.DIV, sums, total))
    sums = [(_sum if len(targets) > 1 else pairwise_sum)(compiler, mine, dtype) for mine in targets]
    return as_matrix(single(compiler, graph.map_const(MathFunction.DIV, sums, float(model.n_neighbors)), dtype), dtype)


def _columns(y: Any) -> Any:
    """Targets as columns."""
    array = np.asarray(y)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > FLOAT64.itemsize or array.dtype == np.float16:
        raise NoPlan(f"the targets of neighbours are {array.dtype}")
    return array.reshape(-1, 1) if array.ndim == 1 else array


def _sum(compiler: Compiler, values: list[Number], dtype: np.dtype[Any]) -> Number:
    """The sum from the left, rounded where `dtype` is float32."""
    if dtype != FLOAT32:
        return compiler.graph.fold(MathFunction.SUM, values)
    total = values[:1]
    for value in values[1:]:
        total = single(compiler, compiler.graph.map_two(MathFunction.ADD, total, [value]), dtype)
    return total[0]


@answers("predict", "sklearn.KNeighborsClassifier")
def k_classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | list[Labels]:
    """The class with the most neighbours, or the most of their weights; of several the first."""
    labels = []
    for votes, classes in _votes(model, matrix, compiler, MathFunction.PAIRWISE):
        labels.append(Labels(compiler.graph.argmax(votes), classes))
    return labels if model.outputs_2d_ else labels[0]


@answers("predict_proba", "sklearn.KNeighborsClassifier")
def k_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix | list[Matrix]:
    """Each class's share of the neighbours, or of their weights."""
    made = []
    for votes, _ in _votes(model, matrix, compiler, MathFunction.SUM):
        total = [compiler.graph.fold(MathFunction.PAIRWISE, votes)]
        made.append(as_matrix(compiler.graph.map_two(MathFunction.DIV, votes, total)))
    return made if model.outputs_2d_ else made[0]


def _votes(model: Any, matrix: Matrix, compiler: Compiler, how: MathFunction) -> list[tuple[list[Number], Any]]:
    """For each target the votes of each of its classes, and the classes."""
    graph, y = compiler.graph, _columns(model._y)  # noqa: SLF001
    distances, targets = _nearest(model, matrix, y, model.n_neighbors, compiler)
    weights = _weights(model, distances, compiler)
    if weights is not None:
        most = [graph.fold(MathFunction.MOST, weights)]
        graph.refuse(most, Kind.ZERO, "every neighbour of the row has a weight of zero")
    out = []
    for mine, classes in zip(targets, _classes(model), strict=True):
        votes = []
        for place in range(len(classes)):
            voters = graph.map_const(MathFunction.EQ, mine, float(place))
            if weights is not None:
                voters = graph.select(voters, weights, graph.constant([0.0]) * len(voters))
            votes.append(graph.fold(how if weights is not None else MathFunction.SUM, voters))
        out.append((votes, classes))
    return out


def _classes(model: Any) -> list[Any]:
    return list(model.classes_) if model.outputs_2d_ else [model.classes_]


# All within a radius.


def _within(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[list[Number], _Search]:
    """What each of the rows that a model was trained with weighs: 0 outside of the radius."""
    graph = compiler.graph
    found = _search(model, matrix, compiler)
    distances = graph.distances(_query(model, matrix, compiler), found.points, found.metric, found.power)
    radius = float(model.radius)
    limit = radius * radius if found.metric in (Metric.SQUARED, Metric.PRODUCTS) else radius
    if found.metric == Metric.MINKOWSKI:
        limit = radius**found.power
    inside = graph.map_const(MathFunction.LE, distances, limit)
    if model.weights in (None, "uniform"):
        return inside, found
    if not isinstance(model.weights, str) or model.weights != "distance":
        raise NoPlan(f"a {type(model).__name__} has weights of its own")
    distances = _rooted(distances, found, compiler)
    zeros = graph.constant([0.0]) * len(distances)
    at_zero = graph.map_two(MathFunction.MUL, graph.map_const(MathFunction.EQ, distances, 0.0), inside)
    inverse = graph.select(inside, graph.map_const(MathFunction.RDIV, distances, 1.0), zeros)
    return graph.select([graph.fold(MathFunction.MOST, at_zero)] * len(inverse), at_zero, inverse), found


@answers("predict", "sklearn.RadiusNeighborsRegressor")
def radius_regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The mean of the neighbours' targets, or the weighted one; NaN where there is none."""
    graph, y = compiler.graph, _columns(model._y)  # noqa: SLF001
    if y.dtype == FLOAT32:
        raise NoPlan("the targets of a RadiusNeighborsRegressor are float32")
    compiler.approximate("NumPy adds up the neighbours of a RadiusNeighborsRegressor in blocks")
    weights, found = _within(model, matrix, compiler)
    total = graph.dot(weights, np.ones((len(weights), 1)))
    sums = graph.dot(weights, np.asarray(y, dtype=np.float64)[found.order])
    with np.errstate(invalid="ignore"):
        empty = np.asarray(np.full_like(y[0], np.nan), dtype=np.float64)
    none = graph.map_const(MathFunction.EQ, total, 0.0) * len(sums)
    return as_matrix(graph.select(none, graph.constant(empty), graph.map_two(MathFunction.DIV, sums, total)))


@answers("predict_proba", "sklearn.RadiusNeighborsClassifier")
def radius_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix | list[Matrix]:
    """Each class's share of the neighbours, or of their weights; where there is none, the outlier's label has all."""
    made = [as_matrix(values) for values, _, _ in _radius(model, matrix, compiler)]
    return made if model.outputs_2d_ else made[0]


@answers("predict", "sklearn.RadiusNeighborsClassifier")
def radius_classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | list[Labels]:
    """The class with the largest share."""
    graph, labels = compiler.graph, []
    for values, classes, outlier in _radius(model, matrix, compiler):
        if outlier is not None and outlier not in list(classes):
            raise NoPlan(f"the RadiusNeighborsClassifier may answer {outlier!r}, which is none of its classes")
        labels.append(Labels(graph.argmax(values), classes))
    return labels if model.outputs_2d_ else labels[0]


def _radius(model: Any, matrix: Matrix, compiler: Compiler) -> list[tuple[list[Number], Any, Any]]:
    """For each target the share of each of its classes, the classes, and the outliers' label."""
    graph, y = compiler.graph, _columns(model._y)  # noqa: SLF001
    weights, found = _within(model, matrix, compiler)
    inside = graph.dot(weights, np.ones((len(weights), 1)))
    if model.outlier_label_ is None:
        graph.refuse(inside, Kind.ZERO, "the row has no neighbours within the radius")
    out = []
    for place, classes in enumerate(_classes(model)):
        member = (y[found.order, place, None] == np.arange(len(classes))).astype(np.float64)
        votes = graph.dot(weights, member)
        outlier = None if model.outlier_label_ is None else model.outlier_label_[place]
        mine = np.array([float(outlier is not None and bool(each == outlier)) for each in classes])
        none = graph.map_const(MathFunction.EQ, inside, 0.0) * len(votes)
        votes = graph.select(none, graph.constant(mine), votes)
        total = [graph.fold(MathFunction.PAIRWISE, votes)]
        is_zero = graph.map_const(MathFunction.EQ, total, 0.0)
        total = graph.select(is_zero, graph.constant([1.0]), total)
        out.append((graph.map_two(MathFunction.DIV, votes, total), classes, outlier))
    return out


# Outliers.


@answers("score_samples", "sklearn.LocalOutlierFactor")
def outlier_scores(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Minus the mean density of the neighbours, as multiples of the row's own."""
    return as_matrix(*_outlier(model, matrix, compiler))


@answers("decision_function", "sklearn.LocalOutlierFactor")
def outlier_decision(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """That minus the offset."""
    return as_matrix(_outlier_decision(model, matrix, compiler))


@answers("predict", "sklearn.LocalOutlierFactor")
def outlier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """-1 where the decision function is below zero, else 1."""
    (value,) = _outlier_decision(model, matrix, compiler)
    below = above_zero(compiler, compiler.graph.map(MathFunction.NEGATE, [value])[0])
    return Labels(below, [1, -1])


def _outlier_decision(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    values, _ = _outlier(model, matrix, compiler)
    return compiler.graph.map_const(MathFunction.SUB, values, float(model.offset_))


def _outlier(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[list[Number], np.dtype[Any]]:
    if not model.novelty:
        raise NoPlan("a LocalOutlierFactor without novelty answers for the rows that it was trained with alone")
    if matrix.dtype == FLOAT32:
        raise NoPlan("a LocalOutlierFactor computes in float32 what it has measured in float64")
    graph, k = compiler.graph, int(model.n_neighbors_)
    reach, density = model._distances_fit_X_[:, k - 1], model._lrd  # noqa: SLF001 - no other place has them
    distances, (reaches, densities) = _nearest(model, matrix, np.stack([reach, density], axis=1), k, compiler)
    far = graph.fold(MathFunction.PAIRWISE, graph.map_two(MathFunction.MAX, distances, reaches))
    mean = graph.map_const(MathFunction.DIV, [far], float(k))
    own = graph.map_const(MathFunction.RDIV, graph.map_const(MathFunction.ADD, mean, 1e-10), 1.0)
    ratios = graph.fold(MathFunction.PAIRWISE, graph.map_two(MathFunction.DIV, densities, own))
    return graph.map(MathFunction.NEGATE, graph.map_const(MathFunction.DIV, [ratios], float(k))), FLOAT64
