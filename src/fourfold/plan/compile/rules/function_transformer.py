"""The `FunctionTransformer`, over functions of NumPy that a plan has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from fourfold.plan.compile import transforms
from fourfold.plan.compile.arrays import array, clipped, is_masked, numbers, retyped, times
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

#: A function of the columns of one dtype.
_Applied = Callable[[Matrix, np.dtype[Any], Compiler], tuple[Column, ...]]

#: Functions that are defined to the last bit.
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
#: Those that leave whole numbers as they are.
_WHOLE = (np.floor, np.ceil, np.trunc, np.positive)
#: Those that could overflow where the numbers are whole.
_OVERFLOWING = (np.absolute, np.negative, np.square, np.reciprocal)
#: Those that a sparse matrix has, too.
_SPARSE = (np.sin, np.tanh, np.rint, np.expm1, np.log1p, np.sqrt, np.absolute, np.negative, np.deg2rad)


@transforms("sklearn.FunctionTransformer")
def function_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What a function of NumPy makes of the columns; nothing where there is no function."""
    made = numbers(matrix, compiler, model) if model.validate else matrix
    if model.func is None:
        return made
    function, options = _unwrapped(model.func, dict(model.kw_args or {}))
    applied = _applied(function, options)
    if made.sparse and function not in _SPARSE:
        raise NoPlan(f"a FunctionTransformer applies {_name(function)} to a sparse matrix")
    keeps = made.frame and not made.polars and (isinstance(function, np.ufunc) or function in (np.clip, np.round))
    if not keeps:
        made = array(made)
        made = made if made.dtype == OBJECT else retyped(made, made.dtype)
    for column in made.columns:
        if isinstance(column, (Text, Opaque)) or column.dtype == OBJECT:
            raise NoPlan(f"a FunctionTransformer applies {_name(function)} to a column of objects")
        if is_masked(column) and keeps:
            raise NoPlan(f"a FunctionTransformer applies {_name(function)} to a column of a dtype of pandas's own")
    out: list[Column] = list(made.columns)
    for dtype in {column.dtype for column in made.columns if not isinstance(column, (Text, Opaque))}:
        places = [place for place, column in enumerate(made.columns) if _dtype(column) == dtype]
        for place, column in zip(places, applied(made.take(places), dtype, compiler), strict=True):
            out[place] = column
    return Matrix(tuple(out), frame=keeps, names=made.names if keeps else None, sparse=made.sparse)


def _dtype(column: Column) -> np.dtype[Any]:
    return OBJECT if isinstance(column, (Text, Opaque)) else column.dtype


