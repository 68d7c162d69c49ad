"""The doors of the batch process: every file format in, the same format out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from fourfold.certificate.batching import SHUFFLED, WHOLE, Cut
from fourfold.certificate.doors.commands import run
from fourfold.certificate.doors.door import Door, Row, as_rows, row_key
from fourfold.codecs import arrow, csv, json_lines, parquet
from fourfold.signature import Field, Signature
from fourfold.signature.columns import rows_to_columns

__all__ = ["doors"]

#: Rows of a chunk: odd, and no multiple of any block.
CHUNK = 997


@contextmanager
def doors(package: Sequence[str], signature: Signature, *, folder: Path) -> Iterator[list[Door]]:
    """The doors of a batch job; the files go into `folder`."""
    yield [
        _Batch("Parquet to Parquet", parquet, ".parquet", (WHOLE, SHUFFLED), package, signature, folder),
        _Batch("CSV to CSV", csv, ".csv", (WHOLE,), package, signature, folder),
        _Batch("Arrow to Arrow", arrow, ".arrow", (WHOLE,), package, signature, folder),
        _Batch("JSON lines to JSON lines", json_lines, ".jsonl", (WHOLE,), package, signature, folder),
    ]


class _Batch:
    """One file format."""

    architecture = "batch"
    digest = None

    def __init__(
        self,
        name: str,
        codec: Any,
        suffix: str,
        cuts: Sequence[Cut],
        package: Sequence[str],
        signature: Signature,
        folder: Path,
    ) -> None:
        self.name = name
        self.cuts = cuts
        self._codec = codec
        self._suffix = suffix
        self._package = package
        self._signature = signature
        self._folder = folder
        self._turn = 0

    def answers(self, pieces: Sequence[Sequence[Row]]) -> list[Row | None]:
        self._turn += 1
        key = row_key(self._signature)
        rows = [row for piece in pieces for row in piece]
        source, sink = (self._folder / f"batch-{self._turn}.{side}{self._suffix}" for side in ("in", "out"))
        number = Field(key, "int64")
        fields = (number, *self._signature.inputs)
        table = rows_to_columns(fields, [{**row, key: place} for place, row in enumerate(rows)])
        source.write_bytes(self._codec.encode(table, fields))
        chunk = ["--chunk-rows", str(CHUNK), "--quiet"]
        run(["batch", "run", *self._package, "--from", str(source), "--to", str(sink), "--keep", key, *chunk])
        return self._by_key(self._codec.decode(sink.read_bytes(), (number, *self._signature.outputs)), key, len(rows))

    def _by_key(self, decoded: Any, key: str, length: int) -> list[Row | None]:
        if isinstance(decoded, (pa.RecordBatch, pa.Table)):
            places = decoded.column(key).to_pylist()
        else:
            places = [row[key] for row in decoded]
        out: list[Row | None] = [None] * length
        for place, row in zip(places, as_rows(decoded, self._signature), strict=True):
            out[int(place)] = row
        return out
