"""Test the rules of pipelines, ColumnTransformer, FeatureUnion and searches."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - scikit-learn wants it before the searches
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_regression
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.tree import DecisionTreeRegressor

from fourfold.demo.flights import INPUTS, STRING_INPUTS
from fourfold.demo.flights import pipeline as flights_pipeline
from fourfold.errors import EngineError
from fourfold.plan.compile.columns import NoPlan
from fourfold.runtimes.plan import PlanEngine
from tests.plan.comparison import assert_exact, compiled, proof_of
from tests.support import named

RNG = np.random.default_rng(3)
ROWS = 60


def frame(rows: int = ROWS) -> pd.DataFrame:
    """Return columns of most kinds that people have."""
    numbers = RNG.normal(size=rows)
    return pd.DataFrame(
        {
            "price": numbers * 100,
            "share": np.where(RNG.random(rows) < 0.1, np.nan, RNG.random(rows)),
            "count": RNG.integers(0, 9, rows),
            "small": RNG.random(rows).astype(np.float32),
            "flag": RNG.random(rows) < 0.5,
            "city": RNG.choice(["Rome", "Oslo", "Lima"], rows),
            "shop": [None if row % 9 == 4 else "abc"[row % 3] for row in range(rows)],
        }
    )


NUMBERS = ["price", "share", "count", "small"]
TEXTS = ["city", "shop"]


def first_and_fourth(data: Any) -> list[int]:
    return [0, 3]


def encoder(**options: Any) -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore", **options)


@pytest.mark.parametrize("remainder", ["drop", MinMaxScaler()], ids=named)
@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("sparse_output", [True, False])
def test_columns_are_transformed_apart(remainder: Any, threshold: float, sparse_output: bool) -> None:
    """Blocks of columns stand side by side, dense or sparse; the remainder is dropped or transformed."""
    data = frame()
    columns = ColumnTransformer(
        [("texts", encoder(sparse_output=sparse_output), TEXTS), ("scaled", StandardScaler(), ["price", "share"])],
        remainder=remainder,
        sparse_threshold=threshold,
    )
    assert_exact(columns.fit(data), data)
    assert_exact(make_pipeline(columns, MaxAbsScaler()).fit(data), data)


@pytest.mark.parametrize(
    "chosen",
    [
        ["price", "count"],
        [0, 2],
        [-7, -5],
        slice(0, 3),
        slice("price", "count"),
        [True, False, True, False, False, False, False],
        np.array([True, False, True, True, False, False, False]),
        make_column_selector(dtype_include=np.number),
        make_column_selector(pattern="^p|^c"),
        first_and_fourth,
    ],
    ids=named,
)
def test_columns_are_chosen_in_every_way(chosen: Any) -> None:
    """Names, indices, slices, masks and functions select the same columns as in training."""
    data = (
        frame()
        .drop(columns=TEXTS if not callable(chosen) else [])
        .assign(x=1.5, y=2.5)[[*NUMBERS, "flag", "x", "y"] if not callable(chosen) else frame().columns]
    )
    if getattr(chosen, "pattern", None):
        data = data.drop(columns=TEXTS)
    columns = make_column_transformer((StandardScaler(), chosen), remainder="drop")
    assert_exact(columns.fit(data), data)


def test_arrays_are_chosen_by_place() -> None:
    """Columns of arrays, also of objects, are selected by index; the remainder comes last."""
    rows = RNG.normal(size=(ROWS, 5))
    columns = make_column_transformer(
        (StandardScaler(), [3, 1]), (MinMaxScaler(), slice(0, 1)), remainder="passthrough"
    )
    assert_exact(columns.fit(rows), rows)
    single = rows.astype(np.float32)
    assert_exact(make_pipeline(columns, StandardScaler()).fit(single), single)
    mixed = frame()[["city", "price", "count", "shop"]].to_numpy(dtype=object)
    chosen = make_column_transformer((encoder(), [0, 3]), (StandardScaler(), [1, 2]))
    assert_exact(chosen.fit(mixed), mixed)


def test_text_passes_through_to_a_later_step() -> None:
    """Text that one step passes through is encoded by a later one, among objects."""
    data = frame()
    first = make_column_transformer((SimpleImputer(), ["share"]), remainder="passthrough")
    second = make_column_transformer((encoder(), [5, 6]), remainder="passthrough")
    assert_exact(make_pipeline(first, second, StandardScaler()).fit(data), data)
    every = make_pipeline(first, OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1))
    assert_exact(every.fit(data), data)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_between_steps_keep_names(library: str) -> None:
    """With `set_output`, a step selects columns by the names that the step before gave them."""
    data: Any = frame().drop(columns="shop")
    data = data if library == "pandas" else pl.DataFrame(data.to_dict(orient="list"))
    first = ColumnTransformer(
        [("text", encoder(sparse_output=False), ["city"]), ("number", StandardScaler(), ["price", "small"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    second = ColumnTransformer([("again", MinMaxScaler(), ["price", "city_Oslo"])], remainder="passthrough")
    model = make_pipeline(first, second, StandardScaler()).set_output(transform=library)
    assert_exact(model.fit(data), data)


def test_frames_between_steps_keep_dtypes() -> None:
    """A float32 column beside others keeps its dtype in a frame, but not in an array."""
    data = frame()[["small", "price"]].assign(other=frame()["small"])
    apart = make_column_transformer(("passthrough", ["small"]), ("passthrough", ["price"]), remainder="passthrough")
    scaled = make_column_transformer((StandardScaler(), [0, 2]), remainder="passthrough")
    for library in ("default", "pandas"):
        assert_exact(make_pipeline(apart, scaled).set_output(transform=library).fit(data), data)


def test_booleans_of_a_frame_become_objects_beside_numbers() -> None:
    """Booleans and numbers of a frame are objects in one array, so float32 is not kept there."""
    data = frame()[["small", "flag"]]
    columns = make_column_transformer(("passthrough", ["small", "flag"]), remainder="drop")
    assert_exact(make_pipeline(columns, StandardScaler()).fit(data), data)
    apart = make_column_transformer(("passthrough", ["small"]), ("passthrough", ["flag"]))
    assert_exact(make_pipeline(apart, StandardScaler()).fit(data), data)


def test_a_missing_value_of_pandas_is_refused_in_an_array() -> None:
    """A ColumnTransformer refuses `pandas.NA` in its array; scalers and imputers take it."""
    data = pd.DataFrame({"a": pd.array([None if row % 5 == 0 else row for row in range(ROWS)], dtype="Int64")})
    present = data.assign(a=pd.array(range(ROWS), dtype="Int64"))
    scaler = make_column_transformer((StandardScaler(), ["a"]))
    assert_exact(scaler.fit(data), data)
    assert_exact(make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(data), data)
    handed_on = make_pipeline(make_column_transformer(("passthrough", ["a"])), StandardScaler())
    assert_exact(handed_on.fit(present), pd.concat([present, present]))


@pytest.mark.parametrize("weight", [2.0, 0.1, np.float32(3.3), np.float64(0.7)], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_multiply_blocks(weight: Any, dtype: Any) -> None:
    """A block is multiplied by its weight, in the dtype of NumPy's product."""
    rows = RNG.normal(size=(ROWS, 3)).astype(dtype)
    parts = [("scaled", StandardScaler()), ("binary", Binarizer()), ("plain", "passthrough"), ("none", "drop")]
    union = FeatureUnion(parts, transformer_weights={"scaled": weight, "plain": 3.0})
    assert_exact(make_pipeline(union, MinMaxScaler()).fit(rows), rows)
    columns = ColumnTransformer(
        [("one", StandardScaler(), [0]), ("two", "passthrough", [1, 2])], transformer_weights={"two": weight}
    )
    assert_exact(columns.fit(rows), rows)


