"""Measure how fast and how large an engine is, in a process of its own, which imports nothing else."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fourfold.codecs import json_rows
from fourfold.errors import PackError, shorten
from fourfold.package import SUFFIX, Package, write_package
from fourfold.packing.samples.edge_cases import cells_per_row

__all__ = ["CLEARLY_FASTER", "Figures", "Shape", "benchmark_engine"]

#: What an engine is chosen for: calls with one row, calls with many, or both alike.
Shape = Literal["one", "many", "both"]

#: An engine that is so many times faster than another was not measured so by chance.
CLEARLY_FASTER = 1.3
#: Longer than any engine needs to load and to answer some rows.
BENCHMARK_TIMEOUT_S = 300.0
#: The cells of the rows that an engine is measured on.
_MAX_CELLS = 2**20


@dataclass(frozen=True)
class Figures:
    """Hold the speed and size of an engine, on one core.

    Attributes:
        one_row: seconds for one row through `predict_one`, the minimum of several runs.
        rows_per_second: for some thousand rows at once, in columns, the maximum of several runs.
        start_up: seconds from the start of Python until the engine is loaded and has replayed its golden rows.
        memory: peak memory of the process, in bytes.
        size: size of the engine's files, in bytes.
    """

    one_row: float
    rows_per_second: float
    start_up: float
    memory: int
    size: int

    def cost(self, shape: Shape) -> float:
        """Return the seconds for a row: alone, as one of many, or for `both` the geometric mean of these two."""
        of_many = 1 / self.rows_per_second
        return {"one": self.one_row, "many": of_many, "both": math.sqrt(self.one_row * of_many)}[shape]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values, with three significant digits."""
        return {
            name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in asdict(self).items()
        }


def benchmark_engine(package: Package, size: int, rows: Sequence[Mapping[str, Any]]) -> Figures:
    """Measure the engine of a package.

    Args:
        package: the package.
        size: size of the engine's files, in bytes.
        rows: canonical rows, as different as those in production: a processor's branch predictor soon learns a few.

    Raises:
        PackError: the engine does not start in a process of its own, or takes too long.
    """
    inputs = package.signature.inputs
    measured_rows = list(rows[: max(1, _MAX_CELLS // cells_per_row(package.signature))])
    with tempfile.TemporaryDirectory(prefix="fourfold-") as folder:
        package_path = write_package(package, Path(folder) / f"package{SUFFIX}")
        rows_path = Path(folder) / "rows.json"
        rows_path.write_bytes(json_rows.encode(measured_rows, inputs))
        module = "fourfold.packing.engines.benchmark_process"
        command = [sys.executable, "-m", module, str(package_path), str(rows_path), repr(time.time())]
        try:
            finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=BENCHMARK_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise PackError(
                f"the engine took longer than {BENCHMARK_TIMEOUT_S:.0f} s to load and answer some rows"
            ) from None
    if finished.returncode:
        raise PackError(f"the engine does not start in a process of its own: {shorten(finished.stderr[-2000:], 500)}")
    figures = json.loads(finished.stdout.splitlines()[-1])
    return Figures(**figures, size=size)
