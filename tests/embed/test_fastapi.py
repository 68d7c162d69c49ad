from __future__ import annotations

import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Security
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPBearer
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from fourfold import embed, service
from fourfold.predictor import Predictor
from fourfold.signature import Field, Signature
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
    schemas = document["components"]["schemas"]
    request = post["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert schemas[request]["anyOf"][0] == {"$ref": "#/components/schemas/TinyRow"}
    assert list(schemas["TinyRow"]["properties"]) == ["x", "n", "word"]
    assert post["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/TinyReply"
    }
    assert list(schemas["TinyAnswer"]["properties"]) == ["y", "word"]
    assert "422" in post["responses"]
    assert "503" not in post["responses"]  # a mount has no queue and does not load


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


class TinyRow(BaseModel):
    """A host's own model, with the name of one of ours."""

    mine: int


def references(document: Any) -> set[str]:
    """The schemas that a document refers to."""
    return set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))


def other_model() -> Predictor:
    """Another model with the name of the first, and other fields."""
    signature = Signature((Field("a", "float64"),), (Field("y", "float64"),))
    return make_predictor(lambda row: {"y": row["a"]}, signature=signature, golden=[{"a": 1}])


def validator(document: Any, path: str, *where: str) -> Draft202012Validator:
    """The validator of a body in JSON."""
    part = document["paths"][path]["post"]
    for key in where:
        part = part[key]
    return Draft202012Validator({**part["content"]["application/json"]["schema"], "components": document["components"]})


def test_models_of_one_name_do_not_clash(predictor: Predictor) -> None:
    """Two models of one name, a host's model of the same, and one model twice: each body has its own schema."""
    app = host()
    embed.mount(app, predictor, "/one")
    embed.mount(app, other_model(), "/two")
    app.include_router(embed.fastapi_router(predictor), prefix="/three")
    app.include_router(embed.fastapi_router(make_predictor(name="other")), prefix="/four")

    @app.post("/mine")
    def mine(row: TinyRow) -> TinyRow:
        return row

    document: Any = app.openapi()
    OpenAPIV31SpecValidator(document).validate()
    assert references(document) == set(document["components"]["schemas"])
    rows = {"/one": {"x": 1}, "/two": {"a": 1}, "/three/predict": {"x": 1}, "/mine": {"mine": 1}}
    for path, fits in rows.items():
        requests = validator(document, path, "requestBody")
        fitting = {other for other, row in rows.items() if not list(requests.iter_errors(row))}
        assert fitting == {other for other, row in rows.items() if row == fits}
    assert list(validator(document, "/two", "responses", "200").iter_errors({"y": 1, "word": None}))
    assert list(validator(document, "/one", "responses", "200").iter_errors({"y": 1, "word": None})) == []
    assert "OtherRow" in document["components"]["schemas"]


def test_operation_ids_by_name_are_unique(predictor: Predictor) -> None:
    """Where a host makes operation ids of tags and names, as FastAPI's own docs do, two models have two."""
    app = FastAPI(generate_unique_id_function=lambda route: f"{route.tags[0]}-{route.name}")
    embed.mount(app, predictor, "/one", tags=["models"])
    embed.mount(app, make_predictor(name="other.model"), "/two", tags=["models"])
    document: Any = app.openapi()
    OpenAPIV31SpecValidator(document).validate()
    ids = [item["post"]["operationId"] for item in document["paths"].values()]
    assert ids == ["models-predict_tiny", "models-predict_other_model"]
    assert app.url_path_for("predict_other_model") == "/two"


def test_the_apps_own_limit_of_bodies_is_the_apps(predictor: Predictor) -> None:
    """A limit that the app has for all bodies is told by the app, in its own form."""
    app = FastAPI(max_body_size=20)
    embed.mount(app, predictor, "/eta")
    with client_of(app) as client:
        assert client.post("/eta", json={"x": 1}).json()["y"] == 2
        announced = client.post("/eta", json=[{"x": 1}] * 10)
        in_chunks = client.post(
            "/eta", content=(b" " * 15 for _ in range(3)), headers={"content-type": "application/json"}
        )
    for reply in (announced, in_chunks):
        assert reply.status_code == 413
        assert "error" not in reply.text


def test_a_document_is_short() -> None:
    """Fifty fields stand in the document once as a row and once as columns, for each of two mounts of the model."""
    fields = tuple(Field(f"f{index}", "float64") for index in range(50))
    signature = Signature(fields, (Field("y", "float64"),))
    predictor = make_predictor(lambda _: {"y": 1.0}, signature=signature, golden=[{f.name: 1.0 for f in fields}])
    app = FastAPI()
    embed.mount(app, predictor, "/one")
    embed.mount(app, predictor, "/two")
    text = json.dumps(app.openapi())
    assert text.count('"f17": {') == 2
    assert len(text) < 40_000


