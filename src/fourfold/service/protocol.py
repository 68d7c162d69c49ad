"""HTTP as uvicorn speaks it, with a bound for what a client can send besides a body."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["MAX_HEAD_BYTES", "BoundedProtocol"]

#: The most bytes that may come without an end of a request's head, or a byte of a body, among them.
MAX_HEAD_BYTES = 64 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """One connection. The parser below it keeps a head, however long, in memory, and so it does with trailers."""

    _idle = 0

    def data_received(self, data: bytes) -> None:
        """Take what has come; a client whose head or trailers do not end is told so, and hung up on."""
        self._idle += len(data)
        super().data_received(data)
        if self._idle <= MAX_HEAD_BYTES or self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.send_400_response(f"expected a head of at most {MAX_HEAD_BYTES} bytes")
        else:
            self.transport.close()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._idle = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head has ended."""
        self._idle = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._idle = 0
        super().on_body(body)
