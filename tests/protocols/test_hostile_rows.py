"""Bodies that stand for far more than their bytes, at the doors over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import flask
import httpx
import pytest
from fastapi import FastAPI

from fourfold import embed, service
from fourfold.errors import MAX_ROW_ERRORS
from fourfold.predictor import Predictor
from fourfold.protocols import JSON, PredictProtocol
from tests.embed.app_client import client_of
from tests.hostile_rows import BODIES, TOO_LARGE, WRONG
from tests.support import make_predictor

LIMIT = 16 * 2**20


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make_predictor()


def _check(name: str, status: int, body: bytes) -> None:
    error = json.loads(body)["error"]
    if name in TOO_LARGE:
        assert (status, error["code"]) == (413, "too_large")
        assert "max_decoded_bytes" in error["message"] or "send them in parts" in error["message"]
    else:
        assert (status, error["code"], error["count"]) == (422, "rows", 1 << 20)
        assert error["message"].startswith("1048576 rows do not fit")
        assert len(error["rows"]) == MAX_ROW_ERRORS


@pytest.mark.parametrize("name", [*TOO_LARGE, *WRONG])
def test_every_kind_is_refused(name: str, predictor: Predictor) -> None:
    """A body that would take more memory than the limit is a 413 that names it, and the next request is answered."""
    media_type, make = BODIES[name]
    protocol = PredictProtocol(predictor, max_decoded_bytes=LIMIT)
    reply = protocol(make(), {"content-type": media_type})
    _check(name, reply.status, reply.body)
    assert protocol(b'{"x":1}', {"content-type": JSON}).status == 200


@pytest.mark.parametrize("name", ["arrow dictionary", "parquet page", "csv of many columns", "json lines"])
def test_every_door_over_http_refuses_it(name: str, predictor: Predictor) -> None:
    """The service and the mounts of Flask and FastAPI give the same reply, each with the limit that it was given."""
    media_type, make = BODIES[name]
    body, headers = make(), {"content-type": media_type}
    with service.running(predictor, service.Job(port=0, max_decoded_bytes=LIMIT)) as url:
        reply = httpx.post(f"{url}/predict", content=body, headers=headers)
        _check(name, reply.status_code, reply.content)
        assert httpx.post(f"{url}/predict", json={"x": 1}).status_code == 200
    flask_app = flask.Flask("app")
    embed.mount(flask_app, predictor, max_decoded_bytes=LIMIT)
    answer = flask_app.test_client().post("/predict", data=body, headers=headers)
    _check(name, answer.status_code, answer.data)
    fastapi_app = FastAPI()
    embed.mount(fastapi_app, predictor, max_decoded_bytes=LIMIT)
    with client_of(fastapi_app) as client:
        other = client.post("/predict", content=body, headers=headers)
    _check(name, other.status_code, other.content)


def test_the_limit_is_a_multiple_of_the_body_by_default(predictor: Predictor) -> None:
    """Whoever raises the limit of a body raises that of its rows; a small one leaves room for a table of numbers."""
    assert PredictProtocol(predictor).bounds.max_decoded_bytes == 512 * 2**20
    assert PredictProtocol(predictor, max_body_bytes=1000).bounds.max_decoded_bytes == 512 * 2**20
    assert PredictProtocol(predictor, max_body_bytes=2**30).bounds.max_decoded_bytes == 16 * 2**30


_PROGRAM = """
    import sys
    from fourfold.process_memory import peak_memory_bytes
    from fourfold.protocols import PredictProtocol
    from tests.hostile_rows import BODIES
    from tests.support import make_predictor

    protocol = PredictProtocol(make_predictor(), max_decoded_bytes=16 * 2**20)
    media_type, make = BODIES[sys.argv[1]]
    body = make()
    before = peak_memory_bytes()
    status = protocol(body, {"content-type": media_type}).status
    print(status, (peak_memory_bytes() - before) // 2**20)
"""


@pytest.mark.parametrize("name", ["parquet dictionary", "arrow views", "csv of many columns", "json in json"])
def test_a_refusal_takes_little_memory(name: str) -> None:
    """What is refused has not been unfolded first: a process stays within a small multiple of limit and body."""
    program = textwrap.dedent(_PROGRAM)
    done = subprocess.run([sys.executable, "-c", program, name], capture_output=True, text=True, check=True)
    status, mebibytes = map(int, done.stdout.split())
    assert status == 413
    assert mebibytes < 200  # the bodies stand for 30 MiB to 130 MiB, and pyarrow's own pools count too
