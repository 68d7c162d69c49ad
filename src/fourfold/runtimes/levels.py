"""Find the categories that a model was trained with, wherever its library stores them.

No library is imported here: a model's own attributes tell. A caller's rows show some of the categories, the model knows
all of them, and in which order it numbers them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fourfold.errors import PackError, shorten
from fourfold.tables.values import missing_form

__all__ = ["Levels", "catboost_levels", "known_levels", "lightgbm_levels", "xgboost_levels"]

#: What a model makes of a value that is none of its categories: a missing value; an error; or an answer of its own, as
#: an encoder has that ignores what it does not know, or a hash of any text.
Unknown = Literal["missing", "error", "own"]


@dataclass(frozen=True)
class Levels:
    """Describe what a model knows of a column of categories.

    Attributes:
        categories: the categories in the model's order, without a missing one; `None` where the model stores none.
        source: what stores them, in words.
        unknown: what the model makes of any other value.
        needs_dtype: whether the model takes the column in a categorical dtype only. `False` for an encoder, which takes
            the values themselves, and for a model without a list.
        is_ordered: whether the numbers of the categories are their positions in `categories`, so that another list
            must give way to it.
        missing: the form of a missing value that the model knows as a category of its own: `"None"` or `"NaN"`.
    """

    categories: tuple[Any, ...] | None
    source: str
    unknown: Unknown
    needs_dtype: bool
    is_ordered: bool = False
    missing: str | None = None

    @property
    def are_texts(self) -> bool:
        """Return whether all categories are texts, of which there is at least one."""
        return bool(self.categories) and all(isinstance(value, str) for value in self.categories or ())

    @property
    def are_numbers(self) -> bool:
        """Return whether all categories are numbers or booleans, of which there is at least one."""
        return bool(self.categories) and all(isinstance(value, (bool, int, float)) for value in self.categories or ())


def lightgbm_levels(
    categories: Sequence[Sequence[Any]] | None,
    text: str,
    columns: Sequence[str],
    kinds: Sequence[str],
    values_of: Callable[[str], Sequence[Any]],
) -> dict[str, Levels]:
    """Return the categories of a LightGBM model by column.

    LightGBM stores a list for each category column of the training frame, and not which columns these were.

    Args:
        categories: the booster's `pandas_categorical`.
        text: the model in LightGBM's text format, whose `feature_infos` tell numbers from categories.
        columns: the names of the rows' columns, in the model's order.
        kinds: for each column `category`, `text` (which LightGBM takes as a category only) or another kind.
        values_of: returns the distinct values of a column of the rows.

    Raises:
        PackError: it cannot be told which columns the lists belong to.
    """
    of_rows = [index for index, kind in enumerate(kinds) if kind == "category"]
    if not categories:
        if of_rows:
            raise PackError(
                f"column {shorten(columns[of_rows[0]])}: the rows hold categories (a categorical dtype), and the model "
                "was trained without category columns: give the numbers that it was trained with"
            )
        return {}
    not_numbers = [index for index, kind in enumerate(kinds) if kind in ("category", "text")]
    of_categories = _of_categories(text)
    by_infos = [index for index in range(len(columns)) if index in of_categories or index in not_numbers]
    by_values = [
        index
        for index in range(len(columns))
        if index in by_infos or _are_in_one(values_of(columns[index]), categories)
    ]
    for indices in (of_rows, not_numbers, by_infos, by_values):
        if len(indices) == len(categories):
            return {
                columns[index]: Levels(
                    tuple(values), "LightGBM's pandas_categorical", "missing", needs_dtype=True, is_ordered=True
                )
                for index, values in zip(indices, categories, strict=True)
            }
    named = ", ".join(shorten(columns[index]) for index in by_infos) or "none"
    first = "; ".join(shorten(list(values), 60) for values in categories[:4])
    raise PackError(
        f"the model was trained with {len(categories)} category columns (their categories: {first}), and the rows have "
        f"{len(by_infos)} that can be these: {named}. Name the category columns: --category A,B or category=['A', 'B']"
    )


def _are_in_one(values: Sequence[Any], categories: Sequence[Sequence[Any]]) -> bool:
    """Return whether one of the lists has all of these values; LightGBM splits ordered categories as numbers."""
    return any(set(values) <= set(listed) for listed in categories)


def _of_categories(text: str) -> list[int]:
    """Return the indices of the columns that a LightGBM model in text format splits by category."""
    start = text.find("\nfeature_infos=")
    if start < 0:
        return []
    infos = text[start + 1 : text.index("\n", start + 1)].removeprefix("feature_infos=").split()
    # Numbers have a range, [0:1]; a column of one value has "none".
    return [index for index, info in enumerate(infos) if not info.startswith("[") and info != "none"]


def xgboost_levels(booster: Any, columns: Sequence[str]) -> dict[str, Levels]:
    """Return the categories of an XGBoost booster by column; versions before 3.1 store only which columns have some."""
    types = booster.feature_types or ()
    stored: dict[str, Any] = {}
    if "c" in types and hasattr(booster, "get_categories"):
        stored = dict(booster.get_categories(export_to_arrow=True).to_arrow() or ())
    names = booster.feature_names or columns
    levels: dict[str, Levels] = {}
    for column, name, kind in zip(columns, names, types, strict=False):
        if kind == "c":
            array = stored.get(name)
            values = None if array is None else _undamaged(array)
            source = "the categories in XGBoost's model" if values else "the rows: XGBoost's model stores none"
            if values is None and array is not None:
                source = "the rows: XGBoost's model damages names that are not ASCII"
            levels[column] = Levels(values or None, source, "error", needs_dtype=True, is_ordered=bool(values))
    return levels


def _undamaged(array: Any) -> tuple[Any, ...] | None:
    """Return the categories in a `pyarrow.Array`, `None` for text that is not all ASCII.

    XGBoost 3.2 splits the names by their lengths in characters instead of bytes: what follows a letter that is not
    ASCII is another name, or no text at all.
    """
    try:
        values = tuple(array.to_pylist())
    except UnicodeDecodeError:
        return None
    return values if all(value.isascii() for value in values if isinstance(value, str)) else None


def catboost_levels(model: Any, columns: Sequence[str]) -> dict[str, Levels]:
    """Return CatBoost's category columns; it knows no list of categories and answers any."""
    indices = model.get_cat_feature_indices()
    return {
        columns[index]: Levels(None, "CatBoost has no closed list", "own", needs_dtype=False)
        for index in indices
        if index < len(columns)
    }


