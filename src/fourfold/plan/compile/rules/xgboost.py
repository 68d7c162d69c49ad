"""XGBoost: boosters and its own estimators, read from its JSON.

Everything there is float32: values are rounded on the way in, tests are `<`, sums begin at the base score and take the
trees in their order, one rounding each.
"""

from __future__ import annotations

import json
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
#: Objectives whose answer is the sum.
_PLAIN = frozenset(
    (
        *("reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror"),
        *("reg:quantileerror", "binary:logitraw", "rank:pairwise", "rank:ndcg", "rank:map"),
    )
)
_SIGMOIDS = frozenset(("reg:logistic", "binary:logistic"))
_EXPONENTS = frozenset(("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"))
#: Beyond this, XGBoost takes no exponent.
_MOST = float(np.float32(88.7))
#: A tree that is one leaf.
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
    """What a booster, a regressor or a ranker answers."""
    asked = _Model.of(model)
    return _matrix(_converted(asked, _margins(asked, matrix, compiler, model), compiler))


@answers("predict", *_CLASSIFIERS)
def predict_label(model: Any, matrix: Matrix, compiler: Compiler) -> Labels | Matrix:
    """A classifier's label; of many labels a row, which of them it has."""
    graph, asked, classes = compiler.graph, _Model.of(model), int(model.n_classes_)
    margins = _margins(asked, matrix, compiler, model)
    found = _converted(asked, margins, compiler)
    if len(found) > 1 and classes != 2:
        return Labels(graph.argmax(found), range(len(found)))
    if len(found) > 1:
        return Matrix(tuple(Numeric(each) for each in graph.map_const(MathFunction.GT, found, 0.5)))
    if model.objective == "multi:softmax":
        return Labels(graph.argmax(margins), range(len(margins)))
    return Labels(graph.argmax([*graph.constant([0.5]), *found]), range(2))


