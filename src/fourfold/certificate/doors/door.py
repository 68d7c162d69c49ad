"""Define a door: a way for rows to reach the packaged function and for answers to come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from fourfold.certificate.batching import Batching
from fourfold.errors import DecodeError, TableError
from fourfold.signature import Field, RowCoercer, Signature
from fourfold.signature.label_columns import LabelColumns

__all__ = ["Door", "Row", "as_rows", "readable_fields", "row_key"]

Row = Mapping[str, Any]


class Door(Protocol):
    """Send rows through one interface of an architecture.

    Attributes:
        architecture: `service`, `stream`, `batch` or `embed`.
        name: its name in the certificate.
        batchings: the orders and batch sizes in which the certificate sends rows through it.
    """

    architecture: str
    name: str
    batchings: Sequence[Batching]

    @property
    def digest(self) -> str | None:
        """Return the digest of the package that answers, where the door tells it."""
        ...

    def answers(self, batches: Sequence[Sequence[Row]]) -> list[Row | None]:
        """Send batches of canonical input rows; return the answer to each row in order, `None` where none came back."""
        ...


def row_key(signature: Signature) -> str:
    """Return a name for a column of row numbers that no field has."""
    field_names = {field.name for field in (*signature.inputs, *readable_fields(signature))}
    name = "fourfold_row"
    while name in field_names:
        name += "_"
    return name


def readable_fields(signature: Signature) -> tuple[Field, ...]:
    """Return the fields of all columns that a table of outputs may have: an output with labels has two forms."""
    return tuple(dict.fromkeys((*_label_columns(signature.outputs).fields, *signature.outputs)))


@lru_cache(maxsize=16)  # for every batch of rows that a door answers
def _label_columns(outputs: tuple[Field, ...]) -> LabelColumns:
    return LabelColumns(outputs)


def as_rows(table: Any, signature: Signature) -> list[dict[str, Any]]:
    """Return a decoded table of outputs as canonical rows; other columns are dropped.

    Columns of the labels of an output are joined again, where the table has a column for each.

    Raises:
        DecodeError: it does not fit the signature's outputs.
    """
    label_columns = _label_columns(signature.outputs)
    names = set(table[0] if table else ()) if isinstance(table, list) else set(table.schema.names)
    if names.issuperset(field.name for field in label_columns.fields):
        return label_columns.join(_coerce(table, label_columns.fields))
    return _coerce(table, signature.outputs)


def _coerce(table: Any, fields: Sequence[Field]) -> list[dict[str, Any]]:
    if isinstance(table, list):
        coerced, errors = RowCoercer(fields, "ignore")(table)
        rows = [row for row in coerced if row is not None]
    else:
        from fourfold.signature.columns import ColumnCoercer, columns_to_rows

        try:
            batch, errors = ColumnCoercer(fields, "ignore")(table)
        except TableError as error:
            raise DecodeError(f"an answer does not fit the signature's outputs: {error}") from error
        rows = columns_to_rows(fields, batch)
    if errors:
        raise DecodeError(f"an answer does not fit the signature's outputs: {errors[0]}")
    return rows
