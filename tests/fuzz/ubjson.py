"""Read and write UBJSON as XGBoost does, with the kind of every number kept: a change of a kind is a change, too."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

__all__ = ["decode", "encode"]

_DTYPES = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_MARKERS = {np.dtype(name).newbyteorder("=").name: marker for marker, name in _DTYPES.items()}


def decode(data: bytes) -> Any:
    """Return dicts, lists, texts, arrays of a dtype, and NumPy's scalars for numbers."""
    value, _ = _decoded(data, 0)
    return value


def _decoded(data: bytes, at: int) -> tuple[Any, int]:
    marker, at = data[at : at + 1], at + 1
    if marker == b"{":
        members = {}
        while data[at : at + 1] != b"}":
            key, at = _text(data, at)
            members[key], at = _decoded(data, at)
        return members, at + 1
    if marker == b"[" and data[at : at + 1] == b"$":
        dtype = np.dtype(_DTYPES[data[at + 1 : at + 2]])
        (size,) = struct.unpack_from(">q", data, at + 4)
        at += 12
        end = at + size * dtype.itemsize
        return np.frombuffer(data[at:end], dtype).astype(dtype.newbyteorder("=")), end
    if marker == b"[":
        (size,) = struct.unpack_from(">q", data, at + 2)
        at += 10
        items = []
        for _ in range(size):
            item, at = _decoded(data, at)
            items.append(item)
        return items, at
    if marker == b"S":
        return _text(data, at)
    if marker in b"ZTF":
        return {b"Z": None, b"T": True, b"F": False}[marker], at
    dtype = np.dtype(_DTYPES[marker])
    end = at + dtype.itemsize
    return np.frombuffer(data[at:end], dtype)[0].astype(dtype.newbyteorder("=")), end


def _text(data: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">q", data, at + 1)
    return data[at + 9 : at + 9 + size].decode(), at + 9 + size


def encode(value: Any) -> bytes:
    """Return the bytes of what `decode` returns; plain numbers become 64 bits long."""
    if isinstance(value, dict):
        return b"{" + b"".join(_sized(key.encode()) + encode(item) for key, item in value.items()) + b"}"
    if isinstance(value, list):
        return b"[#" + _length(len(value)) + b"".join(encode(item) for item in value)
    if isinstance(value, str):
        return b"S" + _sized(value.encode("utf-8", "surrogatepass"))
    if value is None or isinstance(value, bool):
        return b"Z" if value is None else b"T" if value else b"F"
    if isinstance(value, int):
        value = np.int64(max(-(2**63), min(2**63 - 1, value)))
    if isinstance(value, float):
        value = np.float64(value)
    array = np.asarray(value)
    marker, data = _MARKERS[array.dtype.name], array.astype(array.dtype.newbyteorder(">")).tobytes()
    return marker + data if array.ndim == 0 else b"[$" + marker + b"#" + _length(len(array)) + data


def _length(size: int) -> bytes:
    return b"L" + struct.pack(">q", size)


def _sized(data: bytes) -> bytes:
    return _length(len(data)) + data
