"""Build the ASGI application of the service: its routes, and the loading of the package at the start."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from fourfold.errors import ServiceError, shorten
from fourfold.predictor import Answer, Predictor
from fourfold.protocols import (
    JSON,
    Call,
    PredictProtocol,
    Refused,
    Reply,
    error_reply,
    internal_error_reply,
    join_headers,
    openapi,
)
from fourfold.protocols.example_rows import example_row
from fourfold.service.job import Job
from fourfold.service.micro_batch import MicroBatcher
from fourfold.service.path_hints import method_hint, path_hint

__all__ = ["STOPPING", "PredictorOrLoader", "Service", "app"]

#: A predictor, or a function that loads one; the function runs in a thread, while the port is already open.
PredictorOrLoader = Predictor | Callable[[], Predictor]

#: The key of the server's state (ASGI's lifespan state, which comes with each request) that says that it is stopping.
STOPPING = "stopping"
#: The largest body that is decoded and encoded on the event loop: to move less work to a thread would cost more. Of
#: Arrow and Parquet, a few hundred bytes can be a million rows: they are never decoded there.
MAX_INLINE_BODY_BYTES = 64 * 1024
#: The most rows whose answers are encoded on the event loop.
MAX_INLINE_ROWS = 4096

_ROUTES = {
    "POST /predict": "predict for one row or many",
    "GET /": "this page",
    "GET /health/live": "200 as long as the process answers",
    "GET /health/ready": "200 once the golden rows gave their answers here, 503 before and while it stops",
    "GET /openapi.json": "the routes, requests and replies, for tools",
    "GET /package": "the package's manifest",
}

_PATHS = frozenset(route.partition(" ")[2] for route in _ROUTES)
#: The most fields of a signature of which an error shows a whole row.
_MAX_EXAMPLE_FIELDS = 12

_log = logging.getLogger(__name__)


def app(predictor: Predictor, job: Job | None = None) -> Starlette:
    """Return the service of a predictor as an ASGI application, for any ASGI server.

    Args:
        predictor: a loaded package.
        job: the settings; address and workers are the server's business and are ignored here.

    Returns:
        The application: `POST /predict`, `/health/live`, `/health/ready`, `/openapi.json`, `/package` and `/`.
    """
    return Service(predictor, job or Job()).application


@dataclass(frozen=True)
class _Loaded:
    """Hold what the routes need once the package is loaded.

    Attributes:
        batcher: answers the tables of at most `micro_batch_rows` rows.
        bulk: answers the larger ones, in a thread of its own.
        home: the body of `/`.
        document: the body of `/openapi.json`.
    """

    protocol: PredictProtocol
    batcher: MicroBatcher
    bulk: MicroBatcher
    home: bytes
    document: bytes


class Service:
    """Hold the state behind the routes, and load the package at the start.

    Args:
        predictor: a predictor, or a function that loads one.
        job: the settings.
        ready: called on the event loop once requests are answered.
        failed: called on the event loop with the error of the loading.
    """

    def __init__(
        self,
        predictor: PredictorOrLoader,
        job: Job,
        *,
        ready: Callable[[], None] = lambda: None,
        failed: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._job = job
        self._ready = ready
        self._failed = failed
        self._loaded: _Loaded | None = None
        self._loader: Callable[[], Predictor] | None = None
        if isinstance(predictor, Predictor):
            self._loaded = self._prepare(predictor)
        else:
            self._loader = predictor
        self.application = Starlette(
            routes=[
                Route("/predict", _Endpoint(self._predict), methods=["POST"]),
                Route("/", self._home),
                Route("/health/live", self._health_live),
                Route("/health/ready", self._health_ready),
                Route("/openapi.json", self._document),
                Route("/package", self._package),
            ],
            exception_handlers={HTTPException: self._reply_http_error, Exception: _reply_bug},
            lifespan=self._lifespan,
        )
        # A redirect would name this process's own host, which is wrong behind a proxy.
        self.application.router.redirect_slashes = False

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        if self._loaded is not None:
            self._ready()
        else:
            assert self._loader is not None
            # A daemon thread, so that a stop does not wait for a large package to load.
            threading.Thread(
                target=self._load, args=(self._loader, asyncio.get_running_loop()), name="fourfold-load", daemon=True
            ).start()
        yield
        if self._loaded is not None:
            self._loaded.batcher.close()
            self._loaded.bulk.close()

    def _load(self, loader: Callable[[], Predictor], loop: asyncio.AbstractEventLoop) -> None:
        """Load the package outside the event loop, which answers `/health/live` meanwhile."""
        try:
            loaded = self._prepare(loader())
        except Exception as error:  # noqa: BLE001  # any error ends the service: `failed` raises it
            _call_on_loop(loop, self._failed, error)
        except BaseException as error:  # noqa: BLE001  # raised as it is, `SystemExit` would end the process in silence
            failure = ServiceError(f"the package cannot be loaded: {type(error).__name__}: {shorten(str(error))}")
            failure.__cause__ = error
            _call_on_loop(loop, self._failed, failure)
        else:
            _call_on_loop(loop, self._finish_loading, loaded)

    def _prepare(self, predictor: Predictor) -> _Loaded:
        job = self._job
        protocol = PredictProtocol(
            predictor, max_body_bytes=job.max_body_bytes, max_decoded_bytes=job.max_decoded_bytes
        )
        batcher, bulk = (
            MicroBatcher(protocol.answer, max_rows=job.micro_batch_rows, max_queued_rows=job.queue_rows)
            for _ in range(2)
        )
        return _Loaded(protocol, batcher, bulk, _encode_home_page(predictor), _encode_json(_document(predictor)))

    def _finish_loading(self, loaded: _Loaded) -> None:
        self._loaded = loaded
        self._ready()

    def _require_loaded(self) -> _Loaded:
        if self._loaded is None:
            raise Refused(503, "loading", "the package is still being loaded", {"retry-after": "1"})
        return self._loaded

    async def _predict(self, request: Request) -> Response:
        headers: dict[str, str] = {}
        try:
            loaded = self._require_loaded()
            headers = loaded.protocol.headers
            return _response(await self._reply(loaded, request))
        except asyncio.CancelledError:
            # The time to drain is over. Tell the client in the form of every failure.
            return _response(error_reply(Refused(503, "stopping", "the service is stopping"), headers))
        except ClientDisconnect:
            return Response(status_code=499)  # never sent: the client has gone
        except Exception as error:  # noqa: BLE001  # every failure has one form; `error_reply` logs what is no Fourfold error
            return _response(error_reply(error, headers))

    async def _reply(self, loaded: _Loaded, request: Request) -> Reply:
        protocol = loaded.protocol
        headers, query = join_headers(request.scope["headers"]), request.scope.get("query_string", b"")
        body = await protocol.read(request.stream(), headers)
        is_short = len(body) <= MAX_INLINE_BODY_BYTES
        if is_short and not protocol.may_unfold(headers):
            call = protocol.decode(body, headers, query)
        else:
            call = await asyncio.to_thread(protocol.decode, body, headers, query)
        answer = await self._answer(loaded, call, request)
        if is_short and len(call.table) <= MAX_INLINE_ROWS:
            return protocol.encode(call, answer)
        return await asyncio.to_thread(protocol.encode, call, answer)

    async def _answer(self, loaded: _Loaded, call: Call, request: Request) -> Answer:
        # Large tables wait for each other only: whoever asks for one row has its answer meanwhile.
        batcher = loaded.bulk if len(call.table) > self._job.micro_batch_rows else loaded.batcher
        must_wait = batcher.is_busy
        future = batcher.submit(call.table)
        if not must_wait:
            return await future
        watcher = asyncio.ensure_future(_cancel_on_disconnect(request, future))
        try:
            return await future
        except asyncio.CancelledError:
            if watcher.done():
                raise ClientDisconnect from None
            raise
        finally:
            watcher.cancel()

    async def _health_live(self, _: Request) -> Response:
        return Response(b'{"live":true}', media_type=JSON)

    async def _health_ready(self, request: Request) -> Response:
        if self._loaded is None or STOPPING in request.scope.get("state", ()):
            return Response(b'{"ready":false}', 503, media_type=JSON)
        return Response(b'{"ready":true}', media_type=JSON)

    async def _reply_http_error(self, request: Request, error: Exception) -> Response:
        """Answer an unknown path or method in the form of every failure, with where to go instead."""
        assert isinstance(error, HTTPException)
        path, method, root = request.url.path, request.method, request.scope.get("root_path", "")
        if error.status_code == 404:
            hint = path_hint(path.removeprefix(root), method, _PATHS, root)
            refused = Refused(404, "not_found", f"there is nothing at {shorten(path)}; {hint}")
        elif error.status_code == 405:
            # Starlette's order is that of a set, and changes from process to process.
            allow = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
            hint = method_hint(path.removeprefix(root), self._example(), root)
            message = f"{shorten(path)} takes {allow}; got {shorten(method)}; {hint}"
            refused = Refused(405, "method", message, {"allow": allow})
        else:
            refused = Refused(error.status_code, "http", error.detail)
        return _response(error_reply(refused))

    def _example(self) -> str | None:
        """Return a made-up row in JSON, once the package is loaded; of one with very many fields, `None`."""
        if self._loaded is None:
            return None
        inputs = self._loaded.protocol.predictor.signature.inputs
        return json.dumps(example_row(inputs), ensure_ascii=False) if len(inputs) <= _MAX_EXAMPLE_FIELDS else None

    async def _home(self, _: Request) -> Response:
        return self._page(lambda loaded: loaded.home)

    async def _document(self, _: Request) -> Response:
        return self._page(lambda loaded: loaded.document)

    async def _package(self, _: Request) -> Response:
        return self._page(lambda loaded: loaded.protocol.predictor.package.manifest_bytes)

    def _page(self, body: Callable[[_Loaded], bytes]) -> Response:
        try:
            loaded = self._require_loaded()
        except Refused as error:
            return _response(error_reply(error))
        return Response(body(loaded), headers=loaded.protocol.headers, media_type=JSON)


class _Endpoint:
    """Answer a route's requests without what Starlette puts around a function: it handles errors, and ours has none."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)


