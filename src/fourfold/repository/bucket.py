"""A repository on a bucket, or in this process's memory, through obstore: the one file that imports it."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fourfold.errors import Conflict, MissingLibrary, RepositoryError
from fourfold.repository.store import Tag

__all__ = ["SCHEMES", "BucketStore"]


@dataclass(frozen=True, slots=True)
class _Cloud:
    """How a kind of bucket is configured: variables of the environment, which obstore reads by itself."""

    endpoints: tuple[str, ...] = ()
    allow_http: str = ""


SCHEMES = {
    "s3": _Cloud(("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"), "AWS_ALLOW_HTTP"),
    "gs": _Cloud(allow_http="GOOGLE_ALLOW_HTTP"),
    "az": _Cloud(("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"), "AZURE_ALLOW_HTTP"),
    "memory": _Cloud(),
}

# A bucket that cannot be reached should say so in seconds; a large blob on a thin line may take its minutes.
_CONNECT = timedelta(seconds=5)
_REQUEST = timedelta(minutes=10)
# A public bucket of Google's may otherwise answer with what an alias was an hour ago.
_FRESH = {"Cache-Control": "no-store"}

_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|specified bucket does not exist", re.IGNORECASE)
_FORBIDDEN = re.compile(r"\b40[13] (?:Unauthorized|Forbidden)", re.IGNORECASE)
_UNREACHED = re.compile(r"error sending request|timed? ?out|dns error|connection", re.IGNORECASE)
_CODE = re.compile(r"<Code>(\w{1,60})</Code>", re.ASCII)
_SECRET = re.compile(r"SECRET|TOKEN|KEY|SAS|PASSWORD|CREDENTIAL", re.ASCII)

_memories: dict[str, Any] = {}
_lock = threading.Lock()
_first_user: int | None = None


class BucketStore:
    """A store on a bucket; nothing is asked of the network before the first operation.

    Args:
        scheme: `s3`, `gs`, `az` or `memory`.
        bucket: the bucket's or container's name; for `memory`, the name by which one process shares it.
        prefix: the path in the bucket under which every key lies, without slashes at its ends; may be empty.

    Raises:
        MissingLibrary: obstore is not installed.
        RepositoryError: the environment's settings contradict each other or lack something.
    """

    def __init__(self, scheme: str, bucket: str, prefix: str = "") -> None:
        try:
            import obstore
            from obstore import exceptions
        except ImportError:
            raise MissingLibrary("obstore", extra="cloud", purpose=f"a repository at {scheme}://") from None
        self._obstore: Any = obstore
        self._errors: Any = exceptions
        self._url = f"{scheme}://{bucket}" + (f"/{prefix}" if prefix else "")
        self.remote = scheme != "memory"
        self._store = self._remote(scheme) if self.remote else _memory(self._url)

    @property
    def url(self) -> str:
        """The bucket's URL."""
        return self._url

    def get(self, key: str) -> tuple[bytes, Tag] | None:
        """The bytes of a key and their tag; `None` where nothing is."""
        with self._operation("read", key):
            try:
                result = self._obstore.get(self._store, key)
                data = bytes(result.bytes())
            except (self._errors.NotFoundError, FileNotFoundError) as error:
                if _NO_BUCKET.search(str(error)):
                    raise
                return None
            return data, Tag(result.meta["e_tag"], result.meta["version"])

    def create(self, key: str, data: bytes) -> None:
        """Write a key that is not there yet; raises `Conflict` where it is."""
        with self._operation("write", key):
            self._obstore.put(self._store, key, data, mode="create", attributes=_FRESH)

    def replace(self, key: str, data: bytes, tag: Tag) -> None:
        """Write a key that still has the content that `tag` names; raises `Conflict` where it has not."""
        # Only what the store gave: obstore takes a None for a value.
        given = {"e_tag": tag.e_tag, "version": tag.version}
        condition = {name: value for name, value in given.items() if value is not None}
        if not condition:
            raise RepositoryError(
                f"{self.url} gives its objects neither e-tags nor versions, so no alias can move safely"
            )
        with self._operation("write", key):
            self._obstore.put(self._store, key, data, mode=condition, attributes=_FRESH)

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key under `prefix`."""
        with self._operation("list", prefix):
            for chunk in self._obstore.list(self._store, prefix.rstrip("/"), chunk_size=1000):
                for meta in chunk:
                    yield meta["path"]

    def _remote(self, scheme: str) -> Any:
        from obstore.store import from_url

        retries: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}
        options: Any = {"connect_timeout": _CONNECT, "timeout": _REQUEST, "allow_http": _allow_http(SCHEMES[scheme])}
        with self._translated("open", "it"):
            return from_url(self.url, client_options=options, retry_config=retries)

    def _operation(self, verb: str, key: str) -> AbstractContextManager[None]:
        if self.remote:
            _same_process(self.url)
        return self._translated(verb, key)

    @contextmanager
    def _translated(self, verb: str, key: str) -> Iterator[None]:
        """Our errors for obstore's, whose texts hold requests and answers whole."""
        errors = self._errors
        try:
            yield
        except (errors.AlreadyExistsError, errors.PreconditionError):
            raise Conflict(f"{key} is not what it was expected to be, in {self.url}") from None
        except (errors.BaseError, OSError, NotImplementedError, ValueError) as error:
            raise RepositoryError(self._message(verb, key, str(error))) from None

    def _message(self, verb: str, key: str, report: str) -> str:
        cause = _cause(report)
        if _NO_BUCKET.search(report):
            return f"the bucket of {self.url} does not exist"
        if _FORBIDDEN.search(cause):
            return (
                f"{self.url} does not allow this host to {verb} {key} ({cause}); check the credentials and their rights"
            )
        if _UNREACHED.search(cause):
            return f"{self.url} cannot be reached: {cause}"
        return f"cannot {verb} {key} in {self.url}: {cause}"


def _memory(url: str) -> Any:
    """The store that every repository of this URL shares in this process."""
    from obstore.store import MemoryStore

    with _lock:
        return _memories.setdefault(url, MemoryStore())


def _same_process(url: str) -> None:
    """Refuse to wait for ever: obstore's threads do not live on in a forked child."""
    global _first_user  # noqa: PLW0603 - the threads are one set a process
    if _first_user is None:
        _first_user = os.getpid()
    elif _first_user != os.getpid():
        raise RepositoryError(
            f"{url} was used before this process was forked, and cannot be used in the child: load packages before "
            "forking, or start the child with 'spawn'"
        )


def _allow_http(cloud: _Cloud) -> bool:
    """Whether the environment asks for a plain connection: by the variable for that, or by an http:// endpoint."""
    if os.environ.get(cloud.allow_http, "").strip().lower() in {"1", "true", "yes", "on"}:
        return True
    named = next((os.environ[each] for each in cloud.endpoints if os.environ.get(each)), "")
    return named.lower().startswith("http://")


def _cause(report: str) -> str:
    """What obstore's report says, on one line, without the request's query, its credentials, or any secret variable."""
    code = _CODE.search(report)
    line = report.split("<?xml", 1)[0].split("\n", 1)[0]
    line = re.sub(r"//[^/\s@]+@", "//***@", re.sub(r"\?\S+", "?…", line)).strip(" :")
    for name, value in os.environ.items():
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")) and _SECRET.search(name) and len(value) >= 8:
            line = line.replace(value, "***")
    line = line if len(line) <= 300 else line[:299] + "…"
    return f"{line}: {code[1]}" if code and code[1] not in line else line
