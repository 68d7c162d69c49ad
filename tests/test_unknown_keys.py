"""Keys and columns that are no fields, at every door: the package, the job or the call says what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression

import fourfold
from fourfold.errors import InputError, SignatureError, TableError
from fourfold.predictor import Predictor
from fourfold.protocols import ARROW, CSV, JSON, JSON_LINES, PARQUET, PredictProtocol
from fourfold.signature import Extra
from tests.hostile_rows import parquet_of, stream_of
from tests.support import SIGNATURE, make_predictor

ROWS = [{"x": 1.0, "n": 3, "word": "a", "user": 7}, {"x": 2.0, "n": 4, "word": "b", "user": 8}]
WHOLE = pa.Table.from_pylist(ROWS)
KNOWN = WHOLE.drop_columns(["user"])
CONTAINERS: dict[str, Callable[[pa.Table], Any]] = {
    "rows": lambda table: table.to_pylist(),
    "table": lambda table: table,
    "pandas": lambda table: table.to_pandas(),
    "polars": pl.DataFrame,
}
BODIES: dict[str, Callable[[pa.Table], bytes]] = {
    JSON: lambda table: json.dumps(table.to_pylist()).encode(),
    "columns": lambda table: json.dumps({"columns": table.to_pydict()}).encode(),
    JSON_LINES: lambda table: "\n".join(map(json.dumps, table.to_pylist())).encode(),
    CSV: lambda table: table.to_pandas().to_csv(index=False).encode(),
    ARROW: stream_of,
    PARQUET: parquet_of,
}
EXTRAS: tuple[Extra, ...] = ("forbid", "ignore")


def package_of(extra: Extra) -> Predictor:
    """Return a predictor of a package that says so itself."""
    return make_predictor(signature=replace(SIGNATURE, extra=extra))


def ys_of(outputs: Any) -> list[float]:
    """Return the answers, from whatever container."""
    if isinstance(outputs, list):
        return [row["y"] for row in outputs]
    column = outputs["y"]
    return list(column.to_pylist() if hasattr(column, "to_pylist") else column)


@pytest.mark.parametrize("own", EXTRAS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_call_in_process_goes_before_the_package(container: str, own: Extra) -> None:
    """What the call says holds, and what the package says where the call says nothing."""
    predictor, data = package_of(own), CONTAINERS[container](WHOLE)
    expected = ys_of(predictor.predict(CONTAINERS[container](KNOWN)))
    assert ys_of(predictor.predict(data, extra="ignore")) == expected
    with pytest.raises(InputError, match="user"):
        predictor.predict(data, extra="forbid")
    assert ys_of(predictor.predict(CONTAINERS[container](KNOWN), extra="forbid")) == expected
    if own == "ignore":
        assert ys_of(predictor.predict(data)) == expected
    else:
        with pytest.raises(InputError, match=r"\(extra=ignore drops such"):
            predictor.predict(data)


@pytest.mark.parametrize("own", EXTRAS)
def test_one_row(own: Extra) -> None:
    """`predict_one` takes the word too, and a predictor can be had that always does."""
    predictor = package_of(own)
    assert predictor.predict_one(ROWS[0], extra="ignore") == predictor.predict_one(KNOWN.to_pylist()[0])
    with pytest.raises(InputError, match="'user'"):
        predictor.predict_one(ROWS[0], extra="forbid")
    strict, lax = predictor.with_extra("forbid"), predictor.with_extra("ignore")
    assert {strict.extra, lax.extra} == {"forbid", "ignore"}
    assert predictor in (strict, lax)
    assert (strict.digest, lax.digest) == (predictor.digest, predictor.digest)
    assert strict.with_extra("ignore").predict_one(ROWS[0]) == lax.predict_one(ROWS[0])
    assert [len(part.answer(ROWS).errors) for part in (strict, lax)] == [2, 0]
    with pytest.raises(SignatureError, match="expected extra to be 'forbid' or 'ignore'; got 'drop'"):
        predictor.predict(ROWS, extra="drop")  # type: ignore[arg-type]


@pytest.mark.parametrize("own", EXTRAS)
def test_a_plan_answers_with_the_same_bits(own: Extra) -> None:
    """The fast path of a plan takes rows with keys too many, or refuses them, as the call says."""
    frame = pd.DataFrame({"a": np.linspace(0.1, 3, 40), "b": np.linspace(5, -1, 40)})
    model = LinearRegression().fit(frame, frame["a"] * 3 - frame["b"])
    predictor = fourfold.load(fourfold.pack(model, name="line", rows=frame, extra=own))
    rows = frame.to_dict("records")
    wide = [{**row, "user": 1} for row in rows]
    expected = predictor.predict(rows)
    assert predictor.predict(wide, extra="ignore") == expected
    assert [predictor.predict_one(row, extra="ignore") for row in wide] == expected
    assert predictor.with_extra("ignore").answer(wide).outputs == expected
    assert predictor.predict(rows, extra="forbid") == expected
    mixed = [*rows[:3], wide[3], "no row"]
    answer = predictor.with_extra("forbid").answer(mixed)
    assert answer.outputs == expected[:3]
    assert [(error.row, error.code) for error in answer.errors] == [(3, "unknown"), (4, "type")]


@pytest.mark.parametrize("own", EXTRAS)
@pytest.mark.parametrize("form", BODIES)
def test_a_request_says_it_in_its_query(form: str, own: Extra) -> None:
    """`?extra=ignore` and `?extra=forbid` go before the package, in every media type."""
    protocol = PredictProtocol(package_of(own))
    headers = {"content-type": JSON if form == "columns" else form, "accept": JSON}
    known, whole = BODIES[form](KNOWN), BODIES[form](WHOLE)
    plain = protocol(known, headers)
    assert plain.status == 200
    assert protocol(whole, headers, b"extra=ignore").body == plain.body
    assert protocol(known, headers, b"extra=forbid").body == plain.body
    refused = protocol(whole, headers, b"extra=forbid")
    assert refused.status == 422
    assert b"'user'" in refused.body or b'"user"' in refused.body
    assert protocol(whole, headers).status == (200 if own == "ignore" else 422)
    assert protocol(whole, headers, b"extra=drop").status == 400


def test_unknown_keys_without_end_are_counted() -> None:
    """Of very many keys that are no fields the first are reported, and all are counted."""
    protocol = PredictProtocol(package_of("ignore"))
    body = json.dumps([{f"k{row}_{index}": 1 for index in range(100)} for row in range(200)]).encode()
    reply = protocol(body, {"content-type": JSON}, b"extra=forbid")
    assert reply.status == 422
    assert json.loads(reply.body)["error"]["count"] == 20_000
    assert len(reply.body) < 100_000


def test_a_column_too_many_is_an_error_of_the_table() -> None:
    """In a frame it is one error of the column and not one of each row."""
    with pytest.raises(TableError, match="column 'user': expected one of the fields"):
        package_of("ignore").predict(WHOLE.to_pandas(), extra="forbid")
