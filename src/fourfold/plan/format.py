"""Define the format of a plan: the numbers of its types, operations and functions (docs/spec/plan.md).

They are the numbers of evaluator.c; a test compares the two.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

__all__ = [
    "BALLS",
    "CODE",
    "NODE_CODE",
    "NODE_LEAF",
    "NODE_NAN_LEFT",
    "NODE_OTHERS",
    "NODE_SET",
    "NODE_SLOT",
    "SECTIONS",
    "TYPES",
    "VERSION",
    "Kind",
    "MathFunction",
    "Metric",
    "Operation",
    "Port",
    "assemble",
    "read_ports",
]

MAGIC = b"FOURPLAN"
VERSION = 1

#: The number of each dtype.
TYPES = {
    "bool": 0,
    "int8": 1,
    "int16": 2,
    "int32": 3,
    "int64": 4,
    "uint8": 5,
    "uint16": 6,
    "uint32": 7,
    "uint64": 8,
    "float32": 9,
    "float64": 10,
    "string": 11,
}

#: The sections in their order, and the size of an item of each, in bytes.
SECTIONS = {
    "inputs": 24,
    "outputs": 24,
    "steps": 4,
    "words": 4,
    "numbers": 8,
    "nodes": 16,
    "limits": 4,
    "strings": 4,
    "text": 1,
}

NODE_SLOT = 0x0FFFFFFF
NODE_NAN_LEFT = 0x10000000
NODE_LEAF = 0x20000000
NODE_CODE = 0x40000000
NODE_OTHERS = 0xC0000000
NODE_SET = 0x80000000
#: Marks a slot of a forest that is a code register.
CODE = 0x80000000


class Operation(IntEnum):
    """List the operations of steps by their numbers; evaluator.c, section 3, lists the operands of each."""

    NUMBER = 1
    TEXT = 2
    MATCH = 3
    SEARCH = 4
    RECODE = 5
    LOOKUP = 6
    CONSTANT = 7
    MAP = 8
    MAP_CONST = 9
    MAP_TWO = 10
    SELECT = 11
    DOT = 12
    FOLD = 13
    ARGMAX = 14
    INTERPOLATE = 15
    FOREST = 16
    NEAREST = 17
    REFUSE = 18
    BAG = 19
    BAG_MAP = 20
    BAG_CONST = 21
    BAG_ROW = 22
    BAG_PICK = 23
    BAG_FOLD = 24
    BAG_DOT = 25
    BAG_SPREAD = 26
    MEDIAN = 27
    HASH = 28
    JOIN = 29
    SINGLE = 30
    DISTANCES = 31
    COUPLE = 32


class MathFunction(IntEnum):
    """List the functions by their numbers: below 32 those of one argument, from 32 of two, from 64 of many."""

    NEGATE = 0
    ABS = 1
    SQRT = 2
    EXP = 3
    EXPM1 = 4
    LOG = 5
    LOG1P = 6
    LOG2 = 7
    LOG10 = 8
    TANH = 9
    SIGMOID = 10
    SIN = 11
    COS = 12
    FLOOR = 13
    CEIL = 14
    ROUND32 = 15
    IS_NAN = 16
    SIGN = 17
    NDTR = 18
    NDTRI = 19
    CBRT = 20
    RINT = 21
    TRUNC = 22
    ADD = 32
    SUB = 33
    RSUB = 34
    MUL = 35
    DIV = 36
    RDIV = 37
    MIN = 38
    MAX = 39
    POW = 40
    EQ = 41
    NE = 42
    LT = 43
    LE = 44
    GT = 45
    GE = 46
    IF_NAN = 47
    MOD = 48
    SUM = 64
    PAIRWISE = 65
    LEAST = 66
    MOST = 67
    SQUARES = 68
    ABSOLUTES = 69
    PRODUCT = 70


#: Added to the metric of a nearest-neighbour search whose tree has balls as nodes.
BALLS = 8


class Metric(IntEnum):
    """List the distances, all without their final root; `PRODUCTS` is `SQUARED` computed as `x² - 2xy + y²`."""

    SQUARED = 0
    MANHATTAN = 1
    CHEBYSHEV = 2
    MINKOWSKI = 3
    PRODUCTS = 4


class Kind(IntEnum):
    """List the kinds of floats for which a row is refused."""

    NOT_FINITE = 0
    NAN = 1
    INFINITE = 2
    ZERO = 3


def assemble(registers: int, codes: int, sections: Sequence[bytes]) -> bytes:
    """Return the bytes of a plan.

    Args:
        registers: the number of number registers that its steps write.
        codes: the number of code registers.
        sections: the bytes of each of `SECTIONS`, in their order. All begin at a multiple of 8, except the limits,
            which follow the words without a gap.
    """
    header = 24 + 16 * len(SECTIONS)
    body = b""
    table = []
    joined = dict(zip(SECTIONS, sections, strict=True))
    offsets: dict[str, int] = {}
    for name in ("inputs", "outputs", "steps", "numbers", "nodes", "strings", "text", "words", "limits"):
        if name != "limits":
            body += bytes(-(header + len(body)) % 8)
        offsets[name] = header + len(body)
        body += joined[name]
    for name, size in SECTIONS.items():
        table.append(struct.pack("<QQ", offsets[name], len(joined[name]) // size))
    return MAGIC + struct.pack("<IIII", VERSION, registers, codes, 0) + b"".join(table) + body


class Port(NamedTuple):
    """Describe an input or an output of a plan.

    Attributes:
        name: the field's name.
        dtype: the field's dtype.
        width: the numbers that a row of an output has; 0 for an input and for a label.
        tensor: whether the numbers form a tensor (which may have one element).
        labels: every value that a label can have.
    """

    name: str
    dtype: str
    width: int = 0
    tensor: bool = False
    labels: tuple[Any, ...] = ()


def read_ports(plan: bytes) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Return the inputs and the outputs of a plan.

    Checks only what it reads; the evaluator checks the whole plan when it opens it. Ports may share names and labels,
    which are read once; what they read together is no more than a multiple of the plan.

    Raises:
        ValueError: the bytes are not a plan of this version, or its ports read more than the plan can hold.
    """
    try:
        if plan[:8] != MAGIC or struct.unpack_from("<I", plan, 8) != (VERSION,):
            raise ValueError(f"these bytes are no plan of version {VERSION}")
        table = dict(zip(SECTIONS, struct.iter_unpack("<QQ", plan[24 : 24 + 16 * len(SECTIONS)]), strict=True))
        reader = _Reader(plan, table)
        inputs = tuple(reader.port("inputs", index) for index in range(table["inputs"][1]))
        outputs = tuple(reader.port("outputs", index) for index in range(table["outputs"][1]))
    except (IndexError, KeyError, OverflowError, struct.error) as error:
        raise ValueError(f"the plan's inputs and outputs lie outside of it: {error}") from error
    return inputs, outputs


