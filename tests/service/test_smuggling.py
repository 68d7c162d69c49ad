"""Bytes that two servers could read in two ways, and the exact replies to them, however they are cut into pieces."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from fourfold.service import protocol, running
from tests.service.wire import Address, exchanges, predict
from tests.support import make_predictor

#: At how many places a request is cut in two.
CUTS = 20
BEFORE, BEFORE_WORD = predict(1), (200, 2.0)
BEHIND, BEHIND_WORD = predict(21, "Connection: close"), (200, 42.0)
REFUSED = (400, "http")

GET = b"GET /health/live HTTP/1.1\r\nHost: h\r\n"
LIVE = (200, None)
POST = b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ROW = b'{"x": 5}'
LENGTH = b"Content-Length: 3\r\n"
END = b"0\r\n\r\n"
CHUNK = b"8\r\n" + ROW + b"\r\n"
ANSWER = (200, 10.0)
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
UPGRADE = ("Connection: Upgrade", "Upgrade: foo")


@dataclass(frozen=True)
class Case:
    """Bytes, the replies to them, and whether the connection is closed with the last of these."""

    data: bytes
    words: list[Any]
    closes: bool = False


def refused(data: bytes) -> Case:
    return Case(data, [REFUSED], closes=True)


ENCODINGS = [
    "identity",
    "gzip, chunked",
    "chunked, gzip",
    "xchunked",
    '"chunked"',
    "chunked;q=1",
    "\x0bchunked",
    "",
]
CHUNK_STARTS = [
    *(b"8 \r\n", b" 8\r\n", b"+8\r\n", b"-8\r\n", b"0x8\r\n", b"8_\r\n", b"\r\n", b"f" * 17 + b"\r\n"),
    *(b"8\n", b"8\r", b"8;\n", b"8\x00\r\n", b'8;a="\n"\r\n', b"8;a=\x00\r\n"),
]
CASES = {
    # A body behind a head that asks for another protocol is a body, and no request.
    "upgrade": Case(predict(5, *UPGRADE), [ANSWER]),
    "upgrade to h2c": Case(
        predict(5, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAM"), [ANSWER]
    ),
    "upgrade to websocket": Case(predict(5, "Connection: upgrade", "Upgrade: websocket"), [ANSWER]),
    "upgrade, a request as the body": Case(predict(0, *UPGRADE, body=HIDDEN), [(400, "decode")]),
    "upgrade, in chunks": Case(
        POST + b"Connection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK + b"0\r\n\r\n",
        [ANSWER],
    ),
    "upgrade, no body": Case(GET + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n", [LIVE]),
    "upgrade, twice": Case(predict(5, *UPGRADE) + predict(6, *UPGRADE), [ANSWER, (200, 12.0)]),
    "upgrade, and close": Case(predict(5, "Connection: Upgrade, close", "Upgrade: x"), [ANSWER], closes=True),
    "upgrade in HTTP/1.0": Case(
        b"POST /predict HTTP/1.0\r\nContent-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
        b"Content-Length: 8\r\n\r\n" + ROW,
        [ANSWER],
        closes=True,
    ),
    # Hosts.
    "no host": refused(b"GET /health/live HTTP/1.1\r\n\r\n"),
    "two hosts": refused(GET + b"Host: other\r\n\r\n"),
    "one host twice": refused(GET + b"Host: h\r\n\r\n"),
    "hosts in a list": refused(b"GET /health/live HTTP/1.1\r\nHost: h, other\r\n\r\n"),
    "a host with a path": refused(b"GET /health/live HTTP/1.1\r\nHost: h/x\r\n\r\n"),
    "a host with a user": refused(b"GET /health/live HTTP/1.1\r\nHost: u@h\r\n\r\n"),
    "two hosts in HTTP/1.0": refused(b"GET /health/live HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    "an empty host": Case(b"GET /health/live HTTP/1.1\r\nHost:\r\n\r\n", [LIVE]),
    "a host in brackets": Case(b"GET /health/live HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n", [LIVE]),
    "no host in HTTP/1.0": Case(b"GET /health/live HTTP/1.0\r\n\r\n", [LIVE], closes=True),
    # Lengths.
    **{
        f"length {value}": refused(POST + f"Content-Length: {value}\r\n\r\n".encode() + ROW)
        for value in (
            "+8",
            "-8",
            "0x8",
            "8 8",
            "8, 8",
            "8,8",
            "",
            "8.0",
            "eight",
            "9" * 30,
            str(2**64 + 8),
            "8_0",
        )
    },
    "a length of many zeros": refused(POST + b"Content-Length: " + b"0" * 5000 + b"8\r\n\r\n" + ROW),
    "a length with a zero": Case(POST + b"Content-Length: 008\r\n\r\n" + ROW, [ANSWER]),
    "a length twice": refused(POST + b"Content-Length: 8\r\nContent-Length: 8\r\n\r\n" + ROW),
    "two lengths": refused(POST + b"Content-Length: 8\r\nContent-Length: 0\r\n\r\n" + ROW),
    "a length, then chunks": refused(
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK + b"0\r\n\r\n"
    ),
    "chunks, then a length": refused(
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + CHUNK + b"0\r\n\r\n"
    ),
    # Transfer encodings.
    **{
        f"encoding {value}": refused(POST + f"Transfer-Encoding: {value}\r\n\r\n".encode() + CHUNK + END)
        for value in (
            "identity",
            "gzip, chunked",
            "chunked, gzip",
            "xchunked",
            '"chunked"',
            "chunked;q=1",
            "\x0bchunked",
            "",
        )
    },
    "an encoding twice": refused(POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK),
    "two encodings": refused(POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "an encoding in HTTP/1.0": refused(b"POST /predict HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "an encoding in capitals": Case(POST + b"Transfer-Encoding: CHUNKED\r\n\r\n" + CHUNK + b"0\r\n\r\n", [ANSWER]),
    # Chunks.
    **{f"chunk {start!r}": refused(CHUNKED + start + ROW + b"\r\n0\r\n\r\n") for start in CHUNK_STARTS},
    "a chunk that is too short": refused(CHUNKED + b"8\r\n" + ROW[:-1] + b"\r\n0\r\n\r\n"),
    "a chunk that is too long": refused(CHUNKED + b"7\r\n" + ROW + b"\r\n0\r\n\r\n"),
    "a chunk ended by a line feed": refused(CHUNKED + b"8\r\n" + ROW + b"\n0\r\n\r\n"),
    "a chunk with an extension": Case(CHUNKED + b"8;name=value\r\n" + ROW + b"\r\n0\r\n\r\n", [ANSWER]),
    "trailers": Case(CHUNKED + CHUNK + b"0\r\nContent-Type: text/csv\r\nX-Sum: 1\r\n\r\n", [ANSWER]),
    **{
        f"trailer {name}": refused(CHUNKED + CHUNK + f"0\r\n{name}: 8\r\n\r\n".encode())
        for name in ("Content-Length", "Transfer-Encoding", "Host", "Connection", "Upgrade", "Expect")
    },
    "a trailer with a space": refused(CHUNKED + CHUNK + b"0\r\nX Y: 1\r\n\r\n"),
    # Lines and names.
    "bare line feeds": refused(b"GET /health/live HTTP/1.1\nHost: h\n\n"),
    "a bare line feed in a header": refused(b"GET /health/live HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"),
    "a bare line feed at the end": refused(GET + b"\n"),
    "a bare carriage return": refused(GET + b"X: a\rY: b\r\n\r\n"),
    "a folded header": refused(GET + b"X: a\r\n b\r\n\r\n"),
    "a header folded by a tab": refused(GET + b"X: a\r\n\tb\r\n\r\n"),
    "a folded first header": refused(b"GET /health/live HTTP/1.1\r\n Host: h\r\n\r\n"),
    "a folded encoding": refused(POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNK),
    "a NUL in a header": refused(GET + b"X: a\x00b\r\n\r\n"),
    "a control character in a header": refused(GET + b"X: a\x01b\r\n\r\n"),
    "a NUL in a name": refused(GET + b"X\x00: a\r\n\r\n"),
    "a space in a name": refused(GET + b"X Y: a\r\n\r\n"),
    "a space behind a name": refused(POST + b"Content-Length : 8\r\n\r\n" + ROW),
    "a tab behind a name": refused(POST + b"Transfer-Encoding\t: chunked\r\n\r\n" + CHUNK),
    "no name": refused(GET + b": a\r\n\r\n"),
    "no colon": refused(GET + b"Abc\r\n\r\n"),
    "very many headers": refused(GET + b"".join(b"X-%d: a\r\n" % number for number in range(300)) + b"\r\n"),
    "many headers": Case(GET + b"".join(b"X-%d: a\r\n" % number for number in range(200)) + b"\r\n", [LIVE]),
    # Request lines.
    "HTTP/0.9": refused(b"GET /health/live\r\n"),
    "HTTP/0.9 with headers": refused(b"GET /health/live\r\nHost: h\r\n\r\n"),
    "HTTP/0.9, named": refused(b"GET /health/live HTTP/0.9\r\nHost: h\r\n\r\n"),
    "HTTP/2.0": refused(b"GET /health/live HTTP/2.0\r\nHost: h\r\n\r\n"),
    "the preface of HTTP/2": refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
    "HTTP/1.2": refused(b"GET /health/live HTTP/1.2\r\nHost: h\r\n\r\n"),
    "HTTP/1.10": refused(b"GET /health/live HTTP/1.10\r\nHost: h\r\n\r\n"),
    "http in small letters": refused(b"GET /health/live http/1.1\r\nHost: h\r\n\r\n"),
    "a method of RTSP": Case(b"DESCRIBE /predict RTSP/1.0\r\nHost: h\r\n\r\n", [(405, "method")], closes=True),
    "a method in small letters": refused(b"get /health/live HTTP/1.1\r\nHost: h\r\n\r\n"),
    "an unknown method": refused(b"FOO /health/live HTTP/1.1\r\nHost: h\r\n\r\n"),
    "TLS": refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "a tunnel": refused(b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n"),
    "a tunnel to a path": refused(b"CONNECT /predict HTTP/1.1\r\nHost: h\r\n\r\n"),
    "the whole server": refused(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"),
    "a target without a slash": refused(b"GET health/live HTTP/1.1\r\nHost: h\r\n\r\n"),
    "a target of another scheme": refused(b"GET ftp://h/health/live HTTP/1.1\r\nHost: h\r\n\r\n"),
    "a target with a user": refused(b"GET http://u@h/health/live HTTP/1.1\r\nHost: h\r\n\r\n"),
    "a target with a fragment": refused(b"GET /health/live#x HTTP/1.1\r\nHost: h\r\n\r\n"),
    "a target with a space": refused(b"GET /health /live HTTP/1.1\r\nHost: h\r\n\r\n"),
    "a target with a control character": refused(b"GET /health\x01 HTTP/1.1\r\nHost: h\r\n\r\n"),
    "a target beyond ASCII": refused(b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n"),
    "an absolute target": Case(b"GET http://h:80/health/live HTTP/1.1\r\nHost: h\r\n\r\n", [LIVE]),
    "an absolute target, no path": Case(b"GET http://h?x HTTP/1.1\r\nHost: h\r\n\r\n", [LIVE]),
    "an empty line before": Case(b"\r\n" + GET + b"\r\n", [LIVE]),
    # Several requests in one go, and what follows the last.
    "pipelined": Case(b"".join(predict(x) for x in range(20)), [(200, 2.0 * x) for x in range(20)]),
    "closed by the client": Case(predict(5, "Connection: close") + HIDDEN, [ANSWER], closes=True),
    "expect": Case(predict(5, "Expect: 100-continue"), [(100, None), ANSWER]),
    "expect something else": Case(predict(5, "Expect: 200-ok"), [(417, "http")], closes=True),
    "expect in HTTP/1.0": Case(
        b"POST /predict HTTP/1.0\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n"
        + ROW,
        [ANSWER],
        closes=True,
    ),
}


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """Where a service listens."""
    with running(make_predictor()) as url:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        yield parts.hostname, parts.port


def expected(case: Case, *, first: bool) -> list[Any]:
    return [BEFORE_WORD] * first + case.words + [BEHIND_WORD] * (not case.closes)


@pytest.mark.parametrize("name", CASES)
def test_the_replies_are_exactly_these(address: Address, name: str) -> None:
    """Alone, behind an honest request and before one: each request gets its own reply, and what is refused the last."""
    case = CASES[name]
    alone, behind = exchanges(address, [[case.data + BEHIND], [BEFORE + case.data + BEHIND]])
    assert [reply.word for reply in alone] == expected(case, first=False)
    assert [reply.word for reply in behind] == expected(case, first=True)
    closing = alone[-1]
    assert closing.headers["connection"] == "close"


def test_the_pieces_change_nothing(address: Address) -> None:
    """The replies are the same wherever the bytes are cut in two, and where they come one by one."""
    names: list[str] = []
    sends: list[list[bytes]] = []
    for name, case in CASES.items():
        data = case.data + BEHIND
        sends += [[data[:cut], data[cut:]] for cut in range(1, len(data), max(1, len(data) // CUTS))]
        if len(data) < 400:
            sends.append([data[index : index + 1] for index in range(len(data))])
        names += [name] * (len(sends) - len(names))
    for name, replies in zip(names, exchanges(address, sends), strict=True):
        assert (name, [reply.word for reply in replies]) == (name, expected(CASES[name], first=False))


def test_a_reply_before_the_end_of_its_request_closes_the_connection(address: Address) -> None:
    """The client may send the rest or not: what comes then is neither a request nor a reason to lose the reply."""
    heads = {
        LIVE: GET,
        (404, "not_found"): b"POST /nothing HTTP/1.1\r\nHost: h\r\n",
        (413, "too_large"): POST + b"Expect: 100-continue\r\n",
    }
    for word, head in heads.items():
        length = 2**26 if word[0] == 413 else len(HIDDEN)
        start = head + b"Content-Length: %d\r\n\r\n" % length
        for replies in exchanges(address, [[start, HIDDEN], [start]], pause_s=0.4):
            assert [reply.word for reply in replies] == [word]
            assert replies[0].headers["connection"] == "close"


def test_a_body_that_nobody_asked_for_is_no_request(address: Address) -> None:
    """The body of a GET is read and dropped, and the next request is answered."""
    case = Case(GET + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, [LIVE])
    assert [reply.word for reply in exchanges(address, [[case.data + BEHIND]])[0]] == expected(case, first=False)


def test_a_large_body_that_is_refused_does_not_lose_the_reply(address: Address) -> None:
    """A client that sends megabytes behind what is refused can still read why."""
    body = bytes(2**22)
    sends = [
        [GET + b"Host: other\r\n\r\n" + body],
        [POST + b"Content-Length: %d\r\n\r\n" % 2**26 + body],
        [CHUNKED + b"8 \r\n" + body],
    ]
    words = [[reply.word for reply in replies] for replies in exchanges(address, sends * 5)]
    assert words == [[REFUSED], [(413, "too_large")], [REFUSED]] * 5


def test_thousands_of_requests_at_once_are_answered_in_order(address: Address) -> None:
    """A client may send what it likes in advance: it gets every answer, in order, and the last request is the last."""
    data = b"".join(predict(x) for x in range(3000))
    replies = exchanges(address, [[data + BEHIND]])[0]
    assert [reply.word for reply in replies] == [*((200, 2.0 * x) for x in range(3000)), BEHIND_WORD]


SCRAPS = [
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b",", b";", b"0", b"8", b"\x80", b"\xff", b"HTTP/1.0"),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Host: h\r\n"),
    *(b"Upgrade: x\r\nConnection: upgrade\r\n", b"Expect: 100-continue\r\n", HIDDEN),
]
SEEDS = [case.data for case in CASES.values() if len(case.data) < 600]


def mutated(chance: random.Random) -> bytes:
    """One of the cases with a few bytes inserted, removed, changed, or taken from another case."""
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data) + 1)
        other = chance.choice(SEEDS)
        start = chance.randrange(len(other))
        change = chance.choice(["scrap", "line", "remove", "byte", "splice"])
        if change == "scrap":
            data[place:place] = chance.choice(SCRAPS)
        elif change == "line" and (line_end := data.find(b"\r\n", place)) >= 0:
            data[line_end:line_end] = b"\r\n" + chance.choice(SCRAPS)
        elif change == "remove":
            del data[place : place + chance.randint(1, 6)]
        elif change == "byte" and place < len(data):
            data[place] = chance.randrange(256)
        elif change == "splice":
            data[place:place] = other[start : start + chance.randint(1, 60)]
    return bytes(data)


@pytest.mark.seeds(2, sweep=60)
def test_no_bytes_are_read_in_two_ways(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the bytes are, replies come whole, cutting the bytes changes none of them, and the service lives on."""
    chance = random.Random(seed)
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 1)
    monkeypatch.setattr(protocol, "IDLE_TIMEOUT_S", 1)
    inputs = [mutated(chance) + BEHIND for _ in range(80)]
    cuts = [chance.randrange(1, len(data)) for data in inputs]
    with running(make_predictor()) as url:
        parts = urlsplit(url)
        here = (str(parts.hostname), parts.port or 0)
        whole = exchanges(here, [[data] for data in inputs])
        cut = exchanges(here, [[data[:at], data[at:]] for data, at in zip(inputs, cuts, strict=True)])
        assert [reply.word for reply in exchanges(here, [[BEHIND]])[0]] == [BEHIND_WORD]
    for data, replies, replies_to_pieces in zip(inputs, whole, cut, strict=True):
        # Of two faults either may be told.
        words = ["refused" if reply.word[1] == "http" else reply.word for reply in replies]
        words_to_pieces = ["refused" if reply.word[1] == "http" else reply.word for reply in replies_to_pieces]
        if words != words_to_pieces:
            # The first piece was answered, which closes the connection, before the rest of the request came.
            last = replies_to_pieces[-1]
            assert (data, words_to_pieces[:-1]) == (data, words[: len(words_to_pieces) - 1])
            assert (data, last.status in (200, 404, 405, 413), last.headers["connection"]) == (data, True, "close")
