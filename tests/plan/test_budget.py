"""Plans that ask for more time or memory than their size allows are refused before anything is computed."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from typing import Any

import pytest

import fourfold
from fourfold.errors import CorruptPackage, ReplayTimeout
from fourfold.package import Package
from fourfold.package.golden import GOLDEN_FILE
from fourfold.plan._evaluator import Evaluator
from fourfold.plan.format import MathFunction, Operation, read_ports
from fourfold.plan.graph.builder import Graph, Output
from fourfold.plan.graph.text_reading import Analyzer, Reading
from fourfold.plan.graph.unicode_tables import folding, matching, spaces
from fourfold.predictor import REPLAY_VARIABLE
from fourfold.runtimes.plan import FILE
from fourfold.signature import Field, Signature
from tests.plan.hostile_plans import BUILDERS, Builder

FIELDS = (("s", 11, True, None, 0), ("x", 10, True, None, 1))
SIGNATURE = Signature(
    (Field("s", "string", nullable=True), Field("x", "float64", nullable=True)), (Field("y", "float64"),)
)
SIZE = 200_000
#: Plans that are refused at this size, and what is said of them.
REFUSED = {
    "products": "a row would cost too much for a plan of this size, at step",
    "wide leaves": "a row would cost too much for a plan of this size, at step",
    "neighbours": "a row would cost too much for a plan of this size, at step",
    "texts": "a row would cost too much for a plan of this size, at step",
    "functions of bags": "a row would cost too much for a plan of this size, at step",
    "products of bags": "a row would cost too much for a plan of this size, at step",
    "remainders": "a row would cost too much for a plan of this size, at step",
    "powers": "a row would cost too much for a plan of this size, at step",
    "registers": "a plan has too many registers for its size",
    "forests": "tables would take too much memory for a plan of this size, at step",
    "texts in one place": "texts were chosen so that looking one up takes long",
    "texts side by side": "texts were chosen so that looking one up takes long",
    "hashes of a text": "a byte of text would cost too much, at step",
    "n-grams": "a byte of text would cost too much, at step",
    "long foldings": "settings of a text are outside or out of order, at step",
    "sigmas": "settings of a text are outside or out of order, at step",
    "readings of a text": "writes elsewhere than to the next bag, at step",
    "wide answers": "the answer to a row would be too large for a plan of this size: output",
    "long labels": "the answer to a row would be too large for a plan of this size: output",
    "many labels": "the names and labels of its ports are more than 4 for each of its",
}


def package_of(
    plan: bytes, *, golden: bytes | None = None, rows: int = 1, signature: Signature = SIGNATURE, **exactness: Any
) -> Package:
    """Return a package of a plan, whose one golden row is 1 and answers 1."""
    manifest = {
        "fourfold": 1,
        "name": "hostile",
        "signature": signature.to_json(),
        "runtime": {"name": "plan", "settings": {}, "requires": "", "libraries": {}},
        "exactness": {"exact": True, "block": None, "rows": 2, "tested": [], "accepted": "exact"} | exactness,
        "engines": [],
        "golden": {"file": GOLDEN_FILE, "rows": rows, "tolerance": 0},
        "provenance": {},
    }
    golden = golden or b'{"inputs":[{"s":"a","x":1.0}],"outputs":[{"y":1.0}]}'
    return Package.build(manifest, {GOLDEN_FILE: golden, FILE: plan})


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_a_package_that_asks_for_too_much_is_refused(kind: str) -> None:
    """A plan of each kind is refused when it is loaded, and the message says what of it is too much, and where."""
    package = package_of(BUILDERS[kind](SIZE))
    with pytest.raises(CorruptPackage, match=REFUSED[kind]):
        fourfold.load(package)


@pytest.mark.parametrize("kind", sorted(BUILDERS))
@pytest.mark.parametrize("size", [500, 4_000, 30_000])
def test_a_plan_that_is_opened_stays_within_its_limits(kind: str, size: int) -> None:
    """Whatever a plan of this kind can still ask for is in proportion to its bytes, and rows are answered."""
    plan = BUILDERS[kind](size)
    try:
        read_ports(plan)
        evaluator = Evaluator(plan, FIELDS)
    except ValueError:
        return
    facts = evaluator.facts()
    assert facts["row_cost"] <= 128 * len(plan) + (1 << 20)
    assert facts["text_cost"] <= 8192
    assert facts["memory"] <= 65 * len(plan) + (16 << 20) + (64 << 20)
    assert facts["registers"] <= 4 * len(plan) + 4
    answers = evaluator.many([{"s": "\u03a3a b", "x": 2.0}] * 20)
    assert isinstance(answers, list)
    assert len(answers) == 20


def test_many_golden_values_do_not_fit_into_few_bytes() -> None:
    """Short golden rows of many fields are refused before a row of so many fields is made for each."""
    fields = tuple(Field(f"x{index}", "float64", nullable=True) for index in range(2_000))
    signature = Signature((*SIGNATURE.inputs, *fields), SIGNATURE.outputs)
    count = 5_000
    golden = b'{"inputs":[' + b",".join([b"{}"] * count) + b'],"outputs":[' + b",".join([b"{}"] * count) + b"]}"
    package = package_of(Builder().bytes(), golden=golden, rows=count, signature=signature)
    with pytest.raises(CorruptPackage, match=r"golden\.json: 5000 rows of 10015000 values do not fit into \d+ bytes"):
        fourfold.load(package)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (b",".join([b"1"] * 100_000), "row 0: expected an object with a key for each field, got 1"),
        (b"{" + b",".join(b'"%d":1' % index for index in range(100_000)) + b"}", "row 0 has 100000 keys for 2 fields"),
    ],
)
def test_golden_errors_take_no_more_memory_than_the_file(inputs: bytes, message: str) -> None:
    """Of a file in which every row, or every key, is wrong, one error is made."""
    count = 100_000 if inputs[0:1] == b"1" else 1
    golden = b'{"inputs":[' + inputs + b'],"outputs":[' + b",".join([b'{"y":0}'] * count) + b"]}"
    package = package_of(Builder().bytes(), golden=golden, rows=count)
    gc.collect()
    tracemalloc.start()
    with pytest.raises(CorruptPackage, match=message):
        fourfold.load(package)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * len(golden)


def test_a_plan_is_not_computed_in_blocks() -> None:
    """A block in the manifest, which other engines' rows are padded to, makes no plan compute rows for nobody."""
    graph = Graph([("s", "string"), ("x", "float64")])
    plan = graph.plan([Output("y", "float64", [graph.number(1)])])
    predictor = fourfold.load(package_of(plan, block=65_536))
    assert predictor.predict_one({"s": "b", "x": 3.0}) == {"y": 3.0}
    assert predictor.replay.exact


