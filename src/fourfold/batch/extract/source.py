"""Find a source's files, check them before the first row is predicted, and read their rows in chunks."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from fourfold.batch.extract.common_type import common_type
from fourfold.batch.extract.formats import SOURCE_FORMATS, ChunkPart, FileInfo, detect_format
from fourfold.batch.job import WORK_FOLDER
from fourfold.batch.transform.columns import ColumnMapping
from fourfold.codecs import DEFAULT_BOUNDS, Bounds, json_lines
from fourfold.errors import DecodeError, SourceError, shorten
from fourfold.signature.column_sizes import decoded_size
from fourfold.signature.first_records import MAX_FIRST_RECORDS, describe_lacking
from fourfold.signature.similar_names import did_you_mean, similar_name
from fourfold.signature.table_columns import absent_advice, describe_columns
from fourfold.signature.type_compatibility import can_hold

__all__ = ["Chunk", "FileState", "SourceFiles", "find_source_files"]

#: The most problems that one error message lists.
MAX_PROBLEMS_SHOWN = 5
#: The most names of a folder among which a misspelt one is searched.
MAX_NAMES_SEARCHED = 1_000
#: The rows that are read at once of a column of another type, to see whether it has any value.
EMPTY_CHUNK_ROWS = 65_536
#: How a job, or the command line, says that a column is absent.
_ADVICE = "absent = [{0!r}] in the job, or --absent {0}"


@dataclass(frozen=True)
class FileState:
    """Identify a file's content without reading it: a file that changes gets another state.

    Attributes:
        path: the file.
        size: its size in bytes.
        modified_ns: the time of its last change, in nanoseconds from 1970.
        inode: its number on its filesystem.
    """

    path: str
    size: int
    modified_ns: int
    inode: int

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> FileState:
        """Return the state of a file now.

        Raises:
            SourceError: its state cannot be read, or it is not a regular file.
        """
        try:
            status = Path(path).stat()
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
        if not stat.S_ISREG(status.st_mode):  # a pipe, for example, can be read only once
            raise SourceError(f"{path} is no regular file; a source is read twice, and must stay as it is")
        return cls(os.fspath(path), status.st_size, status.st_mtime_ns, status.st_ino)

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {"path": self.path, "size": self.size, "modified_ns": self.modified_ns, "inode": self.inode}


@dataclass(frozen=True)
class Chunk:
    """Hold some rows of a source file, unchanged.

    Attributes:
        file: the path of the file.
        start: the index of the chunk's first row in that file, from 0.
        table: the rows: a `RecordBatch`, or a list of rows.
    """

    file: str
    start: int
    table: Any


def find_source_files(source: str) -> list[Path]:
    """Return the files of a source, sorted by path.

    Args:
        source: a file, a folder or a glob.

    Raises:
        SourceError: there are none, they have more than one format, or a folder contains another folder.
    """
    path = Path(source)
    if path.is_dir():
        files = _files_in(path)
    elif path.exists():
        files = [path]
    elif not glob.has_magic(source):
        raise SourceError(f"there is no file and no folder {source}{_similar_path(path)}")
    else:
        # Not `Path.glob`, which refuses absolute patterns. Other runs' work folders hold no input.
        matches = (Path(match) for match in glob.glob(source, recursive=True))  # noqa: PTH207
        files = sorted(match for match in matches if WORK_FOLDER not in match.parts and not match.is_dir())
    if not files:
        what = "has no file in it" if path.is_dir() else "matches no file"
        raise SourceError(f"the source {source} {what}")
    first_by_format: dict[str, Path] = {}
    for file in files:
        first_by_format.setdefault(detect_format(file), file)
    if len(first_by_format) > 1:
        formats = ", ".join(f"{name} ({file})" for name, file in first_by_format.items())
        raise SourceError(f"the files of a source must have one format; {source} holds {formats}")
    return files


def _similar_path(path: Path) -> str:
    """Return the path that may be meant, as the rest of a sentence; or the folder that is the first to be missing."""
    missing = next((parent for parent in reversed(path.parents) if not parent.is_dir()), None)
    if missing is not None:
        return f": the folder {missing} is not there"
    try:
        names = [entry.name for entry in islice(path.parent.iterdir(), MAX_NAMES_SEARCHED)]
    except OSError:  # it may be entered, but not listed
        return ""
    similar = similar_name(path.name, names)
    return "" if similar is None else f"; did you mean {path.parent / similar}?"


def _files_in(folder: Path) -> list[Path]:
    # Hive's convention, which pyarrow and Spark follow: names that begin with a dot or an underscore are no data.
    entries = sorted(entry for entry in folder.iterdir() if entry.name[0] not in "._")
    for entry in entries:
        if entry.is_dir():
            raise SourceError(
                f"the source {folder} holds the folder {entry.name}; name the files that are meant with a glob, such "
                f"as {folder / '**' / '*.parquet'}"
            )
    return entries


class SourceFiles:
    """Read a job's source: files of one format that have the columns that the job takes.

    Args:
        files: the files, in the order in which they are read.
        mapping: the columns that the job takes.
        bounds: what a record batch, a page or a row may take once it is decoded.

    Attributes:
        states: the state of each file when the run began.
        passthrough_schema: the Arrow schema of the pass-through columns.
        absent: the names of the input fields whose columns are in no file; all of them are nullable.
        rows: the number of rows, or `None` where only reading them all would tell.

    Raises:
        SourceError: a file cannot be read or lacks a column that the job takes.
    """

    def __init__(self, files: Sequence[Path], mapping: ColumnMapping, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self._bounds = bounds
        self._mapping = mapping
        self._format = SOURCE_FORMATS[detect_format(files[0])]
        self.states = [FileState.read(file) for file in files]
        self._infos = [self._inspect(state) for state in self.states]
        self._check_columns()
        self._check_first_rows()
        stored = self._stored_columns()
        self.absent = tuple(field.name for column, field in mapping.fields.items() if column not in stored)
        self._columns = [column for column in mapping.columns if column in stored]
        self.passthrough_schema = pa.schema(
            [pa.field(name, self._passthrough_type(name)) for name in mapping.passthrough]
        )
        row_counts = [info.rows for info in self._infos]
        self.rows = None if None in row_counts else sum(count or 0 for count in row_counts)

    def _inspect(self, state: FileState) -> FileInfo:
        try:
            return self._format.inspect(
                Path(state.path), self._mapping.columns, self._mapping.passthrough, self._bounds
            )
        except DecodeError as error:
            raise SourceError(str(error)) from error

    def _stored_columns(self) -> set[str]:
        return {name for info in self._infos for name in info.types}

    def _check_columns(self) -> None:
        stored = self._stored_columns()
        problems = [
            f"{state.path}: {problem}"
            for state, info in zip(self.states, self._infos, strict=True)
            for problem in self._file_problems(Path(state.path), info, stored)
        ]
        if problems:
            hidden = len(problems) - MAX_PROBLEMS_SHOWN
            more = f"\n… and {hidden} more" if hidden > 0 else ""
            raise SourceError("\n".join(problems[:MAX_PROBLEMS_SHOWN]) + more)

    def _check_first_rows(self) -> None:
        """Check that the first rows of JSON lines, together, have every field that the job does not call absent.

        Raises:
            SourceError: one is in none of them.
        """
        if not self._infos[0].is_schemaless:
            return
        keys: dict[str, None] = {}
        count = 0
        for state in self.states:
            if count < MAX_FIRST_RECORDS:
                more, rows = json_lines.first_keys(state.path, MAX_FIRST_RECORDS - count, self._bounds)
                keys, count = keys | more, count + rows
        problem = describe_lacking(
            self._mapping.fields,
            keys,
            absent=self._mapping.absent,
            kept=self._mapping.passthrough,
            count=count,
            record="row",
        )
        if problem is not None:
            raise SourceError(f"{self.states[0].path}: {problem}")

    def _file_problems(self, path: Path, info: FileInfo, stored: set[str]) -> Iterator[str]:
        """Yield a sentence for each reason why a file cannot be read; `stored` are the columns of all files."""
        if info.is_schemaless and info.rows == 0:
            return
        if (info.types or not info.is_schemaless) and info.types.keys().isdisjoint(self._mapping.fields):
            header = "a first line with the columns' names, " if info.has_header else "a column of "
            yield f"expected {header}{_listed(self._mapping.fields)}; it has {_listed(info.types) or 'no column'}"
            return
        for column, field in self._mapping.fields.items():
            label = f"column {shorten(column)}"
            if column != field.name:
                label += f" (the field {shorten(field.name)})"
            if column not in info.types:
                # A key that a row lacks is missing; a table that lacks a column has lost or renamed it.
                variant = _in_other_case(column, info)
                may_lack = field.name in self._mapping.absent or (info.is_schemaless and not variant)
                if not field.nullable or not may_lack:
                    advice = "" if variant else absent_advice(field, _ADVICE)
                    yield f"{label}: expected {field.expected}, got {_columns_of(info, column)}{advice}"
            elif (
                info.has_types
                and not (info.rows == 0 and pa.types.is_null(info.types[column]))
                and not can_hold(info.types[column], field)
                and not (field.nullable and self._is_empty(path, column))
            ):
                yield f"{label}: expected {field.expected}, got {info.types[column]}"
        if self._mapping.extra == "forbid" and not info.is_schemaless:
            taken = set(self._mapping.columns)
            for column in info.types:
                if column not in taken:
                    similar = did_you_mean(column, self._mapping.fields)
                    yield f"column {shorten(column)}: it is no field{similar} and not kept, and extra is 'forbid'"
        for column in self._mapping.passthrough:
            if column not in info.types and not (info.is_schemaless and column in stored):
                yield f"column {shorten(column)}, which is to be kept: got {_columns_of(info, column)}"

    def _is_empty(self, path: Path, column: str) -> bool:
        """Return whether a column has no value in any row: pandas writes floats then, whatever it stands for.

        It is read, and not looked up in the file's statistics: pyarrow's view of a damaged footer ends the process.
        """
        chunks = self._format.read_chunks(path, [column], EMPTY_CHUNK_ROWS, self._bounds)
        return all(chunk.column(0).null_count == chunk.num_rows for chunk in chunks)

    def _passthrough_type(self, name: str) -> Any:
        """Return the Arrow type that holds a pass-through column of every file; where it is all null does not count."""
        first_paths: dict[Any, str] = {}  # by type
        for state, info in zip(self.states, self._infos, strict=True):
            arrow_type = info.types.get(name, pa.null())
            if not pa.types.is_null(arrow_type):
                first_paths.setdefault(arrow_type, state.path)
        if len(first_paths) < 2:
            return next(iter(first_paths), pa.null())
        int64_files = (info for info in self._infos if info.types.get(name) == pa.int64())
        if set(first_paths) == {pa.int64(), pa.float64()} and all(name in info.float64_safe for info in int64_files):
            return pa.float64()
        common = common_type(list(first_paths))
        if common is not None:
            return common
        (arrow_type, path), (other_type, other_path) = list(first_paths.items())[:2]
        problem = f"expected {arrow_type} as in {path}, got {other_type}; no one type holds both exactly"
        raise SourceError(f"{other_path}: column {shorten(name)}, which is kept: {problem}")

    def chunks(self, chunk_rows: int, chunk_bytes: int) -> Iterator[Chunk]:
        """Yield all rows in order, file by file.

        Args:
            chunk_rows: the most rows of a chunk.
            chunk_bytes: about the most bytes of a chunk in memory.

        Raises:
            SourceError: a file cannot be read, is damaged, or has changed since the run began.
        """
        for state, info in zip(self.states, self._infos, strict=True):
            self._check_state(state)
            rows = min(chunk_rows, max(1, chunk_bytes // max(info.row_bytes, 1)))
            start = 0
            try:
                columns: list[str] | None = None
                if not (info.is_schemaless and self._mapping.extra == "forbid"):
                    columns = [name for name in self._columns if info.is_schemaless or name in info.types]
                for table in self._format.read_chunks(Path(state.path), columns, rows, self._bounds):
                    for part in self._unfoldable(table, f"{state.path}, row {start} or later"):
                        yield Chunk(state.path, start, part)
                        start += len(part)
            except DecodeError as error:
                self._check_state(state)  # a file that changed while it was read is the better reason
                raise SourceError(str(error)) from error

    def _unfoldable(self, table: Any, where: str) -> Iterator[Any]:
        """Yield a chunk in parts whose columns may take a value of their own for each row, within the bounds.

        Raises:
            TooLarge: a row alone is over them.
        """
        fields = list(self._mapping.fields.values())
        parts = [table]
        while parts:
            part = parts.pop()
            if not isinstance(part, list):
                size = decoded_size(self._mapping.inputs(part), fields, self._bounds.max_decoded_bytes)
                if size > self._bounds.max_decoded_bytes:
                    if len(part) < 2:
                        self._bounds.check_bytes(size, f"{where}: a row that")
                    half = len(part) // 2
                    parts += [part.slice(half), part.slice(0, half)]  # the first half is popped first
                    continue
            yield part

    def inputs(self, chunk: Chunk) -> list[ChunkPart]:
        """Return the input fields of a chunk, for the predictor."""
        return self._format.parse_inputs(self._mapping.inputs(chunk.table), list(self._mapping.fields.values()))

    def passthrough(self, chunk: Chunk) -> list[Any]:
        """Return the pass-through columns of a chunk, as Arrow arrays of the types in `passthrough_schema`."""
        return self._mapping.passthrough_columns(chunk.table, self.passthrough_schema)

    def original_rows(self, chunk: Chunk, rows: Sequence[int]) -> list[Any]:
        """Return rows of a chunk, with all columns that were read, as plain values or their text."""
        if isinstance(chunk.table, list):
            originals: list[Any] = [chunk.table[row] for row in rows]
            return originals
        batch = chunk.table.take(pa.array(rows, type=pa.int64()))
        names = batch.schema.names
        columns = [_plain_values(column) for column in batch.columns]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def check_unchanged(self) -> None:
        """Check that the files are those that the run began with.

        Raises:
            SourceError: one has changed or is gone.
        """
        for state in self.states:
            self._check_state(state)

    def _check_state(self, state: FileState) -> None:
        now = FileState.read(state.path)
        if now != state:
            raise SourceError(
                f"{state.path} has changed since the run began: it was {_state_text(state)}, and is "
                f"{_state_text(now)}; nothing was written, so run it again on files that stay as they are"
            )


def _plain_values(column: Any) -> list[Any]:
    """Return an Arrow column as Python values, or as text where Python has none (nanoseconds, years beyond 9999)."""
    arrow_type = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    try:
        if pa.types.is_temporal(arrow_type) or pa.types.is_decimal(arrow_type):
            column = column.cast(arrow_type).cast(pa.string())
        values: list[Any] = column.to_pylist()
    except (pa.ArrowException, ValueError, OverflowError):
        values = [str(value) if value.is_valid else None for value in column]
    return values


def _state_text(state: FileState) -> str:
    return f"{state.size} bytes, modified_ns {state.modified_ns}, inode {state.inode}"


def _in_other_case(column: str, info: FileInfo) -> str | None:
    """Return the file's column that differs from `column` in upper and lower case only, or `None`."""
    return next((name for name in info.types if name.casefold() == column.casefold()), None)


def _columns_of(info: FileInfo, missing: str) -> str:
    """Describe the columns that a file has instead of the missing one."""
    variant = _in_other_case(missing, info)
    if variant is not None:
        return f"no such column, but {shorten(variant)}: `rename` can say that it is meant"
    return describe_columns(list(info.types), missing)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(shorten, islice(names, 12)))
