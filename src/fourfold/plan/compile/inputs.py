"""Compile a plan's inputs to the columns of the container that the model was trained with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fourfold.plan.compile.columns import (
    FLOAT64,
    NA,
    OBJECT,
    Coded,
    Column,
    Compiler,
    Matrix,
    NoPlan,
    Numeric,
    Opaque,
    Text,
)
from fourfold.plan.format import TYPES
from fourfold.signature.field import INTEGERS, Field

__all__ = ["ports", "training_matrix"]

#: A container's missing value, by its name in the form.
_NULLS = {"None": None, "NaN": math.nan}
#: The largest integer up to which float64 holds every integer.
_MAX_EXACT_INTEGER = 2**53


def ports(fields: Sequence[Field]) -> list[tuple[str, str]]:
    """Return the name and dtype of each field that a plan can read: the plan's inputs."""
    return [(field.name, field.dtype) for field in fields if _readable(field)]


def training_matrix(form: Mapping[str, Any], fields: Sequence[Field], compiler: Compiler) -> Matrix:
    """Return the columns of the container that a form describes.

    Args:
        form: the result of `fourfold.tables.form`, or `{"container": "texts"}` for a list of texts.
        fields: the signature's inputs.
        compiler: the compiler of a graph whose inputs are `ports(fields)`.

    Raises:
        NoPlan: the container is of a kind that plans do not know.
    """
    indexes = {name: index for index, (name, _) in enumerate(compiler.graph.inputs)}
    match form["container"]:
        case "texts":
            return Matrix((Text(indexes[fields[0].name]),))
        case "numpy":
            forms = form.get("objects") or [{"dtype": form["dtype"]}] * len(fields)
            forms = [{"dtype": "object", **column} if "objects" in form else column for column in forms]
            columns = [_column(column, field, indexes, compiler) for column, field in zip(forms, fields, strict=True)]
            return Matrix(tuple(columns))
        case "pandas":
            by_name = {field.name: field for field in fields}
            labels = tuple(column["label"] for column in form["columns"])
            columns = [_column(column, by_name[str(column["label"])], indexes, compiler) for column in form["columns"]]
            return Matrix(tuple(columns), frame=True, names=labels)
        case "polars":
            by_name = {field.name: field for field in fields}
            labels = tuple(column["name"] for column in form["columns"])
            columns = [
                _column(_numpy_form(column), by_name[column["name"]], indexes, compiler) for column in form["columns"]
            ]
            # Missing text of polars is None, even where a text became missing because it is no category.
            columns = [replace(column, missing=None) if isinstance(column, Text) else column for column in columns]
            return Matrix(tuple(columns), frame=True, names=labels, polars=True)
    raise NoPlan(f"the model was trained on a container of {form['container']}")


def _readable(field: Field) -> bool:
    return field.dtype in TYPES and not field.shape


def _column(form: Mapping[str, Any], field: Field, indexes: Mapping[str, int], compiler: Compiler) -> Column:
    """Return the column of a frame or an array that a form describes."""
    if not _readable(field):
        kind = f"{field.dtype} tensors" if field.shape else f"a {field.dtype}"
        return Opaque(f"the column {field.name} holds {kind}, which no plan reads")
    index, dtype = indexes[field.name], form["dtype"]
    if dtype == "category":
        return _category(form, field, index, compiler)
    is_pandas_dtype = dtype == "arrow" or dtype != str(dtype).lower() or dtype == "boolean"
    if dtype == "arrow":
        form = {**_numpy_form(form), "null": "NA"}
        dtype = form["dtype"]
    if field.dtype == "string":
        missing = _NULLS.get(form.get("null", "None"), ...) if dtype == "object" else form.get("missing", math.nan)
        if dtype == "string" or missing is ...:
            # Models treat pandas.NA each in their own way, so no plan relies on any of them.
            return Text(index, None, nullable=False) if not field.nullable else Opaque("missing text is pandas.NA")
        return Text(index, missing, nullable=field.nullable)
    finite = not field.nullable and field.dtype not in ("float32", "float64")
    number = compiler.graph.number(index)
    if dtype == "object":
        if field.nullable and form.get("null") == "NA":
            return Opaque("missing values are pandas.NA")
        missing = _NULLS[form.get("null", "NaN")]
        may_be_either = missing is None and field.dtype in ("float32", "float64")
        return Numeric(number, OBJECT, finite, ... if may_be_either else missing)
    declared = np.dtype(str(dtype).lower().replace("boolean", "bool"))
    numpy_dtype = FLOAT64 if field.nullable and declared.kind in "biu" else declared
    return Numeric(number, numpy_dtype, finite, NA if is_pandas_dtype else math.nan)


def _category(form: Mapping[str, Any], field: Field, index: int, compiler: Compiler) -> Column:
    categories = form["categories"]
    if field.dtype == "string":
        return Text(index, math.nan, nullable=True, categories=tuple(categories))
    # A number that is no category became a missing value.
    low, high = INTEGERS.get(field.dtype, (-math.inf, math.inf))
    known = sorted(value for value in categories if low <= value <= high)
    if field.dtype in INTEGERS and known and max(abs(known[0]), abs(known[-1])) > _MAX_EXACT_INTEGER:
        return Opaque(f"the categories of {field.name} are beyond 2^53, where numbers can no longer be told apart")
    code = compiler.graph.match(compiler.graph.number(index), known)
    return Coded(code, np.array([*known, math.nan, math.nan]), FLOAT64, categories=tuple(known))


def _numpy_form(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form of a column of an Arrow type as one of NumPy; Arrow's missing value is `None`."""
    if "enum" in form:
        return {"dtype": "category", "categories": form["enum"]}
    kind = form["type"]
    if isinstance(kind, str) and kind not in ("string", "large_string", "string_view"):
        return {"dtype": kind}
    return {"dtype": "object", "null": "None"}
