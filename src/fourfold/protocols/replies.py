"""Replies, and the one form of every failure."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fourfold.codecs.formats import JSON
from fourfold.errors import DecodeError, EngineError, FourfoldError, InputError, MissingLibrary, RowError

__all__ = ["SHOWN", "Refused", "Reply", "error_reply", "internal_error_reply"]

#: A reply lists this many row errors, and says how many there are.
SHOWN = 100
#: The longest name of a field that a reply repeats: an unknown key is as long as its sender likes.
_NAME = 200

_log = logging.getLogger("fourfold")


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back over HTTP.

    Attributes:
        status: the status code.
        body: the body.
        headers: the headers, with lower-case names; `content-type` is among them.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]


class Refused(FourfoldError):
    """A request that HTTP has a status for, before a row of it has been looked at.

    Args:
        status: the status code of its reply.
        code: the word that a program tells it by.
        message: what is wrong, and what would be right.
        headers: headers that its reply needs besides the usual ones.
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
    headers: Mapping[str, str] = field(default_factory=dict)


def error_reply(error: Exception, headers: Mapping[str, str] | None = None) -> Reply:
    """The reply that tells of an error; one that is not Fourfold's own is logged, and not told.

    The body is `{"error": {"code", "message", "rows", "count"}}`: `rows` lists the first row errors, `count` says how
    many there are.

    Args:
        error: what was raised.
        headers: headers that every reply has.
    """
    return _reply(_failure(error), headers or {})


def internal_error_reply(headers: Mapping[str, str] | None = None) -> Reply:
    """The reply to a request that met a bug, which the log tells of and the reply does not."""
    return _reply(_Failure(500, "internal", "this request met a bug here; the log tells more"), headers or {})


def _failure(error: Exception) -> _Failure:
    if isinstance(error, Refused):
        return _Failure(error.status, error.code, str(error), (), error.headers)
    if isinstance(error, InputError):
        return _rows_failure(error.errors)
    if isinstance(error, DecodeError):
        return _Failure(400, "decode", str(error))
    if isinstance(error, MissingLibrary):
        return _Failure(415, "media_type", str(error))
    if isinstance(error, EngineError):
        return _Failure(500, "engine", str(error))
    _log.error("a request failed", exc_info=error)
    return _Failure(500, "internal", "this request met a bug here; the log tells more")


def _rows_failure(errors: Sequence[RowError]) -> _Failure:
    rows = len({error.row for error in errors})
    many = f"{rows} row{'s' * (rows > 1)}"
    # The rows fit the signature, and yet the engine cannot answer them: the client can do nothing about that.
    if all(error.code == "engine" for error in errors):
        return _Failure(500, "engine", f"the engine failed on {many}, the first: {errors[0].got}", errors)
    problem = "does" if rows == 1 else "do"
    return _Failure(422, "rows", f"{many} {problem} not fit the signature; {truncate(str(errors[0]))}", errors)


def truncate(text: str, limit: int = 500) -> str:
    """A text as a reply shows it: never more than `limit` characters of it."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _reply(failed: _Failure, headers: Mapping[str, str]) -> Reply:
    shown = [replace(error, field=error.field and truncate(error.field, _NAME)) for error in failed.rows[:SHOWN]]
    error = {
        "code": failed.code,
        "message": failed.message,
        "rows": [each.to_json() for each in shown],
        "count": len(failed.rows),
    }
    # In ASCII: a name may hold half a surrogate pair, which UTF-8 cannot say.
    body = json.dumps({"error": error}, separators=(",", ":")).encode()
    return Reply(failed.status, body, {**headers, **failed.headers, "content-type": JSON})
