from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVC

from fourfold.errors import CorruptPackage
from fourfold.runtimes.sklearn.inspection import check_bounds
from tests.runtimes.round_trip import NUMBERS, TARGET

X, CLASS = NUMBERS.to_numpy(dtype=float), (TARGET > 0).astype(int)


def histograms() -> Any:
    model = HistGradientBoostingRegressor(max_iter=1).fit(X, TARGET)
    model._n_features = 2**30
    return model


def narrow() -> Any:
    model = KNeighborsRegressor(algorithm="brute").fit(X, TARGET)
    model._fit_X = model._fit_X[:, :1]
    return model


def coefficients() -> Any:
    model = LogisticRegression().fit(X, CLASS).sparsify()
    model.coef_.indices[:] = 2**28
    return model


def neighbours() -> Any:
    model = KNeighborsRegressor(algorithm="brute").fit(sparse.csr_matrix(X), TARGET)
    model._fit_X.indices[:] = 2**28
    return model


def words(place: int) -> Any:
    model = CountVectorizer().fit(["a big cat"])
    model.vocabulary_["big"] = place
    return model


def machine() -> Any:
    model = SVC().fit(X, CLASS)
    model._n_support = np.zeros(30000, dtype=np.int32)
    return model


@pytest.mark.parametrize(
    "make",
    [histograms, narrow, coefficients, neighbours, machine, lambda: words(2**28), lambda: words(-5)],
)
def test_shapes_that_contradict_each_other_are_refused(make: Any) -> None:
    """An estimator whose arrays do not fit each other is refused before compiled code follows them."""
    with pytest.raises(CorruptPackage):
        check_bounds(make())


def test_hashes_into_nothing_are_refused() -> None:
    """A vectorizer that hashes into no columns would divide by zero."""
    with pytest.raises(CorruptPackage):
        check_bounds(HashingVectorizer(n_features=0))
