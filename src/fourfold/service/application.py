"""The service as an ASGI application: routes, the micro-batcher behind `/predict`, and the start that loads."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from fourfold.errors import shorten
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
from fourfold.service.job import Job
from fourfold.service.micro_batch import MicroBatcher

__all__ = ["Service", "Source", "app"]

#: What a service is started with: a predictor, or what makes one, called in a thread while the port is open already.
Source = Predictor | Callable[[], Predictor]

#: Bodies up to this many bytes are decoded and encoded on the event loop: a hop to a thread costs more than they do.
SMALL = 64 * 1024

_ROUTES = {
    "POST /predict": "predict for one row or many",
    "GET /": "this page",
    "GET /health/live": "200 as long as the process answers",
    "GET /health/ready": "200 once the golden rows gave their answers here, 503 before",
    "GET /openapi.json": "the routes, requests and replies, for tools",
    "GET /package": "the package's manifest",
}

_log = logging.getLogger(__name__)


def app(predictor: Predictor, job: Job | None = None) -> Starlette:
    """The service of a predictor as an ASGI application, for any ASGI server.

    Args:
        predictor: a loaded package.
        job: the settings; those about the address and the workers are the server's, and not used here.

    Returns:
        The application: `POST /predict`, `/health/live`, `/health/ready`, `/openapi.json`, `/package` and `/`.
    """
    return Service(predictor, job or Job()).application


@dataclass(frozen=True)
class _Loaded:
    """What there is once the package is loaded."""

    protocol: PredictProtocol
    batcher: MicroBatcher
    home: bytes
    document: bytes


class Service:
    """The state behind the routes.

    Args:
        source: the predictor, or what makes it.
        job: the settings.
        ready: called on the event loop once requests are answered.
        failed: called on the event loop with what `source` raised.
    """

    def __init__(
        self,
        source: Source,
        job: Job,
        *,
        ready: Callable[[], None] = lambda: None,
        failed: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._job = job
        self._ready = ready
        self._failed = failed
        self._loaded: _Loaded | None = self._load(source) if isinstance(source, Predictor) else None
        self.application = Starlette(
            routes=[
                Route("/predict", self._predict, methods=["POST"]),
                Route("/", self._home),
                Route("/health/live", self._live),
                Route("/health/ready", self._is_ready),
                Route("/openapi.json", self._document),
                Route("/package", self._package),
            ],
            exception_handlers={HTTPException: _http_failure, Exception: _unforeseen},
            lifespan=self._lifespan,
        )
        # A redirect names the host that this process believes to be; behind a proxy that is the wrong one.
        self.application.router.redirect_slashes = False

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        if self._loaded is None:
            # A daemon: a stop while a large package loads need not wait for it.
            threading.Thread(
                target=self._start, args=(asyncio.get_running_loop(),), name="fourfold-load", daemon=True
            ).start()
        else:
            self._ready()
        yield
        if self._loaded is not None:
            self._loaded.batcher.close()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Load, in a thread of its own, so that the loop says meanwhile that the process lives."""
        assert not isinstance(self._source, Predictor)
        try:
            loaded = self._load(self._source())
        except BaseException as error:  # noqa: BLE001  # whatever it is, it ends the service: `failed` raises it
            _tell(loop, self._failed, error)
        else:
            _tell(loop, self._started, loaded)

    def _load(self, predictor: Predictor) -> _Loaded:
        job = self._job
        batcher = MicroBatcher(predictor.answer, max_rows=job.micro_batch_rows, max_queued_rows=job.queue_rows)
        protocol = PredictProtocol(predictor, max_body_bytes=job.max_body_bytes)
        return _Loaded(protocol, batcher, _home_page(predictor), _json(_document(predictor)))

    def _started(self, loaded: _Loaded) -> None:
        self._loaded = loaded
        self._ready()

    def _here(self) -> _Loaded:
        if self._loaded is None:
            raise Refused(503, "loading", "the package is still being loaded", {"retry-after": "1"})
        return self._loaded

    async def _predict(self, request: Request) -> Response:
        headers: dict[str, str] = {}
        try:
            loaded = self._here()
            headers = loaded.protocol.headers
            return _response(await self._reply(loaded, request))
        except asyncio.CancelledError:
            # The drain's time is up. The client still hears of it, in the form that it knows.
            return _response(error_reply(Refused(503, "stopping", "the service is stopping"), headers))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except Exception as error:  # noqa: BLE001  # every failure has one form; `error_reply` logs what is no Fourfold error
            return _response(error_reply(error, headers))

    async def _reply(self, loaded: _Loaded, request: Request) -> Reply:
        protocol = loaded.protocol
        headers = join_headers(request.scope["headers"])
        body = await protocol.read(request.stream(), headers)
        if len(body) <= SMALL:
            call = protocol.decode(body, headers)
            answer = await self._answer(loaded, call, request)
            return protocol.encode(call, answer)
        call = await asyncio.to_thread(protocol.decode, body, headers)
        answer = await self._answer(loaded, call, request)
        return await asyncio.to_thread(protocol.encode, call, answer)

    @staticmethod
    async def _answer(loaded: _Loaded, call: Call, request: Request) -> Answer:
        queued = loaded.batcher.busy
        future = loaded.batcher.submit(call.table)
        if not queued:
            return await future
        watcher = asyncio.ensure_future(_drop_when_gone(request, future))
        try:
            return await future
        except asyncio.CancelledError:
            if watcher.done():
                raise ClientDisconnect from None
            raise
        finally:
            watcher.cancel()

    async def _live(self, _: Request) -> Response:
        return Response(b'{"live":true}', media_type=JSON)

    async def _is_ready(self, _: Request) -> Response:
        if self._loaded is None:
            return Response(b'{"ready":false}', 503, media_type=JSON)
        return Response(b'{"ready":true}', media_type=JSON)

    async def _home(self, _: Request) -> Response:
        return self._page(lambda loaded: loaded.home)

    async def _document(self, _: Request) -> Response:
        return self._page(lambda loaded: loaded.document)

    async def _package(self, _: Request) -> Response:
        return self._page(lambda loaded: loaded.protocol.predictor.package.manifest_bytes)

    def _page(self, body: Callable[[_Loaded], bytes]) -> Response:
        try:
            loaded = self._here()
        except Refused as error:
            return _response(error_reply(error))
        return Response(body(loaded), headers=loaded.protocol.headers, media_type=JSON)


