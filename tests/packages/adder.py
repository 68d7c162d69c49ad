"""A function that a package of the Python runtime carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def add(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the sum of two numbers, and whether it is above ten."""
    return [{"sum": row["a"] + row["b"], "is_large": row["a"] + row["b"] > 10} for row in rows]
