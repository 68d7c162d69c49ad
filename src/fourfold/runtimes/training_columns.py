"""Give a sample the columns that its model was trained with, where its rows lost them.

Rows from CSV or SQL hold categories as text, and codes of digits as integers; a sample of a frame lacks the categories
that none of its rows has. What the model knows of its columns, and what the caller declares, brings them back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fourfold import tables
from fourfold.errors import PackError, shorten
from fourfold.runtimes.declared import Declared
from fourfold.runtimes.levels import Levels
from fourfold.signature.field import Field

__all__ = ["FRAMES", "Restored", "restore", "spell_text"]

#: The containers whose columns are brought back.
FRAMES = ("pandas", "polars")

#: The most categories of an encoder that the signature lists for a column of text; an encoder refuses others by itself.
MAX_LISTED = 1_000


@dataclass
class Restored:
    """Hold a frame with the columns of training.

    Attributes:
        data: the frame.
        categories: the categories that fields get, by name; those of other fields are inferred.
        open: the names of the fields whose model answers values that are no category.
        closed: the names of those whose model refuses such values, though its container would make them missing.
        origins: where the categories of a field come from, by its name.
    """

    data: Any
    categories: dict[str, tuple[Any, ...] | None] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    origins: dict[str, str] = field(default_factory=dict)

    def apply(self, inferred: Sequence[Field]) -> tuple[Field, ...]:
        """Return inferred fields with the model's categories."""
        return tuple(self._apply(field) for field in inferred)

    def close(self, declared: Sequence[Field]) -> tuple[Field, ...]:
        """Return fields of which those have the model's list that are declared without one where the model needs it."""
        return tuple(
            replace(item, categories=self.categories[item.name])
            if item.name in self.closed and item.categories is None
            else item
            for item in declared
        )

    def _apply(self, inferred: Field) -> Field:
        name = inferred.name
        if name not in self.categories:
            return inferred
        categories = self.categories[name]
        is_open = categories is not None and name in self.open
        return Field(
            name, inferred.dtype, nullable=inferred.nullable, categories=categories, open=is_open, zone=inferred.zone
        )


def restore(data: Any, declared: Declared, known: Mapping[str, Levels]) -> Restored:
    """Return a frame of pandas or polars with the columns that its model was trained with.

    Args:
        data: the frame.
        declared: what the caller declares of the fields.
        known: what the model knows of its columns of categories, by name.

    Raises:
        PackError: a column holds what the model cannot have been trained with, or a declaration contradicts the model.
    """
    restored = Restored(spell_text(data, declared))
    for name, kind in tables.columns_of(data).kinds(restored.data).items():
        levels = known.get(name)
        if levels is not None or name in declared.category:
            _restore_column(restored, name, kind, declared, levels)
    return restored


def spell_text(data: Any, declared: Declared) -> Any:
    """Return a frame whose columns that are declared text are text; a container that is no frame stays as it is.

    Raises:
        PackError: a column holds values that have no one spelling.
    """
    if tables.kind_of(data) not in FRAMES:
        return data
    columns = tables.columns_of(data)
    spelled = data
    for name, kind in columns.kinds(data).items():
        if declared.is_text(name) and kind in ("category", "bool", "integer", "float"):
            spelled = columns.to_text(spelled, name)
    return spelled


