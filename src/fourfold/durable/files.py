"""Write files that survive a crash or a power cut: the only place of fsync.

A file appears under its name complete or not at all, in these steps:

1. write a temporary file on the same file system, and fsync it: else a power cut could leave a name without its bytes;
2. rename it, or link it where an existing file must not be replaced; both are atomic;
3. fsync the folder, which holds the name.

Every function raises `OSError`; callers turn it into their own errors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "create_file",
    "make_folder",
    "make_private_folder",
    "sync_file",
    "sync_folder",
    "sync_handle",
    "temporary_file",
    "temporary_path",
    "write_file",
    "write_new_file",
]


def write_file(path: Path, data: bytes, temporary: Path, *, replace: bool) -> None:
    """Write a file atomically and durably.

    Args:
        path: the file.
        data: its bytes.
        temporary: where to write them first: a free name on the same file system.
        replace: whether to replace a file that exists.

    Raises:
        FileExistsError: `path` or `temporary` exists; nothing was changed.
        OSError: the file cannot be written, or a sync fails. After a failed sync of the folder the file is there, but
            may not survive a power cut.
    """
    with temporary_file(temporary, data):
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)  # never replaces, unlike a rename
    sync_folder(path.parent)


@contextmanager
def temporary_file(path: Path, data: bytes) -> Iterator[None]:
    """Write a new file, synced to the disk, and remove it at the end of the block unless it was renamed.

    Raises:
        FileExistsError: there is a file of that name.
    """
    create_file(path, data)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            path.unlink(missing_ok=True)
        raise
    path.unlink(missing_ok=True)


def create_file(path: Path, data: bytes) -> None:
    """Write a new file and sync its bytes to the disk; its name is durable after `sync_folder`.

    Args:
        path: the file; a symbolic link of that name is not followed.
        data: its bytes.

    Raises:
        FileExistsError: there is a file of that name.
        OSError: it cannot be written; nothing is left of it.
    """
    # Not `mkstemp`, whose files only their owner can read: here the umask decides.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def write_new_file(path: Path, data: bytes) -> None:
    """Write a new file for its owner alone, without a sync: for copies that only save time.

    Raises:
        FileExistsError: there is a file or a symbolic link of that name.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def temporary_path(path: Path) -> Path:
    """Return a hidden name beside `path` that nobody else uses."""
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}")


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, durably; do nothing where it exists."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def make_private_folder(path: Path) -> None:
    """Make a folder and its missing parents, each for its owner alone; do nothing where it exists."""
    if path.is_dir():
        return
    make_private_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def sync_file(path: Path) -> None:
    """Sync a file's bytes to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_handle(handle: int) -> None:
    """Sync the bytes of an open file to the disk."""
    os.fsync(handle)


def sync_folder(path: Path) -> None:
    """Sync the names in a folder to the disk: of files made, renamed or removed there."""
    if os.name == "posix":  # Windows cannot open folders
        sync_file(path)
