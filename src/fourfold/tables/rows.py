"""Read and build rows: lists of dicts, the container that needs no library."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from fourfold.errors import RowErrors, SignatureError, shorten
from fourfold.signature.field import Extra, Field
from fourfold.signature.rows import RowCoercer
from fourfold.signature.table_columns import check_absent
from fourfold.tables.values import study

__all__ = ["builder", "form", "infer", "length", "read", "take", "write"]


def infer(data: Sequence[Mapping[str, Any]]) -> tuple[Field, ...]:
    """Return a field for every key, in the order of first appearance; a key that a row lacks is a missing value."""
    _check(data)
    names = dict.fromkeys(key for row in data for key in row)
    return tuple(
        study(f"key {shorten(name)}", [row.get(name) for row in data], from_objects=False).field(name) for name in names
    )


def form(data: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the container's name only: rows are canonical already."""
    _check(data)
    return {"container": "rows"}


def builder(form: Mapping[str, Any], fields: tuple[Field, ...]) -> Callable[[Any], list[dict[str, Any]]]:
    """Return the function that converts a canonical batch to canonical rows; canonical rows stay as they are."""

    def build(batch: Any) -> list[dict[str, Any]]:
        if isinstance(batch, list):
            return batch
        from fourfold.signature.columns import columns_to_rows  # needs pyarrow, as the batch does

        return columns_to_rows(fields, batch)

    return build


def read(
    data: Sequence[Mapping[str, Any]],
    fields: tuple[Field, ...],
    extra: Extra,
    max_errors: int | None = None,
    absent: Collection[str] = (),
) -> tuple[list[dict[str, Any] | None], RowErrors]:
    """Coerce the rows."""
    check_absent(fields, absent)  # an absent key is missing anyway
    return RowCoercer(fields, extra)(data, max_errors)


def write(like: object, outputs: Any, indices: Sequence[int] | None) -> list[dict[str, Any]]:
    """Return the outputs as a list of dicts."""
    if isinstance(outputs, list):
        return outputs
    rows: list[dict[str, Any]] = outputs.to_pylist()
    return rows


def length(data: Sequence[Any]) -> int:
    """Return the number of rows."""
    return len(data)


def take(data: Sequence[Any], indices: Sequence[int]) -> list[Any]:
    """Return the rows with these indices."""
    return [data[index] for index in indices]


def _check(data: Sequence[Any]) -> None:
    if not data:
        raise SignatureError("the table has no rows; infer a signature from the rows that the model is trained with")
    for row, value in enumerate(data):
        if not isinstance(value, Mapping):
            raise SignatureError(f"row {row}: expected a dict; got {shorten(value)}")
        for key in value:
            if not isinstance(key, str):
                raise SignatureError(f"row {row}: expected keys that are strings; got {shorten(key)}")
    if not any(data):
        raise SignatureError("the table has no columns: every row is empty")
