"""Read and check CatBoost's binary format (`.cbm`), whose numbers are exact: its JSON has fewer digits than a float64.

A file is the bytes `CBM1`, the size of its core, the core, and tables of target statistics ("CTR"), which say what
categories are worth. The core and each table are FlatBuffers; their schemas are in CatBoost's sources, in
`catboost/libs/model/flatbuffers`. CatBoost follows them without checking. So everything that it follows is checked
here: lengths, indices, steps from node to node, and that every search in a hash table ends.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fourfold.modelfiles import MalformedModel, require
from fourfold.modelfiles.flatbuffers import FlatTable

__all__ = ["Cbm", "Ctr", "FloatFeature", "Split", "Table", "check", "read"]

_MAGIC = b"CBM1"
_FORMAT = b"FlabuffersModel_v1"  # CatBoost's spelling
_CTR_PART = b"static_provider_v1"
#: The most outputs, columns, or classes.
_MAX_COUNT = 2**24
#: The most classes that a classifier may say that it has, beside those that it was trained with.
_MAX_CLASSES = 2**16
#: The depth of the deepest tree that CatBoost grows with all leaves at one depth.
_MAX_SYMMETRIC_DEPTH = 16
_SPLITS_PER_BIN, _MAX_BINS = 254, 0xFFFF
_CTR_TYPES = ("Borders", "Buckets", "BinarizedTargetMeanValue", "FloatTargetMeanValue", "Counter", "FeatureFreq")
#: The hash of a bucket that is free.
_FREE = 0xFFFFFFFFFFFFFFFF
#: The fields of the table `TModelTrees`, in the order of their numbers.
_TREE_FIELDS = (
    *("dimension", "splits", "sizes", "starts", "cats", "floats", "one_hots", "ctrs", "values", "weights", "steps"),
    *("leaves", "texts", "estimated", "scale", "bias", "biases", "repacked", "embeddings"),
)


class FloatFeature(NamedTuple):
    """Represent a column of numbers.

    Attributes:
        column: its index.
        borders: the values that split it, ascending.
        nan: the answer of a split to NaN: `AsIs`, `AsFalse` or `AsTrue`; the first is false, too.
    """

    column: int
    borders: npt.NDArray[np.float32]
    nan: str


class Split(NamedTuple):
    """Represent a test: is a number above a border, or is a category this one?

    Attributes:
        kind: `float`, `category` or `ctr`.
        feature: the index of the float feature, the categorical feature or the target statistic.
        value: the border, or the category's hash.
    """

    kind: str
    feature: int
    value: float


class Ctr(NamedTuple):
    """Represent a target statistic: the number that stands for a combination of categories and splits.

    Attributes:
        key: the key of its table.
        kind: the kind of statistic, one of `_CTR_TYPES`.
        cats: the indices of the categorical features.
        splits: the splits of float features and of categories that belong to the combination.
        target: the first class of the target that counts.
        prior: what is added to the numerator and to the denominator of the share.
        shift: what is added to the share.
        scale: the factor after that.
        borders: the values that split the statistic, ascending.
    """

    key: tuple[Any, ...]
    kind: str
    cats: tuple[int, ...]
    splits: tuple[Split, ...]
    target: int
    prior: tuple[float, float]
    shift: float
    scale: float
    borders: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Table:
    """Hold the statistics of each combination of categories.

    Attributes:
        hashes: the hashes of the combinations, shape `(rows,)`.
        rows: for each hash its row of `counts`.
        counts: the counts, shape `(rows, classes)`, of one class for the kinds that count rows; for the kinds of means,
            structs of a sum and a count, shape `(rows, 1)`.
        denominator: the denominator of the kinds that count rows.
    """

    hashes: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.int64]
    counts: npt.NDArray[Any]
    denominator: int


@dataclass(frozen=True)
class Cbm:
    """Hold a model.

    Attributes:
        dimension: the number of outputs.
        scale: the factor of the sums of leaves.
        bias: what is added after that, shape `(dimension,)`.
        splits: the tests of all trees.
        trees: for each tree the indices of its splits.
        steps: for each node of all trees the distances to its left and right children, 0 where that child is the node's
            own leaf, shape `(nodes, 2)`; empty where trees are symmetric.
        leaves: for each node of such trees the index of its leaf's first value.
        values: the values of the leaves, in the order of the trees, `dimension` of them a leaf.
        floats: the float features.
        cats: the column of each categorical feature.
        ctrs: the target statistics.
        tables: the tables of the target statistics, by their keys.
        names: the name of each column, by its index.
        info: the model's metadata, such as its parameters in JSON.
    """

    dimension: int
    scale: float
    bias: npt.NDArray[np.float64]
    splits: list[Split]
    trees: list[npt.NDArray[np.int64]]
    steps: npt.NDArray[np.int64]
    leaves: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    floats: list[FloatFeature]
    cats: list[int]
    ctrs: list[Ctr]
    tables: dict[tuple[Any, ...], Table]
    names: dict[int, str]
    info: dict[str, str]


def check(data: bytes) -> None:
    """Check that a model in CatBoost's binary format holds together.

    Models of texts and embeddings are refused: their parts have formats of their own, which nothing here checks.

    Raises:
        MalformedModel: the file contradicts itself, or was not written by CatBoost.
    """
    read(data)


def read(data: bytes) -> Cbm:
    """Return the model in a file, checked as by `check`.

    Raises:
        MalformedModel: the file contradicts itself, or was not written by CatBoost.
    """
    try:
        return _read(data)
    except MalformedModel:
        raise
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise MalformedModel(f"{type(error).__name__}: {error}") from error


def _vector(table: FlatTable, field: int, dtype: str) -> npt.NDArray[Any]:
    """Return a vector of numbers or structs as an array."""
    item = np.dtype(dtype)
    data = table.vector(field, item.itemsize)
    return np.frombuffer(data, item) if data else np.zeros(0, item)


def _read(data: bytes) -> Cbm:
    require(data[:4] == _MAGIC and len(data) >= 8, "no CatBoost model at its beginning")
    size = struct.unpack_from("<I", data, 4)[0]
    require(size <= len(data) - 8, "a core that is cut off")
    core = FlatTable.root(data[8 : 8 + size])
    require(core.text(0) == _FORMAT, "another format")
    trees = _Trees(core.table(1))
    unread = [name for name in ("texts", "embeddings") if trees.tables(name)]
    if unread or trees.tables("estimated"):
        kinds = " and ".join(unread) or "texts or embeddings"
        raise MalformedModel(
            f"it has features of {kinds}, which are not read: pack a function or an object of your own that asks the "
            "model, or train without them"
        )
    parts, ctr_data = core.texts(3), data[8 + size :]
    require(parts == [_CTR_PART] or not (parts or ctr_data), "parts that are not known")
    entries = [(entry.text(0).decode(), entry.text(1).decode()) for entry in core.tables(2)]
    info = dict(entries)
    require(len(info) == len(entries), "a key twice")
    _check_classes(info.get("class_params", "{}"))
    return _model(trees, _tables(ctr_data) if parts else {}, info)


def _check_classes(text: str) -> None:
    """Check how many classes a classifier has: CatBoost answers each of them, whether the trees know it or not."""
    try:
        params = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedModel(f"class_params that are no JSON: {error}") from None
    require(isinstance(params, dict), "class_params that are no object")
    count = params.get("classes_count", 0)
    require(type(count) is int and 0 <= count <= _MAX_CLASSES, f"more classes than {_MAX_CLASSES:,}")


class _Trees:
    """Read the table of trees in the core, whose fields have names here."""

    def __init__(self, table: FlatTable) -> None:
        self._table = table

    def vector(self, name: str, dtype: str) -> npt.NDArray[Any]:
        return _vector(self._table, _TREE_FIELDS.index(name), dtype)

    def integers(self, name: str, dtype: str = "<i4") -> npt.NDArray[np.int64]:
        return self.vector(name, dtype).astype(np.int64)

    def tables(self, name: str) -> list[FlatTable]:
        return self._table.tables(_TREE_FIELDS.index(name))

    def scalar(self, name: str, form: str, default: Any) -> Any:
        return self._table.scalar(_TREE_FIELDS.index(name), form, default)


def _model(trees: _Trees, tables: dict[tuple[Any, ...], Table], info: dict[str, str]) -> Cbm:
    dimension = trees.scalar("dimension", "<i", 0)
    require(1 <= dimension <= _MAX_COUNT, "no outputs, or too many")
    scale, common_bias = trees.scalar("scale", "<d", 1.0), trees.scalar("bias", "<d", 0.0)
    biases = trees.vector("biases", "<f8")
    require(len(biases) in (0, dimension), "a bias for other outputs")
    bias = biases if len(biases) else np.full(dimension, common_bias)
    require(bool(np.isfinite([scale, *bias]).all()), "a bias that is no number")
    names: dict[int, str] = {}
    floats = _float_features(trees, names)
    cats, is_used = _categorical_features(trees, names)
    float_splits = _border_splits("float", floats)
    one_hots = _one_hot_splits(trees, is_used)
    ctrs = _ctrs(trees, is_used, {*float_splits, *one_hots}, tables)
    splits = [*float_splits, *one_hots, *_border_splits("ctr", ctrs)]
    forest = _forest(trees, dimension, len(splits))
    return Cbm(dimension, scale, bias, splits, *forest, floats, cats, ctrs, tables, names, info)


def _column(feature: FlatTable, first_field: int, order: int, names: dict[int, str]) -> int:
    """Return the column of a feature, checked to be new; the features of a kind are numbered in their order."""
    index, column = feature.scalar(first_field, "<i", -1), feature.scalar(first_field + 1, "<i", -1)
    is_new = index == order and 0 <= column < _MAX_COUNT and column not in names
    require(is_new, "features out of order, or a column twice")
    return int(column)


def _float_features(trees: _Trees, names: dict[int, str]) -> list[FloatFeature]:
    """Return the float features, and write the names of their columns into `names`."""
    features = []
    for order, table in enumerate(trees.tables("floats")):
        column = _column(table, 1, order, names)
        names[column] = table.text(4).decode()
        borders = _borders(table, 3)
        kind = table.scalar(5, "<b", 0)
        require(0 <= kind < 3, "an unknown treatment of NaN")
        has_nans = table.scalar(0, "<B", 0)
        features.append(FloatFeature(column, borders, ("AsIs", "AsFalse", "AsTrue")[kind] if has_nans else "AsIs"))
    return features


def _borders(table: FlatTable, field: int) -> npt.NDArray[np.float32]:
    borders = _vector(table, field, "<f4")
    require(bool((borders[:-1] < borders[1:]).all() and not np.isnan(borders).any()), "borders out of order")
    return borders


def _border_splits(kind: str, features: Sequence[FloatFeature | Ctr]) -> list[Split]:
    return [Split(kind, index, float(border)) for index, feature in enumerate(features) for border in feature.borders]


def _categorical_features(trees: _Trees, names: dict[int, str]) -> tuple[list[int], list[bool]]:
    """Return the column of each categorical feature and whether the model uses it; write the names into `names`."""
    columns, is_used = [], []
    for order, table in enumerate(trees.tables("cats")):
        column = _column(table, 0, order, names)
        names[column] = table.text(2).decode()
        columns.append(column)
        is_used.append(bool(table.scalar(3, "<B", 1)))
    return columns, is_used


def _one_hot_splits(trees: _Trees, is_used: Sequence[bool]) -> list[Split]:
    splits = []
    for table in trees.tables("one_hots"):
        index, values = table.scalar(0, "<i", -1), _vector(table, 1, "<i4")
        require(0 <= index < len(is_used) and is_used[index], "a category of another feature")
        splits += [Split("category", index, float(value)) for value in values]
    return splits


def _ctr_key(table: FlatTable) -> tuple[Any, ...]:
    """Return the key of a statistic's table: the kind of statistic, its combination and its target."""
    combination, kind = table.table(0), table.scalar(1, "<b", 0)
    require(0 <= kind < len(_CTR_TYPES), "an unknown kind of statistic")
    splits = _vector(combination, 1, "<i4,<f4"), _vector(combination, 2, "<i4,<i4")
    return (
        _CTR_TYPES[kind],
        tuple(_vector(combination, 0, "<i4").tolist()),
        tuple(splits[0].tolist()),
        tuple(splits[1].tolist()),
        # The number of the target, where there are several with classes of their own.
        table.scalar(2, "<i", 0),
    )


