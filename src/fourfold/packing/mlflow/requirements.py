"""The libraries that an MLflow model was made with, held against those that are here."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from fourfold.packing.mlflow.directory import Directory
from fourfold.runtimes.engine import installed_version

__all__ = ["differing"]

#: One exact version of a distribution, as MLflow writes it: with extras, and with a marker or a comment after it.
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*===?\s*([A-Za-z0-9.!+_-]+)\s*(?:[;#].*)?")
#: What flavours say of the library that made them, and the distribution that it is.
_FLAVORS = {
    "catboost_version": "catboost",
    "lgb_version": "lightgbm",
    "onnx_version": "onnx",
    "sklearn_version": "scikit-learn",
    "xgb_version": "xgboost",
}
#: Not imported by what Fourfold makes of the model, or of no influence on its answers.
_ASIDE = {"cloudpickle", "mlflow", "mlflow-skinny", "mlflow-tracing", "pip", "setuptools", "wheel", "onnx"}


def differing(directory: Directory) -> dict[str, tuple[str, str]]:
    """The libraries of which another version than the model's is here.

    What is not here at all is left out: a model's list often holds more than it needs, and what it needs it names when
    it is loaded.

    Returns:
        By the distribution's name, the model's version and the one that is here.
    """
    found = {}
    for name, version in sorted(_pinned(directory).items()):
        here = f"{sys.version_info.major}.{sys.version_info.minor}" if name == "python" else installed_version(name)
        if here is not None and here != version:
            found[name] = (version, here)
    return found


def _pinned(directory: Directory) -> dict[str, str]:
    """The exact versions that the model's lists and flavours name; a flavour's word goes before a list's."""
    pins = dict(_lines(directory))
    for flavor in directory.flavors.values():
        pins |= {name: flavor[key] for key, name in _FLAVORS.items() if isinstance(flavor.get(key), str)}
        version = flavor.get("python_version")
        if isinstance(version, str):
            pins["python"] = ".".join(version.split(".")[:2])
    return {name: version for name, version in pins.items() if name not in _ASIDE}


def _lines(directory: Directory) -> Iterator[tuple[str, str]]:
    entries: list[Any] = []
    if (directory.path / "requirements.txt").is_file():
        entries = directory.text("requirements.txt", "its requirements").splitlines()
    elif (directory.path / "conda.yaml").is_file():
        listed = directory.yaml("conda.yaml", "its environment")
        wanted = listed.get("dependencies") if isinstance(listed, dict) else None
        for each in wanted if isinstance(wanted, list) else ():
            entries += each.get("pip") or [] if isinstance(each, dict) else []
    for entry in entries:
        match = _PIN.fullmatch(entry.strip()) if isinstance(entry, str) else None
        if match is not None:
            name = re.sub(r"[-_.]+", "-", match[1]).lower()
            # The build of it for processors alone is the same library.
            yield name.removesuffix("-cpu"), match[2]
