"""Change ONNX files: bytes, words and lengths of their messages."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.fuzz.boosters import HOSTILE_INTEGERS, Base, answer, base, changed_bytes, frame
from tests.fuzz.harness import Target

__all__ = ["TARGET"]

#: Operators that make much of little, to stand for others; a name keeps its length where it can.
NAMES = (b"Tile", b"Loop", b"Scan", b"Expand", b"Concat", b"MatMul", b"Range", b"Pad", b"ConstantOfShape", b"If", b"")


def _bases() -> dict[str, Any]:
    data, numbers, classes = frame()
    plain = data[["a", "b"]]
    matrix = plain.to_numpy(np.float32)
    options: dict[str, Any] = {"target_opset": 18}
    forest = RandomForestClassifier(3, max_depth=3, random_state=0).fit(matrix, classes)
    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix, classes)
    network = MLPRegressor(hidden_layer_sizes=(4,), max_iter=20, random_state=0).fit(matrix, numbers)
    return {
        "forest": base(to_onnx(forest, matrix[:1], options={"zipmap": False}, **options).SerializeToString(), plain),
        "linear": base(to_onnx(linear, matrix[:1], options={"zipmap": False}, **options).SerializeToString(), plain),
        "network": base(to_onnx(network, matrix[:1], **options).SerializeToString(), plain),
    }


def _number(data: bytes, generator: Random) -> bytes:
    """Change a byte that may be a length, a dimension, an index or a type, to a number of one to ten bytes."""
    changed = bytearray(data)
    small = [position for position, byte in enumerate(data) if 0 < byte < 64]
    position = generator.choice(small)
    value, digits = generator.choice(HOSTILE_INTEGERS) % 2**64, bytearray()
    while value > 127 and generator.random() < 0.9:
        digits.append(value & 127 | 128)
        value >>= 7
    changed[position : position + 1] = bytes([*digits, value & 127])
    return bytes(changed)


def _name(data: bytes, generator: Random) -> bytes:
    """Put the name of another operator where one stands."""
    names = [
        name for name in (b"Add", b"MatMul", b"Cast", b"Relu", b"Scaler", b"Normalizer", b"Reshape") if name in data
    ]
    if not names:
        return changed_bytes(data, generator)
    old, new = generator.choice(names), generator.choice(NAMES)
    return data.replace(bytes([len(old)]) + old, bytes([len(new)]) + new, 1)


def _mutate(good: Base, generator: Random) -> Base:
    data = good.data
    for _ in range(generator.choice((1, 1, 2))):
        change = generator.choice((_number, _number, _name, changed_bytes))
        data = change(data or b"\1", generator)
    return good._replace(data=data)


TARGET = Target("onnx", _bases, _mutate, answer, lambda changed: bytes(changed.data))
