"""Represent what a model sees while its plan is compiled: columns that have no values yet.

A column of numbers is `Numeric`: a `Number` of the graph. A column that depends on one code alone, such as a one-hot
column, is `Coded`: a table of its values. Scalers and imputers change this table at compile time, so they cost nothing
at prediction. A column of text is `Text` until it is looked up, or read into a bag whose many columns are `Bagged`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fourfold.plan import _evaluator
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Bag, Code, Graph, Number

__all__ = [
    "FLOAT32",
    "FLOAT64",
    "NA",
    "OBJECT",
    "Bagged",
    "Coded",
    "Column",
    "Compiler",
    "Matrix",
    "NoPlan",
    "Numeric",
    "Opaque",
    "Text",
    "column_with_dtype",
    "elementary",
    "runs",
]

FLOAT64 = np.dtype(np.float64)
FLOAT32 = np.dtype(np.float32)
OBJECT = np.dtype(object)
#: Stands for `pandas.NA`, the missing value of pandas's own dtypes, such as `Int64`.
NA = type("NA", (), {"__repr__": lambda _: "pandas.NA"})()
#: The most numbers in a lookup table of one-hot columns; the columns of larger ones are compared with the code instead.
_MAX_TABLE_NUMBERS = 1 << 18
#: The most columns of a bag that become dense numbers.
_MAX_DENSE_COLUMNS = 4096


class NoPlan(Exception):
    """Say which model, or which part of it, cannot become a plan, and why."""


@dataclass(frozen=True)
class Numeric:
    """Represent a column of numbers.

    Attributes:
        value: the number.
        dtype: the NumPy dtype that the column has in the original.
        finite: whether it can be neither NaN nor infinite.
        missing: the container's missing value: NaN; `None` in a column of objects; `...` in one of objects that may
            hold both, which a plan cannot tell apart; `NA` in a column of one of pandas's own dtypes.
    """

    value: Number
    dtype: np.dtype[Any] = FLOAT64
    finite: bool = False
    missing: Any = math.nan


@dataclass(frozen=True, init=False)
class Coded:
    """Represent a column of numbers that depends on a code alone.

    A column with one number for a single code and another for all other codes, such as a one-hot column, is stored as
    these two numbers: there may be as many such columns as there are codes.

    Args:
        code: the code.
        values: the number of each code, float64 of shape `(code.limit,)`; otherwise `levels` and `hot_code` are given.
        dtype: the NumPy dtype that the column has in the original.
        levels: the number of each code; or of shape `(2,)`, the number of all codes but `hot_code`, and of `hot_code`.
        hot_code: the single code, or `None` where `levels` has a number for each code.
        categories: the categories of the first codes, where the dtype is categorical; other codes are missing values.
    """

    code: Code
    dtype: np.dtype[Any]
    levels: npt.NDArray[np.float64]
    hot_code: int | None
    categories: tuple[Any, ...] | None

    def __init__(
        self,
        code: Code,
        values: npt.NDArray[np.float64] | None = None,
        dtype: np.dtype[Any] = FLOAT64,
        levels: npt.NDArray[np.float64] | None = None,
        hot_code: int | None = None,
        categories: tuple[Any, ...] | None = None,
    ) -> None:
        object.__setattr__(self, "code", code)
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "levels", levels if values is None else values)
        object.__setattr__(self, "hot_code", hot_code if values is None else None)
        object.__setattr__(self, "categories", categories)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Return the number of each code, shape `(code.limit,)`."""
        if self.hot_code is None:
            return self.levels
        values = np.full(self.code.limit, self.levels[0])
        values[self.hot_code] = self.levels[1]
        return values

    @property
    def finite(self) -> bool:
        """Return whether the column can be neither NaN nor infinite."""
        return bool(np.isfinite(self.levels).all())


@dataclass(frozen=True)
class Text:
    """Represent a column of text that has not been looked up.

    Attributes:
        index: the index of the plan's input.
        missing: the container's missing value, `None` or NaN; or the text by which an imputer replaced it.
        nullable: whether a value can be missing.
        categories: all values of a categorical dtype; any other text is a missing value.
        replaced: texts that an imputer takes for missing values, each with the text that replaces it.
    """

    index: int
    missing: Any = None
    nullable: bool = False
    categories: tuple[Any, ...] | None = None
    replaced: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Opaque:
    """Represent a column that no plan can read, such as timestamps; a model may still drop it.

    Attributes:
        why: the reason, as `NoPlan` gives it.
    """

    why: str
    dtype: np.dtype[Any] = OBJECT


