"""Trees as flat arrays, node by node, and the forest of a plan that they become.

A column of numbers is tested by thresholds. What all columns of one code test is tested on the code itself, of which
only as many values are left as the tests tell apart: a node names the code that goes left, or the only one that does
not, or a set of them. So one-hot columns are never made, whatever their number.

Everything here is done to all nodes of all trees at once, since there may be millions.
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

#: The categories that a test by members tells apart; what is none of them comes after them.
CATEGORIES = 256
#: The deepest tree, and the most columns of a bag, that the evaluator takes.
_DEEPEST = 4096
_MOST_SPREAD = 1 << 16
#: The most words of the sets of one column; a column that needs more is tested as a number.
_MOST_WORDS = 1 << 16
#: In the place of a code: one that no row has.
_NO_CODE = 0xFFFFFFFF


@dataclass(frozen=True)
class Nodes:
    """The nodes of trees, one tree after the other, each beginning with its root.

    Attributes:
        sizes: the nodes of each tree.
        left: of each node its left child, counted from the root; -1 of a leaf.
        right: its right child.
        feature: the column that it tests.
        threshold: left where the number is not above it.
        nan_left: whether NaN goes left.
        member: of a test by members the row of `sets`; -1 of one by a threshold.
        sets: which categories go left, shape `(rows, CATEGORIES + 1)`; the last one stands for any other number.
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
        """Where the leaves are."""
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
    """The sums of trees.

    Args:
        compiler: of the plan.
        columns: what the trees test; those that none tests are left out.
        nodes: the trees.
        values: what each leaf holds, in the order of the nodes, shape `(leaves, 1)`, or `(leaves, outputs)` where each
            tree adds to all outputs.
        start: what sums begin with, shape `(outputs,)`.
        targets: the output that each tree adds to, where a leaf holds one number.
        first: numbers of the row that sums begin with instead.

    Raises:
        NoPlan: the trees need a column that no plan can read, are deeper than the evaluator goes, or are no trees.
    """
    places, sizes = _preorder(nodes)
    kept = np.flatnonzero(places >= 0)
    laid = np.zeros(int(sizes.sum()), dtype=NODE)
    test, flags, slots, sets = _Tests(compiler, columns, nodes).found()
    is_leaf = nodes.left[kept] < 0
    leaves, inner = kept[is_leaf], kept[~is_leaf]
    values = values[(np.cumsum(nodes.left < 0) - 1)[leaves]] if len(leaves) < len(values) else values
    held, which = _distinct(values) if values.shape[1] > 1 else (np.arange(len(leaves)),) * 2
    laid["flags"][places[inner]], laid["test"][places[inner]] = flags[inner], test[inner]
    laid["flags"][places[leaves]], laid["right"][places[leaves]] = NODE_LEAF, which
    starts = np.cumsum(sizes) - sizes
    root = np.repeat(np.cumsum(nodes.sizes) - nodes.sizes, nodes.sizes)
    laid["right"][places[inner]] = places[root[inner] + nodes.right[inner]] - places[root[inner]]
    return compiler.graph.forest(
        Forest(
            slots,
            np.split(laid, starts[1:]),
            [0] * len(sizes) if targets is None else targets,
            np.ascontiguousarray(values[held]),
            np.asarray(start, dtype=np.float64),
            sets=sets,
            first=first,
        )
    )


def _preorder(nodes: Nodes) -> tuple[Integers, Integers]:
    """Of each node its place when all trees lie in preorder, -1 where no root leads to it; the nodes of each tree."""
    roots = np.cumsum(nodes.sizes) - nodes.sizes
    offset = np.repeat(roots, nodes.sizes)
    left, right = nodes.left + offset, nodes.right + offset
    inner = nodes.left >= 0
    levels: list[Integers] = []  # the inner nodes at each depth
    found, seen = roots, len(roots)
    while len(parents := found[inner[found]]):
        seen += 2 * len(parents)
        if seen > len(left):
            raise NoPlan("a tree goes round in a circle")
        if len(levels) == _DEEPEST:
            raise NoPlan(f"a tree is deeper than the {_DEEPEST} nodes that the evaluator goes")
        levels.append(parents)
        found = np.concatenate([left[parents], right[parents]])
    size = np.ones(len(left), dtype=np.int64)
    for parents in reversed(levels):
        size[parents] += size[left[parents]] + size[right[parents]]
    place = np.full(len(left), -1, dtype=np.int64)
    place[roots] = np.cumsum(size[roots]) - size[roots]
    for parents in levels:
        place[left[parents]] = place[parents] + 1
        place[right[parents]] = place[parents] + 1 + size[left[parents]]
    return place, size[roots]


