"""Estimators that do not look at the columns."""

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
    """The same numbers for every row."""
    return as_matrix(compiler.graph.constant(np.asarray(model.constant_, dtype=np.float64).reshape(-1)))


def _place(model: Any) -> int:
    """The class that every row has."""
    if model.n_outputs_ != 1:
        raise NoPlan("a DummyClassifier has several targets")
    if model.strategy in ("most_frequent", "prior"):
        return int(np.argmax(model.class_prior_))
    if model.strategy == "constant":
        return list(model.classes_).index(np.asarray(model.constant).reshape(-1)[0])
    raise NoPlan(f"a DummyClassifier answers at random ({model.strategy})")


@answers("predict", _CLASSIFIER)
def dummy_class(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """The same class for every row."""
    always = compiler.graph.match(compiler.graph.constant([0.0])[0], [0.0])
    return Labels(compiler.graph.recode(always, [0, 0, 0], 1), [model.classes_[_place(model)]])


@answers("predict_proba", _CLASSIFIER)
def dummy_shares(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """How frequent the classes were, or certainty."""
    place = _place(model)
    certain = (np.arange(len(model.classes_)) == place).astype(np.float64)
    return as_matrix(compiler.graph.constant(model.class_prior_ if model.strategy == "prior" else certain))


@answers("predict_log_proba", _CLASSIFIER)
def dummy_logarithms(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The logarithms of the same, as NumPy computed them here."""
    place = _place(model)
    certain = (np.arange(len(model.classes_)) == place).astype(np.float64)
    with np.errstate(divide="ignore"):
        logs = np.log(np.asarray(model.class_prior_ if model.strategy == "prior" else certain))
    compiler.approximate("NumPy's log differs from one processor to another")
    return as_matrix(compiler.graph.constant(logs))
