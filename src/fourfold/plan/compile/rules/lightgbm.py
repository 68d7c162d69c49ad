"""LightGBM: boosters and its own estimators, read from its text format.

What is followed here is `Tree::Predict`, `GBDT::Predict` and the `ConvertOutput` of each objective: values are float64,
those within 1e-35 of zero are zero, sums begin at 0 and take the trees in their order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import Labels, answers
from fourfold.plan.compile.boosted_trees import Among, Below, Grove, codes_of, spread
from fourfold.plan.compile.columns import (
    FLOAT32,
    FLOAT64,
    NA,
    OBJECT,
    Coded,
    Column,
    Compiler,
    Matrix,
    NoPlan,
    Numeric,
    Text,
)
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Number

__all__: list[str] = []

_REGRESSORS = ("lightgbm.LGBMRegressor", "lightgbm.LGBMRanker", "lightgbm.LGBMModel")
_CLASSIFIER = "lightgbm.LGBMClassifier"

#: `kZeroThreshold`: numbers up to here are zero. A float32 there.
_ZERO = float(np.float32(1e-35))
#: The bits of a node's `decision_type`, and the marks of missing values in two of them.
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_NONE, _MISSING_ZERO, _MISSING_NAN = 0, 1, 2
#: Objectives whose answer is the sum, or its square with the sum's sign where they were asked for the root.
_PLAIN = frozenset(
    ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg", "custom")
)
_EXPONENTS = frozenset(("poisson", "gamma", "tweedie"))
_SIGMOIDS = frozenset(("binary", "cross_entropy", "multiclassova"))
#: Parameters of predictions that leave trees out.
_SHORTCUTS = ("pred_early_stop", "predict_raw_score", "predict_leaf_index", "predict_contrib")


@answers("predict", "lightgbm.Booster", *_REGRESSORS)
def predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """What a booster, a regressor or a ranker answers."""
    return _matrix(_converted(_Model.of(model), matrix, compiler, model))


@answers("predict_proba", _CLASSIFIER)
def predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """A classifier's probabilities: two of its one, or all."""
    found = _converted(_Model.of(model), matrix, compiler, model)
    if callable(model.objective_):
        return _matrix(found)
    if (len(found) > 1) != (len(model.classes_) > 2):
        raise NoPlan(f"a LightGBM classifier of {len(model.classes_)} classes has {len(found)} outputs")
    if len(found) > 1:
        return _matrix(found)
    return _matrix([*compiler.graph.map_const(MathFunction.RSUB, found, 1.0), *found])