def _restore_column(restored: Restored, name: str, kind: str, declared: Declared, levels: Levels | None) -> None:
    """Change one column of a frame; see `restore`."""
    columns = tables.columns_of(restored.data)
    field = declared.field(name)
    listed = None if field is None else field.categories
    if name in declared.open and levels is not None:
        _check_open(f"open names {shorten(name)}", levels)
    if levels is not None and levels.categories:
        held = columns.categories(restored.data, name) if kind == "category" else None
        shown = columns.values(restored.data, name)
        _check_kind(name, kind, shown, held, levels)
        if levels.are_texts:
            _check_zeros(name, shown, levels)
        if field is not None:
            _check_declared(field, levels)
        can_hold = levels.are_texts or tables.kind_of(restored.data) == "pandas"  # an Enum of polars holds text only
        is_open = name in declared.open or (field is not None and _is_open(field))
        if is_open and not levels.needs_dtype and kind == "category":
            # In a categorical dtype other values would be missing, and the model has an answer of its own to them.
            restored.data = columns.to_values(restored.data, name)
            if field is None and levels.are_texts:
                _list_texts(restored, name, levels)
        elif is_open and not levels.needs_dtype and kind != "text":
            return  # a plain column takes any value of its dtype
        elif can_hold and (levels.needs_dtype or kind == "category" or name in declared.category):
            _to_model_categories(restored, name, held, shown, levels)
            if name in declared.open and name not in restored.open:
                restored.open.add(name)
                restored.origins[name] += "; open, as declared"
        elif kind == "text":
            _list_texts(restored, name, levels)
        return
    needs_dtype = levels is not None and levels.needs_dtype
    if listed is not None and (needs_dtype or name in declared.category):
        restored.data = columns.to_categories(restored.data, name, listed)
        restored.origins[name] = "declared"
    elif name in declared.category:
        shown = sorted(columns.values(restored.data, name))
        if kind != "category":
            restored.data = columns.to_categories(restored.data, name, shown)
        restored.origins[name] = "the rows, in their order"
    elif levels is not None and not levels.needs_dtype:
        if kind == "category" and (field is None or _is_open(field)):
            are_booleans = _are_booleans(columns.categories(restored.data, name))
            # A list that is closed would refuse what the model answers, and one that is open would make it missing.
            restored.data = (
                columns.to_categories(restored.data, name, [False, True])
                if are_booleans
                else columns.to_values(restored.data, name)
            )
        restored.origins[name] = levels.source
    elif levels is not None and kind == "text":
        raise PackError(
            f"column {shorten(name)}: the model takes categories (a categorical dtype), and the rows hold text; the "
            "model stores no list of them: declare it in the order of training, inputs={"
            f"{name!r}: Field({name!r}, 'string', categories=(…))}}, or give rows with the dtype of training"
        )
    elif levels is not None and kind == "category":
        restored.origins[name] = levels.source


def _list_texts(restored: Restored, name: str, levels: Levels) -> None:
    """Tell the field of a column of plain text which categories the model knows."""
    if len(levels.categories or ()) <= MAX_LISTED:
        restored.categories[name] = levels.categories
        restored.origins[name] = levels.source
        if levels.unknown != "error":
            restored.open.add(name)


def _to_model_categories(
    restored: Restored, name: str, held: Sequence[Any] | None, shown: Sequence[Any], levels: Levels
) -> None:
    """Make a column one of the model's categories, and tell its field of them."""
    columns = tables.columns_of(restored.data)
    assert levels.categories is not None
    values = _as_shown(levels.categories, shown if held is None else held)
    known = set(values)
    unknown = [value for value in shown if value not in known]
    if unknown and levels.unknown == "error":
        raise PackError(
            f"column {shorten(name)}: the rows hold the category {shorten(unknown[0])}, which the model does not know; "
            f"it knows {_first_of(values)} ({levels.source})"
        )
    if levels.unknown == "own":
        values = (*values, *(value for value in (held or ()) if value not in known), *(unknown if held is None else ()))
        if held is not None and set(held) == set(values):
            values = tuple(held)  # an encoder goes by the values, so their order may stay
    elif not levels.is_ordered and held is not None and set(held) == known:
        values = tuple(held)
    restored.data = columns.to_categories(restored.data, name, values)
    restored.categories[name] = values
    restored.origins[name] = levels.source
    if levels.needs_dtype and levels.unknown == "error":
        restored.closed.add(name)
    if unknown and levels.unknown == "missing":
        restored.open.add(name)
        example = shorten(unknown[0])
        restored.origins[name] += f"; open, as rows hold {example}, which the model takes for a missing value"


