"""Columns that no well-meant producer makes: each is refused by name, and nothing is read outside of a buffer."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from fourfold.plan._evaluator import Evaluator
from fourfold.plan.graph.builder import Graph, Output
from tests.plan.evaluators import columns, evaluator


def number_and_text() -> Evaluator:
    """A plan of a float64 and a text."""
    graph = Graph([("x", "float64"), ("s", "string")])
    value = graph.lookup(graph.text(1, ["a"]), [1.0, 2.0, 3.0])
    return evaluator(graph, [Output("y", "float64", [graph.number(0), *value], tensor=True)])


X = pa.array([1.0, 2.0])
S = pa.array(["a", "b"])


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (S.dictionary_encode(), "column 's': expected the Arrow format 'u', got 'i' of a dictionary; cast it first"),
        (S.cast(pa.large_string()), "column 's': expected the Arrow format 'u', got 'U'; cast it first"),
        (S.cast(pa.string_view()), "column 's': expected the Arrow format 'u', got 'vu'; cast it first"),
        (S.cast(pa.binary()), "got 'z'"),
        (X, "got 'g'"),
        (pa.array([None, None]), "got 'n'"),
    ],
)
def test_text_of_another_arrow_type(column: Any, said: str) -> None:
    """A text column of another Arrow type is refused, and the error says which, what was expected and what came."""
    batch = pa.RecordBatch.from_arrays([X, column], names=["x", "s"])
    with pytest.raises(ValueError, match=said):
        columns(number_and_text(), batch)


@pytest.mark.parametrize("kind", ["float32", "int64", "uint64", "bool", "float16", "date32", "timestamp"])
def test_numbers_of_another_arrow_type(kind: str) -> None:
    """A column of numbers of another Arrow type is refused."""
    dtype = {"timestamp": pa.timestamp("us"), "bool": pa.bool_()}.get(kind) or getattr(pa, kind)()
    batch = pa.RecordBatch.from_arrays(
        [pa.array([1, 0]).cast(pa.int32() if kind == "date32" else pa.int64()).cast(dtype), S], names=["x", "s"]
    )
    with pytest.raises(ValueError, match="column 'x': expected the Arrow format 'g'"):
        columns(number_and_text(), batch)


def test_columns_by_name_and_order() -> None:
    """Columns in another order, too few or too many, are refused rather than taken for each other."""
    found = number_and_text()
    for batch in (
        pa.RecordBatch.from_arrays([X], names=["x"]),
        pa.RecordBatch.from_arrays([X, S, X], names=["x", "s", "more"]),
    ):
        with pytest.raises(ValueError, match="a column for each field"):
            columns(found, batch)
    with pytest.raises(ValueError, match="expected the column of field 'x', got the column 's'"):
        columns(found, pa.RecordBatch.from_arrays([S, X], names=["s", "x"]))
    with pytest.raises(ValueError, match="not one column"):
        found.columns(*X.__arrow_c_array__())


def test_a_batch_is_used_up() -> None:
    """A capsule's array is taken over, as the interface says, so it cannot be given a second time."""
    found = number_and_text()
    schema, array = pa.RecordBatch.from_arrays([X, S], names=["x", "s"]).__arrow_c_array__()
    assert isinstance(found.columns(schema, array), list)
    with pytest.raises(ValueError, match="given once"):
        found.columns(schema, array)


def test_missing_rows_of_a_struct() -> None:
    """A struct with missing rows is no batch."""
    struct = pa.StructArray.from_arrays([X, S], names=["x", "s"], mask=pa.array([True, False]))
    with pytest.raises(ValueError, match="without missing rows"):
        number_and_text().columns(*struct.__arrow_c_array__())


# Structures that only a broken producer, or a hostile one in the same process, would make.


class ArrowArray(ctypes.Structure):
    pass


RELEASE = ctypes.CFUNCTYPE(None, ctypes.POINTER(ArrowArray))
ArrowArray._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(ArrowArray))),
    ("dictionary", ctypes.POINTER(ArrowArray)),
    ("release", RELEASE),
    ("private_data", ctypes.c_void_p),
]

