"""Columns are compared as rows are: the same counts, distances and examples."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from fourfold.errors import EngineError
from fourfold.function import Function
from fourfold.packing.engines.column_comparison import ColumnAnswers, answer_columns, compare_columns
from fourfold.packing.engines.comparison import Answers, compare_answers, output_scales
from fourfold.signature import Field, Signature
from fourfold.signature.columns import rows_to_columns

OUTPUTS = (
    Field("number", "float64"),
    Field("narrow", "float32", nullable=True),
    Field("tensor", "float64", shape=(2, 2)),
    Field("label", "string", nullable=True),
    Field("count", "int64"),
    Field("flags", "bool", shape=(2,)),
)
SIGNATURE = Signature((Field("x", "int64"),), OUTPUTS)
NUMBERS = (0.0, -0.0, 1.0, math.nextafter(1.0, 2.0), -1.0, 2.0, 1e-300, 1e300, math.inf, -math.inf, math.nan)
NARROW = (None, 0.0, -0.0, 1.0, 1.0000001192092896, math.inf, math.nan)


def drawn_row(generator: random.Random) -> dict[str, Any]:
    """Return an answer in which values that are equal, near, far and special come often."""
    return {
        "number": generator.choice(NUMBERS),
        "narrow": generator.choice(NARROW),
        "tensor": [[generator.choice(NUMBERS) for _ in range(2)] for _ in range(2)],
        "label": generator.choice((None, "a", "b", "")),
        "count": generator.choice((0, 1, 2**53, 2**53 + 1)),
        "flags": [generator.random() < 0.5 for _ in range(2)],
    }


def as_columns(answers: Answers) -> ColumnAnswers:
    kept = [index for index, answer in enumerate(answers) if answer is not None]
    rows = [answer for answer in answers if answer is not None]
    return ColumnAnswers(rows_to_columns(OUTPUTS, rows), np.array(kept, np.int64), len(answers))


@pytest.mark.parametrize("seed", range(60))
def test_columns_are_compared_as_rows_are(seed: int) -> None:
    """For drawn answers, with refusals of either engine among them, both comparisons find the same."""
    generator = random.Random(seed)
    expected: Answers = [None if generator.random() < 0.1 else drawn_row(generator) for _ in range(40)]
    got: Answers = []
    for answer in expected:
        if generator.random() < 0.05:
            got.append(None)
        elif answer is None or generator.random() < 0.5:
            got.append(answer)
        else:
            name = generator.choice([field.name for field in OUTPUTS])
            got.append({**answer, name: drawn_row(generator)[name]})
    scales = output_scales(SIGNATURE, expected)
    by_rows = compare_answers(SIGNATURE, expected, got, scales)
    by_columns = compare_columns(SIGNATURE, as_columns(expected), as_columns(got), scales)
    assert (by_columns.rows, by_columns.differing) == (by_rows.rows, by_rows.differing)
    assert by_columns.ulps == pytest.approx(by_rows.ulps, rel=1e-12)
    assert (by_columns.largest is None) == (by_rows.largest is None)


def test_nothing_differs_in_what_is_the_same() -> None:
    """Every NaN is the same, and no row is no difference."""
    rows: Answers = [drawn_row(random.Random(1)) for _ in range(20)]
    same = compare_columns(SIGNATURE, as_columns(rows), as_columns(rows), {})
    assert (same.rows, same.differing, same.ulps, same.largest) == (20, 0, {}, None)
    assert compare_columns(SIGNATURE, as_columns([]), as_columns([]), {}).rows == 0


class _Picky:
    """Refuse a call with a row below zero, and answer others with the number itself."""

    takes = "columns"

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, batch: Any) -> Any:
        self.calls += 1
        values = batch.column(0).to_pylist()
        if min(values) < 0:
            raise EngineError("below zero")
        return rows_to_columns((Field("y", "int64"),), [{"y": value} for value in values])


def test_the_rows_that_an_engine_refuses_are_found() -> None:
    """The others are answered, each beside its own row."""
    signature = Signature((Field("x", "int64"),), (Field("y", "int64"),))
    values = [1, 2, -1, 3, 4, 5, -1, -1, 6]
    engine: Any = _Picky()
    answers = answer_columns(
        Function(signature, engine, None), rows_to_columns(signature.inputs, [{"x": value} for value in values])
    )
    assert answers.kept.tolist() == [0, 1, 3, 4, 5, 8]
    assert answers.outputs.column(0).to_pylist() == [1, 2, 3, 4, 5, 6]
    none = answer_columns(Function(signature, engine, None), rows_to_columns(signature.inputs, [{"x": -1}] * 3))
    assert (none.kept.tolist(), none.outputs.num_rows, none.count) == ([], 0, 3)
