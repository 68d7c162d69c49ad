"""The coercion table through every door: the same value, or the same error, whichever door it came in by.

The packaged function gives back its input, so what comes out of an architecture is what came in through its door.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourfold import codecs
from fourfold.errors import InputError
from fourfold.predictor import Predictor
from fourfold.signature import Field, Signature
from fourfold.signature.bits import same_bits
from fourfold.signature.columns import columns_to_rows
from tests.architectures import ARCHITECTURES
from tests.coercion import CASES, IDS, TABLE, Case
from tests.support import make_predictor


@cache
def _predictor(field: Field) -> Predictor:
    # The golden row is any row that fits: one that the field's own table calls good.
    good = next(case.python for _, tested, cases in TABLE if tested == field for case in cases if not case.error)
    signature = Signature((field,), (field,))
    return make_predictor(dict, signature=signature, golden=[{"x": good}])


def _answer(predictor: Predictor, table: Any) -> Any:
    """The value that came out, or the code of the error."""
    answer = predictor.answer(table)
    if answer.errors:
        return {error.code for error in answer.errors}
    outputs = answer.outputs
    return (outputs if isinstance(outputs, list) else columns_to_rows(predictor.signature.outputs, outputs))[0]["x"]


def _predicted(predictor: Predictor, data: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(predictor.predict(data))
    except InputError as error:
        return {row_error.code for row_error in error.errors}


def _decoded(name: str, predictor: Predictor, body: bytes) -> Any:
    return _answer(predictor, codecs.by_name(name).decode(body, predictor.signature.inputs))


def _json(text: Callable[[bytes], bytes], name: str) -> Callable[[Field, Case], Any]:
    def door(field: Field, case: Case) -> Any:
        return None if case.json is None else (_decoded(name, _predictor(field), text(case.json)),)

    return door


def _csv(field: Field, case: Case) -> Any:
    if case.csv is None:
        return None
    # A second column, so that an empty cell is a row of its own and not an empty line.
    body = f'x,"y"\n{case.csv},1\n'.encode()
    table = codecs.by_name("csv").decode(body, _predictor(field).signature.inputs)
    rows = [{"x": row["x"]} for row in table] if isinstance(table, list) else table.select(["x"])
    return (_answer(_predictor(field), rows),)


def _arrow(field: Field, case: Case) -> Any:
    return None if case.arrow is None else (_answer(_predictor(field), pa.table({"x": case.arrow})),)


def _arrow_stream(field: Field, case: Case) -> Any:
    if case.arrow is None:
        return None
    table = pa.table({"x": case.arrow})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return (_decoded("arrow", _predictor(field), sink.getvalue()),)


def _parquet(field: Field, case: Case) -> Any:
    if case.arrow is None or pa.types.is_float16(case.arrow.type):
        return None
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": case.arrow}), sink)
    return (_decoded("parquet", _predictor(field), sink.getvalue()),)


def _dicts(field: Field, case: Case) -> Any:
    return (_predicted(_predictor(field), [{"x": case.python}], lambda rows: rows[0]["x"]),)


def _predict_one(field: Field, case: Case) -> Any:
    try:
        return (_predictor(field).predict_one({"x": case.python})["x"],)
    except InputError as error:
        return ({row_error.code for row_error in error.errors},)


def _pandas(field: Field, case: Case) -> Any:
    # NaN in a column that holds no floats is how pandas says missing: it is another value there (docs/decisions/0005).
    if isinstance(case.python, float) and case.python != case.python and field.dtype != "float64":
        return None
    frame = pd.DataFrame({"x": pd.Series([case.python], dtype=object)})
    predictor = _predictor(field)
    return (_predicted(predictor, frame, lambda out: _answer(predictor, pa.table({"x": _back(out, field)}))),)


def _back(frame: pd.DataFrame, field: Field) -> Any:
    from fourfold import tables

    batch, errors = tables.read(frame, (field,), "forbid")
    assert not errors, errors
    return batch.column("x")


def _pandas_arrow(field: Field, case: Case) -> Any:
    if case.arrow is None or pa.types.is_float16(case.arrow.type):
        return None
    frame = pa.table({"x": case.arrow}).to_pandas(types_mapper=pd.ArrowDtype)
    predictor = _predictor(field)
    return (_predicted(predictor, frame, lambda out: _answer(predictor, pa.table({"x": _back(out, field)}))),)


def _polars(field: Field, case: Case) -> Any:
    # polars reads the dates of Arrow that count milliseconds as timestamps: it has no such dates.
    if case.arrow is None or pa.types.is_float16(case.arrow.type) or pa.types.is_date64(case.arrow.type):
        return None
    frame = pl.from_arrow(pa.table({"x": case.arrow}))
    predictor = _predictor(field)
    return (_predicted(predictor, frame, lambda out: _answer(predictor, out.to_arrow())),)


DOORS: dict[str, Callable[[Field, Case], Any]] = {
    "dicts": _dicts,
    "predict_one": _predict_one,
    "JSON rows": _json(lambda text: b'[{"x":' + text + b"}]", "json"),
    "JSON columns": _json(lambda text: b'{"x":[' + text + b"]}", "json-columns"),
    "JSON lines": _json(lambda text: b'{"x":' + text + b"}\n", "json-lines"),
    "CSV": _csv,
    "Arrow": _arrow,
    "Arrow stream": _arrow_stream,
    "Parquet": _parquet,
    "pandas": _pandas,
    "pandas of Arrow": _pandas_arrow,
    "polars": _polars,
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("field", "case"), CASES, ids=IDS)
def test_every_door(door: str, field: Field, case: Case) -> None:
    """What the table says of a value holds at this door, unless the door cannot say the value at all."""
    came = DOORS[door](field, case)
    if came is None:
        assert door not in ("dicts", "predict_one")
        return
    if case.error:
        assert came[0] == {case.error}
    else:
        assert same_bits(came[0], case.expected)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.name)
@pytest.mark.parametrize(("field", "cases"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_every_architecture(architecture: Any, field: Field, cases: list[Case]) -> None:
    """The table's JSON through the running architectures: bad rows beside good ones, each with its own outcome."""
    spoken = [case for case in cases if case.json is not None]
    outcome = architecture.ask(lambda: _predictor(field), [b'{"x":' + (case.json or b"") + b"}" for case in spoken])
    for case, answer, errors in zip(spoken, outcome.answers, outcome.errors, strict=True):
        if case.error:
            assert errors == [("x", case.error)], case.name
        else:
            assert answer is not None, (case.name, errors)
            assert same_bits(answer["x"], case.expected), case.name


def test_json_that_is_none_is_no_door() -> None:
    """The table's texts are JSON, so that a case cannot pass because its text is broken."""
    for _, case in CASES:
        if case.json is not None:
            json.loads(case.json)
