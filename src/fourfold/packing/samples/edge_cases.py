"""Make edge cases: rows with values that a model meets in production and not in its training rows.

They become golden rows of the package, and the invariance test and the tournament run over them too.
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

__all__ = ["cells_per_row", "edge_cases", "spread_indices"]

#: As many edge cases as `MAX_CELLS` allows, within these limits.
MIN_EDGE_CASES = 64
MAX_EDGE_CASES = 512
MAX_CELLS = 50_000

_FLOAT32_MAX = 3.4028234663852886e38
_UNSEEN = "unseen ☃"


def spread_indices(length: int, max_count: int) -> list[int]:
    """Return at most `max_count` indices, spread evenly over `length` rows from the first to the last."""
    if length <= max_count:
        return list(range(length))
    return sorted({round(step * (length - 1) / (max_count - 1)) for step in range(max_count)})


def cells_per_row(signature: Signature) -> int:
    """Return the number of cells of a row of inputs; an element of a tensor counts as one."""
    return sum(math.prod(field.shape) for field in signature.inputs)


def edge_cases(signature: Signature, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return canonical rows that each differ from a packing row in one field, and one that misses all it may miss.

    The field's value is missing, unseen, empty, zero, negative zero, an extreme of the dtype, a value seen ± 1 ulp,
    infinite or NaN. A signature with many fields gets only some of these rows: their cells grow with the square of the
    number of fields. The engine may refuse some rows.

    Args:
        signature: the package's signature.
        rows: the canonical packing rows, at least one.
    """
    changes: list[tuple[str, Any, int]] = []  # the field's name, its new value, and the index of the row to change
    for order, field in enumerate(signature.inputs):
        seen = [row[field.name] for row in rows if row[field.name] is not None]
        for turn, value in enumerate(_edge_values(field, seen)):
            changes.append((field.name, value, (order * 7 + turn) % len(rows)))
    max_count = max(MIN_EDGE_CASES, min(MAX_EDGE_CASES, MAX_CELLS // cells_per_row(signature)))
    if len(changes) > max_count:
        # At random: at a fixed step some fields would always get the same kind of value, and others none.
        changes = [changes[index] for index in sorted(random.Random(max_count).sample(range(len(changes)), max_count))]
    cases = [{**rows[index], name: value} for name, value, index in changes]
    nullable = [field.name for field in signature.inputs if field.nullable]
    if nullable:
        cases.append({**rows[0], **dict.fromkeys(nullable)})
    return cases


def _edge_values(field: Field, seen: Sequence[Any]) -> Iterator[Any]:
    """Yield the edge values of a field, canonical; `seen` are its values in the packing rows."""
    if field.nullable:
        yield None
    if field.categories is not None and not field.open:
        yield from dict.fromkeys((*field.categories[:1], *field.categories[-1:]))
        return
    coerce = coercer(field)
    scalars = _edge_scalars(field, _first_elements(seen) if field.shape else seen)
    for value in scalars:
        try:
            yield coerce(_fill_tensor(field.shape, value))
        except Mismatch:
            continue  # the neighbour of an extreme lies outside of the dtype


def _edge_scalars(field: Field, seen: Sequence[Any]) -> Iterator[Any]:
    """Yield edge values of a field's dtype; some may lie outside of it."""
    if field.dtype == "bool":
        yield from (False, True)
    elif field.dtype in INTEGERS:
        yield from dict.fromkeys((0, *INTEGERS[field.dtype], *_extremes(seen)))
    elif field.dtype in FLOATS:
        huge = _FLOAT32_MAX if field.dtype == "float32" else 1e300
        # Some engines flush subnormal numbers to 0, and some compute in float32, where 1e-60 is 0.
        tiny = (1e-45, -1e-45) if field.dtype == "float32" else (5e-324, 1e-60, -1e-60)
        yield from (0.0, -0.0, *tiny, huge, -huge, math.inf, -math.inf, math.nan)
        for value in _extremes(seen):
            yield from (_next_float(value, field.dtype, up=False), _next_float(value, field.dtype, up=True))
    elif field.dtype == "string":
        yield from ("", _UNSEEN, " ", "x" * 300)
    elif field.dtype == "binary":
        yield from (b"", b"\x00\xff")
    elif field.dtype == "date":
        yield from (date(1970, 1, 1), date(2000, 2, 29), date(2099, 12, 31))
    else:
        yield from _timestamps(field)


def _timestamps(field: Field) -> Iterator[Any]:
    for timestamp in (
        datetime(1970, 1, 1),
        datetime(2000, 2, 29, 23, 59, 59, 999_999),
        datetime(2025, 3, 30, 1, 0),  # clocks change in Europe, forward and then back, and then in North America
        datetime(2025, 10, 26, 1, 0),
        datetime(2025, 11, 2, 6, 30),
        datetime(2099, 12, 31) + timedelta(hours=23),
    ):
        yield timestamp if field.zone is None else timestamp.replace(tzinfo=UTC)


def _extremes(seen: Sequence[Any]) -> list[Any]:
    """Return the smallest, the median and the largest finite value seen."""
    finite = sorted(value for value in seen if not isinstance(value, float) or math.isfinite(value))
    return [finite[0], finite[len(finite) // 2], finite[-1]] if finite else []


def _first_elements(seen: Sequence[Any]) -> list[Any]:
    """Return the elements of the first tensor seen, in any order."""
    stack, elements = list(seen[:1]), []
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(value)
        else:
            elements.append(value)
    return elements


def _fill_tensor(shape: tuple[int, ...], value: Any) -> Any:
    """Return a tensor whose elements are all `value`; the value itself where the shape is `()`."""
    return [_fill_tensor(shape[1:], value) for _ in range(shape[0])] if shape else value


def _next_float(value: float, dtype: str, *, up: bool) -> float:
    """Return the next larger or smaller float of a dtype."""
    if dtype == "float64":
        return math.nextafter(value, math.inf if up else -math.inf)
    bits: int = struct.unpack("<i", struct.pack("<f", value))[0]
    if value == 0.0:
        return 1e-45 if up else -1e-45
    bits += 1 if up == (value > 0) else -1
    neighbour: float = struct.unpack("<f", struct.pack("<i", bits))[0]
    return neighbour
