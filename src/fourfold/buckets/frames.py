"""Exchange frames with the client's process: a kind, a length of at most 1 MiB, and so many bytes.

| kind | from | its bytes |
|---|---|---|
| `REQUEST` | the caller | JSON: what is asked for |
| `ACCEPTED` | the process | none: the request is begun; before it, a lost process has done nothing |
| `BODY` | both | a part of the bytes of a key |
| `HEAD` | the process | JSON: an answer's size, e_tag and version |
| `KEYS` | the process | JSON: a list of keys |
| `DONE` | the process | none: all was said |
| `ERROR` | the process | JSON: the kind of a `BucketError`, and its report |
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

__all__ = [
    "ACCEPTED",
    "BODY",
    "DONE",
    "ERROR",
    "HEAD",
    "KEYS",
    "MAX_FRAME_BYTES",
    "REQUEST",
    "EndOfFrames",
    "receive",
    "receive_into",
    "send",
    "send_json",
]

REQUEST, ACCEPTED, BODY, HEAD, KEYS, DONE, ERROR = b"r", b"a", b"b", b"h", b"k", b"d", b"e"
MAX_FRAME_BYTES = 2**20

_HEAD = struct.Struct("!cI")


class EndOfFrames(ConnectionError):
    """Report that the other side is gone, or sends what is no frame."""


def send(line: socket.socket, kind: bytes, data: bytes | memoryview = b"") -> None:
    """Send a frame of at most `MAX_FRAME_BYTES`; raise `OSError` where nobody reads it."""
    head = _HEAD.pack(kind, len(data))
    if len(data) < 4096:
        line.sendall(head + data)
    else:
        line.sendall(head)
        line.sendall(data)


def send_json(line: socket.socket, kind: bytes, value: Any) -> None:
    """Send a frame with a value in JSON."""
    send(line, kind, json.dumps(value).encode())


def receive(line: socket.socket) -> tuple[bytes, bytes]:
    """Return the kind and the bytes of the next frame.

    Raises:
        EndOfFrames: the other side is gone, or sends what is no frame.
        OSError: it cannot be read, or did not come in time (`TimeoutError`).
    """
    kind, length = _HEAD.unpack(_read(line, _HEAD.size))
    if length > MAX_FRAME_BYTES:
        raise EndOfFrames
    return kind, _read(line, length)


def receive_into(line: socket.socket, target: memoryview) -> None:
    """Fill `target` with the bytes of frames of the kind `BODY`; raise as `receive` does."""
    position = 0
    while position < len(target):
        kind, length = _HEAD.unpack(_read(line, _HEAD.size))
        if kind != BODY or length > len(target) - position:
            raise EndOfFrames
        end = position + length
        while position < end:
            count = line.recv_into(target[position:end])
            if not count:
                raise EndOfFrames
            position += count


def _read(line: socket.socket, length: int) -> bytes:
    parts: list[bytes] = []
    missing = length
    while missing:
        parts.append(line.recv(missing))
        if not parts[-1]:
            raise EndOfFrames
        missing -= len(parts[-1])
    return b"".join(parts)
