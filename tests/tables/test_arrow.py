from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold import tables
from fourfold.errors import DecodeError, EngineError, InputError, SignatureError
from fourfold.signature import Field

MOMENT = datetime(2013, 10, 27, 0, 30, tzinfo=UTC)


def assert_exact(table: Any) -> None:
    """That the table comes out of its form, after a way through JSON, and its canonical columns, as it was."""
    form = json.loads(json.dumps(tables.form(table), allow_nan=False))
    fields = tables.infer(table)
    build = tables.builder(form, fields)
    for part in (table, table.slice(1)):
        batch, errors = tables.read(part, fields)
        assert errors == []
        built = build(batch)
        assert type(built) is type(table)
        assert built.schema.equals(part.schema)
        # To plain values, for a dictionary may hold its values in another order; NaN by its name.
        assert repr(built.to_pydict()) == repr(part.to_pydict())
        built.validate(full=True)


def shaped(shape: tuple[int, ...], values: list[Any]) -> Any:
    """An array of Arrow's own fixed-shape tensors."""
    kind = pa.fixed_shape_tensor(pa.float32(), shape)
    return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))


EXACT = {
    **{str(kind): pa.array([1, None, 3], kind) for kind in (pa.int8(), pa.int64(), pa.uint8(), pa.uint64())},
    **{str(kind): pa.array([0.5, float("nan"), -0.0, None], kind) for kind in (pa.float32(), pa.float64())},
    "bool": pa.array([True, None]),
    **{str(kind): pa.array(["a", None, "☃"], kind) for kind in (pa.string(), pa.large_string(), pa.string_view())},
    **{str(kind): pa.array([b"a", None, b"\xff"], kind) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())},
    "fixed_size_binary": pa.array([b"ab", None], pa.binary(2)),
    "date32": pa.array([date(1, 1, 1), None], pa.date32()),
    "date64": pa.array([date(2013, 1, 1), None], pa.date64()),
    **{
        f"timestamp {unit} {zone}": pa.array([MOMENT, None], pa.timestamp(unit, zone))
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Berlin")
    },
    "dictionary": pa.array(["b", None, "b"]).dictionary_encode(),
    "dictionary in order": pa.DictionaryArray.from_arrays(
        pa.array([1, 0], pa.uint8()), pa.array(["a", "b"], pa.large_string()), ordered=True
    ),
    "dictionary of integers": pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int8()), pa.array([5, 7], pa.int32())),
    "list": pa.array([[1, 2], None], pa.list_(pa.int8(), 2)),
    "nested list": pa.array([[[True], [False]], None], pa.list_(pa.list_(pa.bool_(), 1), 2)),
    "tensor": shaped((1, 2), [[1, 2], [3, 4]]),
    "tensor with a missing one": shaped((2,), [[1, 2], None, [3, 4]]),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("container", [pa.table, pa.record_batch])
def test_each_type_is_built_again_exactly(name: str, container: Any) -> None:
    """A table comes out of its form and its canonical columns with the schema and the values that it had."""
    assert_exact(container({"x": EXACT[name]}))


def test_nullability_and_chunks() -> None:
    """A schema's own word on nulls is kept, and how a column is cut into chunks does not matter."""
    schema = pa.schema([pa.field("x", pa.int8(), nullable=False), pa.field("y", pa.string())])
    table = pa.table({"x": pa.chunked_array([[1], [2, 3]], pa.int8()), "y": ["a", None, "b"]}, schema=schema)
    assert_exact(table)
    with pytest.raises(SignatureError, match="nullable"):
        tables.builder(tables.form(table), (Field("x", "int8", nullable=True), Field("y", "string")))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("int8", Field("x", "int8", nullable=True)),
        ("bool", Field("x", "bool", nullable=True)),
        ("string_view", Field("x", "string", nullable=True)),
        ("dictionary", Field("x", "string", nullable=True)),
        ("dictionary of integers", Field("x", "int32")),
        ("timestamp ns Europe/Berlin", Field("x", "timestamp", nullable=True, zone="Europe/Berlin")),
        ("nested list", Field("x", "bool", nullable=True, shape=(2, 1))),
        ("tensor", Field("x", "float32", shape=(1, 2))),
    ],
)
def test_inferred_fields(name: str, field: Field) -> None:
    """The field of a column has its dtype, zone and shape, and is nullable where it holds a null."""
    assert tables.infer(pa.table({"x": EXACT[name]})) == (field,)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({}), ["0 rows and 0 columns"]),
        (pa.table({"x": pa.array([], pa.int8())}), ["0 rows"]),
        (pa.table([[1], [2]], names=["x", "x"]), ["'x' twice"]),
        (pa.table({"x": [Decimal(1)]}), ["decimal", "float64"]),
        (pa.table({"x": [[1]]}), ["list", "fixed size"]),
        (pa.table({"x": [{"a": 1}]}), ["struct", "members"]),
        (pa.table({"x": pa.array([1.5], pa.float16())}), ["halffloat", "float32"]),
        (pa.table({"x": pa.array([1], pa.duration("s"))}), ["duration", "seconds"]),
        (pa.table({"x": pa.array([1], pa.time32("s"))}), ["time32", "seconds"]),
        (pa.table({"x": pa.nulls(1)}), ["null", "no value"]),
        (pa.table({"x": pa.array([b"0" * 16], pa.uuid())}), ["uuid", "storage"]),
        (pa.table({"x": pa.array([["a"]], pa.list_(pa.string(), 1))}), ["fixed_size_list"]),
        (pa.table({"x": pa.array([[1, None]], pa.list_(pa.int8(), 2))}), ["row 0", "null element"]),
        (pa.table({"x": pa.array([0, 1], pa.timestamp("ns"))}), ["row 1", "finer"]),
        (pa.table({"x": pa.array([0, 2**50], pa.timestamp("s"))}), ["row 1", "years 1 to 9999"]),
        (pa.table({"x": pa.array([0], pa.timestamp("s", "+02:00"))}), ["+02:00", "IANA"]),
        (pa.RecordBatchReader.from_batches(pa.schema([("x", pa.int8())]), []), ["only once", "read_all"]),
        (pa.array([1, 2]), ["no table of named columns"]),
    ],
)
def test_what_no_signature_can_be_made_of(table: Any, words: list[str]) -> None:
    """An error names the column and its type, and what to make of it."""
    with pytest.raises(SignatureError) as caught:
        tables.infer(table)
    assert all(word in str(caught.value) for word in words), str(caught.value)


