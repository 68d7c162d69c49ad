"""Read a job from a TOML file, and parse and check limits that are a count or a share."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeGuard, TypeVar

from fourfold.durable.reading import read_file
from fourfold.errors import SourceError, shorten

__all__ = ["is_count_or_share", "parse_count_or_share", "read_job"]

#: The longest job file; a job has some twenty lines.
MAX_JOB_BYTES = 2**20


class _Dataclass(Protocol):
    """Describe an instance of any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


_Job = TypeVar("_Job", bound=_Dataclass)


def is_count_or_share(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a count (an `int` of at least 0) or a share (a `float` from 0.0 to 1.0)."""
    if isinstance(value, float):
        return 0.0 <= value <= 1.0
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def parse_count_or_share(text: str) -> int | float:
    """Parse a count or a share: a share where the text has a decimal point, a count otherwise.

    The range is not checked here: `is_count_or_share` checks it when the job is built, wherever the value came from.

    Raises:
        ValueError: the text is no number.
    """
    return float(text) if "." in text else int(text)


def read_job(
    path: str | os.PathLike[str],
    job_type: type[_Job],
    overrides: Mapping[str, Any],
    *,
    is_path: Callable[[str, str], bool],
) -> _Job:
    """Build a job from a TOML file that has the fields of the job's class as its keys.

    Relative paths in the file count from the file's folder, so a job means the same from every working directory.

    Args:
        path: the TOML file.
        job_type: the class of the job, a dataclass that raises `SourceError` where a value does not fit.
        overrides: arguments of `job_type` that take precedence over the file.
        is_path: tells from a key and its text whether the text is a path.

    Raises:
        SourceError: the file cannot be read, is not TOML, has an unknown key or lacks a required one, or a value does
            not fit.
    """
    path = Path(path)
    try:
        data = tomllib.loads(read_file(path, MAX_JOB_BYTES).decode())
    except OSError as error:
        raise SourceError(f"cannot read the job {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or nested without an end
        raise SourceError(f"the job {path} is not TOML: {shorten(str(error), 200)}") from error
    keys = [field.name for field in fields(job_type)]
    for key in data:
        if key not in keys:
            raise SourceError(f"the job {path} has a key {shorten(key)}; expected {', '.join(keys)}")
    values = {
        # An empty path stays empty, so that the job refuses it.
        key: str(path.parent / value) if isinstance(value, str) and value and is_path(key, value) else value
        for key, value in data.items()
    }
    values |= overrides
    for field in fields(job_type):
        is_required = field.default is MISSING and field.default_factory is MISSING
        if is_required and field.name not in values:
            raise SourceError(f"the job {path} lacks the key {field.name}; it has {shorten(list(data), 200)}")
    try:
        return job_type(**values)
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error
