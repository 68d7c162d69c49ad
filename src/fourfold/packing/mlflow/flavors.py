"""Open the flavours of MLflow models that can be packed, each with the library that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fourfold.errors import PackError, TrustError, shorten
from fourfold.package.levels import Level
from fourfold.packing.mlflow.code_paths import read_code_paths
from fourfold.packing.mlflow.directory import ModelDirectory
from fourfold.packing.mlflow.pyfunc import PYFUNC, open_pyfunc
from fourfold.packing.mlflow.signature import MlflowSignature
from fourfold.runtimes import MODEL_RUNTIMES
from fourfold.runtimes.code import PackageCode
from fourfold.runtimes.open_model import OpenedModel, open_model

__all__ = ["FLAVORS", "open_flavor"]

#: The flavours, in order of preference: a library's own goes before a Python function around it.
FLAVORS = ("sklearn", "lightgbm", "xgboost", "catboost", "onnx", PYFUNC)
#: The flavours of networks, which the user exports as ONNX files.
_NETWORKS = ("keras", "pytorch", "tensorflow", "transformers", "fastai", "paddle", "diffusers", "sentence_transformers")
#: The model's file, where a flavour does not name it.
_DEFAULT_FILES = {"lightgbm": "model.lgb", "xgboost": "model.xgb", "catboost": "model.cb", "onnx": "model.onnx"}


def open_flavor(
    directory: ModelDirectory, signature: MlflowSignature | None, *, trust: Level | None
) -> tuple[str, OpenedModel, dict[str, Any]]:
    """Open the model of a directory.

    Args:
        directory: the MLflow model.
        signature: its signature.
        trust: what it may do here, as in `open_mlflow`.

    Returns:
        The flavour, the model, and the options to pack it with.

    Raises:
        PackError: the model has no flavour that can be packed, or its files cannot be read.
        TrustError: the model needs more than `trust`.
        MissingLibrary: a library that reads it is not installed.
    """
    flavor = next((name for name in FLAVORS if name in directory.flavors), None)
    if flavor is None or (flavor == PYFUNC and _wraps_library(directory)):
        raise PackError(_refusal(directory))
    settings = directory.flavors[flavor]
    if flavor == PYFUNC:
        return flavor, open_pyfunc(directory, signature, trust=trust), {}
    if flavor not in ("sklearn", *MODEL_RUNTIMES):
        raise PackError(f"this version of Fourfold has no runtime for the flavour {flavor}")
    if flavor == "sklearn":
        opened, options = _sklearn(directory, settings, trust)
        return flavor, opened, {**_methods(directory), **options}
    return flavor, _library(directory, flavor, settings, trust), {}


def _wraps_library(directory: ModelDirectory) -> bool:
    """Return whether the Python function only wraps a library's model, which then has a flavour of its own."""
    module = str(directory.flavors[PYFUNC].get("loader_module", ""))
    return module.startswith("mlflow.") and not module.startswith("mlflow.pyfunc")


def _refusal(directory: ModelDirectory) -> str:
    """Build the error for a model without a flavour that can be packed."""
    flavors = ", ".join(sorted(map(str, directory.flavors)))
    text = f"the model {directory.path} has the flavours {flavors}; expected one of {', '.join(FLAVORS)}"
    if any(name in directory.flavors for name in _NETWORKS):
        return f"{text}. Export a network as an ONNX file: --from onnx FILE --expect ROWS (docs/packing.md)"
    return f"{text}. Load it where it was trained, and pack it with fourfold.pack"


def _sklearn(
    directory: ModelDirectory, settings: Mapping[str, Any], trust: Level | None
) -> tuple[OpenedModel, dict[str, Any]]:
    """Open an estimator, with the code that the model brings, and return it with the options to pack it with."""
    path = directory.file(settings.get("pickled_model") or settings.get("model_path") or "model.pkl", "its estimator")
    form = str(settings.get("serialization_format") or "pickle")
    files = read_code_paths(directory, {**directory.flavors.get(PYFUNC, {}), **settings})
    if not files:
        return _estimator(path, form, trust), {}
    if form != "skops":
        code = PackageCode(files)
        return _estimator(path, form, trust, code), {"code": code}
    try:
        return _estimator(path, form, "foreign" if trust == "code" else trust), {}
    except TrustError as error:
        if trust != "code":
            raise
        raise PackError(
            f"{error}; and skops finds classes by import alone, not in the model's own code: log it with "
            "serialization_format='cloudpickle'"
        ) from error


def _estimator(path: Any, form: str, trust: Level | None, code: PackageCode | None = None) -> OpenedModel:
    if form == "skops":
        return open_model("skops", path, trust=trust or "foreign")
    if form not in ("pickle", "cloudpickle"):
        raise PackError(f"{path} has the serialization format {shorten(form)}; expected pickle, cloudpickle or skops")
    if trust not in (None, "code"):
        raise TrustError(
            f"{path} is a pickle, which runs its maker's code when it is loaded. If you know where the model comes "
            "from, allow it: trust='code', or --trust code on the command line"
        )
    return open_model("estimator", path, code=code)


def _library(directory: ModelDirectory, flavor: str, settings: Mapping[str, Any], trust: Level | None) -> OpenedModel:
    path = directory.file(settings.get("data") or settings.get("model_binary") or _DEFAULT_FILES[flavor], "its model")
    kind = str(settings.get("model_class") or settings.get("model_type") or "").rpartition(".")[2]
    if flavor == "lightgbm" and kind not in ("", "Booster"):
        return _estimator(path, str(settings.get("serialization_format") or "cloudpickle"), trust)
    if flavor == "xgboost":
        return open_model(flavor, path, kind=kind or "Booster")
    if flavor == "catboost":
        return open_model(flavor, path, form=str(settings.get("save_format") or "cbm"), kind=kind or None)
    return open_model(flavor, path)


def _methods(directory: ModelDirectory) -> dict[str, Any]:
    """Return the option `methods` where MLflow calls another method than `predict`."""
    from fourfold.runtimes.sklearn.methods import METHODS  # imports scikit-learn, which other flavours do not need

    method = directory.flavors.get(PYFUNC, {}).get("predict_fn")
    return {"methods": (method,)} if method in METHODS and method != "predict" else {}