def _ctrs(
    trees: _Trees, is_used: Sequence[bool], splits: set[Split], tables: dict[tuple[Any, ...], Table]
) -> list[Ctr]:
    """Return the target statistics.

    Args:
        trees: the core's trees.
        is_used: whether the model uses each categorical feature.
        splits: the splits that a combination may have.
        tables: the tables of the statistics, by their keys.
    """
    ctrs = []
    for feature in trees.tables("ctrs"):
        ctr = feature.table(0)
        key = _ctr_key(ctr.table(0))
        kind, cats, float_splits, category_splits, _ = key
        require(key in tables, "a statistic without its table")
        has_cats = len(cats) > 0 and all(0 <= cat < len(is_used) and is_used[cat] for cat in cats)
        require(has_cats, "a statistic of another category")
        borders = _borders(feature, 1)
        combined = [Split("float", index, border) for index, border in float_splits]
        combined += [Split("category", index, float(value)) for index, value in category_splits]
        require(set(combined) <= splits, "a statistic of a split that the model does not have")
        target = ctr.scalar(1, "<i", 0)
        if kind in ("Borders", "Buckets"):
            classes = tables[key].counts.shape[1]
            require(0 <= target < classes - (kind == "Borders"), "a statistic of another class")
        prior = ctr.scalar(2, "<f", 0.0), ctr.scalar(3, "<f", 1.0)
        shift, scale = ctr.scalar(4, "<f", 0.0), ctr.scalar(5, "<f", 1.0)
        ctrs.append(Ctr(key, kind, cats, tuple(combined), target, prior, shift, scale, borders))
    return ctrs


