from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from fourfold.errors import DecodeError
from fourfold.signature import Field
from fourfold.signature import label_columns as module
from fourfold.signature.bits import first_difference
from fourfold.signature.columns import arrow_schema, columns_to_rows, rows_to_columns
from fourfold.signature.label_columns import LabelColumns, elements


def labelled(name: str, *labels: str, dtype: str = "float64", nullable: bool = False) -> Field:
    return Field(name, dtype, nullable=nullable, shape=(len(labels),), labels=labels)


def names(*outputs: Field) -> list[str]:
    return [field.name for field in LabelColumns(outputs).fields]


LABEL = Field("label", "string", categories=("a", "b"))
#: A field of every dtype that a tensor has, one of them nullable, between others.
MIXED = (
    labelled("p", "a", "b,", 'c"\n', "é"),
    LABEL,
    labelled("gaps", "a", "b", nullable=True),
    labelled("flags", "1", "2", "3", dtype="bool", nullable=True),
    labelled("counts", "x", "y", dtype="uint64"),
    labelled("half", "x", dtype="float32", nullable=True),
    Field("plain", "float64", shape=(2,)),
)
NAN = float("nan")
ROWS: list[dict[str, Any]] = [
    {
        "p": [0.1 * row, NAN, -0.0, math.inf],
        "label": "ab"[row % 2],
        "gaps": None if row % 3 == 1 else [row / 7, 5e-324],
        "flags": None if row == 2 else [True, row > 1, False],
        "counts": [2**64 - 1 - row, row],
        "half": None if row == 0 else [0.5],
        "plain": [1.0, 2.0],
    }
    for row in range(5)
]


def test_names_are_the_outputs_and_the_labels() -> None:
    """Every output with labels is one column for each, in its place, with its dtype; others stay."""
    columns = LabelColumns(MIXED)
    assert [field.name for field in columns.fields] == [
        *("p_a", "p_b,", 'p_c"\n', "p_é"),
        *("label", "gaps_a", "gaps_b", "flags_1", "flags_2", "flags_3", "counts_x", "counts_y", "half_x", "plain"),
    ]
    assert columns.fields[5] == Field("gaps_a", "float64", nullable=True)
    assert columns.fields[7] == Field("flags_1", "bool", nullable=True)
    assert columns.fields[10] == Field("counts_x", "uint64")
    assert columns.fields[-1] == MIXED[-1]
    assert names(LABEL, labelled("decision", "")) == ["label", "decision_"]


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ((labelled("p", "a", "b"), Field("p_a", "string")), ["p", "p_a"]),  # the name of another output
        ((Field("p_b", "string"), labelled("p", "a", "b")), ["p_b", "p"]),
        ((labelled("p", "1", "1"), labelled("q", "1", "2")), ["p", "q_1", "q_2"]),  # two labels give one text
        ((labelled("p", "a_b", "c"), labelled("p_a", "b")), ["p", "p_a"]),  # of two outputs
        ((labelled("p", "a", "x"), labelled("p_a", "y", "z")), ["p", "p_a_y", "p_a_z"]),  # of an output that is split
        ((labelled("p", "a\0", "b"), LABEL), ["p", "label"]),  # Arrow's names end at a NUL
        ((labelled("p", "\ud800", "b"), LABEL), ["p", "label"]),  # no UTF-8 holds it
    ],
)
def test_an_output_keeps_its_array_where_a_name_is_taken(outputs: tuple[Field, ...], expected: list[str]) -> None:
    """Where one name of an output's columns is not its own, the whole output stays, and no other name changes."""
    assert names(*outputs) == expected
    rows = [
        {field.name: [1.0, 2.0][: field.shape[0]] if field.shape else "a" for field in outputs},
    ]
    columns = LabelColumns(outputs)
    assert list(columns.split(rows)[0]) == expected
    assert columns.join(columns.split(rows)) == rows
    if not any("\0" in label or "\ud800" in label for field in outputs for label in field.labels or ()):
        assert columns.split(rows_to_columns(outputs, rows)).schema.names == expected


@pytest.mark.parametrize("at_once", [0, 1 << 20])
@pytest.mark.parametrize("start", range(6))
@pytest.mark.parametrize("length", range(6))
def test_rows_and_batches_are_split_alike(
    at_once: int, start: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rows, batches, slices of batches and tables without rows the columns have the same bits, and join again."""
    monkeypatch.setattr(module, "MAX_VALUES_AT_ONCE", at_once)
    columns, rows = LabelColumns(MIXED), ROWS[start : start + length]
    all_names = [field.name for field in columns.fields]
    split = columns.split(rows)
    batch = columns.split(rows_to_columns(MIXED, ROWS).slice(start, length))
    assert batch.schema == arrow_schema(columns.fields)
    batch.validate(full=True)
    assert batch.num_rows == len(rows)
    assert first_difference(split, columns_to_rows(columns.fields, batch), all_names) is None
    assert first_difference(rows, columns.join(split), [field.name for field in MIXED]) is None
    for row, column_row in zip(rows, split, strict=True):
        assert list(column_row) == all_names
        assert column_row["counts_x"] == row["counts"][0]
        assert column_row["gaps_b"] == (None if row["gaps"] is None else 5e-324)


def test_what_has_no_labels_stays_as_it_is() -> None:
    """Without labels the table itself comes back, uncopied."""
    columns = LabelColumns((LABEL, Field("t", "float64", shape=(2,))))
    rows = [{"label": "a", "t": [1.0, 2.0]}]
    batch = rows_to_columns(columns.fields, rows)
    assert columns.split(rows) is rows
    assert columns.split(batch) is batch
    assert columns.join(rows) == rows


def test_half_of_an_array_is_no_array() -> None:
    """A row in which only some labels miss their value is refused, never filled."""
    columns = LabelColumns((labelled("p", "a", "b", nullable=True),))
    assert columns.join([{"p_a": None, "p_b": None}]) == [{"p": None}]
    message = "row 1: expected a value for every label of 'p'; no value of 'p_b' beside values of other labels"
    with pytest.raises(DecodeError, match=message):
        columns.join([{"p_a": 1.0, "p_b": 2.0}, {"p_a": 1.0, "p_b": None}])


def test_a_list_that_is_null_hides_its_elements() -> None:
    """Arrow may hold any values under a null list: they are missing, and those around stay in their rows."""
    values = pa.array([1.0, 2.0, 99.0, 99.0, 5.0, 6.0])
    lists = pa.FixedSizeListArray.from_arrays(values, 2, mask=pa.array([False, True, False]))
    assert [column.to_pylist() for column in elements(lists, 2)] == [[1.0, None, 5.0], [2.0, None, 6.0]]
    assert [column.to_pylist() for column in elements(lists.slice(1, 2), 2)] == [[None, 5.0], [None, 6.0]]
