from __future__ import annotations

import pickle
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA, SparsePCA
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    LabelEncoder,
    OneHotEncoder,
    OrdinalEncoder,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor
from xgboost import XGBRegressor

import fourfold
from fourfold import runtimes, tables
from fourfold.errors import EngineError, PackError, TrustError
from fourfold.signature import Field
from fourfold.signature.columns import rows_to_columns
from tests.runtimes.models import Clipper, Coin, Halver
from tests.runtimes.round_trip import (
    FRAME,
    LABELS,
    NUMBERS,
    TARGET,
    assert_bits,
    loaded,
    original,
    prepared,
    round_trip,
    signature_of,
    values,
)

MATRIX = NUMBERS.to_numpy()
TWO = np.column_stack([TARGET, -TARGET])


def columns(*steps: Any) -> ColumnTransformer:
    """What most pipelines begin with: text and categories one-hot, numbers filled and scaled."""
    filled = make_pipeline(SimpleImputer(), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer([("hot", one_hot, ["kind", "text"]), ("numbers", filled, ["a", "b", "c", "n"]), *steps])


REGRESSORS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "linear regression": lambda: (LinearRegression(), NUMBERS),
    "ridge on an array": lambda: (Ridge(), MATRIX),
    "ridge on a Fortran array": lambda: (Ridge(), np.asfortranarray(MATRIX)),
    "ridge on float32": lambda: (Ridge(), MATRIX.astype(np.float32)),
    "ridge on polars": lambda: (Ridge(), pl.DataFrame({name: NUMBERS[name].to_numpy() for name in NUMBERS})),
    "forest": lambda: (RandomForestRegressor(10, random_state=0), NUMBERS),
    "forest with threads": lambda: (RandomForestRegressor(10, random_state=0, n_jobs=2), NUMBERS),
    "gradient boosting": lambda: (GradientBoostingRegressor(n_estimators=10, random_state=0), NUMBERS),
    "histogram boosting": lambda: (
        HistGradientBoostingRegressor(max_iter=10, categorical_features="from_dtype"),
        FRAME[["kind", "c", "a"]],
    ),
    "pipeline": lambda: (make_pipeline(columns(), Ridge()), FRAME),
    "selection": lambda: (
        make_pipeline(SelectKBest(f_regression, k=2), HistGradientBoostingRegressor(max_iter=5)),
        NUMBERS,
    ),
    "LightGBM in a pipeline": lambda: (
        make_pipeline(columns(), LGBMRegressor(n_estimators=5, verbose=-1)),
        FRAME,
    ),
    "LightGBM with categories": lambda: (
        Pipeline([("model", LGBMRegressor(n_estimators=5, verbose=-1, n_jobs=2))]),
        FRAME[["kind", "a", "c"]],
    ),
    "XGBoost in a pipeline": lambda: (make_pipeline(columns(), XGBRegressor(n_estimators=5)), FRAME),
    "XGBoost with categories": lambda: (
        Pipeline([("model", XGBRegressor(n_estimators=5, enable_categorical=True, n_jobs=2))]),
        FRAME[["kind", "a", "c"]],
    ),
    "logarithm": lambda: (make_pipeline(FunctionTransformer(np.log1p), Ridge()), NUMBERS.abs()),
    "splines": lambda: (make_pipeline(SplineTransformer(), Ridge()), NUMBERS),
    "transformed target": lambda: (TransformedTargetRegressor(Ridge(), transformer=StandardScaler()), NUMBERS),
    "vote": lambda: (
        VotingRegressor([("forest", RandomForestRegressor(5, n_jobs=2, random_state=0)), ("ridge", Ridge())]),
        NUMBERS,
    ),
    "grid search": lambda: (GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2), NUMBERS),
    "Gaussian process": lambda: (GaussianProcessRegressor(random_state=0), NUMBERS),
}


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors_keep_their_bits(name: str) -> None:
    """A regressor from a package, which needs no trust, answers with the bits of the original."""
    model, sample = REGRESSORS[name]()
    model.fit(sample, TARGET)
    ready, answer = round_trip(model, sample)
    assert (ready.requires, list(ready.files), ready.settings["notes"]) == ("", ["model.skops"], [])
    assert [field.name for field in ready.outputs] == ["prediction"]
    assert_bits(original(model, sample), values(answer, "prediction"))


