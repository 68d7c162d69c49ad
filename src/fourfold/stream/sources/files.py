"""Where events come from: a file, or standard input and other pipes.

Every source does poll-then-drain: `wait` until something is there, then `take` all that is there already. So a lone
event is answered at once, and a burst is scored as one table, without a threshold of rows or milliseconds to tune.
"""

from __future__ import annotations

import hashlib
import os
import re
import select
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol
from urllib.parse import unquote, urlsplit

from fourfold.errors import FourfoldError, SourceError, shorten
from fourfold.stream.lines import Batch, Position, Splitter

__all__ = ["FileSource", "Limits", "PipeSource", "Source", "local_path", "open_source"]

#: The bytes that one read asks for.
CHUNK = 2**20
#: How often a source that waits looks whether it shall stop, in seconds.
LOOK = 0.1
#: The bytes at each end of what was read that make an input's fingerprint.
FINGERPRINT = 4096
#: The bytes before the end that a followed file must still have when it has grown.
TAIL = 64

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a stream's memory and of what a crash makes it do again.

    Attributes:
        events: the most events that one call of the predictor holds.
        bytes: the most bytes that are read for one such call.
        line: the longest line that is an event, in bytes; a longer one goes to the dead letters, cut.
        commit_seconds: the longest time between two commits while events keep coming; when none is left, it commits.
        commit_bytes: the most bytes of input between two commits.
    """

    events: int = 8192
    bytes: int = 4 * 2**20
    line: int = 16 * 2**20
    commit_seconds: float = 0.2
    commit_bytes: int = 4 * 2**20

    def __post_init__(self) -> None:
        for name in ("events", "bytes", "line"):
            if getattr(self, name) < 1:
                raise SourceError(f"expected the limit {name} to be at least 1; got {getattr(self, name)}")


class Source(Protocol):
    """Where events come from. One thread uses it."""

    @property
    def name(self) -> str:
        """How errors and reports call it."""
        ...

    @property
    def ended(self) -> bool:
        """Whether every event was taken and none can follow."""
        ...

    @property
    def size(self) -> int | None:
        """Its length in bytes, as far as it is known."""
        ...

    def open(self) -> None:
        """Open it; `close` it after."""
        ...

    def seek(self, position: Position, max_line: int) -> None:
        """Go to where the first event that is wanted begins."""
        ...

    def take(self, limits: Limits) -> Batch | None:
        """All that is there now, within the limits, without waiting; `None` where there is no whole event."""
        ...

    def wait(self, stop: Event) -> None:
        """Wait until more may be there; not longer than a moment after `stop` is set."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


def open_source(url: str | os.PathLike[str], *, follow: bool = False, poll: float = LOOK) -> FileSource | PipeSource:
    """A source by its name.

    Args:
        url: a path, a `file://` URL, or `-` for standard input. A path can also name a pipe or a device.
        follow: keep reading as the file grows, until the run is stopped.
        poll: for a followed file, the seconds between two looks.

    Raises:
        SourceError: there is no such file, it cannot be read, or this version has no source of that scheme.
    """
    path = local_path(url, SourceError, "a source")
    if path is None:
        source: FileSource | PipeSource = PipeSource(0, "standard input")
    else:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror}") from error
        if stat.S_ISDIR(mode):
            raise SourceError(f"cannot read {path}: expected a file of JSON lines, got a folder")
        source = FileSource(path, follow=follow, poll=poll) if stat.S_ISREG(mode) else PipeSource(path, str(path))
    if follow and isinstance(source, PipeSource):
        raise SourceError(f"only a file can be followed; {source.name} is read until its writer closes it anyway")
    return source


def local_path(url: str | os.PathLike[str], error: type[FourfoldError], what: str) -> Path | None:
    """The path that a URL names, or `None` for `-`.

    Raises:
        FourfoldError: `error`, where the URL has a scheme that this version does not have.
    """
    if not isinstance(url, str):
        return Path(url)
    if url == "-":
        return None
    if not url:
        raise error(f"expected {what} to be a path, a file:// URL or -; got nothing")
    scheme = _SCHEME.match(url)
    if scheme is None:
        return Path(url)
    if scheme[1].lower() != "file":
        raise error(
            f"this version of Fourfold streams files and the standard streams (a path, file://… or -); "
            f"it has no {scheme[1]}:// for {what}: {shorten(url)}"
        )
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise error(f"expected {what} as file:///absolute/path; got {shorten(url)}")
    return Path(unquote(parts.path))


class FileSource:
    """A file of lines: it can be read again from any place, so a run can go on where another one ended.

    Args:
        path: the file.
        follow: keep reading as it grows. A last line then waits for its newline; it is an event at once otherwise.
        poll: the seconds between two looks at a followed file.
    """

    def __init__(self, path: Path, *, follow: bool = False, poll: float = LOOK) -> None:
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
        self._tail = self._bytes_before(position.offset, TAIL)
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
            time.sleep(min(left, LOOK))

    def close(self) -> None:
        """Close it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def fingerprint(self, offset: int) -> str:
        """What tells the bytes before `offset` from another file's: the SHA-256 of their first and last `FINGERPRINT`.

        Raises:
            SourceError: the file is shorter than that.
        """
        head = os.pread(self._fd, min(offset, FINGERPRINT), 0)
        tail = self._bytes_before(offset, FINGERPRINT)
        if len(tail) < min(offset, FINGERPRINT):
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
            data = os.read(self._fd, CHUNK)
            if not data:
                data = self._at_its_end()
        except OSError as error:
            raise SourceError(f"cannot read {self.path} at offset {self._read_to}: {error.strerror}") from error
        self._read_to += len(data)
        self._tail = (self._tail + data[-TAIL:])[-TAIL:]
        self._at_end = not data
        return data

    def _at_its_end(self) -> bytes:
        if self.size < self._read_to:
            self._check_same()
        if not self.follow:
            self._splitter.finish()
            return b""
        if self._is_replaced():
            data = os.read(self._fd, CHUNK)  # what was written between the last read and the rotation
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
        if self.size < self._read_to or self._bytes_before(self._read_to, TAIL) != self._tail:
            raise SourceError(
                f"{self.path} was truncated or rewritten while it was read: offset {self._read_to} is no longer where "
                f"it was (the file has {self.size} bytes now)"
            )


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
        while not self._at_end and not stop.is_set() and not self._readable.poll(LOOK * 1000):
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
            data = os.read(self._fd, CHUNK)
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
