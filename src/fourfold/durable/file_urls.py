"""Read the names of files that come as `file://` URLs."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fourfold.errors import FourfoldError, shorten

__all__ = ["local_file"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
#: A URL that has lost a slash, as `s3:/bucket/rows.csv`; a drive of Windows has one letter.
_BROKEN_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?!/)")


def local_file(name: str, error: type[FourfoldError], what: str) -> str:
    """Return the path that a name stands for: that of a `file://` URL, or the name itself.

    Args:
        name: a path or a URL.
        error: the class of the error to raise.
        what: what is named, for the error's message.

    Raises:
        FourfoldError: the URL has another scheme, or names another host; of the class `error`.
    """
    scheme = _SCHEME.match(name)
    if scheme is None:
        broken = _BROKEN_SCHEME.match(name)
        if broken is None or Path(name).exists() or Path(name).parent.is_dir():
            return name
        raise error(
            f"expected {what} to be a path or a file:// URL; got {shorten(name)}, which looks like a URL that lacks a "
            f"slash, {broken[1]}://; only files can be named here"
        )
    if scheme[1].lower() != "file":
        raise error(
            f"expected {what} to be a path or a file:// URL; got {shorten(name)}. This version reads and writes only "
            f"files here, and no {scheme[1].lower()}://: copy to or from a file, or mount it"
        )
    parts = urlsplit(name)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise error(f"expected {what} as file:///absolute/path; got {shorten(name)}")
    # A glob's ? and a # belong to the path of a local file, which has no query.
    rest = (f"?{parts.query}" if parts.query else "") + (f"#{parts.fragment}" if parts.fragment else "")
    return unquote(parts.path + rest)