def _slow_plan() -> bytes:
    """Return a plan whose rows are as slow as a plan's can be: half a second and more."""
    builder = Builder()
    count = 8_000
    builder.add_numbers([0.0] * 500_000)
    words = builder.add_words([0] * count)
    for _ in range(120):
        builder.step(Operation.MAP_TWO, builder.claim(count), count, MathFunction.MOD, words, words)
    return builder.bytes()


def test_a_plan_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even one row without an end in sight does not hold Python's lock, and its evaluation ends with the replay."""
    monkeypatch.setenv(REPLAY_VARIABLE, "0.05")
    count = 3_000
    rows = b",".join([b'{"s":"a","x":1e300}'] * count)
    golden = b'{"inputs":[' + rows + b'],"outputs":[' + b",".join([b'{"y":1e300}'] * count) + b"]}"
    before = set(threading.enumerate())
    with pytest.raises(ReplayTimeout, match="the package hostile did not answer its 3000 golden rows within"):
        fourfold.load(package_of(_slow_plan(), golden=golden, rows=count))
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()


def test_a_stopped_evaluator_answers_nobody() -> None:
    """After it was stopped, every call ends with an error."""
    evaluator = Evaluator(Builder().bytes(), FIELDS)
    assert evaluator.one({"s": "a", "x": 2.0}) == {"y": 2.0}
    evaluator.stop()
    assert evaluator.one({"s": "a", "x": 2.0}) is None
    with pytest.raises(RuntimeError, match="stopped"):
        evaluator.many([{"s": "a", "x": 2.0}])


def test_a_row_that_may_be_slow_is_answered_like_any_other() -> None:
    """A row of a costly plan, or with a long text, is copied and computed without Python's lock: with the same bits."""
    evaluator = Evaluator(_slow_plan(), FIELDS)
    assert evaluator.facts()["row_cost"] > 1 << 26
    assert evaluator.one({"s": "a", "x": 2.0}) == {"y": 2.0}
    assert evaluator.one({"s": 1, "x": 2.0}) is None
    graph = Graph([("s", "string"), ("x", "float64")])
    reading = Reading(Analyzer.CHARACTERS, (1, 64), folding(None, lower=False), columns=1 << 16, spaces=spaces())
    plan = graph.plan(
        [Output("y", "float64", [graph.bag_fold(MathFunction.SUM, graph.bag(0, reading), graph.number(1))])]
    )
    evaluator = Evaluator(plan, FIELDS)
    text = "abc\u00e9" * 10_000
    assert len(text.encode()) * evaluator.facts()["text_cost"] > 1 << 26
    assert evaluator.one({"s": text, "x": 0.0}) == {"y": float(sum(len(text) - n + 1 for n in range(1, 65)))}
    assert evaluator.many([{"s": text, "x": 0.0}]) == [evaluator.one({"s": text, "x": 0.0})]


def test_texts_with_many_ngrams_are_counted_to_the_last() -> None:
    """A bag that is filled in many passes has every n-gram once, whatever the number of n-grams between two passes."""
    graph = Graph([("s", "string"), ("x", "float64")])
    reading = Reading(Analyzer.WORDS, (1, 1), folding(None, lower=False), columns=1 << 18, token=matching(r"\w"))
    bag = graph.bag(0, reading)
    sums = [graph.bag_fold(MathFunction.SUM, bag, graph.constant([0.0])[0])]
    sums += [graph.bag_fold(MathFunction.MOST, bag, graph.constant([0.0])[0])]
    plan = graph.plan([Output("y", "float64", sums, tensor=True)])
    text = " ".join(str(index) for index in range(200_000))
    answer = Evaluator(plan, FIELDS).one({"s": f"{text} {text}", "x": None})
    assert answer is not None
    total, most = answer["y"]
    assert total == 400_000
    assert most >= 4


def test_rows_that_do_not_fit_together_are_computed_in_smaller_blocks() -> None:
    """Texts that fill the room for a block of rows get the answers that they get alone."""
    graph = Graph([("s", "string"), ("x", "float64")])
    reading = Reading(Analyzer.WORDS, (1, 1), folding(None, lower=False), columns=1 << 14, token=matching(r"\w"))
    bag = graph.bag(0, reading)
    plan = graph.plan([Output("y", "float64", [graph.bag_fold(MathFunction.SQUARES, bag, graph.number(1))])])
    evaluator = Evaluator(plan, FIELDS)
    texts = [" ".join(str(index * step) for index in range(6_000 if step % 3 else 10)) for step in range(1, 90)]
    rows = [{"s": text, "x": float(index)} for index, text in enumerate(texts)]
    assert evaluator.many(rows) == [evaluator.one(row) for row in rows]
