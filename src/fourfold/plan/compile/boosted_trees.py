"""Collect the trees of a boosting library, one by one, and convert them to the forest of a plan.

Each library has its own tests, missing values and columns. So its rule says which column a test sees (its *view*), and
which of two kinds a test is. The rest is the same for all and stands here: nodes in preorder, and columns of codes that
are tested by sets of codes, recoded to as few codes as the tests distinguish.
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

__all__ = ["ForestBuilder", "SetTest", "ThresholdTest", "codes_of", "spread"]

Booleans = npt.NDArray[np.bool_]
#: How many tests distinguish codes before equal codes are relabelled, so that labels fit into 64 bits.
_BITS_PER_ROUND = 32
#: The most columns of texts that trees may test.
_MAX_DENSE_COLUMNS = 4096


class ThresholdTest(NamedTuple):
    """Test whether a number is not above a threshold; it goes left then.

    Attributes:
        view: the view that is tested.
        threshold: the threshold; not NaN.
        nan_left: whether NaN goes left.
    """

    view: Hashable
    threshold: float
    nan_left: bool

    def left(self, values: npt.NDArray[np.float64]) -> Booleans:
        """Return which of the numbers go left."""
        return (values <= self.threshold) | (np.isnan(values) & self.nan_left)


class SetTest(NamedTuple):
    """Test whether a number is in a set; it goes left then, or else where it is not.

    Attributes:
        view: the view that is tested.
        members: the numbers of the set; no NaN.
        inside: whether members go left; otherwise all other numbers do.
        nan_left: whether NaN goes left.
    """

    view: Hashable
    members: frozenset[float]
    inside: bool
    nan_left: bool

    def left(self, values: npt.NDArray[np.float64]) -> Booleans:
        """Return which of the numbers go left."""
        goes_left = np.isin(values, np.array(sorted(self.members), dtype=np.float64)) == self.inside
        return np.where(np.isnan(values), self.nan_left, goes_left)


Test = ThresholdTest | SetTest


@dataclass
class ForestBuilder:
    """Collect trees one by one.

    Args:
        compiler: the plan's compiler.
        view: returns the column that tests with a `view` see; called once for each view.
    """

    compiler: Compiler
    view: Callable[[Any], Column]
    _tests: dict[Test, int] = field(default_factory=dict)
    _trees: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _targets: list[int] = field(default_factory=list)

    def add_test(self, test: Test) -> int:
        """Return the number of a test, which `add_tree` takes; a new test gets the next number."""
        return self._tests.setdefault(test, len(self._tests))

    def add_tree(self, target: int, left: Sequence[int], right: Sequence[int], tests_or_rows: Sequence[int]) -> None:
        """Add a tree.

        Args:
            target: the output that it adds to.
            left: the left child of each node, -1 for a leaf; the root is node 0.
            right: the right child of each node.
            tests_or_rows: the number of an inner node's test; the row of a leaf's value.

        Raises:
            NoPlan: a node is its own ancestor.
        """
        rows: list[tuple[int, int, int]] = []  # is it a leaf; index of the right child, or row of values; test
        stack = [(0, -1)]
        while stack:
            node, parent = stack.pop()
            if parent >= 0:
                rows[parent] = (0, len(rows), rows[parent][2])
            if len(rows) > len(left):
                raise NoPlan("a tree goes round in a circle")
            if left[node] < 0:
                rows.append((1, tests_or_rows[node], 0))
                continue
            stack += [(right[node], len(rows)), (left[node], -1)]
            rows.append((0, 0, tests_or_rows[node]))
        self._trees.append(np.array(rows, dtype=np.int64))
        self._targets.append(target)

    def forest(self, values: Any, start: Any, *, float32: bool = False) -> list[Number]:
        """Return the sums of all trees' leaves.

        Args:
            values: the leaves' numbers, shape `(rows,)`, or `(rows, outputs)` where each tree adds to all outputs.
            start: the constants that the sums start from, shape `(outputs,)`.
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
    """Translate tests: a slot for each tested value, a threshold or a set of codes for each test.

    Attributes:
        slots: the forest's slots.
        sets: the forest's sets of codes.
        operand: the threshold of each test, or the index of its set.
        flags: the flags of each test's nodes.
    """

    def __init__(self, compiler: Compiler, view: Callable[[Any], Column], tests: list[Test]) -> None:
        self.slots: list[Number | Code] = []
        self.sets: list[list[int]] = []
        self.operand = np.zeros(max(1, len(tests)))
        self.flags = np.zeros(max(1, len(tests)), dtype=np.uint32)
        self._graph = compiler.graph
        self._set_of: dict[tuple[int, ...], int] = {}
        views: dict[Any, list[int]] = {}
        for number, test in enumerate(tests):
            views.setdefault(test.view, []).append(number)
        tests_of: dict[Code, list[_CodeTest]] = {}
        for key, numbers in views.items():
            column = view(key)
            view_tests = [(number, tests[number]) for number in numbers]
            if isinstance(column, Coded):
                code_tests = [_CodeTest(number, test, column) for number, test in view_tests]
            else:
                code_tests = self._test_number(compiler.number(column), view_tests)
            for code_test in code_tests:
                tests_of.setdefault(code_test.column.code, []).append(code_test)
        for code, code_tests in tests_of.items():
            self._test_code(code, code_tests)

    def _test_number(self, value: Number, tests: list[tuple[int, Test]]) -> list[_CodeTest]:
        """Give a slot to a number tested by thresholds, and return its tests by sets as tests of a code.

        The code is the index of the number among the members of all sets.
        """
        below = [(number, test) for number, test in tests if isinstance(test, ThresholdTest)]
        if below:
            slot = len(self.slots)
            self.slots.append(value)
            for number, test in below:
                self.operand[number] = test.threshold
                self.flags[number] = slot | (NODE_NAN_LEFT if test.nan_left else 0)
        among = [(number, test) for number, test in tests if isinstance(test, SetTest)]
        if not among:
            return []
        members = sorted(frozenset().union(*(test.members for _, test in among)))
        # Infinity stands for any number that is no member.
        column = Coded(self._graph.match(value, members), np.array([*members, np.inf, np.nan]))
        return [_CodeTest(number, test, column) for number, test in among]

    def _test_code(self, code: Code, tests: list[_CodeTest]) -> None:
        """Give a slot to a code, recoded to as few codes as its tests distinguish."""
        hot_codes = {test.column.hot_code for test in tests}
        # Where every column is one-hot, all codes without a column are alike: one of them stands for all.
        other = next((candidate for candidate in range(code.limit) if candidate not in hot_codes), 0)
        with_column = {hot_code for hot_code in hot_codes if hot_code is not None}
        sample = np.arange(code.limit) if None in hot_codes else np.array(sorted({other, *with_column}))
        bits = [test.left(sample) for test in tests]
        classes = _equivalence_classes(bits)
        limit = int(classes.max()) + 1
        label = np.full(code.limit, 0 if len(sample) == code.limit else classes[np.searchsorted(sample, other)])
        label[sample] = classes
        first = np.unique(classes, return_index=True)[1]
        slot = len(self.slots)
        self.slots.append(self._graph.recode(code, label.tolist(), limit) if limit < code.limit else code)
        for test, left in zip(tests, bits, strict=True):
            self.operand[test.number] = self._set(np.flatnonzero(left[first]).tolist())
            self.flags[test.number] = slot

    def _set(self, codes: list[int]) -> int:
        key = tuple(codes)
        if key not in self._set_of:
            self._set_of[key] = len(self.sets)
            self.sets.append(codes)
        return self._set_of[key]


