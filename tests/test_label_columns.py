"""An output with labels is one column for each of them in frames and CSV, and an array elsewhere and on request."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import flask
import httpx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from fourfold import batch, embed, service
from fourfold.certificate import certify
from fourfold.certificate.doors.door import Door
from fourfold.certificate.doors.embed import doors as embed_doors
from fourfold.certificate.doors.service import doors as service_doors
from fourfold.errors import SignatureError, SourceError
from fourfold.predictor import Predictor
from fourfold.protocols import ARROW, CSV, JSON, JSON_LINES, PARQUET, PredictProtocol, Reply
from fourfold.protocols.openapi import predict_operation
from fourfold.signature import Field, Signature
from tests.embed.app_client import client_of
from tests.hostile_rows import parquet_of
from tests.support import make_predictor

LABELS = ("no", "yes, or so", "ja\n„vielleicht“")
INPUTS = (Field("x", "float64"), Field("id", "int64"))
OUTPUTS = (
    Field("label", "string", categories=LABELS),
    Field("probability", "float64", nullable=True, shape=(3,), labels=LABELS),
    Field("votes", "int64", shape=(2,), labels=("False", "True")),
    Field("score", "float32"),
)
COLUMNS = ["label", *(f"probability_{label}" for label in LABELS), "votes_False", "votes_True", "score"]
TABLE = pa.table({"x": [0.1, -0.0, 7.0, 1e300], "id": [3, 1, 2, 0]})


def answer(row: dict[str, Any]) -> dict[str, Any]:
    """Answer with an array whose bits depend on the row; it is missing where x is 7."""
    x = row["x"]
    probability = None if x == 7 else [x / 3, math.nan, -x * 1e10]
    return {"label": LABELS[row["id"] % 3], "probability": probability, "votes": [row["id"], -1], "score": 0.25}


ANSWERS = [answer(row) for row in TABLE.to_pylist()]


def split(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of an answer, spelled out."""
    a, b, c = row["probability"] or [None, None, None]
    return dict(zip(COLUMNS, [row["label"], a, b, c, *row["votes"], row["score"]], strict=True))


def make(**changes: Any) -> Predictor:
    signature = Signature(INPUTS, changes.pop("outputs", OUTPUTS), extra="ignore")
    golden = [{"x": 0.5, "id": 1}, {"x": 7.0, "id": 2}]
    return make_predictor(changes.pop("function", answer), signature=signature, golden=golden, **changes)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make()


def bits(values: Any) -> list[Any]:
    """Values that are equal where their bits are: every NaN is one."""
    return [repr(float(value)) if isinstance(value, float) else value for value in values]


CHUNKED = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 0), TABLE.slice(1)])
PANDAS: dict[str, Callable[[], pd.DataFrame]] = {
    "numpy": TABLE.to_pandas,
    "arrow": lambda: TABLE.to_pandas(types_mapper=pd.ArrowDtype),
    "chunked": lambda: CHUNKED.to_pandas(types_mapper=pd.ArrowDtype),
    "an index with a value twice": lambda: TABLE.to_pandas().set_index(pd.Index([5, 5, 6, 7])),
}
POLARS: dict[str, Callable[[], pl.DataFrame]] = {
    "one chunk": lambda: pl.DataFrame(TABLE),
    "chunked": lambda: pl.concat([pl.DataFrame(TABLE.slice(0, 1)), pl.DataFrame(TABLE.slice(1))], rechunk=False),
}


@pytest.mark.parametrize("form", PANDAS)
def test_pandas_has_a_column_for_each_label(predictor: Predictor, form: str) -> None:
    """The columns have the values of the arrays, NA where the array is missing, and the caller's index."""
    frame = PANDAS[form]()
    outputs = predictor.predict(frame)
    assert outputs.columns.tolist() == COLUMNS
    assert outputs.index.equals(frame.index)
    assert [str(dtype) for dtype in outputs.dtypes] == [
        *("str", "Float64", "Float64", "Float64", "int64", "int64", "float32"),
    ]
    for name in COLUMNS:
        values = [None if value is pd.NA else value for value in outputs[name].tolist()]
        assert bits(values) == bits(split(row)[name] for row in ANSWERS)
    arrays = predictor.predict(frame, arrays=True)
    assert arrays.columns.tolist() == ["label", "probability", "votes", "score"]
    assert arrays["probability"].iloc[2] is None
    assert bits(arrays["probability"].iloc[3].tolist()) == bits(ANSWERS[3]["probability"])
    assert arrays["votes"].iloc[0].tolist() == [3, -1]


