"""Ask an estimator: choose its methods, split their answers into targets, and describe the output fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import joblib
import numpy as np
from sklearn.exceptions import NotFittedError

from fourfold.errors import PackError, describe, shorten
from fourfold.runtimes.answers import Array, answer_array, class_names, label_field, output_field, relative_gap
from fourfold.runtimes.culprit import describe_failure
from fourfold.runtimes.engine import installed_version
from fourfold.runtimes.levels import Levels
from fourfold.runtimes.sklearn.inspection import classes_of
from fourfold.runtimes.threads import ThreadGuard
from fourfold.signature.field import Field

__all__ = ["METHODS", "ROUNDING_GAP", "OriginalAnswers", "split_targets"]

#: The methods that a package can answer with, and the names of their output fields.
METHODS = {
    "predict": "prediction",
    "predict_proba": "probability",
    "predict_log_proba": "log_probability",
    "decision_function": "decision",
    "score_samples": "score",
    "transform": "features",
}
#: The largest relative gap that counts as rounding.
ROUNDING_GAP = 1e-6


@dataclass(frozen=True)
class OriginalAnswers:
    """Hold the answers of the original estimator to the sample.

    Attributes:
        names: the methods that were asked.
        targets: for each method the number of targets into which its answer is split; `None` where it is not split.
        answers: the arrays of all methods and targets.
        fields: the output fields, one for each array.
    """

    names: tuple[str, ...]
    targets: tuple[int | None, ...]
    answers: tuple[Array, ...]
    fields: tuple[Field, ...]

    @classmethod
    def ask(
        cls,
        model: Any,
        data: Any,
        rows: int,
        methods: Sequence[str] | None,
        guard: ThreadGuard,
        known: Mapping[str, Levels] | None = None,
    ) -> OriginalAnswers:
        """Ask an estimator twice with each method.

        Args:
            model: the estimator.
            data: rows in the container that it takes.
            rows: the number of rows.
            methods: names in `METHODS`; by default those that `runtime.prepare` documents.
            guard: holds the estimator to one thread.
            known: what the estimator knows of its columns of categories.

        Raises:
            PackError: the estimator lacks a method, or a method fails or gives two different answers.
        """
        names: list[str] = []
        targets: list[int | None] = []
        answers: list[Array] = []
        fields: list[Field] = []
        for name in _choose_methods(model, methods):
            try:
                with _sequential(guard):
                    answer = getattr(model, name)(data)
                    second_answer = getattr(model, name)(data)
            except Exception as error:
                # The default includes `predict_proba` if it exists, but it may still fail.
                if methods is None and name == "predict_proba":
                    continue
                if isinstance(error, AttributeError) and (lacking := _lacking(error)):
                    raise PackError(f"{name} fails on the sample: {lacking}") from error
                why = _why(error, model, name, data, guard, known)
                raise PackError(
                    f"{name} fails on the sample: {why}. The sample must hold the columns that the model was trained "
                    "on, as it was trained on them, and no others"
                ) from error
            count = _count_targets(model, name, answer)
            arrays = split_targets(answer, count)
            if relative_gap(arrays, split_targets(second_answer, count)):
                raise PackError(f"{name} answered the same rows in two ways; a package always gives one row one answer")
            names.append(name)
            targets.append(count)
            answers.extend(arrays)
            fields.extend(_fields(model, name, arrays, rows, count))
        return cls(tuple(names), tuple(targets), tuple(answers), tuple(fields))

    def gap(self, model: Any, data: Any, guard: ThreadGuard) -> float:
        """Return the `relative_gap` between these answers and those that a model gives now."""
        answers: list[Array] = []
        with _sequential(guard):
            for name, count in zip(self.names, self.targets, strict=True):
                answers.extend(split_targets(getattr(model, name)(data), count))
        return relative_gap(self.answers, answers)


def _why(
    error: Exception, model: Any, name: str, data: Any, guard: ThreadGuard, known: Mapping[str, Levels] | None
) -> str:
    """Return why a method fails on rows; see `describe_failure`."""

    def ask(rows: Any) -> Any:
        with _sequential(guard):
            return getattr(model, name)(rows)

    # A list of texts is no table.
    return describe(error) if isinstance(data, list) else describe_failure(error, data, ask, known)


def _lacking(error: AttributeError) -> str:
    """Return what a part of scikit-learn's lacks that another version of it wrote; "" where it is another's."""
    kind = type(error.obj)
    if kind.__module__.partition(".")[0] != "sklearn":
        return ""
    version = installed_version("scikit-learn")
    return (
        f"its {kind.__name__} has no {error.name}, which scikit-learn {version} here looks for, so another version "
        f"wrote it. Pack it where that version is installed, or train and write it anew with {version}"
    )


@contextmanager
def _sequential(guard: ThreadGuard) -> Iterator[None]:
    """Hold an estimator to one thread without changing its own `n_jobs`."""
    with guard(), joblib.parallel_config(backend="sequential"):
        yield


def split_targets(answer: Any, targets: int | None) -> list[Array]:
    """Return the arrays of a method's answer: one, or one for each target."""
    if targets is None:
        return [answer_array(answer)]
    if isinstance(answer, list):
        return [answer_array(target) for target in answer]
    matrix = answer_array(answer)
    return [_without_nan(matrix[:, index]) for index in range(targets)]


