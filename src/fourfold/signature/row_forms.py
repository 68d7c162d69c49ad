"""Read the row that another object stands for: a row of a frame, a named tuple, a dataclass, a row of SQLite."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from typing import Any

from fourfold.signature.field import FLOATS, Field

__all__ = ["as_mapping"]


def as_mapping(row: object, fields: Sequence[Field]) -> object:
    """Return a row as a mapping with the names of its values; what is no row as it is.

    Args:
        row: a mapping; a Series of pandas, whose labels are names; a named tuple, such as `itertuples` gives; an
            instance of a dataclass; or what has `keys` and is asked by them, such as a row of `sqlite3`.
        fields: the fields. In a Series NaN is a missing value, except in a field of floats: a row of several dtypes has
            no other.
    """
    if isinstance(row, Mapping):
        return row
    if _is_series(row):
        return _series_row(row.items(), fields)  # type: ignore[attr-defined]
    if isinstance(row, tuple) and hasattr(row, "_fields"):
        return _tuple_row(row, {field.name for field in fields})
    if is_dataclass(row) and not isinstance(row, type):
        return {field.name: getattr(row, field.name) for field in dataclass_fields(row)}
    if type(row).__module__ == "sqlite3":
        return dict(zip(row.keys(), row, strict=True))  # type: ignore[attr-defined,call-overload]
    return row


def _is_series(row: object) -> bool:
    """Return whether an object is a Series of pandas, which is not imported for that."""
    return any(
        base.__name__ == "Series" and base.__module__.partition(".")[0] == "pandas" for base in type(row).__mro__
    )


def _series_row(items: Iterable[tuple[Any, Any]], fields: Sequence[Field]) -> dict[str, Any]:
    floats = {field.name for field in fields if field.dtype in FLOATS}
    row: dict[str, Any] = {}
    for label, value in items:
        name = str(label)
        is_nan = isinstance(value, float) and value != value and name not in floats
        row[name] = None if is_nan else value
    return row


def _tuple_row(row: Any, names: Collection[str]) -> dict[str, Any]:
    values = dict(zip(row._fields, row, strict=True))
    if type(row).__name__ == "Pandas" and "Index" not in names:
        values.pop("Index", None)  # `itertuples` puts the frame's index before its columns
    return values
