"""Keep a repository in a folder, for any number of processes on one machine, with the standard library alone.

Put-if-absent hard-links a finished temporary file to its name: of several writers exactly one succeeds.
Compare-and-swap compares and renames under one lock of the folder. A killed writer leaves at most a file in `.writing`,
which nobody reads; the system frees its lock.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from fourfold.durable.files import make_folder, sync_folder, temporary_file, write_file
from fourfold.durable.locks import hold_lock
from fourfold.errors import Conflict, NotFound, RepositoryError
from fourfold.repository.store import Tag

__all__ = ["FolderStore"]

_WRITING = ".writing"
_LOCK = ".lock"
_NO_LINKS_ERRORS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}


class FolderStore:
    """Store bytes by key in a folder, which the first write makes.

    Args:
        root: the folder, on a file system with hard links and locks.
    """

    is_remote = False

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def url(self) -> str:
        """Return the folder's path."""
        return str(self.root)

    def get(self, key: str) -> tuple[bytes, Tag] | None:
        """Return the bytes of a key and their tag; `None` where the key does not exist."""
        try:
            data = (self.root / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._error("read", key, error) from None
        return data, _tag(data)

    def create(self, key: str, data: bytes) -> None:
        """Write a new key; raise `Conflict` where it exists."""
        path = self.root / key
        try:
            make_folder(path.parent)
            temporary = self._temporary()
            try:
                write_file(path, data, temporary, replace=False)
            except FileExistsError:
                raise Conflict(f"{key} is there already, in {self.url}") from None
        except OSError as error:
            raise self._error("write", key, error) from None

    def replace(self, key: str, data: bytes, tag: Tag) -> None:
        """Replace the content of a key; raise `Conflict` where it is not the content that `tag` identifies."""
        path = self.root / key
        try:
            temporary = self._temporary()
            with temporary_file(temporary, data), hold_lock(self.root / _LOCK):
                current = self.get(key)
                if current is None or current[1] != tag:
                    raise Conflict(f"{key} is not what it was when it was read, in {self.url}")
                temporary.replace(path)
                sync_folder(path.parent)
        except OSError as error:
            raise self._error("write", key, error) from None

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every key under `prefix`; raise `NotFound` where the repository's folder does not exist."""
        if not self.root.is_dir():
            kind = "it is not a folder" if self.root.exists() else "no such folder"
            raise NotFound(f"there is no repository at {self.url}: {kind}")
        errors: list[OSError] = []
        for folder, _, names in os.walk(self.root / prefix, onerror=errors.append):
            for name in names:
                yield (Path(folder) / name).relative_to(self.root).as_posix()
        for error in errors:
            if not isinstance(error, FileNotFoundError):
                raise self._error("list", prefix, error)

    def _temporary(self) -> Path:
        """Return a free name for a temporary file on the same file system."""
        folder = self.root / _WRITING
        make_folder(folder)
        return folder / f"{os.getpid()}-{secrets.token_hex(8)}"

    def _error(self, verb: str, key: str, error: OSError) -> RepositoryError:
        if error.errno in _NO_LINKS_ERRORS and error.filename2 is not None:
            return RepositoryError(
                f"cannot keep a repository in {self.url}: its file system has no hard links ({error.strerror})"
            )
        if isinstance(error, TimeoutError):
            return RepositoryError(f"cannot {verb} {key} in {self.url}: {error.strerror}")
        path = f" ({error.filename})" if error.filename else ""
        return RepositoryError(f"cannot {verb} {key} in {self.url}: {error.strerror or error}{path}")


def _tag(data: bytes) -> Tag:
    return Tag(hashlib.sha256(data).hexdigest())
