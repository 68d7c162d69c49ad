"""Rows chosen to hurt: what a model meets in production and not in its training rows.

They become the golden rows of the package, and the invariance test runs over them too.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fourfold.signature import Field, Mismatch, Signature
from fourfold.signature.field import FLOATS, INTEGERS
from fourfold.signature.rows import coercer

__all__ = ["cells", "edge_cases", "spread"]

#: The most rows that are made, fewer where they would have more cells than `CELLS`, but never fewer than `FEWEST`.
MOST = 512
FEWEST = 64
CELLS = 50_000

_FLOAT32_MAX = 3.4028234663852886e38
_UNSEEN = "unseen ☃"


def spread(length: int, wanted: int) -> list[int]:
    """At most `wanted` indices spread evenly over `length` rows, the first and the last among them."""
    if length <= wanted:
        return list(range(length))
    return sorted({round(step * (length - 1) / (wanted - 1)) for step in range(wanted)})


def cells(signature: Signature) -> int:
    """The cells of a row of inputs: an element of a tensor counts as one."""
    return sum(math.prod(field.shape) for field in signature.inputs)


def edge_cases(signature: Signature, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Canonical rows that differ from the packing rows where it hurts.

    For each field in turn one of the packing rows is taken and that field changed: missing, unseen, empty, zero,
    negative zero, the dtype's extremes, the values seen ± 1 ulp, infinities, NaN; and one row misses all that may be
    missing. Of a signature with many fields only some of these rows are kept: their cells grow with the square of the
    fields. The engine may refuse some of them: the caller finds out.

    Args:
        signature: the signature.
        rows: the canonical packing rows, at least one.
    """
    changes: list[tuple[str, Any, int]] = []  # a field, its value, and the packing row that gets it
    for order, field in enumerate(signature.inputs):
        seen = [row[field.name] for row in rows if row[field.name] is not None]
        for turn, value in enumerate(_values(field, seen)):
            changes.append((field.name, value, (order * 7 + turn) % len(rows)))
    most = max(FEWEST, min(MOST, CELLS // cells(signature)))
    if len(changes) > most:
        # At random, since at any fixed step some fields would get the same kind of value and others none.
        changes = [changes[place] for place in sorted(random.Random(most).sample(range(len(changes)), most))]
    out = [{**rows[base], name: value} for name, value, base in changes]
    nullable = [field.name for field in signature.inputs if field.nullable]
    if nullable:
        out.append({**rows[0], **dict.fromkeys(nullable)})
    return out


def _values(field: Field, seen: Sequence[Any]) -> Iterator[Any]:
    if field.nullable:
        yield None
    if field.categories is not None and not field.open:
        yield from dict.fromkeys((*field.categories[:1], *field.categories[-1:]))
        return
    coerce = coercer(field)
    for value in _candidates(field, seen):
        try:
            yield coerce(value)
        except Mismatch:
            continue  # a neighbour of the dtype's extreme lies outside it


def _candidates(field: Field, seen: Sequence[Any]) -> Iterator[Any]:
    if field.shape:
        yield from (_filled(field.shape, value) for value in _scalars(field, _elements(seen)))
    else:
        yield from _scalars(field, seen)


def _scalars(field: Field, seen: Sequence[Any]) -> Iterator[Any]:
    if field.dtype == "bool":
        yield from (False, True)
    elif field.dtype in INTEGERS:
        yield from dict.fromkeys((0, *INTEGERS[field.dtype], *_around(seen)))
    elif field.dtype in FLOATS:
        huge = _FLOAT32_MAX if field.dtype == "float32" else 1e300
        # What engines take for 0 that flush to it, and what they do that compute in float32.
        small = (1e-45, -1e-45) if field.dtype == "float32" else (5e-324, 1e-60, -1e-60)
        yield from (0.0, -0.0, *small, huge, -huge, math.inf, -math.inf, math.nan)
        for value in _around(seen):
            yield from (_next(value, field.dtype, up=False), _next(value, field.dtype, up=True))
    elif field.dtype == "string":
        yield from ("", _UNSEEN, " ", "x" * 300)
    elif field.dtype == "binary":
        yield from (b"", b"\x00\xff")
    elif field.dtype == "date":
        yield from (date(1970, 1, 1), date(2000, 2, 29), date(2099, 12, 31))
    else:
        yield from _instants(field)


def _instants(field: Field) -> Iterator[Any]:
    for instant in (
        datetime(1970, 1, 1),
        datetime(2000, 2, 29, 23, 59, 59, 999_999),
        datetime(2025, 3, 30, 1, 0),  # clocks go forward and back in Europe, and then in North America
        datetime(2025, 10, 26, 1, 0),
        datetime(2025, 11, 2, 6, 30),
        datetime(2099, 12, 31) + timedelta(hours=23),
    ):
        yield instant if field.zone is None else instant.replace(tzinfo=UTC)


def _around(seen: Sequence[Any]) -> list[Any]:
    """The smallest, the middle and the largest value seen, where they are finite."""
    finite = sorted(value for value in seen if not isinstance(value, float) or math.isfinite(value))
    return [finite[0], finite[len(finite) // 2], finite[-1]] if finite else []


def _elements(seen: Sequence[Any]) -> list[Any]:
    """The numbers of the first tensor seen."""
    stack, out = list(seen[:1]), []
    while stack:
        each = stack.pop()
        if isinstance(each, list):
            stack.extend(each)
        else:
            out.append(each)
    return out


def _filled(shape: tuple[int, ...], value: Any) -> Any:
    return [_filled(shape[1:], value) for _ in range(shape[0])] if shape else value


def _next(value: float, dtype: str, *, up: bool) -> float:
    if dtype == "float64":
        return math.nextafter(value, math.inf if up else -math.inf)
    bits: int = struct.unpack("<i", struct.pack("<f", value))[0]
    if value == 0.0:
        return 1e-45 if up else -1e-45
    bits += 1 if up == (value > 0) else -1
    out: float = struct.unpack("<f", struct.pack("<i", bits))[0]
    return out
