"""Test the rules of XGBoost: plans against its own answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fourfold.plan.compile import answer
from fourfold.plan.compile.columns import NA, Compiler, Matrix, NoPlan, Numeric, Text
from fourfold.plan.graph.builder import Graph
from tests.plan.comparison import assert_close, assert_exact, compiled, proof

RANDOM = np.random.default_rng(13)
ROWS = 240
OPTIONS: dict[str, Any] = {"n_estimators": 8, "max_depth": 4, "n_jobs": 1, "verbosity": 0}
CATEGORIES: dict[str, Any] = {**OPTIONS, "enable_categorical": True}


def numbers() -> np.ndarray:
    """Return four columns: with zeros, with NaN, with ties, and of small integers."""
    out = RANDOM.normal(size=(ROWS, 4))
    out[::7, 0] = 0.0
    out[::11, 0] = -0.0
    out[::5, 1] = np.nan
    out[:, 2] = np.round(out[:, 2], 1)
    out[:, 3] = RANDOM.integers(0, 12, ROWS)
    return out


NUMBERS = numbers()
TARGET = NUMBERS[:, 0] + np.nan_to_num(NUMBERS[:, 1]) + np.isin(NUMBERS[:, 3], (2, 5, 7))
CLASSES = np.digitize(TARGET, [-0.5, 1.0])


def frame() -> pd.DataFrame:
    """Return numbers of several dtypes, and categories of text and of integers, some of them missing."""
    out = pd.DataFrame({"a b": NUMBERS[:, 1], "i": RANDOM.integers(-5, 50, ROWS).astype("int32")})
    out["big"] = RANDOM.integers(0, 2**40, ROWS)
    out["kind"] = pd.Categorical(RANDOM.choice(list("zyxwvu"), ROWS), categories=[*"zyxwvu", "unused"])
    out["n"] = pd.Categorical(RANDOM.choice([7, -3, 12, 100], ROWS), categories=[100, 12, 7, -3])
    out["f"] = RANDOM.normal(size=ROWS).astype("float32")
    out["b"] = RANDOM.random(ROWS) > 0.5
    out.loc[::13, "kind"] = np.nan
    out.loc[::17, "n"] = np.nan
    return out


FRAME = frame()
GOAL = (FRAME.kind.cat.codes * 2 % 3 + FRAME.n.cat.codes % 2 * 3 + FRAME.b + FRAME["a b"].fillna(0)).to_numpy()


def trained(data: Any, target: Any, **options: Any) -> xgboost.Booster:
    """Return a booster of a few trees."""
    groups = {"qid": np.repeat([0, 1], ROWS // 2)} if "rank" in str(options.get("objective")) else {}
    with np.errstate(over="ignore"):
        return xgboost.train(
            {"max_depth": 4, "nthread": 1, "verbosity": 0, **options}, xgboost.DMatrix(data, target, **groups), 8
        )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({}, TARGET),
        ({"base_score": 1234.5678}, TARGET),
        ({"objective": "reg:absoluteerror"}, TARGET),
        ({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, TARGET),
        ({"objective": "reg:squaredlogerror"}, np.abs(TARGET)),
        ({"objective": "reg:pseudohubererror"}, TARGET),
        ({"objective": "binary:logitraw"}, TARGET > 0),
        ({"objective": "binary:logitraw", "base_score": 0.5}, TARGET > 0),
        ({"objective": "binary:hinge"}, TARGET > 0),
        ({"objective": "multi:softmax", "num_class": 3}, CLASSES),
        ({"objective": "rank:ndcg"}, CLASSES),
        ({"objective": "rank:pairwise"}, CLASSES),
        ({"booster": "dart", "rate_drop": 0.4}, TARGET),
        ({"booster": "gblinear"}, TARGET),
        ({"num_parallel_tree": 3, "subsample": 0.5}, TARGET),
        ({"max_depth": 10, "tree_method": "exact"}, TARGET),
    ],
    ids=str,
)
def test_boosters_are_exact(options: dict[str, Any], target: Any, dtype: str) -> None:
    """A booster's plan has its bits: of trees, of trees with dropout, or linear."""
    data = NUMBERS.astype(dtype)
    assert_exact(trained(data, target, **options), data)


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"objective": "reg:logistic"}, TARGET > 0),
        ({"objective": "binary:logistic"}, TARGET > 0),
        ({"objective": "binary:logistic", "booster": "gblinear"}, TARGET > 0),
        ({"objective": "count:poisson"}, np.abs(TARGET)),
        ({"objective": "reg:gamma"}, np.abs(TARGET) + 0.1),
        ({"objective": "reg:tweedie"}, np.abs(TARGET)),
        ({"objective": "survival:cox"}, np.abs(TARGET) + 0.1),
        ({"objective": "multi:softprob", "num_class": 3}, CLASSES),
        ({"objective": "multi:softprob", "num_class": 3, "booster": "gblinear"}, CLASSES),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_objectives_with_exponents_are_close(options: dict[str, Any], target: Any) -> None:
    """Where XGBoost computes `exp`, the plan says that it is not exact, and is within a few float32."""
    assert_close(trained(NUMBERS, target, **options), NUMBERS, ulp=4)


