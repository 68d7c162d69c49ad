"""Read and write Arrow IPC, the stream form and the file form; their first bytes tell which one it is."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator, Sequence
from typing import IO, Any, Literal

import pyarrow as pa

from fourfold.codecs.arrow_sizes import unfolded_size
from fourfold.codecs.files import TableWriter, named, source
from fourfold.codecs.table import Table, as_batch, readable, rechunk, require
from fourfold.errors import DecodeError, shorten
from fourfold.signature.columns import arrow_schema
from fourfold.signature.field import Field

__all__ = ["Writer", "decode", "encode", "names", "read"]


#: So many rows of a record batch may take no memory.
FREE_ROWS = 1 << 20
#: The most memory that compressed data which came as bytes may unfold to.
DECODED_BYTES = 1 << 30

_FILE = b"ARROW1"
_STREAM = b"\xff\xff\xff\xff"
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def decode(data: bytes, fields: Sequence[Field] | None = None) -> Any:
    """Return the table of an Arrow IPC stream or file.

    Args:
        data: the stream or file, whole.
        fields: not looked at: Arrow says itself what its columns are.

    Returns:
        A `pyarrow.Table`, its columns as stored, every value checked to be what its type says.

    Raises:
        DecodeError: the data is cut off, goes on after its end, is malformed, has a column's name twice, or is
            compressed and unfolds to more than `DECODED_BYTES`.
    """
    del fields
    with pa.BufferReader(data) as buffer:
        _bound(data)
        batches = _batches(buffer, "the table")
        schema = next(batches)
        return pa.Table.from_batches(list(batches), schema=schema)


def _bound(data: bytes) -> None:
    try:
        size = unfolded_size(data) if data.startswith((_FILE, _STREAM)) else 0
    except (pa.ArrowException, OSError, ValueError, OverflowError, struct.error) as error:
        raise DecodeError(f"malformed or truncated Arrow data: {shorten(str(error), 200)}") from error
    if size > DECODED_BYTES:
        raise DecodeError(f"Arrow data of {len(data)} bytes that unfolds to more than {DECODED_BYTES} bytes")


def _batches(buffer: Any, where: str) -> Iterator[Any]:
    """Yield the schema of an open Arrow stream or file, and then its record batches."""
    try:
        start = buffer.read(8)
        buffer.seek(0)
        if start.startswith(_FILE):
            yield from _file(buffer, where)
        elif start.startswith(_STREAM):
            yield from _stream(buffer, where)
        else:
            raise DecodeError(
                f"expected an Arrow stream or file, which begins with {_STREAM!r} or {_FILE!r}; got {shorten(start)}"
            )
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise DecodeError(f"malformed or truncated Arrow data: {shorten(str(error), 200)}") from error


def _file(buffer: Any, where: str) -> Iterator[Any]:
    reader = pa.ipc.open_file(buffer)
    yield readable(reader.schema, where)
    for index in range(reader.num_record_batches):
        yield _checked(reader.get_batch(index))


def _stream(buffer: Any, where: str) -> Iterator[Any]:
    reader = pa.ipc.open_stream(buffer)
    yield readable(reader.schema, where)
    while True:
        before = buffer.tell()
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            break
        yield _checked(batch)
    # pyarrow takes a stream that was cut off between two messages for one that has ended.
    after = buffer.tell()
    buffer.seek(max(before, after - len(_END)))
    if buffer.read(len(_END)) != _END:
        raise DecodeError(f"an Arrow stream without its end marker: it is cut off at byte {after}")
    if buffer.read(1):
        raise DecodeError(f"an Arrow stream that ends at byte {after}, with more bytes after its end")


def _checked(batch: Any) -> Any:
    # Before anything else looks at it: an offset that points outside its buffer makes a look at the table's size, even,
    # read memory that is not the table's.
    batch.validate(full=True)
    # A row takes at least a bit somewhere, except in columns of nulls or of runs, and in a table without columns: there
    # a few bytes can claim any number of rows.
    if batch.num_rows > 8 * batch.nbytes + FREE_ROWS:
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


def names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the columns that a file has.

    Raises:
        SourceError: the file cannot be read.
        DecodeError: it is no Arrow stream or file.
    """
    with source(path), named(path), pa.OSFile(os.fspath(path)) as buffer:
        return tuple(next(_batches(buffer, "the table")).names)


def read(
    path: str | os.PathLike[str],
    fields: Sequence[Field] | None = None,
    chunk_rows: int = 65_536,
    columns: Sequence[str] | None = None,
) -> Iterator[Any]:
    """Yield the rows of an Arrow IPC file, a chunk at a time; no more is held than a chunk and a stored record batch.

    Args:
        path: a file with what `decode` takes.
        fields: not looked at.
        chunk_rows: rows of a chunk; only the last has fewer.
        columns: the columns to keep, where not all.

    Yields:
        A `pyarrow.RecordBatch` for each chunk, its columns as stored.

    Raises:
        SourceError: the file cannot be read, or lacks one of `columns`.
        DecodeError: what `decode` refuses; the message names the file. That a stream is cut off shows at its end.
    """
    del fields
    with source(path), named(path), pa.OSFile(os.fspath(path)) as buffer:
        batches = _batches(buffer, "the table")
        wanted = require(columns, next(batches).names, chunk_rows, str(path))
        yield from rechunk((batch.select(wanted) for batch in batches), chunk_rows)


class Writer(TableWriter):
    """Writes tables as Arrow IPC, a record batch for each.

    Args:
        target: a path, which is replaced if it is there, or an open binary file.
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
