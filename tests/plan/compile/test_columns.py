from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fourfold.plan import _evaluator
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, NA, OBJECT, Coded, Compiler, Matrix, Numeric, Text
from fourfold.plan.compile.inputs import training_matrix
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Graph, Number, Output
from fourfold.signature import Field


def answers(compiler: Compiler, numbers: list[Number], rows: list[dict[str, Any]]) -> list[list[float]]:
    """What numbers of a graph are, for rows of its inputs."""
    plan = compiler.graph.plan([Output("out", "float64", numbers=numbers, tensor=True)])
    fields = tuple(
        (name, {"string": 11, "float64": 10}[dtype], True, None, place)
        for place, (name, dtype) in enumerate(compiler.graph.inputs)
    )
    found = _evaluator.Evaluator(plan, fields, False).many(rows)
    assert isinstance(found, list)
    return [row["out"] for row in found]


def spikes(code: Any, levels: tuple[float, float]) -> list[Coded]:
    """A column for each code, which has the second level there and the first elsewhere."""
    return [Coded(code, levels=np.array(levels), hot_code=place) for place in range(code.limit)]


@pytest.mark.parametrize("count", [3, 1200])
@pytest.mark.parametrize("levels", [(0.0, 1.0), (-0.25, 3.5), (-0.0, 1.0)])
def test_one_hot_columns_are_looked_up_or_computed(count: int, levels: tuple[float, float]) -> None:
    """Columns that differ at one code have their two numbers, be the table small or too large to be one."""
    compiler = Compiler(Graph([("text", "string")]))
    code = compiler.graph.text(0, [f"t{place}" for place in range(count)])
    whole = Coded(code, np.arange(float(code.limit)))
    found = answers(
        compiler, compiler.numbers([*spikes(code, levels), whole]), [{"text": "t1"}, {"text": "?"}, {"text": None}]
    )
    for row, place in zip(found, (1, count, count + 1), strict=True):
        expected = [levels[0]] * code.limit
        expected[place] = levels[1]
        assert [repr(each) for each in row] == [repr(each) for each in [*expected, float(place)]]


def test_a_function_of_a_one_hot_column_stays_two_numbers() -> None:
    """A scaled one-hot column is still one, and its dtype may change without its numbers."""
    compiler = Compiler(Graph([("text", "string")]))
    code = compiler.graph.text(0, ["a", "b"])
    column = Coded(code, levels=np.array([0.0, 1.0]), hot_code=1)
    (scaled,) = compiler.map(MathFunction.SUB, [column], [0.1], dtype=FLOAT32)
    assert isinstance(scaled, Coded)
    assert scaled.hot_code == 1
    assert scaled.values.tolist() == [float(np.float32(each)) for each in (-0.1, 0.9, -0.1, -0.1)]
    assert replace(scaled, dtype=FLOAT64).levels is scaled.levels
    assert Coded(code, np.zeros(4), hot_code=1).hot_code is None


def test_a_text_that_an_imputer_replaced_reads_as_the_other_one() -> None:
    """A text taken for a missing one is what was put there, and so is a missing one."""
    compiler = Compiler(Graph([("text", "string")]))
    code, means = compiler.text(Text(0, "b", nullable=True, replaced=(("?", "b"),)), ["a", "b"])
    assert (code.limit, means) == (5, ["a", "b", "b", ..., "b"])
    assert compiler.text(Text(0, "b", nullable=True, replaced=(("?", "b"),)), ["?"])[1] == [..., ..., ...]


def test_a_column_of_a_dtype_of_pandas_is_told_apart() -> None:
    """scikit-learn makes float64 of a dtype of pandas's own, and objects keep what says that one is missing."""
    fields = [Field("a", "int64", nullable=True), Field("b", "float64", nullable=True), Field("c", "float32")]
    form = {
        "container": "pandas",
        "columns": [
            {"label": "a", "dtype": "Int64"},
            {"label": "b", "dtype": "object", "of": "float", "null": "None"},
            {"label": "c", "dtype": "float32"},
        ],
    }
    compiler = Compiler(Graph([(field.name, field.dtype) for field in fields]))
    made = training_matrix(form, fields, compiler)
    assert made.take([0, 2]).float_dtype == FLOAT64
    known = [(each.dtype, each.missing) for each in made.columns if isinstance(each, Numeric)]
    assert known[:2] == [(FLOAT64, NA), (OBJECT, ...)]
    assert repr(NA) == "pandas.NA"
    assert made.take([2]).float_dtype == FLOAT32
    assert replace(made.take([2]), polars=True).float_dtype == FLOAT64
    assert Matrix(()).dtype == FLOAT64
