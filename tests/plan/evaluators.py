"""Evaluators of plans that a test makes itself, and what they answer through each of their three doors."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from fourfold.plan._evaluator import Evaluator
from fourfold.plan.format import TYPES
from fourfold.plan.graph.builder import Graph, Output

ARROW = {
    "bool": pa.bool_(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    **{f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def fields_of(
    inputs: Sequence[tuple[str, str]], *, nullable: bool = True, closed: dict[str, frozenset[Any]] | None = None
) -> tuple[Any, ...]:
    """A field for each input of a plan, in their order."""
    return tuple(
        (name, TYPES[dtype], nullable, (closed or {}).get(name), place) for place, (name, dtype) in enumerate(inputs)
    )


def evaluator(graph: Graph, outputs: Sequence[Output], **options: Any) -> Evaluator:
    """The evaluator of a graph, each input of which is a nullable field."""
    return Evaluator(graph.plan(outputs), fields_of(graph.inputs), **options)


def batch_of(inputs: Sequence[tuple[str, str]], rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """Rows as an Arrow batch with a column for each input."""
    arrays = [pa.array([row.get(name) for row in rows], ARROW[dtype]) for name, dtype in inputs]
    return pa.RecordBatch.from_arrays(arrays, names=[name for name, _ in inputs])


def columns(found: Evaluator, batch: pa.RecordBatch) -> list[tuple[bytes, ...]] | dict[int, str]:
    """What an evaluator answers to an Arrow batch."""
    return found.columns(*batch.__arrow_c_array__())


def column_values(output: Output, buffers: tuple[bytes, ...], rows: int) -> list[Any]:
    """The values of one output, read out of its buffers by Arrow."""
    width = len(output.numbers)
    if width > 1 or output.tensor:
        flat = pa.Array.from_buffers(ARROW[output.dtype], rows * width, [None, pa.py_buffer(buffers[0])])
        values: list[Any] = pa.FixedSizeListArray.from_arrays(flat, width).to_pylist()
        return values
    array = pa.Array.from_buffers(ARROW[output.dtype], rows, [None, *map(pa.py_buffer, buffers)])
    array.validate(full=True)
    return list(array.to_pylist())


def bits(value: Any) -> Any:
    """A value by its bits, so that NaN equals itself and 0.0 is not -0.0."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, list | tuple):
        return [bits(each) for each in value]
    if isinstance(value, dict):
        return {key: bits(each) for key, each in value.items()}
    return (type(value), value)


def same_by_every_door(graph: Graph, outputs: Sequence[Output], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers for rows; they are the same, to the bit, one by one, all at once, and as columns."""
    found = evaluator(graph, outputs)
    many = found.many(list(rows))
    assert isinstance(many, list)
    one = [found.one(row) for row in rows]
    assert bits(one) == bits(many)
    assert bits([found.one(row, canonical=True) for row in rows]) == bits(many)
    buffers = columns(found, batch_of(graph.inputs, rows))
    assert isinstance(buffers, list)
    by_column = [column_values(each, values, len(rows)) for each, values in zip(outputs, buffers, strict=True)]
    names = [each.name for each in outputs]
    assert bits([dict(zip(names, row, strict=True)) for row in zip(*by_column, strict=True)]) == bits(many)
    return many
