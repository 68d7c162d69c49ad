"""Pickle predictors by where their package lies, and load them again where they are unpickled.

A pickle holds the place of the package, its digest, and the level of trust that the load asked for. It grants nothing:
the host that unpickles decides as for a load that names no level, and the level in the pickle only narrows that.
"""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from functools import partial
from pickle import PicklingError
from typing import Any

from fourfold.errors import FourfoldError, PackageError
from fourfold.loading.granted import LocatedPackage, load_granted
from fourfold.loading.trust import find_grant
from fourfold.package import Package, open_package
from fourfold.package.levels import Level, allows, parse_level
from fourfold.predictor import Predictor

__all__ = ["reduce", "unpickle"]

#: The most unpickled predictors that a process keeps: a pool sends the same one with every task.
MAX_KEPT_PREDICTORS = 4

#: Those that were unpickled last, by what identifies them; the last one is the newest.
_kept: dict[tuple[object, ...], Predictor] = {}
_lock = threading.Lock()


def reduce(predictor: Predictor, *, asked: Level | None) -> tuple[Any, ...]:
    """Return how another process loads a predictor again, as `object.__reduce__` does.

    Args:
        predictor: the predictor.
        asked: the level of trust that its load asked for, `None` if it named none.

    Raises:
        PicklingError: its package lies nowhere but in this process.
    """
    package = predictor.package
    repository, path = package.repository, package.path
    if repository is not None and repository.startswith("memory://"):
        repository = None
    if repository is None and path is None:
        raise PicklingError(
            f"the predictor {package.name} is pickled by where its package lies, and that is only in this process "
            f"({package.repository or 'in memory'}): save it first, package.save('{package.name}.fourfold'), or push "
            "it, fourfold.push(package, repository=…), to a folder or a bucket that the other process reaches, too"
        )
    # A repository goes before a path: other machines reach it more often.
    arguments = (package.name, package.digest, predictor.version, repository, None if repository else path, asked)
    return unpickle, arguments


def unpickle(
    name: str, digest: str, version: int | None, repository: str | None, path: str | None, asked: Level | None
) -> Predictor:
    """Load a pickled predictor again; the host's trust is asked each time, the engine is loaded once.

    Args:
        name: the model's name.
        digest: the package's digest.
        version: its version in a repository, to show.
        repository: the folder or URL of its repository, or `None`.
        path: its path where it has no repository.
        asked: the level of trust that its load asked for: no more is granted, and perhaps less.

    Raises:
        NotFound, SourceError: the package is not where it was.
        PackageError: another package is there, or it cannot be used here; see `load`.
        TrustError: the package needs more than this host grants; nothing of it was read.
    """
    try:
        location = repository or path or ""
        package = _find(name, digest, repository, location)
        grant = find_grant(None, location, name, digest, is_call=False)
        if asked is not None and allows(grant.level, parse_level(asked, "the pickle")):
            grant = replace(grant, level=asked)
        key = (digest, location, version, grant.level, asked)
        with _lock:
            kept = _kept.pop(key, None)
            if kept is not None:
                _kept[key] = kept
                return kept
        located = LocatedPackage(package, version, location, is_path=repository is None)
        predictor = load_granted(located, grant, partial(reduce, asked=asked))
        with _lock:
            _kept[key] = predictor
            while len(_kept) > MAX_KEPT_PREDICTORS:
                del _kept[next(iter(_kept))]
        return predictor
    except FourfoldError as error:
        error.add_note(f"The predictor {name} was unpickled: a pickle holds where its package lies, not the package.")
        raise


def _find(name: str, digest: str, repository: str | None, location: str) -> Package:
    if repository is not None:
        from fourfold.repository import Repository

        return Repository.open(repository).pull(f"{name}@{digest}")
    package = open_package(location)
    if package.digest != digest:
        raise PackageError(
            f"{location} is no longer the package of the predictor that was pickled: expected {digest}, got "
            f"{package.digest}; load and pickle it anew, or put the package back"
        )
    return package


def _forget() -> None:
    """Keep nothing of the parent after a fork: its engines may have had threads, and its lock may be held."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    _kept.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
