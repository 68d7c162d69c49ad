"""Keep a repository on a bucket, or in this process's memory, through obstore."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from fourfold.buckets import is_forked_after_use, open_client, safe_cause
from fourfold.errors import Conflict, RepositoryError
from fourfold.repository.store import MAX_KEYS, Oversized, Tag

__all__ = ["BucketStore"]

# Without this, a public bucket of Google Cloud Storage may answer with the alias of an hour ago.
_NOT_CACHED = {"Cache-Control": "no-store"}

#: How long an answer may take beyond the time that its bytes take on the slowest line.
ANSWER_TIMEOUT_S = 60
SLOWEST_BYTES_PER_S = 20_000

_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|specified bucket does not exist", re.IGNORECASE)
_FORBIDDEN = re.compile(r"\b40[13] (?:Unauthorized|Forbidden)", re.IGNORECASE)
_UNREACHABLE = re.compile(r"error sending request|timed? ?out|dns error|connection", re.IGNORECASE)


class BucketStore:
    """Store bytes by key on a bucket; nothing is sent before the first operation.

    Args:
        scheme: `s3`, `gs`, `az` or `memory`.
        bucket: the name of the bucket or container; for `memory`, a name in this process.
        prefix: the path in the bucket that all keys begin with, without slashes at its ends; may be empty.

    Raises:
        MissingLibrary: obstore is not installed.
        RepositoryError: the environment's settings contradict each other or lack something.
    """

    def __init__(self, scheme: str, bucket: str, prefix: str = "") -> None:
        self._url = f"{scheme}://{bucket}" + (f"/{prefix}" if prefix else "")
        self.is_remote = scheme != "memory"
        try:
            self._client = open_client(scheme, self._url, purpose=f"a repository at {scheme}://")
        except ValueError as error:
            raise RepositoryError(self._message("open", "it", str(error))) from None
        import obstore
        from obstore import exceptions

        self._obstore: Any = obstore
        self._errors: Any = exceptions

    @property
    def url(self) -> str:
        """Return the bucket's URL."""
        return self._url

    def get(self, key: str, max_bytes: int) -> tuple[bytes, Tag] | None:
        """Return the bytes of a key and their tag; `None` where the key does not exist.

        Raises:
            Oversized: the answer is longer than `max_bytes`, or says that it will be; no more of it was read.
        """
        with self._operation("read", key):
            try:
                result = self._obstore.get(self._client, key)
                tag = Tag(result.meta["e_tag"], result.meta["version"])
                return self._collect(key, result, max_bytes, tag), tag
            except (self._errors.NotFoundError, FileNotFoundError) as error:
                if _NO_BUCKET.search(str(error)):
                    raise
                return None

    def _collect(self, key: str, result: Any, max_bytes: int, tag: Tag) -> bytes:
        """Return the bytes of an answer as they come: memory is taken for what has come, and not for what is announced.

        Raises:
            Oversized: it announces or sends more than `max_bytes`.
            RepositoryError: it comes too slowly, or is not of the length that it announces.
        """
        announced = result.meta["size"]
        if announced > max_bytes:
            raise Oversized(
                f"{key} in {self.url} is damaged: it has {announced:,} bytes by the store's answer; expected at most "
                f"{max_bytes:,}",
                tag,
            )
        deadline_s = time.monotonic() + ANSWER_TIMEOUT_S + announced / SLOWEST_BYTES_PER_S
        chunks, length = [], 0
        for chunk in result.stream(min_chunk_size=1):
            chunks.append(bytes(chunk))
            length += len(chunks[-1])
            if length > announced:
                break
            if time.monotonic() > deadline_s:
                raise RepositoryError(
                    f"cannot read {key} in {self.url}: only {length:,} of {announced:,} bytes came in "
                    f"{ANSWER_TIMEOUT_S} s and one second for every {SLOWEST_BYTES_PER_S:,} bytes"
                )
        if length != announced:
            raise RepositoryError(
                f"cannot read {key} in {self.url}: the answer announced {announced:,} bytes, and "
                f"{'more' if length > announced else f'only {length:,}'} came"
            )
        return b"".join(chunks)

    def create(self, key: str, data: bytes) -> None:
        """Write a new key; raise `Conflict` where it exists."""
        with self._operation("write", key):
            self._obstore.put(self._client, key, data, mode="create", attributes=_NOT_CACHED)

    def replace(self, key: str, data: bytes, tag: Tag) -> None:
        """Replace the content of a key; raise `Conflict` where it is not the content that `tag` identifies."""
        # Leave out what is None: obstore would compare None as a value.
        values = {"e_tag": tag.e_tag, "version": tag.version}
        condition = {name: value for name, value in values.items() if value is not None}
        if not condition:
            raise RepositoryError(
                f"{self.url} gives its objects neither e-tags nor versions, so no alias can move safely"
            )
        with self._operation("write", key):
            self._obstore.put(self._client, key, data, mode=condition, attributes=_NOT_CACHED)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every key under `prefix`."""
        with self._operation("list", prefix):
            count = 0
            for chunk in self._obstore.list(self._client, prefix.rstrip("/"), chunk_size=1000):
                count += len(chunk)
                if count > MAX_KEYS:
                    raise RepositoryError(
                        f"{self.url} has more than {MAX_KEYS:,} objects in {prefix}: it is damaged, or holds other "
                        "objects; remove what is no package's"
                    )
                for meta in chunk:
                    yield meta["path"]

    def _operation(self, verb: str, key: str) -> AbstractContextManager[None]:
        if self.is_remote and is_forked_after_use():
            raise RepositoryError(
                f"{self.url} was used before this process was forked, and cannot be used in the child: load packages "
                "before forking, or start the child with 'spawn'"
            )
        return self._translate_errors(verb, key)

    @contextmanager
    def _translate_errors(self, verb: str, key: str) -> Iterator[None]:
        """Raise our errors in place of obstore's, whose messages hold whole requests and responses."""
        errors = self._errors
        try:
            yield
        except (errors.AlreadyExistsError, errors.PreconditionError) as error:
            if verb != "write":
                raise RepositoryError(self._message(verb, key, str(error))) from None
            raise Conflict(f"{key} is not what it was expected to be, in {self.url}") from None
        except (errors.BaseError, OSError, NotImplementedError, ValueError) as error:
            raise RepositoryError(self._message(verb, key, str(error))) from None

    def _message(self, verb: str, key: str, report: str) -> str:
        cause = safe_cause(report)
        if _NO_BUCKET.search(report):
            return f"the bucket of {self.url} does not exist"
        if _FORBIDDEN.search(cause):
            return (
                f"{self.url} does not allow this host to {verb} {key} ({cause}); check the credentials and their rights"
            )
        if _UNREACHABLE.search(cause):
            return f"{self.url} cannot be reached: {cause}"
        return f"cannot {verb} {key} in {self.url}: {cause}"