@pytest.mark.parametrize("base_score", [None, 0.3])
@pytest.mark.parametrize(("objective", "target"), [("binary:logistic", TARGET > 0), ("count:poisson", np.abs(TARGET))])
def test_boosters_without_rounds_have_a_base_score_without_link(
    objective: str, target: Any, base_score: float | None
) -> None:
    """XGBoost applies no link to the base score where a file counts no rounds: of version 1.3, or of no tree."""
    options = {"objective": objective, **({} if base_score is None else {"base_score": base_score})}
    linear = json.loads(bytes(trained(NUMBERS, target, booster="gblinear", **options).save_raw("json")))
    del linear["learner"]["gradient_booster"]["model"]["boosted_rounds"]
    linear["version"] = [1, 3, 3]
    parameters = linear["learner"]["learner_model_param"]
    parameters["base_score"] = parameters["base_score"].strip("[]")
    del parameters["boost_from_average"], parameters["num_target"]
    with xgboost.config_context(verbosity=0):
        old = xgboost.Booster(model_file=bytearray(json.dumps(linear).encode()))
    assert_close(old, NUMBERS, ulp=4)
    for booster in ("gbtree", "dart", "gblinear"):
        empty = xgboost.train({**options, "booster": booster}, xgboost.DMatrix(NUMBERS, target), 0)
        assert_close(empty, NUMBERS, ulp=4)


@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
@pytest.mark.parametrize("options", [{}, {"multi_strategy": "multi_output_tree"}], ids=["a tree each", "one tree"])
def test_many_targets_are_exact(booster: str, options: dict[str, Any]) -> None:
    """Several targets may have their own trees or share them, each with its own base score."""
    if booster == "gbtree" or not options:
        target = np.column_stack([TARGET, -100 * TARGET, 1e4 * TARGET])
        model = xgboost.XGBRegressor(**OPTIONS, **options, booster=booster).fit(NUMBERS, target)
        assert_exact(model, NUMBERS)
    labels = np.column_stack([TARGET > 0, TARGET > 1]).astype(int)
    if booster == "gbtree":
        assert_close(xgboost.XGBClassifier(**OPTIONS, **options).fit(NUMBERS, labels), NUMBERS, ulp=4)


@pytest.mark.parametrize("options", [{}, {"max_cat_to_onehot": 10}, {"max_cat_to_onehot": 1}], ids=str)
def test_frames_with_categories_are_exact(options: dict[str, Any]) -> None:
    """Categories are compared by their index in training; estimator and booster answer the same."""
    model = xgboost.XGBRegressor(**CATEGORIES, **options).fit(FRAME, GOAL)
    assert_exact(model, FRAME)
    assert_exact(model.get_booster(), FRAME)


def test_categories_in_another_order_than_in_training() -> None:
    """A frame may list fewer categories than in training, or in another order."""
    model = xgboost.XGBRegressor(**CATEGORIES).fit(FRAME, GOAL)
    other = FRAME.assign(
        kind=FRAME.kind.cat.set_categories(["u", "x", "v", "z"]), n=FRAME.n.cat.set_categories([7, 100])
    )
    assert_exact(model, other)


def test_categories_that_training_did_not_know() -> None:
    """XGBoost takes an unknown category for the next one in order: the field has the model's, a plan refuses others."""
    model = xgboost.XGBRegressor(**CATEGORIES).fit(FRAME, GOAL)
    _, signature, _ = compiled(model, FRAME.assign(kind=FRAME.kind.cat.add_categories(["vv"])))
    (kind,) = (field for field in signature.inputs if field.name == "kind")
    assert kind.categories == tuple(FRAME.kind.cat.categories)
    text = Text(0, None, nullable=True, categories=("7", "12"))
    with pytest.raises(NoPlan, match="takes them for others"):
        answer(
            xgboost.XGBRegressor(**CATEGORIES).fit(FRAME[["n"]], GOAL),
            "predict",
            Matrix((text,), frame=True, names=("n",)),
            Compiler(Graph([("n", "string")])),
        )


