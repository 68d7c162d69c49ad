from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Collection
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.codecs import arrow, csv, json_lines, parquet
from fourfold.errors import EngineError
from fourfold.predictor import Answer, Predictor
from fourfold.protocols import (
    ARROW,
    CSV,
    JSON,
    JSON_LINES,
    MEDIA_TYPES,
    PARQUET,
    PredictProtocol,
    Refused,
    Reply,
    join_headers,
)
from fourfold.signature import Field, Signature
from tests.project.tree import ROOT
from tests.support import GOLDEN, SIGNATURE, make_predictor

CODECS: dict[str, Any] = {CSV: csv, JSON_LINES: json_lines, ARROW: arrow, PARQUET: parquet}
ROWS = [{"x": 1.0, "n": 2, "word": "a"}, {"x": float("nan"), "n": None, "word": "çà, \n"}]
OUTPUTS: list[dict[str, Any]] = [{"y": 4.0, "word": "a"}, {"y": "NaN", "word": "çà, \n"}]


@pytest.fixture(scope="module")
def protocol() -> PredictProtocol:
    return PredictProtocol(make_predictor(version=3))


def ask(protocol: PredictProtocol, body: Any, content_type: str | None = JSON, **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = {} if content_type is None else {"content-type": content_type}
    return protocol(raw, {**said, **{name.replace("_", "-"): value for name, value in headers.items()}})


def error(reply: Reply) -> dict[str, Any]:
    """The error of a reply, which has the one form that every failure has."""
    assert reply.headers["content-type"] == JSON
    body = json.loads(reply.body)
    assert list(body) == ["error"]
    assert list(body["error"]) == ["code", "message", "rows", "count"]
    assert all(list(row) == ["row", "field", "code", "expected", "got"] for row in body["error"]["rows"])
    return dict(body["error"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"x": 1, "n": 2}, {"y": 4.0, "word": None}),
        ([{"x": 1, "n": 2}], [{"y": 4.0, "word": None}]),
        ([], []),
        ({"rows": [{"x": 1}, {"x": 2}]}, {"rows": [{"y": 2.0, "word": None}, {"y": 4.0, "word": None}]}),
        ({"rows": []}, {"rows": []}),
        (
            {"columns": {"x": [1, 2], "n": [0, None], "word": [None, None]}},
            {"columns": {"y": [2.0, 4.0], "word": [None, None]}},
        ),
        ({"columns": {"x": [], "n": [], "word": []}}, {"columns": {"y": [], "word": []}}),
    ],
)
def test_json_replies_in_the_form_of_the_request(protocol: PredictProtocol, body: Any, expected: Any) -> None:
    """One row gets one object, rows get rows, and what was wrapped comes back wrapped."""
    reply = ask(protocol, body)
    assert (reply.status, json.loads(reply.body)) == (200, expected)
    assert reply.headers["content-type"] == JSON


@pytest.mark.parametrize("media_type", CODECS)
def test_every_media_type_replies_in_kind(protocol: PredictProtocol, media_type: str) -> None:
    """Rows that come in a media type go out in it, with NaN, nulls and text as they were."""
    codec = CODECS[media_type]
    reply = ask(protocol, codec.encode(ROWS, SIGNATURE.inputs), media_type)
    assert reply.status == 200
    assert reply.headers["content-type"].partition(";")[0] == media_type
    again = ask(protocol, codec.encode(ROWS, SIGNATURE.inputs), media_type, accept=JSON)
    assert json.loads(again.body) == OUTPUTS
    assert reply.body == codec.encode([{**row, "y": float(row["y"])} for row in OUTPUTS], SIGNATURE.outputs)


@pytest.mark.parametrize("media_type", CODECS)
def test_accept_chooses_the_reply(protocol: PredictProtocol, media_type: str) -> None:
    """A client that sends JSON gets the media type that it asks for, even for one row."""
    reply = ask(protocol, {"x": 1}, accept=f"text/html, {media_type};q=0.5")
    assert reply.headers["content-type"].partition(";")[0] == media_type
    assert reply.body == CODECS[media_type].encode([{"y": 2.0, "word": None}], SIGNATURE.outputs)


