"""CatBoost's binary format (`.cbm`), read and checked: its JSON has fewer digits than a float64.

A file is the bytes `CBM1`, the size of its core, the core, and tables of what categories were worth in training. The
core and each table are flat buffers: tables whose fields have their offsets in a table of their own, before or after
it. CatBoost follows what they say. So everything that it follows is checked here: lengths, indices, steps from node to
node, and that every search in a table of hashes ends.
"""

from __future__ import annotations

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
_FORMAT = b"FlabuffersModel_v1"  # so it is spelled
_PART = b"static_provider_v1"
_MANY = 2**24
#: The deepest tree that CatBoost grows with all leaves at one depth.
_DEEPEST = 16
#: How many splits of a feature share a bin, and how many bins there can be.
_A_BIN, _BINS = 254, 0xFFFF
_CTR_TYPES = ("Borders", "Buckets", "BinarizedTargetMeanValue", "FloatTargetMeanValue", "Counter", "FeatureFreq")
_NOT_THERE = 0xFFFFFFFFFFFFFFFF
#: Of the core's trees, the fields by their place.
_TREES = (
    *("dimension", "splits", "sizes", "starts", "cats", "floats", "one_hots", "ctrs", "values", "weights", "steps"),
    *("leaves", "texts", "estimated", "scale", "bias", "biases", "repacked", "embeddings"),
)


class FloatFeature(NamedTuple):
    """A column of numbers.

    Attributes:
        place: the column.
        borders: what splits it, ascending, as float32.
        nan: what NaN is to a split: `AsIs`, `AsFalse` or `AsTrue`; the first is false, too.
    """

    place: int
    borders: npt.NDArray[np.float32]
    nan: str


class Split(NamedTuple):
    """A test: is a number above a border, is a category this one?

    Attributes:
        kind: `float`, `category` or `ctr`.
        feature: the float feature, the categorical feature or the ctr.
        value: the border, or the category's hash.
    """

    kind: str
    feature: int
    value: float


class Ctr(NamedTuple):
    """A number that stands for a combination of categories and splits: what it was worth in training.

    Attributes:
        key: of its table.
        kind: the kind of statistic.
        cats: the categorical features.
        splits: the splits of float features and of categories that are part of it.
        target: the border of the target that it counts from.
        prior: the numerator and denominator that are added.
        shift: added to the share.
        scale: the factor after that.
        borders: what splits it.
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
    """What each combination of categories was worth.

    Attributes:
        hashes: of the combinations, shape `(rows,)`.
        rows: of each its row of counts.
        counts: shape `(rows, classes)`; or `(rows, 2)` of the kinds of means, whose sum and count these are.
        denominator: of the kinds that count.
    """

    hashes: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.int64]
    counts: npt.NDArray[Any]
    denominator: int


@dataclass(frozen=True)
class Cbm:
    """A model.

    Attributes:
        dimension: how many numbers it gives.
        scale: what sums are multiplied with at the end.
        bias: what is added then, shape `(dimension,)`.
        splits: all tests.
        trees: of each tree the places of its splits.
        steps: of trees that are not symmetric, for each node of all trees how far on its left and right children are,
            0 where it is a leaf itself; otherwise none.
        leaves: of such trees, each node's place among the values.
        values: of the leaves, in the order of the trees.
        floats: the float features.
        cats: the column of each categorical feature.
        ctrs: the statistics of categories.
        tables: their tables.
        names: of all columns.
        info: what else is known of the model, as texts.
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

    Models of texts and embeddings are refused: their parts have formats of their own, which nobody has checked.

    Raises:
        MalformedModel: it does not, or was not written by CatBoost.
    """
    read(data)


def read(data: bytes) -> Cbm:
    """Read a model, and check that it holds together.

    Raises:
        MalformedModel: it does not, or was not written by CatBoost.
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
    unread = [name for name in ("texts", "estimated", "embeddings") if trees.tables(name)]
    require(not unread, f"features of kinds that are not read: {', '.join(unread)}")
    parts, rest = core.texts(3), data[8 + size :]
    require(parts == [_PART] or not (parts or rest), "parts that are not known")
    entries = [(entry.text(0).decode(), entry.text(1).decode()) for entry in core.tables(2)]
    info = dict(entries)
    require(len(info) == len(entries), "a key twice")
    return _model(trees, _tables(rest) if parts else {}, info)


