"""What `pack` decides about input fields: what is declared of them, what the model takes, and what it says of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fourfold
from fourfold.errors import InputError, PackError, SignatureError
from fourfold.packing.stages import nullability
from fourfold.signature import Field
from tests.cli.commands import call
from tests.models import identity

ROWS = 120
RANDOM = np.random.default_rng(5)
FRAME = pd.DataFrame(
    {
        "load": RANDOM.normal(size=ROWS),
        "price": RANDOM.normal(size=ROWS).astype("float32"),
        "rooms": RANDOM.integers(0, 9, ROWS),
        "is_new": RANDOM.integers(0, 2, ROWS).astype(bool),
    }
)
TARGET = FRAME["load"] * 2 + FRAME["rooms"]

TAKERS: dict[str, Any] = {
    "lightgbm": lambda: lightgbm.LGBMRegressor(n_estimators=4, verbose=-1),
    "xgboost": lambda: xgboost.XGBRegressor(n_estimators=4),
    "catboost": lambda: catboost.CatBoostRegressor(iterations=4, verbose=0, allow_writing_files=False),
    "histogram boosting": lambda: HistGradientBoostingRegressor(max_iter=4),
    "imputer": lambda: make_pipeline(SimpleImputer(), Ridge()),
}


def fields_of(package: Any) -> dict[str, Field]:
    return {field.name: field for field in package.signature.inputs}


@pytest.mark.parametrize("family", TAKERS)
def test_a_float_may_be_missing_where_the_model_answers(family: str) -> None:
    """Rows without a missing value do not hide that the model takes one: null gets the answer of NaN."""
    model = TAKERS[family]().fit(FRAME, TARGET)
    package = fourfold.pack(model, name="m", rows=FRAME)
    assert {name: field.nullable for name, field in fields_of(package).items()} == {
        "load": True,
        "price": True,
        "rooms": False,
        "is_new": False,
    }
    row = {"load": None, "price": 0.5, "rooms": 3, "is_new": True}
    right = model.predict(pd.DataFrame([{**row, "load": np.nan}]).astype({"price": "float32"}))[0]
    assert fourfold.load(package).predict_one(row)["prediction"] == right
    decisions = package.manifest["decisions"]
    assert decisions["load"]["nullable"] == "the model answers a missing value"
    assert decisions["rooms"]["nullable"] == "no row lacks it"


def test_a_float_may_not_be_missing_where_the_model_refuses() -> None:
    """The error of a null says how the package would have to be packed."""
    package = fourfold.pack(Ridge().fit(FRAME, TARGET), name="m", rows=FRAME)
    assert not any(field.nullable for field in package.signature.inputs)
    assert package.manifest["decisions"]["load"]["nullable"] == "the model refuses a missing value"
    with pytest.raises(InputError, match=r"'load': expected float64, got null \(.*pack it with --nullable load\)"):
        fourfold.load(package).predict_one({"load": None, "price": 0.5, "rooms": 3, "is_new": True})


def test_a_model_that_takes_some_missing_values() -> None:
    """Each field has its own answer, found by halving where a call of all is refused."""
    columns = make_column_transformer((SimpleImputer(), ["load"]), remainder="passthrough")
    package = fourfold.pack(make_pipeline(columns, Ridge()).fit(FRAME, TARGET), name="m", rows=FRAME)
    assert (fields_of(package)["load"].nullable, fields_of(package)["price"].nullable) == (True, False)


def test_an_answer_of_nan_is_none() -> None:
    """A scaler hands NaN on: that is no answer to a missing value, unless the rows show that it is wanted."""
    numbers = FRAME[["load", "price"]].astype("float64")
    package = fourfold.pack(StandardScaler().fit(numbers), name="m", rows=numbers)
    assert not any(field.nullable for field in package.signature.inputs)
    assert package.manifest["decisions"]["load"]["nullable"].startswith("the model answers NaN")
    gaps = numbers.assign(load=numbers["load"].where(numbers["load"] > -1))
    assert fields_of(fourfold.pack(StandardScaler().fit(gaps), name="m", rows=gaps))["load"].nullable


@pytest.mark.parametrize("kind", ["numpy", "polars"])
def test_other_containers_are_asked(kind: str) -> None:
    """A missing float is NaN in an array and null in polars."""
    numbers = FRAME[["load", "rooms"]].astype("float64")
    data = numbers.to_numpy() if kind == "numpy" else pl.DataFrame(numbers.to_dict("list"))
    model = HistGradientBoostingRegressor(max_iter=4).fit(data, TARGET)
    package = fourfold.pack(model, name="m", rows=data)
    assert all(field.nullable for field in package.signature.inputs)


def test_what_answers_by_accident_is_not_asked() -> None:
    """Python functions and text vectorizers answer anything: their fields are as the rows show them."""
    package = fourfold.pack(identity, name="m", rows=[{"x": 1.5}, {"x": 2.5}])
    assert not package.signature.inputs[0].nullable
    texts = ["a nan", "none b", "b a"] * 9
    model = make_pipeline(CountVectorizer(), Ridge()).fit(texts, range(27))
    assert not fourfold.pack(model, name="m", rows=texts).signature.inputs[0].nullable


def test_a_wide_model_is_asked_in_bounded_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call has a bounded number of cells, and calls a bounded number; what is then unknown stays as the rows are."""
    wide = pd.DataFrame(RANDOM.normal(size=(40, 30))).rename(columns=str)
    model = Ridge().fit(wide, range(40))
    monkeypatch.setattr(nullability, "MAX_CELLS", 90)
    assert not any(field.nullable for field in fourfold.pack(model, name="m", rows=wide).signature.inputs)
    monkeypatch.setattr(nullability, "MAX_COLUMNS", 150)
    decisions = fourfold.pack(model, name="m", rows=wide).manifest["decisions"]
    assert decisions["29"]["nullable"] == "no row lacks it"
    tree = HistGradientBoostingRegressor(max_iter=2).fit(wide, range(40))
    monkeypatch.setattr(nullability, "MAX_COLUMNS", 3000)
    assert all(field.nullable for field in fourfold.pack(tree, name="m", rows=wide).signature.inputs)


