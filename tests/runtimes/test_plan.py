"""The runtime of plans: rows and columns, what a process imports, and plans that are not what a package says."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import fourfold
from fourfold.errors import CorruptPackage, EngineError, GoldenMismatch, InputError
from fourfold.package import Package, write_package
from fourfold.package.golden import GOLDEN_FILE, GoldenRows, encode_golden
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Graph, Output
from fourfold.runtimes.plan import FILE, PlanEngine
from fourfold.signature import Field, Signature
from tests.architectures import Architecture, loader

SIGNATURE = Signature(
    (
        Field("x", "float64"),
        Field("n", "uint64", nullable=True),
        Field("word", "string", nullable=True, categories=("red", "green")),
        Field("seen", "timestamp", zone="UTC"),
    ),
    (Field("y", "float64"), Field("both", "float64", shape=(2,)), Field("label", "string", categories=("hot", "cold"))),
)
SEEN = datetime(2013, 1, 1, tzinfo=UTC)
ROW = {"x": 1.5, "n": 2, "word": "red", "seen": SEEN}


def plan_of(factor: float = 2.0) -> bytes:
    """Answers y, x times a factor plus n where it is there, and a label for the word; an infinite x has no answer."""
    graph = Graph([("x", "float64"), ("n", "uint64"), ("word", "string")])
    x = graph.number(0)
    graph.refuse([x], Kind.INFINITE, "x is infinite")
    twice = graph.map_const(MathFunction.MUL, [x], factor)
    n = graph.map_const(MathFunction.IF_NAN, [graph.number(1)], 0.0)
    y = graph.map_two(MathFunction.ADD, twice, n)
    code = graph.recode(graph.text(2, ["red", "green"]), [0, 1, 1, 1], 2)
    labels = Output("label", "string", code=code, labels=["hot", "cold"])
    return graph.plan([Output("y", "float64", y), Output("both", "float64", [*twice, *n], tensor=True), labels])


def package_of(plan: bytes | None = None, golden: bytes | None = None, signature: Signature = SIGNATURE) -> Package:
    """A package of a plan, whose golden rows are what `plan_of()` answers."""
    engine = PlanEngine(plan_of(), SIGNATURE)
    inputs: list[dict[str, Any]] = [ROW, {"x": -0.0, "n": None, "word": None, "seen": SEEN}]
    golden = golden or encode_golden(GoldenRows(inputs, engine.predict(inputs)), SIGNATURE)
    manifest = {
        "fourfold": 1,
        "name": "tiny",
        "signature": signature.to_json(),
        "runtime": {"name": "plan", "settings": {}, "requires": "", "libraries": {}},
        "exactness": {"exact": True, "block": None, "rows": 2, "tested": [], "accepted": "exact"},
        "engines": [],
        "golden": {"file": GOLDEN_FILE, "rows": 2, "tolerance": 0},
        "provenance": {},
    }
    return Package.build(manifest, {GOLDEN_FILE: golden, FILE: plan or plan_of()})


@pytest.fixture
def predictor() -> fourfold.Predictor:
    """A predictor of a plan with a field that no plan reads."""
    return fourfold.load(package_of())


def test_rows_and_columns_have_the_same_answers(predictor: fourfold.Predictor) -> None:
    """A dict, a list of dicts and a frame give the same values."""
    rows: list[dict[str, Any]] = [ROW, {**ROW, "x": -3.25, "n": None}, {**ROW, "word": None}, {**ROW, "n": 2**64 - 1}]
    expected = predictor.predict(rows)
    assert expected[0] == {"y": 5.0, "both": [3.0, 2.0], "label": "hot"}
    assert expected[2]["label"] == "cold"
    assert [predictor.predict_one(row) for row in rows] == expected
    frame = pd.DataFrame(rows, columns=["x", "word", "seen"])
    frame["n"] = pd.array([row["n"] for row in rows], dtype="UInt64")
    answers = predictor.predict(frame)
    assert answers["y"].tolist() == [row["y"] for row in expected]
    assert answers["label"].tolist() == [row["label"] for row in expected]
    assert [list(each) for each in answers["both"]] == [row["both"] for row in expected]


def test_values_that_need_coercion_take_the_long_way_to_the_same_answer(predictor: fourfold.Predictor) -> None:
    """An integral float for an integer, and a text for a timestamp, are what they are everywhere."""
    strange = {"x": 1, "n": 2.0, "word": "red", "seen": "2013-01-01T00:00:00Z"}
    assert predictor.predict_one(strange) == predictor.predict_one({**ROW, "x": 1.0})


@pytest.mark.parametrize(
    ("change", "field"),
    [({"x": "1"}, "x"), ({"x": None}, "x"), ({"n": -1}, "n"), ({"word": "blue"}, "word"), ({"more": 1}, "more")],
)
def test_what_does_not_fit_is_said_as_everywhere(
    predictor: fourfold.Predictor, change: dict[str, Any], field: str
) -> None:
    """The quick way answers no row that the coercion refuses; the error names row and field."""
    with pytest.raises(InputError) as found:
        predictor.predict_one({**ROW, **change})
    assert [error.field for error in found.value.errors] == [field]
    answer = predictor.answer([ROW, {**ROW, **change}])
    assert (list(answer.kept), [error.field for error in answer.errors]) == ([0], [field])


def test_a_row_without_an_answer_does_not_fail_its_neighbours(predictor: fourfold.Predictor) -> None:
    """The evaluator says which row it refuses and why; the others are answered."""
    rows = [ROW, {**ROW, "x": float("inf")}, {**ROW, "x": 2.5}]
    with pytest.raises(EngineError, match="row 1: x is infinite"):
        predictor.predict(rows)
    answer = predictor.answer(rows)
    assert [row["y"] for row in answer.outputs] == [5.0, 7.0]
    assert list(answer.kept) == [0, 2]
    assert "x is infinite" in str(answer.errors[0])


_ALONE = """
import sys
from pathlib import Path
import fourfold
tiny = fourfold.load(Path(sys.argv[1]))
assert tiny.predict_one({"x": 1.5, "n": 2, "word": "red", "seen": "2013-01-01T00:00:00Z"})["y"] == 5.0
assert len(tiny.predict([{"x": 1.5, "n": 2, "word": "red", "seen": "2013-01-01T00:00:00Z"}] * 40)) == 40
heavy = {"numpy", "pyarrow", "pandas", "polars", "sklearn", "scipy", "msgspec", "joblib", "skops", "rich", "click"}
print(sorted(heavy & set(sys.modules)))
"""


def test_a_plan_answers_with_nothing_else_in_the_process(tmp_path: Path) -> None:
    """Loading a plan, one row and many rows import neither NumPy nor Arrow nor any library of engines."""
    path = write_package(package_of(), tmp_path / "tiny.fourfold")
    finished = subprocess.run([sys.executable, "-c", _ALONE, str(path)], check=True, capture_output=True, text=True)
    assert finished.stdout.strip() == "[]"


def test_a_changed_plan_starts_nowhere(architecture: Architecture) -> None:
    """Every architecture refuses a package whose plan gives another bit, and names the first golden row."""
    changed = package_of(plan_of(factor=2.0 + 2**-51))
    with pytest.raises(GoldenMismatch, match=r"golden row 0, field 'y': expected 5\.0, got 5\.00000000000000\d"):
        architecture.ask(loader(changed), [b'{"x":1.5,"n":2,"word":"red","seen":"2013-01-01T00:00:00Z"}'])


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ((Field("y", "float32"), *SIGNATURE.outputs[1:]), "its signature says"),
        ((SIGNATURE.outputs[0], Field("both", "float64", shape=(3,)), SIGNATURE.outputs[2]), "2 numbers for both"),
        ((*SIGNATURE.outputs[:2], Field("label", "string", categories=("hot",))), "'cold' for 'label'"),
    ],
)
def test_a_plan_that_gives_something_else_is_refused(outputs: tuple[Field, ...], said: str) -> None:
    """What a package says of its outputs is held against its plan before any row is answered."""
    with pytest.raises(CorruptPackage, match=said):
        PlanEngine(plan_of(), Signature(SIGNATURE.inputs, outputs))


def test_a_plan_that_takes_what_the_signature_lacks_is_refused() -> None:
    """A plan reads the signature's fields, of the signature's types."""
    with pytest.raises(CorruptPackage, match="no field of the signature"):
        PlanEngine(plan_of(), Signature(SIGNATURE.inputs[1:], SIGNATURE.outputs))
    with pytest.raises(CorruptPackage, match="another type"):
        PlanEngine(plan_of(), Signature((Field("x", "int64"), *SIGNATURE.inputs[1:]), SIGNATURE.outputs))


@pytest.mark.parametrize("size", [0, 7, 40, 200, -1])
def test_a_plan_that_is_cut_short_is_refused(size: int) -> None:
    """Whatever is missing, the error says that the package is at fault."""
    with pytest.raises(CorruptPackage, match="plan"):
        PlanEngine(plan_of()[:size], SIGNATURE)
