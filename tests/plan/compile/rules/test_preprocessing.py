"""Test the rules of scalers, discretisers and power transforms."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    KernelCenterer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, assert_exact, compiled, proof

RNG = np.random.default_rng(7)


def sample(columns: int = 3, *, dtype: Any = np.float64, missing: bool = False, order: Any = "C") -> Any:
    """Return numbers of several sizes, some of them missing."""
    made = RNG.normal(size=(60, columns)) * np.array([1.0, 1e-3, 1e4, 2.0, 7.0, 1.0, 0.3, 5.0, 1.0, 2.0])[:columns]
    made[5, 0] = 0.0
    if missing:
        made[RNG.random(made.shape) < 0.1] = np.nan
    return np.asarray(made.astype(dtype), order=order)


SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    StandardScaler(with_mean=False, with_std=False),
    MinMaxScaler(),
    MinMaxScaler(feature_range=(-1, 3), clip=True),
    MinMaxScaler(clip=True),
    MaxAbsScaler(),
    MaxAbsScaler(clip=True),
    RobustScaler(),
    RobustScaler(with_centering=False),
    RobustScaler(with_scaling=False),
    RobustScaler(quantile_range=(10, 90), unit_variance=True),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_scalers_are_exact(scaler: Any, dtype: Any) -> None:
    """Scaled columns are exact for float32 and float64; NaN passes, infinities are refused."""
    rows = sample(dtype=dtype, missing=True)
    assert_exact(clone(scaler).fit(rows), rows)


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), RobustScaler()], ids=str)
def test_scalers_take_whole_numbers_of_frames(scaler: Any) -> None:
    """Integers, booleans and missing integers of a frame become floats as scikit-learn converts them."""
    frame = pd.DataFrame(
        {
            "a": np.arange(60, dtype=np.int32) - 20,
            "b": np.arange(60) % 2 == 0,
            "c": pd.array([None if row % 7 == 0 else row for row in range(60)], dtype="Int64"),
            "d": np.linspace(0, 1, 60).astype(np.float32),
        }
    )
    assert_exact(clone(scaler).fit(frame), frame)
    assert_exact(clone(scaler).fit(frame[["b", "d"]]), frame[["b", "d"]])


def one_hot_before(step: Any) -> Any:
    """Return a step behind one-hot columns and numbers, as a sparse matrix."""
    columns = ColumnTransformer(
        [("text", OneHotEncoder(handle_unknown="ignore"), ["t"])], remainder="passthrough", sparse_threshold=1.0
    )
    return make_pipeline(columns, step)


@pytest.mark.parametrize(
    "step",
    [
        StandardScaler(with_mean=False),
        MaxAbsScaler(),
        MaxAbsScaler(clip=True),
        RobustScaler(with_centering=False),
        Normalizer("l1"),
        Normalizer("l2"),
        Normalizer("max"),
        Binarizer(threshold=0.5),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_matrices_are_exact(step: Any, dtype: Any) -> None:
    """A sparse matrix is exact; its bits differ from those of an array."""
    numbers = sample(2, dtype=dtype)
    frame = pd.DataFrame({"t": list("abcab" * 12), "x": numbers[:, 0], "y": numbers[:, 1]})
    model = one_hot_before(step).fit(frame)
    assert sparse.issparse(model.transform(frame))
    assert_exact(model, frame)


@pytest.mark.parametrize("columns", [1, 2, 3, 10])
@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalizers_are_exact_where_the_order_of_sums_is(norm: str, columns: int, dtype: Any) -> None:
    """Normalised rows are exact; where the layout of memory orders the sums, the plan says so."""
    rows = sample(columns, dtype=dtype)
    rows[3] = 0
    model = Normalizer(norm=norm).fit(rows)
    plan, _, _ = compiled(model, rows)
    ordered = norm == "max" or (norm == "l1" and columns < 8) or columns < 3
    assert bool(plan.approximations) is not ordered
    assert proof(model, rows).exact


def test_a_normalizer_of_rows_that_lie_apart_is_close() -> None:
    """Rows of an array in Fortran order are summed in another order than contiguous rows."""
    rows = sample(10, order="F")
    assert_close(Normalizer().fit(rows), rows, ulp=4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_binarizers_keep_the_dtype(dtype: Any) -> None:
    """A Binarizer compares in the float dtype of the columns; a scaler behind it sees that dtype."""
    rows = sample(dtype=dtype)
    model = make_pipeline(Binarizer(threshold=0.1), StandardScaler()).fit(rows)
    assert_exact(model, rows)


@pytest.mark.parametrize("encode", ["ordinal", "onehot", "onehot-dense"])
@pytest.mark.parametrize("strategy", ["uniform", "quantile", "kmeans"])
@pytest.mark.parametrize("dtype", [None, np.float32])
def test_bins_are_exact(encode: str, strategy: str, dtype: Any) -> None:
    """Numbers fall into the same bins for every encoding, also at the edges ± 1 ulp."""
    options: dict[str, Any] = {"quantile_method": "averaged_inverted_cdf"} if strategy == "quantile" else {}
    model = KBinsDiscretizer(4, encode=encode, strategy=strategy, dtype=dtype, random_state=0, **options)
    rows = sample()
    assert_exact(model.fit(rows), rows)
    single = sample(dtype=np.float32)
    assert_exact(clone(model).fit(single), single)


@pytest.mark.filterwarnings("ignore:Feature 1 is constant")
def test_bins_of_one_width_and_of_bins() -> None:
    """A constant column has one bin; bins of bins are found by their codes."""
    rows = sample()
    rows[:, 1] = 3.0
    model = make_pipeline(
        KBinsDiscretizer([6, 2, 3], encode="ordinal", strategy="uniform"),
        KBinsDiscretizer(2, encode="onehot-dense", strategy="uniform"),
    )
    assert_exact(model.fit(rows), rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform_quantiles_are_exact(dtype: Any) -> None:
    """Shares of the training rows are exact, also between repeated quantiles."""
    rows = sample(dtype=dtype, missing=True)
    rows[:, 2] = np.round(rows[:, 2] / 1e4)
    model = QuantileTransformer(n_quantiles=30, random_state=0).fit(rows)
    assert_exact(model, rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal_quantiles_are_close(dtype: Any) -> None:
    """Normal scores are within a few ulp of SciPy's."""
    rows = sample(dtype=dtype, missing=True)
    model = QuantileTransformer(n_quantiles=30, output_distribution="normal", random_state=0).fit(rows)
    assert_close(model, rows, ulp=8)


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["yeo-johnson", "box-cox"])
def test_powers_are_close(method: str, standardize: bool, dtype: Any) -> None:
    """Power transforms are within a few ulp of NumPy's and SciPy's."""
    rows = sample(dtype=dtype, missing=True)
    if method == "box-cox":
        rows = np.abs(rows) + np.asarray(0.01, dtype=dtype)
    assert_close(PowerTransformer(method, standardize=standardize).fit(rows), rows, ulp=32)


