"""The output that holds a probability for each class, and the classes."""

from __future__ import annotations

from typing import Any

import pytest

from fourfold.errors import PackageError
from fourfold.signature import Field
from fourfold.signature.probabilities import classes_of, probability_field

TWO = Field("probability", "float64", shape=(2,), labels=("no", "yes"))
VALUE = Field("prediction", "float64")


@pytest.mark.parametrize("name", ["probability", "probabilities", "output_probability"])
def test_a_tensor_of_a_known_name_is_taken(name: str) -> None:
    """The output of a runtime's classifier, and those of converters to ONNX, wherever they stand."""
    field = Field(name, "float32", shape=(3,))
    assert probability_field((VALUE, field), "eta") is field


@pytest.mark.parametrize(
    ("outputs", "answered"),
    [
        ((VALUE,), r"predict answers prediction \(float64\)$"),
        ((Field("probability", "float64"),), "one probability a row; of a booster it is that of the second class"),
        ((Field("label", "int64"),), r"predict answers label \(int64\)\. A classifier that has predict_proba"),
        (
            (Field("label_0", "int64"), Field("probability_0", "float64", shape=(2,))),
            r"label_0 \(int64\), probability_0 \(float64 \[2\]\), which are those of several targets",
        ),
        ((Field("probability", "int64", shape=(2,)),), r"predict answers probability \(int64 \[2\]\)$"),
        (tuple(Field(f"y{index}", "float64") for index in range(2_000)), "y7 .float64. and 1992 more$"),
        ((Field("a\x1b[31m", "float64"),), r"a\\x1b\[31m \(float64\)$"),
    ],
)
def test_any_other_answer_is_named(outputs: tuple[Field, ...], answered: str) -> None:
    """Where there is none, the error says what is answered instead, in a line of limited length."""
    with pytest.raises(PackageError, match=answered) as caught:
        probability_field(outputs, "eta")
    assert str(caught.value).startswith("eta answers no probability for each class: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("label", "labels", "classes"),
    [
        (Field("label", "string", categories=("no", "yes")), ("no", "yes"), ("no", "yes")),
        (Field("label", "int64", categories=(10, 20)), ("10", "20"), (10, 20)),
        (Field("label", "bool"), ("False", "True"), (False, True)),
        (Field("label", "float64"), ("0.5", "2.0"), (0.5, 2.0)),
        (Field("label", "int64", shape=(2,)), ("a", "b"), ("a", "b")),
        (Field("other", "int64", categories=(1, 2)), ("1", "2"), ("1", "2")),
    ],
)
def test_classes_are_of_the_dtype_of_the_labels(label: Field, labels: tuple[str, ...], classes: Any) -> None:
    """`classes.index(label)` finds the column of a label that is answered; of several labels a row, their names."""
    field = Field("probability", "float64", shape=(2,), labels=labels)
    got = classes_of((label, field), "eta")
    assert got == classes
    assert [type(value) for value in got] == [type(value) for value in classes]


def test_classes_without_names_say_so() -> None:
    """A booster of several classes knows only how many there are."""
    with pytest.raises(PackageError, match="for each of the 3, in the order of the model; pack it with labels="):
        classes_of((Field("probability", "float64", shape=(3,)),), "eta")
    assert classes_of((VALUE, TWO), "eta") == ("no", "yes")