class Bagged(NamedTuple):
    """Represent a column of a sparse matrix of texts, which may have a million columns.

    Attributes:
        bag: the sparse rows of the matrix.
        column: the index of the column in the bag.
        dtype: the NumPy dtype that the column has in the original.
        finite: whether it can be neither NaN nor infinite.
    """

    bag: Bag
    column: int
    dtype: np.dtype[Any] = FLOAT64
    finite: bool = False


Column = Numeric | Coded | Text | Opaque | Bagged


def runs(columns: Sequence[Column]) -> list[tuple[int, int]]:
    """Return the runs of adjacent, ascending columns of one bag, as pairs of start and stop."""
    spans: list[tuple[int, int]] = []
    start, previous = 0, None
    for index, column in enumerate(columns):
        if not isinstance(column, Bagged):
            if previous is not None:
                spans.append((start, index))
            previous = None
            continue
        if previous is None or column.bag is not previous.bag or column.column <= previous.column:
            if previous is not None:
                spans.append((start, index))
            start = index
        previous = column
    if previous is not None:
        spans.append((start, len(columns)))
    return spans


@dataclass(frozen=True)
class Matrix:
    """Represent the table that goes into a step of a model, or comes out of it.

    Attributes:
        columns: the columns.
        frame: whether the columns have their own dtypes and names, as in a data frame.
        names: the columns' names, where they have any.
        sparse: whether it is a sparse matrix, which stores and computes only what is not zero.
        polars: whether it is a polars frame, whose dtypes scikit-learn does not know.
    """

    columns: tuple[Column, ...]
    frame: bool = False
    names: tuple[Any, ...] | None = None
    sparse: bool = False
    polars: bool = False

    def __len__(self) -> int:
        return len(self.columns)

    def take(self, indexes: Iterable[int]) -> Matrix:
        """Return some of the columns, in the order of the indexes."""
        kept = [int(index) for index in indexes]
        names = None if self.names is None else tuple(self.names[index] for index in kept)
        return replace(self, columns=tuple(self.columns[index] for index in kept), names=names)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the dtype to which scikit-learn's validation converts the columns; `object` where one is text.

        Raises:
            NoPlan: pandas would convert missing categories to integers, whose value the processor decides.
        """
        if any(isinstance(column, (Text, Opaque)) for column in self.columns):
            return OBJECT
        dtypes = {column.dtype for column in self.columns if not isinstance(column, (Text, Opaque))}
        if self.frame and any(isinstance(column, Numeric) and column.missing is NA for column in self.columns):
            return OBJECT if OBJECT in dtypes else FLOAT64
        if self._casts_missing():
            raise NoPlan(
                "pandas makes integers of a category that is missing beside integers, and which ones is the "
                "processor's choice: make the columns floats before"
            )
        return np.result_type(*dtypes) if dtypes else FLOAT64

    def _casts_missing(self) -> bool:
        """Return whether pandas joins categories, which may be missing, and integers to one array of integers."""
        if not self.frame or self.polars or len(self) < 2:  # a column alone becomes floats
            return False
        is_categorical = [isinstance(column, Coded) and column.categories is not None for column in self.columns]
        is_integer = [not isinstance(column, (Text, Opaque)) and column.dtype.kind in "iu" for column in self.columns]
        return any(is_categorical) and all(map(operator.or_, is_categorical, is_integer))

    @property
    def float_dtype(self) -> np.dtype[Any]:
        """Return float32 if all columns are float32 and not of polars, else float64: what scikit-learn computes in."""
        return FLOAT32 if self.dtype == FLOAT32 and not self.polars else FLOAT64


class Compiler:
    """Compile columns to steps of a graph; rules use it.

    Attributes:
        graph: the graph.
        approximations: the reasons why the original's last bits depend on more than its arithmetic (sums that a BLAS
            orders, functions of a libm). A plan without such a reason must answer with the original's bits.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.approximations: dict[str, None] = {}

    def approximate(self, why: str) -> None:
        """Record why the original's last bits depend on more than its arithmetic."""
        self.approximations[why] = None

    def number(self, column: Column) -> Number:
        """Return a column's number; raise `NoPlan` where the column is text or cannot be read."""
        if isinstance(column, Numeric):
            return column.value
        if isinstance(column, Coded):
            return self.graph.lookup(column.code, column.values)[0]
        if isinstance(column, Bagged):
            return self.graph.bag_spread(column.bag, [column.column])[0]
        raise NoPlan(_no_number(column))

    def numbers(self, columns: Sequence[Column]) -> list[Number]:
        """Return the columns' numbers; columns of the same code, or of the same bag, are read by one step."""
        numbers: dict[int, Number] = {}
        by_code: dict[Code, list[int]] = {}
        by_bag: dict[Bag, dict[int, int]] = {}
        for index, column in enumerate(columns):
            if isinstance(column, Coded):
                by_code.setdefault(column.code, []).append(index)
            elif isinstance(column, Bagged):
                by_bag.setdefault(column.bag, {})[index] = column.column
            else:
                numbers[index] = self.number(column)
        for bag, bag_columns in by_bag.items():
            wanted = sorted(set(bag_columns.values()))
            if len(wanted) > _MAX_DENSE_COLUMNS:
                raise NoPlan(
                    f"{len(wanted)} columns of texts where numbers are needed, one beside the other: more than "
                    f"{_MAX_DENSE_COLUMNS}. Fewer come of max_features, min_df or a selection of features"
                )
            dense = dict(zip(wanted, self.graph.bag_spread(bag, wanted), strict=True))
            numbers.update((index, dense[bag_column]) for index, bag_column in bag_columns.items())
        for code, indexes in by_code.items():
            coded = [column for column in (columns[index] for index in indexes) if isinstance(column, Coded)]
            numbers.update(zip(indexes, self._look_up(code, coded), strict=True))
        return [numbers[index] for index in range(len(columns))]

    def _look_up(self, code: Code, columns: Sequence[Coded]) -> list[Number]:
        """Return the numbers of columns that depend on one code."""
        if code.limit * len(columns) <= _MAX_TABLE_NUMBERS:
            return self.graph.lookup(code, np.stack([column.values for column in columns], axis=1))
        one_hot = [column for column in columns if column.hot_code is not None]
        tables = [column for column in columns if column.hot_code is None]
        numbers: dict[int, Number] = {id(column): self.graph.lookup(code, column.values)[0] for column in tables}
        if one_hot:
            code_number = self.graph.lookup(code, np.arange(code.limit))[0]
            is_hot = self.graph.map_const(
                MathFunction.EQ, [code_number] * len(one_hot), [float(column.hot_code or 0) for column in one_hot]
            )
            levels = np.stack([column.levels for column in one_hot])
            if (levels != [0, 1]).any() or np.signbit(levels).any():
                on, off = self.graph.constant(levels[:, 1]), self.graph.constant(levels[:, 0])
                is_hot = self.graph.select(is_hot, on, off)
            numbers.update(zip(map(id, one_hot), is_hot, strict=True))
        return [numbers[id(column)] for column in columns]

    def map(
        self,
        function: MathFunction,
        columns: Sequence[Column],
        constants: Any = None,
        *,
        dtype: np.dtype[Any] = FLOAT64,
        finite: bool = False,
    ) -> tuple[Column, ...]:
        """Return `f(x)` or `f(x, constant)` of every column, rounded where `dtype` is float32.

        Args:
            function: a function of one number, or of two with `constants`.
            columns: the columns; none of text.
            constants: one for all columns, or one for each.
            dtype: the dtype of the results.
            finite: whether the rule knows that no result is NaN or infinite.

        Raises:
            NoPlan: a column is text, or cannot be read.
        """
        with_constants = np.broadcast_to(
            np.asarray(0.0 if constants is None else constants, dtype=np.float64), (len(columns),)
        )
        out: list[Column] = list(columns)
        indexes = [index for index, column in enumerate(columns) if isinstance(column, Numeric)]
        values = [self.number(columns[index]) for index in indexes]
        if constants is None:
            results = self.graph.map(function, values)
        else:
            results = self.graph.map_const(function, values, with_constants[indexes])
        if dtype == FLOAT32 and function != MathFunction.ROUND32:
            results = self.graph.map(MathFunction.ROUND32, results)
        for index, value in zip(indexes, results, strict=True):
            out[index] = Numeric(value, dtype, finite)
        for index, column in enumerate(columns):
            if isinstance(column, Coded):
                levels = _round_levels(elementary(function, column.levels, with_constants[index]), dtype)
                out[index] = Coded(column.code, dtype=dtype, levels=levels, hot_code=column.hot_code)
            elif not isinstance(column, (Numeric, Bagged)):
                raise NoPlan(_no_number(column))
        for start, stop in runs(columns):
            run_constants = None if constants is None else with_constants[start:stop]
            out[start:stop] = self._map_bag(function, columns[start:stop], run_constants, dtype, finite=finite)
        return tuple(out)

    def bag(self, columns: Sequence[Column]) -> Bag:
        """Return a bag of exactly these columns, which are a run (`runs`)."""
        first = columns[0]
        if not isinstance(first, Bagged):
            raise NoPlan(_no_number(first))
        indexes = [column.column for column in columns if isinstance(column, Bagged)]
        return first.bag if len(indexes) == first.bag.width else self.graph.bag_pick(first.bag, indexes)

    def bag_columns(self, bag: Bag, dtype: np.dtype[Any], *, finite: bool) -> tuple[Column, ...]:
        """Return all columns of a bag."""
        # There may be a million, so no Python function is called for each.
        fields = zip(repeat(bag), range(bag.width), repeat(dtype), repeat(finite), strict=False)
        return tuple(map(partial(tuple.__new__, Bagged), fields))

    def _map_bag(
        self, function: MathFunction, columns: Sequence[Column], constants: Any, dtype: np.dtype[Any], *, finite: bool
    ) -> Sequence[Column]:
        """Map a run; the columns become dense numbers where the function of an absent entry, 0, is not 0."""
        zeros = np.zeros(1 if constants is None else len(columns))
        if elementary(function, zeros, 0.0 if constants is None else constants).tobytes() != zeros.tobytes():
            numbers = [Numeric(number, dtype) for number in self.numbers(columns)]
            return self.map(function, numbers, constants, dtype=dtype, finite=finite)
        bag = self.bag(columns)
        if constants is None:
            mapped = self.graph.bag_map(function, bag)
        else:
            same = (constants == constants[0]).all()
            mapped = self.graph.bag_const(function, bag, constants[:1] if same else constants)
        if dtype == FLOAT32 and function != MathFunction.ROUND32:
            mapped = self.graph.bag_map(MathFunction.ROUND32, mapped)
        return self.bag_columns(mapped, dtype, finite=finite)

    def cast(self, matrix: Matrix, dtype: np.dtype[Any]) -> Matrix:
        """Return the columns as an array of a floating dtype, rounded where it is float32 and they are not."""
        columns = matrix.columns
        if dtype == FLOAT32:
            wide = [
                index
                for index, column in enumerate(columns)
                if not isinstance(column, Text) and column.dtype != FLOAT32
            ]
            rounded = self.map(MathFunction.ROUND32, [columns[index] for index in wide], dtype=FLOAT32)
            narrow = dict(zip(wide, rounded, strict=True))
            columns = tuple(narrow.get(index, column) for index, column in enumerate(columns))
        return Matrix(tuple([column_with_dtype(column, dtype) for column in columns]))

    def floats(self, matrix: Matrix, who: object, *, nan: bool = False, infinite: bool = False) -> Matrix:
        """Return the float array to which an estimator's validation converts the columns, and refuse what it refuses.

        Args:
            matrix: the columns.
            who: the estimator, which a refusal names.
            nan: whether NaN passes.
            infinite: whether infinities pass.
        """
        array = self.cast(matrix, matrix.float_dtype)
        self.refuse(array.columns, who, nan=nan, infinite=infinite)
        return array

    def refuse(self, columns: Sequence[Column], who: object, *, nan: bool = False, infinite: bool = False) -> None:
        """Refuse rows in which a column is NaN or infinite, except what `nan` and `infinite` let pass."""
        if nan and infinite:
            return
        doubtful = [column for column in columns if isinstance(column, (Text, Opaque)) or not column.finite]
        kind = Kind.INFINITE if nan else Kind.NAN if infinite else Kind.NOT_FINITE
        what = "an infinity" if nan else "NaN" if infinite else "NaN or an infinity"
        name = who if isinstance(who, str) else type(who).__name__
        for start, stop in reversed(runs(doubtful)):
            doubtful[start:stop] = [self._any_of_kind(self.bag(doubtful[start:stop]), kind)]
        self.graph.refuse(self.numbers(doubtful), kind, f"the {name} does not take {what}")

    def _any_of_kind(self, bag: Bag, kind: Kind) -> Numeric:
        """Return a number that is of this kind (NaN, infinite) where an entry of the bag is, and 0 elsewhere."""
        zero = self.graph.constant([0.0])
        if kind == Kind.NOT_FINITE:  # 0 times NaN or infinity is NaN, and so is the sum
            entries = self.graph.bag_const(MathFunction.MUL, bag, [0.0])
            return Numeric(self.graph.bag_fold(MathFunction.SUM, entries, zero[0]))
        if kind == Kind.NAN:
            entries, value_of_kind = self.graph.bag_map(MathFunction.IS_NAN, bag), math.nan
        else:
            magnitudes = self.graph.bag_map(MathFunction.ABS, bag)
            entries, value_of_kind = self.graph.bag_const(MathFunction.EQ, magnitudes, [math.inf]), math.inf
        count = self.graph.bag_fold(MathFunction.SUM, entries, zero[0])
        return Numeric(self.graph.select([count], self.graph.constant([value_of_kind]), zero)[0])

    def text(self, column: Text, strings: Sequence[str]) -> tuple[Code, list[Any]]:
        """Look a column of text up.

        Args:
            column: the column.
            strings: the texts to look for.

        Returns:
            The code, and what each value of the code means: a text of `strings`, `...` for any other text, or the
            container's missing value.
        """
        wanted = list(dict.fromkeys(strings))
        replaced = dict(column.replaced)
        table = list(dict.fromkeys([*wanted, *replaced]))
        other: Any = ...
        missing = column.missing
        if column.categories is not None:
            # A categorical container holds its categories alone: any other text became a missing value.
            table = list(dict.fromkeys([*table, *column.categories]))
            other = missing
        table = [text for text in table if _is_encodable(text)]
        code = self.graph.text(column.index, table)
        known = set(wanted)
        meanings = [replaced.get(text, text) for text in table] + [other, missing]
        # A text that an imputer put there, and that is not looked for, is like any other text.
        return code, [... if isinstance(value, str) and value not in known else value for value in meanings]


