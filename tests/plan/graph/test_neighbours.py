"""The steps that look for near points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import BallTree, KDTree

from fourfold.plan.format import Metric
from fourfold.plan.graph.builder import Graph, Number, Output
from fourfold.plan.graph.neighbours import Neighbours
from tests.plan.evaluators import evaluator

RANDOM = np.random.default_rng(12)
NAMES = {
    Metric.SQUARED: "euclidean",
    Metric.MANHATTAN: "manhattan",
    Metric.CHEBYSHEV: "chebyshev",
    Metric.MINKOWSKI: "minkowski",
}


def _found(graph: Graph, numbers: list[Number], queries: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    rows = [dict(zip((name for name, _ in graph.inputs), map(float, row), strict=True)) for row in queries]
    answers: Any = evaluator(graph, [Output("out", "float64", numbers=numbers, tensor=True)]).many(rows)
    return np.array([row["out"] for row in answers])


def _graph(width: int) -> tuple[Graph, list[Number]]:
    graph = Graph([(f"x{place}", "float64") for place in range(width)])
    return graph, [graph.number(place) for place in range(width)]


def _tree(tree: Any, k: int, metric: Metric, power: float = 2.0) -> Neighbours:
    """A tree of scikit-learn with the place of each point for a target."""
    data, order, nodes, bounds = map(np.asarray, tree.get_arrays())
    words = np.stack([nodes["idx_start"], nodes["idx_end"], nodes["is_leaf"]], axis=1).astype(np.uint32)
    near = Neighbours(data[order], order[:, None].astype(np.float64), k, metric, power, words, bounds)
    return replace(near, bounds=bounds[0], radii=nodes["radius"]) if isinstance(tree, BallTree) else near


def _apart(x: Any, y: Any, metric: Metric, power: float) -> Any:
    gaps = np.abs(x[:, None] - y[None])
    if metric == Metric.CHEBYSHEV:
        return gaps.max(axis=2)
    exponent = {Metric.MANHATTAN: 1.0, Metric.MINKOWSKI: power}.get(metric, 2.0)
    return (gaps**exponent).sum(axis=2)


@pytest.mark.parametrize("metric", list(Metric))
def test_distances(metric: Metric) -> None:
    """Distances of every metric, of several rows at once and of NaN."""
    random = np.random.default_rng(7)
    points, queries = random.normal(size=(7, 3)), random.normal(size=(20, 3))
    graph, values = _graph(3)
    found = _found(graph, graph.distances(values, points, metric, 3.0), [*queries, [np.nan, 0.0, 1.0]])
    np.testing.assert_allclose(found[:-1], _apart(queries, points, metric, 3.0), rtol=1e-14, atol=1e-14)
    assert (found[-1] == 0).all() if metric == Metric.PRODUCTS else np.isnan(found[-1]).all()


@pytest.mark.parametrize("metric", list(NAMES))
@pytest.mark.parametrize("k", [1, 3, 16, 40, 200])
@pytest.mark.parametrize("kind", [KDTree, BallTree])
def test_a_tree_gives_the_neighbours_of_scikit_learn(kind: Any, k: int, metric: Metric) -> None:
    """Equally near points are chosen and ordered as scikit-learn's trees do, also where there are very many of them."""
    for steps in (2, 4, 1000):
        points = RANDOM.integers(0, steps, (300, 3)) / steps
        queries = np.concatenate([points[:40], RANDOM.integers(-1, steps + 1, (40, 3)) / steps])
        power = {"p": 3.0} if metric == Metric.MINKOWSKI else {}
        tree = kind(points, leaf_size=5, metric=NAMES[metric], **power)
        expected, order = tree.query(queries, k)
        graph, values = _graph(3)
        distances, (places,) = graph.nearest(values, _tree(tree, k, metric, 3.0))
        found = _found(graph, [*distances, *places], queries)
        assert found[:, k:].tolist() == order.tolist()
        root = {Metric.SQUARED: 1 / 2, Metric.MINKOWSKI: 1 / 3}.get(metric, 1.0)
        np.testing.assert_allclose(found[:, :k] ** root, expected, rtol=1e-14)


