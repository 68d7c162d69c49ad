"""Models from files, for the command line: each kind is read by the library that wrote it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from fourfold.errors import MissingLibrary, PackError, cut
from fourfold.runtimes import runtime

__all__ = ["KINDS", "open_model"]

#: The kinds of files, and `function` for what can be imported.
KINDS = ("estimator", "onnx", "lightgbm", "xgboost", "function")


def open_model(kind: str, source: str | Path) -> Any:
    """The model of a file, or the function of an import path, ready for `pack`.

    Args:
        kind: one of `KINDS`.
        source: a path; `module:name` for a function, looked for in the working folder first.

    Raises:
        PackError: the file is not of this kind, or there is no such function.
        MissingLibrary: what reads it is not installed.
    """
    if kind == "estimator":
        return _estimator(Path(source))
    if kind == "function":
        return _function(str(source))
    module: Any = runtime(kind)
    return module.open_model(Path(source))


def _estimator(path: Path) -> Any:
    try:
        import joblib
    except ModuleNotFoundError as error:
        raise MissingLibrary("joblib", extra="sklearn", purpose="reading an estimator") from error
    try:
        # Whoever names the file on the command line trusts it: the help says that this runs it.
        return joblib.load(path)
    except ModuleNotFoundError as error:
        raise PackError(f"the estimator in {path} needs the module {error.name}, which is not here") from error
    except Exception as error:  # unpickling runs code, which may raise anything
        raise PackError(
            f"{path} is no estimator in a joblib or pickle file: {type(error).__name__}: {cut(str(error), 200)}"
        ) from error


def _function(path: str) -> Any:
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise PackError(f"expected a function as module:name; got {cut(path)}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise PackError(f"cannot import {path}: {error}") from error
    return found() if isinstance(found, type) else found