@pytest.mark.parametrize("form", POLARS)
def test_polars_has_a_column_for_each_label(predictor: Predictor, form: str) -> None:
    """The columns have the values of the arrays, null where the array is missing."""
    outputs = predictor.predict(POLARS[form]())
    dtypes = [pl.String, pl.Float64, pl.Float64, pl.Float64, pl.Int64, pl.Int64, pl.Float32]
    assert outputs.schema == pl.Schema(dict(zip(COLUMNS, dtypes, strict=True)))
    for name in COLUMNS:
        assert bits(outputs[name].to_list()) == bits(split(row)[name] for row in ANSWERS)
    arrays = predictor.predict(POLARS[form](), arrays=True)
    assert arrays.schema["probability"] == pl.Array(pl.Float64, 3)
    assert [row and bits(row) for row in arrays["probability"].to_list()] == [
        row["probability"] and bits(row["probability"]) for row in ANSWERS
    ]


def test_frames_without_rows_have_the_columns(predictor: Predictor) -> None:
    """Of no rows a frame has the same columns, with their dtypes."""
    assert predictor.predict(TABLE.to_pandas().iloc[:0]).columns.tolist() == COLUMNS
    assert str(predictor.predict(TABLE.to_pandas().iloc[:0]).dtypes["votes_True"]) == "int64"
    assert predictor.predict(pl.DataFrame(TABLE).head(0)).schema == predictor.predict(pl.DataFrame(TABLE)).schema


@pytest.mark.parametrize("arrays", [False, True])
def test_where_arrays_have_a_type_they_stay(predictor: Predictor, arrays: bool) -> None:
    """Arrow tables, NumPy arrays, lists of dicts and single rows have the array, whatever is asked."""
    for table in (TABLE, CHUNKED, TABLE.combine_chunks().to_batches()[0]):
        outputs = predictor.predict(table, arrays=arrays)
        assert outputs.schema.field("probability").type == pa.list_(pa.float64(), 3)
        assert bits(outputs.column("probability")[0].as_py()) == bits(ANSWERS[0]["probability"])
    assert predictor.predict(TABLE.to_pylist(), arrays=arrays)[2] == ANSWERS[2]
    assert predictor.predict_one(TABLE.to_pylist()[2]) == ANSWERS[2]
    numbers = np.array([[0.5, 1.0]])
    assert predictor.predict(numbers, arrays=arrays)["votes"].tolist() == [[1, -1]]


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_many_labels(rows: int, nullable: bool) -> None:
    """Outputs with many labels, built as a block in pandas, have the values, dtypes and columns of few labels."""
    labels = tuple(map(str, range(40)))

    def many(row: dict[str, Any]) -> dict[str, Any]:
        array = None if nullable and row["id"] == 2 else [row["x"] + label / 3 for label in range(40)]
        return {"first": row["id"], "p": array, "few": [1.5, 2.5]}

    outputs = (
        Field("first", "int64"),
        Field("p", "float64", nullable=nullable, shape=(40,), labels=labels),
        Field("few", "float32", shape=(2,), labels=("a", "b")),
    )
    predictor = make(outputs=outputs, function=many)
    table = pa.table({"x": [float(row) for row in range(rows)], "id": pa.array(range(rows), pa.int64())})
    for frame in (table.to_pandas().set_index(pd.Index(["i"] * rows, dtype=str)), pl.DataFrame(table)):
        answers = predictor.predict(frame)
        assert list(answers.columns) == ["first", *(f"p_{label}" for label in labels), "few_a", "few_b"]
        assert answers["first"].to_list() == list(range(rows))
        for label in (0, 7, 39):
            values = [None if value is pd.NA else value for value in answers[f"p_{label}"].to_list()]
            assert values == [None if nullable and row == 2 else row + label / 3 for row in range(rows)]
        if isinstance(answers, pd.DataFrame):
            assert str(answers.columns.dtype) == "str"
            assert str(answers["p_3"].dtype) == ("Float64" if nullable and rows > 2 else "float64")
            assert str(answers["few_b"].dtype) == "float32"
            assert answers.index.tolist() == ["i"] * rows


