"""A dozen plans and their rows, which every place must answer with the same bits."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fourfold.plan.format import NODE_LEAF, NODE_NAN_LEFT, Kind, MathFunction, Metric
from fourfold.plan.graph.builder import Code, Graph, Number, Output
from fourfold.plan.graph.forest import NODE, Forest
from fourfold.plan.graph.neighbours import Neighbours
from fourfold.plan.graph.text_reading import Analyzer, Reading
from fourfold.plan.graph.unicode_tables import Folding, folding, matching, spaces

__all__ = ["Golden", "nasty_numbers", "plans", "random_forest"]


class Golden(NamedTuple):
    """A plan and rows for it.

    Attributes:
        name: what a failure calls it.
        plan: its bytes.
        rows: what every place is asked; an absent key is a missing value.
    """

    name: str
    plan: bytes
    rows: list[dict[str, Any]]


def from_bits(bits: int) -> float:
    return float(struct.unpack("<d", bits.to_bytes(8, "little"))[0])


#: NaNs of both signs and with payloads; a quiet one comes out of none of them changed on every processor.
NANS = [math.nan, -math.nan, from_bits(0x7FF8_0000_0000_1234), from_bits(0xFFFF_FFFF_FFFF_FFFF)]


def nasty_numbers() -> list[float]:
    """Numbers at which arithmetic goes wrong: zeros, subnormals, the ends of every range, neighbours of integers."""
    found = [
        0.0,
        5e-324,
        2.0**-1074 * 3,
        2.0**-1022,
        2.0**-1023,
        2.0**-149,
        2.0**-126,
        1e-300,
        1e-8,
        2.0**-52,
        2.0**-53,
    ]
    found += [0.1, 0.25, 0.5, math.nextafter(0.5, 0), 1 - 2.0**-53, 1.0, 1 + 2.0**-52, 1.5, 2.0, 2.5, math.e, math.pi]
    found += [math.pi / 2, math.pi / 4, 3.0, 6.5, 10.0, 37.5, 100.0, 708.0, 709.78271289338397, 709.79, 745.13, 746.0]
    found += [
        1023.5,
        2.0**31,
        2.0**32 + 0.5,
        2.0**52 - 0.5,
        2.0**52,
        2.0**53 + 2,
        2.0**63,
        2.0**64,
        3.4e38,
        3.5e38,
        1e100,
    ]
    found += [1.7976931348623157e308, math.inf]
    return [*found, *(-each for each in found), *NANS]


def numbers(seed: int, count: int) -> list[float | None]:
    """Nasty numbers, missing ones, and random ones of every size."""
    source = random.Random(seed)
    nasty: list[float | None] = [*nasty_numbers(), None]
    return [
        source.choice(nasty) if source.random() < 0.3 else source.gauss(0, 1) * 10.0 ** source.randint(-3, 3)
        for _ in range(count)
    ]


def table(seed: int, names: Sequence[str], count: int) -> list[dict[str, Any]]:
    """Rows of numbers."""
    columns = [numbers(seed + place, count) for place in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


# Forests.


class _Maker:
    """Random trees over slots, in preorder."""

    def __init__(self, source: random.Random, slots: Sequence[Number | Code], skew: bool) -> None:
        self.source, self.slots, self.skew = source, slots, skew
        self.sets: list[list[int]] = []
        self.values = 0

    def tree(self, leaves: int) -> np.ndarray:
        nodes: list[tuple[float, int, int]] = []
        stack: list[tuple[int, int | None]] = [(leaves, None)]
        while stack:
            count, parent = stack.pop()
            at = len(nodes)
            if parent is not None:
                nodes[parent] = (nodes[parent][0], at, nodes[parent][2])
            if count == 1:
                nodes.append((0.0, self.values, NODE_LEAF))
                self.values += 1
                continue
            left = count - 1 if self.skew else self.source.randint(1, count - 1)
            nodes.append(self.test())
            stack += [(count - left, at), (left, None)]
        return np.array(nodes, dtype=NODE)

    def test(self) -> tuple[float, int, int]:
        place = self.source.randrange(len(self.slots))
        slot = self.slots[place]
        if isinstance(slot, Code):
            self.sets.append(self.source.sample(range(slot.limit), self.source.randint(0, slot.limit)))
            return float(len(self.sets) - 1), 0, place
        choices = [0.0, -0.0, 1.0, -math.inf, math.inf, self.source.gauss(0, 1), self.source.gauss(0, 100), 5e-324]
        return self.source.choice(choices), 0, place | (NODE_NAN_LEFT if self.source.random() < 0.5 else 0)


def random_forest(
    slots: Sequence[Number | Code],
    leaves: int,
    trees: int,
    *,
    seed: int,
    outputs: int = 1,
    wide: bool = False,
    float32: bool = False,
    skew: bool = False,
) -> Forest:
    """A forest of random trees.

    Args:
        slots: what its nodes test.
        leaves: the most leaves of a tree; one tree in five has fewer.
        trees: how many.
        seed: of the random numbers.
        outputs: how many sums there are.
        wide: whether a leaf holds a number for each of them.
        float32: whether sums are rounded.
        skew: whether trees are as deep as they have leaves.
    """
    source = random.Random(seed)
    maker = _Maker(source, slots, skew)
    made = [maker.tree(leaves if source.random() < 0.8 else source.randint(1, leaves)) for _ in range(trees)]
    values = np.array(
        [source.gauss(0, 10.0 ** source.randint(-3, 3)) for _ in range(maker.values * (outputs if wide else 1))]
    )
    return Forest(
        slots=slots,
        trees=made,
        targets=[place % outputs for place in range(trees)],
        values=np.float64(np.float32(values)).reshape(-1, outputs if wide else 1)
        if float32
        else values.reshape(maker.values, -1),
        start=np.linspace(-0.5, 0.5, outputs),
        sets=maker.sets,
        float32=float32,
    )


NAMES = ["a", "b", "c", "d"]
KINDS = ["red", "green", "", "blue-ish and long", "grün", "x"]


def mixed(seed: int, count: int) -> tuple[Graph, list[Number | Code], list[dict[str, Any]]]:
    """A graph of numbers and a text, what a forest may test of it, and rows."""
    graph = Graph([*((name, "float64") for name in NAMES), ("kind", "string")])
    slots: list[Number | Code] = [*map(graph.number, range(len(NAMES))), graph.text(len(NAMES), KINDS)]
    source = random.Random(seed)
    texts: list[str | None] = [*KINDS, "Red", "blue-ish and lonG", "ü", None]
    rows = [row | {"kind": source.choice(texts)} for row in table(seed, NAMES, count)]
    return graph, slots, rows


def forests() -> list[Golden]:
    """Forests on masks of each width, walked ones, of several outputs, of float32 sums."""
    made = []
    for name, leaves, trees, options in (
        ("forest, masks of 8", 8, 40, {}),
        ("forest, masks of 16", 16, 33, {"float32": True}),
        ("forest, masks of 32", 31, 200, {}),
        ("forest, masks of 64", 64, 50, {"outputs": 3}),
        ("forest, masks of 8, float32", 8, 25, {"float32": True}),
        ("forest, masks of 32, float32", 30, 41, {"float32": True}),
        ("forest, masks of 64, float32", 60, 30, {"float32": True}),
        ("forest, masks, wide leaves", 20, 30, {"outputs": 4, "wide": True, "float32": True}),
        ("forest, walked", 300, 20, {}),
        ("forest, walked, deep", 900, 3, {"skew": True, "outputs": 2, "wide": True}),
        ("forest, walked, float32", 100, 10, {"float32": True, "outputs": 2}),
    ):
        graph, slots, rows = mixed(leaves, 700 if leaves == 31 else 60)
        sums = graph.forest(random_forest(slots, leaves, trees, seed=trees, **options))
        dtype = "float32" if options.get("float32") else "float64"
        made.append(Golden(name, graph.plan([Output("y", dtype, sums, tensor=len(sums) > 1)]), rows))
    return made


# The other steps.


def every_function() -> Golden:
    """Every elementary function of one number and of two, over nasty numbers."""
    graph = Graph([("x", "float64"), ("y", "float64")])
    x, y = graph.number(0), graph.number(1)
    ones = [graph.map(function, [x])[0] for function in MathFunction if function < MathFunction.ADD]
    twos = [
        graph.map_two(function, [x], [y])[0]
        for function in MathFunction
        if MathFunction.ADD <= function < MathFunction.SUM
    ]
    consts = [
        graph.map_const(function, [x], [constant])[0]
        for function in MathFunction
        if MathFunction.ADD <= function < MathFunction.SUM
        for constant in (0.5, -0.0, -3.0)
    ]
    outputs = [
        Output(name, "float64", each, tensor=True)
        for name, each in (("ones", ones), ("twos", twos), ("consts", consts))
    ]
    nasty: list[float | None] = [*nasty_numbers(), None]
    rows = [{"x": value, "y": other} for value in nasty for other in (0.5, -2.0, 3.0, math.nan, math.inf, 0.0, None)]
    rows += [{"x": other, "y": value} for value in nasty for other in (0.9, -1.0, -0.0)]
    return Golden("every function", graph.plan(outputs), [*rows, *table(5, ["x", "y"], 400)])


def every_fold() -> Golden:
    """Every fold of few and of many numbers, and the first largest of them."""
    names = [f"n{place}" for place in range(7)]
    graph = Graph([(name, "float64") for name in names])
    few = [graph.number(place) for place in range(7)]
    many = graph.map_const(MathFunction.MUL, few * 50, np.linspace(0.1, 3, 350))
    folds = [
        graph.fold(function, many[:count])
        for function in MathFunction
        if function >= MathFunction.SUM
        for count in (1, 2, 7, 8, 9, 16, 127, 128, 129, 350)
    ]
    place = graph.argmax(few)
    best = graph.lookup(place, [float(each) for each in range(7)])
    outputs = [Output("folds", "float64", folds, tensor=True), Output("best", "float32", best)]
    return Golden(
        "every fold",
        graph.plan([*outputs, Output("place", "int8", code=place, labels=range(-3, 4))]),
        table(11, names, 200),
    )


def every_dtype() -> Golden:
    """Inputs of every dtype."""
    kinds = ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64"]
    graph = Graph([(kind, kind) for kind in kinds])
    values = [graph.number(place) for place in range(len(kinds))]
    outputs = [Output("all", "float64", values, tensor=True), Output("narrow", "float32", values, tensor=True)]
    source = random.Random(3)
    rows: list[dict[str, Any]] = []
    for _ in range(90):
        row: dict[str, Any] = {"bool": source.random() < 0.5}
        for kind in kinds[1:9]:
            info = np.iinfo(kind)
            row[kind] = source.choice([int(info.min), int(info.max), source.randint(int(info.min), int(info.max)), 0])
        wide = numbers(source.randrange(1000), 1)[0]
        with np.errstate(over="ignore"):
            row |= {"float64": wide, "float32": None if wide is None else float(np.float32(wide))}
        rows.append({name: value for name, value in row.items() if source.random() < 0.8})
    return Golden("every dtype", graph.plan(outputs), rows)


def every_number() -> Golden:
    """Numbers as outputs of every dtype: whole ones, fractions, and what is beyond a dtype's range."""
    kinds = ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64"]
    graph = Graph([(name, "float64") for name in NAMES])
    values = [graph.number(place) for place in range(3)]
    outputs = [Output(kind, kind, values, tensor=True) for kind in kinds]
    edges = [
        sign * (2.0**power + step) for power in (0, 7, 8, 15, 16, 31, 32, 53) for step in (-1, 0, 1) for sign in (-1, 1)
    ]
    beyond = [sign * 2.0**power for power in (63, 64) for sign in (-1, 1)]
    beyond += [math.nextafter(each, 0) for each in beyond]
    rows = [dict.fromkeys(NAMES, each) for each in (*edges, *beyond, 0.5, -0.5, -0.0)]
    return Golden("every number", graph.plan(outputs), [*rows, *table(61, NAMES, 100)])


