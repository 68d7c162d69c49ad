"""Register and find rules: how a fitted estimator's method becomes steps of a plan.

    transforms    registers a rule for `transform`: columns to columns
    answers       registers a rule for another method: columns to an answer

A rule is found by the library and the class name of the estimator, and reads its fitted attributes: no rule imports the
estimator's library. A subclass has no rule, because it may compute something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan
from fourfold.plan.compile.library_class import library_class
from fourfold.plan.graph.builder import Code

__all__ = ["Answer", "Labels", "Rule", "answer", "answers", "transform", "transforms"]


@dataclass(frozen=True)
class Labels:
    """Represent the label that a classifier answers.

    Attributes:
        code: the index of the label in `classes`.
        classes: the labels, an array or list of Python or NumPy values.
    """

    code: Code
    classes: Sequence[Any]


#: The answer of a method: the columns of its array, a label, or one of these for each target.
Answer = Matrix | Labels | list["Matrix | Labels"]
Rule = Callable[[Any, Matrix, Compiler], Any]

_TRANSFORMS: dict[str, Rule] = {}
_ANSWERS: dict[tuple[str, str], Rule] = {}
#: The modules of rules.
_MODULES = (
    "compose",
    "encoders",
    "feature_selection",
    "function_transformer",
    "impute",
    "preprocessing",
    "lightgbm",
    "xgboost",
    "catboost",
    "feature_extraction_text",
    "linear_model",
    "gaussian_process",
    "kernel_approximation",
    "kernels",
    "svm",
    "covariance",
    "cluster",
    "mixture",
    "neighbors",
    "decomposition",
    "neural_network",
    "discriminant_analysis",
    "naive_bayes",
    "tree",
    "ensemble",
    "gradient_boosting",
    "multiclass",
    "calibration",
    "multioutput",
    "dummy",
)


def transforms(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for the `transform` of estimators, each named as `library.Class`."""

    def register(rule: Rule) -> Rule:
        _TRANSFORMS.update(dict.fromkeys(names, rule))
        return rule

    return register


def answers(method: str, *names: str) -> Callable[[Rule], Rule]:
    """Register a rule for a method (`predict`, `predict_proba`, `decision_function`, …) of estimators."""

    def register(rule: Rule) -> Rule:
        _ANSWERS.update(dict.fromkeys(((name, method) for name in names), rule))
        return rule

    return register


def transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return the columns that a fitted transformer computes from columns.

    Raises:
        NoPlan: no rule covers the transformer.
    """
    _load()
    name = library_class(model)
    rule = _TRANSFORMS.get(name)
    if rule is None:
        raise NoPlan(f"plans do not cover {name}")
    transformed: Matrix = rule(model, matrix, compiler)
    return transformed


def answer(model: Any, method: str, matrix: Matrix, compiler: Compiler) -> Any:
    """Return what a method of a fitted estimator answers for columns: an `Answer`.

    Raises:
        NoPlan: no rule covers the method of this estimator.
    """
    if method == "transform":
        return transform(model, matrix, compiler)
    _load()
    name = library_class(model)
    rule = _ANSWERS.get((name, method))
    if rule is None:
        raise NoPlan(f"plans do not cover {name}.{method}")
    return rule(model, matrix, compiler)


@cache
def _load() -> None:
    """Import the modules of rules, which register their rules."""
    for name in _MODULES:
        import_module(f"fourfold.plan.compile.rules.{name}")