def test_unions_of_sparse_matrices() -> None:
    """One sparse block makes the whole union sparse."""
    rows = RNG.normal(size=(ROWS, 2))
    union = make_union(KBinsDiscretizer(3, quantile_method="linear"), StandardScaler(), FunctionTransformer())
    assert_exact(make_pipeline(union, StandardScaler(with_mean=False)).fit(rows), rows)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
@pytest.mark.parametrize(
    "last",
    [
        "passthrough",
        MaxAbsScaler(),
        Binarizer(),
        SimpleImputer(strategy="median"),
        PolynomialFeatures(2, interaction_only=True),
        VarianceThreshold(0.02),
        SelectKBest(f_regression, k=4),
        DecisionTreeRegressor(max_depth=4, random_state=0),
    ],
    ids=named,
)
def test_texts_stand_beside_other_columns(threshold: float, last: Any) -> None:
    """Columns of a vectorizer stand among others, dense or sparse, and pass through later steps."""
    words = ["red", "green", "blue", "fast", "slow"]
    data = frame().assign(words=[" ".join(RNG.choice(words, 4)) for _ in range(ROWS)])
    columns = ColumnTransformer(
        [("words", TfidfVectorizer(), "words"), ("texts", encoder(), TEXTS)],
        remainder=make_pipeline(SimpleImputer(), StandardScaler()),
        transformer_weights={"words": 2.5},
        sparse_threshold=threshold,
    )
    assert_exact(make_pipeline(columns, last).fit(data, data["price"]), data)


