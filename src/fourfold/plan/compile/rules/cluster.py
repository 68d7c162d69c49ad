"""Clusters: the nearest of some centres, and how far all of them are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answers, transforms
from fourfold.plan.compile.arrays import floats, numbers
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Matrix, NoPlan, Numeric, Workshop
from fourfold.plan.compile.rules.discriminant_analysis import difference, log_shares
from fourfold.plan.compile.scores import as_matrix, exponentials, plus, single
from fourfold.plan.compile.sums import matrix_product, moved, rounded
from fourfold.plan.format import Function, Metric
from fourfold.plan.graph.builder import Code, Number

__all__: list[str] = []

Values = tuple[list[Number], np.dtype[Any]]

_MEANS = ("sklearn.KMeans", "sklearn.MiniBatchKMeans")
_CENTROIDS = "sklearn.NearestCentroid"


# K means.


def _gaps(model: Any, matrix: Matrix, centres: Any, workshop: Workshop) -> list[Number]:
    """For each centre the square of its distance, without what all have in common: `c² - 2xc`, times -1."""
    if matrix.dtype != centres.dtype:
        raise NoPlan(f"the {type(model).__name__} was trained with {centres.dtype}, and sees {matrix.dtype}")
    norms = np.einsum("ij,ij->i", centres, centres)
    products, dtype = matrix_product(workshop, matrix, centres.T, model)
    twice = workshop.graph.map_const(Function.MUL, products, 2.0)
    return plus(workshop, twice, dtype, norms, Function.SUB)[0]


@answers("predict", *_MEANS)
def means(model: Any, matrix: Matrix, workshop: Workshop) -> Labels:
    """The nearest centre, the first of equally near ones."""
    gaps = _gaps(model, floats(matrix, workshop, model), model.cluster_centers_, workshop)
    return Labels(workshop.graph.argmax(gaps), range(len(gaps)))


@answers("predict", "sklearn.BisectingKMeans")
def bisecting_means(model: Any, matrix: Matrix, workshop: Workshop) -> Labels:
    """Down a tree, at each node to the nearer one of two centres."""
    graph = workshop.graph
    made = floats(matrix, workshop, model)
    nodes = [model._bisecting_tree]  # noqa: SLF001 - no other place has it
    for node in nodes:
        nodes += [] if node.left is None else [node.left, node.right]
    centres = np.stack([node.center for node in nodes])
    if hasattr(model, "_X_mean"):
        centres += model._X_mean  # noqa: SLF001
    gaps = dict(zip(map(id, nodes), _gaps(model, made, centres, workshop), strict=True))

    label: dict[int, Number] = {}
    for node in reversed(nodes):
        if node.left is None:
            (label[id(node)],) = graph.constant([float(node.label)])
            continue
        is_right = graph.map_two(Function.GT, [gaps[id(node.right)]], [gaps[id(node.left)]])
        (label[id(node)],) = graph.select(is_right, [label[id(node.right)]], [label[id(node.left)]])
    count = sum(node.left is None for node in nodes)
    code = graph.match(label[id(nodes[0])], np.arange(count))
    return Labels(graph.recode(code, [*range(count), 0, 0], count), range(count))


# The nearest point.


def _distances(matrix: Matrix, centres: Any, workshop: Workshop) -> list[Number]:
    """The squares of distances, as products make them."""
    workshop.approximate("a BLAS computes distances")
    return workshop.graph.distances(
        workshop.numbers(matrix.columns), np.asarray(centres, dtype=np.float64), Metric.PRODUCTS
    )


def _nearest(matrix: Matrix, centres: Any, workshop: Workshop) -> Code:
    """The nearest centre, the first of equally near ones."""
    return workshop.graph.argmax(workshop.graph.map(Function.NEGATE, _distances(matrix, centres, workshop)))


@answers("predict", "sklearn.MeanShift", "sklearn.AffinityPropagation")
def centres(model: Any, matrix: Matrix, workshop: Workshop) -> Labels:
    """The nearest centre."""
    points = getattr(model, "cluster_centers_", np.zeros((0, 0)))
    if hasattr(points, "toarray") or not len(points) or matrix.sparse:
        raise NoPlan(f"the {type(model).__name__} has no centres, or those of a sparse matrix")
    code = _nearest(numbers(matrix, workshop, model), points, workshop)
    return Labels(code, range(len(points)))


@answers("predict", "sklearn.Birch")
def birch(model: Any, matrix: Matrix, workshop: Workshop) -> Labels:
    """The cluster of the nearest small cluster."""
    code = _nearest(numbers(matrix, workshop, model), model.subcluster_centers_, workshop)
    return Labels(code, model.subcluster_labels_)


@transforms(*_MEANS, "sklearn.BisectingKMeans", "sklearn.Birch")
def distances(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The Euclidean distance of every centre; of float32 its square is rounded, and its root again."""
    is_birch = type(model).__name__ == "Birch"
    made = (numbers if is_birch else floats)(matrix, workshop, model)
    points = model.subcluster_centers_ if is_birch else model.cluster_centers_
    dtype = FLOAT32 if made.dtype == points.dtype == FLOAT32 else FLOAT64
    squares = single(workshop, _distances(made, points, workshop), dtype)
    return as_matrix(single(workshop, workshop.graph.map(Function.SQRT, squares), dtype), dtype)


