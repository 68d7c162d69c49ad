"""Make clients of buckets with obstore: from a URL and the settings in the environment."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fourfold.errors import MissingLibrary

__all__ = ["SCHEMES", "is_forked_after_use", "open_client", "safe_cause"]


@dataclass(frozen=True, slots=True)
class Scheme:
    """Name the environment variables that a kind of bucket needs from us; obstore reads all others itself.

    Attributes:
        endpoint_variables: the variables that may hold an endpoint's URL; the first that is set counts.
        allow_http_variable: the variable that allows plain HTTP.
    """

    endpoint_variables: tuple[str, ...] = ()
    allow_http_variable: str = ""


#: The kinds of buckets, by the scheme of their URLs; `memory` is a bucket in this process, for tests and examples.
SCHEMES = {
    "s3": Scheme(("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"), "AWS_ALLOW_HTTP"),
    "gs": Scheme(allow_http_variable="GOOGLE_ALLOW_HTTP"),
    "az": Scheme(("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"), "AZURE_ALLOW_HTTP"),
    "memory": Scheme(),
}

# An unreachable bucket should fail within seconds; a large object on a slow line may take minutes.
CONNECT_TIMEOUT = timedelta(seconds=5)
REQUEST_TIMEOUT = timedelta(minutes=10)
# A server that sends nothing for so long is gone, however much it has announced.
READ_TIMEOUT = timedelta(seconds=30)
MAX_RETRIES = 4
RETRY_TIMEOUT = timedelta(seconds=60)
#: The most characters of a cause in an error message.
MAX_CAUSE_CHARACTERS = 300
#: The most characters of a report that are searched for a cause.
MAX_REPORT_CHARACTERS = 10_000

_ERROR_CODE = re.compile(r"<Code>(\w{1,60})</Code>", re.ASCII)
_SECRET_VARIABLE = re.compile(r"SECRET|TOKEN|KEY|SAS|PASSWORD|CREDENTIAL", re.ASCII)

_memory_clients: dict[str, Any] = {}
_memory_lock = threading.Lock()
_first_process: int | None = None


def open_client(scheme: str, url: str, *, purpose: str) -> Any:
    """Return an obstore client whose keys lie under a URL; nothing is asked of the network yet.

    Args:
        scheme: the URL's scheme, one of `SCHEMES`.
        url: the bucket and a prefix, without credentials. Clients of one `memory` URL share their objects.
        purpose: what needs obstore, for the error where it is not installed.

    Raises:
        MissingLibrary: obstore is not installed.
        ValueError: the environment's settings contradict each other or lack something; the message holds no secret.
    """
    try:
        from obstore import exceptions, store
    except ImportError:
        raise MissingLibrary("obstore", extra="cloud", purpose=purpose) from None
    if scheme == "memory":
        with _memory_lock:
            return _memory_clients.setdefault(url, store.MemoryStore())
    retries: Any = {"max_retries": MAX_RETRIES, "retry_timeout": RETRY_TIMEOUT}
    options: Any = {
        "connect_timeout": CONNECT_TIMEOUT,
        "timeout": REQUEST_TIMEOUT,
        "read_timeout": READ_TIMEOUT,
        "allow_http": _allows_http(SCHEMES[scheme]),
    }
    try:
        return store.from_url(url, client_options=options, retry_config=retries)
    except (exceptions.BaseError, OSError, NotImplementedError, ValueError) as error:
        raise ValueError(safe_cause(str(error))) from None


def _allows_http(scheme: Scheme) -> bool:
    """Return whether the environment asks for plain HTTP: by its variable, or by an endpoint with `http://`."""
    if os.environ.get(scheme.allow_http_variable, "").strip().lower() in {"1", "true", "yes", "on"}:
        return True
    endpoint = next((os.environ[name] for name in scheme.endpoint_variables if os.environ.get(name)), "")
    return endpoint.lower().startswith("http://")


def is_forked_after_use() -> bool:
    """Return whether a parent process used buckets before it forked this one; call it before every operation.

    obstore's threads do not live on in a forked child, so an operation there would wait for ever.
    """
    global _first_process  # noqa: PLW0603 - all clients of a process share obstore's threads
    if _first_process is None:
        _first_process = os.getpid()
    return _first_process != os.getpid()


def safe_cause(report: str) -> str:
    """Return the cause that an error of obstore names: one line without the request's query and without secrets.

    Args:
        report: the error's text, which can hold the whole request and the whole answer.
    """
    code = _ERROR_CODE.search(report)
    line = report.split("<?xml", 1)[0].split("\n", 1)[0][:MAX_REPORT_CHARACTERS]
    line = re.sub(r"//[^/\s@]+@", "//***@", re.sub(r"\?\S+", "?…", line)).strip(" :")
    for name, value in os.environ.items():
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")) and _SECRET_VARIABLE.search(name) and len(value) >= 8:
            line = line.replace(value, "***")
    # The server's own words are in it, and a terminal must not act on them.
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)
    line = line if len(line) <= MAX_CAUSE_CHARACTERS else line[: MAX_CAUSE_CHARACTERS - 1] + "…"
    return f"{line}: {code[1]}" if code and code[1] not in line else line
