"""Change the columns of a pandas frame to what a model was trained with: categories, text, floats that may be missing.

No frame is changed: each function returns another one, which shares the columns that stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from fourfold.errors import PackError, shorten

__all__ = [
    "Kind",
    "are_respelled",
    "categories",
    "kinds",
    "to_categories",
    "to_floats",
    "to_text",
    "to_values",
    "values",
]

#: What a column holds, whatever its dtype: `category` is a column of a categorical dtype.
Kind = Literal["category", "text", "bool", "integer", "float", "other"]

_KINDS: dict[str, Kind] = {
    "string": "text",
    "boolean": "bool",
    "integer": "integer",
    "integer-na": "integer",
    "floating": "float",
    "mixed-integer-float": "float",
}


def kinds(frame: pd.DataFrame) -> dict[str, Kind]:
    """Return what each column holds, by its label as a string."""
    return {str(label): _kind(series) for label, series in frame.items()}


def _kind(series: pd.Series[Any]) -> Kind:
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return {"b": "bool", "i": "integer", "u": "integer", "f": "float"}[dtype.kind]  # type: ignore[return-value]
    return _KINDS.get(pd.api.types.infer_dtype(series, skipna=True), "other")


def values(frame: pd.DataFrame, name: str) -> list[Any]:
    """Return the distinct values of a column as Python values, in order of appearance, without missing ones."""
    series = _column(frame, name)
    distinct: list[Any] = series.dropna().unique().tolist()
    return distinct


def categories(frame: pd.DataFrame, name: str) -> list[Any]:
    """Return the categories of a column of a categorical dtype."""
    listed: list[Any] = _column(frame, name).cat.categories.tolist()
    return listed


def are_respelled(frame: pd.DataFrame, spelled: pd.DataFrame, name: str) -> bool:
    """Return whether a column of integers has another text than these in a frame of the same file read as text."""
    integers, texts = _column(frame, name), _column(spelled, name)
    is_present = texts.notna().to_numpy()
    if _kind(integers) != "integer" or not is_present.all():
        return False
    return [str(value) for value in integers.tolist()] != texts.tolist()


def to_categories(frame: pd.DataFrame, name: str, listed: Sequence[Any]) -> pd.DataFrame:
    """Return a frame whose column has a categorical dtype with exactly these categories; other values become missing.

    The categories keep their dtype, and their being ordered, where the column has some already.
    """
    series = _column(frame, name)
    if not isinstance(series.dtype, pd.CategoricalDtype):
        return _replaced(frame, name, series.astype(pd.CategoricalDtype(pd.Index(list(listed)))))
    if series.cat.categories.tolist() == list(listed):
        return frame
    index = pd.Index(list(listed))
    before = series.cat.categories.dtype
    if pd.api.types.infer_dtype(index) == pd.api.types.infer_dtype(series.cat.categories):
        index = index.astype(before)
    return _replaced(frame, name, series.cat.set_categories(index))


def to_values(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a frame whose categorical column has the dtype of its categories; objects where these are text."""
    series = _column(frame, name)
    dtype = series.cat.categories.dtype
    is_number = isinstance(dtype, np.dtype) and dtype.kind in "biu" and not series.isna().any()
    return _replaced(frame, name, series.astype(dtype if is_number else object))


def to_text(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a frame whose column of integers, of text or of categories of these is text, as CSV spells them.

    Raises:
        PackError: the column holds something else, which has no one spelling.
    """
    series = _column(frame, name)
    kind = _kind(series)
    is_text = kind == "category" and pd.api.types.infer_dtype(series.cat.categories) == "string"
    if kind == "text" or is_text:
        return frame
    if kind == "category":
        listed = series.cat.categories
        texts = [_spell(name, value) for value in listed.tolist()]
        return _replaced(frame, name, series.cat.rename_categories(texts))
    present = series.dropna()
    texts = [_spell(name, value) for value in present.tolist()]
    text = pd.Series(texts, index=present.index, dtype="str").reindex(series.index)
    return _replaced(frame, name, text)


def _spell(name: str, value: Any) -> str:
    """Return a value as text; a float stands for an integer where it is whole, as pandas reads gaps in integers."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return str(int(value))
    raise PackError(
        f"column {shorten(name)}: it is to be text, and the rows hold {shorten(value)}, which may be spelled in many "
        f"ways: give the column as text (pandas.read_csv(…, dtype={{{name!r}: str}}))"
    )


def to_floats(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return a frame whose columns of NumPy integers or booleans are float64, which may miss a value."""
    for name in names:
        series = _column(frame, name)
        if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biu":
            frame = _replaced(frame, name, series.astype(np.float64))
    return frame


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    return frame.iloc[:, _position(frame, name)]


def _position(frame: pd.DataFrame, name: str) -> int:
    return [str(label) for label in frame.columns].index(name)


def _replaced(frame: pd.DataFrame, name: str, series: pd.Series[Any]) -> pd.DataFrame:
    changed = frame.copy(deep=False)
    changed.isetitem(_position(frame, name), series.array)
    return changed