@transforms("sklearn.FeatureAgglomeration")
def agglomeration(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The mean, the least or the largest of the columns of each cluster."""
    made = numbers(matrix, workshop, model)
    pooled = {np.mean: Function.SUM, np.max: Function.MOST, np.min: Function.LEAST}.get(model.pooling_func)
    if pooled is None or made.sparse:
        raise NoPlan("a FeatureAgglomeration pools by another function than the mean, the least and the largest")
    values = workshop.numbers(made.columns)
    out = []
    for cluster in np.unique(model.labels_):
        places = np.flatnonzero(model.labels_ == cluster)
        mine = [values[place] for place in places]
        mine = [*workshop.graph.constant([0.0]), *mine] if pooled == Function.SUM else mine  # -0.0 is no sum of counts
        value = workshop.graph.fold(pooled, mine)
        if pooled == Function.SUM:
            (value,) = workshop.graph.map_const(Function.DIV, [value], float(len(places)))
        out.append(Numeric(value, FLOAT64 if pooled == Function.SUM else made.dtype))
    return Matrix(tuple(out))


# Classes by their centroids.


def _uniform(model: Any) -> bool:
    return bool(np.isclose(model.class_prior_, 1 / len(model.classes_)).all())


@answers("predict", _CENTROIDS)
def nearest_centroid(model: Any, matrix: Matrix, workshop: Workshop) -> Labels:
    """The class with the nearest centroid, or where priors differ the one with the highest score."""
    if not _uniform(model):
        return Labels(workshop.graph.argmax(_scores(model, matrix, workshop)[0]), model.classes_)
    made = numbers(_dense(matrix), workshop, model)
    if model.metric == "euclidean":
        return Labels(_nearest(made, model.centroids_, workshop), model.classes_)
    if made.dtype == model.centroids_.dtype == FLOAT32:
        raise NoPlan("a NearestCentroid measures float32 in float32")
    return Labels(
        workshop.graph.argmax(workshop.graph.map(Function.NEGATE, _apart(model, made, model.centroids_, workshop))),
        model.classes_,
    )


def _dense(matrix: Matrix) -> Matrix:
    if matrix.sparse:
        raise NoPlan("a NearestCentroid sees a sparse matrix")
    return matrix


def _apart(model: Any, matrix: Matrix, centroids: Any, workshop: Workshop) -> list[Number]:
    """The distance of each centroid: for the Euclidean one its square, for the other sums of magnitudes."""
    if model.metric != "manhattan":
        raise NoPlan(f"a NearestCentroid has the metric {model.metric}")
    points = np.asarray(centroids, dtype=np.float64)
    return workshop.graph.distances(workshop.numbers(matrix.columns), points, Metric.MANHATTAN)


def _scores(model: Any, matrix: Matrix, workshop: Workshop) -> Values:
    """Minus the square of the distance of each centroid, in deviations, plus twice the logarithm of its prior."""
    graph = workshop.graph
    made = workshop.cast(numbers(_dense(matrix), workshop, model), FLOAT64)
    deviations: npt.NDArray[np.float64] = np.asarray(model.within_class_std_dev_, dtype=np.float64)
    scale = np.where(deviations != 0, deviations, 1.0)
    made = moved(made, scale, workshop, function=Function.DIV)
    centroids = model.centroids_.copy()
    mask = model.within_class_std_dev_ != 0
    centroids[:, mask] /= model.within_class_std_dev_[mask]
    if model.metric == "euclidean":
        apart = graph.map(Function.SQRT, _distances(made, centroids, workshop))
    else:
        apart = _apart(model, made, centroids, workshop)
    squares = graph.map(Function.NEGATE, graph.map_two(Function.MUL, apart, apart))
    return graph.map_const(Function.ADD, squares, rounded(2.0 * np.log(model.class_prior_), FLOAT64)), FLOAT64


@answers("decision_function", _CENTROIDS)
def centroid_decision(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """A score for each class; of two classes that of the second minus that of the first."""
    return as_matrix(*difference(_scores(model, matrix, workshop), workshop))


@answers("predict_log_proba", _CENTROIDS)
def centroid_log_proba(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The scores minus the logarithm of the sum of their exponentials."""
    return as_matrix(*log_shares(_scores(model, matrix, workshop), workshop))


@answers("predict_proba", _CENTROIDS)
def centroid_proba(model: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """The exponentials of that."""
    values, dtype = log_shares(_scores(model, matrix, workshop), workshop)
    return as_matrix(exponentials(workshop, values, dtype), dtype)
