"""Read events from a file of JSON lines."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from threading import Event

from fourfold.errors import SourceError
from fourfold.stream.limits import Limits
from fourfold.stream.lines import Batch, Position, Splitter
from fourfold.stream.sources.protocol import READ_BYTES, STOP_CHECK_INTERVAL_S

__all__ = ["FileSource"]

#: The bytes at each end of what was read that make an input's fingerprint.
FINGERPRINT_BYTES = 4096
#: The bytes before the end that a followed file must still have when it has grown.
TAIL_BYTES = 64


class FileSource:
    """A file of lines: it can be read again from any place, so a run can go on where another one ended.

    Args:
        path: the file.
        follow: keep reading as it grows. A last line then waits for its newline; it is an event at once otherwise.
        poll: the seconds between two looks at a followed file.
    """

    def __init__(self, path: Path, *, follow: bool = False, poll: float = STOP_CHECK_INTERVAL_S) -> None:
        if not poll > 0:
            raise SourceError(f"expected the seconds between two looks to be more than 0; got {poll}")
        self.path = path
        self.follow = follow
        self._poll = poll
        self._fd = -1
        self._read_to = 0
        self._tail = b""
        self._at_end = False
        self._splitter = Splitter(Position(), 1)

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def ended(self) -> bool:
        """Whether every event was taken; never, for a file that is followed."""
        return self._at_end and not self.follow and not len(self._splitter)

    @property
    def size(self) -> int:
        """Its length now, in bytes."""
        return os.fstat(self._fd).st_size

    def open(self) -> None:
        """Open it.

        Raises:
            SourceError: it cannot be read.
        """
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceError(f"cannot read {self.path}: {error.strerror}") from error

    def seek(self, position: Position, max_line: int) -> None:
        """Go to a position that an earlier run came to."""
        # A run that ended behind a last line without its newline has counted it: what follows is the rest of that line.
        inside = position.offset > 0 and os.pread(self._fd, 1, position.offset - 1) != b"\n"
        line = position.line - 1 if inside else position.line
        self._splitter = Splitter(Position(position.offset, line), max_line)
        self._read_to = os.lseek(self._fd, position.offset, os.SEEK_SET)
        self._tail = self._bytes_before(position.offset, TAIL_BYTES)
        self._at_end = False

    def take(self, limits: Limits) -> Batch | None:
        """As `Source.take`.

        Raises:
            SourceError: the file was truncated or, when followed, replaced by another one; or it cannot be read.
        """
        most = self._read_to + limits.bytes
        while not self.ended and len(self._splitter) < limits.events and self._read_to < most:
            try:
                data = self._read()
            except SourceError:
                if not len(self._splitter):
                    raise
                break  # the whole events that came before are answered first; the next read fails in the same way
            if not data:
                break
            self._splitter.feed(data)
        return self._splitter.take(limits.events)

    def wait(self, stop: Event) -> None:
        """As `Source.wait`: to the next look at a file that is followed."""
        if not self._at_end:
            return
        # Not `stop.wait`: a signal handler that calls `stop.set` in this thread could then wait for its own lock.
        until = time.monotonic() + self._poll
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, STOP_CHECK_INTERVAL_S))

    def close(self) -> None:
        """Close it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def fingerprint(self, offset: int) -> str:
        """Return the SHA-256 of the first and last `FINGERPRINT_BYTES` of the bytes before `offset`.

        Raises:
            SourceError: the file is shorter than that.
        """
        head = os.pread(self._fd, min(offset, FINGERPRINT_BYTES), 0)
        tail = self._bytes_before(offset, FINGERPRINT_BYTES)
        if len(tail) < min(offset, FINGERPRINT_BYTES):
            raise SourceError(
                f"{self.path} was truncated: {offset} bytes of it were read before, it has {self.size} now"
            )
        return "sha256:" + hashlib.sha256(head + tail).hexdigest()

    def _bytes_before(self, offset: int, most: int) -> bytes:
        count = min(offset, most)
        return os.pread(self._fd, count, offset - count)

    def _read(self) -> bytes:
        """The next bytes; none at the end."""
        try:
            if self._at_end and self.follow:
                self._check_same()
            data = os.read(self._fd, READ_BYTES)
            if not data:
                data = self._at_its_end()
        except OSError as error:
            raise SourceError(f"cannot read {self.path} at offset {self._read_to}: {error.strerror}") from error
        self._read_to += len(data)
        self._tail = (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
        self._at_end = not data
        return data

    def _at_its_end(self) -> bytes:
        if self.size < self._read_to:
            self._check_same()
        if not self.follow:
            self._splitter.finish()
            return b""
        if self._is_replaced():
            data = os.read(self._fd, READ_BYTES)  # what was written between the last read and the rotation
            if not data:
                raise SourceError(
                    f"{self.path} is another file now (it was rotated or removed); everything of the old one up to "
                    f"offset {self._read_to} was read. Start another run for the new file, with another output"
                )
            return data
        return b""

    def _is_replaced(self) -> bool:
        mine = os.fstat(self._fd)
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return True
        return (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino)

    def _check_same(self) -> None:
        """Refuse a file that shrank, or shrank and grew again, since it was read."""
        if self.size < self._read_to or self._bytes_before(self._read_to, TAIL_BYTES) != self._tail:
            raise SourceError(
                f"{self.path} was truncated or rewritten while it was read: offset {self._read_to} is no longer where "
                f"it was (the file has {self.size} bytes now)"
            )
