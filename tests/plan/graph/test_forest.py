"""Forests: tables of masks, the two walks and a plain walk in Python give the same bits."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from fourfold.plan._evaluator import Evaluator
from fourfold.plan.format import NODE_CODE, NODE_LEAF, NODE_NAN_LEFT, NODE_OTHERS, NODE_SLOT
from fourfold.plan.graph.builder import Code, Graph, Number, Output
from fourfold.plan.graph.forest import NODE, Forest
from tests.plan.evaluators import bits, evaluator

NUMBERS = [0.0, -0.0, 1.0, -1.5, 5e-324, math.inf, -math.inf, 0.1, math.nextafter(0.1, 1), 1e300]
WALK = 0
TABLES = 1 << 26


class Maker:
    """Random trees in preorder over a graph's slots."""

    def __init__(self, seed: int, *, numbers: int, codes: int) -> None:
        self.random = random.Random(seed)
        names = [f"x{place}" for place in range(numbers)] + [f"c{place}" for place in range(codes)]
        self.graph = Graph([(name, "float64") for name in names])
        self.inputs = [self.graph.number(place) for place in range(len(names))]
        limits = [self.random.choice([1, 2, 31, 32, 33, 70]) for _ in range(codes)]
        self.slots: list[Number | Code] = [
            *self.inputs[:numbers],
            *(
                self.graph.match(value, range(limit))
                for value, limit in zip(self.inputs[numbers:], limits, strict=True)
            ),
        ]
        self.sets: list[list[int]] = []
        self.leaves = 0

    def tree(self, leaves: int, used: Sequence[int], *, skew: bool = False) -> Any:
        """A tree of so many leaves that tests some of the slots."""
        nodes: list[list[float]] = []
        stack: list[tuple[int, list[float] | None]] = [(leaves, None)]
        while stack:
            count, parent = stack.pop()
            if parent is not None:
                parent[1] = len(nodes)
            if count == 1:
                nodes.append([0.0, self.leaves, NODE_LEAF])
                self.leaves += 1
                continue
            node = self.test(self.random.choice(used))
            left = count - 1 if skew else self.random.randint(1, count - 1)
            nodes.append(node)
            stack += [(count - left, node), (left, None)]
        return np.array([tuple(node) for node in nodes], dtype=NODE)

    def test(self, place: int) -> list[float]:
        """A node that tests a slot."""
        slot = self.slots[place]
        if isinstance(slot, Number):
            nan_left = NODE_NAN_LEFT if self.random.random() < 0.5 else 0
            threshold = self.random.choice([*NUMBERS, self.random.gauss(0, 1), self.random.gauss(0, 1)])
            return [threshold, 0, place | nan_left]
        kind = self.random.choice([0, NODE_CODE, NODE_OTHERS])
        if kind:
            return [self.random.randrange(slot.limit + 1), 0, place | kind]
        self.sets.append(self.random.sample(range(slot.limit), self.random.randint(0, slot.limit)))
        return [len(self.sets) - 1, 0, place]

    def rows(self, count: int) -> list[dict[str, float]]:
        """Rows of what is on thresholds, near them and missing, or a code."""
        found = []
        for _ in range(count):
            row = {}
            for name, _ in self.graph.inputs:
                nasty = [*NUMBERS, math.nan, self.random.gauss(0, 1)]
                row[name] = float(self.random.randint(-1, 72)) if name[0] == "c" else self.random.choice(nasty)
            found.append(row)
        return found


def walked(forest: Forest, places: dict[int, str], row: dict[str, float], first: Sequence[float]) -> list[float]:
    """A forest's sums, step by step."""
    sums = [float(each) for each in first]
    for tree, target in zip(forest.trees, forest.targets, strict=True):
        at = 0
        while not int(tree["flags"][at]) & NODE_LEAF:
            at = at + 1 if left(forest, places, tree[at], row) else int(tree["right"][at])
        value = forest.values[int(tree["right"][at])]
        for output, number in enumerate(value) if len(value) > 1 else [(target, value[0])]:
            sums[output] = sums[output] + float(number)
            if forest.float32:
                sums[output] = float(np.float32(sums[output]))
    return sums


def left(forest: Forest, places: dict[int, str], node: Any, row: dict[str, float]) -> bool:
    """Whether a row goes left."""
    flags, test = int(node["flags"]), float(node["test"])
    place = flags & NODE_SLOT
    value, slot = row[places[place]], forest.slots[place]
    if isinstance(slot, Number):
        return bool(flags & NODE_NAN_LEFT) if value != value else value <= test
    code = int(value) if 0 <= value < slot.limit - 2 else slot.limit - 2
    if flags & NODE_OTHERS == NODE_OTHERS:
        return code != test
    return code == test if flags & NODE_CODE else code in forest.sets[int(test)]


