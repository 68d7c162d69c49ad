"""Make predictors and source files for the tests of batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fourfold.codecs import csv, json_lines
from fourfold.predictor import Predictor
from fourfold.signature import Field
from fourfold.signature.columns import arrow_schema
from tests.support import SIGNATURE, make_package

FIELDS = (Field("id", "int64"), *SIGNATURE.inputs)


class ColumnEngine:
    """The function of `tests.support.SIGNATURE`, in columns: y is twice x, plus n where it is there."""

    takes: Literal["rows", "columns"] = "columns"

    def predict(self, table: Any) -> Any:
        y = pc.add(pc.multiply(table.column("x"), 2.0), pc.fill_null(table.column("n"), 0).cast(pa.float64()))
        return pa.RecordBatch.from_arrays([y, table.column("word")], schema=arrow_schema(SIGNATURE.outputs))


def column_predictor() -> Predictor:
    """A predictor that takes almost no time a row."""
    return Predictor(make_package(), ColumnEngine())


def table(rows: int, start: int = 0) -> Any:
    """A table of `rows` rows with `id` and the inputs of `SIGNATURE`; every third n and every fifth word is null."""
    numbers = range(start, start + rows)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "x": pa.array([number * 0.37 - 5 for number in numbers], pa.float64()),
            "n": pa.array([None if number % 3 == 0 else number for number in numbers], pa.int64()),
            "word": pa.array([None if number % 5 == 0 else f"wört {number % 17}" for number in numbers], pa.string()),
        }
    )


def write(path: Path, data: Any, row_group_size: int | None = None) -> Path:
    """Write a table in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(data, path, row_group_size=row_group_size, write_page_checksum=True)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, data.schema) as writer:
            writer.write_table(data)
    else:
        codec = csv if path.suffix == ".csv" else json_lines
        path.write_bytes(codec.encode(data.combine_chunks(), FIELDS))
    return path


def read(path: Path) -> Any:
    """The table in a Parquet or Arrow file."""
    if path.suffix == ".parquet":
        return pq.read_table(path, partitioning=None)
    with pa.ipc.open_file(path) as reader:
        return reader.read_all()


def files_below(folder: Path) -> list[str]:
    """Every file below a folder, by its path from there."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def damage(path: Path, row_group: int = 0) -> None:
    """Flip a byte in the middle of column 1 in one row group of a Parquet file."""
    column = pq.read_metadata(path).row_group(row_group).column(1)
    data = bytearray(path.read_bytes())
    start = column.data_page_offset if column.dictionary_page_offset is None else column.dictionary_page_offset
    data[start + column.total_compressed_size // 2] ^= 0xFF
    path.write_bytes(data)
