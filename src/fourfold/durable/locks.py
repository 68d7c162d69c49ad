"""Lock files between processes and threads: the only place of flock. Every wait has an end.

Every function raises `OSError`; callers turn it into their own errors.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fourfold.durable.reading import kind_of
from fourfold.environment import read_number

__all__ = [
    "LOCK_TIMEOUT_S",
    "LOCK_TIMEOUT_VARIABLE",
    "describe_holder",
    "hold_lock",
    "lock_handle",
    "lock_timeout_s",
    "take_lock",
    "unlock_and_remove",
]

#: How long to wait for a lock, in seconds, unless the environment says otherwise. Locks are held for milliseconds.
LOCK_TIMEOUT_S = 5.0
#: The environment variable that sets another number of seconds, and the most that it may say.
LOCK_TIMEOUT_VARIABLE = "FOURFOLD_LOCK_TIMEOUT_S"
MAX_LOCK_TIMEOUT_S = 86_400
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.02


def lock_handle(handle: int, *, timeout_s: float = 0.0) -> None:
    """Take the exclusive lock of an open file; the system frees it when the file is closed or the process dies.

    The lock belongs to the open file, not to the process: threads that open the file twice exclude each other.

    Args:
        handle: the open file.
        timeout_s: how long to wait for the lock, in seconds.

    Raises:
        BlockingIOError: somebody else has had the lock for that time.
        OSError: the file system has no locks.
    """
    import fcntl  # not on Windows, which can read packages without locks

    deadline_s, pause_s = time.monotonic() + timeout_s, _FIRST_PAUSE_S
    while True:
        try:
            # Never without LOCK_NB, which would wait without an end and without a word.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise
            time.sleep(min(left_s, pause_s))
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)


def take_lock(path: Path, *, timeout_s: float = 0.0) -> int | None:
    """Take the lock of a lock file, which is made where it is missing.

    Only those may open the file who may also write to its folder: whoever could read it could hold its lock.

    Args:
        path: the lock file; a symbolic link is not followed.
        timeout_s: how long to wait for the lock, in seconds.

    Returns:
        A handle that holds the lock until it is closed; `None` where somebody else has it.

    Raises:
        OSError: the file cannot be opened, or is no regular file.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        handle = _open_lock_file(path)
        try:
            lock_handle(handle, timeout_s=max(0.0, deadline_s - time.monotonic()))
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
        if timeout_s > 0 and time.monotonic() > deadline_s:
            return None  # somebody makes and removes the file again and again


def _open_lock_file(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "the lock file is a symbolic link, which is not followed", str(path)) from None
        raise
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, f"expected a lock file, got {kind_of(status.st_mode)}", str(path))
    with suppress(OSError):  # a file system without modes or groups, or somebody else's file
        _share_with_writers(handle, status, path.parent.stat())
    return handle


def _share_with_writers(handle: int, status: os.stat_result, folder: os.stat_result) -> None:
    """Give the lock file of this user the mode that lets in exactly those who may write to its folder."""
    if os.name != "posix" or status.st_uid != os.geteuid():
        return
    group, others = folder.st_mode & stat.S_IWGRP, folder.st_mode & stat.S_IWOTH
    mode = 0o600 | (0o060 if group else 0) | (0o006 if others else 0)
    if group and status.st_gid != folder.st_gid:
        with suppress(OSError):  # this user may not be in the folder's group
            os.fchown(handle, -1, folder.st_gid)
    if stat.S_IMODE(status.st_mode) != mode:
        os.fchmod(handle, mode)


def unlock_and_remove(handle: int, path: Path) -> None:
    """Free the lock that `take_lock` took, and remove its file."""
    path.unlink(missing_ok=True)  # while the lock is held: whoever opened the file before notices in `take_lock`
    os.close(handle)


@contextmanager
def hold_lock(path: Path, *, timeout_s: float | None = None) -> Iterator[None]:
    """Hold the lock of a lock file for the block; the file stays.

    Args:
        path: the lock file.
        timeout_s: how long to wait for the lock, in seconds; `None` for `lock_timeout_s()`.

    Raises:
        TimeoutError: somebody else has had the lock for that time; the reason names the process, where it can be told.
        OSError: the file cannot be opened, or is no regular file.
    """
    wait_s = lock_timeout_s() if timeout_s is None else timeout_s
    handle = take_lock(path, timeout_s=wait_s)
    if handle is None:
        raise TimeoutError(
            errno.ETIMEDOUT,
            f"{describe_holder(path)} has held the lock {path} for {wait_s:g} s; end that process, or let this one "
            f"wait longer: {LOCK_TIMEOUT_VARIABLE} sets the seconds",
        )
    try:
        yield
    finally:
        os.close(handle)


def lock_timeout_s() -> float:
    """Return how long to wait for a lock, in seconds: `$FOURFOLD_LOCK_TIMEOUT_S`, or else `LOCK_TIMEOUT_S`.

    Raises:
        OSError: the variable holds no number from 0 to `MAX_LOCK_TIMEOUT_S`.
    """
    try:
        return read_number(
            LOCK_TIMEOUT_VARIABLE,
            LOCK_TIMEOUT_S,
            f"seconds from 0 to {MAX_LOCK_TIMEOUT_S}",
            lambda seconds: 0 <= seconds <= MAX_LOCK_TIMEOUT_S,
        )
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error)) from None


def describe_holder(path: Path) -> str:
    """Return the process that holds the lock of a file in words; Linux lists them, other systems do not."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return "another process"
    for line in lines:
        # 1: FLOCK  ADVISORY  WRITE 4711 08:01:1234567 0 EOF
        words = line.split()
        is_lock = len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode)
        if is_lock and words[4].isdigit() and words[4] != "0":
            return f"process {words[4]}"
    return "another process"
