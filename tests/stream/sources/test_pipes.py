from __future__ import annotations

import os
import threading

from fourfold.stream import Limits
from fourfold.stream.lines import Position
from fourfold.stream.sources.pipes import PipeSource

LIMITS = Limits()


def taken(source: PipeSource) -> list[object]:
    """The lines that are there now."""
    batch = source.take(LIMITS)
    return [] if batch is None else list(batch.lines)


def test_pipe_gives_what_is_there() -> None:
    """A lone line is there at once, a burst comes as one batch, and half a line waits for its end."""
    reading, writing = os.pipe()
    source = PipeSource(reading, "pipe")
    source.open()
    source.seek(Position(), LIMITS.line)
    assert taken(source) == []
    os.write(writing, b"1\n")
    source.wait(threading.Event())
    assert taken(source) == [b"1"]
    for number in range(1000):
        os.write(writing, b"%d\n" % number)
    os.write(writing, b"half")
    assert len(taken(source)) == 1000
    os.write(writing, b" a line")
    assert taken(source) == []
    os.close(writing)
    assert [taken(source), source.ended] == [[b"half a line"], True]
    source.close()
    os.close(reading)
