"""Test the rules of scikit-learn's gradient boosting, with exact splits and with histograms."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.tree import DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from fourfold.plan.compile.columns import NoPlan
from fourfold.plan.compile.model import compile_model
from tests.plan.comparison import assert_close, assert_exact, compiled

pytestmark = pytest.mark.filterwarnings("ignore:Found unknown categories")

RNG = np.random.default_rng(6)
ROWS = 70
NUMBERS = RNG.normal(size=(ROWS, 4))
HOLES = np.where(RNG.random(NUMBERS.shape) < 0.15, np.nan, NUMBERS)
TARGET = NUMBERS[:, 0] * 2 + NUMBERS[:, 1] ** 2 + 5
TWO = (TARGET > 5).astype(int)
MANY = np.array(["low", "middle", "high"])[TWO + (NUMBERS[:, 2] > 0.5)]
FRAME = pd.DataFrame(
    {
        "whole": RNG.integers(-9, 9, ROWS),
        "wide": HOLES[:, 1],
        "narrow": NUMBERS[:, 0].astype(np.float32),
        "flag": NUMBERS[:, 3] > 0,
    }
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Train with one thread: more of them wait for each other, busily, where processors are taken."""
    with threadpool_limits(limits=1):
        yield


#: Of each method whether the original's bits follow from its arithmetic alone.
EXACT, CLOSE = ["predict", "decision_function"], ["predict_proba"]


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile"])
def test_regressors(loss: str) -> None:
    """The sum of the trees has the same bits for every loss."""
    model = GradientBoostingRegressor(loss=loss, n_estimators=13, random_state=0, learning_rate=0.3, alpha=0.7)
    assert_exact(model.fit(NUMBERS, TARGET), NUMBERS)


@pytest.mark.parametrize("loss", ["log_loss", "exponential"])
def test_classifiers_of_two(loss: str) -> None:
    """The sum and the label are exact, the probabilities close."""
    model = GradientBoostingClassifier(loss=loss, n_estimators=7, random_state=0).fit(NUMBERS, TWO)
    assert_exact(model, NUMBERS, EXACT)
    assert_close(model, NUMBERS, [*CLOSE, "predict_log_proba"], ulp=8)


def test_classifiers_of_many() -> None:
    """Each class has a sum of its own."""
    model = GradientBoostingClassifier(n_estimators=7, random_state=0, max_leaf_nodes=5).fit(NUMBERS, MANY)
    assert_exact(model, NUMBERS, EXACT)
    assert_close(model, NUMBERS, [*CLOSE, "predict_log_proba"], ulp=8)


INITIAL: dict[str, tuple[Any, Any]] = {
    "zero": ("zero", TWO),
    "zero of many": ("zero", MANY),
    "uniform": (DummyClassifier(strategy="uniform"), MANY),
    "most frequent": (DummyClassifier(strategy="most_frequent"), TWO),
    "median": (DummyRegressor(strategy="median"), TARGET),
    "tree": (DecisionTreeRegressor(max_depth=2), TARGET),
}


@pytest.mark.parametrize("initial", INITIAL)
def test_initial_estimators(initial: str) -> None:
    """Sums may begin with nothing, with constants, or with another model's prediction."""
    first, target = INITIAL[initial]
    kind = GradientBoostingRegressor if target is TARGET else GradientBoostingClassifier
    model = kind(init=first, n_estimators=5, random_state=0).fit(NUMBERS, target)
    assert_exact(model, NUMBERS, EXACT if target is not TARGET else None)


@pytest.mark.parametrize("loss", ["log_loss", "exponential"])
@pytest.mark.parametrize("target", [TWO, MANY])
def test_initial_probabilities(target: Any, loss: str) -> None:
    """Probabilities become raw values by a logarithm of NumPy or SciPy, within a few last bits."""
    if target is MANY and loss == "exponential":
        target = MANY != "low"
    first = RandomForestClassifier(n_estimators=4, max_depth=3, random_state=0)
    model = GradientBoostingClassifier(loss=loss, init=first, n_estimators=5, random_state=0).fit(NUMBERS, target)
    assert_close(model, NUMBERS, ["decision_function"], ulp=8)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "quantile"])
@pytest.mark.parametrize("table", ["missing", "float32", "frame", "masked", "polars", "by columns"])
def test_histogram_regressors(table: str, loss: str) -> None:
    """The sum is exact, with missing values, infinities and every container."""
    tables = {
        "missing": HOLES,
        "float32": HOLES.astype(np.float32),
        "frame": FRAME,
        "masked": FRAME.astype({"whole": "Int64", "wide": "Float64", "flag": "boolean"}),
        "polars": pl.from_pandas(FRAME),
        "by columns": np.asfortranarray(HOLES),
    }
    model = HistGradientBoostingRegressor(loss=loss, quantile=0.3, max_iter=9, min_samples_leaf=4)
    assert_exact(model.fit(tables[table], TARGET), tables[table])


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_histograms_and_exponentials(loss: str) -> None:
    """With the losses Poisson and gamma, the answer is the exponential of the sum."""
    model = HistGradientBoostingRegressor(loss=loss, max_iter=9, min_samples_leaf=4).fit(HOLES, TARGET**2)
    assert_close(model, HOLES, ulp=2)


@pytest.mark.parametrize("target", [TWO, MANY])
def test_histogram_classifiers(target: Any) -> None:
    """The sums and the label are exact, the probabilities close."""
    model = HistGradientBoostingClassifier(max_iter=7, min_samples_leaf=4).fit(HOLES, target)
    assert_exact(model, HOLES, EXACT)
    assert_close(model, HOLES, CLOSE, ulp=8)