@pytest.mark.parametrize("family", TAKERS)
def test_integers_and_booleans_can_be_declared_nullable(family: str) -> None:
    """A missing integer reaches the model as NaN in a column of floats, as pandas has it, through every door."""
    model = TAKERS[family]().fit(FRAME, TARGET)
    package = fourfold.pack(model, name="m", rows=FRAME, nullable=["rooms", "is_new"])
    assert fields_of(package)["rooms"] == Field("rooms", "int64", nullable=True)
    assert fields_of(package)["is_new"] == Field("is_new", "bool", nullable=True)
    predictor = fourfold.load(package)
    rows = [{"load": 0.5, "price": 0.25, "rooms": rooms, "is_new": is_new} for rooms, is_new in
            [(None, True), (3, None), (None, None), (4, False)]]  # fmt: skip
    asked = pd.DataFrame(rows).astype({"price": "float32", "rooms": "float64", "is_new": "float64"})
    right = model.predict(asked).tolist()
    assert [row["prediction"] for row in predictor.predict(rows)] == right
    assert [predictor.predict_one(row)["prediction"] for row in rows] == right
    assert predictor.predict(pa.Table.from_pylist(rows))["prediction"].to_pylist() == right
    assert predictor.predict(pl.DataFrame(rows))["prediction"].to_list() == right
    frame = pd.DataFrame(rows)  # `rooms` is float64 with NaN, `is_new` holds objects
    assert predictor.predict(frame)["prediction"].tolist() == right
    assert predictor.predict(frame.astype({"rooms": "Int64", "is_new": "boolean"}))["prediction"].tolist() == right


