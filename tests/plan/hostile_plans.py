"""Plans that ask for as much as they can: one for each way to ask, built by hand, of any size."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fourfold.plan.format import MathFunction, Metric, Operation, assemble

__all__ = ["ABSENT", "BUILDERS", "Builder"]

ABSENT = 0xFFFFFFFF
_FLOAT64, _STRING = 10, 11


class Builder:
    """Collect the sections of a plan word by word; the inputs are a text `s` and a number `x`.

    Register 0 is the number.
    """

    def __init__(self) -> None:
        self.steps: list[int] = [Operation.NUMBER, 0, 1]
        self.words: list[int] = []
        self.numbers: list[float] = [0.0, 1.0]
        self.nodes = b""
        self.strings: list[bytes] = [b"s", b"x", b"y"]
        self.limits: list[int] = []
        self.registers = 1
        self.outputs: list[tuple[int, int, int, int, int, int]] = []

    def add_words(self, words: Sequence[int]) -> int:
        """Add words and return the index of the first."""
        self.words += words
        return len(self.words) - len(words)

    def add_numbers(self, numbers: Sequence[float]) -> int:
        """Add numbers and return the index of the first."""
        self.numbers += numbers
        return len(self.numbers) - len(numbers)

    def add_strings(self, strings: Sequence[bytes]) -> int:
        """Add strings and return the index of the first."""
        self.strings += strings
        return len(self.strings) - len(strings)

    def claim(self, count: int = 1) -> int:
        """Return the first of so many new registers."""
        self.registers += count
        return self.registers - count

    def step(self, operation: Operation, *operands: int) -> None:
        """Add a step."""
        self.steps += [int(operation), *operands]

    def settings(self, **changes: int) -> int:
        """Add the settings of a text, by their names in evaluator.c in lower case, and return their place."""
        names = (
            *("analyzer", "min_n", "max_n", "flags", "min_length", "max_length", "fold", "folds", "tail", "tails"),
            *("token", "tokens", "word", "words", "space", "spaces", "cased", "caseds", "ignored", "ignoreds"),
            *("term", "width", "stop", "stops", "missing", "missing_why", "full_why"),
        )
        chosen = {"min_n": 1, "max_n": 1, "flags": 1, "min_length": 1, "max_length": ABSENT, "width": 4} | changes
        chosen |= {"missing": ABSENT}
        return self.add_words([chosen.get(name, 0) for name in names])

    def bytes(self) -> bytes:
        """Return the plan; without outputs of its own it answers register 0."""
        outputs = self.outputs or [(_FLOAT64, 2, 0, 1, 0, 0)]
        ends = np.cumsum([0, *map(len, self.strings)]).astype("<u4")
        return assemble(
            self.registers,
            len(self.limits),
            [
                struct.pack("<12I", _STRING, 0, 0, 0, 0, 0, _FLOAT64, 1, 0, 0, 0, 0),
                b"".join(struct.pack("<6I", *output) for output in outputs),
                np.array(self.steps, dtype="<u4").tobytes(),
                np.array(self.words, dtype="<u4").tobytes(),
                np.array(self.numbers, dtype="<f8").tobytes(),
                self.nodes,
                np.array(self.limits, dtype="<u4").tobytes(),
                ends.tobytes(),
                b"".join(self.strings),
            ],
        )


def _unmixed(hashes: Any, length: int) -> Any:
    """Return the numbers that `ff_mix64` of evaluator.c mixes to hashes, less a length."""

    def unshifted(values: Any, bits: int) -> Any:
        result = values
        for _ in range(64 // bits + 1):
            result = values ^ result >> np.uint64(bits)
        return result

    x = unshifted(hashes, 32) * np.uint64(pow(0xD6E8FEB86659FD93, -1, 1 << 64))
    x = unshifted(x, 29) * np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
    return unshifted(x, 32) - np.uint64(length)


def colliding_texts(count: int, *, is_spread: bool = False) -> list[bytes]:
    """Return texts of eight letters with the same 24 last bits of their hashes, or with 0, 1, 2 and so on."""
    texts: list[bytes] = []
    upper = np.arange(1 << 15, dtype=np.uint64) * np.uint64(0x9E3779B97F) << np.uint64(24)
    round_ = 0
    while len(texts) < count:
        round_ += 1
        place = np.uint64(len(texts) if is_spread else 0)
        candidates = _unmixed((upper + np.uint64(round_ << 40)) | place, 8).astype("<u8").view(np.uint8).reshape(-1, 8)
        letters = candidates[((candidates >= 0x20) & (candidates < 0x7F)).all(axis=1)]
        texts += [row.tobytes() for row in (letters[:1] if is_spread else letters)]
    return texts[:count]


def _repeated(builder: Builder, size: int, add: Callable[[Builder], Any]) -> bytes:
    """Add steps until the plan has about so many bytes."""
    while 4 * len(builder.steps) + 4 * len(builder.words) < size:
        add(builder)
    return builder.bytes()


def _map(function: MathFunction) -> Callable[[int], bytes]:
    """Map the same list of registers again and again."""

    def build(size: int) -> bytes:
        builder = Builder()
        count = max(1, size // 16)
        words = builder.add_words([0] * count)
        for _ in range(12):
            if function < MathFunction.ADD:
                builder.step(Operation.MAP, builder.claim(count), count, function, words)
            else:
                builder.step(Operation.MAP_TWO, builder.claim(count), count, function, words, words)
        return builder.bytes()

    return build


def _registers(size: int) -> bytes:
    """Write the same constants again and again."""
    builder = Builder()
    count = size // 16
    numbers = builder.add_numbers([1.0] * count)
    for _ in range(max(2, size // 64)):
        builder.step(Operation.CONSTANT, builder.claim(count), count, numbers)
    return builder.bytes()


def _dot(size: int) -> bytes:
    """Multiply by the same matrix again and again."""
    builder = Builder()
    inputs = outputs = max(2, int((size / 16) ** 0.5))
    words, numbers = builder.add_words([0] * inputs), builder.add_numbers([1.0] * (inputs * outputs))
    return _repeated(builder, size, lambda b: b.step(Operation.DOT, b.claim(outputs), outputs, inputs, words, numbers))


def _leaves(size: int) -> bytes:
    """Add the same wide leaf for each of many trees."""
    builder = Builder()
    trees = outputs = max(2, size // 32)
    builder.nodes = struct.pack("<IIII", 0, 0, 0, 0x20000000)
    tree = builder.add_words([0, 1, 0] * trees)
    values = builder.add_numbers([1.0] * outputs)
    builder.step(Operation.FOREST, builder.claim(outputs), outputs, 0, outputs, 0, 0, trees, tree, values, 1, values)
    return builder.bytes()


def _forests(size: int) -> bytes:
    """Make forests with the same many slots."""
    builder = Builder()
    slots = size // 8
    slot = builder.add_words([0] * slots)
    tree = builder.add_words([0, 1, 0])
    builder.nodes = struct.pack("<IIII", 0, 0, 0, 0x20000000)
    return _repeated(
        builder,
        size,
        lambda b: b.step(Operation.FOREST, b.claim(), 1, 0, 1, slots, slot, 1, tree, 0, 0, 0),
    )


def _neighbours(size: int) -> bytes:
    """Search the same points again and again, in the order in which every one is nearer than the last."""
    builder = Builder()
    rows = max(1, size // 16)
    points = builder.add_numbers([float(rows - row) for row in range(rows)])
    nodes, power = builder.add_words([0, rows, 1]), builder.add_numbers([3.0, 1e300])
    k = min(rows, 64)
    return _repeated(
        builder,
        size,
        lambda b: b.step(
            *(Operation.NEAREST, b.claim(k), k, 0, 1, nodes, rows, int(Metric.MINKOWSKI), power, points, 0),
            *(nodes, 1, 0),
        ),
    )


def _texts(size: int) -> bytes:
    """Look the same texts up again and again, each time in a dictionary of its own."""
    builder = Builder()
    count = size // 16
    first = builder.add_strings([b"%d" % index for index in range(count)])

    def add(b: Builder) -> None:
        skipped = len(b.limits) % 64
        b.step(Operation.TEXT, len(b.limits), 0, first + skipped, count - skipped)
        b.limits.append(count - skipped + 2)

    return _repeated(builder, size, add)


def _collisions(size: int) -> bytes:
    """Look a text up among texts that all have the same place in the table."""
    builder = Builder()
    texts = colliding_texts(size // 12)
    builder.step(Operation.TEXT, 0, 0, builder.add_strings(texts), len(texts))
    builder.limits.append(len(texts) + 2)
    return builder.bytes()


def _run_of_texts(size: int) -> bytes:
    """Look a text up among texts that lie side by side in the table, each in its own place."""
    builder = Builder()
    texts = colliding_texts(min(size // 12, 1_000), is_spread=True)
    builder.step(Operation.TEXT, 0, 0, builder.add_strings(texts), len(texts))
    builder.limits.append(len(texts) + 2)
    return builder.bytes()


def _hashes(size: int) -> bytes:
    """Read a text again and again."""
    return _repeated(Builder(), size, lambda b: b.step(Operation.HASH, b.claim(), 0))


def _tails(size: int) -> bytes:
    """Fold every character to the same many."""
    builder = Builder()
    count = size // 16
    tail = builder.add_words([count, *[97] * count])
    fold = builder.add_words([word for point in range(128, 128 + count) for word in (point, 0x80000000)])
    settings = builder.settings(analyzer=1, fold=fold, folds=count, tail=tail, tails=count + 1)
    builder.step(Operation.BAG, 0, 0, settings)
    return builder.bytes()


def _readings(size: int) -> bytes:
    """Read a text into bags that take each other's place, with tables for every page of characters."""
    builder = Builder()
    pages = [page << 8 for page in range(0, 4352, max(1, 4352 * 24 // max(size, 1)))]
    token = builder.add_words([word for page in pages for word in (page, page)])
    fold = builder.add_words([word for page in pages for word in (page, 97)])
    places = [
        builder.settings(token=token, tokens=len(pages) - skipped, fold=fold, folds=len(pages) - skipped)
        for skipped in range(min(60, len(pages) // 2))
    ]
    for _ in range(max(1, size // 64)):
        for place in places:
            builder.step(Operation.BAG, 0, 0, place)
    return builder.bytes()


def _ngrams(size: int) -> bytes:
    """Count the n-grams of all lengths, in as many bags as there can be."""
    builder = Builder()
    place = builder.settings(analyzer=1, max_n=64, width=1 << 22)
    for bag in range(min(64, max(1, size // 16))):
        builder.step(Operation.BAG, bag, 0, place)
    return builder.bytes()


def _sigmas(size: int) -> bytes:
    """Ignore a capital sigma where the next one is looked for."""
    del size
    builder = Builder()
    ignored = builder.add_words([0x3A3, 0x3A3])
    builder.step(Operation.BAG, 0, 0, builder.settings(analyzer=1, flags=9, ignored=ignored, ignoreds=1))
    return builder.bytes()


def _bags(size: int) -> bytes:
    """Compute the remainder of a wide bag again and again."""
    builder = Builder()
    builder.step(Operation.BAG, 0, 0, builder.settings(analyzer=1, width=1 << 22))
    return _repeated(builder, size, lambda b: b.step(Operation.BAG_CONST, 0, 0, MathFunction.MOD, 1, 0))


def _bag_dots(size: int) -> bytes:
    """Multiply a bag by the same matrix again and again."""
    builder = Builder()
    width = outputs = max(2, int((size / 16) ** 0.5))
    weights = builder.add_numbers([1.0] * (width * outputs))
    builder.step(Operation.BAG, 0, 0, builder.settings(analyzer=1, width=width))
    return _repeated(
        builder, size, lambda b: b.step(Operation.BAG_DOT, b.claim(outputs), outputs, 0, ABSENT, weights, 0)
    )


def _wide_answers(size: int) -> bytes:
    """Answer the same registers in many outputs."""
    builder = Builder()
    count = size // 32
    builder.step(Operation.CONSTANT, builder.claim(count), count, builder.add_numbers([1.0] * count))
    builder.outputs = [(_FLOAT64, 2, 1, count, 1, 0)] * (size // 48)
    return builder.bytes()


def _long_labels(size: int) -> bytes:
    """Answer the same long label in many outputs."""
    builder = Builder()
    label = builder.add_strings([b"a" * (size // 2)] * 1)
    builder.step(Operation.ARGMAX, 0, 1, builder.add_words([0]))
    builder.limits.append(1)
    builder.outputs = [(_STRING, 2, 0, 0, label, 1)] * (size // 48)
    return builder.bytes()


def _many_labels(size: int) -> bytes:
    """Choose among the same many labels in many outputs."""
    builder = Builder()
    count = size // 8
    label = builder.add_strings([b""] * count)
    builder.step(Operation.ARGMAX, 0, 1, builder.add_words([0]))
    builder.limits.append(1)
    builder.outputs = [(_STRING, 2, 0, 0, label + index, count - index) for index in range(min(size // 48, count))]
    return builder.bytes()


#: For each kind of plan a function that builds one of about so many bytes.
BUILDERS: dict[str, Callable[[int], bytes]] = {
    "exponentials": _map(MathFunction.EXP),
    "remainders": _map(MathFunction.MOD),
    "powers": _map(MathFunction.POW),
    "registers": _registers,
    "products": _dot,
    "wide leaves": _leaves,
    "forests": _forests,
    "neighbours": _neighbours,
    "texts": _texts,
    "texts in one place": _collisions,
    "texts side by side": _run_of_texts,
    "hashes of a text": _hashes,
    "long foldings": _tails,
    "readings of a text": _readings,
    "n-grams": _ngrams,
    "sigmas": _sigmas,
    "functions of bags": _bags,
    "products of bags": _bag_dots,
    "wide answers": _wide_answers,
    "long labels": _long_labels,
    "many labels": _many_labels,
}
