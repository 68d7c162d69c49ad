"""Split bytes into lines, in bounded memory, and keep the position of each line."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

__all__ = ["HEAD_BYTES", "EventBatch", "Line", "LineSplitter", "OversizedLine", "Position"]

#: How many bytes are kept of a line that is longer than the limit.
HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Position:
    """Name a position between two lines of a source.

    Attributes:
        offset: the bytes before it.
        line: the lines before it.
    """

    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class OversizedLine:
    """Stand for a line that was too long to hold; `len` returns the length of that line.

    Attributes:
        head: its first `HEAD_BYTES` bytes.
        size: its length in bytes, without the newline.
    """

    head: bytes
    size: int

    def __len__(self) -> int:
        return self.size


#: A line without its newline.
Line = bytes | OversizedLine


@dataclass(frozen=True)
class EventBatch:
    """Hold consecutive lines of a source; each line that is not blank is an event.

    Attributes:
        lines: the lines, without their newlines.
        start: the position of the first line.
        terminated: whether the last line has a newline; the last line of a source may have none.
    """

    lines: list[Line]
    start: Position
    terminated: bool = True

    def position_after(self, count: int) -> Position:
        """Return the position behind the first `count` lines and their newlines; the last newline may be missing."""
        offset = self._offsets[count]
        if count == len(self.lines) and not self.terminated:
            offset -= 1
        return Position(offset, self.start.line + count)

    def location(self, index: int) -> dict[str, int]:
        """Return the location of the line at `index` for its dead letter: its offset, and its number from 1."""
        return {"offset": self._offsets[index], "line": self.start.line + index + 1}

    @cached_property
    def _offsets(self) -> list[int]:
        return list(accumulate((len(line) + 1 for line in self.lines), initial=self.start.offset))


class LineSplitter:
    """Collect bytes, and return them as lines.

    Args:
        position: the position of the first byte that will be fed.
        max_line: the longest line that is held, in bytes; only the head of a longer one is kept.
    """

    def __init__(self, position: Position, max_line: int) -> None:
        self._next = position
        self._max_line = max_line
        self._ready: list[Line] = []
        self._terminated = True
        self._open = bytearray()  # the line whose newline has not come: its bytes, or its head once it is too long
        self._open_size = 0

    def __len__(self) -> int:
        """Return the number of lines that can be taken."""
        return len(self._ready)

    def feed(self, data: bytes) -> None:
        """Add the bytes that follow those fed before."""
        first, *others = data.split(b"\n")
        self._extend(first)
        if not others:
            return
        self._close()
        last = others.pop()
        if others and len(max(others, key=len)) > self._max_line:
            self._ready += [self._shorten(line) for line in others]
        else:
            self._ready += others
        self._extend(last)

    def finish(self) -> None:
        """End the source: the rest after the last newline is a line, too."""
        if self._open_size:
            self._close()
            self._terminated = False

    def take(self, max_lines: int) -> EventBatch | None:
        """Take the next lines, at most `max_lines`; return `None` if there is none."""
        if not self._ready:
            return None
        lines, self._ready = self._ready[:max_lines], self._ready[max_lines:]
        batch = EventBatch(lines, self._next, self._terminated or bool(self._ready))
        self._next = batch.position_after(len(lines))
        return batch

    def _extend(self, data: bytes) -> None:
        self._open_size += len(data)
        if self._open_size <= self._max_line:
            self._open += data
        elif len(self._open) < HEAD_BYTES:
            self._open += data[: HEAD_BYTES - len(self._open)]
        else:
            del self._open[HEAD_BYTES:]

    def _close(self) -> None:
        if self._open_size <= self._max_line:
            self._ready.append(bytes(self._open))
        else:
            self._ready.append(OversizedLine(bytes(self._open[:HEAD_BYTES]), self._open_size))
        self._open = bytearray()
        self._open_size = 0

    def _shorten(self, line: bytes) -> Line:
        return line if len(line) <= self._max_line else OversizedLine(line[:HEAD_BYTES], len(line))
