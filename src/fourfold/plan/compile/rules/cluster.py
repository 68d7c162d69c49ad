"""Compile scikit-learn's clusterers (`sklearn.cluster`) and the NearestCentroid.

Distances to centres are `c² - 2xc` or `x² - 2xc + c²` with products by a BLAS, so the nearest of two equally near
centres may be another one than with the original. The means, minima and maxima of a FeatureAgglomeration are exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answers, transforms
from fourfold.plan.compile.arrays import floats, numbers
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Compiler, Matrix, NoPlan, Numeric
from fourfold.plan.compile.rules.discriminant_analysis import difference, log_probabilities
from fourfold.plan.compile.scores import add_constants, as_matrix, exponentials, round_numbers
from fourfold.plan.compile.sums import apply_constants, matrix_product, round_to_dtype
from fourfold.plan.format import MathFunction, Metric
from fourfold.plan.graph.builder import Code, Number

__all__: list[str] = []

Values = tuple[list[Number], np.dtype[Any]]

_MEANS = ("sklearn.KMeans", "sklearn.MiniBatchKMeans")
_CENTROIDS = "sklearn.NearestCentroid"


# K means.


def _closeness(model: Any, matrix: Matrix, centres: Any, compiler: Compiler) -> list[Number]:
    """Return for each centre `2xc - c²`, larger for nearer centres: minus what `lloyd_iter_chunked_dense` compares.

    Raises:
        NoPlan: the model was trained with another dtype.
    """
    if matrix.dtype != centres.dtype:
        raise NoPlan(f"the {type(model).__name__} was trained with {centres.dtype}, and sees {matrix.dtype}")
    norms = np.einsum("ij,ij->i", centres, centres)
    products, dtype = matrix_product(compiler, matrix, centres.T, model)
    twice = compiler.graph.map_const(MathFunction.MUL, products, 2.0)
    return add_constants(compiler, twice, dtype, norms, MathFunction.SUB)[0]


@answers("predict", *_MEANS)
def means(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `KMeans.predict`: the nearest centre, the first one of equals."""
    closeness = _closeness(model, floats(matrix, compiler, model), model.cluster_centers_, compiler)
    return Labels(compiler.graph.argmax(closeness), range(len(closeness)))


