"""One thread a call, for the native libraries that ask nobody how many they may use."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["OneThread", "one_thread"]


class OneThread:
    """Holds native libraries to one thread while any call is inside, and puts back what it found.

    A BLAS keeps one thread count for the process: the first call in sets it and the last one out restores it. OpenMP,
    and a BLAS built on it, keeps one for each thread that calls it: every call sets and restores its own. Calls may
    nest and overlap. While a call is inside, the host's own BLAS work in other threads is held to one thread too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()
        self._known: set[str] = set()
        self._of_thread: tuple[Any, ...] = ()
        self._of_process: tuple[Any, ...] = ()
        self._inside = 0
        self._before: list[tuple[Any, int]] = []

    def refresh(self, libraries: list[Any]) -> None:
        """Add libraries that have been loaded since the last time.

        Args:
            libraries: `threadpoolctl.ThreadpoolController().lib_controllers`.
        """
        with self._lock:
            new = [each for each in libraries if each.filepath not in self._known]
            self._known.update(each.filepath for each in new)
            # New tuples, never longer lists: a call that is inside goes on with those it started with.
            self._of_thread += tuple(each for each in new if _is_of_thread(each))
            of_process = tuple(each for each in new if not _is_of_thread(each))
            self._of_process += of_process
            if self._inside:
                self._before.extend(_limit(of_process))

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """One thread for what runs inside, in this thread."""
        if getattr(self._local, "inside", False):
            yield
            return
        before = _limit(self._of_thread)
        self._enter()
        self._local.inside = True
        try:
            yield
        finally:
            self._local.inside = False
            self._leave()
            _restore(before)

    def _enter(self) -> None:
        with self._lock:
            # Limited again though others are inside: the host may have set it meanwhile.
            found = _limit(self._of_process)
            if not self._inside:
                self._before = found
            self._inside += 1

    def _leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                _restore(self._before)
                self._before = []

    def after_fork(self) -> None:
        """Forget the calls of the parent's other threads, which do not exist in a child.

        The lock may have been held by one of them, so the child gets its own.
        """
        self._lock = threading.Lock()
        inside = getattr(self._local, "inside", False)
        self._inside = 1 if inside else 0
        if not inside:
            _restore(self._before)
            self._before = []


def _is_of_thread(library: Any) -> bool:
    return library.user_api == "openmp" or getattr(library, "threading_layer", None) == "openmp"


def _limit(libraries: tuple[Any, ...]) -> list[tuple[Any, int]]:
    """Set one thread; what there was before, of those that had another number."""
    before = [(each, count) for each in libraries if (count := each.get_num_threads()) not in (None, 1)]
    for each, _ in before:
        _set(each, 1)
    return before


def _restore(before: list[tuple[Any, int]]) -> None:
    for each, count in reversed(before):
        _set(each, count)


def _set(library: Any, count: int) -> None:
    # threadpoolctl lets the first thread that sets a BLAS's count be the only one, and ignores all others without a
    # word. Here the thread that must set it is any; the lock, which is held, sees to it that they take turns.
    clear = getattr(library, "clear_controlling_thread", None)
    if clear is None:
        library.set_num_threads(count)
        return
    clear(force=True)
    library.set_num_threads(count)
    clear(force=True)


_guard = OneThread()
# Not on Windows, where nothing forks.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_guard.after_fork)


def one_thread() -> OneThread:
    """The process's one guard, knowing every native library that is loaded by now.

    A runtime asks for it when an engine is loaded, after the engine's own libraries: looking for libraries takes
    milliseconds, entering the guard microseconds.
    """
    _guard.refresh(ThreadpoolController().lib_controllers)
    return _guard