def every_label() -> Golden:
    """Labels of every dtype, from codes of every kind."""
    graph, slots, rows = mixed(17, 80)
    number, text = graph.number(0), slots[-1]
    assert isinstance(text, Code)
    found = graph.search(number, [-1.0, 0.0, 2.5])
    right = graph.search(number, [-1.0, 0.0, 2.5], right=True)
    same = graph.match(number, [-1.0, 0.0, 1.0, math.inf])
    turned = graph.recode(text, [place % 4 for place in range(text.limit)], 4)
    outputs = [
        Output("text", "string", code=text, labels=[f"is {kind}" for kind in (*KINDS, "other", "missing")]),
        Output("flag", "bool", code=turned, labels=[True, False, False, True]),
        Output("int64", "int64", code=found, labels=[-(2**63), 2**63 - 1, 0, -1, 5]),
        Output("uint64", "uint64", code=right, labels=[0, 2**64 - 1, 1, 2**63, 7]),
        Output("int16", "int16", code=found, labels=[-(2**15), 2**15 - 1, 0, 1, 2]),
        Output("uint8", "uint8", code=right, labels=[0, 255, 1, 2, 3]),
        Output("uint32", "uint32", code=found, labels=[0, 2**32 - 1, 1, 2, 3]),
        Output("float64", "float64", code=same, labels=[-0.0, 5e-324, math.inf, NANS[3], 0.1, NANS[2]]),
        Output("float32", "float32", code=same, labels=[-0.0, 2.0**-149, -math.inf, NANS[3], 0.1, NANS[2]]),
    ]
    return Golden("every label", graph.plan(outputs), rows)


