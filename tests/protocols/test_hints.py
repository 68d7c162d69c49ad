from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.protocols import ARROW, CSV, JSON, JSON_LINES, MEDIA_TYPES, PARQUET, PredictProtocol
from fourfold.protocols.example_rows import example_row
from fourfold.signature import Field, Signature
from tests.protocols.test_openapi import FIELDS
from tests.support import make_predictor

FLIGHT = Signature((Field("distance", "float64"), Field("hour", "int64")), (Field("y", "float64"),))
ROW = {"distance": 1400.0, "hour": 9}
SENT = 'send {"distance": 1400.0, "hour": 9} for one row'


def protocol_of(*names: str, extra: Any = "forbid", nullable: bool = False) -> PredictProtocol:
    fields = tuple(Field(name, "float64", nullable=nullable) for name in names)
    golden = [dict.fromkeys(names, 1.0)]
    signature = Signature(fields, (Field("y", "float64"),), extra=extra)
    return PredictProtocol(make_predictor(lambda _: {"y": 2.0}, signature=signature, golden=golden))


@pytest.fixture(scope="module")
def flight() -> PredictProtocol:
    return PredictProtocol(make_predictor(lambda row: {"y": row["distance"]}, signature=FLIGHT, golden=[ROW]))


def failure(protocol: PredictProtocol, body: Any, content_type: str | None = JSON) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = protocol(raw, {} if content_type is None else {"content-type": content_type})
    return reply.status, json.loads(reply.body)["error"]


OTHER_FORMS: dict[str, Any] = {
    "instances": {"instances": [ROW, ROW]},
    "instances by position": {"instances": [[1400.0, 9]]},
    "instances and a signature's name": {"signature_name": "serving_default", "instances": [ROW]},
    "instances and parameters": {"instances": [ROW], "parameters": {"confidence": 0.5}},
    "inputs": {"inputs": [ROW]},
    "inputs in columns": {"inputs": {"distance": [1400.0], "hour": [9]}},
    "inputs, one row": {"inputs": ROW},
    "tensors": {
        "id": "1",
        "inputs": [
            {"name": "distance", "shape": [1], "datatype": "FP64", "data": [1400.0]},
            {"name": "hour", "shape": [1], "datatype": "INT64", "data": [9]},
        ],
    },
    "split": {"dataframe_split": {"index": [0], "columns": ["distance", "hour"], "data": [[1400.0, 9]]}},
    "bare split": {"columns": ["distance", "hour"], "index": [0], "data": [[1400.0, 9]]},
    "records": {"dataframe_records": [ROW]},
    "ndarray": {"data": {"ndarray": [[1400.0, 9]]}},
    "ndarray with names": {"data": {"names": ["distance", "hour"], "ndarray": [[1400.0, 9]]}},
    "data": {"data": [ROW]},
    "features": {"features": [1400.0, 9]},
    "features by name": {"features": ROW},
    "input": {"input": ROW},
    "input in a list": {"input": [ROW]},
    "input_data": {"input_data": {"columns": ["distance", "hour"], "data": [[1400.0, 9]]}},
    "rows beside another key": {"rows": [ROW], "threshold": 0.5},
    "rows by position": {"rows": [[1400.0, 9]]},
    "nobody's": {"payload": {"body": {"items": [ROW]}}},
    "in a list": [{"instances": [ROW]}],
    "lists": [[1400.0, 9], [900.0, 18]],
    "a flat list": [1400.0, 9],
}


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_another_servers_form_is_shown_in_ours(flight: PredictProtocol, form: str) -> None:
    """A body in another server's form is told how the same values are sent here, and that is answered."""
    status, error = failure(flight, OTHER_FORMS[form])
    assert (status, error["code"]) == (422, "rows")
    assert SENT in error["message"]
    shown = error["message"].partition("send ")[2].partition(" for one row")[0]
    reply = flight(shown.encode(), {"content-type": JSON})
    assert json.loads(reply.body) == {"y": 1400.0}


