"""Read and write Parquet: every page is written with a checksum, and every checksum is verified on reading."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fourfold.codecs.files import TableWriter, named, source
from fourfold.codecs.table import Table, as_batch, readable, rechunk, require
from fourfold.errors import DecodeError, SinkError, shorten
from fourfold.signature.columns import arrow_schema
from fourfold.signature.field import Field

__all__ = ["RowGroupWriter", "Writer", "decode", "encode", "names", "read"]

#: A row group is written when so many rows, or bytes of Arrow memory, have come together.
GROUP_ROWS = 1 << 17
GROUP_BYTES = 1 << 26
#: The most memory that a file which came as bytes may unfold to, and the rows between two looks at it: a dictionary
#: lets a few hundred bytes say gigabytes.
DECODED_BYTES = 1 << 30
DECODED_ROWS = 1 << 9
#: So many rows may take no memory.
FREE_ROWS = 1 << 20


@contextmanager
def _open(buffer: Any) -> Iterator[Any]:
    """Open a Parquet file; wrong bytes are a `DecodeError`."""
    try:
        # Not buffered ahead: that would hold a whole row group of all its columns.
        with pq.ParquetFile(buffer, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20) as file:
            yield file
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise DecodeError(f"malformed or truncated Parquet: {shorten(str(error), 200)}") from error


def decode(data: bytes, fields: Sequence[Field] | None = None) -> Any:
    """Return the table of a Parquet file.

    Args:
        data: the file, whole.
        fields: not looked at: Parquet says itself what its columns are.

    Returns:
        A `pyarrow.Table`, its columns as stored.

    Raises:
        DecodeError: the file is cut off or malformed, a page's checksum is wrong, a column's name is there twice, or it
            unfolds to more than `DECODED_BYTES`.
    """
    del fields
    with pa.BufferReader(data) as buffer, _open(buffer) as file:
        readable(file.schema_arrow, "the table")
        _check_rows(file, len(data))
        batches, size = [], 0
        for batch in file.iter_batches(DECODED_ROWS, use_threads=False):
            batch.validate(full=True)
            size += batch.nbytes
            if size > DECODED_BYTES:
                raise DecodeError(f"Parquet of {len(data)} bytes that unfolds to more than {DECODED_BYTES} bytes")
            batches.append(batch)
        return pa.Table.from_batches(batches, schema=file.schema_arrow)


def _check_rows(file: Any, size: int) -> None:
    # Columns of nulls take no memory, so that nothing else would bound their rows.
    if all(pa.types.is_null(kind) for kind in file.schema_arrow.types) and file.metadata.num_rows > FREE_ROWS:
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
        DecodeError: it is no Parquet file.
    """
    with source(path), named(path), pa.OSFile(os.fspath(path)) as buffer, _open(buffer) as file:
        return tuple(readable(file.schema_arrow, "the table").names)


def read(
    path: str | os.PathLike[str],
    fields: Sequence[Field] | None = None,
    chunk_rows: int = 65_536,
    columns: Sequence[str] | None = None,
) -> Iterator[Any]:
    """Yield the rows of a Parquet file, a chunk at a time; no more is held than a chunk and the pages it lies in.

    Args:
        path: a file with what `decode` takes.
        fields: not looked at.
        chunk_rows: rows of a chunk; only the last has fewer.
        columns: the columns to keep, where not all: no others are read.

    Yields:
        A `pyarrow.RecordBatch` for each chunk, its columns as stored.

    Raises:
        SourceError: the file cannot be read, or lacks one of `columns`.
        DecodeError: what `decode` refuses; the message names the file. A page is verified when its rows are reached.
    """
    del fields
    with source(path), named(path), pa.OSFile(os.fspath(path)) as buffer, _open(buffer) as file:
        wanted = require(columns, readable(file.schema_arrow, "the table").names, chunk_rows, str(path))
        yield from rechunk(_batches(file, wanted, chunk_rows), chunk_rows)


def _batches(file: Any, wanted: list[str], chunk_rows: int) -> Iterator[Any]:
    for batch in file.iter_batches(batch_size=chunk_rows, columns=wanted, use_threads=False):
        # By name once more: pyarrow takes `a` for `a.b` too.
        kept = batch.select(wanted)
        kept.validate(full=True)
        yield kept


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
        self._held: list[Any] = []
        try:
            self._writer = pq.ParquetWriter(
                self.sink, schema, compression="zstd", compression_level=1, write_page_checksum=True
            )
        except BaseException:
            self.sink.discard()
            raise

    def write(self, table: Any) -> None:
        """Write a record batch; it may wait for more rows to fill a row group."""
        self._held.append(table)
        rows = sum(batch.num_rows for batch in self._held)
        if rows >= GROUP_ROWS or sum(batch.nbytes for batch in self._held) >= GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        group = pa.Table.from_batches(self._held, schema=self._schema)
        self._held = []
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
