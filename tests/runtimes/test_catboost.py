from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import polars as pl
import pytest

from fourfold import runtimes, tables
from fourfold.errors import CorruptPackage, EngineError, PackError
from fourfold.signature import Field
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

SAMPLE = FRAME[["kind", "a", "c", "n", "text"]]
OPTIONS: dict[str, Any] = {"iterations": 6, "depth": 4, "verbose": 0, "allow_writing_files": False, "thread_count": 2}
CATEGORIES: dict[str, Any] = {**OPTIONS, "cat_features": ["kind", "n", "text"]}
CLASSES = np.digitize(TARGET, [-0.5, 2.0])


@pytest.mark.parametrize(
    "target", [LABELS, LABELS.astype(str), TARGET > 0, np.where(TARGET > 0, 7, -7), (TARGET > 0) + 1.0], ids=range(5)
)
def test_classifiers_keep_their_bits(target: Any) -> None:
    """A classifier's label and probability are to the bit what it gives itself, a label a row however many classes."""
    model = catboost.CatBoostClassifier(**CATEGORIES).fit(SAMPLE, target)
    ready, answer = round_trip(model, SAMPLE)
    assert (ready.runtime, ready.requires, list(ready.files)) == ("catboost", "", ["model.cbm"])
    assert_bits(np.ravel(model.predict(SAMPLE)), values(answer, "label"))
    assert_bits(model.predict_proba(SAMPLE), values(answer, "probability"))
    assert ready.outputs[1].labels == tuple(str(each) for each in model.classes_)


@pytest.mark.parametrize("loss", ["MultiLogloss", "MultiCrossEntropy"])
def test_many_labels_a_row_are_a_tensor(loss: str) -> None:
    """A multi-label classifier gives a tensor of labels."""
    target = np.column_stack([TARGET > 0, TARGET > 1, TARGET < 2]).astype(int)
    model = catboost.CatBoostClassifier(**OPTIONS, loss_function=loss).fit(NUMBERS, target)
    _, answer = round_trip(model, NUMBERS)
    assert_bits(model.predict(NUMBERS), values(answer, "label"))
    assert_bits(model.predict_proba(NUMBERS), values(answer, "probability"))


@pytest.mark.parametrize("loss", ["RMSE", "Poisson", "Tweedie:variance_power=1.5", "RMSEWithUncertainty", "MultiRMSE"])
def test_regressors_predict(loss: str) -> None:
    """A regressor answers with the kind of number that its loss asks for, from its bytes too."""
    target = np.column_stack([TARGET, -TARGET]) if loss == "MultiRMSE" else np.abs(TARGET)
    model = catboost.CatBoostRegressor(**OPTIONS, loss_function=loss).fit(NUMBERS, target)
    ready, answer = round_trip(model, NUMBERS)
    assert_bits(model.predict(NUMBERS), values(answer, "prediction"))
    assert ready.outputs[0].shape == ((2,) if loss in ("RMSEWithUncertainty", "MultiRMSE") else ())


@pytest.mark.parametrize("grown", ["SymmetricTree", "Lossguide", "Depthwise"])
def test_other_estimators_predict(grown: str) -> None:
    """What ranks, and CatBoost's base class, give their prediction, from trees of any shape."""
    ranker = catboost.CatBoostRanker(**CATEGORIES, loss_function="QueryRMSE", grow_policy=grown)
    ranker.fit(SAMPLE, CLASSES, group_id=np.repeat([0, 1, 2], 40))
    ready, answer = round_trip(ranker, SAMPLE)
    assert ready.outputs == (Field("prediction", "float64"),)
    assert_bits(ranker.predict(SAMPLE), values(answer, "prediction"))
    plain = catboost.CatBoost({**CATEGORIES, "grow_policy": grown}).fit(SAMPLE, TARGET)
    assert_bits(plain.predict(SAMPLE), values(round_trip(plain, SAMPLE)[1], "prediction"))


def test_frames_are_put_in_order() -> None:
    """Columns come in the order of training, others are left out, and a frame gives an array model's fields names."""
    model = catboost.CatBoostRegressor(**OPTIONS).fit(NUMBERS, TARGET)
    ready, answer = round_trip(model, FRAME[["n", "kind", "b", "a"]])
    assert [field.name for field in ready.inputs] == ["a", "b", "n"]
    assert_bits(model.predict(NUMBERS), values(answer, "prediction"))
    for sample in (NUMBERS.to_numpy(), NUMBERS.to_numpy(dtype="float32"), np.asfortranarray(NUMBERS.to_numpy())):
        array_model = catboost.CatBoostRegressor(**OPTIONS).fit(sample, TARGET)
        assert_bits(array_model.predict(sample), values(round_trip(array_model, sample)[1], "prediction"))
    ready, _ = round_trip(array_model, NUMBERS)
    assert [field.name for field in ready.inputs] == ["a", "b", "n"]


