"""Raw bytes to a service and its replies, for the tests of what stands on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Address = tuple[str, int]
#: How many connections are open at once: both their ends are files of this process.
MAX_CONNECTIONS = 200


@dataclass(frozen=True)
class WireReply:
    """A reply as it came: its status, headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def word(self) -> Any:
        """What tells one reply from another: y of an answer, the code of a failure, else the status."""
        value = json.loads(self.body) if self.body else None
        if isinstance(value, dict) and "error" in value:
            return self.status, value["error"]["code"]
        if isinstance(value, dict) and "y" in value:
            return self.status, value["y"]
        return self.status, None


def predict(x: float, *headers: str, body: bytes | None = None) -> bytes:
    """A request for one row, with more headers."""
    body = b'{"x": %g}' % x if body is None else body
    lines = ["POST /predict HTTP/1.1", "Host: h", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def read_replies(data: bytes) -> list[WireReply]:
    """Read the replies to requests other than HEAD; fails where bytes are left that are none."""
    replies = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, head
        first, *lines = head.decode().split("\r\n")
        assert first.startswith("HTTP/1.1 "), first
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        length = int(headers.get("content-length", "0"))
        assert len(data) >= length, "a reply was cut off"
        replies.append(WireReply(int(first.split()[1]), headers, data[:length]))
        data = data[length:]
    return replies


async def exchange(address: Address, pieces: Sequence[bytes], pause_s: float) -> list[WireReply]:
    """Send bytes in pieces on a connection of their own; the replies until the service closes it."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        replies = asyncio.ensure_future(reader.read())
        for index, piece in enumerate(pieces):
            if index:
                await asyncio.sleep(pause_s / len(pieces))
            if replies.done():
                break  # the service has answered for the last time
            writer.write(piece)
        return read_replies(await asyncio.wait_for(replies, 60))
    finally:
        writer.close()


def exchanges(address: Address, sends: Sequence[Sequence[bytes]], pause_s: float = 0.04) -> list[list[WireReply]]:
    """Several exchanges at once, each on its own connection, with pauses of `pause_s` in all."""
    at_once = asyncio.Semaphore(MAX_CONNECTIONS)

    async def one(pieces: Sequence[bytes]) -> list[WireReply]:
        async with at_once:
            return await exchange(address, pieces, pause_s)

    async def main() -> list[list[WireReply]]:
        return await asyncio.gather(*[one(pieces) for pieces in sends])

    return asyncio.run(main())
