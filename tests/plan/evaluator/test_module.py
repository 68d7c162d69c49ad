"""The evaluator in Python: its doors against each other, and what it refuses."""

from __future__ import annotations

import inspect
import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fourfold.plan import _evaluator
from fourfold.plan.format import SECTIONS, TYPES, VERSION, Kind, MathFunction
from fourfold.plan.graph.builder import Graph, Output
from tests.plan.evaluators import (
    ARROW,
    batch_of,
    bits,
    column_values,
    columns,
    evaluator,
    fields_of,
    same_by_every_door,
)

Evaluator = _evaluator.Evaluator

NASTY = [0.0, -0.0, 1.5, -1e308, 5e-324, 2.0**-1022, math.inf, -math.inf, math.nan, 1e-310, 3.0, None]
INTEGERS = [name for name in TYPES if "int" in name]


def limits(dtype: str) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def sum_of(inputs: Sequence[tuple[str, str]]) -> tuple[Graph, list[Output]]:
    """A plan that gives each of its inputs of numbers, and their sum."""
    graph = Graph(inputs)
    numbers = [graph.number(place) for place in range(len(inputs))]
    each = [Output(f"{name}_out", "float64", [value]) for (name, _), value in zip(inputs, numbers, strict=True)]
    return graph, [*each, Output("sum", "float64", [graph.fold(MathFunction.SUM, numbers)])]


def simple() -> tuple[Evaluator, Graph]:
    """A plan of a number and a text."""
    graph = Graph([("x", "float64"), ("s", "string")])
    code = graph.text(1, ["a", "b"])
    value = graph.map_two(MathFunction.ADD, [graph.number(0)], graph.lookup(code, [10.0, 20.0, 30.0, 40.0]))
    return evaluator(graph, [Output("y", "float64", value)]), graph


# The doors against each other.


def test_numbers_of_every_dtype_are_themselves() -> None:
    """Every dtype's extremes, zeros and missing values come out as the float64 nearest to them, by every door."""
    inputs = [(name, name) for name in TYPES if name != "string"]
    rows: list[dict[str, Any]] = [{}, {name: None for name, _ in inputs}]
    rows += [{name: limits(name)[pick] for name in INTEGERS} | {"bool": bool(pick)} for pick in (0, 1)]
    rows += [{"float64": value, "float32": None if value is None else float(np.float32(value))} for value in NASTY[:3]]
    rows += [{"float64": value, "float32": value} for value in (math.inf, -math.inf, math.nan, 2.0**-149, -(2.0**-126))]
    graph, outputs = sum_of(inputs)
    answers = same_by_every_door(graph, outputs, rows)
    expected = [
        {f"{name}_out": math.nan if row.get(name) is None else float(row[name]) for name, _ in inputs} for row in rows
    ]
    assert bits([{name: row[name] for name in expected[0]} for row in answers]) == bits(expected)


def test_text_is_looked_up_as_bytes() -> None:
    """Known, unknown, empty, long and missing texts get their own codes, by every door."""
    known = ["", "a", "ab", "äöü", "🛩", "eight678", "nine56789", "x" * 300, "a\0b", "tab\tand\nline"]
    graph = Graph([("s", "string")])
    table = [float(place) for place in range(len(known) + 2)]
    outputs = [Output("code", "float64", graph.lookup(graph.text(0, known), table))]
    texts: list[str | None] = [*known, "A", "a ", "x" * 299, "nine56788", "a\0", "\0", None]
    answers = same_by_every_door(graph, outputs, [{"s": text} for text in texts])
    assert [row["code"] for row in answers] == [*range(len(known)), *[len(known)] * 6, len(known) + 1]


LABELS: dict[str, list[Any]] = {
    "bool": [True, False, True],
    "float32": [0.5, -0.0, math.nan],
    "float64": [0.1, math.inf, -5e-324],
    "string": ["", "zwölf", "x" * 100],
    **{name: [limits(name)[0], limits(name)[1], 7] for name in INTEGERS},
}


