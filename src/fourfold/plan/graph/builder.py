"""Build the graph of a plan: steps that use each other's values.

A step that exists already is not built again, and steps that no output needs are left out of the plan, so rules may ask
for a value as often as they like.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.format import BALLS, Kind, MathFunction, Metric, Operation
from fourfold.plan.graph.forest import NODE, Forest, forest_key, forest_operands
from fourfold.plan.graph.neighbours import Neighbours
from fourfold.plan.graph.numerics import origins
from fourfold.plan.graph.steps import Bag, Code, Layout, Number, Output, Step, plan_bytes, register_of
from fourfold.plan.graph.text_reading import Reading

__all__ = ["NODE", "Bag", "Code", "Forest", "Graph", "Number", "Output"]

Floats = npt.NDArray[np.float64]


class Graph:
    """Build a plan step by step; equal steps are built once.

    Args:
        inputs: the name and dtype of each input.
    """

    def __init__(self, inputs: Sequence[tuple[str, str]]) -> None:
        self.inputs = list(inputs)
        self._steps: list[Step] = []
        self._refusals: list[Step] = []
        self._steps_by_key: dict[Any, Step] = {}
        self._values: dict[Step, list[Number]] = {}
        self._codes: dict[Step, Code] = {}
        self._bags: dict[Step, Bag] = {}

    # Values of an input.

    def number(self, index: int) -> Number:
        """Return an input of numbers; NaN where it is missing."""
        return self._numbers(("number", index), Operation.NUMBER, 1, (), lambda layout: [index])[0]

    def round_float32(self, value: Number) -> Number:
        """Return a number rounded to float32.

        An input is rounded once, from its own dtype: an integer beyond 2^53 that became a float64 first would be
        rounded twice, and could differ.
        """
        if value.step.operation != Operation.NUMBER:
            return self.map(MathFunction.ROUND32, [value])[0]
        index = next(
            index for index in range(len(self.inputs)) if self._steps_by_key.get(("number", index)) is value.step
        )
        return self._numbers(("single", index), Operation.SINGLE, 1, (), lambda layout: [index])[0]

    def wide_integers(self, numbers: Sequence[Number]) -> list[str]:
        """Return the names of the 64-bit integer inputs that numbers are computed from, not only looked up by."""
        steps = origins(numbers)
        return sorted(
            name
            for index, (name, dtype) in enumerate(self.inputs)
            if dtype in ("int64", "uint64") and self._steps_by_key.get(("number", index)) in steps
        )

    def text(self, index: int, strings: Sequence[str]) -> Code:
        """Return the index of a text in `strings`; `len(strings)` for another text, `len(strings) + 1` for none."""
        texts = tuple(strings)
        return self._code(
            ("text", index, texts),
            Operation.TEXT,
            len(texts) + 2,
            (),
            lambda layout: [index, layout.add_strings(texts), len(texts)],
        )

    # Codes.

    def match(self, value: Number, numbers: Any) -> Code:
        """Return the index of a number in ascending `numbers`; `len(numbers)` for another, one more for NaN."""
        ascending = _floats(numbers)
        return self._code(
            ("match", value, ascending.tobytes()),
            Operation.MATCH,
            len(ascending) + 2,
            (value,),
            lambda layout: [register_of(value), layout.add_numbers(ascending), len(ascending)],
        )

    def search(self, value: Number, thresholds: Any, *, right: bool = False) -> Code:
        """Return `numpy.searchsorted(thresholds, value)`; `len(thresholds) + 1` for NaN."""
        ascending = _floats(thresholds)
        return self._code(
            ("search", value, ascending.tobytes(), right),
            Operation.SEARCH,
            len(ascending) + 2,
            (value,),
            lambda layout: [register_of(value), layout.add_numbers(ascending), len(ascending), int(right)],
        )

    def recode(self, code: Code, codes: Sequence[int], limit: int) -> Code:
        """Return `codes[code]`, a code below `limit`; `codes` has an entry for each value of `code`."""
        table = tuple(int(entry) for entry in codes)
        _check_equal(len(table), code.limit)
        return self._code(
            ("recode", code, table, limit),
            Operation.RECODE,
            limit,
            (code,),
            lambda layout: [register_of(code), layout.add_words(table)],
        )

    def argmax(self, values: Sequence[Number]) -> Code:
        """Return the index of the first largest number, or of the first NaN, as `numpy.argmax`."""
        read = tuple(values)
        return self._code(
            ("argmax", read),
            Operation.ARGMAX,
            len(read),
            read,
            lambda layout: [len(read), layout.add_registers(read)],
        )

    # Numbers.

    def lookup(self, code: Code, table: Any) -> list[Number]:
        """Return the numbers `table[code]`; `table` has shape `(code.limit, width)` or `(code.limit,)`."""
        numbers = np.asarray(table, dtype=np.float64).reshape(len(table), -1)
        _check_equal(len(numbers), code.limit)
        width = numbers.shape[1]
        return self._numbers(
            ("lookup", code, numbers.tobytes()),
            Operation.LOOKUP,
            width,
            (code,),
            lambda layout: [register_of(code), width, layout.add_numbers(numbers)],
        )

    def constant(self, values: Any) -> list[Number]:
        """Return numbers that are the same in every row."""
        constants = _floats(values)
        return self._numbers(
            ("constant", constants.tobytes()),
            Operation.CONSTANT,
            len(constants),
            (),
            lambda layout: [len(constants), layout.add_numbers(constants)],
        )

    def map(self, function: MathFunction, values: Sequence[Number]) -> list[Number]:
        """Return `f(x)` of each value."""
        read = tuple(values)
        return self._numbers(
            ("map", function, read),
            Operation.MAP,
            len(read),
            read,
            lambda layout: [len(read), int(function), layout.add_registers(read)],
        )

    def map_const(self, function: MathFunction, values: Sequence[Number], constants: Any) -> list[Number]:
        """Return `f(x, constant)` of each value, with one constant for all values or one for each."""
        read = tuple(values)
        numbers = np.ascontiguousarray(np.broadcast_to(_floats(constants), (len(read),)))
        return self._numbers(
            ("map_const", function, read, numbers.tobytes()),
            Operation.MAP_CONST,
            len(read),
            read,
            lambda layout: [len(read), int(function), layout.add_registers(read), layout.add_numbers(numbers)],
        )

    def map_two(self, function: MathFunction, left: Sequence[Number], right: Sequence[Number]) -> list[Number]:
        """Return `f(x, y)` of each pair; a single `right` is paired with every `left`."""
        xs = tuple(left)
        ys = tuple(right) * len(xs) if len(right) == 1 else tuple(right)
        _check_equal(len(xs), len(ys))
        return self._numbers(
            ("map_two", function, xs, ys),
            Operation.MAP_TWO,
            len(xs),
            xs + ys,
            lambda layout: [len(xs), int(function), layout.add_registers(xs), layout.add_registers(ys)],
        )

    def select(self, where: Sequence[Number], yes: Sequence[Number], no: Sequence[Number]) -> list[Number]:
        """Return `yes` where the condition is not 0, else `no`."""
        conditions, values, others = tuple(where), tuple(yes), tuple(no)
        _check_equal(len(conditions), len(values))
        _check_equal(len(conditions), len(others))
        return self._numbers(
            ("select", conditions, values, others),
            Operation.SELECT,
            len(conditions),
            conditions + values + others,
            lambda layout: [
                len(conditions),
                layout.add_registers(conditions),
                layout.add_registers(values),
                layout.add_registers(others),
            ],
        )

    def dot(self, values: Sequence[Number], weights: Any) -> list[Number]:
        """Return weighted sums, added from 0 in the order of the values; `weights` has shape `(values, outputs)`."""
        read = tuple(values)
        matrix = np.ascontiguousarray(weights, dtype=np.float64)
        _check_equal(len(matrix), len(read))
        width = matrix.shape[1]
        return self._numbers(
            ("dot", read, matrix.tobytes()),
            Operation.DOT,
            width,
            read,
            lambda layout: [width, len(read), layout.add_registers(read), layout.add_numbers(matrix)],
        )

    def fold(self, function: MathFunction, values: Sequence[Number]) -> Number:
        """Return one number computed from many, such as their sum or the least of them."""
        read = tuple(values)
        return self._numbers(
            ("fold", function, read),
            Operation.FOLD,
            1,
            read,
            lambda layout: [len(read), int(function), layout.add_registers(read)],
        )[0]

    def interpolate(self, value: Number, xs: Any, ys: Any) -> Number:
        """Return `numpy.interp(value, xs, ys)`."""
        knots, heights = _floats(xs), _floats(ys)
        _check_equal(len(knots), len(heights))
        return self._numbers(
            ("interpolate", value, knots.tobytes(), heights.tobytes()),
            Operation.INTERPOLATE,
            1,
            (value,),
            lambda layout: [register_of(value), layout.add_numbers(knots), layout.add_numbers(heights), len(knots)],
        )[0]

    def distances(self, values: Sequence[Number], points: Any, metric: Metric, power: float = 2.0) -> list[Number]:
        """Return the distances of the values from each point, without their final root.

        Args:
            values: the query.
            points: shape `(rows, values)`.
            metric: the distance.
            power: the exponent of `Metric.MINKOWSKI`.
        """
        read = tuple(values)
        coordinates = _floats(points)
        rows = np.asarray(points).shape[0]
        _check_equal(len(coordinates), rows * len(read))
        return self._numbers(
            ("distances", read, coordinates.tobytes(), metric, power),
            Operation.DISTANCES,
            rows,
            read,
            lambda layout: [
                rows,
                len(read),
                layout.add_registers(read),
                int(metric),
                layout.add_numbers([power]),
                layout.add_numbers(coordinates),
            ],
        )

    def couple(self, pairs: Sequence[Number]) -> list[Number]:
        """Return the class probabilities that fit pairwise probabilities best (libsvm's pairwise coupling).

        Args:
            pairs: the probability of each pair's first class, in the order (0, 1), (0, 2), …, (1, 2) and so on.
        """
        read = tuple(pairs)
        classes = (1 + math.isqrt(1 + 8 * len(read))) // 2
        _check_equal(len(read), classes * (classes - 1) // 2)
        return self._numbers(
            ("couple", read), Operation.COUPLE, classes, read, lambda layout: [classes, layout.add_registers(read)]
        )

    def nearest(self, values: Sequence[Number], near: Neighbours) -> tuple[list[Number], list[list[Number]]]:
        """Return the `k` smallest distances, ascending, and for each target its value at each of these points."""
        read = tuple(values)
        (rows, width), k = near.targets.shape, near.k
        points, targets = _floats(near.points), _floats(near.targets)
        nodes = np.array([[0, rows, 1]]) if near.nodes is None else near.nodes
        nodes = np.ascontiguousarray(nodes, dtype="<u4")
        bounds = np.concatenate([_floats([] if array is None else array) for array in (near.bounds, near.radii)])
        metric = int(near.metric) | (0 if near.radii is None else BALLS)
        _check_equal(points.size, rows * len(read))
        numbers = self._numbers(
            (
                "nearest",
                read,
                *(array.tobytes() for array in (points, targets, nodes, bounds)),
                k,
                metric,
                near.power,
                near.farthest,
            ),
            Operation.NEAREST,
            k * (width + 1),
            read,
            lambda layout: [
                k,
                width,
                len(read),
                layout.add_registers(read),
                rows,
                metric,
                layout.add_numbers([near.power, near.farthest]),
                layout.add_numbers(points),
                layout.add_numbers(targets),
                layout.add_words(nodes.reshape(-1)),
                len(nodes),
                layout.add_numbers(bounds),
            ],
        )
        return numbers[:k], [numbers[start : start + k] for start in range(k, len(numbers), k)]

    def catboost_hash(self, index: int) -> Number:
        """Return CatBoost's hash of a text input, or of an integer's decimal digits; NaN where it is missing."""
        return self._numbers(("hashed", index), Operation.HASH, 1, (), lambda layout: [index])[0]

    def catboost_joint_code(self, values: Sequence[Number], hashes: npt.NDArray[np.uint64]) -> Code:
        """Return the index, in ascending `hashes`, of CatBoost's hash of whole numbers; `len(hashes)` for another."""
        read, ascending = tuple(values), np.asarray(hashes, dtype="<u8")
        return self._code(
            ("joined", read, ascending.tobytes()),
            Operation.JOIN,
            len(ascending) + 1,
            read,
            lambda layout: [
                len(read),
                layout.add_registers(read),
                layout.add_words(ascending.view("<u4")),
                len(ascending),
            ],
        )

    def median(self, values: Sequence[Number], weights: Any) -> Number:
        """Return the weighted median: the least value such that the weights up to it reach half of their sum."""
        read, value_weights = tuple(values), _floats(weights)
        _check_equal(len(read), len(value_weights))
        return self._numbers(
            ("median", read, value_weights.tobytes()),
            Operation.MEDIAN,
            1,
            read,
            lambda layout: [len(read), layout.add_registers(read), layout.add_numbers(value_weights)],
        )[0]

    def forest(self, forest: Forest) -> list[Number]:
        """Return the sums of trees' leaves, one for each of the forest's outputs."""
        slots, first = tuple(forest.slots), tuple(forest.first)
        if first:
            _check_equal(len(first), len(forest.start))
        limits = [slot.limit if isinstance(slot, Code) else 0 for slot in slots]
        sums = self._numbers(
            forest_key(forest),
            Operation.FOREST,
            len(forest.start),
            slots + first,
            lambda layout: forest_operands(
                forest, layout, [*map(register_of, slots)], limits, [*map(register_of, first)]
            ),
        )
        if sums:
            sums[0].step.compared = len(slots)
        return sums

    # Bags.

    def bag(self, index: int, reading: Reading) -> Bag:
        """Return the counts of n-grams in a text input, as a sparse row."""
        return self._bag(
            ("bag", index, reading.key),
            Operation.BAG,
            reading.width,
            (),
            lambda layout: [index, reading.add_to(layout)],
        )

    def bag_map(self, function: MathFunction, bag: Bag) -> Bag:
        """Return `f(x)` of every entry; absent entries stay absent."""
        return self._bag(
            ("bag_map", function, bag),
            Operation.BAG_MAP,
            bag.width,
            (bag,),
            lambda layout: [register_of(bag), int(function)],
        )

    def bag_const(self, function: MathFunction, bag: Bag, constants: Any) -> Bag:
        """Return `f(x, constant)` of every entry, with one constant for all or one for each column."""
        numbers = _floats(constants)
        if len(numbers) > 1:
            _check_equal(len(numbers), bag.width)
        return self._bag(
            ("bag_const", function, bag, numbers.tobytes()),
            Operation.BAG_CONST,
            bag.width,
            (bag,),
            lambda layout: [register_of(bag), int(function), layout.add_numbers(numbers), int(len(numbers) > 1)],
        )

    def bag_row(self, function: MathFunction, bag: Bag, value: Number) -> Bag:
        """Return `f(x, y)` of every entry `x` and a number `y` of its row."""
        return self._bag(
            ("bag_row", function, bag, value),
            Operation.BAG_ROW,
            bag.width,
            (bag, value),
            lambda layout: [register_of(bag), int(function), register_of(value)],
        )

    def bag_pick(self, bag: Bag, indexes: Sequence[int]) -> Bag:
        """Return some of the columns, in the order of the bag."""
        kept = np.asarray(indexes, dtype=np.int64)
        columns = np.full(bag.width, 0xFFFFFFFF, dtype=np.uint32)
        columns[kept] = np.arange(len(kept))
        return self._bag(
            ("bag_pick", bag, kept.tobytes()),
            Operation.BAG_PICK,
            len(kept),
            (bag,),
            lambda layout: [register_of(bag), layout.add_words(columns), len(kept)],
        )

    def bag_fold(self, function: MathFunction, bag: Bag, first: Number, *, float32: bool = False) -> Number:
        """Return `first` folded with all entries in their order; `float32` rounds after each entry."""
        return self._numbers(
            ("bag_fold", function, bag, first, float32),
            Operation.BAG_FOLD,
            1,
            (bag, first),
            lambda layout: [register_of(bag), int(function), int(float32), register_of(first)],
        )[0]

    def bag_dot(self, bag: Bag, weights: Any, first: Sequence[Number] = (), *, float32: bool = False) -> list[Number]:
        """Return weighted sums of the entries, added in their order.

        Args:
            bag: the entries.
            weights: shape `(columns, outputs)`.
            first: what the sums start from, one number for each output; 0 where it is empty.
            float32: whether products and sums are rounded to float32.
        """
        matrix = np.ascontiguousarray(weights, dtype=np.float64)
        _check_equal(len(matrix), bag.width)
        width, sums = matrix.shape[1], tuple(first)
        if sums:
            _check_equal(len(sums), width)
        return self._numbers(
            ("bag_dot", bag, matrix.tobytes(), sums, float32),
            Operation.BAG_DOT,
            width,
            (bag, *sums),
            lambda layout: [
                width,
                register_of(bag),
                layout.add_registers(sums) if sums else 0xFFFFFFFF,
                layout.add_numbers(matrix),
                int(float32),
            ],
        )

    def bag_spread(self, bag: Bag, indexes: Sequence[int], *, nan: bool = False) -> list[Number]:
        """Return the numbers of some columns; an absent entry is 0, or NaN where `nan` says so."""
        kept = np.asarray(indexes, dtype=np.int64)
        columns = np.full(bag.width, 0xFFFFFFFF, dtype=np.uint32)
        columns[kept] = np.arange(len(kept))
        return self._numbers(
            ("bag_spread", bag, kept.tobytes(), nan),
            Operation.BAG_SPREAD,
            len(kept),
            (bag,),
            lambda layout: [len(kept), register_of(bag), layout.add_words(columns), int(nan)],
        )

    # Refusals.

    def refuse(self, values: Sequence[Number], kind: Kind, why: str) -> None:
        """Refuse, with the message `why`, every row in which one of the values is a number of this kind."""
        read = tuple(values)
        if not read or ("refuse", kind, read) in self._steps_by_key:
            return
        step = Step(
            Operation.REFUSE,
            0,
            0,
            read,
            lambda layout: [len(read), layout.add_registers(read), int(kind), layout.add_strings([why])],
        )
        self._steps_by_key["refuse", kind, read] = step
        self._steps.append(step)
        self._refusals.append(step)

    # The end.

    def plan(self, outputs: Sequence[Output]) -> bytes:
        """Return the plan's bytes."""
        outputs = [self._side_by_side(output) for output in outputs]
        return plan_bytes(self.inputs, self._needed(outputs), outputs)

    def functions(self, outputs: Sequence[Output]) -> set[MathFunction]:
        """Return the functions that the plan of these outputs applies."""
        return {step.function for step in self._needed(outputs) if step.function is not None}

    def _side_by_side(self, output: Output) -> Output:
        """Return the output with its numbers in adjacent registers, copied there where they are not."""
        numbers = output.numbers
        steps = {id(value.step) for value in numbers}
        together = len(steps) == 1 and [value.index for value in numbers] == list(
            range(numbers[0].index, numbers[0].index + len(numbers))
        )
        if not numbers or together:
            return output
        return replace(output, numbers=self.map_const(MathFunction.ADD, numbers, -0.0))  # x + -0.0 is x, to the bit

    def _needed(self, outputs: Sequence[Output]) -> list[Step]:
        """Return the steps that an output or a refusal depends on, in the order in which they were built."""
        reached: set[int] = set()
        stack: list[Step] = list(self._refusals)
        for output in outputs:
            stack.extend(value.step for value in output.numbers)
            if output.code is not None:
                stack.append(output.code.step)
        while stack:
            step = stack.pop()
            if id(step) not in reached:
                reached.add(id(step))
                stack.extend(value.step for value in step.uses)
        return [step for step in self._steps if id(step) in reached]

    def _step(self, key: Any, make: Callable[[], Step]) -> Step:
        if key not in self._steps_by_key:
            self._steps_by_key[key] = step = make()
            step.function = key[1] if isinstance(key[1], MathFunction) else None
            self._steps.append(step)
        return self._steps_by_key[key]

    def _numbers(
        self,
        key: Any,
        operation: Operation,
        width: int,
        uses: tuple[Number | Code | Bag, ...],
        operands: Callable[[Layout], list[int]],
    ) -> list[Number]:
        if not width:
            return []
        step = self._step(key, lambda: Step(operation, width, 0, uses, operands))
        if step not in self._values:
            self._values[step] = [Number(step, index) for index in range(width)]
        return list(self._values[step])

    def _code(
        self,
        key: Any,
        operation: Operation,
        limit: int,
        uses: tuple[Number | Code | Bag, ...],
        operands: Callable[[Layout], list[int]],
    ) -> Code:
        step = self._step(key, lambda: Step(operation, 0, limit, uses, operands))
        return self._codes.setdefault(step, Code(step, limit))

    def _bag(
        self,
        key: Any,
        operation: Operation,
        width: int,
        uses: tuple[Number | Code | Bag, ...],
        operands: Callable[[Layout], list[int]],
    ) -> Bag:
        step = self._step(key, lambda: Step(operation, 0, 0, uses, operands, bag=width))
        return self._bags.setdefault(step, Bag(step, width))


def _floats(values: Any) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float64).reshape(-1)


def _check_equal(got: int, expected: int) -> None:
    if got != expected:
        raise ValueError(f"expected {expected} values; got {got}")
