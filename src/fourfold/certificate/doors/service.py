"""Open the doors of the microservice: one server, each media type that it accepts, eight clients at a time."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from fourfold.certificate.batching import ODD_SIZED, ONE_BY_ONE, SHUFFLED, Batching
from fourfold.certificate.doors.commands import running
from fourfold.certificate.doors.door import Door, Row, as_rows, readable_fields
from fourfold.codecs import arrow, csv, json_columns, json_rows, parquet
from fourfold.codecs.formats import ARROW, CSV, JSON, PARQUET
from fourfold.errors import FourfoldError, ServiceError, shorten
from fourfold.signature import Signature

__all__ = ["doors"]

#: The number of concurrent requests, so that the service's micro-batches mix rows of several requests.
CLIENTS = 8
REQUEST_TIMEOUT_S = 120

Encode = Callable[[list[Row], Signature], bytes]
Decode = Callable[[bytes, Signature], Any]


@contextmanager
def doors(package: Sequence[str], signature: Signature, *, url: str | None) -> Iterator[list[Door]]:
    """Yield the doors of the service at `url`; without a URL, of one that is started now and stopped at the end."""
    if url is not None:
        yield _doors_of(url, signature)
        return
    with running(["serve", *package, "--port", "0", "--notice", "0", "--json"]) as ready:
        yield _doors_of(ready["url"], signature)


def _doors_of(url: str, signature: Signature) -> list[Door]:
    digest = _digest(url)
    columns = ("POST /predict, JSON columns", JSON, _encode_columns, _decode_columns, (ODD_SIZED,))
    # Where an input is named "columns", an object with this one key is a row: the service then has no columns form.
    has_columns_form = all(field.name != "columns" for field in signature.inputs)
    forms: list[tuple[str, str, Encode, Decode, Sequence[Batching]]] = [
        ("POST /predict, one JSON object", JSON, _encode_one, _decode_one, (ONE_BY_ONE,)),
        ("POST /predict, JSON rows", JSON, _encode(json_rows), _decode(json_rows), (ODD_SIZED, SHUFFLED)),
        *((columns,) if has_columns_form else ()),
        ("POST /predict, CSV", CSV, _encode(csv), _decode(csv), (ODD_SIZED,)),
        ("POST /predict, Arrow", ARROW, _encode(arrow), _decode(arrow), (ODD_SIZED, SHUFFLED)),
        ("POST /predict, Parquet", PARQUET, _encode(parquet), _decode(parquet), (ODD_SIZED,)),
    ]
    return [_MediaTypeDoor(url, digest, signature, *form) for form in forms]


class _MediaTypeDoor:
    """Send rows to a running service in one media type."""

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
        batchings: Sequence[Batching],
    ) -> None:
        self.name = name
        self.batchings = batchings
        self.digest = digest
        self._url = url
        self._signature = signature
        self._media_type = media_type
        self._encode = encode
        self._decode = decode
        self._thread = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    def answers(self, batches: Sequence[Sequence[Row]]) -> list[Row | None]:
        try:
            with ThreadPoolExecutor(CLIENTS) as clients:
                return [row for rows in clients.map(self._send, batches) for row in rows]
        finally:
            while self._connections:  # their threads have ended
                self._connections.pop().close()

    def _send(self, batch: Sequence[Row]) -> list[Row | None]:
        body = self._encode(list(batch), self._signature)
        status, reply = self._post(body)
        if status == 422:
            return [None] * len(batch)
        if status != 200:
            raise ServiceError(f"{self._url}: {self.name} answered {status}: {shorten(reply, 300)}")
        return list(as_rows(self._decode(reply, self._signature), self._signature))

    def _post(self, body: bytes) -> tuple[int, bytes]:
        connection: http.client.HTTPConnection | None = getattr(self._thread, "connection", None)
        if connection is None:
            connection = self._thread.connection = _connect(self._url)
            self._connections.append(connection)
        try:
            connection.request("POST", "/predict", body, {"Content-Type": self._media_type})
            reply = connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"{self._url} cannot be reached: {error}") from error


def _connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    connection_type = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return connection_type(parts.hostname or "127.0.0.1", parts.port, timeout=REQUEST_TIMEOUT_S)


def _digest(url: str) -> str:
    connection = _connect(url)
    try:
        connection.request("GET", "/")
        reply = connection.getresponse()
        page: Any = json_rows.decode(b"[" + reply.read() + b"]", ())
        return str(page[0]["digest"])
    except (OSError, http.client.HTTPException, FourfoldError, KeyError) as error:
        raise ServiceError(f"{url} does not answer as a Fourfold service does: {error!r}") from error
    finally:
        connection.close()


def _encode(codec: Any) -> Encode:
    return lambda rows, signature: codec.encode(rows, signature.inputs)


def _decode(codec: Any) -> Decode:
    return lambda body, signature: codec.decode(body, readable_fields(signature))


def _encode_one(rows: list[Row], signature: Signature) -> bytes:
    return bytes(json_rows.encode(rows, signature.inputs)[1:-1])


def _decode_one(body: bytes, signature: Signature) -> Any:
    return json_rows.decode(b"[" + body + b"]", signature.outputs)


def _encode_columns(rows: list[Row], signature: Signature) -> bytes:
    return b'{"columns":' + json_columns.encode(rows, signature.inputs) + b"}"


def _decode_columns(body: bytes, signature: Signature) -> Any:
    inner = body.strip().removeprefix(b'{"columns":').removesuffix(b"}")
    return json_columns.decode(inner, signature.outputs)
