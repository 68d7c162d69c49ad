"""What holds other estimators: pipelines, columns apart and side by side, searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fourfold.plan.compile import answer, answers, transform, transforms
from fourfold.plan.compile.arrays import array, dense, is_fixed_width, is_masked, objects, retyped, stored
from fourfold.plan.compile.columns import (
    FLOAT32,
    FLOAT64,
    NA,
    OBJECT,
    Column,
    Compiler,
    Matrix,
    NoPlan,
    Numeric,
    Opaque,
    Text,
)
from fourfold.plan.format import Kind, MathFunction

__all__ = ["METHODS", "applied", "output_library"]

#: What a predictor can be asked.
METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples")
_SEARCHES = tuple(
    f"sklearn.{name}" for name in ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV")
)


def output_library(model: Any) -> str | None:
    """The library of the frames that a transformer makes (`set_output`), or `None` where it makes arrays."""
    chosen = getattr(model, "_sklearn_output_config", {}).get("transform")
    return str(chosen) if chosen in ("pandas", "polars") else None


def applied(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What the next step sees of a transformer's answer: an array, or the frame that `set_output` asks for."""
    made = transform(model, matrix, compiler)
    library = output_library(model)
    wraps = "transform" in getattr(model, "_sklearn_auto_wrap_output_keys", ())
    if library is None or not wraps or not hasattr(model, "get_feature_names_out"):
        return made
    names = _names(model)
    if made.sparse or (made.frame and made.polars != (library == "polars")):
        raise NoPlan(f"the {type(model).__name__} makes no frame of {library} of what it gives")
    if made.frame:
        return replace(made, names=names)
    columns = _framed(made, library) if made.dtype == OBJECT else made.columns
    return Matrix(columns, frame=True, names=names, polars=library == "polars")


def _names(model: Any) -> tuple[str, ...] | None:
    """The names of the columns that a transformer gives; none where a part of it cannot tell."""
    try:
        return tuple(str(name) for name in model.get_feature_names_out())
    except AttributeError:  # what scikit-learn takes for an answer, too
        return None


def _framed(matrix: Matrix, library: str) -> tuple[Column, ...]:
    """An array of objects as a frame: pandas makes text of the columns that hold nothing else."""
    if library == "polars":
        raise NoPlan("polars guesses the dtypes of a frame of objects from its rows")
    for column in matrix.columns:
        if isinstance(column, Text) and column.nullable and column.missing is None:
            raise NoPlan("pandas makes NaN of None where it stands beside text, so the answer depends on other rows")
    return matrix.columns


# Pipelines.


@transforms("sklearn.Pipeline")
def pipeline_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Each step's answer to the one before."""
    return _through([step for _, step in model.steps], matrix, compiler)


def _through(steps: Sequence[Any], matrix: Matrix, compiler: Compiler) -> Matrix:
    for step in steps:
        if step is not None and not _is(step, "passthrough"):
            matrix = applied(step, matrix, compiler)
    return matrix


def _pipeline_answer(method: str) -> Any:
    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        *before, last = (step for _, step in model.steps)
        return answer(last, method, _through(before, matrix, compiler), compiler)

    return rule


def _search_answer(method: str) -> Any:
    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        return answer(model.best_estimator_, method, matrix, compiler)

    return rule


def _frozen_answer(method: str) -> Any:
    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        return answer(model.estimator, method, matrix, compiler)

    return rule


for _method in METHODS:
    answers(_method, "sklearn.Pipeline")(_pipeline_answer(_method))
    answers(_method, *_SEARCHES)(_search_answer(_method))
    answers(_method, "sklearn.FrozenEstimator")(_frozen_answer(_method))


@transforms(*_SEARCHES)
def search_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The best estimator's answer."""
    return applied(model.best_estimator_, matrix, compiler)


@transforms("sklearn.FrozenEstimator")
def frozen_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The estimator's own answer."""
    return applied(model.estimator, matrix, compiler)


# Side by side.


@transforms("sklearn.ColumnTransformer")
def column_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Each transformer's answer to its own columns, side by side."""
    names = [name for name, _, _ in model.transformers_]
    if len(set(names)) != len(names):
        raise NoPlan("two transformers of a ColumnTransformer have the name remainder, which is taken")
    weights = model.transformer_weights or {}
    blocks = []
    for name, transformer, columns in model.transformers_:
        if _is(transformer, "drop") or _is_empty(columns):
            continue
        mine = matrix.take(_places(model, name, matrix))
        # What is passed through was made a FunctionTransformer while it was fitted.
        made = mine if _is(transformer, "passthrough") else applied(transformer, mine, compiler)
        blocks.append(_weighted(made, weights.get(name), compiler))
    if output_library(model) != "pandas":
        for block in blocks:
            _refuse_masked(block, compiler)
    sparse = bool(getattr(model, "sparse_output_", False))
    return _side_by_side(model, blocks, compiler, sparse=sparse, present=output_library(model) != "pandas")


