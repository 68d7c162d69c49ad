"""Test the rules of kernels, and of ridges, components and approximations made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import KernelPCA
from sklearn.kernel_approximation import (
    AdditiveChi2Sampler,
    Nystroem,
    PolynomialCountSketch,
    RBFSampler,
    SkewedChi2Sampler,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_close, compiled

RANDOM = np.random.default_rng(31)
X = RANDOM.normal(size=(80, 3)) * [1, 2, 0.5]
Y = X @ RANDOM.normal(size=3) - X[:, 0] ** 2
KERNELS = ["linear", "poly", "sigmoid", "rbf", "laplacian", "cosine"]
DTYPES = [np.float64, np.float32]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_ridges(kernel: str, dtype: Any) -> None:
    """The kernel of a row and each row of training, times the weights, for one target and for two.

    Of float32 the kernel is rounded to float32 while the answer is float64.
    """
    x = X.astype(dtype)
    bound = 1024 if dtype == np.float64 else 2.0**36
    assert_close(KernelRidge(kernel=kernel, alpha=1.0).fit(x, Y), x, ulp=bound)
    several = np.column_stack([Y, -(Y**2)])
    assert_close(KernelRidge(kernel=kernel, gamma=0.3, coef0=0.5).fit(x, several), x, ulp=bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", [each for each in KERNELS if each != "laplacian"])
def test_components(kernel: str, dtype: Any) -> None:
    """Centred kernels are multiplied by eigenvectors; components with an eigenvalue of 0 are 0."""
    x = X.astype(dtype)
    assert_close(KernelPCA(2, kernel=kernel, random_state=0).fit(x), x, ulp=2048)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_some_rows(kernel: str, dtype: Any) -> None:
    """The kernel with some rows is multiplied by their normalization, which can be ill-conditioned."""
    x = X.astype(dtype)
    assert_close(Nystroem(kernel, n_components=2, random_state=0).fit(x), x, ulp=2.0**16)


@pytest.mark.parametrize("degree", [1, 2, 3, 2.5])
def test_powers(degree: float) -> None:
    """A square is a product; other powers are those of a libm."""
    assert_close(KernelRidge(kernel="poly", degree=degree, coef0=20).fit(X, Y), X, ulp=2048)


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_waves(dtype: Any) -> None:
    """Cosines of random sums are close, also of logarithms of values above the skewedness."""
    x = X.astype(dtype)
    assert_close(RBFSampler(n_components=5, random_state=0).fit(x), x, ulp=64)
    positive = np.abs(x)
    assert_close(SkewedChi2Sampler(n_components=5, random_state=0).fit(positive), positive, ulp=2.0**20)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [{}, {"sample_steps": 1}, {"sample_steps": 3}, {"sample_interval": 0.7}])
def test_additive_waves(options: dict[str, Any], dtype: Any) -> None:
    """Roots and cosines of logarithms are close; zero stays zero, and negative numbers are refused."""
    x = np.abs(X).astype(dtype)
    x[:5, 1] = 0
    assert_close(AdditiveChi2Sampler(**options).fit(x), x, ulp=2.0**12)


def test_in_a_pipeline() -> None:
    """The rules work behind a scaler and before a linear model."""
    model = make_pipeline(StandardScaler(), Nystroem(n_components=4, random_state=0), Ridge()).fit(X, Y)
    assert_close(model, pd.DataFrame(X, columns=list("abc")).to_numpy(), ulp=2.0**16)


def test_random_parameters() -> None:
    """Ridges are close over random kernels, widths and weights."""
    random = np.random.default_rng(33)
    for _ in range(12):
        x = X[:, : random.integers(1, 4)]
        options = {"gamma": [None, 0.1, 1.5][random.integers(3)], "coef0": float(random.integers(0, 3))}
        model = KernelRidge(kernel=random.choice(KERNELS), alpha=1.0, degree=2, **options).fit(x, Y)
        assert_close(model, x, ulp=2048)


def test_what_is_not_covered_has_no_plan() -> None:
    """Kernels of a user, unknown ones, sparse rows, and count sketches have no plan."""
    with pytest.raises(NoPlan, match="has the kernel chi2"):
        compiled(KernelRidge(kernel="chi2", gamma=1.0).fit(np.abs(X), Y), np.abs(X))
    with pytest.raises(NoPlan, match="has the kernel"):
        compiled(KernelRidge(kernel=_product).fit(X, Y), X)
    frame = pd.DataFrame({"s": RANDOM.choice(list("abc"), 80)})
    with pytest.raises(NoPlan, match="sparse matrix"):
        compiled(make_pipeline(OneHotEncoder(), KernelRidge(kernel="rbf")).fit(frame, Y), frame)
    with pytest.raises(NoPlan, match="in a dictionary"):
        compiled(Nystroem("rbf", kernel_params={"gamma": 0.1}, n_components=3).fit(X), X)
    with pytest.raises(NoPlan, match="plans do not cover"):
        compiled(PolynomialCountSketch(random_state=0).fit(X), X)


def _product(one: Any, other: Any) -> float:
    return float(one @ other)