CLASSIFIERS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "logistic regression": lambda: (LogisticRegression(), NUMBERS, LABELS),
    "logistic regression of booleans": lambda: (LogisticRegression(), NUMBERS, TARGET > 0),
    "logistic regression of floats": lambda: (LogisticRegression(), NUMBERS, np.round(TARGET > 0).astype(float)),
    "forest of int8": lambda: (RandomForestClassifier(5, random_state=0), MATRIX, (TARGET > 0).astype(np.int8)),
    "neural network": lambda: (MLPClassifier((8,), max_iter=20, random_state=0), NUMBERS, LABELS),
    "histogram boosting": lambda: (
        HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype"),
        FRAME[["kind", "c"]],
        LABELS,
    ),
    "neighbours": lambda: (KNeighborsClassifier(), NUMBERS, LABELS.astype(str)),
    "calibrated": lambda: (CalibratedClassifierCV(LogisticRegression(), cv=2), NUMBERS, LABELS),
    "LightGBM": lambda: (make_pipeline(columns(), LGBMClassifier(n_estimators=3, verbose=-1)), FRAME, LABELS),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:X does not have valid feature")
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_keep_their_bits(name: str) -> None:
    """A classifier gives its labels in their own dtype, and a probability for each of them by name."""
    model, sample, target = CLASSIFIERS[name]()
    model.fit(sample, target)
    ready, answer = round_trip(model, sample)
    assert ready.requires == ""
    assert [field.name for field in ready.outputs] == ["label", "probability"]
    assert ready.outputs[1].labels == tuple(str(each) for each in model.classes_)
    assert_bits(original(model, sample), values(answer, "label"))
    assert_bits(original(model, sample, "predict_proba"), values(answer, "probability"))


def test_label_fields_know_their_classes() -> None:
    """String and integer labels are categories in the model's order; floats and booleans are plain fields."""
    found = {}
    for name in ("logistic regression", "forest of int8", "logistic regression of floats"):
        model, sample, target = CLASSIFIERS[name]()
        found[name] = prepared(model.fit(sample, target), sample).outputs[0]
    assert found == {
        "logistic regression": Field("label", "string", categories=("high", "low", "mid")),
        "forest of int8": Field("label", "int8", categories=(0, 1)),
        "logistic regression of floats": Field("label", "float64"),
    }


def test_clusters_and_outliers_are_predictions() -> None:
    """What predicts integers but knows no classes gives a prediction of its dtype."""
    for model in (KMeans(3, random_state=0, n_init=1), IsolationForest(n_estimators=10, random_state=0)):
        model.fit(NUMBERS)
        _, answer = round_trip(model, NUMBERS)
        assert_bits(original(model, NUMBERS), values(answer, "prediction"))


def test_many_targets_of_numbers_are_a_tensor() -> None:
    """A regressor with several targets answers with a tensor of them."""
    model = LinearRegression().fit(NUMBERS, TWO)
    ready, answer = round_trip(model, NUMBERS)
    assert ready.outputs == (Field("prediction", "float64", shape=(2,)),)
    assert_bits(original(model, NUMBERS), values(answer, "prediction"))


@pytest.mark.parametrize("wrapped", [True, False])
def test_many_targets_of_classes_are_numbered(wrapped: bool) -> None:
    """A classifier with several targets has a label and a probability for each of them."""
    forest = RandomForestClassifier(4, random_state=0)
    target = np.column_stack([LABELS, np.where(TARGET > 0, "yes", "no")]).astype(object)
    model = (MultiOutputClassifier(forest) if wrapped else forest).fit(NUMBERS, target)
    ready, answer = round_trip(model, NUMBERS)
    assert [field.name for field in ready.outputs] == ["label_0", "label_1", "probability_0", "probability_1"]
    assert ready.outputs[3].labels == ("no", "yes")
    for target_number in (0, 1):
        assert_bits(model.predict(NUMBERS)[:, target_number], values(answer, f"label_{target_number}"))
        assert_bits(model.predict_proba(NUMBERS)[target_number], values(answer, f"probability_{target_number}"))


