"""Give a host's own envelope to failures: what `on_error` is called with, and what it may return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fourfold.errors import shorten
from fourfold.protocols import Failure

__all__ = ["OnError", "check_on_error", "unpack"]

#: Called with the framework's request and the failure.
OnError = Callable[[Any, Failure], Any]


def check_on_error(on_error: object) -> None:
    """Check that `on_error` can be called.

    Raises:
        TypeError: it cannot.
    """
    if on_error is not None and not callable(on_error):
        raise TypeError(f"on_error: expected a function of the request and the failure; got {shorten(on_error)}")


def unpack(result: Any, failure: Failure) -> tuple[Any, int, dict[str, str]]:
    """Return the content, status and headers of what `on_error` returned; they default to those of the failure.

    Raises:
        TypeError: it returned something else.
    """
    content, status, headers = result, failure.status, {}
    if isinstance(result, tuple):
        content, *rest = result or (None,)
        if rest and isinstance(rest[0], int) and not isinstance(rest[0], bool):
            status = int(rest.pop(0))
        if rest and isinstance(rest[0], Mapping):
            headers = dict(rest.pop(0))
        if rest:
            content = None
    if content is None or isinstance(content, bool | int | float):
        raise TypeError(
            "on_error: expected None (the reply stays as it is), content for JSON, (content, status), "
            f"(content, status, headers) or a response of the framework; got {shorten(result)}"
        )
    return content, status, {**failure.headers, **headers}
