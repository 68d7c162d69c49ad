"""Compile XGBoost's boosters and its scikit-learn estimators, read from the JSON of `Booster.save_raw`.

XGBoost computes in float32. Values are rounded to float32 on the way in and tested by `value < threshold`. A sum begins
at the base score and adds the trees in their order, rounding to float32 after each one (`src/predictor`). So margins
have the original's bits. Objectives that need `exp` have not: XGBoost takes `expf` from the C library.
"""

from __future__ import annotations

import json
import sys
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
    NA,
    OBJECT,
    Bagged,
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

_REGRESSORS = tuple(f"xgboost.{name}" for name in ("XGBRegressor", "XGBRFRegressor", "XGBRanker", "XGBModel"))
_CLASSIFIERS = ("xgboost.XGBClassifier", "xgboost.XGBRFClassifier")
#: Objectives whose prediction is the margin itself.
_IDENTITY_OBJECTIVES = frozenset(
    (
        *("reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror"),
        *("reg:quantileerror", "binary:logitraw", "rank:pairwise", "rank:ndcg", "rank:map"),
    )
)
_SIGMOID_OBJECTIVES = frozenset(("reg:logistic", "binary:logistic"))
_EXP_OBJECTIVES = frozenset(("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"))
#: The largest exponent of XGBoost's sigmoid; larger ones are capped.
_MAX_EXPONENT = float(np.float32(88.7))
#: The JSON of a tree that is a single leaf of -0.0.
_LEAF: dict[str, Any] = {
    **{name: [0.0] for name in ("base_weights", "loss_changes", "sum_hessian")},
    **{name: [0] for name in ("default_left", "split_indices", "split_type")},
    **{name: [] for name in ("categories", "categories_nodes", "categories_segments", "categories_sizes")},
    **{name: [-1] for name in ("left_children", "right_children")},
    "parents": [2**31 - 1],
    "split_conditions": [-0.0],
    "tree_param": {"num_deleted": "0", "num_feature": "1", "num_nodes": "1", "size_leaf_vector": "1"},
}


