from __future__ import annotations

import re
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVC

from fourfold.errors import CorruptPackage
from fourfold.modelfiles import MalformedModel, lightgbm_text, xgboost_ubjson
from fourfold.runtimes import requires
from fourfold.runtimes.sklearn.inspection import check_bounds
from tests.runtimes.trip import NUMBERS, TARGET

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


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("left_child", 2**28),
        ("right_child", -(2**28)),
        ("split_feature", 2**28),
        ("left_child", 0),
        ("num_leaves", 10**8),
    ],
)
def test_lightgbm_trees_are_checked(key: str, value: int) -> None:
    """A tree that points elsewhere is refused although the sizes of the trees are right."""
    data = lightgbm.Dataset(X, TARGET)
    text = lightgbm.train({"verbose": -1, "min_data_in_leaf": 5}, data, 1).model_to_string()
    lightgbm_text.check(text)
    line = re.search(rf"^{key}=(.*)$", text, re.MULTILINE)
    assert line
    bad = text.replace(line[0], f"{key}=" + " ".join([str(value)] * len(line[1].split())), 1)
    size = bad.index("end of trees") - bad.index("Tree=")
    for each in (bad, re.sub("tree_sizes=.*", f"tree_sizes={size}", bad)):
        with pytest.raises(MalformedModel):
            lightgbm_text.check(each)


@pytest.mark.parametrize("key", ["left_children", "right_children", "split_indices", "tree_info", "iteration_indptr"])
def test_xgboost_trees_are_checked(key: str) -> None:
    """A tree that points elsewhere is refused before XGBoost follows it."""
    data = bytes(xgboost.train({"max_depth": 3}, xgboost.DMatrix(X, TARGET), 2).save_raw("ubj"))
    xgboost_ubjson.check(data)
    at = data.index(key.encode()) + len(key)
    at += 13 if data[at : at + 2] == b"[$" else 12
    bad = data[:at] + b"\x10\x00\x00\x00" + data[at + 4 :]
    for each in (bad, data + b"}", data[:-1]):
        with pytest.raises(MalformedModel):
            xgboost_ubjson.check(each)


def test_what_a_package_requires_is_known() -> None:
    """What a host must allow follows from the runtime and its settings, not from what the package claims."""
    assert [requires(name, {}) for name in ("python", "onnx", "sklearn")] == ["code", "", ""]
    assert requires("sklearn", {"file": "model.pickle"}) == "pickle"
