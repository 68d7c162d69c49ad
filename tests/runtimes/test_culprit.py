"""Test that a model's refusal of rows names the column, whatever its library says."""

from __future__ import annotations

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
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import fourfold
from fourfold.errors import EngineError, PackError, describe

RANDOM = np.random.default_rng(37)
COUNT = 60
NUMBERS = pd.DataFrame({"a": RANDOM.normal(size=COUNT), "b": RANDOM.normal(size=COUNT)})
CATEGORIES = NUMBERS.assign(k=pd.Categorical(RANDOM.choice(list("xyz"), COUNT)))
WORDS = CATEGORIES.astype({"k": object})
TARGET = (NUMBERS.a > 0).astype(int)
BOOST: dict[str, Any] = {"n_estimators": 3, "n_jobs": 1}
#: Words of libraries that no error of ours may show.
RAW = ("[bt]", "Stack trace", "categorical_feature", "ufunc", "Invalid columns", "could not convert", "num_feature")


def on_numbers(name: str) -> Any:
    """Return a model of two columns of numbers."""
    models: dict[str, Any] = {
        "xgboost": xgboost.XGBClassifier(**BOOST),
        "lightgbm": lightgbm.LGBMClassifier(**BOOST, verbose=-1),
        "catboost": catboost.CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False),
        "logistic": LogisticRegression(),
        "forest": RandomForestClassifier(3, random_state=0),
    }
    return models[name].fit(NUMBERS, TARGET)


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost", "logistic", "forest"])
@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (RANDOM.choice(["u", "v"], COUNT), "the text "),
        (pd.Timestamp("2020-01-01"), "'2020-01-01 00:00:00' (datetime64"),
        (["1.0"] * (COUNT - 1) + ["seven"], "the text "),
    ],
    ids=["text", "timestamps", "one text"],
)
def test_a_column_that_holds_no_numbers(name: str, wrong: Any, got: str) -> None:
    """The error names the column, what the model takes and what the rows hold; no words of the library."""
    with pytest.raises(PackError, match="column 'b': the model takes numbers there, and the rows hold ") as caught:
        fourfold.pack(on_numbers(name), name="m", rows=NUMBERS.assign(b=wrong))
    assert got in str(caught.value)
    assert not [raw for raw in RAW if raw in str(caught.value)]


@pytest.mark.parametrize(("cell", "got"), [(np.inf, "inf"), (np.nan, "a missing value"), (1e300, "1e+300")])
def test_a_number_that_the_model_does_not_take(cell: float, got: str) -> None:
    """The error names the row as well: one of many is wrong."""
    rows = NUMBERS.assign(b=np.where(np.arange(COUNT) == 41, cell, NUMBERS.b))
    model = make_pipeline(StandardScaler(), on_numbers("forest")) if cell == np.inf else on_numbers("forest")
    if np.isnan(cell):
        model = on_numbers("logistic")
    if cell == np.inf:
        model.fit(NUMBERS, TARGET)
    with pytest.raises(PackError) as caught:
        fourfold.pack(model, name="m", rows=rows)
    assert "column 'b': the model takes " in str(caught.value)
    assert got in str(caught.value)
    assert "(row 41)" in str(caught.value)


def test_a_column_of_an_array() -> None:
    """What was trained on an array has columns too: those of the frame that is given, or numbered ones."""
    model = xgboost.XGBClassifier(**BOOST).fit(NUMBERS.to_numpy(), TARGET)
    with pytest.raises(PackError, match="column 'b': the model takes numbers there, and the rows hold the text 'u'"):
        fourfold.pack(model, name="m", rows=NUMBERS.assign(b="u"))
    with pytest.raises(PackError, match="column 'x1': the model takes numbers there, and the rows hold the text 'u'"):
        fourfold.pack(model, name="m", rows=NUMBERS.assign(b="u").to_numpy())


