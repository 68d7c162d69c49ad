"""Mount a predictor in Starlette; FastAPI uses the same endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from fourfold.protocols import PredictProtocol, Refused, join_headers

__all__ = ["endpoint", "route"]


def route(protocol: PredictProtocol, path: str) -> Route:
    """Return a route `POST path`; see `fourfold.embed.starlette_route`."""
    return Route(path, endpoint(protocol), methods=["POST"])


def endpoint(protocol: PredictProtocol) -> Callable[[Request], Awaitable[Response]]:
    """Return the route's function. It predicts in a thread, so that the app's other routes can answer meanwhile."""

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
        return Response(reply.body, reply.status, reply.headers)

    return predict
