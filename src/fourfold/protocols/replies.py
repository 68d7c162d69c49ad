"""Define replies, and build the replies to requests that fail."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

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

__all__ = ["MAX_ROW_ERRORS", "Failure", "Refused", "Reply", "WrongForm", "error_reply", "internal_error_reply"]

#: The most characters of a field name in a reply: an unknown key can have any length.
_MAX_NAME_CHARACTERS = 200
#: The most characters of the first row error in the message of a reply.
_MAX_ROW_ERROR_CHARACTERS = 500

_log = logging.getLogger("fourfold")


@dataclass(frozen=True, slots=True)
class Failure:
    """Say why a request has no answer; the body of its reply holds the same.

    Attributes:
        status: the status code of the reply.
        code: a word for programs, such as `rows` or `decode` (docs/service.md lists them).
        message: a sentence for people.
        rows: the first values at fault, each with the keys `row`, `field`, `code`, `expected` and `got`.
        count: how many values are at fault.
        headers: the headers of the reply, with lower-case names, without `content-type`.
        error: what was raised; of an error that is not Fourfold's own, only this and the log tell more.
    """

    status: int
    code: str
    message: str
    rows: tuple[dict[str, Any], ...]
    count: int
    headers: Mapping[str, str]
    error: Exception | None

    def to_json(self) -> dict[str, Any]:
        """Return the body of the reply, as JSON values."""
        error = {"code": self.code, "message": self.message, "rows": list(self.rows), "count": self.count}
        return {"error": error}


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold a reply over HTTP.

    Attributes:
        status: the status code.
        body: the body.
        headers: the headers, with lower-case names, `content-type` among them.
        failure: why the request has no answer; `None` where it has one.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]
    failure: Failure | None = None


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


_INTERNAL = "the service failed on this request, which is a bug in it; its log has the traceback"


class WrongForm(InputError):
    """Report rows in the form of another server.

    Args:
        errors: what is wrong, as for every row.
        message: what the form is taken for, and what to send instead.
    """

    def __init__(self, errors: Iterable[RowError], message: str) -> None:
        super().__init__(errors)
        self.message = message


def error_reply(error: Exception, headers: Mapping[str, str] | None = None) -> Reply:
    """Return the reply to a request that failed. An error that is not Fourfold's own is logged, and not shown.

    The body is `{"error": {"code", "message", "rows", "count"}}`: `rows` lists the first row errors, `count` is the
    number of all.

    Args:
        error: the error.
        headers: headers of every reply.
    """
    headers = headers or {}
    if isinstance(error, Refused):
        return _reply(error, error.status, error.code, str(error), {**headers, **error.headers})
    if isinstance(error, InputError):
        return _rows_reply(error, headers)
    if isinstance(error, TooLarge):
        return _reply(error, 413, "too_large", str(error), headers)
    if isinstance(error, DecodeError):
        return _reply(error, 400, "decode", str(error), headers)
    if isinstance(error, MissingLibrary):
        # Who sends requests learns what is missing, and no path of this machine.
        return _reply(error, 415, "media_type", error.reason, headers)
    if isinstance(error, EngineError):
        return _reply(error, 500, "engine", str(error), headers)
    _log.error("a request failed", exc_info=error)
    return _reply(error, 500, "internal", _INTERNAL, headers)


def internal_error_reply(headers: Mapping[str, str] | None = None) -> Reply:
    """Return the reply to a request that met a bug; only the log says which bug."""
    return _reply(None, 500, "internal", _INTERNAL, headers or {})


def _rows_reply(error: InputError, headers: Mapping[str, str]) -> Reply:
    if isinstance(error, WrongForm):
        return _reply(error, 422, "rows", error.message, headers)
    first = _truncate(str(error.errors[0]), _MAX_ROW_ERROR_CHARACTERS)
    if isinstance(error, TableError):
        return _reply(error, 422, "columns", f"the table does not fit the signature; {first}", headers)
    row_count = f"{error.rows} row{'s' * (error.rows > 1)}"
    # The rows fit the signature and the engine still fails on them: that is not the client's fault.
    if all(row_error.code == "engine" for row_error in error.errors):
        message = f"the engine failed on {row_count}, the first: {error.errors[0].got}"
        return _reply(error, 500, "engine", message, headers)
    verb = "does" if error.rows == 1 else "do"
    return _reply(error, 422, "rows", f"{row_count} {verb} not fit the signature; {first}", headers)


def _truncate(text: str, limit: int) -> str:
    """Return at most `limit` characters of a text."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _encodable(text: str) -> str:
    """Return a text that UTF-8 can encode: half of a surrogate pair, which a name of a client may hold, is escaped."""
    return text.encode(errors="backslashreplace").decode()


def _reply(error: Exception | None, status: int, code: str, message: str, headers: Mapping[str, str]) -> Reply:
    row_errors = error.errors if isinstance(error, InputError) else ()
    shown = [
        replace(row_error, field=row_error.field and _encodable(_truncate(row_error.field, _MAX_NAME_CHARACTERS)))
        for row_error in row_errors[:MAX_ROW_ERRORS]
    ]
    count = error.count if isinstance(error, InputError) else 0
    rows = tuple(row_error.to_json() for row_error in shown)
    failure = Failure(status, code, _encodable(message), rows, count, headers, error)
    body = json.dumps(failure.to_json(), separators=(",", ":")).encode()
    return Reply(status, body, {**headers, "content-type": JSON}, failure)
