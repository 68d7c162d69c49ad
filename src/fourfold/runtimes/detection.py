"""Which runtime a model belongs to, told from its type alone: nothing is imported to find out."""

from __future__ import annotations

from pathlib import Path

from fourfold.runtimes.source_model import Carried

__all__ = ["catboost", "lightgbm", "onnx", "python", "sklearn", "xgboost"]


def _roots(model: object) -> set[str]:
    """The top-level packages that the classes of a model come from."""
    return {each.__module__.partition(".")[0] for each in type(model).__mro__}


def catboost(model: object) -> bool:
    """One of CatBoost's own estimators, not wrapped in anything."""
    return type(model).__module__.partition(".")[0] == "catboost"


def lightgbm(model: object) -> bool:
    """A `lightgbm.Booster` or one of LightGBM's own estimators, not wrapped in anything."""
    return type(model).__module__.partition(".")[0] == "lightgbm"


def xgboost(model: object) -> bool:
    """An `xgboost.Booster` or one of XGBoost's own estimators, not wrapped in anything."""
    return type(model).__module__.partition(".")[0] == "xgboost"


def onnx(model: object) -> bool:
    """A `ModelProto`, its bytes, or the path of a file of them."""
    if isinstance(model, (bytes, bytearray, memoryview)):
        return True
    if isinstance(model, (str, Path)):
        return str(model).endswith(".onnx")
    return type(model).__name__ == "ModelProto" and hasattr(model, "SerializeToString")


def sklearn(model: object) -> bool:
    """An estimator or pipeline: something derived from scikit-learn's base classes, by whomever."""
    return not isinstance(model, type) and "sklearn" in _roots(model)


def python(model: object) -> bool:
    """A function, or an object that can be called or has `predict`, that no other runtime claims."""
    if isinstance(model, type):
        return False
    if isinstance(model, Carried):
        return True
    return callable(model) or callable(getattr(model, "predict", None))
