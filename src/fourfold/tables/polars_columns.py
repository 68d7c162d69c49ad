"""Change the columns of a polars frame to what a model was trained with, by the functions of `pandas_columns`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl

from fourfold.errors import PackError, shorten

__all__ = ["Kind", "categories", "kinds", "to_categories", "to_text", "to_values", "values"]

#: What a column holds; `category` is an `Enum`. A `Categorical` is `other`: it takes any text as it is.
Kind = Literal["category", "text", "bool", "integer", "float", "other"]


def kinds(frame: pl.DataFrame) -> dict[str, Kind]:
    """Return what each column holds."""
    return {name: _kind(dtype) for name, dtype in frame.schema.items()}


def _kind(dtype: pl.DataType) -> Kind:
    if isinstance(dtype, pl.Enum):
        return "category"
    if dtype == pl.String:
        return "text"
    if dtype == pl.Boolean:
        return "bool"
    return "integer" if dtype.is_integer() else "float" if dtype.is_float() else "other"


def values(frame: pl.DataFrame, name: str) -> list[Any]:
    """Return the distinct values of a column in order of appearance, without missing ones."""
    return frame.get_column(name).drop_nulls().unique(maintain_order=True).to_list()


def categories(frame: pl.DataFrame, name: str) -> list[Any]:
    """Return the categories of an `Enum`."""
    dtype = frame.schema[name]
    assert isinstance(dtype, pl.Enum)
    return dtype.categories.to_list()


def to_categories(frame: pl.DataFrame, name: str, listed: Sequence[Any]) -> pl.DataFrame:
    """Return a frame whose column is an `Enum` of exactly these texts; other values become missing.

    An `Enum` holds text only: a column of other categories stays as it is.
    """
    if not all(isinstance(value, str) for value in listed):
        return frame
    if isinstance(frame.schema[name], pl.Enum) and categories(frame, name) == list(listed):
        return frame
    # Through text: one Enum casts to another by its numbers.
    return frame.with_columns(pl.col(name).cast(pl.String).cast(pl.Enum(list(listed)), strict=False))


def to_values(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return a frame whose `Enum` is plain text."""
    return frame.with_columns(pl.col(name).cast(pl.String))


def to_text(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return a frame whose column of integers is text; raise `PackError` where it holds floats or booleans."""
    kind = _kind(frame.schema[name])
    if kind in ("text", "category"):
        return frame
    if kind != "integer":
        raise PackError(
            f"column {shorten(name)}: it is to be text, and the rows hold {frame.schema[name]}, which may be spelled "
            "in many ways: give the column as text"
        )
    return frame.with_columns(pl.col(name).cast(pl.String))
