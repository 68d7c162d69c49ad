"""Open a bucket by its URL."""

from __future__ import annotations

import importlib.util
import threading

from fourfold.buckets.contract import Bucket
from fourfold.buckets.remote import RemoteBucket
from fourfold.errors import MissingLibrary

__all__ = ["open_bucket"]

_memories: dict[str, Bucket] = {}
_memories_lock = threading.Lock()


def open_bucket(scheme: str, url: str, *, purpose: str) -> Bucket:
    """Return a bucket whose keys lie under a URL; nothing is asked of the network yet.

    Args:
        scheme: the URL's scheme, one of `SCHEMES`.
        url: the bucket and a prefix, without credentials. Buckets of one `memory` URL share their objects.
        purpose: what needs obstore, for the error where it is not installed.

    Raises:
        MissingLibrary: obstore is not installed.
    """
    if importlib.util.find_spec("obstore") is None:
        raise MissingLibrary("obstore", extra="cloud", purpose=purpose)
    if scheme != "memory":
        return RemoteBucket(scheme, url)
    from fourfold.buckets.client import open_memory

    with _memories_lock:
        return _memories.setdefault(url, open_memory())
