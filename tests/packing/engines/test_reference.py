"""Every packing row decides about an engine, and rows of larger numbers say how far a bound reaches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier

import fourfold
from fourfold.function import Function
from fourfold.package import Package
from fourfold.packing.engines.candidate import Candidate
from fourfold.packing.engines.reference import Reference
from fourfold.packing.engines.tolerance import Tolerance
from fourfold.packing.engines.tournament import TournamentEntry, run_tournament
from fourfold.packing.samples.edge_cases import spread_indices
from fourfold.packing.samples.other_rows import OtherRows
from fourfold.packing.samples.packing_rows import PackingRows
from fourfold.packing.samples.scaled_rows import scale_rows
from fourfold.packing.stages.sample import MAX_SAMPLE_ROWS
from fourfold.signature import Field, Signature
from fourfold.signature.columns import arrow_schema, columns_to_rows, rows_to_columns
from tests.packing.engines.test_tournament import entry

RANDOM = np.random.default_rng(11)
ROWS = 4 * MAX_SAMPLE_ROWS
X = RANDOM.normal(size=(ROWS, 8))
GOAL = X[:, 0] - 2 * X[:, 1] + RANDOM.normal(size=ROWS)


ONE = Signature((Field("x", "float64"),), (Field("y", "float64"),))


class _Doubling:
    """Double numbers, and add an offset to the answers for those between two limits."""

    takes = "columns"

    def __init__(self, low: float = math.inf, high: float = math.inf, offset: float = 0.0) -> None:
        self._low, self._high, self._offset = low, high, offset

    def predict(self, batch: Any) -> Any:
        numbers = np.asarray(batch.column(0))
        answers = np.where((self._low < numbers) & (numbers < self._high), 2 * numbers + self._offset, 2 * numbers)
        return pa.RecordBatch.from_arrays([pa.array(answers)], schema=arrow_schema(ONE.outputs))


def _verdict(low: float, offset: float, *, is_defined: bool, high: float = math.inf) -> TournamentEntry:
    """Return the verdict on an engine that is off between two numbers, with a thousand packing rows from 0 to 999.5."""
    rows = [{"x": index + 0.5 * (index % 2)} for index in range(1_000)]
    sampled = spread_indices(len(rows), MAX_SAMPLE_ROWS)
    plain = [rows[index] for index in sampled]
    packing_rows = PackingRows(plain, plain, [{"x": -0.0}], [], OtherRows(rows, ONE, sampled))
    original: Any = _Doubling()
    engine: Any = _Doubling(low, high, offset)
    candidate = Candidate("plan", engine=engine, approximations=() if is_defined else ("a BLAS orders the sums",))
    reference = Reference(ONE, Function(ONE, original, None), packing_rows)
    (found,) = run_tournament(ONE, reference, [candidate], Tolerance.parse("tight"))
    return found


@pytest.mark.parametrize("is_defined", [True, False])
def test_a_row_beyond_the_sample_decides(is_defined: bool) -> None:
    """An engine that answers one packing row otherwise is rejected, though no row of the sample shows it."""
    assert 997 not in spread_indices(1_000, MAX_SAMPLE_ROWS)
    found = _verdict(996.0, 1.0, is_defined=is_defined, high=998.0)
    assert found.verdict == "rejected"
    assert "rows differ; for example {'x': 99" in found.why
    assert found.comparison is not None
    assert found.comparison.rows >= 1_001


def test_rows_of_larger_numbers_decide_where_arithmetic_does() -> None:
    """Where every bit is defined, rows outside of the packing rows must have the same bits too; else it is told."""
    defined = _verdict(2_000.0, 1.0, is_defined=True)
    assert (defined.verdict, defined.scaled) == ("rejected", {})
    near = _verdict(2_000.0, 1e-9, is_defined=False)
    assert near.verdict == "equal"
    assert near.comparison is not None
    assert near.comparison.exact
    assert [factor for factor, found in near.scaled.items() if found.differing] == [10, 100]
    far = _verdict(2_000.0, 1e6, is_defined=False)
    assert far.scaled[10].ulp > 1e9
    assert _verdict(math.inf, 0.0, is_defined=True).verdict == "exact"


def test_every_packing_row_counts() -> None:
    """The rows of the verdict are those of the sample, the others and what is made from them."""
    forest = RandomForestRegressor(5, max_depth=4, random_state=0).fit(X, GOAL)
    plan = entry(fourfold.pack(forest, name="forest", rows=X), "plan")
    assert plan["verdict"] == "exact"
    # Boundary rows and rows of larger numbers must have the same bits as well.
    assert plan["rows"] > ROWS + 2 * 1_000
    assert "scaled" not in plan


def test_what_a_library_computes_is_never_exact() -> None:
    """XGBoost's float32 exp: the same bits in the rows that were compared is all that is said."""
    model = XGBClassifier(n_estimators=5, max_depth=2, n_jobs=1).fit(X, GOAL > 0)
    plan = entry(fourfold.pack(model, name="risk", rows=X[:40]), "plan")
    assert plan["verdict"] in ("equal", "bound")
    assert "exp of float32" in plan["why"]


