"""Outputs that are no floats: counts, flags, integers as they come, and labels of several targets in one tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import Binarizer, KBinsDiscretizer, OneHotEncoder, OrdinalEncoder

import fourfold
from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, assert_exact, compiled

RANDOM = np.random.default_rng(61)
X = RANDOM.normal(size=(90, 3))
HOLED = np.where(RANDOM.random(X.shape) < 0.1, np.nan, X)
WHOLE = RANDOM.integers(-50, 50, (90, 3))
SEVERAL = np.column_stack([X[:, 0] > 0, X[:, 1] > 0.3, X[:, 2] < 0])
TEXTS = [" ".join(RANDOM.choice(["plane", "late", "gate", "Zürich"], 5)) for _ in range(90)]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("options", [{}, {"binary": True}, {"dtype": np.int32}, {"dtype": np.float32}], ids=str)
def test_counts(options: dict[str, Any]) -> None:
    """Counts of words are integers, unless they shall be floats."""
    assert_exact(CountVectorizer(**options).fit(TEXTS), TEXTS)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint8", "uint16", "uint32"])
def test_integers_as_they_come(dtype: str) -> None:
    """What is chosen, imputed or compared keeps its dtype."""
    whole = np.abs(WHOLE).astype(dtype)
    for model in (VarianceThreshold(), SelectKBest(k=2), SimpleImputer(strategy="most_frequent"), Binarizer()):
        assert_exact(model.fit(whole, X[:, 0]), whole)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint32, bool, np.float32])
def test_codes_and_flags(dtype: Any) -> None:
    """Categories as integers, and one-hot columns as flags."""
    frame = pd.DataFrame({"s": RANDOM.choice(list("abc"), 90), "n": RANDOM.integers(0, 5, 90)})
    hot = OneHotEncoder(dtype=dtype, sparse_output=False, handle_unknown="ignore")
    assert_exact(hot.fit(frame), frame)
    assert_exact(ColumnTransformer([("hot", hot, ["s"])]).fit(frame), frame)
    if dtype is not bool:
        assert_exact(OrdinalEncoder(dtype=dtype).fit(frame), frame)


def test_what_was_missing() -> None:
    """An indicator gives booleans."""
    assert_exact(MissingIndicator(features="all").fit(HOLED), HOLED)
    assert_exact(KBinsDiscretizer(3, encode="ordinal", quantile_method="averaged_inverted_cdf").fit(X), X)


@pytest.mark.parametrize("dtype", [int, bool, np.int8, float])
def test_labels_of_several_targets(dtype: Any) -> None:
    """A row may have several labels: a tensor of flags, as integers or whatever the targets were."""
    several = SEVERAL.astype(dtype)
    for model in (OneVsRestClassifier(LogisticRegression()), RidgeClassifier(), MLPClassifier(max_iter=9)):
        assert_close(model.fit(X, several), X, ["predict"], ulp=0)


def test_other_labels_of_several_targets() -> None:
    """Chains, and an output for each target where classes are any."""
    chain = ClassifierChain(LogisticRegression()).fit(X, SEVERAL.astype(int))
    assert_close(chain, X, ["predict", "predict_proba"], ulp=64)
    named = np.where(SEVERAL, "yes", "no")
    assert_close(MultiOutputClassifier(LogisticRegression()).fit(X, named), X, ["predict"], ulp=0)
    assert_exact(RandomForestClassifier(5).fit(X, named), X, ["predict", "predict_proba"])


def test_integers_that_a_float_may_not_hold_keep_their_engine() -> None:
    """An integer of 64 bits that comes out as it came in has no plan: not all of them are a float64."""
    selector = VarianceThreshold().fit(WHOLE)
    with pytest.raises(NoPlan, match=r"float64 has not all that x0 holds"):
        compiled(selector, WHOLE)
    package = fourfold.pack(selector, name="selector", rows=WHOLE)
    assert package.manifest["runtime"]["name"] == "sklearn"
    large = {"x0": 2**60 + 1, "x1": -(2**53) - 1, "x2": 3}
    answer = fourfold.load(package).predict_one(large)
    assert answer == {"features": [2**60 + 1, -(2**53) - 1, 3]}


@pytest.mark.parametrize("label", [True, 3, "a"])
def test_a_model_of_one_class_has_no_plan(label: Any) -> None:
    """A linear model that saw one class has a score that may say another, which has no name."""
    with pytest.raises(NoPlan, match="has 1 classes, where the rules tell more apart"):
        compiled(RidgeClassifier().fit(X, np.full(len(X), label)), X, ["predict"])