class _CodeTest(NamedTuple):
    """Test a column of codes."""

    number: int
    test: Test
    column: Coded

    def left(self, codes: npt.NDArray[np.int64]) -> Booleans:
        """Return which of the codes go left."""
        column = self.column
        if column.hot_code is None:
            return self.test.left(column.values)[codes]
        sides: Booleans = self.test.left(column.levels)
        goes_left: Booleans = sides[(codes == column.hot_code).astype(np.int64)]
        return goes_left


def _equivalence_classes(bits: Sequence[Booleans]) -> npt.NDArray[np.int64]:
    """Return a label for each code, equal for codes that no test distinguishes, numbered in the order of the codes."""
    label = np.zeros(len(bits[0]), dtype=np.int64)
    for start in range(0, len(bits), _BITS_PER_ROUND):
        for goes_left in bits[start : start + _BITS_PER_ROUND]:
            label = label * 2 + goes_left
        label = np.unique(label, return_inverse=True)[1]
    _, first, label = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[label]


def codes_of(column: Column, known: Sequence[Any], compiler: Compiler) -> Coded:
    """Return a column of categories as indexes into a library's categories, NaN for any other value.

    Args:
        column: a column of a categorical dtype.
        known: the library's categories, in its order.
        compiler: the plan's compiler.

    Raises:
        NoPlan: the column's dtype is not categorical.
    """
    indexes = {value: index for index, value in enumerate(known)}
    if isinstance(column, Text) and column.categories is not None:
        column_categories = set(column.categories)
        strings = [category for category in known if isinstance(category, str) and category in column_categories]
        code, meanings = compiler.text(column, strings)
    elif isinstance(column, Coded) and column.categories is not None:
        code, meanings = column.code, [*column.categories, *[None] * (column.code.limit - len(column.categories))]
    else:
        kind = column.why if isinstance(column, Opaque) else "numbers" if isinstance(column, Numeric) else "text"
        raise NoPlan(f"the model was trained on a column of categories where this is one of {kind}")
    values = [indexes.get(value, np.nan) if isinstance(value, (str, int, float)) else np.nan for value in meanings]
    return Coded(code, np.array(values, dtype=np.float64))


def spread(columns: Sequence[Column], used: Iterable[int], compiler: Compiler, *, nan: bool = False) -> list[Column]:
    """Return the columns with the used columns of bags as dense numbers.

    Args:
        columns: the columns; there may be a million.
        used: the indexes of the columns that trees test.
        compiler: the plan's compiler.
        nan: whether an absent entry is NaN rather than 0.

    Raises:
        NoPlan: too many columns of a bag are used.
    """
    out = list(columns)
    by_bag: dict[Bag, list[tuple[int, Bagged]]] = {}
    for index in sorted(set(used)):
        column = out[index]
        if isinstance(column, Bagged):
            by_bag.setdefault(column.bag, []).append((index, column))
    for bag, members in by_bag.items():
        bag_indexes = sorted({column.column for _, column in members})
        if len(bag_indexes) > _MAX_DENSE_COLUMNS:
            raise NoPlan(f"trees that test {len(bag_indexes)} columns of texts, more than {_MAX_DENSE_COLUMNS}")
        numbers = dict(zip(bag_indexes, compiler.graph.bag_spread(bag, bag_indexes, nan=nan), strict=True))
        for index, column in members:
            out[index] = Numeric(numbers[column.column], column.dtype)
    return out
