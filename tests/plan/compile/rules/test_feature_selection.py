"""Test the rules of feature selection, polynomial features and splines."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_selection import (
    RFE,
    RFECV,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
    f_regression,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, SplineTransformer, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_exact, compiled

RNG = np.random.default_rng(17)
ROWS = 60


def numbers(columns: int = 4, dtype: Any = np.float64) -> Any:
    made = RNG.normal(size=(ROWS, columns)) * np.array([1.0, 30.0, 0.01, 1.0, 2.0])[:columns]
    return made.astype(dtype)


def target(rows: Any) -> Any:
    return rows[:, 0] * 3 + rows[:, 1]


def texts() -> list[str]:
    return ["abcab"[row % 5] for row in range(ROWS)]


# Chosen ones.


@pytest.mark.parametrize(
    "selector",
    [
        VarianceThreshold(0.5),
        SelectKBest(f_regression, k=2),
        SelectPercentile(f_regression, percentile=60),
        SelectFpr(f_regression, alpha=0.3),
        SelectFdr(f_regression, alpha=0.3),
        SelectFwe(f_regression, alpha=0.3),
        GenericUnivariateSelect(f_regression, mode="k_best", param=3),
        SelectFromModel(RandomForestRegressor(4, max_depth=3, random_state=0), threshold="mean"),
        RFE(DecisionTreeRegressor(max_depth=3, random_state=0), n_features_to_select=2),
        RFECV(DecisionTreeRegressor(max_depth=3, random_state=0), cv=2),
        SequentialFeatureSelector(DecisionTreeRegressor(max_depth=3, random_state=0), n_features_to_select=2, cv=2),
    ],
    ids=lambda selector: type(selector).__name__,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_selectors_are_exact(selector: Any, dtype: Any) -> None:
    """Selected columns stay as they are; a row is refused for the other columns, too."""
    rows = numbers(dtype=dtype)
    model = selector.fit(rows, target(rows))
    assert_exact(model, rows, ["transform"])
    frame = pd.DataFrame(rows, columns=list("abcd"))
    assert_exact(make_pipeline(selector, StandardScaler()).fit(frame, target(rows)), frame)
    framed = make_pipeline(selector, make_column_transformer((StandardScaler(), ["a"])))
    if model.get_support()[0]:
        assert_exact(framed.set_output(transform="pandas").fit(frame, target(rows)), frame)
    selector.set_output(transform="default")


@pytest.mark.parametrize("kind", [RFE, RFECV])
def test_eliminations_answer_as_the_estimator_that_is_left(kind: Any) -> None:
    """A recursive elimination predicts with its estimator on the columns that are left."""
    rows = numbers()
    model = kind(DecisionTreeRegressor(max_depth=3, random_state=0)).fit(rows, target(rows))
    assert_exact(model, rows, ["predict"])


def test_missing_numbers_pass_where_the_estimator_takes_them() -> None:
    """A selector refuses NaN and infinities only where its estimator takes no NaN."""
    rows = numbers()
    rows[3, 2] = np.nan
    assert_exact(VarianceThreshold().fit(rows), rows)
    forest = SelectFromModel(RandomForestRegressor(4, max_depth=3, random_state=0), threshold="mean")
    assert_exact(forest.fit(rows, target(rows)), rows)


def test_one_hot_columns_are_selected() -> None:
    """Columns of a sparse matrix are selected, and stay tables of their category."""
    frame = pd.DataFrame({"t": texts()})
    encoder = OneHotEncoder(handle_unknown="ignore")
    model = make_pipeline(encoder, VarianceThreshold(0.17), StandardScaler(with_mean=False)).fit(frame)
    assert_exact(model, frame)


# Products.


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4, (2, 3), (3, 3), (0, 2)], ids=str)
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_are_exact(degree: Any, alone: bool, dtype: Any) -> None:
    """Products have the original's order of multiplications and of columns."""
    rows = numbers(3, dtype=dtype)
    model = PolynomialFeatures(degree, interaction_only=alone, include_bias=degree == 0 or alone)
    assert_exact(model.fit(rows), rows)


