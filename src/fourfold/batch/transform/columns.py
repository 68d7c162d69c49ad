"""Transforming: which source columns become input fields, and which pass through.

Today a transform chooses and renames columns. It works on chunks, so whatever it will learn must not look across them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fourfold.batch.job import Job
from fourfold.errors import SignatureError, shorten
from fourfold.signature import Field, Signature

__all__ = ["Choice", "choose"]


@dataclass(frozen=True)
class Choice:
    """What a job takes of its source.

    Attributes:
        fields: every input field by the source column that holds it, in the order of the signature.
        keep: the source columns that pass through.
    """

    fields: Mapping[str, Field]
    keep: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """Every source column that is read, once."""
        return list(dict.fromkeys([*self.fields, *self.keep]))

    def inputs(self, table: Any) -> Any:
        """The input fields of a chunk under their own names: rows from rows, a `RecordBatch` from a `RecordBatch`."""
        if isinstance(table, list):
            # A row that is no object stays one: the coercion says so.
            return [self._input_row(row) if isinstance(row, dict) else row for row in table]
        import pyarrow as pa

        present = set(table.schema.names)
        taken = {field.name: table.column(column) for column, field in self.fields.items() if column in present}
        return pa.RecordBatch.from_arrays(list(taken.values()), names=list(taken))

    def _input_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {field.name: row[column] for column, field in self.fields.items() if column in row}

    def kept(self, table: Any, schema: Any) -> list[Any]:
        """The columns of a chunk that pass through, as a list of arrays of the types in `schema`."""
        import pyarrow as pa

        if not isinstance(table, list):
            return [_as(table.column(name), schema.field(name).type) for name in self.keep]

        rows = [row if isinstance(row, dict) else {} for row in table]
        return [pa.array([row.get(name) for row in rows], type=schema.field(name).type) for name in self.keep]


def _as(column: Any, kind: Any) -> Any:
    # They differ where all of a file's column is null and so has no type of its own, or in the width of an index.
    return column if column.type == kind else column.cast(kind)


def choose(signature: Signature, job: Job) -> Choice:
    """What the job takes of a source for a package of this signature.

    Raises:
        SignatureError: `rename` names a field that there is not, or takes the column of another one away; or a kept
            column has the name of an output.
    """
    inputs = [field.name for field in signature.inputs]
    for column, name in job.rename.items():
        if name not in inputs:
            raise SignatureError(
                f"the job's rename: column {shorten(column)} is to be {shorten(name)}; the signature has the fields "
                f"{', '.join(inputs)}"
            )
    outputs = [field.name for field in signature.outputs]
    for column in job.keep:
        if column in outputs:
            raise SignatureError(
                f"the job's keep: column {shorten(column)} has the name of an output; the output file can "
                "hold only one "
                f"column of that name, so leave it out, or give it another name in the source"
            )
    columns = {name: column for column, name in job.rename.items()}
    fields: dict[str, Field] = {}
    for field in signature.inputs:
        column = columns.get(field.name, field.name)
        if field.name not in columns and column in job.rename:
            raise SignatureError(
                f"the job's rename: column {shorten(column)} is to be the field "
                f"{shorten(job.rename[column])}, so the field "
                f"{shorten(field.name)} needs a column of its own: rename one to it"
            )
        fields[column] = field
    return Choice(fields, job.keep)
