"""End calls of ONNX Runtime that take too long.

A trial shows what a model takes for the first rows (`onnx_trial`). What it takes for later ones can depend on their
values: a loop may run as often as a row says. So one thread watches the calls that run, and asks ONNX Runtime to end
one after $FOURFOLD_ONNX_CALL_SECONDS and a quarter of a second for each of its rows. ONNX Runtime looks between two
operators, those in the body of a loop among them.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from fourfold.environment import read_number
from fourfold.errors import PackageError

__all__ = ["CALL_VARIABLE", "Call", "begin", "end", "read_limit"]

CALL_VARIABLE = "FOURFOLD_ONNX_CALL_SECONDS"
_DEFAULT_S, _S_PER_ROW = 60.0, 0.25
#: How often the calls that run are looked at.
_POLL_S = 0.5


def read_limit() -> float:
    """Return the seconds that a call may take beside those for its rows; raise `PackageError` for what is no number."""
    try:
        return read_number(CALL_VARIABLE, _DEFAULT_S, "a number above 0, or inf", lambda number: number > 0)
    except ValueError as error:
        raise PackageError(str(error)) from None


class Call:
    """Represent a call that runs.

    Args:
        options: ONNX Runtime's `RunOptions` of the call.
        limit_s: what `read_limit` says.
        rows: the number of its rows.
    """

    __slots__ = ("_deadline", "_options", "_seconds", "is_given_up")

    def __init__(self, options: Any, limit_s: float, rows: int) -> None:
        self._options = options
        self._seconds = limit_s + _S_PER_ROW * rows
        self._deadline = time.monotonic() + self._seconds
        self.is_given_up = False

    def stop(self) -> None:
        """Ask ONNX Runtime to end the call after the operator that it computes."""
        self._options.terminate = True

    def give_up_if_late(self, now: float) -> None:
        """End the call where its time is over; `now` is in seconds, as `time.monotonic` counts."""
        if now > self._deadline:
            self.is_given_up = True
            self.stop()

    @property
    def reason(self) -> str:
        """Return why the call was given up, and what to do."""
        return (
            f"the ONNX model did not answer within {self._seconds:,.2f} s; where it may take longer, set "
            f"{CALL_VARIABLE} to more seconds"
        )


class _Watch:
    """Look at the calls of this process from a thread of its own, which sleeps while there are none."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()
        self._is_awake = False
        self._wake = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, call: Call) -> None:
        self._calls.add(call)
        # The thread goes to sleep first and looks for calls then, so it cannot miss one.
        if not self._is_awake:
            self._start()
            self._wake.set()

    def remove(self, call: Call) -> None:
        self._calls.discard(call)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fourfold-onnx-calls", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._is_awake = False
            if not self._calls:
                self._wake.wait()
            self._is_awake = True
            self._wake.clear()
            time.sleep(_POLL_S)
            now = time.monotonic()
            for call in list(self._calls):
                call.give_up_if_late(now)


_watch = _Watch()


def _watch_anew() -> None:
    """Forget the parent's calls and thread, which a forked child does not have."""
    global _watch  # noqa: PLW0603 - one a process
    _watch = _Watch()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watch_anew)


def begin(call: Call) -> None:
    """Watch a call from now on."""
    _watch.add(call)


def end(call: Call) -> None:
    """Watch a call no more."""
    _watch.remove(call)
