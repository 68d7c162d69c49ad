"""Approximations of kernels by random weights and waves.

Count sketches have no rule: a fast Fourier transform leaves noise in places of its own where nothing was hashed to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import transforms
from fourfold.plan.compile.arrays import floats, numbers
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import as_matrix, logarithms, plus, single
from fourfold.plan.compile.sums import matrix_product, moved, rounded
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []


@transforms("sklearn.RBFSampler")
def radial_sampler(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The cosine of weighted sums and an offset."""
    made = numbers(matrix, compiler, model)
    return _waves(made, model, (2.0 / model.n_components) ** 0.5, compiler)


@transforms("sklearn.SkewedChi2Sampler")
def skewed_sampler(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The cosine of weighted sums of logarithms and an offset; what is too small has none."""
    graph = compiler.graph
    made = floats(matrix, compiler, model)
    least = float(rounded(-model.skewedness, made.dtype))
    enough = graph.map_const(MathFunction.GT, compiler.numbers(made.columns), least)
    graph.refuse(enough, Kind.ZERO, "the SkewedChi2Sampler takes nothing that is not above minus its skewedness")
    made = moved(made, rounded(model.skewedness, made.dtype), compiler, function=MathFunction.ADD, in_place=True)
    made = as_matrix(logarithms(compiler, compiler.numbers(made.columns), made.dtype), made.dtype)
    return _waves(made, model, np.sqrt(2.0) / np.sqrt(model.n_components), compiler)


def _waves(matrix: Matrix, model: Any, height: float, compiler: Compiler) -> Matrix:
    values, dtype = matrix_product(compiler, matrix, model.random_weights_, model)
    values = single(compiler, plus(compiler, values, dtype, model.random_offset_)[0], dtype)
    compiler.approximate("NumPy's cos differs from one processor to another")
    waves = single(compiler, compiler.graph.map(MathFunction.COS, values), dtype)
    # Weak as Python's own, or float64 and rounded in place: either way a product of float32 is rounded once.
    factor = float(height) if dtype == FLOAT64 or isinstance(height, np.floating) else float(np.float32(height))
    return as_matrix(single(compiler, compiler.graph.map_const(MathFunction.MUL, waves, factor), dtype), dtype)


@transforms("sklearn.AdditiveChi2Sampler")
def additive_sampler(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The root of every number, and then waves of its logarithm; 0 of 0."""
    graph = compiler.graph
    made = numbers(matrix, compiler, model)
    dtype = made.dtype
    if dtype not in (FLOAT32, FLOAT64):
        raise NoPlan(f"an AdditiveChi2Sampler writes into an array of {dtype}")
    interval = (
        {1: 0.8, 2: 0.5, 3: 0.4}.get(model.sample_steps) if model.sample_interval is None else model.sample_interval
    )
    if interval is None:
        raise NoPlan("an AdditiveChi2Sampler has no interval between its samples")
    step = float(rounded(interval, dtype))
    x = compiler.numbers(made.columns)
    low = graph.map_const(MathFunction.LT, x, 0.0)
    graph.refuse(
        graph.map_const(MathFunction.EQ, low, 0.0), Kind.ZERO, "the AdditiveChi2Sampler takes no negative number"
    )
    zeros, some = graph.constant([0.0]) * len(x), graph.map_const(MathFunction.NE, x, 0.0)

    def kept(values: list[Number]) -> list[Number]:
        return graph.select(some, single(compiler, values, dtype), zeros)

    out = kept(graph.map(MathFunction.SQRT, single(compiler, graph.map_const(MathFunction.MUL, x, step), dtype)))
    compiler.approximate("NumPy's sin and cos differ from one processor to another")
    logs = single(compiler, graph.map_const(MathFunction.MUL, logarithms(compiler, x, dtype), step), dtype)
    doubled = single(compiler, graph.map_const(MathFunction.MUL, x, 2.0), dtype)
    doubled = single(compiler, graph.map_const(MathFunction.MUL, doubled, step), dtype)
    for turn in range(1, model.sample_steps):
        height = graph.map(
            MathFunction.SQRT, graph.map_const(MathFunction.DIV, doubled, np.cosh(np.pi * turn * interval))
        )
        angles = single(compiler, graph.map_const(MathFunction.MUL, logs, float(turn)), dtype)
        for wave in (MathFunction.COS, MathFunction.SIN):
            values = single(compiler, graph.map(wave, angles), dtype)
            out += kept(graph.map_two(MathFunction.MUL, height, values))
    return Matrix(as_matrix(out, dtype).columns, sparse=made.sparse)
