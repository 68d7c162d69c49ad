"""Check XGBoost's UBJSON and JSON before XGBoost parses them: it checks the bounds of neither.

The reader takes what XGBoost writes and nothing else: no key twice, nothing after the end, and no number that XGBoost
would read otherwise. So XGBoost sees the same model that is checked here. https://ubjson.org/ describes the format.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourfold.modelfiles import MalformedModel, require

__all__ = ["check", "check_json"]

# Markers of numbers with their dtypes, and of constants with their values.
_NUMBERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_CONSTANTS: dict[bytes, object] = {b"Z": None, b"T": True, b"F": False}
#: How deep values may be nested, and the most classes and targets.
_MAX_DEPTH = 30
_MAX_OUTPUTS = 2**20
#: The most splits from a tree's root to a leaf: XGBoost goes down some trees with functions that call themselves.
_MAX_SPLITS = 10_000
#: The parent of a root, in trees with a number in each leaf and in those with a vector.
_NO_PARENT = (2**31 - 1, -1)
# How XGBoost writes an integer as a text. Python takes other texts, of which XGBoost would take a part.
_INTEGER = re.compile(r"-?[0-9]{1,10}")


def check(data: bytes) -> None:
    """Check that a model holds together, alone or with the configuration that a pickled booster has.

    Raises:
        MalformedModel: the file contradicts itself, or was not written by XGBoost.
    """
    _checked(lambda: _Reader(data).document())


def check_json(data: bytes) -> None:
    """Check that a model in JSON holds together.

    Raises:
        MalformedModel: the file contradicts itself, or was not written by XGBoost.
    """
    _checked(lambda: json.loads(data.decode("ascii"), object_pairs_hook=_members, parse_constant=_constant))


def _checked(read: Callable[[], Any]) -> None:
    try:
        document = read()
        model = document.get("Model", document)
        version = model["version"]
        are_numbers = isinstance(version, list) and all(type(part) is int and 0 <= part < 2**15 for part in version)
        require(are_numbers and len(version) == 3, "no version of three numbers")
        _check_learner(model["learner"])
    except MalformedModel:
        raise
    except (
        *(KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError),
        struct.error,
    ) as error:
        raise MalformedModel(f"{type(error).__name__}: {error}") from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    require(len(members) == len(pairs), "a key twice")
    return members


def _constant(text: str) -> float:
    """Return NaN and the infinities, which XGBoost writes into its JSON."""
    return float(text)


class _Reader:
    """Read one value after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def document(self) -> Any:
        """Return the object that all of the bytes are."""
        require(self._data[:2] in (b"{L", b"{}"), "no UBJSON as XGBoost writes it")
        document = self._value(0)
        require(self._position == len(self._data), "bytes after its end")
        return document

    def _take(self, size: int) -> bytes:
        require(0 <= size <= len(self._data) - self._position, "a part that is cut off")
        self._position += size
        return self._data[self._position - size : self._position]

    def _size(self) -> int:
        require(self._take(1) == b"L", "a length of another kind")
        return int(struct.unpack(">q", self._take(8))[0])

    def _value(self, depth: int) -> Any:
        require(depth < _MAX_DEPTH, "parts that are nested too deep")
        kind = self._take(1)
        if kind == b"{":
            return self._object(depth)
        if kind == b"[":
            return self._array(depth)
        if kind == b"S":
            return self._take(self._size()).decode()
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        require(kind in _NUMBERS, f"a value of the kind {kind!r}")
        return self._numbers(kind, 1)[0].item()

    def _object(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while self._data[self._position : self._position + 1] != b"}":
            key = self._take(self._size()).decode()
            require(key not in members, f"{key!r} twice")
            members[key] = self._value(depth + 1)
        self._position += 1
        return members

    def _array(self, depth: int) -> Any:
        marker = self._take(1)
        if marker == b"$":
            kind = self._take(1)
            require(kind in _NUMBERS and self._take(1) == b"#", "an array of another kind")
            return self._numbers(kind, self._size())
        require(marker == b"#", "an array without a length")
        size = self._size()
        require(0 <= size <= len(self._data), "an array that is cut off")
        return [self._value(depth + 1) for _ in range(size)]

    def _numbers(self, kind: bytes, size: int) -> NDArray[Any]:
        require(0 <= size <= len(self._data), "an array that is cut off")
        dtype = np.dtype(_NUMBERS[kind])
        return np.frombuffer(self._take(size * dtype.itemsize), dtype)


def _check_learner(learner: Mapping[str, Any]) -> None:
    sizes = learner["learner_model_param"]
    columns = _integer(sizes["num_feature"])
    classes, targets = _integer(sizes["num_class"]), _integer(sizes.get("num_target", "1"))
    groups = max(classes, targets, 1)
    require(
        columns >= 0 and 0 <= classes <= _MAX_OUTPUTS and 0 <= targets <= _MAX_OUTPUTS,
        "another number of columns or classes",
    )
    require(sizes["base_score"].count(",") in (0, groups - 1), "a base_score for other outputs")
    for name in ("feature_names", "feature_types"):
        require(len(learner.get(name, ())) in (0, columns), f"{name} for other columns")
    _check_objective(learner["objective"], classes)
    booster = learner["gradient_booster"]
    if booster["name"] == "gblinear":
        # A booster of no rounds has no weights, and answers as if all were 0.
        count = len(_floats(booster["model"]["weights"]))
        require(count in (0, (columns + 1) * groups), "weights for other columns")
        return
    require(booster["name"] in ("gbtree", "dart"), "an unknown kind of booster")
    model = booster["gbtree"]["model"] if booster["name"] == "dart" else booster["model"]
    _check_forest(model, columns, groups)
    if booster["name"] == "dart":
        require(len(_floats(booster["weight_drop"])) == len(model["trees"]), "weights for other trees")
    if "cats" in model:
        _check_categories(model["cats"], columns)


def _check_objective(objective: Mapping[str, Any], classes: int) -> None:
    """Check that an objective has as many classes as the model: XGBoost divides the answers among its classes."""
    require(isinstance(objective["name"], str), "an objective without a name")
    if objective["name"].startswith("multi:"):
        stated = _integer(objective["softmax_multiclass_param"]["num_class"])
        require(stated == classes >= 1, "an objective for other classes")


def _check_forest(model: Mapping[str, Any], columns: int, groups: int) -> None:
    trees = model["trees"]
    sizes = model["gbtree_model_param"]
    require(isinstance(trees, list) and _integer(sizes["num_trees"]) == len(trees), "another number of trees")
    require(1 <= _integer(sizes["num_parallel_tree"]) <= max(1, len(trees)), "another number of trees a round")
    info = _integers(model["tree_info"])
    require(len(info) == len(trees) and _inside(info, groups), "trees for other outputs")
    if "iteration_indptr" in model:
        rounds = _integers(model["iteration_indptr"])
        require(len(rounds) > 0 and bool((np.diff(rounds) >= 0).all()), "rounds out of order")
        require(int(rounds[0]) == 0 and int(rounds[-1]) == len(trees), "rounds of other trees")
    for index, tree in enumerate(trees):
        require(tree["id"] == index, "trees out of order")
        _check_tree(tree, columns, groups)


def _check_tree(tree: Mapping[str, Any], columns: int, groups: int) -> None:
    sizes = tree["tree_param"]
    count, vector = _integer(sizes["num_nodes"]), max(1, _integer(sizes["size_leaf_vector"]))
    require(count > 0 and 0 <= _integer(sizes["num_feature"]) <= columns, "a tree without nodes or for other columns")
    require(_integer(sizes["size_leaf_vector"]) >= 0 and vector in (1, groups), "a tree for other outputs")
    if vector > 1:
        missing = [name for name in ("leaf_weights", "loss_changes", "sum_hessian") if name not in tree]
        require(
            not missing,
            f"trees with a vector in each leaf as earlier versions of XGBoost, such as 2.1, saved them, without "
            f"{', '.join(missing)}; version 3.2 crashes on them: train the model again",
        )
    left, right, split = (_integers(tree[name]) for name in ("left_children", "right_children", "split_indices"))
    conditions, weights = _floats(tree["split_conditions"]), _floats(tree["base_weights"])
    kinds = _integers(tree["split_type"])
    defaults, parents = _integers(tree["default_left"]), _integers(tree["parents"])
    for array in (left, right, split, conditions, kinds, defaults, parents):
        require(len(array) == count, "a tree whose arrays and nodes have different lengths")
    for name in ("loss_changes", "sum_hessian"):
        require(len(_floats(tree[name])) == count, f"a tree with other {name} than nodes")
    require(len(weights) == count * vector, "a tree with other weights than nodes")
    is_inner = left != -1
    children = np.concatenate([left[is_inner], right[is_inner]])
    # No node is the child of two nodes, and the root of none, so every walk from the root ends.
    require(_inside(children, count) and bool((children > 0).all()), "a tree with another node")
    require(len(np.unique(children)) == len(children), "a tree with a node of two parents")
    inner = np.flatnonzero(is_inner)
    are_parents = (parents[left[is_inner]] == inner).all() and (parents[right[is_inner]] == inner).all()
    require(bool(are_parents) and int(parents[0]) in _NO_PARENT, "a tree with another parent")
    require(_inside(parents[~np.isin(parents, _NO_PARENT)], count), "a tree with another parent")
    require(_depth(left, right) <= _MAX_SPLITS, f"a tree deeper than {_MAX_SPLITS:,} splits")
    require(_inside(split[is_inner], columns), "a tree of another column")
    require(_inside(kinds, 2) and not kinds[~is_inner].any(), "a tree with splits of another kind")
    if vector > 1:
        leaves = len(_floats(tree["leaf_weights"]))
        require(
            leaves % vector == 0 and _inside(right[~is_inner] + 1, leaves // vector + 1), "a tree with another leaf"
        )
    _check_category_splits(tree, inner[kinds[is_inner] == 1])


def _check_category_splits(tree: Mapping[str, Any], splits: NDArray[np.int64]) -> None:
    """Check a tree's splits by category.

    Args:
        tree: the tree.
        splits: the inner nodes that split by category, ascending.
    """
    names = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
    values, nodes, starts, lengths = (_integers(tree[name]) for name in names)
    require(len(nodes) == len(starts) == len(lengths), "a tree with other categories than splits")
    require(np.array_equal(nodes, splits), "a tree with categories of another node")
    require(_inside(starts, len(values) + 1) and _inside(lengths, len(values) + 1), "a tree with too few categories")
    require(bool((starts + lengths <= len(values)).all()), "a tree with too few categories")
    require(_inside(values, 2**24), "a tree with another category")


def _check_categories(cats: Mapping[str, Any], columns: int) -> None:
    """Check the categories that the model was trained with."""
    encodings = cats["enc"]
    bounds, order = _integers(cats["feature_segments"]), _integers(cats["sorted_idx"])
    if not len(encodings):
        require(not len(order) and not bounds.any(), "categories of no column")
        return
    require(len(encodings) == columns == len(bounds) - 1 and int(bounds[0]) == 0, "categories of other columns")
    require(bool((np.diff(bounds) >= 0).all()) and int(bounds[-1]) == len(order), "categories out of order")
    for column, encoding in enumerate(encodings):
        low, high = int(bounds[column]), int(bounds[column + 1])
        require(_inside(order[low:high], high - low), "a category that is not there")
        size = len(encoding["values"])
        if "offsets" in encoding:  # of texts, which lie behind each other
            offsets = _integers(encoding["offsets"])
            if len(offsets):
                require(int(offsets[0]) == 0 and bool((np.diff(offsets) >= 0).all()), "names out of order")
                require(int(offsets[-1]) == size, "names that are cut off")
            size = max(0, len(offsets) - 1)
        require(size == high - low, "other categories than it states")


def _depth(left: NDArray[np.int64], right: NDArray[np.int64]) -> int:
    """Return the number of splits on the longest way from the root; each node has one parent at most."""
    depth, level = 0, np.zeros(1, np.int64)
    while True:
        level = level[left[level] != -1]
        if not len(level):
            return depth
        depth += 1
        if depth > _MAX_SPLITS:
            return depth
        level = np.concatenate([left[level], right[level]])


def _integer(text: str) -> int:
    """Return the integer of a text, which fits 32 bits."""
    require(isinstance(text, str) and bool(_INTEGER.fullmatch(text)), "a number that XGBoost does not write")
    value = int(text)
    require(-(2**31) <= value < 2**31, "a number that is too large")
    return value


def _integers(values: Any) -> NDArray[np.int64]:
    array = np.asarray(values if len(values) else np.zeros(0, np.int64))
    require(array.ndim == 1 and array.dtype.kind in "iu", "an array that should be of integers")
    return array.astype(np.int64)


def _floats(values: Any) -> NDArray[Any]:
    array = np.asarray(values if len(values) else np.zeros(0))
    require(array.ndim == 1 and array.dtype.kind == "f", "an array that should be of floats")
    return array


def _inside(values: NDArray[Any], end: int) -> bool:
    """Return whether all values are indices from 0 to below `end`."""
    return bool(((values >= 0) & (values < end)).all())
