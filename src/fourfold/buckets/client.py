"""Read and write a bucket with obstore, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import obstore
from obstore import exceptions, store

from fourfold.buckets.contract import MAX_REPORT_CHARACTERS, BucketError, Condition, Kind

__all__ = ["ObstoreBucket", "open_memory", "open_url"]

# Without this, a public bucket of Google Cloud Storage may answer with the alias of an hour ago.
_NOT_CACHED: Any = {"Cache-Control": "no-store"}

#: The errors of obstore that mean something; all others are `failed`.
_KINDS: list[tuple[tuple[type[BaseException], ...], Kind]] = [
    ((exceptions.NotFoundError, FileNotFoundError), "missing"),
    ((exceptions.AlreadyExistsError,), "exists"),
    ((exceptions.PreconditionError,), "changed"),
]


def open_memory() -> ObstoreBucket:
    """Return an empty bucket in this process."""
    return ObstoreBucket(store.MemoryStore)


def open_url(url: str, settings: dict[str, Any]) -> ObstoreBucket:
    """Return the bucket of a URL, with what `read_settings` returned and the environment of this process.

    Raises:
        BucketError: the environment's settings contradict each other or lack something (`settings`).
    """
    retries: Any = {
        "max_retries": settings["max_retries"],
        "retry_timeout": timedelta(seconds=settings["retry_timeout_s"]),
    }
    options: Any = {
        "connect_timeout": timedelta(seconds=settings["connect_timeout_s"]),
        "timeout": timedelta(seconds=settings["request_timeout_s"]),
        "read_timeout": timedelta(seconds=settings["read_timeout_s"]),
        "allow_http": settings["allow_http"],
    }
    with _translated("settings"):
        return ObstoreBucket(lambda: store.from_url(url, client_options=options, retry_config=retries))


class ObstoreBucket:
    """Read and write a bucket with a client of obstore.

    Args:
        make: makes the client; nothing is asked of the network.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self.client = make()

    def get(self, key: str, max_bytes: int) -> ObstoreAnswer:
        """Ask for the bytes of a key; see `Bucket.get`."""
        with _translated():
            return ObstoreAnswer(obstore.get(self.client, key), max_bytes)

    def put(self, key: str, data: bytes | bytearray, condition: Condition) -> None:
        """Write the bytes of a key where a condition holds; see `Bucket.put`."""
        mode: Any = condition if isinstance(condition, str) else dict(condition)
        with _translated():
            obstore.put(self.client, key, data, mode=mode, attributes=_NOT_CACHED)

    def list(self, prefix: str) -> Iterator[list[str]]:
        """Yield the keys under a prefix; see `Bucket.list`."""
        with _translated():
            for page in obstore.list(self.client, prefix, chunk_size=1000):
                yield [str(entry["path"]) for entry in page]


class ObstoreAnswer:
    """Hold an answer of obstore; see `Answer`."""

    def __init__(self, result: Any, max_bytes: int) -> None:
        self._result = result
        self._max_bytes = max_bytes
        self.size: int = result.meta["size"]
        self.e_tag: str | None = result.meta["e_tag"]
        self.version: str | None = result.meta["version"]
        written = result.meta["last_modified"]
        self.written_s: float | None = None if written is None else written.timestamp()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they come; see `Answer.chunks`."""
        if self.size > self._max_bytes:
            return
        with _translated():
            for chunk in self._result.stream(min_chunk_size=1):
                yield bytes(chunk)

    def close(self) -> None:
        """Let go of the answer, and so of its connection."""
        self._result = None


@contextmanager
def _translated(otherwise: Kind = "failed") -> Iterator[None]:
    """Raise our error in place of obstore's, whose messages hold whole requests and answers."""
    try:
        yield
    except (exceptions.BaseError, OSError, NotImplementedError, ValueError) as error:
        kind = next((kind for types, kind in _KINDS if isinstance(error, types)), otherwise)
        raise BucketError(kind, str(error)[:MAX_REPORT_CHARACTERS]) from None
