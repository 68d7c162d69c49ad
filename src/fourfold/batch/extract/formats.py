"""Inspect source files before their first row is read, and read their rows, for each format.

Each format is a class with the same methods over its codec. A chunk holds what the file says: a `RecordBatch` with the
types of the file (CSV: all text), or a list of rows where each value has its own type (JSON lines).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from fourfold.codecs import DEFAULT_BOUNDS, FORMATS, Bounds, arrow, csv, csv_cells, json_lines, parquet
from fourfold.codecs.json_lines import OversizedRow
from fourfold.errors import SinkError, SourceError, shorten
from fourfold.signature import Field
from fourfold.signature.field import first_duplicate
from fourfold.signature.rows import is_exact_float

__all__ = ["SOURCE_FORMATS", "ChunkPart", "FileInfo", "SourceFormat", "detect_format"]

#: The first rows of a file, from which the size of its rows is estimated.
SAMPLE_ROWS = 256

_ARROW_FILE_MAGIC = b"ARROW1"


@dataclass(frozen=True)
class FileInfo:
    """Describe a file, as far as a look at it tells.

    Attributes:
        types: the columns, each with the Arrow type in which it passes through; `None` where only reading every row
            would tell the type, and the column does not pass through.
        rows: the number of rows, or `None` where only reading them all would tell.
        row_bytes: about how many bytes in memory a row of the requested columns takes.
        has_types: whether `types` are the types of the values, so that they can be checked against the fields.
        is_schemaless: whether each row says which columns it has.
        float64_safe: the integer columns whose values float64 holds exactly too.
        has_header: whether the columns' names come from the first line of a text, which may be no header.
    """

    types: dict[str, Any]
    rows: int | None
    row_bytes: int
    has_types: bool = True
    is_schemaless: bool = False
    float64_safe: frozenset[str] = frozenset()
    has_header: bool = False


@dataclass(frozen=True)
class ChunkPart:
    """Hold some rows of a chunk.

    Attributes:
        indices: the indices of the rows in the chunk, from 0; `None` for all rows.
        table: the rows: a `RecordBatch`, or a list of rows.
    """

    indices: Sequence[int] | None
    table: Any


class SourceFormat(Protocol):
    """Describe what each format can do."""

    def inspect(
        self, path: Path, columns: Sequence[str], passthrough: Sequence[str], bounds: Bounds = DEFAULT_BOUNDS
    ) -> FileInfo:
        """Inspect a file of which `columns` will be read, those in `passthrough` without any conversion.

        Raises:
            SourceError: the file cannot be read, or the values of a pass-through column have no common type.
            DecodeError: it is damaged, as far as that shows without reading all of it.
        """

    def read_chunks(
        self, path: Path, columns: Sequence[str] | None, rows: int, bounds: Bounds = DEFAULT_BOUNDS
    ) -> Iterator[Any]:
        """Yield the given columns, `None` for all, in chunks of `rows` rows; raise as `inspect` does."""

    def parse_inputs(self, inputs: Any, fields: Sequence[Field]) -> list[ChunkPart]:
        """Return a chunk's inputs, whose columns are named as the fields, as values for the coercion to check.

        Every row is in exactly one part.
        """


class _TypedFormat:
    """Return inputs as they are: the file's columns have types."""

    def parse_inputs(self, inputs: Any, fields: Sequence[Field]) -> list[ChunkPart]:
        del fields
        return [ChunkPart(None, inputs)]


class _ParquetFormat(_TypedFormat):
    """Read Parquet."""

    def inspect(
        self, path: Path, columns: Sequence[str], passthrough: Sequence[str], bounds: Bounds = DEFAULT_BOUNDS
    ) -> FileInfo:
        del passthrough
        names = parquet.names(path, bounds)  # first, because its errors name the file and the reason
        metadata = pq.read_metadata(path)
        types = _column_types(path, names, metadata.schema.to_arrow_schema(), columns)
        columns = [name for name in columns if name in types]
        # Later row groups may be wider than the sample.
        row_bytes = max(parquet.largest_stored_row(path, columns), _sampled_row_bytes(parquet, path, columns, bounds))
        return FileInfo(types, metadata.num_rows, row_bytes)

    def read_chunks(
        self, path: Path, columns: Sequence[str] | None, rows: int, bounds: Bounds = DEFAULT_BOUNDS
    ) -> Iterator[Any]:
        return parquet.read(path, None, rows, columns, bounds)


class _ArrowFormat(_TypedFormat):
    """Read Arrow IPC files and streams."""

    def inspect(
        self, path: Path, columns: Sequence[str], passthrough: Sequence[str], bounds: Bounds = DEFAULT_BOUNDS
    ) -> FileInfo:
        del passthrough
        types = _column_types(path, arrow.names(path, bounds), _arrow_schema(path), columns)
        return FileInfo(
            types, None, _sampled_row_bytes(arrow, path, [name for name in columns if name in types], bounds)
        )

    def read_chunks(
        self, path: Path, columns: Sequence[str] | None, rows: int, bounds: Bounds = DEFAULT_BOUNDS
    ) -> Iterator[Any]:
        return arrow.read(path, None, rows, columns, bounds)


