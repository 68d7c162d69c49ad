"""The output's file: kept columns and answers, in the format of its suffix.

Parquet and Arrow hold the kept columns with the types of the source. CSV and JSON lines hold what a field can hold, by
their codecs; a kept column of another type is refused before the first row is scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from fourfold.batch.extract.formats import format_of
from fourfold.codecs import csv, json_lines
from fourfold.codecs.files import TableWriter
from fourfold.codecs.parquet import RowGroupWriter
from fourfold.errors import SignatureError, SinkError, shorten
from fourfold.signature import Field
from fourfold.signature.columns import ColumnCoercer, arrow_schema, rows_to_columns
from fourfold.tables.types import dtype_of

__all__ = ["Output"]

_TEXTS = {"csv": csv.Writer, "json-lines": json_lines.Writer}


class Output:
    """Writes the output: kept columns, then outputs.

    Args:
        path: where to write.
        target: the output's path, whose suffix says the format.
        kept: the Arrow schema of the columns that pass through.
        outputs: the signature's outputs.
        metadata: what Parquet and Arrow files say of themselves.

    Attributes:
        rows: how many rows were written.

    Raises:
        SinkError: a kept column does not go into the format, or the file cannot be written.
    """

    def __init__(
        self, path: Path, target: Path, kept: Any, outputs: Sequence[Field], metadata: Mapping[str, str]
    ) -> None:
        self.rows = 0
        self._target = target
        self._outputs = tuple(outputs)
        form = format_of(target, "output")
        self._coercer: ColumnCoercer | None = None
        self._writer: TableWriter
        with self._named():
            if form in _TEXTS:
                fields = [_text_field(target, column) for column in kept]
                self._coercer = ColumnCoercer(fields)
                self._schema = arrow_schema([*fields, *outputs])
                self._writer = _TEXTS[form](path, [*fields, *outputs])
            else:
                columns = [*(_stored(column, form) for column in kept), *arrow_schema(outputs)]
                self._schema = pa.schema(columns, metadata=dict(metadata))
                if form == "parquet":
                    self._writer = RowGroupWriter(path, self._schema)
                else:
                    self._writer = _Arrow(path, self._schema, stream=target.suffix.lower() == ".arrows")

    def write(self, kept: Sequence[Any], answers: Any) -> None:
        """Write some rows.

        Args:
            kept: their kept columns, as Arrow arrays.
            answers: their answers: a `RecordBatch` of the outputs, or rows.

        Raises:
            SinkError: the file cannot be written, or a kept value does not go into its format.
        """
        if isinstance(answers, list):
            answers = rows_to_columns(self._outputs, answers)
        with self._named():
            if self._coercer is not None:
                kept = self._as_fields(kept, answers.num_rows)
            else:
                kept = [_plain(array, field.type) for array, field in zip(kept, self._schema, strict=False)]
            self._writer.write(pa.RecordBatch.from_arrays([*kept, *answers.columns], schema=self._schema))
        self.rows += answers.num_rows

    def _as_fields(self, kept: Sequence[Any], rows: int) -> Sequence[Any]:
        assert self._coercer is not None
        if not kept:
            return []
        batch = pa.RecordBatch.from_arrays(list(kept), names=[field.name for field in self._coercer.fields])
        coerced, errors = self._coercer(batch)
        if errors:
            raise SinkError(
                f"{self._target}: a value of the kept column {shorten(errors[0].field)} does not go into this format: "
                f"expected {errors[0].expected}, got {errors[0].got}; write Parquet, or leave the column out"
            )
        columns: Sequence[Any] = coerced.columns
        return columns

    def close(self) -> None:
        """Write the end of the file, and close it.

        Raises:
            SinkError: it cannot be written.
        """
        with self._named():
            self._writer.close()

    def abort(self) -> None:
        """Close the file as it is; it is of no use to a reader."""
        self._writer.abort()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise SinkError(f"{self._target} cannot be written: {shorten(str(error), 200)}") from error


class _Arrow(TableWriter):
    """An Arrow IPC file, or a stream where the suffix says so."""

    def __init__(self, path: Path, schema: Any, *, stream: bool) -> None:
        super().__init__(path)
        start = pa.ipc.new_stream if stream else pa.ipc.new_file
        self._writer = start(self.sink, schema)

    def write(self, table: Any) -> None:
        self._writer.write_batch(table)

    def _finish(self) -> None:
        self._writer.close()


def _stored(column: Any, form: str) -> Any:
    """A kept column's place in a Parquet or Arrow file: its type as it is, without what its old file said of it."""
    kind = column.type
    if form == "arrow" and pa.types.is_dictionary(kind):
        kind = kind.value_type  # an Arrow file holds one dictionary a column, and every chunk comes with its own
    return pa.field(column.name, kind)


def _plain(array: Any, kind: Any) -> Any:
    return array if array.type == kind else array.cast(kind)


def _text_field(target: Path, column: Any) -> Field:
    """The field that writes a kept column to CSV or JSON lines."""
    if pa.types.is_null(column.type):
        return Field(column.name, "string", nullable=True)
    try:
        where = f"the kept column {shorten(column.name)}"
        dtype, shape, zone = dtype_of(where, column.type, f"the type {column.type}")
        return Field(column.name, dtype, nullable=True, shape=shape, zone=zone)
    except SignatureError as error:
        raise SinkError(f"{target}: its format has no such values: {error}; or write Parquet") from error
