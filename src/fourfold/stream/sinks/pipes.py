"""Write to standard output or error, a named pipe or a device."""

from __future__ import annotations

import os
import select
from pathlib import Path

from fourfold.errors import SinkError
from fourfold.stream.sinks.protocol import ReaderGone

__all__ = ["OutputPipe", "PipeSink"]


class PipeSink:
    """Standard output or error, a named pipe or a device.

    Args:
        pipe: a file descriptor, which stays open, or a path.
        name: how errors call it.
    """

    def __init__(self, pipe: int | Path, name: str) -> None:
        self.pipe = pipe
        self.name = name

    def open(self) -> OutputPipe:
        """Open it; a named pipe waits for its first reader.

        Raises:
            SinkError: it cannot be opened.
        """
        return OutputPipe(self.pipe, self.name)


class OutputPipe:
    """A pipe, a terminal or a device, written without a buffer of our own.

    Attributes:
        length: the bytes written.

    Raises:
        SinkError: it cannot be opened.
    """

    def __init__(self, pipe: int | Path, name: str) -> None:
        self.length = 0
        self._name = name
        self._is_ours = not isinstance(pipe, int)
        try:
            if isinstance(pipe, int):
                os.fstat(pipe)
                self._fd = pipe
            else:
                self._fd = os.open(pipe, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SinkError(f"cannot write {name}: {error.strerror}") from error

    def write(self, data: bytes) -> None:
        """Write all of it.

        Raises:
            ReaderGone: nobody reads the pipe any more.
            SinkError: it cannot be written.
        """
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # somebody who shares the pipe has made it non-blocking
                writable = select.poll()
                writable.register(self._fd, select.POLLOUT)
                writable.poll()
            except BrokenPipeError:
                raise ReaderGone(self._name) from None
            except OSError as error:
                raise SinkError(f"cannot write {self._name}: {error.strerror}") from error
        self.length += len(data)

    def sync(self) -> None:
        """Nothing: what was written is the reader's."""

    def close(self) -> None:
        """Close it where `open` opened it."""
        if self._is_ours:
            os.close(self._fd)
