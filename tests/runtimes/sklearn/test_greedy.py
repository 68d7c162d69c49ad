"""Hold skops files that ask for far more than they hold, crash compiled code, or write to the terminal."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, StackingClassifier
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from fourfold.errors import CorruptPackage, PackageError, TrustError
from fourfold.runtimes.sklearn import skops_file
from tests.project.tree import ROOT
from tests.runtimes.sklearn.test_hostile import changed

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 2))
Y = X[:, 0]
CLASS = (Y > 0).astype(int)
TEXTS = pd.DataFrame({"text": ["a b", "c d"]})


def with_attributes(model: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def first_of_many() -> Any:
    model = GradientBoostingRegressor(n_estimators=1).fit(X, Y)
    model.init_.n_outputs_ = 10**9
    return model


def unions(count: int) -> Any:
    steps = [FeatureUnion([("a", FunctionTransformer()), ("b", FunctionTransformer())]) for _ in range(count)]
    return make_pipeline(*steps, LinearRegression().fit(X, Y))


def doubled(count: int) -> Any:
    """Transformers of columns whose tables become twice as wide, each in a pipeline of its own."""
    steps = [
        ColumnTransformer([("a", "passthrough", [0, 1]), ("b", "passthrough", [0, 1])]).fit(X) for _ in range(count)
    ]
    return make_pipeline(*(make_pipeline(step) for step in steps), LinearRegression().fit(X, Y))


def hashed(columns: int) -> Any:
    table = ColumnTransformer([("h", make_pipeline(HashingVectorizer(n_features=4)), "text")], sparse_threshold=0)
    table.fit(TEXTS)
    for members in (table.transformers, table.transformers_):
        members[0][1].steps[0][1].n_features = columns
    return table


def near(width: int) -> Any:
    return with_attributes(
        KNeighborsRegressor(2, algorithm="brute").fit(X, Y),
        metric="mahalanobis",
        effective_metric_="mahalanobis",
        metric_params={"VI": np.eye(width)},
        effective_metric_params_={"VI": np.eye(width)},
    )


GREEDY: dict[str, Callable[[], Any]] = {
    "targets of a constant": lambda: with_attributes(DummyRegressor().fit(X, Y), n_outputs_=10**9),
    "targets of a class": lambda: with_attributes(DummyClassifier().fit(X, CLASS), n_outputs_=10**9),
    "targets of the first estimator": first_of_many,
    "unions of unions": lambda: unions(29),
    "tables twice as wide": lambda: doubled(29),
    "hashes in a dense table": lambda: hashed(2**29),
    "weights that are no matrix of the rows": lambda: near(1),
}


@pytest.mark.parametrize("name", GREEDY)
def test_what_asks_for_more_than_it_holds_is_refused(name: str) -> None:
    """A few kilobytes that take gigabytes, or make SciPy read beyond an array, are refused before they answer."""
    with pytest.raises(CorruptPackage, match=r"points outside of itself|repeat each column"):
        skops_file.loads(skops_file.dumps(GREEDY[name]()))


MODEST: dict[str, Callable[[], Any]] = {
    "constants": lambda: DummyRegressor(strategy="constant", constant=[1.0, 2.0]).fit(X, np.c_[Y, Y]),
    "classes": lambda: DummyClassifier().fit(X, np.c_[CLASS, 1 - CLASS]),
    "a first estimator": lambda: GradientBoostingRegressor(init=LinearRegression(), n_estimators=1).fit(X, Y),
    "unions": lambda: unions(10),
    "tables": lambda: doubled(3),
    "hashes": lambda: hashed(2**20),
    "weights": lambda: near(2),
    "columns one by one": lambda: ColumnTransformer(
        [(f"c{index}", StandardScaler(), [index % 2]) for index in range(5000)]
    ).fit(X),
    "a final estimator that is not fitted itself": lambda: StackingClassifier(
        [("a", LogisticRegression())], final_estimator=HistGradientBoostingClassifier(max_iter=2), cv=2
    ).fit(X, CLASS),
    "parameters": lambda: lightgbm.LGBMClassifier(n_estimators=1, verbose=-1, max_bin=15, num_class=1).fit(X, CLASS),
}


@pytest.mark.parametrize("name", MODEST)
def test_what_is_as_large_as_it_says_is_built(name: str) -> None:
    """Models next to those that are refused are built, and give the same bytes again."""
    data = skops_file.dumps(MODEST[name]())
    assert skops_file.dumps(skops_file.loads(data)) == data


def test_a_booster_takes_no_memory_for_classes_that_it_lacks() -> None:
    """LightGBM takes memory for each class that its parameters name, before it answers."""
    model = lightgbm.LGBMRegressor(n_estimators=1, verbose=-1).fit(X, Y)
    model.set_params(num_class=10**9)
    with pytest.raises(TrustError, match="num_class is more than 100,000"):
        skops_file.loads(skops_file.dumps(model))


CONTROL = "1.0\x1b]0;title\x07"


def version(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    schema["content"]["content"]["_sklearn_version"]["content"] = json.dumps(CONTROL)


def parameter(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    schema["content"]["content"]["objective"]["content"] = json.dumps(CONTROL)


def names(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    schema["__class__"] = CONTROL * 1000


def kinds(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    schema["__loader__"] = CONTROL * 1000


@pytest.mark.parametrize("change", [version, parameter, names, kinds])
def test_no_text_of_a_file_reaches_the_terminal(
    change: Callable[[dict[str, Any], dict[str, bytes]], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """What libraries print in warnings is checked before they do; what an error says is escaped and cut."""
    model = LinearRegression() if change is version else lightgbm.LGBMRegressor(n_estimators=1, verbose=-1)
    data = changed(model.fit(X, Y), change)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PackageError) as caught:
            skops_file.loads(data)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert "\x1b" not in "".join(capfd.readouterr())


_NAMED = """
import sys
from fourfold.errors import TrustError
from fourfold.runtimes.sklearn import skops_file
before = set(sys.modules)
try:
    skops_file.loads(sys.stdin.buffer.read())
except TrustError:
    print(sorted(name for name in set(sys.modules) - before if "_precompute" in name or "experimental" in name))
"""


@pytest.mark.parametrize(
    "module",
    [
        "scipy.special._precompute.struve_convergence",
        "sklearn.experimental.enable_halving_search_cv",
        "numpy._pyinstaller.hook-numpy",
        "sklearn.\0",
        "sklearn..linear_model",
        ".sklearn",
    ],
)
def test_no_module_is_imported_that_no_model_uses(module: str) -> None:
    """A file that names a module is refused without importing it: one makes folders and starts a process."""

    def change(schema: dict[str, Any], members: dict[str, bytes]) -> None:
        schema["content"]["content"]["extra"] = {
            "__class__": "main",
            "__module__": module,
            "__loader__": "ObjectNode",
            "content": None,
        }

    data = changed(LinearRegression().fit(X, Y), change)
    ended = subprocess.run([sys.executable, "-c", _NAMED], input=data, capture_output=True, check=True, cwd=ROOT)
    assert ended.stdout.strip() == b"[]", ended.stderr


def test_a_pipeline_that_is_wide_once_is_counted_once() -> None:
    """Members side by side that each choose a column give as many columns as there were."""
    inner = ColumnTransformer([("a", "passthrough", [0]), ("b", StandardScaler(), [1])]).fit(X)
    model = Pipeline([*((f"c{index}", inner) for index in range(40)), ("line", LinearRegression().fit(X, Y))])
    assert skops_file.loads(skops_file.dumps(model)).predict(X).shape == Y.shape
