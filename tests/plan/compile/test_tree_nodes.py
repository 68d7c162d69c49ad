"""What trees as flat arrays become: slots, names of codes, sets, and nothing that is not tested."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fourfold.plan.compile.columns import Coded, Column, Compiler, NoPlan, Numeric, Text
from fourfold.plan.compile.tree_nodes import CATEGORIES, Nodes, forest
from fourfold.plan.format import NODE_CODE, NODE_LEAF, NODE_OTHERS, NODE_SLOT
from fourfold.plan.graph.builder import Code, Graph, Number, Output
from fourfold.plan.graph.forest import Forest
from tests.plan.evaluators import bits, evaluator

HOT = np.array([0.0, 1.0])


class Watched(Graph):
    """A graph that keeps the forests that it gets."""

    def __init__(self, inputs: list[tuple[str, str]]) -> None:
        super().__init__(inputs)
        self.forests: list[Forest] = []

    def forest(self, forest: Forest) -> list[Number]:
        """Keep it, and go on."""
        self.forests.append(forest)
        return super().forest(forest)


def compiler(*names: str) -> tuple[Watched, Compiler]:
    """A compiler with inputs of numbers."""
    graph = Watched([(name, "float64") for name in names])
    return graph, Compiler(graph)


def stumps(tests: list[tuple[int, float, bool]], **options: Any) -> tuple[Nodes, np.ndarray]:
    """A tree of one test for each test, whose leaves are powers of two, left ones odd; and their values."""
    count = len(tests)
    nodes = Nodes(
        np.full(count, 3),
        np.tile([1, -1, -1], count),
        np.tile([2, -1, -1], count),
        np.repeat([feature for feature, _, _ in tests], 3),
        np.repeat([threshold for _, threshold, _ in tests], 3),
        np.repeat([nan_left for _, _, nan_left in tests], 3),
        **options,
    )
    values = np.stack([2.0 ** np.arange(count), np.zeros(count)], axis=1).reshape(-1, 1)
    return nodes, values


def lefts(made: list[Number], graph: Graph, rows: list[dict[str, float]]) -> list[str]:
    """Which stumps each row goes left at, the first one last."""
    answers = evaluator(graph, [Output("y", "float64", made)]).many(rows)
    assert isinstance(answers, list)
    return [f"{int(each['y']):b}" for each in answers]


def test_only_what_is_tested() -> None:
    """Numbers that no tree tests are no slots, and a number that stands in two columns is one."""
    graph, shop = compiler("a", "b", "c")
    columns = [Numeric(graph.number(place)) for place in (0, 1, 2, 1)]
    nodes, values = stumps([(1, 0.5, True), (3, 1.5, False), (1, 0.5, True)])
    made = forest(shop, columns, nodes, values, np.zeros(1))
    assert graph.forests[0].slots == [graph.number(1)]
    assert lefts(made, graph, [{"b": 0.5}, {"b": 1.0}, {"b": math.nan}]) == ["111", "10", "101"]


def test_one_hot_columns() -> None:
    """Columns of one code are one slot, and each node names its code; codes that none names are one."""
    graph, shop = compiler("a")
    code = graph.match(graph.number(0), range(20))
    columns: list[Column] = [Coded(code, levels=HOT, hot_code=place) for place in range(20)]
    columns.append(Coded(code, levels=np.array([3.0, -3.0]), hot_code=7))
    tests = [(3, 0.5, False), (20, 0.0, False), (3, 1.0, False), (11, -1.0, True), (20, -3.0, False)]
    nodes, values = stumps(tests)
    made = forest(shop, columns, nodes, values, np.zeros(1))
    (found,) = graph.forests
    (slot,) = found.slots
    assert isinstance(slot, Code)
    assert slot.limit == 4
    assert found.sets == []
    rows = [{"a": value} for value in (3.0, 7.0, 11.0, 0.0, math.nan)]
    assert lefts(made, graph, rows) == ["100", "10111", "101", "101", "101"]


def test_tables_of_codes() -> None:
    """Columns that have a number for each code share a slot; sets that are the same are one set."""
    graph, shop = compiler("a")
    code = graph.match(graph.number(0), range(6))
    up, odd = np.array([0, 1, 2, 3, 4, 5, 6, math.nan]), np.array([0, 1, 0, 1, 0, 1, math.nan, math.nan])
    columns = [Coded(code, up), Coded(code, odd), Coded(code, -up)]
    tests = [(0, 2.5, False), (1, 0.5, True), (2, -2.5, False), (0, 2.0, False), (0, 0.0, False), (0, 5.5, True)]
    nodes, values = stumps(tests)
    made = forest(shop, columns, nodes, values, np.zeros(1))
    (found,) = graph.forests
    assert found.slots == [code]
    kinds = [int(tree["flags"][0]) & ~NODE_SLOT for tree in found.trees]
    assert kinds == [0, 0, 0, 0, NODE_CODE, NODE_OTHERS]
    assert len(found.sets) == 3
    rows = [{"a": value} for value in (0.0, 1.0, 2.0, 3.0, 9.0, math.nan)]
    assert lefts(made, graph, rows) == ["111011", "101001", "101011", "100100", "110", "100010"]


def test_large_tables() -> None:
    """A column with very many numbers and thresholds is tested as a number, since sets would take more."""
    graph, shop = compiler("a")
    code = graph.match(graph.number(0), range(3000))
    column = Coded(code, np.array([*np.arange(3000) / 2, math.nan, math.nan]))
    tests = [(0, float(place), place % 2 == 0) for place in range(1000)]
    nodes, _ = stumps(tests)
    values = np.tile([1.0, 0.0], 1000)[:, None]
    made = forest(shop, [column], nodes, values, np.zeros(1))
    assert [type(each) for each in graph.forests[0].slots] == [Number]
    answers = evaluator(graph, [Output("y", "float64", made)]).many([{"a": each} for each in (0.0, 7.0, -1.0)])
    assert isinstance(answers, list)
    assert [row["y"] for row in answers] == [1000.0, 996.0, 500.0]


def test_very_many_columns() -> None:
    """A hundred thousand one-hot columns are one code, of which as much is left as is tested."""
    graph, shop = compiler("a")
    code = graph.match(graph.number(0), range(100_000))
    columns = [Coded(code, levels=HOT, hot_code=place) for place in range(100_000)]
    nodes, values = stumps([(place, 0.5, False) for place in (99_999, 5, 77_777)])
    made = forest(shop, columns, nodes, values, np.zeros(1))
    assert [each.limit for each in graph.forests[0].slots if isinstance(each, Code)] == [4]
    assert lefts(made, graph, [{"a": 5.0}, {"a": 99_999.0}, {"a": 3.0}]) == ["101", "110", "111"]


@pytest.mark.parametrize("as_number", [False, True])
def test_members(as_number: bool) -> None:
    """A test by members sends what is no category where the last place says, whatever it is."""
    graph, shop = compiler("a")
    value = graph.number(0)
    known = np.array([0.0, 1.0, 2.0, 255.0])
    column: Column = Numeric(value)
    if not as_number:
        column = Coded(graph.match(value, known), np.array([*known, -1.0, math.nan]))
    sets = np.zeros((2, CATEGORIES + 1), dtype=np.bool_)
    sets[0, [1, 255]] = True
    sets[1, [0, CATEGORIES]] = True
    member = np.repeat([0, 1], 3)
    nodes, values = stumps([(0, 0.0, False), (0, 0.0, False)], member=member, sets=sets)
    made = forest(shop, [column], nodes, values, np.zeros(1))
    rows = [{"a": each} for each in (0.0, 1.0, 2.0, 255.0, 0.5, 256.0, -3.0, math.nan)]
    assert lefts(made, graph, rows) == ["10", "1", "0", "1", "10", "10", "10", "10"]


@pytest.mark.seeds(6, sweep=300)
def test_any_order(seed: int) -> None:
    """Nodes may lie in any order behind the root, and some may belong to no tree."""
    source = np.random.default_rng(seed)
    graph, shop = compiler("a", "b")
    columns = [Numeric(graph.number(place)) for place in range(2)]
    trees = [_shuffled(source, int(source.integers(1, 40)), spare=int(source.integers(3))) for _ in range(5)]
    left, right = (np.concatenate([tree[at] for tree in trees]) for at in range(2))
    nodes = Nodes(
        np.array([len(tree[0]) for tree in trees]),
        left,
        right,
        source.integers(0, 2, len(left)),
        source.normal(size=len(left)),
        source.random(len(left)) < 0.5,
    )
    leaves = nodes.leaves
    values = source.normal(size=(len(leaves), 2)).round(1)
    values[::3] = values[0]
    made = forest(shop, columns, nodes, values, np.full(2, 0.25))
    table = source.normal(size=(30, 2))
    table[::7, 0] = math.nan
    held = dict(zip(leaves.tolist(), values, strict=True))
    expected = []
    for row in table:
        total = np.full(2, 0.25)
        for root in (np.cumsum(nodes.sizes) - nodes.sizes).tolist():
            at = root
            while left[at] >= 0:
                x = row[nodes.feature[at]]
                goes = bool(nodes.nan_left[at]) if x != x else x <= nodes.threshold[at]
                at = root + int(left[at] if goes else right[at])
            total = total + held[at]
        expected.append([float(each) for each in total])
    rows = [{"a": float(a), "b": float(b)} for a, b in table]
    answers = evaluator(graph, [Output("y", "float64", made, tensor=True)]).many(rows)
    assert isinstance(answers, list)
    assert [bits(row["y"]) for row in answers] == [bits(each) for each in expected]
    assert len(graph.forests[0].values) <= len(np.unique(values.view(np.int64), axis=0))  # 0.0 and -0.0 are two


def _shuffled(source: np.random.Generator, leaves: int, *, spare: int) -> tuple[np.ndarray, np.ndarray]:
    """The children of a random tree, behind the root in any order, with some nodes that nothing leads to."""
    left, right, open_nodes = [-1], [-1], [0]
    while len(left) < 2 * leaves - 1:
        at = open_nodes.pop(int(source.integers(len(open_nodes))))
        left[at], right[at] = len(left), len(left) + 1
        open_nodes += [len(left), len(left) + 1]
        left += [-1, -1]
        right += [-1, -1]
    place = np.concatenate([[0], 1 + source.permutation(len(left) - 1 + spare)])
    found = np.full((2, len(left) + spare), -1)
    for at, (one, other) in enumerate(zip(left, right, strict=True)):
        if one >= 0:
            found[:, place[at]] = place[one], place[other]
    return found[0], found[1]


def test_no_columns() -> None:
    """Trees that are nothing but leaves need no column."""
    graph, shop = compiler("a")
    lone = np.array([-1, -1])
    nodes = Nodes(np.array([1, 1]), lone, lone, np.array([-2, -2]), np.zeros(2), np.zeros(2, dtype=np.bool_))
    made = forest(shop, [], nodes, np.array([[1.5], [2.0]]), np.array([0.25]))
    answers = evaluator(graph, [Output("y", "float64", made)]).many([{}])
    assert answers == [{"y": 3.75}]
    assert [int(tree["flags"][0]) for tree in graph.forests[0].trees] == [NODE_LEAF, NODE_LEAF]


def _chain(depth: int) -> Nodes:
    """A tree whose left children are leaves."""
    count = 2 * depth + 1
    inner = np.arange(count) % 2 == 0
    inner[-1] = False
    left = np.where(inner, np.arange(count) + 1, -1)
    right = np.where(inner, np.arange(count) + 2, -1)
    return Nodes(np.array([count]), left, right, np.zeros(count, dtype=int), np.arange(count, dtype=np.float64), inner)


def test_depth() -> None:
    """A tree of 4096 nodes, one below the other, has a plan; a deeper one has none, nor one that goes in a circle."""
    graph, shop = compiler("a")
    columns = [Numeric(graph.number(0))]
    nodes = _chain(4096)
    made = forest(shop, columns, nodes, np.arange(4097.0)[:, None], np.zeros(1))
    answers = evaluator(graph, [Output("y", "float64", made)]).many([{"a": 9000.0}, {"a": -1.0}, {"a": 21.0}])
    assert answers == [{"y": 4096.0}, {"y": 0.0}, {"y": 11.0}]
    with pytest.raises(NoPlan, match="deeper than the 4096 nodes"):
        forest(shop, columns, _chain(4097), np.zeros((4098, 1)), np.zeros(1))
    nodes.right[8190] = 0
    with pytest.raises(NoPlan, match="goes round in a circle"):
        forest(shop, columns, nodes, np.zeros((4097, 1)), np.zeros(1))


def test_text() -> None:
    """A column of text that is tested has no plan."""
    _, shop = compiler("a")
    nodes, values = stumps([(0, 0.5, False)])
    with pytest.raises(NoPlan, match="text where numbers are needed"):
        forest(shop, [Text(0)], nodes, values, np.zeros(1))
