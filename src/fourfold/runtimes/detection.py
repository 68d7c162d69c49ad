"""Detect which library a model belongs to, from its type alone: nothing is imported."""

from __future__ import annotations

from pathlib import Path

from fourfold.runtimes.source_model import SourceModel

__all__ = ["is_catboost", "is_lightgbm", "is_onnx", "is_python", "is_sklearn", "is_xgboost"]


def is_catboost(model: object) -> bool:
    """Return whether a model is one of CatBoost's own estimators, not wrapped in anything."""
    return _library(type(model)) == "catboost"


def is_lightgbm(model: object) -> bool:
    """Return whether a model is a `lightgbm.Booster` or one of LightGBM's own estimators, not wrapped in anything."""
    return _library(type(model)) == "lightgbm"


def is_xgboost(model: object) -> bool:
    """Return whether a model is an `xgboost.Booster` or one of XGBoost's own estimators, not wrapped in anything."""
    return _library(type(model)) == "xgboost"


def is_onnx(model: object) -> bool:
    """Return whether a model is a `ModelProto`, its bytes, or the path of a file of them."""
    if isinstance(model, (bytes, bytearray, memoryview)):
        return True
    if isinstance(model, (str, Path)):
        return str(model).endswith(".onnx")
    return type(model).__name__ == "ModelProto" and hasattr(model, "SerializeToString")


def is_sklearn(model: object) -> bool:
    """Return whether a model is an estimator or pipeline: an object of a class derived from scikit-learn's classes."""
    return not isinstance(model, type) and "sklearn" in map(_library, type(model).__mro__)


def is_python(model: object) -> bool:
    """Return whether a model is a function, or an object that can be called or has `predict`."""
    if isinstance(model, type):
        return False
    if isinstance(model, SourceModel):
        return True
    return callable(model) or callable(getattr(model, "predict", None))


def _library(kind: type) -> str:
    """Return the top-level package that defines a class."""
    return kind.__module__.partition(".")[0]
