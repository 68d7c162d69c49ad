"""Recognize a body in the form of another server, and show the same rows in the form that is spoken here.

Only a request that has no answer is looked at: a model that has a field of such a name is asked as every model is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from fourfold.errors import shorten
from fourfold.protocols.example_rows import example_row, show_row
from fourfold.signature.field import Field

__all__ = ["OtherForm", "advise", "find_other_form"]

#: Whose form an object with this key is. A key without a name is somebody's, too: only its shape is told.
_SERVERS = {
    "instances": "TensorFlow Serving, Vertex AI and KServe",
    "inputs": "MLflow and the Open Inference Protocol",
    "dataframe_split": "MLflow",
    "dataframe_records": "MLflow",
    "ndarray": "Seldon",
    "input_data": "Azure ML",
}
#: Keys that may stand in such an object beside the one with the rows.
_ROW_KEYS = (
    *("instances", "inputs", "dataframe_split", "dataframe_records", "input_data", "ndarray", "tensor", "data"),
    *("features", "input", "rows", "records", "samples", "examples", "payload"),
)
_NAME_KEYS = ("columns", "names", "fields")
#: How many objects may stand in each other around the rows.
_MAX_DEPTH = 4
#: How many rows are looked at: a message shows one, and says whether there are more.
_MAX_ROWS = 2
#: How many keys of an object are looked at, beside the known ones.
_MAX_KEYS = 8

Row = dict[str, Any]


def advise(value: object, fields: Sequence[Field]) -> str:
    """Return how to send the rows that a JSON value seems to hold; made-up ones where none are found."""
    rows = _rows(value, fields) or [example_row(fields)]
    return f"send {show_row(rows[0])} for one row, [{{…}}, {{…}}] for several"


class OtherForm(NamedTuple):
    """Tell what a body is taken for.

    Attributes:
        message: what it is, and what to send instead.
        key: the key that makes it so; `None` where the values are those of fields, and only stand in another way.
    """

    message: str
    key: str | None = None


def find_other_form(value: object, fields: Sequence[Field]) -> OtherForm | None:
    """Return what a body is taken for; `None` where it has no form of others.

    Args:
        value: the JSON value that was taken for a row.
        fields: the signature's inputs.
    """
    if isinstance(value, list):
        return OtherForm(f"expected each row to be an object with the names of its values; {advise(value, fields)}")
    if not isinstance(value, dict) or not value:
        return None
    if not any(field.name in value for field in fields):
        holders = [key for key in _ROW_KEYS if key in value]
        holders += [key for key in islice(value, _MAX_KEYS) if _is_container(value[key])]
        return _envelope(value, holders[0], fields) if holders else None
    return _bare_columns(value, fields)


def _is_container(value: object) -> bool:
    return isinstance(value, dict | list)


def _envelope(value: Mapping[str, Any], key: str, fields: Sequence[Field]) -> OtherForm:
    advice = advise(value, fields)
    if key in ("rows", "columns") and len(value) > 1:
        others = ", ".join(shorten(other) for other in islice(value, _MAX_KEYS) if other != key)
        return OtherForm(
            f"expected {key!r} to be the only key of an object with a table; got {others} beside it; {advice}", key
        )
    inner = value[key] if isinstance(value[key], dict) else {}
    server = next((_SERVERS[name] for name in (key, *islice(inner, _MAX_KEYS)) if name in _SERVERS), None)
    whose = f", the form of {server}" if server else ""
    return OtherForm(f"expected rows; got an object with the key {shorten(key)}{whose}; {advice}", key)


def _bare_columns(value: Mapping[str, Any], fields: Sequence[Field]) -> OtherForm | None:
    """Recognize columns that are not under the key `columns`: arrays, or pandas' objects from index to value."""
    scalars = {field.name for field in fields if not field.shape}
    if len(value) > len(scalars) or not value.keys() <= scalars:
        return None
    columns = list(value.values())
    if all(type(column) is list for column in columns):
        word = "an array"
    elif all(type(column) is dict and column.keys() == columns[0].keys() for column in columns) and all(
        name.isdecimal() for name in islice(columns[0], _MAX_KEYS)
    ):
        word = "an object"
        value = {name: list(column.values()) for name, column in value.items()}
    else:
        return None
    first = {name: column[:_MAX_ROWS] for name, column in value.items()}
    return OtherForm(
        f"expected one value for each field; got {word} for each, which is a table in columns; "
        f'send {{"columns": {show_row(first)}}}'
    )


def _rows(value: object, fields: Sequence[Field], depth: int = 0, names: Sequence[str] | None = None) -> list[Row]:
    """Return the first rows that somebody's form holds, by the names of the fields; `[]` where none are found."""
    if depth > _MAX_DEPTH:
        return []
    if isinstance(value, list):
        return _rows_of_list(value, fields, names or [field.name for field in fields], depth)
    if not isinstance(value, dict):
        return []
    if any(field.name in value for field in fields):
        return _rows_of_object(value)
    listed = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), list)), None)
    names = listed if listed and all(isinstance(name, str) for name in listed) else names
    for key in dict.fromkeys([*_ROW_KEYS, *islice(value, _MAX_KEYS)]):
        if _is_container(value.get(key)) and value[key] is not listed:
            rows = _rows(value[key], fields, depth + 1, names)
            if rows:
                return rows
    return []


def _rows_of_object(value: Mapping[str, Any]) -> list[Row]:
    """Return the rows of an object with names of fields: one row, or columns."""
    if not all(isinstance(column, list) for column in value.values()):
        return [dict(value)]
    rows = min(_MAX_ROWS, *map(len, value.values()), _MAX_ROWS)
    return [{name: column[row] for name, column in value.items()} for row in range(rows)]


def _rows_of_list(value: list[Any], fields: Sequence[Field], names: Sequence[str], depth: int) -> list[Row]:
    first = value[:_MAX_ROWS]
    if first and all(isinstance(item, dict) for item in first):
        if all({"name", "data"} <= item.keys() for item in first):
            # The Open Inference Protocol has a tensor for each input.
            tensors = [item for item in value[: len(fields)] if isinstance(item, dict)]
            return _rows({str(tensor.get("name")): tensor.get("data") for tensor in tensors}, fields, depth + 1)
        if not any(field.name in first[0] for field in fields):
            return _rows(first[0], fields, depth + 1)
        return [dict(item) for item in first]
    rows = first if first and all(isinstance(item, list) for item in first) else [value]
    return [dict(zip(names, row, strict=True)) for row in rows if len(row) == len(names)]
