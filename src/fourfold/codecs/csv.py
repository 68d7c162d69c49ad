"""Read and write CSV: a header, then a record for each row (RFC 4180, in UTF-8)."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

from fourfold.codecs import csv_cells
from fourfold.codecs.bounds import DEFAULT_BOUNDS, Bounds
from fourfold.codecs.csv_text import BLOCK_BYTES, Reader
from fourfold.codecs.files import TableWriter, name_in_errors, open_source
from fourfold.codecs.json_bytes import dump, json_converter
from fourfold.codecs.table import Rows, Table, as_rows, check_names, rechunk, select_columns, slice_rows
from fourfold.errors import SinkError, shorten
from fourfold.signature.field import FLOATS, Field

__all__ = ["Writer", "decode", "encode", "names", "read"]

#: The cells that are encoded at once.
CELLS_AT_ONCE = 1 << 18
#: The bytes of a block for each column, where there are very many.
BLOCK_BYTES_PER_COLUMN = 128


def decode(data: bytes, fields: Sequence[Field] | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> Table:
    """Return the rows of CSV.

    Args:
        data: a header and records in UTF-8; a byte-order mark is skipped.
        fields: the fields, whose dtypes tell how cells are read (see `csv_cells`); a column that is no field is text.
            With `None` the dtypes are inferred from the cells (see `csv_cells.infer`).
        bounds: what the table may take, and whether it has what is in columns that are no fields.

    Returns:
        A `pyarrow.RecordBatch`; or rows where a cell does not fit its field: the cell stays text, and the coercion
        reports it as an error of its row.

    Raises:
        DecodeError: the data is not well-formed CSV; the message gives the line.
        TooLarge: it is over the bounds.
    """
    # A block costs about a kilobyte for each column, so the blocks of very many columns are longer.
    header_columns = data.count(b",", 0, max(data.find(b"\n"), 0))
    reader = Reader(io.BytesIO(data), max(BLOCK_BYTES, BLOCK_BYTES_PER_COLUMN * header_columns), bounds)
    wanted = {field.name for field in fields} if fields is not None and bounds.only_fields else None
    check_names(reader.names, wanted, "line 1: the header")
    if wanted is not None:
        reader.select(wanted)
    batches, size, rows = [], 0, 0
    for batch in reader.batches():
        size += batch.nbytes
        rows += batch.num_rows
        bounds.check_rows(rows, f"CSV of {len(data)} bytes")
        bounds.check_bytes(size, f"CSV of {len(data)} bytes")
        batches.append(batch)
    cells = list(rechunk(batches, max(len(data), 1)))
    return _convert_cells(cells[0] if cells else _empty_cells(reader), fields, bounds, reader.names)


def _empty_cells(reader: Reader) -> Any:
    return pa.RecordBatch.from_pylist([], schema=reader.schema())


def _convert_cells(
    cells: Any, fields: Sequence[Field] | None, bounds: Bounds | None = None, names: Sequence[str] = ()
) -> Table:
    """Convert cells to values: one record batch where every cell fits its field, otherwise rows.

    `names` are all columns of the table, where `cells` are only those of fields: the others are nulls.
    """
    texts = dict(zip(cells.schema.names, cells.columns, strict=True))
    names = names or cells.schema.names
    fields_by_name = {
        field.name: field for field in (csv_cells.infer(names, cells.columns) if fields is None else fields)
    }
    if bounds is not None and bounds.only_fields:
        texts = {name: column for name, column in texts.items() if name in fields_by_name}
    columns = {name: csv_cells.column(fields_by_name.get(name), column) for name, column in texts.items()}
    if all(column is not None for column in columns.values()):
        nothing = pa.nulls(cells.num_rows)
        return pa.RecordBatch.from_arrays([columns.get(name, nothing) for name in names], names=names)
    if bounds is not None:
        bounds.check_rows_of_dicts(cells.num_rows, len(names), "CSV whose cells do not all fit their fields,")
    missing = [None] * cells.num_rows
    values = [_values(fields_by_name.get(name), texts[name]) if name in texts else missing for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _values(field: Field | None, texts: Any) -> list[Any]:
    read_cell = csv_cells.cell(field)
    cells: list[Any] = texts.to_pylist()
    return cells if read_cell is None else [None if text is None else read_cell(text) for text in cells]


def names(path: str | os.PathLike[str], bounds: Bounds = DEFAULT_BOUNDS) -> tuple[str, ...]:
    """Return the columns that a file's header names; one of them may be there twice.

    Args:
        path: the file.
        bounds: what the names, and what is read to find them, may take.

    Raises:
        SourceError: the file cannot be read.
        DecodeError: the file has no header, or a malformed one.
        TooLarge: they are over the bounds.
    """
    with open_source(path) as file, name_in_errors(path):
        return tuple(Reader(file, bounds=bounds).names)


def read(
    path: str | os.PathLike[str],
    fields: Sequence[Field] | None = None,
    chunk_rows: int = 65_536,
    columns: Sequence[str] | None = None,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> Iterator[Table]:
    """Yield the rows of a CSV file in chunks, holding only a chunk and a block of one megabyte in memory.

    Args:
        path: a file of the bytes that `decode` takes.
        fields: as in `decode`; with `None` the dtypes are inferred from the first chunk, and a later cell that does not
            fit stays text.
        chunk_rows: the rows of each chunk; the last may have fewer.
        columns: the columns to keep; `None` for all.
        bounds: what a chunk may take; they limit the number of columns too.

    Yields:
        A table for each chunk, as `decode` returns it.

    Raises:
        SourceError: the file cannot be read, or lacks one of `columns`.
        DecodeError: the file is not well-formed CSV; the message names the file and the line.
    """
    with open_source(path) as file, name_in_errors(path):
        reader = Reader(file, bounds=bounds)
        column_names = select_columns(columns, reader.names, chunk_rows, str(path))
        reader.select(frozenset(column_names))
        batches = (batch.select(column_names) for batch in reader.batches())
        for cells in rechunk(batches, chunk_rows, bounds.max_decoded_bytes):
            if fields is None:
                fields = csv_cells.infer(column_names, cells.columns)
            yield _convert_cells(cells, fields)


def encode(table: Table, fields: Sequence[Field]) -> bytes:
    """Return a canonical table as CSV with a header, one column for each of `fields`, in their order; LF ends a record.

    Text is quoted where it must be, and where it is empty: an unquoted empty cell is a missing value.

    Raises:
        SinkError: the table does not fit the fields.
    """
    return _header(fields) + _records(table, fields)


def _header(fields: Sequence[Field]) -> bytes:
    return _encode_records([",".join(_quote_text(field.name) for field in fields)])


def _records(table: Table, fields: Sequence[Field]) -> bytes:
    """Return a table's records, `CELLS_AT_ONCE` at a time: as Python values they take ten times their bytes."""
    n_rows = max(1, CELLS_AT_ONCE // max(len(fields), 1))
    starts = range(0, max(len(table), 1), n_rows)  # a table without rows is checked too
    return b"".join(_encode_rows(as_rows(slice_rows(table, start, start + n_rows), fields), fields) for start in starts)


def _encode_rows(rows: Rows, fields: Sequence[Field]) -> bytes:
    columns = []
    for field in fields:
        write_cell, name = _cell_writer(field), field.name
        try:
            columns.append(["" if row[name] is None else write_cell(row[name]) for row in rows])
        except (TypeError, AttributeError, OverflowError, ValueError) as error:
            raise SinkError(f"field {shorten(name)}: expected {field.expected}; {shorten(str(error), 200)}") from error
    return _encode_records([",".join(cells) for cells in zip(*columns, strict=True)])


def _encode_records(records: Sequence[str]) -> bytes:
    try:
        return "\n".join([*records, ""]).encode()
    except UnicodeEncodeError as error:
        raise SinkError(f"text that UTF-8 cannot hold: {shorten(error.object[error.start :])}") from error


def _quote_text(value: str) -> str:
    # Quote a byte-order mark too: readers skip an unquoted one at the start of the header.
    if value and not any(mark in value for mark in ',"\r\n\ufeff'):
        return value
    return '"' + value.replace('"', '""') + '"'


def _cell_writer(field: Field) -> Callable[[Any], str]:
    """Return the function that converts a present canonical value of a field to its cell."""
    convert = json_converter(field)
    if field.shape:
        return lambda value: _quote_text(dump(convert(value) if convert else value).decode())
    if field.dtype in FLOATS:
        return _float
    if field.dtype == "bool":
        return lambda value: "true" if value else "false"
    if field.dtype == "string":
        return _quote_text
    if field.dtype == "binary":
        return lambda value: _quote_text(_plain_text(convert, value))
    return str if convert is None else convert


def _plain_text(convert: Callable[[Any], Any] | None, value: Any) -> str:
    return str(convert(value)) if convert else str(value)


def _float(value: float) -> str:
    text = repr(float(value))
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, text)


class Writer(TableWriter):
    """Write tables as CSV: the bytes of `encode`, with one header.

    Args:
        target: a path, which is replaced if it exists, or an open binary file.
        fields: the fields, in the order in which they are written.

    Raises:
        SinkError: the path cannot be opened, or the header cannot be written.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes], fields: Sequence[Field]) -> None:
        super().__init__(target)
        self._fields = tuple(fields)
        self.sink.write(_header(self._fields))

    def write(self, table: Table) -> None:
        """Write a canonical table's rows."""
        self.sink.write(_records(table, self._fields))
