"""Write files that survive a crash or a power cut, and lock them: the only place of fsync and flock.

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
    "hold_lock",
    "lock_handle",
    "make_folder",
    "sync_file",
    "sync_folder",
    "sync_handle",
    "take_lock",
    "temporary_file",
    "temporary_path",
    "unlock_and_remove",
    "write_file",
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


def lock_handle(handle: int, *, wait: bool = False) -> None:
    """Take the exclusive lock of an open file; the system frees it when the file is closed or the process dies.

    The lock belongs to the open file, not to the process: threads that open the file twice exclude each other.

    Raises:
        BlockingIOError: somebody else has the lock, and `wait` is false.
        OSError: the file system has no locks.
    """
    import fcntl  # not on Windows, which can read packages without locks

    fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def take_lock(path: Path, *, wait: bool = False) -> int | None:
    """Take the lock of a lock file, which is made where it is missing.

    Returns:
        A handle that holds the lock until it is closed; `None` where somebody else has it and `wait` is false.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            lock_handle(handle, wait=wait)
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(handle)
            raise
        # The last holder removed the file after it was opened here: this lock excludes nobody any more.
        os.close(handle)


def unlock_and_remove(handle: int, path: Path) -> None:
    """Free the lock that `take_lock` took, and remove its file."""
    path.unlink(missing_ok=True)  # while the lock is held: whoever opened the file before notices in `take_lock`
    os.close(handle)


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a lock file for the block; wait for it as long as it takes. The file stays."""
    handle = take_lock(path, wait=True)
    assert handle is not None
    try:
        yield
    finally:
        os.close(handle)
