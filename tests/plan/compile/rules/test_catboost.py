"""Test the rules of CatBoost: plans against its own answers."""

from __future__ import annotations

from typing import Any

import catboost
import numpy as np
import pandas as pd
import pytest

from fourfold.modelfiles.catboost_cbm import read
from fourfold.plan.compile import answer
from fourfold.plan.compile.columns import NA, Coded, Compiler, Matrix, NoPlan, Numeric, Text
from fourfold.plan.compile.rules.cityhash import category_hash
from fourfold.plan.graph.builder import Graph
from tests.plan.comparison import assert_close, assert_exact, compiled

RANDOM = np.random.default_rng(17)
ROWS = 240
OPTIONS: dict[str, Any] = {"iterations": 12, "verbose": 0, "allow_writing_files": False, "thread_count": 1}


def numbers() -> np.ndarray:
    """Return four columns: with zeros, with NaN, with infinities, and of small integers."""
    out = RANDOM.normal(size=(ROWS, 4))
    out[::7, 0] = 0.0
    out[::11, 0] = -0.0
    out[::5, 1] = np.nan
    out[::31, 2] = np.inf
    out[::37, 2] = -np.inf
    out[:, 3] = RANDOM.integers(0, 12, ROWS)
    return out


NUMBERS = numbers()
TARGET = NUMBERS[:, 0] + np.nan_to_num(NUMBERS[:, 1]) + np.isin(NUMBERS[:, 3], (2, 5, 7))
LABELS = np.digitize(TARGET, [-0.5, 1.0])


def frame() -> pd.DataFrame:
    """Return numbers, and categories of all kinds that CatBoost takes: text, integers, booleans and pandas'."""
    texts = ["x", "", "zz", "a long text of more than sixteen bytes", "ü", "w" * 90]
    out = pd.DataFrame({"a": NUMBERS[:, 0], "k": RANDOM.choice(texts, ROWS)})
    out["i"] = RANDOM.integers(-3, 3, ROWS)
    out["big"] = np.array([2**62 + 1, -(2**62), 7])[RANDOM.integers(0, 3, ROWS)]
    out["b"] = RANDOM.random(ROWS) > 0.5
    out["c"] = pd.Categorical(RANDOM.choice(list("pqr"), ROWS), categories=list("rpqs"))
    out["ci"] = pd.Categorical(RANDOM.choice([5, 10], ROWS))
    out["n"] = NUMBERS[:, 1]
    return out


FRAME = frame()
CATEGORIES: dict[str, Any] = {**OPTIONS, "cat_features": ["k", "i", "big", "b", "c", "ci"]}
GOAL = ((FRAME.k == "x") * 3 + FRAME.i % 2 * (FRAME.c == "q") * 4 + (FRAME.ci == 5) * FRAME.b + FRAME.a).to_numpy()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"nan_mode": "Max"},
        {"nan_mode": "Min", "border_count": 5},
        {"boost_from_average": False},
        {"iterations": 3, "depth": 1},
        {"iterations": 2, "depth": 10},
        {"loss_function": "Quantile:alpha=0.3"},
        {"loss_function": "MAE"},
        {"grow_policy": "Lossguide", "max_leaves": 20},
        {"grow_policy": "Depthwise", "depth": 4, "nan_mode": "Max"},
    ],
    ids=str,
)
def test_regressors_are_exact(options: dict[str, Any], dtype: str) -> None:
    """A regressor's plan has its bits, for every shape of tree and every treatment of NaN."""
    data = NUMBERS.astype(dtype)
    assert_exact(catboost.CatBoostRegressor(**{**OPTIONS, **options}).fit(data, TARGET), data)


@pytest.mark.parametrize("grown", ["SymmetricTree", "Lossguide"])
def test_many_targets_are_exact(grown: str) -> None:
    """Trees may have several numbers a leaf, each with its own bias."""
    model = catboost.CatBoostRegressor(**OPTIONS, loss_function="MultiRMSE", grow_policy=grown)
    assert_exact(model.fit(NUMBERS, np.column_stack([TARGET, 100 - TARGET, TARGET**2])), NUMBERS)


@pytest.mark.parametrize("loss", ["Poisson", "Tweedie:variance_power=1.5", "RMSEWithUncertainty"])
def test_losses_with_exponents_are_close(loss: str) -> None:
    """Where CatBoost computes `exp`, the plan says that it is not exact, and is within a few ulp."""
    model = catboost.CatBoostRegressor(**OPTIONS, loss_function=loss).fit(NUMBERS, np.abs(TARGET))
    assert_close(model, NUMBERS, ulp=16)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        ("Logloss", TARGET > 0),
        ("Logloss", np.array(["no", "yes"], dtype=object)[(TARGET > 0).astype(int)]),
        ("CrossEntropy", (TARGET > 0).astype(float)),
        ("MultiClass", LABELS),
        ("MultiClassOneVsAll", LABELS),
    ],
    ids=["booleans", "texts", "cross entropy", "classes", "each against all"],
)
def test_classifiers_are_close(loss: str, target: Any) -> None:
    """A classifier's labels are exact, its probabilities close."""
    model = catboost.CatBoostClassifier(**OPTIONS, loss_function=loss).fit(NUMBERS, target)
    assert_close(model, NUMBERS, ulp=16)