def _tables(data: bytes) -> dict[tuple[Any, ...], Table]:
    """Return the tables of statistics by their keys: the bytes are their number, then each table after its size."""
    count = struct.unpack_from("<I", data, 0)[0]
    position = 4
    tables: dict[tuple[Any, ...], Table] = {}
    for _ in range(count):
        size = struct.unpack_from("<I", data, position)[0]
        require(size <= len(data) - position - 4, "a table of statistics that is cut off")
        root = FlatTable.root(data[position + 4 : position + 4 + size])
        key = _ctr_key(root.table(0))
        require(key not in tables, "a table of statistics twice")
        tables[key] = _table(root, key[0])
        position += 4 + size
    require(position == len(data), "bytes after its end")
    return tables


def _table(root: FlatTable, kind: str) -> Table:
    data = _vector(root, 1, "<u1")
    require(len(data) % 12 == 0, "a table of hashes that is cut off")
    buckets = data.view(np.dtype([("hash", "<u8"), ("row", "<u4")]))
    size = len(buckets)
    is_taken = buckets["hash"] != _FREE
    # A search for a hash stops at the first free bucket, so there must be one.
    is_searchable = size > 0 and size & (size - 1) == 0 and not is_taken.all()
    require(is_searchable, "a table of hashes without an end")
    hashes, rows = buckets["hash"][is_taken], buckets["row"][is_taken].astype(np.int64)
    require(len(np.unique(hashes)) == len(hashes), "a hash twice")
    _check_search(buckets["hash"], size)
    denominator, classes = root.scalar(3, "<i", 0), root.scalar(4, "<i", 0)
    if kind in ("Borders", "Buckets"):
        require(2 <= classes <= _MAX_COUNT, "statistics of no classes")
        counts = _counts(_vector(root, 2, "<u1"), "<i4", classes)
    elif kind in ("Counter", "FeatureFreq"):
        counts = _counts(_vector(root, 2, "<u1"), "<i4", 1)
    else:
        counts = _counts(_vector(root, 2, "<u1"), np.dtype([("sum", "<f4"), ("count", "<i4")]), 1)
    require(bool((rows < len(counts)).all()), "statistics that are cut off")
    return Table(hashes, rows, counts, denominator)