def _check_kind(name: str, kind: str, shown: Sequence[Any], held: Sequence[Any] | None, levels: Levels) -> None:
    """Check that a column holds texts where the model knows texts, and numbers where it knows numbers."""
    values = shown if held is None else held
    if not values:
        return
    stored = f"({_first_of(levels.categories or ())}: {levels.source})"
    holds_texts = all(isinstance(value, str) for value in values)
    holds_numbers = all(isinstance(value, (bool, int, float)) for value in values)
    of_dtype = f" of {'text' if holds_texts else 'numbers'}" if kind == "category" else ""
    if levels.are_texts and holds_numbers:
        dtype = {"integer": "int64", "float": "float64", "bool": "bool"}.get(kind, "categories")
        raise PackError(
            f"column {shorten(name)}: the model takes text {stored}, and "
            f"the rows hold {dtype}{of_dtype} ({shorten(values[0])}): read the column as text "
            f"(pandas.read_csv(…, dtype={{{name!r}: str}})), or declare it text: --text {name} or text=[{name!r}]"
        )
    if levels.are_numbers and holds_texts:
        raise PackError(
            f"column {shorten(name)}: the model takes numbers {stored}, and "
            f"the rows hold text ({shorten(values[0])}): give the column in the dtype of training"
        )


def _check_zeros(name: str, shown: Sequence[Any], levels: Levels) -> None:
    """Raise `PackError` where rows lost the zeros in front of a code: `1067` for `01067`, which the model knows."""
    by_digits = {value.lstrip("0"): value for value in levels.categories or () if value.startswith("0")}
    known = set(levels.categories or ())
    for value in shown:
        if isinstance(value, str) and value not in known and value.lstrip("0") in by_digits:
            raise PackError(
                f"column {shorten(name)}: the rows hold {shorten(value)} where the model knows "
                f"{shorten(by_digits[value.lstrip('0')])} ({levels.source}): the zeros in front were lost; read the "
                f"column as text (pandas.read_csv(…, dtype={{{name!r}: str}}))"
            )


def _is_open(field: Field) -> bool:
    return field.categories is None or field.open


def _check_declared(field: Field, levels: Levels) -> None:
    """Check a declared field against the categories of the model; an encoder may have an answer to others."""
    name, known = field.name, set(levels.categories or ())
    if field.open:
        _check_open(f"input {shorten(name)}: it is declared open", levels)
    unknown = [value for value in field.categories or () if value not in known]
    if unknown and levels.unknown != "own":
        raise PackError(
            f"input {shorten(name)}: the category {shorten(unknown[0])} is declared, which the model does not know; it "
            f"knows {_first_of(levels.categories or ())} ({levels.source})"
        )


def _check_open(declared: str, levels: Levels) -> None:
    """Raise `PackError` where the model refuses the values that a declaration, in these words, lets through."""
    if levels.unknown == "error":
        known = f"; it knows {_first_of(levels.categories)} ({levels.source})" if levels.categories else ""
        raise PackError(f"{declared}, and the model refuses a category that it does not know{known}")


def _as_shown(values: Sequence[Any], shown: Sequence[Any]) -> tuple[Any, ...]:
    """Return the model's categories in the type of the rows' values: a model may store True as 1.0, and 2 as 2.0."""
    types = {type(value) for value in shown}
    convert: Any = next(iter(types)) if len(types) == 1 else None
    if convert not in (bool, int) or not all(value == convert(value) for value in values):
        return tuple(values)
    return tuple(convert(value) for value in values)


def _are_booleans(values: Sequence[Any]) -> bool:
    return all(isinstance(value, bool) for value in values)


def _first_of(values: Sequence[Any], limit: int = 4) -> str:
    text = ", ".join(shorten(value, 40) for value in values[:limit])
    return text if len(values) <= limit else f"{text}, … ({len(values)} in all)"
