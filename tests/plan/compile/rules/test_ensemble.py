"""Test the rules of AdaBoost, bagging and IsolationForest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, assert_exact, compiled

pytestmark = pytest.mark.filterwarnings("ignore:divide by zero encountered in log")

RNG = np.random.default_rng(7)
ROWS = 70
NUMBERS = RNG.normal(size=(ROWS, 5))
HOLES = np.where(RNG.random(NUMBERS.shape) < 0.15, np.nan, NUMBERS)
TARGET = NUMBERS[:, 0] * 2 + NUMBERS[:, 1] ** 2
TWO = TARGET > 0.5
MANY = np.array(["low", "middle", "high"])[TWO.astype(int) + (NUMBERS[:, 2] > 0.5)]
FRAME = pd.DataFrame({"whole": RNG.integers(-9, 9, ROWS), "wide": NUMBERS[:, 1], "flag": NUMBERS[:, 3] > 0})
GAPS = FRAME.assign(wide=HOLES[:, 1])

STUMPS: dict[str, Any] = {
    "trees": DecisionTreeClassifier(max_depth=2, random_state=0),
    "whole trees": ExtraTreeClassifier(random_state=0),
    "forests": RandomForestClassifier(n_estimators=3, max_depth=2, random_state=0),
    "pipelines": make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=1)),
}


@pytest.mark.parametrize("target", [TWO, MANY])
@pytest.mark.parametrize("parts", ["trees", "whole trees", "forests"])
def test_boosted_classifiers(parts: str, target: Any) -> None:
    """Votes are weighted and added in the order of the estimators."""
    model = AdaBoostClassifier(STUMPS[parts], n_estimators=6, random_state=0).fit(NUMBERS, target)
    assert_exact(model, NUMBERS, ["predict", "decision_function"])
    assert_close(model, NUMBERS, ["predict_proba", "predict_log_proba"], ulp=8)


@pytest.mark.parametrize("parts", [None, RandomForestRegressor(n_estimators=2, random_state=0)])
@pytest.mark.parametrize("loss", ["linear", "square", "exponential"])
def test_boosted_regressors(loss: str, parts: Any) -> None:
    """The answer is the weighted median of the estimators' predictions."""
    model = AdaBoostRegressor(parts, loss=loss, n_estimators=8, random_state=0).fit(NUMBERS, np.round(TARGET, 1))
    assert_exact(model, NUMBERS)


def test_boosted_frames() -> None:
    """A frame becomes an array first; a row with a missing value is refused."""
    assert_exact(AdaBoostRegressor(n_estimators=5, random_state=0).fit(FRAME, TARGET), FRAME)
    narrow = NUMBERS.astype(np.float32)
    assert_exact(AdaBoostClassifier(n_estimators=5, random_state=0).fit(narrow, MANY), narrow, ["predict"])


@pytest.mark.parametrize("options", [{}, {"max_features": 0.6}, {"bootstrap_features": True, "max_samples": 9}])
@pytest.mark.parametrize("table", ["missing", "frame"])
@pytest.mark.parametrize("parts", ["trees", "forests"])
def test_bagged_regressors(parts: str, table: str, options: dict[str, Any]) -> None:
    """Each estimator sees its own columns, and refuses nothing in the others."""
    tables = {"missing": HOLES, "frame": GAPS}
    part = {
        "trees": DecisionTreeRegressor(random_state=0),
        "forests": ExtraTreesRegressor(n_estimators=3, max_depth=4, random_state=0),
    }[parts]
    model = BaggingRegressor(part, n_estimators=5, random_state=1, **options).fit(tables[table], TARGET)
    assert_exact(model, tables[table])


def test_bagged_targets() -> None:
    """Several targets have a mean each."""
    targets = np.stack([TARGET, NUMBERS[:, 3]], axis=1)
    assert_exact(BaggingRegressor(n_estimators=5, random_state=1).fit(NUMBERS, targets), NUMBERS)


