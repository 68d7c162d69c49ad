from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from fourfold import service
from fourfold.codecs import arrow, csv
from fourfold.errors import ServiceError
from fourfold.predictor import Predictor
from fourfold.protocols import ARROW, CSV
from tests.support import SIGNATURE, make_predictor

LIMIT = 100_000


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make_predictor(version=3)


@pytest.fixture(scope="module")
def url(predictor: Predictor) -> Iterator[str]:
    with service.running(predictor, service.Job(port=0, max_body_bytes=LIMIT)) as url:
        yield url


def code(reply: httpx.Response) -> str:
    """The code of a failure, which has the one form that every failure has."""
    assert reply.headers["content-type"] == "application/json"
    assert list(reply.json()["error"]) == ["code", "message", "rows", "count"]
    return str(reply.json()["error"]["code"])


def test_predict_answers(url: str, predictor: Predictor) -> None:
    """A row that is posted gets its outputs, and the reply says who answered."""
    reply = httpx.post(f"{url}/predict", json={"x": 2, "n": 1})
    assert (reply.status_code, reply.json()) == (200, {"y": 5.0, "word": None})
    assert reply.headers["x-fourfold-model"] == "tiny:3"
    assert reply.headers["x-fourfold-digest"] == predictor.digest


def test_health(url: str) -> None:
    """Both health routes answer 200 once the service is ready, to HEAD as well."""
    assert httpx.get(f"{url}/health/live").json() == {"live": True}
    assert httpx.get(f"{url}/health/ready").json() == {"ready": True}
    assert httpx.head(f"{url}/health/ready").status_code == 200


def test_home_says_what_this_is(url: str, predictor: Predictor) -> None:
    """The first page names the model, its version, digest and signature, and every route there is."""
    home = httpx.get(url).json()
    assert (home["name"], home["version"], home["digest"]) == ("tiny", 3, predictor.digest)
    assert home["signature"] == SIGNATURE.to_json()
    for route in home["routes"]:
        method, path = route.split()
        assert httpx.request(method, url + path, json={"x": 1}).status_code == 200


def test_package_is_the_manifest(url: str, predictor: Predictor) -> None:
    """The manifest comes as it is, byte for byte, so that its digest can be checked."""
    assert httpx.get(f"{url}/package").content == predictor.package.manifest_bytes


def test_document_is_valid_and_whole(url: str) -> None:
    """The OpenAPI document is valid, and has the routes that the first page lists."""
    document = httpx.get(f"{url}/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    routes = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert routes == set(httpx.get(url).json()["routes"])


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_405(url: str, method: str) -> None:
    """Another method is refused in the form of every failure, with what would be right."""
    reply = httpx.request(method, f"{url}/predict")
    assert (reply.status_code, code(reply), reply.headers["allow"]) == (405, "method", "POST")


def test_other_paths_are_404(url: str) -> None:
    """A path that is none is refused in the form of every failure; HEAD gets no body."""
    for path in ("/nope", "/predict/", "/health", "/%F0%9F%92%A9" * 50):
        assert code(httpx.post(url + path, json={"x": 1})) == "not_found"
    assert httpx.head(f"{url}/nope").status_code == 404
    assert httpx.head(f"{url}/predict").status_code == 405


@pytest.mark.parametrize(
    ("method", "path", "hint"),
    [
        ("GET", "/predict", "POST rows to /predict, such as curl -H 'content-type: application/json' -d '{\"x\": "),
        ("PUT", "/predict", "/predict' takes POST; got 'PUT'; POST rows to /predict"),
        ("POST", "/", "'/' takes GET, HEAD; got 'POST'; POST rows to /predict"),
        ("POST", "/health/ready", "POST rows to /predict"),
        ("POST", "/invocations", "POST rows to /predict: the path of SageMaker and MLflow"),
        ("GET", "/ping", "GET /health/ready"),
        ("POST", "/v1/models/eta:predict", "POST rows to /predict: the paths of TensorFlow Serving and KServe"),
        ("POST", "/v1/models/eta/versions/3:predict", "TensorFlow Serving"),
        ("POST", "/v2/models/eta/infer", "POST rows to /predict: the Open Inference Protocol"),
        ("GET", "/v2/health/ready", "the Open Inference Protocol"),
        ("POST", "/predictions/eta", "TorchServe"),
        ("POST", "/api/v1.0/predictions", "Seldon"),
        ("POST", "/predict/", "did you mean /predict?"),
        ("POST", "//predict", "did you mean /predict?"),
        ("POST", "/Predict", "did you mean /predict?"),
        ("GET", "/health/ready/", "did you mean /health/ready?"),
        ("POST", "/score", "POST rows to /predict"),
        ("GET", "/docs", "GET /openapi.json"),
        ("GET", "/healthz", "GET /health/live and GET /health/ready"),
        ("GET", "/nope", "GET / lists what there is"),
    ],
)
def test_other_paths_and_methods_say_where_to_go(url: str, method: str, path: str, hint: str) -> None:
    """What people and other servers' clients try first is told the path, the method and a row that is answered."""
    reply = httpx.request(method, url + path, json={"x": 1} if method == "POST" else None)
    assert code(reply) in ("not_found", "method")
    assert hint in reply.json()["error"]["message"]


def test_the_row_that_is_shown_is_answered(url: str) -> None:
    """What the reply to GET /predict shows to send can be sent."""
    message = httpx.get(f"{url}/predict").json()["error"]["message"]
    row = json.loads(message.partition(" -d '")[2].removesuffix("'"))
    assert httpx.post(f"{url}/predict", json=row).status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"x": "a"}', "application/json", 422),
        (b"<x/>", "application/xml", 415),
        (b'{"x": 1}', "application/json; charset=latin-1", 415),
    ],
)
def test_bad_requests_are_told(url: str, body: bytes, content_type: str, status: int) -> None:
    """What is wrong with a request comes back with the right status, and names the model all the same."""
    reply = httpx.post(f"{url}/predict", content=body, headers={"content-type": content_type})
    assert reply.status_code == status
    assert code(reply)
    assert reply.headers["x-fourfold-model"] == "tiny:3"


