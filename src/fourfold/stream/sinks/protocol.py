"""Define the interface of a sink."""

from __future__ import annotations

from typing import Protocol

__all__ = ["OpenSink", "ReaderGone", "Sink"]


class ReaderGone(Exception):
    """Say that the reader of a pipe has closed it; that ends a run, but is no error."""


class OpenSink(Protocol):
    """Append bytes to an open file or pipe."""

    @property
    def length(self) -> int:
        """Return the length of the file, or the number of bytes written to the pipe."""
        ...

    def write(self, data: bytes) -> None:
        """Append all of the bytes.

        Raises:
            ReaderGone: the reader of the pipe has closed it.
            SinkError: they cannot be written.
        """
        ...

    def sync(self) -> None:
        """Make what was written survive a power cut; do nothing for a pipe."""
        ...

    def close(self) -> None:
        """Close the file or pipe."""
        ...


class Sink(Protocol):
    """Name a file or pipe for answers or dead letters; nothing is opened or made before `open`."""

    @property
    def name(self) -> str:
        """Return its name for errors."""
        ...

    def open(self) -> OpenSink:
        """Open the file or pipe.

        Raises:
            SinkError: it cannot be opened, or another run has it open.
        """
        ...
