"""Models from files, for the command line: each kind is read by the library that wrote it."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fourfold.errors import PackError, shorten
from fourfold.runtimes import runtime
from fourfold.runtimes.sklearn.estimator_file import open_pickle, open_skops

__all__ = ["KINDS", "Opened", "columns_of", "open_model"]

#: The kinds of files, and `function` for what can be imported.
KINDS = ("estimator", "skops", "onnx", "lightgbm", "xgboost", "catboost", "function")


@dataclass(frozen=True)
class Opened:
    """A model from a file.

    Attributes:
        model: the model, ready for `pack`.
        notes: what a person should know about it.
    """

    model: Any
    notes: tuple[str, ...] = ()


def open_model(kind: str, source: str | Path, /, *, trust: bool = True, **options: Any) -> Opened:
    """The model of a file, or the function of an import path.

    Args:
        kind: one of `KINDS`.
        source: a path; `module:name` for a function, looked for in the working folder first.
        trust: whether a file may run its maker's code when it is loaded; a pickle does, whatever it holds.
        options: what that kind takes, such as the class that XGBoost's file is of.

    Raises:
        PackError: the file is not of this kind, or there is no such function.
        TrustError: the file needs trust that it is not given.
        MissingLibrary: what reads it is not installed.
    """
    if kind == "estimator":
        return Opened(*open_pickle(Path(source)))
    if kind == "skops":
        return Opened(*open_skops(Path(source), trust=trust))
    if kind == "function":
        return Opened(_function(str(source)))
    module: Any = runtime(kind)
    return Opened(*module.open_model(Path(source), **options))


def columns_of(model: Any) -> tuple[str, ...]:
    """The names of the columns that a model was trained with, where it knows them."""
    # An estimator's, and CatBoost's; a booster's of XGBoost, and of LightGBM, which has a method.
    names: Any = None
    for name in ("feature_names_in_", "feature_names_", "feature_names"):
        names = getattr(model, name, None) if names is None else names
    if names is None and callable(getattr(model, "feature_name", None)):
        names = model.feature_name()
    names = names.tolist() if hasattr(names, "tolist") else names
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        return ()
    # What LightGBM calls the columns of an array, and CatBoost.
    made = ([f"Column_{place}" for place in range(len(names))], [str(place) for place in range(len(names))])
    return () if list(names) in made else tuple(names)


def _function(path: str) -> Any:
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise PackError(f"expected a function as module:name; got {shorten(path)}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise PackError(f"cannot import {path}: {error}") from error
    return found() if isinstance(found, type) else found