def test_many_labels_a_row_are_a_tensor() -> None:
    """A multi-label classifier gives one tensor of labels and one of probabilities."""
    target = np.column_stack([TARGET > 0, TARGET > 1]).astype(int)
    model = MLPClassifier((4,), max_iter=500, random_state=0, tol=1.0).fit(NUMBERS, target)
    ready, answer = round_trip(model, NUMBERS)
    assert [field.shape for field in ready.outputs] == [(2,), (2,)]
    assert_bits(original(model, NUMBERS), values(answer, "label"))


def test_transformers_give_features() -> None:
    """What only transforms gives its features, a sparse matrix of them as a tensor of fixed width."""
    model = columns().set_params(sparse_threshold=1.0).fit(FRAME)
    ready, answer = round_trip(model, FRAME)
    assert [field.name for field in ready.outputs] == ["features"]
    assert_bits(model.transform(FRAME).toarray(), values(answer, "features"))


def test_one_row_without_its_dimension() -> None:
    """Some estimators forget that one row is a row: the answer is the same, whole."""
    model = SparsePCA(2, max_iter=9, random_state=0).fit(MATRIX)
    assert model.transform(MATRIX[:1]).shape == (2,)
    package = fourfold.pack(model, name="sparse", rows=MATRIX, engine="original")
    row = dict(zip(("x0", "x1", "x2", "x3"), map(float, MATRIX[0]), strict=False))
    assert fourfold.load(package).predict_one(row) == {"features": model.transform(MATRIX[:1]).tolist()}


def test_methods_are_chosen_by_name() -> None:
    """The methods asked for are the outputs, in their order."""
    model = make_pipeline(StandardScaler(), SVC(random_state=0)).fit(NUMBERS, LABELS)
    ready, answer = round_trip(model, NUMBERS, methods=("decision_function", "predict"))
    assert [field.name for field in ready.outputs] == ["decision", "label"]
    assert_bits(model.decision_function(NUMBERS), values(answer, "decision"))
    density = KernelDensity().fit(MATRIX)
    assert_bits(
        density.score_samples(MATRIX), values(round_trip(density, MATRIX, methods=["score_samples"])[1], "score")
    )
    assert_bits(density.score_samples(MATRIX), values(round_trip(density, MATRIX)[1], "score"))
    assert_bits(PCA(2).fit(MATRIX).transform(MATRIX), values(round_trip(PCA(2).fit(MATRIX), MATRIX)[1], "features"))


def test_counts_are_no_texts() -> None:
    """What weighs counts takes a table of them, as any transformer of numbers."""
    counts = np.abs(MATRIX).round()
    model = TfidfTransformer().fit(counts)
    assert_bits(model.transform(counts).toarray(), values(round_trip(model, counts)[1], "features"))


@pytest.mark.parametrize("sample", ["list", "series", "array", "frame"])
def test_texts(sample: str) -> None:
    """A pipeline that begins with a vectorizer takes one string a row, in whatever held them in training."""
    texts = [f"{text} {kind}" for text, kind in zip(FRAME["text"], FRAME["kind"], strict=True)]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, LABELS)
    given = {
        "list": texts,
        "series": pd.Series(texts, name="review"),
        "array": np.array(texts),
        "frame": pd.DataFrame({"review": texts}),
    }[sample]
    ready = prepared(model, given)
    name = "text" if sample in ("list", "array") else "review"
    assert ready.inputs == (Field(name, "string"),)
    batch, errors = tables.read([{name: text} for text in texts], ready.inputs)
    assert not errors
    answer = loaded(ready).predict(rows_to_columns(ready.inputs, batch))
    assert_bits(original(model, texts, "predict_proba"), values(answer, "probability"))


def test_texts_must_be_texts() -> None:
    """A text model's sample of anything but strings is an error that names what came."""
    model = CountVectorizer().fit(["a word"])
    for sample in ([1.5], [], pd.DataFrame({"a": ["x"], "b": ["y"]})):
        with pytest.raises(PackError, match="one text a row"):
            prepared(model, sample)