@pytest.mark.parametrize("last", [MaxAbsScaler(), Binarizer(), SimpleImputer(strategy="constant")], ids=named)
def test_what_is_infinite_among_texts_is_refused(last: Any) -> None:
    """A row with an infinite weight of a word is refused where the original refuses it."""
    data = pd.DataFrame({"words": ["red", "blue", "red blue"] * 10})
    counts = TfidfVectorizer(norm=None, use_idf=False)
    columns = ColumnTransformer([("words", counts, "words")], transformer_weights={"words": 1e308})
    plan, signature, engine = compiled(make_pipeline(columns, last).fit(data), data)
    rows = [{"words": text} for text in ["red", "blue blue", "", "red blue", "red red blue", "blue"]]
    assert proof_of(plan.plan, signature, engine, rows, boundaries=False).exact
    with pytest.raises(EngineError, match="does not take"):
        PlanEngine(plan.plan, signature).predict(rows)


def test_pipelines_hold_pipelines_and_nothing() -> None:
    """Steps may be `passthrough`, pipelines or searches."""
    data = frame()
    inner = Pipeline([("fill", SimpleImputer()), ("skip", None), ("pass", "passthrough"), ("scale", StandardScaler())])
    columns = make_column_transformer((inner, NUMBERS), (FrozenEstimator(encoder().fit(data[TEXTS])), TEXTS))
    model = Pipeline([("columns", columns), ("tree", "passthrough")])
    assert_exact(model.fit(data), data)


@pytest.mark.parametrize("search", ["grid", "random", "halving"])
def test_searches_are_what_they_found(search: str) -> None:
    """A search answers as its best estimator."""
    rows = RNG.normal(size=(ROWS, 3))
    y = rows @ [1.0, 2.0, 3.0]
    pipeline = make_pipeline(StandardScaler(), DecisionTreeRegressor(random_state=0))
    depths = {"decisiontreeregressor__max_depth": [2, 3]}
    if search == "grid":
        model: Any = GridSearchCV(pipeline, depths, cv=2)
    elif search == "random":
        model = RandomizedSearchCV(
            pipeline, {"decisiontreeregressor__max_depth": stats.randint(2, 4)}, n_iter=2, cv=2, random_state=0
        )
    else:
        model = HalvingGridSearchCV(pipeline, depths, cv=2, random_state=0)
    assert_exact(model.fit(rows, y), rows)


