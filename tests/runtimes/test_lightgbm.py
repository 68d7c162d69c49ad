from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pytest

from fourfold import runtimes, tables
from fourfold.errors import CorruptPackage, EngineError, PackError
from fourfold.signature import Field
from tests.project.tree import ROOT
from tests.runtimes.round_trip import (
    FRAME,
    LABELS,
    NUMBERS,
    TARGET,
    assert_bits,
    loaded,
    prepared,
    round_trip,
    signature_of,
    values,
)

SAMPLE = FRAME[["kind", "a", "c", "n"]]
OPTIONS: dict[str, Any] = {"n_estimators": 5, "verbose": -1, "n_jobs": 2}


@pytest.mark.parametrize(
    "target", [LABELS, LABELS.astype(str), TARGET > 0, np.where(TARGET > 0, 7, -7), (TARGET > 0) + 1.0], ids=range(5)
)
def test_classifiers_keep_their_bits(target: Any) -> None:
    """A classifier's label and probability are to the bit what it gives itself, for classes of any dtype."""
    model = lightgbm.LGBMClassifier(**OPTIONS).fit(SAMPLE, target)
    ready, answer = round_trip(model, SAMPLE)
    assert (ready.runtime, ready.requires, list(ready.files)) == ("lightgbm", "", ["model.txt"])
    assert_bits(model.predict(SAMPLE), values(answer, "label"))
    assert_bits(model.predict_proba(SAMPLE), values(answer, "probability"))
    assert ready.outputs[1].labels == tuple(str(each) for each in model.classes_)


@pytest.mark.parametrize("kind", [lightgbm.LGBMRegressor, lightgbm.LGBMRanker])
def test_other_estimators_predict(kind: Any) -> None:
    """Any other estimator gives its prediction."""
    options = {"group": [60, 60]} if kind is lightgbm.LGBMRanker else {}
    model = kind(**OPTIONS).fit(SAMPLE, np.digitize(TARGET, [0, 1, 2]), **options)
    ready, answer = round_trip(model, SAMPLE)
    assert ready.outputs == (Field("prediction", "float64"),)
    assert_bits(model.predict(SAMPLE), values(answer, "prediction"))


def test_boosters_predict() -> None:
    """A booster gives what its predict gives: a number, or one for each class."""
    for parameters, shape in (({"objective": "binary"}, ()), ({"objective": "multiclass", "num_class": 3}, (3,))):
        target = (TARGET > 0) if not shape else np.digitize(TARGET, [-0.5, 2.0])
        data = lightgbm.Dataset(SAMPLE, target)
        model = lightgbm.train({**parameters, "verbose": -1}, data, num_boost_round=4)
        ready, answer = round_trip(model, SAMPLE)
        assert ready.outputs == (Field("probability", "float64", shape=shape),)
        assert_bits(model.predict(SAMPLE), values(answer, "probability"))


def test_early_stopping_is_kept() -> None:
    """A model that stopped early answers from its best iteration."""
    model = lightgbm.LGBMRegressor(n_estimators=200, learning_rate=1.0, verbose=-1)
    callbacks: list[Any] = [lightgbm.early_stopping(2, verbose=False)]
    model.fit(SAMPLE[:60], TARGET[:60], eval_X=SAMPLE[60:], eval_y=TARGET[60:], callbacks=callbacks)
    assert 0 < model.best_iteration_ < 200
    assert_bits(model.predict(SAMPLE), values(round_trip(model, SAMPLE)[1], "prediction"))


def test_custom_objectives_predict() -> None:
    """The booster of a classifier with an objective of its own gives the raw scores that it gives itself."""

    def objective(truth: Any, scores: Any) -> Any:
        share = 1 / (1 + np.exp(-scores))
        return share - truth, share * (1 - share)

    model = lightgbm.LGBMClassifier(objective=objective, **OPTIONS).fit(SAMPLE, TARGET > 0)
    booster = model.booster_
    ready, answer = round_trip(booster, SAMPLE)
    assert [field.name for field in ready.outputs] == ["prediction"]
    assert_bits(booster.predict(SAMPLE), values(answer, "prediction"))


def test_containers() -> None:
    """Arrays, frames of both kinds, spaces in names and columns too many or in another order all reach the model."""
    array = NUMBERS.to_numpy()
    model = lightgbm.LGBMRegressor(**OPTIONS).fit(array, TARGET)
    for sample in (array, NUMBERS):
        ready, answer = round_trip(model, sample)
        assert_bits(model.predict(array), values(answer, "prediction"))
    assert [field.name for field in ready.inputs] == list(NUMBERS)
    spaced = NUMBERS.rename(columns={"a": "a value"})
    model = lightgbm.LGBMRegressor(**OPTIONS).fit(spaced, TARGET)
    ready, answer = round_trip(model, spaced.assign(target=TARGET)[["n", "target", "b", "a value"]])
    assert [field.name for field in ready.inputs] == ["a value", "b", "n"]
    assert_bits(model.predict(spaced), values(answer, "prediction"))
    polars = pl.DataFrame({name: NUMBERS[name].to_numpy() for name in NUMBERS})
    model = lightgbm.LGBMRegressor(**OPTIONS).fit(polars, TARGET)
    assert_bits(model.predict(polars), values(round_trip(model, polars)[1], "prediction"))


