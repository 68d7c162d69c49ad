"""Models for tests: Python functions whose code a package can carry."""

from __future__ import annotations

from typing import Any

Rows = list[dict[str, Any]]


def identity(rows: Rows) -> Rows:
    """x, as it came."""
    return [{"y": row["x"]} for row in rows]


def knows_its_place(rows: Rows) -> Rows:
    """No function of its row: the answer moves, a little, with the row's place among the others."""
    return [{"y": row["x"] * (1 + 1e-13 * place)} for place, row in enumerate(rows)]