def _check_search(hashes: npt.NDArray[np.uint64], size: int) -> None:
    """Check that a linear search finds each hash: no bucket is free between the hash's first bucket and its own."""
    free = np.flatnonzero(hashes == _FREE)
    taken = np.flatnonzero(hashes != _FREE)
    first = (hashes[taken] & np.uint64(size - 1)).astype(np.int64)
    next_free = free[np.searchsorted(free, first) % len(free)]
    is_reached = (taken - first) % size < (next_free - first) % size
    require(bool(is_reached.all()), "a hash that no search finds")


def _counts(data: npt.NDArray[np.uint8], dtype: Any, width: int) -> npt.NDArray[Any]:
    item = np.dtype(dtype)
    require(len(data) % (item.itemsize * width) == 0, "statistics that are cut off")
    counts: npt.NDArray[Any] = data.view(item).reshape(-1, width)
    return counts


Forest = tuple[list[npt.NDArray[np.int64]], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


def _forest(trees: _Trees, dimension: int, split_count: int) -> Forest:
    """Return `trees`, `steps`, `leaves` and `values` of `Cbm`."""
    splits, sizes, starts = (trees.integers(name) for name in ("splits", "sizes", "starts"))
    values, weights = trees.vector("values", "<f8"), trees.vector("weights", "<f8")
    require(len(sizes) == len(starts) and bool((sizes >= 0).all()), "another number of trees")
    require(bool((starts == np.cumsum(sizes) - sizes).all()) and int(sizes.sum()) == len(splits), "trees out of order")
    are_known = bool(((splits >= 0) & (splits < max(split_count, 1))).all())
    steps = trees.vector("steps", "<u2,<u2")
    require(split_count <= _SPLITS_PER_BIN * _MAX_BINS, "too many splits")
    leaves = trees.integers("leaves", "<u4")
    tree_splits = [splits[start : start + size] for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)]
    nodes = np.stack([steps["f0"], steps["f1"]], axis=1).astype(np.int64)
    if len(steps):
        require(are_known and len(leaves) == len(steps) == len(splits), "another number of nodes")
        _check_steps(nodes, leaves, starts, sizes, dimension, len(values))
        require(len(weights) in (0, len(values) // dimension), "weights of other leaves")
        return tree_splits, nodes, leaves, values
    require(are_known and (split_count > 0 or not len(splits)), "a tree with another split")
    require(bool((sizes <= _MAX_SYMMETRIC_DEPTH).all()) and not len(leaves), "a tree that is too deep")
    count = int((1 << sizes).sum())
    require(len(values) == count * dimension and len(weights) in (0, count), "trees with other leaves")
    return tree_splits, nodes, leaves, values


def _check_steps(
    nodes: npt.NDArray[np.int64],
    leaves: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    dimension: int,
    value_count: int,
) -> None:
    """Check that every step leads to a node of the same tree, and every leaf to its values.

    Args:
        nodes: the distances from each node to its left and right children, shape `(nodes, 2)`.
        leaves: for each node the index of its leaf's first value.
        starts: the first node of each tree.
        sizes: the number of nodes of each tree.
        dimension: the number of values of a leaf.
        value_count: the number of values of all leaves.
    """
    require(bool((sizes > 0).all()), "a tree without nodes")
    tree_end = np.repeat(starts + sizes, sizes)
    index = np.arange(len(nodes))
    require(bool((index + nodes.max(axis=1) < tree_end).all()), "a step out of its tree")
    has_leaf = (nodes == 0).any(axis=1)
    first = leaves[has_leaf]
    are_there = (first % dimension == 0).all() and (first + dimension <= value_count).all()
    require(bool(are_there), "a leaf that is not there")
