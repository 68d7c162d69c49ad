"""Check the repository that is named here, and the cache of a bucket's files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from fourfold.checks import Check
from fourfold.durable.checks import existing_folder, write_problem
from fourfold.errors import FourfoldError, NotFound, RepositoryError, counted
from fourfold.repository import conditional_writes
from fourfold.repository.cache import CACHE_VARIABLE, default_folder
from fourfold.repository.folder import FolderStore
from fourfold.repository.index import Index
from fourfold.repository.location import REPOSITORY_VARIABLE, default_url, open_store
from fourfold.repository.records import PROBE_KEY
from fourfold.repository.store import Store

__all__ = ["check_cache", "check_repository"]

#: How far the clock of a repository's folder, which another machine may have, can be from ours.
MAX_CLOCK_GAP_S = 60.0


def check_repository(location: str | None, *, read_only: bool) -> Iterator[Check]:
    """Yield whether a repository can be reached, read and written, and honours conditional writes.

    Args:
        location: the repository; `None` for that of the environment.
        read_only: whether nothing is written, for hosts that only load packages.
    """
    name = "repository"
    mend = f"export {REPOSITORY_VARIABLE}=/path/to/a/folder"
    if location is None and not os.environ.get(REPOSITORY_VARIABLE):
        yield Check(name, "note", f"none is named: every command needs --repository, or {REPOSITORY_VARIABLE}", mend)
        return
    try:
        store = open_store(default_url() if location is None else location)
    except FourfoldError as error:
        yield Check(name, "problem", str(error), mend if isinstance(error, RepositoryError) else "")
        return
    try:
        models = Index(store).models()
    except NotFound as error:
        yield Check(name, "problem", f"{error}; the first push makes it, if its name is right", mend)
        return
    except RepositoryError as error:
        yield Check(name, "problem", str(error))
        return
    versions = sum(len(model.versions) for model in models)
    yield Check(name, "ok", f"{store.url} holds {counted(len(models), 'model')}, {counted(versions, 'version')}")
    if read_only:
        yield Check(name, "note", "whether it can be written was not tried: --read-only")
    else:
        yield from _check_writes(store)


def _check_writes(store: Store) -> Iterator[Check]:
    try:
        conditional_writes.prove(store)
    except RepositoryError as error:
        text = f"{error}. Packages can be loaded from it; a host that never pushes says fourfold doctor --read-only"
        yield Check("repository", "problem", text)
        return
    yield Check("repository", "ok", "it can be written, and honours conditional writes")
    if isinstance(store, FolderStore):
        gap_s = (store.root / PROBE_KEY).stat().st_mtime - time.time()
        if abs(gap_s) > MAX_CLOCK_GAP_S:
            text = f"the clock of {store.url} is {abs(gap_s):,.0f} s {'ahead of' if gap_s > 0 else 'behind'} this one"
            yield Check("clock", "problem", text, "timedatectl set-ntp true")


def check_cache(*, is_needed: bool) -> Iterator[Check]:
    """Yield whether the cache can be written, and its size.

    Args:
        is_needed: whether the repository is a bucket; where it is none, a cache that cannot be written does no harm.
    """
    folder = default_folder()
    is_named = bool(os.environ.get(CACHE_VARIABLE))
    mend = f"export {CACHE_VARIABLE}=/path/to/a/folder"
    if folder is None:
        yield Check("cache", "problem" if is_needed else "note", "there is no home folder to keep a cache in", mend)
        return
    if os.path.lexists(folder) and not folder.is_dir():
        problem: str | None = "it is no folder"
    else:
        problem = write_problem(existing_folder(folder))
    if problem is not None:
        text = f"{folder} cannot be written, so a bucket's files are fetched each time: {problem}"
        yield Check("cache", "problem" if is_needed or is_named else "note", text, mend)
        return
    files, size_bytes = _size(folder)
    yield Check("cache", "ok", f"{folder}: {counted(files, 'file')}, {size_bytes / 2**20:,.1f} MiB")


def _size(folder: Path) -> tuple[int, int]:
    """Return how many files a folder holds, and their bytes."""
    files = size_bytes = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                size_bytes += (Path(parent) / name).lstat().st_size
            except FileNotFoundError:
                continue  # another process has removed it meanwhile
            files += 1
    return files, size_bytes