def test_a_column_of_a_frame_may_be_written(predictor: Predictor) -> None:
    """The frame is the caller's own: its columns change, and no other answer does."""
    for labels in (("a", "b"), tuple(map(str, range(20)))):
        outputs = (Field("p", "float64", shape=(len(labels),), labels=labels),)
        one = make(outputs=outputs, function=lambda row, labels=labels: {"p": [row["x"] for _ in labels]})
        frame = one.predict(TABLE.to_pandas())
        frame.loc[0, f"p_{labels[0]}"] = 99.0
        assert frame[f"p_{labels[0]}"].tolist() == [99.0, -0.0, 7.0, 1e300]
        assert frame[f"p_{labels[1]}"].tolist() == [0.1, -0.0, 7.0, 1e300]


def records_of(body: bytes) -> list[list[str]]:
    """The records of CSV, as Python's own reader reads them."""
    return list(csv.reader(io.StringIO(body.decode(), newline="")))


CSV_RECORDS = [
    COLUMNS,
    [LABELS[0], repr(0.1 / 3), "NaN", "-1000000000.0", "3", "-1", "0.25"],
    [LABELS[1], "-0.0", "NaN", "0.0", "1", "-1", "0.25"],
    [LABELS[2], "", "", "", "2", "-1", "0.25"],
    [LABELS[0], repr(1e300 / 3), "NaN", "-Infinity", "0", "-1", "0.25"],
]
CSV_ARRAYS = [["label", "probability", "votes", "score"], [LABELS[2], "", "[2,-1]", "0.25"]]


def body_of(media_type: str, table: pa.Table = TABLE) -> bytes:
    rows = table.to_pylist()
    if media_type == JSON:
        return json.dumps(rows).encode()
    if media_type == JSON_LINES:
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    if media_type == CSV:
        return b"x,id\n" + b"".join(f"{row['x']!r},{row['id']}\n".encode() for row in rows)
    return parquet_of(table)


@pytest.mark.parametrize("media_type", [JSON, JSON_LINES, CSV, PARQUET])
def test_csv_over_http(predictor: Predictor, media_type: str) -> None:
    """Whatever the request's form, CSV has a column for each label; `?arrays=true` gives arrays in JSON."""
    protocol, headers = PredictProtocol(predictor), {"content-type": media_type, "accept": CSV}
    body = body_of(media_type)
    for query in (b"", b"arrays=false", b"a=b"):
        assert records_of(protocol(body, headers, query).body) == CSV_RECORDS
    arrays = records_of(protocol(body, headers, b"arrays=true").body)
    assert [arrays[0], arrays[3]] == CSV_ARRAYS
    assert json.loads(arrays[4][1]) == [1e300 / 3, "NaN", "-Infinity"]


def test_csv_of_no_rows_has_the_columns(predictor: Predictor) -> None:
    """A table without rows is answered with the header."""
    protocol = PredictProtocol(predictor)
    assert records_of(protocol(b"x,id\n", {"content-type": CSV}).body) == [COLUMNS]
    assert records_of(protocol(b"x,id\n", {"content-type": CSV}, b"arrays=true").body) == CSV_ARRAYS[:1]


def test_very_many_labels() -> None:
    """Twenty thousand labels are as many columns."""
    labels = tuple(map(str, range(20_000)))
    field = Field("p", "float64", shape=(len(labels),), labels=labels)
    predictor = make(outputs=(field,), function=lambda row: {"p": [row["x"] + label for label in range(20_000)]})
    reply = PredictProtocol(predictor)(b"x,id\n0.5,1\n1.5,2\n", {"content-type": CSV})
    header, first, second = records_of(reply.body)
    assert (header[0], header[-1]) == ("p_0", "p_19999")
    assert (first[0], first[-1], second[7]) == ("0.5", "19999.5", "8.5")
    frame = predictor.predict(pd.DataFrame({"x": [0.5], "id": [1]}))
    assert (frame.shape, frame["p_19999"].tolist()) == ((1, 20_000), [19999.5])


