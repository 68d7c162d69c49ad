"""Read the sample that a model is packed with: rows in the container of training, and the input fields."""

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

__all__ = ["MAX_SAMPLE_ROWS", "Sample", "column_names", "frame_to_array", "read_sample", "select_columns"]

#: The most rows that a model is asked about when it is packed; of a larger sample they are taken evenly.
MAX_SAMPLE_ROWS = 2000


@dataclass(frozen=True)
class Sample:
    """Hold rows as the model was trained with them.

    Attributes:
        data: the container.
        form: the description from which `tables.builder` builds such containers.
        fields: the input fields, one for each column.
        count: the number of rows.
    """

    data: Any
    form: dict[str, Any]
    fields: tuple[Field, ...]
    count: int

    def to_batch(self) -> Any:
        """Return the rows as the canonical `pyarrow.RecordBatch` that an engine gets.

        Raises:
            InputError: a row does not fit the fields; this happens only to fields that are not inferred from the rows.
        """
        table, errors = tables.read(self.data, self.fields)
        if errors:
            raise InputError(errors)
        return rows_to_columns(self.fields, table) if isinstance(table, list) else table

    def rebuild(self) -> Any:
        """Return the container that an engine builds for these rows."""
        return tables.build(self.form, self.fields, self.to_batch())


def read_sample(data: Any, inputs: Sequence[Field] | None = None, names: Sequence[str] | None = None) -> Sample:
    """Return the sample in a container.

    Args:
        data: the container, as the model takes it.
        inputs: the fields, for a frame in any order, otherwise in the order of the columns; inferred by default.
        names: the names of inferred fields, for a container whose columns have none.

    Raises:
        PackError: `inputs` are not the container's columns.
        SignatureError: nothing can be inferred from the container, or no such container can be built from fields.
    """
    form = tables.form(data)
    fields = tables.infer(data) if inputs is None or column_names(data) is not None else tuple(inputs)
    if names is not None and inputs is None:
        fields = tuple(replace(field, name=name) for field, name in zip(fields, names, strict=True))
    if inputs is not None and column_names(data) is not None:
        input_by_name = {field.name: field for field in inputs}
        columns = [field.name for field in fields]
        if sorted(input_by_name) != sorted(columns):
            raise PackError(f"expected inputs for the columns {', '.join(columns)}; got {', '.join(input_by_name)}")
        fields = tuple(input_by_name[name] for name in columns)
    rows = tables.length(data)
    if rows > MAX_SAMPLE_ROWS:
        data = tables.take(data, [index * rows // MAX_SAMPLE_ROWS for index in range(MAX_SAMPLE_ROWS)])
    return Sample(data, form, fields, min(rows, MAX_SAMPLE_ROWS))


def column_names(data: Any) -> list[Any] | None:
    """Return the names of the columns of a frame, an Arrow table or rows; `None` for any other container."""
    kind = tables.kind_of(data)
    if kind in ("pandas", "polars"):
        return list(data.columns)
    if kind == "arrow":
        return list(data.schema.names) if hasattr(data.schema, "names") else None
    return list(dict.fromkeys(key for row in data for key in row)) if kind == "rows" else None


def select_columns(data: Any, columns: Sequence[str]) -> Any:
    """Return a frame with only these columns, in this order.

    Raises:
        PackError: `data` is no frame, or lacks a column.
    """
    kind = tables.kind_of(data)
    names = column_names(data)
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


def frame_to_array(data: Any) -> np.ndarray[Any, Any]:
    """Return a frame as a C-ordered array of one dtype and shape `(rows, columns)`, for a model that knows no names."""
    if tables.kind_of(data) == "arrow":
        table = pa.table(data)
        return np.column_stack([column.to_numpy() for column in table.columns])
    return np.ascontiguousarray(data.to_numpy())


def _described(data: Any) -> str:
    shape = f" of shape {data.shape}" if hasattr(data, "shape") else ""
    return f"a {type(data).__module__}.{type(data).__qualname__}{shape}"
