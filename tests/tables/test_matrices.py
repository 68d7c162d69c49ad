"""Lists of lists, and matrices of NumPy, are arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import fourfold
from fourfold import tables
from fourfold.errors import InputError
from fourfold.signature import Field

NUMBERS = [[1.0, 2.0], [3.0, 5.0], [4.0, 7.5]]
FIELDS = (Field("x0", "float64"), Field("x1", "float64"))


@pytest.mark.parametrize(
    "data", [NUMBERS, tuple(map(tuple, NUMBERS)), np.matrix(NUMBERS)], ids=["lists", "tuples", "matrix"]
)
def test_they_are_read_by_position(data: Any) -> None:
    """What they hold is coerced as the array of it, and the outputs are an array."""
    batch, errors = tables.read(data, FIELDS)
    assert not errors
    assert batch.to_pydict() == tables.read(np.array(NUMBERS), FIELDS)[0].to_pydict()
    assert isinstance(tables.write(data, batch.select(["x0"])), np.ndarray)
    assert tables.infer(data) == tables.infer(np.array(NUMBERS))


def test_lists_of_several_kinds_of_values() -> None:
    """Texts and numbers stay what they are, and an integer that a float would round is told."""
    fields = (Field("a", "int64"), Field("b", "string", nullable=True))
    batch, errors = tables.read([[1, "x"], [2, None]], fields)
    assert (batch.to_pydict(), errors) == ({"a": [1, 2], "b": ["x", None]}, [])
    _, errors = tables.read([[2**53 + 1, 0.5]], FIELDS)
    assert [(error.row, error.field, error.code) for error in errors] == [(0, "x0", "precision")]


@pytest.mark.parametrize("data", [[[1.0], [1.0, 2.0]], [[1.0, 2.0], {"x0": 1.0}], [[1.0, 2.0, 3.0]]])
def test_lists_that_are_no_matrix(data: Any) -> None:
    """Rows of several lengths, and of another than there are fields, are refused."""
    with pytest.raises(InputError, match=r"expected (lists of one length|an array of shape)"):
        tables.read(data, FIELDS)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_model_that_was_trained_on_lists_is_packed_with_them() -> None:
    """The rows of `pack` may be lists, too, and the package answers them as the model does."""
    model = LinearRegression().fit(NUMBERS, [1.0, 2.0, 3.0])
    predictor = fourfold.load(fourfold.pack(model, name="lists", rows=NUMBERS))
    for data in (NUMBERS, np.matrix(NUMBERS), np.array(NUMBERS)):
        np.testing.assert_allclose(predictor.predict(data), model.predict(NUMBERS))