@pytest.mark.parametrize("query", [b"", b"arrays=true", b"arrays=false"])
def test_other_media_types_have_arrays(predictor: Predictor, query: bytes) -> None:
    """JSON, Arrow and Parquet have the array, whatever is asked."""
    protocol = PredictProtocol(predictor)

    def reply(media_type: str) -> bytes:
        return protocol(body_of(JSON), {"content-type": JSON, "accept": media_type}, query).body

    assert json.loads(reply(JSON))[0]["votes"] == [3, -1]
    assert json.loads(reply(JSON_LINES).splitlines()[0])["votes"] == [3, -1]
    assert pa.ipc.open_stream(reply(ARROW)).read_all().column("votes")[0].as_py() == [3, -1]
    assert pq.read_table(io.BytesIO(reply(PARQUET))).column("votes")[0].as_py() == [3, -1]
    columns = protocol(b'{"columns":{"x":[0.5],"id":[4]}}', {"content-type": JSON}, query)
    assert json.loads(columns.body)["columns"]["votes"] == [[4, -1]]


@pytest.mark.parametrize("query", [b"arrays=yes", b"arrays=", b"arrays", b"arrays=True", b"arrays=true&arrays=1"])
def test_another_word_is_refused(predictor: Predictor, query: bytes) -> None:
    """What is neither true nor false is an error, before the rows are looked at."""
    reply = PredictProtocol(predictor)(body_of(CSV), {"content-type": CSV}, query)
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"]) == (400, "query")
    assert "expected ?arrays=true or ?arrays=false; got '" in error["message"]


def send_flask(predictor: Predictor, path: str) -> bytes:
    app = flask.Flask("app")
    embed.mount(app, predictor)
    return app.test_client().post(path, data=body_of(CSV), content_type=CSV).data


def send_asgi(app: Any, predictor: Predictor, path: str) -> bytes:
    embed.mount(app, predictor)
    with client_of(app) as client:
        return client.post(path, content=body_of(CSV), headers={"content-type": CSV}).content


def send_service(predictor: Predictor, path: str) -> bytes:
    with service.running(predictor) as url:
        return httpx.post(url + path, content=body_of(CSV), headers={"content-type": CSV}).content


@pytest.mark.parametrize(
    "send",
    [
        send_flask,
        lambda *arguments: send_asgi(FastAPI(), *arguments),
        lambda *arguments: send_asgi(Starlette(), *arguments),
        send_service,
    ],
    ids=["Flask", "FastAPI", "Starlette", "service"],
)
def test_service_and_mounts(predictor: Predictor, send: Callable[[Predictor, str], bytes]) -> None:
    """Every server passes the query on."""
    assert records_of(send(predictor, "/predict")) == CSV_RECORDS
    assert records_of(send(predictor, "/predict?arrays=true"))[3] == CSV_ARRAYS[1]


def test_openapi_names_the_columns(predictor: Predictor) -> None:
    """The operation says what a CSV reply looks like, and offers arrays only where there are labels."""
    operation = predict_operation(predictor)
    description = operation["responses"]["200"]["content"][CSV]["schema"]["description"]
    assert description.startswith("A line of column names, then a line a row. The columns: label, probability_no, ")
    assert [parameter["name"] for parameter in operation["parameters"]] == ["extra", "arrays"]
    plain = predict_operation(make(outputs=OUTPUTS[3:], function=lambda row: {"score": row["x"]}))
    assert [parameter["name"] for parameter in plain["parameters"]] == ["extra"]


def run_batch(predictor: Predictor, folder: Path, output: str, **arguments: Any) -> Path:
    source = folder / "in.csv"
    if not source.exists():
        source.write_bytes(body_of(CSV))
    target = folder / output
    batch.run(predictor, batch.Job(str(source), str(target), **arguments))
    return target


