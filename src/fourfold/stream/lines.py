"""Bytes to lines: whole lines out of whatever pieces come in, in bounded memory, with the place of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

__all__ = ["HEAD", "Batch", "Line", "Oversized", "Position", "Splitter"]

#: What is kept of a line that is longer than allowed, in bytes.
HEAD = 4096


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two lines of a source.

    Attributes:
        offset: the bytes before it.
        line: the lines before it.
    """

    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Oversized:
    """A line that was too long to hold; its length is that of the line.

    Attributes:
        head: its first `HEAD` bytes.
        size: its length in bytes, without the newline.
    """

    head: bytes
    size: int

    def __len__(self) -> int:
        return self.size


#: One line without its newline.
Line = bytes | Oversized


@dataclass(frozen=True)
class Batch:
    """Lines that follow one another.

    Attributes:
        lines: the lines, without their newlines.
        start: where the first of them begins.
        terminated: whether the last of them has its newline; at the end of a source it may not.
    """

    lines: list[Line]
    start: Position
    terminated: bool = True

    def after(self, count: int) -> Position:
        """The place behind the first `count` lines; the last line's newline counts only where it is there."""
        offset = self._offsets[count]
        if count == len(self.lines) and not self.terminated:
            offset -= 1
        return Position(offset, self.start.line + count)

    def where(self, index: int) -> dict[str, int]:
        """The place of the line at `index` as a dead letter names it: where it begins, and its number from 1."""
        return {"offset": self._offsets[index], "line": self.start.line + index + 1}

    @cached_property
    def _offsets(self) -> list[int]:
        return list(accumulate((len(line) + 1 for line in self.lines), initial=self.start.offset))


class Splitter:
    """Collects bytes and gives them back as lines.

    Args:
        position: where the first byte that comes in stands.
        max_line: the longest line that is held, in bytes; of a longer one only the head is kept, however long it gets.
    """

    def __init__(self, position: Position, max_line: int) -> None:
        self._next = position
        self._max_line = max_line
        self._ready: list[Line] = []
        self._terminated = True
        self._open = bytearray()  # the line whose newline has not come: its bytes, or its head once it is too long
        self._open_size = 0

    def __len__(self) -> int:
        """The lines that can be taken."""
        return len(self._ready)

    def feed(self, data: bytes) -> None:
        """Add the bytes that follow those already here."""
        first, *others = data.split(b"\n")
        self._extend(first)
        if not others:
            return
        self._close()
        last = others.pop()
        if others and len(max(others, key=len)) > self._max_line:
            self._ready += [self._checked(line) for line in others]
        else:
            self._ready += others
        self._extend(last)

    def finish(self) -> None:
        """Say that no more bytes come: a last line without a newline is a line."""
        if self._open_size:
            self._close()
            self._terminated = False

    def take(self, most: int) -> Batch | None:
        """The next lines, at most so many; `None` where there is none."""
        if not self._ready:
            return None
        lines, self._ready = self._ready[:most], self._ready[most:]
        batch = Batch(lines, self._next, self._terminated or bool(self._ready))
        self._next = batch.after(len(lines))
        return batch

    def _extend(self, piece: bytes) -> None:
        self._open_size += len(piece)
        if self._open_size <= self._max_line:
            self._open += piece
        elif len(self._open) < HEAD:
            self._open += piece[: HEAD - len(self._open)]
        else:
            del self._open[HEAD:]

    def _close(self) -> None:
        if self._open_size <= self._max_line:
            self._ready.append(bytes(self._open))
        else:
            self._ready.append(Oversized(bytes(self._open[:HEAD]), self._open_size))
        self._open = bytearray()
        self._open_size = 0

    def _checked(self, line: bytes) -> Line:
        return line if len(line) <= self._max_line else Oversized(line[:HEAD], len(line))
