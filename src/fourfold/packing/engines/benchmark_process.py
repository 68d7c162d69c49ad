"""The process that measures one engine: `python -m fourfold.packing.engines.benchmark_process PACKAGE ROWS BEGUN`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fourfold.signature import Field

__all__: list[str] = []

#: Rows at once, and their bytes in JSON unless there are fewer rows to measure with.
_ROWS = 4096
_BYTES = 2**26
#: Seconds that one kind of measurement may go on, and the runs that it has at least.
_LONG = 0.5
_RUNS = 3


def main(path: str, rows: str, begun: float) -> dict[str, Any]:
    """The figures of an engine.

    Args:
        path: the package.
        rows: canonical rows to measure it on, as JSON.
        begun: when this process was started.
    """
    import fourfold

    predictor = fourfold.load(Path(path), trust=True)
    start_up = time.time() - begun
    from fourfold.package.golden import read_golden

    few = read_golden(predictor.package).inputs[:16]
    one_row = _least(lambda: _each(predictor, few)) / len(few)
    memory = _memory()  # before columns come in: an engine that needs no Arrow shall not count it
    bulk = _bulk(predictor.signature.inputs, Path(rows).read_bytes())
    least = _least(lambda: predictor.answer(bulk))
    return {"one_row": one_row, "rows_per_second": bulk.num_rows / least, "start_up": start_up, "memory": memory}


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


def _bulk(inputs: Sequence[Field], encoded: bytes) -> Any:
    """Many rows in columns, which is what architectures move: those of a file, again and again."""
    from fourfold.codecs import json_rows
    from fourfold.errors import InputError
    from fourfold.signature import RowCoercer
    from fourfold.signature.columns import rows_to_columns

    coerced, errors = RowCoercer(inputs)(json_rows.decode(encoded, inputs))
    if errors:
        raise InputError(errors)
    rows = [row for row in coerced if row is not None]
    count = min(_ROWS, max(len(rows), _BYTES * len(rows) // len(encoded)))
    return rows_to_columns(inputs, [rows[place % len(rows)] for place in range(count)])


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
    print(json.dumps(main(sys.argv[1], sys.argv[2], float(sys.argv[3]))))  # noqa: T201