@pytest.mark.parametrize("chunk_rows", [1, 3, 100])
def test_batch_to_csv(predictor: Predictor, tmp_path: Path, chunk_rows: int) -> None:
    """A batch run writes to CSV what the service answers; `arrays` writes arrays, and the report is the same."""
    path = run_batch(predictor, tmp_path, "out.csv", keep=("id",), chunk_rows=chunk_rows)
    ids = ["id", "3", "1", "2", "0"]
    assert records_of(path.read_bytes()) == [[key, *row] for key, row in zip(ids, CSV_RECORDS, strict=True)]
    path = run_batch(predictor, tmp_path, "arrays.csv", chunk_rows=chunk_rows, arrays=True)
    assert [records_of(path.read_bytes())[row] for row in (0, 3)] == CSV_ARRAYS
    keys = {
        json.loads((tmp_path / f"_fourfold/{name}.csv.run.json").read_text())["run_key"] for name in ("out", "arrays")
    }
    assert len(keys) == 2


@pytest.mark.parametrize("arrays", [False, True])
def test_batch_to_formats_with_arrays(predictor: Predictor, tmp_path: Path, arrays: bool) -> None:
    """Parquet, Arrow and JSON lines hold the array, whatever is asked."""
    table = pq.read_table(run_batch(predictor, tmp_path, "out.parquet", arrays=arrays))
    assert table.schema.names == [field.name for field in OUTPUTS]
    assert table.column("probability").to_pylist()[2] is None
    with pa.ipc.open_file(run_batch(predictor, tmp_path, "out.arrow", arrays=arrays)) as reader:
        assert reader.read_all().column("votes").to_pylist()[0] == [3, -1]
    lines = run_batch(predictor, tmp_path, "out.jsonl", arrays=arrays).read_text().splitlines()
    assert json.loads(lines[0])["votes"] == [3, -1]


def test_batch_of_no_rows_and_of_rows_at_fault(predictor: Predictor, tmp_path: Path) -> None:
    """A source without rows gives the header; a row at fault leaves its neighbours' columns as they are."""
    (tmp_path / "in.csv").write_text("x,id\n")
    assert records_of(run_batch(predictor, tmp_path, "none.csv").read_bytes()) == [COLUMNS]
    (tmp_path / "in.csv").write_text("x,id\n0.1,3\nfar,1\n7.0,2\n")
    path = run_batch(predictor, tmp_path, "some.csv", chunk_rows=2)
    assert records_of(path.read_bytes()) == [COLUMNS, CSV_RECORDS[1], CSV_RECORDS[3]]


def test_a_run_that_ended_early_is_done_again(predictor: Predictor, tmp_path: Path) -> None:
    """A run that ends after its first chunk publishes nothing; done again, it writes the bytes of a whole run."""

    def end(done: int, _: int | None) -> None:
        if done:
            raise KeyboardInterrupt(done)

    (tmp_path / "in.csv").write_bytes(body_of(CSV))
    job = batch.Job(str(tmp_path / "in.csv"), str(tmp_path / "out.csv"), chunk_rows=2)
    with pytest.raises(KeyboardInterrupt, match="2"):
        batch.run(predictor, job, end)
    assert not (tmp_path / "out.csv").exists()
    batch.run(predictor, job)
    assert records_of((tmp_path / "out.csv").read_bytes()) == CSV_RECORDS


def test_a_kept_column_with_a_columns_name_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    """In CSV the names of the labels' columns are taken; in Parquet, and with arrays, only those of the outputs."""
    (tmp_path / "in.csv").write_text("x,id,votes_True,votes\n0.1,3,a,b\n")
    message = "column 'votes_True' has the name of an output's column for one of its labels.*--arrays"
    with pytest.raises(SignatureError, match=message):
        run_batch(predictor, tmp_path, "out.csv", keep=("votes_True",))
    assert not (tmp_path / "out.csv").exists()
    path = run_batch(predictor, tmp_path, "out.csv", keep=("votes_True",), arrays=True)
    assert records_of(path.read_bytes())[1][0] == "a"
    assert pq.read_table(run_batch(predictor, tmp_path, "out.parquet", keep=("votes_True",))).num_columns == 5
    for output in ("b.csv", "b.parquet"):
        with pytest.raises(SignatureError, match="column 'votes' has the name of an output;"):
            run_batch(predictor, tmp_path, output, keep=("votes",))
    with pytest.raises(SourceError, match="arrays: expected true or false; got 'yes'"):
        batch.Job("in.csv", "out.csv", arrays="yes")  # type: ignore[arg-type]