def linear() -> Golden:
    """A linear model over a one-hot column and numbers, its classes and its probabilities."""
    graph, slots, rows = mixed(23, 600)
    text = slots[-1]
    assert isinstance(text, Code)
    source = np.random.default_rng(0)
    hot = graph.lookup(text, np.eye(text.limit))
    filled = graph.map_const(MathFunction.IF_NAN, [graph.number(place) for place in range(4)], [0.5, -1.0, 0.0, 2.0])
    scaled = graph.map_const(
        MathFunction.DIV, graph.map_const(MathFunction.SUB, filled, source.normal(size=4)), source.uniform(1, 9, 4)
    )
    scores = graph.map_const(
        MathFunction.ADD, graph.dot([*scaled, *hot], source.normal(size=(4 + text.limit, 3))), source.normal(size=3)
    )
    most = graph.fold(MathFunction.MOST, scores)
    raised = graph.map(MathFunction.EXP, graph.map_two(MathFunction.SUB, scores, [most]))
    odds = graph.map_two(MathFunction.DIV, raised, [graph.fold(MathFunction.PAIRWISE, raised)])
    label = Output("label", "string", code=graph.argmax(scores), labels=["one", "two", "three"])
    return Golden("linear", graph.plan([label, Output("odds", "float64", odds, tensor=True)]), rows)


