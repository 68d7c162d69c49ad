"""The formats of sources: what a file's columns are, told before its first row is read, and its rows as they came.

Each format is a class with the same verbs over its codec. Chunks hold what the file says: a `RecordBatch` with the
types of the file (CSV: all text), or a list of rows where each value has a type of its own (JSON lines).
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

from fourfold.codecs import FORMATS, arrow, csv, csv_cells, json_lines, parquet
from fourfold.errors import SinkError, SourceError, shorten
from fourfold.signature import Field

__all__ = ["SOURCES", "Format", "Look", "Piece", "format_of"]

#: The rows that say how wide the rows of a file are.
SAMPLE_ROWS = 256

_ARROW_FILE = b"ARROW1"


@dataclass(frozen=True)
class Look:
    """What a look at a file says.

    Attributes:
        types: the columns, each with its Arrow type as it is kept, or `None` where nobody asked for one that takes a
            look at every row.
        rows: how many rows there are, or `None` where only reading them all would say it.
        row_bytes: about how many bytes a row of the columns that are wanted takes in memory.
        typed: whether the columns' types say what the fields' values are.
        by_row: whether each row says which columns it has.
        widens: the columns of integers that float64 holds exactly too.
    """

    types: dict[str, Any]
    rows: int | None
    row_bytes: int
    typed: bool = True
    by_row: bool = False
    widens: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Piece:
    """Some of a chunk's rows.

    Attributes:
        places: the rows' numbers in the chunk, from 0; `None` where they are all of it.
        table: the rows: a `RecordBatch`, or a list of rows.
    """

    places: Sequence[int] | None
    table: Any


class Format(Protocol):
    """What each format can do."""

    def look(self, path: Path, columns: Sequence[str], keep: Sequence[str]) -> Look:
        """Look at a file of which `columns` are wanted, and `keep` of these as they are.

        Raises:
            SourceError: the file cannot be read, or what is kept has no one type.
            DecodeError: it is damaged, as far as that shows without reading it all.
        """

    def chunks(self, path: Path, columns: Sequence[str], rows: int) -> Iterator[Any]:
        """The columns that are wanted, in chunks of that many rows; raises as `look` does."""

    def typed(self, inputs: Any, fields: Sequence[Field]) -> list[Piece]:
        """A chunk's inputs, named as their fields, as values for the coercion to judge; every row is in one piece."""


class _Columns:
    """Formats whose files carry the types of their columns."""

    def typed(self, inputs: Any, fields: Sequence[Field]) -> list[Piece]:
        del fields
        return [Piece(None, inputs)]


class _Parquet(_Columns):
    def look(self, path: Path, columns: Sequence[str], keep: Sequence[str]) -> Look:
        del keep
        names = parquet.names(path)  # which says what is wrong with a file that is none
        metadata = pq.read_metadata(path)
        types = _types(path, names, metadata.schema.to_arrow_schema())
        wanted = [name for name in columns if name in types]
        return Look(types, metadata.num_rows, max(_stored(metadata, wanted), _sampled(parquet, path, wanted)))

    def chunks(self, path: Path, columns: Sequence[str], rows: int) -> Iterator[Any]:
        return parquet.read(path, None, rows, columns)


