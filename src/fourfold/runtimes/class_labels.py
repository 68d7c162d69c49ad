"""Name the classes of a booster, whose file knows only how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fourfold.errors import CorruptPackage, PackError, shorten
from fourfold.runtimes.answers import Array, class_names, label_field, output_field
from fourfold.signature.field import Field

__all__ = ["classes_setting", "classify", "name_classes", "output_fields", "read_classes"]


def name_classes(labels: Sequence[Any], objective: str, count: int | None) -> dict[str, Any]:
    """Return the setting `classes` for the labels that a caller gives to the classes of a booster.

    Args:
        labels: the labels, in the order in which the model was trained with them as 0, 1, …
        objective: the booster's objective.
        count: the number of classes whose probabilities the booster answers; `None` where it answers no probabilities.

    Raises:
        PackError: the labels are of several types or not distinct, or are more or fewer than the classes.
    """
    if count is None:
        way = "leave labels out"
        if objective == "multi:softmax":
            way = "save it after booster.set_param({'objective': 'multi:softprob'}), which does, or leave labels out"
        raise PackError(
            f"labels are names for classes, and a booster of the objective {shorten(objective)} does not answer with "
            f"probabilities of classes: {way}"
        )
    values = [value.item() if isinstance(value, np.generic) else value for value in labels]
    if isinstance(labels, (str, bytes)) or {type(value) for value in values} not in ({str}, {int}, {bool}):
        raise PackError(
            f"expected labels as a list of texts, of integers or of booleans; got {shorten(labels, 100)}: "
            'labels=["no", "yes"]'
        )
    if len(values) != count or len(set(values)) != count:
        raise PackError(
            f"expected {count} distinct labels, in the order of the classes 0 to {count - 1} of the objective "
            f"{shorten(objective)}; got {len(values)}: {shorten(values, 100)}"
        )
    return classes_setting(np.array(values))


def classes_setting(classes: Array) -> dict[str, Any]:
    """Return an array of classes as JSON values."""
    return {"dtype": "str" if classes.dtype.kind == "U" else str(classes.dtype), "values": classes.tolist()}


def read_classes(settings: Mapping[str, Any]) -> Array | None:
    """Return the classes in a package's settings, `None` for a model without any.

    Raises:
        CorruptPackage: they are of a type that no model has.
    """
    classes = settings.get("classes")
    if classes is None:
        return None
    values, dtype = classes["values"], np.dtype(classes["dtype"])
    longest = max((len(value) for value in values if isinstance(value, str)), default=0)
    # A text has as many bytes as its type says, however short it is.
    if dtype.kind not in "biufUO" or dtype.itemsize > max(16, 4 * longest):
        raise CorruptPackage(f"the package's classes are of the type {shorten(str(dtype))}, which no model has")
    return np.array(values, dtype=dtype)


def classify(answer: Array, classes: Array) -> list[Array]:
    """Return the labels and the probabilities of all classes, as classifiers compute them from a booster's answer.

    Args:
        answer: the probability of the second of two classes, of shape `(rows,)`, or of each class, `(rows, classes)`.
        classes: the classes.
    """
    # The same operations as in `predict_proba` of LightGBM and XGBoost: another order of them gives other bits.
    probability = answer if answer.ndim == 2 else np.vstack((1.0 - answer, answer)).transpose()
    return [classes[np.argmax(probability, axis=1)], probability]


def output_fields(
    answers: Sequence[Array], rows: int, classes: Array | None, *, is_probability: bool
) -> tuple[Field, ...]:
    """Return the output fields of a booster or of a classifier.

    Args:
        answers: the answer, or the labels and the probabilities.
        rows: the number of rows that were asked about.
        classes: the classes of labels and probabilities; `None` for a single answer.
        is_probability: whether a single answer is a probability.
    """
    if classes is None:
        return (output_field("probability" if is_probability else "prediction", answers[0], rows),)
    return (
        label_field("label", answers[0], rows, classes.tolist()),
        output_field("probability", answers[1], rows, class_names(classes)),
    )