def column_with_dtype(column: Column, dtype: np.dtype[Any]) -> Column:
    """Return the column with another dtype, which can hold its numbers."""
    if isinstance(column, Bagged):
        return column if column.dtype == dtype else column._replace(dtype=dtype)
    if isinstance(column, (Numeric, Coded)):
        return replace(column, dtype=dtype)
    raise NoPlan(_no_number(column))


def elementary(function: MathFunction, x: npt.NDArray[np.float64], y: Any = 0.0) -> npt.NDArray[np.float64]:
    """Return `f(x)` or `f(x, y)` as the evaluator computes it."""
    left = np.ascontiguousarray(x, dtype=np.float64)
    right = np.ascontiguousarray(np.broadcast_to(np.asarray(y, dtype=np.float64), left.shape))
    results = np.frombuffer(_evaluator.elementary(int(function), left.tobytes(), right.tobytes()), dtype=np.float64)
    return results.reshape(left.shape)


def _is_encodable(text: str) -> bool:
    """Return whether a text has a UTF-8 form; a lone surrogate, which Python can hold, has none and never arrives."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_number(column: Column) -> str:
    return column.why if isinstance(column, Opaque) else "text where numbers are needed"


def _round_levels(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> npt.NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(np.float64) if dtype == FLOAT32 else values
