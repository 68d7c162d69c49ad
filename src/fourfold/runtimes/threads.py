"""Hold native libraries to one thread a call, where nothing that is passed to them limits their threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["ThreadGuard", "thread_guard"]


class ThreadGuard:
    """Hold native libraries to one thread while any call is inside, and restore their thread counts afterwards.

    A BLAS keeps one thread count for the process: the first call in sets it, and the last one out restores it. OpenMP,
    and a BLAS built on it, keep one for each thread that calls them: every call sets and restores its own. Calls may
    nest and overlap. While a call is inside, the host's own BLAS work in other threads has one thread too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()
        self._paths: set[str] = set()
        self._per_thread: tuple[Any, ...] = ()
        self._per_process: tuple[Any, ...] = ()
        self._inside = 0
        self._process_counts: list[tuple[Any, int]] = []

    def refresh(self, libraries: list[Any]) -> None:
        """Add the libraries that were loaded since the last call.

        Args:
            libraries: `threadpoolctl.ThreadpoolController().lib_controllers`.
        """
        with self._lock:
            new = [library for library in libraries if library.filepath not in self._paths]
            self._paths.update(library.filepath for library in new)
            # Tuples are replaced, not extended: a call that is inside keeps the libraries that it started with.
            self._per_thread += tuple(library for library in new if _is_per_thread(library))
            per_process = tuple(library for library in new if not _is_per_thread(library))
            self._per_process += per_process
            if self._inside:
                self._process_counts.extend(_limit(per_process))

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold what this thread calls inside the context to one thread."""
        if getattr(self._local, "inside", False):
            yield
            return
        counts = _limit(self._per_thread)
        self._enter()
        self._local.inside = True
        try:
            yield
        finally:
            self._local.inside = False
            self._leave()
            _restore(counts)

    def _enter(self) -> None:
        with self._lock:
            # Set again even if other calls are inside: the host may have changed it meanwhile.
            counts = _limit(self._per_process)
            if not self._inside:
                self._process_counts = counts
            self._inside += 1

    def _leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                _restore(self._process_counts)
                self._process_counts = []

    def after_fork(self) -> None:
        """Forget the calls of the parent's other threads, which do not exist in the child.

        One of them may have held the lock, so the child gets its own.
        """
        self._lock = threading.Lock()
        is_inside = getattr(self._local, "inside", False)
        self._inside = 1 if is_inside else 0
        if not is_inside:
            _restore(self._process_counts)
            self._process_counts = []


def _is_per_thread(library: Any) -> bool:
    """Return whether a library keeps a thread count for each thread that calls it."""
    return library.user_api == "openmp" or getattr(library, "threading_layer", None) == "openmp"


def _limit(libraries: tuple[Any, ...]) -> list[tuple[Any, int]]:
    """Set libraries to one thread, and return those that had another count, with the count."""
    counts = [(library, count) for library in libraries if (count := library.get_num_threads()) not in (None, 1)]
    for library, _ in counts:
        _set(library, 1)
    return counts


def _restore(counts: list[tuple[Any, int]]) -> None:
    for library, count in reversed(counts):
        _set(library, count)


def _set(library: Any, count: int) -> None:
    # threadpoolctl lets only the first thread that set a BLAS's count set it again, and silently ignores all others.
    # Here any thread may have to; they take turns, since the caller holds the lock.
    clear = getattr(library, "clear_controlling_thread", None)
    if clear is None:
        library.set_num_threads(count)
        return
    clear(force=True)
    library.set_num_threads(count)
    clear(force=True)


_guard = ThreadGuard()
# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_guard.after_fork)


def thread_guard() -> ThreadGuard:
    """Return the guard of the process, which then knows every native library that is loaded.

    Runtimes call this when they load an engine, after its libraries: searching for libraries takes milliseconds,
    entering the guard microseconds.
    """
    _guard.refresh(ThreadpoolController().lib_controllers)
    return _guard
