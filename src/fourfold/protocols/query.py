"""Read the query of a request: what it says about absent columns, unknown keys and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from fourfold.errors import InputError, RowErrors, shorten
from fourfold.protocols.replies import Refused
from fourfold.signature import Extra, Field
from fourfold.signature.rows import unknown_field

__all__ = ["Query", "drop_unknown", "forbid_unknown", "read_query"]

#: The most unknown keys of a request that are reported one by one.
MAX_UNKNOWN_KEYS = 1_000


@dataclass(frozen=True, slots=True)
class Query:
    """Hold what a query says.

    Attributes:
        absent: the nullable fields whose column may be absent.
        arrays: whether an output with labels is one column of arrays in CSV too, not one for each label.
        extra: what becomes of keys and columns that are no fields; `None` for the package's own.
    """

    absent: Sequence[str] = ()
    arrays: bool = False
    extra: Extra | None = None


def read_query(query: bytes) -> Query:
    """Return what a query says; other parameters mean nothing. In `absent=` a comma that belongs to a name is `%2C`.

    Raises:
        Refused: `arrays` is neither true nor false, or `extra` neither forbid nor ignore.
    """
    absent: list[str] = []
    arrays = False
    extra: Extra | None = None
    for parameter in query.decode("latin-1").split("&"):
        key, _, value = parameter.partition("=")
        if key == "absent":
            absent += [unquote_plus(name) for name in value.split(",") if name]
        elif key == "arrays":
            if value not in ("true", "false"):
                raise Refused(400, "query", f"expected ?arrays=true or ?arrays=false; got {shorten(value)}")
            arrays = value == "true"
        elif key == "extra":
            if value not in ("forbid", "ignore"):
                raise Refused(400, "query", f"expected ?extra=forbid or ?extra=ignore; got {shorten(value)}")
            extra = "forbid" if value == "forbid" else "ignore"
    return Query(absent, arrays, extra)


def drop_unknown(table: Any, fields: Sequence[Field]) -> Any:
    """Return a table without the keys, or the columns, that are no fields."""
    names = {field.name for field in fields}
    if not isinstance(table, list):
        return table.select([name for name in table.schema.names if name in names])
    return [
        {key: value for key, value in row.items() if key in names} if isinstance(row, Mapping) else row for row in table
    ]


def forbid_unknown(table: Any, fields: Sequence[Field]) -> None:
    """Raise `InputError` where a row has a key that is no field; of columns the check of the table says so."""
    if not isinstance(table, list):
        return
    names = frozenset(field.name for field in fields)
    errors = RowErrors()
    for index, row in enumerate(table):
        if isinstance(row, Mapping) and not row.keys() <= names:
            unknown = [str(key) for key in row if key not in names]
            left = MAX_UNKNOWN_KEYS - len(errors)
            built = [unknown_field(index, key, fields, is_first=not errors) for key in unknown[: max(left, 0)]]
            errors.add_row(RowErrors(built, total=len(unknown), rows=1))
    if errors.total:
        raise InputError(errors)
