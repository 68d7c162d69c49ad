"""What a model sees while its plan is made: columns that have no values yet.

A column of numbers is a `Number` of the graph. A column that depends on one small integer alone, as a one-hot column
does, is `Coded`: a table of its values, on which scalers and imputers work while the plan is made, so that nothing is
left of them at predicting. A column of text is only ever looked up, or read into a bag, of which very many columns are
`Bagged`.
"""

from __future__ import annotations

import math
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
    "elementary",
    "retyped",
    "runs",
]

FLOAT64 = np.dtype(np.float64)
FLOAT32 = np.dtype(np.float32)
OBJECT = np.dtype(object)
#: Stands for `pandas.NA`: what a missing value is in a column of a dtype of pandas's own, such as `Int64`.
NA = type("NA", (), {"__repr__": lambda _: "pandas.NA"})()
#: The most numbers that a table of one-hot columns may have; larger ones are computed from the code.
_LARGEST_TABLE = 1 << 18
#: The most columns of a bag that are made numbers.
_MOST_SPREAD = 4096


class NoPlan(Exception):
    """A model, or a part of it, that no plan can hold; its message says which and why."""


@dataclass(frozen=True)
class Numeric:
    """A column of numbers.

    Attributes:
        value: the number.
        dtype: what NumPy would hold it in.
        finite: whether it can be neither NaN nor infinite.
        missing: what stands in a container where a value is missing: NaN; `None` in a column of objects, or `...` where
            NaN may stand there, too, and a plan cannot tell; `NA` where the column is of a dtype of pandas's own.
    """

    value: Number
    dtype: np.dtype[Any] = FLOAT64
    finite: bool = False
    missing: Any = math.nan


@dataclass(frozen=True, init=False)
class Coded:
    """A column of numbers that depends on a code alone.

    A column that has one number for a single code and another one for all others, as a one-hot column has, is kept as
    these two, since there may be as many columns as there are codes.

    Args:
        code: the code.
        values: the number for each code, float64 of shape `(code.limit,)`; otherwise `levels` and `place` are given.
        dtype: what NumPy would hold it in.
        levels: the number for each code, or of shape `(2,)`: for all codes but `place`, and for `place`.
        place: a code.
        categories: of a column of a categorical dtype, the categories of the first codes; other codes are missing.
    """

    code: Code
    dtype: np.dtype[Any]
    levels: npt.NDArray[np.float64]
    place: int | None
    categories: tuple[Any, ...] | None

    def __init__(
        self,
        code: Code,
        values: npt.NDArray[np.float64] | None = None,
        dtype: np.dtype[Any] = FLOAT64,
        levels: npt.NDArray[np.float64] | None = None,
        place: int | None = None,
        categories: tuple[Any, ...] | None = None,
    ) -> None:
        object.__setattr__(self, "code", code)
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "levels", levels if values is None else values)
        object.__setattr__(self, "place", place if values is None else None)
        object.__setattr__(self, "categories", categories)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """The number for each code, shape `(code.limit,)`."""
        if self.place is None:
            return self.levels
        values = np.full(self.code.limit, self.levels[0])
        values[self.place] = self.levels[1]
        return values

    @property
    def finite(self) -> bool:
        """Whether it can be neither NaN nor infinite."""
        return bool(np.isfinite(self.levels).all())


@dataclass(frozen=True)
class Text:
    """A column of text that has not been looked up.

    Attributes:
        index: the plan's input.
        missing: what stands in a container where a value is missing: `None` or NaN; a text where an imputer put one.
        nullable: whether one can be missing.
        categories: of a column of a categorical dtype, all that it can hold; any other text is a missing one.
        replaced: texts that an imputer took for missing ones, each with the text that it put there.
    """

    index: int
    missing: Any = None
    nullable: bool = False
    categories: tuple[Any, ...] | None = None
    replaced: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Opaque:
    """A column that no plan can read, such as one of timestamps; a model may still drop it.

    Attributes:
        why: what it is.
    """

    why: str
    dtype: np.dtype[Any] = OBJECT


