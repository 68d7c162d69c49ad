"""Models for tests: Python functions whose code a package can carry."""

from __future__ import annotations

from typing import Any

Rows = list[dict[str, Any]]


def identity(rows: Rows) -> Rows:
    """x, as it came."""
    return [{"y": row["x"]} for row in rows]


def counts_neighbours(rows: Rows) -> Rows:
    """No function of its row: the answer moves with the number of rows and their values."""
    total = sum(row["x"] for row in rows)
    return [{"y": row["x"] * (1 + 1e-13 * total)} for row in rows]