def known_levels(model: Any, columns: Sequence[str]) -> dict[str, Levels]:
    """Return the categories that the encoders, histogram boosting and boosters in a model know, by column of its input.

    Only what sees a column as it comes is asked: an encoder behind a `ColumnTransformer`, in a pipeline behind an
    imputer, or the model itself.

    Args:
        model: an estimator, or a booster.
        columns: the names of its columns, in its order.
    """
    known: dict[str, Levels] = {}
    for column, levels in _walk(model, [*columns]):
        before = known.get(column)
        known[column] = levels if before is None else _merge(before, levels)
    return known


def _merge(first: Levels, second: Levels) -> Levels:
    """Return what two parts of a model know of one column together."""
    values = tuple(dict.fromkeys([*(first.categories or ()), *(second.categories or ())]))
    unknown: Unknown = "error" if "error" in (first.unknown, second.unknown) else first.unknown
    if first.unknown != second.unknown and unknown != "error":
        unknown = "own"
    return Levels(
        values,
        first.source,
        unknown,
        needs_dtype=first.needs_dtype or second.needs_dtype,
        is_ordered=first.is_ordered or second.is_ordered,
        missing=first.missing or second.missing,
    )


def _walk(model: Any, columns: list[str]) -> Iterator[tuple[str, Levels]]:
    """Yield the columns of which a part of an estimator knows the categories; `columns` go into it in this order."""
    if getattr(model, "steps", None):
        yield from _walk_steps([step for _, step in model.steps], columns)
    elif hasattr(model, "transformers_"):
        for _, transformer, chosen in model.transformers_:
            yield from _walk(transformer, _chosen(chosen, columns))
    elif hasattr(model, "transformer_list"):
        for _, transformer in model.transformer_list:
            yield from _walk(transformer, columns)
    elif _is_of(model, "sklearn", "OneHotEncoder", "OrdinalEncoder", "TargetEncoder"):
        yield from _encoder_levels(model, columns)
    elif getattr(model, "_preprocessor", None) is not None and hasattr(model, "is_categorical_"):
        yield from _histogram_levels(model, columns)
    elif getattr(model, "pandas_categorical", None) or _is_of(model, "lightgbm"):
        yield from _booster_levels(model, columns)
    elif _is_of(model, "xgboost") and hasattr(model, "save_model"):
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        yield from xgboost_levels(booster, columns).items()
    elif _is_of(model, "catboost") and hasattr(model, "get_cat_feature_indices"):
        yield from catboost_levels(model, columns).items()
    else:
        for part in _inner_models(model):
            yield from _walk(part, columns)


