"""Lay out forests: trees whose leaves are added up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.format import CODE, NODE_CODE, NODE_LEAF, NODE_NAN_LEFT, NODE_SET, NODE_SLOT
from fourfold.plan.graph.steps import Code, Layout, Number

__all__ = ["NODE", "Forest", "forest_key", "forest_operands"]

#: A node of a tree in the graph. `test` is the threshold of a number slot. Of a code slot it is the index of a set; or
#: a code, where the flags say `NODE_CODE` (rows of this code go left) or `NODE_OTHERS` (rows of all other codes do).
NODE = np.dtype([("test", "<f8"), ("right", "<u4"), ("flags", "<u4")])

_FLOAT32, _FROM = 1, 2


@dataclass(frozen=True)
class Forest:
    """Hold trees whose leaves are added up.

    Attributes:
        slots: the values that nodes test, numbers or codes.
        trees: the nodes of each tree, of dtype `NODE`, in preorder; `right` of an inner node counts from the tree's
            root, of a leaf it is the row of `values`.
        targets: the output that each tree adds to, where a leaf holds one number.
        values: the leaves' numbers, shape `(leaves, 1)` or `(leaves, outputs)`.
        start: the constants that the sums start from, shape `(outputs,)`.
        sets: the sets of codes that go left, for nodes that test a code against a set.
        float32: whether sums are rounded to float32 after every tree.
        first: numbers of the row that the sums start from instead, one for each output, or none.
    """

    slots: Sequence[Number | Code]
    trees: Sequence[npt.NDArray[Any]]
    targets: Sequence[int]
    values: npt.NDArray[np.float64]
    start: npt.NDArray[np.float64]
    sets: Sequence[Sequence[int] | npt.NDArray[np.int64]] = ()
    float32: bool = False
    first: Sequence[Number] = ()


def forest_key(forest: Forest) -> tuple[Any, ...]:
    """Return a key of a forest's content: two methods of a classifier build the same forest, which is stored once."""
    digest = hashlib.sha256()
    for array in (
        np.array([forest.values.shape[1], len(forest.trees), len(forest.sets), forest.float32], dtype="<i8"),
        np.asarray(forest.targets, dtype="<i8"),
        forest.start,
        forest.values,
        *forest.trees,
        *(np.asarray(codes, dtype="<i8") for codes in forest.sets),
    ):
        digest.update(array.size.to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(array).tobytes())
    return ("forest", tuple(forest.slots), tuple(forest.first), digest.digest())


def forest_operands(
    forest: Forest, layout: Layout, registers: Sequence[int], limits: Sequence[int], first: Sequence[int]
) -> list[int]:
    """Add a forest's arrays to a layout and return its operands.

    Args:
        forest: the forest.
        layout: gets its arrays.
        registers: the number register or code register of each slot.
        limits: the limit of each slot that is a code; 0 for a number.
        first: the registers that the sums start from, or none.
    """
    nodes, width = _nodes(forest, layout, np.array([*limits, 0], dtype=np.int64)), forest.values.shape[1]
    sizes = np.array([len(tree) for tree in forest.trees], dtype=np.int64)
    trees = np.stack([layout.add_nodes(nodes) + np.cumsum(sizes) - sizes, sizes, forest.targets], axis=1)
    slots = [register | (CODE if limit else 0) for register, limit in zip(registers, limits, strict=True)]
    # A leaf's node holds its number if it has one; several numbers are stored beside the trees.
    values = forest.values if width > 1 else forest.values[:0]
    return [
        len(forest.start),
        (_FLOAT32 if forest.float32 else 0) | (_FROM if first else 0),
        width,
        len(slots),
        layout.add_words(slots),
        len(trees),
        layout.add_words(trees.reshape(-1)),
        layout.add_numbers(values),
        len(values),
        layout.add_words(first) if first else layout.add_numbers(forest.start),
    ]


def _nodes(forest: Forest, layout: Layout, limits: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Return the nodes of all trees in the evaluator's form."""
    nodes = np.concatenate(list(forest.trees))
    flags, tests = nodes["flags"], nodes["test"]
    is_leaf = (flags & NODE_LEAF) != 0
    limit = limits[np.where(is_leaf, len(limits) - 1, flags & NODE_SLOT)]
    bits = tests.copy().view("<u8")
    by_set = (limit > 0) & ((flags & NODE_CODE) == 0)
    set_indexes = tests[by_set].astype(np.int64)
    # A set has a bit for each code of the widest slot that it is used with.
    widest = np.zeros(len(forest.sets), dtype=np.int64)
    np.maximum.at(widest, set_indexes, limit[by_set])
    words = [layout.add_words(_bits(codes, int(most))) for codes, most in zip(forest.sets, widest, strict=True)]
    bits[by_set] = np.array([*words, 0], dtype="<u8")[set_indexes]
    # A code is never NaN.
    nodes["flags"][limit > 0] &= ~np.uint32(NODE_NAN_LEFT)
    nodes["flags"][by_set] |= NODE_SET
    leaves = nodes["right"][is_leaf]
    bits[is_leaf] = forest.values[leaves, 0].view("<u8") if forest.values.shape[1] == 1 else leaves
    nodes["test"] = bits.view("<f8")
    # A leaf is its own right child, so a walk of more steps than the leaf's depth stays there.
    sizes = np.array([len(tree) for tree in forest.trees], dtype=np.int64)
    indexes = np.arange(len(nodes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    nodes["right"][is_leaf] = indexes[is_leaf]
    return nodes


def _bits(codes: Sequence[int] | npt.NDArray[np.int64], limit: int) -> npt.NDArray[np.uint32]:
    """Return a set of codes as words of bits, the least significant first, without codes from `limit` on."""
    is_member = np.zeros((limit + 31) // 32 * 32, dtype=np.uint8)
    members = np.asarray(codes, dtype=np.int64)
    is_member[members[members < limit]] = 1
    return np.packbits(is_member, bitorder="little").view("<u4")
