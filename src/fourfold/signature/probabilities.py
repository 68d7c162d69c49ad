"""Find the output that holds a probability for each class, and the classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fourfold.errors import PackageError, printable
from fourfold.signature.field import FLOATS, INTEGERS, Field

__all__ = ["classes_of", "probability_field"]

#: The names of such outputs: ours, and those of converters to ONNX.
_NAMES = ("probability", "probabilities", "output_probability")
#: The most outputs that an error names.
_MAX_SHOWN = 8
#: How a label of a class is read as a value of its dtype.
_PARSERS: dict[str, Callable[[str], Any]] = {
    "bool": {"False": False, "True": True}.get,
    **dict.fromkeys(INTEGERS, int),
    **dict.fromkeys(FLOATS, float),
}


def probability_field(outputs: Sequence[Field], name: str) -> Field:
    """Return the output that has a probability for each class, a float tensor of one dimension.

    Args:
        outputs: the outputs of a package.
        name: the package's name, for the error.

    Raises:
        PackageError: there is none; the message says what the package answers instead.
    """
    by_name = {field.name: field for field in outputs}
    named = [by_name[known] for known in _NAMES if known in by_name and by_name[known].dtype in FLOATS]
    for field in named:
        if len(field.shape) == 1:
            return field
    raise PackageError(f"{printable(name, 100)} answers no probability for each class: {_answered(outputs, named)}")


def _answered(outputs: Sequence[Field], named: Sequence[Field]) -> str:
    """Return what a package answers instead of the probabilities of its classes, and the way there."""
    shown = ", ".join(f"{printable(field.name, 60)} ({_kind(field)})" for field in outputs[:_MAX_SHOWN])
    shown += f" and {len(outputs) - _MAX_SHOWN} more" if len(outputs) > _MAX_SHOWN else ""
    if named:
        text = f"predict answers {shown}, one probability a row; of a booster it is that of the second class"
        return f"{text}. A booster that is packed with labels=['no', 'yes'] answers both"
    if any(field.name.startswith("probability_") and field.shape for field in outputs):
        return f"predict answers {shown}, which are those of several targets, each in an output of its own"
    if any(field.name.startswith("label") for field in outputs):
        text = f"predict answers {shown}. A classifier that has predict_proba answers it where it is packed with"
        return f"{text} methods=('predict', 'predict_proba')"
    return f"predict answers {shown}"


def _kind(field: Field) -> str:
    return f"{field.dtype} {list(field.shape)}" if field.shape else field.dtype


def classes_of(outputs: Sequence[Field], name: str) -> tuple[Any, ...]:
    """Return the classes of an output of probabilities, in its order: of the dtype of the labels that are answered.

    Args:
        outputs: the outputs of a package.
        name: the package's name, for the error.

    Raises:
        PackageError: there is no such output, or its classes have no names.
    """
    field = probability_field(outputs, name)
    if field.labels is None:
        raise PackageError(
            f"the classes of {printable(name, 100)} have no names: it answers a probability for each of the "
            f"{field.shape[0]}, in the order of the model; pack it with labels=[…], which names them"
        )
    for label in outputs:
        if label.name != "label" or label.shape:
            continue
        if label.categories is not None and tuple(map(str, label.categories)) == field.labels:
            return label.categories
        values = tuple(map(_PARSERS.get(label.dtype, str), field.labels))
        if tuple(map(str, values)) == field.labels:
            return values
    return field.labels
