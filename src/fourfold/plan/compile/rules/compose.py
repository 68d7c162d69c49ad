"""Compile scikit-learn's compositions: pipelines, ColumnTransformer, FeatureUnion, searches and FrozenEstimator.

They compute nothing of their own except for `transformer_weights`; they decide which container the next step sees: an
array, a sparse matrix, or a frame of pandas or polars (`sklearn.utils._set_output`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fourfold.plan.compile import answer, answers, transform, transforms
from fourfold.plan.compile.arrays import array, is_fixed_width, is_masked, to_dense, to_objects, to_sparse, with_dtype
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

__all__ = ["METHODS", "apply_transformer", "output_library"]

#: The methods of predictors.
METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples")
_SEARCHES = tuple(
    f"sklearn.{name}" for name in ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV")
)


def output_library(model: Any) -> str | None:
    """Return the library of the frames that a transformer gives (`set_output`), or `None` for arrays."""
    library = getattr(model, "_sklearn_output_config", {}).get("transform")
    return str(library) if library in ("pandas", "polars") else None


def apply_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return what the next step sees of a transformer's answer: an array, or the frame that `set_output` asks for.

    Raises:
        NoPlan: scikit-learn would build the frame in a way that a plan cannot repeat.
    """
    transformed = transform(model, matrix, compiler)
    library = output_library(model)
    wraps = "transform" in getattr(model, "_sklearn_auto_wrap_output_keys", ())
    if library is None or not wraps or not hasattr(model, "get_feature_names_out"):
        return transformed
    names = _names(model)
    if transformed.sparse or (transformed.frame and transformed.polars != (library == "polars")):
        raise NoPlan(f"the {type(model).__name__} makes no frame of {library} of what it gives")
    if transformed.frame:
        return replace(transformed, names=names)
    columns = _columns_of_objects(transformed, library) if transformed.dtype == OBJECT else transformed.columns
    return Matrix(columns, frame=True, names=names, polars=library == "polars")


def _names(model: Any) -> tuple[str, ...] | None:
    """Return the names of the columns that a transformer gives; `None` where a part of it has no such names."""
    try:
        return tuple(str(name) for name in model.get_feature_names_out())
    except AttributeError:  # scikit-learn ignores it, too
        return None


def _columns_of_objects(matrix: Matrix, library: str) -> tuple[Column, ...]:
    """Return the columns of a frame that is built from an array of objects; pandas finds columns of text in it.

    Raises:
        NoPlan: the dtypes of the frame depend on its rows.
    """
    if library == "polars":
        raise NoPlan("polars guesses the dtypes of a frame of objects from its rows")
    for column in matrix.columns:
        if isinstance(column, Text) and column.nullable and column.missing is None:
            raise NoPlan("pandas makes NaN of None where it stands beside text, so the answer depends on other rows")
    return matrix.columns


# Pipelines, searches and frozen estimators.


@transforms("sklearn.Pipeline")
def pipeline_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `Pipeline.transform`: each step applied to the answer of the one before."""
    return _apply_steps([step for _, step in model.steps], matrix, compiler)


def _apply_steps(steps: Sequence[Any], matrix: Matrix, compiler: Compiler) -> Matrix:
    """Apply transformers one after the other, except for `passthrough`."""
    for step in steps:
        if step is not None and not _is(step, "passthrough"):
            matrix = apply_transformer(step, matrix, compiler)
    return matrix


def _pipeline_answer(method: str) -> Any:
    """Return a rule for a method of a pipeline: that of its last step, after all others."""

    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        *transformers, last = (step for _, step in model.steps)
        return answer(last, method, _apply_steps(transformers, matrix, compiler), compiler)

    return rule


def _search_answer(method: str) -> Any:
    """Return a rule for a method of a search: that of its best estimator."""

    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        return answer(model.best_estimator_, method, matrix, compiler)

    return rule


def _frozen_answer(method: str) -> Any:
    """Return a rule for a method of a `FrozenEstimator`: that of its estimator."""

    def rule(model: Any, matrix: Matrix, compiler: Compiler) -> Any:
        return answer(model.estimator, method, matrix, compiler)

    return rule


for _method in METHODS:
    answers(_method, "sklearn.Pipeline")(_pipeline_answer(_method))
    answers(_method, *_SEARCHES)(_search_answer(_method))
    answers(_method, "sklearn.FrozenEstimator")(_frozen_answer(_method))


@transforms(*_SEARCHES)
def search_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `transform` of a search: that of its best estimator."""
    return apply_transformer(model.best_estimator_, matrix, compiler)


