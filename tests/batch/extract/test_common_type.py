from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from fourfold.batch.extract.common_type import common_type

_TEXT_CODES = pa.dictionary(pa.int8(), pa.string())


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ([pa.int32(), pa.int64()], pa.int64()),
        ([pa.int8(), pa.int16(), pa.int8()], pa.int16()),
        ([pa.uint8(), pa.uint32()], pa.uint32()),
        ([pa.uint8(), pa.int8()], pa.int16()),
        ([pa.uint32(), pa.int8()], pa.int64()),
        ([pa.uint64(), pa.int64()], None),
        ([pa.float32(), pa.float64()], pa.float64()),
        ([pa.float16(), pa.float32()], pa.float32()),
        ([pa.int32(), pa.float32()], pa.float64()),
        ([pa.int64(), pa.float64()], None),
        ([pa.timestamp("us"), pa.timestamp("s"), pa.timestamp("ms")], pa.timestamp("us")),
        ([pa.timestamp("us", "UTC"), pa.timestamp("ns", "UTC")], pa.timestamp("ns", "UTC")),
        ([pa.timestamp("us", "UTC"), pa.timestamp("us")], None),
        ([pa.decimal128(5, 2), pa.decimal128(7, 1)], pa.decimal128(8, 2)),
        ([pa.decimal128(38, 0), pa.decimal128(38, 9)], None),
        ([pa.string(), pa.large_string()], pa.large_string()),
        ([pa.string(), _TEXT_CODES], pa.string()),
        ([_TEXT_CODES, pa.dictionary(pa.int16(), pa.string())], pa.dictionary(pa.int32(), pa.string())),
        ([pa.binary(), pa.large_binary()], pa.large_binary()),
        ([pa.string(), pa.int64()], None),
        ([pa.bool_(), pa.int8()], None),
        ([pa.date32(), pa.timestamp("us")], None),
    ],
    ids=str,
)
def test_the_narrowest_type_that_holds_all(types: list[Any], expected: Any) -> None:
    """Whatever the order, every value of the types is held exactly, or there is no such type."""
    assert common_type(types) == common_type(types[::-1]) == expected