@pytest.mark.parametrize(
    "options",
    [
        {"iterations": 60, "depth": 8},
        {"max_ctr_complexity": 1},
        {"one_hot_max_size": 20},
        {"grow_policy": "Lossguide"},
        {"simple_ctr": ["Buckets", "Counter"], "combinations_ctr": ["Buckets:TargetBorderCount=3", "Counter"]},
        {"simple_ctr": ["BinarizedTargetMeanValue"], "combinations_ctr": ["BinarizedTargetMeanValue"]},
        {"simple_ctr": ["Borders:TargetBorderCount=4:Prior=0.3/1"], "iterations": 40},
        {"nan_mode": "Max", "iterations": 60},
        {"counter_calc_method": "Full", "simple_ctr": "Counter"},
    ],
    ids=str,
)
def test_categories_are_exact(options: dict[str, Any]) -> None:
    """Categories and their combinations have the statistics that CatBoost counted in training, known or not."""
    model = catboost.CatBoostRegressor(**{**CATEGORIES, **options}).fit(FRAME, GOAL)
    assert_exact(model, FRAME)


@pytest.mark.parametrize("nan_mode", ["Min", "Max"])
def test_combinations_of_all_kinds_are_exact(nan_mode: str) -> None:
    """A statistic may combine several categories, splits of numbers and single categories."""
    random = np.random.default_rng(1)
    data = pd.DataFrame({name: random.choice(list("abcdefgh"), ROWS) for name in ("k", "l")})
    data["m"] = random.integers(0, 2, ROWS)
    data["x"] = np.where(random.random(ROWS) < 0.2, np.nan, random.normal(size=ROWS))
    worth = random.normal(size=(8, 8, 2, 2))
    target = worth[*(data[name].map("abcdefgh".index) for name in "kl"), data.m, (data.x > 0).astype(int)] * 5
    model = catboost.CatBoostRegressor(
        **{**OPTIONS, "iterations": 80}, depth=8, nan_mode=nan_mode, cat_features=["k", "l", "m"], max_ctr_complexity=4
    ).fit(data, target)
    found = read(model._serialize_model())
    assert max(len(ctr.cats) for ctr in found.ctrs) > 1
    assert {split.kind for ctr in found.ctrs for split in ctr.splits} == {"float", "category"}
    assert_exact(model, data)


@pytest.mark.parametrize("target", [GOAL > 2, np.digitize(GOAL, [0, 2, 4])], ids=["two classes", "many"])
def test_classifiers_with_categories_are_close(target: Any) -> None:
    """The statistics of a classifier count its classes."""
    assert_close(catboost.CatBoostClassifier(**CATEGORIES).fit(FRAME, target), FRAME, ulp=16)


@pytest.mark.parametrize("loss", ["MultiLogloss", "MultiCrossEntropy"])
def test_statistics_are_counted_for_each_target(loss: str) -> None:
    """With several targets, the same categories have a table for each of them."""
    target = np.column_stack([GOAL > 2, GOAL > 4, FRAME.k == "x"]).astype(float)
    model = catboost.CatBoost({**CATEGORIES, "loss_function": loss, "one_hot_max_size": 2}).fit(FRAME, target)
    keys = read(model._serialize_model()).tables
    assert len({key[:-1] for key in keys}) < len(keys)
    assert_exact(model, FRAME)