def test_without_a_tree_the_first_of_equals_stays() -> None:
    """All points are looked at; one that is as near as the farthest so far does not take its place."""
    points = np.array([[1.0], [3.0], [1.0], [0.0], [3.0]])
    graph, values = _graph(1)
    near = Neighbours(points, np.array([[10.0, -1.0], [11, -2], [12, -3], [13, -4], [14, -5]]), 3, Metric.MANHATTAN)
    distances, targets = graph.nearest(values, near)
    found = _found(graph, [*distances, *targets[0], *targets[1]], [[2.0], [0.1], [np.nan]])
    assert found[0, :3].tolist() == [1.0, 1.0, 1.0]
    assert sorted(found[0, 3:6]) == [10.0, 11.0, 12.0]
    assert (found[0, 6:] == 9.0 - found[0, 3:6]).all()
    assert found[1, :4].tolist() == [0.1, 0.9, 0.9, 13.0]
    assert not np.isfinite(found[2, :3]).any()


def test_what_is_too_far_is_not_found() -> None:
    """Where no point is near enough, the first one stands for it."""
    graph, values = _graph(1)
    near = Neighbours(np.array([[1.0], [2.0]]), np.array([[5.0], [6.0]]), 2, Metric.PRODUCTS, farthest=4.0)
    distances, (targets,) = graph.nearest(values, near)
    found = _found(graph, [*distances, *targets], [[0.0], [1e200], [-3.0]])
    assert found.tolist() == [[1.0, 4.0, 5.0, 5.0], [4.0, 4.0, 5.0, 5.0], [4.0, 4.0, 5.0, 5.0]]


def test_the_order_of_many_distances_has_no_worst_case() -> None:
    """Distances that make the pivots bad ones are sorted all the same."""
    count = 2000
    killer = np.zeros(count)
    killer[: count // 2] = np.arange(1, count, 2)
    killer[count // 2 :] = np.arange(2, count + 1, 2)
    for values in (killer, killer[::-1], np.arange(count) % 7, np.arange(count)):
        tree = KDTree(values[:, None].astype(float), leaf_size=count, metric="manhattan")
        graph, query = _graph(1)
        _, (places,) = graph.nearest(query, _tree(tree, count, Metric.MANHATTAN))
        assert _found(graph, places, [[0.0]]).tolist() == tree.query([[0.0]], count)[1].tolist()


POINTS = np.arange(12.0).reshape(6, 2)
NEAR = Neighbours(POINTS, POINTS[:, :1], 2, Metric.SQUARED)
BOUNDS = np.zeros((2, 3, 2))


@pytest.mark.parametrize(
    ("near", "why"),
    [
        (replace(NEAR, k=7), "more than rows"),
        (replace(NEAR, nodes=np.array([[0, 7, 1]])), "not a tree of neighbours"),
        (replace(NEAR, nodes=np.array([[4, 3, 1]])), "not a tree of neighbours"),
        (replace(NEAR, nodes=np.array([[0, 6, 2]])), "not a tree of neighbours"),
        (replace(NEAR, nodes=np.array([[0, 6, 0]])), "not a tree of neighbours"),
        (replace(NEAR, nodes=np.array([[0, 6, 0], [0, 6, 1], [0, 1, 1]]), bounds=BOUNDS), "not a tree of neighbours"),
        (replace(NEAR, nodes=np.array([[0, 6, 0], [0, 3, 1], [3, 6, 0]]), bounds=BOUNDS), "not a tree of neighbours"),
        (replace(NEAR, nodes=np.zeros((0, 3), dtype=np.uint32)), "not a tree of neighbours"),
    ],
)
def test_a_wrong_tree_is_refused(near: Neighbours, why: str) -> None:
    """The evaluator refuses trees that leave the points or come back to them, and more neighbours than points."""
    graph, values = _graph(2)
    with pytest.raises(ValueError, match=why):
        evaluator(graph, [Output("out", "float64", numbers=graph.nearest(values, near)[0], tensor=True)])


def test_missing_bounds_and_points_are_refused() -> None:
    """Bounds of too few nodes, and points of another width."""
    nodes = np.array([[0, 6, 0], [0, 3, 1], [3, 6, 1]] + [[0, 0, 1]] * 40)
    graph, values = _graph(2)
    found, _ = graph.nearest(values, replace(NEAR, nodes=nodes, bounds=BOUNDS))
    with pytest.raises(ValueError, match="the bounds of neighbours are outside"):
        evaluator(graph, [Output("out", "float64", numbers=found, tensor=True)])
    with pytest.raises(ValueError, match="expected 6 values; got 12"):
        graph.nearest(values[:1], NEAR)
    with pytest.raises(ValueError, match="expected 6 values; got 12"):
        graph.distances(values[:1], POINTS, Metric.SQUARED)
