"""The coercion of columns, the twin of the coercion of rows."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.errors import MAX_ROW_ERRORS, DecodeError, TableError
from fourfold.signature import Field, RowCoercer
from fourfold.signature.bits import same_bits
from fourfold.signature.columns import ColumnCoercer, arrow_schema, columns_to_rows, rows_to_columns
from tests.coercion import CASES, IDS, Case

ARROW = [(field, case) for field, case in CASES if case.arrow is not None]
ARROW_IDS = [name for name, (_, case) in zip(IDS, CASES, strict=True) if case.arrow is not None]


@pytest.mark.parametrize(("field", "case"), ARROW, ids=ARROW_IDS)
def test_the_table(field: Field, case: Case) -> None:
    """Every class of values becomes the value, or the error, of the coercion table."""
    batch, errors = ColumnCoercer([field])(pa.table({"x": case.arrow}))
    if case.error:
        assert [(error.row, error.field, error.code) for error in errors] == [(0, "x", case.error)]
    else:
        assert not errors
        assert same_bits(columns_to_rows([field], batch)[0]["x"], case.expected)


@pytest.mark.parametrize(("field", "case"), ARROW, ids=ARROW_IDS)
def test_a_bad_neighbour_changes_nothing(field: Field, case: Case) -> None:
    """The path value by value gives what the path for whole columns gives: a null beside it must not move a value."""
    assert case.arrow is not None
    twice = pa.concat_arrays([case.arrow, pa.nulls(1, case.arrow.type), case.arrow])
    batch, errors = ColumnCoercer([field])(pa.table({"x": twice}))
    at = {(error.row, error.code) for error in errors}
    if case.error == "missing":
        assert at == {(row, "missing") for row in range(3)}
    elif case.error:
        assert at == {(0, case.error), (2, case.error)} | (set() if field.nullable else {(1, "missing")})
    else:
        assert at == (set() if field.nullable else {(1, "missing")})
        values = [row["x"] for row in columns_to_rows([field], batch)]
        assert same_bits(values[0], case.expected)
        assert same_bits(values[2], case.expected)
        assert values[1] is None


_ARROW_VALUES: list[tuple[Any, Any]] = [
    (pa.int8(), st.integers(-128, 127)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.float64(), st.integers(-(2**60), 2**60).map(float)),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(max_size=5)),
    (pa.string(), st.sampled_from(["NaN", "2024-01-01", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00", "aGk=", "1"])),
    (pa.binary(), st.binary(max_size=4)),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.timestamp("us", "UTC"), st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1))),
    (pa.list_(pa.float64()), st.lists(st.floats(), max_size=3)),
    (pa.decimal128(20, 4), st.decimals(-(10**15), 10**15, places=4)),
]
_FIELDS = [
    *(
        Field("x", dtype, nullable=nullable)
        for dtype in ("bool", "int8", "int64", "uint64")
        for nullable in (True, False)
    ),
    *(Field("x", dtype) for dtype in ("float32", "float64", "string", "timestamp", "date", "binary")),
    Field("x", "timestamp", zone="America/New_York"),
    Field("x", "float64", shape=(2,)),
    Field("x", "string", categories=("NaN", "1")),
]


@given(st.data())
def test_columns_and_rows_are_twins(data: st.DataObject) -> None:
    """A column and the same values as rows are coerced to the same bits, with the same errors."""
    kind, values = data.draw(st.sampled_from(_ARROW_VALUES))
    field = data.draw(st.sampled_from(_FIELDS))
    drawn = data.draw(st.lists(st.none() | values, min_size=1, max_size=6))
    if kind == pa.timestamp("us", "UTC"):
        drawn = [None if value is None else value.replace(tzinfo=UTC) for value in drawn]
    batch, column_errors = ColumnCoercer([field])(pa.table({"x": pa.array(drawn, kind)}))
    rows, row_errors = RowCoercer([field])([{"x": value} for value in drawn])
    assert [(e.row, e.field, e.code, e.expected) for e in column_errors] == [
        (e.row, e.field, e.code, e.expected) for e in row_errors
    ]
    bad = {error.row for error in row_errors}
    for index, output in enumerate(columns_to_rows([field], batch)):
        if index not in bad:
            row = rows[index]
            assert row is not None
            assert same_bits(output["x"], row["x"])


def test_an_unknown_column_is_an_error_of_the_table_or_dropped() -> None:
    """What a key that is no field is to a row, a column that is none is to the table, also to one of no rows."""
    table = pa.table({"a": [1, 2], "b": [3, 4]})
    for rows in (table, table.slice(0, 0)):
        with pytest.raises(TableError, match=r"column 'b': expected one of the fields a, got a column"):
            ColumnCoercer([Field("a", "int64")])(rows)
    batch, errors = ColumnCoercer([Field("a", "int64")], "ignore")(table)
    assert not errors
    assert batch.schema.names == ["a"]


@pytest.mark.parametrize("rows", [2, 0])
def test_an_absent_column_is_an_error_unless_it_is_named(rows: int) -> None:
    """A column that is not there is one error of the table; named as absent it is null in every row."""
    table = pa.table({"a": [1, 2]}).slice(0, rows)
    coerce = ColumnCoercer([Field("a", "int64"), Field("b", "string", nullable=True)])
    with pytest.raises(TableError) as raised:
        coerce(table)
    (error,) = raised.value.errors
    assert error.to_json() | {"got": ""} == {
        "row": None,
        "field": "b",
        "code": "missing",
        "expected": "string or null",
        "got": "",
    }
    assert str(raised.value) == (
        "column 'b': expected string or null, got no such column; the table has 'a'; where it is missing in every row, "
        "say so with absent=['b']"
    )
    batch, errors = coerce(table, absent=["b"])
    assert not errors
    assert batch.column("b").to_pylist() == [None] * rows
    with pytest.raises(TableError, match=r"column 'b': expected string, got no such column; the table has 'a'$"):
        ColumnCoercer([Field("a", "int64"), Field("b", "string")])(table)


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        (
            ["a"],
            r"column 'a': expected absent to name nullable fields only \('b'\), got a field that may not be",
        ),
        (["c"], r"column 'c': expected absent to name nullable fields only \('b'\), got a name that is no field"),
        ("b", "the table: expected absent to be a list of names, got 'b'"),
    ],
)
def test_only_nullable_fields_are_absent(absent: Any, message: str) -> None:
    """What may not be missing, and what is no field, cannot be called absent."""
    coerce = ColumnCoercer([Field("a", "int64"), Field("b", "string", nullable=True)])
    with pytest.raises(TableError, match=message):
        coerce(pa.table({"a": [1], "b": ["x"]}), absent=absent)


def test_a_column_of_the_wrong_type_is_an_error_in_a_table_of_no_rows() -> None:
    """No value can be at fault there, but the type is; a column without a type is not."""
    coerce = ColumnCoercer([Field("a", "int64"), Field("b", "string", nullable=True)])
    with pytest.raises(TableError, match="column 'a': expected int64, got a column of string"):
        coerce(pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.string())}))
    assert coerce(pa.table({"a": pa.nulls(0), "b": pa.array([], pa.string())}))[0].num_rows == 0


def test_columns_of_one_name_that_is_no_field_are_dropped() -> None:
    """Which of two columns nobody asks for is meant, nobody needs to know."""
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "z", "z"])
    batch, errors = ColumnCoercer([Field("a", "int64")], "ignore")(table)
    assert (batch.to_pydict(), errors) == ({"a": [1]}, [])


def test_a_column_that_is_there_twice_is_refused() -> None:
    """Which of two columns of one name is meant, nobody can say."""
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(DecodeError, match="twice"):
        ColumnCoercer([Field("a", "int64")])(table)


def test_errors_are_in_the_order_of_rows_and_fields() -> None:
    """A reader of the errors goes through the table once."""
    fields = [Field("a", "int64"), Field("b", "int64")]
    _, errors = ColumnCoercer(fields)(pa.table({"b": [1.5, 1.0, 2.5], "a": [0.5, 1.0, 0.5]}))
    assert [(error.row, error.field) for error in errors] == [(0, "a"), (0, "b"), (2, "a"), (2, "b")]


@pytest.mark.parametrize("nulls", [False, True])
def test_fixed_shape_tensors_of_arrow(nulls: bool) -> None:
    """Arrow's own tensor type is the field's, with its shape and its nulls."""
    kind = pa.fixed_shape_tensor(pa.float64(), (2, 2))
    storage = pa.array([[1.0, 2, 3, 4], *([None] if nulls else []), [5.0, 6, 7, 8]], pa.list_(pa.float64(), 4))
    array = pa.ExtensionArray.from_storage(kind, storage)
    field = Field("x", "float64", shape=(2, 2), nullable=nulls)
    batch, errors = ColumnCoercer([field])(pa.table({"x": array}))
    assert not errors
    assert [row["x"] for row in columns_to_rows([field], batch)] == [
        [[1, 2], [3, 4]],
        *([None] if nulls else []),
        [[5, 6], [7, 8]],
    ]


def test_a_slice_of_a_larger_array_is_itself() -> None:
    """A slice shares its parent's buffers; its offset must not be forgotten."""
    field = Field("x", "float64", shape=(2,))
    array = pa.array([[1.0, 2], [3, 4], [5, 6]], pa.list_(pa.float64(), 2)).slice(1, 1)
    batch, errors = ColumnCoercer([field])(pa.table({"x": array}))
    assert not errors
    assert columns_to_rows([field], batch) == [{"x": [3.0, 4.0]}]


