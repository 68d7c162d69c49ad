"""Define replies, and build the replies to requests that fail."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fourfold.codecs.formats import JSON
from fourfold.errors import (
    MAX_ROW_ERRORS,
    DecodeError,
    EngineError,
    FourfoldError,
    InputError,
    MissingLibrary,
    RowError,
    TableError,
    TooLarge,
)

__all__ = ["MAX_ROW_ERRORS", "Refused", "Reply", "error_reply", "internal_error_reply"]

#: The most characters of a field name in a reply: an unknown key can have any length.
_MAX_NAME_CHARACTERS = 200
#: The most characters of the first row error in the message of a reply.
_MAX_ROW_ERROR_CHARACTERS = 500

_log = logging.getLogger("fourfold")


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold a reply over HTTP.

    Attributes:
        status: the status code.
        body: the body.
        headers: the headers, with lower-case names, `content-type` among them.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]


class Refused(FourfoldError):
    """Report that a request is refused with an HTTP status, before its rows are checked.

    Args:
        status: the status code of the reply.
        code: the name of the error, for programs.
        message: what is wrong, and what is expected.
        headers: additional headers of the reply.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers: Mapping[str, str] = headers or {}


@dataclass(frozen=True)
class _Failure:
    status: int
    code: str
    message: str
    rows: Sequence[RowError] = ()
    count: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


_INTERNAL = _Failure(500, "internal", "this request met a bug here; the log tells more")


def error_reply(error: Exception, headers: Mapping[str, str] | None = None) -> Reply:
    """Return the reply to a request that failed. An error that is not Fourfold's own is logged, and not shown.

    The body is `{"error": {"code", "message", "rows", "count"}}`: `rows` lists the first row errors, `count` is the
    number of all.

    Args:
        error: the error.
        headers: headers of every reply.
    """
    return _reply(_failure(error), headers or {})


def internal_error_reply(headers: Mapping[str, str] | None = None) -> Reply:
    """Return the reply to a request that met a bug; only the log says which bug."""
    return _reply(_INTERNAL, headers or {})


def _failure(error: Exception) -> _Failure:
    if isinstance(error, Refused):
        return _Failure(error.status, error.code, str(error), headers=error.headers)
    if isinstance(error, InputError):
        return _rows_failure(error)
    if isinstance(error, TooLarge):
        return _Failure(413, "too_large", str(error))
    if isinstance(error, DecodeError):
        return _Failure(400, "decode", str(error))
    if isinstance(error, MissingLibrary):
        return _Failure(415, "media_type", str(error))
    if isinstance(error, EngineError):
        return _Failure(500, "engine", str(error))
    _log.error("a request failed", exc_info=error)
    return _INTERNAL


def _rows_failure(error: InputError) -> _Failure:
    errors, count = error.errors, error.count
    if isinstance(error, TableError):
        first = _truncate(str(errors[0]), _MAX_ROW_ERROR_CHARACTERS)
        return _Failure(422, "columns", f"the table does not fit the signature; {first}", errors, count)
    row_count = f"{error.rows} row{'s' * (error.rows > 1)}"
    # The rows fit the signature and the engine still fails on them: that is not the client's fault.
    if all(row_error.code == "engine" for row_error in errors):
        return _Failure(500, "engine", f"the engine failed on {row_count}, the first: {errors[0].got}", errors, count)
    verb = "does" if error.rows == 1 else "do"
    first = _truncate(str(errors[0]), _MAX_ROW_ERROR_CHARACTERS)
    return _Failure(422, "rows", f"{row_count} {verb} not fit the signature; {first}", errors, count)


def _truncate(text: str, limit: int) -> str:
    """Return at most `limit` characters of a text."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _reply(failure: _Failure, headers: Mapping[str, str]) -> Reply:
    shown = [
        replace(error, field=error.field and _truncate(error.field, _MAX_NAME_CHARACTERS))
        for error in failure.rows[:MAX_ROW_ERRORS]
    ]
    error = {
        "code": failure.code,
        "message": failure.message,
        "rows": [row_error.to_json() for row_error in shown],
        "count": failure.count,
    }
    # In ASCII, because a name may hold half of a surrogate pair, which UTF-8 cannot encode.
    body = json.dumps({"error": error}, separators=(",", ":")).encode()
    return Reply(failure.status, body, {**headers, **failure.headers, "content-type": JSON})