@pytest.mark.parametrize("form", [form for form, body in OTHER_FORMS.items() if isinstance(body, dict)])
def test_another_servers_form_is_one_error(flight: PredictProtocol, form: str) -> None:
    """It is one error, of the key that makes it so, and not one of every field; a form by position keeps its own."""
    error = failure(flight, OTHER_FORMS[form])[1]
    assert error["count"] == 1
    (row,) = error["rows"]
    if form != "rows by position":
        assert row["code"] == "unknown"
        assert row["field"] in OTHER_FORMS[form]
        assert row["expected"] == "one of the fields 'distance', 'hour'"


@pytest.mark.parametrize(
    ("body", "server"),
    [
        ({"instances": [ROW]}, "TensorFlow Serving, Vertex AI and KServe"),
        ({"inputs": [ROW]}, "MLflow"),
        ({"dataframe_split": {}}, "MLflow"),
        ({"dataframe_records": []}, "MLflow"),
        ({"data": {"ndarray": []}}, "Seldon"),
        ({"input": "a text"}, "the key 'input'; send"),
    ],
)
def test_forms_are_known_by_name(flight: PredictProtocol, body: Any, server: str) -> None:
    """The message says whose form it is, also where no rows are in it; then it shows a row that is answered."""
    message = failure(flight, body)[1]["message"]
    assert server in message
    shown = message.partition("send ")[2].partition(" for one row")[0]
    assert flight(shown.encode(), {"content-type": JSON}).status == 200


@pytest.mark.parametrize("name", ["instances", "inputs", "dataframe_split", "data", "features", "input", "payload"])
def test_a_field_of_that_name_is_a_field(name: str) -> None:
    """Where the model has a field of that name, its errors are those of the field, and a good row is answered."""
    protocol = protocol_of(name, "other")
    assert protocol(json.dumps({name: 1, "other": 2}).encode(), {"content-type": JSON}).status == 200
    for value in ([{"x": 1}], {"ndarray": [[1]]}, "x"):
        error = failure(protocol, {name: value})[1]
        assert {row["field"] for row in error["rows"]} == {name, "other"}
        assert error["message"].startswith("1 row does not fit the signature") or isinstance(value, list)


def test_a_row_that_is_answered_is_no_form_of_others() -> None:
    """Where every field may be missing and other keys are ignored, such an object is a row, as it always was."""
    protocol = protocol_of("x", extra="ignore", nullable=True)
    reply = protocol(b'{"instances": [[1]]}', {"content-type": JSON})
    assert (reply.status, json.loads(reply.body)) == (200, {"y": 2.0})


@pytest.mark.parametrize(
    "body",
    [
        {"distance": [1400.0, 900.0], "hour": [9, 18]},
        {"distance": {"0": 1400.0, "1": 900.0}, "hour": {"0": 9, "1": 18}},
    ],
)
def test_columns_without_their_wrapper(flight: PredictProtocol, body: Any) -> None:
    """Columns as pandas writes them keep the errors of their fields, and are shown under the key `columns`."""
    error = failure(flight, body)[1]
    assert 'send {"columns": {"distance": [1400.0, 900.0], "hour": [9, 18]}}' in error["message"]
    assert [row["field"] for row in error["rows"]] == ["distance", "hour"]


def test_ordinary_mistakes_stay_as_they_were(flight: PredictProtocol) -> None:
    """A misspelt field, a text for a number and an empty object are errors of their fields."""
    for body in ({"Distance": 1, "hour": 2}, {"distance": "far", "hour": 2}, {}, {"foo": 1}):
        message = failure(flight, body)[1]["message"]
        assert message.startswith("1 row does not fit the signature; row 0, field 'distance'")


def test_hints_are_short(flight: PredictProtocol) -> None:
    """However long the rows are, a message shows the beginning of one."""
    wide = PredictProtocol(
        make_predictor(
            lambda _: {"y": 1.0},
            signature=Signature(tuple(Field(f"f{index}", "string") for index in range(300)), FLIGHT.outputs),
            golden=[{f"f{index}": "" for index in range(300)}],
        )
    )
    long = {"instances": [{f"f{index}": "é" * 10_000 for index in range(300)}]}
    message = failure(wide, long)[1]["message"]
    assert len(message) < 700
    assert "…}" in message
    assert len(failure(flight, {"k" * 100_000: [{"x" * 100_000: "\ud800"}]})[1]["message"]) < 700