def test_years_beyond_datetime_are_out_of_range() -> None:
    """What rows cannot say, columns may not either: the same value must have the same answer."""
    far = pa.array([10_000 * 365 * 86_400], pa.int64()).cast(pa.timestamp("s"))
    _, errors = ColumnCoercer([Field("x", "timestamp")])(pa.table({"x": far}))
    assert errors[0].code == "range"
    days = pa.array([4_000_000], pa.int32()).cast(pa.date32())
    _, errors = ColumnCoercer([Field("x", "date")])(pa.table({"x": days}))
    assert errors[0].code == "range"


@pytest.mark.parametrize(
    ("count", "dtype", "code"),
    [(-1, "date", "precision"), (86_400_001, "date", "precision"), (2**60, "date", "range"), (1, "int64", "type")],
)
def test_dates_that_count_a_part_of_a_day_are_errors_of_their_rows(count: int, dtype: str, code: str) -> None:
    """Arrow's dates in milliseconds may hold what is no date: a row at fault, not a failure of the whole table."""
    array = pa.array([count, 0], pa.int64()).view(pa.date64())
    _, errors = ColumnCoercer([Field("x", dtype)])(pa.table({"x": array}))
    assert (errors[0].row, errors[0].code) == (0, code)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
def test_the_first_and_last_hours_of_all_years_are_the_same_in_rows_and_columns(zone: str) -> None:
    """Where a zone's clock would leave the years 1 to 9999, columns refuse what rows refuse."""
    field = Field("x", "timestamp", zone=zone)
    moments = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
    in_rows = [error.row for error in RowCoercer([field])([{"x": value} for value in moments])[1]]
    batch, errors = ColumnCoercer([field])(pa.table({"x": pa.array(moments, pa.timestamp("s", tz="UTC"))}))
    assert [error.row for error in errors] == in_rows
    assert all(error.code == "range" and "within the years 1 to 9999" in error.expected for error in errors)
    columns_to_rows([field], batch)


