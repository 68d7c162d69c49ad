"""Append to a file, which one run at a time may do."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from fourfold.durable.files import sync_folder, sync_handle
from fourfold.durable.locks import describe_holder, lock_handle
from fourfold.durable.outputs import open_output
from fourfold.durable.reading import kind_of
from fourfold.errors import SinkError

__all__ = ["FileSink", "OutputFile"]


class FileSink:
    """Name a file as a sink.

    Attributes:
        path: the file.
        name: its path, for errors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def open(self) -> OutputFile:
        """Open and lock the file; make it if it does not exist.

        Raises:
            SinkError: it cannot be opened, or another run has it open.
        """
        return OutputFile(self.path)


class OutputFile:
    """Append to a regular file under a lock.

    Attributes:
        path: the file.
        length: its length in bytes.

    Raises:
        SinkError: the file cannot be opened, is a link or no regular file, or another run has it open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_new = not path.exists()
        self._synced = True
        try:
            self._fd = open_output(path, os.O_RDWR)
        except OSError as error:
            raise SinkError(f"cannot write {path}: {error.strerror}") from error
        mode = os.fstat(self._fd).st_mode
        if not stat.S_ISREG(mode):
            os.close(self._fd)
            raise SinkError(f"cannot write {path}: expected a file, got {kind_of(mode)}")
        try:
            lock_handle(self._fd)
        except BlockingIOError as error:
            os.close(self._fd)
            raise SinkError(
                f"cannot write {path}: another process is writing it ({describe_holder(path)} holds its lock). One "
                f"output has one stream; give this one another output, or stop the other"
            ) from error
        except OSError as error:
            os.close(self._fd)
            raise SinkError(f"cannot lock {path}: {error.strerror}") from error
        self.length = os.lseek(self._fd, 0, os.SEEK_END)

    def write(self, data: bytes) -> None:
        """Append all of the bytes, or none.

        Raises:
            SinkError: they cannot be written, for example because the disk is full.
        """
        unwritten = memoryview(data)
        try:
            while unwritten:
                unwritten = unwritten[os.write(self._fd, unwritten) :]
        except OSError as error:
            self.truncate(self.length)
            raise self._error(error) from error
        self.length += len(data)
        self._synced = not data and self._synced

    def truncate(self, length: int) -> None:
        """Remove everything beyond a length in bytes, and append from there.

        Raises:
            SinkError: the file cannot be truncated.
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
        """Close the file, which frees its lock."""
        os.close(self._fd)

    def _error(self, error: OSError) -> SinkError:
        return SinkError(f"cannot write {self.path} at offset {self.length}: {error.strerror}")
