from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.responses import PlainTextResponse
from openapi_spec_validator import OpenAPIV31SpecValidator

from fourfold import embed
from fourfold.predictor import Predictor
from tests.embed.app_client import client_of
from tests.support import make_predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make_predictor(version=3)


def host() -> FastAPI:
    """An app that is there already, with endpoints and an error handler of its own."""
    app = FastAPI()

    @app.get("/hello")
    def hello(name: str = "you") -> dict[str, str]:
        return {"hello": name}

    @app.exception_handler(404)
    async def lost(*_: Any) -> PlainTextResponse:
        return PlainTextResponse("the host's own 404", 404)

    return app


def test_one_line_adds_predict(predictor: Predictor) -> None:
    """The mounted route answers, and the app's own routes, validation and error handlers are as they were."""
    app = host()
    embed.mount(app, predictor)
    with client_of(app) as client:
        reply = client.post("/predict?absent=n,word", json={"columns": {"x": [1, 2]}})
        assert reply.json() == {"columns": {"y": [2.0, 4.0], "word": [None, None]}}
        assert reply.headers["x-fourfold-model"] == "tiny:3"
        assert client.get("/hello?name=me").json() == {"hello": "me"}
        assert client.get("/nope").text == "the host's own 404"


def test_failures_have_the_form_of_every_failure(predictor: Predictor) -> None:
    """What the route refuses is told by the route, not by FastAPI's validation."""
    app = host()
    embed.mount(app, predictor, max_body_bytes=50)
    with client_of(app) as client:
        assert client.post("/predict", json={"x": "a"}).json()["error"]["code"] == "rows"
        assert client.post("/predict", json=[{"x": 1}] * 50).json()["error"]["code"] == "too_large"


def test_the_apps_own_page_shows_the_route(predictor: Predictor) -> None:
    """FastAPI's document is valid with the route in it, and has the fields of its requests and replies."""
    app = host()
    embed.mount(app, predictor, "/eta")
    embed.mount(app, predictor, "/again")
    with client_of(app) as client:
        document: Any = client.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    post = document["paths"]["/eta"]["post"]
    rows = post["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert list(rows[0]["properties"]) == ["x", "n", "word"]
    outputs = post["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"]
    assert list(outputs[0]["properties"]) == ["y", "word"]
    assert "422" in post["responses"]


def test_prefixes_routers_and_sub_apps(predictor: Predictor) -> None:
    """The route goes under a router's prefix, with its dependencies, and into an app that is mounted in another."""

    def locked() -> None:
        raise HTTPException(401, "no key")

    app = host()
    embed.mount(app, predictor)
    api = APIRouter()
    embed.mount(api, predictor, "/eta")
    app.include_router(api, prefix="/api/v1")
    app.include_router(embed.fastapi_router(predictor), prefix="/locked", dependencies=[Depends(locked)])
    inner = host()
    embed.mount(inner, predictor)
    app.mount("/inner", inner)
    with client_of(app) as client:
        for path in ("/predict", "/api/v1/eta", "/inner/predict"):
            assert client.post(path, json={"x": 1}).json()["y"] == 2
        assert client.post("/locked/predict", json={"x": 1}).status_code == 401
