"""Define functions and objects that the tests pack."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Rows = list[dict[str, Any]]


def doubles(rows: Rows) -> Rows:
    """Dicts for dicts: numbers, text, and NumPy's own numbers."""
    return [{"y": np.float32(row["x"]) * 2, "big": row["x"] > 1, "word": f"{row['x']:.1f}"} for row in rows]


def roots(rows: Rows) -> list[float]:
    """Values without a name; NaN is one."""
    return [math.sqrt(row["x"]) if row["x"] >= 0 else math.nan for row in rows]


def words(rows: Rows) -> list[str | None]:
    """Text, missing where x is small."""
    return [None if row["x"] < 1 else "large" for row in rows]


def tensors(rows: Rows) -> list[list[float]]:
    """A tensor a row."""
    return [[row["x"], -row["x"]] for row in rows]


def row_sums(data: Any) -> Any:
    """An array for an array."""
    return data.sum(axis=1)


def frames(data: Any) -> Any:
    """A frame for a frame, of either library."""
    return data[["b", "a"]]


def series(data: Any) -> Any:
    """A Series for a frame, of either library."""
    return data["a"] + data["b"]


def columns(data: Any) -> dict[str, Any]:
    """A dict of arrays: numbers, a tensor and text."""
    a = np.asarray(data["a"])
    return {"double": a * 2, "pair": np.column_stack([a, -a]), "text": np.where(a > 0, "plus", "minus")}


def list_of_columns(data: Any) -> list[float]:
    """A list for a frame."""
    return [float(each) for each in data["a"]]


def leaves(rows: Rows) -> Rows:
    """End the process, as code that was written to be run as a program does."""
    sys.exit(0)


def fails(rows: Rows) -> Rows:
    """Fails where x is 13."""
    if any(row["x"] == 13 for row in rows):
        raise LookupError("thirteen")
    return [{"y": row["x"]} for row in rows]


def forgets(rows: Rows) -> list[float]:
    """One answer too few where x is 13."""
    return [row["x"] for row in rows if row["x"] != 13]


def changes(rows: Rows) -> list[Any]:
    """Another type where x is 13."""
    return ["text" if row["x"] == 13 else row["x"] for row in rows]


def nothing(rows: Rows) -> None:
    """No answer."""


@dataclass
class Scale:
    """An object with state, a prediction and another method.

    Attributes:
        by: the factor.
        offsets: state that is no number.
    """

    by: float
    offsets: dict[str, float] = field(default_factory=dict)

    def predict(self, rows: Rows) -> Rows:
        """Scaled and shifted."""
        return [{"y": row["x"] * self.by + self.offsets.get(row["kind"], 0.0)} for row in rows]

    def larger(self, rows: Rows) -> list[bool]:
        """Whether x is larger than the factor."""
        return [row["x"] > self.by for row in rows]

    @classmethod
    def default(cls, rows: Rows) -> Rows:
        """What a scale of 1 predicts."""
        return cls(1.0).predict(rows)


class Callable:
    """An object that is called."""

    def __call__(self, rows: Rows) -> list[float]:
        return [row["x"] + 1 for row in rows]


class Unstorable(Callable):
    """An object whose state cannot be stored."""

    def __init__(self) -> None:
        self.lock = lambda: None


def outer() -> Any:
    """A function from inside of a function."""

    def inner(rows: Rows) -> Rows:
        return rows

    return inner


unnamed = lambda rows: rows  # noqa: E731 - what must be refused
alias = doubles


def arrow(data: Any) -> Any:
    """An Arrow table for an Arrow table."""
    return data.select(["b", "a"])
