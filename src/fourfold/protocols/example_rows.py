"""Write rows as a client would send them, for the messages that show how: short, and with the names of the fields."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fourfold.signature.field import FLOATS, INTEGERS, Field

__all__ = ["example_row", "show", "show_row"]

#: The most characters of a row that a message shows, and of one value in it.
MAX_ROW_CHARACTERS = 200
MAX_VALUE_CHARACTERS = 40

_EXAMPLES: dict[str, Any] = {
    "bool": True,
    "string": "text",
    "timestamp": "2024-02-29T12:00:00",
    "date": "2024-02-29",
    "binary": "AAE=",
    **dict.fromkeys(FLOATS, 0.5),
    **dict.fromkeys(INTEGERS, 1),
}


def example_row(fields: Sequence[Field]) -> dict[str, Any]:
    """Return a row of made-up values of the right types; no value of the model's own data is in it."""
    return {field.name: _example(field) for field in fields}


def _example(field: Field) -> Any:
    value: Any = field.categories[0] if field.categories else _EXAMPLES[field.dtype]
    if field.dtype == "timestamp" and field.zone is not None:
        value += "Z"
    for size in reversed(field.shape):
        value = [value] * size
    return value


def show(value: Any, limit: int = MAX_ROW_CHARACTERS) -> str:
    """Return a JSON value as JSON, at most `limit` characters of it; what is cut off ends with `…`."""
    if isinstance(value, str) and len(value) > limit:
        value = value[:limit]
    pieces: list[str] = []
    length = 0
    for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            return "".join(pieces)[: limit - 1] + "…"
    return "".join(pieces)


def show_row(row: Mapping[str, Any]) -> str:
    """Return a row as JSON; one with many values is cut between two of them, and ends with `…}`."""
    shown: list[str] = []
    length = 0
    for name, value in row.items():
        pair = f"{show(name, MAX_VALUE_CHARACTERS)}: {show(value, MAX_VALUE_CHARACTERS)}"
        if shown and length + len(pair) > MAX_ROW_CHARACTERS:
            shown.append("…")
            break
        shown.append(pair)
        length += len(pair) + 2
    return "{" + ", ".join(shown) + "}"
