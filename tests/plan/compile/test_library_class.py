from __future__ import annotations

import functools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn import dummy
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from fourfold.plan.compile.columns import NoPlan
from fourfold.plan.compile.library_class import library_class
from tests.plan.comparison import compiled


class Mine(StandardScaler):
    """A scaler that may compute something else."""


class DummyRegressor(dummy.DummyRegressor):
    """An estimator that bears the name of one whose answer is the same for every row."""

    def predict(self, X: Any, return_std: bool = False) -> Any:  # noqa: N803
        return np.asarray(X)[:, 0] * 2


def double(self: Any, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
    """Transform as no scaler does."""
    return np.asarray(X) * 2


def test_a_librarys_class_has_its_name() -> None:
    """A class of a library is named by it, and one of somebody else's by its own module: no rule has that."""
    assert library_class(StandardScaler()) == "sklearn.StandardScaler"
    assert library_class(Mine()) == "tests.Mine"


def test_a_class_that_claims_a_librarys_name_is_none() -> None:
    """A class with the module and name of scikit-learn's, but of somebody else's code, has no plan."""
    names = {"__module__": StandardScaler.__module__, "__qualname__": "StandardScaler", "transform": double}
    for base in (StandardScaler, object):
        claim = type("StandardScaler", (base,), names)
        with pytest.raises(NoPlan, match="is not what that module has"):
            library_class(claim())


def test_a_module_that_somebody_put_into_a_library_is_none_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class of a module with a library's name that lies elsewhere has no plan."""
    module = ModuleType("sklearn.added4f")
    claim = type("StandardScaler", (StandardScaler,), {"__module__": module.__name__})
    vars(module).update(StandardScaler=claim, __file__=str(tmp_path / "added4f.py"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(NoPlan, match="is not what that module has"):
        library_class(claim())


def test_a_part_that_bears_a_librarys_name_has_no_rule() -> None:
    """A first estimator of boosted trees that is called like scikit-learn's own is not taken for it."""
    numbers = np.random.default_rng(0).normal(size=(40, 2))
    model = GradientBoostingRegressor(n_estimators=2, init=DummyRegressor()).fit(numbers, numbers.sum(axis=1))
    with pytest.raises(NoPlan, match=r"plans do not cover tests\.DummyRegressor"):
        compiled(model, numbers)


def test_replaced_methods_have_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method of one's own on the object, on the class or on one above it computes what no rule knows."""
    scaler: Any = StandardScaler()
    scaler.transform = lambda X: X  # noqa: N803
    with pytest.raises(NoPlan, match="has a transform of its own"):
        library_class(scaler)
    monkeypatch.setattr(StandardScaler, "transform", double)
    with pytest.raises(NoPlan, match=r"StandardScaler\.transform was replaced by a function of tests\."):
        library_class(StandardScaler())
    assert library_class(LinearRegression()) == "sklearn.LinearRegression"


def test_watched_methods_have_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that somebody has wrapped to watch it, or that only fits, is the library's: the rows are compared."""
    original = LinearRegression.predict

    @functools.wraps(original)
    def watched(self: Any, X: Any) -> Any:  # noqa: N803
        return original(self, X)

    monkeypatch.setattr(LinearRegression, "predict", watched)
    monkeypatch.setattr(LinearRegression, "fit", double)
    assert library_class(LinearRegression()) == "sklearn.LinearRegression"
