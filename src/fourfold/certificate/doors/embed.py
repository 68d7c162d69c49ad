"""The doors of the integrated approach: `predict` with every container, `predict_one`, and the mounts in web apps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fourfold.certificate.batching import ALONE, ODD, SHUFFLED, WHOLE, Cut
from fourfold.certificate.doors.door import Door, Row, as_rows
from fourfold.codecs import json_rows
from fourfold.codecs.formats import JSON

if TYPE_CHECKING:
    from fourfold.predictor import Predictor

__all__ = ["doors"]

Answer = Callable[[list[Row]], Sequence[Row]]


class _InProcess:
    """A function of a list of rows in this process."""

    architecture = "embed"

    def __init__(self, name: str, predictor: Predictor, cuts: Sequence[Cut], answer: Answer) -> None:
        self.name = name
        self.cuts = cuts
        self._predictor = predictor
        self._answer = answer

    @property
    def digest(self) -> str:
        return self._predictor.digest

    def answers(self, pieces: Sequence[Sequence[Row]]) -> list[Row | None]:
        return [answer for piece in pieces for answer in self._answer(list(piece))]


@contextmanager
def doors(predictor: Predictor) -> Iterator[list[Door]]:
    """The doors of the integrated approach that the installed libraries open."""
    every = (WHOLE, ODD, SHUFFLED, ALONE)
    opened: list[Door] = [
        _InProcess("predict, list of dicts", predictor, every, predictor.predict),
        _InProcess("predict_one", predictor, (ALONE,), lambda rows: [predictor.predict_one(row) for row in rows]),
    ]
    if find_spec("pyarrow"):
        opened.append(_InProcess("predict, Arrow", predictor, every, _arrow(predictor)))
        if find_spec("pandas"):
            opened.append(_InProcess("predict, pandas", predictor, (WHOLE, ODD), _pandas(predictor)))
        if find_spec("polars"):
            opened.append(_InProcess("predict, polars", predictor, (WHOLE, ODD), _polars(predictor)))
    if find_spec("flask"):
        opened.append(_InProcess("Flask mount, JSON", predictor, (ODD, ALONE), _flask(predictor)))
    if find_spec("fastapi"):
        opened.append(_InProcess("FastAPI mount, JSON", predictor, (ODD, ALONE), _fastapi(predictor)))
    yield opened


def _table(predictor: Predictor, rows: list[Row]) -> Any:
    import pyarrow as pa

    from fourfold.signature.columns import rows_to_columns

    return pa.Table.from_batches([rows_to_columns(predictor.signature.inputs, rows)])


def _arrow(predictor: Predictor) -> Answer:
    return lambda rows: as_rows(predictor.predict(_table(predictor, rows)), predictor.signature)


def _pandas(predictor: Predictor) -> Answer:
    # Arrow-backed pandas columns keep null and NaN apart, as every other door does.
    import pandas as pd
    import pyarrow as pa

    def answer(rows: list[Row]) -> Sequence[Row]:
        frame = predictor.predict(_table(predictor, rows).to_pandas(types_mapper=pd.ArrowDtype))
        return as_rows(_to_arrow(pa, frame, predictor), predictor.signature)

    return answer


def _to_arrow(pa: Any, frame: Any, predictor: Predictor) -> Any:
    from fourfold import tables

    batch, errors = tables.read(frame, predictor.signature.outputs, "forbid")
    assert not errors, errors[0]
    return batch


def _polars(predictor: Predictor) -> Answer:
    import polars as pl

    def answer(rows: list[Row]) -> Sequence[Row]:
        return as_rows(predictor.predict(pl.from_arrow(_table(predictor, rows))).to_arrow(), predictor.signature)

    return answer


def _flask(predictor: Predictor) -> Answer:
    import flask

    from fourfold import embed

    app = flask.Flask("certify")
    embed.mount(app, predictor, path="/predict")
    client = app.test_client()

    def answer(rows: list[Row]) -> Sequence[Row]:
        body = json_rows.encode(list(rows), predictor.signature.inputs)
        reply = client.post("/predict", data=body, content_type=JSON)
        return as_rows(json_rows.decode(reply.data, predictor.signature.outputs), predictor.signature)

    return answer


def _fastapi(predictor: Predictor) -> Answer:
    import fastapi

    from fourfold import embed

    app = fastapi.FastAPI()
    embed.mount(app, predictor, path="/predict")

    def answer(rows: list[Row]) -> Sequence[Row]:
        body = json_rows.encode(list(rows), predictor.signature.inputs)
        reply = asyncio.run(_asgi(app, "/predict", body))
        return as_rows(json_rows.decode(reply, predictor.signature.outputs), predictor.signature)

    return answer


async def _asgi(app: Any, path: str, body: bytes) -> bytes:
    """One POST to an ASGI application, without a server in between; gives the body of its reply."""
    sent: list[bytes] = []
    requests = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        message = next(requests, None)
        if message is None:
            await asyncio.sleep(3600)  # a client that stays: only the end of the request says that it has gone
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