@pytest.mark.parametrize("where", ["mount", "include", "app"])
def test_a_dependency_with_a_parameter_keeps_the_422(predictor: Predictor, where: str) -> None:
    """A dependency with parameters, wherever it is named, leaves a document that both kinds of 422 fit."""

    def tenant(tenant: int, x_key: str = Header()) -> None:
        assert (tenant, x_key) == (7, "secret")

    locked = [Depends(tenant)]
    app = FastAPI(dependencies=locked if where == "app" else [])
    if where == "include":
        app.include_router(embed.fastapi_router(predictor, "/eta"), dependencies=locked)
    else:
        embed.mount(app, predictor, "/eta", dependencies=locked if where == "mount" else None)
    document: Any = app.openapi()
    OpenAPIV31SpecValidator(document).validate()
    assert references(document) <= set(document["components"]["schemas"])
    names = {parameter["name"] for parameter in document["paths"]["/eta"]["post"]["parameters"]}
    assert names == {"tenant", "x-key", "absent", "extra"}
    failures = validator(document, "/eta", "responses", "422")
    with client_of(app) as client:
        good = client.post("/eta?tenant=7", json={"x": 1}, headers={"x-key": "secret"})
        assert good.json()["y"] == 2
        ours = client.post("/eta?tenant=7", json={"x": "a"}, headers={"x-key": "secret"})
        theirs = client.post("/eta?tenant=seven", json={"x": 1}, headers={"x-key": "secret"})
    for reply, key in ((ours, "error"), (theirs, "detail")):
        assert (reply.status_code, list(reply.json())) == (422, [key])
        assert list(failures.iter_errors(reply.json())) == []
    assert list(failures.iter_errors({"neither": 1}))


def test_dependencies_run_before_the_body_is_read(predictor: Predictor) -> None:
    """A request without a key is refused though its body never comes; one with the key is answered."""

    def check_key(x_key: str = Header("")) -> None:
        if x_key != "secret":
            raise HTTPException(401, "no key")

    app = host()
    embed.mount(app, predictor, "/eta", dependencies=[Depends(check_key)], tags=["models"])
    assert app.openapi()["paths"]["/eta"]["post"]["tags"] == ["models"]
    with client_of(app) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=30) as plain:
            plain.sendall(
                b"POST /eta HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n"
            )
            assert plain.recv(1000).startswith(b"HTTP/1.1 401 ")
        assert client.post("/eta", json={"x": 1}, headers={"x-key": "secret"}).json()["y"] == 2


@pytest.mark.parametrize(
    "given", [{"dependencies": [print]}, {"dependencies": print}, {"tags": "models"}, {"tags": [1]}]
)
def test_wrong_dependencies_and_tags_are_told(predictor: Predictor, given: dict[str, Any]) -> None:
    """What is no dependency, and a text in place of a list of tags, is an error that shows the right form."""
    with pytest.raises(TypeError, match=r"fastapi\.Depends|\['models'\]"):
        embed.mount(FastAPI(), predictor, **given)


def test_failures_of_the_apps_own_form_have_no_schema_of_ours(predictor: Predictor) -> None:
    """With `on_error` the document says which statuses there are, and not what is in them."""
    app = FastAPI()
    embed.mount(app, predictor, "/eta", on_error=lambda *_: None)
    document: Any = app.openapi()
    OpenAPIV31SpecValidator(document).validate()
    responses = document["paths"]["/eta"]["post"]["responses"]
    assert "content" not in responses["422"]
    assert "content" in responses["200"]
    assert "PredictError" not in document["components"]["schemas"]


def test_dependencies_of_every_kind(predictor: Predictor) -> None:
    """A scheme of security is shown, one that reads the body leaves it to the route, and one can be replaced."""
    bearer = HTTPBearer()
    bodies: list[bytes] = []

    async def read_signed(request: Request) -> None:
        bodies.append(await request.body())

    def refuse() -> None:
        raise HTTPException(401, "never")

    app = host()
    embed.mount(app, predictor, "/eta", dependencies=[Security(bearer), Depends(read_signed), Depends(refuse)])
    app.dependency_overrides[refuse] = lambda: None
    document: Any = app.openapi()
    OpenAPIV31SpecValidator(document).validate()
    assert document["paths"]["/eta"]["post"]["security"] == [{"HTTPBearer": []}]
    with client_of(app) as client:
        assert client.post("/eta", json={"x": 1}).status_code == 401
        reply = client.post("/eta", json={"x": 1}, headers={"authorization": "Bearer t"})
    assert reply.json()["y"] == 2
    assert json.loads(bodies[-1]) == {"x": 1}


def test_a_package_that_is_loaded_when_the_app_starts(predictor: Predictor) -> None:
    """A mount in the app's lifespan answers, and is in the document."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        embed.mount(app, predictor, "/eta")
        yield

    app = FastAPI(lifespan=lifespan)
    with client_of(app) as client:
        assert client.post("/eta", json={"x": 1}).json()["y"] == 2
        assert "/eta" in client.get("/openapi.json").json()["paths"]


def test_the_service_as_a_part_of_an_app(predictor: Predictor) -> None:
    """Where the whole service is mounted below a path, its hints name the paths as they are there."""
    app = host()
    app.mount("/ml", service.app(predictor))
    with client_of(app) as client:
        assert client.post("/ml/predict", json={"x": 1}).json()["y"] == 2
        for method, path, hint in (
            ("GET", "/ml/predict", "POST rows to /ml/predict, such as"),
            ("POST", "/ml/invocations", "POST rows to /ml/predict: the path of SageMaker"),
            ("POST", "/ml/predict/", "did you mean /ml/predict?"),
            ("GET", "/ml/healthz", "GET /ml/health/live and GET /ml/health/ready"),
        ):
            assert hint in client.request(method, path).json()["error"]["message"]
