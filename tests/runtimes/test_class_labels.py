"""Test boosters whose classes get labels: the answers are those of the libraries' own classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

import fourfold
from fourfold.errors import CorruptPackage, PackError
from fourfold.runtimes.class_labels import read_classes
from fourfold.runtimes.open_model import open_model

RANDOM = np.random.default_rng(29)
FRAME = pd.DataFrame(RANDOM.normal(size=(160, 3)), columns=list("abc"))
TWO = (FRAME.a > 0).astype(int)
THREE = np.digitize(FRAME.a + FRAME.b, [-0.5, 0.7])
#: A classifier of each library, for two and for three classes, its targets, and the labels that its file gets.
CASES: dict[str, tuple[Any, Any, list[Any]]] = {
    "xgboost, two": (xgboost.XGBClassifier(n_estimators=5, n_jobs=1), TWO, ["no", "yes"]),
    "xgboost, linear": (xgboost.XGBClassifier(n_estimators=5, booster="gblinear", n_jobs=1), TWO, [False, True]),
    "xgboost, three": (xgboost.XGBClassifier(n_estimators=5, n_jobs=1), THREE, [30, -1, 7]),
    "lightgbm, two": (lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1), TWO, ["no", "yes"]),
    "lightgbm, three": (lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1), THREE, ["c", "a", "b"]),
}


def opened_from_file(case: str, folder: Path) -> tuple[Any, Any, list[Any]]:
    """Return the fitted classifier, the booster of its file, and the labels."""
    estimator, target, labels = CASES[case]
    model = estimator.fit(FRAME, target)
    if isinstance(model, xgboost.XGBModel):
        model.save_model(folder / "model.json")
        return model, open_model("xgboost", folder / "model.json").model, labels
    model.booster_.save_model(folder / "model.txt")
    return model, open_model("lightgbm", folder / "model.txt").model, labels


@pytest.mark.parametrize("engine", ["plan", "original"])
@pytest.mark.parametrize("case", CASES)
def test_labels_make_a_classifier_of_a_booster(case: str, engine: str, tmp_path: Path) -> None:
    """Labels and probabilities are those of the classifier that wrote the file, for each engine."""
    model, booster, labels = opened_from_file(case, tmp_path)
    package = fourfold.pack(booster, name="risk", rows=FRAME, engine=engine, labels=labels)
    assert [field.name for field in package.signature.outputs] == ["label", "probability"]
    assert package.signature.outputs[1].labels == tuple(map(str, labels))
    answers = fourfold.load(package, trust="foreign").predict(FRAME)
    expected = model.predict_proba(FRAME)
    assert answers["label"].tolist() == [labels[index] for index in expected.argmax(axis=1)]
    tolerance = 0.0 if engine == "original" else 1e-6
    probabilities = answers[[f"probability_{label}" for label in labels]].to_numpy()
    assert np.abs(probabilities - expected).max() <= tolerance


@pytest.mark.parametrize("case", CASES)
def test_a_booster_of_probabilities_says_so(case: str, tmp_path: Path) -> None:
    """Without labels the answer is the booster's own, and its name says that it is a probability."""
    _, booster, _ = opened_from_file(case, tmp_path)
    package = fourfold.pack(booster, name="risk", rows=FRAME)
    (output,) = package.signature.outputs
    assert output.name == "probability"
    assert output.shape == ((3,) if "three" in case else ())


@pytest.mark.parametrize("objective", ["reg:squarederror", "rank:pairwise", "count:poisson", "multi:softmax"])
def test_other_objectives_have_no_labels(objective: str) -> None:
    """What is no probability of a class stays a prediction, and labels for it are refused with the way out."""
    options = {"objective": objective, "nthread": 1, **({"num_class": 3} if "multi" in objective else {})}
    booster = xgboost.train(options, xgboost.DMatrix(FRAME, THREE), 3)
    assert [field.name for field in fourfold.pack(booster, name="n", rows=FRAME).signature.outputs] == ["prediction"]
    with pytest.raises(PackError, match="multi:softprob" if "multi" in objective else "leave labels out"):
        fourfold.pack(booster, name="n", rows=FRAME, labels=["a", "b", "c"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"], "expected 2 distinct labels, in the order of the classes 0 to 1"),
        (["a", "a"], "expected 2 distinct labels"),
        (["a", "b", "c"], "got 3"),
        ("ab", "as a list of texts"),
        ([1, "a"], "as a list of texts"),
        ([0.5, 1.5], "as a list of texts"),
        ([], "as a list of texts"),
    ],
)
def test_labels_that_do_not_fit(labels: Any, message: str) -> None:
    """As many distinct labels of one type as classes, or an error that says how many."""
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(FRAME, TWO), 3)
    with pytest.raises(PackError, match=message):
        fourfold.pack(booster, name="n", rows=FRAME, labels=labels)


def test_a_classifier_knows_its_labels() -> None:
    """Labels are for boosters: what an estimator answers is its own."""
    for case in ("xgboost, two", "lightgbm, two"):
        estimator, target, labels = CASES[case]
        with pytest.raises(PackError, match="knows its own"):
            fourfold.pack(estimator.fit(FRAME, target), name="n", rows=FRAME, labels=labels)


def test_classes_of_a_hostile_package() -> None:
    """A short text may not ask for gigabytes."""
    with pytest.raises(CorruptPackage, match="which no model has"):
        read_classes({"classes": {"dtype": "U100000000", "values": ["a"]}})


@pytest.mark.parametrize("objective", ["reg:logistic", "cross_entropy", "xentropy"])
def test_a_logistic_regression_is_a_probability_by_any_name(objective: str) -> None:
    """What the sigmoid answers is called so, and labels name its two ends."""
    target = np.array([0.0, 1.0])[TWO.astype(int)]
    booster: Any
    if objective == "reg:logistic":
        booster = xgboost.train({"objective": objective, "nthread": 1}, xgboost.DMatrix(FRAME, target), 3)
        expected = booster.predict(xgboost.DMatrix(FRAME))
    else:
        booster = lightgbm.train({"objective": objective, "verbose": -1}, lightgbm.Dataset(FRAME, target), 3)
        expected = booster.predict(FRAME, num_threads=1)
    package = fourfold.pack(booster, name="m", rows=FRAME, measure=False)
    answers = fourfold.load(package, trust="foreign").predict(FRAME)
    assert list(answers.columns) == ["probability"]
    np.testing.assert_allclose(answers.probability, expected, rtol=1e-6)
    labelled = fourfold.pack(booster, name="m", rows=FRAME, labels=["no", "yes"], measure=False)
    labels = fourfold.load(labelled, trust="foreign").predict(FRAME).label
    assert labels.tolist() == np.where(expected > 0.5, "yes", "no").tolist()


def test_what_cross_entropy_lambda_answers_is_no_probability() -> None:
    """It is `log(1 + exp(margin))`, which may be above 1."""
    booster = lightgbm.train({"objective": "cross_entropy_lambda", "verbose": -1}, lightgbm.Dataset(FRAME, TWO), 3)
    package = fourfold.pack(booster, name="m", rows=FRAME, measure=False)
    assert [field.name for field in package.signature.outputs] == ["prediction"]
    with pytest.raises(PackError, match="leave labels out"):
        fourfold.pack(booster, name="m", rows=FRAME, labels=["no", "yes"])
