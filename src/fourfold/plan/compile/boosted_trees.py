"""Trees of libraries that boost them, gathered until they are a forest of the plan.

Each library has its own tests, marks of missing values and columns, so a rule says for each column what its trees see
in it (a *view*), and for each node which of two kinds of tests it makes. What is left here is the same for all: nodes
in preorder, and columns of codes tested by sets of codes, as few codes as the tests can tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile.columns import Bagged, Coded, Column, Compiler, NoPlan, Numeric, Opaque, Text
from fourfold.plan.format import NODE_LEAF, NODE_NAN_LEFT
from fourfold.plan.graph.builder import Bag, Code, Number
from fourfold.plan.graph.forest import NODE, Forest

__all__ = ["Among", "Below", "Grove", "codes_of", "spread"]

Booleans = npt.NDArray[np.bool_]
#: The tests that are looked at before the codes that they do not tell apart are given one label.
_BITS = 32
#: The most columns of texts that trees may test.
_MOST_SPREAD = 4096


class Below(NamedTuple):
    """Left where a number is not above a threshold.

    Attributes:
        view: the view that is tested.
        threshold: not NaN.
        nan_left: whether NaN goes left.
    """

    view: Hashable
    threshold: float
    nan_left: bool

    def left(self, values: npt.NDArray[np.float64]) -> Booleans:
        """Which of the numbers go left."""
        return (values <= self.threshold) | (np.isnan(values) & self.nan_left)


class Among(NamedTuple):
    """Left where a number is one of some, or where it is none of them.

    Attributes:
        view: the view that is tested.
        members: the numbers; no NaN.
        inside: whether members go left; otherwise all others do.
        nan_left: whether NaN goes left.
    """

    view: Hashable
    members: frozenset[float]
    inside: bool
    nan_left: bool

    def left(self, values: npt.NDArray[np.float64]) -> Booleans:
        """Which of the numbers go left."""
        found = np.isin(values, np.array(sorted(self.members), dtype=np.float64)) == self.inside
        return np.where(np.isnan(values), self.nan_left, found)


Test = Below | Among


@dataclass
class Grove:
    """Trees that grow one by one.

    Args:
        compiler: of the plan.
        view: the column that a test sees, for its `view`; asked once for each.
    """

    compiler: Compiler
    view: Callable[[Any], Column]
    _tests: dict[Test, int] = field(default_factory=dict)
    _trees: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _targets: list[int] = field(default_factory=list)

    def test(self, test: Test) -> int:
        """The number of a test, for `tree`."""
        return self._tests.setdefault(test, len(self._tests))

    def tree(self, target: int, left: Sequence[int], right: Sequence[int], what: Sequence[int]) -> None:
        """Add a tree.

        Args:
            target: the output that it adds to.
            left: of each node its left child, -1 of a leaf; the root is node 0.
            right: its right child.
            what: of an inner node its test, of a leaf the row of its value.

        Raises:
            NoPlan: a node is its own ancestor.
        """
        rows: list[tuple[int, int, int]] = []  # whether it is a leaf, the right child's place, the test or value
        stack = [(0, -1)]
        while stack:
            node, parent = stack.pop()
            if parent >= 0:
                rows[parent] = (0, len(rows), rows[parent][2])
            if len(rows) > len(left):
                raise NoPlan("a tree goes round in a circle")
            if left[node] < 0:
                rows.append((1, what[node], 0))
                continue
            stack += [(right[node], len(rows)), (left[node], -1)]
            rows.append((0, 0, what[node]))
        self._trees.append(np.array(rows, dtype=np.int64))
        self._targets.append(target)

    def forest(self, values: Any, start: Any, *, float32: bool = False) -> list[Number]:
        """The sums of all trees.

        Args:
            values: what leaves hold, shape `(rows,)`, or `(rows, outputs)` where each tree adds to all outputs.
            start: what sums begin with, shape `(outputs,)`.
            float32: whether sums are rounded to float32 after every tree.

        Raises:
            NoPlan: a test needs a column that no plan can read.
        """
        begin = np.asarray(start, dtype=np.float64)
        if not self._trees:
            return self.compiler.graph.constant(begin)
        leaves = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
        slots = _Slots(self.compiler, self.view, list(self._tests))
        trees = []
        for rows in self._trees:
            nodes = np.zeros(len(rows), dtype=NODE)
            is_leaf, nodes["right"], test = rows[:, 0] == 1, rows[:, 1], rows[:, 2]
            nodes["test"] = np.where(is_leaf, 0.0, slots.operand[test])
            nodes["flags"] = np.where(is_leaf, NODE_LEAF, slots.flags[test])
            trees.append(nodes)
        return self.compiler.graph.forest(
            Forest(slots.slots, trees, self._targets, leaves, begin, sets=slots.sets, float32=float32)
        )


class _Slots:
    """What tests become: a slot each, with a threshold or a set of codes.

    Attributes:
        slots: the forest's.
        sets: the forest's.
        operand: of each test its threshold, or the index of its set.
        flags: of each test its node's.
    """

    def __init__(self, compiler: Compiler, view: Callable[[Any], Column], tests: list[Test]) -> None:
        self.slots: list[Number | Code] = []
        self.sets: list[list[int]] = []
        self.operand = np.zeros(max(1, len(tests)))
        self.flags = np.zeros(max(1, len(tests)), dtype=np.uint32)
        self._graph = compiler.graph
        self._known: dict[tuple[int, ...], int] = {}
        views: dict[Any, list[int]] = {}
        for number, test in enumerate(tests):
            views.setdefault(test.view, []).append(number)
        of_code: dict[Code, list[_Asked]] = {}
        for key, numbers in views.items():
            column = view(key)
            mine = [(number, tests[number]) for number in numbers]
            if isinstance(column, Coded):
                asked = [_Asked(number, test, column) for number, test in mine]
            else:
                asked = self._number(compiler.number(column), mine)
            for each in asked:
                of_code.setdefault(each.column.code, []).append(each)
        for code, asked in of_code.items():
            self._codes(code, asked)

    def _number(self, value: Number, tests: list[tuple[int, Test]]) -> list[_Asked]:
        """Tests of a number by thresholds; those by members are of its place among all of these."""
        below = [(number, test) for number, test in tests if isinstance(test, Below)]
        if below:
            slot = len(self.slots)
            self.slots.append(value)
            for number, test in below:
                self.operand[number] = test.threshold
                self.flags[number] = slot | (NODE_NAN_LEFT if test.nan_left else 0)
        among = [(number, test) for number, test in tests if isinstance(test, Among)]
        if not among:
            return []
        members = sorted(frozenset().union(*(test.members for _, test in among)))
        # Infinity stands for any number that is no member.
        column = Coded(self._graph.match(value, members), np.array([*members, np.inf, np.nan]))
        return [_Asked(number, test, column) for number, test in among]

    def _codes(self, code: Code, asked: list[_Asked]) -> None:
        """Tests on a code: on another one, with as many codes as the tests tell apart."""
        spikes = {each.column.hot_code for each in asked}
        # Codes without a column of their own are alike where each column stands for one code.
        other = next((each for each in range(code.limit) if each not in spikes), 0)
        own = {each for each in spikes if each is not None}
        some = np.arange(code.limit) if None in spikes else np.array(sorted({other, *own}))
        bits = [each.left(some) for each in asked]
        found = _classes(bits)
        limit = int(found.max()) + 1
        label = np.full(code.limit, 0 if len(some) == code.limit else found[np.searchsorted(some, other)])
        label[some] = found
        first = np.unique(found, return_index=True)[1]
        slot = len(self.slots)
        self.slots.append(self._graph.recode(code, label.tolist(), limit) if limit < code.limit else code)
        for each, left in zip(asked, bits, strict=True):
            self.operand[each.number] = self._set(np.flatnonzero(left[first]).tolist())
            self.flags[each.number] = slot

    def _set(self, codes: list[int]) -> int:
        key = tuple(codes)
        if key not in self._known:
            self._known[key] = len(self.sets)
            self.sets.append(codes)
        return self._known[key]


class _Asked(NamedTuple):
    """A test of a column of codes: its number, the test and the column."""

    number: int
    test: Test
    column: Coded

    def left(self, codes: npt.NDArray[np.int64]) -> Booleans:
        """Which of the codes go left."""
        column = self.column
        if column.hot_code is None:
            return self.test.left(column.values)[codes]
        sides: Booleans = self.test.left(column.levels)
        found: Booleans = sides[(codes == column.hot_code).astype(np.int64)]
        return found


def _classes(bits: Sequence[Booleans]) -> npt.NDArray[np.int64]:
    """A label for each code, the same for codes that no test tells apart; numbered in the order of the codes."""
    label = np.zeros(len(bits[0]), dtype=np.int64)
    for start in range(0, len(bits), _BITS):
        for each in bits[start : start + _BITS]:
            label = label * 2 + each
        label = np.unique(label, return_inverse=True)[1]
    _, first, label = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[label]


def codes_of(column: Column, known: Sequence[Any], compiler: Compiler) -> Coded:
    """A column of categories as the places of its values among those that a library knows; NaN where it is none.

    Args:
        column: of a categorical dtype.
        known: the library's categories, in its order.
        compiler: of the plan.

    Raises:
        NoPlan: the column is of no categorical dtype.
    """
    places = {value: place for place, value in enumerate(known)}
    if isinstance(column, Text) and column.categories is not None:
        strings = [each for each in known if isinstance(each, str) and each in set(column.categories)]
        code, stands = compiler.text(column, strings)
    elif isinstance(column, Coded) and column.categories is not None:
        code, stands = column.code, [*column.categories, *[None] * (column.code.limit - len(column.categories))]
    else:
        kind = column.why if isinstance(column, Opaque) else "numbers" if isinstance(column, Numeric) else "text"
        raise NoPlan(f"the model was trained on a column of categories where this is one of {kind}")
    values = [places.get(each, np.nan) if isinstance(each, (str, int)) else np.nan for each in stands]
    return Coded(code, np.array(values, dtype=np.float64))


def spread(columns: Sequence[Column], used: Iterable[int], compiler: Compiler, *, nan: bool = False) -> list[Column]:
    """The columns, with numbers for those of a bag that are used; the others of a bag stay as they are.

    Args:
        columns: the columns, of which there may be a million.
        used: the places of those that trees test.
        compiler: of the plan.
        nan: whether what is not there is NaN rather than 0.

    Raises:
        NoPlan: too many of them are used.
    """
    out = list(columns)
    of_bag: dict[Bag, list[tuple[int, Bagged]]] = {}
    for place in sorted(set(used)):
        column = out[place]
        if isinstance(column, Bagged):
            of_bag.setdefault(column.bag, []).append((place, column))
    for bag, own in of_bag.items():
        wanted = sorted({column.column for _, column in own})
        if len(wanted) > _MOST_SPREAD:
            raise NoPlan(f"trees that test {len(wanted)} columns of texts, more than {_MOST_SPREAD}")
        numbers = dict(zip(wanted, compiler.graph.bag_spread(bag, wanted, nan=nan), strict=True))
        for place, column in own:
            out[place] = Numeric(numbers[column.column], column.dtype)
    return out
