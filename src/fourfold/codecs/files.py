"""Open the files that codecs read and write; failures are errors that name the path and the reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from fourfold.durable.reading import open_handle
from fourfold.errors import DecodeError, SinkError, SourceError

__all__ = ["Sink", "TableWriter", "name_in_errors", "open_source"]


@contextmanager
def open_source(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open the file at `path` for reading, in binary.

    Raises:
        SourceError: the file cannot be opened or is no regular file, or reading it fails inside the block.
    """
    try:
        file = os.fdopen(open_handle(path), "rb")
    except (OSError, ValueError) as error:  # a ValueError for a path with a NUL in it
        raise SourceError(f"{path} cannot be read: {reason(error)}") from error
    with file:
        try:
            yield file
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {reason(error)}") from error


@contextmanager
def name_in_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the file's path before the message of a `DecodeError` that is raised inside the block."""
    try:
        yield
    except DecodeError as error:
        raise DecodeError(f"{path}: {error}") from error


def reason(error: Exception) -> str:
    """Return the system's reason for a failure, without the path: the caller's message names it."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


class Sink:
    """Write bytes to a file; every failure is a `SinkError`.

    It has the methods that pyarrow needs of a Python file, so pyarrow's writers write through it too.

    Args:
        target: a path, which is replaced if it exists, or an open binary file, which is flushed at the end and left
            open.

    Raises:
        SinkError: the path cannot be opened.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes]) -> None:
        self.closed = False
        self._is_discarding = False
        self._position = 0
        self._owns_file = isinstance(target, (str, os.PathLike))
        self._file: IO[bytes]
        if isinstance(target, (str, os.PathLike)):
            self.name = os.fspath(target)
            try:
                self._file = Path(target).open("wb")  # noqa: SIM115 - `close` closes it
            except (OSError, ValueError) as error:
                raise self._write_error(error) from error
        else:
            self.name = str(getattr(target, "name", "the output"))
            self._file = target

    def _write_error(self, error: Exception) -> SinkError:
        return SinkError(f"{self.name} cannot be written: {reason(error)}")

    def write(self, data: Any) -> int:
        """Write all of `data`, any bytes-like object."""
        if self._is_discarding:
            return len(data)
        view = memoryview(data).cast("B")
        try:
            # A raw file may write less than it is given.
            written = 0
            while written < len(view):
                written += self._file.write(view[written:]) or 0
        except (OSError, ValueError) as error:  # a ValueError for a file that is closed already
            raise self._write_error(error) from error
        self._position += len(view)
        return len(view)

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._position

    def flush(self) -> None:
        """Flush the buffered bytes to the system."""
        if self._is_discarding:
            return
        try:
            self._file.flush()
        except (OSError, ValueError) as error:
            raise self._write_error(error) from error

    def writable(self) -> bool:
        """Return whether bytes can still be written."""
        return not self.closed

    def readable(self) -> bool:
        """Return `False`: nothing is read."""
        return False

    def seekable(self) -> bool:
        """Return `False`: every format is written from start to end."""
        return False

    def discard(self) -> None:
        """Close, without raising, and drop whatever is written afterwards."""
        self._is_discarding = True
        try:
            self.close()
        except SinkError:
            # The caller shows the error that made it give up; this one most likely has the same cause.
            return

    def close(self) -> None:
        """Flush, and close the file if it was opened here. A second call does nothing."""
        if self.closed:
            return
        self.closed = True
        try:
            if self._owns_file:
                self._file.close()  # it flushes
            else:
                self._file.flush()
        except (OSError, ValueError) as error:
            raise self._write_error(error) from error


class TableWriter:
    """Write tables to a file; the writers of all formats derive from it.

    As a context manager it closes, or aborts where the block raises.

    Attributes:
        sink: where the bytes go.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes]) -> None:
        self.sink = Sink(target)

    def write(self, table: Any) -> None:
        """Write a canonical table: rows, or an Arrow table with the fields' columns.

        Raises:
            SinkError: the table does not fit the fields, or the file cannot be written.
        """
        raise NotImplementedError

    def _finish(self) -> None:
        """Write the format's end, where it has one."""

    def close(self) -> None:
        """Write the format's end and close. A second call does nothing.

        Raises:
            SinkError: the file cannot be written.
        """
        if self.sink.closed:
            return
        try:
            self._finish()
        except BaseException:
            self.abort()
            raise
        self.sink.close()

    def abort(self) -> None:
        """Close the file without the format's end, and without raising; the caller removes it."""
        self.sink.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()
