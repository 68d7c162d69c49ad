"""Read and write Parquet: every page is written with a checksum, and every checksum is verified on reading."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fourfold.codecs.bounds import DEFAULT_BOUNDS, Bounds
from fourfold.codecs.files import TableWriter, name_in_errors, open_source
from fourfold.codecs.parquet_pages import Footer, ReadAt, RowGroupSize, measure_row_group, read_footer, reader_at
from fourfold.codecs.table import Table, as_batch, check_names, check_schema, rechunk, select_columns
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
#: What a column of a row group costs in a request beside its values, in bytes of memory or the time for as many.
CHUNK_BYTES = 4096
#: What a byte of a footer takes in memory, at most: of a column of a row group, or of the schema.
FOOTER_BYTES_PER_BYTE = 24

_FOOTER_END = struct.Struct("<I4s")


@contextmanager
def _open(buffer: Any, bounds: Bounds, dictionaries: Sequence[str] = ()) -> Iterator[Any]:
    """Open a Parquet file; malformed bytes raise a `DecodeError`, a footer over the bounds `TooLarge`.

    The columns named in `dictionaries` are read as dictionaries: a text that is stored once for many stays so.
    """
    try:
        _check_footer(buffer, bounds)
        # No `pre_buffer`: it would hold a whole row group, with all columns, in memory.
        with pq.ParquetFile(
            buffer,
            page_checksum_verification=True,
            pre_buffer=False,
            buffer_size=1 << 20,
            read_dictionary=list(dictionaries) or None,
        ) as file:
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
        fields: the fields, where `bounds` leaves out other columns.
        bounds: what the table may take, and whether it has what is in columns that are no fields.

    Returns:
        A `pyarrow.Table`, its columns as stored; of texts that are stored once for very many rows, dictionaries.

    Raises:
        DecodeError: the file is cut off or malformed, a page's checksum is wrong, or two columns have one name that is
            asked for.
        TooLarge: it is over the bounds, as it says before it is unfolded, or as it unfolds.
    """
    what = f"Parquet of {len(data)} bytes"
    with pa.BufferReader(data) as buffer, _open(buffer, bounds) as file:
        schema = check_schema(file.schema_arrow)
        stored, n_rows = schema.names, file.metadata.num_rows
        _check_rows(schema, n_rows, len(data))
        bounds.check_rows(n_rows, what)
        # For each row group the footer says where each column is.
        bounds.check_columns(file.metadata.num_columns, what)
        chunks = file.metadata.num_columns * file.metadata.num_row_groups
        bounds.check_bytes(chunks * CHUNK_BYTES, f"Parquet of {file.metadata.num_row_groups} row groups")
        known = frozenset(field.name for field in fields) if fields is not None and bounds.only_fields else None
        check_names(stored, known, "the table")
        names = [name for name in stored if known is None or name in known]
        table = _read_all(file, schema, data, names, bounds)
        if len(names) == len(stored):
            return table
        columns = dict(zip(names, table.columns, strict=True))
        nothing = pa.nulls(n_rows)
        return pa.Table.from_arrays([columns.get(name, nothing) for name in stored], names=stored)


def _read_all(file: Any, schema: Any, data: bytes, names: list[str], bounds: Bounds) -> Any:
    """Return the columns of those names as one table, within the bounds."""
    what = f"Parquet of {len(data)} bytes"

    def read_at(start: int, count: int) -> bytes:
        return data[start : start + count]

    footer = _footer(read_at, len(data))
    sizes = list(_measure(read_at, footer, names, bounds, together=True))
    wide = [name for name in names if bounds.only_fields and any(name.encode() in size.wide for size in sizes)]
    with ExitStack() as opened:
        if wide:  # whoever takes the table judges them before they are unfolded
            file = opened.enter_context(_open(opened.enter_context(pa.BufferReader(data)), bounds, wide))
            schema = file.schema_arrow
        batches, size, rows = [], 0, 0
        for batch in _steps(file, footer, sizes, names, DECODED_ROWS, bounds):
            # By name again: for the column `a`, pyarrow also reads `a.b`.
            selected = batch if batch.num_columns == len(names) else batch.select(names)
            selected.validate(full=True)
            size += selected.nbytes
            rows += selected.num_rows
            bounds.check_rows(rows, what)
            bounds.check_bytes(size, what)
            batches.append(selected)
        if len(names) < len(schema):
            schema = pa.schema([schema.field(name) for name in names])
        return pa.Table.from_batches(batches, schema=schema)


