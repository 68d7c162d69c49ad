"""Groves: trees of boosted models before they are a forest of a plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fourfold.plan.compile.boosted_trees import ForestBuilder, SetTest, Test, ThresholdTest, codes_of
from fourfold.plan.compile.columns import Coded, Column, Compiler, NoPlan, Numeric, Opaque, Text
from fourfold.plan.graph.builder import Graph, Number, Output
from tests.plan.evaluators import evaluator

Tree = tuple[list[int], list[int], list[int]]
ROWS: list[dict[str, Any]] = [
    {"x": x, "t": t}
    for x in (None, -np.inf, -1.5, -0.0, 0.0, 1.0, 2.0, 7.0, np.inf)
    for t in (None, "?", "t0", "t1", "t4")
]


def answers(graph: Graph, numbers: list[Number]) -> list[list[float]]:
    """What numbers are for `ROWS`."""
    found: Any = evaluator(graph, [Output("out", "float64", numbers=numbers, tensor=True)]).many(ROWS)
    return [row["out"] for row in found]


def grown(generator: np.random.Generator, tests: int, leaves: int) -> Tree:
    """A tree of random shape whose nodes are in no order but that the root is first."""
    left, right, what = [-1], [-1], [0]
    open_nodes = [0]
    for _ in range(leaves - 1):
        node = open_nodes.pop(int(generator.integers(len(open_nodes))))
        left[node], right[node] = len(left), len(left) + 1
        what[node] = int(generator.integers(tests))
        for child in (left[node], right[node]):
            left.append(-1)
            right.append(-1)
            what.append(0)
            open_nodes.append(child)
    for row, node in enumerate(open_nodes):
        what[node] = row
    return left, right, what


def walked(tree: Tree, tests: list[Test], seen: dict[Any, float]) -> int:
    """The leaf's row for one row of data, by its definition."""
    left, right, what = tree
    node = 0
    while left[node] >= 0:
        test = tests[what[node]]
        node = left[node] if test.left(np.array([seen[test.view]]))[0] else right[node]
    return what[node]


@pytest.mark.parametrize("leaves", [1, 2, 9, 60, 90])
def test_a_grove_is_its_trees(leaves: int) -> None:
    """Sums of random trees on numbers, categories, codes and one-hot columns are those of a walk by hand."""
    generator = np.random.default_rng(leaves)
    compiler = Compiler(Graph([("x", "float64"), ("t", "string")]))
    number = compiler.graph.number(0)
    texts = [f"t{place}" for place in range(6)]
    code = compiler.graph.text(1, texts)
    table = np.array([3.0, 1.0, 1.0, np.nan, -2.0, 1.0, 0.0, np.nan])
    columns: dict[Any, Column] = {"x": Numeric(number), "table": Coded(code, table)}
    columns |= {place: Coded(code, levels=np.array([0.0, 1.0]), hot_code=place) for place in (0, 4, 6, 7)}
    builder = ForestBuilder(compiler, columns.__getitem__)
    tests: list[Test] = [ThresholdTest("x", each, nan) for each in (-1.5, 0.0, 2.0, np.inf) for nan in (False, True)]
    tests += [SetTest("x", frozenset({0.0, 2.0, 7.0}), True, False), SetTest("x", frozenset({-1.5}), False, True)]
    tests += [
        ThresholdTest("table", 0.5, True),
        ThresholdTest("table", 2.0, False),
        SetTest("table", frozenset({1.0, 3.0}), True, False),
    ]
    tests += [ThresholdTest(place, 0.5, False) for place in (0, 4, 6, 7)]
    assert [builder.add_test(test) for test in tests] == list(range(len(tests)))
    trees = [grown(generator, len(tests), leaves) for _ in range(20)]
    values = generator.normal(size=leaves)
    for tree in trees:
        builder.add_tree(0, *tree)
    found = answers(compiler.graph, builder.forest(values, [0.25]))
    for row, (answer,) in zip(ROWS, found, strict=True):
        place = 7 if row["t"] is None else texts.index(row["t"]) if row["t"] in texts else 6
        seen: dict[Any, float] = {"x": np.nan if row["x"] is None else row["x"], "table": table[place]}
        seen |= {each: float(each == place) for each in (0, 4, 6, 7)}
        total = 0.25
        for tree in trees:
            total += values[walked(tree, tests, seen)]
        assert repr(answer) == repr(float(total))


def test_codes_that_no_test_tells_apart_are_one() -> None:
    """A thousand categories of which trees tell three apart are a code of four; a forest made twice is one step."""
    compiler = Compiler(Graph([("t", "string")]))
    code = compiler.graph.text(0, [f"t{place}" for place in range(1000)])
    builder = ForestBuilder(compiler, lambda place: Coded(code, levels=np.array([0.0, 1.0]), hot_code=place))
    for place in (3, 700, 20):
        builder.add_tree(0, [1, -1, -1], [2, -1, -1], [builder.add_test(ThresholdTest(place, 0.5, False)), 0, 1])
    once, again = builder.forest([1.0, 2.0], [0.0]), builder.forest([1.0, 2.0], [0.0])
    assert once == again
    assert [each.limit for each in once[0].step.uses if hasattr(each, "limit")] == [4]
    found = evaluator(compiler.graph, [Output("out", "float64", numbers=once)]).many(
        [{"t": each} for each in ("t3", "t700", "t20", "t999", None)]
    )
    assert found == [{"out": each} for each in (4.0, 4.0, 4.0, 3.0, 3.0)]


def test_no_trees_are_their_start() -> None:
    """A builder without trees is what sums begin with."""
    compiler = Compiler(Graph([("x", "float64"), ("t", "string")]))
    builder = ForestBuilder(compiler, lambda _: Opaque("a date"))
    assert answers(compiler.graph, builder.forest(np.zeros((0, 2)), [0.5, -0.0]))[0] == [0.5, -0.0]


def test_trees_that_cannot_be() -> None:
    """A circle, and a column that no plan reads, have no plan."""
    compiler = Compiler(Graph([("x", "float64"), ("t", "string")]))
    builder = ForestBuilder(compiler, lambda _: Opaque("a date"))
    test = builder.add_test(ThresholdTest(0, 0.0, False))
    with pytest.raises(NoPlan, match="circle"):
        builder.add_tree(0, [1, 0], [1, 0], [test, test])
    builder.add_tree(0, [1, -1, -1], [2, -1, -1], [test, 0, 0])
    with pytest.raises(NoPlan, match="a date"):
        builder.forest([0.0], [0.0])


def test_categories_have_their_places() -> None:
    """A category's code is its place among those that a library knows; any other is missing."""
    compiler = Compiler(Graph([("x", "float64"), ("t", "string")]))
    text = Text(1, np.nan, nullable=True, categories=("t0", "t1", "?"))
    known = codes_of(text, ["t4", "t1", "t0", 5], compiler)
    code = compiler.graph.match(compiler.graph.number(0), [0.0, 1.0, 7.0])
    numbers = codes_of(Coded(code, categories=(0, 1, 7), values=np.zeros(5)), [7, "1", 0], compiler)
    found = answers(compiler.graph, compiler.numbers([known, numbers]))
    for row, (of_text, of_number) in zip(ROWS, found, strict=True):
        assert repr(of_text) == repr({"t1": 1.0, "t0": 2.0}.get(row["t"], np.nan))
        assert repr(of_number) == repr({7.0: 0.0, 0.0: 2.0}.get(row["x"], np.nan))
    for column in (Numeric(compiler.graph.number(0)), Text(1), Opaque("a date")):
        with pytest.raises(NoPlan, match="categories"):
            codes_of(column, [], compiler)