def test_an_array_of_integers_can_miss_some() -> None:
    """The array that the model gets is one of floats."""
    data = FRAME[["rooms"]].to_numpy()
    model = HistGradientBoostingRegressor(max_iter=4).fit(data, TARGET)
    predictor = fourfold.load(fourfold.pack(model, name="m", rows=data, nullable=["x0"]))
    right = model.predict(np.array([[np.nan], [3.0]])).tolist()
    assert predictor.predict(np.array([[np.nan], [3.0]])).tolist() == right
    assert [row["prediction"] for row in predictor.predict([{"x0": None}, {"x0": 3}])] == right


def test_a_field_that_the_model_refuses_to_miss_cannot_be_declared_nullable() -> None:
    """`nullable` is held against the model; a field that is declared whole stays, and the package says so."""
    model = Ridge().fit(FRAME, TARGET)
    with pytest.raises(PackError, match="nullable names 'rooms', and the model refuses a missing value"):
        fourfold.pack(model, name="m", rows=FRAME, nullable=["rooms"])
    package = fourfold.pack(model, name="m", rows=FRAME, inputs={"rooms": Field("rooms", "int64", nullable=True)})
    assert package.manifest["decisions"]["rooms"] == {
        "dtype": "declared",
        "nullable": "declared; the model refuses a missing value",
    }


def test_what_is_declared_of_single_fields() -> None:
    """A mapping declares some fields, as fields or in JSON form; names declare one property."""
    model = TAKERS["lightgbm"]().fit(FRAME, TARGET)
    inputs: dict[str, Any] = {
        "load": {"dtype": "float64", "description": "in kW"},
        "price": Field("price", "float32", nullable=True),
        "rooms": {"nullable": True},
    }
    package = fourfold.pack(model, name="m", rows=FRAME, inputs=inputs, required=["price"])
    assert fields_of(package) == {
        "load": Field("load", "float64", description="in kW"),
        "price": Field("price", "float32"),
        "rooms": Field("rooms", "int64", nullable=True),
        "is_new": Field("is_new", "bool"),
    }
    assert fields_of(fourfold.pack(model, name="m", rows=FRAME, inputs={"rooms": "int64"}))["rooms"].dtype == "int64"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"nullable": "rooms"}, PackError, r"nullable=\['rooms'\]"),
        ({"nullable": ["room"]}, PackError, "nullable names 'room', which is no column of the model: 'load', 'price'"),
        ({"required": ["load"], "nullable": ["load"]}, PackError, "'load' is declared nullable and required"),
        ({"inputs": {"rooms": Field("room", "int64")}}, PackError, "the field 'room' under the name 'rooms'"),
        ({"inputs": {"rooms": {"type": "int64"}}}, SignatureError, "no key 'type'"),
        ({"inputs": {"x": {"nullable": True}}}, PackError, "inputs names 'x'"),
        ({"inputs": [Field("load", "float64")]}, PackError, r"expected inputs for the columns load, .*got load"),
        ({"open": ["room"]}, PackError, "open names 'room', which is no column of the model: 'load', 'price'"),
        ({"text": ["load"]}, PackError, r"column 'load': it is to be text, and the rows hold .*dtype=.'load': str"),
    ],
)
def test_a_declaration_that_cannot_be_met(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    """An error names the option, the field and what there is."""
    model = Ridge().fit(FRAME, TARGET)
    with pytest.raises(error, match=words):
        fourfold.pack(model, name="m", rows=FRAME, **arguments)


def test_codes_of_digits_are_text() -> None:
    """Integers that the model knows as text are an error with the way out, and text where that is declared."""
    codes = pd.DataFrame({"code": RANDOM.choice(["10115", "20095"], ROWS), "load": FRAME["load"]})
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["code"]), remainder="passthrough")
    model = make_pipeline(columns, Ridge()).fit(codes, TARGET)
    integers = codes.astype({"code": "int64"})
    with pytest.raises(PackError, match=r"column 'code': the model takes text .*'10115'.* hold int64.*--text code"):
        fourfold.pack(model, name="m", rows=integers)
    predictor = fourfold.load(fourfold.pack(model, name="m", rows=integers, text=["code"]))
    row = {"code": "20095", "load": 0.5}
    np.testing.assert_allclose(predictor.predict_one(row)["prediction"], model.predict(pd.DataFrame([row]))[0])


