"""Read the row that another object stands for: a row of a frame or of a database, a named tuple, a dataclass."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from typing import Any

from fourfold.errors import shorten
from fourfold.signature.field import FLOATS, Field

__all__ = ["as_mapping", "describe_row"]

#: What JSON gives, of which only an object is a row.
_PLAIN_TYPES = frozenset((bool, int, float, str, bytes, list, type(None)))


def as_mapping(row: object, fields: Sequence[Field]) -> object:
    """Return a row as a mapping with the names of its values; what is no row as it is.

    Args:
        row: a mapping; a Series of pandas, whose labels are names; a record of NumPy; a named tuple, such as
            `itertuples` gives; an instance of a dataclass or of a class of attrs, pydantic or msgspec; or a row of a
            database: what has a mapping of its own, or has `keys` and is asked by them.
        fields: the fields. In a Series NaN is a missing value, except in a field of floats: a row of several dtypes has
            no other.
    """
    if isinstance(row, Mapping) or type(row) in _PLAIN_TYPES or isinstance(row, type):
        return row
    if _is_series(row):
        return _series_row(row.items(), fields)  # type: ignore[attr-defined]
    if isinstance(row, tuple):
        return _tuple_row(row, {field.name for field in fields})
    names = _names_of_values(row, fields)
    if names is not None:
        return {name: getattr(row, attribute) for name, attribute in names.items()}
    if _is_table(row):
        return row
    if isinstance(mapping := getattr(row, "_mapping", None), Mapping):  # a row of SQLAlchemy
        return mapping
    record_names = getattr(getattr(row, "dtype", None), "names", None)
    if record_names and not getattr(row, "shape", ()):  # a record of NumPy
        return {name: row[name] for name in record_names}  # type: ignore[index]
    if type(row).__module__ == "sqlite3":
        return dict(zip(row.keys(), row, strict=True))  # type: ignore[attr-defined,call-overload]
    if callable(getattr(row, "keys", None)) and hasattr(row, "__getitem__"):
        return {name: row[name] for name in row.keys()}  # type: ignore[attr-defined]  # noqa: SIM118
    return row


def describe_row(row: object) -> str:
    """Return what came instead of a row, in words."""
    if shape := getattr(row, "shape", ()) if type(row).__module__ == "numpy" else ():
        return f"an array of shape {shape}: predict takes one of shape (rows, fields)"
    if _is_table(row):
        return (
            f"a {type(row).__name__}: predict takes it; one row of it is frame.iloc[0] in pandas, frame.row(0, "
            "named=True) in polars, table.to_pylist()[0] in Arrow"
        )
    return shorten(row)


def _is_table(row: object) -> bool:
    """Return whether an object is a frame, an Arrow table or an array."""
    return any(hasattr(type(row), name) for name in ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__")) or (
        len(getattr(row, "shape", ())) > 0
    )


def _names_of_values(row: object, fields: Sequence[Field]) -> dict[str, str] | None:
    """Return the attribute of each value of an object of fields, by the value's name; `None` for other objects.

    A name that pydantic and msgspec give to a value in JSON is taken where it is a field and the attribute is none.
    """
    kind: Any = type(row)
    if is_dataclass(kind):
        return {field.name: field.name for field in dataclass_fields(kind)}
    if isinstance(attributes := getattr(kind, "__attrs_attrs__", None), tuple):
        return {attribute.name: attribute.name for attribute in attributes}
    if isinstance(attributes := getattr(kind, "__struct_fields__", None), tuple):  # of msgspec
        aliases = zip(attributes, kind.__struct_encode_fields__, strict=True)
    elif isinstance(described := getattr(kind, "__pydantic_fields__", None), Mapping):
        extra = getattr(row, "__pydantic_extra__", None) or {}
        named = ((name, getattr(field, "alias", None) or name) for name, field in described.items())
        aliases = [*named, *((name, name) for name in extra)]  # type: ignore[assignment]
    else:
        return None
    known = {field.name for field in fields}
    return {alias if alias in known and name not in known else name: name for name, alias in aliases}


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


def _tuple_row(row: Any, known: Collection[str]) -> Any:
    """Return the values of a named tuple or a row of Spark by their names; a tuple without names as it is."""
    names = getattr(row, "_fields", None) or getattr(row, "__fields__", None)
    if names is None:
        return row
    values = dict(zip(names, row, strict=True))
    if type(row).__name__ == "Pandas" and "Index" not in known:
        values.pop("Index", None)  # `itertuples` puts the frame's index before its columns
    return values