def _unwrapped(function: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The function inside of `functools.partial`, and its options."""
    while isinstance(function, partial):
        if function.args:
            raise NoPlan("a FunctionTransformer has a partial function with arguments that have no names")
        function, options = function.func, {**function.keywords, **options}
    return function, options


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _applied(function: Any, options: Mapping[str, Any]) -> _Applied:
    """What computes a function of NumPy with these options."""
    if not isinstance(function, np.ufunc) and function not in _MAKERS:
        raise NoPlan(
            f"a FunctionTransformer calls {_name(function)}, which is code, and a plan holds none: say it with NumPy's "
            "functions (log1p, sqrt, clip, nan_to_num and the like), or with steps of scikit-learn"
        )
    if function in _MAKERS:
        return _MAKERS[function](**_known(function, options))
    if options:
        raise NoPlan(f"a FunctionTransformer calls {_name(function)} with {', '.join(options)}")
    if function in _CONSTANTS:
        return _constant(function)
    if function is np.square:
        return _square
    if function is np.positive:
        return lambda matrix, dtype, compiler: matrix.columns
    if function not in _EXACT and function not in _LIBM:
        raise NoPlan(f"a FunctionTransformer calls {_name(function)} of NumPy, which no plan has")
    return _mapped(function)


def _known(function: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by their own names, all of them single numbers."""
    allowed = {
        np.clip: {"a_min": "low", "a_max": "high", "min": "low", "max": "high"},
        np.nan_to_num: {"copy": "copy", "nan": "nan", "posinf": "posinf", "neginf": "neginf"},
        np.round: {"decimals": "decimals"},
    }[function]
    for name, value in options.items():
        if name not in allowed or not (value is None or isinstance(value, (int, float, np.integer, np.floating))):
            raise NoPlan(f"a FunctionTransformer calls {_name(function)} with {name}={value!r}")
    return {allowed[name]: value for name, value in options.items()}


def _result(function: Any, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that NumPy answers with.

    Raises:
        NoPlan: it is one that no plan computes in, or whole numbers could overflow.
    """
    try:
        made = np.asarray(function(np.ones(1, dtype=dtype))).dtype
    except TypeError as error:
        raise NoPlan(f"{_name(function)} of {dtype}: {error}") from error
    if made.kind in "iu" and function in _OVERFLOWING:
        raise NoPlan(f"{_name(function)} of whole numbers can overflow: make them floats before")
    if made not in (FLOAT32, FLOAT64) and made.kind not in "biu":
        raise NoPlan(f"{_name(function)} of {dtype} is {made}: make the columns float64 before")
    return made


def _mapped(function: Any) -> _Applied:
    """A function of each number alone."""

    def apply(matrix: Matrix, dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
        made = _result(function, dtype)
        if function in _WHOLE and made.kind in "biu":
            return matrix.columns
        if function in _LIBM:
            compiler.approximate(f"a libm computes {_name(function)}")
        return compiler.map({**_EXACT, **_LIBM}[function], matrix.columns, dtype=made, finite=made.kind != "f")

    return apply


def _square(matrix: Matrix, dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
    made = _result(np.square, dtype)
    return times(matrix.columns, matrix.columns, made, compiler, sparse=False)


#: Functions of a number and a constant, and what makes the constant.
_CONSTANTS: dict[Any, tuple[MathFunction, Callable[[np.dtype[Any]], Any]]] = {
    np.reciprocal: (MathFunction.RDIV, lambda dtype: 1.0),
    np.deg2rad: (MathFunction.MUL, lambda dtype: dtype.type(np.pi) / dtype.type(180)),
    np.radians: (MathFunction.MUL, lambda dtype: dtype.type(np.pi) / dtype.type(180)),
    np.rad2deg: (MathFunction.MUL, lambda dtype: dtype.type(180) / dtype.type(np.pi)),
    np.degrees: (MathFunction.MUL, lambda dtype: dtype.type(180) / dtype.type(np.pi)),
}


def _constant(function: Any) -> _Applied:
    operation, constant = _CONSTANTS[function]

    def apply(matrix: Matrix, dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
        made = _result(function, dtype)
        return compiler.map(operation, matrix.columns, float(constant(made)), dtype=made)

    return apply


def _clip(low: Any = None, high: Any = None) -> _Applied:
    def apply(matrix: Matrix, dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
        if dtype.kind != "f" and not all(bound is None or isinstance(bound, int) for bound in (low, high)):
            raise NoPlan(f"clip of {dtype} to bounds that are not whole: make the columns floats before")
        least = -np.inf if low is None else low
        most = np.inf if high is None else high
        held = dtype if dtype.kind == "f" else FLOAT64
        made = clipped(retyped(matrix, held), least, most, compiler)
        return made.columns if held == dtype else retyped(made, dtype).columns

    return apply


def _nan_to_num(copy: Any = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> _Applied:
    def apply(matrix: Matrix, dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
        if dtype.kind != "f":
            return matrix.columns
        info = np.finfo(dtype)
        columns = compiler.map(MathFunction.IF_NAN, matrix.columns, float(dtype.type(nan)), dtype=dtype)
        # What is infinite is beyond the largest number, and nothing else is.
        graph = compiler.graph
        for function, infinite, bound in (
            (MathFunction.EQ, np.inf, info.max if posinf is None else posinf),
            (MathFunction.EQ, -np.inf, info.min if neginf is None else neginf),
        ):
            values = compiler.numbers(columns)
            instead = graph.constant(np.full(len(values), float(dtype.type(bound))))
            chosen = graph.select(graph.map_const(function, values, infinite), instead, values)
            columns = tuple(Numeric(value, dtype) for value in chosen)
        return columns

    return apply


def _round(decimals: Any = 0) -> _Applied:
    def apply(matrix: Matrix, dtype: np.dtype[Any], compiler: Compiler) -> tuple[Column, ...]:
        if dtype.kind != "f":
            raise NoPlan(f"round of {dtype}")
        if not decimals:
            return compiler.map(MathFunction.RINT, matrix.columns, dtype=dtype)
        power = float(dtype.type(10.0 ** abs(int(decimals))))
        before, after = (MathFunction.MUL, MathFunction.DIV) if decimals > 0 else (MathFunction.DIV, MathFunction.MUL)
        columns = compiler.map(before, matrix.columns, power, dtype=dtype)
        return compiler.map(after, compiler.map(MathFunction.RINT, columns, dtype=dtype), power, dtype=dtype)

    return apply


#: Functions with options, and what makes each of them.
_MAKERS: dict[Any, Callable[..., _Applied]] = {np.clip: _clip, np.nan_to_num: _nan_to_num, np.round: _round}
