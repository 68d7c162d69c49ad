"""`pack`: real models become packages whose function gives the same bits however it is called."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

import fourfold
from fourfold.errors import InputError, PackError, SignatureError
from fourfold.package import Package
from fourfold.package.words import verdict_line
from tests.models import identity, knows_its_place

ROWS = 300


def _frame() -> pd.DataFrame:
    numbers = np.random.default_rng(7)
    frame = pd.DataFrame(numbers.normal(size=(ROWS, 12)), columns=[f"f{index}" for index in range(12)])
    frame["word"] = numbers.choice(["red", "green", "blue"], ROWS)
    frame.loc[frame.index % 9 == 0, "f3"] = np.nan
    return frame


FRAME = _frame()
TARGET = FRAME["f0"] * 3 + FRAME["f1"] ** 2 + (FRAME["word"] == "red")


def _pipeline(estimator: Any) -> Any:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = [("numbers", numbers, [f"f{index}" for index in range(12)]), ("words", words, ["word"])]
    return make_pipeline(ColumnTransformer(columns), estimator)


MODELS: dict[str, Any] = {
    "linear regression": (lambda: _pipeline(LinearRegression()), TARGET),
    "ridge": (lambda: _pipeline(Ridge()), TARGET),
    "logistic regression": (lambda: _pipeline(LogisticRegression()), TARGET > 1),
    "MLP": (lambda: _pipeline(MLPRegressor(hidden_layer_sizes=(32,), max_iter=1000, tol=1e-1, random_state=0)), TARGET),
    "random forest": (lambda: _pipeline(RandomForestClassifier(20, random_state=0)), (TARGET > 1).astype(str)),
    "histogram boosting": (lambda: _pipeline(HistGradientBoostingRegressor(max_iter=20, random_state=0)), TARGET),
}


@pytest.fixture(scope="module", params=MODELS)
def packed(request: pytest.FixtureRequest) -> tuple[Any, Package]:
    """A fitted pipeline and its package."""
    make, target = MODELS[request.param]
    model = make().fit(FRAME, target)
    return model, fourfold.pack(model, name="model", rows=FRAME)


def test_a_packed_model_answers_a_row_the_same_however_it_is_asked(packed: tuple[Any, Package]) -> None:
    """One by one, whole, in odd batches and in reverse, the bits of every row are the same; so says the manifest."""
    predictor = fourfold.load(packed[1])
    assert packed[1].manifest["exactness"]["exact"] is True
    whole = predictor.predict(FRAME)
    alone = pd.concat([predictor.predict(FRAME.iloc[[index]]) for index in range(0, ROWS, 7)])
    pieces = pd.concat([predictor.predict(FRAME.iloc[start : start + 37]) for start in range(0, ROWS, 37)])
    backwards = predictor.predict(FRAME.iloc[::-1])
    for other in (alone, pieces, backwards):
        pd.testing.assert_frame_equal(whole.loc[other.index].map(_bits), other.map(_bits))


def _bits(value: Any) -> Any:
    return value.tobytes() if isinstance(value, np.ndarray) else value


def test_a_packed_model_gives_what_the_model_gives(packed: tuple[Any, Package]) -> None:
    """Up to the last bits of BLAS, the answers are those of the estimator that was packed; labels are equal."""
    model, package = packed
    outputs = fourfold.load(package).predict(FRAME, arrays=True)
    expected = model.predict(FRAME)
    chosen = next(entry for entry in package.manifest["engines"] if entry["chosen"])
    if "label" in outputs:
        assert outputs["label"].tolist() == expected.tolist()
        answers, expected = np.stack(outputs["probability"].to_list()), model.predict_proba(FRAME)
    else:
        answers = outputs["prediction"].to_numpy()
    if chosen["verdict"] in ("exact", "equal"):
        np.testing.assert_array_equal(answers, expected)
    else:  # a share of what is usual, as the bound is
        np.testing.assert_allclose(answers, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_golden_rows_hold_edge_cases(packed: tuple[Any, Package]) -> None:
    """Every package carries rows with missing values, unseen categories and extremes."""
    from fourfold.package.golden import read_golden

    inputs = read_golden(packed[1]).inputs
    assert any(row["f3"] is None for row in inputs)
    assert any(row["word"] not in ("red", "green", "blue") for row in inputs)
    assert any(row["f0"] == 0 and np.signbit(row["f0"]) for row in inputs)


TWICE = """
import numpy as np, pandas as pd, fourfold
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.preprocessing import FunctionTransformer

frame = pd.DataFrame(np.arange(400.0).reshape(100, 4) % 17, columns=list("abcd"))
model = HistGradientBoostingRegressor(max_iter=5, random_state=0).fit(frame, frame["a"] * 2)
print(fourfold.pack(model, name="twice", rows=frame, provenance={"commit": "1f2e"}).digest)
dtypes = ("float64", "float32", "int32", "int16")
X = pd.DataFrame({dtype: np.arange(1, 20).astype(dtype) for dtype in dtypes})
roots = FunctionTransformer(np.sqrt).fit(X)
halves = ColumnTransformer([("half", "passthrough", list(X))], transformer_weights={"half": 0.5})
halves.set_output(transform="pandas").fit(X)
for model in (roots, halves):
    package = fourfold.pack(model, name="mixed", rows=X, methods=("transform",))
    print(package.manifest["runtime"]["name"], package.digest)
