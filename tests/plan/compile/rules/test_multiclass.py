"""Test the rules of estimators that combine others."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    GradientBoostingRegressor,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from fourfold.plan.compile import transform
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan, Numeric
from fourfold.plan.compile.rules.inverse_transforms import inverse
from fourfold.plan.compile.sub_estimators import first_method, response
from fourfold.plan.graph.builder import Graph
from tests.plan.comparison import assert_close, assert_exact, compiled

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(90, 4))
NARROW = X.astype(np.float32)
NUMBER = X @ [1, -2, 0.5, 0] + RANDOM.normal(size=90) * 0.1
POSITIVE = np.exp(NUMBER / 3)
TWO = np.array(["no", "yes"])[(NUMBER > 0).astype(int)]
THREE = np.array(["a", "b", "c"])[np.digitize(NUMBER, [-1, 1])]
NUMBERS = np.c_[NUMBER, NUMBER * 2 + X[:, 0]]
MARKS = np.c_[NUMBER > 0, X[:, 0] > 0, X[:, 1] > 0].astype(int)
FRAME = pd.DataFrame({"a": X[:, 0], "b": RANDOM.integers(0, 5, 90), "k": RANDOM.choice(list("uvw"), 90)})
TARGETS = {"number": NUMBER, "positive": POSITIVE, "two": TWO, "three": THREE, "numbers": NUMBERS, "marks": MARKS}


def leaf(depth: int = 3) -> DecisionTreeClassifier:
    """Return a classifier whose answers are exact."""
    return DecisionTreeClassifier(max_depth=depth, random_state=0)


def height(depth: int = 3) -> DecisionTreeRegressor:
    """Return a regressor whose answers are exact."""
    return DecisionTreeRegressor(max_depth=depth, random_state=0)


def ready() -> Any:
    """Columns of a frame as numbers."""
    return make_column_transformer((StandardScaler(), ["a", "b"]), (OneHotEncoder(), ["k"]))


def held(model: Any, sample: Any, target: Any, *, exact: bool = True) -> None:
    """Check every method of a model against its plan."""
    fitted = clone(model).fit(sample, target)
    names = ("predict", "predict_proba", "decision_function", "predict_log_proba")
    with np.errstate(all="ignore"):
        for name in [name for name in names if hasattr(fitted, name)]:
            plan, _, _ = compiled(fitted, sample, [name])
            assert not (exact and plan.approximations and name in ("predict", "decision_function")), plan.approximations
            (assert_close if plan.approximations else assert_exact)(fitted, sample, [name])


VOTES: dict[str, tuple[Any, str]] = {
    "hard": (VotingClassifier([("a", leaf()), ("b", leaf(2)), ("c", GaussianNB())]), "three"),
    "hard weighted": (
        VotingClassifier([("a", leaf()), ("b", leaf(2)), ("c", leaf(1)), ("d", "drop")], weights=[0.3, 0.3, 0.6, 5]),
        "three",
    ),
    "soft": (
        VotingClassifier([("a", leaf()), ("b", leaf(2)), ("c", RandomForestClassifier(5))], voting="soft"),
        "three",
    ),
    "soft weighted": (VotingClassifier([("a", leaf()), ("b", leaf(2))], voting="soft", weights=[1, 2]), "two"),
    "soft of ten": (VotingClassifier([(str(depth), leaf(depth)) for depth in range(1, 11)], voting="soft"), "three"),
    "numbers": (VotingRegressor([("a", height()), ("b", height(2)), ("c", height(5))]), "number"),
    "numbers weighted": (VotingRegressor([("a", height()), ("b", height(2))], weights=[0.1, 0.7]), "number"),
}


@pytest.mark.parametrize("sample", [X, NARROW], ids=["float64", "float32"])
@pytest.mark.parametrize("case", VOTES)
def test_votes(case: str, sample: Any) -> None:
    """Votes are counted, and answers averaged, in the order of the estimators."""
    model, target = VOTES[case]
    held(model, sample, TARGETS[target], exact="hard" not in case)


def test_a_mean_of_many_regressors_depends_on_how_many_rows_there_are() -> None:
    """NumPy sums eight or more numbers in another order where they are adjacent, as those of one row are."""
    model = VotingRegressor([(str(depth), height(depth)) for depth in range(1, 10)])
    held(model, X, NUMBER, exact=False)


def test_what_voters_say_side_by_side() -> None:
    """A VotingRegressor, and a VotingClassifier of probabilities, is a transformer too."""
    for model, target, last in ((*VOTES["numbers"], height()), (*VOTES["soft"], leaf())):
        assert_exact(clone(model).fit(X, TARGETS[target]), X, ["transform"])
        assert_exact(make_pipeline(clone(model), last).fit(X, TARGETS[target]), X)


STACKS: dict[str, tuple[Any, str]] = {
    "classes": (StackingClassifier([("a", leaf()), ("b", GaussianNB())], final_estimator=leaf()), "three"),
    "passed through": (
        StackingClassifier([("a", leaf()), ("b", leaf(1)), ("c", "drop")], final_estimator=leaf(), passthrough=True),
        "two",
    ),
    "of labels": (
        StackingClassifier([("a", leaf()), ("b", leaf(1))], stack_method="predict", final_estimator=leaf()),
        "three",
    ),
    "numbers": (StackingRegressor([("a", height()), ("b", height(1))], final_estimator=height()), "number"),
    "numbers passed through": (
        StackingRegressor(
            [("a", height())], final_estimator=GradientBoostingRegressor(n_estimators=5), passthrough=True
        ),
        "number",
    ),
}


@pytest.mark.parametrize("sample", [X, NARROW], ids=["float64", "float32"])
@pytest.mark.parametrize("case", STACKS)
def test_stacks(case: str, sample: Any) -> None:
    """The final estimator sees the answers of the others, and with `passthrough` the columns."""
    model, target = STACKS[case]
    held(model, sample, TARGETS[target], exact=case != "classes")


@pytest.mark.parametrize("ensemble", [True, False])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize("target", ["two", "three"])
def test_calibration(method: str, target: str, *, ensemble: bool) -> None:
    """Scores of a forest and of a tree become probabilities by each method."""
    for inner in (RandomForestClassifier(3, random_state=0), leaf()):
        model = CalibratedClassifierCV(inner, method=method, ensemble=ensemble, cv=3)
        held(model, X, TARGETS[target], exact=method == "isotonic")


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize("target", ["two", "three"])
def test_calibration_of_decisions(method: str, target: str) -> None:
    """Decisions become probabilities by each method, and are as close as the sums of a BLAS."""
    held(CalibratedClassifierCV(LinearSVC(), method=method, cv=3), X, TARGETS[target], exact=False)


def test_calibration_of_a_fitted_classifier() -> None:
    """A classifier that was fitted before is calibrated as it is."""
    held(CalibratedClassifierCV(FrozenEstimator(leaf().fit(X, THREE)), method="isotonic"), X, THREE)


@pytest.mark.parametrize("sample", [X, NARROW], ids=["float64", "float32"])
@pytest.mark.parametrize("outside", ["clip", "nan", "raise"])
def test_isotonic_regression(outside: str, sample: Any) -> None:
    """Values are interpolated in the input's precision; outside they are clipped, NaN or refused."""
    assert_exact(IsotonicRegression(out_of_bounds=outside).fit(sample[:, :1], NUMBER), sample[:, :1])


