"""Two columns, or keys, of one name at every door: refused where they are a field's, ignored where nobody asks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourfold import batch, stream
from fourfold.errors import FourfoldError
from fourfold.predictor import Predictor
from fourfold.protocols import ARROW, CSV, JSON, JSON_LINES, PARQUET, PredictProtocol
from tests.hostile_rows import parquet_of, stream_of
from tests.support import SIGNATURE, make_predictor

#: Bodies, and files, whose `note` is there twice.
IGNORED: dict[str, bytes] = {
    JSON: b'[{"x":1.5,"n":2,"word":"a","note":1,"note":"12:30"}]',
    JSON_LINES: b'{"x":1.5,"n":2,"word":"a","note":1,"note":{"b":1,"b":2}}\n',
    CSV: b"note,x,n,note,word\nd,1.5,2,e,a\n",
}
#: Those whose `x` is.
REFUSED: dict[str, bytes] = {
    JSON: b'[{"x":1.5,"n":2,"word":"a","x":1.5}]',
    JSON_LINES: b'{"x":1.5,"n":2,"word":"a","x":1.5}\n',
    CSV: b"x,n,word,x\n1.5,2,a,1.5\n",
}
for kept, bodies in (("note", IGNORED), ("x", REFUSED)):
    columns = [pa.array([1.5]), pa.array([2]), pa.array(["a"]), pa.array(["d"]), pa.array(["e"])]
    twice = pa.Table.from_arrays(columns, names=["x", "n", "word", kept, "note"])
    bodies[ARROW] = stream_of(twice)
    bodies[PARQUET] = parquet_of(twice)

SUFFIXES = {JSON_LINES: ".jsonl", CSV: ".csv", ARROW: ".arrows", PARQUET: ".parquet"}


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make_predictor(signature=replace(SIGNATURE, extra="ignore"))


@pytest.mark.parametrize("media_type", IGNORED)
def test_over_http(predictor: Predictor, media_type: str) -> None:
    """What nobody asks for is ignored; a field's column is refused by name, and so is each where none is ignored."""
    protocol, headers = PredictProtocol(predictor), {"content-type": media_type, "accept": JSON}
    assert json.loads(protocol(IGNORED[media_type], headers).body) == [{"y": 5.0, "word": "a"}]
    reply = protocol(REFUSED[media_type], headers)
    assert reply.status == 400
    assert "'x' twice" in json.loads(reply.body)["error"]["message"]
    assert PredictProtocol(make_predictor())(IGNORED[media_type], headers).status in (400, 422)


def test_wrappers_and_columns_of_json(predictor: Predictor) -> None:
    """A column that nobody asks for may be there twice, the wrapper itself may not."""
    protocol = PredictProtocol(predictor)
    ignored = b'{"columns":{"x":[1.5],"n":[2],"word":["a"],"note":[1],"note":[2]}}'
    assert json.loads(protocol(ignored, {"content-type": JSON}).body)["columns"]["y"] == [5.0]
    for body in (b'{"rows":[],"rows":[{"x":1}]}', b'{"columns":{"x":[1],"x":[2],"n":[1],"word":["a"]}}'):
        assert protocol(body, {"content-type": JSON}).status == 400


@pytest.mark.parametrize("media_type", SUFFIXES)
def test_batch(predictor: Predictor, media_type: str, tmp_path: Path) -> None:
    """A join with two columns of one name runs; two of a field's, or of a kept one, are refused and the file named."""
    source = tmp_path / f"join{SUFFIXES[media_type]}"
    source.write_bytes(IGNORED[media_type])
    batch.run(predictor, batch.Job(str(source), str(tmp_path / "out.parquet")))
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [{"y": 5.0, "word": "a"}]
    with pytest.raises(FourfoldError, match=r"join.*'note' twice"):
        batch.run(predictor, batch.Job(str(source), str(tmp_path / "kept.parquet"), keep=("note",)))
    source.write_bytes(REFUSED[media_type])
    with pytest.raises(FourfoldError, match=r"join.*'x' twice"):
        batch.run(predictor, batch.Job(str(source), str(tmp_path / "refused.parquet")))


def test_stream(predictor: Predictor, tmp_path: Path) -> None:
    """An event whose key nobody asks for is there twice is answered; a field's makes it a dead letter."""
    source = tmp_path / "in.jsonl"
    source.write_bytes(IGNORED[JSON_LINES] + REFUSED[JSON_LINES])
    report = stream.run(predictor, stream.Job(source, tmp_path / "out.jsonl"))
    assert (report.answered, report.dead) == (1, 1)
    report = stream.run(predictor, stream.Job(source, tmp_path / "kept.jsonl", keep=["note"]))
    assert (report.answered, report.dead) == (0, 2)


def test_in_process(predictor: Predictor) -> None:
    """Frames and Arrow tables with a column twice that is no field are answered."""
    for data in (pd.DataFrame([[1.5, 2, "a", 1, 2]], columns=["x", "n", "word", "note", "note"]), _arrow("note")):
        outputs: Any = predictor.predict(data)
        assert list(outputs["y"].to_pylist() if isinstance(outputs, pa.Table) else outputs["y"]) == [5.0]
    for data in (pd.DataFrame([[1.5, 2, "a", 1]], columns=["x", "n", "word", "x"]), _arrow("x")):
        with pytest.raises(FourfoldError, match="'x' twice"):
            predictor.predict(data)


def _arrow(name: str) -> pa.Table:
    columns = [pa.array([1.5]), pa.array([2]), pa.array(["a"]), pa.array([1]), pa.array([2])]
    return pa.Table.from_arrays(columns, names=["x", "n", "word", name, "note"])
