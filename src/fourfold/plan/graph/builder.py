"""A plan while it is made: steps that use each other's values, laid out and numbered at the end.

Steps that nothing needs are left out, and one that is there already is not made again, so a compiler's rule may ask for
what it likes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.format import BALLS, Kind, MathFunction, Metric, Operation
from fourfold.plan.graph.forest import NODE, Forest, content, laid
from fourfold.plan.graph.neighbours import Neighbours
from fourfold.plan.graph.numerics import origins
from fourfold.plan.graph.steps import Bag, Code, Layout, Number, Output, Step, laid_out, place
from fourfold.plan.graph.text_reading import Reading

__all__ = ["NODE", "Bag", "Code", "Forest", "Graph", "Number", "Output"]

Floats = npt.NDArray[np.float64]


class Graph:
    """Makes a plan.

    Args:
        inputs: the name and dtype of each input.
    """

    def __init__(self, inputs: Sequence[tuple[str, str]]) -> None:
        self.inputs = list(inputs)
        self._steps: list[Step] = []
        self._refusals: list[Step] = []
        self._known: dict[Any, Step] = {}
        self._values: dict[Step, list[Number]] = {}
        self._codes: dict[Step, Code] = {}
        self._bags: dict[Step, Bag] = {}

    # Values of an input.

    def number(self, index: int) -> Number:
        """An input of numbers; NaN where it is missing."""
        return self._numbers(("number", index), Operation.NUMBER, 1, (), lambda layout: [index])[0]

    def single(self, value: Number) -> Number:
        """A number rounded to float32; an input at once, without being a float64 in between.

        An integer beyond 2^53 may be rounded otherwise when it is rounded twice.
        """
        if value.step.operation != Operation.NUMBER:
            return self.map(MathFunction.ROUND32, [value])[0]
        index = next(place for place in range(len(self.inputs)) if self._known.get(("number", place)) is value.step)
        return self._numbers(("single", index), Operation.SINGLE, 1, (), lambda layout: [index])[0]

    def wide_integers(self, numbers: Sequence[Number]) -> list[str]:
        """The inputs of 64-bit integers that numbers are made of, but for those that are only looked up."""
        met = origins(numbers)
        return sorted(
            name
            for place, (name, dtype) in enumerate(self.inputs)
            if dtype in ("int64", "uint64") and self._known.get(("number", place)) in met
        )

    def text(self, index: int, strings: Sequence[str]) -> Code:
        """The place of a text among `strings`; `len(strings)` for any other, and one more for a missing one."""
        listed = tuple(strings)
        return self._code(
            ("text", index, listed),
            Operation.TEXT,
            len(listed) + 2,
            (),
            lambda layout: [index, layout.add_strings(listed), len(listed)],
        )

    # Codes.

    def match(self, value: Number, numbers: Any) -> Code:
        """The place of a number among ascending ones; `len(numbers)` for any other, and one more for NaN."""
        known = _floats(numbers)
        return self._code(
            ("match", value, known.tobytes()),
            Operation.MATCH,
            len(known) + 2,
            (value,),
            lambda layout: [place(value), layout.add_numbers(known), len(known)],
        )

    def search(self, value: Number, thresholds: Any, *, right: bool = False) -> Code:
        """As `numpy.searchsorted(thresholds, value)`; `len(thresholds) + 1` for NaN."""
        known = _floats(thresholds)
        return self._code(
            ("search", value, known.tobytes(), right),
            Operation.SEARCH,
            len(known) + 2,
            (value,),
            lambda layout: [place(value), layout.add_numbers(known), len(known), int(right)],
        )

    def recode(self, code: Code, codes: Sequence[int], limit: int) -> Code:
        """Another code for each code."""
        listed = tuple(int(each) for each in codes)
        _same(len(listed), code.limit)
        return self._code(
            ("recode", code, listed, limit),
            Operation.RECODE,
            limit,
            (code,),
            lambda layout: [place(code), layout.add_words(listed)],
        )

    def argmax(self, values: Sequence[Number]) -> Code:
        """The first place of the largest number, or of the first NaN."""
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
        """Numbers for each code; `table` has shape `(code.limit, width)` or `(code.limit,)`."""
        numbers = np.asarray(table, dtype=np.float64).reshape(len(table), -1)
        _same(len(numbers), code.limit)
        width = numbers.shape[1]
        return self._numbers(
            ("lookup", code, numbers.tobytes()),
            Operation.LOOKUP,
            width,
            (code,),
            lambda layout: [place(code), width, layout.add_numbers(numbers)],
        )

    def constant(self, values: Any) -> list[Number]:
        """The same numbers for every row."""
        known = _floats(values)
        return self._numbers(
            ("constant", known.tobytes()),
            Operation.CONSTANT,
            len(known),
            (),
            lambda layout: [len(known), layout.add_numbers(known)],
        )

    def map(self, function: MathFunction, values: Sequence[Number]) -> list[Number]:
        """`f(x)` of each."""
        read = tuple(values)
        return self._numbers(
            ("map", function, read),
            Operation.MAP,
            len(read),
            read,
            lambda layout: [len(read), int(function), layout.add_registers(read)],
        )

    def map_const(self, function: MathFunction, values: Sequence[Number], constants: Any) -> list[Number]:
        """`f(x, constant)` of each, with one constant for all or one for each."""
        read = tuple(values)
        known = np.ascontiguousarray(np.broadcast_to(_floats(constants), (len(read),)))
        return self._numbers(
            ("map_const", function, read, known.tobytes()),
            Operation.MAP_CONST,
            len(read),
            read,
            lambda layout: [len(read), int(function), layout.add_registers(read), layout.add_numbers(known)],
        )

    def map_two(self, function: MathFunction, left: Sequence[Number], right: Sequence[Number]) -> list[Number]:
        """`f(x, y)` of each pair; a single `right` goes with every `left`."""
        one = tuple(left)
        two = tuple(right) * len(one) if len(right) == 1 else tuple(right)
        _same(len(one), len(two))
        return self._numbers(
            ("map_two", function, one, two),
            Operation.MAP_TWO,
            len(one),
            one + two,
            lambda layout: [len(one), int(function), layout.add_registers(one), layout.add_registers(two)],
        )

    def select(self, where: Sequence[Number], yes: Sequence[Number], no: Sequence[Number]) -> list[Number]:
        """`yes` where the condition is not 0, else `no`."""
        three = tuple(where), tuple(yes), tuple(no)
        _same(len(three[0]), len(three[1]))
        _same(len(three[0]), len(three[2]))
        return self._numbers(
            ("select", *three),
            Operation.SELECT,
            len(three[0]),
            sum(three, ()),
            lambda layout: [len(three[0]), *(layout.add_registers(each) for each in three)],
        )

    def dot(self, values: Sequence[Number], weights: Any) -> list[Number]:
        """Sums of weighted values, from 0 on in the order of the values; `weights` has shape `(values, outputs)`."""
        read = tuple(values)
        matrix = np.ascontiguousarray(weights, dtype=np.float64)
        _same(len(matrix), len(read))
        width = matrix.shape[1]
        return self._numbers(
            ("dot", read, matrix.tobytes()),
            Operation.DOT,
            width,
            read,
            lambda layout: [width, len(read), layout.add_registers(read), layout.add_numbers(matrix)],
        )

    def fold(self, function: MathFunction, values: Sequence[Number]) -> Number:
        """One number of many."""
        read = tuple(values)
        return self._numbers(
            ("fold", function, read),
            Operation.FOLD,
            1,
            read,
            lambda layout: [len(read), int(function), layout.add_registers(read)],
        )[0]

    def interpolate(self, value: Number, xs: Any, ys: Any) -> Number:
        """As `numpy.interp(value, xs, ys)`."""
        knots, heights = _floats(xs), _floats(ys)
        _same(len(knots), len(heights))
        return self._numbers(
            ("interpolate", value, knots.tobytes(), heights.tobytes()),
            Operation.INTERPOLATE,
            1,
            (value,),
            lambda layout: [place(value), layout.add_numbers(knots), layout.add_numbers(heights), len(knots)],
        )[0]

    def distances(self, values: Sequence[Number], points: Any, metric: Metric, power: float = 2.0) -> list[Number]:
        """How far the values are from each of some points.

        Args:
            values: the query.
            points: shape `(rows, values)`.
            metric: of which no root is drawn.
            power: of `Metric.MINKOWSKI`.
        """
        read = tuple(values)
        where = _floats(points)
        rows = np.asarray(points).shape[0]
        _same(len(where), rows * len(read))
        return self._numbers(
            ("distances", read, where.tobytes(), metric, power),
            Operation.DISTANCES,
            rows,
            read,
            lambda layout: [
                rows,
                len(read),
                layout.add_registers(read),
                int(metric),
                layout.add_numbers([power]),
                layout.add_numbers(where),
            ],
        )

    def couple(self, pairs: Sequence[Number]) -> list[Number]:
        """Probabilities of classes that fit best those of pairs.

        Args:
            pairs: of each pair the probability of its first class, in the order (0, 1), (0, 2), …, (1, 2) and so on.
        """
        read = tuple(pairs)
        classes = (1 + math.isqrt(1 + 8 * len(read))) // 2
        _same(len(read), classes * (classes - 1) // 2)
        return self._numbers(
            ("couple", read), Operation.COUPLE, classes, read, lambda layout: [classes, layout.add_registers(read)]
        )

    def nearest(self, values: Sequence[Number], near: Neighbours) -> tuple[list[Number], list[list[Number]]]:
        """The distances of the nearest points, ascending, and for each target that of each of them."""
        read = tuple(values)
        (rows, width), k = near.targets.shape, near.k
        points, targets = _floats(near.points), _floats(near.targets)
        nodes = np.array([[0, rows, 1]]) if near.nodes is None else near.nodes
        nodes = np.ascontiguousarray(nodes, dtype="<u4")
        bounds = np.concatenate([_floats([] if each is None else each) for each in (near.bounds, near.radii)])
        metric = int(near.metric) | (0 if near.radii is None else BALLS)
        _same(points.size, rows * len(read))
        made = self._numbers(
            (
                "nearest",
                read,
                *(each.tobytes() for each in (points, targets, nodes, bounds)),
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
        return made[:k], [made[start : start + k] for start in range(k, len(made), k)]

    def hashed(self, index: int) -> Number:
        """The hash that CatBoost has of an input of text, or of an integer's digits; NaN where it is missing."""
        return self._numbers(("hashed", index), Operation.HASH, 1, (), lambda layout: [index])[0]

    def joined(self, values: Sequence[Number], hashes: npt.NDArray[np.uint64]) -> Code:
        """The place of the hash that CatBoost makes of whole numbers among ascending ones; any other: their count."""
        read, known = tuple(values), np.asarray(hashes, dtype="<u8")
        return self._code(
            ("joined", read, known.tobytes()),
            Operation.JOIN,
            len(known) + 1,
            read,
            lambda layout: [len(read), layout.add_registers(read), layout.add_words(known.view("<u4")), len(known)],
        )

    def median(self, values: Sequence[Number], weights: Any) -> Number:
        """Of ascending values the first one up to which the weights make half of their sum."""
        read, known = tuple(values), _floats(weights)
        _same(len(read), len(known))
        return self._numbers(
            ("median", read, known.tobytes()),
            Operation.MEDIAN,
            1,
            read,
            lambda layout: [len(read), layout.add_registers(read), layout.add_numbers(known)],
        )[0]

    def forest(self, forest: Forest) -> list[Number]:
        """The sums of trees, one for each of the forest's outputs."""
        slots, first = tuple(forest.slots), tuple(forest.first)
        if first:
            _same(len(first), len(forest.start))
        limits = [each.limit if isinstance(each, Code) else 0 for each in slots]
        made = self._numbers(
            content(forest),
            Operation.FOREST,
            len(forest.start),
            slots + first,
            lambda layout: laid(forest, layout, [*map(place, slots)], limits, [*map(place, first)]),
        )
        for each in made[:1]:
            each.step.compared = len(slots)
        return made

    # Bags.

    def bag(self, index: int, reading: Reading) -> Bag:
        """What an input of text has of each n-gram."""
        return self._bag(
            ("bag", index, reading.key), Operation.BAG, reading.width, (), lambda layout: [index, reading.laid(layout)]
        )

    def bag_map(self, function: MathFunction, bag: Bag) -> Bag:
        """`f(x)` of every entry; what is not there stays away."""
        return self._bag(
            ("bag_map", function, bag),
            Operation.BAG_MAP,
            bag.width,
            (bag,),
            lambda layout: [place(bag), int(function)],
        )

    def bag_const(self, function: MathFunction, bag: Bag, constants: Any) -> Bag:
        """`f(x, constant)` of every entry, with one constant for all or one for each column."""
        known = _floats(constants)
        if len(known) > 1:
            _same(len(known), bag.width)
        return self._bag(
            ("bag_const", function, bag, known.tobytes()),
            Operation.BAG_CONST,
            bag.width,
            (bag,),
            lambda layout: [place(bag), int(function), layout.add_numbers(known), int(len(known) > 1)],
        )

    def bag_row(self, function: MathFunction, bag: Bag, value: Number) -> Bag:
        """`f(x, y)` of every entry with a number of its row."""
        return self._bag(
            ("bag_row", function, bag, value),
            Operation.BAG_ROW,
            bag.width,
            (bag, value),
            lambda layout: [place(bag), int(function), place(value)],
        )

    def bag_pick(self, bag: Bag, places: Sequence[int]) -> Bag:
        """Some of the columns, in their order."""
        kept = np.asarray(places, dtype=np.int64)
        columns = np.full(bag.width, 0xFFFFFFFF, dtype=np.uint32)
        columns[kept] = np.arange(len(kept))
        return self._bag(
            ("bag_pick", bag, kept.tobytes()),
            Operation.BAG_PICK,
            len(kept),
            (bag,),
            lambda layout: [place(bag), layout.add_words(columns), len(kept)],
        )

    def bag_fold(self, function: MathFunction, bag: Bag, first: Number, *, float32: bool = False) -> Number:
        """One number of a first one and then all entries in their order; each is rounded where `float32` says so."""
        return self._numbers(
            ("bag_fold", function, bag, first, float32),
            Operation.BAG_FOLD,
            1,
            (bag, first),
            lambda layout: [place(bag), int(function), int(float32), place(first)],
        )[0]

    def bag_dot(self, bag: Bag, weights: Any, first: Sequence[Number] = (), *, float32: bool = False) -> list[Number]:
        """Sums of weighted entries in their order, from 0 or the first sums on.

        Args:
            bag: the entries.
            weights: shape `(columns, outputs)`.
            first: the first sums, one for each output, or none.
            float32: whether products and sums are rounded to float32.
        """
        matrix = np.ascontiguousarray(weights, dtype=np.float64)
        _same(len(matrix), bag.width)
        width, sums = matrix.shape[1], tuple(first)
        if sums:
            _same(len(sums), width)
        return self._numbers(
            ("bag_dot", bag, matrix.tobytes(), sums, float32),
            Operation.BAG_DOT,
            width,
            (bag, *sums),
            lambda layout: [
                width,
                place(bag),
                layout.add_registers(sums) if sums else 0xFFFFFFFF,
                layout.add_numbers(matrix),
                int(float32),
            ],
        )

    def bag_spread(self, bag: Bag, places: Sequence[int], *, nan: bool = False) -> list[Number]:
        """The numbers of some columns: 0, or NaN, where nothing is there."""
        kept = np.asarray(places, dtype=np.int64)
        columns = np.full(bag.width, 0xFFFFFFFF, dtype=np.uint32)
        columns[kept] = np.arange(len(kept))
        return self._numbers(
            ("bag_spread", bag, kept.tobytes(), nan),
            Operation.BAG_SPREAD,
            len(kept),
            (bag,),
            lambda layout: [len(kept), place(bag), layout.add_words(columns), int(nan)],
        )

    # Refusals.

    def refuse(self, values: Sequence[Number], kind: Kind, why: str) -> None:
        """A row in which one of these is such a number has no answer."""
        read = tuple(values)
        if not read or ("refuse", kind, read) in self._known:
            return
        step = Step(
            Operation.REFUSE,
            0,
            0,
            read,
            lambda layout: [len(read), layout.add_registers(read), int(kind), layout.add_strings([why])],
        )
        self._known["refuse", kind, read] = step
        self._steps.append(step)
        self._refusals.append(step)

    # The end.

    def plan(self, outputs: Sequence[Output]) -> bytes:
        """The plan's bytes."""
        outputs = [self._side_by_side(output) for output in outputs]
        return laid_out(self.inputs, self._needed(outputs), outputs)

    def _side_by_side(self, output: Output) -> Output:
        """The output with its numbers in registers that follow each other, moved where they do not."""
        numbers = output.numbers
        steps = {id(value.step) for value in numbers}
        together = len(steps) == 1 and [value.index for value in numbers] == list(
            range(numbers[0].index, numbers[0].index + len(numbers))
        )
        if not numbers or together:
            return output
        return replace(output, numbers=self.map_const(MathFunction.ADD, numbers, -0.0))  # x + -0.0 is x, to the bit

    def _needed(self, outputs: Sequence[Output]) -> list[Step]:
        """The steps that an output or a refusal rests on, in the order in which they were made."""
        found: set[int] = set()
        stack: list[Step] = list(self._refusals)
        for output in outputs:
            stack.extend(value.step for value in output.numbers)
            if output.code is not None:
                stack.append(output.code.step)
        while stack:
            step = stack.pop()
            if id(step) not in found:
                found.add(id(step))
                stack.extend(value.step for value in step.uses)
        return [step for step in self._steps if id(step) in found]

    def _step(self, key: Any, make: Callable[[], Step]) -> Step:
        if key not in self._known:
            self._known[key] = made = make()
            made.function = key[1] if isinstance(key[1], MathFunction) else None
            self._steps.append(made)
        return self._known[key]

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


def _same(one: int, other: int) -> None:
    if one != other:
        raise ValueError(f"expected {other} values; got {one}")
