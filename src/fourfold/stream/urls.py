"""Read the names of sources and sinks: paths, `file://` URLs and `-`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fourfold.errors import FourfoldError, shorten

__all__ = ["local_path"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


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
    scheme = _SCHEME.match(url)
    if scheme is None:
        return Path(url)
    if scheme[1].lower() != "file":
        raise error(
            f"this version of Fourfold streams files and the standard streams (a path, file://… or -); "
            f"it has no {scheme[1]}:// for {what}: {shorten(url)}"
        )
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise error(f"expected {what} as file:///absolute/path; got {shorten(url)}")
    return Path(unquote(parts.path))