def _without_nan(column: Array) -> Array:
    """Return a column of objects with `None` for every missing value where it holds texts; any other as it is."""
    if column.dtype != object or not any(isinstance(value, str) for value in column):
        return column
    texts = column.copy()
    texts[[value != value or value is None for value in column]] = None
    return texts


def _choose_methods(model: Any, methods: Sequence[str] | None) -> list[str]:
    """Return the methods to ask; raise `PackError` where the estimator lacks one."""
    available: list[str] = [name for name in METHODS if callable(getattr(model, name, None))]
    if methods is None:
        chosen = [name for name in available if name in ("predict", "predict_proba")]
        chosen = chosen or [name for name in available if name == "transform"] or available[:1]
    else:
        chosen = [methods] if isinstance(methods, str) else list(methods)
    missing = [name for name in chosen if name not in available]
    if missing or not chosen:
        problem = f"has no {shorten(missing[0])}" if missing else "has nothing to answer with"
        known = f"of {', '.join(METHODS)} it has {', '.join(available) or 'none'}"
        raise PackError(f"the {type(model).__name__} {problem}: {known}")
    if len(set(chosen)) != len(chosen):
        raise PackError(f"a method is there twice: {', '.join(chosen)}")
    return chosen


def _count_targets(model: Any, name: str, answer: Any) -> int | None:
    """Return the number of targets into which an answer is split, `None` where it is not split.

    Transformed features are split into their columns where one of them holds texts, which no tensor does.
    """
    if name == "transform":
        features = None if hasattr(answer, "toarray") else np.asarray(answer)
        if features is None or features.ndim != 2 or features.dtype.kind not in "OUT":
            return None
        return features.shape[1] if any(isinstance(value, str) for value in features.ravel()) else None
    classes = classes_of(model)
    if isinstance(classes, list):
        return len(classes) if isinstance(answer, list) or np.ndim(answer) == 2 else None
    # CatBoost returns the labels of several classes as a matrix of one column. Where a row can have several labels,
    # each of them has a column.
    return (
        1 if name == "predict" and classes is not None and np.shape(answer)[1:] == (1,) != np.shape(classes) else None
    )


def _fields(model: Any, name: str, answers: list[Array], rows: int, targets: int | None) -> list[Field]:
    classes = classes_of(model)
    stem = "label" if name == "predict" and classes is not None else METHODS[name]
    if name == "transform" and targets is not None:
        names = _feature_names(model, targets)
        return [_feature_field(f"{stem}_{label}", answer) for label, answer in zip(names, answers, strict=True)]
    if isinstance(classes, list) and targets is not None:
        pairs = zip(answers, classes, strict=True)
        return [
            _field(f"{stem}_{index}", answer, rows, target_classes)
            for index, (answer, target_classes) in enumerate(pairs)
        ]
    # Transformed features are not classes, even if they are as many.
    return [_field(stem, answers[0], rows, None if name == "transform" else classes)]


def _feature_field(name: str, answer: Array) -> Field:
    """Return the field of a column of transformed features, nullable where a text is missing."""
    is_present = [value is not None for value in answer]
    return replace(output_field(name, answer[is_present], sum(is_present)), nullable=not all(is_present))


def _feature_names(model: Any, count: int) -> list[str]:
    """Return the names that a transformer gives its columns, or their numbers where it gives none."""
    numbers = [str(index) for index in range(count)]
    try:
        names = [str(name) for name in model.get_feature_names_out()]
    except (AttributeError, NotFittedError, TypeError, ValueError):  # a step of a pipeline may not know
        return numbers
    return names if len(names) == len(set(names)) == count else numbers


def _field(name: str, answer: Array, rows: int, classes: Any) -> Field:
    if classes is None:
        return output_field(name, answer, rows)
    if name.startswith("label"):
        return label_field(name, answer, rows, classes)
    return output_field(name, answer, rows, class_names(classes))
