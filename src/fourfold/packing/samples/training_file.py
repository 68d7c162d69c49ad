"""Rows from a file, in the container that a model was trained with."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from fourfold import codecs, tables
from fourfold.errors import PackError, SourceError, shorten

__all__ = ["CONTAINERS", "as_seen", "training_rows"]

Container = Literal["pandas", "polars", "arrow", "numpy", "rows"]
CONTAINERS: tuple[Container, ...] = get_args(Container)


def training_rows(path: Path, container: Container, columns: Sequence[str] = ()) -> Any:
    """The rows of a file as the model was trained with them.

    Args:
        path: a Parquet, CSV, JSON lines or Arrow file.
        container: one of `CONTAINERS`. `pandas` reads the file with pandas, whose dtypes and missing values are those
            that a model trained on a frame from such a file has seen.
        columns: the columns that the model takes, in its order; every column otherwise.

    Raises:
        SourceError: the file cannot be read, or has no such format.
        DecodeError: it is not what its suffix says.
        PackError: a column is not there.
        MissingLibrary: the container's library is not installed.
    """
    if container == "pandas":
        frame = tables.of_file(path)
        return frame[_there(path, columns, map(str, frame.columns))] if columns else frame
    table = _decoded(path)
    if container == "rows":
        rows = table if isinstance(table, list) else table.to_pylist()
        names = _there(path, columns, dict.fromkeys(str(key) for row in rows for key in row))
        return [{name: row[name] for name in names if name in row} for row in rows] if columns else rows
    import pyarrow as pa

    arrow = pa.Table.from_pylist(table) if isinstance(table, list) else pa.table(table)
    if columns:
        arrow = arrow.select(_there(path, columns, arrow.column_names))
    return arrow if container == "arrow" else tables.of_arrow(container, arrow)


def as_seen(rows: Any, model: Any) -> Any:
    """Rows from a file, with missing texts as the model's encoders saw them: a file does not tell `None` from NaN.

    Args:
        rows: the rows; only frames of pandas, which reads NaN, may change.
        model: the model: where an encoder inside it knows `None` as a category, and none knows NaN, that is it.
    """
    if tables.kind_of(rows) != "pandas" or "sklearn" not in sys.modules:
        return rows
    from fourfold.runtimes.sklearn.inspection import reachable

    lists = [each for part in reachable(model) for each in getattr(part, "__dict__", {}).get("categories_", ())]
    known = [
        category for each in lists if getattr(getattr(each, "dtype", None), "kind", "") == "O" for category in each
    ]
    if not any(each is None for each in known) or any(isinstance(each, float) for each in known):
        return rows
    out = rows.copy(deep=False)
    for label, column in rows.items():
        gone = column.isna()
        if gone.any() and _is_text(column):
            out[label] = column.astype(object).where(~gone, None)
    return out


def _is_text(column: Any) -> bool:
    """Whether pandas holds a column as texts: of its own dtype, or among objects."""
    name = str(column.dtype)
    return name.startswith("str") or (name == "object" and column.map(lambda each: isinstance(each, str)).any())


def _there(path: Path, columns: Sequence[str], names: Iterable[str]) -> list[str]:
    """The columns, once it is sure that they are among the names."""
    names = list(names)
    missing = [name for name in columns if name not in names]
    if missing:
        lacking = ", ".join(map(shorten, missing))
        raise PackError(f"{path} lacks the columns {lacking} that the model takes; it has {', '.join(names)}")
    return list(columns)


def _decoded(path: Path) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    return codecs.by_suffix(path).decode(data, None)