@pytest.mark.parametrize("degree", [2, 3, 4])
@pytest.mark.parametrize("alone", [False, True])
def test_products_of_a_sparse_matrix_are_exact(degree: int, alone: bool) -> None:
    """A sparse matrix multiplies stored entries only, in another order, so 0 times infinity is 0."""
    frame = pd.DataFrame({"t": texts(), "x": numbers(1)[:, 0], "y": numbers(1, np.float32)[:, 0] * 1e30})
    columns = make_column_transformer((OneHotEncoder(), ["t"]), remainder="passthrough", sparse_threshold=1.0)
    model = make_pipeline(columns, PolynomialFeatures(degree, interaction_only=alone)).fit(frame)
    assert_exact(model, frame)


def test_products_of_one_hot_columns_are_tables() -> None:
    """Products of columns of one category are tables of it, and need no multiplication."""
    frame = pd.DataFrame({"t": texts()})
    encoder = OneHotEncoder(sparse_output=False)
    model = make_pipeline(encoder, StandardScaler(), PolynomialFeatures(3)).fit(frame)
    assert_exact(model, frame)
    assert len(compiled(model, frame)[0].plan) < 2048


# Splines.


@pytest.mark.parametrize("extrapolation", ["continue", "constant", "linear", "periodic", "error"])
@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("sparse", [False, True])
def test_splines_are_exact(extrapolation: str, degree: int, sparse: bool) -> None:
    """Splines between and beyond the knots are exact, for float32 and float64, dense and sparse."""
    for dtype in (np.float64, np.float32):
        rows = numbers(2, dtype=dtype)
        model = SplineTransformer(
            n_knots=5, degree=degree, extrapolation=extrapolation, sparse_output=sparse, include_bias=degree != 2
        )
        assert_exact(model.fit(rows), rows)


@pytest.mark.parametrize("extrapolation", ["continue", "constant", "linear", "periodic", "error"])
@pytest.mark.parametrize("knots", ["quantile", "uniform"])
def test_splines_of_missing_numbers_are_zeros(extrapolation: str, knots: Any) -> None:
    """Where NaN is allowed, its splines are zeros; infinities pass then, too."""
    rows = numbers(2)
    rows[4, 1] = np.nan
    model = SplineTransformer(4, extrapolation=extrapolation, knots=knots, handle_missing="zeros")
    assert_exact(model.fit(rows), rows)


def test_splines_of_whole_numbers_and_given_knots() -> None:
    """Knots may be given; splines of integers are float64."""
    rows = RNG.integers(0, 24, size=(ROWS, 2))
    knots = np.array([[0, 0], [6, 4], [12, 20], [24, 24]], dtype=np.float64)
    assert_exact(SplineTransformer(knots=knots, extrapolation="periodic").fit(rows), rows)
    assert_exact(SplineTransformer(degree=0, extrapolation="linear").fit(rows), rows)


@pytest.mark.parametrize("order", ["C", "F"])
def test_steps_of_features_follow_each_other(order: Any) -> None:
    """Splines, products and selections may follow each other, in either layout of memory."""
    rows = np.asarray(numbers(2), order=order)
    model = make_pipeline(
        SplineTransformer(3, degree=2, extrapolation="constant"), PolynomialFeatures(2), SelectKBest(f_regression, k=5)
    )
    assert_exact(model.fit(rows, target(rows)), rows)


def test_what_is_not_covered_has_no_plan() -> None:
    """Splines of degree 0 with constant extrapolation have no plan: the original fails there."""
    rows = numbers(2)
    with pytest.raises(NoPlan, match="no constant to extrapolate with"):
        compiled(SplineTransformer(degree=0, extrapolation="constant").fit(rows), rows)