def test_too_long_bodies_are_refused_before_they_are_read(url: str) -> None:
    """A body that is announced as too long is refused before a byte of it came; one without a length, at the limit."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    connection.putrequest("POST", "/predict")
    connection.putheader("content-type", "application/json")
    connection.putheader("content-length", str(LIMIT + 1))
    connection.endheaders()
    reply = connection.getresponse()
    assert (reply.status, json.loads(reply.read())["error"]["code"]) == (413, "too_large")
    connection.close()
    chunked = httpx.post(
        f"{url}/predict", content=(b" " * 9_000 for _ in range(100)), headers={"content-type": "application/json"}
    )
    assert (chunked.status_code, code(chunked)) == (413, "too_large")
    assert httpx.post(f"{url}/predict", json={"x": 1}).status_code == 200


def test_large_bodies_are_answered(url: str) -> None:
    """A body that is decoded and encoded off the loop gives what a small one does."""
    rows = [{"x": float(value)} for value in range(7_000)]
    reply = httpx.post(f"{url}/predict", json=rows)
    assert len(reply.request.content) > 65_536
    assert [row["y"] for row in reply.json()] == [2.0 * row["x"] for row in rows]


def test_half_a_body_harms_nobody(url: str) -> None:
    """A client that hangs up in the middle of its body leaves the service as it was."""
    parts = urlsplit(url)
    for _ in range(3):
        with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=30) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n")
            client.sendall(b'content-length: 100\r\n\r\n{"x": 1}')
    assert httpx.post(f"{url}/predict", json={"x": 1}).json()["y"] == 2


def ask(client: httpx.Client, number: int, form: int) -> list[float]:
    """One request with rows that no other has, in one of five forms; gives the y of each row."""
    values = [number + part / 8 for part in range(1 + number % 3)]
    rows = [{"x": value, "n": None, "word": None} for value in values]
    if form == 0:
        return [client.post("/predict", json=row).json()["y"] for row in rows]
    if form == 1:
        return [row["y"] for row in client.post("/predict", json=rows).json()]
    if form == 2:
        return list(client.post("/predict?absent=n,word", json={"columns": {"x": values}}).json()["columns"]["y"])
    codec, media_type = ((csv, CSV), (arrow, ARROW))[form - 3]
    reply = client.post("/predict", content=codec.encode(rows, SIGNATURE.inputs), headers={"content-type": media_type})
    decoded: Any = codec.decode(reply.content, SIGNATURE.outputs)
    return list(decoded.column("y").to_pylist())


def test_many_clients_get_their_own_answers() -> None:
    """Sixty-four clients at once, in every form, some with bad rows: each gets the answers to its own rows."""
    sizes: list[int] = []
    predictor = make_predictor(called=lambda rows: sizes.append(len(rows)))
    sizes.clear()
    start = threading.Barrier(64)

    def client(number: int) -> None:
        with httpx.Client(base_url=here, timeout=60) as http:
            start.wait()
            for turn in range(6):
                key = 1000 * turn + number
                expected = [2 * (key + part / 8) for part in range(1 + key % 3)]
                assert ask(http, key, (number + turn) % 5) == expected
                refused = http.post("/predict", json=[{"x": key}, {"x": f"bad {key}"}])
                assert refused.status_code == 422
                assert refused.json()["error"]["rows"][0]["got"] == repr(f"bad {key}")

    with service.running(predictor) as here, ThreadPoolExecutor(64) as clients:
        for done in [clients.submit(client, number) for number in range(64)]:
            done.result()
    assert max(sizes) > 3, "no two requests ever shared a call"


class Gate:
    """An engine's call with an x of 1000 waits until it may go on; every x that the engine sees is remembered."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, rows: list[dict[str, Any]]) -> None:
        self.seen.extend(row["x"] for row in rows)
        if any(row["x"] == 1000 for row in rows):
            self.entered.set()
            assert self.open.wait(60)


