"""The doors of the microservice: one server, every media type that it speaks, eight clients at a time."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from fourfold.certificate.batching import ALONE, ODD, SHUFFLED, Cut
from fourfold.certificate.doors.commands import running
from fourfold.certificate.doors.door import Door, Row, as_rows
from fourfold.codecs import arrow, csv, json_columns, json_rows, parquet
from fourfold.codecs.formats import ARROW, CSV, JSON, PARQUET
from fourfold.errors import FourfoldError, ServiceError, shorten
from fourfold.signature import Signature

__all__ = ["doors"]

#: Requests that are under way at once, so that the service's micro-batches mix the rows of several.
CLIENTS = 8

Encode = Callable[[list[Row], Signature], bytes]
Decode = Callable[[bytes, Signature], Any]


@contextmanager
def doors(package: Sequence[str], signature: Signature, *, url: str | None) -> Iterator[list[Door]]:
    """The doors of a service: the one at `url`, or else one that is started, and stopped at the end."""
    if url is not None:
        yield _at(url, signature)
        return
    with running(["serve", *package, "--port", "0", "--json"]) as ready:
        yield _at(ready["url"], signature)


def _at(url: str, signature: Signature) -> list[Door]:
    digest = _digest(url)
    one = "POST /predict, one JSON object"
    forms: list[tuple[str, str, Encode, Decode, Sequence[Cut]]] = [
        (one, JSON, _encode_one, _decode_one, (ALONE,)),
        ("POST /predict, JSON rows", JSON, _encode(json_rows), _decode(json_rows), (ODD, SHUFFLED)),
        ("POST /predict, JSON columns", JSON, _encode_columns, _decode_columns, (ODD,)),
        ("POST /predict, CSV", CSV, _encode(csv), _decode(csv), (ODD,)),
        ("POST /predict, Arrow", ARROW, _encode(arrow), _decode(arrow), (ODD, SHUFFLED)),
        ("POST /predict, Parquet", PARQUET, _encode(parquet), _decode(parquet), (ODD,)),
    ]
    if any(field.name == "columns" for field in signature.inputs):
        # Then an object with this one key is a row with that field, and the service has no such form.
        forms = [form for form in forms if form[3] is not _decode_columns]
    return [_Service(url, digest, signature, *form) for form in forms]


class _Service:
    """One media type of a running service."""

    architecture = "service"

    def __init__(
        self,
        url: str,
        digest: str,
        signature: Signature,
        name: str,
        media_type: str,
        encode: Encode,
        decode: Decode,
        cuts: Sequence[Cut],
    ) -> None:
        self.name = name
        self.cuts = cuts
        self.digest = digest
        self._url = url
        self._signature = signature
        self._media_type = media_type
        self._encode = encode
        self._decode = decode
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def answers(self, pieces: Sequence[Sequence[Row]]) -> list[Row | None]:
        try:
            with ThreadPoolExecutor(CLIENTS) as clients:
                return [row for rows in clients.map(self._one, pieces) for row in rows]
        finally:
            while self._opened:  # the threads that had them are gone
                self._opened.pop().close()

    def _one(self, piece: Sequence[Row]) -> list[Row | None]:
        body = self._encode(list(piece), self._signature)
        status, reply = self._post(body)
        if status == 422:
            return [None] * len(piece)
        if status != 200:
            raise ServiceError(f"{self._url}: {self.name} answered {status}: {shorten(reply, 300)}")
        return list(as_rows(self._decode(reply, self._signature), self._signature))

    def _post(self, body: bytes) -> tuple[int, bytes]:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _connect(self._url)
            self._opened.append(connection)
        try:
            connection.request("POST", "/predict", body, {"Content-Type": self._media_type})
            reply = connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"{self._url} cannot be reached: {error}") from error


def _connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "127.0.0.1", parts.port, timeout=120)


def _digest(url: str) -> str:
    connection = _connect(url)
    try:
        connection.request("GET", "/")
        reply = connection.getresponse()
        found: Any = json_rows.decode(b"[" + reply.read() + b"]", ())
        return str(found[0]["digest"])
    except (OSError, http.client.HTTPException, FourfoldError, KeyError) as error:
        raise ServiceError(f"{url} does not answer as a Fourfold service does: {error!r}") from error
    finally:
        connection.close()


def _encode(codec: Any) -> Encode:
    return lambda rows, signature: codec.encode(rows, signature.inputs)


def _decode(codec: Any) -> Decode:
    return lambda body, signature: codec.decode(body, signature.outputs)


def _encode_one(rows: list[Row], signature: Signature) -> bytes:
    return bytes(json_rows.encode(rows, signature.inputs)[1:-1])


def _decode_one(body: bytes, signature: Signature) -> Any:
    return json_rows.decode(b"[" + body + b"]", signature.outputs)


def _encode_columns(rows: list[Row], signature: Signature) -> bytes:
    return b'{"columns":' + json_columns.encode(rows, signature.inputs) + b"}"


def _decode_columns(body: bytes, signature: Signature) -> Any:
    inner = body.strip().removeprefix(b'{"columns":').removesuffix(b"}")
    return json_columns.decode(inner, signature.outputs)
