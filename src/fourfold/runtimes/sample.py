"""Read the sample that a model is packed with: rows in the container of training, and the input fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from fourfold import tables
from fourfold.errors import InputError, PackError, shorten
from fourfold.runtimes.declared import Declared, Inputs, declare
from fourfold.runtimes.levels import Levels
from fourfold.runtimes.training_columns import FRAMES, Restored, restore
from fourfold.signature.columns import rows_to_columns
from fourfold.signature.field import INTEGERS, Field
from fourfold.signature.similar_names import did_you_mean

__all__ = [
    "MAX_SAMPLE_ROWS",
    "Sample",
    "column_kinds",
    "column_names",
    "column_values",
    "frame_to_array",
    "read_sample",
    "select_columns",
]

#: The most rows that a model is asked about when it is packed; of a larger sample they are taken evenly.
MAX_SAMPLE_ROWS = 2000


_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Sample:
    """Hold rows as the model was trained with them.

    Attributes:
        data: the container.
        form: the description from which `tables.builder` builds such containers.
        fields: the input fields, one for each column.
        count: the number of rows.
        origins: where the categories of a field come from, by its name; of others, from the rows.
        source: the same rows where a column of integers or booleans became floats in `data`, which has room for a
            missing value; `None` where none did.
        known: what the model knows of its columns of categories, by name.
    """

    data: Any
    form: dict[str, Any]
    fields: tuple[Field, ...]
    count: int
    origins: Mapping[str, str] = field(default_factory=dict)
    source: Any = None
    known: Mapping[str, Levels] = field(default_factory=dict)

    def to_batch(self) -> Any:
        """Return the rows as the canonical `pyarrow.RecordBatch` that an engine gets.

        Raises:
            InputError: a row does not fit the fields; this happens only to fields that are not inferred from the rows.
        """
        table, errors = tables.read(self.data if self.source is None else self.source, self.fields)
        if errors:
            raise InputError(errors)
        return rows_to_columns(self.fields, table) if isinstance(table, list) else table

    def rebuild(self) -> Any:
        """Return the container that an engine builds for these rows."""
        return tables.build(self.form, self.fields, self.to_batch())


def read_sample(
    data: Any,
    inputs: Inputs = None,
    names: Sequence[str] | None = None,
    known: Mapping[str, Levels] = _NOTHING,
) -> Sample:
    """Return the sample in a container.

    Args:
        data: the container, as the model takes it.
        inputs: the fields, for a frame in any order, otherwise in the order of the columns; or what is declared of
            some, and the others are inferred.
        names: the names of inferred fields, for a container whose columns have none.
        known: what the model knows of its columns of categories, by name.

    Raises:
        PackError: `inputs` are not the container's columns, or contradict the model.
        SignatureError: nothing can be inferred from the container, or no such container can be built from fields.
    """
    declared = declare(inputs)
    is_pandas = tables.kind_of(data) == "pandas"
    restored = restore(data, declared, known) if tables.kind_of(data) in FRAMES else Restored(data)
    has_names = column_names(data) is not None
    if declared.are_all and not has_names:
        fields = declared.fields
    else:
        inferred = tables.infer(restored.data)
        if names is not None and not has_names:
            inferred = tuple(replace(field, name=name) for field, name in zip(inferred, names, strict=True))
        fields = restored.close(declared.apply(restored.apply(inferred)))
    source = restored.data
    hashed = {name for name, levels in known.items() if levels.categories is None and levels.unknown == "own"}
    data = _with_room_for_missing(source, [field for field in fields if field.name not in hashed])
    form = tables.form(data)
    if is_pandas:
        _choose_nulls(form, fields, known)
    rows = tables.length(data)
    has_changed = data is not source
    if rows > MAX_SAMPLE_ROWS:
        indices = [index * rows // MAX_SAMPLE_ROWS for index in range(MAX_SAMPLE_ROWS)]
        data, source = tables.take(data, indices), tables.take(source, indices) if has_changed else None
    source = source if has_changed else None
    return Sample(data, form, fields, min(rows, MAX_SAMPLE_ROWS), restored.origins, source, known)


def _with_room_for_missing(data: Any, fields: Sequence[Field]) -> Any:
    """Return a container whose columns of integers or booleans are float64 where their field may be missing.

    That is what a frame or an array makes of integers with a gap, so what the model gets for one.
    """
    names = [field.name for field in fields if field.nullable and field.dtype in ("bool", *INTEGERS)]
    kind = tables.kind_of(data)
    if names and kind == "numpy" and data.dtype.kind in "biu":
        return np.asarray(data, dtype=np.float64, order="F" if data.flags.f_contiguous else "C")
    if names and kind == "pandas":
        from fourfold.tables import pandas_columns

        return pandas_columns.to_floats(data, names)
    return data


def _choose_nulls(form: dict[str, Any], fields: Sequence[Field], known: Mapping[str, Levels]) -> None:
    """Choose, in place, what stands for a missing text in a column of objects that misses none.

    It is what the model's encoder was trained with, and otherwise NaN, as pandas reads it from a file.
    """
    nullable = {field.name for field in fields if field.nullable}
    for column in form["columns"]:
        name = str(column["label"])
        if name in nullable and column["dtype"] == "object" and column.get("of") == "str" and "null" not in column:
            levels = known.get(name)
            column["null"] = (levels.missing if levels is not None else None) or "NaN"


def column_names(data: Any) -> list[Any] | None:
    """Return the names of the columns of a frame, an Arrow table or rows; `None` for any other container."""
    kind = tables.kind_of(data)
    if kind in ("pandas", "polars"):
        return list(data.columns)
    if kind == "arrow":
        return list(data.schema.names) if hasattr(data.schema, "names") else None
    return list(dict.fromkeys(key for row in data for key in row)) if kind == "rows" else None


def column_kinds(frame: Any, declared: Declared) -> list[str]:
    """Return what each column of a pandas frame holds, as `tables.pandas_columns.kinds`, or what is declared of it."""
    from fourfold.tables import pandas_columns

    chosen = {field.name for field in declared.fields if field.categories is not None} | declared.category
    return ["category" if name in chosen else kind for name, kind in pandas_columns.kinds(frame).items()]


def column_values(frame: Any, name: str) -> list[Any]:
    """Return the distinct values of a column of a pandas frame, without missing ones."""
    from fourfold.tables import pandas_columns

    return pandas_columns.values(frame, name)


def select_columns(data: Any, columns: Sequence[str]) -> Any:
    """Return a frame with only these columns, in this order.

    Raises:
        PackError: `data` is no frame, or lacks a column.
    """
    kind = tables.kind_of(data)
    names = column_names(data)
    if kind not in ("pandas", "polars", "arrow") or names is None:
        way_out = " (read the file first, as pandas.read_parquet does)" if isinstance(data, (str, Path)) else ""
        raise PackError(
            f"the model was trained on a frame with the columns {shorten(list(columns), 200)}: give a sample "
            "with them; "
            f"got {_described(data)}{way_out}"
        )
    labels = {str(label): label for label in names}  # a library names the column of a label 0 "0"
    missing = [name for name in columns if str(name) not in labels]
    if missing:
        # One column renamed is the usual case; the name in the rows that it may be is said.
        others = [label for label in labels if label not in set(map(str, columns))]
        listed = ", ".join(shorten(name) + did_you_mean(str(name), others) for name in missing)
        raise PackError(f"the sample lacks columns that the model was trained with: {listed}")
    chosen = [name if name in names else labels[str(name)] for name in columns]
    if names == chosen:
        return data
    return data[chosen] if kind == "pandas" else data.select(chosen)


def frame_to_array(data: Any) -> np.ndarray[Any, Any]:
    """Return a frame as a C-ordered array of one dtype and shape `(rows, columns)`, for a model that knows no names."""
    if tables.kind_of(data) == "arrow":
        table = pa.table(data)
        return np.column_stack([column.to_numpy() for column in table.columns])
    return np.ascontiguousarray(data.to_numpy())


def _described(data: Any) -> str:
    shape = f" of shape {data.shape}" if hasattr(data, "shape") else ""
    return f"a {type(data).__module__}.{type(data).__qualname__}{shape}"