def test_health_answers_while_the_engine_works() -> None:
    """A call that takes long holds up neither the health routes nor the pages; rows that came meanwhile go after it."""
    gate = Gate()
    with service.running(make_predictor(called=gate)) as url, ThreadPoolExecutor(2) as clients:
        slow = clients.submit(httpx.post, f"{url}/predict", json={"x": 1000}, timeout=60)
        assert gate.entered.wait(30)
        later = clients.submit(httpx.post, f"{url}/predict", json={"x": 1}, timeout=60)
        for path in ("/health/live", "/health/ready", "/", "/openapi.json"):
            assert httpx.get(url + path, timeout=30).status_code == 200
        assert not slow.done()
        gate.open.set()
        assert slow.result().json()["y"] == 2000
        assert later.result().json()["y"] == 2


def test_clients_that_hang_up_are_dropped() -> None:
    """A request whose client is gone while it waits never reaches the engine."""
    gate = Gate()
    with service.running(make_predictor(called=gate)) as url, ThreadPoolExecutor(1) as clients:
        slow = clients.submit(httpx.post, f"{url}/predict", json={"x": 1000}, timeout=60)
        assert gate.entered.wait(30)
        parts = urlsplit(url)
        with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=30) as client:
            body = b'{"x": 7}'
            client.sendall(b"POST /predict HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n")
            client.sendall(b"content-length: %d\r\n\r\n%s" % (len(body), body))
            httpx.get(f"{url}/health/live")
        for _ in range(3):  # each reply says that the loop has gone round since the client hung up
            httpx.get(f"{url}/health/live")
        gate.open.set()
        assert slow.result().status_code == 200
        assert httpx.post(f"{url}/predict", json={"x": 8}).status_code == 200
    assert 7 not in gate.seen
    assert gate.seen[-1] == 8


def test_a_full_queue_says_when_to_come_back() -> None:
    """Where more rows wait than may, a request gets a 503 at once, and those that wait get their answers."""
    gate = Gate()
    job = service.Job(port=0, queue_rows=1)
    with service.running(make_predictor(called=gate), job) as url, ThreadPoolExecutor(3) as clients:
        slow = clients.submit(httpx.post, f"{url}/predict", json={"x": 1000}, timeout=60)
        assert gate.entered.wait(30)
        two = [clients.submit(httpx.post, f"{url}/predict", json={"x": value}, timeout=60) for value in (1, 2)]
        while not any(each.done() for each in two):
            httpx.get(f"{url}/health/live")
        gate.open.set()
        refused, answered = sorted((each.result() for each in two), key=lambda reply: -reply.status_code)
        assert (refused.status_code, code(refused), refused.headers["retry-after"]) == (503, "busy", "1")
        assert answered.status_code == slow.result().status_code == 200


def test_the_application_runs_in_any_server(predictor: Predictor) -> None:
    """`service.app` is an ASGI application that needs no start-up of its own."""
    import asyncio

    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(app=service.app(predictor))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post("/predict", json={"x": 1})

    assert asyncio.run(main()).json() == {"y": 2.0, "word": None}


ENDS = [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError, StopIteration]


def test_an_engine_that_would_end_the_thread_fails_its_own_requests() -> None:
    """Whatever the engine raises, its request gets a 500 in the form of every failure, and those beside it answers."""

    def ends(row: dict[str, Any]) -> dict[str, Any]:
        if row["n"] is not None:
            raise ENDS[row["n"]]
        return {"y": row["x"] * 2, "word": None}

    golden = [{"x": 1.0, "n": None, "word": None}]
    with service.running(make_predictor(ends, golden=golden)) as url, ThreadPoolExecutor(16) as clients:

        def ask(number: int) -> tuple[int, str]:
            n = number % len(ENDS) if number % 2 else None
            reply = httpx.post(f"{url}/predict", json={"x": number, "n": n}, timeout=60)
            return reply.status_code, str(reply.json()["y"]) if n is None else code(reply)

        for number, answered in enumerate(clients.map(ask, range(96))):
            assert answered == ((500, "engine") if number % 2 else (200, str(2.0 * number)))
        assert httpx.get(f"{url}/health/ready").status_code == 200


def test_a_package_that_ends_the_process_while_it_loads_is_an_error() -> None:
    """A `SystemExit` in the loading is told: raised as it is, it would end the service with status 0."""

    def load() -> Predictor:
        raise SystemExit(0)

    with pytest.raises(ServiceError, match="cannot be loaded: SystemExit"), service.running(load):
        pass