def test_categories_that_are_not_ascii() -> None:
    """XGBoost garbles names that are not ASCII: a plan needs the same categories in the same order."""
    names = dict(zip("zyxwvu", ("zö", "yé", "x", "wü", "v", "u€"), strict=True))
    data = FRAME.assign(kind=FRAME.kind.cat.rename_categories(names))
    model = xgboost.XGBRegressor(**CATEGORIES).fit(data, GOAL)
    assert_exact(model, data)
    with pytest.raises(NoPlan, match="takes them for others"):
        compiled(model, data.assign(kind=data.kind.cat.reorder_categories(sorted(data.kind.cat.categories))))
    enum = pl.DataFrame(
        {"kind": pl.Series(data.kind.astype(object).fillna("v").to_list(), dtype=pl.Enum([*names.values()]))}
    )
    assert_exact(xgboost.XGBRegressor(**CATEGORIES).fit(enum, GOAL), enum)


def test_columns_of_an_array_that_are_categories() -> None:
    """Numbers that are declared categorical are rounded down; negative ones are no category."""
    data = NUMBERS.copy()
    data[:, 3] += RANDOM.choice([0.0, 0.5], ROWS)
    for options in ({}, {"max_cat_to_onehot": 1}):
        model = xgboost.XGBRegressor(**CATEGORIES, **options, feature_types=["q", "q", "q", "c"])
        model.fit(np.floor(data), TARGET)
        assert_exact(model, data - 0.25)
        assert_exact(model, data.astype("float32"))


@pytest.mark.parametrize("missing", [-1.0, 0.0, 0.1, float("inf")])
@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_other_marks_of_missing_values(missing: float, booster: str) -> None:
    """The number that stands for a missing value is compared as a float32."""
    data = np.where(RANDOM.random(NUMBERS.shape) < 0.2, missing, NUMBERS)
    assert_exact(xgboost.XGBRegressor(**OPTIONS, missing=missing, booster=booster).fit(data, TARGET), data)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", [xgboost.XGBClassifier, xgboost.XGBRFClassifier])
def test_classifiers(kind: Any, classes: int) -> None:
    """A classifier's labels are exact, its probabilities close."""
    target = np.digitize(TARGET, [0.0, 1.0][: classes - 1])
    model = kind(**OPTIONS).fit(NUMBERS, target)
    assert_close(model, NUMBERS, ulp=4)


def test_objectives_of_classifiers() -> None:
    """A classifier's objective may give labels, margins or probabilities."""
    assert_exact(xgboost.XGBClassifier(**OPTIONS, objective="binary:hinge").fit(NUMBERS, TARGET > 0), NUMBERS)
    assert_exact(xgboost.XGBClassifier(**OPTIONS, objective="binary:logitraw").fit(NUMBERS, TARGET > 0), NUMBERS)
    assert_close(xgboost.XGBClassifier(**OPTIONS, objective="multi:softmax").fit(NUMBERS, CLASSES), NUMBERS, ulp=8)