class _Trees:
    """The core's trees, whose fields have names."""

    def __init__(self, table: FlatTable) -> None:
        self._table = table

    def vector(self, name: str, dtype: str) -> npt.NDArray[Any]:
        return _vector(self._table, _TREES.index(name), dtype)

    def integers(self, name: str, dtype: str = "<i4") -> npt.NDArray[np.int64]:
        return self.vector(name, dtype).astype(np.int64)

    def tables(self, name: str) -> list[FlatTable]:
        return self._table.tables(_TREES.index(name))

    def scalar(self, name: str, form: str, default: Any) -> Any:
        return self._table.scalar(_TREES.index(name), form, default)


def _model(trees: _Trees, tables: dict[tuple[Any, ...], Table], info: dict[str, str]) -> Cbm:
    dimension = trees.scalar("dimension", "<i", 0)
    require(1 <= dimension <= _MANY, "no outputs, or too many")
    scale, one = trees.scalar("scale", "<d", 1.0), trees.scalar("bias", "<d", 0.0)
    several = trees.vector("biases", "<f8")
    require(len(several) in (0, dimension), "a bias for other outputs")
    bias = several if len(several) else np.full(dimension, one)
    require(bool(np.isfinite([scale, *bias]).all()), "a bias that is no number")
    names: dict[int, str] = {}
    floats = _floats(trees, names)
    cats, used = _cats(trees, names)
    splits = [Split("float", index, float(border)) for index, each in enumerate(floats) for border in each.borders]
    one_hots = _one_hots(trees, used)
    splits += one_hots
    ctrs = _ctrs(trees, floats, used, one_hots, tables)
    splits += [Split("ctr", index, float(border)) for index, each in enumerate(ctrs) for border in each.borders]
    forest = _forest(trees, dimension, len(splits))
    return Cbm(dimension, scale, bias, splits, *forest, floats, cats, ctrs, tables, names, info)


def _placed(feature: FlatTable, first: int, order: int, names: dict[int, str]) -> int:
    """The column of a feature; those of a kind are numbered in their order."""
    index, place = feature.scalar(first, "<i", -1), feature.scalar(first + 1, "<i", -1)
    require(index == order and 0 <= place < _MANY and place not in names, "features out of order, or a column twice")
    names[place] = ""
    return int(place)


def _floats(trees: _Trees, names: dict[int, str]) -> list[FloatFeature]:
    out = []
    for order, each in enumerate(trees.tables("floats")):
        place = _placed(each, 1, order, names)
        names[place] = each.text(4).decode()
        borders = _vector(each, 3, "<f4")
        require(bool((borders[:-1] < borders[1:]).all() and not np.isnan(borders).any()), "borders out of order")
        kind = each.scalar(5, "<b", 0)
        require(0 <= kind < 3, "an unknown treatment of NaN")
        has_nans = each.scalar(0, "<B", 0)
        out.append(FloatFeature(place, borders, ("AsIs", "AsFalse", "AsTrue")[kind] if has_nans else "AsIs"))
    return out


def _cats(trees: _Trees, names: dict[int, str]) -> tuple[list[int], list[bool]]:
    places, used = [], []
    for order, each in enumerate(trees.tables("cats")):
        place = _placed(each, 0, order, names)
        names[place] = each.text(2).decode()
        places.append(place)
        used.append(bool(each.scalar(3, "<B", 1)))
    return places, used


