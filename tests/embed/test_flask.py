from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import flask
import httpx
import pytest
from werkzeug.serving import make_server

from fourfold import embed
from fourfold.codecs import arrow
from fourfold.predictor import Predictor
from fourfold.protocols import ARROW, PredictProtocol
from tests.support import GOLDEN, SIGNATURE, make_predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make_predictor(version=3)


def host() -> flask.Flask:
    """An app that is there already, with an endpoint and error handlers of its own."""
    app = flask.Flask("host")

    @app.get("/hello")
    def hello() -> str:
        return "hello"

    @app.get("/predict")
    def form() -> str:
        return "a form"

    @app.errorhandler(404)
    def lost(_: Exception) -> tuple[str, int]:
        return "the host's own 404", 404

    @app.errorhandler(Exception)
    def wrong(_: Exception) -> tuple[str, int]:
        return "the host's own 500", 500

    return app


def test_one_line_adds_predict(predictor: Predictor) -> None:
    """The mounted route answers as `PredictProtocol` does, headers too, and the app's own routes are as they were."""
    app = host()
    embed.mount(app, predictor)
    client = app.test_client()
    reply = client.post("/predict", json=list(GOLDEN))
    expected = PredictProtocol(predictor)(json.dumps(GOLDEN).encode(), {"content-type": "application/json"})
    assert (reply.status_code, reply.data) == (200, expected.body)
    assert expected.headers.items() <= {name.lower(): value for name, value in reply.headers}.items()
    assert client.get("/hello").text == "hello"
    assert client.get("/predict").text == "a form"
    assert client.get("/nope").text == "the host's own 404"


def test_failures_have_the_form_of_every_failure(predictor: Predictor) -> None:
    """What the route refuses is told by the route, and never reaches the app's error handlers."""
    app = host()
    embed.mount(app, predictor, max_body_bytes=50)
    client = app.test_client()
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"json": {"x": "a"}}, 422, "rows"),
        ({"data": b"{", "content_type": "application/json"}, 400, "decode"),
        ({"data": b"x"}, 415, "media_type"),
        ({"json": {"x": 1}, "headers": {"accept": "text/html"}}, 406, "accept"),
        ({"json": [{"x": 1}] * 50}, 413, "too_large"),
    ]
    for given, status, code in cases:
        reply = client.post("/predict", **given)
        assert (reply.status_code, reply.get_json()["error"]["code"]) == (status, code)
        assert reply.headers["x-fourfold-model"] == "tiny:3"


def test_a_body_without_a_length_is_not_read_to_its_end(predictor: Predictor) -> None:
    """A body in chunks, which says no length, is refused as soon as it is too long."""
    app = host()
    embed.mount(app, predictor, max_body_bytes=100_000)
    body = io.BytesIO(bytes(1_000_000))
    reply = app.test_client().post(
        "/predict",
        content_type="application/json",
        headers={"transfer-encoding": "chunked"},
        environ_overrides={"wsgi.input": body, "wsgi.input_terminated": True},
    )
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (413, "too_large")
    assert 100_000 < body.tell() <= 200_000


def test_prefixes_and_several_mounts(predictor: Predictor) -> None:
    """The route goes under a blueprint's prefix, and one app can have several models, or one model twice."""
    app = host()
    api = flask.Blueprint("api", "api", url_prefix="/api/v1")
    embed.mount(api, predictor, "/eta")
    app.register_blueprint(api)
    app.register_blueprint(embed.flask_blueprint(predictor), url_prefix="/other")
    embed.mount(app, make_predictor(lambda row: {"y": row["x"] * 3, "word": None}, name="treble"), "/treble")
    embed.mount(app, predictor, "/again")
    client = app.test_client()
    found = {
        path: client.post(path, json={"x": 1}).get_json()["y"]
        for path in ("/api/v1/eta", "/other/predict", "/treble", "/again")
    }
    assert found == {"/api/v1/eta": 2, "/other/predict": 2, "/treble": 3, "/again": 2}


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_engine_cannot_end_the_host(error: type[BaseException]) -> None:
    """What would end the host's worker is a 500 of that one request."""

    def ends(rows: list[dict[str, Any]]) -> None:
        if rows[0]["x"] == 13:
            raise error

    app = host()
    embed.mount(app, make_predictor(called=ends))
    client = app.test_client()
    reply = client.post("/predict", json={"x": 13})
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (500, "engine")
    assert client.post("/predict", json={"x": 1}).get_json()["y"] == 2


def test_other_media_types(predictor: Predictor) -> None:
    """Arrow goes in and comes out."""
    app = host()
    embed.mount(app, predictor)
    body = arrow.encode([{"x": 1.0, "n": 1, "word": None}], SIGNATURE.inputs)
    reply = app.test_client().post("/predict", data=body, content_type=ARROW)
    assert reply.content_type == ARROW
    table: Any = arrow.decode(reply.data, SIGNATURE.outputs)
    assert table.column("y").to_pylist() == [3.0]


@pytest.fixture
def url(predictor: Predictor) -> Iterator[str]:
    app = host()
    embed.mount(app, predictor, max_body_bytes=1_000)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_real_http(url: str) -> None:
    """Behind a real server the route answers, and a body that is too long is refused."""
    assert httpx.post(f"{url}/predict", json={"x": 2}).json() == {"y": 4.0, "word": None}
    assert httpx.post(f"{url}/predict", json=[{"x": 2}] * 200).status_code == 413
    assert httpx.get(f"{url}/hello").text == "hello"
