"""What an estimator answers: its methods, its targets, and the output fields that they fill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np

from fourfold.errors import PackError, shorten
from fourfold.runtimes.answers import Array, array, class_names, describe, gap, label
from fourfold.runtimes.sklearn.inspection import classes_of
from fourfold.runtimes.threads import OneThread
from fourfold.signature.field import Field

__all__ = ["CLOSE", "METHODS", "Asked", "split"]

#: The methods that a package can answer with, and the names of their outputs.
METHODS = {
    "predict": "prediction",
    "predict_proba": "probability",
    "predict_log_proba": "log_probability",
    "decision_function": "decision",
    "score_samples": "score",
    "transform": "features",
}
#: The relative gap up to which a difference counts as rounding.
CLOSE = 1e-6


@dataclass(frozen=True)
class Asked:
    """What the original answers to the sample.

    Attributes:
        names: the methods.
        targets: for each method, how many targets it answers for, each in a column; `None` where it does not tell them
            apart.
        answers: the arrays of all methods.
        fields: the output fields, one for each array.
    """

    names: tuple[str, ...]
    targets: tuple[int | None, ...]
    answers: tuple[Array, ...]
    fields: tuple[Field, ...]

    @classmethod
    def of(cls, model: Any, data: Any, rows: int, methods: Sequence[str] | None, guard: OneThread) -> Asked:
        """Ask a model.

        Args:
            model: the estimator.
            data: the container that it takes, of `rows` rows.
            rows: how many.
            methods: of `METHODS`; left out, those that `prepare` names.
            guard: holds it to one thread.

        Raises:
            PackError: it lacks a method, or one fails or gives two answers.
        """
        names: list[str] = []
        targets: list[int | None] = []
        answers: list[Array] = []
        fields: list[Field] = []
        for name in _chosen(model, methods):
            try:
                with _alone(guard):
                    answer = getattr(model, name)(data)
                    again = getattr(model, name)(data)
            except Exception as error:
                # Nobody asked for this one, and having a method does not mean that it works.
                if methods is None and name == "predict_proba":
                    continue
                raise PackError(
                    f"{name} fails on the sample: {type(error).__name__}: {error}. The sample must hold the columns "
                    f"that the model was trained on, as it was trained on them, and no others"
                ) from error
            count = _targets(model, name, answer)
            arrays = split(answer, count)
            if gap(arrays, split(again, count)):
                raise PackError(f"{name} gave two answers to the same rows: a package is a function, and gives one")
            names.append(name)
            targets.append(count)
            answers.extend(arrays)
            fields.extend(_fields(model, name, arrays, rows, count))
        return cls(tuple(names), tuple(targets), tuple(answers), tuple(fields))

    def gap(self, model: Any, data: Any, guard: OneThread) -> float:
        """How far from these answers those are that a model gives now: see `answers.gap`."""
        out: list[Array] = []
        with _alone(guard):
            for name, count in zip(self.names, self.targets, strict=True):
                out.extend(split(getattr(model, name)(data), count))
        return gap(self.answers, out)


@contextmanager
def _alone(guard: OneThread) -> Iterator[None]:
    """One thread for an estimator that says something else itself, without changing it."""
    with guard(), joblib.parallel_config(backend="sequential"):
        yield


def split(answer: Any, targets: int | None) -> list[Array]:
    """The arrays of a method's answer: one, or one for each target."""
    if targets is None:
        return [array(answer)]
    if isinstance(answer, list):
        return [array(each) for each in answer]
    whole = array(answer)
    return [whole[:, index] for index in range(targets)]


def _chosen(model: Any, methods: Sequence[str] | None) -> list[str]:
    has: list[str] = [name for name in METHODS if callable(getattr(model, name, None))]
    if methods is None:
        chosen = [name for name in has if name in ("predict", "predict_proba")]
        chosen = chosen or [name for name in has if name == "transform"] or has[:1]
    else:
        chosen = [methods] if isinstance(methods, str) else list(methods)
    wrong = [name for name in chosen if name not in has]
    if wrong or not chosen:
        asked = f"has no {shorten(wrong[0])}" if wrong else "has nothing to answer with"
        known = f"of {', '.join(METHODS)} it has {', '.join(has) or 'none'}"
        raise PackError(f"the {type(model).__name__} {asked}: {known}")
    if len(set(chosen)) != len(chosen):
        raise PackError(f"a method is there twice: {', '.join(chosen)}")
    return chosen


def _targets(model: Any, name: str, answer: Any) -> int | None:
    classes = classes_of(model)
    if isinstance(classes, list):
        return len(classes) if isinstance(answer, list) or np.ndim(answer) == 2 else None
    # So does CatBoost tell several classes apart; where a row can have many labels, there is a column for each.
    return (
        1 if name == "predict" and classes is not None and np.shape(answer)[1:] == (1,) != np.shape(classes) else None
    )


def _fields(model: Any, name: str, answers: list[Array], rows: int, targets: int | None) -> list[Field]:
    classes = classes_of(model)
    stem = "label" if name == "predict" and classes is not None else METHODS[name]
    if isinstance(classes, list) and targets is not None:
        pairs = zip(answers, classes, strict=True)
        return [_field(f"{stem}_{index}", each, rows, known) for index, (each, known) in enumerate(pairs)]
    # Transformed features are no classes, however many there are.
    return [_field(stem, answers[0], rows, None if name == "transform" else classes)]


def _field(name: str, answer: Array, rows: int, classes: Any) -> Field:
    if classes is None:
        return describe(name, answer, rows)
    if name.startswith("label"):
        return label(name, answer, rows, classes)
    return describe(name, answer, rows, class_names(classes))
