"""Find the column for which a model refuses rows, where its library's own words do not name it.

One cell after the other is replaced by a number until the model answers. This happens only after a failure, on one row.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa

from fourfold import tables
from fourfold.errors import describe, shorten
from fourfold.runtimes.levels import Levels

__all__ = ["describe_failure", "describe_refusal"]

#: The most columns that are tried.
MAX_TRIED_COLUMNS = 2_000
#: How an array of texts becomes one of numbers.
_ARRAY_CAST = "rows.astype(float)"
#: How texts become numbers in a column of pandas, and in one of another container.
_CAST = "pandas.to_numeric(rows[{name}])"
_CASTS = {"polars": "rows[{name}].cast(polars.Float64)", "arrow": 'rows[{name}].cast("double")', "numpy": _ARRAY_CAST}
#: The most fields that are named.
MAX_NAMED_FIELDS = 3


def describe_failure(
    error: BaseException,
    data: Any,
    ask: Callable[[Any], Any],
    known: Mapping[str, Levels] | None = None,
    names: Sequence[str] | None = None,
) -> str:
    """Return why a model fails on rows: the column, what the model takes and what the rows hold, and what to do.

    Args:
        error: what the model raised.
        data: the rows, in the container of training.
        ask: asks the model about rows in such a container.
        known: what the model knows of its columns of categories.
        names: the names of the columns of an array.

    Returns:
        A sentence; the library's words where no single column is to blame.
    """
    kind = tables.kind_of(data)
    if kind == "numpy" and data.ndim == 2:
        if data.dtype.kind == "U" and _answers(np.zeros((1, data.shape[1])), ask):
            return (
                f"the model takes numbers, and the array holds text ({data.dtype}): give the numbers that it was "
                f"trained with (of texts, {_ARRAY_CAST})"
            )
        data, ask = _array_as_frame(data, ask, names or [f"x{index}" for index in range(data.shape[1])])
    elif kind in ("polars", "arrow") and find_spec("pandas") is not None:
        data, ask = _table_as_frame(data, ask)
    if tables.kind_of(data) != "pandas":
        return describe(error)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        row = _failing_row(data, ask)
        column = None if row is None else _culprit(row[1], ask, known or {})
    if row is None or column is None:
        return describe(error)
    index, frame = row
    position, expected, way = column
    way = way.replace(_CAST, _CASTS.get(kind or "", _CAST)).format(name=repr(str(frame.columns[position])))
    got = _in_words(frame.iloc[0, position], frame.dtypes.iloc[position])
    name = shorten(str(frame.columns[position]))
    return f"column {name}: the model takes {expected}, and the rows hold {got} (row {index}): {way}"


def _array_as_frame(data: Any, ask: Callable[[Any], Any], names: Sequence[str]) -> tuple[Any, Callable[[Any], Any]]:
    """Return a pandas frame of an array's columns, and a function that asks the model about such a frame."""
    import pandas as pd

    frame = pd.DataFrame(data.astype(object), columns=list(names)).infer_objects()
    return frame, lambda rows: ask(rows.to_numpy(dtype=object))


def _table_as_frame(data: Any, ask: Callable[[Any], Any]) -> tuple[Any, Callable[[Any], Any]]:
    """Return a pandas frame of a frame of polars or an Arrow table, and a function that asks about such a frame."""

    def ask_frame(rows: Any) -> Any:
        table = pa.Table.from_pandas(rows, preserve_index=False)
        return ask(table if tables.kind_of(data) == "arrow" else tables.of_arrow("polars", table))

    return pa.table(data).to_pandas(), ask_frame


def describe_refusal(error: BaseException, batch: Any) -> str:
    """Return why an engine failed on a canonical record batch: the library's words, and fields that may be to blame.

    Rows that fit the signature may still hold what the model takes no answer from: infinities, NaN and missing values.
    """
    named: list[str] = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if not pa.types.is_floating(column.type):
            continue
        values = column.to_numpy(zero_copy_only=False)
        if not np.isfinite(values).all():
            got = "inf" if np.isinf(values).any() else "NaN or a missing value"
            named.append(f"{shorten(name)} holds {got}")
    if not named:
        return describe(error)
    more = f" and {len(named) - MAX_NAMED_FIELDS} more" if len(named) > MAX_NAMED_FIELDS else ""
    fields = ", ".join(named[:MAX_NAMED_FIELDS]) + more
    way = "leave such rows out, or pack a model with a step that replaces it"
    return f"the field {fields}, which the model does not take: {way} ({describe(error)})"


