"""A server in the test process that answers as a test says, in HTTP or not."""

from __future__ import annotations

import http.server
import socketserver
import threading
from collections.abc import Callable

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class HostileServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Answer every GET and PUT as a function says; `requests` holds the path and the headers of each."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Log nothing."""

            def do_GET(self) -> None:
                server.requests.append((self.path, dict(self.headers.items())))
                self.close_connection = True
                try:
                    answer(self)
                except OSError:  # the client has had enough
                    return

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self.do_GET()

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        """Return its URL."""
        return f"http://127.0.0.1:{self.server_port}"


def head(handler: http.server.BaseHTTPRequestHandler, length: object, status: int = 200, **headers: str) -> None:
    """Send the head of an answer that announces a length."""
    handler.send_response(status)
    handler.send_header("ETag", '"tag"')
    handler.send_header("Last-Modified", "Mon, 30 Nov 2026 10:00:00 GMT")
    handler.send_header("Content-Length", str(length))
    handler.send_header("Connection", "close")
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
