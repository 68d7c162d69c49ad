"""Forests while a plan is made: trees that add up, and how they are laid out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.format import CODE, NODE_CODE, NODE_LEAF, NODE_NAN_LEFT, NODE_SET, NODE_SLOT
from fourfold.plan.graph.steps import Code, Layout, Number

__all__ = ["NODE", "Forest", "content", "laid"]

#: A node of a tree as it is while a plan is made. `test` is of a number slot its threshold; of a code slot the index of
#: a set, or the code itself where the flags say `NODE_CODE` (left where it is this one) or `NODE_OTHERS` (where not).
NODE = np.dtype([("test", "<f8"), ("right", "<u4"), ("flags", "<u4")])

_FLOAT32, _FROM = 1, 2


@dataclass(frozen=True)
class Forest:
    """Trees that add up.

    Attributes:
        slots: what nodes test: a number, or a code.
        trees: the nodes of each, of dtype `NODE`, in preorder; `right` of an inner node counts from the tree's root, of
            a leaf it is the leaf's value.
        targets: the output that each tree adds to, where a leaf holds one number.
        values: what leaves hold, shape `(leaves, 1)` or `(leaves, outputs)`.
        start: what sums begin with, shape `(outputs,)`.
        sets: the codes that go left, for nodes on a code that do not name one.
        float32: whether sums are rounded to float32 after every tree.
        first: numbers of the row that sums begin with instead, one for each output, or none.
    """

    slots: Sequence[Number | Code]
    trees: Sequence[npt.NDArray[Any]]
    targets: Sequence[int]
    values: npt.NDArray[np.float64]
    start: npt.NDArray[np.float64]
    sets: Sequence[Sequence[int] | npt.NDArray[np.int64]] = ()
    float32: bool = False
    first: Sequence[Number] = ()


def content(forest: Forest) -> tuple[Any, ...]:
    """What tells a forest from others: two methods of a classifier make the same one twice."""
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


def laid(
    forest: Forest, layout: Layout, places: Sequence[int], limits: Sequence[int], first: Sequence[int]
) -> list[int]:
    """The operands of a forest, laid out.

    Args:
        forest: the forest.
        layout: where its arrays go.
        places: of each slot its register or code.
        limits: of each slot that is a code its limit, 0 of a number.
        first: the registers that sums begin with, or none.
    """
    nodes, width = _nodes(forest, layout, np.array([*limits, 0], dtype=np.int64)), forest.values.shape[1]
    sizes = np.array([len(tree) for tree in forest.trees], dtype=np.int64)
    trees = np.stack([layout.add_nodes(nodes) + np.cumsum(sizes) - sizes, sizes, forest.targets], axis=1)
    slots = [place | (CODE if limit else 0) for place, limit in zip(places, limits, strict=True)]
    # A leaf holds its number itself; only several numbers are kept beside the trees.
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
    """The nodes of all trees as the evaluator reads them."""
    nodes = np.concatenate(list(forest.trees))
    flags, tests = nodes["flags"], nodes["test"]
    is_leaf = (flags & NODE_LEAF) != 0
    limit = limits[np.where(is_leaf, len(limits) - 1, flags & NODE_SLOT)]
    bits = tests.copy().view("<u8")
    by_set = (limit > 0) & ((flags & NODE_CODE) == 0)
    which = tests[by_set].astype(np.int64)
    # A set has a bit for each code of the widest slot that it is used with.
    widest = np.zeros(len(forest.sets), dtype=np.int64)
    np.maximum.at(widest, which, limit[by_set])
    words = [layout.add_words(_bits(codes, int(most))) for codes, most in zip(forest.sets, widest, strict=True)]
    bits[by_set] = np.array([*words, 0], dtype="<u8")[which]
    # A code is never NaN.
    nodes["flags"][limit > 0] &= ~np.uint32(NODE_NAN_LEFT)
    nodes["flags"][by_set] |= NODE_SET
    held = nodes["right"][is_leaf]
    bits[is_leaf] = forest.values[held, 0].view("<u8") if forest.values.shape[1] == 1 else held
    nodes["test"] = bits.view("<f8")
    # To the right of a leaf is the leaf: who walks there stays.
    sizes = np.array([len(tree) for tree in forest.trees], dtype=np.int64)
    own = np.arange(len(nodes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    nodes["right"][is_leaf] = own[is_leaf]
    return nodes


def _bits(codes: Sequence[int] | npt.NDArray[np.int64], limit: int) -> npt.NDArray[np.uint32]:
    """A set of codes as bits, the least significant first; codes that no slot has are left out."""
    member = np.zeros((limit + 31) // 32 * 32, dtype=np.uint8)
    listed = np.asarray(codes, dtype=np.int64)
    member[listed[listed < limit]] = 1
    return np.packbits(member, bitorder="little").view("<u4")
