from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import sparse

from fourfold.errors import EngineError, PackError
from fourfold.runtimes.answers import answer_array, label_field, output_field, record_batch, relative_gap
from fourfold.signature import Field
from fourfold.signature.columns import arrow_schema
from fourfold.signature.field import TENSOR_DTYPES
from tests.runtimes.round_trip import assert_bits, values

SHAPES = npst.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)
ARRAYS = st.sampled_from(TENSOR_DTYPES).flatmap(lambda dtype: npst.arrays(dtype, SHAPES))


@given(answer=ARRAYS, fortran=st.booleans(), step=st.sampled_from([1, 2, -1]))
def test_arrays_keep_their_bits(answer: np.ndarray, fortran: bool, step: int) -> None:
    """An array of any dtype, shape and memory order is a column with its bits."""
    answer = (np.asfortranarray(answer) if fortran else answer)[::step]
    field = output_field("y", answer, len(answer))
    assert (field.dtype, field.shape) == (answer.dtype.name, answer.shape[1:])
    batch = record_batch([field], [answer], len(answer))
    assert batch.schema.equals(arrow_schema([field]))
    assert_bits(np.ascontiguousarray(answer), values(batch, "y"))


@given(words=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_texts_keep_their_letters(words: list[str]) -> None:
    """Text comes out as it is, whether NumPy holds it as objects or in its own fixed width."""
    answers = [np.array(words, dtype=object)]
    if not any(word.endswith("\\0") or "\\0" in word for word in words):
        answers.append(np.array(words))
    for answer in answers:
        field = output_field("y", answer, len(words))
        assert field == Field("y", "string")
        assert record_batch([field], [answer], len(words)).column("y").to_pylist() == answer.tolist()


@pytest.mark.parametrize(
    ("answer", "dtype"),
    [
        (np.array([1, np.int8(2)], dtype=object), "int64"),
        (np.array([True, np.bool_(False)], dtype=object), "bool"),
        (np.array([1.5, np.float32(2)], dtype=object), "float64"),
        (np.array([1.5, 2], dtype=object), "float64"),
        (np.array(["a", np.str_("b")], dtype=object), "string"),
        (answer_array(np.array([1, 2], dtype=np.float16)), "float32"),
        (answer_array(sparse.csr_matrix([[1.0, 0.0], [0.0, 2.0]])), "float64"),
        (answer_array([[1, 2], [3, 4]]), "int64"),
    ],
    ids=str,
)
def test_other_arrays_find_their_dtype(answer: Any, dtype: str) -> None:
    """Objects of one kind, half floats, sparse matrices and lists have a field too."""
    field = output_field("y", answer, 2)
    assert field.dtype == dtype
    assert record_batch([field], [answer], 2).column("y").to_pylist() == answer.tolist()


def test_a_sparse_answer_that_is_too_wide_is_refused() -> None:
    """What is mostly zeros does not fill the memory: hashed features have a million columns."""
    wide = sparse.csr_matrix((3, 2**20))
    with pytest.raises(PackError, match=r"sparse matrix of 1,048,576 columns.*n_features"):
        answer_array(wide)


@pytest.mark.parametrize(
    "answer",
    [
        np.array(1.0),
        np.array([1.0]),
        np.array([1j, 2j]),
        np.array([None, 1.0], dtype=object),
        np.array(["a", 1], dtype=object),
        np.array([b"a", b"b"]),
        np.array([["a", "b"], ["c", "d"]]),
        np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]"),
    ],
    ids=str,
)
def test_what_no_field_holds(answer: Any) -> None:
    """An answer of another length, of mixed kinds or of a dtype that no field has cannot be packed."""
    with pytest.raises(PackError, match="output 'y'"):
        output_field("y", answer, 2)


