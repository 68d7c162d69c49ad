"""The sample that a model is packed with: the container it was trained with, and the fields that go in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from fourfold import tables
from fourfold.errors import InputError, PackError, shorten
from fourfold.signature.columns import rows_to_columns
from fourfold.signature.field import Field

__all__ = ["ENOUGH", "Sample", "as_array", "names_of", "select", "study"]

#: The most rows that a model is asked about when it is packed; of more, these are spread over all of them.
ENOUGH = 2000


@dataclass(frozen=True)
class Sample:
    """Rows as the model was trained with them.

    Attributes:
        data: the container, of `rows` rows.
        form: what `tables.builder` makes such containers from.
        fields: the signature's inputs, one for each of the form's columns.
        rows: how many rows there are.
    """

    data: Any
    form: dict[str, Any]
    fields: tuple[Field, ...]
    rows: int

    def canonical(self) -> Any:
        """The rows as the canonical `pyarrow.RecordBatch` that an engine gets.

        Raises:
            InputError: a row does not fit the fields, which somebody must have given by hand.
        """
        table, errors = tables.read(self.data, self.fields)
        if errors:
            raise InputError(errors)
        return rows_to_columns(self.fields, table) if isinstance(table, list) else table

    def rebuilt(self) -> Any:
        """The container as an engine builds it for these rows."""
        return tables.build(self.form, self.fields, self.canonical())


def study(data: Any, inputs: Sequence[Field] | None = None, names: Sequence[str] | None = None) -> Sample:
    """The sample of a container.

    Args:
        data: the container, as the model sees it.
        inputs: the fields, where they shall not be inferred: those of a frame by name, otherwise by position.
        names: the fields' names, for a container whose columns have none.

    Raises:
        PackError: `inputs` are not the container's columns.
        SignatureError: nothing can be inferred from the container, or it could not be built again from the fields.
    """
    form = tables.form(data)
    fields = tables.infer(data) if inputs is None or names_of(data) is not None else tuple(inputs)
    if names is not None and inputs is None:
        fields = tuple(replace(field, name=name) for field, name in zip(fields, names, strict=True))
    if inputs is not None and names_of(data) is not None:
        given = {field.name: field for field in inputs}
        columns = [field.name for field in fields]
        if sorted(given) != sorted(columns):
            raise PackError(f"expected inputs for the columns {', '.join(columns)}; got {', '.join(given)}")
        fields = tuple(given[name] for name in columns)
    rows = tables.length(data)
    if rows > ENOUGH:
        data = tables.take(data, [index * rows // ENOUGH for index in range(ENOUGH)])
    return Sample(data, form, fields, min(rows, ENOUGH))


def names_of(data: Any) -> list[Any] | None:
    """The columns' names of a frame, an Arrow table or rows; `None` for anything else."""
    kind = tables.kind_of(data)
    if kind in ("pandas", "polars"):
        return list(data.columns)
    if kind == "arrow":
        return list(data.schema.names) if hasattr(data.schema, "names") else None
    return list(dict.fromkeys(key for row in data for key in row)) if kind == "rows" else None


def select(data: Any, columns: Sequence[str]) -> Any:
    """A frame's columns by name, in the order in which the model was trained with them; what is more is left out.

    Raises:
        PackError: this is no frame, or a column is not there.
    """
    kind = tables.kind_of(data)
    names = names_of(data)
    if kind not in ("pandas", "polars", "arrow") or names is None:
        raise PackError(
            f"the model was trained on a frame with the columns {shorten(list(columns), 200)}: give a sample "
            "with them; "
            f"got {_described(data)}"
        )
    missing = [name for name in columns if name not in names]
    if missing:
        raise PackError(f"the sample lacks columns that the model was trained with: {', '.join(map(shorten, missing))}")
    if names == list(columns):
        return data
    return data[list(columns)] if kind == "pandas" else data.select(list(columns))


def as_array(data: Any) -> np.ndarray[Any, Any]:
    """A frame as the C-ordered array of one dtype, shape `(rows, columns)`, that a model without names takes."""
    if tables.kind_of(data) == "arrow":
        table = pa.table(data)
        return np.column_stack([column.to_numpy() for column in table.columns])
    return np.ascontiguousarray(data.to_numpy())


def _described(data: Any) -> str:
    shape = f" of shape {data.shape}" if hasattr(data, "shape") else ""
    return f"a {type(data).__module__}.{type(data).__qualname__}{shape}"
