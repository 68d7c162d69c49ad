"""Null, absent, unknown and empty at every door, for models of five families: a value, or an error that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catboost import CatBoostRegressor
from lightgbm import LGBMRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from xgboost import XGBRegressor

import fourfold
from fourfold import batch
from fourfold.errors import FourfoldError, TableError
from fourfold.predictor import Predictor
from fourfold.protocols import ARROW, CSV, JSON, PARQUET, PredictProtocol
from tests.hostile_rows import parquet_of, stream_of

FAMILIES: dict[str, Callable[[], Any]] = {
    "linear": lambda: make_pipeline(SimpleImputer(), Ridge()),
    "histogram boosting": lambda: HistGradientBoostingRegressor(max_iter=5, random_state=0),
    "LightGBM": lambda: LGBMRegressor(n_estimators=5, num_threads=1, verbose=-1),
    "XGBoost": lambda: XGBRegressor(n_estimators=5, n_jobs=1),
    "CatBoost": lambda: CatBoostRegressor(iterations=5, thread_count=1, verbose=False, allow_writing_files=False),
}
TABLE = pa.table({"a": [0.5, 1.5, -2.0], "b": pa.array([None, None, None], pa.float64())})
LACKING = TABLE.drop_columns(["b"])


def _over_http(media_type: str, encode: Callable[[pa.Table], bytes]) -> Callable[..., list[float]]:
    def ask(predictor: Predictor, table: pa.Table, absent: list[str], _: Path) -> list[float]:
        query = f"absent={','.join(absent)}".encode() if absent else b""
        headers = {"content-type": media_type, "accept": JSON}
        reply = PredictProtocol(predictor)(encode(table), headers, query)
        body = json.loads(reply.body)
        if reply.status != 200:
            assert reply.status == 422, body
            raise TableError([]) if body["error"]["code"] == "columns" else FourfoldError(body["error"]["message"])
        return list(body["columns"]["prediction"]) if "columns" in body else [row["prediction"] for row in body]

    return ask


def _in_process(convert: Callable[[pa.Table], Any]) -> Callable[..., list[float]]:
    def ask(predictor: Predictor, table: pa.Table, absent: list[str], _: Path) -> list[float]:
        outputs = predictor.predict(convert(table), absent=absent)["prediction"]
        return [float(value) for value in (outputs.to_pylist() if hasattr(outputs, "to_pylist") else outputs)]

    return ask


def _batch(suffix: str, encode: Callable[[pa.Table], bytes]) -> Callable[..., list[float]]:
    def ask(predictor: Predictor, table: pa.Table, absent: list[str], folder: Path) -> list[float]:
        (folder / f"rows{suffix}").write_bytes(encode(table))
        output = folder / "out.parquet"
        batch.run(predictor, batch.Job(str(folder / f"rows{suffix}"), str(output), absent=tuple(absent), replace=True))
        return list(pq.read_table(output).column("prediction").to_pylist())

    return ask


def _csv(table: pa.Table) -> bytes:
    return table.to_pandas().to_csv(index=False).encode()


DOORS: dict[str, Callable[..., list[float]]] = {
    "Arrow": _in_process(lambda table: table),
    "pandas": _in_process(lambda table: table.to_pandas()),
    "polars": _in_process(pl.DataFrame),
    "JSON columns": _over_http(JSON, lambda table: json.dumps({"columns": table.to_pydict()}).encode()),
    "CSV over HTTP": _over_http(CSV, _csv),
    "Arrow over HTTP": _over_http(ARROW, stream_of),
    "Parquet over HTTP": _over_http(PARQUET, parquet_of),
    "batch, Parquet": _batch(".parquet", parquet_of),
    "batch, CSV": _batch(".csv", _csv),
}


@pytest.fixture(scope="module", params=FAMILIES)
def predictor(request: pytest.FixtureRequest) -> Predictor:
    """A package of each family; its field `b` may be missing."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"a": rng.normal(size=80), "b": rng.normal(size=80)})
    frame.loc[::7, "b"] = np.nan
    model = FAMILIES[request.param]().fit(frame, frame["a"] * 2)
    package = fourfold.pack(model, name="m", rows=frame, measure=False, required=["a"])
    loaded = fourfold.load(package, trust="foreign")
    assert [field.nullable for field in loaded.signature.inputs if field.name == "b"] == [True]
    return loaded


@pytest.mark.parametrize("door", DOORS)
def test_a_missing_column_is_an_error_or_missing_values(predictor: Predictor, door: str, tmp_path: Path) -> None:
    """Nulls, and a column that is called absent, have the answers of rows without the key; all else is an error."""
    ask = DOORS[door]
    expected = [predictor.predict_one({"a": a})["prediction"] for a in LACKING.column("a").to_pylist()]
    assert ask(predictor, TABLE, [], tmp_path) == expected
    assert ask(predictor, LACKING, ["b"], tmp_path) == expected
    for table in (LACKING, LACKING.slice(0, 0), TABLE.rename_columns(["a", "B2"]), TABLE.drop_columns(["a"])):
        with pytest.raises(FourfoldError):
            ask(predictor, table, [], tmp_path)
    assert ask(predictor, TABLE.slice(0, 0), [], tmp_path) == []
    with pytest.raises(FourfoldError):
        ask(predictor, TABLE, ["a"], tmp_path)
    more = TABLE.append_column("c", TABLE.column("a"))
    if door.startswith("batch"):  # it reads the columns that it needs
        assert ask(predictor, more, [], tmp_path) == expected
        return
    for table in (more, more.slice(0, 0)):
        with pytest.raises(TableError):
            ask(predictor, table, [], tmp_path)
