"""CatBoost: its own estimators, read from their bytes.

Numbers are float32 and tested by `>`; categories are texts, which CatBoost knows by a hash alone. Leaves are added up
from 0 in the order of the trees, as float64; scale and bias come last.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.modelfiles import MalformedModel
from fourfold.modelfiles.catboost_cbm import Cbm, Ctr, Table, read
from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.boosted_trees import Among, Below, Grove, spread
from fourfold.plan.compile.columns import FLOAT32, NA, OBJECT, Coded, Column, Compiler, Matrix, NoPlan, Numeric, Text
from fourfold.plan.compile.rules.cityhash import category_hash
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Code, Number
from fourfold.signature.field import INTEGERS

__all__: list[str] = []

_PLAIN = ("catboost.CatBoost", "catboost.CatBoostRanker")
_REGRESSOR, _CLASSIFIER = "catboost.CatBoostRegressor", "catboost.CatBoostClassifier"
#: Losses of classifiers, each of whose numbers is a probability by itself.
_SEVERAL = frozenset(("MultiClassOneVsAll", "MultiLogloss", "MultiCrossEntropy"))
_BINARY = frozenset(("Logloss", "CrossEntropy", "Focal"))
#: The most nodes of all trees together.
_MOST_NODES = 1 << 22


@answers("predict", *_PLAIN)
def predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What ranks, and CatBoost's base class, answer."""
    return _matrix(_sums(_read(model), matrix, compiler))


