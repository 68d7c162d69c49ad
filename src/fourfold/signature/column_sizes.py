"""Measure what Arrow columns take where each row has its own value, before they are unfolded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fourfold.errors import DecodeError
from fourfold.signature.field import INTEGERS, Field

__all__ = ["MAX_DECODED_BYTES", "NUMBER_IDS", "check_decoded_size", "decoded_size"]

#: The most bytes of a column after decoding: a dictionary or runs store a value once for many rows.
MAX_DECODED_BYTES = 2**30

#: The ids of the types of numbers and flags, which are what they look like: they store each value, and hold no others.
NUMBER_IDS = frozenset(
    data_type.id
    for data_type in (pa.bool_(), pa.float16(), pa.float32(), pa.float64(), *(getattr(pa, name)() for name in INTEGERS))
)
# The ids of the types that store a value once for many rows.
_UNFOLDED_IDS = frozenset(
    data_type.id
    for data_type in (
        pa.dictionary(pa.int8(), pa.string()),
        pa.run_end_encoded(pa.int16(), pa.int8()),
        pa.string_view(),
        pa.binary_view(),
    )
)


def decoded_size(table: Any, fields: Iterable[Field], limit: int) -> int:
    """Return how many bytes the columns of fields take where each row has its own value; 0 where each has it anyway.

    Dictionaries, runs and views store a value once for many rows, and the coercion unfolds them.

    Args:
        table: a `pyarrow.RecordBatch` or `Table`.
        fields: the fields; a column that is none is never unfolded.
        limit: where an upper bound is above this, the exact number is counted.
    """
    if _UNFOLDED_IDS.isdisjoint([data_type.id for data_type in table.schema.types]):
        return 0  # what the table takes already
    known = set(table.schema.names)
    columns = [table.column(field.name) for field in fields if field.name in known]
    arrays = [array for column in columns for array in (column.chunks if hasattr(column, "chunks") else [column])]
    if all(array.type.id not in _UNFOLDED_IDS for array in arrays):
        return 0
    bounds = [_upper_bound(array) for array in arrays]
    if sum(bounds) <= limit:
        return sum(bounds)
    return sum(min(bound, _exact_size(array)) for bound, array in zip(bounds, arrays, strict=True))


def _upper_bound(array: Any) -> int:
    data_type = array.type
    if pa.types.is_dictionary(data_type) or pa.types.is_run_end_encoded(data_type):
        return int(len(array) * _longest_value_bytes(array))
    return _exact_size(array)


def _exact_size(array: Any) -> int:
    data_type = array.type
    if pa.types.is_string_view(data_type) or pa.types.is_binary_view(data_type):
        return _viewed_bytes(array)
    if pa.types.is_dictionary(data_type) and _has_offsets(array.dictionary.type):
        return int(pc.sum(pc.binary_length(array.dictionary).take(array.indices)).as_py() or 0)
    if pa.types.is_run_end_encoded(data_type) and _has_offsets(array.values.type):
        return int(pc.sum(pc.run_end_decode(_lengths_of_runs(array))).as_py() or 0)
    if pa.types.is_dictionary(data_type) or pa.types.is_run_end_encoded(data_type):
        return int(len(array) * _longest_value_bytes(array))
    return int(array.nbytes)


def _lengths_of_runs(array: Any) -> Any:
    """Return an array of runs of text with the texts' lengths in their place."""
    lengths = pc.binary_length(array.values).cast(pa.int64())
    lengths = pa.RunEndEncodedArray.from_arrays(array.run_ends, lengths)
    return lengths.slice(array.offset, len(array))


def check_decoded_size(array: Any) -> None:
    """Refuse an array whose few bytes would decode to gigabytes, before it is decoded.

    Raises:
        DecodeError: the column would take more than `MAX_DECODED_BYTES`.
    """
    size = len(array) * _longest_value_bytes(array)  # an upper bound; measured exactly only where it is too large
    if size > MAX_DECODED_BYTES and pa.types.is_dictionary(array.type) and _has_offsets(array.dictionary.type):
        size = pc.sum(pc.binary_length(array.dictionary).take(array.indices)).as_py() or 0
    elif size > MAX_DECODED_BYTES and (pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type)):
        size = _viewed_bytes(array)
    if size > MAX_DECODED_BYTES:
        raise DecodeError(
            f"a column of {len(array)} rows would take up to {size} bytes where each row has its own value; expected "
            f"at most {MAX_DECODED_BYTES}: send fewer rows"
        )


def _viewed_bytes(array: Any) -> int:
    """Return the sum of the lengths of an array's views; a view is four integers, the first is its length."""
    numbers = pa.Array.from_buffers(pa.int32(), 4 * len(array), [None, array.buffers()[1]], offset=4 * array.offset)
    lengths = pc.list_element(pa.FixedSizeListArray.from_arrays(numbers, 4), 0)
    return int(pc.sum(lengths.filter(array.is_valid()).cast(pa.int64())).as_py() or 0)


def _longest_value_bytes(array: Any) -> int:
    """Return an upper bound of the bytes of one decoded value."""
    data_type = array.type
    if pa.types.is_dictionary(data_type):
        return _longest_value_bytes(array.dictionary)
    if pa.types.is_run_end_encoded(data_type):
        return _longest_value_bytes(array.values)
    if _has_offsets(data_type):
        return pc.max(pc.binary_length(array)).as_py() or 0
    if pa.types.is_fixed_size_list(data_type):
        return int(data_type.list_size * _longest_value_bytes(array.values))
    if pa.types.is_primitive(data_type) or pa.types.is_fixed_size_binary(data_type):
        return int(data_type.bit_width + 7) // 8
    return int(array.nbytes)


def _has_offsets(data_type: Any) -> bool:
    """Return whether the type is text or bytes, stored as one buffer with an offset for each value."""
    return bool(
        pa.types.is_string(data_type)
        or pa.types.is_large_string(data_type)
        or pa.types.is_binary(data_type)
        or pa.types.is_large_binary(data_type)
    )