def test_example_rows_are_answered() -> None:
    """The made-up row that a message shows fits every kind of field."""
    signature = Signature(FIELDS, FLIGHT.outputs)
    protocol = PredictProtocol(make_predictor(lambda _: {"y": 1.0}, signature=signature, golden=[example_row(FIELDS)]))
    assert protocol(json.dumps(example_row(FIELDS)).encode(), {"content-type": JSON}).status == 200


LINES = b'{"distance": 1, "hour": 2}\n{"distance": 1, "hour": 2}\n'
TABLE = b"distance,hour\n1400,9\n"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "hint"),
    [
        (LINES, JSON, 400, f"send it with content-type: {JSON_LINES}"),
        (TABLE, JSON, 400, f"send it with content-type: {CSV}"),
        (TABLE, JSON_LINES, 400, f"send it with content-type: {CSV}"),
        (b'"distance","hour"\r\n1,2', JSON, 400, f"send it with content-type: {CSV}"),
        (b'{"distance": 1, "hour": 2}', CSV, 400, f"send it with content-type: {JSON}"),
        (b"[1, 2]", CSV, 400, f"send it with content-type: {JSON}"),
        (LINES, CSV, 400, f"send it with content-type: {JSON_LINES}"),
        (b'{"distance": 1}', ARROW, 400, f"send it with content-type: {JSON}"),
        (b'[{"distance": 1, "hour": 2}]', JSON_LINES, 422, f"an array is JSON: send it with content-type: {JSON}"),
        (b'[\n{"distance": 1, "hour": 2}\n]', JSON_LINES, 400, f"an array is JSON: send it with content-type: {JSON}"),
        (gzip.compress(b"{}", mtime=0), JSON, 400, "compressed with gzip: send what is in it"),
        (gzip.compress(TABLE, mtime=0), CSV, 400, "compressed with gzip"),
        (gzip.compress(LINES, mtime=0), JSON_LINES, 400, "compressed with gzip"),
        (gzip.compress(LINES, mtime=0), ARROW, 400, "compressed with gzip"),
        (gzip.compress(LINES, mtime=0), PARQUET, 400, "compressed with gzip"),
        (b"PK\x03\x04 a workbook", CSV, 400, "a workbook of Excel"),
        (b"\xef\xbb\xbf{}", JSON, 400, "without it: in Python encoding='utf-8', not 'utf-8-sig'"),
        (b"\xef\xbb\xbf{}", JSON_LINES, 400, "without it: in Python encoding='utf-8'"),
        ('{"distance": 1}'.encode("utf-16"), JSON, 400, "UTF-16: write it in UTF-8"),
        (TABLE.decode().encode("utf-16"), CSV, 400, "UTF-16: write it in UTF-8"),
        (b'"{\\"distance\\": 1}"', JSON, 400, "it was encoded twice"),
        (b"{'distance': 1}", JSON, 400, "double quotes"),
        (b'{"distance": NaN, "hour": 2}', JSON, 400, "a missing value is null"),
        (b'{"distance": [1, -Infinity]}', JSON, 400, "a missing value is null"),
        (b"distance=1&hour=2", JSON, 400, "the fields of a web form"),
        (b"1400,9\n900,18\n", CSV, 422, "a first line with the columns' names, 'distance', 'hour'"),
        (b'{"rows": {"distance": 1400.0, "hour": 9}}', JSON, 400, SENT),
        (b"ARROW1 and more", JSON, 400, f"the body is Arrow: send it with content-type: {ARROW}"),
        (b"\xff\xff\xff\xff and more", CSV, 400, f"the body is Arrow: send it with content-type: {ARROW}"),
        (b"PAR1 and more", JSON, 400, f"send it with content-type: {PARQUET}"),
    ],
)
def test_bodies_that_are_something_else(
    flight: PredictProtocol, body: bytes, content_type: str, status: int, hint: str
) -> None:
    """A body that is not what its media type says is told what it is, and how to send it."""
    found, error = failure(flight, body, content_type)
    assert found == status
    assert hint in error["message"]