def test_powers_of_nothing_and_of_two_are_logarithms() -> None:
    """A lambda of 0, or of 2 for negative numbers, gives a logarithm."""
    rows = sample()
    model = PowerTransformer(standardize=False).fit(rows)
    model.lambdas_ = np.array([0.0, 2.0, 1.0])
    assert_close(model, rows, ulp=8)
    positive = np.abs(rows) + 0.01
    other = PowerTransformer("box-cox", standardize=False).fit(positive)
    other.lambdas_ = np.array([0.0, 5.0, -1.5])
    assert_close(other, positive, ulp=8)


def test_what_is_not_covered_has_no_plan() -> None:
    """A KernelCenterer, and quantiles of sparse matrices, have no plan."""
    rows = sample()
    with pytest.raises(NoPlan, match=r"plans do not cover sklearn\.KernelCenterer"):
        compiled(KernelCenterer().fit(rows @ rows.T), rows @ rows.T)
    frame = pd.DataFrame({"t": list("abcab" * 12), "x": rows[:, 0]})
    with pytest.raises(NoPlan, match="looks at what is stored alone"):
        compiled(one_hot_before(QuantileTransformer(n_quantiles=9, ignore_implicit_zeros=True)).fit(frame), frame)


def test_scalers_behind_one_hot_columns_leave_tables() -> None:
    """A column of categories that is encoded and scaled costs a single lookup."""
    frame = pd.DataFrame({"t": list("abcab" * 12)})
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    model = make_pipeline(encoder, StandardScaler(), MinMaxScaler(clip=True), RobustScaler()).fit(frame)
    assert_exact(model, frame)
    short, _, _ = compiled(make_pipeline(encoder).fit(frame), frame)
    assert len(compiled(model, frame)[0].plan) - len(short.plan) < 64
