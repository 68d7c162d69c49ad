"""Compile scikit-learn's nearest neighbours (`sklearn.neighbors`).

A KD tree or ball tree computes each distance in one order of operations, and which of several equally near rows it
finds depends on how it is built. So the plan carries the estimator's own tree and walks it in the same way: exact,
except for the powers of Minkowski distances. By brute force, scikit-learn leaves `x² - 2xy + y²` to a BLAS, and which
of several equally near rows it finds depends on the other rows of the call.
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
from fourfold.plan.compile.scores import above_zero, as_matrix, round_numbers
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
    """Describe how an estimator searches for neighbours.

    Attributes:
        points: the training rows, in the order of its tree; shape `(rows, columns)`.
        order: the index of each of `points` among the training rows.
        metric: the distance.
        power: the exponent of `Metric.MINKOWSKI`.
        nodes: for each node of the tree its first row, its end and whether it is a leaf; `None` for brute force.
        bounds: the bounds of the nodes of a KD tree, or the centres of the nodes of a ball tree.
        radii: the radii of the nodes of a ball tree; `None` for a KD tree.
        farthest: only distances below this are found.
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
    """Describe how an estimator searches for neighbours.

    Raises:
        NoPlan: its metric has no rule.
    """
    name, parameters = model.effective_metric_, model.effective_metric_params_
    metric = _METRICS.get(name) if isinstance(name, str) else None
    unsupported = sorted(key for key, value in parameters.items() if key != "p" and value is not None)
    if metric is None or unsupported:
        raise NoPlan(f"a {type(model).__name__} has the metric {name} {', '.join(unsupported)}".rstrip())
    power = float(parameters.get("p", 2)) if metric == Metric.MINKOWSKI else 2.0
    if metric == Metric.MINKOWSKI:
        compiler.approximate("a libm computes the powers of a distance")
    if model._fit_method == "brute":  # noqa: SLF001 - nothing public says it
        return _brute_force(model, matrix, metric, power, compiler)
    data, order, nodes, bounds = map(np.asarray, model._tree.get_arrays())  # noqa: SLF001
    node_words = np.stack([nodes["idx_start"], nodes["idx_end"], nodes["is_leaf"]], axis=1).astype(np.uint32)
    is_ball = type(model._tree).__name__.startswith("BallTree")  # noqa: SLF001
    bounds, radii = (bounds[0], nodes["radius"]) if is_ball else (bounds, None)
    return _Search(data[order], order, metric, power, node_words, bounds, radii)


def _brute_force(model: Any, matrix: Matrix, metric: Metric, power: float, compiler: Compiler) -> _Search:
    """Describe a search through all training rows, in their order.

    Raises:
        NoPlan: the training rows are sparse, or what brute force finds depends on the processor.
    """
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
    """Return the distances of the `k` nearest training rows, ascending, and their targets.

    Returns:
        The distances; and for each column of `targets` the value that each of the `k` rows has.
    """
    search = _search(model, matrix, compiler)
    values = np.asarray(targets, dtype=np.float64)
    # If all distances are infinite, scikit-learn answers with its first row. The plan answers with the row at index 0,
    # which is outside of all leaves, so it holds a copy of that row.
    points = np.concatenate([search.points[search.order == 0], search.points])
    nodes = np.array([[0, len(values), 1]], dtype=np.uint32) if search.nodes is None else search.nodes
    neighbours = Neighbours(
        points,
        np.concatenate([values[:1], values[search.order]]),
        k,
        search.metric,
        search.power,
        nodes + np.array([1, 1, 0], dtype=np.uint32),
        search.bounds,
        search.radii,
        search.farthest,
    )
    distances, neighbour_targets = compiler.graph.nearest(_query(model, matrix, compiler), neighbours)
    return _take_root(distances, search, compiler), neighbour_targets


