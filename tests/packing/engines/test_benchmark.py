"""Engines are measured on many different rows, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import fourfold
from fourfold.packing.engines.benchmark import benchmark_engine


def test_engines_are_measured_on_rows_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """All packing rows are measured: on a few rows that it has seen before a processor is faster than in production."""
    seen: list[Any] = []

    def spy(package: Any, size: int, rows: Any) -> Any:
        seen.append(rows)
        return benchmark_engine(package, size, rows)

    monkeypatch.setattr("fourfold.packing.stages.measure.benchmark_engine", spy)
    x = np.arange(3000.0).reshape(1000, 3)
    package = fourfold.pack(LinearRegression().fit(x, x[:, 0]), name="sum", rows=x, measure=True)
    assert all(len({json.dumps(row) for row in rows}) == 1000 for rows in seen)
    figures = {each["engine"]: each.get("figures") for each in package.manifest["engines"]}
    assert len(seen) == sum(each is not None for each in figures.values()) >= 2
    for each in filter(None, figures.values()):
        assert each["rows_per_second"] > 1 / each["one_row"] > 1


def test_an_engine_is_measured_without_what_packs_it() -> None:
    """Start-up and memory are those of a process that serves: NumPy and Arrow count where the engine needs them."""
    module = "fourfold.packing.engines.benchmark_process"
    code = f"import sys, {module}; print([name for name in ('numpy', 'pyarrow') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    x = np.arange(3000.0).reshape(1000, 3)
    package = fourfold.pack(LinearRegression().fit(x, x[:, 0]), name="sum", rows=x, measure=True)
    plan, original = (
        next(each["figures"] for each in package.manifest["engines"] if each["engine"] == engine)
        for engine in ("plan", "sklearn")
    )
    assert plan["memory"] < original["memory"] / 2
