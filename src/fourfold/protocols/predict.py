"""The protocol of a predictor: decode, predict, encode, in three steps that a server can put its own work between."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from fourfold.codecs import json_bytes, json_columns, json_rows
from fourfold.codecs.formats import CSV, JSON
from fourfold.errors import DecodeError, InputError, MissingLibrary, shorten
from fourfold.predictor import Answer, Predictor
from fourfold.protocols.media_types import CODECS, MEDIA_TYPES, choose_media_type, parse_media_type
from fourfold.protocols.replies import Refused, Reply, error_reply

__all__ = ["MAX_BODY_BYTES", "Call", "PredictProtocol", "join_headers"]

#: The longest body that is taken where nobody says otherwise.
MAX_BODY_BYTES = 32 * 2**20
#: The most rows, and values in them, that one request may bring. A body is no measure of them: `{}` is a row in JSON,
#: and Arrow and Parquet can say in a few bytes that there are a billion.
MAX_ROWS, MAX_VALUES = 2**20, 2**25

# The forms that JSON has; a reply has the form of its request.
_ROW = "row"
_ROWS = "rows"
_WRAPPED_ROWS = "wrapped rows"
_COLUMNS = "columns"

_CONTENT_TYPES = {media_type: media_type for media_type in MEDIA_TYPES} | {CSV: "text/csv; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been decoded.

    Attributes:
        table: its rows, as `Predictor.answer` takes them.
        media_type: the media type of the reply.
        form: for a reply in JSON, its form.
    """

    table: Any
    media_type: str
    form: str