def check(maker: Maker, forest: Forest, rows: list[dict[str, float]]) -> None:
    """Compare the sums of a forest by each way and in calls of several sizes."""
    numbers = maker.graph.forest(forest)
    outputs = [Output("y", "float64", numbers, tensor=True)]
    places = {place: name for place, (name, _) in enumerate(maker.graph.inputs)}
    starts: list[list[float]] = [
        [row[places[maker.inputs.index(each)]] for each in forest.first] or forest.start.tolist() for row in rows
    ]
    expected = [bits(walked(forest, places, row, start)) for row, start in zip(rows, starts, strict=True)]
    for budget in (WALK, TABLES):
        found = evaluator(maker.graph, outputs, budget=budget)
        for size in (len(rows), 9, 8, 3, 1):
            part = rows[: size * max(1, 40 // size)]
            got = [each for start in range(0, len(part), size) for each in many(found, part[start : start + size])]
            assert [bits(each) for each in got] == expected[: len(got)], (budget, size)


def many(found: Any, rows: list[dict[str, float]]) -> list[list[float]]:
    """The sums of rows, with each NaN the same."""
    answers = found.many(rows)
    assert isinstance(answers, list)
    return [[math.nan if each != each else each for each in row["y"]] for row in answers]


@pytest.mark.seeds(60, sweep=2000)
def test_ways(seed: int) -> None:
    """Masks, walks by rows and walks by trees add up the same leaves in the same order."""
    choose = random.Random(seed)
    maker = Maker(seed, numbers=choose.choice([0, 1, 3, 6]), codes=choose.choice([0, 0, 1, 3]))
    most = choose.choice([1, 2, 8, 9, 16, 17, 32, 33, 63, 64, 65, 300])
    outputs = choose.choice([1, 1, 2, 3, 5])
    used = sorted(choose.sample(range(len(maker.slots)), choose.randint(1, len(maker.slots)))) if maker.slots else []
    count = choose.choice([1, 2, 15, 16, 17, 40])
    trees = [maker.tree(choose.choice([1, most, most]) if used else 1, used) for _ in range(count)]
    wide, float32 = choose.random() < 0.4, choose.random() < 0.3
    values = np.array([choose.gauss(0, 10) for _ in range(maker.leaves * (outputs if wide else 1))])
    values = values.astype(np.float32).astype(np.float64) if float32 else values
    forest = Forest(
        slots=maker.slots,
        trees=trees,
        targets=[choose.randrange(outputs) for _ in trees],
        values=values.reshape(maker.leaves, -1),
        start=np.array([choose.gauss(0, 1) for _ in range(outputs)], dtype=np.float32).astype(np.float64),
        sets=maker.sets,
        float32=float32,
    )
    check(maker, forest, maker.rows(90))


def test_first_numbers() -> None:
    """Sums may begin with numbers of the row, such as what another model says."""
    maker = Maker(1, numbers=3, codes=1)
    trees = [maker.tree(20, range(4)) for _ in range(8)]
    values = np.linspace(-1, 1, maker.leaves)[:, None]
    targets = [0, 1] * 4
    first = [maker.inputs[2], maker.inputs[0]]
    forest = Forest(maker.slots, trees, targets, values, np.zeros(2), sets=maker.sets, first=first)
    rows = [row for row in maker.rows(60) if row["x2"] == row["x2"] and row["x0"] == row["x0"]]
    check(maker, forest, rows)


def test_deep_trees() -> None:
    """A tree may be 4096 nodes deep, and no deeper."""
    maker = Maker(2, numbers=2, codes=0)
    trees = [maker.tree(4097, [0, 1], skew=True), maker.tree(500, [0, 1], skew=True)]
    values = np.linspace(-1, 1, maker.leaves)[:, None]
    check(maker, Forest(maker.slots, trees, [0, 0], values, np.zeros(1)), maker.rows(40))
    deeper = Forest(maker.slots, [maker.tree(4098, [0, 1], skew=True)], [0], np.zeros((maker.leaves, 1)), np.zeros(1))
    with pytest.raises(ValueError, match="not a tree in preorder"):
        evaluator(maker.graph, [Output("y", "float64", maker.graph.forest(deeper))])


def test_large_forest() -> None:
    """Trees of so many nodes that more rows are taken at once, and the next tree is asked for ahead."""
    maker = Maker(3, numbers=4, codes=2)
    trees = [maker.tree(9000, range(6)) for _ in range(5)]
    values = np.linspace(-1, 1, maker.leaves)[:, None]
    forest = Forest(maker.slots, trees, [0] * 5, values, np.zeros(1), sets=maker.sets)
    check(maker, forest, maker.rows(600))


def test_the_same_forest_twice() -> None:
    """A forest that is made twice is in the plan once, and another one is another."""
    maker = Maker(4, numbers=2, codes=1)
    trees = [maker.tree(8, [0, 1, 2]) for _ in range(3)]
    values = np.linspace(-1, 1, maker.leaves)[:, None]

    def made(sets: list[list[int]]) -> Number:
        return maker.graph.forest(Forest(maker.slots, trees, [0] * 3, values.copy(), np.zeros(1), sets=sets))[0]

    assert made(maker.sets) is made([list(each) for each in maker.sets])
    assert made(maker.sets) is not made([[*each, 0] for each in maker.sets])


@pytest.mark.parametrize(
    "change",
    [
        {"flags": NODE_LEAF | 1},
        {"right": 7},
        {"flags": NODE_CODE},
        {"test": math.nan, "flags": 0},
        {"flags": 2},
        {"right": 0, "flags": NODE_LEAF},
        {"right": 2, "flags": NODE_LEAF},
    ],
)
def test_hostile_nodes(change: dict[str, float]) -> None:
    """A node that is none is refused when the plan is opened."""
    graph = Graph([("x", "float64"), ("y", "float64")])
    tree = np.array([(0.5, 2, 0), (1.0, 0, NODE_LEAF), (2.0, 0, NODE_LEAF)], dtype=NODE)
    at = 1 if int(change.get("flags", 0)) & NODE_LEAF else 0
    forest = Forest([graph.number(0), graph.number(1)], [tree], [0], np.zeros((1, 1)), np.zeros(1))
    outputs = [Output("y", "float64", graph.forest(forest))]
    plan = bytearray(graph.plan(outputs))
    offset = struct.unpack_from("<Q", plan, 24 + 16 * 5)[0] + 16 * at
    for name, value in change.items():
        form, place = {"test": ("<d", 0), "right": ("<I", 8), "flags": ("<I", 12)}[name]
        struct.pack_into(form, plan, offset + place, value)
    with pytest.raises(ValueError, match="not a tree in preorder"):
        Evaluator(bytes(plan), ())


@pytest.mark.parametrize("which", [(3, 0), (0, 1), (2**32 - 1, 0)])
def test_hostile_leaves(which: tuple[int, int]) -> None:
    """A leaf of several values has values that are there."""
    graph = Graph([("x", "float64")])
    tree = np.array([(0.5, 2, 0), (0.0, 0, NODE_LEAF), (0.0, 1, NODE_LEAF)], dtype=NODE)
    forest = Forest([graph.number(0)], [tree], [0], np.arange(6.0).reshape(3, 2), np.zeros(2))
    outputs = [Output("y", "float64", graph.forest(forest), tensor=True)]
    plan = bytearray(graph.plan(outputs))
    answer: Any = evaluator(graph, outputs).one({"x": 1.0})
    assert answer == {"y": [2.0, 3.0]}
    offset = struct.unpack_from("<Q", plan, 24 + 16 * 5)[0] + 16 * 2
    struct.pack_into("<II", plan, offset, *which)
    with pytest.raises(ValueError, match="not a tree in preorder"):
        Evaluator(bytes(plan), ())


@pytest.mark.seeds(12, sweep=400)
def test_median(seed: int) -> None:
    """The weighted median is that of a stable sort, with weights added up in the order of the numbers."""
    source = np.random.default_rng(seed)
    count = int(source.integers(1, 40))
    weights = source.random(count)
    graph = Graph([(f"x{place}", "float64") for place in range(count)])
    found = evaluator(
        graph, [Output("y", "float64", [graph.median([graph.number(each) for each in range(count)], weights)])]
    )
    table = source.integers(-5, 5, (60, count)) / 4 if seed % 2 else source.normal(size=(60, count))
    order = np.argsort(table, axis=1, kind="stable")
    reached = np.cumsum(weights[order], axis=1)
    place = (reached >= 0.5 * reached[:, -1:]).argmax(axis=1)
    expected = [row[order[at, place[at]]] for at, row in enumerate(table)]
    rows = [{f"x{at}": float(value) for at, value in enumerate(row)} for row in table]
    answers = found.many(rows)
    assert isinstance(answers, list)
    assert [bits(row["y"]) for row in answers] == [bits(float(each)) for each in expected]


@pytest.mark.parametrize(("leaves", "tables"), [(8, True), (16, True), (32, True), (64, True), (65, False)])
def test_who_gets_tables(leaves: int, tables: bool) -> None:
    """Trees of up to 64 leaves get tables of masks, of each width; larger ones are walked."""
    maker = Maker(leaves, numbers=1, codes=1)
    trees = [maker.tree(leaves, [0, 1]) for _ in range(30)]
    values = np.linspace(-1, 1, maker.leaves)[:, None]
    forest = Forest(maker.slots, trees, [0] * 30, values, np.zeros(1), sets=maker.sets)
    check(maker, forest, maker.rows(90))
    outputs = [Output("y", "float64", maker.graph.forest(forest))]
    memory = [evaluator(maker.graph, outputs, budget=budget).facts()["memory"] for budget in (WALK, TABLES)]
    assert (memory[0] < memory[1]) is tables