def _walk_steps(steps: Sequence[Any], columns: list[str]) -> Iterator[tuple[str, Levels]]:
    """Yield what the steps of a pipeline know, up to the first that changes the columns."""
    for step in steps:
        if step in (None, "passthrough"):
            continue
        yield from _walk(step, columns)
        keeps = _is_of(step, "sklearn", "SimpleImputer") and len(getattr(step, "statistics_", ())) == len(columns)
        if not keeps or getattr(step, "add_indicator", False) or _drops(step):
            return


def _drops(imputer: Any) -> bool:
    """Return whether an imputer drops a column that had no value at all in training."""
    return any(value != value for value in imputer.statistics_ if isinstance(value, float))


def _chosen(chosen: Any, columns: list[str]) -> list[str]:
    """Return the columns that a `ColumnTransformer` passes to one of its transformers."""
    if isinstance(chosen, slice):
        start, stop = (columns.index(end) if isinstance(end, str) else end for end in (chosen.start, chosen.stop))
        ends_with_name = isinstance(chosen.stop, str)
        return columns[start : stop + 1 if ends_with_name else stop]
    if isinstance(chosen, (str, int)) or not hasattr(chosen, "__len__"):
        chosen = [chosen]
    values = list(chosen)
    if values and len(values) == len(columns) and all(str(value) in ("True", "False") for value in values):
        return [column for column, is_chosen in zip(columns, values, strict=True) if is_chosen]
    names = [str(value) if isinstance(value, str) else columns[int(value)] for value in values]
    return names if all(name in columns for name in names) else []


def _encoder_levels(encoder: Any, columns: list[str]) -> Iterator[tuple[str, Levels]]:
    categories = getattr(encoder, "categories_", ())
    if len(categories) != len(columns):
        return
    unknown: Unknown = "error" if getattr(encoder, "handle_unknown", "own") == "error" else "own"
    for column, values in zip(columns, categories, strict=True):
        forms = {missing_form(value) for value in (values.tolist() if hasattr(values, "tolist") else values)} - {None}
        missing = forms.pop() if len(forms) == 1 else None
        source = f"its {type(encoder).__name__}"
        yield column, Levels(_plain(values), source, unknown, needs_dtype=False, missing=missing)


def _histogram_levels(model: Any, columns: list[str]) -> Iterator[tuple[str, Levels]]:
    encoder = model._preprocessor.named_transformers_["encoder"]  # noqa: SLF001 - the only place that keeps them
    chosen = [column for column, is_category in zip(columns, model.is_categorical_, strict=False) if is_category]
    is_dtype = isinstance(model.categorical_features, str)  # from_dtype; a list names columns of any dtype
    for column, values in zip(chosen, getattr(encoder, "categories_", ()), strict=False):
        levels = _plain(values)
        yield column, Levels(levels, "the categories of histogram boosting", "missing", needs_dtype=is_dtype)


def _booster_levels(model: Any, columns: list[str]) -> Iterator[tuple[str, Levels]]:
    """Yield what a LightGBM model inside an estimator knows; it sees every column as it comes."""
    booster = getattr(model, "booster_", model)
    categories = getattr(booster, "pandas_categorical", None)
    if not categories:
        return
    chosen = _of_categories(booster.model_to_string(num_iteration=1))
    if len(chosen) == len(categories) and booster.num_feature() == len(columns):
        for index, values in zip(chosen, categories, strict=True):
            source = "LightGBM's pandas_categorical"
            yield columns[index], Levels(tuple(values), source, "missing", needs_dtype=True, is_ordered=True)


def _inner_models(model: Any) -> list[Any]:
    """Return the estimators to which a meta-estimator passes all columns of its input."""
    if getattr(model, "calibrated_classifiers_", None):
        return [inner.estimator for inner in model.calibrated_classifiers_]
    if getattr(model, "estimators_features_", None) is not None:
        return []  # each sees some of the columns
    estimators = getattr(model, "estimators_", None)
    if isinstance(estimators, (list, tuple)):
        return list(estimators)
    attributes: Mapping[str, Any] = getattr(model, "__dict__", {})
    names = ("best_estimator_", "estimator_", "regressor_", "classifier_")
    return [attributes[name] for name in names if name in attributes]


def _plain(values: Any) -> tuple[Any, ...]:
    """Return categories as Python values, without those that stand for a missing value."""
    plain = values.tolist() if hasattr(values, "tolist") else list(values)
    return tuple(value for value in plain if missing_form(value) is None)


def _is_of(model: Any, library: str, *names: str) -> bool:
    """Return whether a model's class, or one that it derives from, is one of a library's."""
    return any(
        cls.__module__.partition(".")[0] == library and (not names or cls.__name__ in names)
        for cls in type(model).__mro__
    )
