"""Compile CatBoost's models and scikit-learn estimators, read from the bytes of their `.cbm` format.

Numbers are float32 and tested by `value > border`. Categories are known by a hash of their text. The sums are float64:
they begin at 0 and add the leaves in the order of the trees; scale and bias come last
(`catboost/libs/model/cpu/evaluator_impl.cpp`). So raw values have the original's bits. Probabilities have not: CatBoost
has an `exp` of its own (`FastExpInplace`).
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
from fourfold.plan.compile.boosted_trees import ForestBuilder, SetTest, ThresholdTest, spread
from fourfold.plan.compile.columns import FLOAT32, NA, OBJECT, Coded, Column, Compiler, Matrix, NoPlan, Numeric, Text
from fourfold.plan.compile.rules.cityhash import category_hash
from fourfold.plan.format import Kind, MathFunction
from fourfold.plan.graph.builder import Code, Number
from fourfold.signature.field import INTEGERS

__all__: list[str] = []

_RAW_MODELS = ("catboost.CatBoost", "catboost.CatBoostRanker")
_REGRESSOR, _CLASSIFIER = "catboost.CatBoostRegressor", "catboost.CatBoostClassifier"
#: Losses of classifiers that turn each raw value into a probability of its own by a sigmoid.
_INDEPENDENT_LOSSES = frozenset(("MultiClassOneVsAll", "MultiLogloss", "MultiCrossEntropy"))
_BINARY_LOSSES = frozenset(("Logloss", "CrossEntropy", "Focal"))
#: The most nodes of all trees together.
_MAX_NODES = 1 << 22


@answers("predict", *_RAW_MODELS)
def predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `CatBoost.predict` and `CatBoostRanker.predict`: the raw values (`RawFormulaVal`)."""
    return _matrix(_raw_values(_read(model), matrix, compiler))


