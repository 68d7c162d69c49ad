"""Read the names of sources and sinks: paths, `file://` URLs and `-`."""

from __future__ import annotations

import os
from pathlib import Path

from fourfold.durable.file_urls import local_file
from fourfold.errors import FourfoldError

__all__ = ["local_path"]


def local_path(url: str | os.PathLike[str], error: type[FourfoldError], what: str) -> Path | None:
    """Return the path that a URL names, or `None` for `-`.

    Args:
        url: a path, a `file://` URL or `-`.
        error: the class of the error to raise.
        what: the end that the URL names, for the error's message.

    Raises:
        FourfoldError: the URL is empty, has another scheme, or names another host; of the class `error`.
    """
    if not isinstance(url, str):
        return Path(url)
    if url == "-":
        return None
    if not url:
        raise error(f"expected {what} to be a path, a file:// URL or -; got nothing")
    return Path(local_file(url, error, what))
