"""An estimator as bytes: a skops file where one can hold it, otherwise a pickle."""

from __future__ import annotations

import io
import pickle
import sys
from dataclasses import dataclass, replace
from typing import Any

from fourfold.errors import CorruptPackage, PackageError, PackError, shorten
from fourfold.runtimes.sklearn import skops_file
from fourfold.runtimes.sklearn.inspection import check_bounds, set_one_thread
from fourfold.runtimes.sklearn.methods import CLOSE, Asked
from fourfold.runtimes.threads import OneThread

__all__ = ["PICKLE", "SKOPS", "Stored", "restore", "store"]

#: The names of the two files.
SKOPS, PICKLE = "model.skops", "model.pickle"


@dataclass(frozen=True)
class Stored:
    """The model's file.

    Attributes:
        file: its name.
        data: its bytes.
        reasons: why it is a pickle, or what else a person should know about it.
        gap: how far its answers are from the original's.
    """

    file: str
    data: bytes
    reasons: tuple[str, ...]
    gap: float


def store(model: Any, rows: Any, asked: Asked, guard: OneThread) -> Stored:
    """The model in the form that a host needs to trust least, of those that give the same bits when loaded again.

    Args:
        model: the estimator.
        rows: the container that it was asked about.
        asked: what it answered.
        guard: holds it to one thread.

    Raises:
        PackError: neither form holds it, or gives its answers again.
    """
    skops = _as_skops(model, rows, asked, guard)
    if isinstance(skops, Stored) and not skops.gap:
        return skops
    reason = skops if isinstance(skops, str) else "its answers differ once it is loaded again"
    pickled = _as_pickle(model, rows, asked, guard, reason)
    if not pickled.gap:
        return pickled
    # Neither keeps the memory order of the model's arrays, say, which a BLAS notices in the last bits.
    best = skops if isinstance(skops, Stored) and skops.gap <= pickled.gap else pickled
    if best.gap > CLOSE:
        raise PackError(f"the {type(model).__name__} gives other answers once it is stored and loaded again")
    note = f"loaded again, its answers differ from the original's by a relative gap of up to {best.gap:.1e}"
    return replace(best, reasons=(*best.reasons, note))


def _as_skops(model: Any, rows: Any, asked: Asked, guard: OneThread) -> Stored | str:
    """The model as a skops file, or why there is none."""
    try:
        data = skops_file.dumps(model)
        if refused := skops_file.refused(data):
            return f"it has {', '.join(refused)}"
        return Stored(SKOPS, data, (), asked.gap(restore(SKOPS, data), rows, guard))
    # skops walks through whatever the estimator holds, so anything can go wrong; pickle is tried next.
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {shorten(str(error), 200)}"


class _Unpickler(pickle.Unpickler):
    """Loads a pickle and remembers what it imports."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.names: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.names.add((module, name))
        return super().find_class(module, name)


def _as_pickle(model: Any, rows: Any, asked: Asked, guard: OneThread, reason: str) -> Stored:
    try:
        data = pickle.dumps(model, protocol=5)
        loader = _Unpickler(data)
        copy = loader.load()
    # Whatever `__getstate__` and `__setstate__` of anybody's classes raise.
    except Exception as error:
        raise PackError(
            f"the {type(model).__name__} cannot be stored: skops: {reason}; pickle: {error}. Lambdas and functions "
            "inside of functions cannot be; put them at the top of a module"
        ) from error
    here = sorted(name for module, name in loader.names if module in ("__main__", "__mp_main__"))
    if here:
        raise PackError(f"{', '.join(here)} is defined in __main__, which no other process has: put it in a module")
    set_one_thread(copy)
    apart = asked.gap(copy, rows, guard)
    roots = {module.partition(".")[0] for module, _ in loader.names}
    foreign = sorted(roots - set(sys.stdlib_module_names) - {"joblib", "numpy", "pandas", "scipy", "sklearn"})
    needs = (f"it needs the modules {', '.join(foreign)}",) if foreign else ()
    return Stored(PICKLE, data, (reason, *needs), apart)


def restore(file: str, data: bytes) -> Any:
    """The estimator in a file, with one thread; a pickle only for a host that trusts it.

    Raises:
        TrustError: a skops file holds types that no host allows.
        CorruptPackage: it is not what `store` wrote.
        PackageError: it needs a module that is not installed here.
    """
    if file == PICKLE:
        model = _unpickled(data)
    else:
        model = skops_file.loads(data)
        check_bounds(model)
    set_one_thread(model)
    return model


def _unpickled(data: bytes) -> Any:
    try:
        return pickle.loads(data)  # noqa: S301 - the caller has made sure of the host's trust
    except ModuleNotFoundError as error:
        raise PackageError(f"the model needs the module {error.name}, which is not installed here") from error
    except Exception as error:
        raise CorruptPackage(f"the pickle cannot be loaded: {type(error).__name__}: {error}") from error