class _Tests:
    """What the nodes test: slots, and of each node its operand and flags."""

    def __init__(self, compiler: Compiler, columns: Sequence[Column], nodes: Nodes) -> None:
        self._workshop = compiler
        self._slots: list[Number | Code] = []
        self._slot_of: dict[Number | Code, int] = {}
        self._sets: list[Integers] = []
        self._set_of: dict[bytes, int] = {}
        self._test = nodes.threshold.copy()
        self._flags = np.where(nodes.nan_left, np.uint32(NODE_NAN_LEFT), np.uint32(0))
        inner = np.flatnonzero(nodes.left >= 0)
        order = inner[np.argsort(nodes.feature[inner], kind="stable")]
        used, first = np.unique(nodes.feature[order], return_index=True)
        own = dict(zip(used.tolist(), np.split(order, first[1:]), strict=True)) if len(used) else {}
        by_member = set() if nodes.member is None else set(nodes.feature[inner[nodes.member[inner] >= 0]].tolist())
        of_code: dict[Code, list[_Asked]] = {}
        numbers: list[int] = []
        for feature, places in own.items():
            column = columns[feature]
            if feature in by_member and not isinstance(column, Coded):
                column = self._matched(column)
            if isinstance(column, Coded):
                asked = _Asked.of(column, nodes, places)
                if feature in by_member or not asked.is_large:
                    of_code.setdefault(column.code, []).append(asked)
                    continue
            numbers.append(feature)
        self._by_number(columns, numbers, own)
        for code, listed in of_code.items():
            self._by_code(code, listed)

    def found(self) -> tuple[Floats, npt.NDArray[np.uint32], list[Number | Code], list[Integers]]:
        """Of each node its operand and flags; the slots; and the sets."""
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

    def _matched(self, column: Column) -> Coded:
        """A column of categories that came as numbers."""
        known = np.arange(CATEGORIES, dtype=np.float64)
        code = self._workshop.graph.match(self._workshop.number(column), known)
        return Coded(code, np.array([*known, np.nan, np.nan]))

    def _by_number(self, columns: Sequence[Column], features: Sequence[int], own: dict[int, Integers]) -> None:
        """Tests of numbers by thresholds."""
        bags: dict[Any, list[int]] = {}
        for feature in features:
            column = columns[feature]
            if isinstance(column, Bagged):
                bags.setdefault(column.bag, []).append(feature)
        values: dict[int, Number] = {}
        for bag, listed in bags.items():
            if len(listed) > _MOST_SPREAD:
                raise NoPlan(f"the trees test {len(listed)} columns of texts: more than {_MOST_SPREAD}")
            wanted = sorted({_index(columns[feature]) for feature in listed})
            spread = dict(zip(wanted, self._workshop.graph.bag_spread(bag, wanted), strict=True))
            values.update((feature, spread[_index(columns[feature])]) for feature in listed)
        others = [feature for feature in features if feature not in values]
        values.update(zip(others, self._workshop.numbers([columns[each] for each in others]), strict=True))
        for feature in features:
            self._flags[own[feature]] |= np.uint32(self._slot(values[feature]))

    def _by_code(self, code: Code, listed: Sequence[_Asked]) -> None:
        """Tests on a code: on another one, with as few codes as the tests tell apart."""
        spikes = [each for each in listed if each.column.hot_code is not None]
        tables = [each for each in listed if each.column.hot_code is None]
        bits = np.concatenate([each.left for each in tables] or [np.zeros((0, code.limit), dtype=np.bool_)])
        label, first = _classes(code.limit, [_index(each.column) for each in spikes], bits)
        if 2 * len(first) <= code.limit:
            slot = self._slot(self._workshop.graph.recode(code, label.tolist(), len(first)))
        else:
            slot, label, first = self._slot(code), np.arange(code.limit), np.arange(code.limit)
        for each in spikes:
            here = int(label[_index(each.column)])
            # Columns: whether all other codes go left, and whether this one does.
            operand = np.array([[_NO_CODE, here], [here, _NO_CODE]], dtype=np.float64)
            flag = np.array([[NODE_CODE, NODE_CODE], [NODE_OTHERS, NODE_OTHERS]], dtype=np.uint32)
            usual, mine = each.left[each.test].T.astype(np.int64)
            self._test[each.nodes], self._flags[each.nodes] = operand[usual, mine], flag[usual, mine] | np.uint32(slot)
        for each in tables:
            operands, flags = np.zeros(len(each.left)), np.zeros(len(each.left), dtype=np.uint32)
            for test, left in enumerate(each.left[:, first]):
                operands[test], flags[test] = self._codes(left)
            self._test[each.nodes], self._flags[each.nodes] = operands[each.test], flags[each.test] | np.uint32(slot)

    def _codes(self, left: Booleans) -> tuple[int, int]:
        """The operand and flags of a test by the codes that go left."""
        members = np.flatnonzero(left)
        if len(members) == 1:
            return int(members[0]), NODE_CODE
        if len(members) == len(left) - 1:
            return int(np.flatnonzero(~left)[0]), NODE_OTHERS
        return self._set(members), 0


