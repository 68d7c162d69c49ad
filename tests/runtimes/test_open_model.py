"""Models from files: each kind in its own format, and the columns that a model knows."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import catboost
import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
import xgboost
from sklearn.linear_model import LinearRegression

import fourfold
from fourfold.errors import PackError
from fourfold.runtimes.open_model import KINDS, open_model, trained_columns
from tests.runtimes.round_trip import NUMBERS, RANDOM, TARGET

FILLED = NUMBERS.fillna(0.0)
LINE = LinearRegression().fit(FILLED, TARGET)
QUIET: dict[str, Any] = {"iterations": 3, "depth": 2, "verbose": 0, "allow_writing_files": False}


@pytest.mark.parametrize("form", ["pickle", "joblib", "compressed", "skops"])
def test_estimators_of_every_format(form: str, tmp_path: Path) -> None:
    """A pickle, joblib's file, compressed or not, and a skops file hold the same estimator."""
    path = tmp_path / "model"
    if form == "pickle":
        path.write_bytes(pickle.dumps(LINE))
    elif form == "skops":
        skops.io.dump(LINE, path)
    else:
        joblib.dump(LINE, path, compress=3 if form == "compressed" else 0)
    opened = open_model("skops" if form == "skops" else "estimator", path, trust="foreign")
    assert opened.notes == ()
    assert np.array_equal(opened.model.predict(FILLED), LINE.predict(FILLED))


def test_a_model_of_another_version_is_noted(tmp_path: Path) -> None:
    """scikit-learn's warning of another version becomes a note, once for a model of many parts."""

    class Old:
        def __reduce__(self) -> Any:
            return LinearRegression, (), LINE.__getstate__() | {"_sklearn_version": "1.2.3"}

    path = tmp_path / "old.pickle"
    path.write_bytes(pickle.dumps([Old(), Old()]))
    opened = open_model("estimator", path)
    assert [note.partition("; ")[0] for note in opened.notes] == ["the model was written by scikit-learn 1.2.3"]


@pytest.mark.parametrize("classifies", [False, True])
def test_catboost_in_json_is_the_model_in_cbm(classifies: bool, tmp_path: Path) -> None:
    """A model in CatBoost's JSON answers to the bit as CatBoost itself reads it, whose JSON rounds a little."""
    kind = catboost.CatBoostClassifier if classifies else catboost.CatBoostRegressor
    model = kind(**QUIET).fit(FILLED, TARGET.mean() < TARGET if classifies else TARGET)
    model.save_model(str(tmp_path / "model.json"), format="json")
    model.save_model(str(tmp_path / "model.cbm"))
    found = [open_model("catboost", tmp_path / name).model for name in ("model.json", "model.cbm")]
    assert [type(each) for each in found] == [kind, kind]
    originals = [kind().load_model(tmp_path / "model.json", format="json"), model]
    for each, original in zip(found, originals, strict=True):
        method = "predict_proba" if classifies else "predict"
        assert np.array_equal(getattr(each, method)(FILLED), getattr(original, method)(FILLED))
    (tmp_path / "none.json").write_text("{}")
    for name, form in (("none.json", None), ("model.json", "cbm"), ("model.cbm", "json"), ("model.cbm", "python")):
        with pytest.raises(PackError, match=rf"{name} is "):
            open_model("catboost", tmp_path / name, form=form)


