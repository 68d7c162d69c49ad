"""Open the doors of the integrated approach: `predict` with each container, `predict_one`, and mounts in web apps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fourfold.certificate.batching import ODD_SIZED, ONE_BY_ONE, SHUFFLED, WHOLE, Batching
from fourfold.certificate.doors.door import Door, Row, as_rows
from fourfold.codecs import json_rows
from fourfold.codecs.formats import JSON

if TYPE_CHECKING:
    from fourfold.predictor import Predictor

__all__ = ["doors"]

Predict = Callable[[list[Row]], Sequence[Row]]


class _FunctionDoor:
    """Send rows through a function in this process."""

    architecture = "embed"

    def __init__(self, name: str, predictor: Predictor, batchings: Sequence[Batching], predict: Predict) -> None:
        self.name = name
        self.batchings = batchings
        self._predictor = predictor
        self._predict = predict

    @property
    def digest(self) -> str:
        return self._predictor.digest

    def answers(self, batches: Sequence[Sequence[Row]]) -> list[Row | None]:
        return [answer for batch in batches for answer in self._predict(list(batch))]


@contextmanager
def doors(predictor: Predictor) -> Iterator[list[Door]]:
    """Yield the doors for which the libraries are installed."""
    all_batchings = (WHOLE, ODD_SIZED, SHUFFLED, ONE_BY_ONE)
    doors: list[Door] = [
        _FunctionDoor("predict, list of dicts", predictor, all_batchings, predictor.predict),
        _FunctionDoor(
            "predict_one", predictor, (ONE_BY_ONE,), lambda rows: [predictor.predict_one(row) for row in rows]
        ),
    ]
    if find_spec("pyarrow"):
        doors.append(_FunctionDoor("predict, Arrow", predictor, all_batchings, _arrow(predictor)))
        if find_spec("pandas"):
            doors.append(_FunctionDoor("predict, pandas", predictor, (WHOLE, ODD_SIZED), _pandas(predictor)))
        if find_spec("polars"):
            doors.append(_FunctionDoor("predict, polars", predictor, (WHOLE, ODD_SIZED), _polars(predictor)))
    if find_spec("flask"):
        doors.append(_FunctionDoor("Flask mount, JSON", predictor, (ODD_SIZED, ONE_BY_ONE), _flask(predictor)))
    if find_spec("fastapi"):
        doors.append(_FunctionDoor("FastAPI mount, JSON", predictor, (ODD_SIZED, ONE_BY_ONE), _fastapi(predictor)))
    yield doors


def _table(predictor: Predictor, rows: list[Row]) -> Any:
    import pyarrow as pa

    from fourfold.signature.columns import rows_to_columns

    return pa.Table.from_batches([rows_to_columns(predictor.signature.inputs, rows)])


def _arrow(predictor: Predictor) -> Predict:
    return lambda rows: as_rows(predictor.predict(_table(predictor, rows)), predictor.signature)


def _pandas(predictor: Predictor) -> Predict:
    # Arrow-backed pandas columns keep null and NaN apart, as the other doors do.
    import pandas as pd

    def predict(rows: list[Row]) -> Sequence[Row]:
        frame = predictor.predict(_table(predictor, rows).to_pandas(types_mapper=pd.ArrowDtype))
        return as_rows(_to_arrow(frame, predictor), predictor.signature)

    return predict


def _to_arrow(frame: Any, predictor: Predictor) -> Any:
    from fourfold import tables
    from fourfold.signature.label_columns import LabelColumns

    batch, errors = tables.read(frame, LabelColumns(predictor.signature.outputs).fields, "forbid")
    assert not errors, errors[0]
    return batch


def _polars(predictor: Predictor) -> Predict:
    import polars as pl

    def predict(rows: list[Row]) -> Sequence[Row]:
        return as_rows(predictor.predict(pl.from_arrow(_table(predictor, rows))).to_arrow(), predictor.signature)

    return predict


def _flask(predictor: Predictor) -> Predict:
    import flask

    from fourfold import embed

    app = flask.Flask("certify")
    embed.mount(app, predictor, path="/predict")
    client = app.test_client()

    def predict(rows: list[Row]) -> Sequence[Row]:
        body = json_rows.encode(list(rows), predictor.signature.inputs)
        reply = client.post("/predict", data=body, content_type=JSON)
        return as_rows(json_rows.decode(reply.data, predictor.signature.outputs), predictor.signature)

    return predict


def _fastapi(predictor: Predictor) -> Predict:
    import fastapi

    from fourfold import embed

    app = fastapi.FastAPI()
    embed.mount(app, predictor, path="/predict")

    def predict(rows: list[Row]) -> Sequence[Row]:
        body = json_rows.encode(list(rows), predictor.signature.inputs)
        reply = asyncio.run(_post_asgi(app, "/predict", body))
        return as_rows(json_rows.decode(reply, predictor.signature.outputs), predictor.signature)

    return predict


async def _post_asgi(app: Any, path: str, body: bytes) -> bytes:
    """Send one POST to an ASGI application without a server, and return the body of the reply."""
    sent: list[bytes] = []
    requests = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        message = next(requests, None)
        if message is None:
            await asyncio.sleep(3600)  # the client stays connected: the app must not see a disconnect
        return message or {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"certify"), (b"content-type", JSON.encode()), (b"content-length", b"%d" % len(body))],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await app(scope, receive, send)
    return b"".join(sent)