def test_unseen_categories_are_missing() -> None:
    """A category that the model never saw is missing to it, as it is to the original."""
    model = lightgbm.LGBMRegressor(**OPTIONS).fit(SAMPLE, TARGET)
    ready = prepared(model, SAMPLE)
    field = Field("kind", "string", nullable=True, categories=("z", "y", "x"), open=True)
    batch, errors = tables.read(SAMPLE.assign(kind="new"), (field, *ready.inputs[1:]))
    assert not errors
    missing = SAMPLE.assign(kind=pd.Categorical([None] * len(SAMPLE), categories=["z", "y", "x"]))
    assert_bits(model.predict(missing), values(loaded(ready).predict(batch), "prediction"))


def test_same_model_same_bytes() -> None:
    """A model trained in another process has the same bytes."""
    code = (
        "import sys; import lightgbm; from tests.runtimes.test_lightgbm import *;"
        "model = lightgbm.LGBMRegressor(**OPTIONS).fit(SAMPLE, TARGET);"
        "sys.stdout.buffer.write(prepared(model, SAMPLE).files['model.txt'])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    model = lightgbm.LGBMRegressor(**OPTIONS).fit(SAMPLE, TARGET)
    assert prepared(model, SAMPLE).files["model.txt"] == run.stdout


def test_many_threads_at_once() -> None:
    """Calls from many threads at once get the bits of calls one by one."""
    model = lightgbm.LGBMClassifier(**OPTIONS).fit(SAMPLE, LABELS)
    ready, expected = round_trip(model, SAMPLE)
    engine = loaded(ready)
    batch, _ = tables.read(SAMPLE, ready.inputs)
    with ThreadPoolExecutor(8) as pool:
        assert all(answer.equals(expected) for answer in pool.map(engine.predict, [batch] * 40))


def test_what_cannot_be_packed() -> None:
    """What is not fitted, is no model, or was trained with other columns is refused with the reason."""
    fitted = lightgbm.LGBMRegressor(**OPTIONS).fit(NUMBERS, TARGET)
    cases: list[tuple[Any, Any, str]] = [
        (lightgbm.LGBMRegressor(), SAMPLE, "not fitted"),
        (lightgbm.Dataset(SAMPLE), SAMPLE, "expected a booster or a fitted estimator"),
        (fitted, NUMBERS[["a"]], "lacks columns"),
        (fitted, NUMBERS.to_numpy()[:, :2], "trained with 3 columns"),
        (fitted, NUMBERS.assign(a="text"), "fails on the sample"),
    ]
    for model, sample, words in cases:
        with pytest.raises(PackError, match=words):
            prepared(model, sample)


def test_broken_files_and_failures() -> None:
    """A file that is no model is a corrupt package; a failure of LightGBM's an engine error."""
    ready = prepared(lightgbm.LGBMRegressor(**OPTIONS).fit(NUMBERS, TARGET), NUMBERS)
    with pytest.raises(CorruptPackage, match="LightGBM cannot read"):
        runtimes.load("lightgbm", ready.settings, lambda _: b"tree\n", signature_of(ready), trust="foreign")
    engine: Any = loaded(ready)
    batch, _ = tables.read(NUMBERS, ready.inputs)
    engine._build = lambda _: NUMBERS.to_numpy()[:, :2]
    with pytest.raises(EngineError, match="LightGBM failed"):
        engine.predict(batch)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {"pred_early_stop_margin": "x\n\x1b[2J output_result=file"}}, "option pred_early_stop_margin"),
        ({"options": {"pred_early_stop": [True]}}, "option pred_early_stop: expected a number"),
        ({"classes": {"values": ["a", "b"], "dtype": "U500000000"}}, "classes are of the type"),
        ({"classes": {"values": ["a", "b"], "dtype": "S2147483647"}}, "classes are of the type"),
        ({"classes": {"values": [0, 1], "dtype": "(1000000000,)i1"}}, "classes are of the type"),
        ({"classes": {"values": [0, 1], "dtype": "V2147483647"}}, "classes are of the type"),
    ],
)
def test_settings_that_no_model_has_are_refused(changes: dict[str, Any], message: str) -> None:
    """Options are numbers, since LightGBM reads texts; a class takes as many bytes as it has, not as its type says."""
    ready = prepared(lightgbm.LGBMClassifier(**OPTIONS).fit(NUMBERS, TARGET.mean() < TARGET), NUMBERS)
    settings = {**ready.settings, **changes}
    with pytest.raises(CorruptPackage, match=message):
        runtimes.load("lightgbm", settings, ready.files.__getitem__, signature_of(ready), trust="foreign")
