"""Open the doors of the batch process: from each file format to the same format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from fourfold.certificate.batching import SHUFFLED, WHOLE, Batching
from fourfold.certificate.doors.commands import run
from fourfold.certificate.doors.door import Door, Row, as_rows, readable_fields, row_key
from fourfold.codecs import arrow, csv, json_lines, parquet
from fourfold.signature import Field, Signature
from fourfold.signature.columns import rows_to_columns

__all__ = ["doors"]

#: A prime number, so that chunks end inside of blocks.
CHUNK_ROWS = 997


@contextmanager
def doors(package: Sequence[str], signature: Signature, *, folder: Path) -> Iterator[list[Door]]:
    """Yield the doors of a batch job, which write their files to `folder`."""
    yield [
        _FormatDoor("Parquet to Parquet", parquet, ".parquet", (WHOLE, SHUFFLED), package, signature, folder),
        _FormatDoor("CSV to CSV", csv, ".csv", (WHOLE,), package, signature, folder),
        _FormatDoor("Arrow to Arrow", arrow, ".arrow", (WHOLE,), package, signature, folder),
        _FormatDoor("JSON lines to JSON lines", json_lines, ".jsonl", (WHOLE,), package, signature, folder),
    ]


class _FormatDoor:
    """Send rows through `fourfold batch run` in one file format."""

    architecture = "batch"
    digest = None

    def __init__(
        self,
        name: str,
        codec: Any,
        suffix: str,
        batchings: Sequence[Batching],
        package: Sequence[str],
        signature: Signature,
        folder: Path,
    ) -> None:
        self.name = name
        self.batchings = batchings
        self._codec = codec
        self._suffix = suffix
        self._package = package
        self._signature = signature
        self._folder = folder
        self._runs = 0

    def answers(self, batches: Sequence[Sequence[Row]]) -> list[Row | None]:
        self._runs += 1
        key = row_key(self._signature)
        rows = [row for batch in batches for row in batch]
        source, sink = (self._folder / f"batch-{self._runs}.{end}{self._suffix}" for end in ("in", "out"))
        key_field = Field(key, "int64")
        fields = (key_field, *self._signature.inputs)
        table = rows_to_columns(fields, [{**row, key: index} for index, row in enumerate(rows)])
        source.write_bytes(self._codec.encode(table, fields))
        options = ["--chunk-rows", str(CHUNK_ROWS), "--quiet"]
        run(["batch", "run", *self._package, "--from", str(source), "--to", str(sink), "--keep", key, *options])
        return self._sorted_by_key(
            self._codec.decode(sink.read_bytes(), (key_field, *readable_fields(self._signature))), key, len(rows)
        )

    def _sorted_by_key(self, decoded: Any, key: str, length: int) -> list[Row | None]:
        if isinstance(decoded, (pa.RecordBatch, pa.Table)):
            keys = decoded.column(key).to_pylist()
        else:
            keys = [row[key] for row in decoded]
        answers: list[Row | None] = [None] * length
        for row_number, row in zip(keys, as_rows(decoded, self._signature), strict=True):
            answers[int(row_number)] = row
        return answers