_DTYPES = {number: dtype for dtype, number in TYPES.items()}
_INTEGER = {1: "<b", 2: "<h", 3: "<i", 4: "<q", 5: "<B", 6: "<H", 7: "<I", 8: "<Q"}


#: The most labels, and bytes of names and labels, that ports read for each byte of the plan.
_MAX_READ_PER_BYTE = 4


class _Reader:
    """Read items of a plan's sections, within their bounds."""

    def __init__(self, plan: bytes, table: dict[str, tuple[int, ...]]) -> None:
        self._plan = plan
        self._table = table
        self._left = _MAX_READ_PER_BYTE * len(plan)
        self._strings: dict[int, str] = {}
        self._labels: dict[tuple[int, int, int], tuple[Any, ...]] = {}

    def _spend(self, count: int) -> None:
        """Note that so many bytes or labels are read.

        Raises:
            ValueError: all of them together are too many for a plan of this size.
        """
        self._left -= count
        if self._left < 0:
            raise ValueError(
                f"the names and labels of its ports are more than {_MAX_READ_PER_BYTE} for each of its "
                f"{len(self._plan)} bytes"
            )

    def _at(self, section: str, form: str, index: int) -> tuple[Any, ...]:
        offset, count = self._table[section]
        size = struct.calcsize(form)
        if index * size + size > count * SECTIONS[section]:
            raise IndexError(f"item {index} of the {section}")
        return struct.unpack_from(form, self._plan, offset + index * size)

    def string(self, index: int) -> str:
        if index not in self._strings:
            self._strings[index] = self._read_string(index)
        return self._strings[index]

    def _read_string(self, index: int) -> str:
        start, stop = self._at("strings", "<I", index)[0], self._at("strings", "<I", index + 1)[0]
        offset, count = self._table["text"]
        if not start <= stop <= count:
            raise IndexError(f"the text {index}")
        self._spend(stop - start)
        return self._plan[offset + start : offset + stop].decode()

    def port(self, section: str, index: int) -> Port:
        kind, name, _, width, first, count = self._at(section, "<6I", index)
        dtype = _DTYPES[kind]
        if section == "inputs":
            return Port(self.string(name), dtype)
        if width:
            return Port(self.string(name), dtype, width, bool(first))
        key = (kind, first, count)
        if key not in self._labels:
            self._labels[key] = self._read_labels(*key)
        return Port(self.string(name), dtype, labels=self._labels[key])

    def _read_labels(self, kind: int, first: int, count: int) -> tuple[Any, ...]:
        self._spend(count)
        dtype = _DTYPES[kind]
        if dtype == "string":
            return tuple(self.string(first + label) for label in range(count))
        if dtype in ("float32", "float64"):
            return tuple(self._at("numbers", "<d", first + label)[0] for label in range(count))
        return tuple(self._integer(kind, first + 2 * label) for label in range(count))

    def _integer(self, kind: int, word: int) -> Any:
        low, high = self._at("words", "<I", word)[0], self._at("words", "<I", word + 1)[0]
        if not kind:
            return bool(low)
        form = _INTEGER[kind]
        return struct.unpack(form, struct.pack("<Q", low | high << 32)[: struct.calcsize(form)])[0]
