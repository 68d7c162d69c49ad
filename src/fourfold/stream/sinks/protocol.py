"""Define what a stream asks of its sinks."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Output", "ReaderGone", "Sink"]


class ReaderGone(Exception):
    """The other end of a pipe was closed: no error, whoever read it wants no more."""


class Output(Protocol):
    """Take bytes: a sink that is open."""

    @property
    def length(self) -> int:
        """Return its length in bytes."""
        ...

    def write(self, data: bytes) -> None:
        """Append all of the bytes.

        Raises:
            ReaderGone: nobody reads the pipe any more.
            SinkError: they cannot be written.
        """
        ...

    def sync(self) -> None:
        """Make what was written survive a power cut, where that is possible."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Sink(Protocol):
    """Open the place where answers or dead letters go; nothing is opened or made before the run."""

    @property
    def name(self) -> str:
        """Return the name that errors call it by."""
        ...

    def open(self) -> Output:
        """Open it.

        Raises:
            SinkError: it cannot be opened, or another run has it.
        """
        ...