@pytest.mark.parametrize("family", ["lightgbm", "encoder"])
def test_zeros_in_front_that_were_lost_are_an_error(family: str) -> None:
    """Integers cannot become the codes that the model knows: they would be other categories, or missing ones."""
    codes = pd.DataFrame({"code": RANDOM.choice(["01067", "20095"], ROWS), "load": FRAME["load"]})
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["code"]), remainder="passthrough")
    trained = codes if family == "encoder" else codes.astype({"code": "category"})
    model = make_pipeline(columns, Ridge()) if family == "encoder" else TAKERS["lightgbm"]()
    model.fit(trained, TARGET)
    with pytest.raises(
        PackError, match=r"'code': the rows hold '1067' where the model knows '01067' .* zeros in front"
    ):
        fourfold.pack(model, name="m", rows=codes.astype({"code": "int64"}), text=["code"])


def test_the_command_line_declares_fields(tmp_path: Path) -> None:
    """Codes stay text where the model knows them so, with their zeros; the table says what was decided."""
    post = pd.Categorical(RANDOM.choice(["00501", "10115"], ROWS))
    table = pd.DataFrame({"post": post, "load": FRAME["load"], "rooms": FRAME["rooms"]})
    model = TAKERS["lightgbm"]().fit(table, post.codes + TARGET)
    model.booster_.save_model(tmp_path / "model.txt")
    table.to_csv(tmp_path / "rows.csv", index=False)
    declared = ("--nullable", "rooms", "--required", "load", "--open", "post")
    source = ("--lightgbm", tmp_path / "model.txt", "--rows", tmp_path / "rows.csv", "--no-measure", "--json")
    target = tmp_path / "m.fourfold"
    manifest = json.loads(call("pack", "m", *source, *declared, "-o", target).stdout)["manifest"]
    assert manifest["signature"]["inputs"] == [
        {"name": "post", "dtype": "string", "categories": ["00501", "10115"], "open": True},
        {"name": "load", "dtype": "float64"},
        {"name": "rooms", "dtype": "int64", "nullable": True},
    ]
    assert manifest["decisions"]["post"]["categories"] == "LightGBM's pandas_categorical; open, as declared"
    assert manifest["decisions"]["load"]["nullable"] == "declared"
    shown = " ".join(call("show", target).stdout.split())
    assert "LightGBM's pandas_categorical" in shown
    assert "missing: declared" in shown
    row = {"post": "00501", "load": 0.5, "rooms": None}
    asked = pd.DataFrame([{**row, "rooms": np.nan}]).astype({"post": table["post"].dtype})
    assert fourfold.load(str(target)).predict_one(row)["prediction"] == model.predict(asked)[0]


def test_catboost_s_codes_keep_their_zeros(tmp_path: Path) -> None:
    """CatBoost knows no list: a code with a zero in front, which is no integer's text, makes the column text."""
    table = pd.DataFrame({"post": RANDOM.choice(["00501", "10115"], ROWS), "load": FRAME["load"]})
    model = catboost.CatBoostRegressor(iterations=4, verbose=0, allow_writing_files=False, cat_features=["post"])
    model.fit(table, (table["post"] == "00501") * 9 + TARGET).save_model(str(tmp_path / "model.cbm"))
    table.to_csv(tmp_path / "rows.csv", index=False)
    target = tmp_path / "m.fourfold"
    source = ("--from", "catboost", tmp_path / "model.cbm", "--rows", tmp_path / "rows.csv", "--no-measure")
    call("pack", "m", *source, "-o", target)
    row = {"post": "00501", "load": 0.5}
    assert fourfold.load(str(target)).predict_one(row)["prediction"] == model.predict(pd.DataFrame([row]))[0]
