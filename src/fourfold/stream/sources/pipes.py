"""Read events from standard input, a named pipe or a terminal."""

from __future__ import annotations

import os
import select
from pathlib import Path
from threading import Event

from fourfold.errors import SourceError
from fourfold.stream.limits import Limits
from fourfold.stream.lines import EventBatch, LineSplitter, Position
from fourfold.stream.sources.protocol import READ_BYTES, STOP_CHECK_INTERVAL_S

__all__ = ["PipeSource"]


class PipeSource:
    """Read the lines of a pipe: standard input, a named pipe or a terminal. No run can read them again.

    Args:
        pipe: a file descriptor, which stays open, or the path of a named pipe.
        name: its name for errors.
    """

    follow = False

    def __init__(self, pipe: int | Path, name: str) -> None:
        self._pipe = pipe
        self._name = name
        self._fd = -1
        self._readable = select.poll()
        self._at_end = False
        self._splitter = LineSplitter(Position(), 1)

    @property
    def name(self) -> str:
        """Return its name for errors."""
        return self._name

    @property
    def ended(self) -> bool:
        """Tell whether the writers have closed the pipe and every event was taken."""
        return self._at_end and not len(self._splitter)

    @property
    def size(self) -> int | None:
        """Return `None`: a pipe has no length."""
        return None

    def open(self) -> None:
        """Open the pipe; a named pipe waits for its first writer.

        Raises:
            SourceError: it cannot be read.
        """
        try:
            if isinstance(self._pipe, int):
                os.fstat(self._pipe)
                self._fd = self._pipe
            else:
                self._fd = os.open(self._pipe, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceError(f"cannot read {self._name}: {error.strerror}") from error
        self._readable.register(self._fd, select.POLLIN)

    def seek(self, position: Position, max_line: int) -> None:
        """Count lines and bytes from a position; the pipe itself cannot move."""
        self._splitter = LineSplitter(position, max_line)

    def take(self, limits: Limits) -> EventBatch | None:
        """Take the lines that are there now; see `Source.take`.

        Raises:
            SourceError: the pipe cannot be read.
        """
        bytes_left = limits.bytes
        while not self._at_end and bytes_left > 0 and len(self._splitter) < limits.events and self._readable.poll(0):
            data = self._read()
            if data is None:
                break
            bytes_left -= len(data)
        return self._splitter.take(limits.events)

    def wait(self, stop: Event) -> None:
        """Wait until the pipe is readable; see `Source.wait`."""
        while not self._at_end and not stop.is_set() and not self._readable.poll(STOP_CHECK_INTERVAL_S * 1000):
            pass

    def close(self) -> None:
        """Close the pipe, unless it was given as an open file descriptor."""
        if self._fd >= 0:
            self._readable.unregister(self._fd)
            if not isinstance(self._pipe, int):
                os.close(self._fd)
            self._fd = -1

    def _read(self) -> bytes | None:
        """Read the next bytes; return none at the end, and `None` if another reader of the pipe was faster."""
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise SourceError(f"cannot read {self._name}: {error.strerror}") from error
        if data:
            self._splitter.feed(data)
        else:
            self._splitter.finish()
            self._at_end = True
        return data