def test_catboost_in_json_is_whole(tmp_path: Path) -> None:
    """CatBoost takes a file that is cut off for the model that its beginning is."""
    path = tmp_path / "model.json"
    catboost.CatBoostRegressor(**QUIET).fit(FILLED, TARGET).save_model(str(path), format="json")
    text = path.read_text()
    assert text.endswith("}")
    for cut in (text[:-1], text[: len(text) // 2]):
        path.write_text(cut)
        with pytest.raises(PackError, match="is no model in CatBoost's JSON format"):
            open_model("catboost", path)
    found = json.loads(text)
    for part in ("features_info", "model_info", "scale_and_bias", "oblivious_trees"):
        path.write_text(json.dumps({key: each for key, each in found.items() if key != part}))
        with pytest.raises(PackError, match=f"it has no {part.removeprefix('oblivious_')}"):
            open_model("catboost", path)


@pytest.mark.parametrize("info", ["Git info:\n    Branch: tags/v0.20\n", "Svn info:\n    Last Changed Rev: 1\n", None])
def test_catboost_in_json_of_its_first_versions(info: str | None, tmp_path: Path) -> None:
    """They had no scale and bias, and CatBoost reads them as 1 and 0; a note says so."""
    path = tmp_path / "model.json"
    for kind, target in ((catboost.CatBoostRegressor, TARGET), (catboost.CatBoostClassifier, TARGET.mean() < TARGET)):
        model = kind(**QUIET, boost_from_average=False).fit(FILLED, target)
        model.save_model(str(path), format="json")
        whole = json.loads(path.read_text())
        del whole["scale_and_bias"]
        if info is not None:
            whole["model_info"]["catboost_version_info"] = info
        path.write_text(json.dumps(whole))
        opened = open_model("catboost", path)
        assert opened.notes[0].startswith("the file has no scale_and_bias")
        expected = kind().load_model(path, format="json").predict(FILLED, prediction_type="RawFormulaVal")
        assert np.array_equal(opened.model.predict(FILLED, prediction_type="RawFormulaVal"), expected)
        assert np.allclose(model.predict(FILLED, prediction_type="RawFormulaVal"), expected)
        assert fourfold.pack(opened.model, name="old", rows=FILLED).manifest["runtime"]["name"] == "plan"


@pytest.mark.parametrize("loss", ["MultiRMSE", "MultiLogloss"])
def test_catboost_in_json_has_one_target_where_it_counts_categories(loss: str, tmp_path: Path) -> None:
    """Of several targets its JSON keeps the counts of one, so that CatBoost itself answers otherwise from it."""
    words = NUMBERS.assign(word=np.resize(list("abcdef"), len(NUMBERS)))
    targets = np.column_stack([TARGET, words.word.map("abcdef".index)])
    targets = targets if loss == "MultiRMSE" else (targets > targets.mean(axis=0)).astype(int)
    options = {**QUIET, "loss_function": loss, "one_hot_max_size": 2, "cat_features": ["word"]}
    model = catboost.CatBoost({**options, "iterations": 20}).fit(words, targets)
    path = tmp_path / "model.json"
    model.save_model(str(path), format="json")
    assert not np.allclose(
        catboost.CatBoost().load_model(str(path), format="json").predict(words), model.predict(words)
    )
    with pytest.raises(PackError, match=rf"several targets \({loss}\).*save it as cbm"):
        open_model("catboost", path)
    model.save_model(str(tmp_path / "model.cbm"))
    opened = open_model("catboost", tmp_path / "model.cbm", kind="CatBoost").model
    assert np.array_equal(opened.predict(words), model.predict(words))


def test_catboost_files_open_as_what_wrote_them(tmp_path: Path) -> None:
    """A model of classes may have been trained without asking for labels, and then answers with raw numbers."""
    path = tmp_path / "model.cbm"
    model = catboost.CatBoost({**QUIET, "loss_function": "Logloss"}).fit(FILLED, TARGET > 0)
    model.save_model(str(path))
    found = open_model("catboost", path, kind="CatBoost").model
    assert type(found) is catboost.CatBoost
    assert np.array_equal(found.predict(FILLED), model.predict(FILLED))
    assert type(open_model("catboost", path).model) is catboost.CatBoostClassifier
    with pytest.raises(PackError, match=r"expected an estimator of CatBoost, .*; got 'Booster'"):
        open_model("catboost", path, kind="Booster")


@pytest.mark.parametrize("end", ["ubj", "json"])
def test_xgboost_that_stopped_early(end: str, tmp_path: Path) -> None:
    """An estimator's file answers from its best iteration, as it does; a booster's from all; and both are told."""
    path = tmp_path / f"model.{end}"
    train, seen = (NUMBERS[:80], TARGET[:80] > 0), (NUMBERS[80:], RANDOM.random(len(NUMBERS) - 80) > 0.5)
    model = xgboost.XGBClassifier(n_estimators=30, early_stopping_rounds=3, n_jobs=1)
    model.fit(*train, eval_set=[seen], verbose=False)
    best, rounds = model.best_iteration + 1, model.get_booster().num_boosted_rounds()
    assert best < rounds
    model.save_model(path)
    opened = open_model("xgboost", path)
    said = f"training stopped early, at its best after {best} of {rounds} rounds"
    assert opened.notes == (f"{said}: these answer, as the estimator does that wrote the file",)
    matrix = xgboost.DMatrix(NUMBERS)
    assert np.array_equal(opened.model.predict(matrix), model.predict_proba(NUMBERS)[:, 1])
    booster = model.get_booster()
    booster.set_attr(scikit_learn=None)
    booster.save_model(path)
    opened = open_model("xgboost", path)
    assert opened.notes[0].startswith(f"{said}: all {rounds} answer, as Booster.predict does")
    assert np.array_equal(opened.model.predict(matrix), booster.predict(matrix))
    booster[:best].save_model(path)
    assert open_model("xgboost", path).notes == ()


def test_a_file_of_lightgbm_after_stopping_early(tmp_path: Path) -> None:
    """LightGBM writes the best rounds; a note says how many of the allowed ones they are."""
    path = tmp_path / "model.txt"
    options: dict[str, Any] = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    seen = lightgbm.Dataset(FILLED[:80], TARGET[:80])
    unseen = lightgbm.Dataset(FILLED[80:], TARGET[80:], reference=seen)
    stop = lightgbm.early_stopping(2, verbose=False)
    booster = lightgbm.train(options, seen, 400, valid_sets=[unseen], callbacks=[stop])
    booster.save_model(path)
    opened = open_model("lightgbm", path)
    assert 0 < booster.best_iteration < 400
    assert opened.notes[0].startswith(f"the file holds {booster.best_iteration} of the 400 rounds")
    assert np.array_equal(opened.model.predict(FILLED), booster.predict(FILLED))
    lightgbm.train(options, seen, 4).save_model(path)
    assert open_model("lightgbm", path).notes == ()


def test_a_file_of_lightgbm_with_an_objective_of_the_user(tmp_path: Path) -> None:
    """Such a file names no objective; a note says that raw scores answer."""
    path = tmp_path / "model.txt"

    def squares(scores: Any, rows: Any) -> tuple[Any, Any]:
        return scores - rows.get_label(), np.ones(len(scores))

    options: dict[str, Any] = {"verbose": -1, "num_threads": 1, "objective": squares}
    lightgbm.train(options, lightgbm.Dataset(FILLED, TARGET), 4).save_model(path)
    assert [note for note in open_model("lightgbm", path).notes if "raw scores answer" in note]


def test_a_file_of_catboost_after_stopping_early(tmp_path: Path) -> None:
    """CatBoost keeps the best trees; a note says how many of the allowed ones they are."""
    options: dict[str, Any] = {**QUIET, "iterations": 300, "learning_rate": 1.0}
    model = catboost.CatBoostRegressor(**options)
    model.fit(FILLED[:80], TARGET[:80], eval_set=(FILLED[80:], TARGET[80:]), early_stopping_rounds=3)
    assert 0 < model.tree_count_ < 300
    for form in ("cbm", "json"):
        path = tmp_path / f"model.{form}"
        model.save_model(str(path), format=form)
        assert open_model("catboost", path).notes[0].startswith(f"the file holds {model.tree_count_} of the 300 trees")
    catboost.CatBoostRegressor(**QUIET).fit(FILLED, TARGET).save_model(str(tmp_path / "whole.cbm"))
    assert open_model("catboost", tmp_path / "whole.cbm").notes == ()


def test_a_linear_booster_that_stopped_early(tmp_path: Path) -> None:
    """A linear model answers from all of its rounds, which its booster cannot be cut to fewer of."""
    path = tmp_path / "model.ubj"
    model = xgboost.XGBRegressor(booster="gblinear", n_estimators=30, early_stopping_rounds=3, n_jobs=1)
    model.fit(FILLED[:80], TARGET[:80], eval_set=[(FILLED[80:], -TARGET[80:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    model.save_model(path)
    opened = open_model("xgboost", path)
    assert opened.notes == ()
    assert np.array_equal(opened.model.predict(xgboost.DMatrix(FILLED)), model.predict(FILLED))


def test_a_linear_booster_whose_file_counts_no_rounds(tmp_path: Path) -> None:
    """XGBoost answers such a file otherwise than the version that wrote it, where the objective has a link."""
    path = tmp_path / "model.json"
    for objective, is_noted in (("binary:logistic", True), ("reg:squarederror", False)):
        options = {"booster": "gblinear", "objective": objective}
        xgboost.train(options, xgboost.DMatrix(FILLED, TARGET > 0), 5).save_model(path)
        whole = json.loads(path.read_text())
        assert open_model("xgboost", path).notes == ()
        before = open_model("xgboost", path).model.predict(xgboost.DMatrix(FILLED))
        del whole["learner"]["gradient_booster"]["model"]["boosted_rounds"]
        path.write_text(json.dumps(whole))
        opened = open_model("xgboost", path)
        assert ["counts no rounds" in note for note in opened.notes] == [True] * is_noted
        assert np.array_equal(opened.model.predict(xgboost.DMatrix(FILLED)), before) is not is_noted
        whole["learner"]["gradient_booster"]["model"]["boosted_rounds"] = 1  # as the note says
        path.write_text(json.dumps(whole))
        assert np.array_equal(open_model("xgboost", path).model.predict(xgboost.DMatrix(FILLED)), before)


def test_boosters_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    """Their libraries follow what a file says without looking, and the process ends."""
    path = tmp_path / "model.json"
    xgboost.train({}, xgboost.DMatrix(NUMBERS, TARGET), 2).save_model(path)
    whole = path.read_text()
    faults: dict[str, tuple[int, int]] = {
        "left_children": (0, 999_999),
        "right_children": (0, 0),
        "split_indices": (0, 99),
    }
    for name, (place, value) in faults.items():
        found = json.loads(whole)
        found["learner"]["gradient_booster"]["model"]["trees"][0][name][place] = value
        path.write_text(json.dumps(found))
        with pytest.raises(PackError, match="is no model in XGBoost's JSON or UBJSON format"):
            open_model("xgboost", path)
    text = tmp_path / "model.txt"
    lightgbm.train({"verbose": -1}, lightgbm.Dataset(NUMBERS, TARGET), 5).save_model(text)
    text.write_text(text.read_text()[: text.stat().st_size // 2])
    with pytest.raises(PackError, match="is no model in LightGBM's text format"):
        open_model("lightgbm", text)


def test_the_columns_that_models_know() -> None:
    """Every library has its own word for the names of columns; what was trained on an array knows none."""
    array = FILLED.to_numpy()
    names = tuple(FILLED)
    options: dict[str, Any] = {"verbose": -1, "min_data_in_leaf": 1}
    models: list[Any] = [
        lambda data: LinearRegression().fit(data, TARGET),
        lambda data: lightgbm.train(options, lightgbm.Dataset(data, TARGET), 2),
        lambda data: xgboost.train({}, xgboost.DMatrix(data, TARGET), 2),
        lambda data: catboost.CatBoostRegressor(**QUIET).fit(data, TARGET),
    ]
    assert {trained_columns(make(FILLED)) for make in models} == {names}
    assert {trained_columns(make(array)) for make in models} == {()}
    assert trained_columns(pd.DataFrame) == ()
    assert trained_columns(b"onnx") == ()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "function"])
def test_what_is_no_file_is_refused_before_a_library_opens_it(kind: str, tmp_path: Path) -> None:
    """No library waits for a named pipe or reads a device, a folder or a file that is too long for this host."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    (tmp_path / "long").touch()
    os.truncate(tmp_path / "long", 2**40)
    reasons = {
        "pipe": "expected a file, got a named pipe",
        "device": "expected a file, got a device",
        "folder": "Is a directory",
        "long": "1,099,511,627,776 bytes; expected at most 17,179,869,184, which FOURFOLD_MAX_FILE_BYTES sets",
        "missing": "No such file",
    }
    for name, reason in reasons.items():
        with pytest.raises(PackError, match=f"{name} cannot be read: .*{reason}"):
            open_model(kind, tmp_path / name)


@pytest.mark.parametrize("named", ["estimator", "skops", "lightgbm", "xgboost", "catboost"])
@pytest.mark.parametrize("kind", ["skops", "lightgbm", "xgboost", "catboost", "estimator"])
def test_a_file_of_another_kind_is_told_its_own(kind: str, named: str, tmp_path: Path) -> None:
    """The bytes tell what a file is, whatever its name; as the kind that the error names it is opened."""
    path = tmp_path / "model"
    if kind == "skops":
        skops.io.dump(LINE, path)
    elif kind == "estimator":
        path.write_bytes(pickle.dumps(LINE))
    elif kind == "lightgbm":
        rows = lightgbm.Dataset(FILLED, TARGET)
        lightgbm.train({"verbose": -1}, rows, 2).save_model(path)
    elif kind == "xgboost":
        path.write_bytes(bytes(xgboost.train({}, xgboost.DMatrix(FILLED, TARGET), 2).save_raw("json")))
    else:
        catboost.CatBoostRegressor(**QUIET).fit(FILLED, TARGET).save_model(path, format="cbm")
    if named == kind:
        assert open_model(named, path).model is not None
        return
    with pytest.raises(PackError, match=rf"It looks like a file of the kind {kind}: --from {kind} \S*model$"):
        open_model(named, path)


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_a_file_of_xgboost_under_any_name(form: str, tmp_path: Path) -> None:
    """The bytes tell its format: XGBoost guesses from the suffix, warns where there is none, and may be wrong."""
    booster = xgboost.train({}, xgboost.DMatrix(FILLED, TARGET), 2)
    data = bytes(booster.save_raw(form))
    for name, content in [("model", data), ("model.json", data), ("model.ubj", data), ("model.bst", b"\n" + data)]:
        (tmp_path / name).write_bytes(content)
        opened = open_model("xgboost", tmp_path / name).model
        assert np.array_equal(opened.inplace_predict(FILLED), booster.inplace_predict(FILLED))


def test_files_that_no_runtime_reads_are_told_a_way(tmp_path: Path) -> None:
    """PMML, TensorFlow Lite and the binary format of old XGBoost are named, with what can be done."""
    path = tmp_path / "model"
    for data, kind, words in [
        (b'<?xml version="1.0"?>\n<PMML version="4.4"/>', "estimator", "a file of PMML: pack the model that it was"),
        (b"\x1c\0\0\0TFL3\0\0", "estimator", "a file of TensorFlow Lite: convert the network"),
        (b"binf\0\0\0?\0\0\0\x05", "xgboost", r"before 3\.1: open it there, and save it as model\.json"),
    ]:
        path.write_bytes(data)
        with pytest.raises(PackError, match=words):
            open_model(kind, path)


@pytest.mark.parametrize("model", ["model.pkl", Path("model.json"), LinearRegression])
def test_paths_and_classes_are_no_models(model: Any) -> None:
    """The error says what to give instead."""
    with pytest.raises(PackError, match=r"expected a model; got the (path|class) .*: (load it first|pack a fitted)"):
        fourfold.pack(model, name="m", rows=FILLED)