def test_a_name_that_is_taken_keeps_the_array_at_every_door(tmp_path: Path) -> None:
    """Where a column would have the name of another output, or of another label, the output stays an array."""
    outputs = (
        Field("p_1", "string"),
        Field("p", "float64", shape=(2,), labels=("0", "1")),
        Field("q", "float64", shape=(2,), labels=("1", "1")),
        Field("r", "float64", shape=(2,), labels=("1", "2")),
    )

    def function(row: dict[str, Any]) -> dict[str, Any]:
        return {"p_1": "text", "p": [row["x"], 1.0], "q": [2.0, 3.0], "r": [4.0, row["x"]]}

    predictor = make(outputs=outputs, function=function)
    expected = ["p_1", "p", "q", "r_1", "r_2"]
    assert predictor.predict(TABLE.to_pandas()).columns.tolist() == expected
    assert predictor.predict(TABLE.to_pandas())["p"].iloc[0].tolist() == [0.1, 1.0]
    assert predictor.predict(pl.DataFrame(TABLE)).columns == expected
    body = PredictProtocol(predictor)(body_of(CSV), {"content-type": CSV}).body
    assert records_of(body)[:2] == [expected, ["text", "[0.1,1.0]", "[2.0,3.0]", "4.0", "0.1"]]
    assert run_batch(predictor, tmp_path, "out.csv").read_bytes() == body
    assert certify(predictor, TABLE, doors=all_doors(predictor)).equal


def all_doors(predictor: Predictor) -> list[Door]:
    with embed_doors(predictor) as doors:
        return doors


def test_certify_joins_the_columns_again() -> None:
    """Frames and CSV are compared bit for bit with the answer of all rows, arrays that are missing included."""
    predictor = make()
    with service.running(predictor) as url, service_doors((), predictor.signature, url=url) as served:
        certificate = certify(predictor, TABLE, doors=[*all_doors(predictor), *served])
    assert certificate.equal
    names = [report.door for report in certificate.doors]
    assert {"predict, pandas", "predict, polars", "POST /predict, CSV"} <= set(names)


def test_certify_reads_the_arrays_of_an_older_service(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that runs already may answer CSV with arrays, as it did before: its bits are compared all the same."""
    decode = PredictProtocol.decode

    def decode_as_before(self: PredictProtocol, *arguments: Any) -> Any:
        return replace(decode(self, *arguments), arrays=True)

    monkeypatch.setattr(PredictProtocol, "decode", decode_as_before)
    with service.running(predictor) as url, service_doors((), predictor.signature, url=url) as served:
        certificate = certify(predictor, TABLE, doors=[door for door in served if door.name.endswith("CSV")])
    assert certificate.equal


def test_certify_sees_a_difference_in_one_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """A last bit that changes in one label's column is found, and the output is named."""
    predictor = make(function=lambda row: {**answer(row), "probability": [row["x"], 0.5, 0.25]})
    encode = PredictProtocol.encode

    def encode_wrongly(self: PredictProtocol, *arguments: Any) -> Reply:
        reply = encode(self, *arguments)
        return replace(reply, body=reply.body.replace(b",0.5,0.25,", b",0.5,0.25000000000000006,"))

    monkeypatch.setattr(PredictProtocol, "encode", encode_wrongly)
    with service.running(predictor) as url, service_doors((), predictor.signature, url=url) as served:
        certificate = certify(predictor, TABLE, doors=[door for door in served if door.name.endswith("CSV")])
    (report,) = certificate.doors
    assert report.differing == 4
    assert report.first is not None
    assert (report.first.field, report.first.got[2]) == ("probability", 0.25000000000000006)
