"""Test the rules of scikit-learn's trees and forests."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    RandomTreesEmbedding,
)
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, assert_exact, compiled, proof

pytestmark = pytest.mark.filterwarnings("ignore:divide by zero encountered in log")

RNG = np.random.default_rng(5)
ROWS = 70
NUMBERS = RNG.normal(size=(ROWS, 4))
HOLES = np.where(RNG.random(NUMBERS.shape) < 0.15, np.nan, NUMBERS)
TARGET = NUMBERS[:, 0] * 2 + NUMBERS[:, 1] ** 2
CLASSES = (TARGET > 0.5).astype(int) + (NUMBERS[:, 2] > 1)
REGRESSORS = (DecisionTreeRegressor, ExtraTreeRegressor, RandomForestRegressor, ExtraTreesRegressor)
CLASSIFIERS = (DecisionTreeClassifier, ExtraTreeClassifier, RandomForestClassifier, ExtraTreesClassifier)
#: An odd number of trees, so that a mean is rounded.
FEW: dict[Any, dict[str, Any]] = {
    each: {"n_estimators": 7} if each.__name__.startswith(("Random", "ExtraTrees")) else {}
    for each in REGRESSORS + CLASSIFIERS
}

INTEGERS = RNG.integers(-50, 50, (ROWS, 4))
FRAME = pd.DataFrame(
    {
        "whole": INTEGERS[:, 0],
        "narrow": NUMBERS[:, 1].astype(np.float32),
        "wide": NUMBERS[:, 2],
        "flag": NUMBERS[:, 3] > 0,
        "small": INTEGERS[:, 1].astype(np.int8),
    }
)
TABLES: dict[str, Any] = {
    "float64": NUMBERS,
    "float64, by columns": np.asfortranarray(NUMBERS),
    "float32": NUMBERS.astype(np.float32),
    "int64": INTEGERS,
    "uint8": INTEGERS.astype(np.uint8),
    "missing": HOLES,
    "missing, float32": HOLES.astype(np.float32),
    "frame": FRAME,
    "frame with missing values": FRAME.assign(wide=HOLES[:, 2], other=HOLES[:, 1]),
    "masked": FRAME.astype({"whole": "Int32", "flag": "boolean", "wide": "Float64"}),
    "objects": FRAME[["whole", "wide"]].astype(object),
    "polars": pl.from_pandas(FRAME),
}


def fitted(kind: Any, table: Any, target: Any, **options: Any) -> Any:
    """Return an estimator that is fitted to a table."""
    return kind(random_state=3, **FEW[kind], **options).fit(table, target)


PAIRS = [(kind, table) for kind in (DecisionTreeRegressor, RandomForestRegressor) for table in TABLES]
PAIRS += [(kind, table) for kind in (ExtraTreeRegressor, ExtraTreesRegressor) for table in ("missing", "frame")]


@pytest.mark.parametrize(("kind", "table"), PAIRS)
def test_regressors(kind: Any, table: str) -> None:
    """A regressor is exact for every container, and refuses the same rows."""
    assert_exact(fitted(kind, TABLES[table], TARGET), TABLES[table])


@pytest.mark.parametrize("table", ["float64", "missing", "frame", "float32"])
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers(kind: Any, table: str) -> None:
    """A classifier's labels and probabilities are exact."""
    assert_exact(fitted(kind, TABLES[table], np.array(["no", "maybe", "yes"])[CLASSES]), TABLES[table])


@pytest.mark.parametrize("classes", [CLASSES, CLASSES > 0, CLASSES * 1.0, np.where(CLASSES, "a", "bb"), CLASSES * 0])
def test_classes(classes: Any) -> None:
    """Classes may be integers, booleans, floats and text: one, two or many."""
    assert_exact(fitted(RandomForestClassifier, NUMBERS, classes), NUMBERS)


@pytest.mark.parametrize("kind", REGRESSORS)
def test_many_targets(kind: Any) -> None:
    """A regressor may have several targets."""
    assert_exact(fitted(kind, NUMBERS, np.stack([TARGET, NUMBERS[:, 3], -TARGET], axis=1)), NUMBERS)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_many_labels(kind: Any) -> None:
    """A classifier may have several targets, each with its own classes."""
    targets = np.stack([CLASSES, CLASSES * 0 + 4, np.abs(INTEGERS[:, 0]) % 5], axis=1)
    assert_exact(fitted(kind, NUMBERS, targets), NUMBERS)
    assert_close(fitted(kind, NUMBERS, targets), NUMBERS, ["predict_log_proba"])


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_logarithms(kind: Any) -> None:
    """Logarithms of probabilities are close; that of 0 is minus infinity."""
    assert_close(fitted(kind, NUMBERS, CLASSES, max_depth=3), NUMBERS, ["predict_log_proba"], ulp=2)