_ROWS = {
    "i": st.none() | st.integers(-(2**63), 2**63 - 1),
    "f": st.none() | st.floats(),
    "s": st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    "t": st.none() | st.datetimes(),
    "d": st.none() | st.dates(),
    "b": st.none() | st.binary(),
    "x": st.none() | st.lists(st.lists(st.floats(), min_size=3, max_size=3), min_size=2, max_size=2),
}
_ROW_FIELDS = [
    Field("i", "int64", nullable=True),
    Field("f", "float64", nullable=True),
    Field("s", "string", nullable=True),
    Field("t", "timestamp", nullable=True),
    Field("d", "date", nullable=True),
    Field("b", "binary", nullable=True),
    Field("x", "float64", shape=(2, 3), nullable=True),
]


@given(st.lists(st.fixed_dictionaries(_ROWS), max_size=4))
def test_canonical_rows_and_columns_are_one(rows: list[dict[str, Any]]) -> None:
    """Canonical rows turned into columns and back are the same rows, bit for bit."""
    batch = rows_to_columns(_ROW_FIELDS, rows)
    assert batch.schema == arrow_schema(_ROW_FIELDS)
    back = columns_to_rows(_ROW_FIELDS, batch)
    assert len(back) == len(rows)
    assert all(same_bits(left[name], right[name]) for left, right in zip(rows, back, strict=True) for name in _ROWS)