def _arrow_schema(path: Path) -> Any:
    with pa.OSFile(os.fspath(path)) as file:
        is_file = file.read(len(_ARROW_FILE_MAGIC)) == _ARROW_FILE_MAGIC
        file.seek(0)
        return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(file).schema


class _CsvFormat:
    """Read CSV: chunks of text, which `parse_inputs` turns into values."""

    def inspect(
        self, path: Path, columns: Sequence[str], passthrough: Sequence[str], bounds: Bounds = DEFAULT_BOUNDS
    ) -> FileInfo:
        del passthrough
        names = csv.names(path, bounds)
        _check_unique(path, names, columns)
        columns = [name for name in columns if name in names]
        # Twice, because memory holds the text and the values that are parsed from it.
        row_bytes = 2 * _sampled_row_bytes(csv, path, columns, bounds)
        return FileInfo(dict.fromkeys(names, pa.string()), None, row_bytes, has_types=False, has_header=True)

    def read_chunks(
        self, path: Path, columns: Sequence[str] | None, rows: int, bounds: Bounds = DEFAULT_BOUNDS
    ) -> Iterator[Any]:
        # Without fields the cells stay text, as pass-through columns and the quarantine need them.
        return csv.read(path, (), rows, columns, bounds)

    def parse_inputs(self, inputs: Any, fields: Sequence[Field]) -> list[ChunkPart]:
        """Parse cells: a `RecordBatch` of the rows in which all cells fit, and the other rows as a list of rows."""
        fields_by_name = {field.name: field for field in fields}
        batch = _parse_columns(inputs, fields_by_name)
        if batch is not None:
            return [ChunkPart(None, batch)]
        misfits = _rows_with_misfits(inputs, fields_by_name)
        fitting = [row for row in range(inputs.num_rows) if row not in misfits]
        batch = _parse_columns(inputs.take(pa.array(fitting, type=pa.int64())), fields_by_name)
        if batch is None:  # the cells fit, but each must be parsed alone (integers of 17 digits among fractions)
            return [ChunkPart(None, _parse_rows(inputs, fields_by_name))]
        others = sorted(misfits)
        rows = _parse_rows(inputs.take(pa.array(others, type=pa.int64())), fields_by_name)
        return [ChunkPart(fitting, batch), ChunkPart(others, rows)]


def _parse_columns(texts: Any, fields: Mapping[str, Field]) -> Any | None:
    """Parse cells to a `RecordBatch`; `None` where a column must be parsed cell by cell."""
    names = texts.schema.names
    columns = [csv_cells.column(fields[name], texts.column(name)) for name in names]
    if any(column is None for column in columns):
        return None
    return pa.RecordBatch.from_arrays(columns, names=names)