def _stored(metadata: Any, wanted: Sequence[str]) -> int:
    """The widest rows that the footer knows of: later row groups may be wider than the sample."""
    widest = 0
    for place in range(metadata.num_row_groups):
        group = metadata.row_group(place)
        stored = [group.column(index) for index in range(group.num_columns)]
        size = sum(each.total_uncompressed_size for each in stored if each.path_in_schema.split(".")[0] in wanted)
        widest = max(widest, size // max(group.num_rows, 1))
    return widest


class _Arrow(_Columns):
    def look(self, path: Path, columns: Sequence[str], keep: Sequence[str]) -> Look:
        del keep
        types = _types(path, arrow.names(path), _arrow_schema(path))
        return Look(types, None, _sampled(arrow, path, [name for name in columns if name in types]))

    def chunks(self, path: Path, columns: Sequence[str], rows: int) -> Iterator[Any]:
        return arrow.read(path, None, rows, columns)


def _arrow_schema(path: Path) -> Any:
    with pa.OSFile(os.fspath(path)) as file:
        is_file = file.read(len(_ARROW_FILE)) == _ARROW_FILE
        file.seek(0)
        return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(file).schema


class _Csv:
    def look(self, path: Path, columns: Sequence[str], keep: Sequence[str]) -> Look:
        del keep
        names = csv.names(path)
        wanted = [name for name in columns if name in names]
        # Twice: once as text, and once as what the text says.
        return Look(dict.fromkeys(names, pa.string()), None, 2 * _sampled(csv, path, wanted), typed=False)

    def chunks(self, path: Path, columns: Sequence[str], rows: int) -> Iterator[Any]:
        # No fields: the cells stay the text that they are, for columns that are kept and for the quarantine.
        return csv.read(path, (), rows, columns)

    def typed(self, inputs: Any, fields: Sequence[Field]) -> list[Piece]:
        """The values of the cells: a batch of the rows whose cells all fit their fields, and the others as rows."""
        known = {field.name: field for field in fields}
        batch = _batch(inputs, known)
        if batch is not None:
            return [Piece(None, batch)]
        misfits = _misfits(inputs, known)
        fitting = [row for row in range(inputs.num_rows) if row not in misfits]
        batch = _batch(inputs.take(pa.array(fitting, type=pa.int64())), known)
        if batch is None:  # cells that fit, but take a look at each (integers of 17 digits among fractions)
            return [Piece(None, _rows(inputs, known))]
        others = sorted(misfits)
        return [Piece(fitting, batch), Piece(others, _rows(inputs.take(pa.array(others, type=pa.int64())), known))]


def _batch(texts: Any, known: Mapping[str, Field]) -> Any | None:
    """The values of cells as a `RecordBatch`; `None` where a column takes a look at each cell."""
    names = texts.schema.names
    columns = [csv_cells.column(known[name], texts.column(name)) for name in names]
    if any(column is None for column in columns):
        return None
    return pa.RecordBatch.from_arrays(columns, names=names)


def _rows(texts: Any, known: Mapping[str, Field]) -> list[dict[str, Any]]:
    """The values of cells as rows; one that does not fit its field stays text."""
    names = texts.schema.names
    values = [_cells(known[name], texts.column(name)) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _cells(field: Field, texts: Any) -> list[Any]:
    read = csv_cells.cell(field)
    found: list[Any] = texts.to_pylist()
    return found if read is None else [None if text is None else read(text) for text in found]


def _misfits(texts: Any, known: Mapping[str, Field]) -> set[int]:
    """The rows with a cell that does not fit its field."""
    found: set[int] = set()
    for name in texts.schema.names:
        # Where the text is the value it is the coercion that reads it, and a column is never refused here.
        if csv_cells.cell(known[name]) is not None and csv_cells.column(known[name], texts.column(name)) is None:
            values = _cells(known[name], texts.column(name))
            found.update(row for row, value in enumerate(values) if isinstance(value, str))
    return found


class _JsonLines:
    def look(self, path: Path, columns: Sequence[str], keep: Sequence[str]) -> Look:
        """Read the file once, from start to end: only its rows say what its columns are."""
        types: dict[str, Any] = {}
        kinds = {name: _Kind(path, name) for name in keep}
        rows = 0
        row_bytes = 0
        for chunk in json_lines.read(path, None, SAMPLE_ROWS, columns):
            row_bytes = max(row_bytes, _memory(chunk[0]))  # one row in so many: counting is slow
            for row in chunk:
                rows += 1
                if not isinstance(row, dict):
                    continue
                for name, value in row.items():
                    types.setdefault(name)
                    if name in kinds:
                        kinds[name].see(value, rows)
        types |= {name: kind.type for name, kind in kinds.items() if name in types}
        widens = frozenset(name for name, kind in kinds.items() if kind.widens)
        return Look(types, rows, row_bytes, typed=False, by_row=True, widens=widens)

    def chunks(self, path: Path, columns: Sequence[str], rows: int) -> Iterator[Any]:
        return json_lines.read(path, None, rows, columns)

    def typed(self, inputs: Any, fields: Sequence[Field]) -> list[Piece]:
        del fields
        return [Piece(None, inputs)]


class _Kind:
    """Finds the one Arrow type that holds all values of a key exactly."""

    _NAMES = ((bool, "bool"), (int, "int"), (float, "float"), (str, "string"))

    def __init__(self, path: Path, name: str) -> None:
        self._where = f"{path}: the kept column {shorten(name)}"
        self._first: dict[str, int] = {}
        self._least = self._most = 0

    def see(self, value: Any, row: int) -> None:
        if value is None:
            return
        kind = next((name for cls, name in self._NAMES if type(value) is cls), None)
        if kind is None:
            raise SourceError(f"{self._where} holds {shorten(value)} in row {row - 1}; only single values can be kept")
        if kind == "int":
            self._least, self._most = min(self._least, value), max(self._most, value)
        if kind not in self._first:
            self._first[kind] = row - 1
            self._agree()

    def _agree(self) -> None:
        if len(self._first) > 1 and set(self._first) != {"int", "float"}:
            found = " and ".join(f"{kind} (row {row})" for kind, row in self._first.items())
            raise SourceError(f"{self._where} must hold values of one type to be kept; it holds {found}")

    @property
    def widens(self) -> bool:
        """Whether float64 holds all of its integers."""
        return max(-self._least, self._most) <= 2**53

    @property
    def type(self) -> Any:
        """The type; the null type where there is no value at all."""
        mixed = len(self._first) > 1
        least, most = (-(2**53), 2**53) if mixed else (-(2**63), 2**63 - 1)
        if not least <= self._least <= self._most <= most:
            held = "a float64 column" if mixed else "an int64 column"
            beyond = self._least if self._least < least else self._most
            raise SourceError(f"{self._where} holds {beyond}, which {held} cannot hold exactly")
        if mixed:
            return pa.float64()
        kinds = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "string": pa.string()}
        return kinds[next(iter(self._first))] if self._first else pa.null()


def _types(path: Path, names: Sequence[str], schema: Any) -> dict[str, Any]:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SourceError(f"{path} has the column {shorten(twice)} twice")
    return {name: schema.field(name).type for name in names}


def _sampled(codec: Any, path: Path, wanted: Sequence[str]) -> int:
    """The bytes of a row among the first rows of a file, as Arrow holds them."""
    sample = next(codec.read(path, (), SAMPLE_ROWS, wanted), None) if wanted else None
    return 0 if sample is None else sample.nbytes // sample.num_rows


def _memory(row: Any) -> int:
    if not isinstance(row, dict):
        return sys.getsizeof(row)
    return sys.getsizeof(row) + sum(map(sys.getsizeof, row.values()))


#: The formats that a source can have.
SOURCES: dict[str, Format] = {"parquet": _Parquet(), "csv": _Csv(), "json-lines": _JsonLines(), "arrow": _Arrow()}


def format_of(path: Path, role: str = "source") -> str:
    """The name of a file's format, by its suffix.

    Args:
        path: the file.
        role: what the file is to the job, in the words of an error.

    Raises:
        SourceError: no format has the suffix of that source.
        SinkError: no format has the suffix of what is to be written.
    """
    for name in SOURCES:
        if path.name.lower().endswith(FORMATS[name].suffixes):
            return name
    known = ", ".join(suffix for name in SOURCES for suffix in FORMATS[name].suffixes)
    refused = SourceError if role == "source" else SinkError
    raise refused(f"the {role} {path}: its name does not say its format; expected it to end in one of {known}")
