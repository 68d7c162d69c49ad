"""Define a door: a way for rows to reach the packaged function and for answers to come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fourfold.certificate.batching import Batching
from fourfold.errors import DecodeError, TableError
from fourfold.signature import RowCoercer, Signature

__all__ = ["Door", "Row", "as_rows", "row_key"]

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
    field_names = {field.name for field in (*signature.inputs, *signature.outputs)}
    name = "fourfold_row"
    while name in field_names:
        name += "_"
    return name


def as_rows(table: Any, signature: Signature) -> list[dict[str, Any]]:
    """Return a decoded table of outputs as canonical rows; other columns are dropped.

    Raises:
        DecodeError: it does not fit the signature's outputs.
    """
    if isinstance(table, list):
        coerced, errors = RowCoercer(signature.outputs, "ignore")(table)
        rows = [row for row in coerced if row is not None]
    else:
        from fourfold.signature.columns import ColumnCoercer, columns_to_rows

        try:
            batch, errors = ColumnCoercer(signature.outputs, "ignore")(table)
        except TableError as error:
            raise DecodeError(f"an answer does not fit the signature's outputs: {error}") from error
        rows = columns_to_rows(signature.outputs, batch)
    if errors:
        raise DecodeError(f"an answer does not fit the signature's outputs: {errors[0]}")
    return rows
