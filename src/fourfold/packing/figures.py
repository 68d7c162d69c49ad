"""How fast and how large an engine is: measured in a process of its own, which imports nothing else."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fourfold.errors import PackError, cut
from fourfold.package import SUFFIX, Package, write_package

__all__ = ["Figures", "measure"]

#: Longer than any honest engine takes to load and answer some rows.
_PATIENCE = 300.0


@dataclass(frozen=True)
class Figures:
    """The figures of an engine, on one core.

    Attributes:
        one_row: seconds for one row through `predict_one`, the least of several runs.
        rows_per_second: of many rows at once, in the form that the engine takes, the most of several runs.
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


def measure(package: Package, size: int) -> Figures:
    """Measure the engine of a package on its own golden rows.

    Args:
        package: the package.
        size: bytes of the engine's files.

    Raises:
        PackError: the engine does not start by itself, or takes minutes.
    """
    with tempfile.TemporaryDirectory(prefix="fourfold-") as folder:
        path = write_package(package, Path(folder) / f"package{SUFFIX}")
        begun = time.time()
        command = [sys.executable, "-m", "fourfold.packing.measuring", str(path), repr(begun)]
        try:
            finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            raise PackError(f"the engine took longer than {_PATIENCE:.0f} s to load and answer some rows") from None
    if finished.returncode:
        raise PackError(f"the engine does not start in a process of its own: {cut(finished.stderr[-2000:], 500)}")
    found = json.loads(finished.stdout.splitlines()[-1])
    return Figures(**found, size=size)
