"""The steps that hash categories as CatBoost does."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from fourfold.plan.compile.rules.cityhash import category_hash
from fourfold.plan.graph.builder import Graph, Number, Output
from fourfold.signature.field import INTEGERS
from tests.plan.evaluators import evaluator


def found(graph: Graph, numbers: list[Number], rows: list[dict[str, Any]]) -> list[Any]:
    """What numbers are for rows."""
    answers: Any = evaluator(graph, [Output("out", "float64", numbers=numbers, tensor=True)]).many(rows)
    return [row["out"] for row in answers]


def test_texts_have_their_hash() -> None:
    """A text of any length has the hash that Python computes; a missing one has none."""
    generator = random.Random(1)
    texts = ["".join(generator.choices("abcdefü€ 0123", k=size)) for size in range(210)]
    graph = Graph([("t", "string")])
    answers = found(graph, [graph.catboost_hash(0)], [{"t": each} for each in texts])
    assert answers == [[category_hash(each.encode())] for each in texts]
    ((missing,),) = found(graph, [graph.catboost_hash(0)], [{"t": None}])
    assert missing != missing


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_integers_have_the_hash_of_their_digits(dtype: str) -> None:
    """An integer of any dtype is hashed as it is written, up to its last digit; a boolean is 0 or 1."""
    low, high = (False, True) if dtype == "bool" else INTEGERS[dtype]
    values = [low, high] if dtype == "bool" else [low, low + 1, 0, 9, 10, high - 1, high]
    graph = Graph([("n", dtype)])
    answers = found(graph, [graph.catboost_hash(0)], [{"n": each} for each in values])
    assert answers == [[category_hash(str(int(each)).encode())] for each in values]


def test_a_float_has_no_hash() -> None:
    """The evaluator refuses a plan that hashes a column of floats."""
    graph = Graph([("x", "float64")])
    with pytest.raises(ValueError, match="no such input of text or integers"):
        evaluator(graph, [Output("out", "float64", numbers=[graph.catboost_hash(0)])])


def mixed(values: list[float]) -> int:
    """The hash of a combination, by its definition."""
    total = 0
    for each in values:
        total = 0x4906BA494954CB65 * (total + 0x4906BA494954CB65 * int(each)) % 2**64
    return total


def test_combinations_are_found_by_their_hash() -> None:
    """Numbers are the place of their hash among known ones; another, a huge one and NaN are none of them."""
    rows = [{"x": x, "y": y} for x in (-1867644849.0, 0.0, 1.0, 2.0**31) for y in (0.0, 1.0, -5.0)]
    known = np.sort(np.array([mixed(list(row.values())) for row in rows[:8]], dtype=np.uint64))
    graph = Graph([("x", "float64"), ("y", "float64")])
    code = graph.catboost_joint_code([graph.number(0), graph.number(1)], known)
    assert code.limit == 9
    number = graph.lookup(code, np.arange(9.0))
    places = {int(each): place for place, each in enumerate(known)}
    answers = found(graph, number, rows)
    assert answers == [[places.get(mixed(list(row.values())), 8.0)] for row in rows]
    strange = [{"x": x, "y": 0.0} for x in (None, float("inf"), 1e300, 2.0**53, -(2.0**53))]
    assert found(graph, number, strange) == [[8.0]] * 5


def test_combinations_of_nothing_and_among_none() -> None:
    """No numbers hash to 0, and among no hashes none is found."""
    graph = Graph([("x", "float64")])
    nothing = graph.catboost_joint_code([], np.array([0, 7], dtype=np.uint64))
    none = graph.catboost_joint_code([graph.number(0)], np.array([], dtype=np.uint64))
    numbers = graph.lookup(nothing, [5.0, 6.0, 7.0]) + graph.lookup(none, [3.0])
    assert found(graph, numbers, [{"x": 1.0}]) == [[5.0, 3.0]]


def test_hashes_out_of_order_are_refused() -> None:
    """The evaluator refuses a plan whose hashes do not ascend: a search would miss some."""
    graph = Graph([("x", "float64")])
    code = graph.catboost_joint_code([graph.number(0)], np.array([7, 7], dtype=np.uint64))
    with pytest.raises(ValueError, match="out of order"):
        evaluator(graph, [Output("out", "float64", numbers=graph.lookup(code, [0.0, 1.0, 2.0]))])