@answers("predict", "xgboost.Booster", *_REGRESSORS)
def predict(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return the answer of `Booster.predict` and of the `predict` of regressors and rankers, in float32."""
    booster = _Booster.of(model)
    return _matrix(_convert_margins(booster, _margins(booster, matrix, compiler), compiler))


@answers("predict", *_CLASSIFIERS)
def predict_label(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | Matrix:
    """Return `XGBClassifier.predict`: the class of the largest probability.

    Of a classifier of several labels a row (multilabel) return for each label whether its probability is above 0.5.
    """
    graph, booster, n_classes = compiler.graph, _Booster.of(model), int(model.n_classes_)
    margins = _margins(booster, matrix, compiler)
    probabilities = _convert_margins(booster, margins, compiler)
    if len(probabilities) > 1 and n_classes != 2:
        return Labels(graph.argmax(probabilities), range(len(probabilities)))
    if len(probabilities) > 1:
        return Matrix(tuple(Numeric(is_above) for is_above in graph.map_const(MathFunction.GT, probabilities, 0.5)))
    if model.objective == "multi:softmax":
        return Labels(graph.argmax(margins), range(len(margins)))
    return Labels(graph.argmax([*graph.constant([0.5]), *probabilities]), range(2))


@answers("predict_proba", *_CLASSIFIERS)
def predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `XGBClassifier.predict_proba`: the probability of each class, or of each of several labels, in float32.

    With the objective `multi:softmax`, `predict_proba` applies `scipy.special.softmax` to the margins. An objective of
    two classes gives the second one's probability; the first one has 1 minus that.
    """
    graph, booster, n_classes = compiler.graph, _Booster.of(model), int(model.n_classes_)
    margins = _margins(booster, matrix, compiler)
    if model.objective == "multi:softmax":
        compiler.approximate("SciPy's exp of float32, in XGBoost's probabilities")
        return _matrix(_softmax(margins, compiler))
    probabilities = _convert_margins(booster, margins, compiler)
    if len(probabilities) == 1:
        return _matrix(
            [*_round_float32(graph.map_const(MathFunction.RSUB, probabilities, 1.0), compiler), *probabilities]
        )
    if len(probabilities) != n_classes and n_classes != 2:
        raise NoPlan(f"an XGBoost classifier of {n_classes} classes has {len(probabilities)} outputs")
    return _matrix(probabilities)


def _matrix(numbers: Sequence[Number]) -> Matrix:
    """Return numbers as a float32 array."""
    return Matrix(tuple(Numeric(number, FLOAT32) for number in numbers))


@dataclass(frozen=True)
class _Booster:
    """Hold what the rules need of a booster's JSON.

    Attributes:
        learner: the JSON's `learner`.
        base_scores: the score that the sum of each output begins with, after the objective's inverse link.
        missing: the number that stands for a missing value, besides NaN.
        n_rounds: how many boosting rounds are used; 0 for all.
        in_place: whether XGBoost predicts with `inplace_predict` rather than from a `DMatrix`.
    """

    learner: dict[str, Any]
    base_scores: npt.NDArray[np.float32]
    missing: float
    n_rounds: int
    in_place: bool

    @classmethod
    def of(cls, model: Any) -> _Booster:
        """Read a booster, or the booster of an estimator with the settings of its `predict`."""
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        raw = json.loads(bytes(booster.save_raw("json")))
        learner = raw["learner"]
        name = learner["gradient_booster"]["name"]
        if booster is model:
            return cls(learner, _base_scores(booster, raw), np.nan, 0, name == "gbtree")
        best_iteration = learner["attributes"].get("best_iteration")
        n_rounds = 0 if best_iteration is None or name == "gblinear" else int(best_iteration) + 1
        missing = np.nan if model.missing is None else float(np.float32(model.missing))
        return cls(learner, _base_scores(booster, raw), missing, n_rounds, name != "gblinear")

    @property
    def gradient_booster(self) -> dict[str, Any]:
        """Return the JSON's `gradient_booster`: the trees, or the weights of a linear booster."""
        gradient_booster: dict[str, Any] = self.learner["gradient_booster"]
        return gradient_booster

    @property
    def tree_model(self) -> dict[str, Any]:
        """Return the part of the JSON that holds the trees; `dart` has it one level deeper."""
        model: dict[str, Any] = self.gradient_booster.get("gbtree", self.gradient_booster)["model"]
        return model

    @property
    def n_columns(self) -> int:
        """Return how many columns the model takes."""
        return int(self.learner["learner_model_param"]["num_feature"])

    @property
    def tested_columns(self) -> set[int]:
        """Return the indices of the columns that trees test; all columns for a linear booster."""
        if self.gradient_booster["name"] == "gblinear":
            return set(range(self.n_columns))
        return {
            feature
            for tree in self.tree_model["trees"]
            for feature, left in zip(tree["split_indices"], tree["left_children"], strict=True)
            if left >= 0
        }

    @property
    def categories(self) -> list[list[Any]]:
        """Return the categories of each column of the training frame, text as bytes; empty without a frame."""
        if self.gradient_booster["name"] == "gblinear":
            return []
        return [_categories(encoding) for encoding in self.tree_model.get("cats", {}).get("enc", ())]


def _base_scores(booster: Any, raw: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Return the base scores as XGBoost adds them, by asking a copy of the booster that adds nothing else.

    The JSON holds the scores on the scale of the answer. XGBoost applies the objective's inverse link with the C
    library's functions, so their last bit cannot be computed here. It applies none to a booster of no rounds whose
    score may still be estimated, as it takes a linear one from a file older than version 1.6 for. So the copy has
    rounds only where the booster has some.
    """
    learner = raw["learner"]
    parameters = learner["learner_model_param"]
    n_outputs = max(int(parameters["num_class"]), int(parameters.get("num_target", "1")), 1)
    is_linear = learner["gradient_booster"]["name"] == "gblinear"
    stripped = {
        **learner,
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": _zero_weights(learner, n_outputs) if is_linear else _zero_trees(learner, n_outputs),
        "learner_model_param": {**parameters, "num_feature": "1"},
    }
    text = json.dumps({**raw, "learner": stripped}).encode()
    copy = type(booster)({"nthread": 1, "device": "cpu"}, model_file=bytearray(text))
    zero = np.zeros((1, 1), dtype=np.float32)
    if is_linear:
        margins = copy.predict(_matrix_class(booster)(zero, nthread=1), output_margin=True)
    else:
        margins = copy.inplace_predict(zero, predict_type="margin")
    return np.asarray(margins, dtype=np.float32).reshape(-1)


def _zero_trees(learner: dict[str, Any], n_outputs: int) -> dict[str, Any]:
    """Return the JSON of a tree of -0.0 for each output, or of no tree where the booster has none."""
    trained = learner["gradient_booster"]
    n_trees = n_outputs if trained.get("gbtree", trained)["model"]["trees"] else 0
    model = {
        "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(n_trees)},
        "iteration_indptr": [0, n_trees] if n_trees else [0],
        "tree_info": list(range(n_trees)),
        "trees": [{**_LEAF, "id": tree_index} for tree_index in range(n_trees)],
    }
    return {"name": "gbtree", "model": model}


def _zero_weights(learner: dict[str, Any], n_outputs: int) -> dict[str, Any]:
    """Return the JSON of a linear booster of as many rounds, whose weights and biases are 0."""
    trained = learner["gradient_booster"]
    return {**trained, "model": {**trained["model"], "weights": [0.0] * (2 * n_outputs)}}


def _matrix_class(booster: Any) -> Any:
    """Return XGBoost's `DMatrix`, from the module of the booster's class: rules import no library."""
    return sys.modules[type(booster).__module__].DMatrix


def _categories(encoding: dict[str, Any]) -> list[Any]:
    """Return the categories of one column, from `cats.enc` of the JSON: numbers, or text as bytes."""
    values = encoding["values"]
    if "offsets" not in encoding:
        return list(values)
    text = bytes(byte % 256 for byte in values)
    return [text[start:stop] for start, stop in pairwise(encoding["offsets"])]


def _trained_categories(column: Text | Coded, trained: list[Any]) -> list[Any]:
    """Return the categories of training, for a column whose categories are the same or some of them.

    XGBoost 3.2 splits the concatenated names of pandas categories by their lengths in characters rather than in bytes.
    Names that are not ASCII are therefore damaged in its tables. They are safe only where the frame has the same
    categories in the same order as in training.

    Raises:
        NoPlan: the column has a category that training did not have; XGBoost takes it for another one.
    """
    column_categories = column.categories or ()
    if all(isinstance(name, str) for name in column_categories):
        joined = "".join(column_categories).encode()
        ends = np.cumsum([0, *map(len, column_categories)]).tolist()
        as_split, encoded = (
            [joined[start:stop] for start, stop in pairwise(ends)],
            [name.encode() for name in column_categories],
        )
        if trained in (as_split, encoded) and len(set(trained)) == len(trained):
            return list(column_categories)
        if all(isinstance(name, bytes) and name.isascii() for name in [*trained, *encoded]):
            trained = [name.decode() for name in trained]
    if not set(column_categories) <= set(trained):
        raise NoPlan("XGBoost is given categories that it was not trained with, and takes them for others")
    return trained


# Margins: the sums before the objective's function.


def _margins(booster: _Booster, matrix: Matrix, compiler: Compiler) -> list[Number]:
    """Return the margin of each output in float32: the sum of the trees, or the linear function."""
    if len(matrix) != booster.n_columns:
        raise NoPlan(f"an XGBoost model of {booster.n_columns} columns is given {len(matrix)}")
    columns = _columns(booster, matrix, compiler)
    if not booster.in_place and not np.isinf(booster.missing):
        plain_columns = [column for column in columns if not isinstance(column, Bagged)]
        compiler.refuse(plain_columns, "matrix of XGBoost", nan=True)
    if booster.gradient_booster["name"] == "gblinear":
        return _linear(booster, columns, compiler)
    return _forest(booster, columns, compiler)


def _columns(booster: _Booster, matrix: Matrix, compiler: Compiler) -> list[Column]:
    """Return the columns as XGBoost reads a container: float32, with NaN for a missing value.

    Categories become their codes in training. What a sparse matrix does not store is missing, and so are zeros there.
    """
    categories = booster.categories
    names = booster.learner.get("feature_names") or None
    if matrix.frame and names is not None and list(map(str, matrix.names or ())) != names:
        raise NoPlan("XGBoost is given a frame with other columns than it was trained with, or in another order")
    # XGBoost takes what a sparse matrix does not store for missing.
    columns = spread(matrix.columns, booster.tested_columns, compiler, nan=matrix.sparse)
    indices = [index for index, column in enumerate(columns) if not isinstance(column, Bagged)]
    read: list[Column] = []
    for index in indices:
        column = columns[index]
        if matrix.frame and isinstance(column, (Text, Coded)) and column.categories is not None:
            if not np.isnan(booster.missing):
                raise NoPlan("XGBoost is given categories, of which one is missing by its place")
            read.append(
                codes_of(column, _trained_categories(column, categories[index] if categories else []), compiler)
            )
            continue
        if matrix.frame and categories and categories[index]:
            raise NoPlan("XGBoost is given numbers where it was trained with categories")
        if not isinstance(column, (Numeric, Coded)) or (matrix.frame and column.dtype == OBJECT):
            raise NoPlan("XGBoost is given a column that is neither of numbers nor of categories")
        if not matrix.frame and isinstance(column, Numeric) and column.missing is NA:
            raise NoPlan("XGBoost is given an array with pandas.NA")
        read.append(column)
    if matrix.sparse:  # before the cast: a number that float32 rounds to 0 is not missing
        plain = [position for position, index in enumerate(indices) if not isinstance(matrix.columns[index], Bagged)]
        without_zeros = _missing_as_nan([read[position] for position in plain], 0.0, compiler)
        for position, column in zip(plain, without_zeros, strict=True):
            read[position] = column
    read = list(compiler.cast(Matrix(tuple(read)), FLOAT32).columns)
    if not np.isnan(booster.missing):
        read = _missing_as_nan(read, booster.missing, compiler)
    for index, column in zip(indices, read, strict=True):
        columns[index] = column
    return columns


def _missing_as_nan(columns: Sequence[Column], missing: float, compiler: Compiler) -> list[Column]:
    """Return the columns with NaN in place of a number that stands for a missing value."""
    graph = compiler.graph
    replaced = list(columns)
    numerics = {index: column for index, column in enumerate(columns) if isinstance(column, Numeric)}
    values = compiler.numbers(list(numerics.values()))
    if values:
        is_missing = graph.map_const(MathFunction.EQ, values, missing)
        selected = graph.select(is_missing, graph.constant([np.nan] * len(values)), values)
        for (index, numeric), value in zip(numerics.items(), selected, strict=True):
            replaced[index] = Numeric(value, numeric.dtype)
    for index, column in enumerate(columns):
        if isinstance(column, Coded):
            levels = np.where(column.levels == missing, np.nan, column.levels)
            replaced[index] = Coded(column.code, dtype=column.dtype, levels=levels, hot_code=column.hot_code)
    return replaced


def _linear(booster: _Booster, columns: Sequence[Column], compiler: Compiler) -> list[Number]:
    """Return the margins of `gblinear`: bias and base score, then `value * weight` of each column.

    Products and sums are float32 and rounded one by one, in the order of the columns (`src/gbm/gblinear.cc`). Missing
    values are left out.
    """
    graph = compiler.graph
    n_outputs = len(booster.base_scores)
    weights = np.zeros((len(columns) + 1, n_outputs), dtype=np.float32)
    if trained := booster.gradient_booster["model"]["weights"]:  # a booster of no rounds has none
        weights = np.array(trained, dtype=np.float32).reshape(weights.shape)
    # XGBoost adds the first output's base score to every output.
    sums = graph.constant((weights[-1] + booster.base_scores[0]).astype(np.float64))
    if not columns:
        return sums
    values = compiler.numbers(columns)
    is_missing = graph.map(MathFunction.IS_NAN, values)
    for output in range(n_outputs):
        terms = _round_float32(
            graph.map_const(MathFunction.MUL, values, weights[:-1, output].astype(np.float64)), compiler
        )
        # x + -0.0 is x, to the bit.
        terms = graph.select(is_missing, graph.constant([-0.0] * len(terms)), terms)
        for term in terms:
            sums[output] = _round_float32(graph.map_two(MathFunction.ADD, [sums[output]], [term]), compiler)[0]
    return sums


def _forest(booster: _Booster, columns: Sequence[Column], compiler: Compiler) -> list[Number]:
    """Return the margins of `gbtree` and `dart`: the base scores plus the leaf of every tree, rounded after each."""
    model = booster.tree_model
    trees = model["trees"]
    if booster.n_rounds:
        trees = trees[: model["iteration_indptr"][min(booster.n_rounds, len(model["iteration_indptr"]) - 1)]]

    def view(key: tuple[int, bool]) -> Column:
        """Return a column as tests see it; tests of categories round down."""
        index, by_category = key
        column = columns[index]
        return compiler.map(MathFunction.FLOOR, [column], dtype=FLOAT32)[0] if by_category else column

    builder = ForestBuilder(compiler, view)
    leaf_values: list[npt.NDArray[np.float32]] = []
    first = 0
    for number, tree in enumerate(trees):
        leaves = _add_tree(builder, tree, int(model["tree_info"][number]), first)
        if booster.gradient_booster["name"] == "dart":
            leaves = _weighted_leaves(booster, leaves, number)
        leaf_values.append(leaves)
        first += len(leaves)
    stacked = np.concatenate(leaf_values) if leaf_values else np.zeros((0, 1), dtype=np.float32)
    return builder.forest(stacked, booster.base_scores, float32=True)


def _weighted_leaves(booster: _Booster, leaves: npt.NDArray[np.float32], tree_index: int) -> npt.NDArray[np.float32]:
    """Return the leaves of a tree of `dart`, times the tree's weight, in float32.

    Where XGBoost predicts in place, it predicts with one tree after the other, subtracts the base score from each
    answer and then multiplies; the rounding of this detour is repeated here.
    """
    if leaves.shape[1] > 1:
        raise NoPlan("XGBoost's dart has trees of several outputs each")
    weight = np.float32(booster.gradient_booster["weight_drop"][tree_index])
    if booster.in_place:
        base = booster.base_scores[int(booster.tree_model["tree_info"][tree_index])]
        leaves = (leaves + base) - base
    return leaves * weight


def _add_tree(builder: ForestBuilder, tree: dict[str, Any], target: int, first: int) -> npt.NDArray[np.float32]:
    """Add a tree to the builder and return the values of its leaves, float32 of shape `(leaves, outputs)`.

    Args:
        builder: the trees so far.
        tree: the tree's JSON.
        target: the output that it adds to.
        first: the row of the forest's leaf values at which this tree's begin.
    """
    left, right = tree["left_children"], tree["right_children"]
    conditions = np.array(tree["split_conditions"], dtype=np.float32)
    leaf_size = int(tree["tree_param"]["size_leaf_vector"])
    is_leaf = np.array(left) < 0
    # For a leaf of several outputs the JSON has its row in the field of the right child.
    leaf_rows = (first + (np.array(right) if leaf_size > 1 else np.cumsum(is_leaf) - 1)).tolist()
    # `value < threshold` is `value <= previous float32`.
    below_or_equal = np.nextafter(conditions, np.float32(-np.inf)).astype(np.float64).tolist()
    categories = _right_categories(tree)
    tests_or_rows = []
    for node, feature in enumerate(tree["split_indices"]):
        nan_left = bool(tree["default_left"][node])
        if is_leaf[node]:
            tests_or_rows.append(leaf_rows[node])
        elif tree["split_type"][node]:
            tests_or_rows.append(
                builder.add_test(SetTest((feature, True), categories[node], inside=False, nan_left=nan_left))
            )
        elif np.isnan(conditions[node]) or np.isneginf(conditions[node]):
            raise NoPlan("a tree of XGBoost has a threshold that is no number")
        else:
            tests_or_rows.append(builder.add_test(ThresholdTest((feature, False), below_or_equal[node], nan_left)))
    builder.add_tree(target, left, right, tests_or_rows)
    if leaf_size <= 1:
        return conditions[is_leaf].reshape(-1, 1)
    return np.array(tree["leaf_weights"], dtype=np.float32).reshape(-1, leaf_size)


def _right_categories(tree: dict[str, Any]) -> dict[int, frozenset[float]]:
    """Return for each node that tests categories those that go right."""
    categories = tree["categories"]
    return {
        node: frozenset(map(float, categories[start : start + size]))
        for node, start, size in zip(
            tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
        )
    }


# Objectives.


def _round_float32(numbers: Sequence[Number], compiler: Compiler) -> list[Number]:
    """Round numbers to float32."""
    return compiler.graph.map(MathFunction.ROUND32, numbers)


def _convert_margins(booster: _Booster, margins: list[Number], compiler: Compiler) -> list[Number]:
    """Return the prediction: the margins after the objective's link (`PredTransform` in `src/objective`).

    Identity objectives, `binary:hinge` (1 where the margin is above 0) and the classes of `multi:softmax` are exact.
    The sigmoid is `1 / (1 + exp(-x))` with `-x` capped at 88.7, every step in float32 (`common::Sigmoid` in
    `src/common/math.h`); its `expf` is the C library's.

    Raises:
        NoPlan: the objective has no rule.
    """
    graph = compiler.graph
    name = str(booster.learner["objective"]["name"])
    if name in _IDENTITY_OBJECTIVES:
        return margins
    if name == "binary:hinge":
        return graph.map_const(MathFunction.GT, margins, 0.0)
    if name == "multi:softmax":
        return graph.lookup(graph.argmax(margins), np.arange(len(margins), dtype=np.float64))
    compiler.approximate(f"a C library's exp of float32, in XGBoost's objective {name}")
    if name in _EXP_OBJECTIVES:
        return _round_float32(graph.map(MathFunction.EXP, margins), compiler)
    if name in _SIGMOID_OBJECTIVES:
        exponents = graph.map_const(MathFunction.MIN, graph.map(MathFunction.NEGATE, margins), _MAX_EXPONENT)
        exponentials = _round_float32(graph.map(MathFunction.EXP, exponents), compiler)
        return _round_float32(
            graph.map_const(
                MathFunction.RDIV, _round_float32(graph.map_const(MathFunction.ADD, exponentials, 1.0), compiler), 1.0
            ),
            compiler,
        )
    if name == "multi:softprob":
        return _softmax(margins, compiler)
    raise NoPlan(f"plans do not cover XGBoost's objective {name}")


def _softmax(margins: list[Number], compiler: Compiler) -> list[Number]:
    """Return XGBoost's softmax of the margins (`common::Softmax`): `exp(x - max) / sum`.

    Differences, exponentials and quotients are float32. The sum is float64 and rounded to float32 once.
    """
    graph = compiler.graph
    shifted = _round_float32(
        graph.map_two(MathFunction.SUB, margins, [graph.fold(MathFunction.MOST, margins)]), compiler
    )
    exponentials = _round_float32(graph.map(MathFunction.EXP, shifted), compiler)
    total = _round_float32([graph.fold(MathFunction.SUM, exponentials)], compiler)
    return _round_float32(graph.map_two(MathFunction.DIV, exponentials, total), compiler)
