"""Turn the evaluator's buffers into Arrow columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from fourfold.signature.columns import arrow_schema
from fourfold.signature.field import Field

__all__ = ["buffers_to_batch"]


def buffers_to_batch(fields: Sequence[Field], buffers: Sequence[tuple[Any, ...]], rows: int) -> Any:
    """Return the buffers of a plan's outputs as a `pyarrow.RecordBatch`, without a copy.

    Args:
        fields: the output fields.
        buffers: for each field the buffer of its values; for text the buffers of its offsets and its bytes.
        rows: the number of rows.
    """
    schema = arrow_schema(fields)
    columns = []
    for arrow_type, column_buffers in zip(schema.types, buffers, strict=True):
        arrow_buffers = [None, *map(pa.py_buffer, column_buffers)]  # None: no value is missing
        if pa.types.is_fixed_size_list(arrow_type):
            values = pa.Array.from_buffers(arrow_type.value_type, rows * arrow_type.list_size, arrow_buffers)
            columns.append(pa.FixedSizeListArray.from_arrays(values, arrow_type.list_size))
        else:
            columns.append(pa.Array.from_buffers(arrow_type, rows, arrow_buffers))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
