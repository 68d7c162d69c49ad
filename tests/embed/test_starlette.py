from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router

from fourfold import embed
from fourfold.predictor import Predictor
from tests.embed.app_client import client_of
from tests.support import make_predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make_predictor(version=3)


async def hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def lost(_: Request, __: Exception) -> PlainTextResponse:
    return PlainTextResponse("the host's own 404", 404)


def host(*routes: Route | Mount) -> Starlette:
    """An app that is there already, with an endpoint and an error handler of its own."""
    return Starlette(routes=[Route("/hello", hello), *routes], exception_handlers={404: lost})


def test_one_line_adds_predict(predictor: Predictor) -> None:
    """The mounted route answers, and the app's own routes and error handlers are as they were."""
    app = host()
    embed.mount(app, predictor)
    with client_of(app) as client:
        reply = client.post("/predict", json=[{"x": 1}, {"x": 2}])
        assert [row["y"] for row in reply.json()] == [2, 4]
        assert reply.headers["x-fourfold-digest"] == predictor.digest
        assert client.get("/hello").text == "hello"
        assert client.get("/nope").text == "the host's own 404"


def test_prefixes_and_routers(predictor: Predictor) -> None:
    """The route goes into a sub-app, a mount's list or a router, each under its prefix."""
    router = Router()
    embed.mount(router, predictor, "/eta")
    inner = host()
    embed.mount(inner, predictor)
    app = host(Mount("/a", router), Mount("/b", inner), Mount("/c", routes=[embed.starlette_route(predictor, "/eta")]))
    with client_of(app) as client:
        for path in ("/a/eta", "/b/predict", "/c/eta"):
            assert client.post(path, json={"x": 1}).json()["y"] == 2


def test_failures_have_the_form_of_every_failure(predictor: Predictor) -> None:
    """What the route refuses is told by the route, a body that is too long among it, announced or not."""
    app = host()
    embed.mount(app, predictor, max_body_bytes=50)
    with client_of(app) as client:
        cases: list[tuple[dict[str, Any], int, str]] = [
            ({"json": {"x": "a"}}, 422, "rows"),
            ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "decode"),
            ({"content": b"x"}, 415, "media_type"),
            ({"json": {"x": 1}, "headers": {"accept": "text/html"}}, 406, "accept"),
            ({"json": [{"x": 1}] * 50}, 413, "too_large"),
            (
                {"content": (b" " * 40 for _ in range(3)), "headers": {"content-type": "application/json"}},
                413,
                "too_large",
            ),
        ]
        for given, status, code in cases:
            reply = client.post("/predict", **given)
            assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
            assert reply.headers["x-fourfold-model"] == "tiny:3"


def test_the_app_answers_while_the_engine_works() -> None:
    """A call that takes long runs in a thread, so the app's other routes answer meanwhile."""
    entered, leave = threading.Event(), threading.Event()

    def called(rows: list[dict[str, Any]]) -> None:
        if rows[0]["x"] == 1000:
            entered.set()
            assert leave.wait(60)

    app = host()
    embed.mount(app, make_predictor(called=called))
    with client_of(app) as client, ThreadPoolExecutor(1) as clients:
        slow = clients.submit(client.post, "/predict", json={"x": 1000})
        assert entered.wait(30)
        assert client.get("/hello").text == "hello"
        assert not slow.done()
        leave.set()
        assert slow.result().json()["y"] == 2000


def test_a_client_that_hangs_up_is_no_error_of_the_app(predictor: Predictor) -> None:
    """A body that ends in the middle raises nothing in the host."""
    import asyncio

    app = host()
    embed.mount(app, predictor)
    messages: Iterator[dict[str, Any]] = iter(
        [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(_: Any) -> None:
        return None

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    asyncio.run(app(scope, receive, send))


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_engine_cannot_end_the_host(error: type[BaseException]) -> None:
    """What would end the host's event loop is a 500 of that one request."""

    def ends(rows: list[dict[str, Any]]) -> None:
        if rows[0]["x"] == 13:
            raise error

    app = host()
    embed.mount(app, make_predictor(called=ends))
    with client_of(app) as client:
        reply = client.post("/predict", json={"x": 13})
        assert (reply.status_code, reply.json()["error"]["code"]) == (500, "engine")
        assert client.post("/predict", json={"x": 1}).json()["y"] == 2
