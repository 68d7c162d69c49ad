from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from fourfold.signature import Field
from fourfold.signature.columns import ColumnCoercer
from fourfold.signature.type_compatibility import can_hold

FIELDS = [
    *(Field(name, name) for name in ("bool", "int8", "uint64", "float32", "float64", "string", "date", "binary")),
    Field("naive", "timestamp"),
    Field("zoned", "timestamp", zone="Europe/Berlin"),
    Field("tensor", "float64", shape=(2,)),
    Field("flags", "bool", shape=(2,)),
    Field("category", "string", categories=("1", "a")),
]
# For each type values that as many fields as can take one: those that the coercion has to refuse must all be refused.
ARRAYS = [
    pa.array([True]),
    pa.array([1], pa.int8()),
    pa.array([1], pa.uint64()),
    pa.array([1.0], pa.float16()),
    pa.array([1.0], pa.float32()),
    pa.array([1.0], pa.float64()),
    pa.array([Decimal(1)], pa.decimal128(10, 2)),
    pa.array([Decimal(1)], pa.decimal256(10, 2)),
    *(
        pa.array([text], kind)
        for text in ("1", "true", "2020-01-01", "2020-01-01T00:00:00", "2020-01-01T00:00:00Z", "YQ==")
        for kind in (pa.string(), pa.large_string(), pa.string_view())
    ),
    pa.array(["1"]).dictionary_encode(),
    pa.array([1.0]).dictionary_encode(),
    pa.compute.run_end_encode(pa.array([1.0])),
    *(pa.array([b"a"], kind) for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(1))),
    *(pa.array([date(2020, 1, 1)], kind) for kind in (pa.date32(), pa.date64())),
    *(pa.array([datetime(2020, 1, 1)], pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
    pa.array([datetime(2020, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
    pa.array([1], pa.time32("s")),
    pa.array([1], pa.duration("s")),
    pa.array([[1.0, 2.0]], pa.list_(pa.float64())),
    pa.array([[1.0, 2.0]], pa.large_list(pa.float64())),
    pa.array([[1.0, 2.0]], pa.list_(pa.float64(), 2)),
    pa.array([[True, False]], pa.list_(pa.bool_())),
    pa.FixedShapeTensorArray.from_numpy_ndarray(pa.array([1.0, 2.0]).to_numpy().reshape(1, 2)),
    pa.array([{"a": 1.0}]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.type}-{array[0]}")
def test_agrees_with_the_coercion(array: Any) -> None:
    """A type that the coercion takes a value of can hold the field's values."""
    for field in FIELDS:
        coerced, errors = ColumnCoercer([field])(pa.record_batch({field.name: array}))
        if not errors:
            assert coerced.num_rows == 1
            assert can_hold(array.type, field), field.name


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (pa.string(), Field("x", "float64")),
        (pa.string(), Field("x", "bool")),
        (pa.int64(), Field("x", "string")),
        (pa.bool_(), Field("x", "int64")),
        (pa.timestamp("us"), Field("x", "timestamp", zone="UTC")),
        (pa.timestamp("us", "UTC"), Field("x", "timestamp")),
        (pa.date32(), Field("x", "timestamp")),
        (pa.float64(), Field("x", "float64", shape=(1,))),
        (pa.list_(pa.float64()), Field("x", "float64")),
        (pa.null(), Field("x", "float64")),
        (pa.fixed_shape_tensor(pa.float64(), [3]), Field("x", "float64", shape=(2,))),
        (pa.decimal128(10), Field("x", "binary")),
    ],
    ids=str,
)
def test_refuses_another_column(kind: Any, field: Field) -> None:
    """A type that no value of the field can have is refused, whatever the values are."""
    assert not can_hold(kind, field)


def test_nothing_but_nulls_fits_where_a_value_may_be_missing() -> None:
    """A column without any value has no type of its own; it fits a field that may be missing."""
    assert can_hold(pa.null(), Field("x", "float64", nullable=True))
