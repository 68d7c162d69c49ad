"""Compile scikit-learn's `FunctionTransformer` over functions of NumPy that a plan has.

Arithmetic, rounding and square roots have one correct answer, so they are exact. Functions that NumPy leaves to a libm,
or to code for each processor, are close.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from fourfold.plan.compile import transforms
from fourfold.plan.compile.arrays import array, clip, is_masked, multiply, numbers, with_dtype
from fourfold.plan.compile.columns import (
    FLOAT32,
    FLOAT64,
    OBJECT,
    Column,
    Compiler,
    Matrix,
    NoPlan,
    Numeric,
    Opaque,
    Text,
)
from fourfold.plan.format import MathFunction

__all__: list[str] = []

#: What computes a function for columns of one dtype.
_ColumnFunction = Callable[[Matrix, np.dtype[Any], Compiler], tuple[Column, ...]]

#: Functions whose last bit is defined.
_EXACT = {
    np.absolute: MathFunction.ABS,
    np.fabs: MathFunction.ABS,
    np.sqrt: MathFunction.SQRT,
    np.floor: MathFunction.FLOOR,
    np.ceil: MathFunction.CEIL,
    np.trunc: MathFunction.TRUNC,
    np.rint: MathFunction.RINT,
    np.sign: MathFunction.SIGN,
    np.negative: MathFunction.NEGATE,
    np.isnan: MathFunction.IS_NAN,
}
#: Functions that NumPy leaves to a libm, or to code for each processor.
_LIBM = {
    np.exp: MathFunction.EXP,
    np.expm1: MathFunction.EXPM1,
    np.log: MathFunction.LOG,
    np.log1p: MathFunction.LOG1P,
    np.log2: MathFunction.LOG2,
    np.log10: MathFunction.LOG10,
    np.sin: MathFunction.SIN,
    np.cos: MathFunction.COS,
    np.tanh: MathFunction.TANH,
    np.cbrt: MathFunction.CBRT,
}
#: Functions that leave integers as they are.
_KEEP_INTEGERS = (np.floor, np.ceil, np.trunc, np.positive)
#: Functions that may overflow for integers.
_OVERFLOW_INTEGERS = (np.absolute, np.negative, np.square, np.reciprocal)
#: Functions that a sparse matrix has, too.
_TAKE_SPARSE = (np.sin, np.tanh, np.rint, np.expm1, np.log1p, np.sqrt, np.absolute, np.negative, np.deg2rad)


@transforms("sklearn.FunctionTransformer")
def function_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `FunctionTransformer.transform`: a function of NumPy applied to the columns, or the columns without one.

    Raises:
        NoPlan: the function is not one of NumPy's that a plan has, or cannot be applied to the container.
    """
    inputs = numbers(matrix, compiler, model) if model.validate else matrix
    if model.func is None:
        return inputs
    function, keywords = _unwrap_partial(model.func, dict(model.kw_args or {}))
    column_function = _column_function(function, keywords)
    if inputs.sparse and function not in _TAKE_SPARSE:
        raise NoPlan(f"a FunctionTransformer applies {_name(function)} to a sparse matrix")
    keeps_frame = (
        inputs.frame and not inputs.polars and (isinstance(function, np.ufunc) or function in (np.clip, np.round))
    )
    if not keeps_frame:
        inputs = array(inputs)
        inputs = inputs if inputs.dtype == OBJECT else with_dtype(inputs, inputs.dtype)
    for column in inputs.columns:
        if isinstance(column, (Text, Opaque)) or column.dtype == OBJECT:
            raise NoPlan(f"a FunctionTransformer applies {_name(function)} to a column of objects")
        if is_masked(column) and keeps_frame:
            raise NoPlan(f"a FunctionTransformer applies {_name(function)} to a column of a dtype of pandas's own")
    columns: list[Column] = list(inputs.columns)
    # In the order of the columns: that of a set would depend on the hash seed, and so would the plan's bytes.
    dtypes = [column.dtype for column in inputs.columns if not isinstance(column, (Text, Opaque))]
    for dtype in dict.fromkeys(dtypes):
        indices = [index for index, column in enumerate(inputs.columns) if _dtype(column) == dtype]
        for index, column in zip(indices, column_function(inputs.take(indices), dtype, compiler), strict=True):
            columns[index] = column
    return Matrix(tuple(columns), frame=keeps_frame, names=inputs.names if keeps_frame else None, sparse=inputs.sparse)


