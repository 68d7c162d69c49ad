"""Convert a scikit-learn model to ONNX: `python -m fourfold.packing.engines.onnx_conversion_process FOLDER`.

A converter may crash, hang or take all memory, so it runs in a process of its own.
"""

from __future__ import annotations

import json
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

__all__: list[str] = []

#: The newest operators that ONNX Runtime and the converter both know.
_OPSET = 18


def main(folder: Path) -> None:
    """Convert `model.pickle` in the folder to `model.onnx`; `inputs.json` names the graph's inputs and their dtypes."""
    import skl2onnx
    from skl2onnx.common.data_types import (
        BooleanTensorType,
        DoubleTensorType,
        FloatTensorType,
        Int64TensorType,
        StringTensorType,
    )

    tensor_types = {
        "float32": FloatTensorType,
        "float64": DoubleTensorType,
        "int64": Int64TensorType,
        "string": StringTensorType,
        "bool": BooleanTensorType,
    }
    model = pickle.loads((folder / "model.pickle").read_bytes())  # noqa: S301 - the process that started this one wrote it
    request = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
    types: list[Any] = [
        (port["name"], tensor_types[port["dtype"]]([None, port["width"]])) for port in request["inputs"]
    ]
    options = {"zipmap": False} if request["classifies"] else None
    graph = skl2onnx.to_onnx(model, initial_types=types, target_opset=_OPSET, options=options)
    (folder / "model.onnx").write_bytes(graph.SerializeToString(deterministic=True))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    try:
        main(Path(sys.argv[1]))
    except Exception as error:  # noqa: BLE001 - a converter raises anything; the last line stands in the table
        sys.stderr.write(f"{type(error).__name__}: {' '.join(str(error).split())}\n")
        sys.exit(1)
