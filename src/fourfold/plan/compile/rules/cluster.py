"""Clusters: the nearest of some centres, and how far all of them are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answers, transforms
from fourfold.plan.compile.arrays import floats, numbers
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Compiler, Matrix, NoPlan, Numeric
from fourfold.plan.compile.rules.discriminant_analysis import difference, log_shares
from fourfold.plan.compile.scores import as_matrix, exponentials, plus, single
from fourfold.plan.compile.sums import matrix_product, moved, rounded
from fourfold.plan.format import MathFunction, Metric
from fourfold.plan.graph.builder import Code, Number

__all__: list[str] = []

Values = tuple[list[Number], np.dtype[Any]]

_MEANS = ("sklearn.KMeans", "sklearn.MiniBatchKMeans")
_CENTROIDS = "sklearn.NearestCentroid"


# K means.


def _gaps(model: Any, matrix: Matrix, centres: Any, compiler: Compiler) -> list[Number]:
    """For each centre the square of its distance, without what all have in common: `c² - 2xc`, times -1."""
    if matrix.dtype != centres.dtype:
        raise NoPlan(f"the {type(model).__name__} was trained with {centres.dtype}, and sees {matrix.dtype}")
    norms = np.einsum("ij,ij->i", centres, centres)
    products, dtype = matrix_product(compiler, matrix, centres.T, model)
    twice = compiler.graph.map_const(MathFunction.MUL, products, 2.0)
    return plus(compiler, twice, dtype, norms, MathFunction.SUB)[0]


@answers("predict", *_MEANS)
def means(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The nearest centre, the first of equally near ones."""
    gaps = _gaps(model, floats(matrix, compiler, model), model.cluster_centers_, compiler)
    return Labels(compiler.graph.argmax(gaps), range(len(gaps)))