def test_rows_of_dicts() -> None:
    """A model trained on dicts is given dicts."""
    rows = [{"n": float(n), "kind": kind} for n, kind in zip(FRAME["n"], FRAME["kind"], strict=True)]
    model = make_pipeline(DictVectorizer(), Ridge()).fit(rows, TARGET)
    _, answer = round_trip(model, rows)
    assert_bits(original(model, rows), values(answer, "prediction"))


MISSING = {
    "None": pd.DataFrame({"k": pd.Series(["a", None, "b", None] * 5, dtype=object)}),
    "NaN": pd.DataFrame({"k": pd.Series(["a", np.nan, "b", np.nan] * 5, dtype=object)}),
    "str": pd.DataFrame({"k": pd.Series(["a", None, "b", None] * 5, dtype="str")}),
    "category": pd.DataFrame({"k": pd.Series(["a", None, "b", None] * 5, dtype="category")}),
    "Int64": pd.DataFrame({"k": pd.array([1, None, 2, None] * 5, dtype="Int64")}),
    "float": pd.DataFrame({"k": [1.0, np.nan, 2.0, np.nan] * 5}),
}


@pytest.mark.parametrize("name", MISSING)
@pytest.mark.parametrize("encoder", [OneHotEncoder, OrdinalEncoder])
def test_missing_values_come_as_in_training(name: str, encoder: Any) -> None:
    """None, NaN and NA are different categories to an encoder: a null comes in the form that it was trained with."""
    sample = MISSING[name]
    model = make_pipeline(encoder(), ExtraTreesRegressor(5, random_state=0)).fit(sample, np.arange(20) % 4)
    ready, answer = round_trip(model, sample)
    assert ready.inputs[0].nullable
    assert_bits(original(model, sample), values(answer, "prediction"))


def test_frames_are_put_in_order() -> None:
    """Columns come in the order of training whatever the sample's, and those that the model never saw are left out."""
    model = Ridge().fit(NUMBERS, TARGET)
    shuffled = FRAME[["n", "kind", "b", "a"]]
    ready, answer = round_trip(model, shuffled)
    assert [field.name for field in ready.inputs] == ["a", "b", "n"]
    assert_bits(original(model, NUMBERS), values(answer, "prediction"))


def test_a_frame_for_a_model_of_arrays_gives_names() -> None:
    """A model trained on an array gets one, C-ordered, from a frame whose names its fields have."""
    model = Ridge().fit(MATRIX, TARGET)
    ready, answer = round_trip(model, NUMBERS)
    assert [(field.name, field.dtype) for field in ready.inputs] == [(name, "float64") for name in NUMBERS]
    assert ready.settings["form"]["order"] == "C"
    assert_bits(original(model, np.ascontiguousarray(MATRIX)), values(answer, "prediction"))


def test_inputs_by_hand() -> None:
    """Fields given by hand are taken instead of the inferred ones, by their names where the sample has names."""
    model = Ridge().fit(NUMBERS, TARGET)
    given = (*(Field(name, "float64", description=f"the {name}") for name in ("b", "a")), Field("n", "int32"))
    ready, _ = round_trip(model, NUMBERS, inputs=given)
    assert [field.description for field in ready.inputs] == ["the a", "the b", ""]
    with pytest.raises(PackError, match="expected inputs for the columns a, b, n; got a"):
        prepared(model, NUMBERS, inputs=(Field("a", "float64"),))


def test_pickles_need_trust() -> None:
    """A class of somebody else's is pickled: a host that has not allowed that refuses it, saying why and what to do."""
    model = make_pipeline(Clipper(0.5), Ridge()).fit(NUMBERS, TARGET)
    ready = prepared(model, NUMBERS)
    assert (ready.requires, list(ready.files)) == ("pickle", ["code/tests/runtimes/models.py", "model.pickle"])
    with pytest.raises(TrustError, match=r"tests\.runtimes\.models\.Clipper"):
        loaded(ready)
    _, answer = round_trip(model, NUMBERS, trust="code")
    assert_bits(original(model, NUMBERS), values(answer, "prediction"))