def _measure(
    read_at: ReadAt, footer: Footer, names: Sequence[str], bounds: Bounds, *, together: bool
) -> Iterator[RowGroupSize]:
    """Yield what each row group can unfold to.

    Args:
        read_at: reads the file.
        footer: the file's footer.
        names: the columns that are read.
        bounds: what a page may unfold to, and the lists of a row group, one of which can be all of them.
        together: whether the bounds are for all pages, and all numbers, together.

    Raises:
        DecodeError: a page is malformed.
        TooLarge: pages unfold to more than the bounds.
    """
    roots = frozenset(name.partition(".")[0] for name in names)
    total = RowGroupSize()
    for group in range(len(footer.groups)):
        size = measure_row_group(read_at, footer, group, roots)
        if together:
            total = total.plus(size)
        bounds.check_bytes(total.pages if together else size.largest_page, "Parquet whose pages are compressed")
        bounds.check_bytes(total.least, "Parquet")
        bounds.check_bytes(size.repeated, "a row group of lists in Parquet")
        yield size


def _steps(
    file: Any, footer: Footer, sizes: Iterable[RowGroupSize], names: Sequence[str], chunk_rows: int, bounds: Bounds
) -> Iterator[Any]:
    """Yield the record batches of a file, of at most `chunk_rows` rows, and fewer where these might take too much.

    Args:
        file: the open file.
        footer: its footer.
        sizes: what each of its row groups can unfold to.
        names: the columns.
        chunk_rows: the most rows of a batch.
        bounds: what a batch may take.

    Raises:
        DecodeError: the pages hold another number of rows than the footer claims.
    """
    waiting_rows, step = 0, chunk_rows
    step_bytes = min(STEP_BYTES, bounds.max_decoded_bytes)
    waiting: list[int] = []

    def read_waiting() -> Iterator[Any]:
        claimed = sum(footer.groups[group][0] for group in waiting)
        rows = 0
        for batch in file.iter_batches(batch_size=step, row_groups=waiting, columns=names, use_threads=False):
            rows += batch.num_rows
            yield batch
        if rows != claimed:
            raise DecodeError(f"malformed Parquet: its pages hold {rows} rows where its footer claims {claimed}")

    for group, size in enumerate(sizes):
        group_rows = max(footer.groups[group][0], 1)
        group_step = chunk_rows
        if size.unfolded > step_bytes:
            # A value that is stored once for many: no more rows at a time than surely fit.
            row_bytes = max(size.unfolded // group_rows, size.longest, 1)
            group_step = max(1, min(chunk_rows, step_bytes // row_bytes))
        if waiting and (waiting_rows >= chunk_rows or min(step, group_step) < chunk_rows):
            yield from read_waiting()
            waiting, waiting_rows = [], 0
        waiting.append(group)
        waiting_rows += group_rows
        step = group_step
    if waiting:
        yield from read_waiting()


def _footer(read_at: ReadAt, size: int) -> Footer:
    """Return the footer of a file of `size` bytes, which pyarrow has accepted."""
    length, _ = _FOOTER_END.unpack(read_at(size - _FOOTER_END.size, _FOOTER_END.size))
    start = size - _FOOTER_END.size - length
    return read_footer(read_at(start, length), start)


def _check_rows(schema: Any, rows: int, size: int) -> None:
    # Columns of nulls take no memory, so nothing else bounds their rows.
    if rows > MAX_EMPTY_ROWS and all(pa.types.is_null(data_type) for data_type in schema.types):
        raise DecodeError(f"Parquet of {size} bytes that claims {rows} rows and holds nothing in them")


def encode(table: Table, fields: Sequence[Field]) -> bytes:
    """Return a canonical table as a Parquet file, with the canonical schema of `fields`.

    Raises:
        SinkError: the table does not fit the fields.
    """
    sink = io.BytesIO()
    with Writer(sink, fields) as writer:
        writer.write(table)
    return sink.getvalue()


def names(path: str | os.PathLike[str], bounds: Bounds = DEFAULT_BOUNDS) -> tuple[str, ...]:
    """Return the columns that a file has; one of them may be there twice.

    Args:
        path: the file.
        bounds: what the names, and what is read to find them, may take.

    Raises:
        SourceError: the file cannot be read.
        DecodeError: the file is no Parquet file.
        TooLarge: they are over the bounds.
    """
    with (
        open_source(path),
        name_in_errors(path),
        pa.OSFile(os.fspath(path)) as buffer,
        _open(buffer, bounds) as file,
    ):
        return tuple(check_schema(file.schema_arrow).names)


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
        selected = select_columns(columns, check_schema(file.schema_arrow).names, chunk_rows, str(path))
        batches = _batches(file, source.fileno(), selected, chunk_rows, bounds)
        yield from rechunk(batches, chunk_rows, bounds.max_decoded_bytes)


def _batches(file: Any, fileno: int, names: list[str], chunk_rows: int, bounds: Bounds) -> Iterator[Any]:
    read_at = reader_at(fileno)
    footer = _footer(read_at, os.fstat(fileno).st_size)
    sizes = _measure(read_at, footer, names, bounds, together=False)
    for batch in _steps(file, footer, sizes, names, chunk_rows, bounds):
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
