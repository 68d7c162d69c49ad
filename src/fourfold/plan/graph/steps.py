"""Define the values and steps of a plan's graph, and lay them out as a plan's bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.format import TYPES, MathFunction, Operation, assemble

__all__ = ["MAX_BAGS", "Bag", "Code", "Layout", "Number", "Output", "Step", "TooManyBags", "plan_bytes", "register_of"]

#: The most bags that a plan has at once, as in evaluator.h.
MAX_BAGS = 64

Floats = npt.NDArray[np.float64]


class TooManyBags(ValueError):
    """Say that a model reads more texts at once than a plan has room for."""


@dataclass(frozen=True, eq=False)
class Number:
    """Stand for a float64 of every row."""

    step: Step
    index: int


@dataclass(frozen=True, eq=False)
class Code:
    """Stand for an integer of every row, from 0 to `limit` - 1."""

    step: Step
    limit: int


@dataclass(frozen=True, eq=False)
class Bag:
    """Stand for a row of a sparse matrix, `width` columns wide."""

    step: Step
    width: int


@dataclass(eq=False)
class Step:
    """Compute numbers, a code or a bag from other steps' values.

    Attributes:
        operation: the operation.
        width: how many numbers it computes, or 0.
        limit: the limit of the code that it computes instead, or 0.
        uses: the values that it reads.
        operands: returns its operands after the destination, given the layout.
        register: the first of its number registers, its code register or its bag, once it is numbered; -1 before.
        bag: the columns of the bag that it computes instead, or 0.
        function: the function that it applies to its values, where it applies one.
        compared: how many values, from the first that it reads, are only compared and never computed with.
    """

    operation: Operation
    width: int
    limit: int
    # Not in the repr, which would print a shared step once for every path to it.
    uses: tuple[Number | Code | Bag, ...] = field(repr=False)
    operands: Callable[[Layout], list[int]]
    register: int = -1
    bag: int = 0
    function: MathFunction | None = None
    compared: int = 0


@dataclass(frozen=True)
class Output:
    """Describe an output of the plan: numbers, or a label by its code.

    Attributes:
        name: the field's name.
        dtype: the field's dtype.
        numbers: one value, or one for each element of the tensor; none for a label.
        tensor: whether the numbers form a tensor (which may have one element).
        code: the index of the label in `labels`.
        labels: the labels, as plain Python values.
    """

    name: str
    dtype: str
    numbers: Sequence[Number] = ()
    tensor: bool = False
    code: Code | None = None
    labels: Sequence[Any] = ()


@dataclass
class Layout:
    """Collect the arrays of a plan; equal arrays are stored once, except nodes."""

    words: list[npt.NDArray[np.uint32]] = field(default_factory=list)
    numbers: list[Floats] = field(default_factory=list)
    nodes: list[npt.NDArray[Any]] = field(default_factory=list)
    strings: list[bytes] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"words": 0, "numbers": 0, "nodes": 0})
    offsets: dict[tuple[str, bytes], int] = field(default_factory=dict)

    def _add(self, name: str, store: list[Any], values: npt.NDArray[Any]) -> int:
        key = (name, values.tobytes())
        if key not in self.offsets:
            self.offsets[key] = self.counts[name]
            self.counts[name] += len(values)
            store.append(values)
        return self.offsets[key]

    def add_words(self, values: Sequence[int] | npt.NDArray[Any]) -> int:
        """Add 32-bit words and return the index of the first."""
        return self._add("words", self.words, np.asarray(values, dtype="<u4"))

    def add_numbers(self, values: Any) -> int:
        """Add float64 numbers and return the index of the first."""
        return self._add("numbers", self.numbers, np.ascontiguousarray(values, dtype="<f8").reshape(-1))

    def add_nodes(self, values: npt.NDArray[Any]) -> int:
        """Add nodes, even if equal ones exist, and return the index of the first."""
        self.nodes.append(values)
        self.counts["nodes"] += len(values)
        return self.counts["nodes"] - len(values)

    def add_registers(self, values: Sequence[Number]) -> int:
        """Add the registers of numbers as words and return the index of the first."""
        return self.add_words([register_of(value) for value in values])

    def add_strings(self, values: Sequence[str]) -> int:
        """Add strings, one behind the other, and return the index of the first."""
        encoded = [value.encode() for value in values]
        key = ("strings", b"\xff".join([b"%d" % len(encoded), *encoded]))
        if key not in self.offsets:
            self.offsets[key] = len(self.strings)
            self.strings.extend(encoded)
        return self.offsets[key]


def register_of(value: Number | Code | Bag) -> int:
    """Return the register of a value whose step is numbered."""
    return value.step.register + (value.index if isinstance(value, Number) else 0)


def plan_bytes(inputs: Sequence[tuple[str, str]], needed: Sequence[Step], outputs: Sequence[Output]) -> bytes:
    """Number the registers of steps and return the plan's bytes.

    Args:
        inputs: the name and dtype of each input.
        needed: the steps, in the order in which they are computed.
        outputs: the outputs; the numbers of each come from adjacent registers.

    Raises:
        TooManyBags: more bags are in use at once than a plan has room for.
    """
    layout = Layout()
    registers = codes = 0
    steps: list[int] = []
    limits: list[int] = []
    bags = _number_bags(needed)
    if bags > MAX_BAGS:
        raise TooManyBags(f"a plan has at most {MAX_BAGS} bags at once; got {bags}")
    for step in needed:
        if step.limit:
            step.register, codes = codes, codes + 1
            limits.append(step.limit)
        elif step.width:
            step.register, registers = registers, registers + step.width
        destination = [step.register] if step.limit or step.width or step.bag else []
        steps += [int(step.operation), *destination, *step.operands(layout)]
    ports = [_port(TYPES[dtype], layout.add_strings([name])) for name, dtype in inputs]
    results = [_output(layout, output) for output in outputs]
    offsets = np.cumsum([0, *map(len, layout.strings)])
    return assemble(
        registers,
        codes,
        [
            b"".join(ports),
            b"".join(results),
            np.array(steps, dtype="<u4").tobytes(),
            b"".join(array.tobytes() for array in layout.words),
            b"".join(array.tobytes() for array in layout.numbers),
            b"".join(array.tobytes() for array in layout.nodes),
            np.array(limits, dtype="<u4").tobytes(),
            offsets.astype("<u4").tobytes(),
            b"".join(layout.strings),
        ],
    )


def _number_bags(steps: Sequence[Step]) -> int:
    """Number the bags of steps, and return how many there are.

    The last step that reads a bag may overwrite it with its own, where both have the same width.
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
            step.register = source.register
        else:
            step.register, bags = bags, bags + 1
    return bags


def _port(kind: int, name: int, first: int = 0, width: int = 0, labels: int = 0, count: int = 0) -> bytes:
    return np.array([kind, name, first, width, labels, count], dtype="<u4").tobytes()


def _output(layout: Layout, output: Output) -> bytes:
    kind, name = TYPES[output.dtype], layout.add_strings([output.name])
    if output.code is None:
        return _port(kind, name, register_of(output.numbers[0]), len(output.numbers), int(output.tensor))
    if output.dtype == "string":
        labels = layout.add_strings([str(label) for label in output.labels])
    elif output.dtype in ("float32", "float64"):
        labels = layout.add_numbers(output.labels)
    else:
        wide = [int(label) & 0xFFFFFFFFFFFFFFFF for label in output.labels]
        labels = layout.add_words([word for value in wide for word in (value & 0xFFFFFFFF, value >> 32)])
    return _port(kind, name, register_of(output.code), 0, labels, len(output.labels))
