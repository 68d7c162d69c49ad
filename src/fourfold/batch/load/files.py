"""Write the output file: pass-through columns, then the model's outputs, in the format of the file's suffix.

Parquet and Arrow keep the source's types of pass-through columns. CSV and JSON lines hold the types of fields only; a
pass-through column of another type is refused before the first row is predicted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from fourfold.batch.extract.formats import detect_format
from fourfold.codecs import csv, json_lines
from fourfold.codecs.files import TableWriter
from fourfold.codecs.parquet import RowGroupWriter
from fourfold.errors import SignatureError, SinkError, shorten
from fourfold.signature import Field
from fourfold.signature.columns import ColumnCoercer, arrow_schema, rows_to_columns
from fourfold.signature.label_columns import LabelColumns
from fourfold.tables.types import dtype_of

__all__ = ["OutputFile"]

_TEXT_WRITERS = {"csv": csv.Writer, "json-lines": json_lines.Writer}


class OutputFile:
    """Write the output of a run.

    Args:
        path: the file to write.
        target: the path under which it will be published; its suffix says the format, and errors name it.
        passthrough: the Arrow schema of the pass-through columns.
        outputs: the signature's outputs.
        metadata: the schema metadata of Parquet and Arrow files.
        label_columns: what splits outputs with labels into columns; `None` where they stay arrays.

    Attributes:
        rows: the number of rows written.

    Raises:
        SinkError: the format cannot hold a pass-through column, or the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        target: Path,
        passthrough: Any,
        outputs: Sequence[Field],
        metadata: Mapping[str, str],
        label_columns: LabelColumns | None = None,
    ) -> None:
        self.rows = 0
        self._target = target
        self._outputs = tuple(outputs)
        self._label_columns = label_columns
        written = self._outputs if label_columns is None else label_columns.fields
        form = detect_format(target, "output")
        self._coercer: ColumnCoercer | None = None
        self._writer: TableWriter
        with self._as_sink_error():
            if form in _TEXT_WRITERS:
                fields = [_text_field(target, column) for column in passthrough]
                self._coercer = ColumnCoercer(fields)
                self._schema = arrow_schema([*fields, *written])
                self._writer = _TEXT_WRITERS[form](path, [*fields, *written])
            else:
                columns = [*(_binary_field(column, form) for column in passthrough), *arrow_schema(written)]
                self._schema = pa.schema(columns, metadata=dict(metadata))
                if form == "parquet":
                    self._writer = RowGroupWriter(path, self._schema)
                else:
                    self._writer = _ArrowWriter(path, self._schema, is_stream=target.suffix.lower() == ".arrows")

    def write(self, passthrough: Sequence[Any], answers: Any) -> None:
        """Write some rows.

        Args:
            passthrough: their pass-through columns, as Arrow arrays.
            answers: their outputs, as a `RecordBatch` or as rows.

        Raises:
            SinkError: the file cannot be written, or its format cannot hold a pass-through value.
        """
        if isinstance(answers, list):
            answers = rows_to_columns(self._outputs, answers)
        if self._label_columns is not None:
            answers = self._label_columns.split(answers)
        with self._as_sink_error():
            if self._coercer is not None:
                columns = self._coerce(passthrough)
            else:
                columns = [_cast(array, field.type) for array, field in zip(passthrough, self._schema, strict=False)]
            self._writer.write(pa.RecordBatch.from_arrays([*columns, *answers.columns], schema=self._schema))
        self.rows += answers.num_rows

    def _coerce(self, passthrough: Sequence[Any]) -> Sequence[Any]:
        assert self._coercer is not None
        if not passthrough:
            return []
        batch = pa.RecordBatch.from_arrays(list(passthrough), names=[field.name for field in self._coercer.fields])
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
        with self._as_sink_error():
            self._writer.close()

    def abort(self) -> None:
        """Close the file without its end; no reader can use it."""
        self._writer.abort()

    @contextmanager
    def _as_sink_error(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise SinkError(f"{self._target} cannot be written: {shorten(str(error), 200)}") from error


class _ArrowWriter(TableWriter):
    """Write an Arrow IPC file, or an IPC stream."""

    def __init__(self, path: Path, schema: Any, *, is_stream: bool) -> None:
        super().__init__(path)
        self._writer = (pa.ipc.new_stream if is_stream else pa.ipc.new_file)(self.sink, schema)

    def write(self, table: Any) -> None:
        self._writer.write_batch(table)

    def _finish(self) -> None:
        self._writer.close()


def _binary_field(column: Any, form: str) -> Any:
    """Return the Arrow field of a pass-through column in a Parquet or Arrow file: the source's type, no metadata."""
    arrow_type = column.type
    if form == "arrow" and pa.types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type  # an Arrow file holds one dictionary a column, but each chunk has its own
    return pa.field(column.name, arrow_type)


def _cast(array: Any, arrow_type: Any) -> Any:
    return array if array.type == arrow_type else array.cast(arrow_type)


def _text_field(target: Path, column: Any) -> Field:
    """Return the field with which a pass-through column is written to CSV or JSON lines."""
    if pa.types.is_null(column.type):
        return Field(column.name, "string", nullable=True)
    try:
        where = f"the kept column {shorten(column.name)}"
        dtype, shape, zone = dtype_of(where, column.type, f"the type {column.type}")
        return Field(column.name, dtype, nullable=True, shape=shape, zone=zone)
    except SignatureError as error:
        raise SinkError(f"{target}: its format has no such values: {error}; or write Parquet") from error
