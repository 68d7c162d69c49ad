"""The process that measures one engine: `python -m fourfold.packing.measuring PACKAGE BEGUN`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

__all__: list[str] = []

_ROWS = 4096
#: Seconds that one kind of measurement may go on, and the runs that it has at least.
_LONG = 0.5
_RUNS = 3


def main(path: str, begun: float) -> dict[str, Any]:
    """The figures of the package at `path`; `begun` is the time at which this process was started."""
    import fourfold

    predictor = fourfold.load(Path(path), trust=True)
    start_up = time.time() - begun
    from fourfold.package.golden import golden_of

    rows = golden_of(predictor.package).inputs[:16]
    one_row = _least(lambda: _each(predictor, rows)) / len(rows)
    memory = _memory()  # before columns come in: an engine that needs no Arrow shall not count it
    many = [rows[place % len(rows)] for place in range(_ROWS)]
    bulk = _bulk(predictor, many)
    least = _least(lambda: predictor.answer(bulk))
    return {"one_row": one_row, "rows_per_second": _ROWS / least, "start_up": start_up, "memory": memory}


def _memory() -> int:
    """The most bytes that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # what `getrusage` says on Linux counts the process that started this one
        line = next(each for each in status.read_text(encoding="ascii").splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _each(predictor: Any, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        predictor.predict_one(row)


def _bulk(predictor: Any, rows: list[dict[str, Any]]) -> Any:
    from fourfold.signature.columns import rows_to_columns  # what architectures move is columns

    return rows_to_columns(predictor.signature.inputs, rows)


def _least(call: Any) -> float:
    best, begun, runs = float("inf"), time.perf_counter(), 0
    while runs < _RUNS or time.perf_counter() - begun < _LONG:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
        runs += 1
        if time.perf_counter() - begun > 20 * _LONG:
            break
    return best


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    print(json.dumps(main(sys.argv[1], float(sys.argv[2]))))  # noqa: T201
