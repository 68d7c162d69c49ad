"""Read training rows from a file, in the container that a model was trained with."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from fourfold import codecs, tables
from fourfold.durable.reading import read_file
from fourfold.errors import PackError, SourceError, shorten
from fourfold.runtimes.levels import known_levels

__all__ = ["CONTAINERS", "read_training_rows", "restore_none", "text_columns"]

Container = Literal["pandas", "polars", "arrow", "numpy", "rows"]
CONTAINERS: tuple[Container, ...] = get_args(Container)


def read_training_rows(path: Path, container: Container, columns: Sequence[str] = (), text: Sequence[str] = ()) -> Any:
    """Read rows from a file in the form that the model was trained with.

    Args:
        path: a Parquet, CSV, JSON lines or Arrow file.
        container: one of `CONTAINERS`. `pandas` reads the file with pandas: a model trained on a frame from such a file
            has seen its dtypes and missing values.
        columns: the columns that the model takes, in its order; every column otherwise.
        text: columns of a CSV file whose cells stay text, for the container `pandas`.

    Raises:
        SourceError: the file cannot be read, or has another format.
        DecodeError: the content does not match the file's suffix.
        PackError: the file lacks a column.
        MissingLibrary: the container's library is not installed.
    """
    if container == "pandas":
        frame = tables.of_file(path, text)
        return frame[_check_columns(path, columns, map(str, frame.columns))] if columns else frame
    table = _decode(path)
    if container == "rows":
        rows = table if isinstance(table, list) else table.to_pylist()
        names = _check_columns(path, columns, dict.fromkeys(str(key) for row in rows for key in row))
        return [{name: row[name] for name in names if name in row} for row in rows] if columns else rows
    import pyarrow as pa

    arrow = pa.Table.from_pylist(table) if isinstance(table, list) else pa.table(table)
    if columns:
        arrow = arrow.select(_check_columns(path, columns, arrow.column_names))
    return arrow if container == "arrow" else tables.of_arrow(container, arrow)


def text_columns(path: Path, rows: Any, model: Any) -> list[str]:
    """Return the columns of a CSV file that hold codes of digits, which pandas read as integers and the model as text.

    They are those of which the model knows categories that are texts; of CatBoost, which knows none, those whose codes
    are another text than that of their integers, such as `00501`.

    Args:
        path: the file.
        rows: its rows as pandas reads them.
        model: the model.
    """
    if path.suffix.lower() != ".csv" or tables.kind_of(rows) != "pandas":
        return []
    from fourfold.tables import pandas_columns

    numbers = {name for name, kind in pandas_columns.kinds(rows).items() if kind in ("integer", "float", "bool")}
    names = [str(name) for name in getattr(model, "feature_names_in_", rows.columns)]
    known = {name: levels for name, levels in known_levels(model, names).items() if name in numbers}
    texts = [name for name, levels in known.items() if levels.are_texts]
    unlisted = [name for name, levels in known.items() if levels.categories is None and levels.unknown == "own"]
    if unlisted:
        spelled = tables.of_file(path, unlisted)
        texts += [name for name in unlisted if pandas_columns.are_respelled(rows, spelled, name)]
    return texts


def restore_none(rows: Any, model: Any) -> Any:
    """Return rows from a file with `None` for missing texts, where the model's encoders were trained with `None`.

    A file does not distinguish `None` from NaN, and pandas reads NaN.

    Args:
        rows: the rows; only pandas frames may change.
        model: the model. Its encoders show what it was trained with: `None` or NaN is among their categories.
    """
    if tables.kind_of(rows) != "pandas" or "sklearn" not in sys.modules:
        return rows
    from fourfold.runtimes.sklearn.inspection import walk_parts

    arrays = [array for part in walk_parts(model) for array in getattr(part, "__dict__", {}).get("categories_", ())]
    categories = [
        category for array in arrays if getattr(getattr(array, "dtype", None), "kind", "") == "O" for category in array
    ]
    if not any(category is None for category in categories) or any(
        isinstance(category, float) for category in categories
    ):
        return rows
    restored = rows.copy(deep=False)
    for label, column in rows.items():
        is_missing = column.isna()
        if is_missing.any() and _is_text(column):
            restored[label] = column.astype(object).where(~is_missing, None)
    return restored


def _is_text(column: Any) -> bool:
    """Return whether pandas holds a column as texts: of its own string dtype, or among objects."""
    name = str(column.dtype)
    return name.startswith("str") or (name == "object" and column.map(lambda value: isinstance(value, str)).any())


def _check_columns(path: Path, columns: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return the columns; raise `PackError` where one is not among the file's names."""
    names = list(names)
    missing = [name for name in columns if name not in names]
    if missing:
        lacking = ", ".join(map(shorten, missing))
        raise PackError(f"{path} lacks the columns {lacking} that the model takes; it has {', '.join(names)}")
    return list(columns)


def _decode(path: Path) -> Any:
    try:
        data = read_file(path)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    return codecs.by_suffix(path).decode(data, None)
