"""Test what is said of networks; classes stand in for those of their frameworks, which are not imported."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fourfold
from fourfold.errors import PackError
from fourfold.runtimes import by_model
from fourfold.runtimes.open_model import open_model


def framework_class(module: str, **methods: Callable[..., Any]) -> type:
    """Return a class that says that a framework's module defines it."""
    return type("Module", (), {"__module__": module, **methods})


TORCH = framework_class("torch.nn.modules.module", __call__=lambda self, rows: rows)
KERAS = framework_class("keras.src.models.model", __call__=lambda self, rows: rows, predict=lambda self, rows: rows)


class Net(TORCH):  # type: ignore[misc, valid-type]
    """A network of the user's own."""

    def forward(self, rows: Any) -> Any:
        """Return the rows."""
        return rows


class Scorer(TORCH):  # type: ignore[misc, valid-type]
    """A network with a `predict` of the user's own, which is a function of rows."""

    def predict(self, rows: Any) -> Any:
        """Return a score a row."""
        return [1.0 for _ in rows]


def lines_of(error: PackError) -> tuple[str, str]:
    """Return the Python lines and the command in an error."""
    _, python, command = str(error).split("\n\n")
    return python, command


@pytest.mark.parametrize(
    ("model", "framework", "export"),
    [
        (TORCH(), "PyTorch", "torch.onnx.export(net"),
        (Net(), "PyTorch", "torch.onnx.export(net"),
        ({"0.weight": framework_class("torch")()}, "PyTorch", "torch.onnx.export(net"),
        (KERAS(), "Keras", 'net.export("net.onnx", format="onnx")'),
        (framework_class("tensorflow.python.trackable.autotrackable", __call__=print)(), "Keras", "net.export"),
        (framework_class("flax.linen.combinators", __call__=print)(), "JAX", "to_onnx(net"),
        ("net.pt", "PyTorch", "torch.onnx.export(net"),
        (Path("net.keras"), "Keras", "net.export"),
    ],
)
def test_a_network_is_told_the_way(model: Any, framework: str, export: str) -> None:
    """The error names ONNX and `--expect`, with lines that Python can read."""
    with pytest.raises(PackError, match=f"is a network of {framework}: pack it as an ONNX file") as caught:
        fourfold.pack(model, name="net", rows=[{"x": 1.0}])
    python, command = lines_of(caught.value)
    assert export in python
    ast.parse(python)
    assert command == "fourfold pack net --from onnx net.onnx --rows rows.jsonl --expect rows.jsonl"


def test_what_is_no_mere_network() -> None:
    """An object with a `predict` of its own, a function and the path of an ONNX file are packed as before."""
    assert by_model(Scorer()).NAME == "python"
    assert by_model(len).NAME == "python"
    assert by_model("net.onnx").NAME == "onnx"
    with pytest.raises(PackError, match=r"no runtime packs a builtins\.dict"):
        by_model({})


def test_a_file_of_pytorch_that_is_named_an_estimator(tmp_path: Path) -> None:
    """What is no pickle of an estimator, and is called as networks are, is told the way as well."""
    path = tmp_path / "net.pt"
    path.write_bytes(b"PK\x03\x04 archive")
    with pytest.raises(PackError, match="is a network of PyTorch: pack it as an ONNX file"):
        open_model("estimator", path)
    with pytest.raises(PackError) as caught:
        open_model("estimator", path.rename(tmp_path / "net.pickle"))
    assert "ONNX" not in str(caught.value)
