"""Estimators from the files of others: pickles, by whatever wrote them, and skops files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fourfold.errors import CorruptPackage, MissingLibrary, PackError, TrustError, shorten
from fourfold.runtimes.engine import installed

__all__ = ["open_pickle", "open_skops"]

#: Where the state of a scikit-learn estimator says which version it is of: a short text after that key.
_VERSION = re.compile(rb"_sklearn_version\x94?(?:\x8c.|X....)([0-9][0-9A-Za-z.+]*)", re.DOTALL)
#: The most bytes of a file that are looked through for it.
_HEAD = 64 * 2**20


def open_pickle(path: Path, what: str = "estimator") -> tuple[Any, tuple[str, ...]]:
    """What a pickle holds, of pickle, cloudpickle or joblib. Loading it runs its maker's code: ask for trust before.

    Args:
        path: the file.
        what: what is expected in it, for errors.

    Returns:
        The object, and what a person should know about it.

    Raises:
        PackError: it cannot be loaded; it says which module is missing, or which version wrote it.
        MissingLibrary: joblib is not installed.
    """
    try:
        import joblib
    except ModuleNotFoundError as error:
        raise MissingLibrary("joblib", extra="sklearn", purpose="reading an estimator") from error
    try:
        return _noted(lambda: joblib.load(path))
    except ModuleNotFoundError as error:
        if error.name == "cloudpickle":
            raise MissingLibrary("cloudpickle", extra="mlflow", purpose=f"reading {path}") from error
        advice = _written_by(path) or ". Make it importable (PYTHONPATH), here and where the package will run"
        raise PackError(f"the {what} in {path} needs the module {error.name}, which is not here{advice}") from error
    except (AttributeError, ImportError) as error:
        # A class that is not where it was: another version of its library, or a script's that this process has not run.
        where = (
            "; what a script or notebook defines goes into a module" if "__main__" in str(error) else _written_by(path)
        )
        raise PackError(f"the {what} in {path} cannot be loaded: {shorten(str(error), 200)}{where}") from error
    except Exception as error:  # unpickling runs code, which may raise anything
        raise PackError(
            f"{path} is no {what} in a joblib or pickle file: {type(error).__name__}: {shorten(str(error), 200)}"
            f"{_written_by(path)}"
        ) from error


def open_skops(path: Path, *, trust: bool) -> tuple[Any, tuple[str, ...]]:
    """The estimator of a skops file.

    Args:
        path: the file.
        trust: whether classes and functions may be built that Fourfold does not know.

    Raises:
        PackError: it cannot be loaded.
        TrustError: it has classes or functions that Fourfold does not know, and `trust` is not given.
        MissingLibrary: skops is not installed.
    """
    try:
        from fourfold.runtimes.sklearn import skops_file
    except ModuleNotFoundError as error:
        raise MissingLibrary(error.name or "skops", extra="sklearn", purpose="reading a skops file") from error
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PackError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return _noted(lambda: skops_file.loads_trusted(data) if trust else skops_file.loads(data))
    except TrustError as error:
        raise TrustError(
            f"{path}: {error}. If you know where it comes from, allow it: trust=True, or --trust on the command line"
        ) from error
    except CorruptPackage as error:
        raise PackError(f"{path}: {error}") from error


def _noted(load: Callable[[], Any]) -> tuple[Any, tuple[str, ...]]:
    """What is loaded, and the warnings that came with it, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = load()
    texts = []
    for warning in caught:
        original = getattr(warning.message, "original_sklearn_version", None)
        current = getattr(warning.message, "current_sklearn_version", None)
        if original is not None:
            texts.append(f"the model was written by scikit-learn {original}; scikit-learn {current} reads it here")
        elif not issubclass(warning.category, DeprecationWarning):
            texts.append(" ".join(str(warning.message).split()))
    return found, tuple(dict.fromkeys(texts))


def _written_by(path: Path) -> str:
    """Which version of scikit-learn wrote a pickle, where it says so and another one is here."""
    try:
        with path.open("rb") as file:
            match = _VERSION.search(file.read(_HEAD))
    except OSError:
        return ""
    written = match[1].decode("ascii") if match else ""
    here = installed("scikit-learn")
    if not written or here is None or written == here:
        return ""
    return (
        f". It was written by scikit-learn {written}, and {here} is here: a library of another version than the "
        f"model's. Pack it where scikit-learn {written} is installed, or train and write it anew with {here}"
    )
