"""Read events from a file of JSON lines."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from threading import Event

from fourfold.errors import SourceError
from fourfold.stream.limits import Limits
from fourfold.stream.lines import EventBatch, LineSplitter, Position
from fourfold.stream.sources.protocol import READ_BYTES, STOP_CHECK_INTERVAL_S

__all__ = ["FileSource"]

#: A fingerprint covers this many bytes at the start, and at the end, of the part of a file that was read.
FINGERPRINT_BYTES = 4096
#: How many bytes before the last offset read are compared when a followed file has grown.
TAIL_BYTES = 64


class FileSource:
    """Read the lines of a file; it can be read again from any offset, so a run can continue an earlier one.

    Args:
        path: the file.
        follow: whether to keep reading as the file grows. A last line without a newline then waits for it; without
            `follow` it is an event.
        poll: the interval at which a followed file is checked for more, in seconds.

    Raises:
        SourceError: `poll` is not above 0.
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
        self._splitter = LineSplitter(Position(), 1)

    @property
    def name(self) -> str:
        """Return the path."""
        return str(self.path)

    @property
    def ended(self) -> bool:
        """Tell whether every event was taken; return `False` for a file that is followed."""
        return self._at_end and not self.follow and not len(self._splitter)

    @property
    def size(self) -> int:
        """Return the current length in bytes."""
        return os.fstat(self._fd).st_size

    def open(self) -> None:
        """Open the file.

        Raises:
            SourceError: it cannot be read.
        """
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceError(f"cannot read {self.path}: {error.strerror}") from error

    def seek(self, position: Position, max_line: int) -> None:
        """Go to a position at which an earlier run ended."""
        # The earlier run has counted a last line without a newline; the bytes that follow are the rest of that line.
        is_inside_line = position.offset > 0 and os.pread(self._fd, 1, position.offset - 1) != b"\n"
        line = position.line - 1 if is_inside_line else position.line
        self._splitter = LineSplitter(Position(position.offset, line), max_line)
        self._read_to = os.lseek(self._fd, position.offset, os.SEEK_SET)
        self._tail = self._bytes_before(position.offset, TAIL_BYTES)
        self._at_end = False

    def take(self, limits: Limits) -> EventBatch | None:
        """Take the lines that are there now; see `Source.take`.

        Raises:
            SourceError: the file was truncated or, when followed, replaced by another one; or it cannot be read.
        """
        max_offset = self._read_to + limits.bytes
        while not self.ended and len(self._splitter) < limits.events and self._read_to < max_offset:
            try:
                data = self._read()
            except SourceError:
                if not len(self._splitter):
                    raise
                break  # answer the whole lines before the error first; the next read raises it again
            if not data:
                break
            self._splitter.feed(data)
        return self._splitter.take(limits.events)

    def wait(self, stop: Event) -> None:
        """Wait until a followed file is to be checked again; see `Source.wait`."""
        if not self._at_end:
            return
        # Not `stop.wait`: a signal handler that calls `stop.set` in this thread would deadlock on the event's lock.
        deadline = time.monotonic() + self._poll
        while not stop.is_set() and (seconds_left := deadline - time.monotonic()) > 0:
            time.sleep(min(seconds_left, STOP_CHECK_INTERVAL_S))

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def fingerprint(self, offset: int) -> str:
        """Return the SHA-256 of the first and last `FINGERPRINT_BYTES` of the bytes before an offset.

        Raises:
            SourceError: the file ends before the offset.
        """
        head = os.pread(self._fd, min(offset, FINGERPRINT_BYTES), 0)
        tail = self._bytes_before(offset, FINGERPRINT_BYTES)
        if len(tail) < min(offset, FINGERPRINT_BYTES):
            raise SourceError(
                f"{self.path} was truncated: {offset} bytes of it were read before, it has {self.size} now"
            )
        return "sha256:" + hashlib.sha256(head + tail).hexdigest()

    def _bytes_before(self, offset: int, max_bytes: int) -> bytes:
        count = min(offset, max_bytes)
        return os.pread(self._fd, count, offset - count)

    def _read(self) -> bytes:
        """Read the next bytes; return none at the end."""
        try:
            if self._at_end and self.follow:
                self._check_not_rewritten()
            data = os.read(self._fd, READ_BYTES)
            if not data:
                data = self._read_at_end()
        except OSError as error:
            raise SourceError(f"cannot read {self.path} at offset {self._read_to}: {error.strerror}") from error
        self._read_to += len(data)
        self._tail = (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
        self._at_end = not data
        return data

    def _read_at_end(self) -> bytes:
        """Handle the end of the file; return the last bytes of a followed file that was replaced.

        Raises:
            SourceError: the file was truncated; or it was replaced, and all of it is read.
        """
        if self.size < self._read_to:
            self._check_not_rewritten()
        if not self.follow:
            self._splitter.finish()
            return b""
        if self._is_replaced():
            data = os.read(self._fd, READ_BYTES)  # written between the last read and the replacement
            if not data:
                raise SourceError(
                    f"{self.path} is another file now (it was rotated or removed); everything of the old one up to "
                    f"offset {self._read_to} was read. Start another run for the new file, with another output"
                )
            return data
        return b""

    def _is_replaced(self) -> bool:
        try:
            return not os.path.samestat(os.fstat(self._fd), self.path.stat())
        except FileNotFoundError:
            return True

    def _check_not_rewritten(self) -> None:
        """Refuse a file that was truncated since it was read, even if it has grown again."""
        if self.size < self._read_to or self._bytes_before(self._read_to, TAIL_BYTES) != self._tail:
            raise SourceError(
                f"{self.path} was truncated or rewritten while it was read: offset {self._read_to} is no longer where "
                f"it was (the file has {self.size} bytes now)"
            )