@pytest.mark.parametrize("dtype", LABELS)
def test_labels_of_every_dtype(dtype: str) -> None:
    """A label comes out as the Python value that it is, of its own type, by every door."""
    graph = Graph([("x", "float64")])
    code = graph.recode(graph.match(graph.number(0), [1.0]), [0, 1, 2], 3)
    rows: list[dict[str, Any]] = [{"x": 1.0}, {"x": 2.0}, {"x": None}] * 7
    answers = same_by_every_door(graph, [Output("label", dtype, code=code, labels=LABELS[dtype])], rows)
    assert bits([row["label"] for row in answers]) == bits(LABELS[dtype] * 7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_tensor_is_a_list_though_it_has_one_element(dtype: str) -> None:
    """A number is a float, a tensor a list, also one of a single element; float32 is rounded."""
    graph = Graph([("x", "float64")])
    x = graph.number(0)
    three = graph.map_const(MathFunction.MUL, [x, x, x], [1.0, 2.0, 3.0])
    outputs = [
        Output("number", dtype, [x]),
        Output("one", dtype, [x], tensor=True),
        Output("three", dtype, three, tensor=True),
    ]
    (answer,) = same_by_every_door(graph, outputs, [{"x": 0.1}])
    rounded = [float(np.dtype(dtype).type(0.1 * factor)) for factor in (1.0, 2.0, 3.0)]
    assert answer == {"number": rounded[0], "one": rounded[:1], "three": rounded}


def test_rows_without_an_answer_say_why() -> None:
    """A row that the plan refuses has no answer one by one, and the reason for it among many and in columns."""
    graph = Graph([("x", "float64")])
    x = graph.number(0)
    graph.refuse([x], Kind.INFINITE, "no infinity")
    graph.refuse([x], Kind.ZERO, "no zero")
    found = evaluator(graph, [Output("y", "float64", [x])])
    rows = [{"x": value} for value in (1.0, math.inf, math.nan, -0.0, -math.inf, None)]
    why = {1: "no infinity", 3: "no zero", 4: "no infinity"}
    assert [place for place, row in enumerate(rows) if found.one(row) is None] == list(why)
    assert found.many(rows) == why
    assert columns(found, batch_of(graph.inputs, rows)) == why


@pytest.mark.parametrize("count", [0, 1, 7, 8, 15, 16, 511, 512, 513, 2000])
def test_any_number_of_rows(count: int) -> None:
    """The number of rows in a call does not show in any of its answers."""
    graph, outputs = sum_of([("a", "float64"), ("b", "int32"), ("c", "bool")])
    rows = [{"a": math.sin(place), "b": place, "c": place % 3 == 0} for place in range(count)]
    found = evaluator(graph, outputs)
    buffers = columns(found, batch_of(graph.inputs, rows))
    assert isinstance(buffers, list)
    assert column_values(outputs[-1], buffers[-1], count) == [
        math.sin(place) + place + (place % 3 == 0) for place in range(count)
    ]
    assert found.many(rows) == [found.one(row) for row in rows]


@pytest.mark.parametrize("start", [0, 1, 7, 8, 9, 31])
def test_slices_of_a_batch(start: int) -> None:
    """A batch that begins in the middle of its buffers gives the answers of those rows."""
    inputs = [("f", "float32"), ("b", "bool"), ("s", "string"), ("i", "int16")]
    graph = Graph(inputs)
    values = [
        graph.number(0),
        graph.number(1),
        *graph.lookup(graph.text(2, ["p", "qq"]), [1.0, 2.0, 3.0, 4.0]),
        graph.number(3),
    ]
    output = Output("all", "float64", values, tensor=True)
    rows = [
        {
            "f": None if place % 5 == 0 else place / 8,
            "b": None if place % 7 == 0 else place % 2 == 0,
            "s": [None, "p", "qq", "", "other"][place % 5],
            "i": None if place % 3 == 0 else place,
        }
        for place in range(50)
    ]
    found = evaluator(graph, [output])
    whole = [found.one(row) for row in rows]
    buffers = columns(found, batch_of(inputs, rows).slice(start, 19))
    assert isinstance(buffers, list)
    taken = column_values(output, buffers[0], 19)
    assert bits([{"all": each} for each in taken]) == bits(whole[start : start + 19])


def test_a_struct_with_an_offset_of_its_own() -> None:
    """An offset of the batch adds to that of its columns."""
    graph, outputs = sum_of([("a", "float64")])
    array = pa.array([1.0, 2.0, 3.0, 4.0, 5.0])[1:]
    struct = pa.StructArray.from_arrays([array], names=["a"])[2:]
    buffers = evaluator(graph, outputs).columns(*struct.__arrow_c_array__())
    assert isinstance(buffers, list)
    assert column_values(outputs[0], buffers[0], 2) == [4.0, 5.0]


@pytest.mark.parametrize("dtype", [name for name in TYPES if name not in {"bool", "int8", "uint8"}])
def test_buffers_at_odd_addresses(dtype: str) -> None:
    """A column whose buffer lies at an address that its dtype's size does not divide is read as any other."""
    graph = Graph([("x", dtype)])
    values: list[Any] = ["p", "", "other"] if dtype == "string" else [1, 2, 3]
    if dtype == "string":
        output = Output("y", "float64", graph.lookup(graph.text(0, ["p"]), [1.0, 2.0, 3.0]))
    else:
        output = Output("y", "float64", [graph.number(0)])
    array = pa.array(values, ARROW[dtype])
    moved = [None if each is None else pa.py_buffer(b"x" + each.to_pybytes()).slice(1) for each in array.buffers()]
    batch = pa.RecordBatch.from_arrays([pa.Array.from_buffers(array.type, 3, moved)], names=["x"])
    found = evaluator(graph, [output])
    buffers = columns(found, batch)
    assert isinstance(buffers, list)
    assert column_values(output, buffers[0], 3) == [found.one({"x": value})["y"] for value in values]  # type: ignore[index]


# What is plain.


class Evil:
    """A key that runs code when it is compared."""

    def __init__(self, name: str, act: Callable[[], Any]) -> None:
        self.name, self.act = name, act

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        self.act()
        return other == self.name


class Text(str):
    __slots__ = ()


NOT_PLAIN: list[tuple[str, Any]] = [
    *[("float64", value) for value in (True, "1", 2**53 + 1, -(2**53) - 1, 10**400, np.float64(1.0), b"1", [1.0], 1j)],
    *[("float32", value) for value in (1e39, -1e39, 2**53 + 1, False)],
    *[("int8", value) for value in (128, -129, 1.0, True, 2**70, "1", np.int8(1))],
    *[("uint8", value) for value in (-1, 256)],
    *[("int16", value) for value in (-32769, 32768)],
    *[("uint16", value) for value in (-1, 65536)],
    *[("int32", value) for value in (-(2**31) - 1, 2**31)],
    *[("uint32", value) for value in (-1, 2**32)],
    *[("int64", value) for value in (-(2**63) - 1, 2**63)],
    *[("uint64", value) for value in (-1, 2**64, 10**30)],
    *[("bool", value) for value in (0, 1, "true", np.True_)],
    *[("string", value) for value in (1, b"a", "\ud800", Text("a"), np.str_("a"))],
]


@pytest.mark.parametrize(("dtype", "value"), NOT_PLAIN, ids=lambda each: ascii(each)[:30])
def test_what_is_not_plain_is_left_to_the_caller(dtype: str, value: Any) -> None:
    """A value that the coercion table would change or refuse has no answer here, neither alone nor among others."""
    graph = Graph([("x", dtype)])
    if dtype == "string":
        output = Output("y", "float64", graph.lookup(graph.text(0, ["a"]), [1.0, 2.0, 3.0]))
    else:
        output = Output("y", "float64", [graph.number(0)])
    found = evaluator(graph, [output])
    for canonical in (False, True):
        assert found.one({"x": value}, canonical) is None
        assert found.many([{"x": None}, {"x": value}], canonical) is None


@pytest.mark.parametrize(
    "row", [None, [], "x", {"x": 1.0, "t": 1}, {1: 2}, {"x": 1.0, None: 2}, {"x": 1.0, "s": "a", b"x": 1}]
)
def test_rows_that_are_no_plain_rows(row: Any) -> None:
    """What is no dict, or has a key that is no field, is left to the caller."""
    found, _ = simple()
    assert found.one(row) is None
    assert found.many([row]) is None


def test_extra_keys_where_they_are_ignored() -> None:
    """Where a signature ignores them, extra keys change nothing; keys that are no text are still left to the caller."""
    graph = Graph([("x", "float64")])
    found = evaluator(graph, [Output("y", "float64", [graph.number(0)])], ignore_extra=True)
    assert found.one({"before": object(), "x": 2.0, "after": None}) == {"y": 2.0}
    assert found.one({"x": 2.0, 1: None}) is None


@pytest.mark.parametrize("canonical", [False, True])
def test_order_and_identity_of_keys(canonical: bool) -> None:
    """Keys in any order, interned or not, and absent ones, give the same answer."""
    names = ["a", "b", "long name", "ü"]
    graph, outputs = sum_of([(name, "float64") for name in names])
    found = evaluator(graph, outputs)
    row = {name: float(place + 1) for place, name in enumerate(names)}
    expected = found.one(row)
    assert expected is not None
    assert expected["sum"] == 10.0
    turned = dict(reversed(list(row.items())))
    for each in (json.loads(json.dumps(row)), turned, json.loads(json.dumps(turned))):
        assert found.one(each, canonical) == expected
    del row["b"]
    assert bits(found.one(row, canonical)) == bits(found.one(row | {"b": None}, canonical))


def test_missing_values_only_where_they_may_be() -> None:
    """An absent or missing value in a field that is not nullable is left to the caller."""
    graph = Graph([("x", "float64")])
    plan = graph.plan([Output("y", "float64", [graph.number(0)])])
    found = Evaluator(plan, fields_of(graph.inputs, nullable=False))
    assert found.one({"x": math.nan}) is not None
    assert [found.one(row) for row in ({}, {"x": None})] == [None, None]


@pytest.mark.parametrize(
    ("dtype", "closed", "inside", "outside"),
    [
        ("string", {"a", "b"}, "a", "c"),
        ("int32", {1, 2}, 2, 3),
        ("float64", {0.5, math.inf}, 0.5, math.nan),
        ("bool", {True}, True, False),
    ],
)
def test_closed_categories(dtype: str, closed: set[Any], inside: Any, outside: Any) -> None:
    """A value outside a closed field's categories is left to the caller; a canonical row was looked at before."""
    graph = Graph([("x", dtype)])
    value = graph.lookup(graph.text(0, ["a"]), [1.0, 2.0, 3.0]) if dtype == "string" else [graph.number(0)]
    plan = graph.plan([Output("y", "float64", value)])
    found = Evaluator(plan, fields_of(graph.inputs, closed={"x": frozenset(closed)}))
    assert found.one({"x": inside}) is not None
    assert found.one({"x": None}) is not None
    assert found.one({"x": outside}) is None
    assert found.one({"x": outside}, canonical=True) is not None


def test_canonical_rows_are_read_only_where_the_plan_reads() -> None:
    """Of a canonical row, fields that the plan does not use, and extra keys, are not looked at."""
    graph = Graph([("x", "float64")])
    plan = graph.plan([Output("y", "float64", [graph.number(0)])])
    found = Evaluator(
        plan, (("when", 255, False, None, -1), ("x", TYPES["float64"], True, None, 0), ("n", 3, False, None, -1))
    )
    row = {"when": object(), "x": 4.0, "n": "text", "more": 1}
    assert found.one(row) is None
    assert found.many([row]) is None
    assert found.one(row, canonical=True) == {"y": 4.0}
    assert found.many([row, {"x": 1.0}], canonical=True) == [{"y": 4.0}, {"y": 1.0}]
    assert found.one({"x": 1}, canonical=True) == {"y": 1.0}


# What cannot be: garbage raises, and nothing crashes.


@pytest.mark.parametrize(
    "wrong",
    [
        lambda found: found.one(),
        lambda found: found.one({}, False, True),
        lambda found: found.one({}, other=True),
        lambda found: found.one(row={}),
        lambda found: found.one({}, canonical=True, other=1),
        lambda found: found.many(({},)),
        lambda found: found.many(None),
        lambda found: found.columns(),
        lambda found: found.columns(1, 2),
        lambda found: found.columns(None, None),
        lambda found: found.columns(object(), object(), object()),
    ],
)
def test_arguments_of_other_types(wrong: Callable[[Any], Any]) -> None:
    """Too few, too many or other arguments are an error that Python's callers know."""
    found, _ = simple()
    with pytest.raises((TypeError, ValueError)):
        wrong(found)


def test_truth_of_canonical_may_raise() -> None:
    """An argument whose truth raises, raises."""

    class Maybe:
        def __bool__(self) -> bool:
            raise RuntimeError("neither")

    found, _ = simple()
    with pytest.raises(RuntimeError, match="neither"):
        found.one({"x": 1.0, "s": "a"}, Maybe())  # type: ignore[arg-type]


GOOD = ("x", 10, True, None, 0)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ((), ValueError),
        ([GOOD], TypeError),
        ((["x", 10, True, None, 0],), TypeError),
        ((("x", 10, True, None),), TypeError),
        (((1, 10, True, None, 0),), TypeError),
        ((("x", "10", True, None, 0),), TypeError),
        ((("x", 9, True, None, 0),), ValueError),
        ((("x", 255, True, None, 0),), ValueError),
        ((("x", 10, True, None, 1),), ValueError),
        ((("x", 10, True, None, -1),), ValueError),
        ((GOOD, ("y", 10, True, None, 0)), ValueError),
        ((GOOD, ("x", 10, True, None, -1)), ValueError),
        (((Text("x"), 10, True, None, 0),), ValueError),
        ((("x", 10, True, ["a"], 0),), TypeError),
        ((("x", 10, True, frozenset([Evil("x", int)]), 0),), TypeError),
        ((("x", 10, True, frozenset([(1,)]), 0),), TypeError),
        ((GOOD, "text"), TypeError),
    ],
)
def test_fields_that_do_not_fit(fields: Any, error: type[Exception]) -> None:
    """Fields that are none, feed no input, two inputs or one of another type, are refused when a plan is opened."""
    graph = Graph([("x", "float64")])
    plan = graph.plan([Output("y", "float64", [graph.number(0)])])
    with pytest.raises(error):
        Evaluator(plan, fields)
    assert Evaluator(plan, (GOOD,)).one({"x": 1.0}) == {"y": 1.0}