"""


def test_the_same_inputs_give_the_same_digest() -> None:
    """In another process, with another order of hashes, the package is the same; so is the plan of columns of several
    dtypes, which hash otherwise there: its steps follow the columns.
    """
    printed = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        arguments = [sys.executable, "-c", TWICE]
        printed.add(subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(printed) == 1
    assert next(iter(printed)).count("plan sha256:") == 2


NUMBERS = [{"x": float(index + 1)} for index in range(40)]


def test_packing_again_gives_the_same_package() -> None:
    """Packing changes nothing in the model: one whose categories it looks into gives one digest, however often."""
    frame = FRAME[["f0", "f1"]].assign(word=FRAME["word"].astype("category"))
    model = HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=3, random_state=0).fit(
        frame, TARGET
    )
    assert len({fourfold.pack(model, name="again", rows=frame).digest for _ in range(3)}) == 1


def test_a_model_that_knows_its_place_is_not_packed() -> None:
    """The error says what was tried and how far the answers move; `accept` packs it with that written down."""
    with pytest.raises(PackError, match=r"rows that are answered with it.*calls of 64 rows: .*accept='rtol:X'"):
        fourfold.pack(knows_its_place, name="bad", rows=NUMBERS)
    package = fourfold.pack(knows_its_place, name="bad", rows=NUMBERS, accept="rtol:1e-3")
    exactness = package.manifest["exactness"]
    assert exactness["exact"] is False
    assert exactness["accepted"] == "rtol:1e-3"
    with pytest.raises(PackError, match="depend on"):
        fourfold.pack(knows_its_place, name="bad", rows=NUMBERS, accept="rtol:1e-30")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "No Good"}, PackError, "expected a name"),
        ({"accept": "roughly"}, PackError, "expected accept"),
        ({"accept": "rtol:2"}, PackError, "expected accept"),
        ({"block": 0}, PackError, "expected block"),
        ({"block": "large"}, PackError, "expected block"),
        ({"runtime": "tensorflow"}, PackError, "expected a runtime of"),
        ({"rows": []}, SignatureError, "row"),
        ({"rows": [{"x": object()}]}, SignatureError, "x"),
        ({"inputs": [{"name": "x", "dtype": "int64"}], "rows": [{"x": 1.5}]}, InputError, "expected int64, got 1.5"),
    ],
)
def test_what_cannot_be_packed_as_asked_is_said(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """A wrong argument is named with what was expected, before anything is written."""
    with pytest.raises(error, match=message):
        fourfold.pack(identity, **{"name": "identity", "rows": NUMBERS, **arguments})


def test_an_option_that_the_runtime_does_not_take_is_said() -> None:
    """The runtime and the option are named."""
    with pytest.raises(PackError, match="the python runtime takes no methods"):
        fourfold.pack(identity, name="identity", rows=NUMBERS, methods=("predict",))


@pytest.mark.parametrize("kind", [list, pd.Series, np.array])
def test_a_text_model_is_packed_with_its_texts(kind: Any) -> None:
    """A list, Series or array of texts is a table of one column, whose name the package gives."""
    texts = ["late again", "on time", "early", "very late"] * 10
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [True, False, False, True] * 10)
    package = fourfold.pack(model, name="mood", rows=kind(texts))
    (field,) = package.signature.inputs
    answer = fourfold.load(package).predict([{field.name: text} for text in texts])
    assert [row["label"] for row in answer] == [True, False, False, True] * 10


def test_a_model_that_nothing_runs_is_refused() -> None:
    """What no runtime knows is named by its type."""
    with pytest.raises(PackError, match="no runtime packs"):
        fourfold.pack(object(), name="nothing", rows=NUMBERS)


def test_a_block_can_be_asked_for() -> None:
    """The packer's own block is tested and kept."""
    package = fourfold.pack(identity, name="identity", rows=NUMBERS, block=16)
    assert package.block == 16
    assert fourfold.load(package, trust="code").predict([{"x": 2.0}]) == [{"y": 2.0}]


def test_provenance_is_carried() -> None:
    """Where a model comes from is in the manifest, as strings."""
    package = fourfold.pack(identity, name="identity", rows=NUMBERS, provenance={"commit": "1f2e3d"})
    assert package.manifest["provenance"]["commit"] == "1f2e3d"


def test_what_rows_happen_not_to_show_is_said() -> None:
    """Where an engine has the same bits in all rows tried, but a BLAS decides about others, the table says both."""
    x = np.random.default_rng(5).normal(size=(60, 3))
    model = LogisticRegression().fit(x, x[:, 0] > 0)
    package = fourfold.pack(model, name="risk", rows=x, methods=["predict"])
    plan = next(entry for entry in package.manifest["engines"] if entry["engine"] == "plan")
    assert plan["verdict"] == "equal"
    assert plan["why"].startswith("a BLAS orders the sums")
    line = verdict_line(plan)
    assert line.startswith(f"the same bits in {plan['rows']} rows, 0 ulp at 10 times their numbers and 0 ulp at 100")
    assert "; elsewhere the last may differ: a BLAS" in line
    exact = verdict_line({"verdict": "exact", "rows": 7})
    assert exact == "the same bits in any row: arithmetic defines them; compared in 7"


def test_golden_rows_allow_what_another_processor_may_change() -> None:
    """scikit-learn's own engine has a tolerance, with a block or without, unless arithmetic defines its bits."""
    x = np.random.default_rng(6).normal(size=(80, 3))
    gaps = np.where(np.random.default_rng(7).random(x.shape) < 0.1, np.nan, x)
    neighbours = make_pipeline(KNNImputer(n_neighbors=3), LinearRegression()).fit(gaps, x[:, 0])
    tree = DecisionTreeRegressor(max_depth=3).fit(x, x[:, 0])
    for model, rows, engine, tolerance in (
        (neighbours, gaps, "auto", 1e-9),
        (tree, x, "original", 0),
        (tree, x, "plan", 0),
    ):
        package = fourfold.pack(model, name="model", rows=rows, engine=engine)
        assert package.manifest["golden"]["tolerance"] == tolerance
        assert package.manifest["exactness"]["block"] is None or tolerance