async def _drop_when_gone(request: Request, future: asyncio.Future[Answer]) -> None:
    """Take a request out of the queue when its client hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
    future.cancel()


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[Any], None], value: Any) -> None:
    try:
        loop.call_soon_threadsafe(what, value)
    except RuntimeError:
        _log.debug("loading ended after the service had stopped")


def _home_page(predictor: Predictor) -> bytes:
    return _json(
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
        return {"get": openapi.page(summary, may_load=may_load)}

    return openapi.document(
        predictor,
        {
            "/predict": {"post": openapi.operation(predictor, referring=True)},
            "/": page("What this service is"),
            "/health/live": page("Whether the process answers", may_load=False),
            "/health/ready": page("Whether the golden rows gave their answers here"),
            "/openapi.json": page("This document"),
            "/package": page("The package's manifest"),
        },
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, reply.headers)


async def _http_failure(request: Request, error: Exception) -> Response:
    """What the routing refuses, in the form of every failure."""
    assert isinstance(error, HTTPException)
    path = shorten(request.url.path)
    if error.status_code == 404:
        refused = Refused(404, "not_found", f"there is nothing at {path}; GET / lists what there is")
    elif error.status_code == 405:
        allow = (error.headers or {}).get("Allow", "")
        refused = Refused(405, "method", f"{path} takes {allow}; got {shorten(request.method)}", {"allow": allow})
    else:
        refused = Refused(error.status_code, "http", error.detail)
    return _response(error_reply(refused))


async def _unforeseen(_: Request, __: Exception) -> Response:
    """A bug, in the form of every failure; the server logs its traceback, which Starlette raises on to it."""
    return _response(internal_error_reply())
