"""Test the rules of discriminant analysis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from fourfold.plan.compile import transform
from fourfold.plan.compile.columns import Compiler, NoPlan
from fourfold.plan.compile.inputs import ports, training_matrix
from fourfold.plan.graph.builder import Graph
from fourfold.signature import Field
from tests.plan.comparison import assert_close

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(100, 5)) * [1, 10, 0.1, 1, 3]
SCORE = X[:, 0] + X[:, 3] + RANDOM.normal(size=100)
TWO = np.where(SCORE > 0, "yes", "no")
FOUR = np.digitize(SCORE, [-1, 0, 1])
pytestmark = pytest.mark.filterwarnings("ignore")
#: A float64 that was computed in float32 is as far off as that.
OF_FLOAT32 = 64 * 2.0**29
LINEAR: list[dict[str, Any]] = [
    {},
    {"solver": "eigen", "shrinkage": "auto"},
    {"solver": "lsqr", "shrinkage": 0.3},
    {"priors": None, "n_components": 1},
]


@pytest.mark.parametrize("y", [TWO, FOUR])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("options", LINEAR)
def test_linear(options: dict[str, Any], dtype: Any, y: Any) -> None:
    """Labels are the original's; scores, probabilities and projections are within a few ulp."""
    x = X.astype(dtype)
    model = LinearDiscriminantAnalysis(**options).fit(x, y)
    assert_close(model, x, ["predict", "predict_proba", "decision_function"], ulp=64)
    assert_close(model, x, ["predict_log_proba"], ulp=256)
    if options.get("solver") != "lsqr":
        assert_close(model, x, ["transform"], ulp=16)


@pytest.mark.parametrize("y", [TWO, FOUR])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("options", [{"reg_param": 0.1}, {"reg_param": 0.0, "store_covariance": True}])
def test_quadratic(options: dict[str, Any], dtype: Any, y: Any) -> None:
    """The same holds for the quadratic analysis, whose scores are float64 also for float32 columns."""
    x = X.astype(dtype)
    model = QuadraticDiscriminantAnalysis(**options).fit(x, y)
    methods = ["predict", "predict_proba", "predict_log_proba", "decision_function"]
    assert_close(model, x, methods, ulp=OF_FLOAT32 if dtype == np.float32 else 64)


def test_columns_of_codes() -> None:
    """Columns of categories are centred and weighted in tables."""
    frame = pd.DataFrame({"s": RANDOM.choice(list("abcd"), 100), "t": RANDOM.choice(list("uvw"), 100)})
    for last in (LinearDiscriminantAnalysis(), QuadraticDiscriminantAnalysis()):
        model = make_pipeline(OrdinalEncoder(), StandardScaler(), last).fit(frame, FOUR)
        assert_close(model, frame, ["predict", "decision_function"], ulp=64)


def test_the_least_squares_solver_does_not_transform() -> None:
    """A method that the original refuses has no plan."""
    fields = [Field(name, "float64") for name in "abcde"]
    compiler = Compiler(Graph(ports(fields)))
    matrix = training_matrix({"container": "numpy", "dtype": "float64"}, fields, compiler)
    with pytest.raises(NoPlan, match="solver lsqr does not transform"):
        transform(LinearDiscriminantAnalysis(solver="lsqr").fit(X, FOUR), matrix, compiler)
