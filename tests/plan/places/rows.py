"""Rows and results as plain bytes: the layout of examples/c/rows.h."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from fourfold.plan.format import Port, read_ports
from tests.plan.evaluators import batch_of

SIZES = {"bool": 1, "string": 4, "float32": 4, "float64": 8} | {
    f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def padded(part: bytes) -> bytes:
    """A part, filled up to a multiple of 8 bytes."""
    return part + bytes(-len(part) % 8)


def rows_bytes(plan: bytes, rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows as a program without Arrow reads them."""
    inputs, _ = read_ports(plan)
    batch = batch_of([(port.name, port.dtype) for port in inputs], rows)
    parts = [b"FOURROWS" + struct.pack("<Q", len(rows))]
    bits = (len(rows) + 7) // 8
    for port, array in zip(inputs, batch.columns, strict=True):
        buffers = [b"" if each is None else bytes(each) for each in array.buffers()]
        parts.append(padded((buffers[0] or b"\xff" * bits)[:bits]))
        if port.dtype == "string":
            offsets = (buffers[1] or bytes(4))[: 4 * len(rows) + 4]
            parts += [padded(offsets), padded(buffers[2][: struct.unpack("<i", offsets[-4:])[0]])]
        else:
            parts.append(padded(buffers[1][: bits if port.dtype == "bool" else SIZES[port.dtype] * len(rows)]))
    return b"".join(parts)


def read_results(plan: bytes, results: bytes) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Who was refused, and each output's values as bytes: an array of a row of bytes for each row."""
    _, outputs = read_ports(plan)
    count = struct.unpack("<Q", results[8:16])[0]
    assert results[:8] == b"FOURDONE"
    at = 16
    refused = np.frombuffer(results, dtype="<u4", count=count, offset=at)
    at += (4 * count + 7) // 8 * 8
    found = {}
    for port in outputs:
        size = max(port.width, 1) * SIZES[port.dtype]
        found[port.name] = np.frombuffer(results, dtype=np.uint8, count=count * size, offset=at).reshape(count, size)
        at += (count * size + 7) // 8 * 8
    assert at == len(results)
    return refused, found


def answer_bytes(port: Port, answers: Sequence[dict[str, Any]]) -> np.ndarray:
    """The values of one output in rows that came as dicts, as bytes."""
    values = [row[port.name] for row in answers]
    if port.dtype == "string":
        values = [port.labels.index(value) for value in values]
    dtype = {"string": "<i4", "bool": "u1"}.get(port.dtype, port.dtype)
    return np.array(values, dtype=dtype).reshape(len(values), -1).view(np.uint8)
