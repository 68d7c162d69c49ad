"""What a model sees while its plan is made: columns that have no values yet.

A column of numbers is a `Number` of the graph. A column that depends on one small integer alone, as a one-hot column
does, is `Coded`: a table of its values, on which scalers and imputers work while the plan is made, so that nothing is
left of them at predicting. A column of text is only ever looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan import _evaluator
from fourfold.plan.format import Function, Kind
from fourfold.plan.graph import Code, Graph, Number

__all__ = [
    "FLOAT32",
    "FLOAT64",
    "Coded",
    "Column",
    "Matrix",
    "NoPlan",
    "Numeric",
    "Opaque",
    "Text",
    "Workshop",
    "elementary",
]

FLOAT64 = np.dtype(np.float64)
FLOAT32 = np.dtype(np.float32)
OBJECT = np.dtype(object)


class NoPlan(Exception):
    """A model, or a part of it, that no plan can hold; its message says which and why."""


@dataclass(frozen=True)
class Numeric:
    """A column of numbers.

    Attributes:
        value: the number.
        dtype: what NumPy would hold it in.
        finite: whether it can be neither NaN nor infinite.
    """

    value: Number
    dtype: np.dtype[Any] = FLOAT64
    finite: bool = False


@dataclass(frozen=True)
class Coded:
    """A column of numbers that depends on a code alone.

    Attributes:
        code: the code.
        values: the number for each code, float64 of shape `(code.limit,)`.
        dtype: what NumPy would hold it in.
    """

    code: Code
    values: npt.NDArray[np.float64]
    dtype: np.dtype[Any] = FLOAT64

    @property
    def finite(self) -> bool:
        """Whether it can be neither NaN nor infinite."""
        return bool(np.isfinite(self.values).all())


@dataclass(frozen=True)
class Text:
    """A column of text that has not been looked up.

    Attributes:
        index: the plan's input.
        missing: what stands in a container where a value is missing: `None` or NaN; a text where an imputer put one.
        nullable: whether one can be missing.
        categories: of a column of a categorical dtype, all that it can hold; any other text is a missing one.
    """

    index: int
    missing: Any = None
    nullable: bool = False
    categories: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Opaque:
    """A column that no plan can read, such as one of timestamps; a model may still drop it.

    Attributes:
        why: what it is.
    """

    why: str
    dtype: np.dtype[Any] = OBJECT


Column = Numeric | Coded | Text | Opaque


@dataclass(frozen=True)
class Matrix:
    """What a step of a model gets or gives.

    Attributes:
        columns: the columns.
        frame: whether they keep their own dtypes and names, as in a data frame.
        names: the columns' names, where they have any.
    """

    columns: tuple[Column, ...]
    frame: bool = False
    names: tuple[Any, ...] | None = None

    def __len__(self) -> int:
        return len(self.columns)

    def take(self, places: Iterable[int]) -> Matrix:
        """Some of the columns."""
        kept = [int(place) for place in places]
        names = None if self.names is None else tuple(self.names[place] for place in kept)
        return replace(self, columns=tuple(self.columns[place] for place in kept), names=names)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the columns as one array; `object` where one of them is text."""
        if any(isinstance(column, (Text, Opaque)) for column in self.columns):
            return OBJECT
        return np.result_type(*(column.dtype for column in self.columns if not isinstance(column, (Text, Opaque))))

    @property
    def float_dtype(self) -> np.dtype[Any]:
        """The dtype that scikit-learn computes in: float32 stays, all others become float64."""
        return FLOAT32 if self.dtype == FLOAT32 else FLOAT64


