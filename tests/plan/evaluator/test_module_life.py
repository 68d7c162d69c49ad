"""The evaluator over a long time, in many threads, and while Python does other things."""

from __future__ import annotations

import gc
import resource
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fourfold.plan._evaluator import Evaluator
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Graph, Output
from tests.plan.evaluators import batch_of, bits, columns, evaluator, fields_of


def wide() -> tuple[Evaluator, Graph, list[Output]]:
    """A plan with every kind of output: a number, a tensor, labels of text and of booleans; it refuses infinities."""
    graph = Graph([("x", "float64"), ("n", "int32"), ("s", "string")])
    x, n = graph.number(0), graph.number(1)
    graph.refuse([x], Kind.INFINITE, "no infinity")
    code = graph.text(2, ["a", "b"])
    values = graph.map_const(MathFunction.MUL, [x, n, x, n, *graph.lookup(code, [0.5, 1.5, 2.5, 3.5])], 3.0)
    outputs = [
        Output("sum", "float64", [graph.fold(MathFunction.PAIRWISE, values)]),
        Output("all", "float32", values, tensor=True),
        Output("label", "string", code=code, labels=["is a", "is b", "other", "missing"]),
        Output("flag", "bool", code=code, labels=[True, False, False, True]),
    ]
    return evaluator(graph, outputs), graph, outputs


ROWS: list[dict[str, Any]] = [
    {"x": place / 7, "n": place, "s": [None, "a", "b", "c"][place % 4]} for place in range(600)
]


def test_threads_change_no_bit() -> None:
    """Many threads inside one evaluator at once, through all three doors, get the bits that one thread gets."""
    found, graph, _ = wide()
    batch = batch_of(graph.inputs, ROWS)
    alone = [bits(found.one(row)) for row in ROWS]
    whole = columns(found, batch)
    differ: list[str] = []
    started = threading.Barrier(6)

    def work(turn: int) -> None:
        started.wait()
        for _ in range(15):
            if turn % 3 == 0 and [bits(found.one(row)) for row in ROWS] != alone:
                differ.append("one")
            if turn % 3 == 1 and bits(found.many(ROWS)) != alone:
                differ.append("many")
            if turn % 3 == 2 and columns(found, batch) != whole:
                differ.append("columns")

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(turn,)) for turn in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert differ == []


class Loop:
    """Garbage that asks an evaluator while it is collected."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act, self.me = act, self

    def __del__(self) -> None:
        self.act()


def test_a_collection_amid_an_answer() -> None:
    """Code that the garbage collector runs while an answer is built cannot change that answer."""
    found, _, _ = wide()
    expected = bits(found.one(ROWS[5]))
    asked: list[Any] = []
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for _ in range(300):
            Loop(lambda: asked.append(found.one(ROWS[9])))
            assert bits(found.one(ROWS[5])) == expected
    finally:
        gc.set_threshold(*before)
    assert len(asked) > 100


class Key:
    """A key with the hash of a field's name, and code where it is compared."""

    def __init__(self, name: str, act: Callable[[], Any]) -> None:
        self.name, self.act = name, act

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        self.act()
        return other == self.name


def test_keys_that_run_code() -> None:
    """A row whose keys run code when they are compared is left to the caller before any of them is."""
    found, _, _ = wide()
    row: dict[Any, Any] = {}
    row |= {Key("x", row.clear): 1.0, "n": 1, "s": "a"}
    assert found.one(row) is None
    assert found.many([row]) is None
    assert found.one(row, canonical=True) is None
    assert len(row) == 3