def _one_hots(trees: _Trees, used: Sequence[bool]) -> list[Split]:
    out = []
    for each in trees.tables("one_hots"):
        index, values = each.scalar(0, "<i", -1), _vector(each, 1, "<i4")
        require(0 <= index < len(used) and used[index], "a category of another feature")
        out += [Split("category", index, float(value)) for value in values]
    return out


def _base(table: FlatTable) -> tuple[Any, ...]:
    """What tells one kind of statistic of a combination from others: its table's key."""
    combination, kind = table.table(0), table.scalar(1, "<b", 0)
    require(0 <= kind < len(_CTR_TYPES), "an unknown kind of statistic")
    splits = _vector(combination, 1, "<i4,<f4"), _vector(combination, 2, "<i4,<i4")
    return (
        _CTR_TYPES[kind],
        tuple(_vector(combination, 0, "<i4").tolist()),
        tuple(splits[0].tolist()),
        tuple(splits[1].tolist()),
        # Of which target it is, where there are several with classes of their own.
        table.scalar(2, "<i", 0),
    )


def _ctrs(
    trees: _Trees,
    floats: Sequence[FloatFeature],
    used: Sequence[bool],
    one_hots: Sequence[Split],
    tables: dict[tuple[Any, ...], Table],
) -> list[Ctr]:
    out = []
    known = set(one_hots) | {
        Split("float", index, float(border)) for index, each in enumerate(floats) for border in each.borders
    }
    for feature in trees.tables("ctrs"):
        each, borders = feature.table(0), _vector(feature, 1, "<f4")
        key = _base(each.table(0))
        kind, cats, above, same, _ = key
        require(key in tables, "a statistic without its table")
        require(
            len(cats) > 0 and all(0 <= cat < len(used) and used[cat] for cat in cats), "a statistic of another category"
        )
        require(bool((borders[:-1] < borders[1:]).all() and not np.isnan(borders).any()), "borders out of order")
        splits = [Split("float", index, border) for index, border in above]
        splits += [Split("category", index, float(value)) for index, value in same]
        require(set(splits) <= known, "a statistic of a split that is none of the model's")
        target = each.scalar(1, "<i", 0)
        if kind in ("Borders", "Buckets"):
            classes = tables[key].counts.shape[1]
            require(0 <= target < classes - (kind == "Borders"), "a statistic of another class")
        prior = each.scalar(2, "<f", 0.0), each.scalar(3, "<f", 1.0)
        shift, scale = each.scalar(4, "<f", 0.0), each.scalar(5, "<f", 1.0)
        out.append(Ctr(key, kind, cats, tuple(splits), target, prior, shift, scale, borders))
    return out


def _tables(data: bytes) -> dict[tuple[Any, ...], Table]:
    """The tables of statistics: how many there are, then each after its size."""
    count = struct.unpack_from("<I", data, 0)[0]
    at = 4
    out: dict[tuple[Any, ...], Table] = {}
    for _ in range(count):
        size = struct.unpack_from("<I", data, at)[0]
        require(size <= len(data) - at - 4, "a table of statistics that is cut off")
        root = FlatTable.root(data[at + 4 : at + 4 + size])
        key = _base(root.table(0))
        require(key not in out, "a table of statistics twice")
        out[key] = _table(root, key[0])
        at += 4 + size
    require(at == len(data), "bytes after its end")
    return out


