"""Bags: rows of a sparse matrix that texts are read into, and the steps that compute with them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fourfold.plan import _evaluator
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Bag, Graph, Number, Output
from fourfold.plan.graph.steps import MAX_BAGS, Layout
from fourfold.plan.graph.text_reading import MAX_NGRAM_LENGTH, Analyzer, Reading
from fourfold.plan.graph.unicode_tables import folding, matching, spaces
from tests.project.tree import SOURCE

TERMS = ("and", "b", "cold", "day", "night", "night and", "and day")
WORDS = Reading(Analyzer.WORDS, (1, 2), folding(None, lower=True), TERMS, token=matching(r"\w"))
#: A text, what it has of each term, and a number of its row.
ROWS: list[tuple[str, list[float], float]] = [
    ("Night and day", [1, 0, 0, 1, 1, 1, 1], 0.5),
    ("", [0] * 7, 2.0),
    ("b B b, cold\tnight", [0, 3, 1, 0, 1, 0, 0], -3.0),
    ("nothing of it", [0] * 7, 0.0),
    ("and AND\u00a0and day", [3, 0, 0, 1, 0, 0, 1], 1e300),
]
WEIGHTS = np.random.default_rng(1).normal(size=(7, 3))
COUNTS = np.array([counts for _, counts, _ in ROWS])
VALUES = np.array([value for _, _, value in ROWS])


def graph() -> Graph:
    """A graph with a text and a number."""
    return Graph([("text", "string"), ("x", "float64")])


def evaluator(plan: bytes) -> Any:
    """An evaluator whose rows have a text and a number, which may be missing."""
    return _evaluator.Evaluator(plan, (("text", 11, True, None, 0), ("x", 10, True, None, 1)))


def answers(made: Graph, numbers: list[Number], rows: list[dict[str, Any]] | None = None) -> Any:
    """The numbers for the rows, alone and together."""
    run = evaluator(made.plan([Output("out", "float64", numbers=numbers, tensor=True)]))
    given = [{"text": text, "x": value} for text, _, value in ROWS] if rows is None else rows
    together = run.many(given)
    if isinstance(together, dict):
        return together
    assert [repr(run.one(row)) for row in given] == [repr(row) for row in together]
    return np.array([row["out"] for row in together])


def same(got: Any, expected: Any) -> None:
    """Check that numbers have the same bits."""
    assert np.asarray(got).tobytes() == np.ascontiguousarray(expected, dtype=np.float64).tobytes()


def spread(made: Graph, bag: Bag, *, nan: bool = False) -> Any:
    """All columns of a bag."""
    return answers(made, made.bag_spread(bag, range(bag.width), nan=nan))


def test_a_text_is_counted() -> None:
    """Tokens and pairs of tokens that are in the vocabulary are counted; nothing is where nothing was found."""
    made = graph()
    same(spread(made, made.bag(0, WORDS)), COUNTS)
    made = graph()
    same(spread(made, made.bag(0, WORDS), nan=True), np.where(COUNTS == 0, np.nan, COUNTS))


def test_functions_of_entries() -> None:
    """A function is computed of what is there: alone, or with one constant, the column's, or a number of the row."""
    made = graph()
    bag = made.bag(0, WORDS)
    same(spread(made, made.bag_map(MathFunction.SQRT, bag)), np.sqrt(COUNTS))
    same(spread(made, made.bag_const(MathFunction.MUL, bag, 0.1)), COUNTS * 0.1)
    constants = np.arange(7) + 0.3
    same(spread(made, made.bag_const(MathFunction.DIV, bag, constants)), COUNTS / constants)
    there = COUNTS != 0
    same(spread(made, made.bag_const(MathFunction.ADD, bag, 1.0)), np.where(there, COUNTS + 1, 0))
    row = made.bag_row(MathFunction.SUB, bag, made.number(1))
    same(spread(made, row), np.where(there, COUNTS - VALUES[:, None], 0))


def test_one_bag_may_be_read_by_several_steps() -> None:
    """A step writes over a bag only where no other step reads it."""
    made = graph()
    bag = made.bag(0, WORDS)
    twice, half = made.bag_const(MathFunction.MUL, bag, 2.0), made.bag_const(MathFunction.MUL, bag, 0.5)
    numbers = [each for one in (twice, half, bag) for each in made.bag_spread(one, range(7))]
    same(answers(made, numbers), np.hstack([COUNTS * 2, COUNTS / 2, COUNTS]))