def _query(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the row's numbers after `check_array`."""
    return compiler.numbers(numbers(matrix, compiler, model).columns)


def _take_root(distances: list[Number], search: _Search, compiler: Compiler) -> list[Number]:
    """Take the root that finishes a distance: the square root, or `x ** (1 / p)` of Minkowski's."""
    if search.metric in (Metric.SQUARED, Metric.PRODUCTS):
        return compiler.graph.map(MathFunction.SQRT, distances)
    if search.metric == Metric.MINKOWSKI:
        return compiler.graph.map_const(MathFunction.POW, distances, 1.0 / search.power)
    return distances


def _weights(model: Any, distances: list[Number], compiler: Compiler) -> list[Number] | None:
    """Return `_get_weights(distances, "distance")`: the inverse distances; `None` where all rows weigh the same.

    Where a distance is 0, its row weighs 1 and rows at other distances weigh 0.

    Raises:
        NoPlan: the weights are a function of the user.
    """
    if model.weights in (None, "uniform"):
        return None
    if not isinstance(model.weights, str) or model.weights != "distance":
        raise NoPlan(f"a {type(model).__name__} has weights of its own")
    graph = compiler.graph
    inverse = graph.map_const(MathFunction.RDIV, distances, 1.0)
    is_infinite = graph.map_const(MathFunction.EQ, graph.map(MathFunction.ABS, inverse), np.inf)
    any_infinite = [graph.fold(MathFunction.MOST, is_infinite)] * len(inverse)
    return graph.select(any_infinite, is_infinite, inverse)


# The k nearest neighbours.


@answers("predict", "sklearn.KNeighborsRegressor")
def k_regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `KNeighborsRegressor.predict`: the mean of the neighbours' targets, or their weighted mean.

    With uniform weights, float32 targets are averaged in float32. A sum over one target is in NumPy's pairwise order;
    over several targets NumPy adds from the left. Weighted sums are float64 and pairwise.
    """
    graph, y = compiler.graph, _target_columns(model._y)  # noqa: SLF001
    distances, targets = _nearest(model, matrix, y, model.n_neighbors, compiler)
    weights = _weights(model, distances, compiler)
    dtype = FLOAT32 if y.dtype == FLOAT32 and weights is None else FLOAT64
    if weights is not None:
        total = [graph.fold(MathFunction.PAIRWISE, weights)]
        sums = [
            graph.fold(MathFunction.PAIRWISE, graph.map_two(MathFunction.MUL, column, weights)) for column in targets
        ]
        return as_matrix(graph.map_two(MathFunction.DIV, sums, total))
    sums = [(_sum_from_left if len(targets) > 1 else pairwise_sum)(compiler, column, dtype) for column in targets]
    return as_matrix(
        round_numbers(compiler, graph.map_const(MathFunction.DIV, sums, float(model.n_neighbors)), dtype), dtype
    )


def _target_columns(y: Any) -> Any:
    """Return the targets as an array of shape `(rows, targets)`; raises `NoPlan` for other dtypes than numbers."""
    array = np.asarray(y)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > FLOAT64.itemsize or array.dtype == np.float16:
        raise NoPlan(f"the targets of neighbours are {array.dtype}")
    return array.reshape(-1, 1) if array.ndim == 1 else array


def _sum_from_left(compiler: Compiler, values: list[Number], dtype: np.dtype[Any]) -> Number:
    """Return the sum in the order of the values, rounded after each where `dtype` is float32."""
    if dtype != FLOAT32:
        return compiler.graph.fold(MathFunction.SUM, values)
    total = values[:1]
    for value in values[1:]:
        total = round_numbers(compiler, compiler.graph.map_two(MathFunction.ADD, total, [value]), dtype)
    return total[0]


@answers("predict", "sklearn.KNeighborsClassifier")
def k_classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | list[Labels]:
    """Return `KNeighborsClassifier.predict`, for each target.

    It is the class of the most neighbours (`scipy.stats.mode`), or of the largest sum of weights (`weighted_mode`); the
    first one of equals.
    """
    labels = []
    for votes, classes in _votes(model, matrix, compiler, MathFunction.PAIRWISE):
        labels.append(Labels(compiler.graph.argmax(votes), classes))
    return labels if model.outputs_2d_ else labels[0]


@answers("predict_proba", "sklearn.KNeighborsClassifier")
def k_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix | list[Matrix]:
    """Return `KNeighborsClassifier.predict_proba`: each class's share of the neighbours, or of their weights."""
    probabilities = []
    for votes, _ in _votes(model, matrix, compiler, MathFunction.SUM):
        total = [compiler.graph.fold(MathFunction.PAIRWISE, votes)]
        probabilities.append(as_matrix(compiler.graph.map_two(MathFunction.DIV, votes, total)))
    return probabilities if model.outputs_2d_ else probabilities[0]


def _votes(model: Any, matrix: Matrix, compiler: Compiler, summation: MathFunction) -> list[tuple[list[Number], Any]]:
    """Return for each target the votes of its classes, and the classes.

    Args:
        model: the classifier.
        matrix: the columns.
        compiler: the plan's compiler.
        summation: the order in which weights are summed: `PAIRWISE` as `weighted_mode`, or `SUM` as `predict_proba`.
    """
    graph, y = compiler.graph, _target_columns(model._y)  # noqa: SLF001
    distances, targets = _nearest(model, matrix, y, model.n_neighbors, compiler)
    weights = _weights(model, distances, compiler)
    if weights is not None:
        largest = [graph.fold(MathFunction.MOST, weights)]
        graph.refuse(largest, Kind.ZERO, "every neighbour of the row has a weight of zero")
    votes_and_classes = []
    for neighbour_classes, classes in zip(targets, _classes(model), strict=True):
        votes = []
        for index in range(len(classes)):
            voters = graph.map_const(MathFunction.EQ, neighbour_classes, float(index))
            if weights is not None:
                voters = graph.select(voters, weights, graph.constant([0.0]) * len(voters))
            votes.append(graph.fold(summation if weights is not None else MathFunction.SUM, voters))
        votes_and_classes.append((votes, classes))
    return votes_and_classes


def _classes(model: Any) -> list[Any]:
    """Return the classes of each target."""
    return list(model.classes_) if model.outputs_2d_ else [model.classes_]


# All neighbours within a radius.


def _radius_weights(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[list[Number], _Search]:
    """Return the weight of each training row, 0 outside of the radius; and the search.

    A row at the radius is inside. Distances are compared before their root is taken, with `radius ** 2` or
    `radius ** p`. With weights by distance, rows at distance 0 weigh 1 and then all others 0.

    Raises:
        NoPlan: the weights are a function of the user.
    """
    graph = compiler.graph
    search = _search(model, matrix, compiler)
    distances = graph.distances(_query(model, matrix, compiler), search.points, search.metric, search.power)
    radius = float(model.radius)
    threshold = radius * radius if search.metric in (Metric.SQUARED, Metric.PRODUCTS) else radius
    if search.metric == Metric.MINKOWSKI:
        threshold = radius**search.power
    inside = graph.map_const(MathFunction.LE, distances, threshold)
    if model.weights in (None, "uniform"):
        return inside, search
    if not isinstance(model.weights, str) or model.weights != "distance":
        raise NoPlan(f"a {type(model).__name__} has weights of its own")
    distances = _take_root(distances, search, compiler)
    zeros = graph.constant([0.0]) * len(distances)
    at_zero = graph.map_two(MathFunction.MUL, graph.map_const(MathFunction.EQ, distances, 0.0), inside)
    inverse = graph.select(inside, graph.map_const(MathFunction.RDIV, distances, 1.0), zeros)
    return graph.select([graph.fold(MathFunction.MOST, at_zero)] * len(inverse), at_zero, inverse), search


@answers("predict", "sklearn.RadiusNeighborsRegressor")
def radius_regressor(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `RadiusNeighborsRegressor.predict`: the mean of the neighbours' targets, or their weighted mean.

    It is NaN where there is no neighbour. NumPy sums in blocks over the neighbours alone; the plan adds all rows in
    order, with zeros for those outside.

    Raises:
        NoPlan: the targets are float32.
    """
    graph, y = compiler.graph, _target_columns(model._y)  # noqa: SLF001
    if y.dtype == FLOAT32:
        raise NoPlan("the targets of a RadiusNeighborsRegressor are float32")
    compiler.approximate("NumPy adds up the neighbours of a RadiusNeighborsRegressor in blocks")
    weights, search = _radius_weights(model, matrix, compiler)
    total = graph.dot(weights, np.ones((len(weights), 1)))
    sums = graph.dot(weights, np.asarray(y, dtype=np.float64)[search.order])
    with np.errstate(invalid="ignore"):
        without_neighbours = np.asarray(np.full_like(y[0], np.nan), dtype=np.float64)
    is_empty = graph.map_const(MathFunction.EQ, total, 0.0) * len(sums)
    return as_matrix(
        graph.select(is_empty, graph.constant(without_neighbours), graph.map_two(MathFunction.DIV, sums, total))
    )


@answers("predict_proba", "sklearn.RadiusNeighborsClassifier")
def radius_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix | list[Matrix]:
    """Return `RadiusNeighborsClassifier.predict_proba`: each class's share of the neighbours, or of their weights.

    Where there is none, the outliers' label has the probability 1.
    """
    probabilities = [as_matrix(values) for values, _, _ in _radius_shares(model, matrix, compiler)]
    return probabilities if model.outputs_2d_ else probabilities[0]


@answers("predict", "sklearn.RadiusNeighborsClassifier")
def radius_classifier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | list[Labels]:
    """Return `RadiusNeighborsClassifier.predict`: the class of the largest share.

    Raises:
        NoPlan: the outliers' label is none of the classes.
    """
    graph, labels = compiler.graph, []
    for values, classes, outlier in _radius_shares(model, matrix, compiler):
        if outlier is not None and outlier not in list(classes):
            raise NoPlan(f"the RadiusNeighborsClassifier may answer {outlier!r}, which is none of its classes")
        labels.append(Labels(graph.argmax(values), classes))
    return labels if model.outputs_2d_ else labels[0]


def _radius_shares(model: Any, matrix: Matrix, compiler: Compiler) -> list[tuple[list[Number], Any, Any]]:
    """Return for each target the share of each of its classes, the classes, and the outliers' label."""
    graph, y = compiler.graph, _target_columns(model._y)  # noqa: SLF001
    weights, search = _radius_weights(model, matrix, compiler)
    inside = graph.dot(weights, np.ones((len(weights), 1)))
    if model.outlier_label_ is None:
        graph.refuse(inside, Kind.ZERO, "the row has no neighbours within the radius")
    targets = []
    for target, classes in enumerate(_classes(model)):
        is_class = (y[search.order, target, None] == np.arange(len(classes))).astype(np.float64)
        votes = graph.dot(weights, is_class)
        outlier = None if model.outlier_label_ is None else model.outlier_label_[target]
        outlier_votes = np.array([float(outlier is not None and bool(label == outlier)) for label in classes])
        is_empty = graph.map_const(MathFunction.EQ, inside, 0.0) * len(votes)
        votes = graph.select(is_empty, graph.constant(outlier_votes), votes)
        total = [graph.fold(MathFunction.PAIRWISE, votes)]
        is_zero = graph.map_const(MathFunction.EQ, total, 0.0)
        total = graph.select(is_zero, graph.constant([1.0]), total)
        targets.append((graph.map_two(MathFunction.DIV, votes, total), classes, outlier))
    return targets


# Local outlier factor.


@answers("score_samples", "sklearn.LocalOutlierFactor")
def outlier_scores(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `LocalOutlierFactor.score_samples` (`novelty=True`): minus the local outlier factor."""
    return as_matrix(*_outlier_scores(model, matrix, compiler))


@answers("decision_function", "sklearn.LocalOutlierFactor")
def outlier_decision(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `LocalOutlierFactor.decision_function`: `score_samples - offset_`."""
    return as_matrix(_outlier_decision(model, matrix, compiler))


@answers("predict", "sklearn.LocalOutlierFactor")
def outlier(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `LocalOutlierFactor.predict`: -1 where the decision function is below 0, else 1."""
    (value,) = _outlier_decision(model, matrix, compiler)
    is_outlier = above_zero(compiler, compiler.graph.map(MathFunction.NEGATE, [value])[0])
    return Labels(is_outlier, [1, -1])


def _outlier_decision(model: Any, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the numbers of `decision_function`."""
    values, _ = _outlier_scores(model, matrix, compiler)
    return compiler.graph.map_const(MathFunction.SUB, values, float(model.offset_))


def _outlier_scores(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[list[Number], np.dtype[Any]]:
    """Return the numbers of `score_samples`, and their dtype.

    With `reach(n) = max(distance to n, distance of n's k-th neighbour)`, a row's density is `1 / (mean(reach) + 1e-10)`
    (`_local_reachability_density`). The factor is the mean of `density of neighbour / density of row`. NumPy's means
    are sums in pairwise order, divided by `k`.

    Raises:
        NoPlan: `novelty=False`, or the columns are float32.
    """
    if not model.novelty:
        raise NoPlan("a LocalOutlierFactor without novelty answers for the rows that it was trained with alone")
    if matrix.dtype == FLOAT32:
        raise NoPlan("a LocalOutlierFactor computes in float32 what it has measured in float64")
    graph, k = compiler.graph, int(model.n_neighbors_)
    kth_distances, train_density = model._distances_fit_X_[:, k - 1], model._lrd  # noqa: SLF001 - nothing public has them
    distances, (neighbour_kth_distances, densities) = _nearest(
        model, matrix, np.stack([kth_distances, train_density], axis=1), k, compiler
    )
    total = graph.fold(MathFunction.PAIRWISE, graph.map_two(MathFunction.MAX, distances, neighbour_kth_distances))
    mean = graph.map_const(MathFunction.DIV, [total], float(k))
    density = graph.map_const(MathFunction.RDIV, graph.map_const(MathFunction.ADD, mean, 1e-10), 1.0)
    ratios = graph.fold(MathFunction.PAIRWISE, graph.map_two(MathFunction.DIV, densities, density))
    return graph.map(MathFunction.NEGATE, graph.map_const(MathFunction.DIV, [ratios], float(k))), FLOAT64