@answers("predict", _CLASSIFIER)
def predict_label(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | Matrix:
    """A classifier's label: the class of the largest probability."""
    probability: Matrix = predict_proba(model, matrix, compiler)
    if callable(model.objective_):
        return probability
    return Labels(compiler.graph.argmax(compiler.numbers(probability.columns)), model.classes_)


@answers("decision_function", _CLASSIFIER)
def decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """A classifier's sums."""
    return _matrix(_sums(_Model.of(model), matrix, compiler, model))


def _matrix(numbers: Sequence[Number]) -> Matrix:
    return Matrix(tuple(Numeric(each, FLOAT64) for each in numbers))


@dataclass(frozen=True)
class _Model:
    """What a booster's text says.

    Attributes:
        header: the lines before the trees.
        trees: the lines of each.
        categories: those of each categorical column of the frame that it was trained with.
    """

    header: dict[str, str]
    trees: list[dict[str, str]]
    categories: list[list[Any]]

    @classmethod
    def of(cls, model: Any) -> _Model:
        """Read a booster, or that of an estimator, as it predicts: up to its best iteration."""
        booster = model
        if hasattr(model, "booster_"):
            booster, params = model.booster_, model.get_params()
            for name in _SHORTCUTS:
                if params.get(name):
                    raise NoPlan(f"the {type(model).__name__} predicts with {name}")
        header: dict[str, str] = {}
        trees: list[dict[str, str]] = []
        into = header
        for line in booster.model_to_string().split("\n"):
            key, _, value = line.partition("=")
            if key == "end of trees":
                return cls(header, trees, booster.pandas_categorical or [])
            if key == "Tree":
                into = {}
                trees.append(into)
            elif line:
                into[key] = value
        raise NoPlan("the text of a LightGBM model has no end")

    @property
    def width(self) -> int:
        """How many columns it takes."""
        return int(self.header["max_feature_idx"]) + 1

    @property
    def used(self) -> set[int]:
        """The columns that trees test, or multiply in their leaves."""
        names = ("split_feature", "leaf_features")
        return {int(each) for tree in self.trees for name in names for each in tree.get(name, "").split()}

    @property
    def outputs(self) -> int:
        """How many sums it has."""
        return int(self.header["num_tree_per_iteration"])

    @property
    def objective(self) -> list[str]:
        """The objective and its parameters."""
        return self.header.get("objective", "custom").split(" ")


def _converted(model: _Model, matrix: Matrix, compiler: Compiler, who: Any) -> list[Number]:
    """The answer: the sums after the objective's function."""
    graph = compiler.graph
    name, *parameters = model.objective
    sums = _sums(model, matrix, compiler, who)
    if "average_output" in model.header:
        sums = graph.map_const(MathFunction.DIV, sums, float(len(model.trees) // model.outputs or 1))
    if name in _PLAIN:
        if "sqrt" not in parameters:
            return sums
        signed = graph.map_two(MathFunction.MUL, graph.map(MathFunction.SIGN, sums), sums)
        return graph.map_two(MathFunction.MUL, signed, sums)
    compiler.approximate(f"a C library's exp, in LightGBM's objective {name}")
    if name in _EXPONENTS:
        return graph.map(MathFunction.EXP, sums)
    if name in _SIGMOIDS:
        stated = re.findall(r"sigmoid:(\S+)", " ".join(parameters)) or ["1"]
        powers = graph.map(MathFunction.EXP, graph.map_const(MathFunction.MUL, sums, -float(stated[0])))
        return graph.map_const(MathFunction.RDIV, graph.map_const(MathFunction.ADD, powers, 1.0), 1.0)
    if name == "cross_entropy_lambda":
        return graph.map(MathFunction.LOG1P, graph.map(MathFunction.EXP, sums))
    if name == "multiclass":
        return _softmax(sums, compiler)
    raise NoPlan(f"LightGBM's objective {name} has no rule")


def _softmax(sums: list[Number], compiler: Compiler) -> list[Number]:
    graph = compiler.graph
    powers = graph.map(MathFunction.EXP, graph.map_two(MathFunction.SUB, sums, [graph.fold(MathFunction.MOST, sums)]))
    return graph.map_two(MathFunction.DIV, powers, [graph.fold(MathFunction.SUM, powers)])


def _sums(model: _Model, matrix: Matrix, compiler: Compiler, who: Any) -> list[Number]:
    """The sums of the trees, from 0 on."""
    if len(matrix) != model.width:
        raise NoPlan(f"a LightGBM model of {model.width} columns is given {len(matrix)}")
    columns = spread(_columns(model, matrix, compiler, who), model.used, compiler)
    views = _Views(columns, compiler, snaps=not matrix.polars)
    if any(tree.get("is_linear") == "1" for tree in model.trees):
        return _linear(model, views, compiler)
    grove = Grove(compiler, views.column)
    values: list[float] = []
    for number, tree in enumerate(model.trees):
        _plant(grove, tree, views, number % model.outputs, len(values))
        values += _floats(tree["leaf_value"]).tolist()
    return grove.forest(values, np.zeros(model.outputs))


class _Views:
    """What trees see in the columns.

    Args:
        columns: the columns as LightGBM reads them.
        compiler: of the plan.
        snaps: whether what is next to zero is zero on the way in, as in every container but those of Arrow.
    """

    def __init__(self, columns: list[Column], compiler: Compiler, *, snaps: bool) -> None:
        self._columns = columns
        self._workshop = compiler
        self._snaps = snaps

    def threshold(self, stated: float) -> float:
        """A threshold among what is next to zero, moved to where it does to all of that what it does to zero."""
        if self._snaps and -_ZERO <= stated < 0:
            return float(np.nextafter(-_ZERO, -np.inf))
        return _ZERO if self._snaps and 0 <= stated < _ZERO else stated

    def raw(self, feature: int) -> Column:
        """A column as float64, with zero for what is next to it."""
        column = self._columns[feature]
        if not self._snaps:
            return column
        if isinstance(column, Coded):
            return Coded(column.code, np.where(np.abs(column.values) <= _ZERO, 0.0, column.values))
        graph = self._workshop.graph
        value = [self._workshop.number(column)]
        small = graph.map_const(MathFunction.LE, graph.map(MathFunction.ABS, value), _ZERO)
        return Numeric(graph.select(small, graph.constant([0.0]), value)[0])

    def column(self, view: tuple[int, int]) -> Column:
        """A column as tests with a mark of missing values see it; -1: by categories."""
        feature, missing = view
        column = self._columns[feature]
        if missing == _MISSING_NAN:
            return column
        if missing == _MISSING_NONE:
            return self._workshop.map(MathFunction.IF_NAN, [column], 0.0)[0]
        if missing == _MISSING_ZERO:
            if isinstance(column, Coded):
                return Coded(column.code, np.where(np.abs(column.values) <= _ZERO, np.nan, column.values))
            graph = self._workshop.graph
            value = [self._workshop.number(column)]
            small = graph.map_const(MathFunction.LE, graph.map(MathFunction.ABS, value), _ZERO)
            return Numeric(graph.select(small, graph.constant([np.nan]), value)[0])
        return self._workshop.map(MathFunction.TRUNC, [column])[0]


def _columns(model: _Model, matrix: Matrix, compiler: Compiler, who: Any) -> list[Column]:
    """The columns as LightGBM reads a container: categories as their places, integers of an array as float32."""
    if not matrix.frame:
        if any(isinstance(column, Numeric) and column.missing is NA for column in matrix.columns):
            raise NoPlan("LightGBM is given an array with pandas.NA")
        if matrix.dtype == OBJECT and type(who).__name__ != "Booster":
            raise NoPlan("LightGBM's estimators make float64 of an array of objects, and their boosters float32")
        return list(compiler.cast(matrix, FLOAT64 if matrix.dtype == FLOAT64 else FLOAT32).columns)
    known = list(model.categories)
    out: list[Column] = []
    for column in matrix.columns:
        if isinstance(column, (Text, Coded)) and column.categories is not None:
            if not known:
                raise NoPlan("LightGBM is given more columns of categories than it was trained with")
            out.append(codes_of(column, known.pop(0), compiler))
        elif isinstance(column, (Numeric, Coded)) and column.dtype != OBJECT:
            out.append(column)
        else:
            raise NoPlan("LightGBM is given a column of a frame that is neither of numbers nor of categories")
    if known:
        raise NoPlan("LightGBM is given fewer columns of categories than it was trained with")
    return out


def _plant(grove: Grove, tree: dict[str, str], views: _Views, target: int, first: int) -> None:
    """Add a tree whose leaves' values begin at a row of the forest's.

    Its inner nodes come first, then its leaves; children below zero are leaves there.
    """
    count = int(tree["num_leaves"])
    inner = count - 1
    leaves = list(range(first, first + count))
    if not inner:
        grove.tree(target, [-1], [-1], leaves)
        return
    left, right = (
        [each if each >= 0 else inner + ~each for each in _integers(tree[name]).tolist()]
        for name in ("left_child", "right_child")
    )
    features, decisions = _integers(tree["split_feature"]).tolist(), _integers(tree["decision_type"]).tolist()
    thresholds = _floats(tree["threshold"]).tolist()
    members = _members(tree)
    tests = []
    for feature, decision, threshold in zip(features, decisions, thresholds, strict=True):
        if decision & _CATEGORICAL and members:
            tests.append(grove.test(Among((feature, -1), members[int(threshold)], inside=True, nan_left=False)))
        else:
            missing = decision >> 2 & 3
            default = missing != _MISSING_NONE and bool(decision & _DEFAULT_LEFT)
            tests.append(grove.test(Below((feature, missing), views.threshold(threshold), default)))
    grove.tree(target, left + [-1] * count, right + [-1] * count, tests + leaves)


def _members(tree: dict[str, str]) -> list[frozenset[float]]:
    """The categories of each of a tree's sets."""
    if tree["num_cat"] == "0":
        return []
    bounds, words = _integers(tree["cat_boundaries"]).tolist(), _integers(tree["cat_threshold"])
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
    return [
        frozenset(np.flatnonzero(bits[32 * start : 32 * stop]).astype(float).tolist())
        for start, stop in pairwise(bounds)
    ]


def _linear(model: _Model, views: _Views, compiler: Compiler) -> list[Number]:
    """The sums of trees that have a linear function in each leaf, or the leaf's value where one of its terms is NaN."""
    graph = compiler.graph
    sums = graph.constant(np.zeros(model.outputs))
    for number, tree in enumerate(model.trees):
        one = _linear_tree(tree, views, compiler)
        place = number % model.outputs
        sums[place] = graph.map_two(MathFunction.ADD, [sums[place]], [one])[0]
    return sums


def _linear_tree(tree: dict[str, str], views: _Views, compiler: Compiler) -> Number:
    graph = compiler.graph
    grove = Grove(compiler, views.column)
    _plant(grove, tree, views, 0, 0)
    value = _floats(tree["leaf_value"])
    if tree.get("is_linear") != "1":
        return grove.forest(value, [0.0])[0]
    terms = _terms(tree)
    features = sorted({feature for leaf in terms for feature in leaf})
    weights = np.array([[leaf.get(feature, 0.0) for feature in features] for leaf in terms]).reshape(len(terms), -1)
    stated = np.column_stack([value, _floats(tree["leaf_const"]), weights])
    plain, total, *factors = grove.forest(stated, np.full(stated.shape[1], -0.0))
    if not features:
        return total
    xs = [compiler.number(views.raw(feature)) for feature in features]
    products = graph.map_two(MathFunction.MUL, factors, xs)
    for factor, product in zip(factors, products, strict=True):
        total = graph.select([factor], graph.map_two(MathFunction.ADD, [total], [product]), [total])[0]
    missing = graph.select(factors, graph.map(MathFunction.IS_NAN, xs), graph.constant(np.zeros(len(features))))
    return graph.select([graph.fold(MathFunction.MOST, missing)], [plain], [total])[0]


def _terms(tree: dict[str, str]) -> list[dict[int, float]]:
    """The factor of each column in each leaf."""
    counts = _integers(tree["num_features"]).tolist()
    features, factors = _integers(tree["leaf_features"]).tolist(), _floats(tree["leaf_coeff"]).tolist()
    out: list[dict[int, float]] = []
    at = 0
    for count in counts:
        mine = features[at : at + count]
        if mine != sorted(set(mine)) or 0.0 in factors[at : at + count]:
            raise NoPlan("a linear tree of LightGBM has terms out of order, or one without a factor")
        out.append(dict(zip(mine, factors[at : at + count], strict=True)))
        at += count
    return out


def _integers(text: str) -> npt.NDArray[np.int64]:
    return np.array(text.split(), dtype=np.int64)


def _floats(text: str) -> npt.NDArray[np.float64]:
    return np.array(text.split(), dtype=np.float64)
