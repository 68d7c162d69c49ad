"""Compare the versions of the libraries that an MLflow model was made with to those installed here."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from fourfold.packing.mlflow.directory import ModelDirectory
from fourfold.runtimes.engine import installed_version

__all__ = ["differing_versions"]

#: A distribution pinned to one version, as MLflow writes it: extras, a marker or a comment may follow.
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*===?\s*([A-Za-z0-9.!+_-]+)\s*(?:[;#].*)?")
#: The flavours' keys for the version of their library, with the library's distribution.
_VERSION_KEYS = {
    "catboost_version": "catboost",
    "lgb_version": "lightgbm",
    "onnx_version": "onnx",
    "sklearn_version": "scikit-learn",
    "xgb_version": "xgboost",
}
#: Distributions that the packed model does not import, or that do not influence its answers.
_IGNORED = {"cloudpickle", "mlflow", "mlflow-skinny", "mlflow-tracing", "pip", "setuptools", "wheel", "onnx"}


def differing_versions(directory: ModelDirectory) -> dict[str, tuple[str, str]]:
    """Return the libraries that are installed here in another version than the model's.

    A library that is not installed is left out: a model's list often holds more than it needs, and loading the model
    names what is missing.

    Returns:
        By the distribution's name, the model's version and the installed one.
    """
    differing = {}
    for name, version in sorted(_pinned(directory).items()):
        here = f"{sys.version_info.major}.{sys.version_info.minor}" if name == "python" else installed_version(name)
        if here is not None and here != version:
            differing[name] = (version, here)
    return differing


def _pinned(directory: ModelDirectory) -> dict[str, str]:
    """Return the exact versions that the model's flavours and lists name; a flavour overrides a list."""
    pins = dict(_listed(directory))
    for flavor in directory.flavors.values():
        pins |= {name: flavor[key] for key, name in _VERSION_KEYS.items() if isinstance(flavor.get(key), str)}
        version = flavor.get("python_version")
        if isinstance(version, str):
            pins["python"] = ".".join(version.split(".")[:2])
    return {name: version for name, version in pins.items() if name not in _IGNORED}


def _listed(directory: ModelDirectory) -> Iterator[tuple[str, str]]:
    """Yield the names and exact versions in `requirements.txt`, or else in `conda.yaml`."""
    entries: list[Any] = []
    if (directory.path / "requirements.txt").is_file():
        entries = directory.text("requirements.txt", "its requirements").splitlines()
    elif (directory.path / "conda.yaml").is_file():
        environment = directory.yaml("conda.yaml", "its environment")
        dependencies = environment.get("dependencies") if isinstance(environment, dict) else None
        for dependency in dependencies if isinstance(dependencies, list) else ():
            entries += dependency.get("pip") or [] if isinstance(dependency, dict) else []
    for entry in entries:
        match = _PIN.fullmatch(entry.strip()) if isinstance(entry, str) else None
        if match is not None:
            name = re.sub(r"[-_.]+", "-", match[1]).lower()
            # `xgboost-cpu` is the same library, built without GPUs.
            yield name.removesuffix("-cpu"), match[2]