def categories() -> pd.DataFrame:
    """Return columns of categories of text and of numbers, with missing ones."""
    frame = FRAME.assign(
        city=pd.Categorical(RNG.choice(["Rome", "Oslo", "Bern", "Lyon", "Kyiv"], ROWS)),
        code=pd.Categorical(RNG.integers(0, 7, ROWS)),
        word=RNG.choice(["a", "b", "c"], ROWS),
    )
    frame.loc[::6, "city"] = np.nan
    return frame


KINDS: dict[str, Any] = {
    "by dtype": "from_dtype",
    "by name": ["city", "word"],
    "all": ["city", "code", "word", "whole", "flag"],
    "by place": [4, 6],
    "by mask": [False, False, False, False, True, True, True],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", [TARGET, MANY])
def test_categories(kind: str, target: Any) -> None:
    """Trees test categories themselves; unknown ones go where missing ones go."""
    frame = categories()
    if kind == "by dtype":
        frame = frame.astype({"word": "category"})
    elif kind == "by name":
        frame = frame.drop(columns="code")
    elif kind == "by place":
        frame = frame.astype({"code": np.int64})
    boost = HistGradientBoostingRegressor if target is TARGET else HistGradientBoostingClassifier
    effect = (frame["city"] == "Rome") * 3 + (frame["word"] == "b") * 2
    aim = TARGET + effect if target is TARGET else np.where(effect > 2, "much", MANY)
    model = boost(categorical_features=KINDS[kind], max_iter=9, min_samples_leaf=3).fit(frame, aim)
    assert_exact(model, frame, ["predict"])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_categories_of_an_array(dtype: Any) -> None:
    """Categories may be numbers in an array, in any order; all other numbers are unknown."""
    table = np.stack([RNG.integers(0, 9, ROWS) * 3 - 4, RNG.integers(-50, 50, ROWS), RNG.integers(0, 2, ROWS)], axis=1)
    table = table.astype(dtype)
    if dtype != np.int64:
        table[::8, 0] = np.nan
    aim = TARGET + (table[:, 0] == 5) * 4 + table[:, 2]
    model = HistGradientBoostingRegressor(categorical_features=[0, 2], max_iter=9, min_samples_leaf=2).fit(table, aim)
    assert_exact(model, table)


def test_many_categories() -> None:
    """The largest number of categories works, also behind an encoder of the user."""
    city = np.array([f"city {place}" for place in RNG.integers(0, 240, 600)], dtype=object)
    frame = pd.DataFrame({"city": city, "wide": RNG.normal(size=600)})
    aim = np.array([len(each) * 2.5 + ord(each[-1]) % 3 for each in city])
    model = HistGradientBoostingRegressor(categorical_features=["city"], max_iter=5, min_samples_leaf=1)
    assert_exact(model.fit(frame, aim), frame.head(60))
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    behind = HistGradientBoostingRegressor(categorical_features=[0], max_iter=5, min_samples_leaf=1)
    assert_exact(make_pipeline(encoder, behind).fit(frame[["city"]], aim), frame[["city"]].head(60))


@pytest.mark.seeds(8, sweep=200)
def test_parameters(seed: int) -> None:
    """Plans are exact for rates, limits, constraints, weights and early stopping."""
    source = random.Random(seed)
    if seed % 2:
        boost: Any = HistGradientBoostingRegressor(
            learning_rate=source.choice([0.1, 1.0]),
            max_leaf_nodes=source.choice([2, 7, None]),
            max_depth=source.choice([None, 1]),
            l2_regularization=source.choice([0.0, 3.0]),
            max_features=source.choice([0.5, 1.0]),
            max_bins=source.choice([3, 255]),
            monotonic_cst=source.choice([None, [1, 0, -1, 0]]),
            interaction_cst=source.choice([None, "no_interactions"]),
            early_stopping=source.choice([True, False]),
            min_samples_leaf=3,
            max_iter=6,
            random_state=seed,
        )
    else:
        boost = GradientBoostingRegressor(
            learning_rate=source.choice([0.1, 1.0]),
            subsample=source.choice([0.5, 1.0]),
            max_depth=source.choice([1, 5]),
            max_features=source.choice([None, "sqrt"]),
            n_iter_no_change=source.choice([None, 2]),
            ccp_alpha=source.choice([0.0, 0.05]),
            n_estimators=9,
            random_state=seed,
        )
    table = HOLES if seed % 2 else NUMBERS.astype(source.choice([np.float32, np.float64]))
    weights = np.array([source.random() for _ in range(ROWS)])
    assert_exact(boost.fit(table, TARGET, sample_weight=weights), table)


def test_no_plan() -> None:
    """An initial estimator without a rule, or one that answers at random, has no plan."""
    model = GradientBoostingClassifier(init=DummyClassifier(strategy="prior"), n_estimators=3).fit(NUMBERS, TWO)
    model.init_ = type("Unknown", (DummyClassifier,), {})(strategy="prior").fit(NUMBERS, TWO)
    form = {"container": "numpy", "dtype": "float64"}
    plain = GradientBoostingClassifier(n_estimators=3).fit(NUMBERS, TWO)
    _, signature, _ = compiled(plain, NUMBERS, ["decision_function"])
    with pytest.raises(NoPlan, match="plans do not cover"):
        compile_model(model, form, signature.inputs, [("decision_function", None)], signature.outputs)