def test_labels_know_their_classes() -> None:
    """Labels of strings and integers are categories; a tensor's elements have the classes' names."""
    assert label_field("y", np.array(["b"]), 1, ["a", "b"]) == Field("y", "string", categories=("a", "b"))
    assert label_field("y", np.array([3]), 1, [np.int64(3), np.int64(5)]) == Field("y", "int64", categories=(3, 5))
    assert label_field("y", np.array([True]), 1, [False, True]) == Field("y", "bool")
    assert label_field("y", np.array([[1, 0]]), 1, [7, 8]) == Field("y", "int64", shape=(2,), labels=("7", "8"))
    assert output_field("y", np.array([[1.0, 0]]), 1, ("only",)).labels is None


@pytest.mark.parametrize(
    ("field", "answer"),
    [
        (Field("y", "float64"), np.ones((2, 1))),
        (Field("y", "float64"), np.ones(3)),
        (Field("y", "float64", shape=(2,)), np.ones((2, 3))),
        (Field("y", "float32"), np.ones(2)),
        (Field("y", "int8"), np.array([1, 300])),
        (Field("y", "int64"), np.array([1.0, 2.0])),
        (Field("y", "int64"), np.array(["1", "2"], dtype=object)),
        (Field("y", "string"), np.array([1, 2])),
        (Field("y", "string"), np.array(["a", 2], dtype=object)),
    ],
    ids=str,
)
def test_other_answers_than_packed(field: Field, answer: Any) -> None:
    """An answer of another shape or dtype than the model was packed with is an engine error, never a cast."""
    with pytest.raises(EngineError, match="output y"):
        record_batch([field], [answer], 2)


def test_what_fits_is_widened() -> None:
    """A narrower dtype that the field holds exactly is no error: a platform's integers, say."""
    batch = record_batch(
        [Field("y", "int64"), Field("z", "float64")], [np.array([1], "int32"), np.array([2], "int8")], 1
    )
    assert batch.to_pydict() == {"y": [1], "z": [2.0]}
    with pytest.raises(EngineError, match="expected 1 outputs"):
        record_batch([Field("y", "int64")], [np.array([1]), np.array([2])], 1)


def test_nan_is_no_null() -> None:
    """NaN stays NaN, in values and in tensors."""
    batch = record_batch(
        [Field("y", "float64"), Field("z", "float32", shape=(2,))],
        [np.array([math.nan]), np.full((1, 2), math.nan, "f4")],
        1,
    )
    assert batch.column("y").null_count == 0
    assert math.isnan(batch.column("y")[0].as_py())
    assert isinstance(batch, pa.RecordBatch)


def test_gaps() -> None:
    """No gap means the same bits; floats have a relative one, everything else an infinite one."""
    one = np.array([1.0, math.nan, 0.0, math.inf])
    assert relative_gap([one], [one.copy()]) == 0.0
    assert relative_gap([one], [np.array([1.0, math.nan, 0.0, math.inf], order="F")]) == 0.0
    assert 0 < relative_gap([np.array([0.0])], [np.array([-0.0])]) < 1e-300
    assert relative_gap([np.array([2.0])], [np.array([2.0 + 4e-16])]) == pytest.approx(2.2e-16, rel=0.1)
    assert relative_gap([np.array([1, 2])], [np.array([1, 2])]) == 0.0
    assert relative_gap([np.array(["a", "bb"])], [np.array(["a", "bb"], dtype="U20")]) == 0.0
    # Two objects that are NaN, as a transformer of texts and numbers gives them anew at each call.
    mixed = [np.array([["a", float("nan")], [None, 1.5]], dtype=object) for _ in range(2)]
    assert relative_gap(mixed[:1], mixed[1:]) == 0.0
    assert relative_gap(mixed[:1], [np.array([["a", 2.0], [None, 1.5]], dtype=object)]) == math.inf
    for left, right in [
        ([one], []),
        ([one], [one[:2]]),
        ([one], [one.astype("float32")]),
        ([np.array([1.0])], [np.array([math.nan])]),
        ([np.array([1.0])], [np.array([math.inf])]),
        ([np.array([1])], [np.array([2])]),
        ([np.array(["a"], dtype=object)], [np.array(["b"], dtype=object)]),
    ]:
        assert relative_gap(left, right) == math.inf
