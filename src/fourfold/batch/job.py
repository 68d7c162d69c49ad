"""Define a batch job: what is read, which columns pass through, where the answers go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from fourfold.durable.file_urls import local_file
from fourfold.errors import SinkError, SourceError, shorten
from fourfold.jobfile import is_count_or_share, read_job
from fourfold.package import SUFFIX
from fourfold.signature import Extra

__all__ = ["WORK_FOLDER", "Job"]

#: The folder beside an output for a run's other files: staged files, lock, quarantine, report.
WORK_FOLDER = "_fourfold"
#: The default limits of a chunk: wide rows make chunks of fewer rows.
CHUNK_ROWS = 65_536
CHUNK_BYTES = 64 * 2**20
#: The default limit of what a part of a file that is decoded at once takes in memory.
MAX_DECODED_BYTES = 2**30

_PATHS = ("source", "output", "quarantine")
_OPTIONAL = ("quarantine", "package", "repository")


@dataclass(frozen=True)
class Job:
    """Describe a batch run.

    Args:
        source: the rows to predict: a file, a folder of files, or a glob (`**` matches folders), by a path or a
            `file://` URL, as the output and the quarantine; Parquet, CSV, JSON
            lines or Arrow, told by the suffix, all files in one format. They are read in the order of their paths.
        output: the file to write, in the format of its suffix.
        keep: the source columns that pass through: they are copied to the output unchanged, under their own names.
        rename: the input field that a source column holds, where their names differ: `{source column: field}`.
        extra: what becomes of a column, or a key of a row, that is neither an input field nor in `keep`: `ignore`
            leaves it out, `forbid` makes it an error.
        absent: the nullable input fields whose column may be absent from a file: they are missing in every row of it.
        quarantine: the JSON lines file for rows at fault; by default `_fourfold/<output's name>.quarantine.jsonl`
            beside the output. It is only created if there are such rows.
        max_quarantined: how many rows may be quarantined before the run fails: a count (`int`), or a share of all rows
            (`float`, 0.0 to 1.0). `None` allows any number, as long as at least one row is answered.
        chunk_rows: the most rows in memory at once.
        chunk_bytes: about how many bytes of decoded columns a chunk may have; wide rows make chunks of fewer rows.
        max_decoded_bytes: the most bytes that a stored record batch, a page of Parquet, a line or a row may take in
            memory once it is decoded; a few hundred bytes of a file can stand for gigabytes.
        replace: whether an output that exists may be replaced.
        arrays: whether an output with labels, such as the probabilities of classes, is one column of arrays in CSV too;
            otherwise CSV has a column for each label, such as `probability_yes`.
        package: the package to load, a reference or a path; `run` ignores it and takes a loaded package.
        repository: the repository in which the reference is looked up.

    Raises:
        SourceError: a value has the wrong type, or is out of its range, or the source is no path or `file://` URL.
        SinkError: the output, or the quarantine, is none.
    """

    source: str
    output: str
    keep: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    extra: Extra = "ignore"
    absent: tuple[str, ...] = ()
    quarantine: str | None = None
    max_quarantined: int | float | None = None
    chunk_rows: int = CHUNK_ROWS
    chunk_bytes: int = CHUNK_BYTES
    max_decoded_bytes: int = MAX_DECODED_BYTES
    replace: bool = False
    arrays: bool = False
    package: str | None = None
    repository: str | None = None

    def __post_init__(self) -> None:
        for name in _PATHS:
            value = getattr(self, name)
            if isinstance(value, os.PathLike):
                object.__setattr__(self, name, os.fspath(value))
            elif isinstance(value, str):
                error = SourceError if name == "source" else SinkError
                object.__setattr__(self, name, local_file(value, error, f"the job's {name}"))
        problem = self._problem()
        if problem:
            raise SourceError(f"the job's {problem}")
        # Immutable in depth: a job can be shared, and its run key cannot change while it runs.
        object.__setattr__(self, "keep", tuple(self.keep))
        object.__setattr__(self, "absent", tuple(self.absent))
        object.__setattr__(self, "rename", MappingProxyType(dict(self.rename)))

    def _problem(self) -> str | None:
        for name in dict.fromkeys((*_PATHS, *_OPTIONAL)):
            value = getattr(self, name)
            if not (isinstance(value, str) and value) and not (name in _OPTIONAL and value is None):
                return f"{name}: expected {'a path' if name in _PATHS else 'text'}; got {shorten(value)}"
        if not isinstance(self.keep, (list, tuple)) or not all(isinstance(column, str) for column in self.keep):
            return f"keep: expected a list of column names; got {shorten(self.keep)}"
        if len(set(self.keep)) != len(self.keep):
            return f"keep: a column is named twice in {shorten(self.keep, 200)}"
        if self.extra not in ("forbid", "ignore"):
            return f"extra: expected 'forbid' or 'ignore'; got {shorten(self.extra)}"
        if not isinstance(self.absent, (list, tuple)) or not all(isinstance(name, str) for name in self.absent):
            return f"absent: expected a list of fields; got {shorten(self.absent)}"
        if not isinstance(self.rename, Mapping) or not all(isinstance(name, str) for name in _names(self.rename)):
            return f"rename: expected source columns with the fields that they hold; got {shorten(self.rename)}"
        if len(set(self.rename.values())) != len(self.rename):
            return f"rename: two columns are to be one field in {shorten(dict(self.rename), 200)}"
        for name in ("chunk_rows", "chunk_bytes", "max_decoded_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                return f"{name}: expected an integer of at least 1; got {shorten(value)}"
        for name in ("replace", "arrays"):
            if not isinstance(getattr(self, name), bool):
                return f"{name}: expected true or false; got {shorten(getattr(self, name))}"
        if self.max_quarantined is not None and not is_count_or_share(self.max_quarantined):
            expected = "a count of rows (an integer of at least 0) or a share of them (from 0.0 to 1.0)"
            return f"max_quarantined: expected {expected}; got {shorten(self.max_quarantined)}"
        return None

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], **given: Any) -> Job:
        """Read a job from a TOML file whose keys are the arguments of `Job`.

        Paths in it count from the folder of the file, so a job means the same from every working directory.

        Args:
            path: the file.
            **given: arguments of `Job` that take precedence over the file.

        Raises:
            SourceError: the file cannot be read, is not TOML, has an unknown key or lacks a required one, or a value
                does not fit.
        """
        return read_job(path, cls, given, is_path=_is_path)

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON values, in the order of its arguments."""
        values = {argument.name: getattr(self, argument.name) for argument in fields(self)}
        return values | {"keep": list(self.keep), "rename": dict(self.rename), "absent": list(self.absent)}


def _is_path(key: str, value: str) -> bool:
    """Tell whether the value of a key of a job file is a path, not a reference to a package or a URL."""
    return (
        (key in _PATHS and "://" not in value)
        or (key == "repository" and "://" not in value)
        or (key == "package" and "://" not in value and ("/" in value or value.endswith(SUFFIX)))
    )


def _names(mapping: Mapping[Any, Any]) -> list[Any]:
    return [*mapping.keys(), *mapping.values()]