@dataclass(frozen=True)
class _Asked:
    """The tests of a column of codes.

    Attributes:
        column: the column.
        nodes: the nodes that test it.
        test: of each node its test.
        left: of each test which of the column's levels go left, shape `(tests, levels)`.
        is_large: whether sets of codes would take more memory than numbers do.
    """

    column: Coded
    nodes: Integers
    test: Integers
    left: Booleans
    is_large: bool

    @classmethod
    def of(cls, column: Coded, nodes: Nodes, places: Integers) -> _Asked:
        """The tests of some nodes."""
        key = np.zeros((len(places), 3), dtype=np.int64)
        key[:, 0] = (nodes.threshold[places] + 0.0).view(np.int64)
        key[:, 1] = nodes.nan_left[places]
        key[:, 2] = -1 if nodes.member is None else nodes.member[places]
        key[key[:, 2] >= 0, :2] = 0
        first, test = _distinct(key)
        levels = column.levels
        words = len(first) * ((len(levels) + 31) // 32)
        is_large = column.hot_code is None and words > _MOST_WORDS
        if is_large and (key[:, 2] < 0).all():
            return cls(column, places, test, np.zeros((0, len(levels)), dtype=np.bool_), is_large=True)
        one = places[first]
        left = np.where(np.isnan(levels), nodes.nan_left[one, None], levels <= nodes.threshold[one, None])
        by_member = np.flatnonzero(key[first, 2] >= 0)
        if nodes.sets is not None and len(by_member):
            known = (levels >= 0) & (levels < CATEGORIES)
            category = np.where(known, levels, CATEGORIES).astype(np.int64)
            left[by_member] = nodes.sets[key[first[by_member], 2]][:, category]
        return cls(column, places, test, left, is_large=False)


def _index(column: Column) -> int:
    """Return the code of a one-hot column, or the index of a column in its bag."""
    if isinstance(column, Bagged):
        return column.column
    return column.hot_code or 0 if isinstance(column, Coded) else 0


def _classes(limit: int, alone: Sequence[int], bits: Booleans) -> tuple[Integers, Integers]:
    """A label for each code, the same for codes that no test tells apart; and the first code of each label.

    Args:
        limit: how many codes there are.
        alone: codes that are told apart from all others.
        bits: of each test which codes go left, shape `(tests, limit)`.
    """
    spikes = np.zeros(limit, dtype=np.int64)
    places = np.unique(np.asarray(alone, dtype=np.int64))
    spikes[places] = np.arange(1, len(places) + 1)
    packed = np.packbits(bits, axis=0).T
    padded = np.zeros((limit, -(-max(1, packed.shape[1]) // 8) * 8), dtype=np.uint8)
    padded[:, : packed.shape[1]] = packed
    first, label = _distinct(np.column_stack([padded.view(np.int64), spikes]))
    # In the order of the codes, so that a plan does not depend on how equal rows are found.
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[label], np.sort(first)


def _distinct(rows: npt.NDArray[Any]) -> tuple[Integers, Integers]:
    """The first of each of the different rows of an array, by its bits; and of each row which of them it is."""
    words = np.ascontiguousarray(rows).view(np.uint64)
    weights = np.random.default_rng(0).integers(1, 2**63, words.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    # One number of each row: sorting those takes a tenth of the time. They seldom meet, which is looked for.
    mixed = (words ^ (words >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    _, first, which = np.unique((mixed * weights).sum(axis=1, dtype=np.uint64), return_index=True, return_inverse=True)
    if not (words[first[which]] == words).all():
        _, first, which = np.unique(words, axis=0, return_index=True, return_inverse=True)
    return first.astype(np.int64), which.reshape(-1).astype(np.int64)
