from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from fourfold import embed, service
from fourfold.signature import Field, Signature
from tests.embed.hosts import APPS, served
from tests.support import make_predictor

FLIGHT = Signature((Field("distance", "float64"), Field("hour", "int64")), (Field("y", "float64"),))
ROW = {"distance": 1400.0, "hour": 9}
PREDICTOR = make_predictor(lambda row: {"y": row["distance"]}, signature=FLIGHT, golden=[ROW])
DOORS = ["service", *APPS]
FORM = "application/x-www-form-urlencoded"


@contextmanager
def opened(door: str) -> Iterator[httpx.Client]:
    """A client of one of the doors over HTTP, each behind a real server."""
    if door == "service":
        with service.running(PREDICTOR) as url, httpx.Client(base_url=url, timeout=60) as client:
            yield client
        return
    app = APPS[door]()
    embed.mount(app, PREDICTOR)
    with served(app) as client:
        yield client


def sent(body: Any, content_type: str = "application/json", **headers: str) -> Callable[[httpx.Client], httpx.Response]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lambda client: client.post("/predict", content=content, headers=given)


HINTS: list[tuple[Callable[[httpx.Client], httpx.Response], int, str]] = [
    (sent({"inputs": [ROW]}), 422, 'MLflow and the Open Inference Protocol; send {"distance": 1400.0, "hour": 9}'),
    (sent({"instances": [[1400.0, 9]]}), 422, 'TensorFlow Serving, Vertex AI and KServe; send {"distance": 1400.0'),
    (sent({"dataframe_split": {"columns": ["distance", "hour"], "data": [[1.5, 9]]}}), 422, 'MLflow; send {"dist'),
    (sent({"dataframe_records": [ROW]}), 422, 'the form of MLflow; send {"distance": 1400.0, "hour": 9}'),
    (sent({"data": {"ndarray": [[1400.0, 9]]}}), 422, 'the form of Seldon; send {"distance": 1400.0, "hour": 9}'),
    (sent({"features": [1400.0, 9]}), 422, 'the key \'features\'; send {"distance": 1400.0, "hour": 9}'),
    (sent({"input": ROW}), 422, 'the key \'input\'; send {"distance": 1400.0, "hour": 9}'),
    (sent({"rows": ROW}), 400, 'send {"distance": 1400.0, "hour": 9} for one row'),
    (sent({"rows": [ROW], "more": 1}), 422, "expected 'rows' to be the only key"),
    (sent(ROW, FORM), 415, "which curl -d sends by itself; add -H 'content-type: application/json'"),
    (sent(ROW, "text/plain"), 415, "add -H 'content-type: application/json'"),
    (sent(b"distance=1400&hour=9", FORM), 415, "json=row instead of data=row"),
    (sent(b'{"distance": 1, "hour": 2}\n{"distance": 1, "hour": 2}'), 400, "content-type: application/x-ndjson"),
    (sent(b"distance,hour\n1,2\n"), 400, "send it with content-type: text/csv"),
    (sent(b"1400,9\n900,18\n", "text/csv"), 422, "a first line with the columns' names"),
    (sent(gzip.compress(b"{}")), 400, "compressed with gzip: send what is in it"),
    (sent(gzip.compress(b"{}"), content_encoding="gzip"), 415, "without the header content-encoding"),
    (sent(b"\xef\xbb\xbf{}"), 400, "byte-order mark; write the text without it"),
]


@pytest.mark.parametrize("door", DOORS)
def test_a_refused_request_is_told_what_to_send(door: str) -> None:
    """The service and every mount say the same, behind real servers, and then answer what they showed."""
    with opened(door) as client:
        for send, status, hint in HINTS:
            reply = send(client)
            assert reply.status_code == status
            assert hint in reply.json()["error"]["message"]
            assert reply.json()["error"]["count"] <= 1
        assert client.post("/predict", json=ROW).json() == {"y": 1400.0}


@pytest.mark.parametrize("door", DOORS)
def test_rows_of_a_web_form_are_never_answered(door: str) -> None:
    """What a page of another site can make a browser send without asking is refused, whatever is in it."""
    with opened(door) as client:
        for content_type in (FORM, f"{FORM}; charset=utf-8", "text/plain", "multipart/form-data; boundary=x", ""):
            assert sent(ROW, content_type)(client).status_code == 415
