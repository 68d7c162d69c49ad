"""What a door is: one way for rows to reach the packaged function and for answers to come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fourfold.certificate.batching import Cut
from fourfold.errors import DecodeError
from fourfold.signature import RowCoercer, Signature

__all__ = ["Door", "Row", "as_rows", "row_key"]

Row = Mapping[str, Any]


class Door(Protocol):
    """One way in and out.

    Attributes:
        architecture: `service`, `stream`, `batch` or `embed`.
        name: what the certificate calls it.
        cuts: the cuts that the certificate sends through it.
    """

    architecture: str
    name: str
    cuts: Sequence[Cut]

    @property
    def digest(self) -> str | None:
        """The digest of the package that answers there, where the door says it."""
        ...

    def answers(self, pieces: Sequence[Sequence[Row]]) -> list[Row | None]:
        """Send pieces of canonical input rows; gives an answer for each row, in order, `None` where none came back."""
        ...


def row_key(signature: Signature) -> str:
    """The name of a column that numbers the rows, other than any field."""
    taken = {field.name for field in (*signature.inputs, *signature.outputs)}
    name = "fourfold_row"
    while name in taken:
        name += "_"
    return name


def as_rows(table: Any, signature: Signature) -> list[dict[str, Any]]:
    """A decoded table of outputs as canonical rows; other columns are dropped.

    Raises:
        DecodeError: it does not fit the signature's outputs.
    """
    if isinstance(table, list):
        coerced, errors = RowCoercer(signature.outputs, "ignore")(table)
        rows = [row for row in coerced if row is not None]
    else:
        from fourfold.signature.columns import ColumnCoercer, columns_to_rows

        batch, errors = ColumnCoercer(signature.outputs, "ignore")(table)
        rows = columns_to_rows(signature.outputs, batch)
    if errors:
        raise DecodeError(f"an answer does not fit the signature's outputs: {errors[0]}")
    return rows
