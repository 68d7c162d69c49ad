from __future__ import annotations

import asyncio
import functools
from typing import Any

import flask
import httpx
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from fourfold import embed
from fourfold.errors import EngineError
from fourfold.predictor import Predictor
from tests.embed.hosts import APPS, served
from tests.support import make_predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make_predictor(version=3)


def envelope(request: Any, failure: embed.Failure) -> dict[str, Any]:
    """A host's own form of failures."""
    return {
        "ok": False,
        "trace": request.headers.get("x-trace"),
        "error": {"type": failure.code, "text": failure.message, "where": list(failure.rows), "of": failure.count},
    }


CASES: list[tuple[dict[str, Any], int, str]] = [
    ({"json": {"x": "a"}}, 422, "rows"),
    ({"json": {"instances": [{"x": 1}]}}, 422, "rows"),
    ({"json": {"columns": {"n": [1]}}}, 422, "columns"),
    ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "decode"),
    ({"content": b"x"}, 415, "media_type"),
    ({"json": {"x": 1}, "headers": {"accept": "text/html"}}, 406, "accept"),
    ({"json": [{"x": 1}] * 50}, 413, "too_large"),
    ({"json": {"x": 13}}, 500, "engine"),
]


@pytest.mark.parametrize("host", APPS)
def test_every_failure_has_the_hosts_form(host: str) -> None:
    """Each failure of a mount goes through `on_error`, with its status and headers; an answer does not."""

    def thirteen(rows: list[dict[str, Any]]) -> None:
        if rows[0]["x"] == 13:
            raise ValueError("thirteen")

    app = APPS[host]()
    embed.mount(app, make_predictor(called=thirteen, version=3), "/eta", max_body_bytes=100, on_error=envelope)
    with served(app) as client:
        for given, status, code in CASES:
            headers = {"x-trace": "abc", **given.get("headers", {})}
            reply = client.post("/eta", **{**given, "headers": headers})
            body = reply.json()
            assert (reply.status_code, body["ok"], body["trace"], body["error"]["type"]) == (status, False, "abc", code)
            assert reply.headers["x-fourfold-model"] == "tiny:3"
            assert reply.headers["content-type"].startswith("application/json")
        assert client.post("/eta", json={"x": 1}).json() == {"y": 2.0, "word": None}


@pytest.mark.parametrize("host", APPS)
def test_the_failure_says_what_the_reply_would(predictor: Predictor, host: str) -> None:
    """`None` leaves the reply as it is; the failure holds the same, and the error that was raised."""
    seen: list[embed.Failure] = []
    plain, watched = APPS[host](), APPS[host]()
    embed.mount(plain, predictor, "/eta")
    embed.mount(watched, predictor, "/eta", on_error=lambda _, failure: seen.append(failure))
    for given, _, _ in CASES[:6]:
        with served(plain) as one, served(watched) as other:
            expected, reply = one.post("/eta", **given), other.post("/eta", **given)
        assert (reply.status_code, reply.content) == (expected.status_code, expected.content)
        assert seen[-1].to_json() == expected.json()
        assert isinstance(seen[-1].error, Exception)
        assert seen[-1].headers["x-fourfold-digest"] == predictor.digest


@pytest.mark.parametrize("host", APPS)
@pytest.mark.parametrize(
    ("result", "status", "body", "header"),
    [
        ({"a": 1}, 422, {"a": 1}, None),
        ([1], 422, [1], None),
        (({"a": 1}, 400), 400, {"a": 1}, None),
        (({"a": 1}, {"x-more": "b"}), 422, {"a": 1}, "b"),
        (({"a": 1}, 400, {"x-more": "b"}), 400, {"a": 1}, "b"),
    ],
)
def test_what_on_error_may_return(
    predictor: Predictor, host: str, result: Any, status: int, body: Any, header: str | None
) -> None:
    """Content alone, with a status, with headers, or both."""
    app = APPS[host]()
    embed.mount(app, predictor, "/eta", on_error=lambda *_: result)
    with served(app) as client:
        reply = client.post("/eta", json={"x": "a"})
    assert (reply.status_code, reply.json(), reply.headers.get("x-more")) == (status, body, header)
    assert reply.headers["x-fourfold-model"] == "tiny:3"


class Problem(BaseModel):
    title: str


def test_responses_of_the_framework(predictor: Predictor) -> None:
    """A response of the framework is sent as it is; FastAPI takes pydantic's models, and Flask a text."""
    apps = {
        "Flask": lambda *_: flask.Response("mine", 418),
        "Flask text": lambda *_: ("mine", 418),
        "FastAPI": lambda *_: JSONResponse("mine", 418),
        "FastAPI model": lambda *_: (Problem(title="mine"), 418),
        "Starlette": lambda *_: PlainTextResponse("mine", 418),
    }
    for name, on_error in apps.items():
        app = APPS[name.partition(" ")[0]]()
        embed.mount(app, predictor, "/eta", on_error=on_error)
        with served(app) as client:
            reply = client.post("/eta", json={"x": "a"})
        assert reply.status_code == 418
        assert "mine" in reply.text


