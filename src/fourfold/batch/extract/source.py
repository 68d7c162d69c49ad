"""Extracting: a source's files, checked before the first row is scored, and their rows in chunks of bounded memory."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from fourfold.batch.extract.formats import SOURCES, Look, Piece, format_of
from fourfold.batch.extract.type_compatibility import can_hold
from fourfold.batch.job import WORK_FOLDER
from fourfold.batch.transform.columns import Choice
from fourfold.errors import DecodeError, SourceError, shorten

__all__ = ["Chunk", "Pin", "Source", "find_files"]

#: The problems that one message lists.
SHOWN = 5


@dataclass(frozen=True)
class Pin:
    """What a file was when the run began; another file, or the same one changed, has another pin.

    Attributes:
        path: the file.
        size: its bytes.
        modified_ns: when it was last written to, in nanoseconds from 1970.
        inode: its number on its filesystem.
    """

    path: str
    size: int
    modified_ns: int
    inode: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Pin:
        """The pin of a file as it is now.

        Raises:
            SourceError: it cannot be looked at, or is no regular file.
        """
        try:
            found = Path(path).stat()
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
        if not stat.S_ISREG(found.st_mode):  # a pipe, say, which could be read only once
            raise SourceError(f"{path} is no regular file; a source is read twice, and must stay as it is")
        return cls(os.fspath(path), found.st_size, found.st_mtime_ns, found.st_ino)

    def to_json(self) -> dict[str, Any]:
        """The pin as JSON values."""
        return {"path": self.path, "size": self.size, "modified_ns": self.modified_ns, "inode": self.inode}


@dataclass(frozen=True)
class Chunk:
    """Some rows of a source file, as they came.

    Attributes:
        file: the file.
        start: the number of the first row in that file, from 0.
        table: the rows: a `RecordBatch`, or a list of rows.
    """

    file: str
    start: int
    table: Any


def find_files(source: str) -> list[Path]:
    """The files that a source names, in the order of their paths.

    Args:
        source: a file, a folder or a glob.

    Raises:
        SourceError: there are none, they have more than one format, or a folder holds something else.
    """
    path = Path(source)
    if path.is_dir():
        files = _folder(path)
    elif path.exists() or not glob.has_magic(source):
        files = [path]
    else:
        # What runs leave beside their outputs is never an input.
        # Not `Path.glob`: that refuses absolute patterns.
        found = (Path(each) for each in glob.glob(source, recursive=True))  # noqa: PTH207
        files = sorted(each for each in found if WORK_FOLDER not in each.parts and not each.is_dir())
    if not files:
        raise SourceError(f"the source {source} holds no file")
    by_format: dict[str, Path] = {}
    for file in files:
        by_format.setdefault(format_of(file), file)
    if len(by_format) > 1:
        shown = ", ".join(f"{name} ({file})" for name, file in by_format.items())
        raise SourceError(f"the files of a source must have one format; {source} holds {shown}")
    return files


def _folder(path: Path) -> list[Path]:
    # As the readers of data folders do: names that begin with a dot or an underscore are somebody's notes.
    entries = sorted(each for each in path.iterdir() if each.name[0] not in "._")
    for entry in entries:
        if entry.is_dir():
            raise SourceError(
                f"the source {path} holds the folder {entry.name}; name the files that are meant with a glob, such as "
                f"{path / '**' / '*.parquet'}"
            )
    return entries


class Source:
    """Files of one format that hold what a job takes.

    Args:
        files: the files, in the order in which they are read.
        choice: what is taken of them.

    Attributes:
        pins: what the files were when the run began.
        kept: the Arrow schema of the columns that pass through.
        absent: the names of the fields whose columns are in no file; all of them may be missing.
        rows: how many rows there are, or `None` where only reading them all would say it.

    Raises:
        SourceError: a file cannot be read or does not hold what is taken.
    """

    def __init__(self, files: Sequence[Path], choice: Choice) -> None:
        self._choice = choice
        self._format = SOURCES[format_of(files[0])]
        self.pins = [Pin.of(file) for file in files]
        self._looks = [self._look(pin) for pin in self.pins]
        self._check()
        stored = self._stored()
        self.absent = tuple(field.name for column, field in choice.fields.items() if column not in stored)
        self._columns = [column for column in choice.columns if column in stored]
        self.kept = self._kept_schema()
        counts = [look.rows for look in self._looks]
        self.rows = None if None in counts else sum(count or 0 for count in counts)

    def _look(self, pin: Pin) -> Look:
        try:
            return self._format.look(Path(pin.path), self._choice.columns, self._choice.keep)
        except DecodeError as error:
            raise SourceError(str(error)) from error

    def _stored(self) -> set[str]:
        return {name for look in self._looks for name in look.types}

    def _check(self) -> None:
        somewhere = self._stored()
        problems = [
            f"{pin.path}: {problem}"
            for pin, look in zip(self.pins, self._looks, strict=True)
            for problem in self._problems(look, somewhere)
        ]
        if not problems and somewhere and somewhere.isdisjoint(self._choice.fields):
            names = ", ".join(map(shorten, self._choice.fields))
            problems.append(f"{self.pins[0].path}: expected a column of {names}, got {_nothing('', self._looks[0])}")
        if problems:
            more = f"\n… and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
            raise SourceError("\n".join(problems[:SHOWN]) + more)

    def _problems(self, look: Look, somewhere: set[str]) -> Iterator[str]:
        """What keeps one file from being read, a sentence each."""
        if look.by_row and look.rows == 0:
            return
        for column, field in self._choice.fields.items():
            named = f"column {shorten(column)}" + (
                "" if column == field.name else f" (the field {shorten(field.name)})"
            )
            if column not in look.types:
                # One file of several without a column that may be missing: a column was lost, or got another name.
                lost = column in somewhere and not look.by_row
                if not field.nullable or lost or _variant(column, look.types):
                    yield f"{named}: expected {field.expected}, got {_nothing(column, look)}"
            elif look.typed and look.rows != 0 and not can_hold(look.types[column], field):
                yield f"{named}: expected {field.expected}, got {look.types[column]}"
        for column in self._choice.keep:
            if column not in look.types and not (look.by_row and column in somewhere):
                yield f"column {shorten(column)}, which is to be kept: got {_nothing(column, look)}"

    def _kept_schema(self) -> Any:
        kept = [pa.field(name, self._kept_type(name)) for name in self._choice.keep]
        return pa.schema(kept)

    def _kept_type(self, name: str) -> Any:
        """The type that a kept column has in every file; where all of it is null in one, that of the others."""
        found: dict[Any, str] = {}
        for pin, look in zip(self.pins, self._looks, strict=True):
            kind = look.types.get(name, pa.null())
            if not pa.types.is_null(kind):
                found.setdefault(kind, pin.path)
        if len(found) < 2:
            return next(iter(found), pa.null())
        whole = (name in look.widens for look in self._looks if look.types.get(name) == pa.int64())
        if set(found) == {pa.int64(), pa.float64()} and all(whole):
            return pa.float64()
        (kind, where), (other, path) = list(found.items())[:2]
        raise SourceError(f"{path}: column {shorten(name)}, which is kept: expected {kind} as in {where}, got {other}")

    def chunks(self, chunk_rows: int, chunk_bytes: int) -> Iterator[Chunk]:
        """All rows, file by file, in order.

        Args:
            chunk_rows: the most rows of a chunk.
            chunk_bytes: about the most bytes of a chunk in memory.

        Raises:
            SourceError: a file cannot be read, is damaged, or is not the one that the run began with.
        """
        for pin, look in zip(self.pins, self._looks, strict=True):
            self._check_pin(pin)
            rows = min(chunk_rows, max(1, chunk_bytes // max(look.row_bytes, 1)))
            start = 0
            try:
                for table in self._format.chunks(Path(pin.path), self._columns, rows):
                    yield Chunk(pin.path, start, table)
                    start += len(table)
            except DecodeError as error:
                self._check_pin(pin)  # what changed meanwhile is the better reason
                raise SourceError(str(error)) from error

    def inputs(self, chunk: Chunk) -> list[Piece]:
        """The input fields of a chunk, for the predictor."""
        choice = self._choice
        return self._format.typed(choice.inputs(chunk.table), list(choice.fields.values()))

    def passed(self, chunk: Chunk) -> list[Any]:
        """The columns of a chunk that pass through, as Arrow arrays of the types in `kept`."""
        return self._choice.kept(chunk.table, self.kept)

    def as_they_came(self, chunk: Chunk, rows: Sequence[int]) -> list[Any]:
        """Rows of a chunk, of the columns that were read, as plain values or their text."""
        if isinstance(chunk.table, list):
            came: list[Any] = [chunk.table[row] for row in rows]
            return came
        taken = chunk.table.take(pa.array(rows, type=pa.int64()))
        names = taken.schema.names
        columns = [_readable(column) for column in taken.columns]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def check_unchanged(self) -> None:
        """Make sure that the files are still those that the run began with.

        Raises:
            SourceError: one has changed or gone.
        """
        for pin in self.pins:
            self._check_pin(pin)

    def _check_pin(self, pin: Pin) -> None:
        now = Pin.of(pin.path)
        if now != pin:
            raise SourceError(
                f"{pin.path} has changed since the run began: it was {_pinned(pin)}, and is {_pinned(now)}; nothing "
                f"was written, so run it again on files that stay as they are"
            )


def _readable(column: Any) -> list[Any]:
    """The values of a column as Python has them, and as text where it does not (nanoseconds, years beyond 9999)."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    try:
        if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
            column = column.cast(kind).cast(pa.string())
        values: list[Any] = column.to_pylist()
    except (pa.ArrowException, ValueError, OverflowError):
        values = [str(value) if value.is_valid else None for value in column]
    return values


def _pinned(pin: Pin) -> str:
    return f"{pin.size} bytes, modified_ns {pin.modified_ns}, inode {pin.inode}"


def _variant(column: str, names: Any) -> str | None:
    return next((name for name in names if name.casefold() == column.casefold()), None)


def _nothing(column: str, look: Look) -> str:
    variant = _variant(column, look.types)
    if variant is not None:
        return f"no such column, but {shorten(variant)}: `rename` can say that it is meant"
    return f"no such column; it has {', '.join(map(shorten, list(look.types)[:12]))}"
