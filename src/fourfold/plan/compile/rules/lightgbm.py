"""Compile LightGBM's boosters and its scikit-learn estimators, read from `Booster.model_to_string`.

The rules reproduce `Tree::Predict` (`include/LightGBM/tree.h`), `GBDT::Predict` (`src/boosting/gbdt_prediction.cpp`)
and the `ConvertOutput` of each objective (`src/objective`). All is float64: values within 1e-35 of zero are zero, and a
sum begins at 0 and adds the trees in their order. So sums have the original's bits. Objectives that need `exp` have
not: LightGBM takes it from the C library.
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
from fourfold.plan.compile.boosted_trees import ForestBuilder, SetTest, ThresholdTest, codes_of, spread
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

#: LightGBM's `kZeroThreshold`, a float32: numbers of at most this size are zero.
_ZERO_THRESHOLD = float(np.float32(1e-35))
#: The bits of a node's `decision_type`, and the three values of its two bits for the kind of missing values.
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_NONE, _MISSING_ZERO, _MISSING_NAN = 0, 1, 2
#: Objectives whose prediction is the sum, or `sign(sum) * sum ** 2` if they were trained on square roots (`reg_sqrt`).
_IDENTITY_OBJECTIVES = frozenset(
    ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg", "custom")
)
_EXP_OBJECTIVES = frozenset(("poisson", "gamma", "tweedie"))
_SIGMOID_OBJECTIVES = frozenset(("binary", "cross_entropy", "multiclassova"))
#: Parameters of a prediction that leave trees out or answer something else.
_UNSUPPORTED_PARAMETERS = ("pred_early_stop", "predict_raw_score", "predict_leaf_index", "predict_contrib")


@answers("predict", "lightgbm.Booster", *_REGRESSORS)
def predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return the answer of `Booster.predict` and of the `predict` of regressors and rankers."""
    return _matrix(_convert_output(_Booster.of(model), matrix, compiler, model))


@answers("predict_proba", _CLASSIFIER)
def predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `LGBMClassifier.predict_proba`: the probability of each class.

    An objective of two classes gives the second one's probability; the first one has 1 minus that.
    """
    probabilities = _convert_output(_Booster.of(model), matrix, compiler, model)
    if callable(model.objective_):
        return _matrix(probabilities)
    if (len(probabilities) > 1) != (len(model.classes_) > 2):
        raise NoPlan(f"a LightGBM classifier of {len(model.classes_)} classes has {len(probabilities)} outputs")
    if len(probabilities) > 1:
        return _matrix(probabilities)
    return _matrix([*compiler.graph.map_const(MathFunction.RSUB, probabilities, 1.0), *probabilities])


@answers("predict", _CLASSIFIER)
def predict_label(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | Matrix:
    """Return `LGBMClassifier.predict`: the class of the largest probability."""
    probabilities: Matrix = predict_proba(model, matrix, compiler)
    if callable(model.objective_):
        return probabilities
    return Labels(compiler.graph.argmax(compiler.numbers(probabilities.columns)), model.classes_)


@answers("decision_function", _CLASSIFIER)
def decision_function(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return the raw scores of a classifier: the sums of the trees."""
    return _matrix(_sums(_Booster.of(model), matrix, compiler, model))


def _matrix(numbers: Sequence[Number]) -> Matrix:
    """Return numbers as a float64 array."""
    return Matrix(tuple(Numeric(number, FLOAT64) for number in numbers))


@dataclass(frozen=True)
class _Booster:
    """Hold what the rules need of a booster's text.

    Attributes:
        header: the keys and values of the lines before the trees.
        trees: the keys and values of each tree.
        categories: the categories of each categorical column of the training frame (`pandas_categorical`).
    """

    header: dict[str, str]
    trees: list[dict[str, str]]
    categories: list[list[Any]]

    @classmethod
    def of(cls, model: Any) -> _Booster:
        """Read a booster, or the booster of an estimator, up to its best iteration.

        Raises:
            NoPlan: the estimator predicts with a parameter that no rule follows, or the text ends too early.
        """
        booster = model
        if hasattr(model, "booster_"):
            booster, parameters = model.booster_, model.get_params()
            for name in _UNSUPPORTED_PARAMETERS:
                if parameters.get(name):
                    raise NoPlan(f"the {type(model).__name__} predicts with {name}")
        header: dict[str, str] = {}
        trees: list[dict[str, str]] = []
        section = header
        for line in booster.model_to_string().split("\n"):
            key, _, value = line.partition("=")
            if key == "end of trees":
                return cls(header, trees, booster.pandas_categorical or [])
            if key == "Tree":
                section = {}
                trees.append(section)
            elif line:
                section[key] = value
        raise NoPlan("the text of a LightGBM model has no end")

    @property
    def n_columns(self) -> int:
        """Return how many columns the model takes."""
        return int(self.header["max_feature_idx"]) + 1

    @property
    def used_columns(self) -> set[int]:
        """Return the indices of the columns that trees test, or multiply in linear leaves."""
        keys = ("split_feature", "leaf_features")
        return {int(index) for tree in self.trees for key in keys for index in tree.get(key, "").split()}

    @property
    def n_outputs(self) -> int:
        """Return how many sums the model has: one for each class, or one."""
        return int(self.header["num_tree_per_iteration"])

    @property
    def objective(self) -> list[str]:
        """Return the objective's name and its parameters, such as `binary sigmoid:1`."""
        return self.header.get("objective", "custom").split(" ")