def chosen() -> Golden:
    """Choices, curves and constants."""
    graph = Graph([(name, "float64") for name in NAMES])
    a, b, c, d = (graph.number(place) for place in range(4))
    values = graph.select([a, b, c], [b, c, d], graph.constant([1.5, -0.0, NANS[3]]))
    values.append(graph.interpolate(a, [-2.0, -0.5, 0.0, 1.0, 10.0], [5.0, 4.0, -1.0, 2.0, 3.0]))
    values.append(graph.interpolate(b, [0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, math.inf]))
    values.append(graph.interpolate(c, [-math.inf, 0.0, math.inf], [1.0, 1.0, 2.0]))
    return Golden(
        "choices and curves", graph.plan([Output("y", "float64", values, tensor=True)]), table(31, NAMES, 150)
    )


def neighbours() -> Golden:
    """The nearest points, by each distance, of all points and of a tree; and the distances of all."""
    graph = Graph([(name, "float64") for name in NAMES])
    query = [graph.number(place) for place in range(3)]
    source = np.random.default_rng(1)
    points, targets = source.normal(size=(60, 3)).round(1), source.normal(size=(60, 2))
    halves = [points, points[:30], points[30:]]
    nodes = np.array([[0, 60, 0], [0, 30, 1], [30, 60, 1]], dtype=np.uint32)
    bounds = np.array([[each.min(axis=0) for each in halves], [each.max(axis=0) for each in halves]])
    values = []
    for metric in Metric:
        for k in (1, 5, 40):
            for tree in ((None, None), (nodes, bounds)):
                near = Neighbours(points, targets, k, metric, 3.0, *tree)
                distances, (first, second) = graph.nearest(query, near)
                values += [*distances, *first, *second]
        values += graph.distances(query, points, metric, 3.0)
    rows = [dict(zip(NAMES, (*map(float, point), 0.0), strict=True)) for point in points[:10]]
    return Golden(
        "neighbours", graph.plan([Output("y", "float64", values, tensor=True)]), [*rows, *table(41, NAMES, 60)]
    )


