"""Test the rule of the FunctionTransformer."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, assert_exact, compiled
from tests.support import named

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

RNG = np.random.default_rng(19)
ROWS = 60


def numbers(dtype: Any = np.float64) -> Any:
    made = RNG.normal(size=(ROWS, 3)) * np.array([1.0, 20.0, 0.1])
    made[4, 0] = np.nan
    return made.astype(dtype)


def logarithm(data: Any) -> Any:
    return np.log(data)


EXACT = [
    np.abs,
    np.fabs,
    np.sqrt,
    np.floor,
    np.ceil,
    np.trunc,
    np.rint,
    np.sign,
    np.negative,
    np.positive,
    np.square,
    np.reciprocal,
    np.deg2rad,
    np.degrees,
    np.nan_to_num,
    np.round,
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", EXACT, ids=lambda function: function.__name__)
def test_functions_that_are_defined_to_the_bit(function: Any, dtype: Any) -> None:
    """Functions of NumPy with one correct answer are exact, on arrays and frames."""
    rows = numbers(dtype)
    model = FunctionTransformer(function).fit(rows)
    assert_exact(model, rows)
    frame = pd.DataFrame(rows, columns=list("abc")).assign(d=rows[:, 1].astype(np.float64))
    assert_exact(make_pipeline(model, StandardScaler()).fit(frame), frame)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "function",
    [np.exp, np.expm1, np.log, np.log1p, np.log2, np.log10, np.sin, np.cos, np.tanh, np.cbrt],
    ids=lambda function: function.__name__,
)
def test_functions_of_a_libm_are_close(function: Any, dtype: Any) -> None:
    """Functions that a libm or a processor's own code computes are within a few ulp."""
    rows = numbers(dtype)
    assert_close(FunctionTransformer(function).fit(rows), rows, ulp=4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("function", "options"),
    [
        (np.clip, {"a_min": 0.0, "a_max": 1.1}),
        (np.clip, {"a_min": -1, "a_max": None}),
        (np.clip, {"min": 0.3, "max": 0.5}),
        (np.nan_to_num, {"nan": -1.5}),
        (np.nan_to_num, {"posinf": 3, "neginf": -0.1, "copy": True}),
        (np.round, {"decimals": 2}),
        (np.round, {"decimals": -1}),
    ],
    ids=named,
)
def test_options_of_functions(function: Any, options: Any, dtype: Any) -> None:
    """Keyword arguments come from `kw_args` or from `functools.partial`."""
    rows = numbers(dtype)
    assert_exact(FunctionTransformer(function, kw_args=options).fit(rows), rows)
    assert_exact(FunctionTransformer(partial(function, **options)).fit(rows), rows)


def test_identities_keep_frames() -> None:
    """Without a function, or with one that keeps frames, the next step gets the names."""
    frame = pd.DataFrame(numbers(), columns=list("abc")).assign(t=["abc"[row % 3] for row in range(ROWS)])
    columns = make_column_transformer((StandardScaler(), ["a", "c"]), (OneHotEncoder(), ["t"]))
    assert_exact(make_pipeline(FunctionTransformer(), columns).fit(frame), frame)
    scaled = make_column_transformer((StandardScaler(), ["a", "c"]))
    assert_exact(make_pipeline(FunctionTransformer(np.sqrt), scaled).fit(frame[list("abc")]), frame[list("abc")])
    checked = make_pipeline(FunctionTransformer(np.floor, validate=True), StandardScaler())
    present = frame[list("bc")]
    assert_exact(checked.fit(present), present)


