from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from fourfold.batch.extract.formats import SOURCE_FORMATS
from fourfold.batch.predict import predict_chunk
from fourfold.codecs import csv
from fourfold.signature.bits import first_difference
from tests.batch.support import column_predictor
from tests.support import SIGNATURE, make_predictor

CELLS = st.sampled_from(
    ["1", "-0", "2.5", "1e3", "nan", "far", "1234567890123456", "9007199254740993", "1e999", "", None]
)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12))
def test_parts_are_one_table(cells: list[tuple[str | None, str | None]]) -> None:
    """A chunk predicted in parts has the same answers and errors, in the same order, as its rows in one table."""
    texts = pa.record_batch(
        {"x": pa.array([x for x, _ in cells], pa.string()), "n": pa.array([n for _, n in cells], pa.string())}
    )
    parts = SOURCE_FORMATS["csv"].parse_inputs(texts, SIGNATURE.inputs)
    rows = [
        row
        for x, n in cells
        for row in as_rows(csv.decode(f"x,n\n{spelled(x)},{spelled(n)}\n".encode(), SIGNATURE.inputs))
    ]
    for predictor in (column_predictor(), make_predictor()):
        expected = predictor.answer(rows)
        found = predict_chunk(predictor, parts, ["word"])
        assert list(found.kept) == list(expected.kept)
        assert list(found.errors) == list(expected.errors)
        assert first_difference(as_rows(expected.outputs), as_rows(found.outputs), ["y", "word"]) is None


def spelled(cell: str | None) -> str:
    return "" if cell is None else cell or '""'


def as_rows(table: Any) -> list[dict[str, Any]]:
    return table if isinstance(table, list) else table.to_pylist()


def test_no_row_of_a_part_may_fit() -> None:
    """Where no cell of a column fits there are errors only, and no output."""
    parts = SOURCE_FORMATS["csv"].parse_inputs(pa.record_batch({"x": ["far", "off"]}), SIGNATURE.inputs)
    found = predict_chunk(column_predictor(), parts, ["n", "word"])
    assert found.outputs.num_rows == 0
    assert [error.row for error in found.errors] == [0, 1]
