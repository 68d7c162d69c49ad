"""The evaluator's buffers as Arrow columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from fourfold.signature.columns import arrow_schema
from fourfold.signature.field import Field

__all__ = ["batch_of"]


def batch_of(fields: Sequence[Field], buffers: Sequence[tuple[Any, ...]], rows: int) -> Any:
    """The `pyarrow.RecordBatch` of a plan's outputs, without a copy.

    Args:
        fields: the outputs.
        buffers: of each, its values; of text, its offsets and its bytes.
        rows: how many rows were asked about.
    """
    schema = arrow_schema(fields)
    columns = []
    for kind, of_one in zip(schema.types, buffers, strict=True):
        held = [None, *map(pa.py_buffer, of_one)]
        if pa.types.is_fixed_size_list(kind):
            values = pa.Array.from_buffers(kind.value_type, rows * kind.list_size, held)
            columns.append(pa.FixedSizeListArray.from_arrays(values, kind.list_size))
        else:
            columns.append(pa.Array.from_buffers(kind, rows, held))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
