"""Write to standard output or error, a named pipe or a device."""

from __future__ import annotations

import os
import select
from pathlib import Path

from fourfold.errors import SinkError
from fourfold.stream.sinks.protocol import ReaderGone

__all__ = ["OutputPipe", "PipeSink"]


class PipeSink:
    """Name a pipe as a sink: standard output or error, a named pipe or a device.

    Args:
        pipe: a file descriptor, which stays open, or a path.
        name: its name for errors.
    """

    def __init__(self, pipe: int | Path, name: str) -> None:
        self.pipe = pipe
        self.name = name

    def open(self) -> OutputPipe:
        """Open the pipe; a named pipe waits for its first reader.

        Raises:
            SinkError: it cannot be opened.
        """
        return OutputPipe(self.pipe, self.name)


class OutputPipe:
    """Write to a pipe, a terminal or a device, without a buffer.

    Attributes:
        length: the number of bytes written.

    Raises:
        SinkError: the pipe cannot be opened.
    """

    def __init__(self, pipe: int | Path, name: str) -> None:
        self.length = 0
        self._name = name
        self._owns_fd = not isinstance(pipe, int)
        try:
            if isinstance(pipe, int):
                os.fstat(pipe)
                self._fd = pipe
            else:
                self._fd = os.open(pipe, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise SinkError(f"cannot write {name}: {error.strerror}") from error

    def write(self, data: bytes) -> None:
        """Write all of the bytes.

        Raises:
            ReaderGone: the reader of the pipe has closed it.
            SinkError: they cannot be written.
        """
        unwritten = memoryview(data)
        while unwritten:
            try:
                unwritten = unwritten[os.write(self._fd, unwritten) :]
            except BlockingIOError:  # another process that shares the pipe has made it non-blocking
                writable = select.poll()
                writable.register(self._fd, select.POLLOUT)
                writable.poll()
            except BrokenPipeError:
                raise ReaderGone(self._name) from None
            except OSError as error:
                raise SinkError(f"cannot write {self._name}: {error.strerror}") from error
        self.length += len(data)

    def sync(self) -> None:
        """Do nothing: a pipe cannot be synced."""

    def close(self) -> None:
        """Close the pipe, unless it was given as an open file descriptor."""
        if self._owns_fd:
            os.close(self._fd)
