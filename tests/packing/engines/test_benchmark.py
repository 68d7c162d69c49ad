"""Engines are measured on many different rows, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import fourfold
from fourfold.packing.engines.benchmark import benchmark_engine


class Measured(NamedTuple):
    """The rows that each engine was measured on, and the figures of each engine."""

    rows: list[Any]
    figures: dict[str, Any]


@pytest.fixture(scope="module")
def measured() -> Measured:
    """Return what packing a thousand rows measures."""
    seen: list[Any] = []

    def spy(package: Any, size: int, rows: Any) -> Any:
        seen.append(rows)
        return benchmark_engine(package, size, rows)

    x = np.arange(3000.0).reshape(1000, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fourfold.packing.stages.measure.benchmark_engine", spy)
        package = fourfold.pack(LinearRegression().fit(x, x[:, 0]), name="sum", rows=x, measure=True)
    return Measured(seen, {each["engine"]: each.get("figures") for each in package.manifest["engines"]})


def test_engines_are_measured_on_rows_that_differ(measured: Measured) -> None:
    """A processor that has seen a few rows before is faster than it will be: all packing rows count."""
    assert all(len({json.dumps(row) for row in rows}) == 1000 for rows in measured.rows)
    assert len(measured.rows) == sum(each is not None for each in measured.figures.values()) >= 2
    for each in filter(None, measured.figures.values()):
        assert each["rows_per_second"] > 1 / each["one_row"] > 1


def test_an_engine_is_measured_without_what_packs_it(measured: Measured) -> None:
    """Start-up and memory are those of a process that serves: NumPy and Arrow count where the engine needs them."""
    module = "fourfold.packing.engines.benchmark_process"
    code = f"import sys, {module}; print([name for name in ('numpy', 'pyarrow') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    assert measured.figures["plan"]["memory"] < measured.figures["sklearn"]["memory"] / 2