@pytest.mark.parametrize("plan", [b"", b"FOURPLAN", bytes(400), b"FOURPLAN" + bytes(400), b"\xff" * 1000])
def test_bytes_that_are_no_plan(plan: bytes) -> None:
    """Bytes that are no plan are refused with a sentence."""
    with pytest.raises(ValueError, match="plan"):
        Evaluator(plan, ())


def test_a_table_without_its_last_code() -> None:
    """A plan whose table has no number for the last code is refused; a missing text would read the bytes behind it."""
    graph = Graph([("s", "string")])
    outputs = [Output("y", "float64", graph.lookup(graph.text(0, ["a", "b"]), [10.0, 20.0, 30.0, 40.0]))]
    plan = bytearray(graph.plan(outputs))
    at = 24 + 16 * list(SECTIONS).index("numbers") + 8  # the number of items in the section
    (count,) = struct.unpack_from("<Q", plan, at)
    assert Evaluator(bytes(plan), fields_of(graph.inputs)).one({"s": None}) == {"y": 40.0}
    struct.pack_into("<Q", plan, at, count - 1)
    with pytest.raises(ValueError, match="its constants are outside"):
        Evaluator(bytes(plan), fields_of(graph.inputs))


@pytest.mark.parametrize("plan", [None, "text", bytearray(100), memoryview(bytes(100))])
def test_plans_that_could_change(plan: Any) -> None:
    """Only bytes are taken for a plan: anything else could change after it was validated."""
    with pytest.raises(TypeError):
        Evaluator(plan, ())