class Stream:
    """Another library's table: nothing but the Arrow C interface."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


class Batch:
    """Another library's batch."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self.batch.__arrow_c_array__(requested_schema)


@pytest.mark.parametrize(
    "data",
    [
        Stream(pa.table({"x": [1, 2]})),
        Batch(pa.record_batch({"x": [1, 2]})),
        pa.RecordBatchReader.from_batches(pa.schema([("x", pa.int64())]), [pa.record_batch({"x": [1, 2]})]),
    ],
)
def test_any_object_with_the_c_interface_is_read(data: Any) -> None:
    """A stream of batches, or one batch, of whatever library, is a table."""
    assert tables.kind_of(data) == "arrow"
    batch, errors = tables.read(data, (Field("x", "int8"),))
    assert (batch.to_pydict(), errors) == ({"x": [1, 2]}, [])
    assert isinstance(tables.write(data, batch), pa.Table)


def test_a_table_of_another_library_is_inferred_and_taken_from() -> None:
    """An object that can be streamed again is packed with as a table is."""
    data = Stream(pa.table({"x": [1, 2]}))
    assert tables.infer(data) == (Field("x", "int64"),)
    assert tables.form(data)["batch"] is False
    assert tables.length(data) == 2
    assert tables.take(data, [1]).to_pydict() == {"x": [2]}


def test_what_is_no_table_is_refused() -> None:
    """An array without named columns, or a stream that only reading would measure, is no input."""
    with pytest.raises(InputError, match="no table of named columns"):
        tables.read(pa.array([1]), (Field("x", "int8"),))
    with pytest.raises(InputError, match="only once"):
        tables.length(pa.RecordBatchReader.from_batches(pa.schema([("x", pa.int8())]), []))
    with pytest.raises(DecodeError, match="'x' twice"):
        tables.read(pa.table([[1], [2]], names=["x", "x"]), (Field("x", "int8"),))


def test_a_value_beyond_the_type_of_training() -> None:
    """Bytes of another size, a timestamp out of range and too many categories are an engine's errors."""
    for trained, values, kind in (
        (pa.array([b"ab"], pa.binary(2)), [b"abc"], pa.binary()),
        (pa.array([MOMENT], pa.timestamp("ns")), [datetime(1600, 1, 1)], pa.timestamp("us")),
        (
            pa.array(["a"]).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
            list(map(str, range(200))),
            None,
        ),
    ):
        table = pa.table({"x": trained})
        with pytest.raises(EngineError, match="which the model was trained with"):
            tables.build(tables.form(table), tables.infer(table), pa.record_batch({"x": pa.array(values, kind)}))


@pytest.mark.parametrize("data", ["int7", 3, {"list": "int8"}, {"timestamp": "h", "zone": None}, {}])
def test_a_form_that_is_none(data: Any) -> None:
    """A damaged form is refused by name."""
    form = {"container": "arrow", "batch": False, "columns": [{"name": "x", "type": data}]}
    with pytest.raises(SignatureError, match="JSON form of an Arrow type"):
        tables.builder(form, (Field("x", "int8"),))


def test_outputs_are_the_kind_that_came() -> None:
    """A batch for a batch, a table for a table."""
    outputs = pa.record_batch({"y": [1.5]})
    assert tables.write(pa.record_batch({"x": [1]}), outputs) is outputs
    assert tables.write(pa.table({"x": [1]}), outputs).equals(pa.table({"y": [1.5]}))


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("container", [pa.table, pa.record_batch])
def test_length_and_take(name: str, container: Any) -> None:
    """Rows are taken by their indices, in that order, from columns of any type."""
    table = container({"x": EXACT[name]})
    taken = tables.take(table, [1, 0])
    assert type(taken) is type(table)
    assert tables.length(taken) == 2
    assert taken.schema.equals(table.schema)
    assert repr(taken.to_pydict()["x"]) == repr(table.to_pydict()["x"][1::-1])


@given(
    st.lists(st.none() | st.integers(-(10**14), 10**14), min_size=1), st.sampled_from([None, "UTC", "America/New_York"])
)
def test_any_timestamp(counts: list[int | None], zone: str | None) -> None:
    """Any microsecond comes back in its zone."""
    assert_exact(pa.table({"x": pa.array(counts, pa.timestamp("us", zone))}))
