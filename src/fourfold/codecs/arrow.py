"""Read and write Arrow IPC, the stream form and the file form; their first bytes tell which one it is."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator, Sequence
from typing import IO, Any, Literal

import pyarrow as pa

from fourfold.codecs.arrow_sizes import column_count, message_sizes, unfolded_size, viewed_size
from fourfold.codecs.bounds import COLUMN_BYTES, DEFAULT_BOUNDS, Bounds
from fourfold.codecs.files import TableWriter, name_in_errors, open_source
from fourfold.codecs.table import Table, as_batch, check_names, check_schema, rechunk, select_columns
from fourfold.errors import DecodeError, shorten
from fourfold.signature.column_sizes import NUMBER_IDS
from fourfold.signature.columns import arrow_schema
from fourfold.signature.field import Field

__all__ = ["Writer", "decode", "encode", "names", "read"]


#: The most rows that a record batch may claim without bytes that hold them.
MAX_EMPTY_ROWS = 1 << 20
#: What a column of a record batch costs beside its values, in bytes: a message of a few bytes a column makes them.
ARRAY_BYTES = 512

_FILE_MAGIC = b"ARROW1"
_STREAM_MAGIC = b"\xff\xff\xff\xff"
_END_MARKER = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def decode(data: bytes, fields: Sequence[Field] | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> Any:
    """Return the table of an Arrow IPC stream or file.

    Args:
        data: the whole stream or file.
        fields: the fields, where `bounds` says that only they are asked for.
        bounds: what the table may take.

    Returns:
        A `pyarrow.Table`, its columns as stored; every value has been checked to be valid for its type.

    Raises:
        DecodeError: the data is cut off, goes on after its end, is malformed, or has two columns of one name that is
            asked for.
        TooLarge: it is over the bounds, as it says before it is unfolded, or as it unfolds.
    """
    with pa.BufferReader(data) as buffer:
        _check_claims(data, bounds)
        batches = _batches(buffer, bounds)
        schema = next(batches)
        wanted = [field.name for field in fields] if fields is not None and bounds.only_fields else None
        check_names(schema.names, wanted, "the table")
        kept, size, rows, what = [], 0, 0, f"Arrow data of {len(data)} bytes"
        for batch in batches:
            size += batch.nbytes + ARRAY_BYTES * batch.num_columns
            rows += batch.num_rows
            bounds.check_rows(rows, what)
            bounds.check_bytes(size, what)
            if batch.num_rows:
                kept.append(batch)
        return pa.Table.from_batches(kept, schema=schema)


def _check_claims(data: bytes, bounds: Bounds) -> None:
    """Check what the data claims to unfold to, before pyarrow allocates it."""
    if not data.startswith((_FILE_MAGIC, _STREAM_MAGIC)):
        return
    try:
        # A column takes more than so many bytes of the schema: a short one cannot have too many.
        columns = column_count(data) if len(data) * COLUMN_BYTES > 32 * bounds.max_decoded_bytes else 0
        size = unfolded_size(data)
    except (pa.ArrowException, OSError, ValueError, OverflowError, struct.error) as error:
        raise DecodeError(f"malformed or truncated Arrow data: {shorten(str(error), 200)}") from error
    bounds.check_columns(columns, f"Arrow data of {len(data)} bytes")
    bounds.check_bytes(size, f"Arrow data of {len(data)} bytes, which is compressed,")


def _check_messages(fileno: int, bounds: Bounds) -> None:
    """Check what each message of a file claims to unfold to: pyarrow holds one at a time."""
    size = os.fstat(fileno).st_size
    if os.pread(fileno, len(_STREAM_MAGIC), 0) not in (_STREAM_MAGIC, _FILE_MAGIC[: len(_STREAM_MAGIC)]):
        return  # no Arrow data, as the reader says
    try:
        for claimed in message_sizes(lambda start, count: os.pread(fileno, count, max(start, 0)), size):
            bounds.check_bytes(claimed, "a record batch, which is compressed,")
    except (pa.ArrowException, OSError, ValueError, OverflowError, struct.error) as error:
        raise DecodeError(f"malformed or truncated Arrow data: {shorten(str(error), 200)}") from error


def _batches(buffer: Any, bounds: Bounds) -> Iterator[Any]:
    """Yield the schema of an open Arrow stream or file, and then its record batches."""
    try:
        start = buffer.read(8)
        buffer.seek(0)
        if start.startswith(_FILE_MAGIC):
            yield from _file_batches(buffer, bounds)
        elif start.startswith(_STREAM_MAGIC):
            yield from _stream_batches(buffer, bounds)
        else:
            raise DecodeError(
                f"expected an Arrow stream or file, which begins with {_STREAM_MAGIC!r} or {_FILE_MAGIC!r}; got "
                f"{shorten(start)}"
            )
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise DecodeError(f"malformed or truncated Arrow data: {shorten(str(error), 200)}") from error


def _file_batches(buffer: Any, bounds: Bounds) -> Iterator[Any]:
    reader = pa.ipc.open_file(buffer)
    schema = reader.schema
    bounds.check_columns(len(schema), "Arrow data")
    yield check_schema(schema)
    for index in range(reader.num_record_batches):
        yield _check_batch(reader.get_batch(index), bounds)


def _stream_batches(buffer: Any, bounds: Bounds) -> Iterator[Any]:
    reader = pa.ipc.open_stream(buffer)
    schema = reader.schema
    bounds.check_columns(len(schema), "Arrow data")
    yield check_schema(schema)
    while True:
        message_start = buffer.tell()
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            break
        yield _check_batch(batch, bounds)
    # pyarrow accepts a stream that is cut off between two messages as complete: look for the end marker.
    message_end = buffer.tell()
    buffer.seek(max(message_start, message_end - len(_END_MARKER)))
    if buffer.read(len(_END_MARKER)) != _END_MARKER:
        raise DecodeError(f"an Arrow stream without its end marker: it is cut off at byte {message_end}")
    if buffer.read(1):
        raise DecodeError(f"an Arrow stream that ends at byte {message_end}, with more bytes after its end")


def _check_batch(batch: Any, bounds: Bounds) -> Any:
    types = batch.schema.types
    if not NUMBER_IDS.issuperset([data_type.id for data_type in types]) and "view" in str(types):
        batch.validate()
        # Many views can show one long text: a full validation would read it once for each of them.
        viewed = sum(map(viewed_size, batch.columns))
        bounds.check_bytes(viewed, f"a record batch of {batch.num_rows} rows")
    # Validate before anything else: with an offset outside its buffer, even asking for the table's size reads memory
    # that is not the table's.
    batch.validate(full=True)
    # A row takes at least one bit, except in columns of nulls or of runs, and in a table without columns: there a few
    # bytes can claim any number of rows.
    if batch.num_rows > MAX_EMPTY_ROWS and batch.num_rows > 8 * batch.nbytes + MAX_EMPTY_ROWS:
        raise DecodeError(f"a record batch that claims {batch.num_rows} rows and holds {batch.nbytes} bytes of them")
    _ = batch.columns  # a KeyError for a type that pyarrow has no class for, such as an interval of months
    return batch


def encode(table: Table, fields: Sequence[Field]) -> bytes:
    """Return a canonical table as an Arrow IPC stream of one record batch, with the canonical schema of `fields`.

    Raises:
        SinkError: the table does not fit the fields.
    """
    sink = io.BytesIO()
    with Writer(sink, fields, form="stream") as writer:
        writer.write(table)
    return sink.getvalue()


def names(path: str | os.PathLike[str], bounds: Bounds = DEFAULT_BOUNDS) -> tuple[str, ...]:
    """Return the columns that a file has; one of them may be there twice.

    Args:
        path: the file.
        bounds: what the names, and what is read to find them, may take.

    Raises:
        SourceError: the file cannot be read.
        DecodeError: the file is no Arrow stream or file.
        TooLarge: they are over the bounds.
    """
    with open_source(path), name_in_errors(path), pa.OSFile(os.fspath(path)) as buffer:
        return tuple(next(_batches(buffer, bounds)).names)


def read(
    path: str | os.PathLike[str],
    fields: Sequence[Field] | None = None,
    chunk_rows: int = 65_536,
    columns: Sequence[str] | None = None,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> Iterator[Any]:
    """Yield the rows of an Arrow IPC file in chunks, holding only a chunk and a stored record batch in memory.

    Args:
        path: a file of the bytes that `decode` takes.
        fields: ignored.
        chunk_rows: the rows of each chunk; the last may have fewer.
        columns: the columns to keep; `None` for all.
        bounds: what a stored record batch, and a chunk, may take.

    Yields:
        A `pyarrow.RecordBatch` for each chunk, its columns as stored.

    Raises:
        SourceError: the file cannot be read, or lacks one of `columns`.
        DecodeError: `decode` would refuse the data; the message names the file. A stream that is cut off is noticed
            only at its end.
    """
    del fields
    with open_source(path) as file, name_in_errors(path), pa.OSFile(os.fspath(path)) as buffer:
        _check_messages(file.fileno(), bounds)
        batches = _batches(buffer, bounds)
        column_names = select_columns(columns, next(batches).names, chunk_rows, str(path))
        yield from rechunk((batch.select(column_names) for batch in batches), chunk_rows, bounds.max_decoded_bytes)


class Writer(TableWriter):
    """Write tables as Arrow IPC, a record batch for each.

    Args:
        target: a path, which is replaced if it exists, or an open binary file.
        fields: the fields, in the order in which they are written.
        form: `stream` or `file`; by default a stream where the path ends in `.arrows`, and a file otherwise.

    Raises:
        SinkError: the path cannot be opened, or the schema cannot be written.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | IO[bytes],
        fields: Sequence[Field],
        *,
        form: Literal["stream", "file"] | None = None,
    ) -> None:
        super().__init__(target)
        self._fields = tuple(fields)
        if form is None:
            form = "stream" if self.sink.name.endswith(".arrows") else "file"
        start = pa.ipc.new_stream if form == "stream" else pa.ipc.new_file
        self._writer = start(self.sink, arrow_schema(self._fields))

    def write(self, table: Table) -> None:
        """Write a canonical table as one record batch."""
        self._writer.write_batch(as_batch(table, self._fields))

    def _finish(self) -> None:
        self._writer.close()