def _dtype(column: Column) -> np.dtype[Any]:
    """Return a column's dtype; `object` for text."""
    return OBJECT if isinstance(column, (Text, Opaque)) else column.dtype


def _unwrap_partial(function: Any, keywords: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the function inside of `functools.partial`, and its keyword arguments."""
    while isinstance(function, partial):
        if function.args:
            raise NoPlan("a FunctionTransformer has a partial function with arguments that have no names")
        function, keywords = function.func, {**function.keywords, **keywords}
    return function, keywords


def _name(function: Any) -> str:
    """Return the name of a function, for a message."""
    return str(getattr(function, "__name__", type(function).__name__))


def _column_function(function: Any, keywords: Mapping[str, Any]) -> _ColumnFunction:
    """Return what computes a function of NumPy with these keyword arguments.

    Raises:
        NoPlan: no plan has the function, or not with these arguments.
    """
    if not isinstance(function, np.ufunc) and function not in _WITH_OPTIONS:
        raise NoPlan(
            f"a FunctionTransformer calls {_name(function)}, which is code, and a plan holds none: say it with NumPy's "
            "functions (log1p, sqrt, clip, nan_to_num and the like), or with steps of scikit-learn"
        )
    if function in _WITH_OPTIONS:
        return _WITH_OPTIONS[function](**_rename_keywords(function, keywords))
    if keywords:
        raise NoPlan(f"a FunctionTransformer calls {_name(function)} with {', '.join(keywords)}")
    if function in _CONSTANTS:
        return _with_constant(function)
    if function is np.square:
        return _square
    if function is np.positive:
        return lambda matrix, dtype, compiler: matrix.columns
    if function not in _EXACT and function not in _LIBM:
        raise NoPlan(f"a FunctionTransformer calls {_name(function)} of NumPy, which no plan has")
    return _elementwise(function)


def _rename_keywords(function: Any, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments under the names that the rules give them; all are single numbers."""
    names = {
        np.clip: {"a_min": "low", "a_max": "high", "min": "low", "max": "high"},
        np.nan_to_num: {"copy": "copy", "nan": "nan", "posinf": "posinf", "neginf": "neginf"},
        np.round: {"decimals": "decimals"},
    }[function]
    for name, value in keywords.items():
        if name not in names or not (value is None or isinstance(value, (int, float, np.integer, np.floating))):
            raise NoPlan(f"a FunctionTransformer calls {_name(function)} with {name}={value!r}")
    return {names[name]: value for name, value in keywords.items()}


def _result_dtype(function: Any, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of NumPy's answer.

    Raises:
        NoPlan: no plan computes in this dtype, or integers may overflow.
    """
    try:
        result = np.asarray(function(np.ones(1, dtype=dtype))).dtype
    except TypeError as error:
        raise NoPlan(f"{_name(function)} of {dtype}: {error}") from error
    if result.kind in "iu" and function in _OVERFLOW_INTEGERS:
        raise NoPlan(f"{_name(function)} of whole numbers can overflow: make them floats before")
    if result not in (FLOAT32, FLOAT64) and result.kind not in "biu":
        raise NoPlan(f"{_name(function)} of {dtype} is {result}: make the columns float64 before")
    return result


def _elementwise(function: Any) -> _ColumnFunction:
    """Return what computes a function of each number."""

    def apply(matrix: Matrix, dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
        result = _result_dtype(function, dtype)
        if function in _KEEP_INTEGERS and result.kind in "biu":
            return matrix.columns
        if function in _LIBM:
            compiler.approximate(f"a libm computes {_name(function)}")
        return compiler.map({**_EXACT, **_LIBM}[function], matrix.columns, dtype=result, finite=result.kind != "f")

    return apply


def _square(matrix: Matrix, dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
    """Compute `numpy.square` as `x * x`."""
    result = _result_dtype(np.square, dtype)
    return multiply(matrix.columns, matrix.columns, result, compiler, sparse=False)


#: Functions of a number and a constant: the operation, and the constant in a dtype.
_CONSTANTS: dict[Any, tuple[MathFunction, Callable[[np.dtype[Any]], Any]]] = {
    np.reciprocal: (MathFunction.RDIV, lambda dtype: 1.0),
    np.deg2rad: (MathFunction.MUL, lambda dtype: dtype.type(np.pi) / dtype.type(180)),
    np.radians: (MathFunction.MUL, lambda dtype: dtype.type(np.pi) / dtype.type(180)),
    np.rad2deg: (MathFunction.MUL, lambda dtype: dtype.type(180) / dtype.type(np.pi)),
    np.degrees: (MathFunction.MUL, lambda dtype: dtype.type(180) / dtype.type(np.pi)),
}


def _with_constant(function: Any) -> _ColumnFunction:
    """Return what computes a function of each number and a constant."""
    operation, constant = _CONSTANTS[function]

    def apply(matrix: Matrix, dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
        result = _result_dtype(function, dtype)
        return compiler.map(operation, matrix.columns, float(constant(result)), dtype=result)

    return apply


def _clip(low: Any = None, high: Any = None) -> _ColumnFunction:
    """Return what computes `numpy.clip`."""

    def apply(matrix: Matrix, dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
        if dtype.kind != "f" and not all(bound is None or isinstance(bound, int) for bound in (low, high)):
            raise NoPlan(f"clip of {dtype} to bounds that are not whole: make the columns floats before")
        lower = -np.inf if low is None else low
        upper = np.inf if high is None else high
        dtype_of_bounds = dtype if dtype.kind == "f" else FLOAT64
        result = clip(with_dtype(matrix, dtype_of_bounds), lower, upper, compiler)
        return result.columns if dtype_of_bounds == dtype else with_dtype(result, dtype).columns

    return apply


def _nan_to_num(copy: Any = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> _ColumnFunction:
    """Return what computes `numpy.nan_to_num`; infinities become the dtype's largest numbers by default."""

    def apply(matrix: Matrix, dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
        if dtype.kind != "f":
            return matrix.columns
        info = np.finfo(dtype)
        columns = compiler.map(MathFunction.IF_NAN, matrix.columns, float(dtype.type(nan)), dtype=dtype)
        graph = compiler.graph
        for function, infinite, bound in (
            (MathFunction.EQ, np.inf, info.max if posinf is None else posinf),
            (MathFunction.EQ, -np.inf, info.min if neginf is None else neginf),
        ):
            values = compiler.numbers(columns)
            replacement = graph.constant(np.full(len(values), float(dtype.type(bound))))
            replaced = graph.select(graph.map_const(function, values, infinite), replacement, values)
            columns = tuple(Numeric(value, dtype) for value in replaced)
        return columns

    return apply


def _round(decimals: Any = 0) -> _ColumnFunction:
    """Return what computes `numpy.round`: `rint(x * 10**n) / 10**n`, or `rint(x / 10**-n) * 10**-n` for `n < 0`."""

    def apply(matrix: Matrix, dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
        if dtype.kind != "f":
            raise NoPlan(f"round of {dtype}")
        if not decimals:
            return compiler.map(MathFunction.RINT, matrix.columns, dtype=dtype)
        power = float(dtype.type(10.0 ** abs(int(decimals))))
        first, last = (MathFunction.MUL, MathFunction.DIV) if decimals > 0 else (MathFunction.DIV, MathFunction.MUL)
        columns = compiler.map(first, matrix.columns, power, dtype=dtype)
        return compiler.map(last, compiler.map(MathFunction.RINT, columns, dtype=dtype), power, dtype=dtype)

    return apply


#: Functions with keyword arguments: what computes them.
_WITH_OPTIONS: dict[Any, Callable[..., _ColumnFunction]] = {
    np.clip: _clip,
    np.nan_to_num: _nan_to_num,
    np.round: _round,
}