class Bagged(NamedTuple):
    """A column of a sparse matrix of texts: there may be a million, of which a row has a hundred that are not 0.

    Attributes:
        bag: what the rows have in all of its columns.
        place: the column.
        dtype: what NumPy would hold it in.
        finite: whether it can be neither NaN nor infinite.
    """

    bag: Bag
    place: int
    dtype: np.dtype[Any] = FLOAT64
    finite: bool = False


Column = Numeric | Coded | Text | Opaque | Bagged


def runs(columns: Sequence[Column]) -> list[tuple[int, int]]:
    """Where columns of one bag that ascend lie side by side: the first one's place, and the last one's and one."""
    found: list[tuple[int, int]] = []
    start, before = 0, None
    for place, column in enumerate(columns):
        if not isinstance(column, Bagged):
            if before is not None:
                found.append((start, place))
            before = None
            continue
        if before is None or column.bag is not before.bag or column.place <= before.place:
            if before is not None:
                found.append((start, place))
            start = place
        before = column
    if before is not None:
        found.append((start, len(columns)))
    return found


@dataclass(frozen=True)
class Matrix:
    """What a step of a model gets or gives.

    Attributes:
        columns: the columns.
        frame: whether they keep their own dtypes and names, as in a data frame.
        names: the columns' names, where they have any.
        sparse: whether they are a sparse matrix, of which only what is not zero is stored and computed with.
        polars: whether the frame is one of polars, of which scikit-learn does not know the dtypes.
    """

    columns: tuple[Column, ...]
    frame: bool = False
    names: tuple[Any, ...] | None = None
    sparse: bool = False
    polars: bool = False

    def __len__(self) -> int:
        return len(self.columns)

    def take(self, places: Iterable[int]) -> Matrix:
        """Some of the columns."""
        kept = [int(place) for place in places]
        names = None if self.names is None else tuple(self.names[place] for place in kept)
        return replace(self, columns=tuple(self.columns[place] for place in kept), names=names)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that scikit-learn's validation makes of the columns; `object` where one of them is text."""
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
        """Whether pandas makes one array of integers of categories, which may be missing, and integers."""
        if not self.frame or self.polars or len(self) < 2:  # a column alone becomes floats
            return False
        categorical = [isinstance(each, Coded) and each.categories is not None for each in self.columns]
        whole = [not isinstance(each, (Text, Opaque)) and each.dtype.kind in "iu" for each in self.columns]
        return any(categorical) and all(one or other for one, other in zip(categorical, whole, strict=True))

    @property
    def float_dtype(self) -> np.dtype[Any]:
        """The dtype that scikit-learn computes in: float32 stays, all others become float64; all of a polars frame."""
        return FLOAT32 if self.dtype == FLOAT32 and not self.polars else FLOAT64


