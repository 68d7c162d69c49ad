"""Weighted sums of columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Coded, Column, Compiler, Matrix, NoPlan, Numeric, Text
from fourfold.plan.compile.sums import matrix_product, ordered_sums, weighted_sums
from fourfold.plan.graph.builder import Graph
from tests.plan.compile.test_columns import answers, spikes

RANDOM = np.random.default_rng(11)
ROWS = [{"x": x, "y": y, "t": t} for x in (0.1, -3.7e5, 0.0) for y in (2.5, -0.0) for t in ("t0", "t2", "?", None)]


def _make_compiler() -> Compiler:
    return Compiler(Graph([("x", "float64"), ("y", "float64"), ("t", "string")]))


def _mixed(compiler: Compiler, levels: tuple[float, float] = (0.0, 1.0)) -> list[Column]:
    """Numbers between one-hot columns, and another column of the same code."""
    code = compiler.graph.text(2, ["t0", "t1", "t2"])
    one_hot = spikes(code, levels)
    x, y = (Numeric(compiler.graph.number(place)) for place in (0, 1))
    return [x, *one_hot[:2], y, *one_hot[2:], Coded(code, np.array([0.3, -7.1, 1e5, 0.0, 2.0]))]


def _values(row: dict[str, Any], levels: tuple[float, float] = (0.0, 1.0)) -> list[float]:
    """What `_mixed` holds for a row."""
    place = {"t0": 0, "t1": 1, "t2": 2, "?": 3, None: 4}[row["t"]]
    hot = [levels[int(place == each)] for each in range(5)]
    return [row["x"], *hot[:2], row["y"], *hot[2:], [0.3, -7.1, 1e5, 0.0, 2.0][place]]


@pytest.mark.parametrize("levels", [(0.0, 1.0), (-0.25, 3.5)])
@pytest.mark.parametrize("width", [1, 3])
def test_columns_of_a_code_are_folded_into_a_table(levels: tuple[float, float], width: int) -> None:
    """Sums over numbers and over columns of codes are those of the same matrix."""
    compiler = _make_compiler()
    weights = RANDOM.normal(size=(8, width))
    found = answers(compiler, weighted_sums(compiler, _mixed(compiler, levels), weights), ROWS)
    expected = np.array([_values(row, levels) for row in ROWS]) @ weights
    np.testing.assert_allclose(np.array(found).reshape(expected.shape), expected, rtol=1e-13, atol=1e-9)


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32])
@pytest.mark.parametrize("width", [1, 3])
def test_ordered_sums_have_the_bits_of_a_sparse_matrix(dtype: np.dtype[Any], width: int) -> None:
    """Sums in the order of the columns have the bits of SciPy's, also of numbers between tables."""
    compiler = _make_compiler()
    weights = RANDOM.normal(size=(8, width)).astype(dtype)
    rows = [{**row, "x": float(dtype.type(row["x"]))} for row in ROWS]
    columns = [
        Coded(each.code, each.values.astype(dtype).astype(float), dtype) if isinstance(each, Coded) else each
        for each in _mixed(compiler)
    ]
    found = answers(compiler, ordered_sums(compiler, columns, weights, dtype), rows)
    expected = sparse.csr_matrix(np.array([_values(row) for row in rows], dtype=dtype)) @ weights
    assert np.array(found).reshape(expected.shape).astype(dtype).tobytes() == expected.tobytes()


def test_an_infinite_sum_leaves_the_others_alone() -> None:
    """A sum that overflows does not make NaN of the sums beside it."""
    compiler = _make_compiler()
    weights = np.zeros((8, 2))
    weights[0] = 1e10, 1.0
    weights[3] = 1.0, 2.0
    (found,) = answers(compiler, ordered_sums(compiler, _mixed(compiler), weights), [{"x": 1e300, "y": 3.0, "t": "t0"}])
    assert found == [np.inf, 1e300]


def test_a_hundred_thousand_one_hot_columns_are_one_lookup() -> None:
    """One-hot columns of one code cost one table of one number a code, and one step."""
    compiler = _make_compiler()
    code = compiler.graph.text(2, [f"t{place}" for place in range(100_000)])
    weights = RANDOM.normal(size=(code.limit, 1))
    made = weighted_sums(compiler, spikes(code, (0.0, 1.0)), weights)
    assert answers(compiler, made, [{"x": 0.0, "y": 0.0, "t": "t77777"}]) == [weights[77777, 0]]
    assert len(made[0].step.uses) == 2


def test_one_column_has_one_product_and_so_the_same_bits() -> None:
    """No library has a choice about the sum of one product; about two it has."""
    compiler = _make_compiler()
    columns = tuple(_mixed(compiler))
    _, dtype = matrix_product(compiler, Matrix(columns[:1]), np.ones((1, 2), dtype=np.float32), "Model")
    assert (dtype, list(compiler.approximations)) == (FLOAT64, [])
    matrix_product(compiler, Matrix(columns[:2]), np.ones((2, 2)), "Model")
    assert list(compiler.approximations) == ["a BLAS orders the sums of the Model"]


def test_sums_of_what_is_no_number_have_no_plan() -> None:
    """Text, other dtypes than floats, and weights for other columns are refused when a plan is made."""
    compiler = _make_compiler()
    x = Numeric(compiler.graph.number(0))
    with pytest.raises(NoPlan, match="text where numbers are needed"):
        weighted_sums(compiler, [Text(2)], np.ones((1, 1)))
    with pytest.raises(NoPlan, match="weights for 2 columns, where there are 1"):
        weighted_sums(compiler, [x], np.ones((2, 1)))
    with pytest.raises(NoPlan, match="computes in complex128"):
        matrix_product(compiler, Matrix((x,)), np.ones((1, 1)) * 1j, "Model")