def test_functions_of_frames_of_other_kinds() -> None:
    """Frames of polars become arrays; columns of pandas' own dtypes have no plan, or become one array."""
    rows = numbers()
    frame: Any = pl.DataFrame({"a": rows[:, 0], "b": rows[:, 1].astype(np.float32), "c": np.arange(ROWS)})
    assert_exact(make_pipeline(FunctionTransformer(np.floor), StandardScaler()).fit(frame), frame)
    masked = pd.DataFrame({"a": pd.array([None if row % 4 == 0 else row / 3 for row in range(ROWS)], dtype="Float64")})
    assert_exact(make_pipeline(FunctionTransformer(np.nan_to_num), StandardScaler()).fit(masked), masked)
    with pytest.raises(NoPlan, match="a dtype of pandas's own"):
        compiled(make_pipeline(FunctionTransformer(np.floor), StandardScaler()).fit(masked), masked)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16])
@pytest.mark.parametrize("function", [np.sign, np.floor, np.trunc, np.sqrt, np.rint, np.nan_to_num])
def test_functions_of_whole_numbers(function: Any, dtype: Any) -> None:
    """Integers stay integers, or become floats of the width that NumPy chooses."""
    rows = RNG.integers(0, 90, size=(ROWS, 2)).astype(dtype)
    assert_exact(make_pipeline(FunctionTransformer(function), StandardScaler()).fit(rows), rows)
    clipped = FunctionTransformer(np.clip, kw_args={"a_min": 3, "a_max": 50})
    assert_exact(make_pipeline(clipped, StandardScaler()).fit(rows), rows)


def test_functions_of_sparse_matrices_and_of_tables() -> None:
    """A sparse matrix has the functions that keep zeros; one-hot columns stay tables of their category."""
    frame = pd.DataFrame({"t": ["abc"[row % 3] for row in range(ROWS)]})
    for sparse in (True, False):
        encoder = OneHotEncoder(sparse_output=sparse)
        steps = [FunctionTransformer(np.sqrt), FunctionTransformer(np.negative), StandardScaler(with_mean=False)]
        assert_exact(make_pipeline(encoder, *steps).fit(frame), frame)
    squared = make_pipeline(encoder, StandardScaler(), FunctionTransformer(np.square)).fit(frame)
    assert_exact(squared, frame)
    assert len(compiled(squared, frame)[0].plan) < 1024


@pytest.mark.parametrize(
    ("function", "options", "dtype", "why"),
    [
        (logarithm, {}, np.float64, "calls logarithm, which is code"),
        (np.arctan, {}, np.float64, "calls arctan of NumPy, which no plan has"),
        (np.log, {"dtype": np.float32}, np.float64, "calls log with dtype"),
        (np.clip, {"a_min": [1, 2, 3], "a_max": 5}, np.float64, "calls clip with a_min"),
        (partial(np.clip, a_max=3.0), {"a_min": 0.5}, np.int64, "bounds that are not whole"),
        (np.abs, {}, np.int64, "absolute of whole numbers can overflow"),
        (np.sqrt, {}, np.int8, "sqrt of int8 is float16"),
    ],
)
def test_what_is_not_covered_has_no_plan(function: Any, options: Any, dtype: Any, why: str) -> None:
    """A user's code, unknown functions and keywords, and integers that could overflow have no plan."""
    rows = (np.abs(np.nan_to_num(numbers()) * 10) + 1).astype(dtype)
    model = make_pipeline(FunctionTransformer(function, kw_args=options), StandardScaler()).fit(rows)
    with pytest.raises(NoPlan, match=why):
        compiled(model, rows)


def test_objects_have_no_plan() -> None:
    """Columns of objects, and other functions of a sparse matrix, have no plan: the original calls methods."""
    rows = np.nan_to_num(numbers()).astype(object)
    frame = pd.DataFrame({"t": ["abc"[row % 3] for row in range(ROWS)]})
    sparse = make_pipeline(OneHotEncoder(), FunctionTransformer(np.round, accept_sparse=True)).fit(frame)
    with pytest.raises(NoPlan, match="applies round to a sparse matrix"):
        compiled(sparse, frame)
    with pytest.raises(NoPlan, match="to a column of objects"):
        compiled(make_pipeline(FunctionTransformer(np.negative), StandardScaler()).fit(rows), rows)