def test_some_columns_are_picked() -> None:
    """What is picked keeps its order, and the rest is gone."""
    made = graph()
    picked = made.bag_pick(made.bag(0, WORDS), [1, 3, 6])
    same(spread(made, picked), COUNTS[:, [1, 3, 6]])


@pytest.mark.parametrize(
    "function", [MathFunction.SUM, MathFunction.SQUARES, MathFunction.ABSOLUTES, MathFunction.LEAST, MathFunction.MOST]
)
def test_entries_are_folded_in_their_order(function: MathFunction) -> None:
    """A first number and the entries, in the order of the columns, give one number; of none it is the first."""
    made = graph()
    bag = made.bag_const(MathFunction.MUL, made.bag(0, WORDS), WEIGHTS[:, 0])
    got = answers(made, [made.bag_fold(function, bag, made.number(1))])
    expected = []
    for counts, first in zip(COUNTS * WEIGHTS[:, 0], VALUES, strict=True):
        entries = counts[counts != 0]
        if function == MathFunction.LEAST:
            expected.append(min([first, *entries]))
        elif function == MathFunction.MOST:
            expected.append(max([first, *entries]))
        else:
            sizes = {
                MathFunction.SUM: entries,
                MathFunction.SQUARES: entries * entries,
                MathFunction.ABSOLUTES: abs(entries),
            }
            expected.append(sum(sizes[function].tolist(), first))
    same(got[:, 0], expected)


def test_weighted_sums() -> None:
    """Products are added from 0, or from first sums, on in the order of the columns; in float32 where asked for."""
    made = graph()
    bag = made.bag(0, WORDS)
    first = made.map_const(MathFunction.MUL, [made.number(1)] * 3, [1.0, 2.0, 3.0])
    plain, after = np.zeros((5, 3)), VALUES[:, None] * [1.0, 2.0, 3.0]
    single = plain.astype(np.float32)
    for column in range(7):
        plain = plain + COUNTS[:, [column]] * WEIGHTS[column]
        after = after + COUNTS[:, [column]] * WEIGHTS[column]
        single = single + COUNTS[:, [column]].astype(np.float32) * WEIGHTS[column].astype(np.float32)
    same(answers(made, made.bag_dot(bag, WEIGHTS)), plain)
    same(answers(made, made.bag_dot(bag, WEIGHTS, first)), after)
    narrow = WEIGHTS.astype(np.float32).astype(np.float64)
    same(answers(made, made.bag_dot(bag, narrow, float32=True)), single.astype(np.float64))


def test_a_missing_text_is_refused_or_replaced() -> None:
    """A row without a text has no answer, or that of the text that stands for it."""
    rows: list[dict[str, Any]] = [{"text": None, "x": 1.0}, {"text": "day", "x": 1.0}]
    made = graph()
    assert answers(made, made.bag_spread(made.bag(0, WORDS), [0]), rows) == {0: "a missing text cannot be read"}
    made = graph()
    instead = Reading(WORDS.analyzer, WORDS.grams, WORDS.folding, TERMS, token=WORDS.token, missing="cold day")
    same(spread_of(made, instead, rows), [[0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0]])


def spread_of(made: Graph, how: Reading, rows: list[dict[str, Any]]) -> Any:
    """All columns of a bag that texts of some rows are read into."""
    return answers(made, made.bag_spread(made.bag(0, how), range(how.width)), rows)


def test_bags_that_do_not_fit_together_come_in_shorter_blocks() -> None:
    """Rows have the same answers whether a block has room for the bags of all of them or of one only."""
    terms = tuple(f"t{number}" for number in range(6000))
    how = Reading(Analyzer.WORDS, (1, 1), folding(None, lower=False), terms, token=matching(r"\w"))
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(6000, 1))
    rows, expected = [], []
    for number in range(150):
        taken = np.sort(rng.choice(6000, size=int(rng.choice([0, 3, 900, 6000])), replace=False))
        rows.append({"text": " ".join(terms[each] for each in rng.permutation(taken)), "x": float(number)})
        expected.append(sum(weights[taken, 0].tolist(), 0.0))
    made = graph()
    bag = made.bag(0, how)
    half = made.bag_pick(bag, range(0, 6000, 2))
    got = answers(made, [*made.bag_dot(bag, weights), made.number(1), *made.bag_dot(half, weights[::2])], rows)
    same(got[:, 0], expected)
    same(got[:, 1], range(150))


def test_a_step_like_another_is_not_made_twice() -> None:
    """Two ways to read that are the same make one bag."""
    made = graph()
    twin = Reading(Analyzer.WORDS, (1, 2), folding(None, lower=True), tuple(TERMS), token=matching(r"\w"))
    assert made.bag(0, WORDS) is made.bag(0, twin)
    other = Reading(Analyzer.WORDS, (1, 1), folding(None, lower=True), tuple(TERMS), token=matching(r"\w"))
    assert made.bag(0, WORDS) is not made.bag(0, other)