RESTS: dict[str, tuple[Any, str]] = {
    "rest, decisions": (OneVsRestClassifier(LinearSVC()), "three"),
    "rest, shares": (OneVsRestClassifier(leaf()), "three"),
    "rest, two classes": (OneVsRestClassifier(leaf()), "two"),
    "rest, numbers": (OneVsRestClassifier(height()), "three"),
    "one, decisions": (OneVsOneClassifier(LinearSVC()), "three"),
    "one, shares": (OneVsOneClassifier(leaf()), "three"),
    "one, two classes": (OneVsOneClassifier(LinearSVC()), "two"),
    "one, numbers": (OneVsOneClassifier(height()), "three"),
    "codes of shares": (OutputCodeClassifier(leaf(), code_size=3, random_state=0), "three"),
    "codes of decisions": (OutputCodeClassifier(LinearSVC(), code_size=2, random_state=0), "three"),
}


@pytest.mark.parametrize("sample", [X, NARROW], ids=["float64", "float32"])
@pytest.mark.parametrize("case", RESTS)
def test_one_class_against_others(case: str, sample: Any) -> None:
    """The class of the highest score, the most votes or the nearest code is found, with ties and infinities."""
    model, target = RESTS[case]
    held(
        model, sample, TARGETS[target], exact="decisions" not in case and "codes" not in case and case[-7:] != "classes"
    )