def test_replies_name_model_and_digest(protocol: PredictProtocol) -> None:
    """Every reply, a failure too, says which model and which package answered."""
    for reply in (ask(protocol, {"x": 1}), ask(protocol, b"{")):
        assert reply.headers["x-fourfold-model"] == "tiny:3"
        assert reply.headers["x-fourfold-digest"] == protocol.predictor.digest
    assert ask(PredictProtocol(make_predictor()), {"x": 1}).headers["x-fourfold-model"] == "tiny"


def test_an_input_field_is_never_a_wrapper() -> None:
    """Where the signature has a field `rows`, an object with that key alone is one row."""
    signature = Signature((Field("rows", "float64", shape=(2,)),), (Field("y", "float64"),))
    protocol = PredictProtocol(
        make_predictor(lambda row: {"y": sum(row["rows"])}, signature=signature, golden=[{"rows": [1, 2]}])
    )
    assert json.loads(ask(protocol, {"rows": [1, 2]}).body) == {"y": 3.0}
    assert json.loads(ask(protocol, {"columns": {"rows": [[1, 2]]}}).body) == {"columns": {"y": [3.0]}}


def test_a_wrapper_has_one_key(protocol: PredictProtocol) -> None:
    """An object with more keys than `rows` is a row, so its keys that are no fields are errors."""
    found = error(ask(protocol, {"rows": [], "x": 1}))
    assert [(row["field"], row["code"]) for row in found["rows"]] == [("rows", "unknown")]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", JSON),
        (b"{", JSON),
        (b"3", JSON),
        (b'"x"', JSON),
        (b'{"x": 1, "x": 2}', JSON),
        (b'{"rows": {"x": 1}}', JSON),
        (b'{"columns": [1]}', JSON),
        (b'{"columns": {"x": [1], "n": [1, 2]}}', JSON),
        (b"\xff\xfe", JSON),
        (b"", CSV),
        (b'x\n"1', CSV),
        (b"not arrow", ARROW),
        (b"PAR1", PARQUET),
        (b'{"x": 1}\n{', JSON_LINES),
    ],
)
def test_broken_bodies_are_400(protocol: PredictProtocol, body: bytes, content_type: str) -> None:
    """Bytes that are not what their media type says are refused, with the reason."""
    reply = ask(protocol, body, content_type)
    assert (reply.status, error(reply)["code"]) == (400, "decode")


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/xml", "application/x-www-form-urlencoded", "json", "application/json; charset=latin-1"],
)
def test_media_types_that_are_not_spoken_are_415(protocol: PredictProtocol, content_type: str | None) -> None:
    """Another media type, none, or another charset is refused, and the message lists what is spoken."""
    reply = ask(protocol, {"x": 1}, content_type)
    assert (reply.status, error(reply)["code"]) == (415, "media_type")


def test_compressed_bodies_are_415(protocol: PredictProtocol) -> None:
    """A compressed body is named as such, and not as broken JSON."""
    reply = ask(protocol, b"\x1f\x8b", content_encoding="gzip")
    assert reply.status == 415
    assert "gzip" in error(reply)["message"]


def test_clients_that_take_nothing_get_406(protocol: PredictProtocol) -> None:
    """A client that accepts no known media type gets the list of them, in JSON."""
    reply = ask(protocol, {"x": 1}, accept="text/html, application/json;q=0")
    assert reply.status == 406
    assert all(each in error(reply)["message"] for each in MEDIA_TYPES)


@pytest.mark.parametrize("media_type", [JSON, *CODECS])
def test_rows_at_fault_are_422_in_every_media_type(protocol: PredictProtocol, media_type: str) -> None:
    """A value that does not fit is named with its row and field, and no row is answered."""
    fields = (Field("x", "string"), Field("n", "int64"), Field("word", "string"))
    rows = [{"x": "1", "n": 1, "word": "a"}, {"x": "two", "n": 2, "word": "b"}]
    body = json.dumps([{"x": 1}, {"x": "two"}]).encode() if media_type == JSON else b""
    reply = ask(protocol, body or CODECS[media_type].encode(rows, fields), media_type)
    found = error(reply)
    assert (reply.status, found["code"]) == (422, "rows")
    assert {"row": 1, "field": "x", "code": "type"}.items() <= found["rows"][-1].items()
    assert found["count"] == len(found["rows"])


