"""ONNX Runtime as a candidate, where the public converter claims a scikit-learn model."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fourfold import runtimes
from fourfold.errors import FourfoldError, shorten
from fourfold.packing.engines.candidate import Candidate
from fourfold.runtimes.engine import Prepared, versions
from fourfold.signature import Field, Signature
from fourfold.signature.field import FLOATS, INTEGERS

__all__ = ["onnx"]

NAME = "onnx"
#: Seconds that a conversion may take.
_PATIENCE = 120.0
_METHODS = (["predict"], ["predict", "predict_proba"])


def onnx(model: Any, prepared: Prepared, signature: Signature, approximations: tuple[str, ...]) -> Candidate:
    """The model as ONNX Runtime computes it, converted in a process of its own.

    The dtypes of the inputs are kept: float64 goes in as float64. Where the converter or ONNX Runtime has no operator
    for that, numbers go in as float32, as most who convert by hand have it.

    Args:
        model: the estimator.
        prepared: the same, made ready by its own runtime.
        signature: the package's.
        approximations: why the original's last bits are not defined by its arithmetic; none where they are.
    """
    if find_spec("skl2onnx") is None or find_spec("onnxruntime") is None:
        return Candidate(NAME, absent="skl2onnx or onnxruntime is not installed (the extra 'convert' brings them)")
    methods = [each["name"] for each in prepared.settings["methods"]]
    if methods not in _METHODS or any(each["targets"] is not None for each in prepared.settings["methods"]):
        return Candidate(NAME, absent=f"a converted model answers with predict and predict_proba, not {methods}")
    why = ""
    for ports in _ports(prepared.settings["form"], signature.inputs):
        try:
            data = _converted(model, ports, classifies=len(methods) > 1 or signature.outputs[0].name == "label")
            return _candidate(data, ports, prepared, signature, approximations)
        except _NoConversionError as error:
            why = why or str(error)
        except FourfoldError as error:
            why = why or f"ONNX Runtime does not load what the converter made: {shorten(str(error), 200)}"
    return Candidate(NAME, absent=why)


class _NoConversionError(Exception):
    """The converter gave no model; the message says what it said."""


Port = dict[str, Any]


def _ports(form: dict[str, Any], fields: Sequence[Field]) -> Iterator[list[Port]]:
    """The inputs of the graph: a matrix for an array, a column for each of a frame's; in float64, then in float32."""
    numeric = all(field.dtype in (*FLOATS, *INTEGERS) for field in fields)
    for floats in ("float64", "float32"):
        # A frame of numbers becomes a matrix, too: estimators that no pipeline names columns for take only one input.
        if numeric and form.get("dtype") != "object":
            columns = [field.name for field in fields]
            width = len(columns)
            yield [{"name": "X", "dtype": floats, "width": width, "columns": columns, "matrix": True}]
        if form["container"] == "numpy" and numeric:
            continue
        yield [
            {
                "name": field.name,
                "dtype": _dtype(field, floats),
                "width": 1,
                "columns": [field.name],
                "matrix": False,
            }
            for field in fields
        ]


def _dtype(field: Field, floats: str) -> str:
    if field.dtype in FLOATS:
        return floats
    return "int64" if field.dtype in INTEGERS else field.dtype


def _converted(model: Any, ports: list[Port], *, classifies: bool) -> bytes:
    """The bytes that the converter makes; raises `_NoConversionError`."""
    known = ("float32", "float64", "int64", "string", "bool")
    strange = next((port for port in ports if port["dtype"] not in known), None)
    if strange is not None:
        raise _NoConversionError(f"the converter takes no {strange['dtype']}, as {shorten(strange['name'])} is")
    with tempfile.TemporaryDirectory(prefix="fourfold-") as name:
        folder = Path(name)
        try:
            (folder / "model.pickle").write_bytes(pickle.dumps(model, protocol=5))
        except Exception as error:  # whatever anybody's `__getstate__` raises
            raise _NoConversionError(f"it cannot be given to another process: {type(error).__name__}") from error
        wanted = {"inputs": ports, "classifies": classifies}
        (folder / "inputs.json").write_text(json.dumps(wanted), encoding="utf-8")
        command = [sys.executable, "-m", "fourfold.packing.engines.onnx_conversion_process", name]
        try:
            finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            raise _NoConversionError(f"the converter did not end within {_PATIENCE:.0f} s") from None
        if finished.returncode < 0:
            raise _NoConversionError(f"the converter crashed: {signal.Signals(-finished.returncode).name}")
        made = folder / "model.onnx"
        if finished.returncode or not made.is_file():
            said = finished.stderr.strip().splitlines() or ["it said nothing"]
            raise _NoConversionError(f"the converter failed: {shorten(said[-1], 200)}")
        return made.read_bytes()


def _candidate(
    data: bytes, ports: list[Port], prepared: Prepared, signature: Signature, approximations: tuple[str, ...]
) -> Candidate:
    module: Any = runtimes.runtime(NAME)
    names = module.graph_outputs(data)[: len(signature.outputs)]
    inputs = [
        {key: port[key] for key in ("name", "dtype", "columns", "matrix")} | {"shape": [port["width"]]}
        for port in ports
    ]
    ready = Prepared(
        NAME,
        {"inputs": inputs, "outputs": names},
        {"model.onnx": data},
        prepared.inputs,
        prepared.outputs,
        "",
        versions("onnxruntime", "numpy"),
    )
    engine = runtimes.load(NAME, ready.settings, ready.files.__getitem__, signature, trust=False)
    return Candidate(NAME, ready, engine, approximations)
