"""Convert a scikit-learn model to ONNX with the public converter, and make ONNX Runtime a candidate."""

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
from fourfold.runtimes.engine import Prepared, library_versions
from fourfold.signature import Field, Signature
from fourfold.signature.field import FLOATS, INTEGERS

__all__ = ["CONVERTER_LIBRARIES", "NAME", "onnx_candidate"]

NAME = "onnx"
#: What converts a model and what answers with it; the extra `convert` brings both.
CONVERTER_LIBRARIES = ("skl2onnx", "onnxruntime")
CONVERSION_TIMEOUT_S = 120.0
_METHODS = (["predict"], ["predict", "predict_proba"])
_DTYPES = ("float32", "float64", "int64", "string", "bool")


def onnx_candidate(model: Any, prepared: Prepared, signature: Signature, approximations: tuple[str, ...]) -> Candidate:
    """Return the model as ONNX Runtime computes it, converted in a process of its own, or the reason why it cannot.

    The dtypes of the inputs are kept: float64 goes in as float64. Where the converter or ONNX Runtime has no operator
    for that, numbers go in as float32, which is what most people convert to by hand.

    Args:
        model: the estimator.
        prepared: the same, as files and settings of its own runtime.
        signature: the package's signature.
        approximations: why arithmetic does not define the original's last bits; none where it does.
    """
    if any(find_spec(library) is None for library in CONVERTER_LIBRARIES):
        why = "skl2onnx or onnxruntime is not installed (the extra 'convert' brings them)"
        return Candidate(NAME, absence_reason=why)
    settings = prepared.settings["methods"]
    methods = [method["name"] for method in settings]
    if methods not in _METHODS or any(method["targets"] is not None for method in settings):
        why = f"a converted model answers with predict and predict_proba, not {methods}"
        return Candidate(NAME, absence_reason=why)
    first_error = ""
    for ports in _ports(prepared.settings["form"], signature.inputs):
        try:
            data = _convert(model, ports, classifies=len(methods) > 1 or signature.outputs[0].name == "label")
            return _load(data, ports, prepared, signature, approximations)
        except _NoConversionError as error:
            first_error = first_error or str(error)
        except FourfoldError as error:
            first_error = (
                first_error or f"ONNX Runtime does not load what the converter made: {shorten(str(error), 200)}"
            )
    return Candidate(NAME, absence_reason=first_error)


class _NoConversionError(Exception):
    """Report that the converter gave no model, and why."""


#: An input of the graph: `name`, `dtype`, `width` in columns, the signature's `columns`, and whether it is a `matrix`.
Port = dict[str, Any]


def _ports(form: dict[str, Any], fields: Sequence[Field]) -> Iterator[list[Port]]:
    """Yield the inputs that the graph may have: a matrix, or a port for each column; in float64, then in float32."""
    numeric = all(field.dtype in (*FLOATS, *INTEGERS) for field in fields)
    for floats in ("float64", "float32"):
        # Even for a frame: an estimator outside of a pipeline that selects columns by name takes only one input.
        if numeric and form.get("dtype") != "object":
            columns = [field.name for field in fields]
            width = len(columns)
            yield [{"name": "X", "dtype": floats, "width": width, "columns": columns, "matrix": True}]
        if form["container"] == "numpy" and numeric:
            continue
        yield [
            {"name": field.name, "dtype": _dtype(field, floats), "width": 1, "columns": [field.name], "matrix": False}
            for field in fields
        ]


def _dtype(field: Field, floats: str) -> str:
    if field.dtype in FLOATS:
        return floats
    return "int64" if field.dtype in INTEGERS else field.dtype


def _convert(model: Any, ports: list[Port], *, classifies: bool) -> bytes:
    """Convert a model, and return the bytes of its ONNX file; raise `_NoConversionError` where that fails."""
    unknown = next((port for port in ports if port["dtype"] not in _DTYPES), None)
    if unknown is not None:
        raise _NoConversionError(f"the converter takes no {unknown['dtype']}, as {shorten(unknown['name'])} is")
    with tempfile.TemporaryDirectory(prefix="fourfold-") as name:
        folder = Path(name)
        try:
            (folder / "model.pickle").write_bytes(pickle.dumps(model, protocol=5))
        except Exception as error:  # a model's `__getstate__` may raise anything
            raise _NoConversionError(f"it cannot be given to another process: {type(error).__name__}") from error
        request = {"inputs": ports, "classifies": classifies}
        (folder / "inputs.json").write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-m", "fourfold.packing.engines.onnx_conversion_process", name]
        try:
            finished = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=CONVERSION_TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            raise _NoConversionError(f"the converter did not end within {CONVERSION_TIMEOUT_S:.0f} s") from None
        if finished.returncode < 0:
            raise _NoConversionError(f"the converter crashed: {signal.Signals(-finished.returncode).name}")
        onnx_file = folder / "model.onnx"
        if finished.returncode or not onnx_file.is_file():
            output = finished.stderr.strip().splitlines() or ["it printed no error"]
            raise _NoConversionError(f"the converter failed: {shorten(output[-1], 200)}")
        return onnx_file.read_bytes()


def _load(
    data: bytes, ports: list[Port], prepared: Prepared, signature: Signature, approximations: tuple[str, ...]
) -> Candidate:
    """Load a converted model with ONNX Runtime, as a package would."""
    module: Any = runtimes.by_name(NAME)
    module.mark_converted(data)
    names = module.graph_outputs(data)[: len(signature.outputs)]
    inputs = [
        {key: port[key] for key in ("name", "dtype", "columns", "matrix")} | {"shape": [port["width"]]}
        for port in ports
    ]
    converted = Prepared(
        NAME,
        {"inputs": inputs, "outputs": names},
        {"model.onnx": data},
        prepared.inputs,
        prepared.outputs,
        "",
        library_versions("onnxruntime", "numpy"),
    )
    engine = runtimes.load(NAME, converted.settings, converted.files.__getitem__, signature, trust="foreign")
    return Candidate(NAME, converted, engine, approximations)
