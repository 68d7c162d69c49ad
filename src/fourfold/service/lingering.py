"""Close a connection so that its client can read the last reply: our half first, the rest when the client has gone.

A socket that is closed while bytes of the client are unread resets the connection; the reset can overtake the reply.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["LINGER_S", "MAX_LINGER_BYTES", "LingeringTransport"]

#: How long a connection that is being closed waits for its client to close it too, in seconds.
LINGER_S = 2.0
#: The most bytes that are discarded of a client that goes on sending.
MAX_LINGER_BYTES = 16 * 2**20


class LingeringTransport:
    """Wrap a transport so that `close` says so to the client, discards what it still sends, and waits for it to go.

    Args:
        transport: the transport of the connection.
        protocol: its protocol, which is told of the end.
        loop: the event loop.
    """

    def __init__(self, transport: Any, protocol: asyncio.Protocol, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._protocol = protocol
        self._loop = loop
        self._lingers = False
        # Bound once: these are called for every request.
        self.write = transport.write
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.get_extra_info = transport.get_extra_info
        self.get_write_buffer_size = transport.get_write_buffer_size

    def is_closing(self) -> bool:
        """Return whether the connection is closed or being closed."""
        return self._lingers or bool(self._transport.is_closing())

    def close(self) -> None:
        """Close the connection after what was written; its client has `LINGER_S` seconds to read that."""
        if self.is_closing():
            return
        self._lingers = True
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        discarding = _Discarding(self._protocol, self._transport)
        self._transport.set_protocol(discarding)
        self._transport.resume_reading()
        discarding.timer = self._loop.call_later(LINGER_S, self._end, discarding, self.get_write_buffer_size())

    def close_now(self) -> None:
        """Close a connection that owes its client nothing."""
        self._transport.close()

    def abort(self) -> None:
        """Close the connection and drop what is not yet written."""
        self._transport.abort()

    def _end(self, discarding: _Discarding, unwritten_before: int) -> None:
        unwritten = self.get_write_buffer_size()
        if 0 < unwritten < unwritten_before:  # a large reply to a slow client that does read
            discarding.timer = self._loop.call_later(LINGER_S, self._end, discarding, unwritten)
        else:
            self._transport.abort()


class _Discarding(asyncio.Protocol):
    """Discard what a client sends after its last reply."""

    def __init__(self, protocol: asyncio.Protocol, transport: Any) -> None:
        self._protocol = protocol
        self._transport = transport
        self._discarded_bytes = 0
        self.timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Discard the bytes, up to the limit."""
        self._discarded_bytes += len(data)
        if self._discarded_bytes > MAX_LINGER_BYTES:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the connection's own protocol."""
        if self.timer is not None:
            self.timer.cancel()
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Tell the connection's own protocol."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Tell the connection's own protocol."""
        self._protocol.resume_writing()