def test_every_row_error_is_counted_and_some_are_shown(protocol: PredictProtocol) -> None:
    """A reply lists the first hundred errors and says how many there are."""
    found = error(ask(protocol, [{"x": "a"}] * 250))
    assert (found["count"], len(found["rows"])) == (250, 100)
    assert found["message"].startswith("250 rows do not fit the signature; row 0, field 'x'")


def test_replies_never_repeat_a_whole_input(protocol: PredictProtocol) -> None:
    """However long a value or a key is, its error is short; half a surrogate pair in a key breaks nothing."""
    reply = ask(protocol, b'{"x": "' + b"a" * 100_000 + b'", "' + b"k" * 100_000 + b'\\ud800": 1}')
    assert reply.status in (400, 422)
    assert len(reply.body) < 2_000


def test_too_long_bodies_are_413() -> None:
    """A body beyond the limit is refused; one of exactly the limit is not."""
    protocol = PredictProtocol(make_predictor(), max_body_bytes=8)
    assert ask(protocol, b'{"x":10}').status == 200
    reply = ask(protocol, b'{"x":100}')
    assert (reply.status, error(reply)["code"]) == (413, "too_large")


_WIDE = Signature((Field("x", "float64", shape=(1000, 1000), nullable=True),), (Field("y", "float64"),))


@pytest.mark.parametrize(
    ("signature", "table"),
    [
        (SIGNATURE, [{}] * (2**20 + 1)),
        (SIGNATURE, pa.table({"x": pa.nulls(2**20 + 1)})),
        (SIGNATURE, pa.table({f"c{index}": pa.nulls(2**20) for index in range(33)})),
        (_WIDE, [{}] * 34),
        (_WIDE, pa.table({"x": pa.nulls(34)})),
    ],
    ids=["rows", "nulls", "unknown columns", "tensors", "tensors of Arrow"],
)
def test_a_short_body_with_very_many_values_is_413(signature: Signature, table: Any) -> None:
    """The rows of a request are limited, not only its bytes: a few bytes can stand for any number of rows."""
    predictor = make_predictor()
    if signature is _WIDE:
        predictor = make_predictor(lambda _: {"y": 1.0}, signature=signature, golden=[{"x": None}])
    protocol = PredictProtocol(predictor)
    if isinstance(table, list):
        reply = ask(protocol, b"[" + b",".join([b"{}"] * len(table)) + b"]")
    else:
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=2**19)
        reply = ask(protocol, sink.getvalue(), ARROW)
    assert (reply.status, error(reply)["code"]) == (413, "too_large")


def failing(row: dict[str, Any]) -> dict[str, Any]:
    if row["x"] == 13:
        raise ValueError("thirteen is too much")
    return {"y": row["x"], "word": None}


def test_rows_that_the_engine_refuses_are_500() -> None:
    """A row that fits the signature, and that the engine fails on, is the server's fault, and named."""
    protocol = PredictProtocol(make_predictor(failing))
    reply = ask(protocol, [{"x": 1}, {"x": 13}])
    found = error(reply)
    assert (reply.status, found["code"]) == (500, "engine")
    assert [(row["row"], row["code"]) for row in found["rows"]] == [(1, "engine")]
    assert "thirteen is too much" in found["message"]
    assert "Traceback" not in reply.body.decode()


def test_rows_at_fault_come_before_an_engine_at_fault() -> None:
    """Where a request has both kinds of errors, the reply names those that the client can change."""
    reply = ask(PredictProtocol(make_predictor(failing)), [{"x": 13}, {"x": "a"}])
    assert reply.status == 422
    assert [row["code"] for row in error(reply)["rows"]] == ["engine", "type"]


class Broken(Predictor):
    """A predictor whose `answer` raises the given error."""

    raised: Exception

    def answer(self, table: Any, max_errors: int | None = None, *, absent: Collection[str] = ()) -> Answer:
        raise self.raised


