"""Make rows of larger numbers: a bound that holds for the packing rows may not hold far outside of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from fourfold.signature import Field, Signature
from fourfold.signature.columns import arrow_type
from fourfold.signature.field import FLOATS, INTEGERS

__all__ = ["FACTORS", "scale_rows"]

#: How much larger the numbers are.
FACTORS = (10, 100)


def scale_rows(signature: Signature, batch: Any, factor: int, *, integers: bool) -> Any:
    """Return rows whose numbers are multiplied; the others of their values stay as they are.

    Args:
        signature: the package's signature.
        batch: a canonical `RecordBatch` of inputs.
        factor: what numbers are multiplied by. Where the dtype has no such number, the number stays.
        integers: whether integers are multiplied too: they may be codes, of which an encoder knows no others.
    """
    dtypes = {*FLOATS, *(INTEGERS if integers else ())}
    arrays = [
        _scale(field, column, factor) if field.dtype in dtypes and field.categories is None else column
        for field, column in zip(signature.inputs, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def _scale(field: Field, column: Any, factor: int) -> Any:
    if field.shape:
        return _scale_tensors(field, column, factor)
    return pa.array(
        _multiplied(column, factor), arrow_type(field), mask=column.is_null().to_numpy(zero_copy_only=False)
    )


def _scale_tensors(field: Field, column: Any, factor: int) -> Any:
    """Return a column of tensors whose elements are multiplied; one in which tensors are missing stays as it is."""
    if column.null_count:
        return column
    elements = column
    while pa.types.is_fixed_size_list(elements.type):
        elements = elements.flatten()
    scaled = pa.array(_multiplied(elements, factor), elements.type)
    for size in reversed(field.shape):
        scaled = pa.FixedSizeListArray.from_arrays(scaled, size)
    return scaled.cast(column.type)


def _multiplied(elements: Any, factor: int) -> Any:
    """Return the elements times the factor, those that overflow as they are; what is missing is any number."""
    dtype = np.dtype(elements.type.to_pandas_dtype())
    values = np.asarray(elements.fill_null(0).to_numpy(zero_copy_only=False), dtype)
    if dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = values * dtype.type(factor)
        return np.where(np.isfinite(scaled), scaled, values)
    limits = np.iinfo(dtype)
    fits = (values <= limits.max // factor) & (values >= -(-limits.min // factor))
    return np.where(fits, values, 0) * dtype.type(factor) + np.where(fits, 0, values)
