"""Mount a predictor in Starlette; FastAPI uses the same endpoint."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route

from fourfold.embed.on_error import OnError, unpack
from fourfold.embed.paths import ONCE, taken
from fourfold.protocols import PredictProtocol, Refused, Reply, join_headers

__all__ = ["check_free", "endpoint", "route", "route_name"]


def route(protocol: PredictProtocol, path: str, on_error: OnError | None) -> Route:
    """Return a route `POST path`; see `fourfold.embed.starlette_route`."""
    return Route(path, endpoint(protocol, on_error), methods=["POST"], name=route_name(protocol))


def route_name(protocol: PredictProtocol) -> str:
    """Return the name of the route of a model: hosts make URLs, and operation ids that must be unique, of it."""
    return "predict_" + re.sub(r"\W+", "_", protocol.predictor.name)


def endpoint(
    protocol: PredictProtocol, on_error: OnError | None, to_json: Callable[[Any], Any] = lambda content: content
) -> Callable[[Request], Awaitable[Response]]:
    """Return the route's function. It predicts in a thread, so that the app's other routes can answer meanwhile.

    Args:
        protocol: what answers.
        on_error: the host's own reply to a failure.
        to_json: turns what `on_error` returns into JSON values.
    """

    async def predict(request: Request) -> Response:
        headers = join_headers(request.scope["headers"])
        try:
            body = await protocol.read(request.stream(), headers)
        except Refused as error:
            reply = protocol.error_reply(error)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads the reply, and the app has no error
        else:
            reply = await run_in_threadpool(protocol, body, headers, request.scope.get("query_string", b""))
        if on_error is not None and reply.failure is not None:
            return await _own_response(on_error, request, reply, to_json)
        return Response(reply.body, reply.status, reply.headers)

    predict.fourfold_mount = protocol.headers["x-fourfold-model"]  # type: ignore[attr-defined]
    return predict


async def _own_response(on_error: OnError, request: Request, reply: Reply, to_json: Callable[[Any], Any]) -> Response:
    """Return the host's own reply to a failure; what `on_error` raises goes to the host."""
    failure = reply.failure
    assert failure is not None
    if inspect.iscoroutinefunction(on_error) or inspect.iscoroutinefunction(getattr(on_error, "__call__", None)):  # noqa: B004
        result = await on_error(request, failure)
    else:
        result = await run_in_threadpool(on_error, request, failure)
        if inspect.isawaitable(result):  # a partial, or a lambda around a coroutine
            result = await result
    if result is None:
        return Response(reply.body, reply.status, reply.headers)
    if isinstance(result, Response):
        return result
    content, status, headers = unpack(result, failure)
    return JSONResponse(to_json(content), status, headers)


def check_free(routes: Sequence[BaseRoute], path: str, prefix: str = "") -> None:
    """Check that no route before it answers `POST path`.

    Args:
        routes: the routes of the app or router, in their order.
        path: the path, without the prefix.
        prefix: the router's own prefix, which its routes' paths have already.

    Raises:
        ValueError: one does.
    """
    whole = prefix + path
    for other in routes:
        # A scope as of a request, for each route: FastAPI's routes keep what they find in it.
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": whole, "root_path": "", "headers": []}
        is_same = getattr(other, "path", None) == whole and "POST" in (getattr(other, "methods", None) or ())
        if is_same or other.matches(scope)[0] == Match.FULL:
            raise taken(whole, *_describe(other, whole))


def _describe(other: BaseRoute, path: str) -> tuple[str, ...]:
    """Return what a route is, and what to do about it."""
    endpoint = getattr(other, "endpoint", None)
    # FastAPI keeps a router that is included, and not its routes.
    included = getattr(getattr(other, "original_router", None), "routes", ())
    endpoints: list[Any] = [endpoint, *(getattr(inner, "endpoint", None) for inner in included)]
    model = next((inner.fourfold_mount for inner in endpoints if hasattr(inner, "fourfold_mount")), None)
    if model is not None and (endpoint is not None or len(included) == 1):
        return f"the mount of {model}", ONCE
    advice = "mount before it, or at another path"
    if isinstance(other, Mount):
        return f"what is mounted at {other.path or '/'!r}, which takes every path below", advice
    pattern = getattr(other, "path", None)
    if pattern is None:
        return ("a router that is included in the app",)
    name = getattr(endpoint, "__name__", "a route")
    return (f"the app's {name}",) if pattern == path else (f"the app's {name} at {pattern!r}", advice)