def _parse_rows(texts: Any, fields: Mapping[str, Field]) -> list[dict[str, Any]]:
    """Parse cells to rows; a cell that does not fit its field stays text."""
    names = texts.schema.names
    columns = [_parse_cells(fields[name], texts.column(name)) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _parse_cells(field: Field, column: Any) -> list[Any]:
    parse = csv_cells.cell(field)
    texts: list[Any] = column.to_pylist()
    return texts if parse is None else [None if text is None else parse(text) for text in texts]


def _rows_with_misfits(texts: Any, fields: Mapping[str, Field]) -> set[int]:
    """Return the indices of the rows that have a cell that does not fit its field."""
    rows: set[int] = set()
    for name in texts.schema.names:
        # Fields that are text themselves have no parser: the coercion checks them.
        if csv_cells.cell(fields[name]) is not None and csv_cells.column(fields[name], texts.column(name)) is None:
            values = _parse_cells(fields[name], texts.column(name))
            rows.update(row for row, value in enumerate(values) if isinstance(value, str))
    return rows


class _JsonLinesFormat:
    """Read JSON lines."""

    def inspect(
        self, path: Path, columns: Sequence[str], passthrough: Sequence[str], bounds: Bounds = DEFAULT_BOUNDS
    ) -> FileInfo:
        """Read the whole file once: only its rows say what its columns are."""
        types: dict[str, Any] = {}
        inferred = {name: _TypeInference(path, name) for name in passthrough}
        rows = objects = 0
        row_bytes = 0
        first: Any = None
        for chunk in json_lines.read(path, None, SAMPLE_ROWS, columns, bounds):
            row_bytes = max(row_bytes, _row_memory(chunk[0]))  # one row a chunk, because measuring is slow
            first = chunk[0] if not rows else first
            for row in chunk:
                rows += 1
                if not isinstance(row, dict):
                    continue
                objects += 1
                for name, value in row.items():
                    types.setdefault(name)
                    if name in inferred:
                        inferred[name].add(value, rows)
        if rows and not objects and not isinstance(first, OversizedRow):
            raise SourceError(f"{path}: expected a JSON object on each line, got {_kind_of(first)} on the first")
        types |= {name: column.arrow_type for name, column in inferred.items() if name in types}
        float64_safe = frozenset(name for name, column in inferred.items() if column.is_float64_safe)
        return FileInfo(types, rows, row_bytes, has_types=False, is_schemaless=True, float64_safe=float64_safe)

    def read_chunks(
        self, path: Path, columns: Sequence[str] | None, rows: int, bounds: Bounds = DEFAULT_BOUNDS
    ) -> Iterator[Any]:
        return json_lines.read(path, None, rows, columns, bounds)

    def parse_inputs(self, inputs: Any, fields: Sequence[Field]) -> list[ChunkPart]:
        del fields
        return [ChunkPart(None, inputs)]


class _TypeInference:
    """Find the Arrow type that holds all values of a JSON key exactly."""

    _KINDS = ((bool, "bool"), (int, "int"), (float, "float"), (str, "string"))

    def __init__(self, path: Path, name: str) -> None:
        self._where = f"{path}: the kept column {shorten(name)}"
        self._first_rows: dict[str, int] = {}  # by kind
        self._smallest = self._largest = 0
        self._inexact: int | None = None  # the first integer that float64 does not hold

    def add(self, value: Any, row: int) -> None:
        """Add the value of row number `row`, from 1."""
        if value is None:
            return
        kind = next((kind for cls, kind in self._KINDS if type(value) is cls), None)
        if kind is None:
            raise SourceError(f"{self._where} holds {shorten(value)} in row {row - 1}; only single values can be kept")
        if kind == "int":
            self._smallest, self._largest = min(self._smallest, value), max(self._largest, value)
            if self._inexact is None and not is_exact_float(value):
                self._inexact = value
        if kind not in self._first_rows:
            self._first_rows[kind] = row - 1
            self._check_kinds()

    def _check_kinds(self) -> None:
        if len(self._first_rows) > 1 and set(self._first_rows) != {"int", "float"}:
            kinds = " and ".join(f"{kind} (row {row})" for kind, row in self._first_rows.items())
            raise SourceError(f"{self._where} must hold values of one type to be kept; it holds {kinds}")

    @property
    def is_float64_safe(self) -> bool:
        """Return whether float64 holds all integers exactly."""
        return self._inexact is None

    @property
    def arrow_type(self) -> Any:
        """Return the type; the null type where there is no value."""
        is_mixed = len(self._first_rows) > 1
        if is_mixed:
            if self._inexact is not None:
                raise SourceError(f"{self._where} holds {self._inexact}, which a float64 column cannot hold exactly")
            return pa.float64()
        low, high = -(2**63), 2**63 - 1
        if not low <= self._smallest <= self._largest <= high:
            value = self._smallest if self._smallest < low else self._largest
            raise SourceError(f"{self._where} holds {value}, which an int64 column cannot hold exactly")
        arrow_types = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "string": pa.string()}
        return arrow_types[next(iter(self._first_rows))] if self._first_rows else pa.null()


def _column_types(path: Path, names: Sequence[str], schema: Any, columns: Sequence[str]) -> dict[str, Any]:
    _check_unique(path, names, columns)
    return dict(zip(names, schema.types, strict=True))


def _check_unique(path: Path, names: Sequence[str], columns: Sequence[str]) -> None:
    """Check that a column that is read is there once; of others nobody needs to know which is meant."""
    wanted = frozenset(columns)
    twice = first_duplicate(name for name in names if name in wanted)
    if twice is not None:
        raise SourceError(f"{path} has the column {shorten(twice)} twice")


def _sampled_row_bytes(codec: Any, path: Path, columns: Sequence[str], bounds: Bounds) -> int:
    """Return the average size of the first rows of a file, in bytes of Arrow memory."""
    sample = next(codec.read(path, (), SAMPLE_ROWS, columns, bounds), None) if columns else None
    return 0 if sample is None else sample.nbytes // sample.num_rows


def _kind_of(value: Any) -> str:
    if isinstance(value, list):
        return f"an array, {shorten(value)}" + ("; write its objects a line each" if value else "")
    return shorten(value)


def _row_memory(row: Any) -> int:
    if not isinstance(row, dict):
        return sys.getsizeof(row)
    return sys.getsizeof(row) + sum(map(sys.getsizeof, row.values()))


#: The formats that a source can have.
SOURCE_FORMATS: dict[str, SourceFormat] = {
    "parquet": _ParquetFormat(),
    "csv": _CsvFormat(),
    "json-lines": _JsonLinesFormat(),
    "arrow": _ArrowFormat(),
}


def detect_format(path: Path, role: str = "source") -> str:
    """Return the name of a file's format, by its suffix.

    Args:
        path: the file.
        role: what the file is to the job, as an error names it.

    Raises:
        SourceError: the file is a source, and no format has its suffix.
        SinkError: the file is to be written, and no format has its suffix.
    """
    for name in SOURCE_FORMATS:
        if path.name.lower().endswith(FORMATS[name].suffixes):
            return name
    expected = ", ".join(suffix for name in SOURCE_FORMATS for suffix in FORMATS[name].suffixes)
    error_type = SourceError if role == "source" else SinkError
    raise error_type(f"the {role} {path}: its name does not say its format; expected it to end in one of {expected}")
