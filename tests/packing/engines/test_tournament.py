"""The tournament: which engines are accepted, which are rejected and why, and which one the package gets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, StackingRegressor, VotingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.mixture import BayesianGaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from xgboost import XGBClassifier

import fourfold
from fourfold.errors import PackError
from fourfold.package import Package
from fourfold.packing.engines.benchmark import Figures
from fourfold.packing.engines.candidate import Candidate
from fourfold.packing.engines.tournament import TournamentEntry, choose

RANDOM = np.random.default_rng(3)
# Columns enough for any BLAS to sum them in an order of its own.
X = RANDOM.normal(size=(100, 16))
GOAL = X[:, 0] - 2 * X[:, 1] + RANDOM.normal(size=100)


def entry(package: Package, engine: str) -> dict[str, Any]:
    """The line of an engine in the package's table."""
    return next(each for each in package.manifest["engines"] if each["engine"] == engine)


def runtime(package: Package) -> str:
    """What a package runs with."""
    return str(package.manifest["runtime"]["name"])


def test_bits_that_arithmetic_defines_must_be_the_same() -> None:
    """A tree's plan is exact, on its boundaries too, whatever is accepted."""
    model = DecisionTreeRegressor(max_depth=5).fit(X, GOAL)
    for accept in ("tight", "rtol:1e-3"):
        package = fourfold.pack(model, name="tree", rows=X, accept=accept)
        plan = entry(package, "plan")
        assert (plan["verdict"], plan["chosen"], plan["differing"]) == ("exact", True, 0)
        assert "why" not in plan
    assert runtime(package) == "plan"


def test_what_is_accepted_decides_about_bits_of_a_blas() -> None:
    """A sum in another order is within the bound, says why, and is rejected by whoever wants the same bits."""
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(X, GOAL)
    near = entry(fourfold.pack(model, name="sum", rows=X), "plan")
    assert near["verdict"] == "bound"
    assert near["chosen"]
    assert 0 < near["ulp"] <= 512
    assert 0 < near["differing"] < near["rows"]
    assert near["why"].startswith("a BLAS orders the sums")
    package = fourfold.pack(model, name="sum", rows=X, accept="exact")
    far = entry(package, "plan")
    assert far["verdict"] == "rejected"
    assert far["why"].startswith(f"{far['differing']} of {far['rows']} rows differ; for example {{'x0'")
    assert runtime(package) == "sklearn"


def test_a_float64_that_rests_on_bits_of_float32_has_no_bound() -> None:
    """One bit of a float32 is half a billion of a float64: rows that were tried give no bound for other rows."""
    model = CalibratedClassifierCV(XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1), cv=2).fit(X, GOAL > 0)
    package = fourfold.pack(model, name="risk", rows=X, methods=["predict_proba"])
    plan = entry(package, "plan")
    assert plan["verdict"] == "rejected"
    assert "is float64, and rests on float32 ones whose last bits a library decides; where" in plan["why"]
    assert runtime(package) == "sklearn"
    accepted = fourfold.pack(model, name="risk", rows=X, methods=["predict_proba"], accept="rtol:1e-4")
    assert entry(accepted, "plan")["verdict"] in ("exact", "bound")
    assert runtime(accepted) == "plan"
    np.testing.assert_allclose(fourfold.load(accepted).predict(X), model.predict_proba(X), rtol=1e-4)


@pytest.mark.parametrize(
    "model",
    [
        BayesianGaussianMixture(n_components=3, random_state=0),
        StackingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3, random_state=0))]),
        StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3, random_state=0))]),
        BaggingClassifier(LogisticRegression(), 3, random_state=0),
        VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3, random_state=0))]),
    ],
    ids=lambda model: type(model).__name__,
)
def test_what_was_trained_in_float32_is_compared_in_float32(model: Any) -> None:
    """A float64 that rests on bits of float32 is as near as a float32 may be, where the rows have no more."""
    rows = X.astype(np.float32)
    fitted = model.fit(rows, (GOAL > 0).astype(int) if is_classifier(model) else GOAL)
    package = fourfold.pack(fitted, name="m", rows=rows)
    plan = entry(package, "plan")
    assert plan["verdict"] in ("bound", "equal"), plan
    assert "is float64, and rests on float32 ones" in plan["why"]
    assert plan.get("ulp", 0.0) <= 16 * 2**29
    assert runtime(package) == "plan"
    same_bits = fourfold.pack(fitted, name="m", rows=rows, accept="exact")
    assert entry(same_bits, "plan")["verdict"] in ("rejected", "equal")


def test_an_engine_can_be_asked_for() -> None:
    """An engine is chosen by its name where it gives the same answers; otherwise the error gives the reason."""
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(X, GOAL)
    assert runtime(fourfold.pack(model, name="sum", rows=X, engine="original")) == "sklearn"
    assert runtime(fourfold.pack(model, name="sum", rows=X, engine="plan")) == "plan"
    with pytest.raises(PackError, match=r"the engine plan does not hold this model: \d+ of \d+ rows differ"):
        fourfold.pack(model, name="sum", rows=X, engine="plan", accept="exact")
    with pytest.raises(PackError, match="expected an engine of auto, original, plan, onnx, sklearn; got 'warp'"):
        fourfold.pack(model, name="sum", rows=X, engine="warp")


def test_the_fastest_of_those_that_hold_the_model_is_chosen() -> None:
    """A rejected engine is never chosen, nor is an unmeasured one where another was measured."""
    figures = Figures(one_row=1e-3, rows_per_second=1e4, start_up=1.0, memory=2**20, size=2**10)
    fast = replace(figures, one_row=1e-6, rows_per_second=1e6)
    original = TournamentEntry(Candidate("sklearn"), "original", figures=figures)
    plan = TournamentEntry(Candidate("plan"), "exact", figures=fast)

    def refuse() -> None:
        raise PackError("no function")

    def find(*entries: TournamentEntry, engine: str = "auto", shape: Any = "both") -> str:
        return choose([*entries, original], engine, refuse, shape).candidate.name

    assert find(plan) == "plan"
    bulk = replace(plan, figures=replace(figures, one_row=1e-6, rows_per_second=1e3))
    assert (find(bulk, shape="one"), find(bulk)) == ("plan", "plan")
    with pytest.raises(PackError, match="no function"):  # the original, which is asked whether it can be packed
        find(bulk, shape="many")
    assert find(replace(plan, figures=replace(figures, one_row=1.2e-3)), shape="one") == "plan"  # not clearly slower
    assert find(replace(plan, figures=None), TournamentEntry(Candidate("onnx"), "bound", figures=fast)) == "onnx"
    for verdict in ("rejected", "absent"):
        with pytest.raises(PackError, match="no function"):
            find(replace(plan, verdict=verdict))
    with pytest.raises(PackError, match="no function"):
        find(plan, engine="original")
