"""Where answers go: a file, or standard output and other pipes."""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path

from fourfold.durable.files import lock_handle, sync_folder, sync_handle
from fourfold.errors import SinkError
from fourfold.stream.sources.files import local_path

__all__ = ["FileSink", "OutputFile", "OutputPipe", "PipeSink", "ReaderGone", "Sink", "open_sink"]


class ReaderGone(Exception):
    """The other end of a pipe was closed: no error, whoever read it wants no more."""


class FileSink:
    """A file; nothing is opened or made before the run.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def open(self) -> OutputFile:
        """Open and lock it; it is made where it is missing.

        Raises:
            SinkError: it cannot be opened, or another run has it.
        """
        return OutputFile(self.path)


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


Sink = FileSink | PipeSink


def open_sink(url: str | os.PathLike[str]) -> Sink:
    """A sink by its name.

    Args:
        url: a path, a `file://` URL, or `-` for standard output. A path can also name a pipe or a device.

    Raises:
        SinkError: it cannot be a sink (its folder is missing), or this version has none of that scheme.
    """
    path = local_path(url, SinkError, "a sink")
    if path is None:
        return PipeSink(1, "standard output")
    if not path.parent.is_dir():
        raise SinkError(f"cannot write {path}: there is no folder {path.parent}")
    if not path.exists():
        return FileSink(path)
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise SinkError(f"cannot write {path}: expected a file, got a folder")
    return FileSink(path) if stat.S_ISREG(mode) else PipeSink(path, str(path))


class OutputFile:
    """A regular file that this process alone appends to.

    Attributes:
        path: the file.
        length: its length in bytes.

    Raises:
        SinkError: it cannot be opened, or another run has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_new = not path.exists()
        self._synced = True
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise SinkError(f"cannot write {path}: {error.strerror}") from error
        try:
            lock_handle(self._fd)
        except BlockingIOError as error:
            os.close(self._fd)
            raise SinkError(
                f"cannot write {path}: another process is writing it (it holds its lock). One output has one stream; "
                f"give this one another output, or stop the other"
            ) from error
        except OSError as error:
            os.close(self._fd)
            raise SinkError(f"cannot lock {path}: {error.strerror}") from error
        self.length = os.lseek(self._fd, 0, os.SEEK_END)

    def write(self, data: bytes) -> None:
        """Append all of it, or nothing.

        Raises:
            SinkError: it cannot be written (disk full).
        """
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            self.cut(self.length)
            raise self._error(error) from error
        self.length += len(data)
        self._synced = not data and self._synced

    def cut(self, length: int) -> None:
        """Give it that length, which is at most its own, and append from there.

        Raises:
            SinkError: it cannot be cut.
        """
        try:
            if os.fstat(self._fd).st_size != length:
                os.ftruncate(self._fd, length)
            os.lseek(self._fd, length, os.SEEK_SET)
        except OSError as error:
            raise self._error(error) from error
        self.length = length

    def sync(self) -> None:
        """Make what was written survive a power cut.

        Raises:
            SinkError: the disk failed.
        """
        try:
            if not self._synced:
                sync_handle(self._fd)
                self._synced = True
            if self._is_new:
                sync_folder(self.path.parent)
                self._is_new = False
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Close it, which frees its lock."""
        os.close(self._fd)

    def _error(self, error: OSError) -> SinkError:
        return SinkError(f"cannot write {self.path} at offset {self.length}: {error.strerror}")


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