def test_a_byte_order_mark_before_csv_is_none_of_it(flight: PredictProtocol) -> None:
    """CSV with a byte-order mark, as Excel writes it, is answered."""
    assert flight(b"\xef\xbb\xbf" + TABLE, {"content-type": CSV}).status == 200


@pytest.mark.parametrize(
    ("body", "content_type", "hint"),
    [
        (b'{"distance": 1}', "application/x-www-form-urlencoded", "which curl -d sends by itself; add -H"),
        (b'{"distance": 1}', "application/x-www-form-urlencoded", f"-H 'content-type: {JSON}'"),
        (LINES, "application/x-www-form-urlencoded", f"-H 'content-type: {JSON_LINES}', and send files with --data-b"),
        (TABLE, "application/x-www-form-urlencoded", f"-H 'content-type: {CSV}', and send files with --data-binary"),
        (b"distance=1&hour=2", "application/x-www-form-urlencoded", "json=row instead of data=row"),
        (b'{"distance": 1}', None, f"got none; add -H 'content-type: {JSON}'"),
        (b'{"distance": 1}', "text/plain;charset=UTF-8", f"add -H 'content-type: {JSON}'"),
        (b'{"distance": 1}', "text/json", f"add -H 'content-type: {JSON}'"),
        (b"", "application/jsonl", f"add -H 'content-type: {JSON_LINES}'"),
        (b"", "application/csv", f"add -H 'content-type: {CSV}'"),
        (b"", "application/parquet", f"add -H 'content-type: {PARQUET}'"),
        (b"PAR1", "application/octet-stream", f"add -H 'content-type: {PARQUET}'"),
        (b"--x", "multipart/form-data; boundary=x", "curl --data-binary @FILE; add -H 'content-type: text/csv'"),
        (b"", None, "name the one that the body has"),
    ],
)
def test_the_header_to_add_is_printed(
    flight: PredictProtocol, body: bytes, content_type: str | None, hint: str
) -> None:
    """A media type that is not spoken is refused with what is spoken, and with the header that the body needs."""
    status, error = failure(flight, body, content_type)
    assert (status, error["code"]) == (415, "media_type")
    assert hint in error["message"]
    assert all(media_type in error["message"] for media_type in MEDIA_TYPES)


KEYS = st.sampled_from(
    ["distance", "hour", "instances", "inputs", "data", "ndarray", "columns", "names", "rows", "name", ""]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
PROTOCOL = PredictProtocol(make_predictor(lambda row: {"y": row["distance"]}, signature=FLIGHT, golden=[ROW]))


@given(VALUES)
def test_no_form_is_a_bug(body: Any) -> None:
    """Whatever stands where, the reply is an answer or a refusal, and a row that it shows can be read."""
    reply = PROTOCOL(json.dumps(body).encode(), {"content-type": JSON})
    assert reply.status in (200, 400, 422)
    shown = (reply.failure.message if reply.failure else "").partition("; send ")[2].partition(" for one row")[0]
    assert not shown or "…" in shown or isinstance(json.loads(shown), dict)


@pytest.mark.parametrize("value", ["[" * 400 + "]" * 400, '{"a": ' * 400 + "1" + "}" * 400, "[" + "1," * 50_000 + "1]"])
def test_deep_and_long_values_are_cut(value: str) -> None:
    """A value that is nested deeply, or very long, is shown by its beginning."""
    for body in (f'{{"instances": {value}}}', f'{{"instances": [{{"distance": {value}, "hour": 1}}]}}', value):
        reply = PROTOCOL(body.encode(), {"content-type": JSON})
        assert reply.status == 422
        assert len(reply.body) < 30_000
        assert reply.failure is not None
        assert len(reply.failure.message) < 700
