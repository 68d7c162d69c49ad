"""Test the rules of LightGBM: plans against its own answers."""

from __future__ import annotations

import warnings
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pytest

from fourfold.plan.compile import answer
from fourfold.plan.compile.columns import NA, Compiler, Matrix, NoPlan, Numeric
from fourfold.plan.graph.builder import Graph
from tests.plan.comparison import assert_close, assert_exact, compiled

RANDOM = np.random.default_rng(11)
ROWS = 240
QUIET: dict[str, Any] = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
OPTIONS: dict[str, Any] = {
    "n_estimators": 15,
    "min_child_samples": 5,
    "min_data_per_group": 5,
    "cat_smooth": 1,
    "verbose": -1,
    "n_jobs": 1,
}


def numbers() -> np.ndarray:
    """Return four columns: with zeros, with NaN, with infinities, and of small integers."""
    out = RANDOM.normal(size=(ROWS, 4))
    out[::7, 0] = 0.0
    out[::11, 0] = -0.0
    out[::5, 1] = np.nan
    out[::31, 2] = np.inf
    out[::37, 2] = -np.inf
    out[:, 3] = RANDOM.integers(-1, 12, ROWS)
    return out


NUMBERS = numbers()
TARGET = NUMBERS[:, 0] + np.nan_to_num(NUMBERS[:, 1]) + np.isin(NUMBERS[:, 3], (2, 5, 7))
CLASSES = np.digitize(TARGET, [-0.5, 1.0])


def frame() -> pd.DataFrame:
    """Return numbers of several dtypes, and categories of text and of integers, some of them missing."""
    out = pd.DataFrame({"a b": NUMBERS[:, 1], "i": RANDOM.integers(-5, 50, ROWS).astype("int32")})
    out["u"] = RANDOM.integers(0, 5, ROWS).astype("uint8")
    out["kind"] = pd.Categorical(RANDOM.choice(list("zyxwv"), ROWS), categories=[*"zyxwv", "unused"])
    out["n"] = pd.Categorical(RANDOM.choice([7, -3, 12, 100], ROWS), categories=[100, 12, 7, -3])
    out["f"] = RANDOM.normal(size=ROWS).astype("float32")
    out["b"] = RANDOM.random(ROWS) > 0.5
    out.loc[::13, "kind"] = np.nan
    out.loc[::17, "n"] = np.nan
    return out


FRAME = frame()
GOAL = (FRAME.kind.cat.codes * 2 % 3 + FRAME.n.cat.codes % 2 * 3 + FRAME.b + FRAME["a b"].fillna(0)).to_numpy()


def trained(data: Any, target: Any, *, categorical: list[int] | None = None, **options: Any) -> lightgbm.Booster:
    """Return a booster of a few trees."""
    group = [ROWS // 2, ROWS // 2] if "rank" in str(options.get("objective")) else None
    known = lightgbm.Dataset(data, target, group=group, categorical_feature=categorical or [])
    return lightgbm.train({**QUIET, **options}, known, 15)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "options",
    [
        {"objective": "regression"},
        {"objective": "regression", "reg_sqrt": True},
        {"objective": "quantile", "alpha": 0.3, "reg_sqrt": True},
        {"objective": "huber"},
        {"boosting": "dart"},
        {"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1},
        {"use_missing": False},
        {"zero_as_missing": True},
        {"num_leaves": 120, "min_data_in_leaf": 1},
        {"extra_trees": True, "max_depth": 2},
        {"min_data_in_leaf": ROWS},
    ],
    ids=str,
)
def test_boosters_are_exact(options: dict[str, Any], dtype: str) -> None:
    """A booster's plan has its bits, for every kind of boosting and of missing values."""
    data = NUMBERS.astype(dtype)
    assert_exact(trained(data, TARGET, categorical=[3], **options), data)


@pytest.mark.parametrize("objective", ["lambdarank", "rank_xendcg"])
def test_rankings_are_exact(objective: str) -> None:
    """A ranking objective answers with its sum."""
    assert_exact(trained(NUMBERS, CLASSES, objective=objective), NUMBERS)


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"objective": "poisson"}, np.abs(TARGET)),
        ({"objective": "gamma"}, np.abs(TARGET) + 0.1),
        ({"objective": "tweedie", "boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1}, np.abs(TARGET) + 0.1),
        ({"objective": "binary", "sigmoid": 0.7}, TARGET > 0),
        ({"objective": "cross_entropy"}, 1 / (1 + np.exp(-TARGET))),
        ({"objective": "cross_entropy_lambda"}, 1 / (1 + np.exp(-TARGET))),
        ({"objective": "multiclass", "num_class": 3}, CLASSES),
        ({"objective": "multiclassova", "num_class": 3, "sigmoid": 2.0}, CLASSES),
    ],
    ids=lambda value: value["objective"] if isinstance(value, dict) else "",
)
def test_objectives_with_exponents_are_close(options: dict[str, Any], target: Any) -> None:
    """Where LightGBM computes `exp`, the plan says that it is not exact, and is within a few ulp."""
    assert_close(trained(NUMBERS, target, **options), NUMBERS, ulp=16)


