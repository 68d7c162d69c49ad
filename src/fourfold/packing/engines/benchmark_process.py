"""Measure one engine: `python -m fourfold.packing.engines.benchmark_process PACKAGE ROWS STARTED`.

This process imports what a process that serves the package would import, and nothing more before it has measured.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fourfold.signature import Field

__all__: list[str] = []

#: The most rows of the bulk call. The file's rows are repeated up to this number, or up to 64 MiB as JSON.
_BULK_ROWS = 4096
_BULK_JSON_BYTES = 2**26
#: The most golden rows that are predicted one by one.
_SINGLE_ROWS = 16
#: A call is repeated for so long, and at least so many times, but not for longer than the maximum.
_REPEAT_S = 0.5
_MIN_RUNS = 3
_MAX_REPEAT_S = 10.0


def main(package_path: str, rows_path: str, started: float) -> dict[str, Any]:
    """Measure an engine.

    Args:
        package_path: the package's file.
        rows_path: a file of canonical rows, as JSON.
        started: the time when this process was started, in seconds since the epoch.

    Returns:
        The keyword arguments of `Figures`, without `size`.
    """
    from fourfold.loading import make_predictor
    from fourfold.package import open_package
    from fourfold.process_memory import peak_memory_bytes

    # `pack` has just built it from a model that its caller has: no policy is asked.
    predictor = make_predictor(open_package(Path(package_path)), trust="code")
    start_up = time.time() - started
    from fourfold.package.golden import read_golden

    rows = read_golden(predictor.package).inputs[:_SINGLE_ROWS]
    one_row = _shortest_run(lambda: _predict_one_by_one(predictor, rows)) / len(rows)
    memory = peak_memory_bytes()  # before Arrow is imported: an engine that does without shall not count it
    bulk = _bulk_table(predictor.signature.inputs, Path(rows_path).read_bytes())
    rows_per_second = bulk.num_rows / _shortest_run(lambda: predictor.answer(bulk))
    return {"one_row": one_row, "rows_per_second": rows_per_second, "start_up": start_up, "memory": memory}


def _predict_one_by_one(predictor: Any, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        predictor.predict_one(row)


def _bulk_table(inputs: Sequence[Field], encoded: bytes) -> Any:
    """Return many rows as a `RecordBatch`, which is what architectures move: the file's rows, repeated."""
    from fourfold.codecs import json_rows
    from fourfold.errors import InputError
    from fourfold.signature import RowCoercer
    from fourfold.signature.columns import rows_to_columns

    coerced, errors = RowCoercer(inputs)(json_rows.decode(encoded, inputs))
    if errors:
        raise InputError(errors)
    rows = [row for row in coerced if row is not None]
    count = min(_BULK_ROWS, max(len(rows), _BULK_JSON_BYTES * len(rows) // len(encoded)))
    return rows_to_columns(inputs, [rows[index % len(rows)] for index in range(count)])


def _shortest_run(call: Callable[[], object]) -> float:
    """Return the seconds of the shortest of several runs."""
    shortest, begun, runs = float("inf"), time.perf_counter(), 0
    while runs < _MIN_RUNS or time.perf_counter() - begun < _REPEAT_S:
        start = time.perf_counter()
        call()
        shortest = min(shortest, time.perf_counter() - start)
        runs += 1
        if time.perf_counter() - begun > _MAX_REPEAT_S:
            break
    return shortest


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    print(json.dumps(main(sys.argv[1], sys.argv[2], float(sys.argv[3]))))  # noqa: T201
