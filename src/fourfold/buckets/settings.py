"""Say which kinds of buckets there are, how long their client waits, and what it may take."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

__all__ = ["SCHEMES", "read_settings"]


class Scheme(NamedTuple):
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
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 600.0
# A server that sends nothing for so long is gone, however much it has announced.
READ_TIMEOUT_S = 30.0
MAX_RETRIES = 4
RETRY_TIMEOUT_S = 60.0
#: How long a listing may take in all: a server can go on for ever, with pages that hold no key.
LISTING_TIMEOUT_S = 600.0
#: How long the client's process may say nothing: longer than the client waits for a server, all retries together.
SILENCE_TIMEOUT_S = REQUEST_TIMEOUT_S + RETRY_TIMEOUT_S + 30
#: How long the client's process lives on without work.
IDLE_S = 30.0
#: What the client's process may take beyond what it starts with and what it writes. A page of a listing takes few MiB.
MAX_CLIENT_BYTES = 512 * 2**20


def read_settings(scheme: str) -> dict[str, Any]:
    """Return what a client is made with: plain values in seconds and counts, of the environment as it is now."""
    return {
        "allow_http": _allows_http(SCHEMES[scheme]),
        "connect_timeout_s": CONNECT_TIMEOUT_S,
        "request_timeout_s": REQUEST_TIMEOUT_S,
        "read_timeout_s": READ_TIMEOUT_S,
        "max_retries": MAX_RETRIES,
        "retry_timeout_s": RETRY_TIMEOUT_S,
    }


def _allows_http(scheme: Scheme) -> bool:
    """Return whether the environment asks for plain HTTP: by its variable, or by an endpoint with `http://`."""
    if os.environ.get(scheme.allow_http_variable, "").strip().lower() in {"1", "true", "yes", "on"}:
        return True
    endpoint = next((os.environ[name] for name in scheme.endpoint_variables if os.environ.get(name)), "")
    return endpoint.lower().startswith("http://")