def test_more_bags_than_there_may_be_are_an_error() -> None:
    """A plan with too many bags at once is not made."""
    made = graph()
    bag = made.bag(0, WORDS)
    numbers = [made.bag_spread(made.bag_const(MathFunction.MUL, bag, each), [0])[0] for each in range(MAX_BAGS + 1)]
    with pytest.raises(ValueError, match=f"at most {MAX_BAGS} bags"):
        made.plan([Output("out", "float64", numbers=numbers, tensor=True)])


def test_settings_are_those_of_the_evaluator() -> None:
    """The limits, the analyzers and the number of settings are the ones in evaluator.c and evaluator.h."""
    folder = SOURCE / "plan" / "evaluator"
    source = (folder / "evaluator.c").read_text() + (folder / "evaluator.h").read_text()
    for name, value in (("FF_MAX_BAGS", MAX_BAGS), ("FF_MAX_NGRAM_LENGTH", MAX_NGRAM_LENGTH)):
        assert re.search(rf"#define {name} (\d+)u", source)[1] == str(value)  # type: ignore[index]
    analyzers = re.search(r"enum ff_analyzer \{ (.*) \};", source)
    assert analyzers
    names = [f"FF_{each.name}" for each in Analyzer]
    assert analyzers[1].split(", ") == names
    settings = re.search(r"enum ff_setting \{(.*?)\};", source, re.DOTALL)
    assert settings
    declared = re.findall(r"FF_T_\w+", re.sub(r"/\*.*?\*/", "", settings[1]))
    laid: list[list[int]] = []

    class Seen(Layout):
        def add_words(self, values: Any) -> int:
            laid.append(list(values))
            return 0

        def add_strings(self, values: Any) -> int:
            return 0

    WORDS.add_to(Seen())
    assert declared.index("FF_T_SETTINGS") == len(laid[-1])


BROKEN = {
    "analyzer": (0, 3),
    "no grams": (1, 0),
    "grams out of order": (1, 3),
    "too many grams": (2, 65),
    "flags": (3, 128),
    "no character": (4, 0),
    "folds outside": (7, 1 << 30),
    "tail outside": (9, 1 << 30),
    "token outside": (11, 1 << 30),
    "white space outside": (14, 1 << 30),
    "terms outside": (21, 1 << 20),
    "no terms": (21, 0),
    "stop words outside": (23, 1 << 20),
    "missing outside": (24, 1 << 20),
    "why outside": (25, 1 << 20),
}


@pytest.mark.parametrize("case", BROKEN)
def test_settings_that_cannot_be_are_refused(case: str) -> None:
    """A plan whose settings of a text are outside or unknown is not opened."""
    made = graph()
    plan = made.plan([Output("out", "float64", numbers=made.bag_spread(made.bag(0, WORDS), [0]))])
    evaluator(plan)
    place, value = BROKEN[case]
    laid: list[bytes] = []

    class Seen(Layout):
        def add_words(self, values: Any) -> int:
            laid.append(np.asarray(values, dtype="<u4").tobytes())
            return 0

        def add_strings(self, values: Any) -> int:
            return 0

    WORDS.add_to(Seen())
    start = plan.index(laid[-1][:24])
    broken = bytearray(plan)
    broken[start + 4 * place : start + 4 * place + 4] = value.to_bytes(4, "little")
    with pytest.raises(ValueError, match=r"at step|written"):
        evaluator(bytes(broken))


def test_characters_are_cut_across_white_space() -> None:
    """White space of more than one character is one space, for n-grams of characters."""
    how = Reading(Analyzer.CHARACTERS, (2, 2), folding(None, lower=False), ("a ", " b", "\tb", "b\n"), spaces=spaces())
    rows = [{"text": "a \tb\n", "x": 0.0}, {"text": "a\tb", "x": 0.0}]
    same(spread_of(graph(), how, rows), [[1, 1, 0, 1], [0, 0, 1, 0]])


def test_a_refusal_by_what_a_bag_holds() -> None:
    """A number that is folded of a bag may refuse a row."""
    made = graph()
    total = made.bag_fold(MathFunction.SUM, made.bag(0, WORDS), made.constant([0.0])[0])
    made.refuse([total], Kind.ZERO, "nothing known is in it")
    assert answers(made, [total]) == {1: "nothing known is in it", 3: "nothing known is in it"}