@answers("predict", _REGRESSOR)
def predict_number(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What a regressor answers: its sum, or what its loss makes of it."""
    found = _read(model)
    sums = _sums(found, matrix, compiler)
    kind = model._get_default_prediction_type()  # noqa: SLF001 - what its `predict` asks
    if kind == "RawFormulaVal":
        return _matrix(sums)
    graph = compiler.graph
    if kind == "Exponent":
        compiler.approximate("CatBoost's own exp")
        return _matrix(graph.map(MathFunction.EXP, sums))
    if kind == "RMSEWithUncertainty" and len(sums) == 2:
        compiler.approximate("CatBoost's own exp")
        return _matrix([sums[0], *graph.map(MathFunction.EXP, graph.map_const(MathFunction.MUL, sums[1:], 2.0))])
    raise NoPlan(f"CatBoost predicts with {kind}, which has no rule")


@answers("predict", _CLASSIFIER)
def predict_label(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """A classifier's label."""
    found, graph = _read(model), compiler.graph
    loss = _loss(found)
    sums = _sums(found, matrix, compiler)
    if len(sums) == 1 and loss in _BINARY:
        if float(found.info.get("binclass_probability_threshold", "0.5")) != 0.5:
            raise NoPlan("CatBoost answers labels by another probability than one half")
        return Labels(graph.argmax([*graph.constant([0.0]), *sums]), model.classes_)
    if len(sums) != len(model.classes_) or loss not in ("MultiClass", "MultiClassOneVsAll"):
        raise NoPlan(f"CatBoost's labels of the loss {loss} have no rule")
    return Labels(graph.argmax(sums), model.classes_)


@answers("predict_proba", _CLASSIFIER)
def predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """A classifier's probabilities."""
    found, graph = _read(model), compiler.graph
    loss = _loss(found)
    sums = _sums(found, matrix, compiler)
    compiler.approximate("CatBoost's own exp")
    if len(sums) == 1 and loss in _BINARY:
        sums = [*graph.map(MathFunction.NEGATE, sums), *sums]
    elif loss == "MultiClass":
        powers = graph.map(
            MathFunction.EXP, graph.map_two(MathFunction.SUB, sums, [graph.fold(MathFunction.MOST, sums)])
        )
        return _matrix(graph.map_two(MathFunction.DIV, powers, [graph.fold(MathFunction.SUM, powers)]))
    elif loss not in _SEVERAL:
        raise NoPlan(f"CatBoost's probabilities of the loss {loss} have no rule")
    powers = graph.map(MathFunction.EXP, graph.map(MathFunction.NEGATE, sums))
    return _matrix(graph.map_const(MathFunction.RDIV, graph.map_const(MathFunction.ADD, powers, 1.0), 1.0))


def _matrix(numbers: Sequence[Number]) -> Matrix:
    return Matrix(tuple(Numeric(each) for each in numbers))


def _read(model: Any) -> Cbm:
    try:
        return read(bytes(model._serialize_model()))  # noqa: SLF001 - the only way to its bytes without a file
    except MalformedModel as error:
        raise NoPlan(f"a CatBoost model that is not read: {error}") from error


def _loss(found: Cbm) -> str:
    stated: Any = json.loads(found.info.get("params", "{}")).get("loss_function", {})
    return str(stated.get("type") if isinstance(stated, dict) else stated)


def _sums(found: Cbm, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """The sums of the trees, times the scale, plus the bias."""
    graph = compiler.graph
    views = _Views(found, matrix, compiler)
    grove = Grove(compiler, views.column)
    tests = [grove.test(views.test(each)) for each in range(len(found.splits))]
    if sum(len(tree) for tree in found.trees) > _MOST_NODES or _nodes(found) > _MOST_NODES:
        raise NoPlan(f"the trees of a CatBoost model have more than {_MOST_NODES} nodes")
    if len(found.steps):
        _uneven(found, grove, tests)
    else:
        first = 0
        for tree in found.trees:
            _even(grove, [tests[split] for split in tree], first)
            first += 1 << len(tree)
    sums = grove.forest(found.values.reshape(-1, found.dimension), np.zeros(found.dimension))
    if found.scale == 1.0 and not found.bias.any():
        return sums
    return graph.map_const(MathFunction.ADD, graph.map_const(MathFunction.MUL, sums, found.scale), found.bias)


def _nodes(found: Cbm) -> int:
    return 0 if len(found.steps) else sum(2 << len(tree) for tree in found.trees)


@cache
def _shape(depth: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """A tree of that depth: left and right children, the level of each inner node, the number of each leaf.

    The first split is the lowest bit of a leaf's number.
    """
    inner = (1 << depth) - 1
    left = [2 * node + 1 for node in range(inner)] + [-1] * (inner + 1)
    right = [2 * node + 2 for node in range(inner)] + [-1] * (inner + 1)
    level = [(node + 1).bit_length() - 1 for node in range(inner)]
    leaves = [int(f"{leaf:0{depth}b}"[::-1], 2) if depth else 0 for leaf in range(inner + 1)]
    return left, right, level, leaves


def _even(grove: Grove, tests: Sequence[int], first: int) -> None:
    """Add a tree with the same test in all nodes of a level."""
    left, right, level, leaves = _shape(len(tests))
    grove.tree(0, left, right, [tests[each] for each in level] + [first + leaf for leaf in leaves])


def _uneven(found: Cbm, grove: Grove, tests: Sequence[int]) -> None:
    """Add trees of any shape: a node steps to its children, or is itself the leaf on that side."""
    start = 0
    for tree in found.trees:
        count = len(tree)
        left, right, what = [-1] * count, [-1] * count, [0] * count
        for node, split in enumerate(tree.tolist()):
            leaf = int(found.leaves[start + node]) // found.dimension
            steps = found.steps[start + node].tolist()
            if not any(steps):
                what[node] = leaf
                continue
            what[node] = tests[split]
            for children, step in zip((left, right), steps, strict=True):
                children[node] = node + step if step else len(left)
                if not step:
                    left.append(-1)
                    right.append(-1)
                    what.append(leaf)
        grove.tree(0, left, right, what)
        start += count


@dataclass
class _Views:
    """What the splits of a model see in the columns.

    Attributes:
        found: the model.
        matrix: the columns.
        compiler: of the plan.
    """

    found: Cbm
    matrix: Matrix
    compiler: Compiler
    _columns: list[Column] = field(default_factory=list)
    _hashes: dict[int, Numeric | Coded] = field(default_factory=dict)

    def __post_init__(self) -> None:
        needed = 1 + max(self.found.names, default=-1)
        if len(self.matrix) < needed:
            raise NoPlan(f"a CatBoost model of {needed} columns is given {len(self.matrix)}")
        for place, name in self.found.names.items():
            if self.matrix.names is not None and name and str(self.matrix.names[place]) != name:
                raise NoPlan("CatBoost is given a frame with other columns than it was trained with")
        used = [each.column for each in self.found.floats if len(each.borders)]
        self._columns = spread(self.matrix.columns, used, self.compiler)
        self._hashes = {place: self._hash(self.matrix.columns[place]) for place in self.found.cats}
        self.compiler.graph.refuse(
            self.compiler.numbers([column for column in self._hashes.values() if not column.finite]),
            Kind.NAN,
            "CatBoost takes no missing category",
        )

    def test(self, number: int) -> Below | Among:
        """The test that a split is; NaN is below every border, or above all."""
        split = self.found.splits[number]
        if split.kind == "category":
            return Among((split.kind, split.feature), frozenset((split.value,)), inside=False, nan_left=True)
        above = split.kind == "float" and self.found.floats[split.feature].nan == "AsTrue"
        return Below((split.kind, split.feature), split.value, nan_left=not above)

    def column(self, view: tuple[str, int]) -> Column:
        """A column as the splits of one feature see it."""
        kind, feature = view
        if kind == "category":
            return self._hashes[self.found.cats[feature]]
        return self._float(feature) if kind == "float" else self._ctr(self.found.ctrs[feature])

    def _float(self, feature: int) -> Column:
        column = self._columns[self.found.floats[feature].column]
        if isinstance(column, Numeric) and column.dtype == OBJECT and column.missing is NA:
            raise NoPlan("CatBoost is given pandas.NA among objects")
        if isinstance(column, Coded) and column.categories is not None:
            raise NoPlan("CatBoost is given categories where it takes numbers")
        return self.compiler.cast(Matrix((column,)), FLOAT32).columns[0]

    def _hash(self, column: Column) -> Numeric | Coded:
        """A column of categories by their hashes; NaN where one is missing."""
        graph = self.compiler.graph
        if isinstance(column, Text):
            if column.categories is not None:
                code, stands = self.compiler.text(column, [str(each) for each in column.categories])
                return _coded(code, [each if isinstance(each, str) else None for each in stands])
            if column.replaced or isinstance(column.missing, str):
                raise NoPlan("CatBoost is given text in which an imputer put something")
            return Numeric(graph.hashed(column.index))
        if isinstance(column, Coded) and column.categories is not None:
            rest = column.code.limit - len(column.categories)
            return _coded(column.code, [*map(str, column.categories), *[None] * rest])
        if isinstance(column, Numeric):
            for index, (_, dtype) in enumerate(graph.inputs):
                if (dtype in INTEGERS or dtype == "bool") and graph.number(index) == column.value:
                    return Numeric(graph.hashed(index))
        raise NoPlan("CatBoost is given a column that is neither of text nor of integers where it takes categories")

    def _ctr(self, ctr: Ctr) -> Column:
        """What a combination of categories was worth in training."""
        graph = self.compiler.graph
        parts = self.compiler.numbers([self._hashes[self.found.cats[cat]] for cat in ctr.cats])
        for split in ctr.splits:
            if split.kind == "category":
                hashed = self.compiler.number(self._hashes[self.found.cats[split.feature]])
                parts += graph.map_const(MathFunction.EQ, [hashed], split.value)
                continue
            number = [self.compiler.number(self._float(split.feature))]
            if self.found.floats[split.feature].nan == "AsTrue":
                number = graph.map_const(MathFunction.IF_NAN, number, np.inf)
            parts += graph.map_const(MathFunction.GT, number, split.value)
        table = self.found.tables[ctr.key]
        order = np.argsort(table.hashes)
        worth = _worth(ctr, table)
        return Coded(graph.joined(parts, table.hashes[order]), np.append(worth[:-1][order], worth[-1]))


def _coded(code: Code, texts: Sequence[str | None]) -> Coded:
    return Coded(code, np.array([np.nan if each is None else category_hash(each.encode()) for each in texts]))


def _worth(ctr: Ctr, table: Table) -> npt.NDArray[np.float64]:
    """The number for each of a table's hashes, and for any other, in float32."""
    counts = table.counts[table.rows]
    if ctr.kind in ("Borders", "Buckets"):
        total = counts.sum(axis=1, dtype=np.int32)
        above = 1 if counts.shape[1] == 2 else ctr.target + 1
        good = counts[:, above:].sum(axis=1, dtype=np.int32) if ctr.kind == "Borders" else counts[:, ctr.target]
    elif ctr.kind in ("Counter", "FeatureFreq"):
        good, total = counts[:, 0], np.full(len(counts), table.denominator, dtype=np.int32)
    else:
        good, total = counts[:, 0]["sum"], counts[:, 0]["count"]
    without = table.denominator if ctr.kind in ("Counter", "FeatureFreq") else 0
    part = np.append(good.astype(np.float32), np.float32(0)) + np.float32(ctr.prior[0])
    whole = np.append(total.astype(np.float32), np.float32(without)) + np.float32(ctr.prior[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return ((part / whole + np.float32(ctr.shift)) * np.float32(ctr.scale)).astype(np.float64)