def test_other_estimators_are_exact() -> None:
    """A ranker and CatBoost's base class answer with their sum."""
    ranker = catboost.CatBoostRanker(**CATEGORIES, loss_function="QueryRMSE")
    assert_exact(ranker.fit(FRAME, GOAL, group_id=np.repeat([0, 1], ROWS // 2)), FRAME)
    assert_exact(catboost.CatBoost(CATEGORIES).fit(FRAME, GOAL), FRAME)


def test_other_containers_are_exact() -> None:
    """Containers may be arrays of integers (also as categories) or of objects, and frames with missing integers."""
    integers = RANDOM.integers(-2, 5, (ROWS, 3))
    for options in ({}, {"cat_features": [0, 2]}):
        assert_exact(catboost.CatBoostRegressor(**OPTIONS, **options).fit(integers, GOAL), integers)
        small = integers.astype("int8")
        assert_exact(catboost.CatBoostRegressor(**OPTIONS, **options).fit(small, GOAL), small)
    objects = FRAME[["k", "i", "n"]].to_numpy(dtype=object)
    assert_exact(catboost.CatBoostRegressor(**OPTIONS, cat_features=[0, 1]).fit(objects, GOAL), objects)
    masked = FRAME[["a", "i"]].astype({"i": "Int64"})
    masked.loc[::5, "i"] = pd.NA
    assert_exact(catboost.CatBoostRegressor(**OPTIONS).fit(masked, GOAL), masked)


@pytest.mark.seeds(10, sweep=200)
def test_random_models_are_exact(seed: int) -> None:
    """Models of random parameters on random data, with ties, huge numbers, missing values and many categories."""
    random = np.random.default_rng(seed)
    data = pd.DataFrame(random.normal(size=(ROWS, 3)) * 10.0 ** random.integers(-30, 30, 3), columns=list("abc"))
    data.loc[random.random(ROWS) < random.choice([0.0, 0.3]), "b"] = np.nan
    data["k"] = [f"category {each}" for each in random.integers(0, random.choice([2, 9, 60]), ROWS)]
    data["l"] = random.integers(0, 4, ROWS)
    target = (data.a > 0) + (data.k > "category 4") * (data.l % 2) + random.normal(size=ROWS) * 0.1
    options = {
        "depth": int(random.integers(1, 9)),
        "learning_rate": float(random.choice([0.03, 0.5])),
        "nan_mode": str(random.choice(["Min", "Max"])),
        "one_hot_max_size": int(random.choice([2, 10])),
        "max_ctr_complexity": int(random.choice([1, 2, 4])),
        "grow_policy": str(random.choice(["SymmetricTree", "Lossguide", "Depthwise"])),
        "border_count": int(random.choice([4, 254])),
        "random_seed": seed,
    }
    categorical = ["k", "l"] if random.random() < 0.7 else ["k"]
    assert_exact(catboost.CatBoostRegressor(**OPTIONS, **options, cat_features=categorical).fit(data, target), data)


def test_a_category_of_any_length_has_catboosts_hash() -> None:
    """The hash of a text is the one that CatBoost stores, for texts of every length."""
    for size in (*range(20), 31, 32, 33, 63, 64, 65, 128, 129, 200):
        text = "".join(RANDOM.choice(list("abcdefü€ 0123"), size))
        data = pd.DataFrame({"t": [text, f"other {size}"] * 20})
        model = catboost.CatBoostRegressor(
            **{**OPTIONS, "iterations": 1}, depth=1, cat_features=["t"], one_hot_max_size=5
        )
        found = {split.value for split in read(model.fit(data, [0.0, 1.0] * 20)._serialize_model()).splits}
        assert found <= {category_hash(each.encode()) for each in data.t}
        assert found


def test_what_has_no_plan() -> None:
    """Several labels a row, other columns, and categories that are no text have no plan."""
    several = np.column_stack([TARGET > 0, TARGET > 1]).astype(int)
    with pytest.raises(NoPlan, match="labels of the loss MultiLogloss"):
        compiled(catboost.CatBoostClassifier(**OPTIONS, loss_function="MultiLogloss").fit(NUMBERS, several), NUMBERS)
    threshold = catboost.CatBoostClassifier(**OPTIONS).fit(NUMBERS, TARGET > 0)
    threshold.set_probability_threshold(0.3)
    with pytest.raises(NoPlan, match="another probability than one half"):
        compiled(threshold, NUMBERS)
    compiler = Compiler(Graph([("x", "float64"), ("t", "string")]))
    number = Numeric(compiler.graph.number(0))
    plain = catboost.CatBoostRegressor(**OPTIONS).fit(FRAME[["a", "n"]], TARGET)
    of_text = catboost.CatBoostRegressor(**OPTIONS, cat_features=["k"]).fit(FRAME[["k"]], GOAL)
    code = compiler.graph.match(number.value, [1.0])
    cases: list[tuple[Any, Matrix, str]] = [
        (plain, Matrix((number,)), "of 2 columns is given 1"),
        (plain, Matrix((number, number), frame=True, names=("n", "a")), "with other columns"),
        (plain, Matrix((Numeric(number.value, np.dtype(object), missing=NA), number)), "pandas.NA"),
        (plain, Matrix((Coded(code, np.zeros(3), categories=(1,)), number)), "categories where it takes numbers"),
        (of_text, Matrix((number,)), "neither of text nor of integers"),
        (of_text, Matrix((Text(1, "imputed"),)), "an imputer put something"),
    ]
    for model, matrix, words in cases:
        with pytest.raises(NoPlan, match=words):
            answer(model, "predict", matrix, compiler)