class Bomb:
    """Sets a flag in `sys` where it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("import sys; sys.fourfold_bomb = True",)


def test_a_refused_pickle_does_nothing() -> None:
    """Nothing of a pickle that the host has not allowed is executed, whatever the package says of itself."""
    ready = prepared(make_pipeline(Clipper(0.5), Ridge()).fit(NUMBERS, TARGET), NUMBERS)
    bomb = pickle.dumps(Bomb())
    for file in ("model.pickle", "model.skops", "else"):
        settings = {**ready.settings, "file": file}
        with pytest.raises(Exception, match=r"pickle|skops"):
            runtimes.load("sklearn", settings, lambda _: bomb, signature_of(ready), trust="foreign")
    assert not hasattr(sys, "fourfold_bomb")


def test_what_cannot_be_packed() -> None:
    """An estimator that is not fitted, cannot answer, lacks a method or rolls dice is refused with the reason."""
    ridge = Ridge().fit(NUMBERS, TARGET)
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (Ridge(), NUMBERS, {}, "not fitted"),
        (Pipeline([("scale", StandardScaler()), ("ridge", Ridge())]), NUMBERS, {}, "not fitted"),
        (ridge, NUMBERS[["a", "n"]], {}, "lacks columns that the model was trained with: 'b'"),
        (ridge, MATRIX, {}, r"trained on a frame with the columns \['a', 'b', 'n'\]"),
        (ridge, NUMBERS.to_dict("records"), {}, "trained on a frame"),
        (Ridge().fit(MATRIX, TARGET), MATRIX[:, :2], {}, "trained with 3 columns; got 2"),
        (ridge, NUMBERS, {"methods": ["predict_proba"]}, "has no 'predict_proba'"),
        (ridge, NUMBERS, {"methods": ["fit"]}, "has no 'fit'"),
        (ridge, NUMBERS, {"methods": ["predict", "predict"]}, "twice"),
        (LabelEncoder().fit(LABELS), FRAME[["text"]], {}, "fails on the sample"),
        (AgglomerativeClustering().fit(MATRIX), MATRIX, {}, "has nothing to answer with"),
        (Coin().fit(NUMBERS, TARGET), NUMBERS, {}, "the same rows in two ways"),
        (make_pipeline(FunctionTransformer(lambda x: x), Ridge()).fit(NUMBERS, TARGET), NUMBERS, {}, "top of a module"),
    ]
    for model, sample, options, words in cases:
        with pytest.raises(PackError, match=words):
            prepared(model, sample, **options)


def test_a_store_that_changes_the_answers_is_refused() -> None:
    """An estimator that comes back from its own state as another one is not packed."""
    with pytest.raises(PackError, match="other answers once it is stored"):
        prepared(Halver().fit(NUMBERS, TARGET), NUMBERS)


def test_an_estimator_that_fails_is_an_engine_error() -> None:
    """What an estimator raises on rows that fit the signature is an engine error with its words."""
    sample = FRAME[["text"]]
    ready = prepared(make_pipeline(OneHotEncoder(), Ridge()).fit(sample, TARGET), sample)
    batch, _ = tables.read(pd.DataFrame({"text": ["purple"]}), ready.inputs)
    with pytest.raises(EngineError, match=r"the estimator failed: ValueError: Found unknown categories"):
        loaded(ready).predict(batch)


def test_nothing_is_changed_and_nothing_said() -> None:
    """Packing and predicting warn of nothing and leave the model as it was, its number of threads too."""
    model = RandomForestRegressor(5, random_state=0, n_jobs=2).fit(NUMBERS, TARGET)
    before = pickle.dumps(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        round_trip(model, NUMBERS)
    assert pickle.dumps(model) == before
    assert model.n_jobs == 2


def test_loaded_estimators_have_one_thread() -> None:
    """Every estimator inside a loaded one, fitted clones too, computes with one thread."""
    inner = RandomForestRegressor(3, n_jobs=2, random_state=0)
    model = VotingRegressor([("forest", inner), ("other", DummyRegressor())], n_jobs=2).fit(NUMBERS, TARGET)
    engine: Any = loaded(prepared(model, NUMBERS))
    vote = engine._methods[0][0].__self__
    assert (vote.n_jobs, vote.estimators_[0].n_jobs, vote.estimators[0][1].n_jobs) == (1, 1, 1)


def test_many_threads_at_once() -> None:
    """Calls from many threads at once get the bits of calls one by one."""
    model = make_pipeline(columns(), MLPClassifier((16,), max_iter=500, random_state=0, tol=1.0)).fit(FRAME, LABELS)
    ready, expected = round_trip(model, FRAME)
    engine = loaded(ready)
    batch, _ = tables.read(FRAME, ready.inputs)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(engine.predict, [batch] * 40))
    assert all(answer.equals(expected) for answer in answers)


def test_libraries_are_named() -> None:
    """A package names the projects that computed its answers, so that a change of version can be told."""
    model = make_pipeline(columns(), LGBMRegressor(n_estimators=3, verbose=-1)).fit(FRAME, TARGET)
    names = set(prepared(model, FRAME).libraries)
    assert names >= {"lightgbm", "numpy", "pandas", "scikit-learn", "scipy", "skops"}


def test_many_rows_are_thinned() -> None:
    """A long sample is packed as its thinned self would be: what it is asked about is bounded."""
    sample = pd.concat([NUMBERS] * 40, ignore_index=True)
    model = Ridge().fit(sample, np.tile(TARGET, 40))
    assert prepared(model, sample).files == prepared(model, NUMBERS).files


class Local(RegressorMixin, BaseEstimator):
    """An estimator whose module says that it is a script."""

    def fit(self, X: Any, y: Any) -> Local:  # noqa: N803
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X: Any) -> Any:  # noqa: N803
        return np.full(len(X), self.mean_)


def test_classes_of_a_script_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that is defined in a script or notebook could not be loaded elsewhere: the error says where to put it."""
    monkeypatch.setattr(sys.modules["__main__"], "Local", Local, raising=False)
    monkeypatch.setattr(Local, "__module__", "__main__")
    with pytest.raises(PackError, match=r"Local is defined in __main__.*put it in a module"):
        prepared(Local().fit(NUMBERS, TARGET), NUMBERS)


