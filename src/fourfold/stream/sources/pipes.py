"""Read events from standard input, a named pipe or a terminal."""

from __future__ import annotations

import os
import select
from pathlib import Path
from threading import Event

from fourfold.errors import SourceError
from fourfold.stream.limits import Limits
from fourfold.stream.lines import Batch, Position, Splitter
from fourfold.stream.sources.protocol import READ_BYTES, STOP_CHECK_INTERVAL_S

__all__ = ["PipeSource"]


class PipeSource:
    """Standard input, a named pipe or a terminal: what was read is gone, so no run can read it again.

    Args:
        pipe: a file descriptor, which stays open, or the path of a named pipe.
        name: how errors call it.
    """

    follow = False

    def __init__(self, pipe: int | Path, name: str) -> None:
        self._pipe = pipe
        self._name = name
        self._fd = -1
        self._readable = select.poll()
        self._at_end = False
        self._splitter = Splitter(Position(), 1)

    @property
    def name(self) -> str:
        """How errors call it."""
        return self._name

    @property
    def ended(self) -> bool:
        """Whether the writers have closed it and every event was taken."""
        return self._at_end and not len(self._splitter)

    @property
    def size(self) -> int | None:
        """Unknown."""
        return None

    def open(self) -> None:
        """Open it; a named pipe waits for its first writer.

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
        """Begin to count at a position; a pipe itself cannot move."""
        self._splitter = Splitter(position, max_line)

    def take(self, limits: Limits) -> Batch | None:
        """As `Source.take`.

        Raises:
            SourceError: the pipe cannot be read.
        """
        left = limits.bytes
        while not self._at_end and left > 0 and len(self._splitter) < limits.events and self._readable.poll(0):
            data = self._read()
            if data is None:
                break
            left -= len(data)
        return self._splitter.take(limits.events)

    def wait(self, stop: Event) -> None:
        """As `Source.wait`."""
        while not self._at_end and not stop.is_set() and not self._readable.poll(STOP_CHECK_INTERVAL_S * 1000):
            pass

    def close(self) -> None:
        """Close what `open` opened."""
        if self._fd >= 0:
            self._readable.unregister(self._fd)
            if not isinstance(self._pipe, int):
                os.close(self._fd)
            self._fd = -1

    def _read(self) -> bytes | None:
        """The next bytes; none at the end, `None` where another reader was faster."""
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
