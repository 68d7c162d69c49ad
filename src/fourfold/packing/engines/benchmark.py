"""How fast and how large an engine is: measured in a process of its own, which imports nothing else."""

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
from typing import Any

from fourfold.codecs import json_rows
from fourfold.errors import PackError, shorten
from fourfold.package import SUFFIX, Package, write_package
from fourfold.packing.samples.edge_cases import cells

__all__ = ["Figures", "measure"]

#: Longer than any honest engine takes to load and answer some rows.
_PATIENCE = 300.0
#: The most values in the rows that an engine is measured on.
_VALUES = 2**20


@dataclass(frozen=True)
class Figures:
    """The figures of an engine, on one core.

    Attributes:
        one_row: seconds for one row through `predict_one`, the least of several runs.
        rows_per_second: of some thousand rows at once, in columns, the most of several runs.
        start_up: seconds from the start of Python to the first answer.
        memory: bytes that the process held at its largest.
        size: bytes of the engine's files.
    """

    one_row: float
    rows_per_second: float
    start_up: float
    memory: int
    size: int

    @property
    def cost(self) -> float:
        """What engines are ranked by: between a row alone and one of many."""
        return math.sqrt(self.one_row / self.rows_per_second)

    def to_json(self) -> dict[str, Any]:
        """The figures as a manifest has them, with three digits that mean something."""
        return {
            name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in asdict(self).items()
        }


def measure(package: Package, size: int, rows: Sequence[Mapping[str, Any]]) -> Figures:
    """Measure the engine of a package.

    Args:
        package: the package.
        size: bytes of the engine's files.
        rows: canonical rows that differ from each other as those in production do: a processor soon knows its way for
            a few, and for how many depends on the engine.

    Raises:
        PackError: the engine does not start by itself, or takes minutes.
    """
    inputs = package.signature.inputs
    few = rows[: max(1, _VALUES // cells(package.signature))]
    with tempfile.TemporaryDirectory(prefix="fourfold-") as folder:
        path = write_package(package, Path(folder) / f"package{SUFFIX}")
        many = Path(folder) / "rows.json"
        many.write_bytes(json_rows.encode(list(few), inputs))
        begun = time.time()
        command = [
            sys.executable,
            "-m",
            "fourfold.packing.engines.benchmark_process",
            str(path),
            str(many),
            repr(begun),
        ]
        try:
            finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            raise PackError(f"the engine took longer than {_PATIENCE:.0f} s to load and answer some rows") from None
    if finished.returncode:
        raise PackError(f"the engine does not start in a process of its own: {shorten(finished.stderr[-2000:], 500)}")
    found = json.loads(finished.stdout.splitlines()[-1])
    return Figures(**found, size=size)