def test_the_flights_pipeline() -> None:
    """The demonstration's columns are exact: three texts and six numbers, one of them missing at times."""
    rows = 80
    data = pd.DataFrame(
        {
            "month": RNG.integers(1, 13, rows),
            "day": RNG.integers(1, 29, rows),
            "hour": RNG.integers(0, 24, rows),
            "dep_delay": np.round(RNG.normal(10, 30, rows)),
            "distance": RNG.integers(90, 4000, rows),
            "plane_year": np.where(RNG.random(rows) < 0.2, np.nan, RNG.integers(1990, 2014, rows)),
            "carrier": RNG.choice(["UA", "AA", "DL", "WN"], rows),
            "origin": RNG.choice(["JFK", "LGA", "EWR"], rows),
            "dest": RNG.choice(["LAX", "MIA", "ORD", "SFO", "BOS"], rows),
        }
    )[INPUTS]
    columns = flights_pipeline().named_steps["columns"]
    assert list(columns.transformers[0][2]) == STRING_INPUTS
    assert_exact(make_pipeline(columns, "passthrough").fit(data), data)
    assert_exact(flights_pipeline().fit(data, data["distance"] / 8.0), data)


class Doubled(TransformerMixin, BaseEstimator):
    """Stand for a transformer of a user."""

    def fit(self, data: Any, y: Any = None) -> "Doubled":
        self.fitted_ = True
        return self

    def transform(self, data: Any) -> Any:
        return np.asarray(data) * 2


class Scaler(StandardScaler):
    """Stand for a subclass, which may do anything."""


def test_what_is_not_covered_has_no_plan() -> None:
    """A user's classes, weights of text, and fixed-width text beside numbers have no plan."""
    data = frame()
    rows = RNG.normal(size=(ROWS, 2))
    for strange in (Doubled(), Scaler()):
        with pytest.raises(NoPlan, match=f"plans do not cover .*{type(strange).__name__}"):
            compiled(make_pipeline(strange, MinMaxScaler()).fit(rows), rows)
    texts = np.array([["a", "b"], ["c", "b"]] * 8)
    beside = make_column_transformer((OrdinalEncoder(), [0]), remainder="passthrough")
    encoded = make_pipeline(beside, encoder()).fit(texts)
    with pytest.raises(NoPlan, match="NumPy makes text of numbers"):
        compiled(encoded, texts)
    weighted = FeatureUnion([("a", Binarizer())], transformer_weights={"a": 2})
    with pytest.raises(NoPlan, match="weights are floats here"):
        compiled(make_pipeline(weighted, MinMaxScaler()).fit(rows.astype(int)), rows.astype(int))
    nones = data[["shop"]].astype(object).where(data[["shop"]].notna(), None)
    framed = make_pipeline(FunctionTransformer(feature_names_out="one-to-one"), SimpleImputer(strategy="constant"))
    framed.set_output(transform="pandas")
    assert_exact(make_pipeline(PolynomialFeatures(2), StandardScaler()).fit(rows), rows)
    with pytest.raises(NoPlan, match="depends on other rows"):
        compiled(make_pipeline(framed, encoder(sparse_output=False)).fit(nones), nones)


def test_text_beside_text_stays_text() -> None:
    """Arrays of text that is never missing are joined and encoded as text."""
    texts = np.array([["a", "b", "x"], ["c", "b", "y"]] * 20)
    columns = make_column_transformer(("passthrough", [2]), ("passthrough", [0, 1]))
    assert_exact(make_pipeline(columns, encoder()).fit(texts), texts)
    as_numbers = make_column_transformer((encoder(), [0, 1]), remainder="drop")
    assert_exact(make_pipeline(as_numbers, StandardScaler(with_mean=False)).fit(texts), texts)
