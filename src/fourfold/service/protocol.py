"""Read requests strictly, on top of uvicorn's HTTP protocol: what two servers could read in two ways is refused.

The parser (llhttp) refuses most of it: bare line feeds, folded headers, two lengths, a length beside an encoding. This
module adds what it lets pass, and the limits of heads, trailers, pipelines and waiting.
"""

from __future__ import annotations

import asyncio
import re
import resource
from typing import Any
from urllib.parse import unquote

import httptools
from starlette.responses import Response
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fourfold.errors import shorten
from fourfold.protocols import Refused, error_reply
from fourfold.service.application import STOPPING
from fourfold.service.lingering import LingeringTransport

__all__ = ["HEAD_TIMEOUT_S", "IDLE_TIMEOUT_S", "MAX_CONNECTIONS", "MAX_HEADERS", "MAX_HEAD_BYTES", "StrictProtocol"]

#: The most bytes of a head or of trailers: bytes that bring neither the end of a head nor a part of a body.
MAX_HEAD_BYTES = 64 * 1024
#: The most header fields of a request.
MAX_HEADERS = 256
#: How long a head may take to arrive, in seconds, from its first byte.
HEAD_TIMEOUT_S = 20
#: How long a connection may bring nothing, in seconds: between two requests, in a body, or while it takes no reply.
#: Longer than load balancers keep theirs (60 s is usual), so that none of them sends a request on a connection that is
#: being closed.
IDLE_TIMEOUT_S = 75

#: How many files a process needs beside its connections.
_RESERVED_FILES = 128