@pytest.mark.parametrize("host", ["FastAPI", "Starlette"])
def test_coroutine_functions(predictor: Predictor, host: str) -> None:
    """A coroutine function, a partial of one and an object with one are awaited."""

    async def on_error(mark: str, _: Request, failure: embed.Failure) -> dict[str, str]:
        return {mark: failure.code}

    async def plain(request: Request, failure: embed.Failure) -> dict[str, str]:
        return await on_error("mark", request, failure)

    class Handler:
        async def __call__(self, request: Request, failure: embed.Failure) -> dict[str, str]:
            return await on_error("mark", request, failure)

    for handler in (plain, functools.partial(on_error, "mark"), Handler()):
        app = APPS[host]()
        embed.mount(app, predictor, "/eta", on_error=handler)
        with served(app) as client:
            assert client.post("/eta", json={"x": "a"}).json() == {"mark": "rows"}


def broken(*_: object) -> None:
    raise LookupError("a bug in on_error")


def test_errors_in_on_error_go_to_the_host(predictor: Predictor) -> None:
    """What `on_error` raises reaches the app's own handlers, and is no reply of ours."""
    flask_app, fast, starlette = flask.Flask("host"), FastAPI(), Starlette()
    flask_app.register_error_handler(LookupError, lambda error: (str(error), 599))

    async def handle(_: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(str(error), 599)

    fast.add_exception_handler(LookupError, handle)
    starlette.add_exception_handler(LookupError, handle)
    for app in (flask_app, fast, starlette):
        embed.mount(app, predictor, "/eta", on_error=broken)
        with served(app) as client:
            reply = client.post("/eta", json={"x": "a"})
            assert (reply.status_code, reply.text) == (599, "a bug in on_error")
            assert client.post("/eta", json={"x": 1}).status_code == 200


def test_errors_that_stand_for_replies(predictor: Predictor) -> None:
    """A host that answers by raising, as FastAPI's and Flask's do, can go on so."""

    def refuse(_: Any, failure: embed.Failure) -> None:
        raise HTTPException(failure.status, failure.code)

    def abort(_: Any, failure: embed.Failure) -> None:
        flask.abort(failure.status, failure.code)

    fast, app = FastAPI(), flask.Flask("host")
    embed.mount(fast, predictor, "/eta", on_error=refuse)
    embed.mount(app, predictor, "/eta", on_error=abort)
    for host in (fast, app):
        with served(host) as client:
            reply = client.post("/eta", json={"x": "a"})
        assert reply.status_code == 422
        assert "rows" in reply.text


@pytest.mark.parametrize("result", [3, True, object(), (), ({}, "x"), ({}, 400, {}, {})])
def test_what_on_error_may_not_return(predictor: Predictor, result: Any) -> None:
    """Anything else is an error of the host's, which says what may be returned, and never a reply that looks right."""
    app = flask.Flask("host")
    app.testing = True
    embed.mount(app, predictor, "/eta", on_error=lambda *_: result)
    with pytest.raises(TypeError):
        app.test_client().post("/eta", json={"x": "a"})

    async def ask(host: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(host), base_url="http://here") as client:
            return await client.post("/eta", json={"x": "a"})

    for host in (FastAPI(), Starlette()):
        embed.mount(host, predictor, "/eta", on_error=lambda *_: result)
        with pytest.raises((TypeError, ValueError)):
            asyncio.run(ask(host))


@pytest.mark.parametrize("host", APPS)
def test_what_cannot_be_called_is_told(predictor: Predictor, host: str) -> None:
    """`on_error` that is no function is an error where it is given."""
    with pytest.raises(TypeError, match="on_error: expected a function of the request and the failure"):
        embed.mount(APPS[host](), predictor, on_error={"error": 1})  # type: ignore[arg-type]


def test_a_hostile_name_is_no_bug_of_on_error(predictor: Predictor) -> None:
    """Half of a surrogate pair in a key can be written by whatever the host writes JSON with."""
    for host in APPS.values():
        app = host()
        embed.mount(app, predictor, "/eta", on_error=envelope)
        with served(app) as client:
            reply = client.post(
                "/eta", content=b'{"\\ud800": [1], "x": 1}', headers={"content-type": "application/json"}
            )
        assert reply.status_code in (400, 422)
        assert not reply.json()["ok"]


def test_an_engine_error_is_in_the_failure() -> None:
    """The host sees what was raised, to send it to where it keeps its errors."""
    seen: list[embed.Failure] = []

    def fails(rows: list[dict[str, Any]]) -> None:
        if rows[0]["x"] == 13:
            raise EngineError("no memory")

    app = FastAPI()
    embed.mount(app, make_predictor(called=fails), "/eta", on_error=lambda _, failure: seen.append(failure))
    with served(app) as client:
        assert client.post("/eta", json={"x": 13}).status_code == 500
    assert "no memory" in str(seen[0].error)