@answers("predict_proba", *_CLASSIFIERS)
def predict_proba(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """A classifier's probabilities: of its classes, or of each of many labels."""
    graph, asked, classes = compiler.graph, _Model.of(model), int(model.n_classes_)
    margins = _margins(asked, matrix, compiler, model)
    if model.objective == "multi:softmax":
        compiler.approximate("SciPy's exp of float32, in XGBoost's probabilities")
        return _matrix(_softmax(margins, compiler))
    found = _converted(asked, margins, compiler)
    if len(found) == 1:
        return _matrix([*_rounded(graph.map_const(MathFunction.RSUB, found, 1.0), compiler), *found])
    if len(found) != classes and classes != 2:
        raise NoPlan(f"an XGBoost classifier of {classes} classes has {len(found)} outputs")
    return _matrix(found)


def _matrix(numbers: Sequence[Number]) -> Matrix:
    return Matrix(tuple(Numeric(each, FLOAT32) for each in numbers))


@dataclass(frozen=True)
class _Model:
    """What a booster's JSON says.

    Attributes:
        learner: the learner.
        base: the score that each sum begins with, as float32.
        missing: the number that says that a value is missing, besides NaN.
        rounds: how many rounds answer; 0: all.
        in_place: whether it answers from the data itself, rather than from a matrix of XGBoost's.
    """

    learner: dict[str, Any]
    base: npt.NDArray[np.float32]
    missing: float
    rounds: int
    in_place: bool

    @classmethod
    def of(cls, model: Any) -> _Model:
        """Read a booster or an estimator, as it predicts."""
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        found = json.loads(bytes(booster.save_raw("json")))
        learner = found["learner"]
        kind = learner["gradient_booster"]["name"]
        if booster is model:
            return cls(learner, _base(booster, found), np.nan, 0, kind == "gbtree")
        best = learner["attributes"].get("best_iteration")
        rounds = 0 if best is None or kind == "gblinear" else int(best) + 1
        missing = np.nan if model.missing is None else float(np.float32(model.missing))
        return cls(learner, _base(booster, found), missing, rounds, kind != "gblinear")

    @property
    def booster(self) -> dict[str, Any]:
        """The booster: trees, or weights."""
        found: dict[str, Any] = self.learner["gradient_booster"]
        return found

    @property
    def trees(self) -> dict[str, Any]:
        """The trees' part of it."""
        found: dict[str, Any] = self.booster.get("gbtree", self.booster)["model"]
        return found

    @property
    def width(self) -> int:
        """How many columns it takes."""
        return int(self.learner["learner_model_param"]["num_feature"])

    @property
    def used(self) -> set[int]:
        """The columns that trees test; all of a linear booster."""
        if self.booster["name"] == "gblinear":
            return set(range(self.width))
        return {
            feature
            for tree in self.trees["trees"]
            for feature, left in zip(tree["split_indices"], tree["left_children"], strict=True)
            if left >= 0
        }

    @property
    def categories(self) -> list[list[Any]]:
        """The categories of each column of the frame that it was trained with, text as bytes; none of no frame."""
        if self.booster["name"] == "gblinear":
            return []
        return [_categories(each) for each in self.trees.get("cats", {}).get("enc", ())]


def _base(booster: Any, found: dict[str, Any]) -> npt.NDArray[np.float32]:
    """The base scores as XGBoost adds them: what the booster answers when its trees are leaves of -0.0.

    It keeps the scores before the objective's own function, whose inverse is one of the C library.
    """
    learner = found["learner"]
    sizes = learner["learner_model_param"]
    outputs = max(int(sizes["num_class"]), int(sizes.get("num_target", "1")), 1)
    bare = {
        "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(outputs)},
        "iteration_indptr": [0, outputs],
        "tree_info": list(range(outputs)),
        "trees": [{**_LEAF, "id": number} for number in range(outputs)],
    }
    stripped = {
        **learner,
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": {"name": "gbtree", "model": bare},
        "learner_model_param": {**sizes, "num_feature": "1"},
    }
    text = json.dumps({**found, "learner": stripped}).encode()
    alone = type(booster)({"nthread": 1, "device": "cpu"}, model_file=bytearray(text))
    answer = alone.inplace_predict(np.zeros((1, 1), dtype=np.float32), predict_type="margin")
    return np.asarray(answer, dtype=np.float32).reshape(-1)


def _categories(known: dict[str, Any]) -> list[Any]:
    values = known["values"]
    if "offsets" not in known:
        return list(values)
    text = bytes(each % 256 for each in values)
    return [text[start:stop] for start, stop in pairwise(known["offsets"])]


def _told(column: Text | Coded, known: list[Any]) -> list[Any]:
    """The categories that training knew, as those of a column that has the same ones, or some of them.

    XGBoost cuts the names of pandas's categories by their letters where it should by their bytes. So names that are
    not ASCII are other ones to it, and hold only where a frame has the same categories in the same order.
    """
    mine = column.categories or ()
    if all(isinstance(each, str) for each in mine):
        whole = "".join(mine).encode()
        ends = np.cumsum([0, *map(len, mine)]).tolist()
        as_cut, as_meant = [whole[start:stop] for start, stop in pairwise(ends)], [each.encode() for each in mine]
        if known in (as_cut, as_meant) and len(set(known)) == len(known):
            return list(mine)
        if all(isinstance(each, bytes) and each.isascii() for each in [*known, *as_meant]):
            known = [each.decode() for each in known]
    if not set(mine) <= set(known):
        raise NoPlan("XGBoost is given categories that it was not trained with, and takes them for others")
    return known


# Sums.


def _margins(model: _Model, matrix: Matrix, compiler: Compiler, who: Any) -> list[Number]:
    """The sums, before the objective's function."""
    if len(matrix) != model.width:
        raise NoPlan(f"an XGBoost model of {model.width} columns is given {len(matrix)}")
    columns = _columns(model, matrix, compiler)
    if not model.in_place and not np.isinf(model.missing):
        shown = [column for column in columns if not isinstance(column, Bagged)]
        compiler.refuse(shown, "matrix of XGBoost", nan=True)
    if model.booster["name"] == "gblinear":
        return _linear(model, columns, compiler)
    return _forest(model, columns, compiler)


def _columns(model: _Model, matrix: Matrix, compiler: Compiler) -> list[Column]:
    """The columns as XGBoost reads a container: float32, and NaN for what is missing."""
    known = model.categories
    names = model.learner.get("feature_names") or None
    if matrix.frame and names is not None and list(map(str, matrix.names or ())) != names:
        raise NoPlan("XGBoost is given a frame with other columns than it was trained with, or in another order")
    # Of a sparse matrix what is not there is missing.
    columns = spread(matrix.columns, model.used, compiler, nan=matrix.sparse)
    kept = [place for place, column in enumerate(columns) if not isinstance(column, Bagged)]
    made: list[Column] = []
    for place in kept:
        column = columns[place]
        if matrix.frame and isinstance(column, (Text, Coded)) and column.categories is not None:
            if not np.isnan(model.missing):
                raise NoPlan("XGBoost is given categories, of which one is missing by its place")
            made.append(codes_of(column, _told(column, known[place] if known else []), compiler))
            continue
        if matrix.frame and known and known[place]:
            raise NoPlan("XGBoost is given numbers where it was trained with categories")
        if not isinstance(column, (Numeric, Coded)) or (matrix.frame and column.dtype == OBJECT):
            raise NoPlan("XGBoost is given a column that is neither of numbers nor of categories")
        if not matrix.frame and isinstance(column, Numeric) and column.missing is NA:
            raise NoPlan("XGBoost is given an array with pandas.NA")
        made.append(column)
    if matrix.sparse:  # before the cast: a number that float32 takes for 0 is there
        dense = [index for index, place in enumerate(kept) if not isinstance(matrix.columns[place], Bagged)]
        zeros = _without([made[index] for index in dense], 0.0, compiler)
        for index, column in zip(dense, zeros, strict=True):
            made[index] = column
    made = list(compiler.cast(Matrix(tuple(made)), FLOAT32).columns)
    if not np.isnan(model.missing):
        made = _without(made, model.missing, compiler)
    for place, column in zip(kept, made, strict=True):
        columns[place] = column
    return columns


def _without(columns: Sequence[Column], missing: float, compiler: Compiler) -> list[Column]:
    """The columns with NaN for a number that says that a value is missing."""
    graph = compiler.graph
    out = list(columns)
    plain = {place: column for place, column in enumerate(columns) if isinstance(column, Numeric)}
    values = compiler.numbers(list(plain.values()))
    if values:
        is_missing = graph.map_const(MathFunction.EQ, values, missing)
        made = graph.select(is_missing, graph.constant([np.nan] * len(values)), values)
        for (place, numeric), value in zip(plain.items(), made, strict=True):
            out[place] = Numeric(value, numeric.dtype)
    for place, column in enumerate(columns):
        if isinstance(column, Coded):
            levels = np.where(column.levels == missing, np.nan, column.levels)
            out[place] = Coded(column.code, dtype=column.dtype, levels=levels, hot_code=column.hot_code)
    return out


def _linear(model: _Model, columns: Sequence[Column], compiler: Compiler) -> list[Number]:
    """The sums of a linear booster: bias and base score, then every column that is not missing."""
    graph = compiler.graph
    weights = np.array(model.booster["model"]["weights"], dtype=np.float32).reshape(len(columns) + 1, -1)
    outputs = weights.shape[1]
    # It takes the first output's base score for all of them.
    sums = graph.constant((weights[-1] + model.base[0]).astype(np.float64))
    if not columns:
        return sums
    values = compiler.numbers(columns)
    gone = graph.map(MathFunction.IS_NAN, values)
    for output in range(outputs):
        terms = _rounded(graph.map_const(MathFunction.MUL, values, weights[:-1, output].astype(np.float64)), compiler)
        # A number plus -0.0 is the number.
        terms = graph.select(gone, graph.constant([-0.0] * len(terms)), terms)
        for term in terms:
            sums[output] = _rounded(graph.map_two(MathFunction.ADD, [sums[output]], [term]), compiler)[0]
    return sums


def _forest(model: _Model, columns: Sequence[Column], compiler: Compiler) -> list[Number]:
    """The sums of trees."""
    found = model.trees
    trees = found["trees"]
    if model.rounds:
        trees = trees[: found["iteration_indptr"][min(model.rounds, len(found["iteration_indptr"]) - 1)]]

    def view(key: tuple[int, bool]) -> Column:
        place, by_category = key
        column = columns[place]
        return compiler.map(MathFunction.FLOOR, [column], dtype=FLOAT32)[0] if by_category else column

    grove = Grove(compiler, view)
    values: list[npt.NDArray[np.float32]] = []
    first = 0
    for number, tree in enumerate(trees):
        leaves = _plant(grove, tree, int(found["tree_info"][number]), first)
        if model.booster["name"] == "dart":
            leaves = _dropped(model, leaves, number)
        values.append(leaves)
        first += len(leaves)
    stacked = np.concatenate(values) if values else np.zeros((0, 1), dtype=np.float32)
    return grove.forest(stacked, model.base, float32=True)


def _dropped(model: _Model, leaves: npt.NDArray[np.float32], number: int) -> npt.NDArray[np.float32]:
    """The leaves of a tree that was dropped now and then, times its weight.

    From the data itself, XGBoost predicts with one tree after the other, takes the base score away from each answer and
    then multiplies, so that a rounding shows.
    """
    if leaves.shape[1] > 1:
        raise NoPlan("XGBoost's dart has trees of several outputs each")
    weight = np.float32(model.booster["weight_drop"][number])
    if model.in_place:
        base = model.base[int(model.trees["tree_info"][number])]
        leaves = (leaves + base) - base
    return leaves * weight


def _plant(grove: Grove, tree: dict[str, Any], target: int, first: int) -> npt.NDArray[np.float32]:
    """Add a tree, whose leaves' values begin at a row of the forest's; these values."""
    left, right = tree["left_children"], tree["right_children"]
    conditions = np.array(tree["split_conditions"], dtype=np.float32)
    vector = int(tree["tree_param"]["size_leaf_vector"])
    is_leaf = np.array(left) < 0
    # A leaf of several outputs has its place where an inner node has its right child.
    rows = (first + (np.array(right) if vector > 1 else np.cumsum(is_leaf) - 1)).tolist()
    # Left is below the threshold, so not above the float32 next to it.
    below = np.nextafter(conditions, np.float32(-np.inf)).astype(np.float64).tolist()
    members = _members(tree)
    what = []
    for node, feature in enumerate(tree["split_indices"]):
        default = bool(tree["default_left"][node])
        if is_leaf[node]:
            what.append(rows[node])
        elif tree["split_type"][node]:
            what.append(grove.test(Among((feature, True), members[node], inside=False, nan_left=default)))
        elif np.isnan(conditions[node]) or np.isneginf(conditions[node]):
            raise NoPlan("a tree of XGBoost has a threshold that is no number")
        else:
            what.append(grove.test(Below((feature, False), below[node], default)))
    grove.tree(target, left, right, what)
    if vector <= 1:
        return conditions[is_leaf].reshape(-1, 1)
    return np.array(tree["leaf_weights"], dtype=np.float32).reshape(-1, vector)


def _members(tree: dict[str, Any]) -> dict[int, frozenset[float]]:
    """The categories that go right, of each node that tests some."""
    values = tree["categories"]
    return {
        node: frozenset(map(float, values[start : start + size]))
        for node, start, size in zip(
            tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
        )
    }


# Objectives.


def _rounded(numbers: Sequence[Number], compiler: Compiler) -> list[Number]:
    return compiler.graph.map(MathFunction.ROUND32, numbers)


def _converted(model: _Model, margins: list[Number], compiler: Compiler) -> list[Number]:
    """The answer: the sums after the objective's function."""
    graph = compiler.graph
    name = str(model.learner["objective"]["name"])
    if name in _PLAIN:
        return margins
    if name == "binary:hinge":
        return graph.map_const(MathFunction.GT, margins, 0.0)
    if name == "multi:softmax":
        return graph.lookup(graph.argmax(margins), np.arange(len(margins), dtype=np.float64))
    compiler.approximate(f"a C library's exp of float32, in XGBoost's objective {name}")
    if name in _EXPONENTS:
        return _rounded(graph.map(MathFunction.EXP, margins), compiler)
    if name in _SIGMOIDS:
        capped = graph.map_const(MathFunction.MIN, graph.map(MathFunction.NEGATE, margins), _MOST)
        powers = _rounded(graph.map(MathFunction.EXP, capped), compiler)
        return _rounded(
            graph.map_const(MathFunction.RDIV, _rounded(graph.map_const(MathFunction.ADD, powers, 1.0), compiler), 1.0),
            compiler,
        )
    if name == "multi:softprob":
        return _softmax(margins, compiler)
    raise NoPlan(f"XGBoost's objective {name} has no rule")


def _softmax(margins: list[Number], compiler: Compiler) -> list[Number]:
    graph = compiler.graph
    shifted = _rounded(graph.map_two(MathFunction.SUB, margins, [graph.fold(MathFunction.MOST, margins)]), compiler)
    powers = _rounded(graph.map(MathFunction.EXP, shifted), compiler)
    total = _rounded([graph.fold(MathFunction.SUM, powers)], compiler)
    return _rounded(graph.map_two(MathFunction.DIV, powers, total), compiler)
