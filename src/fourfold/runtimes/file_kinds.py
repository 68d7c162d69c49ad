"""Tell what a model's file is, where it was opened as another kind: by its first bytes, with no library."""

from __future__ import annotations

import zipfile
from pathlib import Path

__all__ = ["describe_folder", "describe_other_kind"]

#: How many bytes at the beginning of a file are looked at.
_SHOWN_BYTES = 4096
#: What is to be done with files that no runtime reads, by what they are.
_WAYS = {
    "PMML": "pack the model that it was written from, or a function of yours that asks a library which reads PMML",
    "TensorFlow Lite": "convert the network that it was written from to ONNX, and pack that (--from onnx)",
}


def describe_other_kind(path: Path, kind: str) -> str:
    """Return what a file is that could not be opened as a kind, and what packs it, as the end of a sentence.

    Returns:
        An empty text where the file may be of that kind after all, or nothing is known of it.
    """
    try:
        with path.open("rb") as file:
            looks_like = _kind_of(path, file.read(_SHOWN_BYTES))
    except OSError:
        return ""
    if looks_like in ("", kind):
        return ""
    if looks_like in _WAYS:
        return f". It looks like a file of {looks_like}: {_WAYS[looks_like]}"
    return f". It looks like a file of the kind {looks_like}: --from {looks_like} {path}"


def describe_folder(path: Path) -> str:
    """Return what a folder is that was named as a model's file, and what packs it; "" where nothing is known of it."""
    if (path / "MLmodel").is_file():
        return f"an MLflow model: --from mlflow {path}"
    if (path / "saved_model.pb").is_file():
        return (
            "a SavedModel of TensorFlow: pack it as an ONNX file (python -m tf2onnx.convert --saved-model "
            f"{path} --output net.onnx; --from onnx net.onnx), held against its own answers with --expect"
        )
    return ""


def _kind_of(path: Path, data: bytes) -> str:
    """Return a kind of `open_model`, a key of `_WAYS`, or "" where the bytes tell nothing."""
    start = data.lstrip()
    if start.startswith((b"tree\n", b"tree\r\n")):
        return "lightgbm"
    if data.startswith(b"CBM1"):
        return "catboost"
    if data[4:8] == b"TFL3":
        return "TensorFlow Lite"
    if b"<PMML" in data:
        return "PMML"
    if start.startswith(b"{"):
        # Both write a version and their trees; keys of XGBoost come first in its files, those of CatBoost in its own.
        names = {"xgboost": (b"learner", b"gradient_booster"), "catboost": (b"features_info", b"boosting_options")}
        return next((name for name, keys in names.items() if any(key in data for key in keys)), "")
    if data.startswith(b"PK") and _has_member(path, "schema.json"):
        return "skops"
    if path.suffix == ".onnx":
        return "onnx"
    # A pickle of protocol 2 and later begins so; joblib's compressed files begin as those of zlib do.
    return "estimator" if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") else ""


def _has_member(path: Path, name: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return name in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return False