address_of = ctypes.pythonapi.PyCapsule_GetPointer
address_of.restype = ctypes.c_void_p
address_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class Lent:
    """A good batch of numbers and texts as structures of our own, which may be changed and need no care to release."""

    def __init__(self, batch: Any) -> None:
        self.schema, self.whole = batch.__arrow_c_array__()
        good = ArrowArray.from_address(address_of(self.whole, b"arrow_array"))
        self.children = [ArrowArray() for _ in range(good.n_children)]
        for place, child in enumerate(self.children):
            ctypes.pointer(child)[0] = good.children[place][0]
        self.pointers = (ctypes.POINTER(ArrowArray) * len(self.children))(*map(ctypes.pointer, self.children))
        self.buffers = []
        for child in self.children:
            own = (ctypes.c_void_p * child.n_buffers)(*(child.buffers[place] for place in range(child.n_buffers)))
            self.buffers.append(own)
            child.buffers = ctypes.cast(own, ctypes.POINTER(ctypes.c_void_p))
        self.released = 0
        self.array = ArrowArray()
        ctypes.pointer(self.array)[0] = good
        self.array.children = ctypes.cast(self.pointers, ctypes.POINTER(ctypes.POINTER(ArrowArray)))
        self.callback = RELEASE(self.release)
        self.array.release = self.callback

    def release(self, array: Any) -> None:
        self.released += 1
        array[0].release = RELEASE()

    def capsules(self) -> tuple[Any, Any]:
        return self.schema, new_capsule(ctypes.addressof(self.array), b"arrow_array", None)


def set_child(place: int, name: str, value: Any) -> Callable[[Any], None]:
    return lambda array: setattr(array.children[place][0], name, value)


def set_offsets(*offsets: int) -> Callable[[Any], None]:
    """Text whose offsets are these."""
    kept = (ctypes.c_int32 * len(offsets))(*offsets)

    def change(array: Any) -> None:
        array.children[1][0].buffers[1] = ctypes.addressof(kept)

    change.kept = kept  # type: ignore[attr-defined]
    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda array: setattr(array, "length", -1),
        lambda array: setattr(array, "length", 3),
        lambda array: setattr(array, "length", 2**62),
        lambda array: setattr(array, "length", 2**63 - 1),
        lambda array: setattr(array, "offset", -1),
        lambda array: setattr(array, "offset", 1),
        lambda array: setattr(array, "offset", 2**63 - 1),
        lambda array: setattr(array, "n_children", 1),
        lambda array: setattr(array, "n_children", -1),
        lambda array: setattr(array, "children", None),
        lambda array: setattr(array, "release", RELEASE()),
        set_child(0, "length", 1),
        set_child(0, "length", -5),
        set_child(0, "offset", -1),
        set_child(0, "offset", 2**62),
        set_child(0, "n_buffers", 1),
        set_child(1, "n_buffers", 2),
        set_child(0, "buffers", None),
        lambda array: array.children[0][0].buffers.__setitem__(1, None),
        lambda array: array.children[1][0].buffers.__setitem__(1, None),
        lambda array: array.children.__setitem__(1, None),
        set_offsets(-1, 0, 1),
        set_offsets(1, 0, 1),
        set_offsets(0, 2, 1),
        set_offsets(0, 1, -(2**31)),
    ],
)
def test_arrays_that_cannot_be(change: Callable[[Any], Any]) -> None:
    """An array whose numbers or pointers contradict each other is refused before anything of it is read."""
    lent = Lent(pa.RecordBatch.from_arrays([X, S], names=["x", "s"]))
    change(lent.array)
    taken = bool(lent.array.release)
    with pytest.raises(ValueError, match=r"expected|column|given once"):
        number_and_text().columns(*lent.capsules())
    assert lent.released == (taken and not lent.array.release)  # what was taken over is given back once


def test_text_without_a_buffer() -> None:
    """Texts that are all empty need no bytes, and an empty batch no buffers at all."""
    found = number_and_text()
    batch = pa.RecordBatch.from_arrays([X, pa.array(["", ""])], names=["x", "s"])
    lent = Lent(batch)
    lent.buffers[1][2] = None
    assert isinstance(found.columns(*lent.capsules()), list)
    lent = Lent(batch.slice(0, 0))
    lent.buffers[0][1] = lent.buffers[1][1] = None
    assert found.columns(*lent.capsules()) == [(b"",)]
    assert lent.released == 1


def test_unknown_number_of_missing_values() -> None:
    """A column that does not say how many values are missing may have a bitmap or none."""
    found = number_and_text()
    for x in (X, pa.array([None, 2.0])):
        batch = pa.RecordBatch.from_arrays([x, S], names=["x", "s"])
        lent = Lent(batch)
        lent.children[0].null_count = -1
        assert found.columns(*lent.capsules()) == columns(found, batch)
