"""Values and steps of a plan while it is made, and how they are numbered and laid out at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.format import TYPES, MathFunction, Operation, assemble

__all__ = ["MOST_BAGS", "Bag", "Code", "Layout", "Number", "Output", "Step", "TooManyBags", "laid_out", "place"]

#: How many bags a plan may have at once.
MOST_BAGS = 64

Floats = npt.NDArray[np.float64]


class TooManyBags(ValueError):
    """A model that reads more texts at once than a plan has room for."""


@dataclass(frozen=True, eq=False)
class Number:
    """A float64 of every row."""

    step: Step
    index: int


@dataclass(frozen=True, eq=False)
class Code:
    """A small integer of every row, from 0 up to, and without, `limit`."""

    step: Step
    limit: int


@dataclass(frozen=True, eq=False)
class Bag:
    """What every row has in some of very many columns: a row of a sparse matrix, `width` columns wide."""

    step: Step
    width: int


@dataclass(eq=False)
class Step:
    """A step that is not numbered yet.

    Attributes:
        operation: what it does.
        width: how many numbers it gives.
        limit: of the code that it gives instead, or 0.
        uses: the values that it reads.
        operands: its operands after the destination, given the layout.
        place: its first register, its code or its bag, when it has one.
        bag: the columns of the bag that it gives instead, or 0.
        function: what it does to each of its values, if it is one function.
        compared: how many of the first values that it reads it only compares.
    """

    operation: Operation
    width: int
    limit: int
    uses: tuple[Number | Code | Bag, ...] = field(repr=False)  # they use others: each would be shown on every way to it
    operands: Callable[[Layout], list[int]]
    place: int = -1
    bag: int = 0
    function: MathFunction | None = None
    compared: int = 0


@dataclass(frozen=True)
class Output:
    """An output of the plan: numbers, or a label by its code.

    Attributes:
        name: the field's name.
        dtype: the field's.
        numbers: the values, one, or as many as the tensor has elements; none of a label.
        tensor: whether they are a tensor, though there may be only one.
        code: a label's place among `labels`.
        labels: the labels, in plain Python values.
    """

    name: str
    dtype: str
    numbers: Sequence[Number] = ()
    tensor: bool = False
    code: Code | None = None
    labels: Sequence[Any] = ()


@dataclass
class Layout:
    """The arrays of a plan, growing."""

    words: list[npt.NDArray[np.uint32]] = field(default_factory=list)
    numbers: list[Floats] = field(default_factory=list)
    nodes: list[npt.NDArray[Any]] = field(default_factory=list)
    strings: list[bytes] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"words": 0, "numbers": 0, "nodes": 0})
    known: dict[tuple[str, bytes], int] = field(default_factory=dict)

    def _add(self, name: str, store: list[Any], values: npt.NDArray[Any]) -> int:
        key = (name, values.tobytes())
        if key not in self.known:
            self.known[key] = self.counts[name]
            self.counts[name] += len(values)
            store.append(values)
        return self.known[key]

    def add_words(self, values: Sequence[int] | npt.NDArray[Any]) -> int:
        """The place of words."""
        return self._add("words", self.words, np.asarray(values, dtype="<u4"))

    def add_numbers(self, values: Any) -> int:
        """The place of numbers."""
        return self._add("numbers", self.numbers, np.ascontiguousarray(values, dtype="<f8").reshape(-1))

    def add_nodes(self, values: npt.NDArray[Any]) -> int:
        """The place of nodes, which are laid out once more each time."""
        self.nodes.append(values)
        self.counts["nodes"] += len(values)
        return self.counts["nodes"] - len(values)

    def add_registers(self, values: Sequence[Number]) -> int:
        """The place of a list of registers."""
        return self.add_words([place(value) for value in values])

    def add_strings(self, values: Sequence[str]) -> int:
        """The index of the first of some strings, one behind the other."""
        encoded = [value.encode() for value in values]
        key = ("strings", b"\xff".join([b"%d" % len(encoded), *encoded]))
        if key not in self.known:
            self.known[key] = len(self.strings)
            self.strings.extend(encoded)
        return self.known[key]


def place(value: Number | Code | Bag) -> int:
    """The register of a value that is laid out."""
    return value.step.place + (value.index if isinstance(value, Number) else 0)


def laid_out(inputs: Sequence[tuple[str, str]], needed: Sequence[Step], outputs: Sequence[Output]) -> bytes:
    """The bytes of a plan.

    Args:
        inputs: the name and dtype of each.
        needed: the steps, in the order in which they are computed; they get their places.
        outputs: the outputs, the numbers of each side by side.
    """
    layout = Layout()
    registers = codes = 0
    steps: list[int] = []
    limits: list[int] = []
    bags = _place_bags(needed)
    if bags > MOST_BAGS:
        raise TooManyBags(f"a plan has at most {MOST_BAGS} bags at once; got {bags}")
    for step in needed:
        if step.limit:
            step.place, codes = codes, codes + 1
            limits.append(step.limit)
        elif step.width:
            step.place, registers = registers, registers + step.width
        destination = [step.place] if step.limit or step.width or step.bag else []
        steps += [int(step.operation), *destination, *step.operands(layout)]
    ports = [_port(TYPES[dtype], layout.add_strings([name])) for name, dtype in inputs]
    results = [_output(layout, each) for each in outputs]
    offsets = np.cumsum([0, *map(len, layout.strings)])
    return assemble(
        registers,
        codes,
        [
            b"".join(ports),
            b"".join(results),
            np.array(steps, dtype="<u4").tobytes(),
            b"".join(each.tobytes() for each in layout.words),
            b"".join(each.tobytes() for each in layout.numbers),
            b"".join(each.tobytes() for each in layout.nodes),
            np.array(limits, dtype="<u4").tobytes(),
            offsets.astype("<u4").tobytes(),
            b"".join(layout.strings),
        ],
    )


def _place_bags(steps: Sequence[Step]) -> int:
    """Number the bags of steps; returns how many there are.

    A step that is the last one to read a bag puts its own in the place of it, where they are of one width.
    """
    last: dict[Step, Step] = {}
    for step in steps:
        last.update((value.step, step) for value in step.uses if isinstance(value, Bag))
    bags = 0
    for step in steps:
        if not step.bag:
            continue
        source = next((value.step for value in step.uses if isinstance(value, Bag)), None)
        if source is not None and last[source] is step and step.operation != Operation.BAG_PICK:
            step.place = source.place
        else:
            step.place, bags = bags, bags + 1
    return bags


def _port(kind: int, name: int, first: int = 0, width: int = 0, labels: int = 0, count: int = 0) -> bytes:
    return np.array([kind, name, first, width, labels, count], dtype="<u4").tobytes()


def _output(layout: Layout, output: Output) -> bytes:
    kind, name = TYPES[output.dtype], layout.add_strings([output.name])
    if output.code is None:
        return _port(kind, name, place(output.numbers[0]), len(output.numbers), int(output.tensor))
    if output.dtype == "string":
        labels = layout.add_strings([str(each) for each in output.labels])
    elif output.dtype in ("float32", "float64"):
        labels = layout.add_numbers(output.labels)
    else:
        wide = [int(each) & 0xFFFFFFFFFFFFFFFF for each in output.labels]
        labels = layout.add_words([word for each in wide for word in (each & 0xFFFFFFFF, each >> 32)])
    return _port(kind, name, place(output.code), 0, labels, len(output.labels))