class Workshop:
    """The graph, and what rules do to columns.

    Attributes:
        graph: the graph.
        approximations: why bits of the original's answer are not defined by its arithmetic alone, as far as rules met
            such a thing: sums that a BLAS orders, functions of a libm. Of a plan without any, the answers must be the
            original's to the bit.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.approximations: dict[str, None] = {}

    def approximate(self, why: str) -> None:
        """Say that the original's last bits depend on something besides its arithmetic."""
        self.approximations[why] = None

    def number(self, column: Column) -> Number:
        """A column's number."""
        if isinstance(column, Numeric):
            return column.value
        if isinstance(column, Coded):
            return self.graph.lookup(column.code, column.values)[0]
        raise NoPlan(_no_number(column))

    def numbers(self, columns: Sequence[Column]) -> list[Number]:
        """The columns' numbers."""
        return [self.number(column) for column in columns]

    def map(
        self,
        function: Function,
        columns: Sequence[Column],
        constants: Any = None,
        *,
        dtype: np.dtype[Any] = FLOAT64,
        finite: bool = False,
    ) -> tuple[Column, ...]:
        """`f(x)` or `f(x, constant)` of every column, rounded where `dtype` is float32.

        Args:
            function: of one number, or of two with `constants`.
            columns: the columns; no text.
            constants: one for all, or one for each column.
            dtype: of what comes out.
            finite: whether the rule knows that neither NaN nor an infinity comes out.
        """
        with_constants = np.broadcast_to(
            np.asarray(0.0 if constants is None else constants, dtype=np.float64), (len(columns),)
        )
        out: list[Column] = list(columns)
        places = [place for place, column in enumerate(columns) if isinstance(column, Numeric)]
        values = [self.number(columns[place]) for place in places]
        if constants is None:
            made = self.graph.map(function, values)
        else:
            made = self.graph.map_const(function, values, with_constants[places])
        if dtype == FLOAT32 and function != Function.ROUND32:
            made = self.graph.map(Function.ROUND32, made)
        for place, value in zip(places, made, strict=True):
            out[place] = Numeric(value, dtype, finite)
        for place, column in enumerate(columns):
            if isinstance(column, Coded):
                table = elementary(function, column.values, with_constants[place])
                out[place] = Coded(column.code, _rounded(table, dtype), dtype)
            elif not isinstance(column, Numeric):
                raise NoPlan(_no_number(column))
        return tuple(out)

    def cast(self, matrix: Matrix, dtype: np.dtype[Any]) -> Matrix:
        """The columns as an array of a floating dtype: rounded to float32 where they were wider."""
        columns = matrix.columns
        if dtype == FLOAT32:
            narrow = [
                place for place, each in enumerate(columns) if not isinstance(each, Text) and each.dtype != FLOAT32
            ]
            rounded = self.map(Function.ROUND32, [columns[place] for place in narrow], dtype=FLOAT32)
            made = dict(zip(narrow, rounded, strict=True))
            columns = tuple(made.get(place, column) for place, column in enumerate(columns))
        for column in columns:
            if not isinstance(column, (Numeric, Coded)):
                raise NoPlan(_no_number(column))
        return Matrix(tuple(replace(column, dtype=dtype) for column in columns if isinstance(column, (Numeric, Coded))))

    def floats(self, matrix: Matrix, who: object, *, nan: bool = False, infinite: bool = False) -> Matrix:
        """The columns as the float array that an estimator's validation makes of them; it refuses what that refuses.

        Args:
            matrix: the columns.
            who: the estimator, which a refusal names.
            nan: whether NaN passes.
            infinite: whether infinities pass.
        """
        made = self.cast(matrix, matrix.float_dtype)
        self.refuse(made.columns, who, nan=nan, infinite=infinite)
        return made

    def refuse(self, columns: Sequence[Column], who: object, *, nan: bool = False, infinite: bool = False) -> None:
        """Refuse rows in which a column has a number that the estimator does not take."""
        if nan and infinite:
            return
        doubtful = [each for each in columns if not isinstance(each, (Numeric, Coded)) or not each.finite]
        kind = Kind.INFINITE if nan else Kind.NAN if infinite else Kind.NOT_FINITE
        what = "an infinity" if nan else "NaN" if infinite else "NaN or an infinity"
        name = who if isinstance(who, str) else type(who).__name__
        self.graph.refuse(self.numbers(doubtful), kind, f"the {name} does not take {what}")

    def text(self, column: Text, strings: Sequence[str]) -> tuple[Code, list[Any]]:
        """Look a column of text up.

        Args:
            column: the column.
            strings: what to look for.

        Returns:
            The code; and what stands in the column for each code: a text, `...` for any other, or what a missing
            value is.
        """
        listed = list(dict.fromkeys(strings))
        if isinstance(column.missing, str) and column.missing not in listed:
            missing: Any = ...  # an imputer's text that nobody looks for
        else:
            missing = column.missing
        code = self.graph.text(column.index, listed)
        other: Any = ...
        if column.categories is not None:
            # The container holds nothing but its categories: what is none of them came to be a missing value.
            others = [each for each in column.categories if each not in listed]
            if others:
                code = self.graph.text(column.index, [*listed, *others])
                return code, [*listed, *[...] * len(others), missing, missing]
            other = missing
        return code, [*listed, other, missing]


def elementary(function: Function, x: npt.NDArray[np.float64], y: Any = 0.0) -> npt.NDArray[np.float64]:
    """What the evaluator makes of numbers while a plan is made: `f(x)` or `f(x, y)`."""
    left = np.ascontiguousarray(x, dtype=np.float64)
    right = np.ascontiguousarray(np.broadcast_to(np.asarray(y, dtype=np.float64), left.shape))
    made = np.frombuffer(_evaluator.elementary(int(function), left.tobytes(), right.tobytes()), dtype=np.float64)
    return made.reshape(left.shape)


def _no_number(column: Column) -> str:
    return column.why if isinstance(column, Opaque) else "text where numbers are needed"


def _rounded(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> npt.NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(np.float64) if dtype == FLOAT32 else values
