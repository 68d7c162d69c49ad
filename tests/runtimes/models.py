"""Define estimators that are no library's, which the tests pack."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin


class Clipper(TransformerMixin, BaseEstimator):
    """Clip numbers.

    Args:
        limit: the largest magnitude that is left.
    """

    def __init__(self, limit: float = 1.0) -> None:
        self.limit = limit

    def fit(self, X: Any, y: Any = None) -> Clipper:  # noqa: N803 - scikit-learn's name
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        return np.clip(np.asarray(X), -self.limit, self.limit)


class Coin(RegressorMixin, BaseEstimator):
    """Predict random numbers, others in each call."""

    def fit(self, X: Any, y: Any) -> Coin:  # noqa: N803
        self.random_ = np.random.default_rng(0)
        return self

    def predict(self, X: Any) -> Any:  # noqa: N803
        return self.random_.random(len(X))


class Halver(RegressorMixin, BaseEstimator):
    """Predict the mean, which halves whenever the estimator is stored."""

    def fit(self, X: Any, y: Any) -> Halver:  # noqa: N803
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X: Any) -> Any:  # noqa: N803
        return np.full(len(X), self.mean_)

    def __getstate__(self) -> dict[str, Any]:
        return {"mean_": self.mean_ / 2}