@transforms("sklearn.FrozenEstimator")
def frozen_transform(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `FrozenEstimator.transform`: that of its estimator."""
    return apply_transformer(model.estimator, matrix, compiler)


# Columns side by side.


@transforms("sklearn.ColumnTransformer")
def column_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `ColumnTransformer.transform`: each transformer's answer to its own columns, side by side.

    Raises:
        NoPlan: the container of the blocks depends on something that a plan cannot repeat.
    """
    names = [name for name, _, _ in model.transformers_]
    if len(set(names)) != len(names):
        raise NoPlan("two transformers of a ColumnTransformer have the name remainder, which is taken")
    weights = model.transformer_weights or {}
    blocks = []
    for name, transformer, columns in model.transformers_:
        if _is(transformer, "drop") or _is_empty(columns):
            continue
        inputs = matrix.take(_column_indices(model, name, matrix))
        # Fitting replaces "passthrough" by a FunctionTransformer.
        block = inputs if _is(transformer, "passthrough") else apply_transformer(transformer, inputs, compiler)
        blocks.append(_multiply_by_weight(block, weights.get(name), compiler))
    if output_library(model) != "pandas":
        for block in blocks:
            _refuse_masked(block, compiler)
    sparse = bool(getattr(model, "sparse_output_", False))
    return _side_by_side(model, blocks, compiler, sparse=sparse, present=output_library(model) != "pandas")


@transforms("sklearn.FeatureUnion")
def feature_union(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `FeatureUnion.transform`: each transformer's answer to all columns, side by side."""
    weights = model.transformer_weights or {}
    blocks = []
    for name, transformer in model.transformer_list:
        if _is(transformer, "drop"):
            continue
        block = matrix if _is(transformer, "passthrough") else apply_transformer(transformer, matrix, compiler)
        blocks.append(_multiply_by_weight(block, weights.get(name), compiler))
    return _side_by_side(model, blocks, compiler, sparse=any(block.sparse for block in blocks))


def _column_indices(model: Any, name: str, matrix: Matrix) -> list[int]:
    """Return the indices of a transformer's columns.

    In a frame they are found by the names of training, elsewhere by their positions in training.

    Raises:
        NoPlan: the frame lacks a column of training.
    """
    indices = [int(index) for index in model._transformer_to_input_indices[name]]  # noqa: SLF001 - nothing public has it
    trained_names = getattr(model, "feature_names_in_", None)
    if trained_names is None or not matrix.frame or matrix.names is None:
        return indices
    by_name = {str(label): index for index, label in enumerate(matrix.names)}
    try:
        return [by_name[str(trained_names[index])] for index in indices]
    except KeyError as error:
        raise NoPlan(f"a ColumnTransformer takes the column {error}, which the step before does not give") from error


def _is_empty(columns: Any) -> bool:
    """Tell whether a transformer has no columns; it was not fitted then."""
    if hasattr(columns, "dtype") and np.issubdtype(columns.dtype, np.bool_):
        return not columns.any()
    if isinstance(columns, list) and all(isinstance(item, bool) for item in columns):
        return not any(columns)
    return hasattr(columns, "__len__") and len(columns) == 0


def _refuse_masked(matrix: Matrix, compiler: Compiler) -> None:
    """Refuse rows with `pandas.NA` in a block.

    A ColumnTransformer raises an error for it unless it gives frames of pandas.
    """
    masked = [column for column in matrix.columns if is_masked(column) and not getattr(column, "finite", False)]
    compiler.graph.refuse(compiler.numbers(masked), Kind.NAN, "a missing value is pandas.NA, which no array holds")


def _multiply_by_weight(matrix: Matrix, weight: Any, compiler: Compiler) -> Matrix:
    """Return the columns times a transformer's weight, or as they are without one.

    Raises:
        NoPlan: the products are neither float32 nor float64.
    """
    if weight is None:
        return matrix
    columns = matrix.columns if matrix.frame else with_dtype(matrix, matrix.dtype).columns
    weighted_columns = list(columns)
    # In the order of the columns: that of a set would depend on the hash seed, and so would the plan's bytes.
    column_dtypes = [OBJECT if isinstance(column, (Text, Opaque)) else column.dtype for column in columns]
    for column_dtype in dict.fromkeys(column_dtypes):
        dtype = column_dtype if column_dtype == OBJECT else np.result_type(column_dtype, weight)
        if dtype not in (FLOAT32, FLOAT64):
            raise NoPlan(f"a transformer's weight makes {dtype} of its columns: weights are floats here, of numbers")
        indices = [index for index, column in enumerate(columns) if getattr(column, "dtype", OBJECT) == column_dtype]
        constant = float(dtype.type(weight))
        products = compiler.map(MathFunction.MUL, [columns[index] for index in indices], constant, dtype=dtype)
        for index, column in zip(indices, products, strict=True):
            masked = is_masked(columns[index]) and isinstance(column, Numeric)
            weighted_columns[index] = replace(column, missing=NA) if masked else column  # type: ignore[type-var]
    return replace(matrix, columns=tuple(weighted_columns))


def _side_by_side(
    model: Any, blocks: Sequence[Matrix], compiler: Compiler, *, sparse: bool, present: bool = False
) -> Matrix:
    """Return blocks of columns as one array, sparse matrix or frame (`_hstack`).

    Args:
        model: the ColumnTransformer or FeatureUnion.
        blocks: the answers of its transformers.
        compiler: the plan's compiler.
        sparse: whether the answer is a sparse matrix.
        present: whether no block has a missing value of a dtype of pandas' own.

    Raises:
        NoPlan: NumPy would make text of numbers.
    """
    library = output_library(model)
    if blocks and library and all(block.frame and block.polars == (library == "polars") for block in blocks):
        columns = tuple(column for block in blocks for column in block.columns)
        return Matrix(columns, frame=True, polars=library == "polars")
    is_fixed_text = [all(map(is_fixed_width, block.columns)) and not block.frame for block in blocks]
    if blocks and all(is_fixed_text):
        return Matrix(tuple(column for block in blocks for column in block.columns))
    arrays = [array(block, present=present) for block in blocks]
    arrays = arrays if sparse else [to_dense(block, compiler) for block in arrays]
    if any(is_fixed_text) and not any(
        block.dtype == OBJECT for block, is_text in zip(arrays, is_fixed_text, strict=True) if not is_text
    ):
        raise NoPlan("NumPy makes text of numbers beside an array of text: train on an array of objects, or on a frame")
    dtype = Matrix(tuple(column for block in arrays for column in block.columns)).dtype
    if sparse:
        arrays = [to_sparse(_objects_as_floats(block), compiler) for block in arrays]
        columns = tuple(column for block in arrays for column in block.columns)
        return with_dtype(Matrix(columns, sparse=True), Matrix(columns).dtype)
    columns = tuple(column for block in arrays for column in block.columns)
    return to_objects(Matrix(columns)) if dtype == OBJECT else with_dtype(Matrix(columns), dtype)


def _objects_as_floats(matrix: Matrix) -> Matrix:
    """Return an array of objects as float64, which is what a sparse matrix holds of them."""
    return with_dtype(matrix, np.dtype(np.float64)) if matrix.dtype == OBJECT else matrix


def _is(step: Any, word: str) -> bool:
    """Tell whether a step is a word, such as `passthrough`."""
    return isinstance(step, str) and step == word