class PredictProtocol:
    """Requests to replies, for one predictor. Safe to call from any number of threads.

    Args:
        predictor: the predictor.
        max_body_bytes: the longest body that is taken, in bytes.

    Attributes:
        headers: what every reply says of the model: its name with its version, and its digest.
    """

    def __init__(self, predictor: Predictor, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self.predictor = predictor
        self.max_body_bytes = max_body_bytes
        version = "" if predictor.version is None else f":{predictor.version}"
        self.headers = {"x-fourfold-model": f"{predictor.name}{version}", "x-fourfold-digest": predictor.digest}
        self._inputs = predictor.signature.inputs
        self._outputs = predictor.signature.outputs
        self._width = sum(math.prod(each.shape) for each in self._inputs)
        names = {each.name for each in self._inputs}
        # An object whose only key is `rows` or `columns` wraps a table, unless that is the name of an input field.
        self._wrappers = {"rows", "columns"} - names

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Answer one request; whatever fails is told in the reply.

        Args:
            body: the request's body, in bytes as they came.
            headers: the request's headers, with lower-case names.

        Returns:
            The reply, with status 200 where every row has its answer.
        """
        try:
            self.check_length(len(body))
            call = self.decode(body, headers)
            return self.encode(call, self.predictor.answer(call.table))
        except Exception as error:  # noqa: BLE001  # every failure has one form; `error_reply` logs what is no Fourfold error
            return self.error_reply(error)

    def error_reply(self, error: Exception) -> Reply:
        """The reply that tells of an error, in the form of every failure."""
        return error_reply(error, self.headers)

    def check_length(self, length: int) -> None:
        """Refuse a body of that many bytes where it is too long.

        Raises:
            Refused: it is.
        """
        if length > self.max_body_bytes:
            raise Refused(
                413,
                "too_large",
                f"expected a body of at most {self.max_body_bytes} bytes; this one has more: send it in parts",
            )

    async def read(self, chunks: AsyncIterable[bytes], headers: Mapping[str, str]) -> bytes:
        """The body of a request that comes in chunks.

        Raises:
            Refused: it is too long; it has not been read to its end then, nor begun where its length was announced.
        """
        announced = headers.get("content-length", "")
        if announced.isdecimal():
            self.check_length(int(announced))
        pieces: list[bytes] = []
        length = 0
        async for chunk in chunks:
            length += len(chunk)
            self.check_length(length)
            pieces.append(chunk)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Call:
        """The table of a request, and the form of its reply.

        Args:
            body: the request's body.
            headers: the request's headers, as for a call of the protocol: `content-type`, `content-encoding` and
                `accept` count.

        Raises:
            Refused: its media type is not spoken, or none that is may be the reply's, or it has too many rows.
            DecodeError: the body is not what its media type says.
            InputError: it is no table.
        """
        came = _media_type(headers)
        reply = choose_media_type(headers.get("accept"), (came, *(each for each in MEDIA_TYPES if each != came)))
        if reply is None:
            raise Refused(
                406,
                "accept",
                f"expected to reply in one of {', '.join(MEDIA_TYPES)}; the client takes "
                f"{shorten(headers.get('accept'))}",
            )
        if reply != JSON:
            _codec(reply)  # a library that the reply will need is missed before the work is done
        if came == JSON:
            table, form = self._decode_json(body)
        else:
            table, form = _codec(came).decode(body, self._inputs), _ROWS
        self._check_rows(table)
        return Call(table, reply, form)

    def _check_rows(self, table: Any) -> None:
        rows = len(table)
        width = max(self._width, 0 if isinstance(table, list) else table.num_columns)
        if rows > MAX_ROWS or rows * width > MAX_VALUES:
            raise Refused(
                413,
                "too_large",
                f"expected at most {min(MAX_ROWS, MAX_VALUES // width)} rows of {width} values; got {rows}: send them "
                "in parts",
            )

    def _decode_json(self, body: bytes) -> tuple[Any, str]:
        value = json_bytes.parse(body)
        if isinstance(value, list):
            return value, _ROWS
        if not isinstance(value, dict):
            raise DecodeError(f"expected an array of objects, or one object; got {shorten(value)}")
        only = next(iter(value)) if len(value) == 1 else None
        if only not in self._wrappers:
            return [value], _ROW
        if only == "columns":
            return json_columns.rows_of(value["columns"]), _COLUMNS
        if not isinstance(value["rows"], list):
            raise DecodeError(f"rows: expected an array of objects; got {shorten(value['rows'])}")
        return value["rows"], _WRAPPED_ROWS

    def encode(self, call: Call, answer: Answer) -> Reply:
        """The reply to a request: its outputs, or every row error there is."""
        if answer.errors:
            return self.error_reply(InputError(answer.errors))
        if call.media_type != JSON:
            body = _codec(call.media_type).encode(answer.outputs, self._outputs)
        elif call.form == _COLUMNS:
            body = b'{"columns":' + json_columns.encode(answer.outputs, self._outputs) + b"}"
        else:
            body = json_rows.encode(answer.outputs, self._outputs)
            if call.form == _ROW:
                body = body[1:-1]
            elif call.form == _WRAPPED_ROWS:
                body = b'{"rows":' + body + b"}"
        return Reply(200, body, {**self.headers, "content-type": _CONTENT_TYPES[call.media_type]})


def join_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers of an ASGI request as one mapping; those that came more than once are joined with commas."""
    out: dict[str, str] = {}
    for raw, value in headers:
        name = raw.decode("latin-1")
        out[name] = f"{out[name]}, {value.decode('latin-1')}" if name in out else value.decode("latin-1")
    return out


def _media_type(headers: Mapping[str, str]) -> str:
    """The media type of a request's body.

    Raises:
        Refused: it is not one that is spoken, or the body is compressed.
    """
    said = headers.get("content-type", "")
    parsed = parse_media_type(said)
    if parsed is None or parsed[0] not in MEDIA_TYPES:
        got = shorten(said) if said else "none"
        raise Refused(415, "media_type", f"expected a content-type of {', '.join(MEDIA_TYPES)}; got {got}")
    charset = parsed[1].get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise Refused(415, "media_type", f"expected text in UTF-8; got the charset {shorten(charset)}")
    encoding = headers.get("content-encoding", "identity").lower()
    if encoding not in ("", "identity"):
        raise Refused(
            415, "media_type", f"expected a body that is not compressed; got the encoding {shorten(encoding)}"
        )
    return parsed[0]


def _codec(media_type: str) -> ModuleType:
    """The codec of a media type other than JSON, imported.

    Raises:
        MissingLibrary: the library that it needs is not installed.
    """
    try:
        return import_module(f"fourfold.codecs.{CODECS[media_type]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise MissingLibrary("pyarrow", extra="arrow", purpose=f"the media type {media_type}") from error
