"""Keep a repository on a bucket, or in this process's memory."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from fourfold.buckets.causes import safe_cause
from fourfold.buckets.contract import Answer, BucketError
from fourfold.buckets.opening import open_bucket
from fourfold.errors import Conflict, RepositoryError
from fourfold.repository.store import MAX_KEYS, Oversized, Tag

__all__ = ["BucketStore"]

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
    """

    def __init__(self, scheme: str, bucket: str, prefix: str = "") -> None:
        self._url = f"{scheme}://{bucket}" + (f"/{prefix}" if prefix else "")
        self.is_remote = scheme != "memory"
        self._bucket = open_bucket(scheme, self._url, purpose=f"a repository at {scheme}://")

    @property
    def url(self) -> str:
        """Return the bucket's URL."""
        return self._url

    def get(self, key: str, max_bytes: int) -> tuple[bytes, Tag] | None:
        """Return the bytes of a key and their tag; `None` where the key does not exist.

        Raises:
            Oversized: the answer is longer than `max_bytes`, or says that it will be; no more of it was read.
        """
        with self._translated("read", key):
            try:
                answer = self._bucket.get(key, max_bytes)
            except BucketError as error:
                if error.kind != "missing" or _NO_BUCKET.search(error.report):
                    raise
                return None
            with closing(answer):
                tag = Tag(answer.e_tag, answer.version, answer.written_s)
                return self._collect(key, answer, max_bytes, tag), tag

    def _collect(self, key: str, answer: Answer, max_bytes: int, tag: Tag) -> bytes:
        """Return the bytes of an answer as they come: memory is taken for what has come, and not for what is announced.

        Raises:
            Oversized: it announces or sends more than `max_bytes`.
            RepositoryError: it comes too slowly, or is not of the length that it announces.
        """
        announced = answer.size
        if announced > max_bytes:
            raise Oversized(
                f"{key} in {self.url} is damaged: it has {announced:,} bytes by the store's answer; expected at most "
                f"{max_bytes:,}",
                tag,
            )
        deadline_s = time.monotonic() + ANSWER_TIMEOUT_S + announced / SLOWEST_BYTES_PER_S
        chunks, length = [], 0
        for chunk in answer.chunks():
            chunks.append(chunk)
            length += len(chunk)
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
        with self._translated("write", key):
            self._bucket.put(key, data, "create")

    def replace(self, key: str, data: bytes, tag: Tag) -> None:
        """Replace the content of a key; raise `Conflict` where it is not the content that `tag` identifies."""
        # Leave out what is None: obstore would compare None as a value.
        values = {"e_tag": tag.e_tag, "version": tag.version}
        condition = {name: value for name, value in values.items() if value is not None}
        if not condition:
            raise RepositoryError(
                f"{self.url} gives its objects neither e-tags nor versions, so no alias can move safely"
            )
        with self._translated("write", key):
            self._bucket.put(key, data, condition)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every key under `prefix`."""
        with self._translated("list", prefix):
            count = 0
            for keys in self._bucket.list(prefix.rstrip("/")):
                count += len(keys)
                if count > MAX_KEYS:
                    raise RepositoryError(
                        f"{self.url} has more than {MAX_KEYS:,} objects in {prefix}: it is damaged, or holds other "
                        "objects; remove what is no package's"
                    )
                yield from (key for key in keys if key.startswith(prefix))

    @contextmanager
    def _translated(self, verb: str, key: str) -> Iterator[None]:
        """Raise our errors in place of the client's, whose reports hold whole requests and answers."""
        try:
            yield
        except BucketError as error:
            if error.kind in {"exists", "changed"} and verb == "write":
                raise Conflict(f"{key} is not what it was expected to be, in {self.url}") from None
            if error.kind == "settings":
                raise RepositoryError(self._message("open", "it", error.report)) from None
            raise RepositoryError(self._message(verb, key, error.report)) from None

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
