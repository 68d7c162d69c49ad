from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import xgboost

from fourfold import runtimes, tables
from fourfold.errors import CorruptPackage, EngineError, PackError
from fourfold.signature import Field
from tests.runtimes.round_trip import (
    FRAME,
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
OPTIONS: dict[str, Any] = {"n_estimators": 5, "n_jobs": 2, "enable_categorical": True}
CLASSES = np.digitize(TARGET, [-0.5, 2.0])


@pytest.mark.parametrize("objective", [None, "multi:softmax", "binary:logistic", "binary:hinge"])
def test_classifiers_keep_their_bits(objective: str | None) -> None:
    """A classifier's label and probability are to the bit what it gives itself."""
    binary = str(objective).startswith("binary")
    model = xgboost.XGBClassifier(objective=objective, **OPTIONS).fit(SAMPLE, TARGET > 0 if binary else CLASSES)
    ready, answer = round_trip(model, SAMPLE)
    assert (ready.runtime, ready.requires, list(ready.files)) == ("xgboost", "", ["model.ubj"])
    assert_bits(model.predict(SAMPLE), values(answer, "label"))
    assert_bits(model.predict_proba(SAMPLE), values(answer, "probability"))
    assert ready.outputs[1].dtype == "float32"


def test_many_labels_a_row_are_a_tensor() -> None:
    """A multi-label classifier gives a tensor of labels."""
    target = np.column_stack([TARGET > 0, TARGET > 1]).astype(int)
    model = xgboost.XGBClassifier(**OPTIONS).fit(SAMPLE, target)
    _, answer = round_trip(model, SAMPLE)
    assert_bits(model.predict(SAMPLE), values(answer, "label"))
    assert_bits(model.predict_proba(SAMPLE), values(answer, "probability"))


@pytest.mark.parametrize("kind", [xgboost.XGBRegressor, xgboost.XGBRFRegressor, xgboost.XGBRanker])
def test_other_estimators_predict(kind: Any) -> None:
    """Any other estimator gives its prediction."""
    options = {"qid": np.repeat([0, 1], 60)} if kind is xgboost.XGBRanker else {}
    model = kind(**OPTIONS).fit(SAMPLE, CLASSES, **options)
    ready, answer = round_trip(model, SAMPLE)
    assert ready.outputs == (Field("prediction", "float32"),)
    assert_bits(model.predict(SAMPLE), values(answer, "prediction"))


@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_boosters_predict(booster: str) -> None:
    """A booster of any kind gives what its predict gives, with names and without."""
    for sample in (NUMBERS, NUMBERS.to_numpy()):
        matrix = xgboost.DMatrix(sample, TARGET)
        model = xgboost.train({"booster": booster}, matrix, num_boost_round=4)
        ready, answer = round_trip(model, sample)
        assert_bits(model.predict(matrix), values(answer, "prediction"))
        estimator = xgboost.XGBRegressor(n_estimators=4, booster=booster).fit(sample, TARGET)
        assert_bits(estimator.predict(sample), values(round_trip(estimator, sample)[1], "prediction"))
    assert [field.name for field in ready.inputs] == ["x0", "x1", "x2"]


def test_many_targets_are_a_tensor() -> None:
    """A regressor with several targets answers with a tensor of them."""
    model = xgboost.XGBRegressor(n_estimators=3).fit(NUMBERS, np.column_stack([TARGET, -TARGET]))
    ready, answer = round_trip(model, NUMBERS)
    assert ready.outputs == (Field("prediction", "float32", shape=(2,)),)
    assert_bits(model.predict(NUMBERS), values(answer, "prediction"))


def test_early_stopping_is_kept() -> None:
    """An estimator that stopped early answers from its best iteration, its booster from all of them."""
    model = xgboost.XGBRegressor(n_estimators=100, learning_rate=1.0, early_stopping_rounds=2, enable_categorical=True)
    model.fit(SAMPLE[:60], TARGET[:60], eval_set=[(SAMPLE[60:], TARGET[60:])], verbose=False)
    booster = model.get_booster()
    assert model.best_iteration + 1 < booster.num_boosted_rounds()
    assert_bits(model.predict(SAMPLE), values(round_trip(model, SAMPLE)[1], "prediction"))
    matrix = xgboost.DMatrix(SAMPLE, enable_categorical=True)
    assert_bits(booster.predict(matrix), values(round_trip(booster, SAMPLE)[1], "prediction"))


@pytest.mark.parametrize("missing", [-1.0, 0.0, float("inf")])
def test_other_marks_of_missing_values(missing: float) -> None:
    """A number that says that a value is missing says so from a package too."""
    sample = NUMBERS.round().astype("float64").replace(2.0, missing)
    model = xgboost.XGBRegressor(n_estimators=5, missing=missing).fit(sample, TARGET)
    assert_bits(model.predict(sample), values(round_trip(model, sample)[1], "prediction"))


def test_frames_are_put_in_order() -> None:
    """Columns come in the order of training, others are left out, and a frame gives an array model's fields names."""
    model = xgboost.XGBRegressor(n_estimators=3).fit(NUMBERS, TARGET)
    ready, answer = round_trip(model, FRAME[["n", "kind", "b", "a"]])
    assert [field.name for field in ready.inputs] == ["a", "b", "n"]
    assert_bits(model.predict(NUMBERS), values(answer, "prediction"))
    array = NUMBERS.to_numpy()
    model = xgboost.XGBRegressor(n_estimators=3).fit(array, TARGET)
    ready, answer = round_trip(model, NUMBERS)
    assert [field.name for field in ready.inputs] == ["a", "b", "n"]
    assert_bits(model.predict(array), values(answer, "prediction"))


def test_same_model_same_bytes() -> None:
    """A model that was asked, and one that was loaded, has the bytes of the model."""
    model = xgboost.XGBRegressor(**OPTIONS).fit(SAMPLE, TARGET)
    before = prepared(model, SAMPLE)
    model.predict(SAMPLE)
    assert prepared(model, SAMPLE).files == before.files
    engine: Any = loaded(before)
    assert prepared(engine._model, SAMPLE).files == before.files


@pytest.mark.parametrize("booster", ["gbtree", "gblinear"])
def test_many_threads_at_once(booster: str) -> None:
    """Calls from many threads at once get the bits of calls one by one."""
    model = xgboost.XGBRegressor(n_estimators=5, booster=booster).fit(NUMBERS, TARGET)
    ready, expected = round_trip(model, NUMBERS)
    engine = loaded(ready)
    batch, _ = tables.read(NUMBERS, ready.inputs)
    with ThreadPoolExecutor(8) as pool:
        assert all(answer.equals(expected) for answer in pool.map(engine.predict, [batch] * 40))


def test_what_cannot_be_packed() -> None:
    """What is not fitted, is no model, or was trained with other columns is refused with the reason."""
    fitted = xgboost.XGBRegressor(n_estimators=2).fit(NUMBERS, TARGET)
    cases: list[tuple[Any, Any, str]] = [
        (xgboost.XGBRegressor(), SAMPLE, "not fitted"),
        (xgboost.DMatrix(NUMBERS), SAMPLE, "expected a booster or an estimator"),
        (fitted, NUMBERS[["a"]], "lacks columns"),
        (fitted, NUMBERS.to_numpy(), "trained on a frame"),
        (xgboost.XGBRegressor(n_estimators=2).fit(NUMBERS.to_numpy(), TARGET), NUMBERS[["a"]], "3 columns; got 1"),
        (fitted, NUMBERS.assign(a="text"), "fails on the sample"),
    ]
    for model, sample, words in cases:
        with pytest.raises(PackError, match=words):
            prepared(model, sample)


def test_broken_files_and_failures() -> None:
    """A file or a class that is no model is a corrupt package; a failure of XGBoost's is an engine error."""
    ready = prepared(xgboost.XGBRegressor(n_estimators=2).fit(NUMBERS, TARGET), NUMBERS)
    for settings, data in ((ready.settings, b"{}"), ({**ready.settings, "kind": "DMatrix"}, ready.files["model.ubj"])):
        with pytest.raises(CorruptPackage):
            runtimes.load("xgboost", settings, {"model.ubj": data}.__getitem__, signature_of(ready), trust="foreign")
    engine: Any = loaded(ready)
    batch, _ = tables.read(NUMBERS, ready.inputs)
    engine._build = lambda _: NUMBERS[["a"]]
    with pytest.raises(EngineError, match="XGBoost failed"):
        engine.predict(batch)