def test_same_model_same_bytes() -> None:
    """A model that is trained twice, one that was asked, and one that was loaded have the same bytes."""
    model = catboost.CatBoostRegressor(**CATEGORIES).fit(SAMPLE, TARGET)
    before = prepared(model, SAMPLE)
    assert prepared(catboost.CatBoostRegressor(**CATEGORIES).fit(SAMPLE, TARGET), SAMPLE).files == before.files
    model.predict(SAMPLE)
    assert prepared(model, SAMPLE).files == before.files
    engine: Any = loaded(before)
    assert prepared(engine._model, SAMPLE).files == before.files


def test_many_threads_at_once() -> None:
    """Calls from many threads at once get the bits of calls one by one."""
    model = catboost.CatBoostRegressor(**CATEGORIES).fit(SAMPLE, TARGET)
    ready, expected = round_trip(model, SAMPLE)
    engine = loaded(ready)
    batch, _ = tables.read(SAMPLE, ready.inputs)
    with ThreadPoolExecutor(8) as pool:
        assert all(answer.equals(expected) for answer in pool.map(engine.predict, [batch] * 40))


def test_models_from_files(tmp_path: Path) -> None:
    """A file opens as a classifier where it has classes and as a regressor where not, with what its loss answers."""
    path = tmp_path / "model.cbm"
    classifier = catboost.CatBoostClassifier(**CATEGORIES).fit(SAMPLE, LABELS)
    poisson = catboost.CatBoostRegressor(**CATEGORIES, loss_function="Poisson").fit(SAMPLE, np.abs(TARGET))
    for model in (classifier, poisson):
        model.save_model(str(path))
        module: Any = runtimes.by_name("catboost")
        opened, _ = module.open_model(path)
        assert type(opened) is type(model)
        (ready, answer), (expected, original) = round_trip(opened, SAMPLE), round_trip(model, SAMPLE)
        assert (ready.settings, ready.outputs) == (expected.settings, expected.outputs)
        assert answer.equals(original)
    path.write_bytes(b"CBM1 and so on")
    with pytest.raises(PackError, match="binary format"):
        module.open_model(path)


def test_what_cannot_be_packed() -> None:
    """What is not fitted, is no model, or was trained with other columns or kinds of features is refused."""
    fitted = catboost.CatBoostRegressor(**OPTIONS).fit(NUMBERS, TARGET)
    words = FRAME[["text"]].assign(text=[f"{each} word word{index % 7}" for index, each in enumerate(FRAME.text)])
    of_texts = catboost.CatBoostRegressor(**OPTIONS, text_features=["text"]).fit(words, TARGET)
    cases: list[tuple[Any, Any, str]] = [
        (catboost.CatBoostRegressor(), SAMPLE, "not fitted"),
        (catboost.Pool(NUMBERS), SAMPLE, "expected an estimator"),
        (fitted, NUMBERS[["a"]], "lacks columns"),
        (fitted, NUMBERS.to_numpy()[:, :2], "3 columns; got 2"),
        (catboost.CatBoostRegressor(**OPTIONS).fit(NUMBERS.to_numpy(), TARGET), NUMBERS[["a"]], "3 columns; got 1"),
        (fitted, NUMBERS.assign(a="text"), "fails on the sample"),
        (fitted, pl.from_pandas(NUMBERS), r"takes pandas frames and NumPy arrays; got polars: give rows\.to_pandas"),
        (of_texts, words, "features of texts, which are not read: pack a function"),
    ]
    for model, sample, why in cases:
        with pytest.raises(PackError, match=why):
            prepared(model, sample)


def test_broken_files_and_failures() -> None:
    """A file or a class that is no model is a corrupt package; a failure of CatBoost's is an engine error."""
    ready = prepared(catboost.CatBoostRegressor(**CATEGORIES).fit(SAMPLE, TARGET), SAMPLE)
    for settings, data in ((ready.settings, b"{}"), ({**ready.settings, "kind": "Pool"}, ready.files["model.cbm"])):
        with pytest.raises(CorruptPackage):
            runtimes.load("catboost", settings, {"model.cbm": data}.__getitem__, signature_of(ready), trust="foreign")
    engine: Any = loaded(ready)
    batch, _ = tables.read(SAMPLE, ready.inputs)
    engine._build = lambda _: NUMBERS[["a"]]
    with pytest.raises(EngineError, match="CatBoost failed"):
        engine.predict(batch)


@pytest.mark.parametrize("prediction", ["RMSEWithUncertainty", "VirtEnsembles", "Class", "", 1, ["Exponent"], None])
def test_what_the_model_does_not_predict_is_refused(prediction: Any) -> None:
    """CatBoost ends the process where it is asked for a variance that the model has not."""
    ready = prepared(catboost.CatBoostRegressor(**OPTIONS).fit(NUMBERS, TARGET), NUMBERS)
    settings = {**ready.settings, "prediction": prediction}
    with pytest.raises(CorruptPackage, match=r"expected a prediction of|has not two values a row"):
        runtimes.load("catboost", settings, ready.files.__getitem__, signature_of(ready), trust="foreign")