def broken(raised: Exception) -> PredictProtocol:
    sound = make_predictor()
    predictor = Broken(sound.package, sound._function._engine)
    predictor.raised = raised
    return PredictProtocol(predictor)


def test_an_engine_error_is_told() -> None:
    """An engine that fails altogether is a 500 with its message."""
    reply = ask(broken(EngineError("the engine failed: no memory")), {"x": 1})
    assert (reply.status, error(reply)["message"]) == (500, "the engine failed: no memory")


def test_a_bug_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """An error that is not Fourfold's own goes to the log with its traceback, and to nobody else."""
    with caplog.at_level(logging.ERROR, "fourfold"):
        reply = ask(broken(RuntimeError("a secret")), {"x": 1})
    assert (reply.status, error(reply)["code"]) == (500, "internal")
    assert b"secret" not in reply.body
    assert "a secret" in caplog.text


@given(st.binary(max_size=40), st.sampled_from([JSON, CSV, JSON_LINES, ARROW, PARQUET]))
def test_no_body_is_a_bug(body: bytes, media_type: str) -> None:
    """Whatever bytes come, the reply is an answer or says what is wrong with them."""
    protocol = PredictProtocol(PREDICTOR)
    assert ask(protocol, body, media_type).status in (200, 400, 422)


PREDICTOR = make_predictor()


def test_headers_that_came_twice_are_joined() -> None:
    """Two lines of one header mean what one line with a comma does."""
    assert join_headers([(b"accept", b"text/csv;q=0.1"), (b"host", b"h"), (b"accept", b"application/json")]) == {
        "accept": "text/csv;q=0.1, application/json",
        "host": "h",
    }


def test_reading_ends_at_the_limit() -> None:
    """A body that is too long is refused at the first chunk beyond the limit, or before, by its `content-length`."""
    protocol = PredictProtocol(make_predictor(), max_body_bytes=10)
    taken: list[bytes] = []

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            taken.append(b"12345678")
            yield taken[-1]

    with pytest.raises(Refused):
        asyncio.run(protocol.read(chunks(), {}))
    assert len(taken) == 2
    with pytest.raises(Refused):
        asyncio.run(protocol.read(chunks(), {"content-length": "11"}))
    assert len(taken) == 2


def test_reading_joins_chunks(protocol: PredictProtocol) -> None:
    """A body that arrives in chunks is joined."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"x"'
        yield b":1}"
        yield b""

    assert asyncio.run(protocol.read(chunks(), {"content-length": "7"})) == b'{"x":1}'


def test_golden_rows_answer_in_every_form(protocol: PredictProtocol) -> None:
    """The golden rows give the same values as one row each, as rows, and as columns."""
    rows = [dict(row) for row in GOLDEN]
    many = json.loads(ask(protocol, rows).body)
    assert [json.loads(ask(protocol, row).body) for row in rows] == many
    columns = json.loads(ask(protocol, {"columns": {key: [row[key] for row in rows] for key in rows[0]}}).body)
    by_name = columns["columns"]
    assert [{name: by_name[name][row] for name in by_name} for row in range(len(rows))] == many


def test_json_needs_no_arrow() -> None:
    """Where pyarrow is not installed, JSON is answered all the same, and the other media types say what is missing."""
    program = """
import sys
sys.modules["pyarrow"] = None
from fourfold.protocols import ARROW, CSV, JSON, PredictProtocol
from tests.support import make_predictor
protocol = PredictProtocol(make_predictor())
print(protocol(b'{"x": 1}', {"content-type": JSON}).status)
print(protocol(b"x\\n1\\n", {"content-type": CSV}).status)
print(protocol(b'{"x": 1}', {"content-type": JSON, "accept": ARROW}).body.decode())
"""
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT)
    json_status, csv_status, body = run.stdout.splitlines()
    assert (json_status, csv_status) == ("200", "415")
    assert "needs pyarrow, which is not installed" in body
    assert str(ROOT) not in body  # who sends requests learns no path of the host
