"""Compile norms of sparse rows, and their division by them, as `sklearn.preprocessing.normalize` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fourfold.plan.compile.columns import FLOAT32, Column, Compiler, Matrix, NoPlan, Numeric, runs
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Bag, Number

__all__ = ["divide_row", "normalize_bags", "round_bag", "row_norm"]


def row_norm(matrix: Matrix, norm: str, compiler: Compiler) -> Number:
    """Return the norm of a sparse row: its stored values are added in their order, in float64.

    Args:
        matrix: columns of one floating dtype.
        norm: `l1`, `l2` or `max`.
        compiler: the plan's compiler.

    Raises:
        NoPlan: the norm is another one.
    """
    graph, columns = compiler.graph, matrix.columns
    total = graph.constant([0.0])[0]
    edges = dict(runs(columns))
    starts = sorted({0, *edges, *edges.values()} - {len(columns)})
    for start, stop in zip(starts, [*starts[1:], len(columns)], strict=True):
        part = columns[start:stop]
        if start in edges:
            total = _add_bags([compiler.bag(part)], norm, total, matrix.dtype, compiler)
            continue
        values = compiler.numbers(part)
        sizes = graph.map_two(MathFunction.MUL, values, values) if norm == "l2" else graph.map(MathFunction.ABS, values)
        sizes = graph.map(MathFunction.ROUND32, sizes) if matrix.dtype == FLOAT32 else sizes
        total = graph.fold(MathFunction.MOST if norm == "max" else MathFunction.SUM, [total, *sizes])
    return _square_root(total, norm, compiler)


def normalize_bags(bags: Sequence[Bag], norm: str, dtype: np.dtype[Any], compiler: Compiler) -> list[Bag]:
    """Return adjacent bags with each row divided by the norm of the whole row, unless that is 0."""
    graph = compiler.graph
    total = _add_bags(bags, norm, graph.constant([0.0])[0], dtype, compiler)
    divisor = _divisor(_square_root(total, norm, compiler), compiler)
    return [round_bag(graph.bag_row(MathFunction.DIV, bag, divisor), dtype, compiler) for bag in bags]


def divide_row(matrix: Matrix, norm: Number, compiler: Compiler) -> tuple[Column, ...]:
    """Return the columns divided by a norm, unless that is 0."""
    graph, divisor = compiler.graph, _divisor(norm, compiler)
    columns = list(matrix.columns)
    edges = runs(columns)
    for start, stop in edges:
        quotients = graph.bag_row(MathFunction.DIV, compiler.bag(columns[start:stop]), divisor)
        bag = round_bag(quotients, matrix.dtype, compiler)
        columns[start:stop] = compiler.bag_columns(bag, matrix.dtype, finite=False)
    in_bags = {index for start, stop in edges for index in range(start, stop)}
    indexes = [index for index in range(len(columns)) if index not in in_bags]
    values = graph.map_two(MathFunction.DIV, compiler.numbers([columns[index] for index in indexes]), [divisor])
    values = graph.map(MathFunction.ROUND32, values) if matrix.dtype == FLOAT32 else values
    for index, value in zip(indexes, values, strict=True):
        columns[index] = Numeric(value, matrix.dtype)
    return tuple(columns)


def round_bag(bag: Bag, dtype: np.dtype[Any], compiler: Compiler) -> Bag:
    """Return the bag with its entries rounded where the dtype is float32."""
    return compiler.graph.bag_map(MathFunction.ROUND32, bag) if dtype == FLOAT32 else bag


def _add_bags(bags: Sequence[Bag], norm: str, total: Number, dtype: np.dtype[Any], compiler: Compiler) -> Number:
    """Return a norm continued over adjacent bags; for `l2` its square."""
    function = {"l1": MathFunction.ABSOLUTES, "l2": MathFunction.SQUARES, "max": MathFunction.MOST}.get(norm)
    if function is None:
        raise NoPlan(f"rows are divided by the norm {norm}")
    for bag in bags:
        entries = compiler.graph.bag_map(MathFunction.ABS, bag) if norm == "max" else bag
        total = compiler.graph.bag_fold(function, entries, total, float32=dtype == FLOAT32)
    return total


def _square_root(total: Number, norm: str, compiler: Compiler) -> Number:
    return compiler.graph.map(MathFunction.SQRT, [total])[0] if norm == "l2" else total


def _divisor(norm: Number, compiler: Compiler) -> Number:
    return compiler.graph.select([norm], [norm], compiler.graph.constant([1.0]))[0]
