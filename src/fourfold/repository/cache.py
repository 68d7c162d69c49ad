"""Keep local copies of a bucket's blobs: they only save time, so no error here fails a call, and no copy is trusted."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from fourfold.durable.files import make_private_folder, write_new_file
from fourfold.durable.reading import check_no_links, read_file
from fourfold.repository.records import blob_key

__all__ = ["CACHE_VARIABLE", "Cache", "default_folder"]

#: The environment variable that names the cache's folder.
CACHE_VARIABLE = "FOURFOLD_CACHE"

_log = logging.getLogger("fourfold.repository")


def default_folder() -> Path | None:
    """Return the cache's folder; `None` where there is no home folder.

    It is `$FOURFOLD_CACHE`, or else `$XDG_CACHE_HOME/fourfold`, or else `~/.cache/fourfold`.
    """
    folder = os.environ.get(CACHE_VARIABLE)
    xdg_folder = os.environ.get("XDG_CACHE_HOME")
    try:
        if folder:
            return Path(folder).expanduser().absolute()
        if xdg_folder and Path(xdg_folder).is_absolute():
            return Path(xdg_folder) / "fourfold"
        return Path.home() / ".cache" / "fourfold"
    except RuntimeError:
        return None


class Cache:
    """Keep blobs by digest in a folder; their readers verify them.

    Args:
        folder: the folder; the first write makes it, readable by its owner only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._has_warned = False

    def read(self, digest: str, max_bytes: int) -> bytes | None:
        """Return the unverified bytes kept under a digest; `None` where there are none, or they cannot be read.

        Neither a link nor anything that is no file, or longer than `max_bytes`, is read.
        """
        path = self._path(digest)
        try:
            check_no_links(self.folder, path)
            return read_file(path, max_bytes, follow=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._warn("read", error)
            return None

    def write(self, digest: str, data: bytes) -> None:
        """Keep bytes under their digest, atomically; where that fails, log a warning once."""
        path = self._path(digest)
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}")
        try:
            check_no_links(self.folder, path.parent)
            make_private_folder(path.parent)
            try:
                write_new_file(temporary, data)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            self._warn("write", error)

    def discard(self, digest: str) -> None:
        """Remove the bytes kept under a digest."""
        try:
            path = self._path(digest)
            check_no_links(self.folder, path.parent)
            path.unlink(missing_ok=True)
        except OSError as error:
            self._warn("write", error)

    def _path(self, digest: str) -> Path:
        return self.folder / blob_key(digest)

    def _warn(self, verb: str, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "cannot %s the cache %s (%s): blobs are fetched each time; $%s names another folder",
                verb,
                self.folder,
                error.strerror or error,
                CACHE_VARIABLE,
            )
