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
from dataclasses import replace
from pathlib import Path

from fourfold.durable.files import make_folder, sync_folder, temporary_file, write_file
from fourfold.durable.locks import hold_lock
from fourfold.durable.reading import check_no_links, open_handle, read_handle
from fourfold.errors import Conflict, NotFound, RepositoryError
from fourfold.repository.store import MAX_KEYS, Oversized, Tag

__all__ = ["FolderStore"]

_WRITING = ".writing"
_LOCK = ".lock"
#: The parts of the longest keys: `models/eta/versions/1.json`.
_MAX_KEY_PARTS = 4
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

    def get(self, key: str, max_bytes: int) -> tuple[bytes, Tag] | None:
        """Return the bytes of a key and their tag; `None` where the key does not exist.

        Raises:
            Oversized: the file is longer than `max_bytes`; it was not read.
        """
        path = self.root / key
        try:
            check_no_links(self.root, path)
            handle = open_handle(path, follow=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._error("read", key, error) from None
        try:
            status = os.fstat(handle)
            if status.st_size > max_bytes:
                raise Oversized(
                    f"{key} in {self.url} is damaged: it has {status.st_size:,} bytes; expected at most {max_bytes:,}",
                    _stat_tag(status),
                )
            data = read_handle(handle, max_bytes, path)
        except OSError as error:
            raise self._error("read", key, error) from None
        finally:
            os.close(handle)
        return data, replace(_tag(data), written_s=status.st_mtime)

    def create(self, key: str, data: bytes) -> None:
        """Write a new key; raise `Conflict` where it exists."""
        path = self.root / key
        try:
            check_no_links(self.root, path.parent)
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
                if self._current_tag(key, tag) != tag:
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
        count = 0
        # Level by level, and no deeper than keys go: junk may be as deep as the file system allows.
        folders = [prefix.rstrip("/")]
        while folders:
            folder = folders.pop()
            try:
                check_no_links(self.root, self.root / folder)
                with os.scandir(self.root / folder) as entries:
                    for entry in entries:
                        count += 1
                        if count > MAX_KEYS:
                            raise RepositoryError(
                                f"{self.url} has more than {MAX_KEYS:,} files and folders in {prefix}: it is damaged, "
                                "or holds other files; remove what is no package's"
                            )
                        key = f"{folder}/{entry.name}"
                        if not entry.is_dir(follow_symlinks=False):
                            yield key
                        elif key.count("/") < _MAX_KEY_PARTS - 1:
                            folders.append(key)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise self._error("list", prefix, error) from None

    def _current_tag(self, key: str, expected: Tag) -> Tag | None:
        """Return the tag of a key's content in the form of `expected`; `None` where the key does not exist."""
        path = self.root / key
        check_no_links(self.root, path)
        try:
            handle = open_handle(path, follow=False)
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(handle)
            tag = _stat_tag(status)
            # Another size is another content: only one of the size that was read is read again.
            is_read = expected != tag and expected.e_tag is not None and expected.e_tag.startswith(f"{status.st_size}-")
            return _tag(read_handle(handle, status.st_size, path)) if is_read else tag
        finally:
            os.close(handle)

    def _temporary(self) -> Path:
        """Return a free name for a temporary file on the same file system."""
        folder = self.root / _WRITING
        check_no_links(self.root, folder)
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
    return Tag(f"{len(data)}-{hashlib.sha256(data).hexdigest()}")


def _stat_tag(status: os.stat_result) -> Tag:
    """Return the tag of a content that is too long to be read: its place and the time of its last change."""
    return Tag(None, f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}")
