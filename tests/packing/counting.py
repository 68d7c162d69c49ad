"""A model that counts how often it is asked."""

from __future__ import annotations

from typing import Any

from sklearn.linear_model import LinearRegression


class CountingRegression(LinearRegression):
    """A regression that counts the calls of its `predict`, and leaves what it has as `scratch` out of its state."""

    calls = 0

    def predict(self, X: Any) -> Any:  # noqa: N803  # scikit-learn's name
        """Answer as the class below it does."""
        type(self).calls += 1
        return super().predict(X)

    def __getstate__(self) -> Any:
        """Return the state without what is only of use here."""
        return {name: value for name, value in super().__getstate__().items() if name != "scratch"}
