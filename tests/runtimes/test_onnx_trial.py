"""ONNX files that loop for ever, fill the memory or end the process: a child dies of them, and nobody else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import fourfold
from fourfold.errors import FourfoldError, GoldenMismatch, PackageError, PackError
from fourfold.package import Package
from fourfold.process_memory import peak_memory_bytes
from fourfold.runtimes import onnx_trial
from fourfold.runtimes.onnx_trial import Trial
from tests.runtimes.round_trip import prepared
from tests.runtimes.test_onnx import MATRIX, TIMES, graph

FLOAT, INT64, BOOL, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING
#: What a refusal may take of this process, which has not seen the model.
MAX_GROWTH_MB = 300
PORTS: Any = ([("x", FLOAT, [None])], [("y", FLOAT, [None])])
ENDS = [("ReduceSum", ["big"], ["r"], {"keepdims": 0}), ("Add", ["x", "r"], ["y"], {})]


def loop(times: int | None, node: onnx.NodeProto) -> onnx.ModelProto:
    """Return a model of a loop whose body has one node, from `a` to `a_out`.

    It runs as often as `times` says, or where that is `None` as the greatest of the rows does.
    """
    body = helper.make_graph(
        [helper.make_node("Identity", ["more"], ["more_out"]), node],
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("more", BOOL, []),
            helper.make_tensor_value_info("a", FLOAT, None),
        ],
        [helper.make_tensor_value_info("more_out", BOOL, []), helper.make_tensor_value_info("a_out", FLOAT, None)],
    )
    run: Any = ("Loop", ["n", "yes", "x"], ["y"], {"body": body})
    if times is not None:
        return graph(*PORTS, run, data={"n": np.array(times), "yes": np.array(True)})
    count: Any = [("ReduceMax", ["x"], ["greatest"], {"keepdims": 0}), ("Cast", ["greatest"], ["n"], {"to": INT64})]
    return graph(*PORTS, *count, run, data={"yes": np.array(True)})


SAME = helper.make_node("Identity", ["a"], ["a_out"])
TWICE = helper.make_node("Concat", ["a", "a"], ["a_out"], axis=0)


def sizes(kind: str, *names: str, **constants: Any) -> onnx.ModelProto:
    """Return a model whose one operator makes a large tensor."""
    nodes: Any = [(kind, list(names), ["big"], {}), *ENDS]
    return graph(*PORTS, *nodes, data={name: np.asarray(value) for name, value in constants.items()})


def doubled(times: int) -> onnx.ModelProto:
    """Return a model that doubles a tensor again and again, which ONNX Runtime computes while it loads it."""
    nodes: Any = [("Concat", [f"c{index}"] * 2, [f"c{index + 1}"], {"axis": 0}) for index in range(times)]
    nodes += [("ReduceSum", [f"c{times}"], ["r"], {"keepdims": 0}), ENDS[1]]
    return graph(*PORTS, *nodes, data={"c0": np.ones(1024, np.float32)})


def texts() -> onnx.ModelProto:
    """Return a model that repeats a long text a million times: texts lie outside of ONNX Runtime's own memory."""
    nodes: Any = [
        ("Expand", ["long", "shape"], ["big"], {}),
        ("Shape", ["big"], ["count"], {}),
        ("Cast", ["count"], ["r"], {"to": FLOAT}),
        ENDS[1],
    ]
    data = {"long": np.array(["x" * 20_000], dtype=object), "shape": np.array([10**6])}
    return graph(*PORTS, *nodes, data=data)


def outer() -> onnx.ModelProto:
    """Return a model that squares the number of elements with each operator."""
    nodes: Any = [("Range", ["zero", "many", "one"], ["line"], {})]
    nodes += [("Unsqueeze", ["line", "axis"], ["column"], {}), ("Mul", ["line", "column"], ["big"], {}), *ENDS]
    constants = {"zero": 0.0, "many": 40_000.0, "one": 1.0}
    data = {name: np.array(value, np.float32) for name, value in constants.items()}
    return graph(*PORTS, *nodes, data=data | {"axis": np.array([1])})


def sparse() -> onnx.ModelProto:
    """Return a model of a tensor of two values in 2^33 places."""
    model = sizes("Neg", "s")
    tensor = helper.make_sparse_tensor(
        numpy_helper.from_array(np.ones(2, np.float32), "s"), numpy_helper.from_array(np.array([0, 7])), [2**33]
    )
    model.graph.sparse_initializer.append(tensor)
    return model


def nested(depth: int) -> bytes:
    """Return the bytes of a graph whose node has a graph, and so on."""
    inner = b""
    for number in (*(1, 5, 6) * depth, 7):
        size, digits = len(inner), bytearray()
        while size > 127:
            digits.append(size & 127 | 128)
            size >>= 7
        inner = bytes([number << 3 | 2, *digits, size]) + inner
    return inner


