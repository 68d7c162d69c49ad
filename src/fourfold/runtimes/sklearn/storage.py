"""Store an estimator as a skops file where skops can hold it, otherwise as a pickle, and restore it."""

from __future__ import annotations

import io
import pickle
import sys
from dataclasses import dataclass, replace
from typing import Any

from fourfold.errors import CorruptPackage, PackageError, PackError, shorten
from fourfold.runtimes.sklearn import skops_file
from fourfold.runtimes.sklearn.inspection import set_one_thread
from fourfold.runtimes.sklearn.methods import ROUNDING_GAP, OriginalAnswers
from fourfold.runtimes.threads import ThreadGuard

__all__ = ["PICKLE", "SKOPS", "StoredModel", "restore", "store"]

#: The names of the files in a package.
SKOPS, PICKLE = "model.skops", "model.pickle"


@dataclass(frozen=True)
class StoredModel:
    """Hold the file of a model.

    Attributes:
        file: the file's name.
        data: the file's bytes.
        reasons: why the file is a pickle, and what else the user should know about it.
        gap: the relative gap between the answers of the stored model and of the original.
    """

    file: str
    data: bytes
    reasons: tuple[str, ...]
    gap: float


def store(model: Any, rows: Any, original: OriginalAnswers, guard: ThreadGuard) -> StoredModel:
    """Return the model as a skops file if that gives the same bits once it is loaded again, otherwise as a pickle.

    Args:
        model: the estimator.
        rows: the rows that it was asked about, in the container that it takes.
        original: its answers.
        guard: holds the estimator to one thread.

    Raises:
        PackError: neither file holds the model, or gives its answers again.
    """
    skops = _as_skops(model, rows, original, guard)
    if isinstance(skops, StoredModel) and not skops.gap:
        return skops
    reason = skops if isinstance(skops, str) else "its answers differ once it is loaded again"
    pickled = _as_pickle(model, rows, original, guard, reason)
    if not pickled.gap:
        return pickled
    # For example, neither keeps the memory order of the model's arrays, on which the last bits of a BLAS depend.
    best = skops if isinstance(skops, StoredModel) and skops.gap <= pickled.gap else pickled
    if best.gap > ROUNDING_GAP:
        raise PackError(f"the {type(model).__name__} gives other answers once it is stored and loaded again")
    note = f"loaded again, its answers differ from the original's by a relative gap of up to {best.gap:.1e}"
    return replace(best, reasons=(*best.reasons, note))


def _as_skops(model: Any, rows: Any, original: OriginalAnswers, guard: ThreadGuard) -> StoredModel | str:
    """Return the model as a skops file, or the reason why it cannot be one."""
    try:
        data = skops_file.dumps(model)
        if refused_names := skops_file.refused_names(data):
            return f"it has {', '.join(refused_names)}"
        return StoredModel(SKOPS, data, (), original.gap(restore(SKOPS, data), rows, guard))
    # skops walks through everything that the estimator holds, and may raise anything; pickle is tried next.
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {shorten(str(error), 200)}"


class _Unpickler(pickle.Unpickler):
    """Load a pickle, and remember the names that it imports."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.names: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.names.add((module, name))
        return super().find_class(module, name)


def _as_pickle(model: Any, rows: Any, original: OriginalAnswers, guard: ThreadGuard, reason: str) -> StoredModel:
    """Return the model as a pickle, with the reason why it is none of skops."""
    try:
        data = pickle.dumps(model, protocol=5)
        loader = _Unpickler(data)
        copy = loader.load()
    # `__getstate__` and `__setstate__` of the user's classes may raise anything.
    except Exception as error:
        raise PackError(
            f"the {type(model).__name__} cannot be stored: skops: {reason}; pickle: {error}. Lambdas and functions "
            "inside of functions cannot be; put them at the top of a module"
        ) from error
    script_names = sorted(name for module, name in loader.names if module in ("__main__", "__mp_main__"))
    if script_names:
        raise PackError(
            f"{', '.join(script_names)} is defined in __main__, which no other process has: put it in a module"
        )
    set_one_thread(copy)
    gap = original.gap(copy, rows, guard)
    roots = {module.partition(".")[0] for module, _ in loader.names}
    other_modules = sorted(roots - set(sys.stdlib_module_names) - {"joblib", "numpy", "pandas", "scipy", "sklearn"})
    needs = (f"it needs the modules {', '.join(other_modules)}",) if other_modules else ()
    return StoredModel(PICKLE, data, (reason, *needs), gap)


def restore(file: str, data: bytes) -> Any:
    """Return the estimator in a file, set to one thread. A pickle runs code: the caller checks the host's trust.

    Raises:
        TrustError: a skops file holds types that no host allows.
        CorruptPackage: the file is not what `store` wrote.
        PackageError: the estimator needs a module that is not installed.
    """
    model = _unpickled(data) if file == PICKLE else skops_file.loads(data)
    try:
        set_one_thread(model)
    except Exception as error:  # an estimator that lacks a parameter cannot say which it has
        raise CorruptPackage(f"the model lacks a parameter: {type(error).__name__}: {error}") from error
    return model


def _unpickled(data: bytes) -> Any:
    try:
        return pickle.loads(data)  # noqa: S301 - the caller has checked the host's trust
    except ModuleNotFoundError as error:
        raise PackageError(f"the model needs the module {error.name}, which is not installed here") from error
    except Exception as error:
        raise CorruptPackage(f"the pickle cannot be loaded: {type(error).__name__}: {error}") from error
