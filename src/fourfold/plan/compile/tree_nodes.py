"""Convert trees, given as flat arrays of nodes, to the forest of a plan.

Numbers are tested by thresholds. Columns of one code are tested on the code itself, recoded to as few values as the
tests distinguish: a node names the code that goes left, or the only one that does not, or a set of codes. So one-hot
columns are never computed, however many there are.

Every function works on all nodes of all trees at once, since there may be millions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile.columns import Bagged, Coded, Column, Compiler, NoPlan
from fourfold.plan.format import NODE_CODE, NODE_LEAF, NODE_NAN_LEFT, NODE_OTHERS
from fourfold.plan.graph.builder import Code, Number
from fourfold.plan.graph.forest import NODE, Forest

__all__ = ["CATEGORIES", "Nodes", "forest"]

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: How many categories a test by sets distinguishes; all other numbers share the entry behind them.
CATEGORIES = 256
#: The deepest tree that the evaluator walks, in nodes.
_MAX_DEPTH = 4096
#: The most columns of a bag that the evaluator makes dense at once.
_MAX_DENSE_COLUMNS = 1 << 16
#: The most 32-bit words in the sets of one column; a column that needs more is tested as a number.
_MAX_SET_WORDS = 1 << 16
#: A code that no row has.
_NO_CODE = 0xFFFFFFFF


@dataclass(frozen=True)
class Nodes:
    """Hold the nodes of trees as scikit-learn stores them: one tree after the other, each beginning with its root.

    Attributes:
        sizes: the number of nodes of each tree.
        left: the left child of each node, counted from the tree's root; -1 for a leaf.
        right: the right child, likewise.
        feature: the column that the node tests.
        threshold: a number that is not above it goes left.
        nan_left: whether NaN goes left.
        member: the row of `sets` for a test by a set; -1 for a test by a threshold.
        sets: the categories that go left, shape `(rows, CATEGORIES + 1)`; the last entry is for all other numbers.
    """

    sizes: Integers
    left: Integers
    right: Integers
    feature: Integers
    threshold: Floats
    nan_left: Booleans
    member: Integers | None = None
    sets: Booleans | None = None

    @property
    def leaves(self) -> Integers:
        """Return the indexes of the leaves."""
        return np.flatnonzero(self.left < 0)


def forest(
    compiler: Compiler,
    columns: Sequence[Column],
    nodes: Nodes,
    values: Floats,
    start: Floats,
    *,
    targets: Sequence[int] | None = None,
    first: Sequence[Number] = (),
) -> list[Number]:
    """Return the sums of trees' leaves.

    Args:
        compiler: the plan's compiler.
        columns: the columns that the trees test; untested ones are left out of the plan.
        nodes: the trees.
        values: the leaves' numbers, in the order of the nodes, shape `(leaves, 1)`, or `(leaves, outputs)` where each
            tree adds to all outputs.
        start: the constants that the sums start from, shape `(outputs,)`.
        targets: the output that each tree adds to, where a leaf holds one number.
        first: numbers of the row that the sums start from instead.

    Raises:
        NoPlan: the trees test a column that no plan can read, are too deep for the evaluator, or are no trees.
    """
    positions, sizes = _preorder(nodes)
    reached = np.flatnonzero(positions >= 0)
    ordered = np.zeros(int(sizes.sum()), dtype=NODE)
    test, flags, slots, sets = _Tests(compiler, columns, nodes).result()
    is_leaf = nodes.left[reached] < 0
    leaves, inner = reached[is_leaf], reached[~is_leaf]
    values = values[(np.cumsum(nodes.left < 0) - 1)[leaves]] if len(leaves) < len(values) else values
    distinct, value_rows = _distinct(values) if values.shape[1] > 1 else (np.arange(len(leaves)),) * 2
    ordered["flags"][positions[inner]], ordered["test"][positions[inner]] = flags[inner], test[inner]
    ordered["flags"][positions[leaves]], ordered["right"][positions[leaves]] = NODE_LEAF, value_rows
    starts = np.cumsum(sizes) - sizes
    root = np.repeat(np.cumsum(nodes.sizes) - nodes.sizes, nodes.sizes)
    ordered["right"][positions[inner]] = positions[root[inner] + nodes.right[inner]] - positions[root[inner]]
    return compiler.graph.forest(
        Forest(
            slots,
            np.split(ordered, starts[1:]),
            [0] * len(sizes) if targets is None else targets,
            np.ascontiguousarray(values[distinct]),
            np.asarray(start, dtype=np.float64),
            sets=sets,
            first=first,
        )
    )


def _preorder(nodes: Nodes) -> tuple[Integers, Integers]:
    """Return each node's position in preorder, -1 for nodes that no root reaches; and the size of each tree.

    Raises:
        NoPlan: a node is its own ancestor, or a tree is too deep.
    """
    roots = np.cumsum(nodes.sizes) - nodes.sizes
    offset = np.repeat(roots, nodes.sizes)
    left, right = nodes.left + offset, nodes.right + offset
    inner = nodes.left >= 0
    levels: list[Integers] = []  # the inner nodes at each depth
    frontier, count = roots, len(roots)
    while len(parents := frontier[inner[frontier]]):
        count += 2 * len(parents)
        if count > len(left):
            raise NoPlan("a tree goes round in a circle")
        if len(levels) == _MAX_DEPTH:
            raise NoPlan(f"a tree is deeper than the {_MAX_DEPTH} nodes that the evaluator goes")
        levels.append(parents)
        frontier = np.concatenate([left[parents], right[parents]])
    size = np.ones(len(left), dtype=np.int64)
    for parents in reversed(levels):
        size[parents] += size[left[parents]] + size[right[parents]]
    position = np.full(len(left), -1, dtype=np.int64)
    position[roots] = np.cumsum(size[roots]) - size[roots]
    for parents in levels:
        position[left[parents]] = position[parents] + 1
        position[right[parents]] = position[parents] + 1 + size[left[parents]]
    return position, size[roots]


class _Tests:
    """Translate the tests of nodes: a slot for each tested value, an operand and flags for each node."""

    def __init__(self, compiler: Compiler, columns: Sequence[Column], nodes: Nodes) -> None:
        self._compiler = compiler
        self._slots: list[Number | Code] = []
        self._slot_of: dict[Number | Code, int] = {}
        self._sets: list[Integers] = []
        self._set_of: dict[bytes, int] = {}
        self._test = nodes.threshold.copy()
        self._flags = np.where(nodes.nan_left, np.uint32(NODE_NAN_LEFT), np.uint32(0))
        inner = np.flatnonzero(nodes.left >= 0)
        order = inner[np.argsort(nodes.feature[inner], kind="stable")]
        used, first = np.unique(nodes.feature[order], return_index=True)
        nodes_of = dict(zip(used.tolist(), np.split(order, first[1:]), strict=True)) if len(used) else {}
        by_member = set() if nodes.member is None else set(nodes.feature[inner[nodes.member[inner] >= 0]].tolist())
        tests_of: dict[Code, list[_ColumnTests]] = {}
        numbers: list[int] = []
        for feature, indexes in nodes_of.items():
            column = columns[feature]
            if feature in by_member and not isinstance(column, Coded):
                column = self._category_code(column)
            if isinstance(column, Coded):
                tests = _ColumnTests.of(column, nodes, indexes)
                if feature in by_member or not tests.is_large:
                    tests_of.setdefault(column.code, []).append(tests)
                    continue
            numbers.append(feature)
        self._test_numbers(columns, numbers, nodes_of)
        for code, column_tests in tests_of.items():
            self._test_code(code, column_tests)

    def result(self) -> tuple[Floats, npt.NDArray[np.uint32], list[Number | Code], list[Integers]]:
        """Return the operand and the flags of each node, the slots, and the sets."""
        return self._test, self._flags, self._slots, self._sets

    def _slot(self, value: Number | Code) -> int:
        if value not in self._slot_of:
            self._slot_of[value] = len(self._slots)
            self._slots.append(value)
        return self._slot_of[value]

    def _set(self, codes: Integers) -> int:
        key = codes.tobytes()
        if key not in self._set_of:
            self._set_of[key] = len(self._sets)
            self._sets.append(codes)
        return self._set_of[key]

    def _category_code(self, column: Column) -> Coded:
        """Return a column of categories that are given as numbers."""
        categories = np.arange(CATEGORIES, dtype=np.float64)
        code = self._compiler.graph.match(self._compiler.number(column), categories)
        return Coded(code, np.array([*categories, np.nan, np.nan]))

    def _test_numbers(self, columns: Sequence[Column], features: Sequence[int], nodes_of: dict[int, Integers]) -> None:
        """Give slots to numbers that are tested by thresholds."""
        bags: dict[Any, list[int]] = {}
        for feature in features:
            column = columns[feature]
            if isinstance(column, Bagged):
                bags.setdefault(column.bag, []).append(feature)
        values: dict[int, Number] = {}
        for bag, members in bags.items():
            if len(members) > _MAX_DENSE_COLUMNS:
                raise NoPlan(f"the trees test {len(members)} columns of texts: more than {_MAX_DENSE_COLUMNS}")
            wanted = sorted({_index(columns[feature]) for feature in members})
            dense = dict(zip(wanted, self._compiler.graph.bag_spread(bag, wanted), strict=True))
            values.update((feature, dense[_index(columns[feature])]) for feature in members)
        others = [feature for feature in features if feature not in values]
        numbers = self._compiler.numbers([columns[feature] for feature in others])
        values.update(zip(others, numbers, strict=True))
        for feature in features:
            self._flags[nodes_of[feature]] |= np.uint32(self._slot(values[feature]))

    def _test_code(self, code: Code, column_tests: Sequence[_ColumnTests]) -> None:
        """Give a slot to a code, recoded to as few codes as its tests distinguish."""
        one_hot = [tests for tests in column_tests if tests.column.hot_code is not None]
        tables = [tests for tests in column_tests if tests.column.hot_code is None]
        bits = np.concatenate([tests.left for tests in tables] or [np.zeros((0, code.limit), dtype=np.bool_)])
        label, first = _equivalence_classes(code.limit, [_index(tests.column) for tests in one_hot], bits)
        if 2 * len(first) <= code.limit:
            slot = self._slot(self._compiler.graph.recode(code, label.tolist(), len(first)))
        else:
            slot, label, first = self._slot(code), np.arange(code.limit), np.arange(code.limit)
        for tests in one_hot:
            hot = int(label[_index(tests.column)])
            # Indexed by whether all other codes go left, and by whether the hot code does.
            operand = np.array([[_NO_CODE, hot], [hot, _NO_CODE]], dtype=np.float64)
            flag = np.array([[NODE_CODE, NODE_CODE], [NODE_OTHERS, NODE_OTHERS]], dtype=np.uint32)
            others_left, hot_left = tests.left[tests.test].T.astype(np.int64)
            self._test[tests.nodes] = operand[others_left, hot_left]
            self._flags[tests.nodes] = flag[others_left, hot_left] | np.uint32(slot)
        for tests in tables:
            operands, flags = np.zeros(len(tests.left)), np.zeros(len(tests.left), dtype=np.uint32)
            for test, left in enumerate(tests.left[:, first]):
                operands[test], flags[test] = self._code_test(left)
            self._test[tests.nodes] = operands[tests.test]
            self._flags[tests.nodes] = flags[tests.test] | np.uint32(slot)

    def _code_test(self, left: Booleans) -> tuple[int, int]:
        """Return the operand and the flags of a test, given for each code whether it goes left."""
        members = np.flatnonzero(left)
        if len(members) == 1:
            return int(members[0]), NODE_CODE
        if len(members) == len(left) - 1:
            return int(np.flatnonzero(~left)[0]), NODE_OTHERS
        return self._set(members), 0


@dataclass(frozen=True)
class _ColumnTests:
    """Hold the different tests of a column of codes.

    Attributes:
        column: the column.
        nodes: the nodes that test it.
        test: the test of each node.
        left: the column's levels that go left in each test, shape `(tests, levels)`.
        is_large: whether sets of codes would take more memory than numbers do.
    """

    column: Coded
    nodes: Integers
    test: Integers
    left: Booleans
    is_large: bool

    @classmethod
    def of(cls, column: Coded, nodes: Nodes, indexes: Integers) -> _ColumnTests:
        """Return the tests of some nodes."""
        key = np.zeros((len(indexes), 3), dtype=np.int64)
        key[:, 0] = (nodes.threshold[indexes] + 0.0).view(np.int64)
        key[:, 1] = nodes.nan_left[indexes]
        key[:, 2] = -1 if nodes.member is None else nodes.member[indexes]
        key[key[:, 2] >= 0, :2] = 0
        first, test = _distinct(key)
        levels = column.levels
        words = len(first) * ((len(levels) + 31) // 32)
        is_large = column.hot_code is None and words > _MAX_SET_WORDS
        if is_large and (key[:, 2] < 0).all():
            return cls(column, indexes, test, np.zeros((0, len(levels)), dtype=np.bool_), is_large=True)
        sample = indexes[first]  # one node for each different test
        left = np.where(np.isnan(levels), nodes.nan_left[sample, None], levels <= nodes.threshold[sample, None])
        by_member = np.flatnonzero(key[first, 2] >= 0)
        if nodes.sets is not None and len(by_member):
            is_category = (levels >= 0) & (levels < CATEGORIES)
            category = np.where(is_category, levels, CATEGORIES).astype(np.int64)
            left[by_member] = nodes.sets[key[first[by_member], 2]][:, category]
        return cls(column, indexes, test, left, is_large=False)


def _index(column: Column) -> int:
    """Return the code of a one-hot column, or the index of a column in its bag."""
    if isinstance(column, Bagged):
        return column.column
    return column.hot_code or 0 if isinstance(column, Coded) else 0


def _equivalence_classes(limit: int, alone: Sequence[int], bits: Booleans) -> tuple[Integers, Integers]:
    """Return a label for each code, equal for codes that no test distinguishes; and the first code of each label.

    Args:
        limit: the number of codes.
        alone: codes that are distinguished from all others.
        bits: the codes that go left in each test, shape `(tests, limit)`.
    """
    distinguished = np.zeros(limit, dtype=np.int64)
    codes = np.unique(np.asarray(alone, dtype=np.int64))
    distinguished[codes] = np.arange(1, len(codes) + 1)
    packed = np.packbits(bits, axis=0).T
    padded = np.zeros((limit, -(-max(1, packed.shape[1]) // 8) * 8), dtype=np.uint8)
    padded[:, : packed.shape[1]] = packed
    first, label = _distinct(np.column_stack([padded.view(np.int64), distinguished]))
    # Labels follow the order of the codes, so that a plan does not depend on how equal rows are found.
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[label], np.sort(first)


def _distinct(rows: npt.NDArray[Any]) -> tuple[Integers, Integers]:
    """Return the index of the first of each different row of an array, by its bits; and the inverse for each row."""
    words = np.ascontiguousarray(rows).view(np.uint64)
    weights = np.random.default_rng(0).integers(1, 2**63, words.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    # Sorting one hash of each row takes a tenth of the time of sorting rows. Collisions are rare, and are checked for.
    mixed = (words ^ (words >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    hashes = (mixed * weights).sum(axis=1, dtype=np.uint64)
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    if not (words[first[inverse]] == words).all():
        _, first, inverse = np.unique(words, axis=0, return_index=True, return_inverse=True)
    return first.astype(np.int64), inverse.reshape(-1).astype(np.int64)