@pytest.mark.filterwarnings("ignore:Label .* is present in all training examples:UserWarning")
def test_a_label_that_all_rows_have() -> None:
    """Where all training rows have a label, its part of the answer is constant."""
    marks = np.c_[np.ones(90, dtype=int), MARKS[:, 0]]
    model = OneVsRestClassifier(leaf()).fit(X, marks)
    assert type(model.estimators_[0]).__name__ == "_ConstantPredictor"
    assert_exact(model, X, ["predict_proba"])
    decided = OneVsRestClassifier(LinearSVC()).fit(X, marks)
    assert_close(decided, X, ["decision_function"])


MANY: dict[str, tuple[Any, str]] = {
    "numbers": (MultiOutputRegressor(height()), "numbers"),
    "labels": (MultiOutputClassifier(leaf()), "marks"),
    "chained numbers": (RegressorChain(height()), "numbers"),
    "chained numbers in another order": (RegressorChain(height(), order=[1, 0]), "numbers"),
    "chained labels": (ClassifierChain(leaf(), order=[2, 0, 1]), "marks"),
    "chained shares": (ClassifierChain(leaf(), chain_method="predict_proba"), "marks"),
}


@pytest.mark.parametrize("sample", [X, NARROW], ids=["float64", "float32"])
@pytest.mark.parametrize("case", MANY)
def test_several_targets(case: str, sample: Any) -> None:
    """Each target has its own estimator, or one that sees the answers before it."""
    model, target = MANY[case]
    held(model, sample, TARGETS[target])


def test_several_targets_of_text() -> None:
    """The labels of each target are its own."""
    held(MultiOutputClassifier(leaf()), X, np.c_[TWO, THREE])


def test_a_chain_of_decisions_is_close() -> None:
    """A chain may pass decisions on, which are sums of a BLAS."""
    model = ClassifierChain(LogisticRegression(), chain_method="decision_function", order="random", random_state=1)
    held(model, X, MARKS, exact=False)


BACK: dict[str, tuple[Any, str, bool]] = {
    "nothing": (TransformedTargetRegressor(height()), "number", True),
    "standard": (TransformedTargetRegressor(height(), transformer=StandardScaler()), "number", True),
    "several": (TransformedTargetRegressor(height(), transformer=StandardScaler()), "numbers", True),
    "range": (TransformedTargetRegressor(height(), transformer=MinMaxScaler()), "number", True),
    "largest": (TransformedTargetRegressor(height(), transformer=MaxAbsScaler()), "number", True),
    "robust": (TransformedTargetRegressor(height(), transformer=RobustScaler()), "number", True),
    "quantiles": (
        TransformedTargetRegressor(height(), transformer=QuantileTransformer(n_quantiles=50)),
        "number",
        True,
    ),
    "normal quantiles": (
        TransformedTargetRegressor(
            height(), transformer=QuantileTransformer(n_quantiles=50, output_distribution="normal")
        ),
        "number",
        False,
    ),
    "yeo-johnson": (TransformedTargetRegressor(height(), transformer=PowerTransformer()), "number", False),
    "box-cox": (TransformedTargetRegressor(height(), transformer=PowerTransformer("box-cox")), "positive", False),
    "pipeline": (
        TransformedTargetRegressor(height(), transformer=make_pipeline(StandardScaler(), MinMaxScaler())),
        "number",
        True,
    ),
    "squares": (TransformedTargetRegressor(height(), func=np.sqrt, inverse_func=np.square), "positive", True),
    "expm1": (TransformedTargetRegressor(height(), func=np.log1p, inverse_func=np.expm1), "positive", False),
}


