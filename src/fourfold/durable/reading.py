"""Read files that strangers may have put there: regular files only, and none that is longer than it may be.

A named pipe would hang whoever opens it, a device may never end, and a sparse file of a terabyte takes no room where it
lies. So the kind and the size of a file are looked at before its first byte is read.

Every function raises `OSError`, whose `strerror` is a reason to show; callers turn it into their own errors.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fourfold.environment import read_bytes

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_FILE_VARIABLE",
    "check_no_links",
    "check_size",
    "kind_of",
    "max_file_bytes",
    "open_file",
    "open_handle",
    "read_file",
    "read_handle",
]

#: The longest file that is read where its format says no less, unless the environment says otherwise.
MAX_FILE_BYTES = 16 * 2**30
#: The environment variable that sets another number of bytes.
MAX_FILE_VARIABLE = "FOURFOLD_MAX_FILE_BYTES"

_KINDS = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# Windows has none of the three; opening a named pipe or a device without the second may wait for ever.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def max_file_bytes() -> int:
    """Return the most bytes of a file that is read: `$FOURFOLD_MAX_FILE_BYTES`, or else `MAX_FILE_BYTES`.

    Raises:
        OSError: the variable holds no number of bytes.
    """
    try:
        return read_bytes(MAX_FILE_VARIABLE, MAX_FILE_BYTES)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error)) from None


def kind_of(mode: int) -> str:
    """Return in words what the mode of `os.stat` says that a path is, such as `a named pipe`."""
    return next((kind for matches, kind in _KINDS if matches(mode)), "something that is no file")


def open_handle(path: str | os.PathLike[str], *, follow: bool = True) -> int:
    """Open a regular file for reading, without waiting for anything, and return its handle.

    Args:
        path: the file.
        follow: whether its name may be a symbolic link.

    Raises:
        OSError: it cannot be opened, or it is a folder, a named pipe, a socket, a device, or a link not to be followed.
    """
    # Before it is opened: opening some devices has an effect of its own.
    _check_regular(Path(path).stat(follow_symlinks=follow), path)
    handle = os.open(path, _OPEN_FLAGS | (0 if follow else _NO_FOLLOW))
    try:
        _check_regular(os.fstat(handle), path)  # what was opened may be another than what was looked at
    except BaseException:
        os.close(handle)
        raise
    return handle


@contextmanager
def open_file(path: str | os.PathLike[str], *, follow: bool = True) -> Iterator[IO[bytes]]:
    """Open a regular file for reading, in binary; raise as `open_handle` does."""
    with os.fdopen(open_handle(path, follow=follow), "rb") as file:
        yield file


def read_file(path: str | os.PathLike[str], max_bytes: int | None = None, *, follow: bool = True) -> bytes:
    """Return the bytes of a regular file.

    Args:
        path: the file.
        max_bytes: the most bytes that it may have; `None` for `max_file_bytes()`.
        follow: whether its name may be a symbolic link.

    Raises:
        OSError: it cannot be read, is no regular file, or is longer than it may be (`errno.EFBIG`).
    """
    handle = open_handle(path, follow=follow)
    try:
        return read_handle(handle, max_bytes, path)
    finally:
        os.close(handle)


def read_handle(handle: int, max_bytes: int | None = None, path: str | os.PathLike[str] = "") -> bytes:
    """Return the bytes of an open regular file from its start; raise as `read_file` does."""
    size = check_size(handle, max_bytes, path)
    with os.fdopen(os.dup(handle), "rb") as file:
        file.seek(0)
        # No further than its size: a file that grows meanwhile would otherwise be read beyond the limit.
        return file.read(size)


def check_size(handle: int, max_bytes: int | None = None, path: str | os.PathLike[str] = "") -> int:
    """Return the size of an open file in bytes; raise as `read_file` does where it is longer than it may be."""
    limit = max_file_bytes() if max_bytes is None else max_bytes
    size = os.fstat(handle).st_size
    if size > limit:
        setting = f", which {MAX_FILE_VARIABLE} sets" if max_bytes is None else ""
        raise OSError(errno.EFBIG, f"it has {size:,} bytes; expected at most {limit:,}{setting}", os.fspath(path))
    return size


def check_no_links(root: Path, path: Path) -> None:
    """Check that no part of a path below a root is a symbolic link; parts that do not exist are none.

    Args:
        root: a folder, which may be a link itself.
        path: a path below it.

    Raises:
        OSError: a part is a link (`errno.ELOOP`).
    """
    part = root
    for name in path.relative_to(root).parts:
        part = part / name
        if part.is_symlink():
            raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed here", str(part))


def _check_regular(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    number = errno.ELOOP if stat.S_ISLNK(status.st_mode) else errno.EINVAL
    raise OSError(number, f"expected a file, got {kind_of(status.st_mode)}", os.fspath(path))
