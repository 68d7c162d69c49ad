"""Test how far two engines' answers are said to be apart."""

from __future__ import annotations

import math
from typing import Any, Literal

import pyarrow as pa
import pytest

from fourfold.errors import EngineError
from fourfold.function import Function
from fourfold.packing.engines.comparison import compare_answers, try_rows
from fourfold.signature import Field, Signature

SIGNATURE = Signature((Field("x", "float64"),), (Field("y", "float64"),))


@pytest.mark.parametrize("finite", [0.0, 1.7976931348623157e308])
@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan])
def test_no_number_is_near_infinity_or_nan(special: float, finite: float) -> None:
    """An answer that is finite in one engine only is infinitely far away, whichever engine that is."""
    for expected, got in ((special, finite), (finite, special)):
        comparison = compare_answers(SIGNATURE, [{"y": expected}], [{"y": got}], {"y": [1.0]})
        assert (comparison.differing, comparison.ulp, comparison.gap) == (1, math.inf, math.inf)
        assert comparison.largest is not None
        assert (comparison.largest.row, comparison.largest.field) == (0, "y")


class _Choosy:
    """Doubles x, and refuses a call that holds a 3; it remembers in which memory the columns of its calls lie."""

    takes: Literal["columns"] = "columns"

    def __init__(self) -> None:
        self.addresses: set[int] = set()

    def predict(self, batch: Any) -> Any:
        self.addresses.add(batch.column("x").buffers()[1].address)
        values = batch.column("x").to_pylist()
        if 3.0 in values:
            raise EngineError("no 3")
        return pa.RecordBatch.from_pydict({"y": [value * 2 for value in values]})


def test_rows_that_an_engine_refuses_are_found_among_columns_made_once() -> None:
    """Every call is a slice of one table: making columns of the rows of each would be most of the work."""
    engine = _Choosy()
    answers = try_rows(Function(SIGNATURE, engine, None), [{"x": float(x)} for x in range(6)])
    assert answers == [{"y": 0.0}, {"y": 2.0}, {"y": 4.0}, None, {"y": 8.0}, {"y": 10.0}]
    assert len(engine.addresses) == 1
