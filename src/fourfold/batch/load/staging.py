"""Loading: an output that is there whole or not at all, whenever the process dies.

Everything but the output itself lives in the folder `_fourfold` beside it: what is being written, the lock that says
who writes it, and afterwards the run's report and quarantine. Readers that follow the convention of Hive (pyarrow,
pandas, Spark, Trino) leave out a folder whose name begins with an underscore, and no glob such as `*.parquet` matches
in it.
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
from fourfold.durable.files import sync_file, sync_folder, take_lock, unlock_and_remove
from fourfold.errors import OutputExists, SinkError

__all__ = ["Staging", "refuse_existing"]


_LOCK = ".lock"
_STAGING = ".staging"

# How often, and after how many seconds, a run asks for the lock again before it believes that another run is at work.
_TRIES = 10
_PAUSE = 0.05


def refuse_existing(target: Path, *, replace: bool) -> None:
    """Refuse a target that is there already, or that no file can be.

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
    """The right to publish one file, and a folder on its filesystem to write it in unseen.

    A context manager. Entering it takes a lock that the system lets go of when the process dies, however it dies, and
    sweeps away what dead runs have left beside the target; leaving it removes all that was not published.

    Args:
        target: the file to be published. Its folder is made where it is missing.

    Raises:
        SinkError: another run is writing the target, or its folder cannot be written to.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.side = target.parent / WORK_FOLDER
        self._folder = self.side / (target.name + _STAGING)
        self._lock_path = self.side / (target.name + _LOCK)
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            with _sink(self.target):
                self._lock = self._take_lock()
                _sweep(self.side, but=self.target.name)
                _remove(self._folder)
                self._folder.mkdir()
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _sink(self.target):
            try:
                _remove(self._folder)
            finally:
                self._let_go()

    def _take_lock(self) -> int:
        # For a moment only: another run may hold the lock because it sweeps away what is left here, or may have
        # removed the folder, empty, between the two calls.
        for _ in range(_TRIES):
            self.side.mkdir(parents=True, exist_ok=True)
            try:
                lock = take_lock(self._lock_path)
            except FileNotFoundError:
                continue
            if lock is not None:
                return lock
            time.sleep(_PAUSE)
        raise SinkError(f"another run is writing {self.target}; wait for its end, or name another output")

    def _let_go(self) -> None:
        if self._lock is not None:
            unlock_and_remove(self._lock, self._lock_path)
            self._lock = None
            _remove_empty(self.side)

    def path(self, name: str) -> Path:
        """Where to write a file of that name until it is published."""
        return self._folder / name

    def write(self, name: str, data: bytes) -> Path:
        """Write a small file whole, and say where it is.

        Raises:
            SinkError: it cannot be written.
        """
        with _sink(self.target):
            self.path(name).write_bytes(data)
        return self.path(name)

    def publish(self, staged: Path, target: Path, *, replace: bool) -> None:
        """Put a staged file in its place, durably: all of it at once.

        Args:
            staged: a file in the staging folder that is written to its end.
            target: its place, on the same filesystem.
            replace: whether a file that is there already is replaced; otherwise it is refused.

        Raises:
            OutputExists: something came into being there meanwhile.
            SinkError: the system refuses.
        """
        with _sink(target):
            sync_file(staged)
            if replace:
                staged.replace(target)
            else:
                _link(staged, target)
            sync_folder(target.parent)

    def is_published(self, staged: Path, target: Path) -> bool:
        """Whether a staged file has been linked to its place."""
        return staged.exists() and target.exists() and staged.samefile(target)

    def retract(self, target: Path) -> None:
        """Remove a file that was published before, if it is there.

        Raises:
            SinkError: the system refuses.
        """
        with _sink(target):
            target.unlink(missing_ok=True)
            if target.parent.exists():
                sync_folder(target.parent)


def _link(staged: Path, target: Path) -> None:
    # A rename would replace whatever came into being there meanwhile; a hard link never does.
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
def _sink(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror or error}") from error


def _sweep(side: Path, but: str) -> None:
    """Remove what runs have left behind that are dead: those whose lock is free."""
    left = {path.name.removesuffix(_STAGING).removesuffix(_LOCK) for path in side.iterdir() if _transient(path)}
    for name in sorted(left - {but}):
        path = side / (name + _LOCK)
        lock = take_lock(path)
        if lock is not None:
            _remove(side / (name + _STAGING))
            unlock_and_remove(lock, path)


def _transient(path: Path) -> bool:
    return path.name.endswith((_LOCK, _STAGING))


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        # It holds a report, a quarantine or another run's files, or another run has just removed it: it may stay.
        return
