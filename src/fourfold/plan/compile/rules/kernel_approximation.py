"""Compile scikit-learn's approximations of kernels by random weights (`sklearn.kernel_approximation`).

They need a BLAS, `cos`, `sin` or `log`, so they are close and not exact. PolynomialCountSketch has no rule: its Fourier
transforms leave rounding noise where the exact answer is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fourfold.plan.compile import transforms
from fourfold.plan.compile.arrays import floats, numbers
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Compiler, Matrix, NoPlan
from fourfold.plan.compile.scores import add_constants, as_matrix, logarithms, round_numbers
from fourfold.plan.compile.sums import apply_constants, matrix_product, round_to_dtype
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []


@transforms("sklearn.RBFSampler")
def radial_sampler(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `RBFSampler.transform`: `sqrt(2 / n_components) * cos(X @ random_weights_ + random_offset_)`."""
    inputs = numbers(matrix, compiler, model)
    return _cosine_features(inputs, model, (2.0 / model.n_components) ** 0.5, compiler)


@transforms("sklearn.SkewedChi2Sampler")
def skewed_sampler(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `SkewedChi2Sampler.transform`.

    It is `sqrt(2) / sqrt(n_components) * cos(log(X + skewedness) @ random_weights_ + random_offset_)`. A row with a
    value that is not above `-skewedness` is refused.
    """
    graph = compiler.graph
    inputs = floats(matrix, compiler, model)
    lower_bound = float(round_to_dtype(-model.skewedness, inputs.dtype))
    is_above = graph.map_const(MathFunction.GT, compiler.numbers(inputs.columns), lower_bound)
    graph.refuse(is_above, Kind.ZERO, "the SkewedChi2Sampler takes nothing that is not above minus its skewedness")
    inputs = apply_constants(
        inputs, round_to_dtype(model.skewedness, inputs.dtype), compiler, function=MathFunction.ADD, in_place=True
    )
    inputs = as_matrix(logarithms(compiler, compiler.numbers(inputs.columns), inputs.dtype), inputs.dtype)
    return _cosine_features(inputs, model, np.sqrt(2.0) / np.sqrt(model.n_components), compiler)


def _cosine_features(matrix: Matrix, model: Any, height: float, compiler: Compiler) -> Matrix:
    """Return `height * cos(X @ random_weights_ + random_offset_)`, in the dtype of the product."""
    values, dtype = matrix_product(compiler, matrix, model.random_weights_, model)
    values = round_numbers(compiler, add_constants(compiler, values, dtype, model.random_offset_)[0], dtype)
    compiler.approximate("NumPy's cos differs from one processor to another")
    cosines = round_numbers(compiler, compiler.graph.map(MathFunction.COS, values), dtype)
    # A Python factor takes the array's dtype; a NumPy factor stays float64 and the product is rounded in place.
    factor = float(height) if dtype == FLOAT64 or isinstance(height, np.floating) else float(np.float32(height))
    return as_matrix(round_numbers(compiler, compiler.graph.map_const(MathFunction.MUL, cosines, factor), dtype), dtype)


@transforms("sklearn.AdditiveChi2Sampler")
def additive_sampler(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `AdditiveChi2Sampler.transform`.

    With the interval `s`: first `sqrt(x * s)` of each column, then for each step `j` below `sample_steps`
    `sqrt(2 * x * s / cosh(pi * j * s))` times `cos(j * s * log(x))` and times `sin` of the same. A value of 0 gives 0.

    Raises:
        NoPlan: the columns are integers, or the sampler has no interval.
    """
    graph = compiler.graph
    inputs = numbers(matrix, compiler, model)
    dtype = inputs.dtype
    if dtype not in (FLOAT32, FLOAT64):
        raise NoPlan(f"an AdditiveChi2Sampler writes into an array of {dtype}")
    interval = (
        {1: 0.8, 2: 0.5, 3: 0.4}.get(model.sample_steps) if model.sample_interval is None else model.sample_interval
    )
    if interval is None:
        raise NoPlan("an AdditiveChi2Sampler has no interval between its samples")
    rounded_interval = float(round_to_dtype(interval, dtype))
    entries = compiler.numbers(inputs.columns)
    is_negative = graph.map_const(MathFunction.LT, entries, 0.0)
    graph.refuse(
        graph.map_const(MathFunction.EQ, is_negative, 0.0),
        Kind.ZERO,
        "the AdditiveChi2Sampler takes no negative number",
    )
    zeros, is_nonzero = graph.constant([0.0]) * len(entries), graph.map_const(MathFunction.NE, entries, 0.0)

    def zero_where_zero(values: list[Number]) -> list[Number]:
        """Return values in the array's dtype, with 0 where the column is 0."""
        return graph.select(is_nonzero, round_numbers(compiler, values, dtype), zeros)

    features = zero_where_zero(
        graph.map(
            MathFunction.SQRT,
            round_numbers(compiler, graph.map_const(MathFunction.MUL, entries, rounded_interval), dtype),
        )
    )
    compiler.approximate("NumPy's sin and cos differ from one processor to another")
    logs = round_numbers(
        compiler, graph.map_const(MathFunction.MUL, logarithms(compiler, entries, dtype), rounded_interval), dtype
    )
    twice = round_numbers(compiler, graph.map_const(MathFunction.MUL, entries, 2.0), dtype)
    twice = round_numbers(compiler, graph.map_const(MathFunction.MUL, twice, rounded_interval), dtype)
    for step in range(1, model.sample_steps):
        amplitudes = graph.map(
            MathFunction.SQRT, graph.map_const(MathFunction.DIV, twice, np.cosh(np.pi * step * interval))
        )
        angles = round_numbers(compiler, graph.map_const(MathFunction.MUL, logs, float(step)), dtype)
        for function in (MathFunction.COS, MathFunction.SIN):
            values = round_numbers(compiler, graph.map(function, angles), dtype)
            features += zero_where_zero(graph.map_two(MathFunction.MUL, amplitudes, values))
    return Matrix(as_matrix(features, dtype).columns, sparse=inputs.sparse)
