"""Rows of a sparse matrix that columns of texts may be in: their norms, and their division."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fourfold.plan.compile.columns import FLOAT32, Column, Compiler, Matrix, NoPlan, Numeric, runs
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Bag, Number

__all__ = ["divided", "normalized", "row_norm", "single"]


def row_norm(matrix: Matrix, norm: str, compiler: Compiler) -> Number:
    """The norm of a row of a sparse matrix: what is stored of it is added up in order, in doubles.

    Args:
        matrix: columns of one floating dtype.
        norm: `l1`, `l2` or `max`.
        compiler: of the plan.
    """
    graph, columns = compiler.graph, matrix.columns
    total = graph.constant([0.0])[0]
    edges = dict(runs(columns))
    starts = sorted({0, *edges, *edges.values()} - {len(columns)})
    for start, stop in zip(starts, [*starts[1:], len(columns)], strict=True):
        mine = columns[start:stop]
        if start in edges:
            total = _total([compiler.bag(mine)], norm, total, matrix.dtype, compiler)
            continue
        values = compiler.numbers(mine)
        sizes = graph.map_two(MathFunction.MUL, values, values) if norm == "l2" else graph.map(MathFunction.ABS, values)
        sizes = graph.map(MathFunction.ROUND32, sizes) if matrix.dtype == FLOAT32 else sizes
        total = graph.fold(MathFunction.MOST if norm == "max" else MathFunction.SUM, [total, *sizes])
    return _rooted(total, norm, compiler)


def normalized(bags: Sequence[Bag], norm: str, dtype: np.dtype[Any], compiler: Compiler) -> list[Bag]:
    """Each row of bags side by side divided by its norm, unless that is 0."""
    graph = compiler.graph
    total = _total(bags, norm, graph.constant([0.0])[0], dtype, compiler)
    divisor = _divisor(_rooted(total, norm, compiler), compiler)
    return [single(graph.bag_row(MathFunction.DIV, bag, divisor), dtype, compiler) for bag in bags]


def divided(matrix: Matrix, norm: Number, compiler: Compiler) -> tuple[Column, ...]:
    """The columns divided by a norm, unless that is 0."""
    graph, divisor = compiler.graph, _divisor(norm, compiler)
    made = list(matrix.columns)
    edges = runs(made)
    for start, stop in edges:
        bag = single(graph.bag_row(MathFunction.DIV, compiler.bag(made[start:stop]), divisor), matrix.dtype, compiler)
        made[start:stop] = compiler.bagged(bag, matrix.dtype, finite=False)
    inside = {place for start, stop in edges for place in range(start, stop)}
    places = [place for place in range(len(made)) if place not in inside]
    values = graph.map_two(MathFunction.DIV, compiler.numbers([made[place] for place in places]), [divisor])
    values = graph.map(MathFunction.ROUND32, values) if matrix.dtype == FLOAT32 else values
    for place, value in zip(places, values, strict=True):
        made[place] = Numeric(value, matrix.dtype)
    return tuple(made)


def single(bag: Bag, dtype: np.dtype[Any], compiler: Compiler) -> Bag:
    """The entries in a dtype: rounded where it is float32."""
    return compiler.graph.bag_map(MathFunction.ROUND32, bag) if dtype == FLOAT32 else bag


def _total(bags: Sequence[Bag], norm: str, total: Number, dtype: np.dtype[Any], compiler: Compiler) -> Number:
    """What a norm is made of, of bags side by side, from a first number on; of `l2` it is the square."""
    function = {"l1": MathFunction.ABSOLUTES, "l2": MathFunction.SQUARES, "max": MathFunction.MOST}.get(norm)
    if function is None:
        raise NoPlan(f"rows are divided by the norm {norm}")
    for bag in bags:
        read = compiler.graph.bag_map(MathFunction.ABS, bag) if norm == "max" else bag
        total = compiler.graph.bag_fold(function, read, total, float32=dtype == FLOAT32)
    return total


def _rooted(total: Number, norm: str, compiler: Compiler) -> Number:
    return compiler.graph.map(MathFunction.SQRT, [total])[0] if norm == "l2" else total


def _divisor(norm: Number, compiler: Compiler) -> Number:
    return compiler.graph.select([norm], [norm], compiler.graph.constant([1.0]))[0]