def from_row() -> onnx.ModelProto:
    """Return a model that makes a tensor as large as a row says: 2^30 elements for the golden row."""
    nodes: Any = [("Cast", ["x"], ["s"], {"to": INT64}), ("ConstantOfShape", ["s"], ["big"], {}), *ENDS]
    return graph(*PORTS, *nodes)


HOSTILE: dict[str, Callable[[], onnx.ModelProto | bytes]] = {
    "loop for ever": lambda: loop(2**62, SAME),
    "loop that grows": lambda: loop(2**62, TWICE),
    "constant of shape": lambda: sizes("ConstantOfShape", "s", s=[2**29]),
    "expand": lambda: sizes("Expand", "v", "s", v=np.ones(1, np.float32), s=[2**30]),
    "tile": lambda: sizes("Tile", "v", "s", v=np.ones(1, np.float32), s=[2**30]),
    "doubled while it loads": lambda: doubled(20),
    "doubled for ever": lambda: doubled(45),
    "texts": texts,
    "outer product": outer,
    "sparse": sparse,
    "nested": lambda: nested(2_000),
    "as large as a row says": from_row,
}


def package(model: onnx.ModelProto | bytes, row: float) -> Package:
    """Return a package of a model of numbers to numbers, with a golden row."""
    port = {"name": "x", "dtype": "float32", "shape": [], "columns": ["x"], "matrix": False}
    manifest = {
        "fourfold": 1,
        "name": "hostile",
        "signature": {
            "inputs": [{"name": "x", "dtype": "float32"}],
            "outputs": [{"name": "y", "dtype": "float32"}],
            "extra": "forbid",
        },
        "runtime": {
            "name": "onnx",
            "settings": {"inputs": [port], "outputs": ["y"]},
            "requires": "",
            "libraries": {},
        },
        "exactness": {"exact": True, "block": None, "rows": 0, "tested": [], "accepted": ""},
        "engines": [],
        "golden": {"file": "golden.json", "rows": 1, "tolerance": 0},
        "provenance": {},
    }
    golden = json.dumps({"inputs": [{"x": row}], "outputs": [{"y": row}]}, separators=(",", ":"), sort_keys=True)
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return Package.build(manifest, {"model.onnx": data, "golden.json": golden.encode()})


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_graphs_are_refused(kind: str) -> None:
    """A graph that takes minutes or gigabytes is refused within seconds, and this process takes no part of them."""
    hostile = package(HOSTILE[kind](), float(2**30) if kind == "as large as a row says" else 1.0)
    before = peak_memory_bytes()
    with pytest.raises(FourfoldError) as caught:
        fourfold.load(hostile, trust="foreign")
    assert isinstance(caught.value, PackageError)
    assert (peak_memory_bytes() - before) >> 20 < MAX_GROWTH_MB


def test_limits_are_named_and_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error names the limit and its setting, with which the same model is loaded."""
    model = package(sizes("ConstantOfShape", "s", s=[2**25]), 1.0)
    monkeypatch.setattr(onnx_trial, "_tried", set())  # by other tests of this process
    monkeypatch.setenv(onnx_trial.MEMORY_VARIABLE, "20")
    with pytest.raises(GoldenMismatch, match=f"MiB.*{onnx_trial.MEMORY_VARIABLE}"):
        fourfold.load(model, trust="foreign")
    monkeypatch.setenv(onnx_trial.MEMORY_VARIABLE, "1000")
    assert fourfold.load(model, trust="foreign").predict_one({"x": 2.0}) == {"y": 2.0}
    monkeypatch.setenv(onnx_trial.SECONDS_VARIABLE, "soon")
    with pytest.raises(FourfoldError, match="expected a number above 0"):
        fourfold.load(package(TIMES, 1.0), trust="foreign")


def test_a_model_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was tried in this process, or converted by it, is not tried again."""
    model = package(sizes("ConstantOfShape", "s", s=[5]), 1.0)
    fourfold.load(model, trust="foreign")
    monkeypatch.setattr("subprocess.Popen", None)
    fourfold.load(model, trust="foreign")
    other = sizes("ConstantOfShape", "s", s=[6]).SerializeToString()
    assert Trial(other).is_needed
    onnx_trial.mark_converted(other)
    assert not Trial(other).is_needed


def test_a_trial_can_be_stopped() -> None:
    """A trial that somebody gives up ends at once."""
    trial = Trial(loop(2**62, SAME).SerializeToString())
    timer = threading.Timer(1.0, trial.stop)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(FourfoldError):
        trial.run({"x": np.ones(1, np.float32)}, ["y"], 10_000)
    timer.join()
    assert time.monotonic() - begun < 60


def test_pack_tries_first() -> None:
    """`pack` loads no model that a trial does not load, and answers no rows that a trial does not."""
    with pytest.raises(PackError, match="MiB"):
        prepared(doubled(21), np.ones(3, np.float32))
    assert prepared(TIMES, MATRIX).outputs