@answers("predict", "sklearn.BisectingKMeans")
def bisecting_means(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Down a tree, at each node to the nearer one of two centres."""
    graph = compiler.graph
    made = floats(matrix, compiler, model)
    nodes = [model._bisecting_tree]  # noqa: SLF001 - no other place has it
    for node in nodes:
        nodes += [] if node.left is None else [node.left, node.right]
    centres = np.stack([node.center for node in nodes])
    if hasattr(model, "_X_mean"):
        centres += model._X_mean  # noqa: SLF001
    gaps = dict(zip(map(id, nodes), _gaps(model, made, centres, compiler), strict=True))

    label: dict[int, Number] = {}
    for node in reversed(nodes):
        if node.left is None:
            (label[id(node)],) = graph.constant([float(node.label)])
            continue
        is_right = graph.map_two(MathFunction.GT, [gaps[id(node.right)]], [gaps[id(node.left)]])
        (label[id(node)],) = graph.select(is_right, [label[id(node.right)]], [label[id(node.left)]])
    count = sum(node.left is None for node in nodes)
    code = graph.match(label[id(nodes[0])], np.arange(count))
    return Labels(graph.recode(code, [*range(count), 0, 0], count), range(count))


# The nearest point.


def _distances(matrix: Matrix, centres: Any, compiler: Compiler) -> list[Number]:
    """The squares of distances, as products make them."""
    compiler.approximate("a BLAS computes distances")
    return compiler.graph.distances(
        compiler.numbers(matrix.columns), np.asarray(centres, dtype=np.float64), Metric.PRODUCTS
    )


def _nearest(matrix: Matrix, centres: Any, compiler: Compiler) -> Code:
    """The nearest centre, the first of equally near ones."""
    return compiler.graph.argmax(compiler.graph.map(MathFunction.NEGATE, _distances(matrix, centres, compiler)))


@answers("predict", "sklearn.MeanShift", "sklearn.AffinityPropagation")
def centres(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The nearest centre."""
    points = getattr(model, "cluster_centers_", np.zeros((0, 0)))
    if hasattr(points, "toarray") or not len(points) or matrix.sparse:
        raise NoPlan(f"the {type(model).__name__} has no centres, or those of a sparse matrix")
    code = _nearest(numbers(matrix, compiler, model), points, compiler)
    return Labels(code, range(len(points)))


@answers("predict", "sklearn.Birch")
def birch(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The cluster of the nearest small cluster."""
    code = _nearest(numbers(matrix, compiler, model), model.subcluster_centers_, compiler)
    return Labels(code, model.subcluster_labels_)


@transforms(*_MEANS, "sklearn.BisectingKMeans", "sklearn.Birch")
def distances(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The Euclidean distance of every centre; of float32 its square is rounded, and its root again."""
    is_birch = type(model).__name__ == "Birch"
    made = (numbers if is_birch else floats)(matrix, compiler, model)
    points = model.subcluster_centers_ if is_birch else model.cluster_centers_
    dtype = FLOAT32 if made.dtype == points.dtype == FLOAT32 else FLOAT64
    squares = single(compiler, _distances(made, points, compiler), dtype)
    return as_matrix(single(compiler, compiler.graph.map(MathFunction.SQRT, squares), dtype), dtype)


@transforms("sklearn.FeatureAgglomeration")
def agglomeration(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The mean, the least or the largest of the columns of each cluster."""
    made = numbers(matrix, compiler, model)
    pooled = {np.mean: MathFunction.SUM, np.max: MathFunction.MOST, np.min: MathFunction.LEAST}.get(model.pooling_func)
    if pooled is None or made.sparse:
        raise NoPlan("a FeatureAgglomeration pools by another function than the mean, the least and the largest")
    values = compiler.numbers(made.columns)
    out = []
    for cluster in np.unique(model.labels_):
        places = np.flatnonzero(model.labels_ == cluster)
        mine = [values[place] for place in places]
        mine = (
            [*compiler.graph.constant([0.0]), *mine] if pooled == MathFunction.SUM else mine
        )  # -0.0 is no sum of counts
        value = compiler.graph.fold(pooled, mine)
        if pooled == MathFunction.SUM:
            (value,) = compiler.graph.map_const(MathFunction.DIV, [value], float(len(places)))
        out.append(Numeric(value, FLOAT64 if pooled == MathFunction.SUM else made.dtype))
    return Matrix(tuple(out))


# Classes by their centroids.


def _uniform(model: Any) -> bool:
    return bool(np.isclose(model.class_prior_, 1 / len(model.classes_)).all())


@answers("predict", _CENTROIDS)
def nearest_centroid(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The class with the nearest centroid, or where priors differ the one with the highest score."""
    if not _uniform(model):
        return Labels(compiler.graph.argmax(_scores(model, matrix, compiler)[0]), model.classes_)
    made = numbers(_dense(matrix), compiler, model)
    if model.metric == "euclidean":
        return Labels(_nearest(made, model.centroids_, compiler), model.classes_)
    if made.dtype == model.centroids_.dtype == FLOAT32:
        raise NoPlan("a NearestCentroid measures float32 in float32")
    return Labels(
        compiler.graph.argmax(compiler.graph.map(MathFunction.NEGATE, _apart(model, made, model.centroids_, compiler))),
        model.classes_,
    )


def _dense(matrix: Matrix) -> Matrix:
    if matrix.sparse:
        raise NoPlan("a NearestCentroid sees a sparse matrix")
    return matrix


def _apart(model: Any, matrix: Matrix, centroids: Any, compiler: Compiler) -> list[Number]:
    """The distance of each centroid: for the Euclidean one its square, for the other sums of magnitudes."""
    if model.metric != "manhattan":
        raise NoPlan(f"a NearestCentroid has the metric {model.metric}")
    points = np.asarray(centroids, dtype=np.float64)
    return compiler.graph.distances(compiler.numbers(matrix.columns), points, Metric.MANHATTAN)


def _scores(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Minus the square of the distance of each centroid, in deviations, plus twice the logarithm of its prior."""
    graph = compiler.graph
    made = compiler.cast(numbers(_dense(matrix), compiler, model), FLOAT64)
    deviations: npt.NDArray[np.float64] = np.asarray(model.within_class_std_dev_, dtype=np.float64)
    scale = np.where(deviations != 0, deviations, 1.0)
    made = moved(made, scale, compiler, function=MathFunction.DIV)
    centroids = model.centroids_.copy()
    mask = model.within_class_std_dev_ != 0
    centroids[:, mask] /= model.within_class_std_dev_[mask]
    if model.metric == "euclidean":
        apart = graph.map(MathFunction.SQRT, _distances(made, centroids, compiler))
    else:
        apart = _apart(model, made, centroids, compiler)
    squares = graph.map(MathFunction.NEGATE, graph.map_two(MathFunction.MUL, apart, apart))
    return graph.map_const(MathFunction.ADD, squares, rounded(2.0 * np.log(model.class_prior_), FLOAT64)), FLOAT64


@answers("decision_function", _CENTROIDS)
def centroid_decision(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """A score for each class; of two classes that of the second minus that of the first."""
    return as_matrix(*difference(_scores(model, matrix, compiler), compiler))


@answers("predict_log_proba", _CENTROIDS)
def centroid_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The scores minus the logarithm of the sum of their exponentials."""
    return as_matrix(*log_shares(_scores(model, matrix, compiler), compiler))


@answers("predict_proba", _CENTROIDS)
def centroid_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The exponentials of that."""
    values, dtype = log_shares(_scores(model, matrix, compiler), compiler)
    return as_matrix(exponentials(compiler, values, dtype), dtype)