@answers("predict", _REGRESSOR)
def predict_number(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `CatBoostRegressor.predict`: the raw value, or what the loss makes of it.

    `Exponent` (such as of the loss Poisson) takes `exp`. `RMSEWithUncertainty` gives the mean, and the variance as
    `exp(2 * value)`.

    Raises:
        NoPlan: the loss predicts in another way.
    """
    cbm = _read(model)
    sums = _raw_values(cbm, matrix, compiler)
    prediction_type = model._get_default_prediction_type()  # noqa: SLF001 - what its `predict` asks
    if prediction_type == "RawFormulaVal":
        return _matrix(sums)
    graph = compiler.graph
    if prediction_type == "Exponent":
        compiler.approximate("CatBoost's own exp")
        return _matrix(graph.map(MathFunction.EXP, sums))
    if prediction_type == "RMSEWithUncertainty" and len(sums) == 2:
        compiler.approximate("CatBoost's own exp")
        return _matrix([sums[0], *graph.map(MathFunction.EXP, graph.map_const(MathFunction.MUL, sums[1:], 2.0))])
    raise NoPlan(f"plans do not cover CatBoost's prediction {prediction_type}")


@answers("predict", _CLASSIFIER)
def predict_label(model: Any, matrix: Matrix, compiler: Compiler) -> Labels:
    """Return `CatBoostClassifier.predict`: the class of the largest raw value.

    Of two classes it is the second one where the raw value is above 0, which is a probability above one half.

    Raises:
        NoPlan: the loss has no rule, or the model has another threshold of probability.
    """
    cbm, graph = _read(model), compiler.graph
    loss = _loss(cbm)
    sums = _raw_values(cbm, matrix, compiler)
    if len(sums) == 1 and loss in _BINARY_LOSSES:
        if float(cbm.info.get("binclass_probability_threshold", "0.5")) != 0.5:
            raise NoPlan("CatBoost answers labels by another probability than one half")
        return Labels(graph.argmax([*graph.constant([0.0]), *sums]), model.classes_)
    if len(sums) != len(model.classes_) or loss not in ("MultiClass", "MultiClassOneVsAll"):
        raise NoPlan(f"plans do not cover CatBoost's labels of the loss {loss}")
    return Labels(graph.argmax(sums), model.classes_)


@answers("predict_proba", _CLASSIFIER)
def predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `CatBoostClassifier.predict_proba`.

    `MultiClass` takes the softmax `exp(x - max) / sum`. All other losses take `1 / (1 + exp(-x))` of each raw value;
    with two classes of `-x` and `x`.

    Raises:
        NoPlan: the loss has no rule.
    """
    cbm, graph = _read(model), compiler.graph
    loss = _loss(cbm)
    sums = _raw_values(cbm, matrix, compiler)
    compiler.approximate("CatBoost's own exp")
    if len(sums) == 1 and loss in _BINARY_LOSSES:
        sums = [*graph.map(MathFunction.NEGATE, sums), *sums]
    elif loss == "MultiClass":
        exponentials = graph.map(
            MathFunction.EXP, graph.map_two(MathFunction.SUB, sums, [graph.fold(MathFunction.MOST, sums)])
        )
        return _matrix(graph.map_two(MathFunction.DIV, exponentials, [graph.fold(MathFunction.SUM, exponentials)]))
    elif loss not in _INDEPENDENT_LOSSES:
        raise NoPlan(f"plans do not cover CatBoost's probabilities of the loss {loss}")
    exponentials = graph.map(MathFunction.EXP, graph.map(MathFunction.NEGATE, sums))
    return _matrix(graph.map_const(MathFunction.RDIV, graph.map_const(MathFunction.ADD, exponentials, 1.0), 1.0))


def _matrix(numbers: Sequence[Number]) -> Matrix:
    """Return numbers as a float64 array."""
    return Matrix(tuple(Numeric(number) for number in numbers))


def _read(model: Any) -> Cbm:
    """Read a model's bytes; raises `NoPlan` where they are malformed."""
    try:
        return read(bytes(model._serialize_model()))  # noqa: SLF001 - the only way to its bytes without a file
    except MalformedModel as error:
        raise NoPlan(f"a CatBoost model that is not read: {error}") from error


def _loss(cbm: Cbm) -> str:
    """Return the name of the loss that the model was trained with."""
    loss: Any = json.loads(cbm.info.get("params", "{}")).get("loss_function", {})
    return str(loss.get("type") if isinstance(loss, dict) else loss)


def _raw_values(cbm: Cbm, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the raw value of each output: the sum of the trees, times the scale, plus the bias."""
    graph = compiler.graph
    views = _SplitColumns(cbm, matrix, compiler)
    builder = ForestBuilder(compiler, views.column)
    tests = [builder.add_test(views.test(split_index)) for split_index in range(len(cbm.splits))]
    if sum(len(tree) for tree in cbm.trees) > _MAX_NODES or _n_nodes(cbm) > _MAX_NODES:
        raise NoPlan(f"the trees of a CatBoost model have more than {_MAX_NODES} nodes")
    if len(cbm.steps):
        _add_trees_of_steps(cbm, builder, tests)
    else:
        first = 0
        for tree in cbm.trees:
            _add_symmetric_tree(builder, [tests[split] for split in tree], first)
            first += 1 << len(tree)
    sums = builder.forest(cbm.values.reshape(-1, cbm.dimension), np.zeros(cbm.dimension))
    if cbm.scale == 1.0 and not cbm.bias.any():
        return sums
    return graph.map_const(MathFunction.ADD, graph.map_const(MathFunction.MUL, sums, cbm.scale), cbm.bias)


def _n_nodes(cbm: Cbm) -> int:
    """Return the number of nodes of symmetric trees, which have `2 << depth` of them."""
    return 0 if len(cbm.steps) else sum(2 << len(tree) for tree in cbm.trees)


@cache
def _symmetric_tree(depth: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Return a full binary tree: left and right children, the level of each inner node, the row of each leaf.

    The test of the root is the lowest bit of a leaf's row.
    """
    inner = (1 << depth) - 1
    left = [2 * node + 1 for node in range(inner)] + [-1] * (inner + 1)
    right = [2 * node + 2 for node in range(inner)] + [-1] * (inner + 1)
    level = [(node + 1).bit_length() - 1 for node in range(inner)]
    leaves = [int(f"{leaf:0{depth}b}"[::-1], 2) if depth else 0 for leaf in range(inner + 1)]
    return left, right, level, leaves


def _add_symmetric_tree(builder: ForestBuilder, tests: Sequence[int], first: int) -> None:
    """Add a symmetric tree to the builder: all nodes of a level have the same test."""
    left, right, level, leaves = _symmetric_tree(len(tests))
    builder.add_tree(0, left, right, [tests[index] for index in level] + [first + leaf for leaf in leaves])


def _add_trees_of_steps(cbm: Cbm, builder: ForestBuilder, tests: Sequence[int]) -> None:
    """Add trees of any shape (`grow_policy` `Depthwise` or `Lossguide`) to the builder.

    A node has the distance to each of its children; where it is 0, the node's own value is the leaf on that side.
    """
    start = 0
    for tree in cbm.trees:
        n_nodes = len(tree)
        left, right, tests_or_rows = [-1] * n_nodes, [-1] * n_nodes, [0] * n_nodes
        for node, split in enumerate(tree.tolist()):
            leaf = int(cbm.leaves[start + node]) // cbm.dimension
            steps = cbm.steps[start + node].tolist()
            if not any(steps):
                tests_or_rows[node] = leaf
                continue
            tests_or_rows[node] = tests[split]
            for children, step in zip((left, right), steps, strict=True):
                children[node] = node + step if step else len(left)
                if not step:
                    left.append(-1)
                    right.append(-1)
                    tests_or_rows.append(leaf)
        builder.add_tree(0, left, right, tests_or_rows)
        start += n_nodes


@dataclass
class _SplitColumns:
    """Prepare the columns for the splits of a model.

    Attributes:
        cbm: the model.
        matrix: the columns.
        compiler: the plan's compiler.
    """

    cbm: Cbm
    matrix: Matrix
    compiler: Compiler
    _columns: list[Column] = field(default_factory=list)
    _hashes: dict[int, Numeric | Coded] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the columns' number and names, and hash the columns of categories."""
        needed = 1 + max(self.cbm.names, default=-1)
        if len(self.matrix) < needed:
            raise NoPlan(f"a CatBoost model of {needed} columns is given {len(self.matrix)}")
        for index, name in self.cbm.names.items():
            if self.matrix.names is not None and name and str(self.matrix.names[index]) != name:
                raise NoPlan("CatBoost is given a frame with other columns than it was trained with")
        float_indices = [feature.column for feature in self.cbm.floats if len(feature.borders)]
        self._columns = spread(self.matrix.columns, float_indices, self.compiler)
        self._hashes = {index: self._hash(self.matrix.columns[index]) for index in self.cbm.cats}
        self.compiler.graph.refuse(
            self.compiler.numbers([column for column in self._hashes.values() if not column.finite]),
            Kind.NAN,
            "CatBoost takes no missing category",
        )

    def test(self, split_index: int) -> ThresholdTest | SetTest:
        """Return the test of a split.

        `nan_mode` decides about NaN: below every border, or above all of them (`AsTrue`).
        """
        split = self.cbm.splits[split_index]
        if split.kind == "category":
            return SetTest((split.kind, split.feature), frozenset((split.value,)), inside=False, nan_left=True)
        nan_above = split.kind == "float" and self.cbm.floats[split.feature].nan == "AsTrue"
        return ThresholdTest((split.kind, split.feature), split.value, nan_left=not nan_above)

    def column(self, key: tuple[str, int]) -> Column:
        """Return a column as the splits of one feature test it: a hash, a float or the value of a CTR."""
        kind, feature = key
        if kind == "category":
            return self._hashes[self.cbm.cats[feature]]
        return self._float(feature) if kind == "float" else self._ctr(self.cbm.ctrs[feature])

    def _float(self, feature: int) -> Column:
        """Return a column of numbers in float32."""
        column = self._columns[self.cbm.floats[feature].column]
        if isinstance(column, Numeric) and column.dtype == OBJECT and column.missing is NA:
            raise NoPlan("CatBoost is given pandas.NA among objects")
        if isinstance(column, Coded) and column.categories is not None:
            raise NoPlan("CatBoost is given categories where it takes numbers")
        return self.compiler.cast(Matrix((column,)), FLOAT32).columns[0]

    def _hash(self, column: Column) -> Numeric | Coded:
        """Return the hashes of a column of categories; NaN where one is missing.

        CatBoost hashes the text of a category, and the decimal digits of an integer.

        Raises:
            NoPlan: the column is neither of text nor of integers or booleans.
        """
        graph = self.compiler.graph
        if isinstance(column, Text):
            if column.categories is not None:
                code, texts = self.compiler.text(column, [str(text) for text in column.categories])
                return _coded(code, [text if isinstance(text, str) else None for text in texts])
            if column.replaced or isinstance(column.missing, str):
                raise NoPlan("CatBoost is given text in which an imputer put something")
            return Numeric(graph.catboost_hash(column.index))
        if isinstance(column, Coded) and column.categories is not None:
            n_others = column.code.limit - len(column.categories)
            return _coded(column.code, [*map(str, column.categories), *[None] * n_others])
        if isinstance(column, Numeric):
            for index, (_, dtype) in enumerate(graph.inputs):
                if (dtype in INTEGERS or dtype == "bool") and graph.number(index) == column.value:
                    return Numeric(graph.catboost_hash(index))
        raise NoPlan("CatBoost is given a column that is neither of text nor of integers where it takes categories")

    def _ctr(self, ctr: Ctr) -> Column:
        """Return a CTR: the statistic of the target that training kept for a combination of categories.

        The hashes of the categories and the answers of the splits (0 or 1) that make the combination are joined to one
        hash (`CalcHash`), which is looked up in the model's table.
        """
        graph = self.compiler.graph
        parts = self.compiler.numbers([self._hashes[self.cbm.cats[cat]] for cat in ctr.cats])
        for split in ctr.splits:
            if split.kind == "category":
                hash_of_category = self.compiler.number(self._hashes[self.cbm.cats[split.feature]])
                parts += graph.map_const(MathFunction.EQ, [hash_of_category], split.value)
                continue
            value = [self.compiler.number(self._float(split.feature))]
            if self.cbm.floats[split.feature].nan == "AsTrue":
                value = graph.map_const(MathFunction.IF_NAN, value, np.inf)
            parts += graph.map_const(MathFunction.GT, value, split.value)
        table = self.cbm.tables[ctr.key]
        order = np.argsort(table.hashes)
        values = _ctr_values(ctr, table)
        return Coded(graph.catboost_joint_code(parts, table.hashes[order]), np.append(values[:-1][order], values[-1]))


def _coded(code: Code, texts: Sequence[str | None]) -> Coded:
    """Return the hash of each code's text; NaN where there is none."""
    return Coded(code, np.array([np.nan if text is None else category_hash(text.encode()) for text in texts]))


def _ctr_values(ctr: Ctr, table: Table) -> npt.NDArray[np.float64]:
    """Return the value of a CTR for each hash of its table, and for any other hash, computed in float32.

    It is `((good + prior) / (total + prior_denominator) + shift) * scale` (`TModelCtr::Calc`), where `good` and `total`
    count rows of the training data: those of the target's class or above a border, or all that have the combination.
    """
    counts = table.counts[table.rows]
    if ctr.kind in ("Borders", "Buckets"):
        total = counts.sum(axis=1, dtype=np.int32)
        first_class = 1 if counts.shape[1] == 2 else ctr.target + 1
        good = counts[:, first_class:].sum(axis=1, dtype=np.int32) if ctr.kind == "Borders" else counts[:, ctr.target]
    elif ctr.kind in ("Counter", "FeatureFreq"):
        good, total = counts[:, 0], np.full(len(counts), table.denominator, dtype=np.int32)
    else:
        good, total = counts[:, 0]["sum"], counts[:, 0]["count"]
    other_total = table.denominator if ctr.kind in ("Counter", "FeatureFreq") else 0
    numerators = np.append(good.astype(np.float32), np.float32(0)) + np.float32(ctr.prior[0])
    denominators = np.append(total.astype(np.float32), np.float32(other_total)) + np.float32(ctr.prior[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return ((numerators / denominators + np.float32(ctr.shift)) * np.float32(ctr.scale)).astype(np.float64)
