"""The columns that a model sees first: those of the container that it was trained with."""

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

#: What stands in a container where a value is missing, by the name that its form has for it.
_NULLS = {"None": None, "NaN": math.nan}
#: The last integer up to which a float64 tells all of them apart.
_EXACT = 2**53


def ports(fields: Sequence[Field]) -> list[tuple[str, str]]:
    """The inputs of a plan: the name and dtype of each field that a plan can read."""
    return [(field.name, field.dtype) for field in fields if _readable(field)]


def training_matrix(form: Mapping[str, Any], fields: Sequence[Field], compiler: Compiler) -> Matrix:
    """The columns of the container that a form describes.

    Args:
        form: what `fourfold.tables.form` gave, or `{"container": "texts"}` for a list of texts.
        fields: the signature's inputs.
        compiler: of a graph whose inputs are `ports(fields)`.

    Raises:
        NoPlan: no rule knows how the model saw such a container.
    """
    places = {name: place for place, (name, _) in enumerate(compiler.graph.inputs)}
    match form["container"]:
        case "texts":
            return Matrix((Text(places[fields[0].name]),))
        case "numpy":
            each = form.get("objects") or [{"dtype": form["dtype"]}] * len(fields)
            described = [{"dtype": "object", **one} if "objects" in form else one for one in each]
            columns = [_column(one, field, places, compiler) for one, field in zip(described, fields, strict=True)]
            return Matrix(tuple(columns))
        case "pandas":
            by_name = {field.name: field for field in fields}
            described = form["columns"]
            labels = tuple(one["label"] for one in described)
            columns = [_column(one, by_name[str(one["label"])], places, compiler) for one in described]
            return Matrix(tuple(columns), frame=True, names=labels)
        case "polars":
            by_name = {field.name: field for field in fields}
            described = [_of_arrow(one) for one in form["columns"]]
            labels = tuple(one["name"] for one in form["columns"])
            columns = [
                _column(one, by_name[name], places, compiler) for one, name in zip(described, labels, strict=True)
            ]
            # What is missing in text of polars is None, also where it came to be missing as no category.
            columns = [replace(each, missing=None) if isinstance(each, Text) else each for each in columns]
            return Matrix(tuple(columns), frame=True, names=labels, polars=True)
    raise NoPlan(f"the model was trained on a container of {form['container']}")


def _readable(field: Field) -> bool:
    return field.dtype in TYPES and not field.shape


def _column(form: Mapping[str, Any], field: Field, places: Mapping[str, int], compiler: Compiler) -> Column:
    """The column that a form says of a frame or an array."""
    if not _readable(field):
        kind = f"{field.dtype} tensors" if field.shape else f"a {field.dtype}"
        return Opaque(f"the column {field.name} holds {kind}, which no plan reads")
    place, dtype = places[field.name], form["dtype"]
    if dtype == "category":
        return _category(form, field, place, compiler)
    of_pandas = dtype == "arrow" or dtype != str(dtype).lower() or dtype == "boolean"
    if dtype == "arrow":
        form = {**_of_arrow(form), "null": "NA"}
        dtype = form["dtype"]
    if field.dtype == "string":
        missing = _NULLS.get(form.get("null", "None"), ...) if dtype == "object" else form.get("missing", math.nan)
        if dtype == "string" or missing is ...:
            # pandas.NA: what models make of it differs from one to the next, so none of its rules is relied on.
            return Text(place, None, nullable=False) if not field.nullable else Opaque("missing text is pandas.NA")
        return Text(place, missing, nullable=field.nullable)
    finite = not field.nullable and field.dtype not in ("float32", "float64")
    number = compiler.graph.number(place)
    if dtype == "object":
        if field.nullable and form.get("null") == "NA":
            return Opaque("missing values are pandas.NA")
        missing = _NULLS[form.get("null", "NaN")]
        both = missing is None and field.dtype in ("float32", "float64")
        return Numeric(number, OBJECT, finite, ... if both else missing)
    known = np.dtype(str(dtype).lower().replace("boolean", "bool"))
    held = FLOAT64 if field.nullable and known.kind in "biu" else known
    return Numeric(number, held, finite, NA if of_pandas else math.nan)


def _category(form: Mapping[str, Any], field: Field, place: int, compiler: Compiler) -> Column:
    categories = form["categories"]
    if field.dtype == "string":
        return Text(place, math.nan, nullable=True, categories=tuple(categories))
    # Integers: what is no category came to be a missing value.
    low, high = INTEGERS[field.dtype]
    known = sorted(value for value in categories if low <= value <= high)
    if known and max(abs(known[0]), abs(known[-1])) > _EXACT:
        return Opaque(f"the categories of {field.name} are beyond 2^53, where numbers can no longer be told apart")
    code = compiler.graph.match(compiler.graph.number(place), known)
    return Coded(code, np.array([*known, math.nan, math.nan]), FLOAT64, categories=tuple(known))


def _of_arrow(form: Mapping[str, Any]) -> dict[str, Any]:
    """The form of a column of an Arrow type, as one of NumPy's: Arrow says `None` where a value is missing."""
    if "enum" in form:
        return {"dtype": "category", "categories": form["enum"]}
    kind = form["type"]
    if isinstance(kind, str) and kind not in ("string", "large_string", "string_view"):
        return {"dtype": kind}
    return {"dtype": "object", "null": "None"}