@pytest.mark.parametrize("sample", [X, NARROW], ids=["float64", "float32"])
@pytest.mark.parametrize("case", BACK)
def test_transformed_targets(case: str, sample: Any) -> None:
    """The regressor's prediction is transformed back."""
    model, target, exact = BACK[case]
    held(model, sample, TARGETS[target], exact=exact)


@pytest.mark.parametrize("transformer", [StandardScaler(), MinMaxScaler(), QuantileTransformer(n_quantiles=50)])
def test_transformed_targets_of_a_line(transformer: Any) -> None:
    """Predictions outside of the training targets are transformed back, too."""
    held(TransformedTargetRegressor(LinearRegression(), transformer=transformer), X, NUMBER, exact=False)


@pytest.mark.parametrize("power", [0.0, 2.0, 1.3, -0.7])
@pytest.mark.parametrize("method", ["yeo-johnson", "box-cox"])
def test_powers_are_taken_back(method: str, power: float) -> None:
    """Every branch of the inverse of a power is close to scikit-learn's."""
    transformer = PowerTransformer(method, standardize=False).fit(POSITIVE[:, None])
    transformer.lambdas_ = np.array([power])
    held_target = TransformedTargetRegressor(height(), transformer=transformer, check_inverse=False)
    fitted = held_target.fit(X, POSITIVE)
    fitted.transformer_ = transformer
    assert_close(fitted, X)


THRESHOLDS: dict[str, tuple[Any, bool]] = {
    "share": (FixedThresholdClassifier(leaf(), threshold=0.3), True),
    "share of the first class": (FixedThresholdClassifier(leaf(), threshold=0.3, pos_label="no"), True),
    "decision of the first class": (FixedThresholdClassifier(LinearSVC(), threshold=0.1, pos_label="no"), False),
    "its own": (FixedThresholdClassifier(LinearSVC()), False),
}


@pytest.mark.parametrize("sample", [X, NARROW], ids=["float64", "float32"])
@pytest.mark.parametrize("case", THRESHOLDS)
def test_thresholds_that_were_given(case: str, sample: Any) -> None:
    """The positive class is answered where its score is not below the threshold."""
    model, exact = THRESHOLDS[case]
    held(model, sample, TWO, exact=exact)


def test_thresholds_that_were_found() -> None:
    """The best threshold is kept, and compared in the wider dtype."""
    target = (NUMBER > 0).astype(int)
    held(TunedThresholdClassifierCV(leaf()), X, target)
    held(TunedThresholdClassifierCV(leaf()), NARROW, target)
    held(TunedThresholdClassifierCV(LinearSVC()), X, target, exact=False)


