"""Rows from files, as the model was trained with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import fourfold
from fourfold.errors import PackError
from fourfold.packing.samples.training_file import read_training_rows, restore_none

RANDOM = np.random.default_rng(31)
GOAL = RANDOM.normal(size=200)


def frame(missing: Any) -> pd.DataFrame:
    """Numbers and texts, some of which are missing in one way."""
    words = pd.Series(RANDOM.choice(np.array(["red", "blue", missing], dtype=object), 200), dtype=object)
    return pd.DataFrame({"word": words, "x": np.where(RANDOM.random(200) < 0.1, np.nan, 1.0)})


def fitted(data: pd.DataFrame, encoder: Any) -> Any:
    """A model that reads both."""
    columns = make_column_transformer((encoder, ["word"]), remainder="drop")
    return make_pipeline(columns, Ridge()).fit(data, GOAL)


@pytest.mark.parametrize("missing", [None, np.nan], ids=["None", "NaN"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_missing_text_is_what_the_encoder_saw(missing: Any, suffix: str, tmp_path: Path) -> None:
    """A file does not tell `None` from NaN, and an encoder does: the other one is unseen to it."""
    data = frame(missing)
    encoder = OneHotEncoder(handle_unknown="ignore")
    model = fitted(data, encoder)
    path = tmp_path / f"rows.{suffix}"
    data.to_parquet(path) if suffix == "parquet" else data.to_csv(path, index=False, na_rep="")
    read = read_training_rows(path, "pandas", ["word", "x"])
    rows = restore_none(read, model)
    assert (rows is read) == (missing is not None)
    predictor = fourfold.load(fourfold.pack(model, name="words", rows=rows))
    np.testing.assert_allclose(predictor.predict(data).prediction, model.predict(data), rtol=1e-12)
    gone = fourfold.load(fourfold.pack(model, name="words", rows=rows)).predict_one({"word": None, "x": 1.0})
    assert gone["prediction"] == pytest.approx(model.predict(data[data.word.isna()])[0], rel=1e-12)


def test_rows_stay_where_nothing_is_known() -> None:
    """Other containers, models that read no texts, and encoders that know NaN change nothing."""
    data = frame(np.nan)
    models = [Ridge().fit(data[["x"]].fillna(0), GOAL), fitted(data, OneHotEncoder()), object()]
    assert all(restore_none(data, model) is data for model in models)
    rows = data.to_dict("records")
    assert restore_none(rows, fitted(frame(None), OneHotEncoder())) is rows


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    """The file and the columns that it has are named."""
    frame(None).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(PackError, match=r"rows\.parquet lacks the columns 'y' that the model takes; it has word, x"):
        read_training_rows(tmp_path / "rows.parquet", "pandas", ["x", "y"])
