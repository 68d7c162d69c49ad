"""Call a function that may never return, and give it up after a time."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["TimeIsUp", "call_within"]

Result = TypeVar("Result")
#: The longest that a thread waits at once: more seconds than that overflow the clocks of some systems.
_MAX_WAIT_S = 24 * 3600.0


class TimeIsUp(Exception):
    """Report that a call was given up."""


class _GivenUp(SystemExit):
    """End a call that nobody waits for any more, where it runs Python code; a thread ends with it in silence."""


def call_within(seconds: float, call: Callable[[], Result], stop: Callable[[], None] | None = None) -> Result:
    """Return what `call` returns; give it up after so many seconds, or where the wait is interrupted.

    The call runs in a thread of its own, with the caller's context variables, so that even native code that never
    returns does not hold up the caller. A call that was given up ends with its next step of Python code, with what
    `stop` does, or else with the process.

    Args:
        seconds: how long to wait; may be infinite.
        call: the function; it may raise anything.
        stop: ends what the call is doing in native code, if that can be ended.

    Raises:
        TimeIsUp: the time is up.
    """
    outcome: list[Result] = []
    failure: list[BaseException] = []
    is_done = threading.Event()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcome.append(context.run(call))
        except BaseException as error:  # noqa: BLE001  # raised again where the caller waits
            failure.append(error)
        finally:
            is_done.set()

    thread = threading.Thread(target=run, name="fourfold-replay", daemon=True)
    try:
        thread.start()
        _wait(is_done, seconds)
    except RuntimeError:  # no more threads, or a platform without any: a limit cannot be kept there
        return call()
    except BaseException:  # Ctrl-C, while waiting
        _give_up(thread, stop)
        raise
    if not is_done.is_set():
        _give_up(thread, stop)
        raise TimeIsUp
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _wait(is_done: threading.Event, seconds: float) -> None:
    """Wait until the event is set, at most so many seconds."""
    while not is_done.wait(min(seconds, _MAX_WAIT_S)) and seconds > _MAX_WAIT_S:
        seconds -= _MAX_WAIT_S


def _give_up(thread: threading.Thread, stop: Callable[[], None] | None) -> None:
    """End a call that nobody waits for, as far as it can be ended."""
    import ctypes  # needed where a call is given up only

    if stop is not None:
        stop()
    raises: Any = ctypes.pythonapi.PyThreadState_SetAsyncExc
    raises(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_GivenUp))
