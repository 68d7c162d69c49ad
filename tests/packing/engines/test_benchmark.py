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
from fourfold.packing.engines.benchmark import Figures, benchmark_engine
from fourfold.packing.engines.candidate import Candidate
from tests.packing.engines.test_tournament import runtime


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
    assert "figures" not in str(package.manifest)
    return Measured(seen, dict(package.figures))


def test_engines_are_measured_on_rows_that_differ(measured: Measured) -> None:
    """A processor that has seen a few rows before is faster than it will be: all packing rows count."""
    assert all(len({json.dumps(row) for row in rows}) == 1000 for rows in measured.rows)
    assert len(measured.rows) == len(measured.figures) >= 2
    for each in measured.figures.values():
        assert each["rows_per_second"] > 1 / each["one_row"] > 1


def test_measuring_does_not_change_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest is the same whatever was measured, unless another engine is clearly faster."""
    x = np.arange(300.0).reshape(100, 3)
    model = LinearRegression().fit(x, x[:, 0])
    speeds = iter((1.0, 1.1, 0.9, 1.0, 3.0, 1.0))

    def measure(_package: Any, size: int, _rows: Any) -> Figures:
        return Figures(one_row=1e-3 * next(speeds), rows_per_second=1e4, start_up=1.0, memory=2**20, size=size)

    monkeypatch.setattr("fourfold.packing.stages.measure.benchmark_engine", measure)
    monkeypatch.setattr("fourfold.packing.engines.candidates.onnx_candidate", _absent)
    first, second, third = (fourfold.pack(model, name="sum", rows=x, measure=True, shape="one") for _ in range(3))
    assert first.figures != second.figures
    assert first.digest == second.digest
    assert third.digest != second.digest
    assert [runtime(package) for package in (second, third)] == ["plan", "sklearn"]


def _absent(*_: Any) -> Candidate:
    return Candidate("onnx", absence_reason="not tried")


def test_an_engine_is_measured_without_what_packs_it(measured: Measured) -> None:
    """Start-up and memory are those of a process that serves: NumPy and Arrow count where the engine needs them."""
    module = "fourfold.packing.engines.benchmark_process"
    code = f"import sys, {module}; print([name for name in ('numpy', 'pyarrow') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    assert measured.figures["plan"]["memory"] < measured.figures["sklearn"]["memory"] / 2