@pytest.mark.parametrize("options", [{}, {"max_features": 0.6, "max_samples": 4}])
@pytest.mark.parametrize("target", [TWO, MANY])
@pytest.mark.parametrize("parts", ["whole trees", "forests", "pipelines"])
def test_bagged_classifiers(parts: str, target: Any, options: dict[str, Any]) -> None:
    """Probabilities are means, also where an estimator has not seen all classes."""
    model = BaggingClassifier(STUMPS[parts], n_estimators=5, random_state=1, **options).fit(NUMBERS, target)
    assert_exact(model, NUMBERS)


@pytest.mark.parametrize("options", [{}, {"max_samples": 4}])
@pytest.mark.parametrize("parts", ["trees", "forests"])
def test_bagged_logarithms(parts: str, options: dict[str, Any]) -> None:
    """Logarithms of probabilities are combined by `logaddexp`, also those of 0."""
    model = BaggingClassifier(STUMPS[parts], n_estimators=5, random_state=1, **options).fit(NUMBERS, MANY)
    assert_close(model, NUMBERS, ["predict_log_proba"], ulp=8)


def test_bagged_decisions() -> None:
    """Decisions are means of the estimators' decisions."""
    part = GradientBoostingClassifier(n_estimators=3, random_state=0)
    for target in (TWO, MANY):
        model = BaggingClassifier(part, n_estimators=4, random_state=1).fit(NUMBERS, target)
        assert_exact(model, NUMBERS, ["decision_function"])


def test_bagged_votes() -> None:
    """Estimators without probabilities vote."""
    model = BaggingClassifier(RidgeClassifier(), n_estimators=4, random_state=1).fit(NUMBERS, MANY)
    assert not hasattr(model.estimators_[0], "predict_proba")
    assert_close(model, NUMBERS, ["predict", "predict_proba"], ulp=0)


@pytest.mark.parametrize("table", ["missing", "frame", "float32"])
@pytest.mark.parametrize("options", [{}, {"max_features": 0.5, "contamination": 0.1}, {"max_samples": 1}])
def test_isolation(table: str, options: dict[str, Any]) -> None:
    """The sum of depths is exact; the score is 2 to its power, and close."""
    tables = {"missing": HOLES, "frame": GAPS, "float32": NUMBERS.astype(np.float32)}
    model = IsolationForest(n_estimators=9, random_state=2, **options).fit(tables[table])
    methods = ["score_samples", "decision_function"]
    assert_exact(model, tables[table], ["predict"])
    if options.get("max_samples") == 1:
        assert_exact(model, tables[table], methods)
    else:
        assert_close(model, tables[table], methods, ulp=8)  # a score of 0.5 less 0.5 keeps few bits


@pytest.mark.parametrize("contamination", [0.1, 0.25, 0.5])
def test_isolated_exactly(contamination: float) -> None:
    """A training row whose score is the very threshold has the original's label."""
    table = RNG.normal(size=(101, 3))
    model = IsolationForest(n_estimators=20, random_state=2, contamination=contamination).fit(table)
    assert (model.decision_function(table) == 0).any()
    assert_exact(model, table, ["predict"])


def test_isolation_of_categories() -> None:
    """Behind a sparse encoder the forest is exact too; NaN goes right there."""
    frame = GAPS.assign(city=RNG.choice(["Rome", "Oslo"], ROWS))
    before = ColumnTransformer(
        [("encoded", OneHotEncoder(handle_unknown="ignore"), ["city"]), ("kept", "passthrough", ["wide"])],
        sparse_threshold=1.0,
    )
    model = make_pipeline(before, IsolationForest(n_estimators=9, random_state=2)).fit(frame)
    assert_close(model, frame, ["score_samples"], ulp=2)


class Odd(DecisionTreeClassifier):
    """A tree of a class of one's own, which may compute something else."""


def test_no_plan() -> None:
    """An ensemble of estimators without a rule has no plan; the message names them."""
    model = BaggingClassifier(Odd(), n_estimators=2, random_state=0).fit(NUMBERS, MANY)
    with pytest.raises(NoPlan, match=r"plans do not cover \w+\.Odd"):
        compiled(model, NUMBERS)
    alone = AdaBoostClassifier(n_estimators=2).fit(NUMBERS, np.zeros(ROWS))
    with pytest.raises(NoPlan, match="one class alone"):
        compiled(alone, NUMBERS, ["predict"])
