"""Read models from files for the command line, each with the library that wrote it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from fourfold.durable.reading import check_size, open_file
from fourfold.errors import PackError, shorten
from fourfold.package.levels import Level, allows, parse_level
from fourfold.runtimes import by_name
from fourfold.runtimes.engine import OpenedModel
from fourfold.runtimes.file_kinds import describe_other_kind
from fourfold.runtimes.networks import way_to_pack
from fourfold.runtimes.sklearn.estimator_file import open_pickle, open_skops

__all__ = ["KINDS", "OpenedModel", "open_model", "trained_columns"]

#: The kinds of files, and `function` for a function that is imported.
KINDS = ("estimator", "skops", "onnx", "lightgbm", "xgboost", "catboost", "function")


def open_model(kind: str, source: str | Path, /, *, trust: Level = "foreign", **options: Any) -> OpenedModel:
    """Return the model of a file, or the function of an import path.

    Args:
        kind: one of `KINDS`.
        source: a path; for a function `module:name`, searched in the working folder first.
        trust: `code` where a skops file may hold classes and functions that Fourfold does not know. To name another
            kind is to trust it: a pickle and a function run code.
        options: the options of that kind, such as the class of the estimator in XGBoost's file, or the `code` in
            which a pickle finds its classes first.

    Raises:
        PackError: the file is not of this kind, or there is no such function.
        TrustError: a skops file holds what `trust` does not cover.
        MissingLibrary: a library that reads the file is not installed.
    """
    if kind == "function":
        return OpenedModel(_function(str(source)))
    path = Path(source)
    _check_file(path)
    try:
        if kind == "estimator":
            return _open_pickle(path, **options)
        if kind == "skops":
            return open_skops(path, any_types=allows(parse_level(trust, "trust"), "code"))
        module: Any = by_name(kind)
        opened: OpenedModel = module.open_model(path, **options)
    except PackError as error:
        other = describe_other_kind(path, kind)
        if not other:
            raise
        raise type(error)(f"{error}{other}") from error
    return opened


def _open_pickle(path: Path, **options: Any) -> OpenedModel:
    """Return the model of a pickle; where there is none and a network's file has such a name, say what packs that."""
    try:
        return open_pickle(path, **options)
    except PackError as error:
        way = way_to_pack(path)
        if way is None:
            raise
        raise PackError(f"{path} holds no estimator in a joblib or pickle file. {way[0].upper()}{way[1:]}") from error


def trained_columns(model: Any) -> tuple[str, ...]:
    """Return the names of the columns that a model was trained with; none where it does not know them."""
    names: Any = None
    # Attributes of scikit-learn's estimators, of CatBoost's, and of XGBoost's boosters; LightGBM's have a method.
    for name in ("feature_names_in_", "feature_names_", "feature_names"):
        names = getattr(model, name, None) if names is None else names
    if names is None and callable(getattr(model, "feature_name", None)):
        names = model.feature_name()
    names = names.tolist() if hasattr(names, "tolist") else names
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        return ()
    # The names that LightGBM and CatBoost give to the columns of an array.
    array_names = ([f"Column_{index}" for index in range(len(names))], [str(index) for index in range(len(names))])
    return () if list(names) in array_names else tuple(names)


def _check_file(path: Path) -> None:
    """Check that a model's file is a regular file that may be read, before a library opens it.

    Raises:
        PackError: it is not there, a named pipe, a device or a folder, or longer than any file may be.
    """
    try:
        with open_file(path) as file:
            check_size(file.fileno(), None, path)
    except OSError as error:
        raise PackError(f"{path} cannot be read: {error.strerror or error}") from error


def _function(path: str) -> Any:
    """Return a function, or an object of a class, by its import path."""
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise PackError(f"expected a function as module:name; got {shorten(path)}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        target: Any = importlib.import_module(module)
        for part in name.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError) as error:
        raise PackError(f"cannot import {path}: {error}") from error
    return target() if isinstance(target, type) else target