def _answers(frame: Any, ask: Callable[[Any], Any]) -> bool:
    try:
        ask(frame)
    except Exception:  # noqa: BLE001  # whatever the model's library raises
        return False
    return True


def _failing_row(data: Any, ask: Callable[[Any], Any]) -> tuple[int, Any] | None:
    """Return the index of a row that the model refuses alone, and a frame of it; `None` where none does."""
    start, stop = 0, len(data)
    while stop - start > 1:
        middle = (start + stop) // 2
        start, stop = (middle, stop) if _answers(data.iloc[start:middle], ask) else (start, middle)
    frame = data.iloc[start:stop]
    return None if _answers(frame, ask) else (start, frame)


def _culprit(frame: Any, ask: Callable[[Any], Any], known: Mapping[str, Levels]) -> tuple[int, str, str] | None:
    """Return the position of the column without which a row is answered, what the model takes there, and what to do.

    Where several columns are wrong the first one is found: the others are replaced meanwhile.
    """
    columns = range(min(frame.shape[1], MAX_TRIED_COLUMNS))
    changes: dict[int, Any] = {}
    attempt, words = frame, _words(frame, ask)
    values = {column: _stand_in(frame, column, known) for column in columns if _is_suspect(frame, column, known)}
    for position, value in values.items():
        next_attempt = _with_values(attempt, {position: value})
        next_words = _words(next_attempt, ask)
        if next_words != words:  # another column is next to blame, or none
            changes[position], attempt, words = value, next_attempt, next_words
        if not words:
            break
    if words and _answers(_with_values(frame, values), ask):  # the columns are refused in the same words
        changes, words = values, ""
    if words:
        culprit = next((column for column in columns if _answers(_with_values(frame, {column: 0.0}), ask)), None)
    else:
        others = ({other: value for other, value in changes.items() if other != column} for column in changes)
        pairs = zip(changes, others, strict=True)
        culprit = next((column for column, rest in pairs if not _answers(_with_values(frame, rest), ask)), None)
    return None if culprit is None else (culprit, *_expected(frame, culprit, known))


def _is_suspect(frame: Any, position: int, known: Mapping[str, Levels]) -> bool:
    """Return whether a cell is anything but a finite number, or one where the model takes categories."""
    if str(frame.columns[position]) in known:
        return True
    cell = frame.iloc[0, position]
    return frame.dtypes.iloc[position].kind not in "iufb" or _is_missing(cell) or not math.isfinite(float(cell))


def _words(frame: Any, ask: Callable[[Any], Any]) -> str:
    try:
        ask(frame)
    except Exception as error:  # noqa: BLE001  # whatever the model's library raises
        return describe(error)
    return ""


def _stand_in(frame: Any, position: int, known: Mapping[str, Levels]) -> Any:
    """Return a value that the model takes in a column: a category that it knows, or a number."""
    levels = known.get(str(frame.columns[position]))
    if levels is None:
        return 0.0
    return levels.categories[0] if levels.categories else "0"


def _with_values(frame: Any, values: Mapping[int, Any]) -> Any:
    copy = frame.copy()
    for position, value in values.items():
        copy.isetitem(position, [value])
    return copy


def _expected(frame: Any, position: int, known: Mapping[str, Levels]) -> tuple[str, str]:
    """Return what the model takes in a column, and what to do."""
    name, cell, kind = str(frame.columns[position]), frame.iloc[0, position], frame.dtypes.iloc[position].kind
    levels = known.get(name)
    if levels is not None and levels.categories:
        return (
            f"one of {shorten(list(levels.categories), 100)} ({levels.source})",
            "leave such rows out, or train the model with them",
        )
    if levels is not None:
        return "categories there: texts or integers", "give the column as text: rows[{name}].astype(str)"
    if _is_missing(cell) and kind in "iufb":
        return "no missing value there", "fill the gap in a step of the model (SimpleImputer), or leave such rows out"
    if kind in "iufb":
        return "finite numbers that fit its dtype there", "leave such rows out, or clip the values"
    return "numbers there", f"give the numbers that it was trained with (of texts, {_CAST})"


def _is_missing(cell: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_scalar(cell) and pd.isna(cell))


def _in_words(cell: Any, dtype: Any) -> str:
    if _is_missing(cell):
        return "a missing value"
    plain = cell.item() if hasattr(cell, "item") else cell
    match plain:
        case bool() | int() | float():
            return f"{plain} ({dtype})"
        case str():
            return f"the {'category' if str(dtype) == 'category' else 'text'} {shorten(plain)}"
        case _:
            return f"{shorten(str(plain))} ({dtype})"
