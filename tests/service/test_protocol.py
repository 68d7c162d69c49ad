from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from fourfold.service import running
from fourfold.service.protocol import MAX_HEAD_BYTES
from tests.support import make_predictor

_PREDICT = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
_CHUNKED = _PREDICT + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Where a service listens."""
    with running(make_predictor()) as url:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        yield parts.hostname, parts.port


def _endless(address: tuple[str, int], start: bytes, piece: bytes) -> tuple[int, bytes]:
    """Send a start and then pieces until the service hangs up; how many bytes it took, and what it said."""
    sent = 0
    with socket.create_connection(address, timeout=60) as connection:
        try:
            connection.sendall(start)
            while sent < 2**26:
                connection.sendall(piece)
                sent += len(piece)
        except ConnectionError:
            pass
        try:
            said = connection.recv(4096)
        except ConnectionError:
            said = b""
    return sent, said


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /", b"a" * 2**16),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", b"a" * 2**16),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-Many: a\r\n" * 5000),
        (_CHUNKED + b"0\r\n", b"X-Many: a\r\n" * 5000),
        (_CHUNKED + b"1;", b"extension" * 5000),
    ],
    ids=["path", "header", "headers", "trailers", "chunk extension"],
)
def test_a_client_that_never_comes_to_its_body_is_hung_up_on(
    address: tuple[str, int], start: bytes, piece: bytes
) -> None:
    """Whatever stands around a body is kept by the parser: without a bound, one client could fill the memory."""
    sent, _ = _endless(address, start, piece)
    assert sent < 2**26  # the system's own buffers take some megabytes of it


def test_a_long_head_and_a_long_body_are_taken(address: tuple[str, int]) -> None:
    """A head within the bound is read in whatever pieces it comes, and a body in chunks of a byte is."""
    filler = b"X-Filler: " + b"a" * (MAX_HEAD_BYTES - 4096) + b"\r\n"
    body = b'[{"x": 1.5}' + b" " * 30_000 + b"]"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\nX-Trailer: t\r\n\r\n"
    with socket.create_connection(address, timeout=60) as connection:
        for piece in (_PREDICT, filler[:20_000], filler[20_000:], b"Transfer-Encoding: chunked\r\n\r\n", chunks):
            connection.sendall(piece)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
