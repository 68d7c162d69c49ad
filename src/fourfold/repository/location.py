"""Open the store at a path or URL."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fourfold.buckets.settings import SCHEMES
from fourfold.errors import RepositoryError, shorten
from fourfold.repository.bucket import BucketStore
from fourfold.repository.folder import FolderStore
from fourfold.repository.store import Store

__all__ = ["REPOSITORY_VARIABLE", "default_url", "open_store"]

#: The environment variable that names the default repository.
REPOSITORY_VARIABLE = "FOURFOLD_REPOSITORY"

_KINDS = (
    "a folder, or the URL of a bucket: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, memory://name"
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://", re.ASCII)
# The segments of a prefix in a bucket: no client normalises or quotes these.
_SEGMENT = re.compile(r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


def default_url() -> str:
    """Return the default repository, `$FOURFOLD_REPOSITORY`.

    Raises:
        RepositoryError: the variable is not set.
    """
    url = os.environ.get(REPOSITORY_VARIABLE)
    if not url:
        raise RepositoryError(
            f"no repository is named: say repository=… (--repository on the command line), or set "
            f"{REPOSITORY_VARIABLE}; it is {_KINDS}"
        )
    return url


def open_store(location: str | os.PathLike[str]) -> Store:
    """Open the store at a path or URL; nothing is read or written yet.

    Raises:
        RepositoryError: the location is neither a path nor a URL of a known kind.
        MissingLibrary: the location is a bucket, and obstore is not installed.
    """
    text = os.fspath(location)
    if not text or "\0" in text:
        raise RepositoryError(f"expected {_KINDS}; got {shorten(text)}")
    match = _SCHEME.match(text)
    if match is None or not isinstance(location, str):
        return _folder(text)
    scheme_name = match[1].lower()
    if scheme_name == "file":
        return _folder(_file_path(text))
    if scheme_name not in SCHEMES:
        raise RepositoryError(f"there are no repositories of the kind {scheme_name}://; expected {_KINDS}")
    return _bucket(scheme_name, text)


def _folder(path: str) -> FolderStore:
    try:
        # Make it absolute now: the process may change its working directory later.
        return FolderStore(Path(path).expanduser().absolute())
    except RuntimeError as error:
        raise RepositoryError(f"cannot find the folder {shorten(path, 200)}: {error}") from None


def _file_path(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path or parts.query or parts.fragment:
        raise RepositoryError(f"expected file:///path/to/a/folder, got {shorten(url, 200)}")
    return unquote(parts.path)


def _bucket(scheme: str, url: str) -> BucketStore:
    parts = urlsplit(url)
    # Credentials in a URL end up in logs and process lists, so the message must not repeat the URL.
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise RepositoryError(
            f"the URL of a {scheme}:// repository has a bucket and a prefix only; credentials and options come from "
            "the environment (docs/repository.md)"
        )
    prefix = parts.path.strip("/")
    segments = prefix.split("/") if prefix else []
    if not _HOST.fullmatch(parts.netloc) or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise RepositoryError(f"expected {scheme}://name or {scheme}://name/prefix, got {shorten(url, 200)}")
    return BucketStore(scheme, parts.netloc, prefix)
