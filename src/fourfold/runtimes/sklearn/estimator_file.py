"""Read estimators from files that Fourfold did not write: pickles and skops files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fourfold.errors import (
    CorruptPackage,
    PackageError,
    PackError,
    TrustError,
    missing_library,
    naming_missing_library,
    shorten,
)
from fourfold.runtimes.code import PackageCode
from fourfold.runtimes.engine import OpenedModel, installed_version

__all__ = ["open_pickle", "open_skops"]

#: The version in the pickled state of a scikit-learn estimator: a short string after its key.
_VERSION = re.compile(rb"_sklearn_version\x94?(?:\x8c.|X....)([0-9][0-9A-Za-z.+]*)", re.DOTALL)
#: How many bytes of a pickle are searched for the version.
_SEARCHED_BYTES = 64 * 2**20


def open_pickle(path: Path, *, code: PackageCode | None = None) -> OpenedModel:
    """Return the object in a file of pickle, cloudpickle or joblib. This runs its maker's code: ask for trust first.

    Args:
        path: the file; with `code` a file of pickle or cloudpickle, not of joblib.
        code: the code that comes with the file, where classes are found first.

    Raises:
        PackError: the object cannot be loaded; the message names the missing module, or the version that wrote it.
        MissingLibrary: joblib or cloudpickle is not installed.
    """
    with naming_missing_library(f"reading the estimator in {path}", extra="sklearn"):
        import joblib
    try:
        return _load_with_notes(lambda: joblib.load(path) if code is None else code.unpickle(path.read_bytes()))
    except PackageError as error:
        text = str(error).replace("the package's", "the model's").replace("the package", "the model")
        raise PackError(f"the estimator in {path} cannot be loaded with its own code: {text}") from error
    except ModuleNotFoundError as error:
        missing = missing_library(error, f"the estimator in {path}")
        if missing is not None:
            raise missing from error
        advice = _version_advice(path) or ". Make it importable (PYTHONPATH), here and where the package will run"
        raise PackError(f"the estimator in {path} needs the module {error.name}, which is not here{advice}") from error
    except (AttributeError, ImportError) as error:
        # The class is of another version of its library, or of a script that did not run in this process.
        advice = (
            "; what a script or notebook defines goes into a module"
            if "__main__" in str(error)
            else _version_advice(path)
        )
        raise PackError(f"the estimator in {path} cannot be loaded: {shorten(str(error), 200)}{advice}") from error
    except Exception as error:  # unpickling runs code, which may raise anything
        raise PackError(
            f"{path} is no estimator in a joblib or pickle file: {type(error).__name__}: {shorten(str(error), 200)}"
            f"{_version_advice(path)}"
        ) from error


def open_skops(path: Path, *, any_types: bool) -> OpenedModel:
    """Return the estimator in a skops file.

    Args:
        path: the file.
        any_types: whether the file may hold classes and functions that Fourfold does not know.

    Raises:
        PackError: the estimator cannot be loaded.
        TrustError: the file holds classes or functions that Fourfold does not know, and may not.
        MissingLibrary: skops is not installed.
    """
    with naming_missing_library("reading a skops file", extra="sklearn"):
        from fourfold.runtimes.sklearn import skops_file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PackError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return _load_with_notes(lambda: skops_file.loads_trusted(data) if any_types else skops_file.loads(data))
    except TrustError as error:
        raise TrustError(
            f"{path}: {error}. If you know where it comes from, allow it: trust='code', or --trust code on the command "
            "line"
        ) from error
    except CorruptPackage as error:
        raise PackError(f"{path}: {error}") from error


def _load_with_notes(load: Callable[[], Any]) -> OpenedModel:
    """Return what is loaded, with the warnings of loading as notes, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = load()
    notes = []
    for warning in caught:
        original = getattr(warning.message, "original_sklearn_version", None)
        current = getattr(warning.message, "current_sklearn_version", None)
        if original is not None:
            notes.append(f"the model was written by scikit-learn {original}; scikit-learn {current} reads it here")
        elif not issubclass(warning.category, DeprecationWarning):
            notes.append(" ".join(str(warning.message).split()))
    return OpenedModel(model, tuple(dict.fromkeys(notes)))


def _version_advice(path: Path) -> str:
    """Return advice for a pickle that another version of scikit-learn wrote than the installed one; "" otherwise."""
    try:
        with path.open("rb") as file:
            match = _VERSION.search(file.read(_SEARCHED_BYTES))
    except OSError:
        return ""
    written = match[1].decode("ascii") if match else ""
    installed = installed_version("scikit-learn")
    if not written or installed is None or written == installed:
        return ""
    return (
        f". It was written by scikit-learn {written}, and {installed} is here: a library of another version than the "
        f"model's. Pack it where scikit-learn {written} is installed, or train and write it anew with {installed}"
    )
