from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.cluster import FeatureAgglomeration
from sklearn.decomposition import NMF, MiniBatchNMF
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.kernel_approximation import AdditiveChi2Sampler, PolynomialCountSketch
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.manifold import LocallyLinearEmbedding
from sklearn.neighbors import KDTree, KernelDensity, KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures, SplineTransformer
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


def changed(model: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def boosted(**attributes: Any) -> Any:
    return changed(GradientBoostingClassifier(n_estimators=2).fit(X, CLASS), **attributes)


def categories(**attributes: Any) -> Any:
    rows = pd.DataFrame({"a": X[:, 0], "k": pd.Categorical(CLASS)})
    model = HistGradientBoostingRegressor(max_iter=1, categorical_features="from_dtype").fit(rows, TARGET)
    return changed(model, **attributes)


def narrowed() -> Any:
    """Boosting whose categories are prepared to fewer columns than its trees read."""
    model = categories()
    model._preprocessor.transformers_ = model._preprocessor.transformers_[:1]
    return model


def searched(**attributes: Any) -> Any:
    return changed(KNeighborsClassifier(algorithm="brute").fit(X, CLASS), **attributes)


def density(**state: Any) -> Any:
    model = KernelDensity().fit(X)
    places = {"leaf_size": 4, "levels": 5}
    values = list(model.tree_.__getstate__())
    for name, value in state.items():
        values[places[name]] = value
    tree: Any = KDTree.__new__(KDTree)
    tree.__setstate__(tuple(values))
    return changed(model, tree_=tree)


def voted(label: int) -> Any:
    """Votes of which one member knows a class by that number."""
    model = VotingClassifier([("a", LogisticRegression()), ("b", DummyClassifier())]).fit(X, CLASS)
    model.estimators_[1].classes_ = np.array([0, label])
    return model


def grouped(more: int) -> Any:
    """Categories of which the rare ones share a column, and so many more that are called rare."""
    rows = np.array(list("aaaabbbbccd")).reshape(-1, 1)
    model = OneHotEncoder(min_frequency=3, handle_unknown="infrequent_if_exist").fit(rows)
    rare = model._infrequent_indices[0]
    model._infrequent_indices = [np.concatenate([rare, rare[:more]])]
    model._n_features_outs = model._compute_n_features_outs()
    return model


def columns_of_vectors() -> Any:
    model = SVC().fit(sparse.csr_matrix(X), CLASS)
    return changed(model, support_vectors_=model.support_vectors_.tocsc())


def embedded() -> Any:
    return LocallyLinearEmbedding(n_neighbors=3, n_components=2).fit(X)


def factored(kind: Any) -> Any:
    return kind(2, max_iter=2000, tol=0.1).fit(np.abs(X))


def matrix(kind: Any, **arrays: Any) -> Any:
    return changed(kind(np.eye(4)), **{name: np.array(values) for name, values in arrays.items()})


def generator(position: int) -> Any:
    state = np.random.RandomState(0)
    values = state.get_state(legacy=False)
    values["state"]["pos"] = position
    state.set_state(values)
    return state


OUTSIDE: dict[str, Any] = {
    "first answers of fewer classes": lambda: changed(
        GradientBoostingClassifier(n_estimators=2).fit(X, np.digitize(TARGET, [-1, 1])),
        init_=DummyClassifier(strategy="prior").fit(X, CLASS),
    ),
    "more trees an iteration than answers": lambda: boosted(n_trees_per_iteration_=2),
    "trees in a row": lambda: boosted(estimators_=boosted().estimators_.ravel()),
    "rows that are not checked": lambda: categories(_in_fit=True),
    "fewer prepared columns": narrowed,
    "another model that prepares": lambda: categories(_preprocessor=FunctionTransformer()),
    "labels of no class": lambda: searched(_y=np.full(len(X), 7)),
    "labels of some rows": lambda: searched(_y=CLASS[:5]),
    "more neighbours than rows": lambda: searched(n_neighbors=2**31 - 1),
    "more rows than there are": lambda: searched(n_samples_fit_=10**6),
    "a search of other rows": lambda: searched(_tree=KDTree(np.zeros((500, X.shape[1]))), _fit_method="kd_tree"),
    "vectors by columns": columns_of_vectors,
    "splines without end": lambda: changed(SplineTransformer().fit(X), n_features_out_=2**40),
    "fewer columns than categories": lambda: grouped(1),
    "groups of words without end": lambda: changed(CountVectorizer().fit(["a cat"]), ngram_range=(-(2**62), 1)),
    "votes for no class": lambda: voted(2**40),
    "leaves of no rows": lambda: density(leaf_size=0),
    "probabilities without numbers": lambda: changed(SVC().fit(X, CLASS), _effective_probability=True),
    "groups without end": lambda: changed(FeatureAgglomeration(2).fit(X), labels_=np.array([0, 1, 2**40])),
    "columns that nothing fills": lambda: changed(
        PolynomialFeatures(2).fit(X), n_output_features_=1000, _n_out_full=1000
    ),
    "a degree without end": lambda: changed(PolynomialCountSketch(n_components=3).fit(X), degree=2**40),
    "steps without end": lambda: changed(AdditiveChi2Sampler().fit(np.abs(X)), sample_steps=2**40),
    "columns without end": lambda: changed(embedded(), n_components=2**31 - 1),
    "factors without end": lambda: changed(factored(NMF), _n_components=2**31 - 1),
    "classes without end": lambda: changed(AdaBoostClassifier(n_estimators=1).fit(X, CLASS), n_classes_=2**40),
    "rows of negative ends": lambda: matrix(sparse.csr_matrix, indptr=[0, 2**20, 3, 4, -1]),
    "rows of no entries": lambda: matrix(sparse.csr_matrix, indptr=[0, 2**20, 3, 4, 0]),
    "columns of negative ends": lambda: matrix(sparse.csc_matrix, indptr=[0, 2**20, 3, 4, 0]),
    "blocks of negative ends": lambda: matrix(sparse.bsr_matrix, indptr=[0, 2**20, 3, 4, 0]),
    "entries outside": lambda: matrix(sparse.coo_matrix, row=[0, 1, 2, 2**20]),
    "diagonals outside": lambda: matrix(sparse.dia_matrix, offsets=[2**20]),
    "a generator past its buffer": lambda: FunctionTransformer(kw_args={"state": generator(2**20)}),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_reaches_outside_is_refused(name: str) -> None:
    """A part whose counts lead compiled code, or its memory and time, out of bounds is refused."""
    with pytest.raises(CorruptPackage):
        check_bounds(OUTSIDE[name]())


INSIDE: dict[str, Any] = {
    "boosting": boosted,
    "votes": lambda: voted(1),
    "grouped categories": lambda: grouped(0),
    "boosting from zero": lambda: GradientBoostingRegressor(n_estimators=1, init="zero").fit(X, TARGET),
    "boosting from a model": lambda: GradientBoostingRegressor(n_estimators=1, init=LinearRegression()).fit(X, TARGET),
    "categories": categories,
    "neighbours": searched,
    "several labels": lambda: KNeighborsClassifier().fit(X, np.column_stack([CLASS, 1 - CLASS])),
    "density": density,
    "polynomial": lambda: PolynomialFeatures((2, 3), include_bias=False).fit(X),
    **{
        kind.__name__: lambda kind=kind: kind(np.eye(4))
        for kind in (sparse.csr_matrix, sparse.csc_array, sparse.bsr_matrix, sparse.coo_array, sparse.dia_matrix)
    },
    "embedding": embedded,
    "factors": lambda: factored(NMF),
    "factors of batches": lambda: factored(MiniBatchNMF),
    "nothing": lambda: sparse.csr_matrix((0, 3)),
    "generators": lambda: FunctionTransformer(
        kw_args={"a": generator(624), "b": np.random.default_rng(0), "c": np.random.Generator(np.random.Philox(0))}
    ),
}


@pytest.mark.parametrize("name", INSIDE)
def test_what_is_fitted_passes(name: str) -> None:
    """What fitting makes is inside of itself."""
    check_bounds(INSIDE[name]())