def coupled() -> Golden:
    """Classes by the probabilities of their pairs, also of what is no probability."""
    names = [f"p{place}" for place in range(6)]
    graph = Graph([(name, "float64") for name in names])
    outputs = [Output("y", "float64", graph.couple([graph.number(place) for place in range(6)]), tensor=True)]
    shares = np.random.default_rng(2).random((60, 6))
    rows = [dict(zip(names, map(float, row), strict=True)) for row in shares]
    return Golden("couplings", graph.plan(outputs), [*rows, *table(51, names, 60)])


def refused() -> Golden:
    """Rows that have no answer, each for its own reason."""
    graph = Graph([(name, "float64") for name in NAMES])
    a, b, c, d = (graph.number(place) for place in range(4))
    for value, kind, why in (
        (a, Kind.NAN, "no NaN"),
        (b, Kind.INFINITE, "no infinity"),
        (c, Kind.ZERO, "no zero"),
        (d, Kind.NOT_FINITE, "grün"),
    ):
        graph.refuse([value], kind, why)
    return Golden(
        "refused",
        graph.plan([Output("y", "float64", [graph.fold(MathFunction.SUM, [a, b, c, d])])]),
        table(51, NAMES, 120),
    )


TERMS = ("and", "ß", "cold", "day", "night", "night and", "and day", "σίγμας", "grün")
TEXTS = [
    "Night and day",
    "",
    "and AND\u00a0and day",
    "ΣΊΓΜΑΣ, grün",
    "ß cold\tnight and",
    "İ K\u030a 각 🛩 day",
    "x" * 300,
    None,
]


def read(name: str, readings: Sequence[Reading]) -> Golden:
    """Texts that are read into bags, and every step that computes with a bag."""
    graph = Graph([("text", "string"), ("x", "float64")])
    x, zero = graph.number(1), graph.constant([0.0])[0]
    values: list[Number] = []
    for reading in readings:
        bag = graph.bag(0, reading)
        weights = np.linspace(-1.0, 2.0, 2 * bag.width).reshape(-1, 2)
        damped = graph.bag_map(MathFunction.LOG1P, graph.bag_const(MathFunction.MUL, bag, weights[:, 0]))
        length = graph.map(MathFunction.SQRT, [graph.bag_fold(MathFunction.SQUARES, damped, zero)])[0]
        unit = graph.bag_row(MathFunction.DIV, damped, length)
        kept = graph.bag_pick(unit, range(0, bag.width, 2))
        values += graph.bag_dot(unit, weights)
        values += graph.bag_dot(bag, weights, [x, length], float32=True)
        values += graph.bag_spread(kept, [0, 1])
        values += graph.bag_spread(bag, [1, 0], nan=True)
        values += [graph.bag_fold(MathFunction.SUM, bag, x, float32=True), graph.bag_fold(MathFunction.MOST, kept, x)]
    rows = [{"text": text, "x": value} for text in TEXTS for value in (0.5, -0.0, math.nan, None)]
    return Golden(name, graph.plan([Output("y", "float64", values, tensor=True)]), rows)