async def _cancel_on_disconnect(request: Request, future: asyncio.Future[Answer]) -> None:
    """Cancel a waiting request when its client disconnects."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
    future.cancel()


def _call_on_loop(loop: asyncio.AbstractEventLoop, callback: Callable[[Any], None], value: Any) -> None:
    """Call a function on the event loop, from another thread; do nothing if the loop has ended."""
    try:
        loop.call_soon_threadsafe(callback, value)
    except RuntimeError:
        _log.debug("loading ended after the service had stopped")


def _encode_home_page(predictor: Predictor) -> bytes:
    return _encode_json(
        {
            "name": predictor.name,
            "version": predictor.version,
            "digest": predictor.digest,
            "signature": predictor.signature.to_json(),
            "routes": _ROUTES,
        }
    )


def _document(predictor: Predictor) -> dict[str, Any]:
    def page(summary: str, *, may_load: bool = True) -> dict[str, Any]:
        return {"get": openapi.json_operation(summary, may_load=may_load)}

    return openapi.document(
        predictor,
        {
            "/predict": {"post": openapi.predict_operation(predictor)},
            "/": page("What this service is"),
            "/health/live": page("Whether the process answers", may_load=False),
            "/health/ready": page("Whether the golden rows gave their answers here"),
            "/openapi.json": page("This document"),
            "/package": page("The package's manifest"),
        },
    )


def _encode_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, reply.headers)


async def _reply_bug(_: Request, __: Exception) -> Response:
    """Answer a bug in the form of every failure; Starlette raises it again, and the server logs the traceback."""
    return _response(internal_error_reply())
