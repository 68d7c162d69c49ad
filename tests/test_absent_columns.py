"""A column that is absent from a whole table, at every door for columns."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import flask
import httpx
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from fourfold import batch, embed, service
from fourfold.errors import InputError, SignatureError, SourceError, TableError
from fourfold.predictor import Predictor
from fourfold.protocols import ARROW, CSV, JSON, JSON_LINES, PARQUET, PredictProtocol, Reply
from tests.embed.app_client import client_of
from tests.hostile_rows import parquet_of, stream_of
from tests.support import SIGNATURE, make_predictor

WHOLE = pa.table({"x": [1.0, 2.0], "n": [3, None], "word": ["a", "b"]})
RENAMED = WHOLE.rename_columns(["x", "N2", "word"])
LACKING = WHOLE.drop_columns(["n"])
TABLES = [LACKING, RENAMED, LACKING.slice(0, 0), RENAMED.slice(0, 0)]
#: What an answer's `y` is where `n` is missing in every row.
YS = [2.0, 4.0]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make_predictor(signature=replace(SIGNATURE, extra="ignore"))


def csv_of(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink)
    return sink.getvalue()


def json_columns_of(table: pa.Table) -> bytes:
    return json.dumps({"columns": table.to_pydict()}).encode()


BODIES: dict[str, Callable[[pa.Table], bytes]] = {
    JSON: json_columns_of,
    CSV: csv_of,
    ARROW: stream_of,
    PARQUET: parquet_of,
}
CONTAINERS: dict[str, Callable[[pa.Table], Any]] = {
    "table": lambda table: table,
    "batch": lambda table: pa.RecordBatch.from_pydict(table.to_pydict(), schema=table.schema),
    "pandas": lambda table: table.to_pandas(),
    "pandas with Arrow": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.DataFrame,
}


def ys_of(outputs: Any) -> list[float]:
    column = outputs["y"]
    return list(column.to_pylist() if hasattr(column, "to_pylist") else column)


@pytest.mark.parametrize("table", TABLES, ids=["lacking", "renamed", "lacking, no rows", "renamed, no rows"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_in_process(predictor: Predictor, container: str, table: pa.Table) -> None:
    """One error names the column, what there is and what to say; said so, the rows are answered."""
    data = CONTAINERS[container](table)
    message = r"^column 'n': expected int64 or null, got no such column; the table has"
    with pytest.raises(InputError, match=message) as raised:
        predictor.predict(data)
    assert isinstance(raised.value, TableError)
    assert [error.to_json()["row"] for error in raised.value.errors] == [None]
    assert [error.field for error in raised.value.errors] == ["n"]
    assert str(raised.value).endswith("where it is missing in every row, say so with absent=['n']")
    assert ys_of(predictor.predict(data, absent=["n"])) == YS[: table.num_rows]


@pytest.mark.parametrize("name", ["x", "y", "N"])
def test_only_a_nullable_field_may_be_absent(predictor: Predictor, name: str) -> None:
    """A name that is no nullable field is an error for tables and for rows, and at every door."""
    containers: list[Any] = [WHOLE, WHOLE.to_pandas(), WHOLE.to_pylist(), []]
    for data in containers:
        with pytest.raises(TableError, match=f"column '{name}': expected absent to name nullable fields only"):
            predictor.predict(data, absent=[name])
    for body in (b"[]", b'{"x": 1}', json_columns_of(WHOLE)):
        reply = PredictProtocol(predictor)(body, {"content-type": JSON}, f"absent=n,{name}".encode())
        assert (reply.status, error_of(reply)["code"]) == (422, "columns")


def test_an_absent_key_is_missing(predictor: Predictor) -> None:
    """A key that a row lacks keeps its meaning, in a list of dicts and in JSON."""
    assert predictor.predict([{"x": 1.0}, {"x": 2.0}])[1]["y"] == 4.0
    assert predictor.predict([{"x": 1.0}], absent=["n"])[0]["y"] == 2.0
    protocol = PredictProtocol(predictor)
    for body in (b'[{"x":1}]', b'{"rows":[{"x":1}]}', b'{"x":1}'):
        assert protocol(body, {"content-type": JSON}).status == 200
    assert protocol(b'{"x":1}\n', {"content-type": JSON_LINES}).status == 200


def error_of(reply: Reply) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(reply.body)["error"]
    return error


@pytest.mark.parametrize("table", TABLES, ids=["lacking", "renamed", "lacking, no rows", "renamed, no rows"])
@pytest.mark.parametrize("media_type", BODIES)
def test_over_http(predictor: Predictor, media_type: str, table: pa.Table) -> None:
    """A body whose table lacks a column is a 422 that has no row; `?absent=` allows it."""
    protocol, headers = PredictProtocol(predictor), {"content-type": media_type, "accept": JSON}
    body = BODIES[media_type](table)
    reply = protocol(body, headers)
    error = error_of(reply)
    assert (reply.status, error["code"], error["count"]) == (422, "columns", 1)
    assert "column 'n': expected int64 or null, got no such column; the table has 'x'" in error["message"]
    assert error["message"].endswith("say so with ?absent=n")
    assert (error["rows"][0]["row"], error["rows"][0]["field"]) == (None, "n")
    for query in (b"absent=n", b"a=b&absent=word,n", b"absent=word&absent=%6e"):
        answered = protocol(body, headers, query)
        assert answered.status == 200, answered.body
        outputs = json.loads(answered.body)
        ys = outputs["columns"]["y"] if media_type == JSON else [row["y"] for row in outputs]
        assert ys == YS[: table.num_rows]


@pytest.mark.parametrize("media_type", BODIES)
def test_of_no_rows_a_table_is_still_a_table(media_type: str) -> None:
    """Absent, unknown and wrong columns are errors of a table without rows; a right one is answered."""
    protocol, headers = PredictProtocol(make_predictor()), {"content-type": media_type, "accept": JSON}
    empty = WHOLE.slice(0, 0)
    assert protocol(BODIES[media_type](empty), headers).status == 200
    for wrong, name in ((empty.drop_columns(["x"]), "x"), (empty.append_column("z", pa.array([], pa.int8())), "z")):
        reply = protocol(BODIES[media_type](wrong), headers)
        assert (reply.status, error_of(reply)["rows"][0]["field"]) == (422, name)
    if media_type in (ARROW, PARQUET):  # text has no types
        texts = empty.set_column(0, "x", pa.array([], pa.string()))
        assert "got a column of string" in error_of(protocol(BODIES[media_type](texts), headers))["message"]


@pytest.mark.parametrize("body", [b"1.0,3,a\n", b"1.0,3,a", b"1.0,3,a\n2.0,4,b\n", b"1,1,1\n"])
def test_csv_without_a_header(predictor: Predictor, body: bytes) -> None:
    """The first line is taken for the header: where it names no field, the error says that one was expected."""
    error = error_of(PredictProtocol(predictor)(body, {"content-type": CSV}))
    assert (error["code"], error["rows"][0]["code"]) == ("columns", "format")
    assert "expected a first line with the columns' names, 'x', 'n', 'word', got a first line of '1" in error["message"]


def test_csv_with_a_header_in_other_case(predictor: Predictor) -> None:
    """A header that differs in case only is one: the error names the column that is there."""
    error = error_of(PredictProtocol(predictor)(b"X,N,Word\n1,2,a\n", {"content-type": CSV}))
    assert "column 'x': expected float64, got no such column, but 'X'" in error["message"]


def test_a_cell_at_fault_hides_no_absent_column(predictor: Predictor) -> None:
    """CSV whose cells do not all fit their fields is a list of rows, and still a table."""
    protocol = PredictProtocol(predictor)
    reply = protocol(b"x,word\nfar,a\n1,b\n", {"content-type": CSV})
    assert error_of(reply)["code"] == "columns"
    reply = protocol(b"x,word\n1234567890123456,a\n1.5,b\n", {"content-type": CSV})
    assert error_of(reply)["code"] == "columns"


def test_the_service_and_the_mounts(predictor: Predictor) -> None:
    """Each passes the query on, and the neighbours of a request at fault have their answers."""
    body, headers = stream_of(LACKING), {"content-type": ARROW, "accept": JSON}

    def check(post: Callable[..., Any]) -> None:
        assert post("/predict", content=body, headers=headers).status_code == 422
        assert post("/predict?absent=n", content=body, headers=headers).json() == [
            {"y": 2.0, "word": "a"},
            {"y": 4.0, "word": "b"},
        ]

    with service.running(predictor, service.Job(port=0)) as url:
        check(lambda path, **given: httpx.post(url + path, **given))
        document = httpx.get(f"{url}/openapi.json").json()
        parameter, extra = document["paths"]["/predict"]["post"]["parameters"]
        assert (extra["name"], extra["schema"]["default"]) == ("extra", "ignore")
        assert (parameter["name"], parameter["schema"]["items"]["enum"]) == ("absent", ["n", "word"])
    for app in (FastAPI(), Starlette()):
        embed.mount(app, predictor)
        with client_of(app) as client:
            check(client.post)
    flask_app = flask.Flask("host")
    embed.mount(flask_app, predictor)
    flask_client = flask_app.test_client()
    assert flask_client.post("/predict", data=body, headers=headers).status_code == 422
    assert flask_client.post("/predict?absent=n", data=body, headers=headers).status_code == 200


WRITERS: dict[str, Callable[[pa.Table], bytes]] = {".parquet": parquet_of, ".csv": csv_of, ".arrows": stream_of}


@pytest.mark.parametrize("table", TABLES, ids=["lacking", "renamed", "lacking, no rows", "renamed, no rows"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_batch(predictor: Predictor, suffix: str, table: pa.Table, tmp_path: Path) -> None:
    """A file without the column fails the run before its first row, and is named; the job may call it absent."""
    source = tmp_path / f"rows{suffix}"
    source.write_bytes(WRITERS[suffix](table))
    job = batch.Job(str(source), str(tmp_path / "out.parquet"))
    message = rf"rows{suffix}: column 'n': expected int64 or null, got no such column.*--absent n"
    with pytest.raises(SourceError, match=message):
        batch.run(predictor, job)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
    job = batch.Job(str(source), str(tmp_path / "out.parquet"), absent=("n",))
    assert batch.run(predictor, job).absent == ["n"]
    assert pq.read_table(tmp_path / "out.parquet").column("y").to_pylist() == YS[: table.num_rows]


@pytest.mark.parametrize("suffix", WRITERS)
def test_batch_of_files_of_which_one_has_the_column(predictor: Predictor, suffix: str, tmp_path: Path) -> None:
    """A column that the job calls absent is missing in the file that lacks it, and read from the one that has it."""
    folder = tmp_path / "days"
    folder.mkdir()
    (folder / f"1{suffix}").write_bytes(WRITERS[suffix](WHOLE))
    (folder / f"2{suffix}").write_bytes(WRITERS[suffix](LACKING))
    job = batch.Job(str(folder), str(tmp_path / "out.parquet"), absent=("n",), keep=("x",))
    assert batch.run(predictor, job).absent == []
    assert pq.read_table(tmp_path / "out.parquet").column("y").to_pylist() == [5.0, 4.0, 2.0, 4.0]


@pytest.mark.parametrize("absent", [("x",), ("N",)])
def test_a_batch_job_names_nullable_fields_only(predictor: Predictor, absent: Sequence[str], tmp_path: Path) -> None:
    """Other names are refused before anything is read."""
    pq.write_table(WHOLE, tmp_path / "rows.parquet")
    job = batch.Job(str(tmp_path / "rows.parquet"), str(tmp_path / "out.parquet"), absent=tuple(absent))
    with pytest.raises(SignatureError, match=f"the job's absent: column '{absent[0]}'"):
        batch.run(predictor, job)
    with pytest.raises(SourceError, match="absent: expected a list of fields; got 'n'"):
        batch.Job("rows.parquet", "out.parquet", absent="n")  # type: ignore[arg-type]


def test_csv_files_without_a_header(predictor: Predictor, tmp_path: Path) -> None:
    """A file whose first line names no field says that a header was expected."""
    (tmp_path / "rows.csv").write_text("1.0,3,a\n2.0,4,b\n")
    with pytest.raises(SourceError, match=r"expected a first line with the columns' names, 'x', 'n', 'word'; it has"):
        batch.run(predictor, batch.Job(str(tmp_path / "rows.csv"), str(tmp_path / "out.parquet")))


def test_a_column_of_floats_without_a_value(predictor: Predictor, tmp_path: Path) -> None:
    """What pandas reads of an empty column, a text's too, is missing at every door; another value is no text."""
    frame = pd.read_csv(io.StringIO("x,n,word\n1,,\n2,,\n"))
    assert frame["word"].dtype == "float64"
    assert ys_of(predictor.predict(frame)) == YS
    assert ys_of(predictor.predict(pa.Table.from_pandas(frame))) == YS
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=1)
    reply = PredictProtocol(predictor)((tmp_path / "rows.parquet").read_bytes(), {"content-type": PARQUET})
    assert reply.status == 200
    job = batch.Job(str(tmp_path / "rows.parquet"), str(tmp_path / "out.parquet"), replace=True)
    batch.run(predictor, job)
    assert pq.read_table(tmp_path / "out.parquet").column("y").to_pylist() == YS
    (tmp_path / "rows.arrow").write_bytes(stream_of(pa.Table.from_pandas(frame, preserve_index=False)))
    batch.run(predictor, replace(job, source=str(tmp_path / "rows.arrow")))
    assert pq.read_table(tmp_path / "out.parquet").column("y").to_pylist() == YS
    frame.loc[1, "word"] = 0.5
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=1)
    with pytest.raises(SourceError, match="column 'word': expected string or null, got double"):
        batch.run(predictor, job)
    with pytest.raises(InputError, match="row 1, field 'word': expected string or null, got 0"):
        predictor.predict(frame)