def _max_connections() -> int:
    """Return how many connections this process may hold open: as many as the system gives it files, less some."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**20 if limit == resource.RLIM_INFINITY else max(limit - _RESERVED_FILES, limit // 2)


#: The most connections of a process. Beyond, the one whose client has let it wait for longest makes room.
MAX_CONNECTIONS = _max_connections()

#: The most bytes that are parsed at once. A client may send many requests in advance, and each of them takes memory.
_MAX_PARSED_BYTES = 16 * 1024
#: The most digits of a body's length: as many as 64 bits have.
_MAX_LENGTH_DIGITS = 20
#: Header fields that say where a request goes or ends, or how. None of them may stand in a trailer.
_FRAMING = frozenset(
    {b"connection", b"content-length", b"expect", b"host", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
#: A host and a port, or nothing. No comma: it would be two hosts that a proxy has joined.
_HOST = re.compile(rb"(?:[A-Za-z0-9._~%!$&'()*+;=-]+|\[[A-Za-z0-9:.%_~-]+\])?(?::[0-9]*)?")
_ABSOLUTE_TARGET = re.compile(rb"https?://([^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)


class _BadRequest(Exception):  # a private signal, through the parser that called us
    """Refuse a request for its head."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class StrictProtocol(HttpToolsProtocol):
    """Serve one connection; answer what is no request with a 400, after the requests before it, and close.

    A reply that goes out before its request has arrived whole closes the connection: the client may send the rest, or
    not, and nobody could tell it from the next request.

    Attributes:
        transport: the connection's transport.
    """

    transport: LingeringTransport  # type: ignore[assignment]  # uvicorn uses what both have
    _waits_since = 0.0  # of the loop's clock
    _reads_head = False
    _is_refused = False
    _keeps_alive = False
    _asks_upgrade = False
    _repeats_head = False
    _hosts = 0
    _checked_host = b""
    _is_chunked = False
    _body_left = 0  # bytes, of a body with a length
    _bytes_outside_bodies = 0
    _unparsed = b""
    _answering: RequestResponseCycle | None = None
    _stalled_bytes = 0

    @property
    def is_idle(self) -> bool:
        """Return whether no request has begun that is not answered."""
        return (
            not self.transport.is_closing()
            and not self._reads_head
            and (self.cycle is None or self.cycle.response_complete)
        )

    @property
    def waits_for_client(self) -> bool:
        """Return whether the next word is the client's: no request has arrived whole that is not answered."""
        return not self.transport.is_closing() and (
            self.cycle is None or self.cycle.response_complete or (self.cycle.more_body and not self.pipeline)
        )

    def fileno(self) -> int:
        """Return the socket's number, for the system to say whether bytes have arrived."""
        number: int = self.transport.get_extra_info("socket").fileno()
        return number

    def connection_made(self, transport: Any) -> None:
        """Take the connection."""
        super().connection_made(LingeringTransport(transport, self, self.loop))  # type: ignore[arg-type]
        self._waits_since = self.loop.time()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def _make_room(self) -> None:
        """Close the connection whose client has let it wait for longest; refuse this one where all wait for answers."""
        waiting = [
            connection
            for connection in self.connections
            if isinstance(connection, StrictProtocol) and connection is not self and connection.waits_for_client
        ]
        if waiting:
            longest = min(waiting, key=lambda connection: connection._waits_since)  # noqa: SLF001
            longest.transport.abort()
        else:
            self._refuse(f"expected at most {MAX_CONNECTIONS} connections; try again in a second", 503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what was to be answered."""
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        """Parse the bytes that arrived, and answer what is no request."""
        if self._is_refused:
            return
        if not self._reads_head:
            self._waits_since = self.loop.time()
        if self.pipeline or self._unparsed:
            self._unparsed += data
            self.flow.pause_reading()
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        """Parse bytes to their end, or until a request waits for the answer to the one before it."""
        self._bytes_outside_bodies += len(data)
        start = 0
        while start < len(data):
            if self.pipeline:
                self._unparsed = data[start:]
                self._bytes_outside_bodies = 0
                return
            piece = data[start : start + max(_MAX_PARSED_BYTES, self._body_left)]
            try:
                self.parser.feed_data(piece)
                start += len(piece)
            except httptools.HttpParserUpgrade as upgrade:
                self._read_as_body()
                start += upgrade.args[0]
            except httptools.HttpParserError as error:
                self._refuse_error(error)
                return
        if self._reads_head and self.parser.get_http_version() == "0.9":
            self._refuse("expected HTTP/1.1 or HTTP/1.0 in the request line; got none")
        elif self._bytes_outside_bodies > MAX_HEAD_BYTES:
            self._refuse(f"expected a head, or trailers, of at most {MAX_HEAD_BYTES} bytes")

    def _read_as_body(self) -> None:
        """Read what follows a head with `Upgrade` as the body that the head announces.

        The parser takes it for another protocol, and would go on with the next request. So a new parser reads a head
        that announces the same body and nothing else.
        """
        framing = [field for field in self.headers if field[0] in (b"content-length", b"transfer-encoding")]
        if not self.parser.should_keep_alive():
            framing.append((b"connection", b"close"))
        self.parser = _new_parser(self)
        self._asks_upgrade = False
        self._repeats_head = True
        lines = b"".join(b"%b: %b\r\n" % field for field in framing)
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % lines)
        self._repeats_head = False

    def on_message_begin(self) -> None:
        """Begin to read a head."""
        self._bytes_outside_bodies = 0
        if self._repeats_head:
            return
        self._reads_head = True
        self._hosts = 0
        self._is_chunked = False
        self._body_left = 0
        self.expect_100_continue = False
        self.url = b""
        self.headers = []

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        if not self._repeats_head:
            self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; drop a trailer, which must not change how its request was read.

        Raises:
            _BadRequest: the field is not one that a request may have there.
        """
        name = name.lower()
        if name in _FRAMING:
            if self._repeats_head:
                return
            if not self._reads_head:
                raise _BadRequest(f"expected no {name.decode()} in a trailer")
            self._check_framing(name, value)
        if self._reads_head:
            self.headers.append((name, value))

    def _check_framing(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            if len(value) > _MAX_LENGTH_DIGITS:
                raise _BadRequest(f"expected a content-length of at most {_MAX_LENGTH_DIGITS} digits")
            self._body_left = int(value)
        elif name == b"host":
            self._hosts += 1
            if value != self._checked_host:
                if not _HOST.fullmatch(value.strip(b" \t")):
                    raise _BadRequest(f"expected a host in the header host; got {_shown(value)}")
                self._checked_host = value  # the next requests have the same
        elif name == b"transfer-encoding":
            if self._is_chunked or value.strip(b" \t").lower() != b"chunked":
                raise _BadRequest(f"expected one transfer-encoding, chunked; got {_shown(value)}")
            self._is_chunked = True
        elif name == b"expect":
            if value.strip(b" \t").lower() != b"100-continue":
                raise _BadRequest(f"expected to be asked for 100-continue only; got {_shown(value)}", 417)
            self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        """Check a head, and begin to answer the request or queue it behind the one before.

        Raises:
            _BadRequest: the head is refused.
        """
        self._bytes_outside_bodies = 0
        if self._repeats_head:
            return
        version = self.parser.get_http_version()
        if version == "1.1":
            if self._hosts != 1:
                raise _BadRequest(f"expected one header host; got {self._hosts or 'none'}")
        elif version != "1.0":
            raise _BadRequest(f"expected HTTP/1.1 or HTTP/1.0 in the request line; got HTTP/{version}")
        elif self._hosts > 1:
            raise _BadRequest(f"expected one header host at most; got {self._hosts}")
        elif self._is_chunked:
            raise _BadRequest("expected no transfer-encoding in HTTP/1.0")
        else:
            self.expect_100_continue = False
        if len(self.headers) > MAX_HEADERS:
            raise _BadRequest(f"expected at most {MAX_HEADERS} header fields; got {len(self.headers)}")
        self._asks_upgrade = self.parser.should_upgrade()
        method = self.parser.get_method()
        if self._asks_upgrade and method == b"CONNECT":
            raise _BadRequest("expected no request for a tunnel; this is no proxy")
        target = self.url
        if not target.startswith(b"/") or b"#" in target:
            target = _path_of(target)
        self._reads_head = False
        self._begin(self._new_cycle(method, target, version), self.app)
        self._keeps_alive = version == "1.1" and self.parser.should_keep_alive()

    def _begin(self, cycle: RequestResponseCycle, application: Any) -> None:
        """Begin to answer a request, or queue it behind the one before."""
        previous, self.cycle = self.cycle, cycle
        if previous is None or previous.response_complete:
            self._start_asgi_task(cycle, application)
        else:
            if not previous.more_body:
                previous.keep_alive = self._keeps_alive  # it is not the last one, even where the service is stopping
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, application))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _new_cycle(self, method: bytes, target: bytes, version: str) -> RequestResponseCycle:
        """Return what answers a request; its reply closes the connection until `on_message_complete` says otherwise."""
        raw_path, _, query = target.partition(b"?")
        path = raw_path.decode("ascii")
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": method.decode("ascii"),
            "root_path": self.root_path,
            "path": self.root_path + (unquote(path) if "%" in path else path),
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }
        return RequestResponseCycle(
            scope=self.scope,
            transport=self.transport,  # type: ignore[arg-type]
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=False,
            on_response=self.on_response_complete,
        )

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._bytes_outside_bodies = 0
        self._body_left -= len(body)
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """End a request; its reply may keep the connection now."""
        cycle = self.cycle
        if self._asks_upgrade or cycle.response_complete:  # its body is still to come, or nobody needs it
            return
        cycle.keep_alive = self._keeps_alive and STOPPING not in self.app_state
        cycle.more_body = False
        cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Go on with the next request, if it has arrived."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._waits_since = self.loop.time()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        if self._unparsed and not self.pipeline:
            unparsed, self._unparsed = self._unparsed, b""
            self._parse(unparsed)
        if not self.pipeline and not self._unparsed:
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """Close the connection with the reply to the last request that has arrived."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def check_time(self, now: float) -> None:
        """Close the connection if its client keeps it waiting for too long; called about once a second.

        Args:
            now: the time of the loop's clock.
        """
        if self.transport.is_closing():
            return
        waited = now - self._waits_since
        if self.flow.write_paused:
            unwritten = self.transport.get_write_buffer_size()
            if unwritten != self._stalled_bytes:
                self._stalled_bytes, self._waits_since = unwritten, now
            elif waited > IDLE_TIMEOUT_S:
                self.transport.abort()
        elif self.is_idle:
            if waited > IDLE_TIMEOUT_S:
                self.transport.close_now()
        elif self._reads_head:
            is_answered = self.cycle is None or self.cycle.response_complete
            if is_answered and waited > HEAD_TIMEOUT_S:
                self._refuse(f"expected a head within {HEAD_TIMEOUT_S} seconds", 408)
        elif self.cycle.more_body and not self.flow.read_paused and waited > IDLE_TIMEOUT_S:
            self._refuse(f"expected the rest of the body; nothing came for {IDLE_TIMEOUT_S} seconds", 408)

    def _refuse_error(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, _BadRequest):
            self._refuse(str(cause), cause.status)
            return
        if cause is not None and not isinstance(cause, httptools.HttpParserError):
            self.logger.error("a head could not be read", exc_info=cause)
        self._refuse(f"expected a well-formed HTTP request: {cause or error}")

    def _refuse(self, message: str, status: int = 400) -> None:
        """Answer with an error once the requests before are answered, close, and read nothing more."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        self._unparsed = b""
        reply = error_reply(Refused(status, "http", message))
        answer: Any = Response(reply.body, reply.status, reply.headers)
        cycle = self.cycle
        if cycle is not None and cycle.more_body and not cycle.response_complete:
            if self.pipeline:
                self.pipeline[0] = (cycle, answer)  # the fault is in a body that nobody reads yet
                return
            # To the application, which reads the body, the client has gone.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
            self.cycle = None  # type: ignore[assignment]  # as uvicorn does before the first request
        self._reads_head = False
        self.headers = []
        self.expect_100_continue = False
        refusing = self._new_cycle(b"-", b"", "1.1")
        refusing.more_body = False
        self._begin(refusing, answer)


def _new_parser(protocol: StrictProtocol) -> httptools.HttpRequestParser:
    """Return a parser that stops at a request after which the connection is closed, instead of failing."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _path_of(target: bytes) -> bytes:
    """Return the path and query of a request's target in absolute form.

    Raises:
        _BadRequest: it has another form, or a fragment.
    """
    absolute = _ABSOLUTE_TARGET.fullmatch(target)
    if absolute is None or b"#" in target or not _HOST.fullmatch(absolute[1]):
        raise _BadRequest(f"expected a path as the request's target; got {_shown(target)}")
    path: bytes = absolute[2]
    return path if path.startswith(b"/") else b"/" + path


def _shown(value: bytes) -> str:
    return shorten(value.decode("latin-1"))
