"""Read and write Parquet: every page is written with a checksum, and every checksum is verified on reading."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fourfold.codecs.bounds import DEFAULT_BOUNDS, Bounds
from fourfold.codecs.files import TableWriter, name_in_errors, open_source
from fourfold.codecs.parquet_pages import Footer, ReadAt, measure_row_group, read_footer, reader_at
from fourfold.codecs.table import Table, as_batch, check_schema, rechunk, select_columns
from fourfold.errors import DecodeError, SinkError, shorten
from fourfold.signature.columns import arrow_schema
from fourfold.signature.field import Field

__all__ = ["RowGroupWriter", "Writer", "decode", "encode", "names", "read"]

#: A row group is written as soon as this many rows, or bytes of Arrow memory, are waiting.
GROUP_ROWS = 1 << 17
GROUP_BYTES = 1 << 26
#: The most rows that a file may claim if all its columns are nulls, which take no memory.
MAX_EMPTY_ROWS = 1 << 20
#: The bytes of values that are stored once for many which are decoded between two looks at the memory that they take.
STEP_BYTES = 1 << 26
#: The rows that `decode` reads at a time where nothing bounds them.
DECODED_ROWS = 1 << 16
#: What a byte of a footer takes in memory, at most: of a column of a row group, or of the schema.
FOOTER_BYTES_PER_BYTE = 24

_FOOTER_END = struct.Struct("<I4s")


@contextmanager
def _open(buffer: Any, bounds: Bounds) -> Iterator[Any]:
    """Open a Parquet file; malformed bytes raise a `DecodeError`, a footer over the bounds `TooLarge`."""
    try:
        _check_footer(buffer, bounds)
        # No `pre_buffer`: it would hold a whole row group, with all columns, in memory.
        with pq.ParquetFile(buffer, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20) as file:
            yield file
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise DecodeError(f"malformed or truncated Parquet: {shorten(str(error), 200)}") from error


def _check_footer(buffer: Any, bounds: Bounds) -> None:
    """Check the length of the footer, which is parsed as a whole, before it is."""
    size = buffer.size()
    if size >= _FOOTER_END.size:
        buffer.seek(size - _FOOTER_END.size)
        length, _ = _FOOTER_END.unpack(buffer.read(_FOOTER_END.size))
        buffer.seek(0)
        if length <= size:  # else pyarrow says what is wrong
            bounds.check_bytes(length * FOOTER_BYTES_PER_BYTE, f"a Parquet footer of {length} bytes")


def decode(data: bytes, fields: Sequence[Field] | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> Any:
    """Return the table of a Parquet file.

    Args:
        data: the whole file.
        fields: ignored: Parquet data tells the types of its columns.
        bounds: what the table may take.

    Returns:
        A `pyarrow.Table`, its columns as stored.

    Raises:
        DecodeError: the file is cut off or malformed, a page's checksum is wrong, or two columns have the same name.
        TooLarge: it is over the bounds, as it says before it is unfolded, or as it unfolds.
    """
    del fields
    what = f"Parquet of {len(data)} bytes"
    with pa.BufferReader(data) as buffer, _open(buffer, bounds) as file:
        check_schema(file.schema_arrow, "the table")
        _check_rows(file, len(data))
        bounds.check_rows(file.metadata.num_rows, what)
        bounds.check_columns(file.metadata.num_columns, what)
        batches, size, rows = [], 0, 0
        steps = _steps(
            file, lambda start, count: data[start : start + count], len(data), None, DECODED_ROWS, bounds, together=True
        )
        for batch in steps:
            batch.validate(full=True)
            size += batch.nbytes
            rows += batch.num_rows
            bounds.check_rows(rows, what)
            bounds.check_bytes(size, what)
            batches.append(batch)
        return pa.Table.from_batches(batches, schema=file.schema_arrow)


def _steps(
    file: Any,
    read_at: ReadAt,
    size_of_file: int,
    names: Sequence[str] | None,
    chunk_rows: int,
    bounds: Bounds,
    *,
    together: bool,
) -> Iterator[Any]:
    """Yield the record batches of a file, of at most `chunk_rows` rows, and fewer where these might take too much.

    Args:
        file: the open file.
        read_at: reads it.
        size_of_file: its length in bytes.
        names: the columns; `None` for all.
        chunk_rows: the most rows of a batch.
        bounds: what a page may unfold to, and the lists of a row group, one of which can be all of them.
        together: whether the bounds are for all pages together.

    Raises:
        DecodeError: a page is malformed.
        TooLarge: pages unfold to more than the bounds.
    """
    footer = _footer(read_at, size_of_file)
    roots = None if names is None else frozenset(name.partition(".")[0] for name in names)
    pages, rows, step = 0, 0, chunk_rows
    step_bytes = min(STEP_BYTES, bounds.max_decoded_bytes)
    pending: list[int] = []
    for group, (claimed_rows, _) in enumerate(footer.groups):
        size = measure_row_group(read_at, footer, group, roots)
        pages += size.pages
        bounds.check_bytes(pages if together else size.largest_page, "Parquet whose pages are compressed")
        bounds.check_bytes(size.repeated, "a row group of lists in Parquet")
        group_rows = max(claimed_rows, 1)
        group_step = chunk_rows
        if size.unfolded > step_bytes:
            # A value that is stored once for many: no more rows at a time than surely fit.
            row_bytes = max(size.unfolded // group_rows, size.longest, 1)
            group_step = max(1, min(chunk_rows, step_bytes // row_bytes))
        if pending and (rows >= chunk_rows or min(step, group_step) < chunk_rows):
            yield from file.iter_batches(batch_size=step, row_groups=pending, columns=names, use_threads=False)
            pending, rows = [], 0
        pending.append(group)
        rows += group_rows
        step = group_step
    if pending:
        yield from file.iter_batches(batch_size=step, row_groups=pending, columns=names, use_threads=False)


def _footer(read_at: ReadAt, size: int) -> Footer:
    """Return the footer of a file of `size` bytes, which pyarrow has accepted."""
    length, _ = _FOOTER_END.unpack(read_at(size - _FOOTER_END.size, _FOOTER_END.size))
    return read_footer(read_at(size - _FOOTER_END.size - length, length))


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
    with (
        open_source(path),
        name_in_errors(path),
        pa.OSFile(os.fspath(path)) as buffer,
        _open(buffer, DEFAULT_BOUNDS) as file,
    ):
        return tuple(check_schema(file.schema_arrow, "the table").names)


def largest_stored_row(path: str | os.PathLike[str], columns: Sequence[str]) -> int:
    """Return the largest average size of a row in a row group, in uncompressed bytes as the footer states them.

    Raises:
        SourceError: the file cannot be read.
        DecodeError: its footer is damaged.
    """
    roots = {name.encode() for name in columns}
    with open_source(path) as file, name_in_errors(path):
        footer = _footer(reader_at(file.fileno()), os.fstat(file.fileno()).st_size)
    largest = 0
    for rows, chunks in footer.groups:
        stored = zip(footer.leaves, chunks, strict=True)
        largest = max(largest, sum(chunk.unfolded for leaf, chunk in stored if leaf.root in roots) // max(rows, 1))
    return largest


def read(
    path: str | os.PathLike[str],
    fields: Sequence[Field] | None = None,
    chunk_rows: int = 65_536,
    columns: Sequence[str] | None = None,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> Iterator[Any]:
    """Yield the rows of a Parquet file in chunks, holding only a chunk and its pages in memory.

    Args:
        path: a file of the bytes that `decode` takes.
        fields: ignored.
        chunk_rows: the rows of each chunk; the last may have fewer.
        columns: the columns to read; `None` for all.
        bounds: what the pages of a row group, and a chunk, may take.

    Yields:
        A `pyarrow.RecordBatch` for each chunk, its columns as stored.

    Raises:
        SourceError: the file cannot be read, or lacks one of `columns`.
        DecodeError: `decode` would refuse the file; the message names it. A page is verified when its rows are read.
    """
    del fields
    with (
        open_source(path) as source,
        name_in_errors(path),
        pa.OSFile(os.fspath(path)) as buffer,
        _open(buffer, bounds) as file,
    ):
        selected = select_columns(columns, check_schema(file.schema_arrow, "the table").names, chunk_rows, str(path))
        batches = _batches(file, source.fileno(), selected, chunk_rows, bounds)
        yield from rechunk(batches, chunk_rows, bounds.max_decoded_bytes)


def _batches(file: Any, fileno: int, names: list[str], chunk_rows: int, bounds: Bounds) -> Iterator[Any]:
    size = os.fstat(fileno).st_size
    for batch in _steps(file, reader_at(fileno), size, names, chunk_rows, bounds, together=False):
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
