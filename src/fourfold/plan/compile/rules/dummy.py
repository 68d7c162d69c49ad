"""Compile scikit-learn's dummy estimators, which answer the same for every row (`sklearn.dummy`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import as_matrix

__all__: list[str] = []

_CLASSIFIER, _REGRESSOR = "sklearn.DummyClassifier", "sklearn.DummyRegressor"


@answers("predict", _REGRESSOR)
def dummy_number(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `DummyRegressor.predict`: `constant_`."""
    return as_matrix(compiler.graph.constant(np.asarray(model.constant_, dtype=np.float64).reshape(-1)))


def _constant_class(model: Any) -> int:
    """Return the index of the class that every row gets.

    Raises:
        NoPlan: there are several targets, or the class is random.
    """
    if model.n_outputs_ != 1:
        raise NoPlan("a DummyClassifier has several targets")
    if model.strategy in ("most_frequent", "prior"):
        return int(np.argmax(model.class_prior_))
    if model.strategy == "constant":
        return list(model.classes_).index(np.asarray(model.constant).reshape(-1)[0])
    raise NoPlan(f"a DummyClassifier answers at random ({model.strategy})")


@answers("predict", _CLASSIFIER)
def dummy_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `DummyClassifier.predict`: the same class for every row."""
    zero_code = compiler.graph.match(compiler.graph.constant([0.0])[0], [0.0])
    return Labels(compiler.graph.recode(zero_code, [0, 0, 0], 1), [model.classes_[_constant_class(model)]])


@answers("predict_proba", _CLASSIFIER)
def dummy_shares(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `DummyClassifier.predict_proba`: the priors, or 1 for the class that every row gets."""
    index = _constant_class(model)
    one_hot = (np.arange(len(model.classes_)) == index).astype(np.float64)
    return as_matrix(compiler.graph.constant(model.class_prior_ if model.strategy == "prior" else one_hot))


@answers("predict_log_proba", _CLASSIFIER)
def dummy_logarithms(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `DummyClassifier.predict_log_proba`: `numpy.log` of the probabilities, computed while packing."""
    index = _constant_class(model)
    one_hot = (np.arange(len(model.classes_)) == index).astype(np.float64)
    with np.errstate(divide="ignore"):
        logs = np.log(np.asarray(model.class_prior_ if model.strategy == "prior" else one_hot))
    compiler.approximate("NumPy's log differs from one processor to another")
    return as_matrix(compiler.graph.constant(logs))
