"""Test transformers from text to text: they answer with a column for each feature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler

import fourfold
from fourfold.signature import Field

RANDOM = np.random.default_rng(41)
COUNT = 40
TEXTS = pd.DataFrame({"k": RANDOM.choice(list("xyz"), COUNT), "l": RANDOM.choice(["u", "v"], COUNT)}).astype(object)
TEXTS.iloc[::7, 0] = np.nan
MIXED = TEXTS.assign(n=RANDOM.normal(size=COUNT))


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (SimpleImputer(strategy="most_frequent"), ["features_k", "features_l"]),
        (SimpleImputer(strategy="constant", fill_value="none"), ["features_k", "features_l"]),
        (SimpleImputer(strategy="most_frequent").set_output(transform="pandas"), ["features_k", "features_l"]),
        (
            make_pipeline(SimpleImputer(strategy="most_frequent"), FunctionTransformer()),
            ["features_0", "features_1"],
        ),
    ],
    ids=["most frequent", "constant", "pandas", "unnamed"],
)
def test_texts_are_imputed(model: Any, names: list[str]) -> None:
    """Each column is an output of texts, at every door in-process with the original's values."""
    expected = pd.DataFrame(np.asarray(model.fit(TEXTS).transform(TEXTS)), columns=names)
    package = fourfold.pack(model, name="filled", rows=TEXTS)
    assert package.signature.outputs == tuple(Field(name, "string") for name in names)
    predictor = fourfold.load(package, trust="foreign")
    assert predictor.predict(TEXTS).astype(object).equals(expected.astype(object))
    rows: list[Any] = TEXTS.astype(object).where(TEXTS.notna(), None).to_dict("records")
    assert predictor.predict(rows) == expected.to_dict("records")
    assert predictor.predict(pl.DataFrame(rows)).to_dicts() == expected.to_dict("records")
    assert predictor.predict_one(rows[0]) == expected.iloc[0].to_dict()


def test_texts_beside_numbers() -> None:
    """A transformer of several kinds answers with texts and numbers; a text that passes may be missing."""
    rows = MIXED.copy()
    rows.iloc[3, 1] = None
    imputer = SimpleImputer(strategy="most_frequent")
    model = make_column_transformer((imputer, ["k"]), (StandardScaler(), ["n"]), remainder="passthrough").fit(rows)
    package = fourfold.pack(model, name="mixed", rows=rows)
    assert [(field.dtype, field.nullable) for field in package.signature.outputs] == [
        ("string", False),
        ("float64", False),
        ("string", True),
    ]
    predictor = fourfold.load(package, trust="foreign")
    for index in (0, 3):
        row: dict[Any, Any] = {name: None if pd.isna(value) else value for name, value in rows.iloc[index].items()}
        assert list(predictor.predict_one(row).values()) == model.transform(rows)[index].tolist()


def test_numbers_from_texts_stay_one_tensor() -> None:
    """What ends in numbers answers as it did."""
    model = make_pipeline(SimpleImputer(strategy="most_frequent"), OrdinalEncoder()).fit(TEXTS)
    package = fourfold.pack(model, name="codes", rows=TEXTS)
    assert package.signature.outputs == (Field("features", "float64", shape=(2,)),)
    assert package.manifest["runtime"]["name"] == "plan"
