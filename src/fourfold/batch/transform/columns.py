"""Map source columns to input fields, and choose the columns that pass through.

A transform chooses and renames columns. It sees one chunk at a time, so it must not depend on other chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fourfold.batch.job import Job
from fourfold.errors import SignatureError, SourceError, TableError, shorten
from fourfold.signature import Extra, Field, Signature
from fourfold.signature.label_columns import LabelColumns
from fourfold.signature.table_columns import check_absent

__all__ = ["ColumnMapping", "map_columns"]


@dataclass(frozen=True)
class ColumnMapping:
    """Hold the source columns that a job takes.

    Attributes:
        fields: each input field by the source column that holds it, in the order of the signature.
        passthrough: the source columns that pass through.
        absent: the input fields whose column may be absent from a file.
        extra: what becomes of a column that is none of these: `forbid` makes it an error, `ignore` leaves it out.
    """

    fields: Mapping[str, Field]
    passthrough: tuple[str, ...]
    absent: tuple[str, ...] = ()
    extra: Extra = "ignore"

    @property
    def columns(self) -> list[str]:
        """Return every source column that is taken, once."""
        return list(dict.fromkeys([*self.fields, *self.passthrough]))

    def inputs(self, table: Any) -> Any:
        """Return a chunk's input fields under their own names: rows for rows, a `RecordBatch` for a `RecordBatch`."""
        if isinstance(table, list):
            # A row that is not an object stays as it is, so that the coercion reports it.
            return [self._input_row(row) if isinstance(row, dict) else row for row in table]
        import pyarrow as pa

        present = set(table.schema.names)
        inputs = {field.name: table.column(column) for column, field in self.fields.items() if column in present}
        return pa.RecordBatch.from_arrays(list(inputs.values()), names=list(inputs))

    def _input_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        inputs = {field.name: row[column] for column, field in self.fields.items() if column in row}
        if self.extra == "forbid":  # the coercion reports what is left, and it is in no other column's way
            taken = {*self.fields, *self.passthrough}
            inputs |= {name: value for name, value in row.items() if name not in taken and name not in inputs}
        return inputs

    def passthrough_columns(self, table: Any, schema: Any) -> list[Any]:
        """Return a chunk's pass-through columns, as Arrow arrays of the types in `schema`."""
        if not isinstance(table, list):
            return [_cast(name, table.column(name), schema.field(name).type) for name in self.passthrough]

        rows = [row if isinstance(row, dict) else {} for row in table]
        return [_array([row.get(name) for row in rows], schema.field(name).type) for name in self.passthrough]


def _array(values: list[Any], arrow_type: Any) -> Any:
    import pyarrow as pa

    if arrow_type == pa.float64():  # pyarrow itself takes no integer beyond 2^53, though float64 holds it
        values = [None if value is None else float(value) for value in values]
    return pa.array(values, type=arrow_type)


def _cast(name: str, column: Any, arrow_type: Any) -> Any:
    """Return a pass-through column in the type that holds it in every file.

    Raises:
        SourceError: a timestamp is outside the years that nanoseconds can count.
    """
    import pyarrow as pa

    if column.type == arrow_type:
        return column
    try:
        return column.cast(arrow_type)
    except pa.ArrowInvalid as error:
        problem = f"expected values that {arrow_type}, as in another file, can hold; got {shorten(str(error), 200)}"
        raise SourceError(f"column {shorten(name)}, which is kept: {problem}") from error


def map_columns(signature: Signature, job: Job, label_columns: LabelColumns | None = None) -> ColumnMapping:
    """Return the source columns that a job takes for a package with this signature.

    Args:
        signature: the package's inputs and outputs.
        job: the job.
        label_columns: what splits outputs with labels into columns of the output file, if anything does.

    Raises:
        SignatureError: `rename` names an unknown field, or renames the column of another field; a pass-through column
            has the name of an output, or of one of its columns; or `absent` names no nullable field.
    """
    try:
        check_absent(signature.inputs, job.absent)
    except TableError as error:
        raise SignatureError(f"the job's absent: {error}") from None
    inputs = [field.name for field in signature.inputs]
    for column, name in job.rename.items():
        if name not in inputs:
            raise SignatureError(
                f"the job's rename: column {shorten(column)} is to be {shorten(name)}; the signature has the fields "
                f"{', '.join(inputs)}"
            )
    outputs = {field.name for field in signature.outputs}
    split = set() if label_columns is None else {field.name for field in label_columns.fields} - outputs
    for column in job.keep:
        if column in outputs or column in split:
            what = "an output" if column in outputs else "an output's column for one of its labels"
            way = "" if column in outputs else ", or ask for arrays (arrays = true, --arrays)"
            raise SignatureError(
                f"the job's keep: column {shorten(column)} has the name of {what}; the output file can hold only "
                f"one column of that name, so leave it out, or give it another name in the source{way}"
            )
    columns_by_field = {name: column for column, name in job.rename.items()}
    fields: dict[str, Field] = {}
    for field in signature.inputs:
        column = columns_by_field.get(field.name, field.name)
        if field.name not in columns_by_field and column in job.rename:
            raise SignatureError(
                f"the job's rename: column {shorten(column)} is to be the field {shorten(job.rename[column])}, so the "
                f"field {shorten(field.name)} needs a column of its own: rename one to it"
            )
        fields[column] = field
    return ColumnMapping(fields, job.keep, job.absent, job.extra)
