"""Keep a repository on a bucket, or in this process's memory, through obstore."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from fourfold.buckets import is_forked_after_use, open_client, safe_cause
from fourfold.errors import Conflict, RepositoryError
from fourfold.repository.store import Tag

__all__ = ["BucketStore"]

# Without this, a public bucket of Google Cloud Storage may answer with the alias of an hour ago.
_NOT_CACHED = {"Cache-Control": "no-store"}

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

    def get(self, key: str) -> tuple[bytes, Tag] | None:
        """Return the bytes of a key and their tag; `None` where the key does not exist."""
        with self._operation("read", key):
            try:
                result = self._obstore.get(self._client, key)
                data = bytes(result.bytes())
            except (self._errors.NotFoundError, FileNotFoundError) as error:
                if _NO_BUCKET.search(str(error)):
                    raise
                return None
            return data, Tag(result.meta["e_tag"], result.meta["version"])

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
            for chunk in self._obstore.list(self._client, prefix.rstrip("/"), chunk_size=1000):
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
        except (errors.AlreadyExistsError, errors.PreconditionError):
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