@pytest.mark.parametrize(
    ("model", "lacking"),
    [
        (LinearRegression(), "tol"),
        (RandomForestRegressor(3, random_state=0), "monotonic_cst"),
        (DecisionTreeRegressor(random_state=0), "monotonic_cst"),
    ],
    ids=["LinearRegression of 1.5", "forest of 1.3", "tree of 1.3"],
)
def test_what_an_older_version_wrote_and_today_s_answers(model: Any, lacking: str) -> None:
    """A pickle of another version lacks parameters that came later; where it answers it is packed."""
    rows = pd.DataFrame({"a": [0.5, 1.5, 2.5, 4.0], "b": [1.0, 0.0, 3.0, 2.0]})
    model.fit(rows, [1.0, 2.0, 3.0, 5.0])
    delattr(model, lacking)
    expected = model.predict(rows)
    for engine in ("auto", "original"):
        package = fourfold.pack(model, name="m", rows=rows, engine=engine, measure=False)
        answers = fourfold.load(package, trust="code").predict(rows)
        np.testing.assert_allclose(answers.prediction, expected, rtol=1e-12)


def test_what_an_older_version_wrote_and_today_s_does_not_answer() -> None:
    """The error says that another version wrote the model, not that the rows are wrong."""
    rows = pd.DataFrame({"a": [0.5, 1.5, 2.5, 4.0], "b": [1.0, 0.0, 3.0, 2.0]})
    model = make_pipeline(SimpleImputer(), LinearRegression()).fit(rows, [1.0, 2.0, 3.0, 5.0])
    del model[0]._fill_dtype
    with pytest.raises(PackError, match=r"its SimpleImputer has no _fill_dtype, .*another version wrote it\. Pack it"):
        fourfold.pack(model, name="m", rows=rows)