@pytest.mark.parametrize("options", [{}, {"max_cat_to_onehot": 1}, {"linear_tree": True}], ids=str)
def test_frames_with_categories_are_exact(options: dict[str, Any]) -> None:
    """Categories are compared by their index in training; estimator and booster answer the same."""
    model = lightgbm.LGBMRegressor(**OPTIONS, **options).fit(FRAME, GOAL)
    assert "cat_threshold=" in model.booster_.model_to_string()
    assert_exact(model, FRAME)
    assert_exact(model.booster_, FRAME)


def test_categories_in_another_order_than_in_training() -> None:
    """A frame may list other categories than in training, or in another order."""
    model = lightgbm.LGBMRegressor(**OPTIONS).fit(FRAME, GOAL)
    other = FRAME.assign(
        kind=FRAME.kind.cat.set_categories(["new", "x", "v", "z", "w"]), n=FRAME.n.cat.set_categories([7, 100, 55])
    )
    assert_exact(model, other)


def test_columns_of_integers_that_are_categories() -> None:
    """Columns of numbers may be declared categorical, in a frame and in an array."""
    model = lightgbm.LGBMRegressor(**OPTIONS).fit(FRAME, GOAL, categorical_feature=["u", "i"])
    assert_exact(model, FRAME)
    halves = NUMBERS.copy()
    halves[:, 3] += RANDOM.choice([0.0, 0.5, 0.25], ROWS)
    booster = trained(np.trunc(halves), TARGET, categorical=[3], min_data_per_group=1)
    assert "num_cat=0" not in booster.model_to_string().split("Tree=0")[1].split("\n\n")[0]
    assert_exact(booster, halves)


@pytest.mark.parametrize("classes", [2, 3])
def test_classifiers(classes: int) -> None:
    """A classifier's sums are exact, its probabilities close."""
    target = np.array(["no", "yes", "maybe"], dtype=object)[np.digitize(GOAL, [1.0, 3.0][: classes - 1])]
    model = lightgbm.LGBMClassifier(**OPTIONS).fit(FRAME, target)
    assert_close(model, FRAME, ulp=16)


