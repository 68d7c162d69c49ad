"""Check what files need: a folder for temporary ones, room, and the settings of limits."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from fourfold.checks import Check, Readers
from fourfold.durable.locks import LOCK_TIMEOUT_VARIABLE, lock_timeout_s
from fourfold.durable.reading import MAX_FILE_VARIABLE, max_file_bytes

__all__ = ["READERS", "check_room", "check_temporary_folder", "existing_folder", "write_problem"]

READERS: Readers = {LOCK_TIMEOUT_VARIABLE: lock_timeout_s, MAX_FILE_VARIABLE: max_file_bytes}
#: The least room that a disk should have: packages, their copies and outputs in progress are written there.
MIN_FREE_BYTES = 2**30
#: The variables that name the folder of temporary files, in the order in which Python looks at them.
_TEMPORARY_VARIABLES = ("TMPDIR", "TEMP", "TMP")


def check_temporary_folder() -> Iterator[Check]:
    """Yield whether temporary files can be written, in the folder that is named for them."""
    named = next(((name, os.environ[name]) for name in _TEMPORARY_VARIABLES if os.environ.get(name)), None)
    if named is not None:
        problem = write_problem(Path(named[1]))
        if problem is not None:
            text = f"${named[0]} names {named[1]}, which cannot be written: {problem}"
            yield Check("temporary files", "problem", text, f"unset {named[0]}")
            return
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        yield Check("temporary files", "problem", str(error.strerror or error), "export TMPDIR=/path/to/a/folder")
        return
    problem = write_problem(folder)
    if problem is None:
        yield Check("temporary files", "ok", f"{folder} can be written")
    else:
        text = f"{folder} cannot be written: {problem}"
        yield Check("temporary files", "problem", text, "export TMPDIR=/path/to/a/folder")


def check_room(folders: Iterable[Path], min_free_bytes: int = MIN_FREE_BYTES) -> Iterator[Check]:
    """Yield for each disk of some folders, which need not exist, whether it has room.

    Args:
        folders: the folders.
        min_free_bytes: the least room that is enough.
    """
    seen = set()
    for folder in folders:
        existing = existing_folder(folder)
        device = existing.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        free_bytes = shutil.disk_usage(existing).free
        text = f"{free_bytes / 2**30:,.1f} GiB are free at {existing}"
        if free_bytes >= min_free_bytes:
            yield Check("room", "ok", text)
        else:
            yield Check("room", "problem", f"{text}; {min_free_bytes / 2**30:,.1f} GiB are wanted: free some room")


def existing_folder(path: Path) -> Path:
    """Return the folder itself, or the nearest one above it that exists."""
    folder = path.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return folder


def write_problem(folder: Path) -> str | None:
    """Return why no file can be written in a folder; `None` where one can, and was removed again."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".fourfold-check-") as file:
            file.write(b"\0")
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return None
