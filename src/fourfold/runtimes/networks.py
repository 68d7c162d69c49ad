"""Say how a network of PyTorch, Keras or JAX is packed: as an ONNX file. Nothing of these libraries is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["way_to_pack"]

#: The top-level packages that define the classes of networks, by the framework whose lines are shown.
_FRAMEWORKS = {
    "torch": "PyTorch",
    "keras": "Keras",
    "tf_keras": "Keras",
    "tensorflow": "Keras",
    "flax": "JAX",
    "equinox": "JAX",
    "haiku": "JAX",
}
#: The ends of files in which these frameworks keep networks.
_SUFFIXES = {
    ".pt": "PyTorch",
    ".pth": "PyTorch",
    ".ckpt": "PyTorch",
    ".keras": "Keras",
    ".h5": "Keras",
    ".hdf5": "Keras",
}
#: How a network becomes `net.onnx`, and what it answers to an array `rows` of its inputs becomes `answers`.
_EXPORTS = {
    "PyTorch": """\
import torch
rows = torch.as_tensor(rows)
net.eval()
torch.onnx.export(net, (rows,), "net.onnx", dynamo=True, input_names=["x"], output_names=["answer"],
                  dynamic_shapes=({0: torch.export.Dim("rows")},))
with torch.no_grad():
    answers = net(rows)
""",
    "Keras": """\
import keras
answers = keras.ops.convert_to_numpy(net(rows))
net.export("net.onnx", format="onnx")
""",
    "JAX": """\
from jax2onnx import to_onnx
onnx.save_model(to_onnx(net, [("rows", *rows.shape[1:])], input_names=["x"], output_names=["answer"]), "net.onnx")
answers = net(rows)
""",
}
#: How the rows and the answers become a file, whatever the framework.
_ROWS = """\
name = onnx.load("net.onnx").graph.input[0].name
with open("rows.jsonl", "w") as file:
    for row, answer in zip(rows.tolist(), answers.tolist()):
        print(json.dumps({name: row, "answer": answer}), file=file)
"""
_COMMAND = "fourfold pack net --from onnx net.onnx --rows rows.jsonl --expect rows.jsonl"


def way_to_pack(model: object) -> str | None:
    """Return why a network cannot be packed as it is, and the lines that pack it; `None` for anything else.

    A class of the user's own that brings its own `predict` is no mere network: a function of its rows is.
    """
    framework = _framework(model)
    if framework is None:
        return None
    what = f"the file {model}" if isinstance(model, (str, Path)) else f"a {_name(type(model))}"
    return (
        f"{what} is a network of {framework}: pack it as an ONNX file, held against what {framework} itself answers. "
        f"With net, the network, and rows, an array of a few hundred rows of its input (docs/packing.md):\n\n"
        f"import json, onnx\n{_EXPORTS[framework]}{_ROWS}\n{_COMMAND}"
    )


def _framework(model: object) -> str | None:
    """Return the framework of a network, of its file or of its weights; `None` for anything else."""
    if isinstance(model, (str, Path)):
        return _SUFFIXES.get(Path(model).suffix.lower())
    if isinstance(model, Mapping):  # the weights of a PyTorch network, `state_dict()`
        kinds = {_root(type(value)) for value in list(model.values())[:100]}
        return "PyTorch" if kinds == {"torch"} else None
    if isinstance(model, type):
        return None
    classes = type(model).__mro__
    verb = "predict" if callable(getattr(model, "predict", None)) else "__call__"
    owner = next((kind for kind in classes if verb in vars(kind)), type(model))
    if any(_root(kind) == "sklearn" for kind in classes) or _root(owner) not in _FRAMEWORKS:
        return None
    return next((_FRAMEWORKS[_root(kind)] for kind in classes if _root(kind) in _FRAMEWORKS), None)


def _root(kind: type) -> str:
    """Return the top-level package that defines a class."""
    return kind.__module__.partition(".")[0]


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