@transforms("sklearn.FeatureUnion")
def feature_union(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Each transformer's answer to all columns, side by side."""
    weights = model.transformer_weights or {}
    blocks = []
    for name, transformer in model.transformer_list:
        if _is(transformer, "drop"):
            continue
        made = matrix if _is(transformer, "passthrough") else applied(transformer, matrix, compiler)
        blocks.append(_weighted(made, weights.get(name), compiler))
    return _side_by_side(model, blocks, compiler, sparse=any(block.sparse for block in blocks))


def _places(model: Any, name: str, matrix: Matrix) -> list[int]:
    """The places of a transformer's columns: by name in a frame that has those of training, otherwise by number."""
    places = [int(place) for place in model._transformer_to_input_indices[name]]  # noqa: SLF001 - no other place has it
    known = getattr(model, "feature_names_in_", None)
    if known is None or not matrix.frame or matrix.names is None:
        return places
    by_name = {str(label): place for place, label in enumerate(matrix.names)}
    try:
        return [by_name[str(known[place])] for place in places]
    except KeyError as error:
        raise NoPlan(f"a ColumnTransformer takes the column {error}, which the step before does not give") from error


def _is_empty(columns: Any) -> bool:
    """Whether a transformer has no columns: then it was not fitted."""
    if hasattr(columns, "dtype") and np.issubdtype(columns.dtype, np.bool_):
        return not columns.any()
    if isinstance(columns, list) and all(isinstance(each, bool) for each in columns):
        return not any(columns)
    return hasattr(columns, "__len__") and len(columns) == 0


def _refuse_masked(matrix: Matrix, compiler: Compiler) -> None:
    """Refuse `pandas.NA` in a block that is put beside others: a ColumnTransformer lets none into its array."""
    masked = [each for each in matrix.columns if is_masked(each) and not getattr(each, "finite", False)]
    compiler.graph.refuse(compiler.numbers(masked), Kind.NAN, "a missing value is pandas.NA, which no array holds")


def _weighted(matrix: Matrix, weight: Any, compiler: Compiler) -> Matrix:
    """The columns times a number."""
    if weight is None:
        return matrix
    columns = matrix.columns if matrix.frame else retyped(matrix, matrix.dtype).columns
    out = list(columns)
    for held in {OBJECT if isinstance(column, (Text, Opaque)) else column.dtype for column in columns}:
        dtype = held if held == OBJECT else np.result_type(held, weight)
        if dtype not in (FLOAT32, FLOAT64):
            raise NoPlan(f"a transformer's weight makes {dtype} of its columns: weights are floats here, of numbers")
        places = [place for place, column in enumerate(columns) if getattr(column, "dtype", OBJECT) == held]
        constant = float(dtype.type(weight))
        made = compiler.map(MathFunction.MUL, [columns[place] for place in places], constant, dtype=dtype)
        for place, column in zip(places, made, strict=True):
            masked = is_masked(columns[place]) and isinstance(column, Numeric)
            out[place] = replace(column, missing=NA) if masked else column  # type: ignore[type-var]
    return replace(matrix, columns=tuple(out))


def _side_by_side(
    model: Any, blocks: Sequence[Matrix], compiler: Compiler, *, sparse: bool, present: bool = False
) -> Matrix:
    """Blocks of columns as one array, sparse matrix or frame; `present` says that none misses a value of pandas's."""
    library = output_library(model)
    if blocks and library and all(block.frame and block.polars == (library == "polars") for block in blocks):
        columns = tuple(column for block in blocks for column in block.columns)
        return Matrix(columns, frame=True, polars=library == "polars")
    fixed = [all(map(is_fixed_width, block.columns)) and not block.frame for block in blocks]
    if blocks and all(fixed):
        return Matrix(tuple(column for block in blocks for column in block.columns))
    arrays = [array(block, present=present) for block in blocks]
    arrays = arrays if sparse else [dense(block, compiler) for block in arrays]
    if any(fixed) and not any(block.dtype == OBJECT for block, text in zip(arrays, fixed, strict=True) if not text):
        raise NoPlan("NumPy makes text of numbers beside an array of text: train on an array of objects, or on a frame")
    dtype = Matrix(tuple(column for block in arrays for column in block.columns)).dtype
    if sparse:
        arrays = [stored(_numeric(block), compiler) for block in arrays]
        columns = tuple(column for block in arrays for column in block.columns)
        return retyped(Matrix(columns, sparse=True), Matrix(columns).dtype)
    columns = tuple(column for block in arrays for column in block.columns)
    return objects(Matrix(columns)) if dtype == OBJECT else retyped(Matrix(columns), dtype)


def _numeric(matrix: Matrix) -> Matrix:
    """Objects as the float64 that a sparse matrix holds of them."""
    return retyped(matrix, np.dtype(np.float64)) if matrix.dtype == OBJECT else matrix


def _is(step: Any, word: str) -> bool:
    return isinstance(step, str) and step == word
