"""Probabilities of classes from those of their pairs."""

from __future__ import annotations

import math
import struct
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from fourfold.plan._evaluator import Evaluator
from fourfold.plan.format import Operation
from fourfold.plan.graph.builder import Graph, Output
from tests.plan.evaluators import bits, evaluator


def _graph(classes: int) -> tuple[Graph, list[Output]]:
    names = [f"{one}-{other}" for one, other in combinations(range(classes), 2)]
    graph = Graph([(name, "float64") for name in names])
    coupled = graph.couple([graph.number(place) for place in range(len(names))])
    return graph, [Output("p", "float64", numbers=coupled, tensor=True)]


def _coupled(pairs: dict[tuple[int, int], float], k: int) -> list[float]:
    """Algorithm 2 of Wu, Lin and Weng (2004), one operation after the other, as libsvm orders them."""
    r = {**pairs, **{(j, i): 1 - x for (i, j), x in pairs.items()}}
    q = [[-r[j, t] * r[t, j] if j != t else 0.0 for j in range(k)] for t in range(k)]
    for t in range(k):
        for j in range(k):
            q[t][t] += r[j, t] * r[j, t] if j != t else 0.0
    p = [1.0 / k] * k
    for _ in range(max(100, k)):
        product = [_sum(q[t][j] * p[j] for j in range(k)) for t in range(k)]
        total = _sum(p[t] * product[t] for t in range(k))
        if max(abs(each - total) for each in product) < 0.005 / k:
            break
        for t in range(k):
            step = (-product[t] + total) / q[t][t]
            p[t] += step
            total = (total + step * (step * q[t][t] + 2 * product[t])) / (1 + step) / (1 + step)
            product = [(product[j] + step * q[t][j]) / (1 + step) for j in range(k)]
            p = [each / (1 + step) for each in p]
    return p


def _sum(values: Any) -> float:
    total = 0.0
    for value in values:  # sum() of floats is compensated since Python 3.12
        total += value
    return total


@pytest.mark.parametrize("classes", [2, 3, 4, 7, 20])
def test_pairs_are_coupled(classes: int) -> None:
    """Every row has the bits of the algorithm, alone and in company, and rows do not touch each other."""
    graph, outputs = _graph(classes)
    source = np.random.default_rng(classes)
    rows = []
    for place in range(70):
        shares = source.dirichlet(np.ones(classes)) + 1e-9
        noise = 0.0 if place % 2 else 0.3
        rows.append(
            {
                f"{i}-{j}": float(
                    np.clip(shares[i] / (shares[i] + shares[j]) + source.normal() * noise, 1e-7, 1 - 1e-7)
                )
                for i, j in combinations(range(classes), 2)
            }
        )
    found = evaluator(graph, outputs)
    answers: Any = found.many(rows)
    for row, answer in zip(rows, answers, strict=True):
        pairs = {(int(name.split("-")[0]), int(name.split("-")[1])): value for name, value in row.items()}
        assert bits(answer["p"]) == bits(_coupled(pairs, classes))
        alone: Any = found.one(row)
        assert bits(alone["p"]) == bits(answer["p"])
        assert math.isclose(sum(answer["p"]), 1, rel_tol=1e-12)


def test_what_is_no_probability_makes_no_harm() -> None:
    """NaN, infinities and numbers beyond one end in numbers of some kind, after a bounded time."""
    graph, outputs = _graph(3)
    found = evaluator(graph, outputs)
    for nasty in (math.nan, math.inf, -math.inf, 1e308, 0.0, 1.0, -5.0):
        answer: Any = found.one({"0-1": nasty, "0-2": 0.5, "1-2": 0.2})
        assert len(answer["p"]) == 3


@pytest.mark.parametrize(
    ("operand", "value", "why"),
    [
        (2, 1, "too few or too many classes"),
        (2, 1025, "would cost too much"),
        (2, 4, "not written yet"),
        (1, 4, "elsewhere than to the next"),
    ],
)
def test_hostile_couplings(operand: int, value: int, why: str) -> None:
    """Counts and registers that do not fit are refused when the plan is opened."""
    graph, outputs = _graph(3)
    plan = bytearray(graph.plan(outputs))
    assert evaluator(graph, outputs).facts()["steps"] > 0
    step = plan.index(struct.pack("<III", Operation.COUPLE, 3, 3))
    struct.pack_into("<I", plan, step + 4 * operand, value)
    with pytest.raises(ValueError, match=why):
        Evaluator(bytes(plan), ())
