"""Stage an output and publish it: readers see all of it or nothing, even if the process dies at any moment.

All other files of a run are in the folder `_fourfold` beside the output: the file in progress, the lock of the run that
writes it, and afterwards the report and the quarantine. Readers that follow Hive's convention (pyarrow, pandas, Spark,
Trino) skip folders whose names begin with an underscore, and a glob such as `*.parquet` matches nothing in it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from fourfold.batch.job import WORK_FOLDER
from fourfold.durable.files import sync_file, sync_folder
from fourfold.durable.locks import describe_holder, take_lock, unlock_and_remove
from fourfold.errors import OutputExists, SinkError

__all__ = ["Staging", "refuse_existing"]

_LOCK_SUFFIX = ".lock"
_STAGING_SUFFIX = ".staging"

# How often a run asks for the lock, and how long it waits in between, before it reports that another run has it.
_LOCK_ATTEMPTS = 10
_LOCK_RETRY_S = 0.05


def refuse_existing(target: Path, *, replace: bool) -> None:
    """Refuse a target that exists, or that is a folder.

    Raises:
        OutputExists: it exists and may not be replaced.
        SinkError: it is a folder.
    """
    if target.is_dir():
        raise SinkError(f"{target} is a folder; expected the path of a file to write")
    if os.path.lexists(target) and not replace:
        raise OutputExists(
            f"{target} exists; remove it, name another output, or say that it may be replaced (replace=True, --replace)"
        )


class Staging:
    """Lock a file for writing, and provide a folder on its filesystem to write it in, out of readers' sight.

    It is a context manager. Entering takes a lock, which the system frees when the process dies in any way, and removes
    what dead runs have left beside the target. Leaving removes all files that were not published.

    Args:
        target: the file to be published. Its folder is made where it is missing.

    Raises:
        SinkError: another run is writing the target, or its folder cannot be written to.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._work_folder = target.parent / WORK_FOLDER
        self._folder = self._work_folder / (target.name + _STAGING_SUFFIX)
        self._lock_path = self._work_folder / (target.name + _LOCK_SUFFIX)
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            with _as_sink_error(self.target):
                self._lock = self._take_lock()
                _remove_leftovers(self._work_folder, self.target.name)
                _remove(self._folder)
                self._folder.mkdir(mode=0o700)  # nobody else can put a link where a file will be written
        except BaseException:
            self._release_lock()
            raise
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _as_sink_error(self.target):
            try:
                _remove(self._folder)
            finally:
                self._release_lock()

    def _take_lock(self) -> int:
        # Another run may hold the lock for a moment, while it removes leftovers, and may remove the empty folder
        # between `mkdir` and `take_lock`.
        for _ in range(_LOCK_ATTEMPTS):
            self._work_folder.mkdir(parents=True, exist_ok=True)
            if self._work_folder.is_symlink():
                raise SinkError(
                    f"{self.target} cannot be written: {self._work_folder}, where a run keeps its lock and reports, "
                    "is a symbolic link, and outputs are not written through links; remove it"
                )
            try:
                lock = take_lock(self._lock_path)
            except FileNotFoundError:
                continue
            if lock is not None:
                return lock
            time.sleep(_LOCK_RETRY_S)
        raise SinkError(
            f"another run is writing {self.target} ({describe_holder(self._lock_path)} holds its lock); wait for its "
            "end, or name another output"
        )

    def _release_lock(self) -> None:
        if self._lock is not None:
            unlock_and_remove(self._lock, self._lock_path)
            self._lock = None
            _remove_empty(self._work_folder)

    def path(self, name: str) -> Path:
        """Return the path at which a file is written until it is published."""
        return self._folder / name

    def write(self, name: str, data: bytes) -> Path:
        """Write a small file to the staging folder, and return its path.

        Raises:
            SinkError: it cannot be written.
        """
        with _as_sink_error(self.target):
            self.path(name).write_bytes(data)
        return self.path(name)

    def publish(self, staged: Path, target: Path, *, replace: bool) -> None:
        """Give a staged file its public name, atomically and durably.

        Args:
            staged: a complete file in the staging folder.
            target: its public path, on the same filesystem.
            replace: whether to replace an existing file; otherwise it is an error.

        Raises:
            OutputExists: a file has appeared at `target` meanwhile.
            SinkError: the system refuses.
        """
        with _as_sink_error(target):
            sync_file(staged)
            if replace:
                staged.replace(target)
            else:
                _link(staged, target)
            sync_folder(target.parent)

    def is_published(self, staged: Path, target: Path) -> bool:
        """Return whether a staged file has been linked to its public path."""
        return staged.exists() and target.exists() and staged.samefile(target)

    def unpublish(self, target: Path) -> None:
        """Remove a published file, if it exists.

        Raises:
            SinkError: the system refuses.
        """
        with _as_sink_error(target):
            target.unlink(missing_ok=True)
            if target.parent.exists():
                sync_folder(target.parent)


def _link(staged: Path, target: Path) -> None:
    # A rename would replace a file that appeared there meanwhile; a hard link fails.
    try:
        target.hardlink_to(staged)
    except FileExistsError:
        raise OutputExists(f"{target} came into being while the run was going on; nothing was replaced") from None
    except PermissionError as error:
        raise SinkError(
            f"{target} cannot be linked ({error.strerror}): its filesystem may have no hard links, which take a name "
            f"only where it is free; allow the output to be replaced, or write it elsewhere"
        ) from error


@contextmanager
def _as_sink_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        other = f" ({error.filename})" if error.filename and str(error.filename) != str(path) else ""
        raise SinkError(f"{path} cannot be written: {error.strerror or error}{other}") from error


def _remove_leftovers(work_folder: Path, own_name: str) -> None:
    """Remove the files that dead runs of other targets have left: those whose lock is free."""
    suffixes = (_LOCK_SUFFIX, _STAGING_SUFFIX)
    temporary = [path.name for path in work_folder.iterdir() if path.name.endswith(suffixes)]
    targets = {name.removesuffix(_STAGING_SUFFIX).removesuffix(_LOCK_SUFFIX) for name in temporary}
    for name in sorted(targets - {own_name}):
        lock_path = work_folder / (name + _LOCK_SUFFIX)
        lock = take_lock(lock_path)
        if lock is not None:
            _remove(work_folder / (name + _STAGING_SUFFIX))
            unlock_and_remove(lock, lock_path)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        # It may stay: it holds a report, a quarantine or another run's files, or another run has just removed it.
        return