@pytest.mark.seeds(12, sweep=400)
def test_parameters(seed: int) -> None:
    """Plans are exact for all criteria, limits, pruning, weights, constraints and best-first growth."""
    source = random.Random(seed)
    is_classifier = bool(seed % 2)
    kind = (CLASSIFIERS if is_classifier else REGRESSORS)[seed // 2 % 4]
    options: dict[str, Any] = {
        "max_depth": source.choice([None, 1, 4]),
        "max_leaf_nodes": source.choice([None, 2, 13]),
        "min_samples_leaf": source.choice([1, 5]),
        "max_features": source.choice([None, "sqrt", 0.5]),
        "ccp_alpha": source.choice([0.0, 0.01, 10.0]),
    }
    if is_classifier:
        options["criterion"] = source.choice(["gini", "entropy"])
        options["class_weight"] = source.choice([None, "balanced"])
    elif not options["max_leaf_nodes"]:
        options["monotonic_cst"] = [1, 0, -1, 0]
    if kind in (RandomForestRegressor, RandomForestClassifier):
        options |= {"bootstrap": source.random() < 0.5, "max_samples": None}
    target = CLASSES if is_classifier else TARGET
    model = kind(random_state=seed, **FEW[kind], **{key: each for key, each in options.items() if each is not None})
    tables = [NUMBERS, HOLES, NUMBERS.astype(np.float32)]
    table = tables[0 if "monotonic_cst" in options else source.randrange(3)]
    assert_exact(model.fit(table, target, sample_weight=np.array([source.random() for _ in range(ROWS)])), table)


def test_negative_zero() -> None:
    """A single tree's leaf of -0.0 answers with it; a forest of one tree adds it to 0."""
    target = np.where(NUMBERS[:, 0] > 0, -0.0, 1.0)
    assert_exact(fitted(DecisionTreeRegressor, NUMBERS, target), NUMBERS)
    assert_exact(RandomForestRegressor(n_estimators=1, random_state=0).fit(NUMBERS, target), NUMBERS)


@pytest.mark.parametrize("kind", ["array", "unsigned", "frame", "with flags", "with floats", "masked", "polars"])
def test_long_integers(kind: str) -> None:
    """An integer beyond 2^53 becomes a float32 in as many roundings as scikit-learn makes."""
    long = [(1 << 54) + each for each in (-(1 << 30) + 1, -(1 << 29) - 1, 0, (1 << 30) - 4, (1 << 30) + 1, 1 << 31)]
    column = np.array([*long, 1 << 61, 5, (1 << 60) + 5] * 5, dtype=np.int64)
    frame = pd.DataFrame({"a": column, "b": column[::-1]})
    tables: dict[str, Any] = {
        "array": frame.to_numpy(),
        "unsigned": frame.to_numpy().astype(np.uint64),
        "frame": frame,
        "with flags": frame.assign(c=True, d=0.5),
        "with floats": frame.assign(c=0.5),
        "masked": frame.astype({"a": "Int64"}).assign(c=0.5),
        "polars": pl.from_pandas(frame.assign(c=True)),
    }
    table = tables[kind]
    assert_exact(DecisionTreeRegressor(random_state=0).fit(table, np.arange(len(column)) % 9), table)


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_integers_beyond_float32(dtype: Any) -> None:
    """An integer of 32 bits is rounded to float32 first, which takes some to the other side of a threshold."""
    column = np.arange((1 << 24) + 2, (1 << 24) + 9, 2, dtype=dtype)[:, None]
    model = DecisionTreeRegressor(random_state=0).fit(column, np.arange(len(column)))
    assert (model.predict(column + 1) != model.predict(column)).any()
    assert_exact(model, np.arange((1 << 24) + 2, (1 << 24) + 9, dtype=dtype)[:, None])


def categories() -> pd.DataFrame:
    """Return columns of categories and numbers, some of them missing."""
    frame = FRAME.assign(
        city=RNG.choice(["Rome", "Oslo", "Bern", "Lyon"], ROWS),
        day=pd.Categorical(RNG.choice(["mon", "tue"], ROWS)),
        wide=HOLES[:, 2],
    )
    frame.loc[::7, "city"] = None
    frame.loc[::5, "day"] = np.nan
    return frame


ENCODERS = {
    "one-hot": OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    "infrequent": OneHotEncoder(handle_unknown="infrequent_if_exist", sparse_output=False, min_frequency=25),
    "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    "ordinal with NaN": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
    "target": TargetEncoder(),
}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoded_columns(encoder: str) -> None:
    """Trees on encoded categories test the categories themselves, also unknown and missing ones."""
    frame = categories()
    before = ColumnTransformer(
        [("encoded", ENCODERS[encoder], ["city", "day"]), ("kept", "passthrough", ["whole", "wide"])]
    )
    model = make_pipeline(before, RandomForestRegressor(n_estimators=7, random_state=0))
    target = TARGET + (frame["city"] == "Rome") * 2 + (frame["day"] == "mon")
    assert_exact(model.fit(frame, target), frame)
    classifier = make_pipeline(before, ExtraTreesClassifier(n_estimators=7, random_state=0))
    assert_exact(classifier.fit(frame, (target > 1).astype(int)), frame)


def test_sparse_matrices() -> None:
    """Behind a sparse encoder NaN is refused, though trees take it elsewhere."""
    frame = categories()
    before = ColumnTransformer(
        [("encoded", OneHotEncoder(handle_unknown="ignore"), ["city", "day"]), ("kept", "passthrough", ["narrow"])],
        sparse_threshold=1.0,
    )
    model = make_pipeline(before, RandomForestRegressor(n_estimators=5, random_state=0))
    assert_exact(model.fit(frame, TARGET), frame)


@pytest.mark.parametrize("sparse", [False, True])
def test_embedding(sparse: bool) -> None:
    """An embedding has a column for each leaf; a linear model behind it sums over the leaves."""
    embedding = RandomTreesEmbedding(n_estimators=4, random_state=0, sparse_output=sparse)
    assert_exact(embedding.fit(NUMBERS), NUMBERS)
    assert proof(make_pipeline(embedding, Ridge()).fit(NUMBERS, TARGET), NUMBERS).ulp < 64


def test_no_plan() -> None:
    """An embedding whose encoder does not know a leaf has no plan."""
    embedding = RandomTreesEmbedding(n_estimators=2, random_state=0).fit(NUMBERS)
    embedding.one_hot_encoder_.categories_[1] = embedding.one_hot_encoder_.categories_[1][:-1]
    embedding.one_hot_encoder_.handle_unknown = "ignore"
    with pytest.raises(NoPlan, match="tree 1 of the RandomTreesEmbedding"):
        compiled(embedding, NUMBERS)