def _table(root: FlatTable, kind: str) -> Table:
    buckets = _vector(root, 1, "<u1")
    require(len(buckets) % 12 == 0, "a table of hashes that is cut off")
    places = buckets.view(np.dtype([("hash", "<u8"), ("row", "<u4")]))
    size = len(places)
    there = places["hash"] != _NOT_THERE
    # Whoever looks for a hash stops at the first place that is free.
    require(size > 0 and size & (size - 1) == 0 and not there.all(), "a table of hashes without an end")
    hashes, rows = places["hash"][there], places["row"][there].astype(np.int64)
    require(len(np.unique(hashes)) == len(hashes), "a hash twice")
    _reached(places["hash"], size)
    denominator, classes = root.scalar(3, "<i", 0), root.scalar(4, "<i", 0)
    if kind in ("Borders", "Buckets"):
        require(2 <= classes <= _MANY, "statistics of no classes")
        counts = _counts(_vector(root, 2, "<u1"), "<i4", classes)
    elif kind in ("Counter", "FeatureFreq"):
        counts = _counts(_vector(root, 2, "<u1"), "<i4", 1)
    else:
        counts = _counts(_vector(root, 2, "<u1"), np.dtype([("sum", "<f4"), ("count", "<i4")]), 1)
    require(bool((rows < len(counts)).all()), "statistics that are cut off")
    return Table(hashes, rows, counts, denominator)


def _reached(hashes: npt.NDArray[np.uint64], size: int) -> None:
    """Check that a search finds each hash: from its own place on, no place before it is free."""
    free = np.flatnonzero(hashes == _NOT_THERE)
    places = np.flatnonzero(hashes != _NOT_THERE)
    wanted = (hashes[places] & np.uint64(size - 1)).astype(np.int64)
    next_free = free[np.searchsorted(free, wanted) % len(free)]
    before = (places - wanted) % size < (next_free - wanted) % size
    require(bool(before.all()), "a hash that no search finds")


def _counts(blob: npt.NDArray[np.uint8], dtype: Any, width: int) -> npt.NDArray[Any]:
    kind = np.dtype(dtype)
    require(len(blob) % (kind.itemsize * width) == 0, "statistics that are cut off")
    counts: npt.NDArray[Any] = blob.view(kind).reshape(-1, width)
    return counts


Forest = tuple[list[npt.NDArray[np.int64]], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


def _forest(trees: _Trees, dimension: int, known: int) -> Forest:
    """Each tree's splits; steps and leaves of trees that are not symmetric; values."""
    splits, sizes, starts = (trees.integers(name) for name in ("splits", "sizes", "starts"))
    values, weights = trees.vector("values", "<f8"), trees.vector("weights", "<f8")
    require(len(sizes) == len(starts) and bool((sizes >= 0).all()), "another number of trees")
    require(bool((starts == np.cumsum(sizes) - sizes).all()) and int(sizes.sum()) == len(splits), "trees out of order")
    inside = bool(((splits >= 0) & (splits < max(known, 1))).all())
    steps = trees.vector("steps", "<u2,<u2")
    require(known <= _A_BIN * _BINS, "too many splits")
    leaves = trees.integers("leaves", "<u4")
    of_tree = [splits[start : start + size] for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)]
    nodes = np.stack([steps["f0"], steps["f1"]], axis=1).astype(np.int64)
    if len(steps):
        require(inside and len(leaves) == len(steps) == len(splits), "another number of nodes")
        _steps(nodes, leaves, starts, sizes, dimension, len(values))
        require(len(weights) in (0, len(values) // dimension), "weights of other leaves")
        return of_tree, nodes, leaves, values
    require(inside and (known > 0 or not len(splits)), "a tree with another split")
    require(bool((sizes <= _DEEPEST).all()) and not len(leaves), "a tree that is too deep")
    count = int((1 << sizes).sum())
    require(len(values) == count * dimension and len(weights) in (0, count), "trees with other leaves")
    return of_tree, nodes, leaves, values


def _steps(
    nodes: npt.NDArray[np.int64],
    leaves: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    dimension: int,
    values: int,
) -> None:
    """Check that every step leads to a node of the same tree, and every end to a leaf."""
    require(bool((sizes > 0).all()), "a tree without nodes")
    end = np.repeat(starts + sizes, sizes)
    here = np.arange(len(nodes))
    require(bool((here + nodes.max(axis=1) < end).all()), "a step out of its tree")
    ends = (nodes == 0).any(axis=1)
    held = leaves[ends]
    require(bool((held % dimension == 0).all() and (held + dimension <= values).all()), "a leaf that is not there")
