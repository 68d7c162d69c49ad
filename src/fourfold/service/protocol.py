"""Limit the bytes that a client can send outside a body, on top of uvicorn's HTTP protocol."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["MAX_HEAD_BYTES", "BoundedProtocol"]

#: The most bytes of a head or of trailers: bytes that bring neither the end of a head nor a part of a body.
MAX_HEAD_BYTES = 64 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """Serve one connection, with a limit for heads and trailers: the parser keeps them in memory, however long."""

    _bytes_outside_bodies = 0

    def data_received(self, data: bytes) -> None:
        """Parse the bytes that arrived; refuse a head or trailers over the limit, and close the connection."""
        self._bytes_outside_bodies += len(data)
        super().data_received(data)
        if self._bytes_outside_bodies <= MAX_HEAD_BYTES or self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.send_400_response(f"expected a head of at most {MAX_HEAD_BYTES} bytes")
        else:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Restart the count: a head begins."""
        self._bytes_outside_bodies = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Restart the count: a head has ended."""
        self._bytes_outside_bodies = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Restart the count: a part of a body arrived."""
        self._bytes_outside_bodies = 0
        super().on_body(body)
