"""Test the rules of imputers and the MissingIndicator."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - scikit-learn wants it before the imputer
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.tree import DecisionTreeRegressor

from fourfold.plan.compile import transform
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan
from fourfold.plan.graph.builder import Graph
from tests.plan.comparison import assert_close, assert_exact, compiled
from tests.support import named

pytestmark = pytest.mark.filterwarnings("ignore:Skipping features without any observed values")

RNG = np.random.default_rng(13)
ROWS = 60


def numbers(dtype: Any = np.float64, *, marker: Any = np.nan) -> Any:
    """Return three columns of numbers with some missing, and one without."""
    made = np.round(RNG.normal(size=(ROWS, 4)) * 4) / 2
    made[:, :3][RNG.random((ROWS, 3)) < 0.2] = marker
    return made.astype(dtype)


def texts(missing: Any) -> list[Any]:
    return [missing if row % 6 == 1 else "abbc"[row % 4] for row in range(ROWS)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("indicator", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "mean"},
        {"strategy": "median"},
        {"strategy": "most_frequent"},
        {"strategy": "constant"},
        {"strategy": "constant", "fill_value": -7.25},
        {"strategy": np.nanmax},
    ],
    ids=lambda options: named(options["strategy"]),
)
def test_numbers_are_imputed_exactly(options: Any, indicator: bool, dtype: Any) -> None:
    """Missing numbers become the statistics of training; indicator columns may follow."""
    rows = numbers(dtype)
    model = SimpleImputer(add_indicator=indicator, **options).fit(rows)
    assert_exact(model, rows)
    assert_exact(make_pipeline(model, StandardScaler()).fit(rows), rows)


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_a_number_can_stand_for_what_is_missing(dtype: Any) -> None:
    """A number that stands for missing values is replaced everywhere; NaN is refused then."""
    rows = numbers(dtype, marker=-1)
    for strategy in ("mean", "most_frequent", "constant"):
        model = SimpleImputer(missing_values=-1, strategy=strategy, add_indicator=True).fit(rows)
        assert_exact(make_pipeline(model, StandardScaler()).fit(rows), rows)


@pytest.mark.parametrize("strategy", ["mean", "most_frequent", "constant"])
@pytest.mark.parametrize("keep", [False, True])
def test_empty_columns_are_left_out_or_kept(strategy: str, keep: bool) -> None:
    """A column without a number in training is dropped, or filled with zeros."""
    rows = numbers()
    rows[:, 1] = np.nan
    model = SimpleImputer(strategy=strategy, keep_empty_features=keep, add_indicator=True).fit(rows[:-1])
    assert_exact(model, numbers())


def frames() -> dict[str, Any]:
    """Return frames and arrays with text that is missing in every way."""
    return {
        "str": pd.DataFrame({"a": texts(None)}),
        "None": pd.DataFrame({"a": texts(None)}, dtype=object),
        "NaN": pd.DataFrame({"a": texts(np.nan)}, dtype=object),
        "category": pd.DataFrame({"a": pd.Categorical(texts(None))}),
        "array": np.array([texts(None), texts("c")], dtype=object).T,
        "polars": pl.DataFrame({"a": texts(None)}),
    }


KINDS = sorted(frames())


#: Kinds, what is looked for in them, and how it is filled; NumPy cannot compare text and the None that would stay.
FILLINGS = [
    (kind, sought, strategy)
    for strategy in ("constant", "most_frequent")
    for kinds, sought in ((KINDS, np.nan), (("None", "array", "polars"), None))
    for kind in kinds
    if strategy == "constant" or sought is None or kind not in ("None", "array", "polars")
]


@pytest.mark.parametrize(("kind", "sought", "strategy"), FILLINGS)
def test_texts_are_imputed_exactly(kind: str, sought: Any, strategy: str) -> None:
    """Missing texts are replaced where they are missing in the way that the imputer looks for."""
    data = frames()[kind]
    imputer = SimpleImputer(missing_values=sought, strategy=strategy)
    assert_exact(make_pipeline(imputer, OneHotEncoder(handle_unknown="ignore")).fit(data), data)


@pytest.mark.parametrize("kind", ["str", "None", "array"])
def test_a_text_can_stand_for_what_is_missing(kind: str) -> None:
    """A text that stands for missing values is replaced everywhere, also by two imputers in a row."""
    data = frames()[kind]
    filled = SimpleImputer(missing_values=np.nan if kind == "str" else None, strategy="constant", fill_value="?")
    replaced = SimpleImputer(missing_values="b", strategy="constant", fill_value="?")
    last = SimpleImputer(missing_values="?", strategy="constant", fill_value="c", add_indicator=True)
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    assert_exact(make_pipeline(filled, replaced, ordinal).fit(data), data)
    assert_exact(make_pipeline(filled, replaced, last, ordinal).fit(data), data)


def test_objects_of_text_and_numbers_are_imputed_together() -> None:
    """An array of objects may have texts, numbers and missing values of both."""
    data = pd.DataFrame({"a": texts(np.nan), "b": RNG.integers(0, 5, ROWS), "c": numbers()[:, 0]}).astype(object)
    model = SimpleImputer(strategy="most_frequent", add_indicator=True)
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [0]), remainder="passthrough")
    assert_exact(make_pipeline(model, encoder, StandardScaler(with_mean=False)).fit(data), data)
    zeros = make_pipeline(SimpleImputer(strategy="constant", missing_values=0, fill_value=9), OrdinalEncoder())
    present = data.assign(a=texts("x"), c=1.5).astype(object)
    assert_exact(zeros.fit(present), present)


def test_columns_of_pandas_own_dtypes_are_imputed() -> None:
    """An imputer of `pandas.NA`, or of NaN, takes `pandas.NA` for missing."""
    data = pd.DataFrame({"a": pd.array([None if row % 5 == 0 else row for row in range(ROWS)], dtype="Int64")})
    for sought in (np.nan, pd.NA):
        assert_exact(SimpleImputer(missing_values=sought, strategy="median", add_indicator=True).fit(data), data)


@pytest.mark.parametrize("features", ["missing-only", "all"])
@pytest.mark.parametrize("sought", [np.nan, 1.0], ids=named)
@pytest.mark.parametrize("strict", [True, False])
def test_indicators_are_exact(features: str, sought: Any, strict: bool) -> None:
    """Indicator columns say what is missing; a column that lacked nothing in training may be refused."""
    rows = numbers(marker=sought)
    rows[:, 3] = np.abs(rows[:, 3]) + 2
    indicator = MissingIndicator(missing_values=sought, features=features, error_on_new=strict)
    union = make_union(indicator, FunctionTransformer(), make_pipeline(indicator, StandardScaler()))
    assert_exact(make_pipeline(union, SimpleImputer()).fit(rows), rows)


def test_indicators_of_text() -> None:
    """Indicator columns say where texts are missing, or are a certain text."""
    for kind, sought in (("None", None), ("NaN", np.nan), ("array", "b")):
        data = frames()[kind]
        model = make_pipeline(MissingIndicator(missing_values=sought, features="all"), StandardScaler())
        assert_exact(model.fit(data), data)


def test_sparse_matrices_are_imputed() -> None:
    """A stored NaN of a sparse matrix is replaced; an entry that is not stored is not missing."""
    data = pd.DataFrame({"t": texts("x"), "x": numbers()[:, 0]})
    columns = make_column_transformer((OneHotEncoder(), ["t"]), remainder="passthrough", sparse_threshold=1.0)
    model = make_pipeline(columns, SimpleImputer(strategy="median", add_indicator=True)).fit(data)
    assert_exact(model, data)


@pytest.mark.parametrize("options", [{}, {"add_indicator": True, "min_value": -1, "max_value": 1.5}], ids=named)
def test_iterative_imputers_ask_their_regressions(options: Any) -> None:
    """Numbers are predicted in the order of training, and clipped to the bounds."""
    rows = numbers()
    exact = IterativeImputer(DecisionTreeRegressor(max_depth=3, random_state=0), max_iter=3, tol=1.0, **options)
    assert_exact(exact.fit(rows), rows)
    close = IterativeImputer(LinearRegression(), max_iter=3, tol=1.0, **options)
    assert_close(close.fit(rows), rows)
    assert_close(close.fit(rows.astype(np.float32)), rows.astype(np.float32))


def test_what_is_not_covered_has_no_plan() -> None:
    """Nearest neighbours, posterior samples, and replacements of another type have no plan."""
    rows = numbers()
    with pytest.raises(NoPlan, match="a KNNImputer takes the nearest rows"):
        compiled(KNNImputer().fit(rows), rows)
    mixed = pd.DataFrame({"a": texts(np.nan), "c": rows[:, 0]}, dtype=object)
    second = make_column_transformer((StandardScaler(), [1]))
    with pytest.raises(NoPlan, match="puts 0 among texts"):
        compiled(make_pipeline(SimpleImputer(strategy="constant", fill_value=0), second).fit(mixed), mixed)
    first = make_column_transformer((OneHotEncoder(), [0]))
    with pytest.raises(NoPlan, match="puts 'missing_value' among numbers"):
        compiled(make_pipeline(SimpleImputer(strategy="constant"), first).fit(mixed), mixed)
    sampling = IterativeImputer(sample_posterior=True, max_iter=1, tol=1.0, random_state=0)
    with pytest.raises(NoPlan, match="another answer every time"):
        transform(sampling.fit(rows), Matrix(()), Compiler(Graph([])))


def test_categories_beside_integers_have_no_plan() -> None:
    """A missing category beside integers is cast to one of them by pandas; alone or beside floats it is NaN."""
    frame = pd.DataFrame({"a": RNG.integers(0, 9, ROWS), "c": pd.Categorical(RNG.choice([3, 1, 7], ROWS))})
    with pytest.raises(NoPlan, match="a category that is missing beside integers"):
        compiled(SimpleImputer().fit(frame), frame)
    assert_exact(SimpleImputer().fit(frame[["c"]]), frame[["c"]])
    beside = frame.astype({"a": np.float64})
    assert_exact(SimpleImputer().fit(beside), beside)


def test_numbers_whose_last_bits_are_not_defined_are_not_sought() -> None:
    """An imputer compares all bits of a number, so it has no plan behind a number of SciPy's."""
    frame = pd.DataFrame({"a": np.arange(ROWS) % 9})
    normal = QuantileTransformer(n_quantiles=9, output_distribution="normal")
    for last in (SimpleImputer(missing_values=0), MissingIndicator(missing_values=0, features="all")):
        with pytest.raises(NoPlan, match="looks for a number in columns of which a library"):
            compiled(make_pipeline(normal, last).fit(frame), frame)