def calls() -> dict[str, Callable[[], Any]]:
    """Every way through the module's code, each as a call to repeat."""
    found, graph, outputs = wide()
    plan, fields = graph.plan(outputs), fields_of(graph.inputs, closed={"s": frozenset({"a", "b", "c"})})
    batch = batch_of(graph.inputs, ROWS[:3])
    infinite: list[dict[str, Any]] = [*ROWS[:3], {"x": float("inf"), "n": 1, "s": "a"}]
    wrong = pa.RecordBatch.from_arrays([batch.column(0), batch.column(0), batch.column(2)], names=["x", "n", "s"])

    def fails(call: Callable[[], Any]) -> Callable[[], Any]:
        def caught() -> None:
            with pytest.raises((TypeError, ValueError)):
                call()

        return caught

    return {
        "one": lambda: found.one(ROWS[1]),
        "canonical": lambda: found.one(ROWS[2], canonical=True),
        "refused": lambda: found.one(infinite[3]),
        "not plain": lambda: found.one({"x": "1", "n": 1, "s": "a"}),
        "long text": lambda: found.one({"x": 1.0, "n": 1, "s": "ü" * 100}),
        "many": lambda: found.many(ROWS[:3]),
        "many refused": lambda: found.many(infinite),
        "many not plain": lambda: found.many([ROWS[0], None]),
        "columns": lambda: columns(found, batch),
        "columns refused": lambda: columns(found, batch_of(graph.inputs, infinite)),
        "columns wrong": fails(lambda: columns(found, wrong)),
        "open": lambda: Evaluator(plan, fields).one(ROWS[0]),
        "open wrong": fails(lambda: Evaluator(plan[:-8], fields)),
        "fields wrong": fails(lambda: Evaluator(plan, fields[:2])),
        "closed wrong": fails(lambda: Evaluator(plan, (*fields[:2], (*fields[2][:3], frozenset([()]), 2)))),
        "arguments wrong": fails(lambda: found.one({}, other=1)),  # type: ignore[call-arg]
    }


def resident() -> int:
    """The bytes of memory that this process holds, or, where the system does not tell, has held at most."""
    held = Path("/proc/self/statm")
    if held.is_file():
        return int(held.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


#: Calls that take microseconds are repeated so often that a leak of a single object would be megabytes.
OFTEN = {
    "one": 200_000,
    "canonical": 200_000,
    "refused": 100_000,
    "not plain": 100_000,
    "many": 50_000,
    "long text": 50_000,
}


@pytest.mark.parametrize("name", list(calls()))
def test_nothing_leaks(name: str) -> None:
    """However often anything is called, neither Python's memory nor the process grows."""
    call = calls()[name]
    count = OFTEN.get(name, 4_000)

    def repeat(times: int) -> None:
        for _ in range(times):
            call()

    repeat(count // 10)  # caches fill, and the allocator settles
    gc.collect()
    before = resident()
    repeat(count)
    assert resident() - before < count * 8 + (2 << 20)
    tracemalloc.start()
    try:
        repeat(100)
        grown = []
        for _ in range(3):
            gc.collect()
            traced = tracemalloc.get_traced_memory()[0]
            repeat(1000)
            gc.collect()
            grown.append(tracemalloc.get_traced_memory()[0] - traced)
    finally:
        tracemalloc.stop()
    assert min(grown) < 16_000  # threads of other tests allocate now and then; a leak grows every time


def test_references_are_given_back() -> None:
    """No call keeps a reference to its arguments, and an evaluator that goes gives back those that it was made of."""
    found, graph, outputs = wide()
    plan = graph.plan(outputs)
    text = "some text that is nowhere else"
    row = {"x": 1.5, "n": 10**9, "s": text}
    closed = frozenset([text])
    held = [plan, text, row, closed, row["x"]]
    before = [sys.getrefcount(each) for each in held]
    for _ in range(50):
        found.one(row)
        found.many([row, row])
        Evaluator(plan, fields_of(graph.inputs, closed={"s": closed})).one(row)
        assert Evaluator(plan, fields_of(graph.inputs)).many([{"x": "no"}]) is None
    assert [sys.getrefcount(each) for each in held] == before


def test_a_plan_outlives_its_bytes() -> None:
    """An evaluator keeps the plan that it reads."""
    graph = Graph([("x", "float64")])
    weights = np.arange(1000.0).reshape(1, -1)
    found = evaluator(graph, [Output("y", "float64", graph.dot([graph.number(0)], weights), tensor=True)])
    gc.collect()
    noise = [bytes(9000) for _ in range(200)]
    answer = found.one({"x": 2.0})
    assert answer is not None
    assert answer["y"] == (2.0 * weights[0]).tolist()
    assert len(noise) == 200


def test_memory_of_a_row_that_fits_no_stack() -> None:
    """A plan of more registers than the stack holds answers one row from memory of its own."""
    graph = Graph([("x", "float64")])
    values = graph.map_const(MathFunction.MUL, [graph.number(0)] * 5000, np.arange(5000.0))
    found = evaluator(graph, [Output("y", "float64", values, tensor=True)])
    assert found.one({"x": 3.0}) == {"y": (3.0 * np.arange(5000.0)).tolist()}