def texts() -> Golden:
    """Words, characters and hashes, with all that Unicode knows of letters."""
    lower, plain = folding(None, lower=True), folding("unicode", lower=False)
    return read(
        "texts",
        [
            Reading(Analyzer.WORDS, (1, 2), lower, TERMS, token=matching(r"\w"), missing="day"),
            Reading(Analyzer.CHARACTERS, (1, 3), plain, columns=64, signed=True, spaces=spaces(), missing=""),
            Reading(Analyzer.WITHIN_WORDS, (2, 4), lower, columns=100, binary=True, spaces=spaces(), missing="a b"),
        ],
    )


def short_texts() -> Golden:
    """The same with few letters, so that a fuzzer need not change those that do not matter."""
    pairs = np.array([[each, each + 32] for each in range(65, 91)], dtype=np.uint32)
    letters = Folding(pairs, np.zeros(0, dtype=np.uint32))
    token, gaps = np.array([[97, 122], [0xDF, 0xFF]], dtype=np.uint32), np.array([[9, 13], [32, 32]], dtype=np.uint32)
    return read(
        "short texts",
        [
            Reading(
                Analyzer.WORDS, (1, 2), letters, TERMS[:4], token=token, stops=("day",), lengths=(2, 9), missing="day"
            ),
            Reading(Analyzer.CHARACTERS, (1, 3), letters, columns=7, signed=True, spaces=gaps),
            Reading(Analyzer.WITHIN_WORDS, (2, 3), letters, columns=9, binary=True, spaces=gaps, missing="a b"),
        ],
    )


def hashed() -> Golden:
    """Weighted medians, hashes of texts and of integers, and numbers of inputs that are rounded at once."""
    graph = Graph([*((name, "float64") for name in NAMES), ("kind", "string"), ("n", "int64")])
    numbers_of = [graph.number(place) for place in (0, 1, 2, 3, 5)]
    hashes = [graph.catboost_hash(4), graph.catboost_hash(5)]
    joined = graph.catboost_joint_code(hashes, np.array([1, 2**40, 2**64 - 1], dtype=np.uint64))
    values = [graph.median(numbers_of, [0.1, 0.5, 0.25, 0.1, 0.05]), graph.median(numbers_of[:2], [1.0, 1.0])]
    values += [
        *hashes,
        *graph.lookup(joined, [0.0, 1.0, 2.0, 3.0]),
        *(graph.round_float32(each) for each in numbers_of),
    ]
    source = random.Random(9)
    whole = [0, 1, -1, 2**53 + 1, -(2**63), 2**63 - 1, None, *(source.randint(-(2**63), 2**63 - 1) for _ in range(60))]
    kinds = [*KINDS, None, "ü" * 40, "sixteen letters."]
    rows = [
        row | {"kind": source.choice(kinds), "n": value}
        for row, value in zip(table(61, NAMES, len(whole)), whole, strict=True)
    ]
    return Golden("medians and hashes", graph.plan([Output("y", "float64", values, tensor=True)]), rows)


def empty() -> Golden:
    """A plan that reads nothing, and one row of it."""
    graph = Graph([])
    return Golden("constant", graph.plan([Output("y", "float64", graph.constant([0.1]))]), [{}])


MAKERS: list[Callable[[], Golden]] = [
    every_function,
    every_fold,
    every_dtype,
    every_number,
    every_label,
    linear,
    chosen,
    neighbours,
    coupled,
    refused,
    texts,
    short_texts,
    hashed,
    empty,
]


def plans() -> list[Golden]:
    """The plans that every place is tested with; add to `MAKERS` to extend them."""
    return [*forests(), *(make() for make in MAKERS)]