def test_zoned_timestamps_come_back_in_the_fields_zone() -> None:
    """An instant keeps its wall clock in the zone that the model was trained with, also where clocks go back."""
    field = Field("t", "timestamp", zone="Europe/Berlin")
    coerced, _ = RowCoercer([field])([{"t": "2025-10-26T00:30:00Z"}, {"t": "2025-10-26T01:30:00Z"}])
    back = columns_to_rows([field], rows_to_columns([field], [row for row in coerced if row]))
    assert [row["t"].isoformat() for row in back] == ["2025-10-26T02:30:00+02:00", "2025-10-26T02:30:00+01:00"]
    assert [row["t"].utcoffset() for row in back] == [timedelta(hours=2), timedelta(hours=1)]


_LONG = "x" * 2**20
# Its length, its first four bytes, and where it lies: in the first buffer, at its beginning.
_VIEW = struct.pack("<i4sii", len(_LONG), b"xxxx", 0, 0)


@pytest.mark.parametrize(
    "column",
    [
        pa.DictionaryArray.from_arrays(pa.array([0] * 1100, pa.int16()), pa.array([_LONG])),
        pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1], pa.int32()), pa.array(["long"])),
        pa.RunEndEncodedArray.from_arrays(
            pa.array([1100], pa.int32()), pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array([_LONG]))
        ),
        pa.Array.from_buffers(pa.string_view(), 1100, [None, pa.py_buffer(_VIEW * 1100), pa.py_buffer(_LONG.encode())]),
    ],
    ids=["dictionary", "runs", "runs of a dictionary", "views"],
)
def test_a_few_bytes_do_not_unfold_to_gigabytes(column: Any) -> None:
    """Values that are stored once for many rows are refused before they are there for each of them."""
    batch = pa.record_batch([column], names=["s"])
    with pytest.raises(DecodeError, match="send fewer rows"):
        ColumnCoercer([Field("s", "string")])(batch)


def test_long_text_that_is_stored_once_is_taken_where_there_is_room_for_it() -> None:
    """What the rows themselves take is what counts, and not the longest of their values, nor all that they share."""
    texts = [_LONG, *["short"] * 1100, None, "a text of more than twelve bytes"] * 2
    for column in (pa.array(texts).dictionary_encode(), pa.array(texts, pa.string_view())[1:]):
        batch, errors = ColumnCoercer([Field("s", "string", nullable=True)])(pa.record_batch([column], names=["s"]))
        assert not errors
        assert batch.column(0).to_pylist() == texts[-len(column) :]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_texts_of_a_dictionary_are_taken_whatever_their_layout(kind: Any) -> None:
    """Arrow itself decodes no dictionary of views."""
    column = pa.DictionaryArray.from_arrays(
        pa.array([1, 0, None, 1]), pa.array(["u", "a long text, no short one"], kind)
    )
    batch, errors = ColumnCoercer([Field("s", "string", nullable=True)])(pa.record_batch([column], names=["s"]))
    assert not errors
    assert batch.column(0).to_pylist() == ["a long text, no short one", "u", None, "a long text, no short one"]


def test_an_empty_table_is_an_empty_batch() -> None:
    """No rows in, no rows out, and no errors."""
    batch, errors = ColumnCoercer(_ROW_FIELDS)(arrow_schema(_ROW_FIELDS).empty_table())
    assert (batch.num_rows, errors) == (0, [])
    assert not columns_to_rows(_ROW_FIELDS, batch)


def test_errors_beyond_the_limit_are_counted_and_not_built() -> None:
    """The first errors are those of a run without a limit, and the count is that of all of them."""
    coerce = ColumnCoercer([Field("a", "int64"), Field("b", "float64", nullable=True), Field("c", "string")])
    n = 300
    table = pa.table({"a": pa.array([1, None, 7] * 100).cast(pa.float64()), "b": ["x", None, "y"] * 100, "c": [0] * n})
    batch, every = coerce(table)
    # a: a third is null; b: two thirds are text; c is no text
    assert (len(every), every.total, every.rows) == (600, 600, 300)
    for limit in (1, 5, 100, 599):
        _, first = coerce(table, limit)
        assert list(first) == every[:limit]
        assert (first.total, first.rows) == (600, 300)
    assert coerce(table, 600)[1] == every
    assert batch.column("a").null_count == 100


@pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.timestamp("s"), pa.list_(pa.int8())])
def test_a_million_rows_at_fault_build_a_hundred_errors(kind: Any) -> None:
    """One wrong value, stored for a million rows, is coerced once: the errors are counted, the message is the row's."""
    value = {"string": "x", "int64": 2**60 + 1, "timestamp[s]": 0, "list<item: int8>": [1, 2]}[str(kind)]
    column = pa.repeat(pa.scalar(value, kind), 1 << 20)
    _, errors = ColumnCoercer([Field("a", "float64")])(pa.table({"a": column}), 100)
    assert (len(errors), errors.total, errors.rows) == (100, 1 << 20, 1 << 20)
    alone = ColumnCoercer([Field("a", "float64")])(pa.table({"a": column.slice(0, 1)}))[1]
    assert errors[0] == alone[0]


def test_a_list_of_the_wrong_length_is_not_unfolded() -> None:
    """A tensor's list of any length is an error that names the length; its neighbours are converted."""
    column = pa.array([[1, 2], [1, 2, 3], None, [1, None], [3, 4]], pa.list_(pa.int8()))
    field = Field("a", "float64", nullable=True, shape=(2,))
    batch, errors = ColumnCoercer([field])(pa.table({"a": column}))
    assert batch.column("a").to_pylist() == [[1.0, 2.0], None, None, None, [3.0, 4.0]]
    assert [(error.row, error.code, error.got) for error in errors] == [
        (1, "shape", "3 elements in dimension 0"),
        (3, "missing", "null"),
    ]
    assert (list(errors), errors.total) == (list(RowCoercer([field])([{"a": row} for row in column.to_pylist()])[1]), 2)


@pytest.mark.parametrize(
    ("shape", "kind", "got"),
    [
        ((), pa.list_(pa.bool_(), 1 << 22), "a list of 4194304 elements"),
        ((3,), pa.list_(pa.bool_(), 1 << 22), "4194304 elements in dimension 0"),
        ((1, 3), pa.list_(pa.list_(pa.bool_(), 1 << 22), 1), "4194304 elements in all"),
    ],
)
def test_a_list_of_millions_is_named_and_not_unfolded(shape: tuple[int, ...], kind: Any, got: str) -> None:
    """A list that a few bytes hold is an error of its row, with its length; a good row beside it is converted."""
    lists = pa.Array.from_buffers(pa.bool_(), 1 << 22, [None, pa.py_buffer(bytes(1 << 19))])
    for size in (1 << 22, *([1] if len(shape) == 2 else [])):
        lists = pa.FixedSizeListArray.from_arrays(lists, size)
    assert lists.type == kind
    _, errors = ColumnCoercer([Field("a", "float64", shape=shape)])(pa.table({"a": lists}))
    assert [(error.row, error.got) for error in errors] == [(0, got)]


def test_members_of_a_union_that_are_null_are_no_missing_values() -> None:
    """A union has no nulls of its own: whatever its members hold, each of its rows is at fault."""
    union = pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [pa.nulls(2)])
    for column in (union, pa.array([union.to_pylist()] * 2, pa.list_(pa.null()))):
        batch, errors = ColumnCoercer([Field("x", "float64")])(pa.table({"x": column}))
        assert [error.row for error in errors] == [0, 1]
        assert batch.column(0).null_count == 2


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.string_view()])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int8"])
def test_a_million_texts_where_numbers_are_due_are_judged_as_columns(text: Any, dtype: str) -> None:
    """The texts that are floats fit, all others are faults, in rows as in columns."""
    texts = ["NaN", None, "Infinity", "1.5", "-Infinity", "nan", ""]
    field = Field("x", dtype, nullable=True)
    batch, errors = ColumnCoercer([field])(pa.table({"x": pa.array(texts, text)}))
    rows, row_errors = RowCoercer([field])([{"x": value} for value in texts])
    assert [str(error) for error in errors] == [str(error) for error in row_errors]
    values = [None if row is None else row["x"] for row in rows]
    assert same_bits(batch.column(0).to_pylist(), values)


def test_very_many_columns_that_are_no_fields_are_counted() -> None:
    """Of 5,000 unknown columns a hundred errors are built, and all are counted."""
    names = ["x", *(f"c{number}" for number in range(5000))]
    table = pa.table([pa.array([1.0, 2.0])] + [pa.nulls(2)] * 5000, names=names)
    with pytest.raises(TableError) as raised:
        ColumnCoercer([Field("x", "float64")])(table)
    assert (raised.value.count, len(raised.value.errors)) == (5000, MAX_ROW_ERRORS)
