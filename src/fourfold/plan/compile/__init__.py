"""Rules: what a fitted estimator does to columns, as steps of a plan.

    transforms    of a transformer: columns to columns
    answers       of a predictor: columns to an answer, for one of its methods

A rule is found by the library and the name of the estimator's class, and reads its fitted attributes: no rule imports
the estimator's library. A subclass has no rule, since it may do something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan
from fourfold.plan.graph.builder import Code

__all__ = ["Answer", "Labels", "Rule", "answer", "answers", "transform", "transforms"]


@dataclass(frozen=True)
class Labels:
    """A classifier's label.

    Attributes:
        code: the class.
        classes: the classes, an array or list of Python or NumPy values.
    """

    code: Code
    classes: Sequence[Any]


#: What a method answers: numbers, the columns of its array; a label; or one of them for each target.
Answer = Matrix | Labels | list["Matrix | Labels"]
Rule = Callable[[Any, Matrix, Compiler], Any]

_TRANSFORMS: dict[str, Rule] = {}
_ANSWERS: dict[tuple[str, str], Rule] = {}
#: The files of rules.
_FILES = (
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
    """What a fitted transformer makes of columns; raises `NoPlan`."""
    _load()
    rule = _TRANSFORMS.get(_name(model))
    if rule is None:
        raise NoPlan(f"there is no rule for {_name(model)}")
    made: Matrix = rule(model, matrix, compiler)
    return made


def answer(model: Any, method: str, matrix: Matrix, compiler: Compiler) -> Any:
    """What a method of a fitted estimator answers: an `Answer`; raises `NoPlan`."""
    if method == "transform":
        return transform(model, matrix, compiler)
    _load()
    rule = _ANSWERS.get((_name(model), method))
    if rule is None:
        raise NoPlan(f"there is no rule for {_name(model)}.{method}")
    return rule(model, matrix, compiler)


def _name(model: Any) -> str:
    kind = type(model)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


@cache
def _load() -> None:
    """Import the files of rules, which register themselves; one of them may have been imported before."""
    for name in _FILES:
        import_module(f"fourfold.plan.compile.rules.{name}")
