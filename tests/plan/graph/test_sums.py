"""Sums of products and of squares: every shape of tile, and one row or many, has the bits of the plain order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fourfold.plan.format import MathFunction, Metric
from fourfold.plan.graph.builder import Graph, Number, Output
from tests.plan.evaluators import bits, evaluator

SHAPES = [(1, 1), (1, 300), (2, 7), (3, 255), (4, 256), (5, 257), (8, 2), (9, 513), (13, 600)]
ROWS = (1, 2, 3, 4, 5, 8, 63, 64, 65, 150)


def _table(inputs: int) -> Any:
    source = np.random.default_rng(inputs)
    x = source.normal(size=(max(ROWS), inputs)) * 10.0 ** source.integers(-3, 4, inputs)
    x[3, 0], x[5, -1], x[7, 0], x[9, -1] = np.nan, np.inf, -0.0, 1e308
    return x


def _made(inputs: int) -> tuple[Graph, list[Number]]:
    graph = Graph([(f"x{place}", "float64") for place in range(inputs)])
    return graph, [graph.number(place) for place in range(inputs)]


def _check(graph: Graph, outputs: list[Number], x: Any, expected: Any) -> None:
    found = evaluator(graph, [Output("y", "float64", outputs, tensor=True)])
    rows = [{f"x{place}": float(value) for place, value in enumerate(row)} for row in x]
    wanted = [bits([float(each) for each in row]) for row in np.where(np.isnan(expected), np.nan, expected)]
    for count in ROWS:
        answers: Any = found.many(rows[:count])
        assert [bits(row["y"]) for row in answers] == wanted[:count], count
    for row, each in zip(rows[:12], wanted, strict=False):
        alone: Any = found.one(row)
        assert bits(alone["y"]) == each


@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
def test_products(outputs: int, inputs: int) -> None:
    """A sum takes the inputs in their order, from zero on, each product rounded."""
    x, weights = _table(inputs), np.random.default_rng(1).normal(size=(inputs, outputs))
    weights[0, 0] = -0.0
    graph, numbers = _made(inputs)
    expected = np.zeros((len(x), outputs))
    with np.errstate(all="ignore"):
        for place in range(inputs):
            expected += x[:, [place]] * weights[place]
    _check(graph, graph.dot(numbers, weights), x, expected)


@pytest.mark.parametrize("count", [7, 8, 9, 127, 128, 129, 136, 256, 300])
def test_pairwise_sums(count: int) -> None:
    """A pairwise sum has the bits of numpy.sum, at every number of inputs where its order changes."""
    x = _table(count)
    graph, numbers = _made(count)
    with np.errstate(all="ignore"):
        expected = x.sum(axis=1, keepdims=True)
    _check(graph, [graph.fold(MathFunction.PAIRWISE, numbers)], x, expected)


@pytest.mark.parametrize("metric", [Metric.SQUARED, Metric.PRODUCTS])
@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
def test_distances(outputs: int, inputs: int, metric: Metric) -> None:
    """So do the sums of a distance."""
    x, points = _table(inputs), np.random.default_rng(2).normal(size=(outputs, inputs))
    graph, numbers = _made(inputs)
    total, here, there = np.zeros((len(x), outputs)), np.zeros((len(x), 1)), np.zeros(outputs)
    with np.errstate(all="ignore"):
        for place in range(inputs):
            column = x[:, [place]]
            gap = column - points[:, place]
            total += gap * gap if metric == Metric.SQUARED else column * points[:, place]
            here += column * column
            there += points[:, place] * points[:, place]
        if metric == Metric.PRODUCTS:
            total = (-2.0 * total + here) + there
            total = np.where(total > 0, total, 0.0)
    _check(graph, graph.distances(numbers, points, metric), x, total)


@pytest.mark.parametrize("count", [1, 2, 3, 40, 515])
def test_functions_of_many_numbers(count: int) -> None:
    """One row, whose numbers lie side by side, has the bits of many rows, also where numbers are out of order."""
    x = _table(count)
    graph, numbers = _made(count)
    turned = numbers[::-1]
    constants = np.linspace(-2.0, 3.0, count)
    values = graph.map_const(MathFunction.MUL, numbers, constants)
    values = graph.map(MathFunction.EXP, graph.map(MathFunction.TANH, values))
    values += graph.map_two(MathFunction.ADD, numbers, turned) + graph.map_two(MathFunction.MAX, turned, numbers)
    values += graph.map_const(MathFunction.IF_NAN, turned, constants) + graph.map(MathFunction.SQRT, turned)
    found = evaluator(graph, [Output("y", "float64", values, tensor=True)])
    rows = [{f"x{place}": float(value) for place, value in enumerate(row)} for row in x[:20]]
    answers: Any = found.many(rows)
    for row, together in zip(rows, answers, strict=True):
        alone: Any = found.one(row)
        assert bits(alone["y"]) == bits(together["y"])