def test_labels_that_it_gave_itself() -> None:
    """A SelfTrainingClassifier answers as the classifier that it fitted last."""
    target = np.digitize(NUMBER, [-1, 1])
    target[::3] = -1
    held(SelfTrainingClassifier(leaf()), X, target)


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (VotingClassifier([("a", make_pipeline(ready(), leaf())), ("b", make_pipeline(ready(), leaf(1)))]), "three"),
        (StackingClassifier([("a", make_pipeline(ready(), leaf()))], final_estimator=leaf()), "three"),
        (make_pipeline(ready(), StackingClassifier([("a", leaf())], leaf(), passthrough=True)), "three"),
        (CalibratedClassifierCV(make_pipeline(ready(), leaf()), method="isotonic", cv=3), "three"),
        (OneVsRestClassifier(make_pipeline(ready(), leaf())), "three"),
        (make_pipeline(ready(), OneVsOneClassifier(leaf())), "three"),
        (TransformedTargetRegressor(make_pipeline(ready(), height()), transformer=StandardScaler()), "number"),
        (MultiOutputRegressor(make_pipeline(ready(), height())), "numbers"),
        (make_pipeline(ready(), RegressorChain(height())), "numbers"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_frames_with_categories(model: Any, target: str) -> None:
    """A frame reaches the parts as it is, or as the array that a step made of it."""
    held(model, FRAME, TARGETS[target])


def test_votes_on_texts() -> None:
    """Parts that read texts vote, also when they share a reading."""
    texts = ["good day", "bad day", "good night", "night and day", "bad", "good"] * 10
    labels = ["p", "n", "p", "p", "n", "p"] * 10
    read = make_pipeline(CountVectorizer(), LinearSVC())
    other = make_pipeline(CountVectorizer(ngram_range=(1, 2)), leaf())
    held(VotingClassifier([("a", read), ("b", other)]), texts, labels)
    held(make_pipeline(CountVectorizer(), StackingClassifier([("a", LinearSVC())], leaf(), cv=3)), texts, labels)
    held(CalibratedClassifierCV(read, method="isotonic", cv=3), texts, labels)
    passed = StackingClassifier([("a", LinearSVC())], LinearSVC(), cv=3, passthrough=True)
    held(make_pipeline(CountVectorizer(), passed), texts, labels)
    held(make_pipeline(CountVectorizer(), OneVsRestClassifier(LinearSVC())), texts, [*labels[:-1], "q"])


def drawn_classifier(draw: random.Random, depth: int) -> Any:
    """Draw a classifier that holds others, to some depth."""
    if depth == 0:
        return draw.choice([leaf(draw.randrange(1, 4)), make_pipeline(StandardScaler(), leaf(2))])
    inner = [(str(place), drawn_classifier(draw, depth - 1)) for place in range(draw.randrange(1, 4))]
    weights = draw.choice([None, [draw.random() for _ in inner]])
    kind = draw.randrange(7)
    if kind == 0:
        return VotingClassifier(inner, voting=draw.choice(["hard", "soft"]), weights=weights)
    if kind == 1:
        return StackingClassifier(inner, leaf(), cv=2, passthrough=draw.random() < 0.5)
    if kind == 2:
        return OneVsRestClassifier(inner[0][1])
    if kind == 3:
        return OneVsOneClassifier(inner[0][1])
    if kind == 4:
        return CalibratedClassifierCV(inner[0][1], method="isotonic", cv=2, ensemble=draw.random() < 0.5)
    if kind == 5:
        return make_pipeline(MinMaxScaler(), inner[0][1])
    return FrozenEstimator(clone(inner[0][1]).fit(X, THREE))


def drawn_regressor(draw: random.Random, depth: int) -> Any:
    """Draw a regressor that holds others, to some depth."""
    if depth == 0:
        return height(draw.randrange(1, 5))
    inner = [(str(place), drawn_regressor(draw, depth - 1)) for place in range(draw.randrange(1, 4))]
    kind = draw.randrange(4)
    if kind == 0:
        return VotingRegressor(inner, weights=draw.choice([None, [draw.random() for _ in inner]]))
    if kind == 1:
        return StackingRegressor(inner, height(), cv=2, passthrough=draw.random() < 0.5)
    if kind == 2:
        transformer = draw.choice([StandardScaler(), MinMaxScaler(), QuantileTransformer(n_quantiles=20)])
        return TransformedTargetRegressor(inner[0][1], transformer=transformer)
    return make_pipeline(RobustScaler(), inner[0][1])


def fitted_draw(draw: random.Random, sample: Any, *, numbers: bool) -> Any:
    """Draw a model that scikit-learn takes: it does not where hard votes are asked for scores, or have odd labels."""
    while True:
        model = drawn_regressor(draw, 2) if numbers else drawn_classifier(draw, 2)
        with suppress(AttributeError, TypeError, ValueError):
            fitted = model.fit(sample, NUMBER if numbers else THREE)
            fitted.predict(sample)
            return fitted


@pytest.mark.seeds(24, sweep=400)
def test_drawn_models_of_models_give_the_originals_bits(seed: int) -> None:
    """Plans of nested estimators have the original's bits, for all nestings."""
    draw = random.Random(seed)
    sample = draw.choice([X, NARROW])
    fitted = fitted_draw(draw, sample, numbers=seed % 3 == 0)
    for method in ("predict", "predict_proba"):
        if not hasattr(fitted, method):
            continue
        try:
            assert_exact(fitted, sample, [method])
        except NoPlan as reason:  # a frozen classifier goes on giving the labels that it has learned
            assert "the labels of a FrozenEstimator" in str(reason)  # noqa: PT017


def test_a_nan_among_scores_ends_the_search_as_the_originals_does() -> None:
    """Scores that overflow to infinities and NaN give the original's label."""
    huge = X.copy()
    huge[:7] *= 1e307
    model = OneVsRestClassifier(LinearSVC()).fit(X * [1, 1e3, -1e3, 1], THREE)
    held_out = np.vstack([X, huge])
    for estimator in model.estimators_:
        estimator.coef_ = estimator.coef_ * 1e3
    with np.errstate(all="ignore"):
        assert_close(model, held_out, ["predict"])


@pytest.mark.parametrize("strategy", ["most_frequent", "prior", "constant"])
def test_classes_by_no_column(strategy: str) -> None:
    """A dummy classifier gives every row the same answer."""
    held(DummyClassifier(strategy=strategy, constant="c" if strategy == "constant" else None), X, THREE)
    with pytest.raises(NoPlan, match="at random"):
        compiled(DummyClassifier(strategy="uniform", random_state=0).fit(X, THREE), X, ["predict"])


@pytest.mark.parametrize("target", ["number", "numbers"])
def test_numbers_by_no_column(target: str) -> None:
    """A dummy regressor gives every row the same numbers."""
    held(DummyRegressor(strategy="median"), X, TARGETS[target])


# What no plan holds.


def squared(values: Any) -> Any:
    """Return squares, by code of a user."""
    return values * values


def refused(model: Any, sample: Any, target: Any, method: str, why: str) -> None:
    """Check that a model has no plan, and why."""
    fitted = model.fit(sample, target)
    with pytest.raises(NoPlan, match=why):
        compiled(fitted, sample, [method])


def test_what_is_not_covered_has_no_plan() -> None:
    """Shapes, functions and kernels without a rule are named by the message."""
    soft = VotingClassifier([("a", leaf())], voting="soft", flatten_transform=False).fit(X, TWO)
    hard = VotingClassifier([("a", leaf())], weights=[-1.0]).fit(X, TWO)
    with pytest.raises(NoPlan, match="below zero"):
        compiled(hard, X, ["predict"])
    compiler = Compiler(Graph([("x", "float64")] * 4))
    matrix = Matrix(tuple(Numeric(compiler.graph.number(place)) for place in range(4)))
    with pytest.raises(NoPlan, match="three dimensions"):
        transform(soft, matrix, compiler)
    with pytest.raises(NoPlan, match="inverse of a PCA"):
        inverse(PCA(1).fit(X), matrix, compiler)
    with pytest.raises(NoPlan, match="has none of"):
        first_method(height(), ["predict_proba", "decision_function"])
    with_code = TransformedTargetRegressor(height(), func=np.sqrt, inverse_func=squared)
    refused(with_code, X, POSITIVE, "predict", "code")
    refused(OneVsOneClassifier(SVC(kernel="precomputed")), X @ X.T, THREE, "predict", "kernel")
    refused(StackingClassifier([("a", leaf())], final_estimator=leaf()), X, MARKS, "predict", "several targets")


def test_the_score_of_a_class_that_was_asked_for() -> None:
    """For two classes the score is that of the second, or of the given positive class."""
    tree = leaf().fit(X, TWO)
    compiler = Compiler(Graph([("x", "float64")] * 4))
    matrix = Matrix(tuple(Numeric(compiler.graph.number(place)) for place in range(4)))
    second, _ = response(tree, ["predict_proba"], matrix, compiler)
    first, method = response(tree, ["predict_proba"], matrix, compiler, "no")
    assert method == "predict_proba"
    assert len(second) == len(first) == 1
    assert second.columns != first.columns
