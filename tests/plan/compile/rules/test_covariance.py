"""Test the rule of the EllipticEnvelope."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.covariance import EllipticEnvelope
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.plan.comparison import assert_close, assert_exact

RANDOM = np.random.default_rng(71)
X = RANDOM.normal(size=(100, 7)) @ RANDOM.normal(size=(7, 7))
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("width", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("options", [{}, {"contamination": 0.3}, {"assume_centered": True}], ids=str)
def test_outliers(options: dict[str, Any], width: int, dtype: Any) -> None:
    """Labels are the original's; scores are as close as the condition of the precision matrix allows."""
    x = (X[:, :width] * 10).astype(dtype)
    model = EllipticEnvelope(random_state=0, **options).fit(x)
    if width == 1:
        assert_exact(model, x, ["predict", "decision_function", "score_samples"])
        return
    assert_close(model, x, ["predict"], ulp=0)
    assert_close(model, x, ["decision_function", "score_samples"], ulp=1024)


def test_after_scaling() -> None:
    """The rule works behind a scaler in a pipeline."""
    assert_close(make_pipeline(StandardScaler(), EllipticEnvelope(random_state=0)).fit(X), X, ["predict"], ulp=0)
