"""Open outputs by name, never through a symbolic link: who can put one in an output's place must not choose the file.

`/dev/stdout` and its like are links too, to what this process has open; they name that.

Every function raises `OSError`; callers turn it into their own errors.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

__all__ = ["check_no_link", "open_descriptor", "open_output", "write_output"]

_DESCRIPTOR = re.compile(r"/dev/(stdin|stdout|stderr)|(?:/dev/fd|/proc/self/fd)/([0-9]{1,9})", re.ASCII)
_STANDARD = {"stdin": 0, "stdout": 1, "stderr": 2}


def open_descriptor(path: str | os.PathLike[str]) -> int | None:
    """Return the open file of this process that a path such as `/dev/stdout` names; `None` for every other path."""
    match = _DESCRIPTOR.fullmatch(os.fspath(path))
    if match is None:
        return None
    return _STANDARD[match[1]] if match[1] else int(match[2])


def check_no_link(path: Path) -> None:
    """Check that an output's name is no symbolic link.

    Raises:
        OSError: it is one (`errno.ELOOP`).
    """
    if path.is_symlink():
        raise OSError(
            errno.ELOOP,
            f"it is a symbolic link to {os.fspath(path.readlink())[:200]!r}, and outputs are not written through "
            "links: name the file itself",
            str(path),
        )


def open_output(path: Path, flags: int) -> int:
    """Open a file for writing, make it where it is missing, and return its handle.

    Args:
        path: the file.
        flags: `os.O_WRONLY` or `os.O_RDWR`, and others of `os.open`.

    Raises:
        OSError: the path is a symbolic link, or it cannot be opened.
    """
    check_no_link(path)
    try:
        return os.open(path, flags | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:  # it became one a moment ago
            raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed", str(path)) from None
        raise


def write_output(path: Path, data: bytes) -> None:
    """Write a file, or what `/dev/stdout` names; replace what a file held.

    Raises:
        OSError: the path is a symbolic link, or it cannot be written.
    """
    descriptor = open_descriptor(path)
    handle = open_output(path, os.O_WRONLY | os.O_TRUNC) if descriptor is None else descriptor
    with os.fdopen(handle, "wb", closefd=descriptor is None) as file:
        file.write(data)