def test_rankers() -> None:
    """A ranker answers with its sum."""
    model = lightgbm.LGBMRanker(**OPTIONS).fit(FRAME, np.digitize(GOAL, [1.0, 3.0]), group=[ROWS // 2, ROWS // 2])
    assert_exact(model, FRAME)


def test_objectives_of_ones_own_answer_sums() -> None:
    """With an objective of the user the answer is the sum, also of a classifier."""

    def squares(y: Any, p: Any) -> Any:
        return p - y, np.ones_like(y)

    assert_exact(lightgbm.LGBMRegressor(**OPTIONS, objective=squares).fit(NUMBERS, TARGET), NUMBERS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Cannot compute class probabilities")
        assert_exact(lightgbm.LGBMClassifier(**OPTIONS, objective=squares).fit(NUMBERS, TARGET > 0), NUMBERS)


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint16", "bool"])
def test_arrays_of_integers_become_float32(dtype: str) -> None:
    """LightGBM converts an array of integers to float32, so adjacent ones beyond 2^24 are equal."""
    size = {"int64": 2**40, "int32": 2**26, "int8": 100, "uint16": 60000, "bool": 2}[dtype]
    data = RANDOM.integers(0, size, (ROWS, 3)).astype(dtype)
    model = lightgbm.LGBMRegressor(**OPTIONS).fit(data, data[:, 0] + TARGET)
    assert_exact(model, data)
    assert_exact(model.booster_, np.asfortranarray(data))


@pytest.mark.parametrize("zero", [False, True])
def test_numbers_next_to_zero(zero: bool) -> None:
    """Values within 1e-35 of zero are read as zero, but not from polars."""
    edge = float(np.float32(1e-35))
    small = np.column_stack([RANDOM.choice([edge, -edge, 1e-35, 5e-36, -5e-36, 0.0, -0.0], ROWS)] * 2)
    small[:, 1] += RANDOM.normal(size=ROWS) * 1e-35
    for data in (small, pl.DataFrame(small, schema=["a", "b"])):
        for linear in (False, True) if not zero else (False,):
            options = {**OPTIONS, "zero_as_missing": zero, "linear_tree": linear}
            assert_exact(lightgbm.LGBMRegressor(**options).fit(data, small[:, 0] / edge + small[:, 1]), data)


def test_other_frames() -> None:
    """Frames may be of polars, or have missing integers of pandas."""
    some = FRAME[["a b", "i", "u", "f"]]
    assert_exact(lightgbm.LGBMRegressor(**OPTIONS).fit(pl.from_pandas(some), GOAL), pl.from_pandas(some))
    masked = some.astype({"i": "Int64"})
    masked.loc[::5, "i"] = pd.NA
    assert_exact(lightgbm.LGBMRegressor(**OPTIONS).fit(masked, GOAL), masked)


def test_linear_trees_are_exact() -> None:
    """A leaf with a linear function answers with its plain value where one of its terms is missing."""
    data = NUMBERS[:, :2]
    model = trained(data, TARGET, linear_tree=True, linear_lambda=0.01)
    assert any(
        line.startswith("leaf_coeff=") and line != "leaf_coeff= " for line in model.model_to_string().split("\n")
    )
    assert_exact(model, data)
    assert_exact(trained(data.astype("float32"), TARGET, linear_tree=True), data.astype("float32"))


def test_early_stopping_is_kept() -> None:
    """A model that stopped early answers with its best iteration."""
    known = lightgbm.Dataset(NUMBERS[:90], TARGET[:90])
    model = lightgbm.train(
        {**QUIET, "learning_rate": 0.5},
        known,
        100,
        valid_sets=[lightgbm.Dataset(NUMBERS[90:], TARGET[90:], reference=known)],
        callbacks=[lightgbm.early_stopping(3, verbose=False)],
        keep_training_booster=True,
    )
    assert 0 < model.best_iteration < model.current_iteration()
    assert_exact(model, NUMBERS)


@pytest.mark.seeds(12, sweep=400)
def test_random_models_are_exact(seed: int) -> None:
    """Models of random parameters on random data, with ties, huge numbers and missing values."""
    random = np.random.default_rng(seed)
    data = random.normal(size=(ROWS, 5)) * 10.0 ** random.integers(-30, 30, 5)
    data[:, 0] = random.integers(-2, 3, ROWS)
    data[random.random(data.shape) < random.choice([0.0, 0.2])] = np.nan
    data[random.random(data.shape) < 0.1] = 0.0
    target = np.nan_to_num(data[:, 0]) + (np.nan_to_num(data[:, 1]) > 0) + random.normal(size=ROWS)
    options = {
        "num_leaves": int(random.integers(2, 80)),
        "max_bin": int(random.choice([7, 63, 255])),
        "learning_rate": float(random.choice([0.01, 0.3, 1.0])),
        "min_data_in_leaf": int(random.choice([1, 5, 20])),
        "lambda_l1": float(random.choice([0.0, 1.0])),
        "use_missing": bool(random.random() < 0.8),
        "zero_as_missing": bool(random.random() < 0.3),
        "boosting": str(random.choice(["gbdt", "dart"])),
        "objective": str(random.choice(["regression", "regression_l1", "mape", "fair"])),
    }
    dtype = str(random.choice(["float64", "float32"]))
    with np.errstate(over="ignore"):
        data = data.astype(dtype)
    categorical = [0] if random.random() < 0.5 else None
    assert_exact(trained(data, target, categorical=categorical, **options), data)


def test_what_has_no_plan() -> None:
    """Parameters that change predictions, other columns, text and objects have no plan."""
    with pytest.raises(NoPlan, match="pred_early_stop"):
        compiled(lightgbm.LGBMRegressor(**OPTIONS, pred_early_stop=True).fit(NUMBERS, TARGET), NUMBERS)
    objects = NUMBERS.astype(object)
    with pytest.raises(NoPlan, match="array of objects"):
        compiled(lightgbm.LGBMRegressor(**OPTIONS).fit(objects, TARGET), objects)
    compiler = Compiler(Graph([("x", "float64")]))
    number = Numeric(compiler.graph.number(0))
    model = lightgbm.LGBMRegressor(**OPTIONS).fit(NUMBERS[:, :1], TARGET)
    cases = [
        (Matrix((number, number)), "of 1 columns is given 2"),
        (Matrix((Numeric(number.value, missing=NA),)), "pandas.NA"),
        (Matrix((Numeric(number.value, np.dtype(object)),), frame=True), "neither of numbers nor of categories"),
    ]
    for matrix, words in cases:
        with pytest.raises(NoPlan, match=words):
            answer(model, "predict", matrix, compiler)
    of_categories = lightgbm.LGBMRegressor(**OPTIONS).fit(FRAME[["kind"]], GOAL)
    with pytest.raises(NoPlan, match="fewer columns of categories"):
        answer(of_categories, "predict", Matrix((number,), frame=True), compiler)
    with pytest.raises(NoPlan, match="plans do not cover"):
        answer(model, "predict_proba", Matrix((number,)), compiler)