def test_a_budget_of_nothing_gives_the_same_answers() -> None:
    """A budget too small for any table, and a negative one, are no error."""
    found, graph = simple()
    plan = graph.plan([Output("y", "float64", [graph.number(0)])])
    for budget in (0, -5, 2**40):
        assert Evaluator(plan, fields_of(graph.inputs), budget=budget).one({"x": 3.0, "s": None}) == {"y": 3.0}
    assert found.facts().keys() == {"registers", "codes", "steps", "lanes", "memory", "row_cost", "text_cost"}


def test_the_module_describes_itself() -> None:
    """The module says its version of the format, and every method its arguments."""
    assert _evaluator.VERSION == VERSION
    assert str(inspect.signature(Evaluator.one)) == "(self, row, /, canonical=False)"
    assert str(inspect.signature(Evaluator.many)) == "(self, rows, /, canonical=False)"
    assert str(inspect.signature(Evaluator.columns)) == "(self, schema, array, /)"
    assert all(inspect.getdoc(each) for each in (Evaluator, Evaluator.one, Evaluator.facts, _evaluator.elementary))


def test_elementary_functions_take_as_many_x_as_y() -> None:
    """The elementary functions answer for every pair of float64, and refuse what is none."""
    x = np.array([1.0, 4.0]).tobytes()
    assert np.frombuffer(_evaluator.elementary(MathFunction.SQRT, x, x)).tolist() == [1.0, 2.0]
    assert np.isnan(np.frombuffer(_evaluator.elementary(999, x, x))).all()
    assert _evaluator.elementary(MathFunction.SQRT, b"", b"") == b""
    for wrong in (b"1234567", x[:8]):
        with pytest.raises(ValueError, match="as many"):
            _evaluator.elementary(MathFunction.SQRT, x, wrong)