@pytest.mark.parametrize("kind", [xgboost.XGBRegressor, xgboost.XGBRFRegressor, xgboost.XGBRanker])
@pytest.mark.parametrize("booster", ["gbtree", "dart"])
def test_other_estimators_are_exact(kind: Any, booster: str) -> None:
    """Other estimators are exact; with dropout they differ from a prediction from a `DMatrix`."""
    options = {"qid": np.repeat([0, 1], ROWS // 2)} if kind is xgboost.XGBRanker else {}
    data = FRAME.drop(columns=["kind", "n"])
    model = kind(**OPTIONS, booster=booster).fit(data, np.digitize(GOAL, [1.0, 3.0]), **options)
    assert_exact(model, data)


def test_early_stopping_is_kept() -> None:
    """An estimator that stopped early answers from its best iteration, its booster from all of them."""
    model = xgboost.XGBRegressor(
        n_estimators=100, learning_rate=1.0, early_stopping_rounds=2, n_jobs=1, num_parallel_tree=2, subsample=0.5
    )
    model.fit(NUMBERS[:90], TARGET[:90], eval_set=[(NUMBERS[90:], TARGET[90:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    assert_exact(model, NUMBERS)
    assert_exact(model.get_booster(), NUMBERS)


def test_other_containers() -> None:
    """Containers may be of integers, objects, polars, or missing integers of pandas."""
    for dtype in ("int64", "int8", "uint16", "bool"):
        data = RANDOM.integers(0, 2 if dtype == "bool" else 100, (ROWS, 3)).astype(dtype)
        assert_exact(xgboost.XGBRegressor(**OPTIONS).fit(data, data[:, 0] + TARGET), data)
    objects = NUMBERS.astype(object)
    assert_exact(xgboost.XGBRegressor(**OPTIONS).fit(objects, TARGET), objects)
    some = FRAME[["a b", "i", "f"]]
    assert_exact(xgboost.XGBRegressor(**OPTIONS).fit(pl.from_pandas(some), GOAL), pl.from_pandas(some))
    masked = some.astype({"i": "Int64", "f": "Float32"})
    masked.loc[::5, "i"] = pd.NA
    assert_exact(xgboost.XGBRegressor(**OPTIONS).fit(masked, GOAL), masked)


def test_a_plan_of_a_matrix_refuses_infinities() -> None:
    """Where XGBoost builds a `DMatrix` it refuses infinities, and so does the plan."""
    model = trained(NUMBERS, TARGET, booster="gblinear")
    found = proof(model, NUMBERS)
    assert found.exact, found
    plan, _, _ = compiled(model, NUMBERS)
    assert b"matrix of XGBoost does not take" in plan.plan


@pytest.mark.seeds(12, sweep=400)
def test_random_models_are_exact(seed: int) -> None:
    """Models of random parameters on random data, with ties, huge and tiny numbers, and missing values."""
    random = np.random.default_rng(seed)
    data = random.normal(size=(ROWS, 5)) * 10.0 ** random.integers(-44, 36, 5)
    data[:, 0] = random.integers(-2, 3, ROWS)
    data[random.random(data.shape) < random.choice([0.0, 0.2])] = np.nan
    data[random.random(data.shape) < 0.1] = random.choice([0.0, -0.0])
    target = np.nan_to_num(data[:, 0]) + (np.nan_to_num(data[:, 1]) > 0) + random.normal(size=ROWS)
    options = {
        "max_depth": int(random.integers(1, 9)),
        "eta": float(random.choice([0.01, 0.3, 1.0])),
        "min_child_weight": float(random.choice([0, 1, 10])),
        "booster": str(random.choice(["gbtree", "dart", "gblinear"], p=[0.6, 0.3, 0.1])),
        "rate_drop": float(random.choice([0.0, 0.5])),
        "normalize_type": str(random.choice(["tree", "forest"])),
        "tree_method": str(random.choice(["hist", "exact", "approx"])),
        "max_bin": int(random.choice([8, 256])),
        "alpha": float(random.choice([0.0, 1.0])),
        "base_score": float(random.choice([0.0, 0.5, 1e6])),
    }
    with np.errstate(over="ignore"):
        data = data.astype(str(random.choice(["float64", "float32"])))
    assert_exact(trained(data, target, **options), data)


def test_what_has_no_plan() -> None:
    """Objectives without a rule, other columns, and categories of unknown order have no plan."""
    compiler = Compiler(Graph([("x", "float64")]))
    number = Numeric(compiler.graph.number(0))
    model = xgboost.XGBRegressor(**OPTIONS).fit(NUMBERS[:, :1], TARGET)
    named = xgboost.XGBRegressor(**OPTIONS).fit(FRAME[["f"]], TARGET)
    cases = [
        (model, Matrix((number, number)), "of 1 columns is given 2"),
        (model, Matrix((Numeric(number.value, missing=NA),)), "pandas.NA"),
        (model, Matrix((Numeric(number.value, np.dtype(object)),), frame=True), "neither of numbers nor of categories"),
        (named, Matrix((number,), frame=True, names=("g",)), "with other columns"),
        (
            xgboost.XGBRegressor(**CATEGORIES).fit(FRAME[["kind"]], GOAL),
            Matrix((number,), frame=True, names=("kind",)),
            "numbers where it was trained with categories",
        ),
    ]
    for each, matrix, words in cases:
        with pytest.raises(NoPlan, match=words):
            answer(each, "predict", matrix, compiler)
    marked = xgboost.XGBRegressor(**CATEGORIES, missing=0.0).fit(FRAME[["kind"]], GOAL)
    with pytest.raises(NoPlan, match="missing by its place"):
        compiled(marked, FRAME[["kind"]])


def test_what_float32_takes_for_zero_is_there_in_a_sparse_matrix() -> None:
    """Zeros of a sparse matrix are missing, but not numbers that float32 rounds to 0."""
    small = np.array([0.0, 0.0, 1e-60, -1e-60, 1e-30, 0.5, 1.0, 2.0] * 20)
    frame = pd.DataFrame({"p": small, "k": ["u", "v", "w", "u"] * 40})
    columns = ColumnTransformer(
        [("p", "passthrough", ["p"]), ("k", OneHotEncoder(handle_unknown="ignore"), ["k"])], sparse_threshold=1.0
    )
    model = make_pipeline(columns, xgboost.XGBRegressor(n_estimators=5, max_depth=2, n_jobs=1))
    model.fit(frame, (small != 0) & (small < 1))
    zero, tiny = model.predict(pd.DataFrame({"p": [0.0, 1e-60], "k": ["u", "u"]}))
    assert zero != tiny
    assert_exact(model, frame)
