"""Read and write Parquet: every page is written with a checksum, and every checksum is verified on reading."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fourfold.codecs.files import TableWriter, name_in_errors, open_source
from fourfold.codecs.table import Table, as_batch, check_schema, rechunk, select_columns
from fourfold.errors import DecodeError, SinkError, shorten
from fourfold.signature.columns import arrow_schema
from fourfold.signature.field import Field

__all__ = ["RowGroupWriter", "Writer", "decode", "encode", "names", "read"]

#: A row group is written as soon as this many rows, or bytes of Arrow memory, are waiting.
GROUP_ROWS = 1 << 17
GROUP_BYTES = 1 << 26
#: The most bytes that a file may unfold to in `decode`: with a dictionary a few hundred bytes can stand for gigabytes.
MAX_DECODED_BYTES = 1 << 30
#: The rows that are decoded between two checks of `MAX_DECODED_BYTES`.
DECODED_ROWS = 1 << 9
#: The most rows that a file may claim if all its columns are nulls, which take no memory.
MAX_EMPTY_ROWS = 1 << 20


@contextmanager
def _open(buffer: Any) -> Iterator[Any]:
    """Open a Parquet file; malformed bytes raise a `DecodeError`."""
    try:
        # No `pre_buffer`: it would hold a whole row group, with all columns, in memory.
        with pq.ParquetFile(buffer, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20) as file:
            yield file
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise DecodeError(f"malformed or truncated Parquet: {shorten(str(error), 200)}") from error


def decode(data: bytes, fields: Sequence[Field] | None = None) -> Any:
    """Return the table of a Parquet file.

    Args:
        data: the whole file.
        fields: ignored: Parquet data tells the types of its columns.

    Returns:
        A `pyarrow.Table`, its columns as stored.

    Raises:
        DecodeError: the file is cut off or malformed, a page's checksum is wrong, two columns have the same name, or it
            unfolds to more than `MAX_DECODED_BYTES`.
    """
    del fields
    with pa.BufferReader(data) as buffer, _open(buffer) as file:
        check_schema(file.schema_arrow, "the table")
        _check_rows(file, len(data))
        batches, size = [], 0
        for batch in file.iter_batches(DECODED_ROWS, use_threads=False):
            batch.validate(full=True)
            size += batch.nbytes
            if size > MAX_DECODED_BYTES:
                raise DecodeError(f"Parquet of {len(data)} bytes that unfolds to more than {MAX_DECODED_BYTES} bytes")
            batches.append(batch)
        return pa.Table.from_batches(batches, schema=file.schema_arrow)


def _check_rows(file: Any, size: int) -> None:
    # Columns of nulls take no memory, so nothing else bounds their rows.
    if (
        all(pa.types.is_null(data_type) for data_type in file.schema_arrow.types)
        and file.metadata.num_rows > MAX_EMPTY_ROWS
    ):
        raise DecodeError(
            f"Parquet of {size} bytes that claims {file.metadata.num_rows} rows and holds nothing in them"
        )


def encode(table: Table, fields: Sequence[Field]) -> bytes:
    """Return a canonical table as a Parquet file, with the canonical schema of `fields`.

    Raises:
        SinkError: the table does not fit the fields.
    """
    sink = io.BytesIO()
    with Writer(sink, fields) as writer:
        writer.write(table)
    return sink.getvalue()


def names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the columns that a file has.

    Raises:
        SourceError: the file cannot be read.
        DecodeError: the file is no Parquet file.
    """
    with open_source(path), name_in_errors(path), pa.OSFile(os.fspath(path)) as buffer, _open(buffer) as file:
        return tuple(check_schema(file.schema_arrow, "the table").names)


def read(
    path: str | os.PathLike[str],
    fields: Sequence[Field] | None = None,
    chunk_rows: int = 65_536,
    columns: Sequence[str] | None = None,
) -> Iterator[Any]:
    """Yield the rows of a Parquet file in chunks, holding only a chunk and its pages in memory.

    Args:
        path: a file of the bytes that `decode` takes.
        fields: ignored.
        chunk_rows: the rows of each chunk; the last may have fewer.
        columns: the columns to read; `None` for all.

    Yields:
        A `pyarrow.RecordBatch` for each chunk, its columns as stored.

    Raises:
        SourceError: the file cannot be read, or lacks one of `columns`.
        DecodeError: `decode` would refuse the file; the message names it. A page is verified when its rows are read.
    """
    del fields
    with open_source(path), name_in_errors(path), pa.OSFile(os.fspath(path)) as buffer, _open(buffer) as file:
        selected = select_columns(columns, check_schema(file.schema_arrow, "the table").names, chunk_rows, str(path))
        yield from rechunk(_batches(file, selected, chunk_rows), chunk_rows)


def _batches(file: Any, names: list[str], chunk_rows: int) -> Iterator[Any]:
    for batch in file.iter_batches(batch_size=chunk_rows, columns=names, use_threads=False):
        # Select by name again: for the column `a`, pyarrow also reads `a.b`.
        selected = batch.select(names)
        selected.validate(full=True)
        yield selected


class RowGroupWriter(TableWriter):
    """Write record batches as Parquet: zstd, page checksums, row groups of about 131,072 rows or 64 MiB.

    Args:
        target: a path, which is replaced if it exists, or an open binary file.
        schema: the Arrow schema of every batch.

    Raises:
        SinkError: the path cannot be opened.
        pyarrow.ArrowException: Parquet has no type for one of the schema's.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes], schema: Any) -> None:
        super().__init__(target)
        self._schema = schema
        self._waiting: list[Any] = []
        try:
            self._writer = pq.ParquetWriter(
                self.sink, schema, compression="zstd", compression_level=1, write_page_checksum=True
            )
        except BaseException:
            self.sink.discard()
            raise

    def write(self, table: Any) -> None:
        """Write a record batch; it may wait for more rows to fill a row group."""
        self._waiting.append(table)
        rows = sum(batch.num_rows for batch in self._waiting)
        if rows >= GROUP_ROWS or sum(batch.nbytes for batch in self._waiting) >= GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        group = pa.Table.from_batches(self._waiting, schema=self._schema)
        self._waiting = []
        if group.num_rows:
            self._writer.write_table(group, row_group_size=group.num_rows)

    def _finish(self) -> None:
        self._write_group()
        self._writer.close()

    def abort(self) -> None:
        """Close the file without the format's end, and without raising; the caller removes it."""
        super().abort()
        # ParquetWriter writes its footer when it is freed. Close it now: the sink discards everything from here on.
        self._writer.close()


class Writer(RowGroupWriter):
    """Write canonical tables as Parquet.

    Args:
        target: a path, which is replaced if it exists, or an open binary file.
        fields: the fields, in the order in which they are written.

    Raises:
        SinkError: the path cannot be opened.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes], fields: Sequence[Field]) -> None:
        super().__init__(target, arrow_schema(fields))
        self._fields = tuple(fields)

    def write(self, table: Table) -> None:
        """Write a canonical table's rows; they may wait for more to fill a row group."""
        super().write(as_batch(table, self._fields))

    def _write_group(self) -> None:
        try:
            super()._write_group()
        except pa.ArrowException as error:  # a null where the field takes none
            raise SinkError(f"{self.sink.name}: {shorten(str(error), 200)}") from error