def test_the_range_of_a_bound_is_said() -> None:
    """Rows of ten and a hundred times the numbers are further away in relation to what is usual, and it is told."""
    model = make_pipeline(StandardScaler(), Ridge()).fit(X, GOAL)
    package = fourfold.pack(model, name="sum", rows=X)
    plan = entry(package, "plan")
    assert plan["verdict"] == "bound"
    assert [found["factor"] for found in plan["scaled"]] == [10, 100]
    assert all(found["rows"] == min(ROWS, 1_024) and found["ulp"] > 0 for found in plan["scaled"])
    assert 0 < plan["ulp"] <= 512


def test_a_bound_that_a_packing_row_breaks_is_none() -> None:
    """Sums that cancel after a weight: the rows that the sample of 256 leaves out are further off than the bound."""
    halves = FeatureUnion([("a", StandardScaler()), ("b", StandardScaler())], transformer_weights={"a": 1e6, "b": 1e6})
    model = make_pipeline(halves, Ridge(1e-6)).fit(X[:, :2], GOAL)
    package = fourfold.pack(model, name="sum", rows=X[:, :2])
    plan = entry(package, "plan")
    answers = np.asarray(fourfold.load(package).predict(X[:, :2])).ravel()
    expected = model.predict(X[:, :2])
    allowed = 512 * 2.0**-52 * np.maximum(np.abs(expected), np.abs(expected).max())
    assert plan["verdict"] == "rejected" or (np.abs(answers - expected) <= allowed).all()


def _distance(package: Package) -> dict[str, Any]:
    found: dict[str, Any] = package.manifest["exactness"]["original"]
    return found


def test_the_distance_from_the_call_of_all_rows_is_said() -> None:
    """An engine in fixed blocks is the same through every door, and not the same as one call with all rows."""
    wide = RANDOM.normal(size=(600, 64))
    model = LogisticRegression(max_iter=300).fit(wide, wide[:, 0] + wide[:, 1] > 0)
    package = fourfold.pack(model, name="risk", rows=wide, engine="original")
    found = _distance(package)
    whole = model.predict_proba(wide)
    answers = fourfold.load(package, trust="foreign").predict(wide)["probability"]
    assert found["rows"] == 600
    assert found["differing"] == int((whole != answers).any(axis=1).sum())
    tree = RandomForestRegressor(3, max_depth=3, random_state=0).fit(X, GOAL)
    assert _distance(fourfold.pack(tree, name="tree", rows=X)) == {"rows": ROWS, "differing": 0}


def test_rows_that_the_model_refuses_are_no_difference() -> None:
    """An encoder that knows no other codes refuses larger integers, so only floats are multiplied."""
    frame = pd.DataFrame({"code": RANDOM.integers(0, 5, ROWS), "size": X[:, 0]})
    model = make_pipeline(OneHotEncoder(), LinearRegression()).fit(frame[["code"]], GOAL)
    plan = entry(fourfold.pack(model, name="codes", rows=frame[["code"]]), "plan")
    assert plan["verdict"] in ("equal", "bound", "exact")
    assert "scaled" not in plan
    machine = SVC().fit(X[:100], GOAL[:100] > 0)
    assert entry(fourfold.pack(machine, name="machine", rows=X[:100], methods=["predict"]), "plan")["scaled"]


NUMBERS = Signature(
    (
        Field("wide", "float64", nullable=True),
        Field("narrow", "float32"),
        Field("count", "int8"),
        Field("size", "uint64"),
        Field("tensor", "float32", shape=(2, 2)),
        Field("word", "string"),
        Field("flag", "bool"),
    ),
    (Field("y", "float64"),),
)


def test_numbers_are_multiplied_where_their_dtype_allows() -> None:
    """What overflows, is missing, or is no number stays as it is."""
    rows: list[dict[str, Any]] = [
        {"wide": 1.5, "narrow": 3e38, "count": 12, "size": 2**63, "tensor": [[1.0, 2.0], [3.0, -4.0]], "word": "a"},
        {"wide": None, "narrow": -0.5, "count": -13, "size": 7, "tensor": [[0.0, 3e38], [1.0, 1.0]], "word": "b"},
    ]
    batch = rows_to_columns(NUMBERS.inputs, [{**row, "flag": True} for row in rows])
    first, second = columns_to_rows(NUMBERS.inputs, scale_rows(NUMBERS, batch, 10, integers=True))
    assert first["wide"] == 15.0
    assert first["narrow"] == float(np.float32(3e38))
    assert (first["count"], first["size"], first["word"], first["flag"]) == (120, 2**63, "a", True)
    assert first["tensor"] == [[10.0, 20.0], [30.0, -40.0]]
    assert second["wide"] is None
    assert (second["narrow"], second["count"], second["size"]) == (-5.0, -13, 70)
    assert second["tensor"][0] == [0.0, float(np.float32(3e38))]
    kept = columns_to_rows(NUMBERS.inputs, scale_rows(NUMBERS, batch, 10, integers=False))
    assert [row["count"] for row in kept] == [12, -13]
