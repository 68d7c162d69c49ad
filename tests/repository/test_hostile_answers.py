"""Answers of a bucket, changed at random: each is an answer or an error of the repository, and nothing else."""

from __future__ import annotations

import http.server
import random
from collections.abc import Callable

import pytest

from fourfold.buckets import settings
from fourfold.errors import FourfoldError
from fourfold.repository import Repository
from tests.repository.hostile_server import Answer, HostileServer

RECORD = b'{"digest":"sha256:%s","token":"%s","version":1}' % (b"0" * 64, b"0" * 32)
LISTING = (
    b'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>models</Name><Prefix>deep/</Prefix>'
    b"<KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents>"
    b"<Key>deep/models/eta/versions/1.json</Key><LastModified>2026-11-30T10:00:00.000Z</LastModified>"
    b'<ETag>"tag"</ETag><Size>90</Size></Contents></ListBucketResult>'
)
STATUSES = [200] * 8 + [204, 206, 301, 304, 403, 404, 409, 412, 500, 999]
INSERTED = [b"\xff", b"\x00", b"\x1b[2J", b"9" * 30, b"-", b"%", b"&a;", b"<x>", b"]]>", b"/../", b"deep/" * 50]
HEADERS = [
    "x-amz-version-id",
    "Content-Encoding",
    "Transfer-Encoding",
    "Content-Range",
    "Cache-Control",
    "x-amz-meta-a",
]
VALUES = [
    "gzip",
    "chunked",
    "\xff\xfe",
    "",
    "bytes 0-99999999999999999999/99999999999999999999",
    "bytes 5-1/2",
    "bytes */*",
    "bytes 0-18446744073709551615/18446744073709551615",
    "a" * 9000,
]
LOCATIONS = ["/x", "http://", "file:///etc/passwd", "ftp://x", "http://[::1", "\xff"]


def changed(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with a few changes: others, more, fewer, or some twice."""
    out = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        index = chance.randrange(len(out) + 1)
        match chance.randrange(4):
            case 0 if out:
                out[index % len(out)] = chance.randrange(256)
            case 1:
                out[index:index] = chance.choice(INSERTED)
            case 2:
                del out[index : index + chance.randrange(30)]
            case _:
                out[index:index] = out[max(0, index - 20) : index]
    return bytes(out)


@pytest.mark.seeds(2, sweep=20)
def test_no_answer_is_more_than_an_error(
    seed: int, serve: Callable[[Answer], HostileServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a server answers, every verb ends, with an error of ours that a terminal can show in a line."""
    monkeypatch.setattr(settings, "MAX_RETRIES", 0)
    monkeypatch.setattr(settings, "READ_TIMEOUT_S", 0.5)
    chance = random.Random(seed)

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        data = chance.choice([RECORD, b"{}", LISTING, LISTING, changed(LISTING, chance), changed(RECORD, chance)])
        status = chance.choice(STATUSES)
        headers = [
            ("ETag", '"tag"'),
            ("Last-Modified", "Mon, 30 Nov 2026 10:00:00 GMT"),
            ("Content-Length", str(len(data))),
        ]
        headers += [("Content-Range", f"bytes 0-{len(data) - 1}/{len(data)}")] if status == 206 else []
        headers += [("Location", chance.choice(LOCATIONS))] if status == 301 else []
        for _ in range(chance.randrange(3)):
            index = chance.randrange(len(headers))
            match chance.randrange(4):
                case 0:
                    name, value = headers[index]
                    headers[index] = (name, changed(value.encode("latin-1"), chance).decode("latin-1"))
                case 1:
                    headers.append(headers[index])
                case 2 if len(headers) > 1:
                    del headers[index]
                case _:
                    headers.append((chance.choice(HEADERS), chance.choice(VALUES)))
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    serve(answer)
    known = Repository.open("s3://models/deep")
    refusals: list[str] = []
    for _ in range(60):
        for verb in (
            lambda: known.resolve("eta@production"),
            lambda: Repository.open("s3://models/deep").resolve("eta"),
            known.models,
            lambda: known.find("eta@sha256:" + "0" * 64),
        ):
            try:
                verb()
            except FourfoldError as error:
                refusals.append(str(error))
    assert len(refusals) > 200
    assert [refusal for refusal in refusals if not refusal.isprintable() or len(refusal) > 1500] == []