class Compiler:
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
        if isinstance(column, Bagged):
            return self.graph.bag_spread(column.bag, [column.place])[0]
        raise NoPlan(_no_number(column))

    def numbers(self, columns: Sequence[Column]) -> list[Number]:
        """The columns' numbers; those that depend on the same code are looked up together, as are those of a bag."""
        found: dict[int, Number] = {}
        of_code: dict[Code, list[int]] = {}
        of_bag: dict[Bag, dict[int, int]] = {}
        for place, column in enumerate(columns):
            if isinstance(column, Coded):
                of_code.setdefault(column.code, []).append(place)
            elif isinstance(column, Bagged):
                of_bag.setdefault(column.bag, {})[place] = column.place
            else:
                found[place] = self.number(column)
        for bag, own in of_bag.items():
            wanted = sorted(set(own.values()))
            if len(wanted) > _MOST_SPREAD:
                raise NoPlan(
                    f"{len(wanted)} columns of texts where numbers are needed, one beside the other: more than "
                    f"{_MOST_SPREAD}. Fewer come of max_features, min_df or a selection of features"
                )
            spread = dict(zip(wanted, self.graph.bag_spread(bag, wanted), strict=True))
            found.update((place, spread[column]) for place, column in own.items())
        for code, places in of_code.items():
            coded = [column for column in (columns[place] for place in places) if isinstance(column, Coded)]
            found.update(zip(places, self._looked_up(code, coded), strict=True))
        return [found[place] for place in range(len(columns))]

    def _looked_up(self, code: Code, columns: Sequence[Coded]) -> list[Number]:
        """The numbers of columns that depend on one code."""
        if code.limit * len(columns) <= _LARGEST_TABLE:
            return self.graph.lookup(code, np.stack([column.values for column in columns], axis=1))
        spikes = [column for column in columns if column.place is not None]
        whole = [column for column in columns if column.place is None]
        found: dict[int, Number] = {id(each): self.graph.lookup(code, each.values)[0] for each in whole}
        if spikes:
            place = self.graph.lookup(code, np.arange(code.limit))[0]
            here = self.graph.map_const(
                MathFunction.EQ, [place] * len(spikes), [float(each.place or 0) for each in spikes]
            )
            levels = np.stack([each.levels for each in spikes])
            if (levels != [0, 1]).any() or np.signbit(levels).any():
                on, off = self.graph.constant(levels[:, 1]), self.graph.constant(levels[:, 0])
                here = self.graph.select(here, on, off)
            found.update(zip(map(id, spikes), here, strict=True))
        return [found[id(column)] for column in columns]

    def map(
        self,
        function: MathFunction,
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
        if dtype == FLOAT32 and function != MathFunction.ROUND32:
            made = self.graph.map(MathFunction.ROUND32, made)
        for place, value in zip(places, made, strict=True):
            out[place] = Numeric(value, dtype, finite)
        for place, column in enumerate(columns):
            if isinstance(column, Coded):
                levels = _rounded(elementary(function, column.levels, with_constants[place]), dtype)
                out[place] = Coded(column.code, dtype=dtype, levels=levels, place=column.place)
            elif not isinstance(column, (Numeric, Bagged)):
                raise NoPlan(_no_number(column))
        for start, stop in runs(columns):
            own = None if constants is None else with_constants[start:stop]
            out[start:stop] = self._map_bag(function, columns[start:stop], own, dtype, finite=finite)
        return tuple(out)

    def bag(self, columns: Sequence[Column]) -> Bag:
        """A bag of just these columns, which are a run."""
        first = columns[0]
        if not isinstance(first, Bagged):
            raise NoPlan(_no_number(first))
        places = [column.place for column in columns if isinstance(column, Bagged)]
        return first.bag if len(places) == first.bag.width else self.graph.bag_pick(first.bag, places)

    def bagged(self, bag: Bag, dtype: np.dtype[Any], *, finite: bool) -> tuple[Column, ...]:
        """The columns of a bag."""
        # There may be a million, so they are made without a call of Python's for each.
        fields = zip(repeat(bag), range(bag.width), repeat(dtype), repeat(finite), strict=False)
        return tuple(map(partial(tuple.__new__, Bagged), fields))

    def _map_bag(
        self, function: MathFunction, columns: Sequence[Column], constants: Any, dtype: np.dtype[Any], *, finite: bool
    ) -> Sequence[Column]:
        """What `map` makes of a run; numbers, where it makes something of nothing."""
        nothing = np.zeros(1 if constants is None else len(columns))
        if elementary(function, nothing, 0.0 if constants is None else constants).tobytes() != nothing.tobytes():
            numbers = [Numeric(number, dtype) for number in self.numbers(columns)]
            return self.map(function, numbers, constants, dtype=dtype, finite=finite)
        bag = self.bag(columns)
        if constants is None:
            made = self.graph.bag_map(function, bag)
        else:
            same = (constants == constants[0]).all()
            made = self.graph.bag_const(function, bag, constants[:1] if same else constants)
        if dtype == FLOAT32 and function != MathFunction.ROUND32:
            made = self.graph.bag_map(MathFunction.ROUND32, made)
        return self.bagged(made, dtype, finite=finite)

    def cast(self, matrix: Matrix, dtype: np.dtype[Any]) -> Matrix:
        """The columns as an array of a floating dtype: rounded to float32 where they were wider."""
        columns = matrix.columns
        if dtype == FLOAT32:
            narrow = [
                place for place, each in enumerate(columns) if not isinstance(each, Text) and each.dtype != FLOAT32
            ]
            rounded = self.map(MathFunction.ROUND32, [columns[place] for place in narrow], dtype=FLOAT32)
            made = dict(zip(narrow, rounded, strict=True))
            columns = tuple(made.get(place, column) for place, column in enumerate(columns))
        return Matrix(tuple([retyped(column, dtype) for column in columns]))

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
        doubtful = [each for each in columns if isinstance(each, (Text, Opaque)) or not each.finite]
        kind = Kind.INFINITE if nan else Kind.NAN if infinite else Kind.NOT_FINITE
        what = "an infinity" if nan else "NaN" if infinite else "NaN or an infinity"
        name = who if isinstance(who, str) else type(who).__name__
        for start, stop in reversed(runs(doubtful)):
            doubtful[start:stop] = [self._doubt(self.bag(doubtful[start:stop]), kind)]
        self.graph.refuse(self.numbers(doubtful), kind, f"the {name} does not take {what}")

    def _doubt(self, bag: Bag, kind: Kind) -> Numeric:
        """A number that is of a kind where an entry of a bag is."""
        nothing = self.graph.constant([0.0])
        if kind == Kind.NOT_FINITE:  # what is not finite is NaN times 0, and so is the sum
            entries = self.graph.bag_const(MathFunction.MUL, bag, [0.0])
            return Numeric(self.graph.bag_fold(MathFunction.SUM, entries, nothing[0]))
        if kind == Kind.NAN:
            entries, instead = self.graph.bag_map(MathFunction.IS_NAN, bag), math.nan
        else:
            sizes = self.graph.bag_map(MathFunction.ABS, bag)
            entries, instead = self.graph.bag_const(MathFunction.EQ, sizes, [math.inf]), math.inf
        found = self.graph.bag_fold(MathFunction.SUM, entries, nothing[0])
        return Numeric(self.graph.select([found], self.graph.constant([instead]), nothing)[0])

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
        replaced = dict(column.replaced)
        sought = list(dict.fromkeys([*listed, *replaced]))
        other: Any = ...
        missing = column.missing
        if column.categories is not None:
            # The container holds nothing but its categories: what is none of them came to be a missing value.
            sought = list(dict.fromkeys([*sought, *column.categories]))
            other = missing
        sought = [each for each in sought if _is_sent(each)]
        code = self.graph.text(column.index, sought)
        known = set(listed)
        means = [replaced.get(each, each) for each in sought] + [other, missing]
        # A text that an imputer put there and that nobody looks for is like any other.
        return code, [... if isinstance(each, str) and each not in known else each for each in means]


def retyped(column: Column, dtype: np.dtype[Any]) -> Column:
    """The column with another dtype, which holds its numbers."""
    if isinstance(column, Bagged):
        return column if column.dtype == dtype else column._replace(dtype=dtype)
    if isinstance(column, (Numeric, Coded)):
        return replace(column, dtype=dtype)
    raise NoPlan(_no_number(column))


def elementary(function: MathFunction, x: npt.NDArray[np.float64], y: Any = 0.0) -> npt.NDArray[np.float64]:
    """What the evaluator makes of numbers while a plan is made: `f(x)` or `f(x, y)`."""
    left = np.ascontiguousarray(x, dtype=np.float64)
    right = np.ascontiguousarray(np.broadcast_to(np.asarray(y, dtype=np.float64), left.shape))
    made = np.frombuffer(_evaluator.elementary(int(function), left.tobytes(), right.tobytes()), dtype=np.float64)
    return made.reshape(left.shape)


def _is_sent(text: str) -> bool:
    """Whether a text can come: one with half of a pair of surrogates, which Python can hold, is in no table."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_number(column: Column) -> str:
    return column.why if isinstance(column, Opaque) else "text where numbers are needed"


def _rounded(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> npt.NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(np.float64) if dtype == FLOAT32 else values
