"""Local copies of the blobs of a bucket; a copy is only a saving, never a reason to fail or to believe."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from fourfold.repository.records import blob_key

__all__ = ["VARIABLE", "Cache", "default_folder"]

VARIABLE = "FOURFOLD_CACHE"

_log = logging.getLogger("fourfold.repository")


def default_folder() -> Path | None:
    """`$FOURFOLD_CACHE`, else `$XDG_CACHE_HOME/fourfold`, else `~/.cache/fourfold`; `None` where there is no home."""
    named = os.environ.get(VARIABLE)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        if named:
            return Path(named).expanduser().absolute()
        if base and Path(base).is_absolute():
            return Path(base) / "fourfold"
        return Path.home() / ".cache" / "fourfold"
    except RuntimeError:
        return None


class Cache:
    """Blobs in a folder, by digest; whoever reads one verifies it.

    Args:
        folder: where; it comes into being at the first write, for its owner alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._warned = False

    def read(self, digest: str) -> bytes | None:
        """What is kept under the digest, unverified; `None` where nothing is, or it cannot be read."""
        try:
            return self._path(digest).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._warn("read", error)
            return None

    def write(self, digest: str, data: bytes) -> None:
        """Keep bytes under their digest, whole or not at all; says so once, in the log, where it cannot."""
        path = self._path(digest)
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                temporary.write_bytes(data)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            self._warn("write", error)

    def discard(self, digest: str) -> None:
        """Throw away what is kept under the digest."""
        try:
            self._path(digest).unlink(missing_ok=True)
        except OSError as error:
            self._warn("write", error)

    def _path(self, digest: str) -> Path:
        return self.folder / blob_key(digest)

    def _warn(self, verb: str, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "cannot %s the cache %s (%s): blobs are fetched each time; $%s names another folder",
                verb,
                self.folder,
                error.strerror or error,
                VARIABLE,
            )