def _convert_output(booster: _Booster, matrix: Matrix, compiler: Compiler, who: Any) -> list[Number]:
    """Return the prediction: the sums after the objective's `ConvertOutput`.

    Random forests (`average_output`) divide the sums by the number of iterations first.

    Raises:
        NoPlan: the objective has no rule.
    """
    graph = compiler.graph
    name, *parameters = booster.objective
    sums = _sums(booster, matrix, compiler, who)
    if "average_output" in booster.header:
        sums = graph.map_const(MathFunction.DIV, sums, float(len(booster.trees) // booster.n_outputs or 1))
    if name in _IDENTITY_OBJECTIVES:
        if "sqrt" not in parameters:
            return sums
        absolute = graph.map_two(MathFunction.MUL, graph.map(MathFunction.SIGN, sums), sums)
        return graph.map_two(MathFunction.MUL, absolute, sums)
    compiler.approximate(f"a C library's exp, in LightGBM's objective {name}")
    if name in _EXP_OBJECTIVES:
        return graph.map(MathFunction.EXP, sums)
    if name in _SIGMOID_OBJECTIVES:
        sigmoid = re.findall(r"sigmoid:(\S+)", " ".join(parameters)) or ["1"]
        exponentials = graph.map(MathFunction.EXP, graph.map_const(MathFunction.MUL, sums, -float(sigmoid[0])))
        return graph.map_const(MathFunction.RDIV, graph.map_const(MathFunction.ADD, exponentials, 1.0), 1.0)
    if name == "cross_entropy_lambda":
        return graph.map(MathFunction.LOG1P, graph.map(MathFunction.EXP, sums))
    if name == "multiclass":
        return _softmax(sums, compiler)
    raise NoPlan(f"plans do not cover LightGBM's objective {name}")


def _softmax(sums: list[Number], compiler: Compiler) -> list[Number]:
    """Return `Common::Softmax` of the sums: `exp(x - max)` divided by its sum, added from the left."""
    graph = compiler.graph
    exponentials = graph.map(
        MathFunction.EXP, graph.map_two(MathFunction.SUB, sums, [graph.fold(MathFunction.MOST, sums)])
    )
    return graph.map_two(MathFunction.DIV, exponentials, [graph.fold(MathFunction.SUM, exponentials)])


def _sums(booster: _Booster, matrix: Matrix, compiler: Compiler, who: Any) -> list[Number]:
    """Return the sum of the trees of each output, from 0 on in their order."""
    if len(matrix) != booster.n_columns:
        raise NoPlan(f"a LightGBM model of {booster.n_columns} columns is given {len(matrix)}")
    columns = spread(_columns(booster, matrix, compiler, who), booster.used_columns, compiler)
    views = _Views(columns, compiler, snaps=not matrix.polars)
    if any(tree.get("is_linear") == "1" for tree in booster.trees):
        return _linear(booster, views, compiler)
    builder = ForestBuilder(compiler, views.column)
    leaf_values: list[float] = []
    for tree_index, tree in enumerate(booster.trees):
        _add_tree(builder, tree, views, tree_index % booster.n_outputs, len(leaf_values))
        leaf_values += _floats(tree["leaf_value"]).tolist()
    return builder.forest(leaf_values, np.zeros(booster.n_outputs))


class _Views:
    """Prepare the columns for the tests of trees.

    Args:
        columns: the columns as LightGBM reads them.
        compiler: the plan's compiler.
        snaps: whether LightGBM turns values within 1e-35 of zero into zero when it reads a row. It does for every
            container but those of Arrow.
    """

    def __init__(self, columns: list[Column], compiler: Compiler, *, snaps: bool) -> None:
        self._columns = columns
        self._compiler = compiler
        self._snaps = snaps

    def threshold(self, threshold: float) -> float:
        """Return a threshold that sends values within 1e-35 of zero where the stated one sends zero."""
        if self._snaps and -_ZERO_THRESHOLD <= threshold < 0:
            return float(np.nextafter(-_ZERO_THRESHOLD, -np.inf))
        return _ZERO_THRESHOLD if self._snaps and 0 <= threshold < _ZERO_THRESHOLD else threshold

    def raw(self, feature: int) -> Column:
        """Return a column as float64, with zero for values within 1e-35 of it."""
        column = self._columns[feature]
        if not self._snaps:
            return column
        if isinstance(column, Coded):
            return Coded(column.code, np.where(np.abs(column.values) <= _ZERO_THRESHOLD, 0.0, column.values))
        graph = self._compiler.graph
        values = [self._compiler.number(column)]
        is_zero = graph.map_const(MathFunction.LE, graph.map(MathFunction.ABS, values), _ZERO_THRESHOLD)
        return Numeric(graph.select(is_zero, graph.constant([0.0]), values)[0])

    def column(self, view: tuple[int, int]) -> Column:
        """Return a column as tests see it.

        Args:
            view: the column's index, and how its tests treat missing values: one of `_MISSING_NONE` (NaN is 0),
                `_MISSING_ZERO` (0 is NaN, too) and `_MISSING_NAN`; -1 for tests of categories, which truncate.
        """
        feature, missing = view
        column = self._columns[feature]
        if missing == _MISSING_NAN:
            return column
        if missing == _MISSING_NONE:
            return self._compiler.map(MathFunction.IF_NAN, [column], 0.0)[0]
        if missing == _MISSING_ZERO:
            if isinstance(column, Coded):
                return Coded(column.code, np.where(np.abs(column.values) <= _ZERO_THRESHOLD, np.nan, column.values))
            graph = self._compiler.graph
            values = [self._compiler.number(column)]
            is_zero = graph.map_const(MathFunction.LE, graph.map(MathFunction.ABS, values), _ZERO_THRESHOLD)
            return Numeric(graph.select(is_zero, graph.constant([np.nan]), values)[0])
        return self._compiler.map(MathFunction.TRUNC, [column])[0]


def _columns(booster: _Booster, matrix: Matrix, compiler: Compiler, who: Any) -> list[Column]:
    """Return the columns as LightGBM reads a container: a frame's categories as their indices in training.

    An array becomes float32 unless it is float64; so do integers.

    Raises:
        NoPlan: the container has a column that LightGBM reads in a way that no plan can repeat.
    """
    if not matrix.frame:
        if any(isinstance(column, Numeric) and column.missing is NA for column in matrix.columns):
            raise NoPlan("LightGBM is given an array with pandas.NA")
        if matrix.dtype == OBJECT and type(who).__name__ != "Booster":
            raise NoPlan("LightGBM's estimators make float64 of an array of objects, and their boosters float32")
        return list(compiler.cast(matrix, FLOAT64 if matrix.dtype == FLOAT64 else FLOAT32).columns)
    categories = list(booster.categories)
    read: list[Column] = []
    for column in matrix.columns:
        if isinstance(column, (Text, Coded)) and column.categories is not None:
            if not categories:
                raise NoPlan("LightGBM is given more columns of categories than it was trained with")
            read.append(codes_of(column, categories.pop(0), compiler))
        elif isinstance(column, (Numeric, Coded)) and column.dtype != OBJECT:
            read.append(column)
        else:
            raise NoPlan("LightGBM is given a column of a frame that is neither of numbers nor of categories")
    if categories:
        raise NoPlan("LightGBM is given fewer columns of categories than it was trained with")
    return read


def _add_tree(builder: ForestBuilder, tree: dict[str, str], views: _Views, target: int, first: int) -> None:
    """Add a tree to the builder, with its leaves' values from the row `first` of the forest's on.

    Inner nodes come first, then leaves. In LightGBM's text a negative child `c` is the leaf `~c`.
    """
    n_leaves = int(tree["num_leaves"])
    n_inner = n_leaves - 1
    leaves = list(range(first, first + n_leaves))
    if not n_inner:
        builder.add_tree(target, [-1], [-1], leaves)
        return
    left, right = (
        [child if child >= 0 else n_inner + ~child for child in _integers(tree[name]).tolist()]
        for name in ("left_child", "right_child")
    )
    features, decisions = _integers(tree["split_feature"]).tolist(), _integers(tree["decision_type"]).tolist()
    thresholds = _floats(tree["threshold"]).tolist()
    category_sets = _category_sets(tree)
    tests = []
    for feature, decision, threshold in zip(features, decisions, thresholds, strict=True):
        if decision & _CATEGORICAL and category_sets:
            tests.append(
                builder.add_test(SetTest((feature, -1), category_sets[int(threshold)], inside=True, nan_left=False))
            )
        else:
            missing = decision >> 2 & 3
            nan_left = missing != _MISSING_NONE and bool(decision & _DEFAULT_LEFT)
            tests.append(builder.add_test(ThresholdTest((feature, missing), views.threshold(threshold), nan_left)))
    builder.add_tree(target, left + [-1] * n_leaves, right + [-1] * n_leaves, tests + leaves)


def _category_sets(tree: dict[str, str]) -> list[frozenset[float]]:
    """Return the sets of categories of a tree, from the bit sets in `cat_threshold`."""
    if tree["num_cat"] == "0":
        return []
    bounds, words = _integers(tree["cat_boundaries"]).tolist(), _integers(tree["cat_threshold"])
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
    return [
        frozenset(np.flatnonzero(bits[32 * start : 32 * stop]).astype(float).tolist())
        for start, stop in pairwise(bounds)
    ]


def _linear(booster: _Booster, views: _Views, compiler: Compiler) -> list[Number]:
    """Return the sums of trees with a linear function in each leaf (`linear_tree`).

    A leaf gives `leaf_const` plus `leaf_coeff * value` of each of its columns, or `leaf_value` where one of these is
    NaN.
    """
    graph = compiler.graph
    sums = graph.constant(np.zeros(booster.n_outputs))
    for tree_index, tree in enumerate(booster.trees):
        tree_sum = _linear_tree(tree, views, compiler)
        output = tree_index % booster.n_outputs
        sums[output] = graph.map_two(MathFunction.ADD, [sums[output]], [tree_sum])[0]
    return sums


def _linear_tree(tree: dict[str, str], views: _Views, compiler: Compiler) -> Number:
    """Return what one tree adds: its leaf's linear function, terms added in the order of the columns."""
    graph = compiler.graph
    builder = ForestBuilder(compiler, views.column)
    _add_tree(builder, tree, views, 0, 0)
    leaf_values = _floats(tree["leaf_value"])
    if tree.get("is_linear") != "1":
        return builder.forest(leaf_values, [0.0])[0]
    terms = _terms(tree)
    features = sorted({feature for leaf in terms for feature in leaf})
    weights = np.array([[leaf.get(feature, 0.0) for feature in features] for leaf in terms]).reshape(len(terms), -1)
    leaf_table = np.column_stack([leaf_values, _floats(tree["leaf_const"]), weights])
    leaf_value, linear, *factors = builder.forest(leaf_table, np.full(leaf_table.shape[1], -0.0))
    if not features:
        return linear
    inputs = [compiler.number(views.raw(feature)) for feature in features]
    products = graph.map_two(MathFunction.MUL, factors, inputs)
    for factor, product in zip(factors, products, strict=True):
        linear = graph.select([factor], graph.map_two(MathFunction.ADD, [linear], [product]), [linear])[0]
    is_missing = graph.select(factors, graph.map(MathFunction.IS_NAN, inputs), graph.constant(np.zeros(len(features))))
    return graph.select([graph.fold(MathFunction.MOST, is_missing)], [leaf_value], [linear])[0]


def _terms(tree: dict[str, str]) -> list[dict[int, float]]:
    """Return the coefficient of each column in each leaf.

    Raises:
        NoPlan: a leaf's columns do not ascend, or a coefficient is 0; the sum would have another order.
    """
    sizes = _integers(tree["num_features"]).tolist()
    features, factors = _integers(tree["leaf_features"]).tolist(), _floats(tree["leaf_coeff"]).tolist()
    terms: list[dict[int, float]] = []
    start = 0
    for size in sizes:
        columns = features[start : start + size]
        if columns != sorted(set(columns)) or 0.0 in factors[start : start + size]:
            raise NoPlan("a linear tree of LightGBM has terms out of order, or one without a factor")
        terms.append(dict(zip(columns, factors[start : start + size], strict=True)))
        start += size
    return terms


def _integers(text: str) -> npt.NDArray[np.int64]:
    """Parse integers that spaces separate."""
    return np.array(text.split(), dtype=np.int64)


def _floats(text: str) -> npt.NDArray[np.float64]:
    """Parse floats that spaces separate."""
    return np.array(text.split(), dtype=np.float64)