@answers("predict", "sklearn.BisectingKMeans")
def bisecting_means(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `BisectingKMeans.predict`: from the root down, at each node to the nearer of its two centres."""
    graph = compiler.graph
    inputs = floats(matrix, compiler, model)
    nodes = [model._bisecting_tree]  # noqa: SLF001 - nothing public has it
    for node in nodes:
        nodes += [] if node.left is None else [node.left, node.right]
    centres = np.stack([node.center for node in nodes])
    if hasattr(model, "_X_mean"):
        centres += model._X_mean  # noqa: SLF001
    closeness = dict(zip(map(id, nodes), _closeness(model, inputs, centres, compiler), strict=True))

    label_of: dict[int, Number] = {}
    for node in reversed(nodes):
        if node.left is None:
            (label_of[id(node)],) = graph.constant([float(node.label)])
            continue
        is_right = graph.map_two(MathFunction.GT, [closeness[id(node.right)]], [closeness[id(node.left)]])
        (label_of[id(node)],) = graph.select(is_right, [label_of[id(node.right)]], [label_of[id(node.left)]])
    n_clusters = sum(node.left is None for node in nodes)
    code = graph.match(label_of[id(nodes[0])], np.arange(n_clusters))
    return Labels(graph.recode(code, [*range(n_clusters), 0, 0], n_clusters), range(n_clusters))


# The nearest centre.


def _distances(matrix: Matrix, centres: Any, compiler: Compiler) -> list[Number]:
    """Return squared distances as `euclidean_distances(squared=True)`: `x² - 2xc + c²`."""
    compiler.approximate("a BLAS computes distances")
    return compiler.graph.distances(
        compiler.numbers(matrix.columns), np.asarray(centres, dtype=np.float64), Metric.PRODUCTS
    )


def _nearest(matrix: Matrix, centres: Any, compiler: Compiler) -> Code:
    """Return the index of the nearest centre, the first one of equals (`pairwise_distances_argmin`)."""
    return compiler.graph.argmax(compiler.graph.map(MathFunction.NEGATE, _distances(matrix, centres, compiler)))


@answers("predict", "sklearn.MeanShift", "sklearn.AffinityPropagation")
def centres(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `MeanShift.predict` and `AffinityPropagation.predict`: the nearest centre.

    Raises:
        NoPlan: the model has no centres, or they or the columns are sparse.
    """
    cluster_centres = getattr(model, "cluster_centers_", np.zeros((0, 0)))
    if hasattr(cluster_centres, "toarray") or not len(cluster_centres) or matrix.sparse:
        raise NoPlan(f"the {type(model).__name__} has no centres, or those of a sparse matrix")
    code = _nearest(numbers(matrix, compiler, model), cluster_centres, compiler)
    return Labels(code, range(len(cluster_centres)))


@answers("predict", "sklearn.Birch")
def birch(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `Birch.predict`: the cluster of the nearest subcluster."""
    code = _nearest(numbers(matrix, compiler, model), model.subcluster_centers_, compiler)
    return Labels(code, model.subcluster_labels_)


@transforms(*_MEANS, "sklearn.BisectingKMeans", "sklearn.Birch")
def distances(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `transform` of clusterers: the Euclidean distance of every centre.

    With float32, the square is rounded to float32, and then its root is.
    """
    is_birch = type(model).__name__ == "Birch"
    inputs = (numbers if is_birch else floats)(matrix, compiler, model)
    cluster_centres = model.subcluster_centers_ if is_birch else model.cluster_centers_
    dtype = FLOAT32 if inputs.dtype == cluster_centres.dtype == FLOAT32 else FLOAT64
    squares = round_numbers(compiler, _distances(inputs, cluster_centres, compiler), dtype)
    return as_matrix(round_numbers(compiler, compiler.graph.map(MathFunction.SQRT, squares), dtype), dtype)


@transforms("sklearn.FeatureAgglomeration")
def agglomeration(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `FeatureAgglomeration.transform`: the mean, minimum or maximum of the columns of each cluster.

    Raises:
        NoPlan: it pools by another function, or the columns are sparse.
    """
    inputs = numbers(matrix, compiler, model)
    function = {np.mean: MathFunction.SUM, np.max: MathFunction.MOST, np.min: MathFunction.LEAST}.get(
        model.pooling_func
    )
    if function is None or inputs.sparse:
        raise NoPlan("a FeatureAgglomeration pools by another function than the mean, the least and the largest")
    values = compiler.numbers(inputs.columns)
    columns = []
    for cluster in np.unique(model.labels_):
        indices = np.flatnonzero(model.labels_ == cluster)
        members = [values[index] for index in indices]
        members = (
            [*compiler.graph.constant([0.0]), *members] if function == MathFunction.SUM else members
        )  # the sum begins at 0.0, so it is never -0.0
        value = compiler.graph.fold(function, members)
        if function == MathFunction.SUM:
            (value,) = compiler.graph.map_const(MathFunction.DIV, [value], float(len(indices)))
        columns.append(Numeric(value, FLOAT64 if function == MathFunction.SUM else inputs.dtype))
    return Matrix(tuple(columns))


# Nearest centroid.


def _has_uniform_priors(model: Any) -> bool:
    """Tell whether all classes have the same prior probability."""
    return bool(np.isclose(model.class_prior_, 1 / len(model.classes_)).all())


@answers("predict", _CENTROIDS)
def nearest_centroid(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `NearestCentroid.predict`: the class of the nearest centroid, or with other priors of the highest score.

    Raises:
        NoPlan: the columns are sparse, or distances are measured in float32.
    """
    if not _has_uniform_priors(model):
        return Labels(compiler.graph.argmax(_scores(model, matrix, compiler)[0]), model.classes_)
    inputs = numbers(_refuse_sparse(matrix), compiler, model)
    if model.metric == "euclidean":
        return Labels(_nearest(inputs, model.centroids_, compiler), model.classes_)
    if inputs.dtype == model.centroids_.dtype == FLOAT32:
        raise NoPlan("a NearestCentroid measures float32 in float32")
    return Labels(
        compiler.graph.argmax(
            compiler.graph.map(MathFunction.NEGATE, _manhattan_distances(model, inputs, model.centroids_, compiler))
        ),
        model.classes_,
    )


def _refuse_sparse(matrix: Matrix) -> Matrix:
    """Return the columns; raises `NoPlan` where they are a sparse matrix."""
    if matrix.sparse:
        raise NoPlan("a NearestCentroid sees a sparse matrix")
    return matrix


def _manhattan_distances(model: Any, matrix: Matrix, centroids: Any, compiler: Compiler) -> list[Number]:
    """Return the Manhattan distance of each centroid; raises `NoPlan` for other metrics."""
    if model.metric != "manhattan":
        raise NoPlan(f"a NearestCentroid has the metric {model.metric}")
    points = np.asarray(centroids, dtype=np.float64)
    return compiler.graph.distances(compiler.numbers(matrix.columns), points, Metric.MANHATTAN)


def _scores(model: Any, matrix: Matrix, compiler: Compiler) -> Values:
    """Return `NearestCentroid._decision_function`: `-distance² + 2 * log(prior)` of each class, in float64.

    Columns and centroids are divided by the deviation within classes first, unless that is 0.
    """
    graph = compiler.graph
    inputs = compiler.cast(numbers(_refuse_sparse(matrix), compiler, model), FLOAT64)
    deviations: npt.NDArray[np.float64] = np.asarray(model.within_class_std_dev_, dtype=np.float64)
    scale = np.where(deviations != 0, deviations, 1.0)
    inputs = apply_constants(inputs, scale, compiler, function=MathFunction.DIV)
    centroids = model.centroids_.copy()
    is_scaled = model.within_class_std_dev_ != 0
    centroids[:, is_scaled] /= model.within_class_std_dev_[is_scaled]
    if model.metric == "euclidean":
        distances = graph.map(MathFunction.SQRT, _distances(inputs, centroids, compiler))
    else:
        distances = _manhattan_distances(model, inputs, centroids, compiler)
    squares = graph.map(MathFunction.NEGATE, graph.map_two(MathFunction.MUL, distances, distances))
    return graph.map_const(
        MathFunction.ADD, squares, round_to_dtype(2.0 * np.log(model.class_prior_), FLOAT64)
    ), FLOAT64


@answers("decision_function", _CENTROIDS)
def centroid_decision(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `NearestCentroid.decision_function`: the scores; for two classes the second minus the first."""
    return as_matrix(*difference(_scores(model, matrix, compiler), compiler))


@answers("predict_log_proba", _CENTROIDS)
def centroid_log_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `NearestCentroid.predict_log_proba`: `score - log(sum(exp(score)))`."""
    return as_matrix(*log_probabilities(_scores(model, matrix, compiler), compiler))


@answers("predict_proba", _CENTROIDS)
def centroid_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `NearestCentroid.predict_proba`: `numpy.exp` of `predict_log_proba`."""
    values, dtype = log_probabilities(_scores(model, matrix, compiler), compiler)
    return as_matrix(exponentials(compiler, values, dtype), dtype)