@pytest.mark.parametrize("container", ["polars", "arrow"])
@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "logistic"])
@pytest.mark.parametrize(("wrong", "got"), [(["u"] * COUNT, "the text 'u'"), ([b"u"] * COUNT, "u'\" (object)")])
def test_a_column_of_polars_or_arrow(
    container: str, name: str, wrong: list[Any], got: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The column is named in the words of its container, and the library prints nothing of its own."""
    if (name, container) == ("logistic", "arrow"):
        return  # scikit-learn takes no Arrow tables
    columns = {"a": NUMBERS.a.to_list(), "b": wrong}
    rows = pl.DataFrame(columns) if container == "polars" else pa.table(columns)
    cast = r"rows\['b'\]\.cast\(polars" if container == "polars" else r'rows\[\'b\'\]\.cast\("double"\)'
    with pytest.raises(PackError, match=f"column 'b': the model takes numbers there.*{cast}") as caught:
        fourfold.pack(on_numbers(name), name="m", rows=rows)
    assert got in str(caught.value)
    assert not [raw for raw in (*RAW, "Unsupported", "KeyError") if raw in str(caught.value)]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost", "logistic"])
def test_an_array_of_texts(name: str) -> None:
    """An array of text says that the model takes numbers, however the array holds the text."""
    model = on_numbers(name)
    model.fit(NUMBERS.to_numpy(), TARGET)
    for rows in (np.full(NUMBERS.shape, "u"), np.full(NUMBERS.shape, "u", dtype=object)):
        with pytest.raises(PackError, match=r"the model takes numbers.*rows\.astype\(float\)") as caught:
            fourfold.pack(model, name="m", rows=rows)
        assert not [raw for raw in (*RAW, "Unicode-3", "dtype='numeric'") if raw in str(caught.value)]


def test_categories_where_xgboost_was_trained_with_numbers() -> None:
    """XGBoost would take the index of a category for the number, and answer."""
    booster = on_numbers("xgboost").get_booster()
    for rows in (
        NUMBERS.assign(b=pd.Categorical(["u", "v"] * (COUNT // 2))),
        pl.DataFrame({"a": NUMBERS.a.to_list(), "b": pl.Series(["u", "v"] * (COUNT // 2), dtype=pl.Categorical)}),
    ):
        with pytest.raises(PackError, match=r"column 'b': the model takes numbers there, .* categories \['u', 'v'\]"):
            fourfold.pack(booster, name="m", rows=rows)


def test_two_wrong_columns_name_the_first() -> None:
    """What else is wrong does not hide the column."""
    with pytest.raises(PackError, match="column 'a': the model takes numbers there, and the rows hold the text 'p'"):
        fourfold.pack(on_numbers("logistic"), name="m", rows=NUMBERS.assign(a="p", b="q"))
    with pytest.raises(PackError, match="column 'a': the model takes numbers there, and the rows hold the text 'q'"):
        fourfold.pack(on_numbers("logistic"), name="m", rows=NUMBERS.assign(a="q", b="q"))


def test_a_number_column_that_became_categories() -> None:
    """XGBoost's message ends with ten lines of its stack."""
    model = xgboost.XGBClassifier(**BOOST, enable_categorical=True).fit(CATEGORIES, TARGET)
    rows = CATEGORIES.assign(a=pd.Categorical(RANDOM.choice(["u", "v"], COUNT)))
    with pytest.raises(
        PackError, match="column 'a': the model takes numbers there, and the rows hold the categories"
    ) as (caught):
        fourfold.pack(model, name="m", rows=rows)
    assert not [raw for raw in RAW if raw in str(caught.value)]


def test_a_category_that_an_encoder_does_not_know() -> None:
    """The error lists what the encoder knows."""
    encoder = make_pipeline(SimpleImputer(strategy="most_frequent"), OrdinalEncoder())
    model = make_pipeline(make_column_transformer((encoder, ["k"]), remainder="passthrough"), LogisticRegression())
    model.fit(WORDS, TARGET)
    with pytest.raises(PackError, match=r"column 'k': .*'x', 'y', 'z'.*'q'"):
        fourfold.pack(model, name="m", rows=WORDS.assign(k=["q"] + ["x"] * (COUNT - 1)))
    timestamps = WORDS.assign(k=pd.Timestamp("2020-01-01"))
    one_hot = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["k"]), remainder="passthrough"), LogisticRegression()
    )
    with pytest.raises(PackError, match=r"column 'k': the model takes one of \['x', 'y', 'z'\]"):
        fourfold.pack(one_hot.fit(WORDS, TARGET), name="m", rows=timestamps)


def test_categories_of_catboost_that_are_floats() -> None:
    """CatBoost takes texts and integers for categories."""
    options: dict[str, Any] = {"iterations": 3, "verbose": 0, "allow_writing_files": False, "cat_features": ["k"]}
    model = catboost.CatBoostClassifier(**options).fit(CATEGORIES, TARGET)
    with pytest.raises(PackError, match=r"column 'k': the model takes categories there.*astype\(str\)"):
        fourfold.pack(model, name="m", rows=CATEGORIES.assign(k=NUMBERS.a))


def test_a_row_that_a_packed_model_does_not_take() -> None:
    """A row that fits the signature is refused with the field that holds an infinity."""
    package = fourfold.pack(on_numbers("logistic"), name="m", rows=NUMBERS, engine="original")
    predictor = fourfold.load(package, trust="foreign")
    with pytest.raises(EngineError, match="the field 'b' holds inf, which the model does not take"):
        predictor.predict_one({"a": 1.0, "b": float("inf")})
    assert predictor.predict_one({"a": 1.0, "b": 1.0})["label"] in (0, 1)


def test_the_stack_of_native_code_is_left_out() -> None:
    """Ten lines of addresses tell a user nothing; the sentence before them stays."""
    stack = "Stack trace:\n  [bt] (0) lib.so(+0x1) [0x7f]"
    text = f"[21:15:17] /workspace/src/data/cat_container.h:29: Invalid input.\n{stack}"
    assert describe(ValueError(text)) == "ValueError: Invalid input."
